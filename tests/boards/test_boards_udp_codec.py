"""The board protocol's codec, and a board's side of it without a socket, against bytes that mean harm."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.boards.processes import board_protocol as wire
from firmware_bridge.boards.processes.board_protocol import Ignored, Order, Packet, Peer

u8, u32, u64 = (st.integers(0, 2**k - 1) for k in (8, 32, 64))
text = st.text(max_size=60)


@st.composite
def chunk(draw: st.DrawFn) -> wire.Chunk:
    size = draw(st.integers(1, 5000))
    count = -(-size // wire.MAX_CHUNK)
    index = draw(st.integers(0, count - 1))
    length = wire.MAX_CHUNK if index < count - 1 else size - wire.MAX_CHUNK * (count - 1)
    return wire.Chunk(index, count, size, draw(u32), draw(u8), bytes(draw(u8) for _ in range(1)) * length)


spikes = st.builds(wire.Spikes, st.lists(u32, max_size=12).map(tuple), st.integers(0, 255), st.booleans())
BODIES: dict[int, st.SearchStrategy[Any]] = {
    wire.HELLO: st.just(()),
    wire.LOAD: chunk(),
    wire.START: st.builds(wire.Start, st.integers(1, 2**32 - 1), st.booleans()),
    wire.SPIKES: spikes,
    wire.STOP: st.just(()),
    wire.PING: st.just(()),
    wire.BYE: st.just(()),
    wire.WELCOME: text,
    wire.LOADED: st.builds(wire.Loaded, u32, st.integers(0, 2), u32, u32, text),
    wire.STATUS: st.builds(
        wire.BoardStatus, st.booleans(), u32, u32, u32, u32, u32, st.tuples(*[u32] * len(wire.REASONS))
    ),
    wire.SPIKES_OUT: spikes,
}
packets = st.sampled_from(sorted(BODIES)).flatmap(
    lambda kind: st.builds(Packet, st.just(kind), u32, u32, u32, u64, u64, u64, BODIES[kind])
)


@settings(max_examples=400, deadline=None)
@given(packets)
def test_what_is_encoded_is_decoded_the_same(packet: Packet) -> None:
    assert wire.decode(wire.encode(packet)) == packet


def test_bytes_are_those_of_the_table_in_the_documentation() -> None:
    # docs/board_protocol.md: two spikes, neurons 1 and 258, in tick 7
    data = wire.encode(Packet(wire.SPIKES, 0x01020304, 5, 7, 9, 10, 11, wire.Spikes((1, 258))))
    assert data.hex(" ") == (
        "48 42 01 04 04 03 02 01 05 00 00 00 07 00 00 00 "
        "09 00 00 00 00 00 00 00 0a 00 00 00 00 00 00 00 0b 00 00 00 00 00 00 00 "
        "02 00 00 00 01 00 00 00 02 01 00 00"
    )


@settings(max_examples=150, deadline=None)
@given(packets, st.data())
def test_another_length_is_never_read(packet: Packet, data: st.DataObject) -> None:
    whole = wire.encode(packet)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    if packet.type in (wire.WELCOME, wire.LOADED) and len(cut) >= wire.HEADER.size + (
        wire.LOADED_HEAD.size if packet.type == wire.LOADED else 0
    ):
        return  # text may end anywhere
    with pytest.raises(Ignored):
        wire.decode(cut)
    with pytest.raises(Ignored):
        wire.decode(whole + bytes(wire.MAX_TEXT + 1))


def test_a_fuzzer_gets_nothing_but_packets_and_reasons_out_of_the_codec() -> None:
    rng = random.Random(7)
    good = [
        wire.encode(Packet(k, 1, 2, 3, 4, 5, 6, b))
        for k, b in [
            (wire.HELLO, ()),
            (wire.LOAD, wire.chunks(b"x" * 3000, 1)[1]),
            (wire.START, wire.Start(10**6, True)),
            (wire.SPIKES, wire.Spikes((1, 2, 3))),
            (wire.WELCOME, "böard"),
            (wire.LOADED, wire.Loaded(1, 2, 3, 4, "no")),
            (wire.STATUS, wire.BoardStatus(True, 1, 2, 3, 4, 5, (0,) * 8)),
        ]
    ]
    reasons, taken = set(), 0
    for _ in range(30_000):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 6)):
            how = rng.randrange(4)
            if how == 0 and data:
                data[rng.randrange(len(data))] = rng.randrange(256)
            elif how == 1:
                del data[rng.randrange(len(data) + 1) :]
            elif how == 2:
                data += rng.randbytes(rng.randrange(40))
            elif len(data) > 44:
                struct.pack_into("<I", data, 40, rng.choice([0, 1, 2**31, 2**32 - 1]))
        try:
            packet = wire.decode(bytes(data))
        except Ignored as ignored:
            reasons.add(ignored.reason)
        else:
            taken += 1
            assert wire.decode(wire.encode(packet)) == packet
    assert reasons == {"length", "version", "type", "content"}
    assert taken > 1000


def test_what_does_not_fit_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="at most 256"):
        wire.encode(Packet(wire.SPIKES, 0, 0, 0, 0, 0, 0, wire.Spikes((0,) * 257)))
    with pytest.raises(ValueError, match="no packet type 99"):
        wire.encode(Packet(99, 0, 0, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="a file of 0 bytes"):
        wire.chunks(b"", 1)


@given(st.integers(0, 2000))
def test_a_tick_of_any_size_comes_in_parts_that_are_numbered(size: int) -> None:
    neurons = list(range(size))
    cut = wire.parts(neurons)
    assert [n for p in cut for n in p.neurons] == neurons
    assert [p.part for p in cut] == list(range(len(cut)))
    assert [p.more for p in cut] == [True] * (len(cut) - 1) + [False]


@given(st.lists(st.integers(0, 200), min_size=1, max_size=300))
def test_no_number_is_taken_twice_or_after_a_newer_one(numbers: list[int]) -> None:
    order, taken, repeated = Order(), [], []
    for n in numbers:
        try:
            order.accept(n)
            taken.append(n)
        except Ignored as ignored:
            repeated += [n] if ignored.reason == "repeat" else []
    assert taken == sorted(set(taken))
    assert set(repeated) <= set(taken)
    assert order.lost == taken[-1] - taken[0] + 1 - len(taken)


class Echo:
    """Gives back each spike a tick later."""

    name = "echo"

    def __init__(self) -> None:
        self.size = 0
        self.last: Sequence[int] = ()
        self.steps: list[list[int]] = []

    def load(self, kind: int, content: bytes) -> tuple[int, int]:
        if kind != 7:
            raise ValueError(f"file of kind {kind}, expected 7")
        self.size = len(content)
        return self.size, self.size

    def reset(self) -> None:
        self.last, self.steps = (), []

    def step(self, neurons: Sequence[int]) -> Sequence[int]:
        given_, self.last = self.last, tuple(neurons)
        self.steps.append(list(neurons))
        return given_


class Host:
    """The host's side by hand: numbers packets and reads answers."""

    def __init__(self, peer: Peer, address: tuple[str, int] = ("10.0.0.1", 1), session: int = 11) -> None:
        self.peer, self.address, self.session, self.sequence, self.now = peer, address, session, 0, 1000

    def say(self, kind: int, body: Any = (), tick: int = 0, sequence: int | None = None) -> list[Packet]:
        packet = Packet(
            kind, self.session, self.sequence if sequence is None else sequence, tick, 5, 0, 0, body
        )
        if sequence is None:
            self.sequence += 1
        self.now += 1000
        return [wire.decode(d) for d in self.peer.handle(wire.encode(packet), self.address, self.now)]

    def load(self, size: int = 20) -> Packet:
        answers = [a for c in wire.chunks(bytes(size), 7) for a in self.say(wire.LOAD, c)]
        return answers[-1]


def _started(stepped: bool = True, size: int = 20) -> Host:
    host = Host(Peer(Echo()))
    assert [a.type for a in host.say(wire.HELLO)] == [wire.WELCOME]
    assert host.load(size).body.state == wire.DONE
    (status,) = host.say(wire.START, wire.Start(1_000_000, stepped))
    assert status.body.running
    return host


def test_a_session_from_hello_to_bye() -> None:
    host = _started()
    (first,) = host.say(wire.SPIKES, wire.Spikes((3, 3, 5)), tick=1)
    assert (first.tick, first.body.neurons) == (1, ())
    (second,) = host.say(wire.SPIKES, wire.Spikes(()), tick=2)
    assert (second.tick, second.body.neurons) == (2, (3, 3, 5))
    (status,) = host.say(wire.STOP)
    assert not status.body.running
    assert host.say(wire.BYE) == []
    assert host.say(wire.PING) == []
    assert host.peer.ignored["address"] == 1


def test_a_stepped_tick_whose_answer_went_lost_is_told_again_and_not_done_again() -> None:
    host = _started()
    host.say(wire.SPIKES, wire.Spikes((1,)), tick=1)
    again = host.say(wire.SPIKES, wire.Spikes((1,)), tick=1)
    assert [(a.tick, a.body.neurons) for a in again] == [(1, ())]
    assert host.peer.backend.steps == [[1]]  # type: ignore[attr-defined]


def test_parts_of_a_tick_that_are_sent_anew_count_once() -> None:
    host = _started()
    assert host.say(wire.SPIKES, wire.Spikes((1,), 0, True), tick=1) == []
    assert host.say(wire.SPIKES, wire.Spikes((1,), 0, True), tick=1) == []
    assert len(host.say(wire.SPIKES, wire.Spikes((2,), 1, False), tick=1)) == 1
    assert host.peer.backend.steps == [[1, 2]]  # type: ignore[attr-defined]


def test_a_file_arrives_whole_in_whatever_order_and_is_refused_with_a_reason() -> None:
    host = Host(Peer(Echo()))
    host.say(wire.HELLO)
    parts = wire.chunks(bytes(range(256)) * 10, 7)
    wanted = [host.say(wire.LOAD, parts[i])[0].body.next for i in (0, 2, 0)]
    assert wanted == [1, 1, 1]
    (done,) = host.say(wire.LOAD, parts[1])
    assert (done.body.state, done.body.inputs) == (wire.DONE, 2560)
    (refused,) = host.say(wire.LOAD, wire.chunks(b"abc", 1)[0])
    assert (refused.body.state, refused.body.text) == (wire.REFUSED, "file of kind 1, expected 7")
    assert host.say(wire.START, wire.Start(10**6, True)) == []  # nothing to start
    wrong = wire.Chunk(0, 1, 3, zlib.crc32(b"abd"), 7, b"abc")
    assert host.say(wire.LOAD, wrong)[0].body.state == wire.REFUSED


def test_packets_from_elsewhere_of_another_session_late_and_twice_are_counted_and_change_nothing() -> None:
    host = _started(stepped=False)
    peer = host.peer
    stranger = Host(peer, ("10.0.0.2", 9), host.session)
    stranger.now = host.now
    assert stranger.say(wire.STOP, sequence=1000) == []
    assert stranger.say(wire.HELLO) == []
    other = Host(peer, host.address, 12)
    other.now = host.now
    assert other.say(wire.STOP, sequence=1001) == []
    number = host.sequence
    host.say(wire.SPIKES, wire.Spikes((4,)), sequence=number + 5)
    host.say(wire.SPIKES, wire.Spikes((6,)), sequence=number + 5)
    host.say(wire.SPIKES, wire.Spikes((7,)), sequence=number + 2)
    host.say(wire.SPIKES, wire.Spikes((20,)), sequence=number + 6)  # there are neurons 0 .. 19
    peer.advance(host.now)
    assert peer.backend.steps == [[4]]  # type: ignore[attr-defined]
    assert peer.running
    want = {"address": 2, "session": 1, "repeat": 1, "order": 1, "content": 1}
    assert {k: v for k, v in peer.ignored.items() if v} == want
    assert peer.status().lost == 5


def test_another_host_takes_over_only_after_silence() -> None:
    host = _started()
    other = Host(host.peer, ("10.0.0.2", 9), 99)
    other.now = host.now + wire.SESSION_NS
    assert [a.type for a in other.say(wire.HELLO)] == [wire.WELCOME]
    assert not host.peer.running


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), packets.map(wire.encode)), max_size=10))
def test_no_stream_of_datagrams_breaks_a_running_board(stream: list[bytes]) -> None:
    host = _started()
    for data in stream:
        host.peer.handle(data, ("10.9.9.9", 3), host.now)
        host.peer.handle(data, host.address, host.now)
    assert host.peer.running
    (answer,) = host.say(wire.SPIKES, wire.Spikes((0,)), tick=1)
    assert answer.tick == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(packets, max_size=10))
def test_no_packet_of_the_right_session_raises(stream: list[Packet]) -> None:
    host = _started()
    for p in stream:
        fields = {**p.__dict__, "session": host.session, "sequence": host.sequence + 1}
        host.sequence += 1
        for answer in host.peer.handle(wire.encode(Packet(**fields)), host.address, host.now):
            wire.decode(answer)
