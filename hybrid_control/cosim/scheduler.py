"""Who runs when: each part at its own times, as soon as all that it can see then is known.

A run at time t sees what has arrived by t. So it may take place once everything that feeds it has run, or will give
nothing that arrives by t: a part whose next run is at time s gives nothing before s plus its latency (K. M. Chandy and
J. Misra, "Distributed simulation", IEEE Transactions on Software Engineering 1979). What comes of it depends on the
parts, the links and the seed alone: not on the order in which parts are looked at, nor on what runs beside what.

All of that, links, and the parts that are compiled run in one compiled call (`kernels.schedule`), which comes back
where a part of Python's is to run.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.block import Block, CompiledPart
from hybrid_control.cosim.clock import Clock, text
from hybrid_control.cosim.kernels import schedule
from hybrid_control.cosim.kernels.records import (
    AWAIT,
    B_PORTS,
    CALL,
    DONE,
    DRAIN,
    FAILED,
    GROW,
    H_BEGUN,
    H_BEGUN_COUNT,
    H_FIRST,
    H_OBSERVED,
    H_RUNS,
    H_UNTIL,
    H_WHAT,
    H_WHO,
    NOT_FINITE,
    RAN,
)  # fmt: skip
from hybrid_control.cosim.layout import Called, Connection, Layout, Loss, Member, Recording
from hybrid_control.cosim.link import Link
from hybrid_control.cosim.mail import MessageLink
from hybrid_control.cosim.overlap import Overlap, Side
from hybrid_control.cosim.part import Array, Message, MessagePart, Part, PartError, RunError, Runs, Step, flat
from hybrid_control.signals.coding.kernels import uniform

__all__ = ["Connection", "EventScheduler", "Loss", "Member", "Recorder", "seed_of"]

Recorder = Callable[[Member, Runs, Mapping[str, Array], NDArray[np.int64]], None]


class EventScheduler:
    """Runs the parts of a co-simulation up to a time; see the module's first lines.

    parts: by name, with their clocks; ValueError for a port that is not there or for a cycle in which nothing takes
    time. beside: by name whether a part of Python's runs in a thread of its own while others go on; what is not named
    is chosen by trial (`overlap`), where its results take time to arrive. keep: (part, port) that are recorded in
    `recordings` and `messages`. record: called after runs of each part, in no order but that of each part's own.
    """

    def __init__(
        self,
        parts: Mapping[str, tuple[Part, Clock]],
        connections: Sequence[Connection],
        *,
        losses: Mapping[str, Loss] | None = None,
        beside: Mapping[str, bool] | None = None,
        keep: Sequence[tuple[str, str]] = (),
        record: Recorder | None = None,
        seed: int = 0,
    ) -> None:
        losses = losses or {}
        self.members = {
            name: Member(name, part, clock, losses.get(name, Loss()), Block(part))
            for name, (part, clock) in parts.items()
        }
        for connection in connections:
            self._connect(connection)
        self.connections = tuple(connections)
        self._order = self._sorted()
        chosen = {name: self._beside(member, beside or {}) for name, member in self.members.items()}
        self._overlap = {name: Overlap(choice) for name, choice in chosen.items() if choice is not False}
        ports = {(part, port): parts[part][0].outputs[port] for part, port in keep}
        self.recordings = {name: Recording(port.size) for name, port in ports.items() if port.kind != "messages"}
        self.messages: dict[tuple[str, str], list[Message]] = {
            name: [] for name, port in ports.items() if port.kind == "messages"
        }
        self._list = list(self.members.values())
        self._layout = Layout(self._list, self.connections, self.recordings, self._order)
        for member in self._list:
            if isinstance(member.part, MessagePart) and member.name not in self._overlap:
                member.step = member.part.step
        self._head: Any = memoryview(self._layout.head.data)  # its numbers are Python's, and quick to read
        self.observe(record)
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
        taker.into.append(connection)

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

    @property
    def order(self) -> tuple[str, ...]:
        """The parts' names, what gives at once before what takes."""
        return tuple(member.name for member in self._order)

    @staticmethod
    def _beside(member: Member, beside: Mapping[str, bool]) -> bool | None:
        """Whether a part runs beside the others; None where that is to be tried."""
        if getattr(member.part, "one_thread", False):
            return False
        if member.name in beside:
            return beside[member.name]
        slack = min((member.clock.latency_ns + c.link.options.delay_ns for c in member.out), default=0)
        return None if slack > 0 and len(os.sched_getaffinity(0)) > 1 else False

    def observe(self, record: Recorder | None) -> None:
        """Who is told of each part's runs from now on, which costs some us a call; None for nobody."""
        self._record = record
        self._head[H_OBSERVED] = record is not None

    # running

    def reset(self, seed: int) -> None:
        """Back to time 0."""
        self._drain()
        self.seed, self.now_ns = seed, 0
        for member in self.members.values():
            member.part.reset(seed_of(seed, member.name))
            member.record["next"] = 0
            member.record["key"] = seed_of(seed, f"{member.name} lost")
        for connection in self.connections:
            connection.link.reset()
        for recording in self.recordings.values():
            recording.clear()
        for messages in self.messages.values():
            messages.clear()

    def advance(self, until_ns: int) -> None:
        """All runs that begin before a time. PartError where one fails; what ran until then is recorded."""
        head, address, call = self._head, self._layout.address, schedule.advance
        head[H_UNTIL] = until_ns
        begun = time.perf_counter()
        code = call(address, False)
        while code != DONE:
            member = self._list[head[H_WHO]]
            delivered = False
            if code == CALL:
                step = member.step
                if step is not None and head[H_RUNS] == 1 and self._record is None:
                    delivered = self._meet(member, step, head[H_FIRST])
                else:
                    delivered = self._begin(member)
            elif code == AWAIT:
                self._finish(member)
                delivered = True
            elif code == RAN:
                member.seconds = time.perf_counter() - begun
                self._observe(member, self._runs(member))
            elif code == GROW:
                link = self.connections[head[H_WHAT]].link
                assert isinstance(link, Link)
                link.ring.make_room(len(link.ring) + head[H_RUNS])
            elif code == DRAIN:
                for recording in self.recordings.values():
                    recording.take(head[H_RUNS])
            else:
                self._refuse(member, code)
            if self._record is not None:
                begun = time.perf_counter()
            code = call(address, delivered)
        self.now_ns = until_ns

    def _runs(self, member: Member) -> Runs:
        head = self._head
        return Runs(head[H_FIRST], member.clock.period_ns, head[H_RUNS])

    def _begin(self, member: Member) -> bool:
        """Run a part of Python's, here or beside; whether its results stand in its ports."""
        overlap, count = self._overlap.get(member.name), self._head[H_RUNS]
        beside = overlap is not None and overlap.beside(count)
        if beside != member.beside:
            member.beside = member.record["beside"] = beside
        if beside:
            self._hand_over(member)
            return False
        if member.called is not None and count == 1 and self._record is None:
            begun = time.perf_counter()
            self._call_once(member, member.called)
            member.seconds = time.perf_counter() - begun
        else:
            runs = self._runs(member)
            self._end(member, runs, self._inputs(member, runs))
        if overlap is not None:
            overlap.ran(member.seconds, count)
        return True

    def _hand_over(self, member: Member) -> None:
        """Begin runs in the part's own thread."""
        if member.side is None:
            member.side = Side(f"cosim {member.name}")
        runs = self._runs(member)
        member.record["away"], member.record["away_since"] = True, runs.first_ns
        member.away_runs = runs
        member.side.begin(partial(self._call, member, runs, self._inputs(member, runs)))
        self._head[H_BEGUN], self._head[H_BEGUN_COUNT] = member.side.begun, member.side.count

    def _call_once(self, member: Member, called: Called) -> None:
        """One run of a part that is called, while nobody looks on: what it gives goes straight to the part's ports."""
        try:
            results = called.call(called.given, member.clock.period_ns)
            for name, port, shape, row in called.rows:
                value = results.get(name)
                row[:] = value if type(value) is np.ndarray and value.shape == shape else flat(name, value, port)
        except Exception as error:
            raise PartError(f"{member.name}: at {text(self._head[H_FIRST])}: {_line(error)}") from error

    def _meet(self, member: Member, step: Step, now_ns: int) -> bool:
        """One run of a part of messages alone, to which nobody looks on: what most meetings of the robot's loop are."""
        try:
            given = step(now_ns, {port: link.due(now_ns) for port, link in member.mail})
        except Exception as error:
            raise PartError(f"{member.name}: at {text(now_ns)}: {_line(error)}") from error
        share, number = member.loss.share, now_ns // member.clock.period_ns
        lost = share > 0.0 and uniform(member.record["key"], number) <= share
        for port, links in member.sends.items():
            row = given.get(port)
            if not row:
                continue
            if not lost:
                for link in links:
                    link.send(now_ns + member.clock.latency_ns, row)
            if self.messages and (member.name, port) in self.messages:
                self.messages[member.name, port].extend(row)
        return True

    def _inputs(self, member: Member, runs: Runs) -> Mapping[str, Any]:
        """What the runs see by port: views, which hold until the part's next run."""
        if runs.count == 1 and member.single is not None:
            if not member.mail:
                return member.single
            inputs: dict[str, Any] = dict(member.single)
        else:
            inputs = self._rows(member, runs)
        for port, link in member.mail:
            inputs[port] = link.take(runs)
        return inputs

    @staticmethod
    def _rows(member: Member, runs: Runs) -> dict[str, Any]:
        """Of all ports but those of messages."""
        inputs: dict[str, Any] = {}
        for c in member.into:
            port = c.target[1]
            if isinstance(c.link, MessageLink):
                continue
            if c.link.target.kind == "states":
                inputs[port] = c.link.updates(runs)
            elif port not in inputs:
                rows = member.block.inputs[port]
                if runs.count > 1 and member.block.stands_still(port):
                    inputs[port] = np.broadcast_to(rows[0], (runs.count, rows.shape[1]))
                else:
                    inputs[port] = rows[: runs.count]
        return inputs

    def _call(self, member: Member, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part's results, (count, size) each; NaN, or no messages, for a run that does not take place."""
        if member.waits and member.record["skipped"]:
            return {
                name: [()] if port.kind == "messages" else np.full((1, port.size), np.nan)
                for name, port in member.part.outputs.items()
            }
        member.calling, begun = runs, time.perf_counter()
        try:
            results = member.part.run(runs, inputs)
        except RunError as error:
            at, cause = text(int(runs.times[error.count])), error.__cause__ or error
            raise PartError(f"{member.name}: at {at}: {_line(cause)}", error.done, error.count) from cause
        except Exception as error:
            raise PartError(f"{member.name}: at {text(runs.first_ns)}: {_line(error)}") from error
        member.seconds = time.perf_counter() - begun
        return results

    def _end(self, member: Member, runs: Runs, inputs: Mapping[str, Any]) -> None:
        """Results of a call go to the part's ports; of one that failed, what came before is recorded."""
        try:
            side = member.side
            results = side.result() if side is not None and side.busy else self._call(member, runs, inputs)
            self._stand(member, runs, results)
            if self._record is not None:
                self._check(member, runs, results)
        except PartError as error:
            self._say(member, Runs(runs.first_ns, runs.period_ns, error.count), error.done)
            raise
        member.calling = None
        if self._record is not None:
            self._say(member, runs, results)

    @staticmethod
    def _check(member: Member, runs: Runs, results: Mapping[str, Any]) -> None:
        """PartError where a number is none, with what came before, so that no such number is recorded."""
        if member.waits and member.record["skipped"]:
            return
        for name in member.block.outputs:
            rows = results[name]
            if member.part.outputs[name].kind != "messages" and not np.isfinite(rows).all():
                bad = int(np.flatnonzero(~np.isfinite(np.reshape(rows, (runs.count, -1))).all(axis=1))[0])
                done = {name: results[name][:bad] for name in member.block.outputs}
                raise PartError(f"{member.name}: at {text(int(runs.times[bad]))}: {name} is not finite", done, bad)

    def _say(self, member: Member, runs: Runs, results: Mapping[str, Any]) -> None:
        """To who looks on, with which of the runs' results arrive."""
        if self._record is not None and runs.count:
            member.kept = self._arriving(member, runs)
            self._record(member, runs, results, runs.times)

    def _arriving(self, member: Member, runs: Runs) -> NDArray[np.bool_] | None:
        """Which runs' results arrive; None for all."""
        if member.waits and member.record["skipped"]:
            return np.zeros(runs.count, np.bool_)
        if member.loss.share == 0.0:
            return None
        first = runs.first_ns // runs.period_ns
        drawn = [uniform(member.record["key"], first + i) for i in range(runs.count)]
        return np.array(drawn) > member.loss.share

    def _stand(self, member: Member, runs: Runs, results: Mapping[str, Any]) -> None:
        """Results of Python's go to the part's ports, and messages on their way."""
        count = runs.count
        for name, rows in member.gives:
            given = np.asarray(results.get(name, ()))
            if given.shape != (count, rows.shape[1]):
                if given.shape[:1] != (count,) or given.size != count * rows.shape[1]:
                    shape = member.part.outputs[name].shape
                    raise PartError(
                        f"{member.name}: at {text(runs.first_ns)}: {name} has the shape {given.shape}, expected "
                        f"({count}, {', '.join(map(str, shape))})"
                    )
                given = given.reshape(count, -1)
            rows[:count] = given
        if member.sends:
            self._send(member, runs, results)

    def _send(self, member: Member, runs: Runs, results: Mapping[str, Any]) -> None:
        """Messages of runs that are not lost."""
        kept = self._arriving(member, runs)
        for port, links in member.sends.items():
            rows: Sequence[Sequence[Message]] = results.get(port, ())
            if len(rows) != runs.count:
                raise PartError(
                    f"{member.name}: at {text(runs.first_ns)}: {port} has no sequence of messages for each run"
                )
            for link in links:
                link.put(runs, member.clock.latency_ns, rows, kept)
            if (member.name, port) in self.messages:
                self.messages[member.name, port].extend(message for row in rows for message in row)

    def _observe(self, member: Member, runs: Runs) -> None:
        """Say what compiled runs gave."""
        if self._record is not None:
            self._say(member, runs, {name: rows[: runs.count].copy() for name, rows in member.block.outputs.items()})

    def _finish(self, member: Member) -> None:
        """Wait for what a part does beside, and take its results."""
        assert member.side is not None, "a cycle in which nothing takes time was let through"
        runs = member.away_runs
        assert runs is not None
        member.record["away"] = False
        self._head[H_WHO], self._head[H_FIRST] = self._list.index(member), runs.first_ns
        self._head[H_RUNS] = runs.count
        self._end(member, runs, {})

    def _refuse(self, member: Member, code: int) -> None:
        """PartError for what compiled code has found."""
        runs, what = self._runs(member), int(self._head[H_WHAT])
        if code == NOT_FINITE:
            run, port = divmod(what, len(member.block.outputs))
            at, says = int(runs.times[run]), f"{list(member.block.outputs)[port]} is not finite"
        else:
            assert code == FAILED
            assert isinstance(member.part, CompiledPart)
            run = max(what - 1, 0)
            at = int(runs.times[run])
            rows = {}
            for i, (name, values) in enumerate(member.block.inputs.items()):
                moves = member.block.words[B_PORTS + 2 * i + 1]
                rows[name] = values[run : run + 1] if moves and what else values[:1]
            says = member.part.refusal(rows) if what else "a state that is not finite"
        member.calling = runs
        if isinstance(member.part, CompiledPart):
            self._observe(member, Runs(runs.first_ns, runs.period_ns, run))
        raise PartError(f"{member.name}: at {text(at)}: {says}")

    def _drain(self) -> None:
        """Wait for what runs beside."""
        for member in self._list:
            if member.side is not None and member.side.busy:
                self._finish(member)
                if schedule.deliver(self._layout.address) != DONE:
                    self._refuse(member, NOT_FINITE)

    def close(self) -> None:
        """End the threads."""
        self._head[H_BEGUN] = 0
        for member in self._list:
            if member.side is not None:
                member.side.close()
                member.side = None

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
            member = self.members[name]
            member.record["next"], member.record["key"] = next_ns, seed_of(self.seed, f"{name} lost")
            member.part.set_state(state)
        for connection, state in zip(self.connections, links, strict=True):
            connection.link.set_state(state)


def seed_of(seed: int, name: str) -> int:
    """The seed of a part of that name: 63 bits that depend on the simulation's seed and the name alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little") >> 1


def _line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return (
        f"{words[:300]}"
        if isinstance(error, ValueError) and words
        else f"{type(error).__name__}: {words[:300]}"
    )
