"""A SpiNNaker board, or our emulator of one, as a Board: the host's side of sPyNNaker's live input and output.

The machine itself is loaded by sPyNNaker, with the script that `spinnaker_export` writes; this is the program beside it
that the script tells where its network lies. Tested against SpiNNFrontEndCommon and SpiNNMan; never on a board.

EIEIO has no sequence numbers. What can be told is told by the time stamps of live output: a packet that is older
than the newest one is out of order, one that has a neuron spike again in the same tick is a repetition, and both are
ignored. Packets without time stamps are all taken.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_bridge.boards import eieio
from firmware_bridge.boards.board import Board, BoardConfig, Health
from firmware_bridge.boards.echo import INPUT, OUTPUT, Probes, with_echo
from firmware_bridge.boards.eieio import CommandCode, EieioCommand, EieioError, IpTagSet, Kind, SdpHeader
from firmware_bridge.boards.spinnaker_wiring import KeyMap, Wiring, WiringError, read_database
from hybrid_control.signals import SpikeTrain, layout
from hybrid_control.snn import Network
from hybrid_control.snn.backends.spinnaker import CAPABILITIES, SpinnakerForm, spinnaker_form

_TAG_RETRY = 0.5  # s
_BATCH = 4096  # most packets taken by one `receive`
_BUFFER = 4 << 20  # bytes of the sockets' queues, as far as the system gives them
_MOST_KEYS = eieio.most_elements(Kind.KEY_32)


@dataclass(frozen=True)
class SpinnakerConfig(BoardConfig):
    """Where the machine's programs are met.

    listen: address of this host for both sockets; for a board on a network, this host's there. notify_port: where the
    script tells of its database; output_port: for live output, 0 for any. table: a JSON table of keys of a machine that
    runs already, in place of the database. tag_period: s after which the tag is set again.
    """

    listen: str = "127.0.0.1"
    notify_port: int = eieio.NOTIFY_PORT
    output_port: int = eieio.LIVE_OUTPUT_PORT
    scamp_port: int = eieio.SCAMP_PORT
    table: Path | None = None
    tag_period: float = 10.0


class _Refused(Exception):
    """What came is ignored; counted by its reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Script:
    """The exported script on its host: it tells of its database, of start and stop, and waits for an answer.

    sender: where the database that holds came from, None before that.
    """

    def __init__(self, notify: socket.socket, refused: Counter[str]) -> None:
        self._notify, self._refused = notify, refused
        self.sender: tuple[str, int] | None = None

    def commands(self) -> Iterator[tuple[EieioCommand, tuple[str, int]]]:
        """What came since the last call, and from where."""
        while True:
            try:
                data, sender = self._notify.recvfrom(4096)
            except (BlockingIOError, ConnectionRefusedError):
                return
            try:
                packet = eieio.decode(data)
            except EieioError:
                packet = None
            if isinstance(packet, EieioCommand):
                yield packet, sender
            else:
                self._refused["notification"] += 1

    def confirm(self) -> None:
        """Its database was read."""
        if self.sender is not None:
            self._notify.sendto(EieioCommand(CommandCode.DATABASE).encode(), self.sender)

    def close(self) -> None:
        """Listen no more."""
        self._notify.close()


class _Tag:
    """The tag of the live output: it is set anew every `period` s, and again until the board answers."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._sequence = 0
        self._sent = self._answered = -math.inf
        self._is_set = False

    def forget(self) -> None:
        """The board knows of no tag."""
        self._sent = -math.inf
        self._is_set = False

    def request(self, wiring: Wiring) -> bytes | None:
        """The datagram that is due now, if any."""
        now = time.monotonic()
        if now - self._sent < (self._period if self._answered >= self._sent else _TAG_RETRY):
            return None
        self._sent = now
        self._sequence = (self._sequence + 1) & 0xFFFF
        return IpTagSet(wiring.tag, wiring.chip, sequence=self._sequence).encode()

    def answer(self, result: int, sequence: int) -> bool:
        """Take the board's answer; whether the tag is set for the first time. _Refused where it is not."""
        if sequence != self._sequence:
            raise _Refused("answer")
        if result != eieio.ScpCode.OK:
            raise _Refused("tag")
        self._answered = time.monotonic()
        first, self._is_set = not self._is_set, True
        return first


class _Stamps:
    """What the time stamps of live output tell: packets that come late, spikes that come twice. newest: ticks."""

    def __init__(self, atoms: int = 0) -> None:
        self.newest = -1
        self._last = [-1] * atoms

    def check(self, packet: eieio.DataPacket, atoms: list[int]) -> float:
        """The packet's time on the board in ticks, NaN without a stamp; _Refused for one to ignore."""
        payloads = packet.full_payloads
        if not packet.is_time or not atoms or payloads is None:
            return math.nan
        stamps = payloads.tolist()
        bits = 32 if packet.kind.wide else 16
        # serial numbers: half of all are behind
        if self.newest >= 0 and (min(stamps) - self.newest) % (1 << bits) >= 1 << (bits - 1):
            raise _Refused("out of order")
        spikes = set(zip(atoms, stamps, strict=True))
        if len(spikes) != len(atoms) or any(self._last[a] == t for a, t in spikes):
            raise _Refused("repeated")
        for atom, stamp in zip(atoms, stamps, strict=True):
            self._last[atom] = stamp
        self.newest = max(stamps)
        return self.newest


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
        self._live: socket.socket | None = None
        self._script: _Script | None = None
        self._map: KeyMap | None = None  # once it is known where the network lies
        self._tag = _Tag(self.config.tag_period)
        self._stamps = _Stamps()
        self._probes = Probes()
        self._running = self._wanted = False
        self._steps = 0

    @property
    def wiring(self) -> Wiring | None:
        """Where the network lies, None before that is known."""
        return self._map.wiring if self._map is not None else None

    @classmethod
    def reachable(cls, config: BoardConfig | None = None) -> tuple[bool, str]:
        """Looks for a table of keys; a machine that is not running can't be seen from here."""
        config = config if isinstance(config, SpinnakerConfig) else SpinnakerConfig()
        if config.table is not None:
            try:
                wiring = Wiring.load(config.table)
            except (OSError, ValueError) as error:
                return False, str(error)
            return True, f"a table of keys for the board at {wiring.board} (not asked whether it answers)"
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((config.listen, config.notify_port))
        except OSError as error:
            return (
                False,
                f"UDP port {config.notify_port} is taken ({error.strerror}): another bridge listens there",
            )
        return True, (
            f"the emulator; a board once its script runs and tells UDP port {config.notify_port} (none was ever tried)"
        )

    def connect(self) -> None:
        """Open the sockets."""
        self.close()
        try:
            self._live = self._open(self.config.output_port)
            if self.config.table is None:
                self._script = _Script(self._open(self.config.notify_port), self.traffic.refused)
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
        for opened in (self._live, self._script):
            if opened is not None:
                opened.close()
        self._live = self._script = self._map = None

    # -- sending -------------------------------------------------------------------------------------------------

    def send(self, train: SpikeTrain) -> None:
        """Send spikes, at once; nothing is sent before the start."""
        if train.size != sum(p.size for p in self.inputs):
            raise ValueError(f"SpiNNaker: spikes of {train.size} neurons, expected {self.inputs}")
        if not self._running or self._map is None:
            return
        keys = self._map.keys(train.neuron)
        self.traffic.sent += keys.size
        if self.config.stepped:
            # a probe ends each tick
            self._steps += 1
            keys = np.append(keys, self._map.probe_key(self._probes.send(time.monotonic_ns())))
        self._send_keys(keys)

    def _send_keys(self, keys: np.ndarray) -> None:
        assert self._map is not None
        header = SdpHeader((*self._map.wiring.core, 1))
        for first in range(0, keys.size, _MOST_KEYS):
            packet = eieio.DataPacket(Kind.KEY_32, keys[first : first + _MOST_KEYS])
            self._to_board(eieio.encode_sdp(header, packet.encode()))

    def _to_board(self, datagram: bytes) -> None:
        assert self._map is not None
        assert self._live is not None
        try:
            self._live.sendto(datagram, (self._map.wiring.board, self.config.scamp_port))
        except (BlockingIOError, ConnectionRefusedError):
            self.traffic.refused["not sent"] += 1  # as lost on the way

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
            self._follow_script()
            echoes += self._drain(neurons, arrivals)
            awaited = self.config.stepped and self._running and self._steps > 1 and not echoes
            if not awaited or time.monotonic() > end:
                break
            select.select([self._live], [], [], 0.05)
        now = time.monotonic_ns()
        due = now - self._probes.sent_ns >= self.config.probe_period * 1e9
        if self._running and not self.config.stepped and due and self._map is not None:
            self._send_keys(self._map.probe_key(self._probes.send(now)))
        return self._arrived(neurons, arrivals)

    def _drain(self, neurons: list[int], arrivals: list[int]) -> int:
        """Take the packets that wait; returns how many probes came back."""
        assert self._live is not None
        echoes = 0
        for _ in range(_BATCH):
            try:
                data, (host, _port) = self._live.recvfrom(2048)
            except (BlockingIOError, ConnectionRefusedError):
                break
            try:
                echoes += self._take(data, host, neurons, arrivals)
            except _Refused as refused:
                self.traffic.refused[refused.reason] += 1
        return echoes

    def _take(self, data: bytes, host: str, neurons: list[int], arrivals: list[int]) -> int:
        """Take one packet; returns how many probes are in it. _Refused where it is none for us."""
        if self._map is None or host != self._map.wiring.board:
            raise _Refused("address")
        now = time.monotonic_ns()
        if len(data) == 18 and data[2] == 0x07:
            with contextlib.suppress(EieioError):  # then it is no answer
                if self._tag.answer(*eieio.decode_scp_answer(data)):
                    self._tag_set()
                return 0
        try:
            packet = eieio.decode(data)
        except EieioError:
            raise _Refused("malformed") from None
        if isinstance(packet, EieioCommand):
            raise _Refused("command")
        if not self._running:
            raise _Refused("not running")
        atoms = self._map.output_atoms(packet.full_keys)
        if -1 in atoms:
            raise _Refused("key")
        stamp = self._stamps.check(packet, atoms) * self._map.wiring.time_step
        self.heard_ns = now
        echoes = 0
        for atom in atoms:
            neuron = self._map.neuron(atom)
            if neuron >= 0:
                neurons.append(neuron)
                arrivals.append(now)
            else:
                self._probes.back(self._map.channel(atom), now, stamp)
                echoes += 1
        return echoes

    # -- handshake -----------------------------------------------------------------------------------------------

    def _follow_script(self) -> None:
        """Do what the script says, and keep the tag set."""
        if self._script is not None:
            for command, sender in self._script.commands():
                self._obey(self._script, command, sender)
        if self._map is not None:
            request = self._tag.request(self._map.wiring)
            if request is not None:
                self._to_board(request)

    def _obey(self, script: _Script, command: EieioCommand, sender: tuple[str, int]) -> None:
        another = sender != script.sender
        held = self._running and not self.silent  # a machine that runs is not handed to somebody else
        if another and (held or command.code != CommandCode.DATABASE):
            self.traffic.refused["address"] += 1
        elif command.code == CommandCode.DATABASE:
            assert self.form is not None
            try:
                labels = [self.form.output_of[p.name] for p in self.form.outputs]
                self._wire(read_database(command.data.decode(), labels))
                script.sender = sender
            except (WiringError, UnicodeDecodeError):
                self.traffic.refused["database"] += 1
        elif command.code == CommandCode.START_RESUME and self._map is not None:
            self._begin()
        elif command.code == CommandCode.STOP_PAUSE:
            self._running = False
        else:
            self.traffic.refused["notification"] += 1

    def _wire(self, wiring: Wiring) -> None:
        """Take in where the network lies; then the tag is set, and its answer lets the script go on."""
        assert self.form is not None
        _check_reach(self.config.listen, wiring.board)
        self._map = KeyMap(self.form, wiring, self.inputs, self.outputs)
        self._running = False
        self._tag.forget()
        self._stamps = _Stamps(self._map.atoms)
        self._probes.forget()

    def _tag_set(self) -> None:
        """The board has the tag: the script may go on, and a machine that runs already is ours."""
        if self._script is not None:
            self._script.confirm()
        if self.config.table is not None:
            self._begin()

    def _begin(self) -> None:
        assert self._map is not None
        self._running = self._wanted
        self._stamps = _Stamps(self._map.atoms)
        self._steps = 0
        self._probes.forget()

    # -- health --------------------------------------------------------------------------------------------------

    def health(self) -> Health:
        """How it does."""
        way, slow = self._probes.ways
        return Health(
            self._running, self.silent_for, way, slow, self._probes.offset, self._probes.loss, self.traffic.sent,
            self.traffic.received, dict(self.traffic.refused),
        )  # fmt: skip


def _check_reach(listen: str, board: str) -> None:
    """OSError where a socket of this computer alone can't reach a board on a network."""
    try:
        here, there = (ipaddress.ip_address(address) for address in (listen, board))
    except ValueError:
        return  # a name
    if here.is_loopback and not there.is_loopback:
        raise OSError(f"SpiNNaker: the board is at {board}, and listen={listen} is this computer alone")


BOARD = SpinnakerBoard


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
