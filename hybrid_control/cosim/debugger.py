"""Goes through a co-simulation step by step, until something holds, and back; `console` gives it commands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.ages import Ages
from hybrid_control.cosim.clock import text
from hybrid_control.cosim.hybrid import Hybrid
from hybrid_control.cosim.part import Array, PartError, Port, Runs
from hybrid_control.cosim.parts import SnnPart
from hybrid_control.cosim.scheduler import Connection, Member

MEMORY = 64 << 20  # bytes of snapshots; the oldest go first, the start is kept
MOST = 1000  # snapshots
TAU = 50_000_000  # ns over which spikes are counted for a rate


@dataclass(frozen=True, slots=True)
class View:
    """What a port gave last: at (ns), row (size,), and of spikes the rate of each, Hz, filtered with TAU."""

    port: Port
    at_ns: int
    row: Array
    rate: Array | None = None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    now_ns: int
    scheduler: Any
    ages: Any
    views: dict[str, View]
    seen: dict[str, tuple[int, ...]]
    size: int


class Debugger:
    """A hybrid that is run by hand. now_ns: all runs that begin at it or before took place; -1 before the first.

    Every population of a network can be seen, recorded or not. Before each move a snapshot is kept, within MEMORY:
    `back` is exact. A part that fails leaves all as it was before the instant at which it failed. `close` ends threads.
    """

    def __init__(self, hybrid: Hybrid) -> None:
        parts = {name: _tapped(part) for name, part in hybrid.parts.items()}
        self.hybrid = dataclasses.replace(hybrid, parts=parts)
        self.scheduler = self.hybrid.scheduler(self._take)
        self.scheduler.reset(hybrid.seed)
        self._ages = Ages(self.scheduler.connections)
        self.views: dict[str, View] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self.now_ns = -1
        self._history = [self._snapshot()]

    # moving

    def step(self, part: str | None = None, count: int = 1) -> None:
        """On to the next run of a part, or to the count-th; of the one that runs most often where none is named."""
        member = self.member(part) if part is not None else min(self.members, key=lambda m: m.clock.period_ns)
        if count < 1:
            raise ValueError(f"step: {count} runs; expected 1 or more")
        self._move(lambda: self._to(member.next_ns + (count - 1) * member.clock.period_ns))

    def meet(self, *names: str) -> None:
        """On to the next time at which these parts run together; of none, any two of different periods."""
        chosen = [self.member(name) for name in names] or self.members
        if len(names) == 1:
            raise ValueError("meet: expected two parts or more, or none for any two")
        periods = sorted({m.clock.period_ns for m in chosen})
        if names or len(periods) == 1:
            steps = [math.lcm(*periods)]
        else:
            steps = [math.lcm(a, b) for i, a in enumerate(periods) for b in periods[i + 1 :]]
        at = min((self.now_ns // step + 1) * step for step in steps)
        if at >= max(self.hybrid.until_ns, self.now_ns + 1):
            raise ValueError(f"meet: they meet at {text(at)}, and it ends at {text(self.hybrid.until_ns)}")
        self._move(lambda: self._to(at))

    def until(self, holds: Callable[[Debugger], bool]) -> bool:
        """On, instant by instant, until something holds; at least one. False where it ends before it does."""
        found = False

        def go() -> None:
            nonlocal found
            while not found and self.next_ns < self.hybrid.until_ns:
                self._to(self.next_ns)
                found = holds(self)

        if self.next_ns >= self.hybrid.until_ns:
            raise ValueError(f"until: it has ended, at {text(self.hybrid.until_ns)}")
        self._move(go)
        return found

    def until_time(self, at_ns: int) -> None:
        """On to a time."""
        if at_ns <= self.now_ns:
            raise ValueError(f"until: {text(at_ns)} is not ahead; it is {text(self.now_ns)}")
        self._move(lambda: self._to(at_ns))

    def back(self, moves: int = 1) -> None:
        """To before the last move, or the last few."""
        if not 1 <= moves < len(self._history):
            kept = len(self._history) - 1
            raise ValueError(f"back: {moves} moves; {kept} can be taken back")
        self._restore(self._history[-moves])
        del self._history[-moves:]

    def back_to(self, at_ns: int) -> None:
        """To a time before now: from the newest snapshot before it, and on again from there."""
        if not 0 <= at_ns < self.now_ns:
            raise ValueError(f"back: {text(at_ns)} is not before {text(max(self.now_ns, 0))}")
        last = max(i for i, s in enumerate(self._history) if s.now_ns <= at_ns)
        self._restore(self._history[last])
        del self._history[last + 1 :]
        if self.now_ns < at_ns:
            self._to(at_ns)
        elif last > 0:
            del self._history[last]

    def _move(self, go: Callable[[], None]) -> None:
        """A move, which can be taken back. What ends it too early leaves all as it was, or as near to it as can be."""
        begin = self._snapshot()
        try:
            go()
        except PartError as error:
            self._restore(begin)
            self._approach()
            self._keep(begin)
            raise PartError(f"{error}; it stands before that") from error
        except BaseException:
            self._restore(begin)
            raise
        self._keep(begin)

    def _approach(self) -> None:
        """On to the last instant before the one that fails."""
        while True:
            before = self._snapshot()
            try:
                self._to(self.next_ns)
            except PartError:
                self._restore(before)
                return

    def _to(self, at_ns: int) -> None:
        """All runs at a time or before."""
        self.scheduler.advance(at_ns + 1)
        self.now_ns = at_ns

    # what there is

    @property
    def members(self) -> list[Member]:
        """The parts, what gives before what takes."""
        return [self.scheduler.members[name] for name in self.scheduler.order]

    @property
    def next_ns(self) -> int:
        """When something runs next."""
        return min(member.next_ns for member in self.members)

    def member(self, name: str) -> Member:
        """A part. ValueError, which says what there is."""
        if name not in self.scheduler.members:
            raise ValueError(f"no part {name!r}; there are {', '.join(self.scheduler.members)}")
        return self.scheduler.members[name]

    def port(self, name: str) -> str:
        """The whole name of a port: PART.PORT, a part with one, or a population's name. ValueError, which says why."""
        ports = [f"{m.name}.{port}" for m in self.members for port in m.part.outputs]
        if name in ports:
            return name
        fits = [p for p in ports if p.startswith(f"{name}.")] if name in self.scheduler.members else []
        fits = fits if len(fits) == 1 else [p for p in ports if p.partition(".")[2] == name]
        if len(fits) != 1:
            there = f"{', '.join(fits)} are meant" if fits else f"there are {', '.join(ports)}"
            raise ValueError(f"no single port {name!r}; {there}")
        return fits[0]

    def view(self, name: str) -> View:
        """What a port, by its whole name, gave last; zeros before its part's first run."""
        if name in self.views:
            return self.views[name]
        part, _, port = name.partition(".")
        kind = self.member(part).part.outputs[port]
        return View(kind, -1, np.zeros(kind.size), np.zeros(kind.size) if kind.kind == "spikes" else None)

    def age(self, connection: Connection) -> int:
        """How old the newest was that the last run of what takes saw on a link, ns; -1 where there was none."""
        into = self.member(connection.target[0]).into
        return self._seen.get(connection.target[0], (-1,) * len(into))[into.index(connection)]

    def waiting(self, connection: Connection) -> tuple[int, int]:
        """How many rows are on a link that its taker has not seen, and when the first arrives, ns (-1: none)."""
        taker = self.member(connection.target[0])
        arrivals = connection.link.arrivals
        arrivals = arrivals[arrivals > taker.next_ns - taker.clock.period_ns]
        return len(arrivals), int(arrivals[0]) if len(arrivals) else -1

    def close(self) -> None:
        """End the threads."""
        self.scheduler.close()

    # what was recorded

    def _take(self, member: Member, runs: Runs, results: Mapping[str, Any], times: NDArray[np.int64]) -> None:
        """For the scheduler."""
        self._seen[member.name] = tuple(int(age) for age in self._ages.of(member, runs)[-1])
        for name, rows in results.items():
            if member.part.outputs[name].kind == "messages":
                continue
            port, full = member.part.outputs[name], f"{member.name}.{name}"
            flat = np.array(np.asarray(rows).reshape(runs.count, -1))
            rate = None
            if port.kind == "spikes":
                keep, gain = math.exp(-runs.period_ns / TAU), 1e9 / TAU
                rate = known if (known := self.view(full).rate) is not None else np.zeros(port.size)
                for row in np.nan_to_num(flat):
                    rate = rate * keep + row * gain
            self.views[full] = View(port, int(times[-1]), flat[-1], rate)

    def _snapshot(self) -> _Snapshot:
        state = self.scheduler.snapshot()
        views = dict(self.views)
        size = _bytes(state) + sum(
            v.row.nbytes + (0 if v.rate is None else v.rate.nbytes) for v in views.values()
        )
        return _Snapshot(self.now_ns, state, self._ages.state(), views, dict(self._seen), size)

    def _restore(self, snapshot: _Snapshot) -> None:
        self.scheduler.restore(snapshot.scheduler)
        self._ages.set_state(snapshot.ages)
        self.views, self._seen = dict(snapshot.views), dict(snapshot.seen)
        self.now_ns = snapshot.now_ns

    def _keep(self, snapshot: _Snapshot) -> None:
        self._history.append(snapshot)
        while len(self._history) > 2 and (
            len(self._history) > MOST or sum(s.size for s in self._history) > MEMORY
        ):
            del self._history[1]


def _tapped(part: Any) -> Any:
    """A network of which every population can be seen; other parts as they are."""
    if not isinstance(part, SnnPart):
        return part
    backend = part.backend
    taps = [f"{p}.{variable}" for p in backend.populations for variable in backend.variables(p)]
    return SnnPart(backend, [*part.outputs, *backend.populations, *taps])


def _bytes(value: Any) -> int:
    """About how many bytes a state has."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return 64 + sum(map(_bytes, value.values()))
    if isinstance(value, (tuple, list)):
        return 64 + sum(map(_bytes, value))
    return 64
