"""What encoders and decoders share: the checks of their arguments, and the state of many channels in one array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals.coding.kernels import MAX_RATE

MAX_DURATION_NS = 2**32 - 1
MAX_SIZE = 2**24


def checked_size(size: int) -> int:
    """A number of channels, or ValueError."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 1 <= size <= MAX_SIZE:
        raise ValueError(f"size: {size!r} must be a whole number of channels in 1 .. {MAX_SIZE}")
    return int(size)


def checked_duration(duration_ns: int) -> int:
    """A duration in nanoseconds, or ValueError."""
    if isinstance(duration_ns, bool) or not isinstance(duration_ns, int | np.integer):
        raise ValueError(f"duration: {duration_ns!r} must be a whole number of nanoseconds")
    if not 1 <= duration_ns <= MAX_DURATION_NS:
        raise ValueError(f"duration: {duration_ns} ns must be in 1 .. 2^32 - 1")
    return int(duration_ns)


def checked_time(name: str, seconds: float, at_least_ns: int = 1) -> int:
    """A time constant in seconds as whole nanoseconds, or ValueError."""
    if not at_least_ns * 1e-9 <= seconds <= MAX_DURATION_NS * 1e-9:
        raise ValueError(f"{name}: {seconds!r} s must be in {at_least_ns} ns .. 4.29 s")
    return round(seconds * 1e9)


def checked_max_rate(max_rate: float) -> float:
    """The rate that stands for full scale, or ValueError."""
    if not 0.0 < max_rate <= MAX_RATE:
        raise ValueError(f"max_rate: {max_rate!r} Hz must be above 0 and at most {MAX_RATE:.0f} Hz")
    return float(max_rate)


def checked_bits(bits: int) -> int:
    """The number of slots of a phase code, or ValueError."""
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not 1 <= bits <= 32:
        raise ValueError(f"bits: {bits!r} must be a whole number in 1 .. 32")
    return int(bits)


def slotted_period(period: float, bits: int) -> int:
    """The period of a phase code in ns, a whole number of ns per slot."""
    return round(checked_time("period", period, at_least_ns=bits) / bits) * bits


class Channels:
    """``size`` channels whose whole state is the array ``state``, a record or a row for each."""

    def __init__(self, state: NDArray[Any]) -> None:
        self.size = len(state)
        self.state = state
        self._initial = state.copy()

    def reset(self) -> None:
        """Back to the state after construction."""
        self.state[...] = self._initial

    def snapshot(self) -> NDArray[Any]:
        """A copy of the state, for ``restore``."""
        return self.state.copy()

    def restore(self, snapshot: NDArray[Any]) -> None:
        """Go on from a snapshot of channels of this kind, number and window."""
        if snapshot.dtype != self.state.dtype or snapshot.shape != self.state.shape:
            raise ValueError(
                f"snapshot: {snapshot.dtype} of shape {snapshot.shape}, "
                f"expected {self.state.dtype} of shape {self.state.shape}"
            )
        self.state[...] = snapshot


Kind = TypeVar("Kind", bound=Channels)


def by_name(
    what: str, kinds: Mapping[str, Callable[..., Kind]], name: str, size: int, options: dict[str, Any]
) -> Kind:
    """An encoder or decoder of the kind that is so called; ValueError where there is none, or not of these options."""
    if name not in kinds:
        raise ValueError(f"{what} {name!r}: there are {', '.join(kinds)}")
    try:
        return kinds[name](size, **options)
    except TypeError as error:
        raise ValueError(f"{what} {name!r}: {error}") from None
