"""A SpiNNaker board, or our emulator of one, as a Board: the host's side of sPyNNaker's live input and output.

The machine itself is loaded by sPyNNaker, with the script that `spinnaker_export` writes; this is the program beside it
that the script tells where its network lies. Tested against SpiNNFrontEndCommon and SpiNNMan; never on a board.

EIEIO has no sequence numbers. What can be told is told by the time stamps of live output: a packet that is older
than the newest one is out of order, one that has a neuron spike again in the same tick is a repetition, and both are
ignored. Packets without time stamps are all taken.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_bridge.boards import eieio
from firmware_bridge.boards.board import Board, BoardConfig, Health
from firmware_bridge.boards.echo import INPUT, OUTPUT, Probes, with_echo
from firmware_bridge.boards.eieio import Command, CommandCode, EieioError, IpTagSet, Kind, SdpHeader
from firmware_bridge.boards.spinnaker_wiring import Wiring, WiringError, read_database
from hybrid_control.signals import Population, SpikeTrain, layout
from hybrid_control.snn import Network
from hybrid_control.snn.backends.spinnaker import CAPABILITIES, SpinnakerForm, spinnaker_form

_TAG_RETRY = 0.5  # s
_BATCH = 4096  # most packets taken by one `receive`
_BUFFER = 4 << 20  # bytes of the sockets' queues, as far as the system gives them
_MOST_KEYS = eieio.most_elements(Kind.KEY_32)


@dataclass(frozen=True)
class SpinnakerConfig(BoardConfig):
    """Where the machine's programs are met.

    listen: address of this host for both sockets. notify_port: where the script tells of its database; output_port:
    for live output, 0 for any. table: a JSON table of keys of a machine that runs already, in place of the database.
    tag_period: s after which the tag is set again.
    """

    listen: str = "0.0.0.0"
    notify_port: int = eieio.NOTIFY_PORT
    output_port: int = eieio.LIVE_OUTPUT_PORT
    scamp_port: int = eieio.SCAMP_PORT
    table: Path | None = None
    tag_period: float = 10.0


class SpinnakerBoard(Board):
    """The host's side; see the module's first lines. config: a SpinnakerConfig."""

    config_class = SpinnakerConfig
    capabilities = CAPABILITIES
    config: SpinnakerConfig

    def __init__(self, config: BoardConfig | None = None) -> None:
        super().__init__(SpinnakerConfig() if config is None else config)
        if not isinstance(self.config, SpinnakerConfig):
            raise ValueError("SpinnakerBoard: expected a SpinnakerConfig")
        self.form: SpinnakerForm | None = None
        self.wiring: Wiring | None = None
        self._notify: socket.socket | None = None
        self._live: socket.socket | None = None
        self._probes = Probes()
        self._refused: Counter[str] = Counter()
        self._sent = self._received = 0
        self._running = self._wanted = False
        self._tagged = False
        self._tag_sent = self._tag_answered = -math.inf
        self._sequence = 0
        self._toolchain: tuple[str, int] | None = None  # whom to tell that the database has been read
        self._last_ns = -1
        self._probe_ns = 0
        self._newest = -1
        self._steps = 0

    @classmethod
    def reachable(cls, config: BoardConfig | None = None) -> tuple[bool, str]:
        """Looks for a table of keys; a machine that is not running can't be seen from here."""
        given = config if isinstance(config, SpinnakerConfig) else SpinnakerConfig()
        if given.table is not None:
            try:
                wiring = Wiring.load(given.table)
            except (OSError, ValueError) as error:
                return False, str(error)
            return True, f"a table of keys for the board at {wiring.board} (not asked whether it answers)"
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((given.listen, given.notify_port))
        except OSError as error:
            return (
                False,
                f"UDP port {given.notify_port} is taken ({error.strerror}): another bridge listens there",
            )
        return True, (
            f"the emulator; a board once its script runs and tells UDP port {given.notify_port} (none was ever tried)"
        )

    def connect(self) -> None:
        """Open the sockets."""
        self.close()
        try:
            self._live = self._open(self.config.output_port)
            if self.config.table is None:
                self._notify = self._open(self.config.notify_port)
        except OSError:
            self.close()
            raise

    def _open(self, port: int) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        opened.setblocking(False)
        try:
            opened.bind((self.config.listen, port))
        except OSError as error:
            opened.close()
            raise OSError(f"UDP port {port} of {self.config.listen}: {error.strerror}") from None
        return opened

    def load(self, network: Network) -> None:
        """Fix which network it is, and thereby its inputs and outputs; the script has loaded it, or will."""
        self.form = form = spinnaker_form(with_echo(network), self.config.dt)
        self.inputs = layout(**{p.name: p.size for p in form.inputs if p.name != INPUT})
        self.outputs = layout(**{p.name: p.size for p in form.outputs if p.name != OUTPUT})
        self._input_place = _places(form.inputs, self.inputs)
        self._echo_first = next(p.first for p in form.inputs if p.name == INPUT)

    def start(self) -> None:
        """Wait for the script's start; TimeoutError (an OSError) where it does not come."""
        if self._live is None or self.form is None:
            raise ValueError("SpiNNaker: connect and load before start")
        self._wanted = True
        if self.config.table is not None:
            self._wire(Wiring.load(self.config.table))
        end = time.monotonic() + self.config.start_timeout
        while not self._running:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"SpiNNaker: no start within {self.config.start_timeout:g} s; is the exported script running, and "
                    f"does it know this host and UDP port {self.config.notify_port}?"
                )
            self.receive()
            time.sleep(0.002)

    def stop(self) -> None:
        """Send and take no more spikes; the machine itself is the script's."""
        self._wanted = self._running = False

    def close(self) -> None:
        """Close the sockets."""
        self.stop()
        for opened in (self._live, self._notify):
            if opened is not None:
                opened.close()
        self._live = self._notify = None
        self.wiring = None
        self._tagged = False

    # -- sending -------------------------------------------------------------------------------------------------

    def send(self, train: SpikeTrain) -> None:
        """Send spikes, at once; nothing is sent before the start."""
        if train.size != sum(p.size for p in self.inputs):
            raise ValueError(f"SpiNNaker: spikes of {train.size} neurons, expected {self.inputs}")
        if not self._running:
            return
        atoms = self._input_place[train.neuron]
        self._sent += atoms.size
        if self.config.stepped:
            # a probe ends each tick
            self._steps += 1
            atoms = np.append(atoms, self._echo_first + self._probes.send(time.monotonic_ns()))
        self._send_atoms(atoms)

    def _send_atoms(self, atoms: np.ndarray) -> None:
        assert self.wiring is not None
        assert self._live is not None
        keys = self._input_keys[atoms]
        x, y, p = self.wiring.core
        header = SdpHeader((x, y, p, 1))
        for first in range(0, keys.size, _MOST_KEYS):
            packet = eieio.DataPacket(Kind.KEY_32, keys[first : first + _MOST_KEYS])
            self._to_board(eieio.encode_sdp(header, packet.encode()))

    def _to_board(self, datagram: bytes) -> None:
        assert self.wiring is not None
        assert self._live is not None
        try:
            self._live.sendto(datagram, (self.wiring.board, self.config.scamp_port))
        except (BlockingIOError, ConnectionRefusedError):
            self._refused["not sent"] += 1  # as lost on the way

    # -- receiving -----------------------------------------------------------------------------------------------

    def receive(self) -> SpikeTrain:
        """What came since the last call. Also keeps up handshake, tag and probes, so it must be called steadily."""
        if self._live is None:
            raise ValueError("SpiNNaker: not connected")
        neurons: list[int] = []
        arrivals: list[int] = []
        echoes = 0
        end = time.monotonic() + 1.0
        while True:
            self._listen()
            echoes += self._drain(neurons, arrivals)
            awaited = self.config.stepped and self._running and self._steps > 1 and not echoes
            if not awaited or time.monotonic() > end:
                break
            select.select([self._live], [], [], 0.05)
        now = time.monotonic_ns()
        if (
            self._running
            and not self.config.stepped
            and now - self._probe_ns >= self.config.probe_period * 1e9
        ):
            self._probe_ns = now
            self._send_atoms(np.array([self._echo_first + self._probes.send(now)]))
        begin = self._last_ns if 0 <= now - self._last_ns < 2**31 else now - 1
        self._last_ns = now
        self._received += len(neurons)
        since = np.clip(np.array(arrivals, np.int64) - begin, 0, now - begin).astype(np.uint32)
        return SpikeTrain(
            begin, max(now - begin, 0) + 1, self.outputs or (Population("none", 0, 1),),
            np.array(neurons, np.uint32), since,
        )  # fmt: skip

    def _drain(self, neurons: list[int], arrivals: list[int]) -> int:
        """Take the packets that wait; returns how many probes came back."""
        assert self._live is not None
        echoes = 0
        for _ in range(_BATCH):
            try:
                data, (host, _port) = self._live.recvfrom(2048)
            except (BlockingIOError, ConnectionRefusedError):
                break
            if self.wiring is None or host != self.wiring.board:
                self._refused["address"] += 1
                continue
            now = time.monotonic_ns()
            if len(data) == 18 and data[2] == 0x07 and self._is_tag_answer(data):
                continue
            try:
                packet = eieio.decode(data)
            except EieioError:
                self._refused["malformed"] += 1
                continue
            if isinstance(packet, Command):
                self._refused["command"] += 1
                continue
            if not self._running:
                self._refused["not running"] += 1
                continue
            atoms = [self._output_atom.get(key, -1) for key in packet.full_keys.tolist()]
            if -1 in atoms:
                self._refused["key"] += 1
                continue
            stamp = self._judge(packet, atoms)
            if stamp is None:
                continue
            self.heard_ns = now
            for atom in atoms:
                place = self._output_place[atom]
                if place >= 0:
                    neurons.append(place)
                    arrivals.append(now)
                else:
                    self._probes.back(atom - self._echo_at, now, stamp)
                    echoes += 1
        return echoes

    def _judge(self, packet: eieio.DataPacket, atoms: list[int]) -> float | None:
        """The packet's time on the board in s (NaN without a stamp), or None for one to ignore."""
        if not packet.is_time or not atoms:
            return math.nan
        if packet.payloads is not None:
            stamps = (packet.payloads | np.uint32(packet.payload_base or 0)).tolist()
        elif packet.payload_base is not None:
            stamps = [packet.payload_base] * len(atoms)
        else:
            return math.nan
        bits = 32 if packet.kind.wide else 16
        # serial numbers: half of all are behind
        if self._newest >= 0 and (min(stamps) - self._newest) % (1 << bits) >= 1 << (bits - 1):
            self._refused["out of order"] += 1
            return None
        spikes = set(zip(atoms, stamps, strict=True))
        if len(spikes) != len(atoms) or any(self._last_time[a] == t for a, t in spikes):
            self._refused["repeated"] += 1
            return None
        for atom, stamp in zip(atoms, stamps, strict=True):
            self._last_time[atom] = stamp
        self._newest = max(stamps)
        return self._newest * (self.wiring.time_step if self.wiring else 1e-3)

    # -- handshake -----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Follow what the script says, and keep the tag set."""
        while self._notify is not None:
            try:
                data, sender = self._notify.recvfrom(4096)
            except (BlockingIOError, ConnectionRefusedError):
                break
            try:
                packet = eieio.decode(data)
            except EieioError:
                self._refused["notification"] += 1
                continue
            if isinstance(packet, Command):
                self._obey(packet, sender)
            else:
                self._refused["notification"] += 1
        if self.wiring is None:
            return
        now = time.monotonic()
        answered = self._tag_answered >= self._tag_sent
        wait = self.config.tag_period if answered else _TAG_RETRY
        if now - self._tag_sent >= wait:
            self._tag_sent = now
            self._sequence = (self._sequence + 1) & 0xFFFF
            tag = IpTagSet(self.wiring.tag, self.wiring.chip, sequence=self._sequence)
            self._to_board(tag.encode())

    def _obey(self, command: Command, sender: tuple[str, int]) -> None:
        if command.code == CommandCode.DATABASE:
            assert self.form is not None
            try:
                wiring = read_database(command.data.decode(), self._labels())
                self._toolchain = sender
                self._wire(wiring)
            except (WiringError, UnicodeDecodeError):
                self._refused["database"] += 1
        elif command.code == CommandCode.START_RESUME and self.wiring is not None:
            self._begin()
        elif command.code == CommandCode.STOP_PAUSE:
            self._running = False
        else:
            self._refused["notification"] += 1

    def _labels(self) -> list[str]:
        assert self.form is not None
        return [self.form.output_of[p.name] for p in self.form.outputs]

    def _wire(self, wiring: Wiring) -> None:
        """Take in where the network lies; then the tag is set, and its answer lets the script go on."""
        assert self.form is not None
        labels = self._labels()
        sizes = {p.name: p.size for p in self.form.populations}
        wanted = sum(p.size for p in self.form.inputs)
        if len(wiring.input_keys) != wanted:
            raise WiringError(f"the machine has {len(wiring.input_keys)} live inputs, the network {wanted}")
        for label in labels:
            if len(wiring.output_keys.get(label, ())) != sizes[label]:
                raise WiringError(
                    f"the machine has {len(wiring.output_keys.get(label, ()))} keys for {label!r} of {sizes[label]}"
                )
        self._running = self._tagged = False
        self._tag_sent = -math.inf
        self._input_keys = np.array(wiring.input_keys, np.uint32)
        every = [key for label in labels for key in wiring.output_keys[label]]
        self._output_atom = {key: atom for atom, key in enumerate(every)}
        self._output_place = _places(self.form.outputs, self.outputs, missing=-1).tolist()
        self._echo_at = next(p.first for p in self.form.outputs if p.name == OUTPUT)
        self._last_time = [-1] * len(every)
        self._newest = -1
        self._probes.forget()
        self.wiring = wiring

    def _is_tag_answer(self, data: bytes) -> bool:
        try:
            result, sequence = eieio.decode_scp_answer(data)
        except EieioError:
            return False
        if sequence != self._sequence:
            self._refused["answer"] += 1
            return True
        if result != eieio.ScpCode.OK:
            self._refused["tag"] += 1
            return True
        self._tag_answered = time.monotonic()
        if not self._tagged:
            self._tagged = True
            if self._toolchain is not None and self._notify is not None:
                self._notify.sendto(Command(CommandCode.DATABASE).encode(), self._toolchain)
            if self.config.table is not None:
                self._begin()
        return True

    def _begin(self) -> None:
        self._running = self._wanted
        self._newest = -1
        self._last_time = [-1] * len(self._last_time)
        self._steps = 0
        self._probes.forget()

    # -- health --------------------------------------------------------------------------------------------------

    def health(self) -> Health:
        """How it does."""
        way, slow = self._probes.ways
        silent = (time.monotonic_ns() - self.heard_ns) * 1e-9 if self.heard_ns >= 0 else math.inf
        return Health(
            self._running, silent, way, slow, self._probes.offset, self._probes.loss, self._sent, self._received,
            dict(self._refused),
        )  # fmt: skip


BOARD = SpinnakerBoard


def _places(
    every: tuple[Population, ...], own: tuple[Population, ...], missing: int | None = None
) -> np.ndarray:
    """For each neuron of the layout `own` its place in `every`, or, with `missing`, the other way round."""
    first = {p.name: p.first for p in (every if missing is None else own)}
    parts = []
    for p in own if missing is None else every:
        at = first.get(p.name)
        parts.append(np.arange(p.size) + at if at is not None else np.full(p.size, missing))
    return np.concatenate(parts).astype(np.int64)


def emulated_config(stepped: bool = False) -> SpinnakerConfig:
    """A config for an emulator of its own on this machine, on UDP ports that are free now."""
    ports = []
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            free = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    return SpinnakerConfig(
        stepped=stepped, listen="127.0.0.1", notify_port=ports[0], output_port=ports[1], scamp_port=ports[2]
    )


def emulator_command(network_file: Path, config: SpinnakerConfig) -> list[str]:
    """The command that runs our emulator for a board's network file, such that a board of this config finds it."""
    host = "127.0.0.1" if config.listen in ("", "0.0.0.0") else config.listen
    command = [sys.executable, "-m", "firmware_bridge.boards.spinnaker_emulator", str(network_file)]
    command += ["--notify", f"{host}:{config.notify_port}", "--output", f"{host}:{config.output_port}"]
    command += ["--port", str(config.scamp_port)]
    return command + (["--stepped"] if config.stepped else [])
