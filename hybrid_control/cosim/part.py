"""What a part of a co-simulation is: something with ports that is run at its own times. Anybody's class may be one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kind = Literal["values", "rates", "spikes", "states"]
KINDS: tuple[Kind, ...] = ("values", "rates", "spikes", "states")


@dataclass(frozen=True, slots=True)
class Port:
    """What goes through: its kind, and the shape of one of it.

    values and rates (Hz, not negative) are held until newer ones arrive; spikes are counts, each of which arrives
    once; states arrive once and are written into what takes them.
    """

    kind: Kind
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r}; there are {', '.join(KINDS)}")
        if any(n < 1 for n in self.shape):
            raise ValueError(f"shape: {self.shape} has no room for a value")

    @property
    def size(self) -> int:
        """How many numbers one of it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that follow each other, the first at first_ns, `count` of them a period apart."""

    first_ns: int
    period_ns: int
    count: int

    @property
    def times(self) -> NDArray[np.int64]:
        """When each begins, (count,) ns."""
        return self.first_ns + self.period_ns * np.arange(self.count, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Updates:
    """States that arrived: before which of the runs each is to be written, (k,), and what, (k, size)."""

    before: NDArray[np.int64]
    values: Array


@runtime_checkable
class Part(Protocol):
    """Something with ports that is run at its own times.

    `run` is called for one run or for several that follow each other, whatever the scheduler finds best; the results
    must be the same. All that the next run depends on besides its inputs is in `state`.
    """

    @property
    def inputs(self) -> Mapping[str, Port]:
        """What it takes, by name."""

    @property
    def outputs(self) -> Mapping[str, Port]:
        """What it gives, by name."""

    def reset(self, seed: int) -> None:
        """As before the first run. seed: of all that it draws."""

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Take a row for each run, give a row for each.

        inputs: by name an array (count, size), what holds (values, rates) or what came since the run before (spikes);
        `Updates` for states. Returns by name an array (count, size) that is not written to again.
        """

    def state(self) -> Any:
        """A copy of its state."""

    def set_state(self, state: Any) -> None:
        """Go on from a state."""


class PartError(ValueError):
    """A part that failed; the message begins with the part's name and says at which time of the simulation."""
