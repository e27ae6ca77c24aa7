"""Whether wheels do what they are commanded. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence

WITHIN = 0.3  # s
TOLERANCE = 1.0  # rad/s, for friction and coarse encoders at slow commands
_SHARE = 0.4  # of the command, or of what is measured where that is more: speed loops differ so much, dead wheels more
_PROGRESS = 0.3  # rad/s nearer to the command: it accelerates, however slowly
_LONGEST_STEP = 0.1  # s; a pause of this computer is no fault of a wheel


class Following:
    """Finds the wheel that stays well away from its command for longer than `within` s and comes no nearer to it.

    tolerance: rad/s that a wheel may always be away. acceleration: rad/s^2 that its own controller allows it.
    """

    def __init__(
        self, within: float = WITHIN, tolerance: float = TOLERANCE, acceleration: float = math.inf
    ) -> None:
        self.within, self.tolerance = within, tolerance
        self._progress = min(_PROGRESS, acceleration * within / 2)
        self.reset()

    def reset(self) -> None:
        """Nothing is commanded."""
        self._at: float | None = None
        self._away: dict[int, tuple[float, float, float]] = {}  # s away, speed from which it should come, direction

    def check(self, commanded: Sequence[float], measured: Sequence[float], now: float) -> str:
        """One line about the first wheel that does not follow, "" where all do. Speeds in rad/s, now in s."""
        dt = 0.0 if self._at is None else min(now - self._at, _LONGEST_STEP)
        self._at = now
        for wheel, (want, speed) in enumerate(zip(commanded, measured, strict=True)):
            error = want - speed
            if abs(error) <= max(self.tolerance, _SHARE * max(abs(want), abs(speed))):
                self._away.pop(wheel, None)
                continue
            ahead = math.copysign(1.0, error)
            away, start, direction = self._away.get(wheel, (-dt, speed, ahead))
            if direction != ahead:
                start = speed
            elif ahead * (speed - start) >= self._progress:
                away, start = 0.0, speed
            away += dt
            self._away[wheel] = away, start, ahead
            if away > self.within:
                return f"wheel {wheel} does not follow: commanded {want:.2f} rad/s, turns {speed:.2f}"
        return ""
