"""Who runs when: each part at its own times, as soon as all that it can see then is known.

A run at time t sees what has arrived by t. So it may take place once everything that feeds it has run, or will give
nothing that arrives by t: a part whose next run is at time s gives nothing before s plus its latency (K. M. Chandy and
J. Misra, "Distributed simulation", IEEE Transactions on Software Engineering 1979). What comes of it depends on the
parts, the links and the seed alone: not on the order in which parts are looked at, nor on what runs beside what.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.clock import Clock, text
from hybrid_control.cosim.link import Link
from hybrid_control.cosim.mail import MessageLink
from hybrid_control.cosim.part import Array, Part, PartError, Runs

MOST_RUNS = 1024  # at once, of one part
AHEAD = 64  # runs of what takes that a part may be ahead of it


@dataclass(frozen=True, slots=True)
class Connection:
    """A link and where it leads: (part, port) to (part, port)."""

    link: Link | MessageLink
    source: tuple[str, str]
    target: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Loss:
    """Runs of a part that are lost by declaration: their results never arrive. share: of all, by chance."""

    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"lost: {self.share!r} must be within 0 .. 1")


@dataclass(slots=True)
class Member:
    """A part in the simulation: its clock, its links, and how far it is.

    feeds: who feeds it, and how long after a run's beginning the first of it can arrive, ns; takers: whom it feeds, and
    how far it may be ahead of them, ns; waits: whether a run of it may not take place.
    """

    name: str
    part: Part
    clock: Clock
    loss: Loss
    into: list[Connection] = field(default_factory=list)
    out: list[Connection] = field(default_factory=list)
    feeds: list[tuple[Member, int]] = field(default_factory=list)
    takers: list[tuple[Member, int]] = field(default_factory=list)
    waits: bool = False
    next_ns: int = 0
    pending: Future[Mapping[str, Array]] | None = None
    runs: Runs | None = None


Recorder = Callable[[Member, Runs, Mapping[str, Array], NDArray[np.int64]], None]


class EventScheduler:
    """Runs the parts of a co-simulation up to a time; see the module's first lines.

    parts: by name, with their clocks; ValueError for a port that is not there, is fed twice by holding links, or for a
    cycle in which nothing takes time. beside: names of parts that run in a thread of their own while others go on.
    """

    def __init__(
        self,
        parts: Mapping[str, tuple[Part, Clock]],
        connections: Sequence[Connection],
        *,
        losses: Mapping[str, Loss] | None = None,
        beside: Sequence[str] = (),
        record: Recorder | None = None,
        seed: int = 0,
    ) -> None:
        losses = losses or {}
        self.members = {
            name: Member(name, part, clock, losses.get(name, Loss())) for name, (part, clock) in parts.items()
        }
        for connection in connections:
            self._connect(connection)
        self.connections = tuple(connections)
        for member in self.members.values():
            self._look_around(member)
        self._order = self._sorted()
        self._beside = frozenset(beside)
        self._pool = ThreadPoolExecutor(len(self._beside), "cosim") if self._beside else None
        self._record = record
        self.now_ns = 0
        self.reset(seed)

    def _connect(self, connection: Connection) -> None:
        for (name, port), what in ((connection.source, "outputs"), (connection.target, "inputs")):
            if name not in self.members:
                raise ValueError(
                    f"{connection.link.name}: no part {name!r}; there are {', '.join(self.members)}"
                )
            ports = getattr(self.members[name].part, what)
            if port not in ports:
                there = ", ".join(ports) or "none"
                raise ValueError(f"{connection.link.name}: {name} has no {port!r} among its {what}: {there}")
        taker = self.members[connection.target[0]]
        if taker.part.inputs[connection.target[1]].kind == "messages" and any(
            c.target == connection.target for c in taker.into
        ):
            raise ValueError(f"{connection.link.name}: another link brings {taker.name} these messages")
        self.members[connection.source[0]].out.append(connection)
        self.members[connection.target[0]].into.append(connection)

    def _look_around(self, member: Member) -> None:
        """Who feeds a part and whom it feeds, each of them once."""
        lags: dict[str, int] = {}
        for c in member.into:
            lag = self.members[c.source[0]].clock.latency_ns + c.link.options.delay_ns
            lags[c.source[0]] = min(lag, lags.get(c.source[0], lag))
        member.feeds = [(self.members[name], lag) for name, lag in lags.items()]
        takers = {c.target[0]: self.members[c.target[0]] for c in member.out if c.target[0] != member.name}
        period = member.clock.period_ns
        member.takers = [(taker, max(AHEAD * taker.clock.period_ns, period)) for taker in takers.values()]
        member.waits = any(c.link.options.when_old == "wait" for c in member.into)

    def _sorted(self) -> list[Member]:
        """So that what gives at once comes before what takes; ValueError for a cycle in which nothing takes time."""
        sorter: TopologicalSorter[str] = TopologicalSorter({name: set() for name in self.members})
        for c in self.connections:
            if self.members[c.source[0]].clock.latency_ns + c.link.options.delay_ns == 0:
                sorter.add(c.target[0], c.source[0])
        try:
            return [self.members[name] for name in sorter.static_order()]
        except CycleError as error:
            way = " -> ".join(reversed(error.args[1]))
            raise ValueError(
                f"{way}: a cycle in which nothing takes time; give a part a latency, or a link a delay"
            ) from None

    # running

    def reset(self, seed: int) -> None:
        """Back to time 0."""
        self._drain()
        self.seed, self.now_ns = seed, 0
        for member in self.members.values():
            member.part.reset(seed_of(seed, member.name))
            member.next_ns = 0
        for connection in self.connections:
            connection.link.reset()

    def advance(self, until_ns: int) -> None:
        """All runs that begin before a time. PartError where one fails; what ran until then is recorded."""
        while True:
            moved = behind = False
            for member in self._order:
                if member.next_ns >= until_ns:
                    continue
                behind = True
                count = self._ready(member, until_ns)
                if count:
                    self._run(member, Runs(member.next_ns, member.clock.period_ns, count))
                    moved = True
            if not behind:
                break
            assert moved, "a cycle in which nothing takes time was let through"
        self._drain()
        self.now_ns = until_ns

    def _ready(self, member: Member, until_ns: int) -> int:
        """How many runs of a part may take place now."""
        first, period = member.next_ns, member.clock.period_ns
        known = until_ns
        for giver, lag in member.feeds:
            known = min(known, giver.next_ns + lag)
        for taker, ahead in member.takers:  # not farther ahead of what takes than its link is to hold
            known = min(known, taker.next_ns + ahead)
        if known <= first:
            return 0
        return min(-(-(known - first) // period), MOST_RUNS)

    def _run(self, member: Member, runs: Runs) -> None:
        if self._pool is not None:
            for giver, _ in member.feeds:  # what feeds it may still be at work beside
                self._finish(giver)
            self._finish(member)
        inputs, wanted = self._inputs(member, runs)
        member.next_ns += runs.count * runs.period_ns
        if self._pool is not None and member.name in self._beside:
            member.runs = runs
            member.pending = self._pool.submit(self._call, member, runs, inputs, wanted)
        else:
            self._deliver(member, runs, self._call(member, runs, inputs, wanted))

    def _inputs(self, member: Member, runs: Runs) -> tuple[dict[str, Any], NDArray[np.bool_] | None]:
        """What the runs see by port, and which of them take place, where not all do."""
        inputs: dict[str, Any] = {}
        waits: NDArray[np.bool_] | None = None
        for c in member.into:
            if c.link.options.when_old == "wait" and isinstance(c.link, Link):
                waits = c.link.waits(runs) if waits is None else waits | c.link.waits(runs)
            value, port = c.link.take(runs), c.target[1]
            if port in inputs:
                value = inputs[port] + value
            inputs[port] = value
        return inputs, None if waits is None or not waits.any() else ~waits

    def _call(
        self, member: Member, runs: Runs, inputs: dict[str, Any], wanted: NDArray[np.bool_] | None
    ) -> Mapping[str, Array]:
        """The part's results, (count, size) each; NaN for runs that did not take place."""
        try:
            results = (
                member.part.run(runs, inputs) if wanted is None else self._some(member, runs, inputs, wanted)
            )
        except Exception as error:
            raise PartError(f"{member.name}: at {text(runs.first_ns)}: {_line(error)}") from error
        for name, port in member.part.outputs.items():
            if port.kind == "messages":
                if len(results.get(name, ())) != runs.count:
                    raise PartError(
                        f"{member.name}: at {text(runs.first_ns)}: {name} has no sequence of messages for each run"
                    )
                continue
            rows = np.asarray(results.get(name, ()))
            if rows.shape[:1] != (runs.count,) or rows.size != runs.count * port.size:
                raise PartError(
                    f"{member.name}: at {text(runs.first_ns)}: {name} has the shape {rows.shape}, expected "
                    f"({runs.count}, {', '.join(map(str, port.shape))})"
                )
            # the sum first: it is not finite where a number is not, and costs half as much to look at
            if wanted is None and not math.isfinite(rows.sum()) and not np.isfinite(rows).all():
                bad = int(np.flatnonzero(~np.isfinite(rows.reshape(runs.count, -1)).all(axis=1))[0])
                raise PartError(f"{member.name}: at {text(int(runs.times[bad]))}: {name} is not finite")
        return results

    @staticmethod
    def _some(
        member: Member, runs: Runs, inputs: dict[str, Any], wanted: NDArray[np.bool_]
    ) -> Mapping[str, Array]:
        ports = member.part.outputs
        results: dict[str, Any] = {
            name: [()] * runs.count if port.kind == "messages" else np.full((runs.count, port.size), np.nan)
            for name, port in ports.items()
        }
        for i in np.flatnonzero(wanted):
            one = Runs(int(runs.times[i]), runs.period_ns, 1)
            given = member.part.run(one, {name: rows[i : i + 1] for name, rows in inputs.items()})
            for name, rows in given.items():
                results[name][i] = rows[0] if ports[name].kind == "messages" else np.reshape(rows, -1)
        return results

    def _deliver(self, member: Member, runs: Runs, results: Mapping[str, Any]) -> None:
        kept, latency = self._kept(member, runs, results), member.clock.latency_ns
        for c in member.out:
            rows = results[c.source[1]]
            if isinstance(c.link, MessageLink):
                c.link.put(runs, latency, rows, kept)
            elif kept is None:
                c.link.put(runs.times + latency, rows)
            else:
                c.link.put(runs.times[kept] + latency, rows[kept])
        if self._record is not None:
            self._record(member, runs, results, runs.times)

    def _kept(self, member: Member, runs: Runs, results: Mapping[str, Array]) -> NDArray[np.bool_] | None:
        """Which runs' results arrive, where not all do: those that took place and are not lost."""
        if not member.waits and member.loss.share == 0.0:
            return None
        kept = np.ones(runs.count, np.bool_)
        if member.waits:
            for name, rows in results.items():
                if member.part.outputs[name].kind == "messages":
                    continue  # such a run gives none
                kept &= np.isfinite(rows.reshape(runs.count, -1)).all(axis=1)
        if member.loss.share > 0.0:
            first = runs.first_ns // runs.period_ns
            for i in range(runs.count):
                kept[i] &= _chance(self.seed, member.name, first + i) >= member.loss.share
        return None if kept.all() else kept

    def _finish(self, member: Member) -> None:
        """Wait for what a part does beside, and put its results on the links."""
        if member.pending is not None:
            pending, runs = member.pending, member.runs
            member.pending = member.runs = None
            assert runs is not None
            self._deliver(member, runs, pending.result())

    def _drain(self) -> None:
        for member in getattr(self, "members", {}).values():
            self._finish(member)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    # states

    def snapshot(self) -> Any:
        """All that the future depends on, copies: to `restore`, now or in another run of the same simulation."""
        self._drain()
        parts = {name: (member.next_ns, member.part.state()) for name, member in self.members.items()}
        return self.now_ns, self.seed, parts, [c.link.state() for c in self.connections]

    def restore(self, snapshot: Any) -> None:
        """Go on from a snapshot."""
        self._drain()
        self.now_ns, self.seed, parts, links = snapshot
        for name, (next_ns, state) in parts.items():
            self.members[name].next_ns = next_ns
            self.members[name].part.set_state(state)
        for connection, state in zip(self.connections, links, strict=True):
            connection.link.set_state(state)


def seed_of(seed: int, name: str) -> int:
    """The seed of a part of that name: 63 bits that depend on the simulation's seed and the name alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little") >> 1


def _chance(seed: int, name: str, run: int) -> float:
    """A number within 0 .. 1 for a run of a part."""
    return seed_of(seed, f"{name}#{run}") / 2**63


def _line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return (
        f"{words[:300]}"
        if isinstance(error, ValueError) and words
        else f"{type(error).__name__}: {words[:300]}"
    )
