"""The reflex with its network on a board: what it sends, what it takes, and what it does where the board is silent."""

import math

import numpy as np
import pytest

from hybrid_control.bench.boards import drive_seeds
from hybrid_control.navigation.reflex import Mode, Reflex
from hybrid_control.navigation.reflex.gains import ON_BOARD
from hybrid_control.navigation.reflex.network import BOARD_INPUTS, BOARD_OUTPUTS, GAINED
from hybrid_control.navigation.reflex.reflex import InputRefused
from hybrid_control.parameters import ParameterError
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, SpikeTrain, Twist
from hybrid_control.snn import Engine
from hybrid_control.snn.backends.split import split

MS = 1_000_000


class Bench:
    """A reflex before a wall to its left, stepped tick by tick in simulated time."""

    def __init__(self, **settings) -> None:
        self.now = 0
        self.reflex = Reflex(settings, clock=lambda: self.now)
        self.loop = SteppedLoop(self.reflex.tick, self.reflex.context, self.reflex.rate)
        self.reflex.activate()
        self.reflex.put_goal(Goal(0, 10.0, 0.0))

    def tick(self) -> None:
        if self.now % (25 * MS) == 0:
            ranges = np.full(360, math.inf, np.float32)
            ranges[200:240] = 0.9
            scan = RangeScan(self.now + 1, -math.pi, 2 * math.pi / 360, 0.1, 10.0, ranges)
            self.reflex.put_scan(scan, self.now + 1)
            twist = Twist(self.now)
            self.reflex.put_odometry(Odometry(self.now + 1, Pose(), twist), self.now + 1)
        self.now += MS
        self.loop.advance(self.now)

    def put(self, *neurons: int) -> None:
        train = SpikeTrain(self.now, MS, BOARD_OUTPUTS, np.array(neurons, int), np.zeros(len(neurons), int))
        self.reflex.put_board_spikes(train)


def first(name: str) -> int:
    return next(p.first for p in (*BOARD_INPUTS, *BOARD_OUTPUTS) if p.name == name)


class TestWithoutABoard:
    def test_the_network_runs_here_with_the_same_commands_to_the_bit(self) -> None:
        alone, behind = Bench(), Bench(backend="spinnaker")
        for _ in range(400):
            alone.tick()
            behind.tick()
            a, b = alone.reflex.command(), behind.reflex.command()
            assert (a.twist.linear_x, a.twist.angular_z, a.mode) == (
                b.twist.linear_x,
                b.twist.angular_z,
                b.mode,
            )
        assert alone.reflex.command().twist.linear_x > 0.1

    def test_stop_means_stop_and_says_why(self) -> None:
        bench = Bench(backend="spinnaker", without_board="stop")
        for _ in range(100):
            bench.tick()
            assert bench.reflex.command().twist.linear_x == 0.0
        assert bench.reflex.command().mode == Mode.STOPPED
        assert bench.reflex.status().reason == "the board is silent"

    def test_the_first_sign_of_life_ends_the_stop(self) -> None:
        bench = Bench(backend="loihi", without_board="stop")
        bench.tick()
        bench.put()
        bench.tick()
        assert bench.reflex.command().mode == Mode.REFLEX_ONLY


class TestWithABoard:
    def test_the_boards_spikes_drive_and_the_shadows_do_not(self) -> None:
        bench = Bench(backend="spinnaker")
        left = [first("left_out") + i for i in range(16)]
        for i in range(300):
            bench.put(*(left if i % 8 == 0 else ()))
            bench.tick()
        twist = bench.reflex.command().twist
        assert twist.angular_z > 0.5
        assert twist.linear_x == 0.0
        assert bench.reflex.context["board_on"][0] == 1

    def test_no_spike_is_lost_where_several_windows_come_between_two_ticks(self) -> None:
        bench = Bench(backend="spinnaker")
        bench.put()
        bench.tick()
        for _ in range(5):
            bench.put(first("ring_out") + 7, first("ring_out") + 7)
        bench.tick()
        assert bench.reflex.context["board_out"][0][7] == 10
        bench.tick()
        assert bench.reflex.context["board_out"][0][7] == 0

    def test_where_it_falls_silent_the_next_tick_is_the_shadows_with_its_membranes(self) -> None:
        alone, behind = Bench(), Bench(backend="spinnaker", board_timeout=0.02)
        for i in range(300):
            if i < 200:
                behind.put()
            alone.tick()
            behind.tick()
            a, b = alone.reflex.engine, behind.reflex.engine
            for population in ("ring", "forward", "left"):
                assert np.array_equal(a.voltage(population), b.voltage(population))
            # the last sign came at 199 ms, and tick i is at i + 1 ms
            assert behind.reflex.context["board_on"][0] == (i < 219)
        assert behind.reflex.command().twist.linear_x > 0.05

    def test_what_goes_out_is_what_the_populations_here_have_spiked(self) -> None:
        bench = Bench(backend="spinnaker")
        seen = set()
        for _ in range(200):
            bench.tick()
            train = bench.reflex.take_board_spikes()
            counts = train.counts() if train is not None else np.zeros(442)
            for p in BOARD_INPUTS:
                if p.name in ("near", "mid", "far", "goal", "approach"):
                    assert np.array_equal(counts[p.slice], bench.reflex.engine.spikes(p.name))
                    seen |= {p.name} if counts[p.slice].any() else set()
        assert counts[first("arousal")] == 1
        assert {"goal", "mid"} <= seen

    def test_spikes_of_several_ticks_come_as_one_window_in_order(self) -> None:
        bench = Bench(backend="spinnaker")
        for _ in range(10):
            bench.tick()
        train = bench.reflex.take_board_spikes()
        assert train is not None
        assert train.duration_ns == 9 * MS + 1
        assert train.counts()[first("arousal")] == 10
        assert bench.reflex.take_board_spikes() is None

    def test_other_populations_are_refused_and_counted(self) -> None:
        bench = Bench(backend="spinnaker")
        with pytest.raises(InputRefused, match="ring_out"):
            bench.reflex.put_board_spikes(SpikeTrain(0, MS, BOARD_INPUTS, np.array([0]), np.array([0])))
        assert bench.reflex.refusals == {"board spikes": 1}

    @pytest.mark.parametrize("name", ON_BOARD)
    def test_gains_that_the_board_has_loaded_can_not_change(self, name: str) -> None:
        reflex = Reflex({"backend": "spinnaker"})
        with pytest.raises(ParameterError, match=f"{name}: is loaded on the board"):
            reflex.set_gains({name: float(reflex.gains[name]) * 1.1})
        reflex.set_gains({"max_speed": 0.7})
        assert reflex.gains["max_speed"] == 0.7


class TestNetwork:
    def test_what_the_board_gets_has_the_gains_in_it(self) -> None:
        gains = {"avoidance_gain": 1.5, "planner_gain": 0.5, "time_constant": 0.02, "threshold": 1.2}
        reflex = Reflex(gains=gains)
        board = reflex.board_network()
        plain = reflex.network
        ratio = board.nodes["blocked_ring"].weight.max() / plain.nodes["blocked_ring"].weight.max()
        assert ratio == pytest.approx(1.5)
        assert board.nodes["ring"].tau[0] == 0.02
        assert board.nodes["ring"].v_threshold[0] == 1.2
        assert plain.nodes["ring"].tau[0] == 0.01

    def test_the_part_on_the_board_takes_what_the_tick_sends(self) -> None:
        engine = Engine(split(Reflex().board_network()).board)
        assert engine.input_names == tuple(p.name for p in BOARD_INPUTS)
        assert engine.output_names == tuple(p.name for p in BOARD_OUTPUTS)
        assert [engine.input(p.name).size for p in BOARD_INPUTS] == [p.size for p in BOARD_INPUTS]

    def test_a_board_loads_each_gain_that_is_a_weight_and_the_rings_parameters(self) -> None:
        assert set(ON_BOARD) == {*GAINED, "time_constant", "threshold"}


@pytest.mark.slow
def test_the_robot_drives_behind_the_wire_and_goes_on_where_the_board_is_killed_half_way() -> None:
    (drive,) = drive_seeds("spinnaker", "default", range(1), kill_at=5.0)
    assert drive.reached
    assert drive.contacts == 0
    assert 0.3 < drive.replaced < 0.7
