"""The board protocol, version 1: spikes between the bridge and any process over UDP (docs/board_protocol.md).

`Packet`, `encode` and `decode` are the codec, `Order` sees to repeats, `Peer` is a board's side without a socket and
`serve` with one. All of it is this one file, and needs only the standard library, so that it can be copied beside any
program and imported in any environment.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import stat
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from typing import Any, Callable, Protocol, Sequence  # noqa: UP035 (also for Python 3.8)

MAGIC = b"HB"
VERSION = 1
HEADER = struct.Struct("<2sBBIIIQQQ")
MAX_SPIKES = 256  # in a packet
MAX_CHUNK = 1024  # bytes of a file in a packet
MAX_FILE = 64 * 2**20
MAX_TEXT = 512

HELLO, LOAD, START, SPIKES, STOP, PING, BYE = range(1, 8)  # from the host
WELCOME, LOADED, STATUS, SPIKES_OUT = range(0x81, 0x85)  # from the board

NIR_FILE, LOIHI_PROGRAM = 1, 2  # what a LOAD carries
MORE, DONE, REFUSED = range(3)  # state of a load

# why a packet was ignored
REASONS = ("address", "length", "version", "type", "content", "session", "order", "repeat")

LOAD_HEAD = struct.Struct("<IIIIB3x")
LOADED_HEAD = struct.Struct("<IB3xII")
START_BODY = struct.Struct("<IB3x")
SPIKES_HEAD = struct.Struct("<HBB")
STATUS_BODY = struct.Struct("<B3xIIIII" + "I" * len(REASONS))

BUFFER = 4 << 20  # bytes of a socket's queue, as far as the system gives them
HOST_SILENCE_NS = 500_000_000  # a running board whose host says nothing for so long lets its time stand still
SESSION_NS = 1_000_000_000  # after so long another session may take over


class Ignored(Exception):
    """A packet that is not acted on; `reason` is one of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _check(right: bool, reason: str) -> None:
    if not right:
        raise Ignored(reason)


@dataclass(frozen=True)
class Packet:
    """One datagram. Times in ns of the sender's clock.

    sequence: counts the sender's packets. tick: of the board. time: when it was sent. echo_time: `time` of the newest
    packet heard from the other side, 0 for none; echo_held: how long ago that was heard. body: what the type says.
    """

    type: int
    session: int
    sequence: int
    tick: int
    time: int
    echo_time: int
    echo_held: int
    body: Any = ()


@dataclass(frozen=True)
class Chunk:
    """Part `index` of `count` of a file of `size` bytes with CRC-32 `crc`."""

    index: int
    count: int
    size: int
    crc: int
    kind: int
    content: bytes


@dataclass(frozen=True)
class Loaded:
    """Answer to a chunk: which one is wanted next, or that the file is loaded or refused and why."""

    next: int
    state: int
    inputs: int
    outputs: int
    text: str


@dataclass(frozen=True)
class Start:
    """How long a tick is, and whether each waits for the host."""

    dt_ns: int
    stepped: bool


@dataclass(frozen=True)
class Spikes:
    """Neurons that spiked in a tick, one entry for each spike, in one packet or several.

    part: which of the tick's packets this is, from 0. more: another one of the same tick follows.
    """

    neurons: tuple[int, ...]
    part: int = 0
    more: bool = False


def parts(neurons: Sequence[int]) -> list[Spikes]:
    """A tick's spikes in as many packets as they need; at most 65,536 of them, the rest is left out."""
    starts = range(0, min(max(len(neurons), 1), 65_536), MAX_SPIKES)
    cut = [tuple(neurons[i : i + MAX_SPIKES]) for i in starts]
    return [Spikes(p, i, i < len(cut) - 1) for i, p in enumerate(cut)]


@dataclass(frozen=True)
class BoardStatus:
    """How a board does. missed: ticks for which it was too late. lost: gaps in the host's sequence.

    step_ns, step_max_ns: mean and longest time that a tick took. ignored: packets for each of REASONS.
    """

    running: bool
    missed: int
    received: int
    lost: int
    step_ns: int
    step_max_ns: int
    ignored: tuple[int, ...]


def encode(packet: Packet) -> bytes:
    """The datagram; struct.error or ValueError for what does not fit."""
    body = packet.body
    if packet.type in (HELLO, STOP, PING, BYE):
        content = b""
    elif packet.type == WELCOME:
        content = _text(body)
    elif packet.type == LOAD:
        if len(body.content) > MAX_CHUNK:
            raise ValueError(f"chunk of {len(body.content)} bytes, at most {MAX_CHUNK}")
        content = LOAD_HEAD.pack(body.index, body.count, body.size, body.crc, body.kind) + body.content
    elif packet.type == LOADED:
        content = LOADED_HEAD.pack(body.next, body.state, body.inputs, body.outputs) + _text(body.text)
    elif packet.type == START:
        content = START_BODY.pack(body.dt_ns, body.stepped)
    elif packet.type in (SPIKES, SPIKES_OUT):
        count = len(body.neurons)
        if count > MAX_SPIKES:
            raise ValueError(f"{count} spikes in a packet, at most {MAX_SPIKES}")
        content = SPIKES_HEAD.pack(count, body.part, body.more) + struct.pack(f"<{count}I", *body.neurons)
    elif packet.type == STATUS:
        *counts, ignored = vars(body).values()
        content = STATUS_BODY.pack(*counts, *ignored)
    else:
        raise ValueError(f"no packet type {packet.type}")
    *numbers, _ = vars(packet).values()  # in the order of the header
    return HEADER.pack(MAGIC, VERSION, *numbers) + content


def _text(text: str) -> bytes:
    return text.encode()[:MAX_TEXT].decode(errors="ignore").encode()


def decode(data: bytes) -> Packet:
    """The packet in a datagram; Ignored with reason length, version, type or content for anything else."""
    _check(len(data) >= HEADER.size, "length")
    magic, version, kind, session, sequence, tick, sent, echo, held = HEADER.unpack_from(data)
    _check(magic == MAGIC and version == VERSION, "version")
    content = data[HEADER.size :]
    body: Any = ()
    if kind in (HELLO, STOP, PING, BYE):
        _check(not content, "length")
    elif kind == WELCOME:
        body = _read_text(content)
    elif kind == LOAD:
        body = _read_chunk(content)
    elif kind == LOADED:
        _check(len(content) >= LOADED_HEAD.size, "length")
        after, state, inputs, outputs = LOADED_HEAD.unpack_from(content)
        _check(state <= REFUSED, "content")
        body = Loaded(after, state, inputs, outputs, _read_text(content[LOADED_HEAD.size :]))
    elif kind == START:
        _check(len(content) == START_BODY.size, "length")
        dt, stepped = START_BODY.unpack(content)
        _check(dt > 0 and stepped <= 1, "content")
        body = Start(dt, bool(stepped))
    elif kind in (SPIKES, SPIKES_OUT):
        _check(len(content) >= SPIKES_HEAD.size, "length")
        count, part, more = SPIKES_HEAD.unpack_from(content)
        _check(len(content) == SPIKES_HEAD.size + 4 * count, "length")
        _check(count <= MAX_SPIKES and more <= 1, "content")
        body = Spikes(struct.unpack_from(f"<{count}I", content, SPIKES_HEAD.size), part, bool(more))
    elif kind == STATUS:
        _check(len(content) == STATUS_BODY.size, "length")
        running, missed, received, lost, step, longest, *ignored = STATUS_BODY.unpack(content)
        _check(running <= 1, "content")
        body = BoardStatus(bool(running), missed, received, lost, step, longest, tuple(ignored))
    else:
        raise Ignored("type")
    return Packet(kind, session, sequence, tick, sent, echo, held, body)


def _read_text(content: bytes) -> str:
    _check(len(content) <= MAX_TEXT, "length")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Ignored("content") from None


def _read_chunk(content: bytes) -> Chunk:
    _check(len(content) >= LOAD_HEAD.size, "length")
    index, count, size, crc, kind = LOAD_HEAD.unpack_from(content)
    part = content[LOAD_HEAD.size :]
    _check(0 < size <= MAX_FILE and count == -(-size // MAX_CHUNK) and index < count, "content")
    _check(len(part) == (MAX_CHUNK if index < count - 1 else size - MAX_CHUNK * (count - 1)), "length")
    return Chunk(index, count, size, crc, kind, part)


def chunks(content: bytes, kind: int) -> list[Chunk]:
    """A file in parts."""
    if not 0 < len(content) <= MAX_FILE:
        raise ValueError(f"a file of {len(content)} bytes; expected 1 .. {MAX_FILE}")
    crc = zlib.crc32(content)
    parts = [content[i : i + MAX_CHUNK] for i in range(0, len(content), MAX_CHUNK)]
    return [Chunk(i, len(parts), len(content), crc, kind, p) for i, p in enumerate(parts)]


class Order:
    """Tells packets that come late or twice by their sequence numbers, and counts those that never came."""

    def __init__(self) -> None:
        self.newest = -1
        self.received = 0
        self._first = 0
        self._seen = 0  # bit k: newest - k was seen

    def accept(self, sequence: int) -> None:
        """Take a number; Ignored with "repeat" for one seen before, with "order" for one older than the newest."""
        if self.newest < 0:
            self._first = sequence
        ahead = sequence - self.newest
        if self.newest >= 0 and ahead <= 0:
            raise Ignored("repeat" if -ahead < 64 and self._seen >> -ahead & 1 else "order")
        self._seen = (self._seen << min(ahead, 64) | 1) & (2**64 - 1)
        self.newest = sequence
        self.received += 1

    @property
    def lost(self) -> int:
        """Numbers up to the newest that were not taken."""
        return self.newest - self._first + 1 - self.received if self.newest >= 0 else 0


class Backend(Protocol):
    """What a board's process must bring along: a simulator, or a chip's tools."""

    name: str

    def load(self, kind: int, content: bytes) -> tuple[int, int]:
        """Take a network; returns the numbers of its input and output neurons. ValueError says why it can't."""

    def reset(self) -> None:
        """Back to the time before the first tick."""

    def step(self, spikes: Sequence[int]) -> Sequence[int]:
        """One tick. spikes: input neurons, once for each spike; returns the output neurons that spiked."""


class Session:
    """Whom a board answers: the host's address (None for nobody), and the packets from it and to it."""

    def __init__(self) -> None:
        self.host: Any = None
        self.order = Order()
        self._number = self._sequence = 0
        self._heard = (0, 0)  # the host's time, and ours when it was heard

    def begin(self, packet: Packet, address: Any, now: int) -> bool:
        """Take a HELLO; whether a new session begins with it."""
        known = address == self.host and packet.session == self._number
        if not known:
            free = self.host is None or now - self._heard[1] >= SESSION_NS
            _check(free, "address" if address != self.host else "session")
            self.host, self._number = address, packet.session
            self.order, self._sequence = Order(), 0
        self.accept(packet, now)
        return not known

    def check(self, packet: Packet, address: Any) -> None:
        """Ignored for a packet that is not the host's."""
        _check(address == self.host, "address")
        _check(packet.session == self._number, "session")
        _check(packet.type <= BYE, "type")

    def accept(self, packet: Packet, now: int) -> None:
        """Count a packet; Ignored for one that comes late or twice."""
        self.order.accept(packet.sequence)
        self._heard = (packet.time, now)

    def silent(self, now: int) -> bool:
        """Whether the host has said nothing for HOST_SILENCE_NS."""
        return now - self._heard[1] > HOST_SILENCE_NS

    def packet(self, kind: int, tick: int, now: int, body: Any) -> bytes:
        """The next datagram to the host."""
        heard, at = self._heard
        number, self._sequence = self._sequence, (self._sequence + 1) % 2**32
        return encode(Packet(kind, self._number, number, tick, now, heard, max(0, now - at), body))


class Upload:
    """A file that comes in parts, in whatever order. answer: what the newest part is answered with."""

    def __init__(self, loaded: tuple[int, int] | None) -> None:
        self.answer = Loaded(0, DONE, *loaded, "") if loaded else Loaded(0, MORE, 0, 0, "")
        self._file: tuple[int, int] | None = None
        self._parts: dict[int, bytes] = {}

    def take(self, chunk: Chunk, load: Callable[[int, bytes], tuple[int, int]]) -> bool:
        """Take a part, and `load` the file when it is whole; whether another file begins with it."""
        begins = self._file != (chunk.crc, chunk.size)
        if begins:
            self._file, self._parts = (chunk.crc, chunk.size), {}
        elif not self._parts:
            return False
        self._parts[chunk.index] = chunk.content
        wanted = next((i for i in range(chunk.count) if i not in self._parts), chunk.count)
        self.answer = Loaded(wanted, MORE, 0, 0, "")
        if wanted == chunk.count:
            content = b"".join(self._parts[i] for i in range(chunk.count))
            self._parts = {}
            try:
                if zlib.crc32(content) != chunk.crc:
                    raise ValueError("the file came with another CRC than it left with")
                self.answer = Loaded(wanted, DONE, *load(chunk.kind, content), "")
            except ValueError as error:
                self.answer = Loaded(wanted, REFUSED, 0, 0, str(error))
        return begins


class Peer:
    """A board's side of the protocol around a back end, without a socket: datagrams in, datagrams out.

    loaded: numbers of input and output neurons of a network that the back end has already, None for none.
    """

    def __init__(self, backend: Backend, loaded: tuple[int, int] | None = None) -> None:
        self.backend, self.session, self._upload = backend, Session(), Upload(loaded)
        self.running = self.stepped = False
        self.dt_ns, self.tick, self.missed = 1_000_000, 0, 0
        self.ignored = dict.fromkeys(REASONS, 0)
        self._waiting: list[int] = []
        self._parts_heard = 0  # of the stepped tick that is being sent
        self._result: tuple[int, ...] = ()
        self._step_total = self._step_max = 0

    def handle(self, data: bytes, address: Any, now: int) -> list[bytes]:
        """What to answer to a datagram. now: ns of this side's monotonic clock."""
        try:
            return self._handle(decode(data), address, now)
        except Ignored as ignored:
            self.ignored[ignored.reason] += 1
            return []

    def _handle(self, packet: Packet, address: Any, now: int) -> list[bytes]:
        if packet.type == HELLO:
            self.running &= not self.session.begin(packet, address, now)
            return [self.session.packet(WELCOME, self.tick, now, self.backend.name)]
        self.session.check(packet, address)
        if packet.type == SPIKES:
            _check(all(n < self._upload.answer.inputs for n in packet.body.neurons), "content")
        _check(packet.type != START or self._upload.answer.state == DONE, "content")
        self.session.accept(packet, now)
        if packet.type == LOAD:
            self.running &= not self._upload.take(packet.body, self.backend.load)
            return [self.session.packet(LOADED, self.tick, now, self._upload.answer)]
        if packet.type == SPIKES:
            return self._spikes(packet, now)
        if packet.type == START:
            self.dt_ns, self.stepped = packet.body.dt_ns, packet.body.stepped
            self.backend.reset()
            self.tick = self.missed = self._step_total = self._step_max = 0
            self._waiting, self._parts_heard, self._result = [], 0, ()
            self.running = True
        elif packet.type in (STOP, BYE):
            self.running = False
            if packet.type == BYE:
                self.session.host = None
                return []
        return [self.session.packet(STATUS, self.tick, now, self.status())]

    def _spikes(self, packet: Packet, now: int) -> list[bytes]:
        spikes: Spikes = packet.body
        if not self.running:
            return []
        if not self.stepped:
            self._waiting += spikes.neurons
            return []
        if self.tick and packet.tick == self.tick:  # its answer went lost
            return [] if spikes.more else self._report(now)
        if spikes.part == 0:
            self._waiting, self._parts_heard = [], 0
        _check(packet.tick == self.tick + 1 and spikes.part == self._parts_heard, "order")
        self._parts_heard += 1
        self._waiting += spikes.neurons
        return [] if spikes.more else self.advance(now)

    def advance(self, now: int) -> list[bytes]:
        """Do one tick with the spikes that came since the one before, and tell the host."""
        spikes, self._waiting = self._waiting, []
        began = time.perf_counter_ns()
        self._result = tuple(self.backend.step(spikes))
        took = time.perf_counter_ns() - began
        self._step_total += took
        self._step_max = max(self._step_max, took)
        self.tick += 1
        return self._report(now + took)

    def _report(self, now: int) -> list[bytes]:
        return [self.session.packet(SPIKES_OUT, self.tick, now, p) for p in parts(self._result)]

    def status(self) -> BoardStatus:
        """What a STATUS says."""
        order, mean = self.session.order, self._step_total // max(self.tick, 1)
        numbers = (mean, self._step_max, *(self.ignored[r] for r in REASONS))
        step, most, *ignored = (min(n, 2**32 - 1) for n in numbers)
        return BoardStatus(self.running, self.missed, order.received, order.lost, step, most, tuple(ignored))


def serve(peer: Peer, sock: socket.socket, ended: Callable[[], bool], parent: Any = None) -> None:
    """Serve a peer on a bound UDP socket until `ended` says so, or `parent`, a pipe, closes.

    A tick is done every dt; one for which it is too late by a whole dt is missed: counted, and left out, so that the
    board's time never runs faster to catch up.
    """
    clock = time.monotonic_ns
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    watch = [sock] if parent is None else [sock, parent]
    due = 0
    while not ended():
        ticking = peer.running and not peer.stepped and not peer.session.silent(clock())
        readable = select.select(watch, [], [], max(0, due - clock()) * 1e-9 if ticking else 0.1)[0]
        if any(f is not sock for f in readable) and not os.read(parent.fileno(), 4096):
            break
        for _ in range(1000 if sock in readable else 0):
            try:
                data, sender = sock.recvfrom(65536)
            except BlockingIOError:
                break
            except ConnectionError:  # what we sent reached a port that is closed by now
                continue
            for answer in peer.handle(data, sender, clock()):
                sock.sendto(answer, sender)
        now = clock()
        if not ticking:
            due = now + peer.dt_ns
        elif peer.running and now >= due:
            late = (now - due) // peer.dt_ns
            peer.missed += late
            due += (late + 1) * peer.dt_ns
            for spikes in peer.advance(now):
                sock.sendto(spikes, peer.session.host)


def main(backend: Backend, description: str, loaded: tuple[int, int] | None = None) -> None:
    """Serve a back end as a program, with --host and --port, until SIGTERM or until stdin closes where it is a pipe.

    loaded: as for Peer. Prints "ready HOST PORT" when it can be reached.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=17950, help="UDP port (%(default)s; 0: any free one)")
    options = parser.parse_args()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((options.host, options.port))
        print("ready", *sock.getsockname(), flush=True)
        pipe = sys.stdin if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode) else None
        serve(Peer(backend, loaded), sock, lambda: bool(ended), pipe)
