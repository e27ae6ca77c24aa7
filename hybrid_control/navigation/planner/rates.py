"""How often the planner is asked, and for how long its rates hold."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybrid_control.signals import RateVector

PLANNER_RATE = 15.0  # Hz, of plans
LATENCY = 0.04  # s from image to rates, where nothing else is said
RATES_TIMEOUT = 0.4  # s after their stamp for which rates hold
PENDING = 32  # plans that can be on their way


class HeldRates:
    """The newest rates that hold: from their stamp and latency_ns on, until lasts_ns after their stamp."""

    def __init__(self, latency_ns: int = 0, lasts_ns: int = round(RATES_TIMEOUT * 1e9)) -> None:
        self._latency_ns, self._lasts_ns = latency_ns, lasts_ns
        self._pending: deque[tuple[int, RateVector]] = deque(maxlen=PENDING)
        self._newest: tuple[int, RateVector] | None = None

    def put(self, rates: RateVector, stamp_ns: int) -> None:
        """Rates and the time that they are of, which is not ahead of now; from any thread."""
        self._pending.append((stamp_ns, rates))

    def at(self, now_ns: int) -> RateVector | None:
        """The rates that hold now; None where none do."""
        # a stamp ahead of now is of a clock that was set back since
        while self._pending and not self._pending[0][0] <= now_ns < self._pending[0][0] + self._latency_ns:
            self._newest = self._pending.popleft()
        if self._newest is None or not 0 <= now_ns - self._newest[0] <= self._lasts_ns:
            return None
        return self._newest[1]
