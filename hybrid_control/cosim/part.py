"""What a part of a co-simulation is: something with ports that is run at its own times. Anybody's class may be one."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kind = Literal["values", "rates", "spikes", "states", "messages"]
KINDS: tuple[Kind, ...] = ("values", "rates", "spikes", "states", "messages")


@dataclass(frozen=True, slots=True)
class Port:
    """What goes through: its kind, and the shape of one of it.

    values and rates (Hz, not negative) are held until newer ones arrive; spikes are counts, each of which arrives
    once; states arrive once and are written into what takes them; messages (`Message`) are objects, each of which
    arrives once and in order; their shape is ().
    """

    kind: Kind
    shape: tuple[int, ...]
    size: int = field(init=False, repr=False, compare=False)  # how many numbers one of it has

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r}; there are {', '.join(KINDS)}")
        if any(n < 1 for n in self.shape):
            raise ValueError(f"shape: {self.shape} has no room for a value")
        if self.kind == "messages" and self.shape:
            raise ValueError(f"shape: {self.shape}; a port of messages has the shape ()")
        object.__setattr__(self, "size", math.prod(self.shape))


class Message(NamedTuple):
    """Something that travels whole, such as a scan: when it was there, in ns, and what it is. Nobody changes it.

    It arrives as all that a run gives, or at its own time where that is later, and after what was given before it; a
    link's delay makes both that much later.
    """

    time_ns: int
    value: Any


@dataclass(slots=True)  # not frozen: one is made for each meeting, and that would take twice as long
class Runs:
    """Runs that follow each other, the first at first_ns, `count` of them a period apart."""

    first_ns: int
    period_ns: int
    count: int

    @property
    def times(self) -> NDArray[np.int64]:
        """When each begins, (count,) ns."""
        return self.first_ns + self.period_ns * np.arange(self.count, dtype=np.int64)

    @property
    def begins(self) -> range:
        """The same as whole numbers."""
        return range(self.first_ns, self.first_ns + self.count * self.period_ns, self.period_ns)


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

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take a row for each run, give a row for each.

        inputs: by name an array (count, size), what holds (values, rates) or what came since the run before (spikes);
        `Updates` for states; of messages a list of `count` sequences, those that came since the run before. Returns by
        name an array (count, size), or such a list, that is not written to again.
        """

    def state(self) -> Any:
        """A copy of its state."""

    def set_state(self, state: Any) -> None:
        """Go on from a state."""


Step = Callable[[int, Mapping[str, Sequence[Message]]], Mapping[str, Sequence[Message]]]


class MessagePart(abc.ABC):
    """A part all of whose ports carry messages, and which is called once a run: it says in `step` what one run does."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @abc.abstractmethod
    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Of the run at now_ns: by port what came since the run before, to what it gives; a port may be left out."""

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A step a run."""
        rows: dict[str, list[Sequence[Message]]] = {port: [] for port in self.outputs}
        for i, now in enumerate(runs.begins):
            given = self.step(now, {port: came[i] for port, came in inputs.items()})
            for port, row in rows.items():
                row.append(given.get(port, ()))
        return rows


class Stateless:
    """For parts without a memory: there is nothing to forget, and nothing to go on from."""

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def state(self) -> Any:
        """It has none."""

    def set_state(self, state: Any) -> None:
        """It has none."""


class CalledPart(abc.ABC):
    """A part of values, rates and spikes that is called once a run with its inputs by name, each in its shape; 0 where
    none is fed.

    What a call does not give is not a number, which the scheduler refuses. The scheduler calls `call` itself where one
    run is due and nobody looks on.
    """

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @abc.abstractmethod
    def call(self, inputs: Mapping[str, Array], period_ns: int) -> Mapping[str, Any]:
        """What one run gives, in any shape of the right size."""

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """A call a run."""
        results = {name: np.empty((runs.count, port.size)) for name, port in self.outputs.items()}
        given = {name: np.zeros(port.shape) for name, port in self.inputs.items()}
        for i in range(runs.count):
            for name, rows in inputs.items():
                given[name] = rows[i].reshape(self.inputs[name].shape)
            try:
                called = self.call(given, runs.period_ns)
                for name, rows in results.items():
                    rows[i] = flat(name, called.get(name), self.outputs[name])
            except Exception as error:
                raise RunError({name: rows[:i] for name, rows in results.items()}, i) from error
        return results


def flat(name: str, value: Any, port: Port) -> Array:
    """What one run gives at a port as a row, (size,), NaN for None; ValueError where it is not of that size."""
    if value is None:
        return np.full(port.size, np.nan)
    row = np.asarray(value, np.float64).reshape(-1)
    if row.size != port.size:
        shape = ", ".join(map(str, port.shape))
        raise ValueError(f"{name} has the shape {np.shape(value)}, expected ({shape})")
    return row


class RunError(Exception):
    """One of several runs failed, `__cause__` says how. done: the rows of the `count` runs before it."""

    def __init__(self, done: Mapping[str, Array], count: int) -> None:
        super().__init__(f"run {count} failed")
        self.done, self.count = done, count


class PartError(ValueError):
    """A part that failed; the message begins with the part's name and says at which time of the simulation.

    done: the rows of the `count` runs of that call which came before, where they are known.
    """

    def __init__(self, message: str, done: Mapping[str, Array] | None = None, count: int = 0) -> None:
        super().__init__(message)
        self.done, self.count = done or {}, count
