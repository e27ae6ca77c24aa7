"""Where on the ground the cells of an image's feature map look."""

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
