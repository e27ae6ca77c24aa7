"""A SpiNNaker machine in software: sPyNNaker's wire on UDP, and behind it the network, run by the numba engine.

It plays both parts that a host meets: the script (database, start, stop) and the board (tags, live input and output).
It computes as `snn.backends.spinnaker` says that the machine would; chips, routing and their timing are not emulated.

    python -m firmware_bridge.boards.spinnaker_emulator NETWORK.nir
"""

from __future__ import annotations

import argparse
import contextlib
import select
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from firmware_bridge.boards import eieio
from firmware_bridge.boards.board import Traffic
from firmware_bridge.boards.echo import INPUT, OUTPUT, with_echo
from firmware_bridge.boards.eieio import CommandCode, EieioCommand, EieioError, Kind, ScpCode
from firmware_bridge.boards.spinnaker_wiring import Wiring, write_database
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends.spinnaker import SpinnakerForm, spinnaker_form

Address = tuple[str, int]

CORE = (0, 0, 5)
TAG = 1
MOST_BEHIND = 20  # ticks that are made up for; what is later is missed
_NOTIFY_WAIT = 10.0  # s for the database to be read
_MOST_KEYS = eieio.most_elements(Kind.KEY_32, payload_base=True)


class EmulatedScript:
    """The script's part: it tells a program of its database, of start and of stop, from a socket of its own."""

    def __init__(self, program: Address) -> None:
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="hybrid-control-spinnaker-")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def close(self) -> None:
        """Close the socket and remove the database."""
        self.socket.close()
        self._folder.cleanup()

    def tell(self, code: CommandCode) -> None:
        """Tell of start or stop."""
        self.socket.sendto(EieioCommand(code).encode(), self._program)

    def announce(self, wiring: Wiring, wait: Callable[[], None], traffic: Traffic) -> None:
        """Write the database and say where it is until somebody has read it, with a `wait` between looks."""
        path = Path(self._folder.name) / "input_output_database.sqlite3"
        write_database(path, wiring)
        self.socket.connect(self._program)  # so that a port where nobody listens is told of
        said = -_NOTIFY_WAIT
        message = EieioCommand(CommandCode.DATABASE, str(path).encode()).encode()
        while True:
            now = time.monotonic()
            try:
                if now - said >= _NOTIFY_WAIT:
                    self.socket.send(message)
                    said = now
                if self.socket.recv(2048) == EieioCommand(CommandCode.DATABASE).encode():
                    return
                traffic.refused["notification"] += 1
            except ConnectionRefusedError:
                said = now - _NOTIFY_WAIT + 0.2
            except BlockingIOError:
                wait()


class EmulatedNetwork:
    """The network behind its keys, run by the numba engine in sPyNNaker's scheme."""

    def __init__(self, form: SpinnakerForm, wiring: Wiring) -> None:
        self.engine = Engine(form.network(), scheme="exponential")
        self._atom_of = {key: atom for atom, key in enumerate(wiring.input_keys)}
        self._inputs = [(p.first, self.engine.input(p.name)) for p in form.inputs]
        self._counts = np.zeros(sum(p.size for p in form.inputs), np.float32)
        echo = next((p for p in form.inputs if p.name == INPUT), None)
        self._echo = range(echo.first, echo.first + echo.size) if echo else range(0)
        self._outputs = [
            (self.engine.spikes(p), np.array(keys, np.uint32)) for p, keys in wiring.output_keys.items()
        ]

    def atoms(self, packet: eieio.DataPacket) -> np.ndarray:
        """What a ReverseIPTagMulticastSource makes of a packet: the atom of each key, -1 for none.

        16-bit keys without a prefix are atoms; payloads go on to the network's routers, where nothing takes them.
        """
        if packet.kind in (Kind.KEY_16, Kind.KEY_PAYLOAD_16) and packet.prefix is None:
            atoms = packet.keys.astype(np.int64)
            return np.where(atoms < self._counts.size, atoms, -1)
        return np.array([self._atom_of.get(key, -1) for key in packet.full_keys.tolist()], np.int64)

    def take(self, atoms: np.ndarray) -> bool:
        """Spikes of live input in this tick; whether a probe is among them."""
        np.add.at(self._counts, atoms, 1.0)
        return bool(self._echo) and any(int(a) in self._echo for a in atoms)

    def step(self) -> np.ndarray:
        """One step of 1 ms: the keys that spiked, (k,)."""
        for first, view in self._inputs:
            view[...] = self._counts[first : first + view.size]
        self._counts[:] = 0.0
        self.engine.step()
        return np.concatenate([keys[spikes != 0.0] for spikes, keys in self._outputs])


class SpinnakerEmulator:
    """The emulated machine. Use as a context manager, then `run`.

    network: as `Board.load` gets it, without the echo. board: where it is, as a board's Ethernet chip would be, port 0
    for any; notify: the program that is told of the database; output: where live output goes until a tag is set.
    stepped: a tick for each probe that comes, in place of one each ms of the wall clock. latency: ticks by which output
    is held back.
    """

    def __init__(
        self,
        network: Network | SpinnakerForm,
        board: Address = ("127.0.0.2", eieio.SCAMP_PORT),
        notify: Address = ("127.0.0.1", eieio.NOTIFY_PORT),
        output: Address = ("127.0.0.1", eieio.LIVE_OUTPUT_PORT),
        *,
        stepped: bool = False,
        latency: int = 0,
    ) -> None:
        self.form = network if isinstance(network, SpinnakerForm) else spinnaker_form(with_echo(network))
        self.stepped, self.latency = stepped, latency
        self.traffic = Traffic()
        self.ticks = self.missed = self.tags_set = 0
        self.script = EmulatedScript(notify)
        self._target = output
        self._board = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._board.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._board.setblocking(False)
        try:
            self._board.bind(board)
        except OSError as error:
            self.close()
            raise OSError(f"UDP port {board[1]} of {board[0]}: {error.strerror}") from None
        self.address: Address = self._board.getsockname()
        self.wiring = _wiring(self.form, self.address[0], output)
        self.network = EmulatedNetwork(self.form, self.wiring)
        self._held: deque[list[bytes]] = deque()

    def __enter__(self) -> SpinnakerEmulator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets and remove the database."""
        self._board.close()
        self.script.close()

    def run(self, seconds: float = float("inf")) -> None:
        """Tell of the database, start, tick for so many seconds or until KeyboardInterrupt, and tell of the stop."""
        try:
            self.announce()
            self.script.tell(CommandCode.START_RESUME)
            if self.stepped:
                self._run_stepped(seconds)
            else:
                self._run_paced(seconds)
        finally:
            with contextlib.suppress(OSError):
                self.script.tell(CommandCode.STOP_PAUSE)

    def announce(self) -> None:
        """Tell of the database until somebody has read it; tags are set meanwhile."""
        self.script.announce(self.wiring, self._wait, self.traffic)

    def _wait(self) -> None:
        select.select([self._board, self.script.socket], [], [], 0.05)
        self.take()

    def _run_paced(self, seconds: float) -> None:
        period = 1e-3
        begun = due = time.monotonic()
        while due - begun < seconds:
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -MOST_BEHIND * period:
                lost = int(-wait / period)
                self.missed += lost
                due += lost * period
            self.take()
            self.tick()
            due += period

    def _run_stepped(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            select.select([self._board], [], [], 0.5)
            self.take()

    def take(self) -> None:
        """Take in what has come; in stepped mode a probe makes a tick."""
        while True:
            try:
                data, sender = self._board.recvfrom(2048)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self.handle(data, sender)

    def handle(self, datagram: bytes, sender: Address) -> None:
        """Take in one datagram; what can't be used is counted."""
        try:
            header, content = eieio.decode_sdp(datagram)
            if header.destination[2:] == (0, 0):
                self._manage(header, content, sender)
            elif header.destination[:3] == CORE:
                self._live_input(content)
            else:
                self.traffic.refused["place"] += 1
        except EieioError:
            self.traffic.refused["malformed"] += 1

    def _manage(self, header: eieio.SdpHeader, content: bytes, sender: Address) -> None:
        """Answer what the monitor processor is asked: to set a tag."""
        sequence = int.from_bytes(content[2:4], "little")
        try:
            tag = eieio.decode_iptag(header, content)
        except EieioError:
            self.traffic.refused["request"] += 1
            self._send(eieio.scp_answer(header, sequence, ScpCode.BAD_COMMAND), sender)
            return
        if tag.tag != TAG:
            self.traffic.refused["request"] += 1
            self._send(eieio.scp_answer(header, sequence, ScpCode.BAD_ARGUMENT), sender)
            return
        self._target = sender if tag.use_sender else (".".join(str(b) for b in tag.host), tag.port)
        self.tags_set += 1
        self._send(eieio.scp_answer(header, sequence), sender)

    def _live_input(self, content: bytes) -> None:
        packet = eieio.decode(content)
        if isinstance(packet, EieioCommand):
            self.traffic.refused["command"] += 1
            return
        atoms = self.network.atoms(packet)
        known = atoms[atoms >= 0]
        if known.size != atoms.size:
            self.traffic.refused["key"] += 1
        self.traffic.received += known.size
        if self.network.take(known) and self.stepped:
            self.tick()

    def tick(self) -> None:
        """One step of 1 ms, and its spikes on their way."""
        keys = self.network.step()
        self._held.append(
            [
                eieio.DataPacket(
                    Kind.KEY_32, keys[i : i + _MOST_KEYS], payload_base=self.ticks & 0xFFFFFFFF, is_time=True
                ).encode()
                for i in range(0, keys.size, _MOST_KEYS)
            ]
        )
        self.ticks += 1
        self.traffic.sent += keys.size
        if len(self._held) > self.latency:
            for packet in self._held.popleft():
                self._send(packet, self._target)

    def _send(self, datagram: bytes, to: Address) -> None:
        try:
            self._board.sendto(datagram, to)
        except OSError:  # a full queue, or a tag that leads to a place that there is not
            self.traffic.refused["not sent"] += 1


def _wiring(form: SpinnakerForm, board: str, output: Address) -> Wiring:
    """Keys as sPyNNaker hands them out, a block for each population; those of the echo last."""
    block = 0x10000
    live = sum(p.size for p in form.inputs)
    names = sorted((p.name for p in form.outputs), key=lambda name: (name == OUTPUT, name))
    sizes = {p.name: p.size for p in form.populations}
    keys = {}
    for number, name in enumerate(names, start=2):
        population = form.output_of[name]
        keys[population] = tuple(number * block + i for i in range(sizes[population]))
    return Wiring(board, CORE, TAG, (0, 0), *output, tuple(block + i for i in range(live)), keys)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected HOST:PORT")
    return host, int(port)


def main() -> int:
    """The program; ends at SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("network", type=Path, help="NIR file of a network whose inputs are all spikes")
    add(
        "--board",
        default="127.0.0.2",
        help="address of this machine that stands for the board's (%(default)s)",
    )
    add("--port", type=int, default=eieio.SCAMP_PORT, help="the board's port (%(default)s)")
    add(
        "--notify",
        type=_address,
        default=("127.0.0.1", eieio.NOTIFY_PORT),
        help="who is told of the database",
    )
    add(
        "--output",
        type=_address,
        default=("127.0.0.1", eieio.LIVE_OUTPUT_PORT),
        help="where live output goes first",
    )
    add("--stepped", action="store_true", help="a tick for each probe, for lock step")
    add("--latency", type=int, default=0, help="ticks by which output is held back (0)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        emulator = SpinnakerEmulator(
            Network.load(arguments.network), (arguments.board, arguments.port), arguments.notify, arguments.output,
            stepped=arguments.stepped, latency=arguments.latency,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        print(f"spinnaker_emulator: {error}", file=sys.stderr)
        return 2
    with emulator:
        emulator.network.engine.step()  # compiled before it counts
        emulator.network.engine.reset()
        print(f"emulated SpiNNaker board at {emulator.address[0]}:{emulator.address[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            emulator.run()
    traffic = emulator.traffic
    counts = f"spikes {traffic.received} in, {traffic.sent} out, refused {dict(traffic.refused)}"
    print(f"{emulator.ticks} ticks, {emulator.missed} missed, {counts}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
