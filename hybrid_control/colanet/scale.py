"""From an encoder's features to what the classifier takes: whitened, with what lies above and below the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet.settings import PICTURES, Settings

Floats = NDArray[np.float32]
FEATURES = 8192  # at most
RIDGE = 1.0  # of the mean variance, added to each: what hardly varies is not blown up
LOW, HIGH = 0.15, 1.8  # standard deviations from the mean at which an input begins, and at which it is 1
FARTHEST = 3.0  # standard deviations; what is farther counts as much, or a feature that hardly ever varied drowns all


@dataclass(frozen=True)
class Scale:
    """What is learnt once of features, without labels, and then stays: mean (features,), matrix (features, features).

    A picture's features are taken by their square roots and divided by the length of these, so that brightness counts
    less. Then (roots - mean) matrix is in standard deviations, with little correlation: local plasticity moves every
    weight by the same amount, and learns badly from inputs that all tell the same. What is above the mean goes to the
    first inputs and what is below to as many others, since a rate has no sign. A classifier that turns its values does
    that itself.
    """

    mean: Floats
    matrix: Floats

    @classmethod
    def learnt(cls, features: Floats) -> Scale:
        """Of features (pictures, features), 2 pictures at least."""
        if features.ndim != 2 or len(features) < 2 or not 1 <= features.shape[1] <= FEATURES:
            raise ValueError(f"features of shape {features.shape}: expected (2 or more, at most {FEATURES})")
        roots = _roots(features).astype(np.float64)
        mean = roots.mean(0)
        covariance = np.cov(roots.T, bias=True).reshape(roots.shape[1], -1)
        variances, axes = np.linalg.eigh(covariance)
        average = variances.mean()
        if not average > 0:
            raise ValueError("the encoder gives the same features for all of these pictures")
        whitening = axes / np.sqrt(np.maximum(variances, 0.0) + RIDGE * average) @ axes.T
        spread = np.sqrt(np.einsum("ij,jk,ki->i", whitening, covariance, whitening, optimize=True))
        matrix = whitening / np.maximum(spread, 1e-6 * spread.max())
        return cls(mean.astype(np.float32), matrix.astype(np.float32))

    def __call__(self, features: Floats, settings: Settings = PICTURES) -> Floats:
        """What a classifier with these settings takes for features (..., features): where it turns them, values
        (..., features) in standard deviations from the mean, else inputs (..., 2 × features) from 0 to 1."""
        if features.shape[-1] != len(self.mean):
            raise ValueError(f"{features.shape[-1]} features: this scale is of {len(self.mean)}")
        values = (_roots(features) - self.mean) @ self.matrix
        if settings.turns:
            return np.clip(values, -FARTHEST, FARTHEST).astype(np.float32)
        return sides(values)

    def arrays(self) -> dict[str, Any]:
        """What is written to a file."""
        return {"mean": self.mean, "matrix": self.matrix}

    @classmethod
    def of(cls, arrays: dict[str, Any]) -> Scale:
        """From what was written. ValueError where it is nothing of the kind."""
        mean, matrix = arrays.get("mean"), arrays.get("matrix")
        if mean is None or matrix is None:
            raise ValueError("has no scale of an encoder's features")
        if mean.ndim != 1 or matrix.shape != 2 * mean.shape or not mean.dtype == matrix.dtype == np.float32:
            raise ValueError(
                f"a scale of shapes {mean.shape} and {matrix.shape}, {mean.dtype} and {matrix.dtype}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(matrix).all()):
            raise ValueError("a scale that is not finite")
        return cls(mean, matrix)


def sides(values: NDArray[Any]) -> Floats:
    """Values (..., features) in standard deviations as inputs (..., 2 × features) from 0 to 1, above 0 and below."""
    both = np.concatenate([values, -values], axis=-1)
    return np.clip((both - LOW) / (HIGH - LOW), 0.0, 1.0).astype(np.float32)


def _roots(features: Floats) -> Floats:
    """Square roots, of length 1 together; 0 where all are 0, as in the dark."""
    roots = np.sqrt(np.maximum(features, 0.0))
    return roots / np.maximum(np.linalg.norm(roots, axis=-1, keepdims=True), 1e-12)
