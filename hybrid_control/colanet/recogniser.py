"""From pictures' features to classes: the scale of an encoder's features, and the classifier that learns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_control.colanet.classifier import CoLaNET, Label
from hybrid_control.colanet.files import load, save
from hybrid_control.colanet.scale import Floats, Scale
from hybrid_control.colanet.settings import PICTURES, Settings
from hybrid_control.files import StrPath


@dataclass(frozen=True)
class Recogniser:
    """A classifier behind an encoder; digest: of the encoder's file, with which alone it means anything."""

    network: CoLaNET
    scale: Scale
    digest: str

    @classmethod
    def new(
        cls, features: Floats, digest: str, settings: Settings = PICTURES, copies: int = 15, seed: int = 0
    ) -> Recogniser:
        """One that has learnt nothing but the scale of these features (pictures, features)."""
        return cls(CoLaNET(settings, copies=copies, seed=seed), Scale.learnt(features), digest)

    def learn(self, features: Floats, labels: Sequence[Label]) -> None:
        """Pictures' features (pictures, features) with their classes, each once."""
        self.network.partial_fit(self._seen(features), labels, shuffle=True)

    def _seen(self, features: Floats) -> Floats:
        """What the network takes for features."""
        return self.scale(features, self.network.settings)

    def rehearsed(
        self, features: Floats, labels: Sequence[Label], parts: int = 20
    ) -> list[tuple[int, list[str]]]:
        """How a copy of this learns pictures: of each part of them how many were learnt before, and what it says then.

        Nothing is learnt here. Before anything is known, "" is said.
        """
        network, x = (
            CoLaNET(self.network.settings, copies=self.network.copies, seed=self.network.seed),
            self._seen(features),
        )
        if len(self.network.classes_):
            network.restore(self.network.snapshot())
        edges, told = np.linspace(0, len(x), min(parts, len(x)) + 1).astype(int), []
        for begin, end in itertools.pairwise(edges.tolist()):
            known = len(network.classes_) > 0
            told.append(
                (begin, [str(s) for s in network.predict(x[begin:end])] if known else [""] * (end - begin))
            )
            network.partial_fit(x[begin:end], labels[begin:end], shuffle=True)
        return told

    def predict(self, features: Floats) -> Any:
        """The classes of pictures' features (pictures, features), or of one's (features,)."""
        return self.network.predict(self._seen(features))

    def spikes(self, features: Floats) -> Floats:
        """Spikes of each class for pictures' features (pictures, features): (pictures, classes)."""
        return self.network.decision_function(self._seen(features))

    def save(self, path: StrPath) -> None:
        """Write it, without the encoder."""
        save(self.network, path, {**self.scale.arrays(), "encoder": np.array(self.digest)})

    @classmethod
    def load(cls, path: StrPath, digest: str) -> Recogniser:
        """Read one. ValueError where it is none, or was taught behind another encoder than that of this digest."""
        network, extra = load(path)
        encoder = extra.get("encoder")
        if encoder is None or encoder.shape != () or encoder.dtype.kind != "U":
            raise ValueError(f"{path}: was not taught behind an encoder")
        if str(encoder) != digest:
            raise ValueError(
                f"{path}: was taught behind another encoder: {str(encoder)[:32]!r}, not {digest!r}"
            )
        try:
            scale = Scale.of(extra)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if network.n_features_in_ != len(scale(scale.mean, network.settings)):
            raise ValueError(
                f"{path}: {network.n_features_in_} inputs for a scale of {len(scale.mean)} features"
            )
        return cls(network, scale, digest)
