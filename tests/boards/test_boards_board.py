"""A SpiNNaker Board against the emulated machine over loopback: handshake, spikes, health, refused packets."""

import contextlib
import dataclasses
import math
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.boards import new_board
from firmware_bridge.boards.eieio import (
    CommandCode,
    EieioCommand,
    IpTagSet,
    Kind,
    SdpHeader,
    data_packet,
    encode_sdp,
)
from firmware_bridge.boards.registry import format_config, parse_config
from firmware_bridge.boards.spinnaker import SpinnakerBoard, SpinnakerConfig, emulated_config
from firmware_bridge.boards.spinnaker_emulator import SpinnakerEmulator
from firmware_bridge.boards.udp import UdpBoard, UdpConfig
from hybrid_control.navigation.reflex.network import BOARD_INPUTS, BOARD_OUTPUTS, build_network
from hybrid_control.signals import Population, SpikeTrain
from hybrid_control.snn.backends.split import split

# threads against the clock: another try on a busy machine
pytestmark = pytest.mark.flaky(reruns=2, reruns_delay=1)
HOST = "127.0.0.4"


def train(board, neurons) -> SpikeTrain:
    return SpikeTrain(
        0, 1_000_000, board.inputs, np.array(neurons, np.uint32), np.zeros(len(neurons), np.uint32)
    )


class Pair:
    """A board and its machine, in stepped mode unless told otherwise; the machine in a thread."""

    def __init__(self, **config) -> None:
        base = emulated_config(stepped=True)
        self.config = SpinnakerConfig(**{**vars(base), **config})
        self.network = split(build_network()).board
        self.machine = SpinnakerEmulator(
            self.network, (HOST, self.config.scamp_port), ("127.0.0.1", self.config.notify_port),
            ("127.0.0.1", self.config.output_port), stepped=self.config.stepped,
        )  # fmt: skip
        self.board = SpinnakerBoard(self.config)
        self.board.connect()
        self.board.load(self.network)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # its socket was closed
            self.machine.run()

    def exchange(self, neurons=()) -> SpikeTrain:
        self.board.send(train(self.board, neurons))
        return self.board.receive()

    def inject(self, data: bytes, host: str = HOST) -> None:
        """A packet at the board's port, from the machine's address or another."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((host, 0))
            sender.sendto(data, ("127.0.0.1", self.config.output_port))

    def close(self) -> None:
        self.board.close()
        self.machine.close()
        self.thread.join(5)


@pytest.fixture(scope="module")
def pair():
    made = Pair()
    made.board.start()
    yield made
    made.close()


def refused(pair: Pair) -> dict[str, int]:
    return dict(pair.board.health().refused)


class TestExchange:
    def test_layouts_are_those_of_the_reflex_and_the_echo_is_the_wires_own(self, pair: Pair) -> None:
        assert pair.board.inputs == BOARD_INPUTS
        assert pair.board.outputs == BOARD_OUTPUTS

    def test_the_handshake_set_the_tag(self, pair: Pair) -> None:
        assert pair.machine.tags_set >= 1
        assert pair.board.wiring is not None
        assert pair.board.wiring.board == HOST

    def test_spikes_go_in_and_the_networks_come_out(self, pair: Pair) -> None:
        arousal = next(p.first for p in pair.board.inputs if p.name == "arousal")
        planner = next(p.first for p in pair.board.inputs if p.name == "planner")
        sent = pair.board.health().sent
        ring = next(p for p in pair.board.outputs if p.name == "ring_out")
        seen = np.zeros(sum(p.size for p in pair.board.outputs))
        for _ in range(200):
            came = pair.exchange([arousal] + [planner + 10] * 2)
            seen += came.counts()
        assert pair.board.health().sent == sent + 600
        assert seen[ring.slice].argmax() in range(8, 13)

    def test_the_same_network_without_a_wire_gives_the_same_spikes(self, pair: Pair) -> None:
        for _ in range(50):
            pair.exchange()  # let it come to rest
        pair.machine.network.engine.reset()
        twin = SpinnakerEmulator(pair.network, (HOST, 0))
        rng = np.random.default_rng(3)
        with twin:
            for tick in range(100):
                spikes = rng.integers(0, sum(p.size for p in pair.board.inputs), 12)
                came = pair.exchange(spikes)
                for p in BOARD_INPUTS:
                    view = twin.network.engine.input(p.name)
                    view[...] = np.bincount(spikes, minlength=442)[p.slice]
                twin.network.engine.step()
                want = np.concatenate(
                    [np.flatnonzero(twin.network.engine.output(p.name)) + p.first for p in BOARD_OUTPUTS]
                )
                assert sorted(came.neuron.tolist()) == want.tolist(), tick

    def test_latency_and_loss_are_measured(self, pair: Pair) -> None:
        for _ in range(50):
            pair.exchange()
        health = pair.board.health()
        assert health.running
        assert 0 < health.round_trip < 1.0
        assert health.loss < 0.5
        assert math.isfinite(health.time_offset)
        assert not pair.board.silent

    def test_spikes_of_another_network_are_refused(self, pair: Pair) -> None:
        with pytest.raises(ValueError, match="spikes of 3 neurons"):
            pair.board.send(SpikeTrain(0, 1, (Population("x", 0, 3),), np.array([0]), np.array([0])))


class TestRefusedPackets:
    def spike(self, pair: Pair, at: int, atom: int = 3, **more) -> bytes:
        key = pair.machine.wiring.output_keys["ring"][atom]
        return data_packet(Kind.KEY_32, [key], payload_base=at, is_time=True, **more).encode()

    def counted(self, pair: Pair, reason: str, data: bytes, host: str = HOST) -> SpikeTrain:
        before = refused(pair).get(reason, 0)
        pair.inject(data, host)
        came = pair.exchange()
        assert refused(pair).get(reason, 0) == before + 1
        return came

    def test_from_an_unexpected_address(self, pair: Pair) -> None:
        self.counted(pair, "address", self.spike(pair, pair.machine.ticks), host="127.0.0.9")

    def test_of_a_wrong_length(self, pair: Pair) -> None:
        self.counted(pair, "malformed", self.spike(pair, pair.machine.ticks) + b"\0")
        self.counted(pair, "malformed", b"\1")

    def test_out_of_order(self, pair: Pair) -> None:
        pair.exchange()
        self.counted(pair, "out of order", self.spike(pair, max(pair.machine.ticks - 10, 0)))

    def test_repeated(self, pair: Pair) -> None:
        pair.exchange()
        pair.exchange()
        now = pair.board._stamps.newest
        pair.inject(self.spike(pair, now, atom=60))
        self.counted(pair, "repeated", self.spike(pair, now, atom=60))

    def test_of_a_key_that_is_nobodys(self, pair: Pair) -> None:
        self.counted(pair, "key", data_packet(Kind.KEY_32, [0xDEADBEEF]).encode())

    def test_commands_on_the_data_port(self, pair: Pair) -> None:
        self.counted(pair, "command", EieioCommand(CommandCode.STOP_PAUSE).encode())

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.binary(max_size=300))
    def test_any_bytes_leave_the_board_running(self, pair: Pair, data: bytes) -> None:
        pair.inject(data)
        pair.exchange()
        assert pair.board.health().running

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.binary(max_size=300))
    def test_any_bytes_leave_the_machine_ticking(self, pair: Pair, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, pair.machine.address)
            sender.sendto(encode_sdp(SdpHeader((0, 0, 5, 1)), data), pair.machine.address)
        before = pair.machine.ticks
        pair.exchange()
        pair.exchange()
        assert pair.machine.ticks > before

    def test_the_machine_counts_what_it_can_not_use(self, pair: Pair) -> None:
        before = dict(pair.machine.traffic.refused)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\0\0", pair.machine.address)
            sender.sendto(encode_sdp(SdpHeader((7, 7, 1, 1)), b"\0\0"), pair.machine.address)
            sender.sendto(IpTagSet(6).encode(), pair.machine.address)
            packet = data_packet(Kind.KEY_32, [0xDEADBEEF]).encode()
            sender.sendto(encode_sdp(SdpHeader((0, 0, 5, 1)), packet), pair.machine.address)
        pair.exchange()
        pair.exchange()
        for reason in ("malformed", "place", "request", "key"):
            assert pair.machine.traffic.refused[reason] == before.get(reason, 0) + 1, reason

    def test_a_tag_that_leads_nowhere_does_not_end_the_machine(self, pair: Pair) -> None:
        with SpinnakerEmulator(pair.network, (HOST, 0)) as twin:
            twin.handle(IpTagSet(1, use_sender=False).encode(), twin.address)  # to port 0
            echo = next(p for p in twin.form.inputs if p.name == "echo")
            probes = data_packet(Kind.KEY_32, twin.wiring.input_keys[echo.slice]).encode()
            for _ in range(3):
                twin.handle(encode_sdp(SdpHeader((0, 0, 5, 1)), probes), twin.address)
                twin.tick()
            assert twin.traffic.refused["not sent"] > 0


class TestLife:
    def test_the_tag_is_set_again_and_again(self) -> None:
        pair = Pair(tag_period=0.2, stepped=False)
        try:
            pair.board.start()
            before, end = pair.machine.tags_set, time.monotonic() + 5
            while pair.machine.tags_set < before + 3 and time.monotonic() < end:
                pair.board.receive()
                time.sleep(0.005)
            assert pair.machine.tags_set >= before + 3
        finally:
            pair.close()

    def test_a_machine_that_ends_is_silent_and_the_next_one_is_taken_up(self) -> None:
        pair = Pair(stepped=False)
        try:
            pair.board.start()
            pair.board.wait_running(5)
            assert not pair.board.silent
            pair.machine.close()  # as if its power went
            pair.thread.join(5)
            end = time.monotonic() + 5
            while not pair.board.silent and time.monotonic() < end:
                pair.board.receive()
                time.sleep(0.005)
            assert pair.board.silent
            pair.machine = SpinnakerEmulator(
                pair.network, (HOST, pair.config.scamp_port), ("127.0.0.1", pair.config.notify_port)
            )
            pair.thread = threading.Thread(target=pair._run, daemon=True)
            pair.thread.start()
            end = time.monotonic() + 10
            while pair.board.silent and time.monotonic() < end:
                pair.board.receive()
                time.sleep(0.005)
            assert not pair.board.silent
        finally:
            pair.close()

    def test_no_machine_is_a_time_out_that_says_what_to_look_at(self) -> None:
        board = SpinnakerBoard(SpinnakerConfig(**{**vars(emulated_config()), "start_timeout": 0.05}))
        with board:
            board.load(split(build_network()).board)
            with pytest.raises(TimeoutError, match="exported script"):
                board.start()

    def test_a_port_that_is_taken_is_named(self) -> None:
        config = emulated_config()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", config.output_port))
            with pytest.raises(OSError, match=str(config.output_port)):
                SpinnakerBoard(config).connect()

    def test_close_and_stop_may_come_at_any_time(self) -> None:
        board = new_board("spinnaker", emulated_config())
        board.stop()
        board.close()
        assert board.silent
        with pytest.raises(ValueError, match="not connected"):
            board.receive()
        with pytest.raises(ValueError, match="connect and load"):
            board.start()


class TestConfig:
    def test_what_was_formatted_is_parsed(self) -> None:
        config = emulated_config(stepped=True)
        assert parse_config("spinnaker", format_config(config)) == config
        assert parse_config("spinnaker", "") == SpinnakerConfig()

    @pytest.mark.parametrize(
        ("text", "words"),
        [("nonsense", "NAME=VALUE"), ("dt=x", "no number"), ("stepped=1", "true or false"), ("dt=-1", "dt")],
    )
    def test_what_is_no_config_is_refused_by_name(self, text: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            parse_config("spinnaker", text)

    def test_a_board_that_there_is_not_is_named(self) -> None:
        with pytest.raises(ValueError, match="no board 'x'; there are spinnaker, loihi"):
            new_board("x")


class TestSockets:
    def test_they_are_this_computers_alone_unless_it_is_said_otherwise(self) -> None:
        assert SpinnakerConfig().listen == "127.0.0.1"
        pair = Pair()
        try:
            pair.board.start()
            wiring = dataclasses.replace(pair.board.wiring, board="10.1.2.3")
            with pytest.raises(OSError, match=r"the board is at 10\.1\.2\.3, and listen=127\.0\.0\.1 is this computer"):
                pair.board._wire(wiring)
        finally:
            pair.close()

    def test_a_process_on_this_computer_is_met_on_this_computer_alone(self) -> None:
        board = UdpBoard(UdpConfig(port=9))
        board._wire.open("127.0.0.1", 9)
        try:
            assert board._wire.socket.getsockname()[0] == "127.0.0.1"
        finally:
            board.close()

    @pytest.mark.parametrize("code", list(CommandCode))
    def test_a_stranger_neither_stops_nor_takes_a_machine_that_runs(self, code) -> None:
        pair = Pair(silence_limit=5.0)
        try:
            pair.board.start()
            while pair.board.silent:
                pair.exchange()
            before = pair.board.wiring
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(EieioCommand(code, b"/nowhere").encode(), ("127.0.0.1", pair.config.notify_port))
            pair.exchange()
            assert pair.board.health().running
            assert pair.board.wiring is before
            assert pair.board.health().refused["address"] == 1
        finally:
            pair.close()
