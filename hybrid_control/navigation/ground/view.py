"""Where on the ground the cells of an image's feature map look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount

FloatArray = NDArray[np.float64]


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
