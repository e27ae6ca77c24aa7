"""The same tick in simulated time: stepped up to what a simulator's clock says, without a wall clock."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hybrid_control.realtime.loop import HasAddress, call_ticks, one_record, period_of, tick_address


class SteppedLoop:
    """Runs every tick that is due at or before a given simulated time, so results depend on the inputs alone.

    tick, context, rate_hz: as for PeriodicLoop; ``now_ns`` of a tick is its due time, a whole multiple of the
    period. max_ticks: most ticks run by one `advance`; where the clock jumps further ahead, the older ones
    are counted as missed. A clock that jumps back (a simulation started anew) begins a new count of due times
    from there.
    """

    def __init__(
        self, tick: int | HasAddress, context: NDArray[Any], rate_hz: float, *, max_ticks: int = 10_000
    ) -> None:
        if max_ticks < 1:
            raise ValueError(f"max_ticks: {max_ticks} must be at least 1")
        self.period_ns = period_of(rate_hz)
        self.context = one_record(context)
        self.max_ticks = max_ticks
        self.ticks = 0
        self.missed = 0
        self.resets = 0
        self._tick = tick  # kept alive
        self._addresses = tick_address(tick), self.context.ctypes.data
        self._now_ns = -1
        self._next = -1  # index of the next tick; its due time is index · period

    def advance(self, now_ns: int) -> int:
        """Run the ticks that are due up to ``now_ns`` of simulated time; returns how many ran.

        The first call, and the first after a jump back, runs the newest tick that is due. RuntimeError where
        a tick fails.
        """
        if now_ns < 0:
            raise ValueError(f"now_ns: {now_ns} must be >= 0")
        newest = now_ns // self.period_ns
        if now_ns < self._now_ns:
            self.resets += 1
            self._next = newest
        elif self._next < 0:
            self._next = newest
        self._now_ns = now_ns
        due = newest + 1 - self._next
        if due > self.max_ticks:
            self.missed += due - self.max_ticks
            self._next += due - self.max_ticks
            due = self.max_ticks
        begin = self._next * self.period_ns
        done = call_ticks(*self._addresses, begin, self.period_ns, due)
        self._next += done
        self.ticks += done
        if done < due:
            raise RuntimeError(f"the tick at {begin + done * self.period_ns} ns of simulated time failed")
        return done

    def state(self) -> tuple[int, ...]:
        """How far it is; what the tick keeps is in its context."""
        return self.ticks, self.missed, self.resets, self._now_ns, self._next

    def set_state(self, state: tuple[int, ...]) -> None:
        """Go on from there."""
        self.ticks, self.missed, self.resets, self._now_ns, self._next = state
