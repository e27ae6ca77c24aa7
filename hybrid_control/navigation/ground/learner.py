"""Ground that is taught on the spot: an encoder's cells, a CoLaNET that learns them, and what each class does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet import CELLS
from hybrid_control.colanet.recogniser import Recogniser
from hybrid_control.files import StrPath
from hybrid_control.navigation.ground.features import FeatureMap
from hybrid_control.navigation.ground.memory import CELL, SIDE, SeenCells
from hybrid_control.navigation.ground.view import CameraMount, GroundView
from hybrid_control.navigation.sensors.fusion import nearest_by_sector
from hybrid_control.signals import Pose, RateVector, layout
from hybrid_control.signals.headings import SECTORS

FloatArray = NDArray[np.float64]

AVOID, APPROACH, SLOW, IGNORE = "avoid", "approach", "slow", "ignore"
EFFECTS = (AVOID, APPROACH, SLOW, IGNORE)
GROUND = "ground"
"""The class of ordinary ground."""
LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_RATE = 200.0  # Hz, of a class that is seen right before the robot
CLASSES = 64  # at most
SURE = 1.2  # times as many spikes as any other class, from which on a cell is of a class
TAKEN = 8  # cells of an image that are learnt at most, of those in the aim: they are alike


def checked_label(label: str) -> str:
    """A class's name; ValueError where it is none."""
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise ValueError(
            f"class {str(label)[:40]!r}: expected a small letter and up to 31 small letters, digits or _"
        )
    return label


def checked_effects(effects: Mapping[str, str]) -> dict[str, str]:
    """What each class does, by its name; ValueError for what is no name or no effect."""
    for label, effect in effects.items():
        checked_label(label)
        if effect not in EFFECTS:
            raise ValueError(
                f"class {label!r}: the effect {effect!r} is unknown; expected {', '.join(EFFECTS)}"
            )
    return dict(effects)


@dataclass(frozen=True)
class Aim:
    """The ground that is taught, m in the body's frame: from near to far ahead, and up to aside to either side."""

    near: float = 0.6
    far: float = 1.1
    aside: float = 0.2


class GroundLearner:
    """Tells kinds of ground apart as it was taught, and keeps in mind where they are.

    encoder: what makes features of an image; mount: of its camera; effects: what each class does, by name, of EFFECTS;
    a class that has none is ignored. reach: m from the camera, up to where it looks. copies: of CoLaNET. seed: of their
    noise. Nothing is known, and nothing has an effect, before two classes were taught, such as GROUND and another.
    """

    def __init__(
        self,
        encoder: FeatureMap,
        mount: CameraMount,
        effects: Mapping[str, str],
        *,
        reach: float = 2.0,
        aim: Aim = Aim(),
        copies: int = 15,
        seed: int = 0,
    ) -> None:
        self.encoder, self.effects, self.aim = encoder, checked_effects(effects), aim
        self._copies, self._seed = copies, seed
        self._draw = np.random.default_rng(seed)
        rows, columns = encoder.shape
        self.view = GroundView.of(mount, (rows, columns), reach)
        if not len(self.view.rows):
            raise ValueError(f"camera: sees no ground within {reach:g} m")
        x, y = self.view.middles.T
        self._aimed = (x >= aim.near) & (x <= aim.far) & (np.abs(y) <= aim.aside)
        if not self._aimed.any():
            raise ValueError(f"camera: sees no ground at {aim}")
        self._recogniser: Recogniser | None = None
        self._seen: dict[str, SeenCells] = {}
        self.labels: NDArray[Any] = np.full(len(self.view.rows), "", "U32")
        self.teaching = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it was taught, in the order in which it came."""
        return () if self._recogniser is None else tuple(self._recogniser.network.classes_.tolist())

    def teach(self, label: str) -> None:
        """From now on what lies in its aim is this; "": nothing more is taught. ValueError where it is no name, or
        there are too many classes; then nothing changes."""
        if label != "" and checked_label(label) not in self.classes and len(self.classes) >= CLASSES:
            raise ValueError(f"class {label!r}: there are {CLASSES} classes already")
        self.teaching = label

    def look(self, image: NDArray[np.uint8], pose: Pose) -> NDArray[Any]:
        """The class of each cell of its view in an image taken at a pose of the odometry's frame, "" where it is not
        sure; what is taught is learnt first. What it is not sure of is neither seen nor free.

        BlindError where the image shows nothing: then nothing is learnt, and nothing forgotten.
        """
        features = self.encoder(image)[self.view.rows, self.view.columns]
        if self.teaching:
            self._learn(features[self._aimed])
        if self._recogniser is None or len(self.classes) < 2:  # one class alone is told apart from nothing
            return self.labels
        self.labels = self._decided(features)
        sure = np.repeat(self.labels != "", self.view.points.shape[1])
        for label in self.classes:
            if self.effects.get(label, IGNORE) != IGNORE:
                cells = self._seen.setdefault(label, SeenCells())
                seen = np.repeat(self.labels == label, self.view.points.shape[1])
                cells.put(self.view.points.reshape(-1, 2)[sure], seen[sure], pose)
        return self.labels

    def _decided(self, features: NDArray[np.float32]) -> NDArray[Any]:
        assert self._recogniser is not None
        spikes = self._recogniser.spikes(features)
        best, order = spikes.argmax(axis=1), np.sort(spikes, axis=1)
        sure = order[:, -1] > SURE * order[:, -2:-1].sum(axis=1)  # of one class alone there is no other
        return np.where(sure, np.array(self.classes)[best], "").astype("U32")

    def _learn(self, features: NDArray[np.float32]) -> None:
        """What it knows already, and is sure of, it does not take in again: a class that is told for long would push
        those out that were told before it."""
        if self._recogniser is None:
            self._recogniser = Recogniser.new(
                self.encoder.typical(), self.encoder.digest, CELLS, copies=self._copies, seed=self._seed
            )
        if self.classes:
            features = features[self._decided(features) != self.teaching]
        if len(features):
            features = self._draw.permutation(features)[:TAKEN]
            self._recogniser.learn(features, [self.teaching] * len(features))

    def points(self, effect: str, pose: Pose) -> FloatArray:
        """The cells of all classes with an effect, (n, 2) m in the body's frame at a pose."""
        found = [
            cells.points(pose) for label, cells in self._seen.items() if self.effects.get(label) == effect
        ]
        return np.concatenate(found) if found else np.empty((0, 2))

    def rates(self, pose: Pose, stamp_ns: int) -> RateVector:
        """A population of SECTORS headings for each class with an effect: MAX_RATE where it is seen right before the
        robot, less the farther it is, 0 where it is not seen."""
        sight = CELL * SIDE / 2
        rates = [
            MAX_RATE * np.clip(1.0 - nearest_by_sector(cells.points(pose)) / sight, 0.0, 1.0)
            for cells in self._seen.values()
        ]
        found = np.concatenate(rates) if rates else np.empty(0)
        return RateVector(stamp_ns, found.astype(np.float32), layout(**dict.fromkeys(self._seen, SECTORS)))

    def forget_places(self) -> None:
        """Where things were seen, not what they are: for an odometry that began anew."""
        self._seen.clear()

    def save(self, path: StrPath) -> None:
        """Write what it learnt, whole or not at all; ValueError where that is nothing, OSError where it cannot be."""
        if self._recogniser is None:
            raise ValueError("nothing was taught yet, so there is nothing to save")
        self._recogniser.save(path)

    def load(self, path: StrPath) -> None:
        """Take up what another learnt behind the same encoder. ValueError, OSError as `Recogniser.load` raises them."""
        recogniser = Recogniser.load(path, self.encoder.digest)
        for label in recogniser.network.classes_.tolist():
            checked_label(label)
        self._recogniser = recogniser
        self.forget_places()
