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
from collections import Counter, deque
from pathlib import Path

import numpy as np

from firmware_bridge.boards import eieio
from firmware_bridge.boards.echo import INPUT, OUTPUT, with_echo
from firmware_bridge.boards.eieio import Command, CommandCode, EieioError, Kind, ScpCode
from firmware_bridge.boards.spinnaker_wiring import Wiring, find, neurons_by_key, write_database
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends.spinnaker import SpinnakerForm, spinnaker_form

Address = tuple[str, int]

CORE = (0, 0, 5)
TAG = 1
MOST_BEHIND = 20  # ticks that are made up for; what is later is missed
_NOTIFY_WAIT = 10.0  # s for the database to be read
_MOST_KEYS = eieio.most_elements(Kind.KEY_32, payload_base=True)


class Emulator:
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
        self.engine = Engine(self.form.network(), scheme="exponential")
        self.stepped, self.latency = stepped, latency
        self.refused: Counter[str] = Counter()
        self.ticks = self.missed = self.received = self.sent = self.tags_set = 0
        self.running = False
        self._target = self._default = output
        self._notify_address = notify
        self._folder = tempfile.TemporaryDirectory(prefix="hybrid-control-spinnaker-")
        self._board = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._board.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._notify = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._board.bind(board)
        except OSError as error:
            self.close()
            raise OSError(f"UDP port {board[1]} of {board[0]}: {error.strerror}") from None
        self.address: Address = self._board.getsockname()
        self._board.setblocking(False)
        self._notify.setblocking(False)
        self.wiring = self._wire()
        self._table = neurons_by_key(self.wiring.input_keys)
        places = {p.name: p for p in self.form.inputs}
        self._inputs = [(p.first, self.engine.input(p.name)) for p in self.form.inputs]
        self._counts = np.zeros(sum(p.size for p in self.form.inputs), np.float32)
        echo = places.get(INPUT)
        self._echo = range(echo.first, echo.first + echo.size) if echo else range(0)
        self._outputs = [
            (self.engine.spikes(p), np.array(self.wiring.output_keys[p], np.uint32))
            for p in self.wiring.output_keys
        ]
        self._held: deque[list[bytes]] = deque()

    def _wire(self) -> Wiring:
        """Keys as sPyNNaker hands them out, a block for each population; those of the echo last."""
        block = 0x10000
        size = self._size(self.form)
        names = sorted((p.name for p in self.form.outputs), key=lambda name: (name == OUTPUT, name))
        keys = {}
        for number, name in enumerate(names, start=2):
            population = self.form.output_of[name]
            width = next(p.size for p in self.form.populations if p.name == population)
            keys[population] = tuple(number * block + i for i in range(width))
        host, port = self._default
        return Wiring(
            self.address[0], CORE, TAG, (0, 0), host, port, tuple(block + i for i in range(size)), keys
        )  # fmt: skip

    @staticmethod
    def _size(form: SpinnakerForm) -> int:
        return sum(p.size for p in form.inputs)

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets and remove the database."""
        self._board.close()
        self._notify.close()
        self._folder.cleanup()

    # -- the script's part ---------------------------------------------------------------------------------------

    def run(self, seconds: float = float("inf")) -> None:
        """Tell of the database, start, tick for so many seconds or until KeyboardInterrupt, and tell of the stop."""
        path = Path(self._folder.name) / "input_output_database.sqlite3"
        write_database(path, self.wiring)
        try:
            self._announce(path)
            self._tell(CommandCode.START_RESUME)
            self.running = True
            if self.stepped:
                self._run_stepped(seconds)
            else:
                self._run_paced(seconds)
        finally:
            self.running = False
            with contextlib.suppress(OSError):
                self._tell(CommandCode.STOP_PAUSE)

    def _tell(self, code: CommandCode, data: bytes = b"") -> None:
        self._notify.sendto(Command(code, data).encode(), self._notify_address)

    def _announce(self, path: Path) -> None:
        """Say where the database is until somebody has read it; tags are set meanwhile."""
        self._notify.connect(self._notify_address)  # so that a port where nobody listens is told of
        said = -_NOTIFY_WAIT
        message = Command(CommandCode.DATABASE, str(path).encode()).encode()
        while True:
            self.take()
            now = time.monotonic()
            try:
                if now - said >= _NOTIFY_WAIT:
                    self._notify.send(message)
                    said = now
                answer = self._notify.recv(2048)
                if answer == Command(CommandCode.DATABASE).encode():
                    return
                self.refused["notification"] += 1
            except ConnectionRefusedError:
                said = now - _NOTIFY_WAIT + 0.2
            except BlockingIOError:
                select.select([self._board, self._notify], [], [], 0.05)

    # -- the board's part ----------------------------------------------------------------------------------------

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
                self.refused["place"] += 1
        except EieioError:
            self.refused["malformed"] += 1

    def _manage(self, header: eieio.SdpHeader, content: bytes, sender: Address) -> None:
        """Answer what the monitor processor is asked: to set a tag."""
        sequence = int.from_bytes(content[2:4], "little")
        try:
            tag = eieio.decode_iptag(header, content)
        except EieioError:
            self.refused["request"] += 1
            self._send(eieio.scp_answer(header, sequence, ScpCode.BAD_COMMAND), sender)
            return
        if tag.tag != TAG:
            self.refused["request"] += 1
            self._send(eieio.scp_answer(header, sequence, ScpCode.BAD_ARGUMENT), sender)
            return
        self._target = sender if tag.use_sender else (".".join(str(b) for b in tag.host), tag.port)
        self.tags_set += 1
        self._send(eieio.scp_answer(header, sequence), sender)

    def _live_input(self, content: bytes) -> None:
        """What a ReverseIPTagMulticastSource does: each key becomes a spike in this tick.

        16-bit keys without a prefix are atoms; payloads go on to the network's routers, where nothing takes them.
        """
        packet = eieio.decode(content)
        if isinstance(packet, Command):
            self.refused["command"] += 1
            return
        if packet.kind in (Kind.KEY_16, Kind.KEY_PAYLOAD_16) and packet.prefix is None:
            atoms = packet.keys.astype(np.int64)
            atoms = np.where(atoms < self._counts.size, atoms, -1)
        else:
            atoms = find(self._table, packet.full_keys)
        known = atoms[atoms >= 0]
        if known.size != atoms.size:
            self.refused["key"] += 1
        np.add.at(self._counts, known, 1.0)
        self.received += known.size
        if self.stepped and self._echo and any(int(a) in self._echo for a in known):
            self.tick()

    def tick(self) -> None:
        """One step of 1 ms, and its spikes on their way."""
        for first, view in self._inputs:
            view[...] = self._counts[first : first + view.size]
        self._counts[:] = 0.0
        self.engine.step()
        keys = np.concatenate([keys[spikes != 0.0] for spikes, keys in self._outputs])
        self._held.append(
            [
                eieio.DataPacket(
                    Kind.KEY_32, keys[i : i + _MOST_KEYS], payload_base=self.ticks & 0xFFFFFFFF, is_time=True
                ).encode()
                for i in range(0, keys.size, _MOST_KEYS)
            ]
        )
        self.ticks += 1
        self.sent += keys.size
        if len(self._held) > self.latency:
            for packet in self._held.popleft():
                self._send(packet, self._target)

    def _send(self, datagram: bytes, to: Address) -> None:
        try:
            self._board.sendto(datagram, to)
        except (BlockingIOError, ConnectionRefusedError):
            self.refused["not sent"] += 1


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
        emulator = Emulator(
            Network.load(arguments.network), (arguments.board, arguments.port), arguments.notify, arguments.output,
            stepped=arguments.stepped, latency=arguments.latency,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        print(f"spinnaker_emulator: {error}", file=sys.stderr)
        return 2
    with emulator:
        emulator.engine.step()  # compiled before it counts
        emulator.engine.reset()
        print(f"emulated SpiNNaker board at {emulator.address[0]}:{emulator.address[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            emulator.run()
    counts = f"spikes {emulator.received} in, {emulator.sent} out, refused {dict(emulator.refused)}"
    print(f"{emulator.ticks} ticks, {emulator.missed} missed, {counts}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
