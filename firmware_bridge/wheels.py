"""The one interface of everything that turns wheels: our own firmware and the adapters to others'."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_Driver = TypeVar("_Driver", bound="WheelDriver")


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


def advance(totals: Sequence[int], before: Sequence[int], raw: Sequence[int]) -> list[int]:
    """The totals that go on from the raw counts before to those now, of counters of 32 bits that wrap."""
    return [unwrap(t, t + new - old) for t, new, old in zip(totals, raw, before, strict=True)]
