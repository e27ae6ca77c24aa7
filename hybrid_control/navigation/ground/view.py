"""Where on the ground the cells of an image's feature map look."""

from __future__ import annotations

import math
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
        ahead = np.asarray(away) * np.cos(bearing)
        depth = ahead * math.cos(self.pitch) + self.z * math.sin(self.pitch)
        below = self.z * math.cos(self.pitch) - ahead * math.sin(self.pitch)
        half = math.tan(self.hfov / 2) * self.aspect
        return np.asarray((below / np.maximum(depth, 1e-6) / half + 1.0) / 2.0)


@dataclass(frozen=True, eq=False)
class GroundView:
    """The cells of a feature map that look at ground within reach.

    rows, columns: (n,) of the map; points: (n, 4, 2) m in the body's frame, four places within each cell.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    points: FloatArray

    @classmethod
    def of(cls, mount: CameraMount, shape: tuple[int, int], reach: float) -> GroundView:
        """Of a map of `shape` rows and columns over the whole image; reach: m from the camera's foot."""
        rows, columns = shape
        y, x, k = np.meshgrid(np.arange(rows), np.arange(columns), np.arange(4), indexing="ij")
        within = np.array([[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])
        points = mount.ground((x + within[k, 1]) / columns, (y + within[k, 0]) / rows)
        far = np.hypot(points[..., 0] - mount.x, points[..., 1])
        chosen = (far <= reach).all(axis=-1)  # NaN is not
        at: Any = np.nonzero(chosen)
        return cls(at[0], at[1], points[chosen])

    @property
    def middles(self) -> FloatArray:
        """(n, 2) m, of the cells."""
        return np.asarray(self.points.mean(axis=1))
