"""Time of a co-simulation: whole nanoseconds, periods that need not divide each other, and where they meet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SECOND = 1_000_000_000
LONGEST = 2**62  # ns, some 146 years
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": SECOND}
_TIME = re.compile(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(ns|us|µs|ms|s)?\s*")


def nanoseconds(value: object, name: str, least: int = 0) -> int:
    """Whole ns of "33.3 ms", "5 us", "1 s", or of a number of seconds; ValueError, which begins with `name`."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        ns = float(match[1]) * _UNITS[match[2] or "s"]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        ns = float(value) * SECOND
    else:
        raise ValueError(f"{name}: {value!r} is no time; expected 33.3 ms, 5 us, 100 ns, or seconds")
    if not math.isfinite(ns) or not least <= round(ns) <= LONGEST:
        raise ValueError(f"{name}: {value!r} must be at least {text(least)}")
    return round(ns)


def text(ns: int) -> str:
    """A time as a person writes it, exact: "33.333333 ms", "1 s", "9.26 h"."""
    if ns >= 3600 * SECOND:
        return f"{ns / (3600 * SECOND):.3g} h"
    for unit, size in (("s", SECOND), ("ms", 1_000_000), ("us", 1_000)):
        if ns >= size:
            return f"{ns // size}{f'.{ns % size:0{len(str(size)) - 1}d}'.rstrip('.0') if ns % size else ''} {unit}"
    return f"{ns} ns"


@dataclass(frozen=True, slots=True)
class Clock:
    """When a part runs: at 0, period_ns, 2 period_ns, ...; what run k gives arrives latency_ns after it began."""

    period_ns: int
    latency_ns: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.period_ns <= LONGEST:
            raise ValueError(f"period: {self.period_ns} ns must be at least 1 ns")
        if not 0 <= self.latency_ns <= LONGEST:
            raise ValueError(f"latency: {self.latency_ns} ns must not be negative")

    def runs_before(self, until_ns: int) -> int:
        """How many runs begin before a time."""
        return max(-(-until_ns // self.period_ns), 0)


def synchronisation(periods_ns: Iterable[int]) -> int:
    """T_sync: the time after which all periods meet again, their least common multiple, in ns."""
    return math.lcm(*periods_ns)


def meetings(first_ns: int, second_ns: int, until_ns: int) -> Iterator[int]:
    """The times below `until_ns` at which two periods meet."""
    step = math.lcm(first_ns, second_ns)
    return iter(range(0, until_ns, step))


def nearest_that_meets(period_ns: int, other_ns: int, within: float = 0.02) -> int:
    """A period as near as can be to `period_ns`, at most a share `within` off, that meets `other_ns` the soonest.

    Of those within the share, the one whose common multiple with the other is least; the nearest of equals.
    """
    low, high = math.ceil(period_ns * (1 - within)), math.floor(period_ns * (1 + within))
    best = (math.lcm(period_ns, other_ns), 0, period_ns)
    # a multiple m of the other, split into k equal periods, for few k
    for k in range(1, 65):
        first, last = -(-low * k // other_ns), high * k // other_ns
        for m in range(first, min(last, first + 64) + 1):
            if m > 0 and (m * other_ns) % k == 0 and low <= m * other_ns // k <= high:
                candidate = m * other_ns // k
                best = min(best, (math.lcm(candidate, other_ns), abs(candidate - period_ns), candidate))
    return best[2]
