"""Telemetry as wheel states: encoder counts without wrap-around that go on over a reset of the device."""

from __future__ import annotations

import math

from firmware_bridge.link.messages import Telemetry
from firmware_bridge.wheels import WheelState, unwrap

_CLOCK_SLACK_US = 500_000


class Readings:
    """telemetry: the newest as it came; state: the same in SI; None before the first."""

    def __init__(self) -> None:
        self.telemetry: Telemetry | None = None
        self.state: WheelState | None = None
        self._ticks: list[int] = []
        self._zero: list[int] = []
        self._clock: tuple[int, int] | None = None  # device us, our ns

    def take(self, t: Telemetry, ticks_per_rev: int, now: int) -> None:
        """The newest telemetry. now: CLOCK_MONOTONIC ns."""
        if len(self._ticks) != len(t.ticks):
            self._ticks = [0] * len(t.ticks)
            self._zero = list(t.ticks)
        elif self._was_reset(t, now):
            self._zero = [raw - count for raw, count in zip(t.ticks, self._ticks, strict=True)]
        self._clock = (t.time_us, now)
        self._ticks = [
            unwrap(count, raw - zero)
            for count, raw, zero in zip(self._ticks, t.ticks, self._zero, strict=True)
        ]
        turn = 2 * math.pi / ticks_per_rev
        self.telemetry = t
        self.state = WheelState(
            received_ns=now,
            positions=tuple(count * turn for count in self._ticks),
            speeds=t.speeds,
            battery=t.battery,
            ranges=t.ranges,
            bumper=t.bumper,
            motors_on=t.motors_on,
            faults=tuple(str(f.name).lower() for f in type(t.faults) if f in t.faults),
        )

    def _was_reset(self, t: Telemetry, now: int) -> bool:
        """The device's clock did not go on as ours did: it has begun anew, and so have its encoder counts."""
        if self._clock is None:
            return False
        then_us, then = self._clock
        elapsed = (now - then) // 1000
        return abs(unwrap(0, t.time_us - then_us - elapsed)) > _CLOCK_SLACK_US + elapsed // 50
