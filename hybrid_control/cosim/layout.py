"""The parts of a simulation with their links, and the memory in which compiled code finds all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.block import Block, CompiledPart
from hybrid_control.cosim.clock import Clock
from hybrid_control.cosim.kernels.records import (
    H_INTO,
    H_LINK_COUNT,
    H_LINKS,
    H_MEMBER_COUNT,
    H_MEMBERS,
    H_ORDER,
    H_OUT,
    HEAD_WORDS,
    KEPT,
    LINK,
    MAIL,
    MEMBER,
)
from hybrid_control.cosim.link import Link, LinkOptions, Ring
from hybrid_control.cosim.mail import MessageLink
from hybrid_control.cosim.overlap import Side
from hybrid_control.cosim.part import Array, CalledPart, Part, Port, Runs, Step


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


class Called(NamedTuple):
    """Of a `CalledPart`: what it calls, with what, views and zeros; and for each of its ports a row for what came."""

    call: Callable[[Mapping[str, Array], int], Mapping[str, Any]]
    given: dict[str, Array]
    rows: list[tuple[str, Port, tuple[int, ...], NDArray[np.float64]]]


@dataclass(slots=True)
class Member:
    """A part in the simulation: its clock, its links, its record among those of all parts, and its ports' rows.

    calling: the runs that it is at, or failed at; seconds: of this machine that its last call took; kept: of the runs
    that were recorded last, those whose results arrive (None: all).

    Laid out once: single, what one run sees at the ports that are rows, views that hold (None where it takes states);
    mail, the links of messages into it, by port; gives, its ports' rows; sends, its ports of messages with their links.
    called: how a `CalledPart` is called (None for any other, and where a run may not take place); step, of a
    `MessagePart` that never runs beside.
    """

    name: str
    part: Part
    clock: Clock
    loss: Loss
    block: Block
    into: list[Connection] = field(default_factory=list)
    out: list[Connection] = field(default_factory=list)
    record: Any = None
    waits: bool = False  # whether a link into it may say that a run does not take place
    side: Side | None = None
    away_runs: Runs | None = None
    beside: bool = False
    calling: Runs | None = None
    seconds: float = 0.0
    kept: NDArray[np.bool_] | None = None
    single: dict[str, Array] | None = None
    called: Called | None = None
    mail: list[tuple[str, MessageLink]] = field(default_factory=list)
    gives: list[tuple[str, NDArray[np.float64]]] = field(default_factory=list)
    sends: dict[str, list[MessageLink]] = field(default_factory=dict)
    step: Step | None = None

    @property
    def next_ns(self) -> int:
        """When its next run begins."""
        return int(self.record["next"])

    @property
    def runs(self) -> int:
        """How many have begun."""
        return self.next_ns // self.clock.period_ns


class Recording(Ring):
    """What a port gives, with the times at which the runs began."""

    def __init__(self, size: int) -> None:
        super().__init__(KEPT, size, LinkOptions())
        self._blocks: list[tuple[NDArray[np.int64], Array]] = []

    def clear(self) -> None:
        """Forget what was recorded."""
        super().clear()
        self._blocks = []

    def take(self, coming: int = 0) -> None:
        """Out of the ring, which has room for `coming` rows then."""
        if len(self):
            self._blocks.append(self.content())
            super().clear()
        if coming > int(self.record["room"][0]):
            self.make_room(coming)

    def rows(self) -> tuple[NDArray[np.int64], Array]:
        """Times, (n,) ns, and what was given, (n, size)."""
        self.take()
        if not self._blocks:
            return self.content()
        times, rows = zip(*self._blocks, strict=True)
        return np.concatenate(times), np.concatenate(rows)


class Layout:
    """The records of parts and links, and the head that points to them, at `address`."""

    def __init__(
        self,
        members: Sequence[Member],
        connections: Sequence[Connection],
        recordings: Mapping[tuple[str, str], Recording],
        order: Sequence[Member],
    ) -> None:
        named = {member.name: member for member in members}
        place = {member.name: i for i, member in enumerate(members)}
        rings = [*(c.link.ring if isinstance(c.link, Link) else None for c in connections), *recordings.values()]
        self._members = np.zeros(max(len(members), 1), MEMBER)
        self._links = np.zeros(max(len(rings), 1), LINK)
        ends = [*((c.source, c.target) for c in connections), *((name, None) for name in recordings)]
        seen: set[tuple[str, str]] = set()
        for i, (ring, (source, target)) in enumerate(zip(rings, ends, strict=True)):
            if ring is not None:
                ring.bind(self._links[i : i + 1])
            else:
                self._links[i]["kind"], self._links[i]["delay"] = MAIL, connections[i].link.options.delay_ns
            giver, link = named[source[0]], self._links[i]
            link["source"], link["given"] = place[source[0]], giver.block.outputs[source[1]].ctypes.data
            if target is not None:
                taker = named[target[0]]
                link["target"], link["port"] = place[target[0]], taker.block.port(target[1])
                link["adds"] = target in seen
                seen.add(target)
                if isinstance(taker.part, CompiledPart) and target[1] in taker.part.memory:
                    link["memory"], link["item"] = taker.part.memory[target[1]]
        into = [[i for i, e in enumerate(ends) if e[1] is not None and e[1][0] == m.name] for m in members]
        out = [[i for i, e in enumerate(ends) if e[0][0] == m.name] for m in members]
        for i, member in enumerate(members):
            member.record = record = self._members[i]
            record["period"], record["latency"] = member.clock.period_ns, member.clock.latency_ns
            record["block"], record["most"] = member.block.address, member.block.most
            record["inputs"], record["outputs"] = len(member.block.inputs), len(member.block.outputs)
            record["into"], record["into_count"] = sum(map(len, into[:i])), len(into[i])
            record["out"], record["out_count"] = sum(map(len, out[:i])), len(out[i])
            record["waits"] = member.waits = any(c.link.options.when_old == "wait" for c in member.into)
            record["loss"] = member.loss.share
            self._of_python(member)
            if isinstance(member.part, CompiledPart):
                record["function"] = member.part.function
        self._into, self._out = (np.array([*chain.from_iterable(x), -1], np.int64) for x in (into, out))
        self._places = np.array([place[member.name] for member in order], np.int64)
        head = self.head = np.zeros(HEAD_WORDS, np.int64)
        head[H_MEMBERS], head[H_MEMBER_COUNT] = self._members.ctypes.data, len(members)
        head[H_LINKS], head[H_LINK_COUNT] = self._links.ctypes.data, len(rings)
        head[H_INTO], head[H_OUT] = self._into.ctypes.data, self._out.ctypes.data
        head[H_ORDER] = self._places.ctypes.data
        self.address = int(head.ctypes.data)

    @staticmethod
    def _of_python(member: Member) -> None:
        """What of a member is asked for in every call of a part of Python's."""
        ports = member.part.outputs
        taken = {c.target[1]: c.link for c in member.into}
        member.mail = [(port, link) for port, link in taken.items() if isinstance(link, MessageLink)]
        rows = [port for port, link in taken.items() if isinstance(link, Link)]
        if all(member.part.inputs[port].kind != "states" for port in rows):
            member.single = {port: member.block.inputs[port][:1] for port in rows}
        if isinstance(member.part, CalledPart) and not member.waits:
            member.called = Called(
                member.part.call,
                {n: member.block.inputs[n][0].reshape(port.shape) for n, port in member.part.inputs.items()},
                [(n, port, (port.size,), member.block.outputs[n][0]) for n, port in ports.items()],
            )
        member.gives = [(n, rows) for n, rows in member.block.outputs.items() if ports[n].kind != "messages"]
        member.sends = {
            n: [c.link for c in member.out if c.source[1] == n and isinstance(c.link, MessageLink)]
            for n, port in ports.items()
            if port.kind == "messages"
        }
