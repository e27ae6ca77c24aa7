"""The host's side of the board protocol, over loopback, with a wire that loses, doubles, delays and forges."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import nir
import numpy as np
import pytest

from firmware_bridge.boards.processes import board_protocol as wire
from firmware_bridge.boards.udp import UdpBoard, UdpConfig
from hybrid_control.signals import SpikeTrain
from hybrid_control.snn import Network
from hybrid_control.snn.backends.capabilities import BoardRefusal


class Echo:
    """Takes a NIR file, and gives back each spike of its inputs in the tick after."""

    name = "echo"
    size = 8

    def __init__(self) -> None:
        self.last: Sequence[int] = ()
        self.pause = 0.0
        self.most = 10**6

    def load(self, kind: int, content: bytes) -> tuple[int, int]:
        if kind != wire.NIR_FILE or not content.startswith(b"\x89HDF"):
            raise ValueError("no NIR file")
        if len(content) > self.most:
            raise ValueError("too large for an echo")
        return self.size, self.size

    def reset(self) -> None:
        self.last = ()

    def step(self, neurons: Sequence[int]) -> Sequence[int]:
        if self.pause:
            time.sleep(self.pause)
            self.pause = 0.0
        given, self.last = self.last, sorted(neurons)
        return given


@contextlib.contextmanager
def served(simulator: Echo) -> Iterator[tuple[int, wire.Peer]]:
    """A board's process as a thread: its port, and the peer."""
    stop = threading.Event()
    peer = wire.Peer(simulator)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=wire.serve, args=(peer, sock, stop.is_set), daemon=True)
        thread.start()
        try:
            yield sock.getsockname()[1], peer
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def between(port: int, fault: Callable[[int, bytes], list[bytes]]) -> Iterator[int]:
    """A port that hands on to the board what `fault(number, datagram)` makes of each datagram, both ways."""
    stop = threading.Event()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back,
    ):
        for sock in (front, back):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0.02)
        host: list[tuple[str, int]] = []

        def forward(source: socket.socket, up: bool) -> None:
            count = 0
            while not stop.is_set():
                try:
                    data, sender = source.recvfrom(65536)
                except (TimeoutError, ConnectionError):
                    continue
                if up:
                    host[:] = [sender]
                for out in fault(count, data):
                    (back if up else front).sendto(out, ("127.0.0.1", port) if up else host[0])
                count += 1

        threads = [
            threading.Thread(target=forward, args=a, daemon=True) for a in ((front, True), (back, False))
        ]
        for t in threads:
            t.start()
        try:
            yield front.getsockname()[1]
        finally:
            stop.set()
            for t in threads:
                t.join()


def network(size: int = 8) -> Network:
    net = Network()
    net.add_input("in", size)
    net.add_population("cell", nir.LIF, size, tau=0.01)
    net.connect("in", "cell", 20.0 * np.eye(size))
    net.add_output("out", "cell")
    return net


def train(board: UdpBoard, *neurons: int) -> SpikeTrain:
    return SpikeTrain(0, 1_000_000, board.inputs, np.array(neurons), np.zeros(len(neurons)))


def run_stepped(board: UdpBoard, ticks: int) -> list[list[int]]:
    got = []
    for k in range(ticks):
        board.send(train(board, *([k % 8, k % 8] if k % 3 == 0 else [k % 8])))
        got.append(board.receive().neuron.tolist())
    return got


def expected(ticks: int) -> list[list[int]]:
    return [[]] + [([k % 8, k % 8] if k % 3 == 0 else [k % 8]) for k in range(ticks - 1)]


def test_stepped_every_spike_comes_back_in_its_tick() -> None:
    with served(Echo()) as (port, _), UdpBoard(UdpConfig(port=port, stepped=True)) as board:
        assert board.name == "echo"
        board.load(network())
        assert [(p.name, p.size) for p in (*board.inputs, *board.outputs)] == [("in", 8), ("out", 8)]
        board.start()
        assert run_stepped(board, 200) == expected(200)
        health = board.health()
        assert health.running
        assert 0 < health.round_trip <= health.round_trip_p99 < 1
        assert health.loss == 0
        assert abs(health.time_offset) < 0.05  # one clock
        assert health.sent - health.received == 1
        board.stop()
        assert not board.health().running


def test_paced_the_board_ticks_by_itself_and_is_heard() -> None:
    with served(Echo()) as (port, peer), UdpBoard(UdpConfig(port=port)) as board:
        board.load(network())
        assert board.silent
        board.start()
        board.wait_running(5.0)
        got = []
        for k in range(8):
            board.send(train(board, k))
            time.sleep(0.01)
            came = board.receive()
            assert came.stamp_ns + came.duration_ns <= time.monotonic_ns()
            got += came.neuron.tolist()
        assert got == list(range(8))
        board.receive()
        time.sleep(0.05)
        board.receive()
        assert board.status is not None
        assert board.status.running
        board.stop()
        tick = peer.tick
        time.sleep(0.05)
        assert peer.tick == tick  # its time stands still


def test_a_step_that_takes_too_long_is_counted_as_ticks_missed() -> None:
    echo = Echo()
    with served(echo) as (port, peer), UdpBoard(UdpConfig(port=port)) as board:
        board.load(network())
        board.start()
        board.wait_running(5.0)
        before = peer.missed
        echo.pause = 0.1
        for _ in range(20):
            board.send(train(board))
            time.sleep(0.01)
        assert peer.missed - before >= 90


def test_a_board_that_hangs_or_is_gone_is_silent() -> None:
    echo = Echo()
    with served(echo) as (port, _), UdpBoard(UdpConfig(port=port, silence_limit=0.05)) as board:
        board.load(network())
        board.start()
        board.wait_running(5.0)
        echo.pause = 0.4
        time.sleep(0.2)
        board.receive()
        time.sleep(0.1)
        board.receive()
        assert board.silent
        assert board.health().silent_for > 0.05
    with pytest.raises(ConnectionError, match="not connected"):
        board.send(train(board))


def test_a_board_whose_host_falls_silent_lets_its_time_stand_still() -> None:
    with served(Echo()) as (port, peer), UdpBoard(UdpConfig(port=port)) as board:
        board.load(network())
        board.start()
        time.sleep(wire.HOST_SILENCE_NS * 1e-9 + 0.2)
        tick = peer.tick
        time.sleep(0.1)
        assert 0 < peer.tick == tick
        board.send(train(board))
        board.wait_running(5.0)


def test_on_a_wire_that_loses_and_doubles_a_stepped_board_misses_nothing() -> None:
    def bad(number: int, data: bytes) -> list[bytes]:
        return [] if number % 17 == 5 else [data, data] if number % 11 == 3 else [data]

    with (
        served(Echo()) as (inner, peer),
        between(inner, bad) as port,
        UdpBoard(UdpConfig(port=port, stepped=True)) as board,
    ):
        board.load(network())
        board.start()
        assert run_stepped(board, 60) == expected(60)
        health = board.health()
        assert health.refused["repeat"] > 0
        assert peer.ignored["repeat"] > 0
        assert 0 < health.loss < 0.5


def test_packets_late_forged_and_from_elsewhere_are_counted_and_ignored() -> None:
    held: list[bytes] = []

    def swap(number: int, data: bytes) -> list[bytes]:
        """Hold one answer in twenty back until the next one went."""
        if data[3] == wire.SPIKES_OUT and number % 20 == 0 and not held:
            held.append(data)
            return []
        late, held[:] = list(held), []
        return [data, *late]

    with (
        served(Echo()) as (inner, _),
        between(inner, swap) as port,
        UdpBoard(UdpConfig(port=port)) as board,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        board.load(network())
        board.start()
        board.wait_running(5.0)
        mine = ("127.0.0.1", board._wire.socket.getsockname()[1])
        forged = wire.Packet(wire.SPIKES_OUT, board._wire.number, 10**6, 10**6, 1, 0, 0, wire.Spikes((7,)))
        got: list[int] = []
        for _ in range(100):
            stranger.sendto(wire.encode(forged), mine)
            stranger.sendto(b"\xff" * 5, mine)
            board.send(train(board))
            time.sleep(0.003)
            got += board.receive().neuron.tolist()
        refused = board.health().refused
        assert got == []
        assert refused["address"] == 200
        assert refused["order"] > 0


def test_a_network_that_the_process_refuses_is_refused_with_what_it_says() -> None:
    echo = Echo()
    with served(echo) as (port, _), UdpBoard(UdpConfig(port=port)) as board:
        echo.most = 100
        with pytest.raises(BoardRefusal, match="echo refuses the network: too large for an echo"):
            board.load(network())
        echo.most = 10**6
        with pytest.raises(ConnectionError, match="8 inputs and 8 outputs for one of 9 and 9"):
            board.load(network(9))
        with pytest.raises(ValueError, match="load a network before start"):
            board.start()


def test_a_network_loaded_before_there_is_a_wire_is_sent_at_start() -> None:
    with served(Echo()) as (port, _):
        board = UdpBoard(UdpConfig(port=port, stepped=True))
        board.load(network())
        with board:
            board.start()
            assert run_stepped(board, 5) == expected(5)


def test_sending_to_a_process_that_is_gone_raises_nothing_and_shows_as_silence() -> None:
    with served(Echo()) as (port, _):
        board = UdpBoard(UdpConfig(port=port, silence_limit=0.02))
        board.connect()
        board.load(network())
        board.start()
        board.wait_running(5.0)
    for _ in range(5):
        board.send(train(board, 1))
        board.receive()
    time.sleep(0.05)
    board.receive()
    assert board.silent
    board.close()


def test_spikes_of_other_populations_are_refused() -> None:
    with served(Echo()) as (port, _), UdpBoard(UdpConfig(port=port)) as board:
        board.load(network())
        with pytest.raises(ValueError, match=r"spikes of out \(8\), expected in \(8\)"):
            board.send(SpikeTrain(0, 1, board.outputs, np.zeros(0), np.zeros(0)))


def test_what_is_not_there_is_not_reachable_and_a_busy_board_stays_with_its_host() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        found, line = UdpBoard.reachable(UdpConfig(port=port, timeout=0.3))
        assert not found
        assert line == f"127.0.0.1:{port}: no board answers at 127.0.0.1:{port}"
    with served(Echo()) as (port, peer):
        assert UdpBoard.reachable(UdpConfig(port=port)) == (True, f"127.0.0.1:{port}: echo")
        with UdpBoard(UdpConfig(port=port)) as board:
            board.load(network())
            board.start()
            board.wait_running(5.0)
            assert not UdpBoard.reachable(UdpConfig(port=port, timeout=0.3))[0]
            assert peer.ignored["address"] > 0
            assert peer.running


def test_before_anything_is_measured_health_says_so() -> None:
    health = UdpBoard(UdpConfig()).health()
    assert math.isnan(health.round_trip)
    assert math.isnan(health.loss)
    assert health.silent_for == math.inf


@pytest.mark.parametrize("port", [0, 65536])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=r"expected 1 \.\. 65535"):
        UdpConfig(port=port)
