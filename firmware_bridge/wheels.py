"""The one interface of everything that turns wheels: our own firmware and the adapters to others'."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_Driver = TypeVar("_Driver", bound="WheelDriver")

_SPARE_RATE = 2.0  # rad/s that a wheel may have gained between two readings beside what its speed says
_SPARE_COUNTS = 1.5


@dataclass(frozen=True, slots=True)
class WheelState:
    """The newest readings.

    received_ns: CLOCK_MONOTONIC when they arrived. positions: rad since the driver was made, without
    wrap-around. speeds: rad/s. battery: V or None. ranges: m. bumper: bit i is bumper i. motors_on: power is
    on the motors. faults: names of what keeps the motors off.
    """

    received_ns: int
    positions: tuple[float, ...]
    speeds: tuple[float, ...]
    battery: float | None = None
    ranges: tuple[float, ...] = ()
    bumper: int = 0
    motors_on: bool = False
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverStatus:
    """How the connection is.

    connected: it answers. error: one line, empty when all is well. connections: how often it was established.
    round_trip: median of the newest, s, NaN if unknown. counts: what was received, dropped and why.
    """

    connected: bool
    error: str
    connections: int
    round_trip: float
    counts: dict[str, int]


class WheelDriver(ABC):
    """Keeps a connection by itself and never blocks its caller. From start to close it tries again."""

    @abstractmethod
    def start(self) -> None:
        """Begin to connect, in the background."""

    @abstractmethod
    def close(self) -> None:
        """Stop the wheels and end the connection."""

    @abstractmethod
    def send(self, speeds: Sequence[float]) -> bool:
        """New wheel speeds in rad/s; False if not sent. ValueError if they are not finite or too few."""

    @abstractmethod
    def stop(self) -> None:
        """Wheels off, until clear_stop."""

    @abstractmethod
    def clear_stop(self) -> None:
        """Take back stop and clear faults. Nothing moves before the next send."""

    @abstractmethod
    def state(self) -> WheelState | None:
        """The newest readings, None before the first."""

    @abstractmethod
    def status(self) -> DriverStatus:
        """How the connection is."""

    def __enter__(self: _Driver) -> _Driver:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def unwrap(previous: int, raw: int, bits: int = 32) -> int:
    """The count that goes on from previous, given the newest raw count of a counter of so many bits that
    wraps.

    Right as long as the wheel moves less than half the counter's range between two readings.
    """
    half = 1 << (bits - 1)
    return previous + ((raw - previous + half) % (1 << bits)) - half


class WheelPositions:
    """Wheel positions that go on from counters of 32 bits, which wrap, and which begin anew where a board reboots.

    radians: of each wheel, since this was made.
    """

    def __init__(self, wheels: int) -> None:
        self.radians = (0.0,) * wheels
        self._rates = (0.0,) * wheels  # rad/s, of the newest step
        self.begin()

    def begin(self) -> None:
        """A connection begins: what the counters did before it is not known, and is no motion."""
        self._raw: tuple[float, ...] | None = None
        self._doubted: tuple[float, ...] | None = None
        self._begun = 0.0

    def put(
        self,
        raw: Sequence[float],
        scale: Sequence[float],
        speeds: Sequence[float],
        span: tuple[float, float],
    ) -> str:
        """Take the newest counts. What no wheel can have turned is not taken, and returned as one line; else "".

        scale: rad in a count; speeds: rad/s, what explains a motion (measured or commanded); span: when they were
        asked for and when they came, s. Counts that go on from where a jump led are taken, the jump is not; a jump
        towards zero is a board that began anew, and never taken: `begin` again.
        """
        new, (begun, now) = tuple(raw), span
        if self._raw is None:
            self._raw, self._begun = new, begun
            return ""
        longest = now - self._begun
        turned = _turned(self._raw, new, scale)
        odd = self._odd(self._raw, new, scale, speeds, longest)
        if odd is not None:
            doubted, self._doubted = self._doubted, new
            restarted = abs(new[odd]) < abs(self._raw[odd])
            if restarted or doubted is None or self._odd(doubted, new, scale, speeds, longest) is not None:
                return f"the counter of wheel {odd} jumped from {self._raw[odd]:g} to {new[odd]:g}"
            # it goes on from elsewhere: the jump is no motion, what came after it is
            turned = _turned(doubted, new, scale)
        self.radians = tuple(p + t for p, t in zip(self.radians, turned, strict=True))
        self._rates = tuple(t / max(longest, 1e-3) for t in turned)
        self._raw, self._begun, self._doubted = new, begun, None
        return ""

    def _odd(
        self,
        old: Sequence[float],
        new: Sequence[float],
        scale: Sequence[float],
        speeds: Sequence[float],
        longest: float,
    ) -> int | None:
        """The first wheel that turned more than its speed before and now explains."""
        for wheel, turned in enumerate(_turned(old, new, scale)):
            fastest = 2 * max(abs(self._rates[wheel]), abs(speeds[wheel])) + _SPARE_RATE
            if abs(turned) > fastest * longest + _SPARE_COUNTS * abs(scale[wheel]):
                return wheel
        return None


def _turned(old: Sequence[float], new: Sequence[float], scale: Sequence[float]) -> list[float]:
    """rad between two counts, either way around the wrap of 32 bits."""
    return [math.remainder(b - a, 2**32) * s for a, b, s in zip(old, new, scale, strict=True)]
