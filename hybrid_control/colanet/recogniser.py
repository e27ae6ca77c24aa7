"""From pictures to classes: a frozen encoder's features, scaled by their quantiles, and the classifier that learns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet.classifier import CoLaNET, Label
from hybrid_control.colanet.files import load, save
from hybrid_control.colanet.settings import ACTIVATIONS, Settings
from hybrid_control.files import StrPath

QUANTILE = 0.95  # of a feature's values over the training pictures: from there on it fires at every tick
FLOOR = 1e-3  # of the largest scale: no scale is less, or a feature that hardly ever is there would shout


def scale_of(features: NDArray[np.float32], quantile: float = QUANTILE) -> NDArray[np.float32]:
    """Each feature's value that counts as 1: its quantile over (pictures, features)."""
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features of shape {features.shape}: expected (pictures, features)")
    scale = np.quantile(features, quantile, axis=0)
    if not scale.max() > 0:
        raise ValueError("the encoder gives nothing but 0 for these pictures")
    return np.maximum(scale, FLOOR * scale.max()).astype(np.float32)


@dataclass
class Recogniser:
    """A classifier behind an encoder; digest: of the encoder's file, with which alone it means anything."""

    network: CoLaNET
    scale: NDArray[np.float32]
    digest: str

    @classmethod
    def new(
        cls,
        features: NDArray[np.float32],
        digest: str,
        settings: Settings = ACTIVATIONS,
        copies: int = 15,
        seed: int = 0,
    ) -> Recogniser:
        """One that has learnt nothing but the scale of these features (pictures, features)."""
        network = CoLaNET(replace(settings, saturation=1.0), copies=copies, seed=seed)
        return cls(network, scale_of(features), digest)

    def inputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The classifier's inputs for features (..., features)."""
        if features.shape[-1] != len(self.scale):
            raise ValueError(
                f"{features.shape[-1]} features; this classifier was taught with {len(self.scale)}"
            )
        return np.minimum(features / self.scale, 1.0)

    def learn(self, features: NDArray[np.float32], labels: list[Label]) -> None:
        """Pictures' features (pictures, features) with their classes, each once."""
        self.network.partial_fit(self.inputs(features), labels)

    def predict(self, features: NDArray[np.float32]) -> Any:
        """The classes of pictures' features (pictures, features), or of one's (features,)."""
        return self.network.predict(self.inputs(features))

    def save(self, path: StrPath) -> None:
        """Write it, without the encoder."""
        save(self.network, path, {"scale": self.scale, "encoder": np.array(self.digest)})

    @classmethod
    def load(cls, path: StrPath, digest: str) -> Recogniser:
        """Read one. ValueError where it is none, or was taught behind another encoder than that of this digest."""
        network, extra = load(path)
        scale, encoder = extra.get("scale"), extra.get("encoder")
        if scale is None or encoder is None or encoder.shape != () or encoder.dtype.kind != "U":
            raise ValueError(f"{path}: was not taught behind an encoder")
        if str(encoder) != digest:
            raise ValueError(
                f"{path}: was taught behind another encoder: {str(encoder)[:32]!r}, not {digest!r}"
            )
        if scale.shape != (network.n_features_in_,) or scale.dtype != np.float32:
            raise ValueError(f"{path}: a scale of {scale.dtype} of shape {scale.shape}")
        if not (np.isfinite(scale).all() and scale.min() > 0):
            raise ValueError(f"{path}: a scale that is not above 0")
        return cls(network, scale, digest)
