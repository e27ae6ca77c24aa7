"""A pinhole camera over level ground: where what its image shows lies, and where what lies there is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CameraMount:
    """A pinhole camera in the body's frame, whose x is ahead: x, z in m, z above the ground; pitch (positive looks
    down) and hfov, the width of its view, in rad; aspect: its image's height by its width."""

    x: float
    z: float
    pitch: float
    hfov: float
    aspect: float

    def __post_init__(self) -> None:
        numbers = (self.x, self.z, self.pitch, self.hfov, self.aspect)
        if not all(math.isfinite(n) for n in numbers):
            raise ValueError(f"camera: {self} must be finite")
        if self.z <= 0 or not 0 < self.hfov < math.pi or self.aspect <= 0 or abs(self.pitch) >= math.pi / 2:
            raise ValueError(
                f"camera: z {self.z} and aspect {self.aspect} must be > 0, hfov {self.hfov} in 0 .. pi, "
                f"pitch {self.pitch} in -pi/2 .. pi/2"
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> CameraMount:
        """Of the parameters camera_x, camera_z, camera_pitch, camera_hfov and camera_aspect among values."""
        return cls(*(float(values[f"camera_{name}"]) for name in ("x", "z", "pitch", "hfov", "aspect")))

    def nearest(self, headings: FloatArray) -> FloatArray:
        """m over the ground, (n,), from the camera's foot to the nearest ground that it sees in each of the headings
        (n,), rad in the body's frame; inf where it sees none. The image's lower edge is a straight line on the ground,
        across the robot's way."""
        ahead = float(self.ground(np.array(0.5), np.array(1.0))[0]) - self.x
        cosine = np.cos(headings)
        if math.isnan(ahead):  # it looks above the horizon alone
            return np.full(cosine.shape, np.inf)
        return np.where(cosine > 1e-9, max(ahead, 0.0) / np.maximum(cosine, 1e-9), np.inf)

    def ground(self, across: FloatArray, down: FloatArray) -> FloatArray:
        """The ground (..., 2), x ahead and y to the left in m, at places of the image; NaN above the horizon.

        across, down: 0 at the left and upper edge of the image, 1 at the right and lower.
        """
        half = math.tan(self.hfov / 2)
        right = (2.0 * np.asarray(across) - 1.0) * half
        below = (2.0 * np.asarray(down) - 1.0) * half * self.aspect
        # a ray ahead by 1 in the camera's frame, turned down by its pitch
        ahead = math.cos(self.pitch) - below * math.sin(self.pitch)
        sinks = math.sin(self.pitch) + below * math.cos(self.pitch)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(sinks > 1e-9, self.z / sinks, np.nan)
        return np.stack([self.x + scale * ahead, -scale * right], axis=-1)

    def bearings(self, across: FloatArray) -> FloatArray:
        """rad to the left, over the ground, of columns of the image; across: 0 at its left edge, 1 at its right."""
        right = (2.0 * np.asarray(across) - 1.0) * math.tan(self.hfov / 2)
        # what a column shows of the ground lies in one direction from the foot only where the camera looks level
        return -np.arctan(right)

    def away(self, across: FloatArray, down: FloatArray) -> FloatArray:
        """m from the camera's foot to the ground at places of the image; NaN above the horizon."""
        points = self.ground(across, down)
        return np.asarray(np.hypot(points[..., 0] - self.x, points[..., 1]))

    def down(self, bearing: FloatArray, away: FloatArray) -> FloatArray:
        """Where in the image, from 0 at its upper edge to 1 at its lower, ground so many m from the foot is shown."""
        ahead, depth = self._depth(bearing, away)
        below = self.z * math.cos(self.pitch) - ahead * math.sin(self.pitch)
        half = math.tan(self.hfov / 2) * self.aspect
        return np.asarray((below / np.maximum(depth, 1e-6) / half + 1.0) / 2.0)

    def across(self, bearing: FloatArray, away: FloatArray) -> FloatArray:
        """The same from 0 at its left edge to 1 at its right; NaN for what lies behind the image."""
        _, depth = self._depth(bearing, away)
        right = -np.asarray(away) * np.sin(bearing) / np.where(depth > 1e-6, depth, np.nan)
        return np.asarray((right / math.tan(self.hfov / 2) + 1.0) / 2.0)

    def _depth(self, bearing: FloatArray, away: FloatArray) -> tuple[FloatArray, FloatArray]:
        """m over the ground ahead of the foot, and along the camera's axis."""
        ahead = np.asarray(away) * np.cos(bearing)
        return ahead, ahead * math.cos(self.pitch) + self.z * math.sin(self.pitch)
