"""An event camera on a robot: how fast things come nearer in each direction, and what comes into the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.sensors.crossing import Crossing
from hybrid_control.navigation.sensors.events import Looming
from hybrid_control.signals.headings import SECTORS

_AHEAD = 0.05  # rad; what looks further aside than that cannot tell what comes into the way
_NOTHING = np.zeros(SECTORS, np.bool_)


class Eye:
    """Takes the events of one camera.

    size: pixels, width and height; fov: rad across the image; axis: where it looks, a unit vector in the robot's frame.
    """

    def __init__(self, size: tuple[int, int], fov: float, axis: Sequence[float]) -> None:
        x, y, z = axis
        yaw, pitch = math.atan2(y, x), math.atan2(-z, math.hypot(x, y))
        self.size = size
        self._looming = Looming(*size, fov, yaw)
        self._crossing = Crossing(*size, fov, pitch) if abs(yaw) < _AHEAD else None

    def put(self, events: NDArray[Any], time_ns: int, speed: float, turn: float) -> None:
        """Take in the events up to a time, in order; speed, turn: m/s and rad/s of the robot."""
        self._looming.put(events)
        if self._crossing is not None:
            self._crossing.put(events, time_ns, speed, turn)

    def rates(self) -> NDArray[np.float32]:
        """The inverse of the time to contact in each sector, (SECTORS,) 1/s, 0 where unknown."""
        return self._looming.rates()

    def crossing(self) -> NDArray[np.bool_]:
        """(SECTORS,), true where something comes into the way; nowhere for a camera that does not look ahead."""
        return _NOTHING if self._crossing is None else self._crossing.sectors()
