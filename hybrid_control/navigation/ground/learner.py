"""Ground that is taught on the spot: an encoder's cells, a CoLaNET that learns them, and what each class does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet import CELLS
from hybrid_control.colanet.recogniser import Recogniser
from hybrid_control.files import StrPath
from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.classes import (
    AVOID,
    IGNORE,
    SLOW,
    checked_effects,
    checked_label,
)
from hybrid_control.navigation.ground.features import FeatureMap
from hybrid_control.navigation.ground.memory import SeenCells, SeenGround
from hybrid_control.navigation.ground.view import GroundView
from hybrid_control.signals import Pose

FloatArray = NDArray[np.float64]

CLASSES = 64  # at most
SURE = 1.2  # times as many spikes as any other class, from which on a cell is of a class
STEADY = 0.6  # rad/s, up to which a label is taken for what lies in the aim
TAKEN = 8  # cells of an image that are learnt at most, of those in the aim: they are alike


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
    noise. seen: what is remembered since the last look; replaced, never changed.

    Nothing is known, and nothing has an effect, before two classes were taught, such as GROUND and another; and what is
    new has none before the lesson is over (`finish`): whoever teaches drives up to it and across.
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
        self._untaught = partial(
            Recogniser.new, digest=encoder.digest, settings=CELLS, copies=copies, seed=seed
        )
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
        self._cells: dict[str, SeenCells] = {}
        self.seen = SeenGround()
        self.labels: NDArray[Any] = np.full(len(self.view.rows), "", "U32")
        self.teaching = ""
        self._new: frozenset[str] = frozenset()  # classes that this lesson began with
        self._lesson = ""  # the label that is learnt now, and what was known before it
        self._before: Any = None

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

    def finish(self) -> None:
        """The lesson is over: nothing more is taught, and what was new in it has its effect."""
        self.teaching, self._new = "", frozenset()

    @property
    def watches(self) -> bool:
        """Whether anything that it knows must not be missed: then it has to see."""
        known = [c for c in self.classes if c not in self._new]
        return len(self.classes) > 1 and any(self.effects.get(c) in (AVOID, SLOW) for c in known)

    def warm(self) -> None:
        """Compile what learning and telling need, so that nothing compiles while a robot drives."""
        features = self.encoder.typical()
        pupil = self._untaught(features)
        pupil.learn(features[:2], [AVOID, SLOW])
        pupil.spikes(features[:2])

    def undo(self) -> str:
        """Take back what was learnt of the label that was told last, and return it. ValueError where nothing was."""
        if self._before is None:
            raise ValueError("nothing was taught since the last was taken back")
        label, self._recogniser, snapshot = self._before
        if self._recogniser is not None:
            self._recogniser.network.restore(snapshot)
        self._before, self._lesson, self.teaching = None, "", ""
        self._new &= set(self.classes)
        self.forget_places()
        return str(label)

    def look(self, image: NDArray[np.uint8], pose: Pose, turning: float = 0.0) -> NDArray[Any]:
        """The class of each cell of its view in an image taken at a pose of the odometry's frame, "" where it is not
        sure; what is taught is learnt first. What it is not sure of is neither seen nor free. turning: rad/s; faster
        than STEADY nothing is learnt, for who says what lies ahead is late by then.

        BlindError where the image shows nothing: then nothing is learnt, and nothing forgotten.
        """
        features = self.encoder(image)[self.view.rows, self.view.columns]
        teaching = self.teaching  # another thread may tell something else meanwhile
        if teaching and abs(turning) <= STEADY:
            self._learn(features[self._aimed], teaching)
        self._lesson = teaching
        if self._recogniser is None or len(self.classes) < 2:  # one class alone is told apart from nothing
            return self.labels
        self.labels = self._decided(features)
        sure = np.repeat(self.labels != "", self.view.points.shape[1])
        for label in self.classes:
            if self.effects.get(label, IGNORE) != IGNORE and label not in self._new:
                cells = self._cells.setdefault(label, SeenCells())
                seen = np.repeat(self.labels == label, self.view.points.shape[1])
                cells.put(self.view.points.reshape(-1, 2)[sure], seen[sure], pose)
        self.seen = SeenGround({label: c.middles() for label, c in self._cells.items()}, self.effects)
        return self.labels

    def _decided(self, features: NDArray[np.float32]) -> NDArray[Any]:
        assert self._recogniser is not None
        spikes = self._recogniser.spikes(features)
        best, order = spikes.argmax(axis=1), np.sort(spikes, axis=1)
        sure = order[:, -1] > SURE * order[:, -2:-1].sum(axis=1)  # of one class alone there is no other
        return np.where(sure, np.array(self.classes)[best], "").astype("U32")

    def _learn(self, features: NDArray[np.float32], label: str) -> None:
        """What it knows already, and is sure of, it does not take in again: a class that is told for long would push
        those out that were told before it."""
        if label != self._lesson:
            known = self._recogniser
            self._new |= {label} - set(self.classes)
            self._before = label, known, None if known is None else known.network.snapshot()
        if self._recogniser is None:
            self._recogniser = self._untaught(self.encoder.typical())
        if self.classes:
            features = features[self._decided(features) != label]
        if len(features):
            features = self._draw.permutation(features)[:TAKEN]
            self._recogniser.learn(features, [label] * len(features))

    def forget_places(self) -> None:
        """Where things were seen, not what they are: for an odometry that began anew."""
        self._cells.clear()
        self.seen = SeenGround()

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
        self._recogniser, self._before = recogniser, None
        self.forget_places()
