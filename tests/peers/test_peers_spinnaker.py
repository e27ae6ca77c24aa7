# ruff: noqa: E402, I001
"""Our SpiNNaker wire against its makers' code: SpiNNMan's codec, SpiNNFrontEndCommon's client, sPyNNaker's mapping.

`scripts/spinnaker.sh` makes the environment. PEERS_SECONDS=60 drives 10,000 packets a second for a minute each way.
"""

import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

spinnman = pytest.importorskip("spinnman", reason="needs sPyNNaker: scripts/spinnaker.sh installs it")

from spinn_front_end_common.utilities.connections import LiveEventConnection
from spinnman.connections.udp_packet_connections import UDPConnection
from spinnman.messages.eieio import EIEIOPrefix, EIEIOType, read_eieio_command_message, read_eieio_data_message
from spinnman.messages.eieio.command_messages import (
    NotificationProtocolDatabaseLocation,
    NotificationProtocolPauseStop,
    NotificationProtocolStartResume,
)
from spinnman.messages.eieio.data_messages import EIEIODataHeader, EIEIODataMessage
from spinnman.messages.scp.impl import IPTagSet
from spinnman.messages.sdp import SDPFlag, SDPHeader

from firmware_bridge.boards import eieio
from firmware_bridge.boards.eieio import EieioCommand, CommandCode, IpTagSet, Kind, SdpHeader, data_packet
from firmware_bridge.boards.spinnaker import SpinnakerBoard, SpinnakerConfig
from firmware_bridge.boards.spinnaker_emulator import SpinnakerEmulator
from firmware_bridge.boards.spinnaker_export import export
from firmware_bridge.boards.spinnaker_wiring import LIVE_INPUT, Wiring
from hybrid_control.snn.backends.split import split
from hybrid_control.navigation.reflex.network import build_network

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]

BOARD = "127.0.0.3"  # our emulator's, at the port that their client has fixed
RATE = 10_000  # packets a second
SECONDS = float(os.environ.get("PEERS_SECONDS", "3"))
TYPES = {
    Kind.KEY_16: EIEIOType.KEY_16_BIT,
    Kind.KEY_PAYLOAD_16: EIEIOType.KEY_PAYLOAD_16_BIT,
    Kind.KEY_32: EIEIOType.KEY_32_BIT,
    Kind.KEY_PAYLOAD_32: EIEIOType.KEY_PAYLOAD_32_BIT,
}
ROOT = Path(__file__).parents[2]


def theirs(packet: eieio.DataPacket) -> EIEIODataMessage:
    """The same packet as SpiNNMan has it."""
    upper = EIEIOPrefix.UPPER_HALF_WORD if packet.upper else EIEIOPrefix.LOWER_HALF_WORD
    header = EIEIODataHeader(
        TYPES[packet.kind], packet.tag, packet.prefix, upper, packet.payload_base, packet.is_time
    )
    message = EIEIODataMessage(header)
    for i, key in enumerate(packet.keys.tolist()):
        if packet.payloads is None:
            message.add_key(key)
        else:
            message.add_key_and_payload(key, int(packet.payloads[i]))
    return message


def elements(message: EIEIODataMessage) -> list[tuple[int, int | None]]:
    found = []
    while message.is_next_element:
        element = message.next_element
        found.append((element.key, getattr(element, "payload", None)))
    return found


def a_packet(r: random.Random) -> eieio.DataPacket:
    kind = r.choice(list(Kind))
    most = 2**32 - 1 if kind.wide else 2**16 - 1
    prefix = r.randrange(2**16) if r.random() < 0.5 else None
    base = r.randint(0, most) if r.random() < 0.5 else None
    count = r.randint(0, min(12, eieio.most_elements(kind, prefix is not None, base is not None)))
    return data_packet(
        kind, [r.randint(0, most) for _ in range(count)],
        [r.randint(0, most) for _ in range(count)] if kind.has_payload else None, prefix=prefix,
        upper=prefix is not None and r.random() < 0.5, payload_base=base, is_time=r.random() < 0.5, tag=r.randrange(4),
    )  # fmt: skip


class TestCodec:
    def test_100000_random_packets_have_the_bytes_that_spinnman_makes_and_the_elements_that_it_reads(self) -> None:
        r = random.Random(20)
        for _ in range(100_000):
            ours = a_packet(r)
            data = ours.encode()
            assert data == theirs(ours).bytestring
            read = elements(read_eieio_data_message(data, 0))
            keys, payloads = ours.full_keys.tolist(), ours.full_payloads
            assert read == list(
                zip(keys, [None] * len(keys) if payloads is None else payloads.tolist(), strict=True)
            )
            assert eieio.decode(data) == ours

    def test_committed_vectors_are_the_bytes_that_spinnman_makes(self) -> None:
        for v in json.loads((ROOT / "tests/boards/data/eieio_vectors.json").read_text()):
            packet = eieio.decode(bytes.fromhex(v["bytes"]))
            assert isinstance(packet, eieio.DataPacket)
            assert theirs(packet).bytestring.hex() == v["bytes"]

    def test_commands_of_the_handshake(self) -> None:
        for ours, of_them in (
            (
                EieioCommand(CommandCode.DATABASE, b"/tmp/a.sqlite3"),
                NotificationProtocolDatabaseLocation("/tmp/a.sqlite3"),
            ),
            (EieioCommand(CommandCode.DATABASE), NotificationProtocolDatabaseLocation()),
            (EieioCommand(CommandCode.START_RESUME), NotificationProtocolStartResume()),
            (EieioCommand(CommandCode.STOP_PAUSE), NotificationProtocolPauseStop()),
        ):
            assert ours.encode() == of_them.bytestring
            if not ours.data:
                assert read_eieio_command_message(ours.encode(), 0).bytestring == of_them.bytestring

    def test_sdp_headers(self) -> None:
        r = random.Random(1)
        for _ in range(2000):
            to, of = ((r.randrange(256), r.randrange(256), r.randrange(32), r.randrange(8)) for _ in range(2))
            tag = r.randrange(256)
            header = SDPHeader(SDPFlag.REPLY_EXPECTED, tag, to[3], to[2], to[0], to[1], of[3], of[2], of[0], of[1])
            assert SdpHeader(to, of, tag, 0x87).encode() == header.bytestring

    def test_ip_tag_requests(self) -> None:
        r = random.Random(2)
        for _ in range(2000):
            x, y, tag, port = r.randrange(256), r.randrange(256), r.randrange(8), r.randrange(65536)
            host = tuple(r.randrange(256) for _ in range(4))
            strip, sender = r.random() < 0.5, r.random() < 0.5
            request = IPTagSet(x, y, list(host), port, tag, strip=strip, use_sender=sender)
            request.sdp_header.update_for_send(x, y)
            ours = IpTagSet(tag, (x, y), host, port, strip, sender)  # type: ignore[arg-type]
            assert ours.encode() == b"\0\0" + request.bytestring


def network():
    return split(build_network()).board


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Client:
    """Their client, connected to an emulator that runs in a thread."""

    def __init__(self, emulator: SpinnakerEmulator, port: int, outputs: list[str]) -> None:
        self.events: list[tuple[str, int | None, int, int]] = []  # label, time, atom or payload, when
        self.started, self.paused = threading.Event(), threading.Event()
        self.connection = LiveEventConnection("LiveSpikeReceiver", outputs, [LIVE_INPUT], local_port=port)
        for label in outputs:
            self.connection.add_receive_callback(label, self.on_time)
            self.connection.add_receive_no_time_callback(label, self.on_event)
        self.connection.add_start_resume_callback(LIVE_INPUT, lambda *_: self.started.set())
        self.connection.add_pause_stop_callback(LIVE_INPUT, lambda *_: self.paused.set())
        self.emulator = emulator

    def on_time(self, label: str, when: int, atoms: list[int]) -> None:
        now = time.monotonic_ns()
        self.events += [(label, when, atom, now) for atom in atoms]

    def on_event(self, label: str, atom: int, payload: int | None) -> None:
        self.events.append((label, None, atom if payload is None else payload, time.monotonic_ns()))


@pytest.fixture
def pair(request: pytest.FixtureRequest):
    """An emulator, and their client that follows it."""
    port = free_port()
    emulator = SpinnakerEmulator(network(), (BOARD, eieio.SCAMP_PORT), ("127.0.0.1", port), ("127.0.0.1", free_port()))
    client = Client(emulator, port, list(emulator.wiring.output_keys))
    yield emulator, client
    client.connection.close()
    emulator.close()


def wait_for(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


class TestTheirClientAgainstOurEmulator:
    def test_handshake_spikes_both_ways_and_stop(self, pair) -> None:
        emulator, client = pair
        runner = threading.Thread(target=emulator.run, args=(3.0,))
        runner.start()
        assert client.started.wait(15)
        assert emulator.tags_set == 1
        echo = next(p for p in emulator.form.inputs if p.name == "echo")
        for i in range(20):
            client.connection.send_event(LIVE_INPUT, echo.first + i % 8, send_full_keys=bool(i % 2))
            time.sleep(0.02)
        assert wait_for(lambda: len(client.events) >= 20)
        assert [atom for label, _, atom, _ in client.events if label == "echo_relay"] == [i % 8 for i in range(20)]
        assert client.paused.wait(15)
        runner.join()
        assert not emulator.traffic.refused

    def test_every_type_of_packet_is_read_as_it_was_meant(self, pair) -> None:
        emulator, client = pair
        runner = threading.Thread(target=emulator.run, args=(2.0,))
        runner.start()
        assert client.started.wait(15)
        keys = emulator.wiring.output_keys["ring"]
        high, low = keys[3] >> 16, keys[3] & 0xFFFF
        sent = []
        for kind in Kind:
            narrow = {"prefix": high, "upper": True}
            shapes = [{"prefix": None}, {"prefix": low}] if kind.wide else [narrow]
            for shape in shapes:
                for timed in (False, True):
                    for base in (None, 500):
                        if timed and base is None and not kind.has_payload:
                            continue  # a time stamp that stands nowhere
                        key = keys[3] if kind.wide else low
                        payloads = [44] if kind.has_payload else None
                        packet = data_packet(kind, [key], payloads, payload_base=base, is_time=timed, **shape)
                        emulator._send(packet.encode(), emulator._target)
                        value = (44 if kind.has_payload else 0) | (base or 0)
                        if timed:
                            sent.append(("ring", value, 3))
                        else:
                            sent.append(("ring", None, value if kind.has_payload or base is not None else 3))
        assert wait_for(lambda: len(client.events) >= len(sent))
        assert [e[:3] for e in client.events] == sent
        runner.join()

    def test_every_type_of_packet_that_their_codec_makes_reaches_our_machine(self, pair) -> None:
        emulator, client = pair
        runner = threading.Thread(target=emulator.run, args=(2.0,))
        runner.start()
        assert client.started.wait(15)
        key = emulator.wiring.input_keys[5]
        count = 0
        for kind in Kind:
            for timed in (False, True):
                for base in (None, 9):
                    if kind.wide:
                        packet = data_packet(
                            kind, [key], [7] if kind.has_payload else None, payload_base=base, is_time=timed
                        )
                    else:
                        packet = data_packet(
                            kind, [key & 0xFFFF], [7] if kind.has_payload else None, payload_base=base,
                            is_time=timed, prefix=key >> 16, upper=True,
                        )  # fmt: skip
                    client.connection.send_eieio_message(theirs(packet), LIVE_INPUT)
                    count += 1
        assert wait_for(lambda: emulator.traffic.received >= count)
        runner.join()
        assert emulator.traffic.received == count
        assert not emulator.traffic.refused


# -- 10,000 packets a second ------------------------------------------------------------------------------------


def pace(count: int, send) -> list[int]:
    """Call send(i) RATE times a second; the times at which it was called, ns."""
    times = []
    begun = time.monotonic()
    for i in range(count):
        due = begun + i / RATE
        while (wait := due - time.monotonic()) > 0:
            time.sleep(wait if wait > 2e-4 else 0)
        times.append(time.monotonic_ns())
        send(i)
    return times


def widen(of_them: socket.socket) -> None:
    """A queue of seconds: theirs overflows where a busy machine does not give their client its turn."""
    forced = getattr(socket, "SO_RCVBUFFORCE", 33)
    try:
        of_them.setsockopt(socket.SOL_SOCKET, forced, 16 << 20)
    except PermissionError:
        of_them.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)


def told(what: str, sent: np.ndarray, came: np.ndarray) -> None:
    delay = (came - sent) * 1e-6
    took = (sent[-1] - sent[0]) * 1e-9
    p50, p99 = np.quantile(delay, [0.5, 0.99])
    sys.stdout.write(
        f"\n{what}: {sent.size} packets in {took:.1f} s, none lost or changed, one way p50 {p50:.3f} ms, "
        f"p99 {p99:.3f} ms, max {delay.max():.1f} ms\n"
    )


def machine(port: int, output: int, pipe, receives: bool) -> None:
    """Our side, in a process of its own: sends packets to their client, or takes theirs."""
    emulator = SpinnakerEmulator(network(), (BOARD, eieio.SCAMP_PORT), ("127.0.0.1", port), ("127.0.0.1", output))
    log: list[tuple[int, int]] = []
    keys = emulator.wiring.output_keys["ring"]
    atom_of = {key: i for i, key in enumerate(emulator.wiring.input_keys)}

    def live_input(content: bytes) -> None:
        packet = eieio.decode(content)
        now = time.monotonic_ns()
        log.extend((atom_of[key], now) for key in packet.full_keys.tolist())

    emulator._live_input = live_input  # type: ignore[method-assign]
    with emulator:
        emulator.announce()
        emulator.script.tell(CommandCode.START_RESUME)
        count = round(RATE * SECONDS)
        if receives:
            end = time.monotonic() + SECONDS + 20
            while len(log) < count and time.monotonic() < end:
                emulator.take()
                time.sleep(1e-4)
            pipe.send((log, emulator.tags_set, dict(emulator.traffic.refused)))
        else:
            time.sleep(1.0)

            def send(i: int) -> None:
                packet = data_packet(Kind.KEY_32, [keys[i % len(keys)]], payload_base=i, is_time=True)
                emulator._send(packet.encode(), emulator._target)
                if not i % 1000:
                    emulator.take()  # their tag requests

            pipe.send((pace(count, send), emulator.tags_set, dict(emulator.traffic.refused)))
        # their client waits without end for the answer to a tag, so it is given until they have stopped
        while not pipe.poll(0.01):
            emulator.take()
        emulator.script.tell(CommandCode.STOP_PAUSE)
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            emulator.take()
            time.sleep(0.01)


@pytest.mark.parametrize("receives", [False, True])
def test_10000_packets_a_second_between_their_client_and_our_machine(receives: bool) -> None:
    context = multiprocessing.get_context("spawn")
    ours, other = context.Pipe()
    port, output = free_port(), free_port()
    count = round(RATE * SECONDS)
    names = ["ring"]
    came: list[tuple[int, int, int]] = []
    started = threading.Event()
    connection = LiveEventConnection("LiveSpikeReceiver", names, [LIVE_INPUT], local_port=port)
    connection.add_start_resume_callback(LIVE_INPUT, lambda *_: started.set())

    def on_time(label: str, when: int, atoms: list[int]) -> None:
        now = time.monotonic_ns()
        came.extend((when, atom, now) for atom in atoms)

    connection.add_receive_callback("ring", on_time)
    connection.add_init_callback("ring", lambda *_: widen(connection._LiveEventConnection__receiver_connection._socket))
    process = context.Process(target=machine, args=(port, output, other, receives))
    process.start()
    try:
        assert started.wait(60)
        if receives:
            sent = pace(count, lambda i: connection.send_event(LIVE_INPUT, i % 400, send_full_keys=True))
            assert ours.poll(60)
            log, tags, refused = ours.recv()
            assert [atom for atom, _ in log] == [i % 400 for i in range(count)]
            told("their client to our machine", np.array(sent), np.array([when for _, when in log]))
        else:
            assert ours.poll(SECONDS + 60)
            sent, tags, refused = ours.recv()
            assert wait_for(lambda: len(came) >= count, 20)
            came.sort()  # their client hands packets to several threads, which change their order
            assert [(when, atom) for when, atom, _ in came] == [(i, i % 72) for i in range(count)]
            told("our machine to their client", np.array(sent), np.array([when for _, _, when in came]))
        assert not refused
        assert tags >= 1 + int(SECONDS // 10.5)  # they set their tag again every 10 s
    finally:
        ours.send("end")
        time.sleep(1.0)
        connection.close()
        process.join(20)


def their_sender(address: tuple[str, int], keys: list[int], pipe) -> None:
    """SpiNNMan, in a process of its own, as the board: every type of packet, one after another."""
    connection = UDPConnection(local_host=BOARD, remote_host=address[0], remote_port=address[1])
    made = []
    for kind, of_them in TYPES.items():
        for key in keys:
            message = EIEIODataMessage.create(
                of_them, key_prefix=None if kind.wide else key >> 16, prefix_type=EIEIOPrefix.UPPER_HALF_WORD
            )
            part = key if kind.wide else key & 0xFFFF
            if kind.has_payload:
                message.add_key_and_payload(part, 3)
            else:
                message.add_key(part)
            made.append(message.bytestring)
    order = [made[(i % 4) * len(keys) + i % len(keys)] for i in range(4 * len(keys))]
    pipe.recv()
    pipe.send(pace(round(RATE * SECONDS), lambda i: connection.send(order[i % len(order)])))
    connection.close()


def test_10000_packets_a_second_of_every_type_from_their_codec_to_our_bridge(tmp_path: Path) -> None:
    emulator = SpinnakerEmulator(network(), (BOARD, 0), ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    table = tmp_path / "keys.json"
    emulator.wiring.save(table)
    config = SpinnakerConfig(listen="127.0.0.1", output_port=0, scamp_port=emulator.address[1], table=table)
    board = SpinnakerBoard(config)
    keys = list(emulator.wiring.output_keys["ring"])
    context = multiprocessing.get_context("spawn")
    ours, other = context.Pipe()
    with emulator, board:
        board.load(network())
        first = next(p.first for p in board.outputs if p.name == "ring_out")
        answering = threading.Thread(target=lambda: wait_for(lambda: (emulator.take(), board._running)[1]))
        answering.start()
        board.start()
        answering.join()
        assert board._live is not None
        address = ("127.0.0.1", board._live.getsockname()[1])
        process = context.Process(target=their_sender, args=(address, keys, other))
        process.start()
        ours.send("go")
        neurons, times = [], []
        count = round(RATE * SECONDS)
        end = time.monotonic() + SECONDS + 30
        while len(neurons) < count and time.monotonic() < end:
            train = board.receive()
            neurons += train.neuron.tolist()
            times += (train.stamp_ns + train.offset_ns.astype(np.int64)).tolist()
            time.sleep(1e-4)
        assert ours.poll(30)
        sent = ours.recv()
        process.join(20)
        assert neurons == [first + i % len(keys) for i in range(count)]
        assert not {k: v for k, v in board.health().refused.items() if k != "not sent"}
        told("their codec to our bridge", np.array(sent), np.array(times))


# -- sPyNNaker --------------------------------------------------------------------------------------------------


def test_the_exported_script_maps_on_a_virtual_board_and_tells_our_bridge_where_it_lies(tmp_path: Path) -> None:
    port = free_port()
    board = SpinnakerBoard(SpinnakerConfig(listen="127.0.0.1", notify_port=port, output_port=0, start_timeout=1.0))
    with board:
        board.load(network())
        files = export(network(), tmp_path / "reflex.py")
        process = subprocess.Popen(
            [sys.executable, str(files[0]), "--virtual", "--notify-port", str(port), "--bridge", "127.0.0.1"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output, _ = process.communicate(timeout=60)
        wait_for(lambda: (board.receive(), board.wiring)[1])
        assert process.returncode == 0, output.decode()[-2000:]
        assert board.wiring is not None, output.decode()[-2000:]
        assert board.wiring == Wiring.load(tmp_path / "reflex.keys.json")
        assert len(board.wiring.input_keys) == sum(p.size for p in board.inputs) + 8


def test_weights_have_the_scale_that_spynnaker_gives_them(tmp_path: Path) -> None:
    from firmware_bridge.boards.echo import with_echo
    from hybrid_control.snn.backends.spinnaker.form import spinnaker_form

    export(network(), tmp_path / "reflex.py")
    program = (
        "import sys, json\nsys.argv = ['reflex.py', '--virtual']\n"
        "import reflex\nkept = []\nmake = reflex.sim.Population\n"
        "def population(*a, **k):\n    kept.append(make(*a, **k))\n    return kept[-1]\n"
        "reflex.sim.Population = population\nend = reflex.sim.end\n"
        "def ended():\n"
        "    scales = {p.label: list(p._vertex.get_weight_scales(p._vertex.get_ring_buffer_shifts()))\n"
        "              for p in kept if hasattr(p._vertex, 'get_ring_buffer_shifts')}\n"
        "    print('SCALES', json.dumps(scales))\n    end()\n"
        "reflex.sim.end = ended\nreflex.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=120, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    scales = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("SCALES"))[7:])
    for projection in spinnaker_form(with_echo(network())).projections:
        scale = scales[projection.target][projection.receptor == "inhibitory"]
        whole = projection.weight * scale
        assert np.array_equal(whole, np.round(whole)), projection.name
        assert whole.max() < 2**16
