"""Any board or simulator that speaks the board protocol over UDP (docs/board_protocol.md): the host's side."""

from __future__ import annotations

import contextlib
import math
import random
import select
import socket
import tempfile
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir

from firmware_bridge.boards.board import Board, BoardConfig, Health
from firmware_bridge.boards.processes import board_protocol as wire
from firmware_bridge.boards.processes.board_protocol import BoardStatus, Ignored, Packet
from hybrid_control.signals import SpikeTrain
from hybrid_control.snn import Network
from hybrid_control.snn.backends.capabilities import BoardCapabilities, BoardRefusal
from hybrid_control.snn.backends.split import channels, spiking

_RETRY = 0.2  # s until what is not answered is sent again
_BATCH = 4096  # most packets taken by one `receive`
_WINDOW = 1000  # newest samples of latency, and numbers in a sequence, that health speaks of


@dataclass(frozen=True)
class UdpConfig(BoardConfig):
    """Where the process listens.

    timeout: s for an answer; load_timeout: for it to take a network in; tick_timeout: for a tick of a stepped board.
    """

    host: str = "127.0.0.1"
    port: int = 17950
    timeout: float = 2.0
    load_timeout: float = 60.0
    tick_timeout: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.port < 65536:
            raise ValueError(f"board: port {self.port}, expected 1 .. 65535")


class _Wire:
    """The host's end of one session after another: packets out and in, and what they say of the way.

    number: of the session. heard: the process's time in the newest packet, and ours when it came, ns; (0, 0) before
    any. last_sent: ns. status: the newest of the process.
    """

    def __init__(self, owner: str, refused: Counter[str]) -> None:
        self._owner, self._refused = owner, refused
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.number = random.getrandbits(32)
        self.heard = (0, 0)
        self.last_sent = 0
        self.status: BoardStatus | None = None
        self._sent = 0
        self._order = wire.Order()
        self._taken: deque[int] = deque(maxlen=_WINDOW)  # numbers of the newest packets
        self._samples: deque[tuple[int, int]] = deque(maxlen=_WINDOW)  # round trip and offset, ns

    def open(self, host: str, port: int) -> None:
        """A new session; OSError where there is no such host."""
        self._begin()
        self._address = (socket.gethostbyname(host), port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wire.BUFFER)
        if self._address[0].startswith("127."):
            self._socket.bind(("127.0.0.1", 0))  # else the system would listen on every network for the answer

    def close(self) -> None:
        """May be called at any time; what was measured stays."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._socket is not None

    @property
    def socket(self) -> socket.socket:
        """That of the session; ConnectionError (an OSError) where there is none."""
        if self._socket is None:
            raise ConnectionError(f"{self._owner}: not connected")
        return self._socket

    def send(self, kind: int, body: Any = (), tick: int = 0) -> None:
        """Send a packet."""
        sock = self.socket
        heard, at = self.heard
        with self._sending:
            now = time.monotonic_ns()
            held = now - at if heard else 0
            packet = Packet(kind, self.number, self._sent, tick, now, heard, held, body)
            self._sent += 1
            self.last_sent = now
            # a packet may be lost, as any may be; a process that is gone shows as silence
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                sock.sendto(wire.encode(packet), self._address)

    def take(self) -> Packet | None:
        """The next packet of this session, or None where there is none; others are counted."""
        while True:
            try:
                data, sender = self.socket.recvfrom(65536)
            except BlockingIOError:
                return None
            except ConnectionRefusedError:
                continue
            now = time.monotonic_ns()
            try:
                if sender != self._address:
                    raise Ignored("address")
                packet = wire.decode(data)
                if packet.session != self.number:
                    raise Ignored("session")
                if packet.type < wire.WELCOME:
                    raise Ignored("type")
                self._order.accept(packet.sequence)
            except Ignored as ignored:
                self._refused[ignored.reason] += 1
                continue
            self._taken.append(packet.sequence)
            self.heard = (packet.time, now)
            if packet.type == wire.STATUS:
                self.status = packet.body
            if packet.echo_time:
                round_trip = now - packet.echo_time - packet.echo_held
                if round_trip >= 0:
                    there = packet.time - packet.echo_held - packet.echo_time
                    self._samples.append((round_trip, (there + packet.time - now) // 2))
            return packet

    def wait(self, timeout: float) -> bool:
        """Whether a packet came within timeout s."""
        return bool(select.select([self.socket], [], [], timeout)[0])

    def ask(self, kind: int, body: Any, answer: int, timeout: float) -> Packet:
        """Send until it is answered; TimeoutError where it is not."""
        end = time.monotonic() + timeout
        while True:
            self.send(kind, body)
            again = min(time.monotonic() + _RETRY, end)
            while (left := again - time.monotonic()) > 0:
                self.wait(left)
                while (packet := self.take()) is not None:
                    if packet.type == answer and _answers(body, packet.body):
                        return packet
            if time.monotonic() >= end:
                raise TimeoutError(f"no board answers at {self._address[0]}:{self._address[1]}")

    @property
    def loss(self) -> float:
        """Share of the newest packets that did not come, in both directions together; NaN before the first."""
        if not self._taken:
            return math.nan
        down = 1.0 - len(self._taken) / (self._taken[-1] - self._taken[0] + 1)
        up = 0.0
        if self.status is not None and self.status.received:
            up = self.status.lost / (self.status.lost + self.status.received)
        return 1 - (1 - down) * (1 - up)

    @property
    def round_trips(self) -> tuple[float, float]:
        """Median and 99th percentile, s; NaN before the first."""
        ways = sorted(way for way, _ in self._samples)
        if not ways:
            return math.nan, math.nan
        return ways[len(ways) // 2] * 1e-9, ways[len(ways) * 99 // 100] * 1e-9

    @property
    def time_offset(self) -> float:
        """The process's clock minus ours, s, by the fastest of the newest packets; NaN before the first."""
        return min(self._samples)[1] * 1e-9 if self._samples else math.nan


class UdpBoard(Board):
    """A process that speaks the protocol. It is given the network as a NIR file, and says itself what it can't run.

    Latency and time offset are measured by every packet that comes, for each carries the time of the newest one that
    its sender had heard; loss by the numbers of the packets in both directions.
    """

    config_class = UdpConfig
    capabilities = BoardCapabilities(
        board="a process that speaks the board protocol",
        models={},
        neurons=2**32 - 1,
        synapses=2**32 - 1,
        weight_bits=64,
        delay=(0, 2**16),
        dt=(1e-4, 1.0),
    )
    config: UdpConfig

    def __init__(self, config: BoardConfig) -> None:
        super().__init__(config)
        self.name = ""  # what the process calls itself
        self._wire = _Wire(self.capabilities.board, self.traffic.refused)
        self._file: list[wire.Chunk] = []  # what is still to be sent
        self._forget()

    def _forget(self) -> None:
        """Begin a session."""
        self._running = False
        self._tick = 0  # of the board, as it said last
        self._tick_spikes: tuple[int, ...] = ()  # spikes of the stepped tick that is under way
        self.traffic.sent = self.traffic.received = 0
        self._window_begin = time.monotonic_ns()
        self.heard_ns = -1

    @property
    def status(self) -> BoardStatus | None:
        """The newest that the process sent."""
        return self._wire.status

    @classmethod
    def reachable(cls, config: BoardConfig | None = None) -> tuple[bool, str]:
        """Whether a process answers, and what it says it is."""
        board = cls(cls.config_class() if config is None else config)
        where = f"{board.config.host}:{board.config.port}"
        try:
            board.connect()
        except OSError as error:
            return False, f"{where}: {error}"
        board.close()
        return True, f"{where}: {board.name}"

    def connect(self) -> None:
        """Open a socket and a session; TimeoutError where nothing answers."""
        self.close()
        self._forget()
        self._wire.open(self.config.host, self.config.port)
        try:
            self.name = self._wire.ask(wire.HELLO, (), wire.WELCOME, self.config.timeout).body
        except OSError:
            self._wire.close()
            raise

    def program(self, network: Network) -> tuple[int, bytes]:
        """The file that the process is sent, and its kind: a NIR file in which every population spikes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.nir"
            spiking(network, self.config.dt).save(path)
            return wire.NIR_FILE, path.read_bytes()

    def load(self, network: Network) -> None:
        """Send a network, or keep it for `start` where the board is not connected yet.

        BoardRefusal where this board, or the process by what it says, can't run it.
        """
        kind, content = self.program(network)
        self._file = wire.chunks(content, kind)
        self.inputs, self.outputs = channels(network, nir.Input), channels(network, nir.Output)
        if self._wire.is_open:
            self._upload()

    def _upload(self) -> None:
        """Send the file, part by part."""
        for chunk in self._file:
            loaded = self._wire.ask(wire.LOAD, chunk, wire.LOADED, self.config.load_timeout).body
        self._file = []
        inputs, outputs = (sum(p.size for p in populations) for populations in (self.inputs, self.outputs))
        if loaded.state == wire.REFUSED:
            self.inputs = self.outputs = ()
            raise BoardRefusal(f"{self.name} refuses the network: {loaded.text}", "as it says")
        if loaded.state != wire.DONE or (loaded.inputs, loaded.outputs) != (inputs, outputs):
            self.inputs = self.outputs = ()
            raise ConnectionError(
                f"{self.name} took a network of {loaded.inputs} inputs and {loaded.outputs} outputs for one of "
                f"{inputs} and {outputs}"
            )

    def start(self) -> None:
        """Let its time begin, at tick 0."""
        if self._file:
            self._upload()
        if not self.inputs and not self.outputs:
            raise ValueError("board: load a network before start")
        self._tick = 0
        start = wire.Start(round(self.config.dt * 1e9), self.config.stepped)
        self._wire.ask(wire.START, start, wire.STATUS, self.config.timeout)
        self._running = True
        self._window_begin = self.heard_ns = time.monotonic_ns()

    def send(self, train: SpikeTrain) -> None:
        """Send spikes for the board's next tick, in one packet or several; none is a sign of life."""
        if [(p.name, p.size) for p in train.populations] != [(p.name, p.size) for p in self.inputs]:
            have = ", ".join(f"{p.name} ({p.size})" for p in train.populations)
            want = ", ".join(f"{p.name} ({p.size})" for p in self.inputs)
            raise ValueError(f"board: spikes of {have}, expected {want}")
        self._tick_spikes = tuple(self.admitted(train.neuron).tolist())
        self.traffic.sent += len(self._tick_spikes)
        for part in wire.parts(self._tick_spikes):
            self._wire.send(wire.SPIKES, part, self._tick + 1)

    def admitted(self, neurons: Any) -> Any:
        """The spikes of a train, (k,), that the board may be sent."""
        return neurons

    def receive(self) -> SpikeTrain:
        """What came since the last call. Where the board is stepped, waits for the tick that `send` asked for."""
        neurons: list[int] = []
        times: list[int] = []
        if self.config.stepped:
            self._wait_for_tick(neurons, times)
        else:
            self._drain(neurons, times)
            if time.monotonic_ns() - self._wire.last_sent > self.config.probe_period * 1e9:
                self._wire.send(wire.PING)
        return self._arrived(neurons, times)

    def _drain(self, neurons: list[int], times: list[int]) -> bool:
        """Take what is there; whether a tick came to its end."""
        whole = False
        size = sum(p.size for p in self.outputs)
        for _ in range(_BATCH):
            packet = self._wire.take()
            if packet is None:
                break
            if packet.type != wire.SPIKES_OUT:
                continue
            if any(n >= size for n in packet.body.neurons):
                self.traffic.refused["content"] += 1
                continue
            if self.config.stepped and packet.tick != self._tick + 1:
                self.traffic.refused["repeat"] += 1  # the answer to what was asked twice
                continue
            now = self._wire.heard[1]
            neurons += packet.body.neurons
            times += [now] * len(packet.body.neurons)
            self.heard_ns = now
            if not packet.body.more:
                self._tick = packet.tick
                whole = True
        return whole

    def _wait_for_tick(self, neurons: list[int], times: list[int]) -> None:
        end = time.monotonic() + self.config.tick_timeout
        while not self._drain(neurons, times):
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: no answer to tick {self._tick + 1}")
            if not self._wire.wait(_RETRY):
                neurons.clear()
                times.clear()
                for part in wire.parts(self._tick_spikes):
                    self._wire.send(wire.SPIKES, part, self._tick + 1)

    def stop(self) -> None:
        """Let its time stand still."""
        if self._running and self._wire.is_open:
            self._running = False
            self._wire.ask(wire.STOP, (), wire.STATUS, self.config.timeout)

    def health(self) -> Health:
        """How it does, by the newest packets; the loss of both directions together."""
        way, slow = self._wire.round_trips
        return Health(
            self._running, self.silent_for, way, slow, self._wire.time_offset, self._wire.loss, self.traffic.sent,
            self.traffic.received, +self.traffic.refused,
        )  # fmt: skip

    def close(self) -> None:
        """End the session and close the socket."""
        if not self._wire.is_open:
            return
        with contextlib.suppress(OSError):  # a wire that is gone needs no farewell
            self._wire.send(wire.BYE)
        self._wire.close()
        self._running = False


def _answers(question: Any, answer: Any) -> bool:
    """Whether a LOADED speaks of the chunk that was sent; anything else is its own answer."""
    if isinstance(question, wire.Chunk):
        last = question.index == question.count - 1
        return bool(answer.state != wire.MORE or (answer.next > question.index and not last))
    return True
