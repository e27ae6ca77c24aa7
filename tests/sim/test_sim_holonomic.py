"""A base on four mecanum wheels: its kinematics by hand and against the motor controllers' own, ramps, limits and
odometry in every level of the simulator, and that the reflex drives it sideways and to its goal."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.kinematics import BodyVelocity, Mecanum
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.drive import Navigator, drive
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.parameters import check_all
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.kinematic import SIDEWAYS, WHEELS, KinematicSimulator, V, W, roll
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.mecanum import MECANUM
from hybrid_control.sim.robots.vehicle import Wheels
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.wheels import WheelOdometry, ramp_in_plane, within
from hybrid_control.sim.worlds import World, generate

LEVELS = pytest.mark.parametrize("kind", [KinematicSimulator, Simulator])
EXACT = dataclasses.replace(MECANUM, odometry_scale_error=0.0, wheel_radius_error=0.0, track_error=0.0)
SPEED = st.floats(-2.0, 2.0)


def floor(*cylinders):
    return World("floor", Pose(), (9.0, 0.0), (-9.0, -9.0, 9.0, 9.0), np.array(cylinders), np.empty((0, 5)))


def driven(kind, robot, x, y, turn, seconds, world=None):
    simulator = kind(world or floor(), robot, camera=False)
    for _ in range(round(seconds / 0.02)):
        simulator.apply(Twist(simulator.time_ns, linear_x=x, linear_y=y, angular_z=turn))
        list(simulator.advance(simulator.time_ns + 20_000_000))
    return simulator


def turned(x, y, turn, radius=1.0, lever=1.0, seconds=1.0):
    """rad by which the wheels turn: front left, front right, rear left, rear right."""
    state, base = np.zeros(WHEELS + 4), np.array((0.0, 0.0, 0.0, lever, radius))
    state[V], state[SIDEWAYS], state[W] = x, y, turn
    roll(state, base, seconds)
    return state[WHEELS:].tolist()


# -- kinematics -------------------------------------------------------------------------------------------------------


def test_wheels_of_a_unit_base_turn_as_worked_out_by_hand():
    # radius 1, track 1 and wheelbase 1: a wheel's lever is (1 + 1) / 2 = 1
    assert turned(1.0, 0.0, 0.0) == [1.0, 1.0, 1.0, 1.0]
    assert turned(0.0, 1.0, 0.0) == [-1.0, 1.0, 1.0, -1.0]  # to the left: front left and rear right turn back
    assert turned(0.0, 0.0, 1.0) == [-1.0, 1.0, -1.0, 1.0]
    assert turned(1.0, 1.0, 0.0) == [0.0, 2.0, 2.0, 0.0]  # aslant two of them stand
    assert turned(1.0, 0.0, 0.0, radius=0.5) == [2.0, 2.0, 2.0, 2.0]


@settings(deadline=None)
@given(SPEED, SPEED, SPEED, st.floats(0.03, 0.3), st.floats(0.1, 1.0), st.floats(0.1, 1.0))
def test_the_wheels_turn_as_those_of_the_firmware_bridge(x, y, turn, radius, wheelbase, track):
    theirs = Mecanum(radius, wheelbase, track).to_wheels(BodyVelocity(x, y, turn)).speeds
    ours = turned(x, y, turn, radius, 0.5 * (wheelbase + track))
    assert ours == pytest.approx(list(theirs), abs=1e-9)


@settings(deadline=None)
@given(SPEED, SPEED, st.floats(-1.0, 1.0))
def test_odometry_of_wheels_without_errors_is_the_motion_that_turned_them(x, y, turn):
    wheels = Wheels(0.1, 0.4, 1_000_000, 0.0, 0.0, 0.0, 0.5)
    odometry = WheelOdometry(wheels, 0.0, Pose(), np.random.default_rng(0))
    angles = np.array(turned(x, y, turn, 0.1, wheels.lever))
    found = odometry.update(1_000_000_000, angles).twist
    assert (found.linear_x, found.linear_y, found.angular_z) == pytest.approx((x, y, turn), abs=1e-5)


def test_a_velocity_is_cut_as_a_whole_and_keeps_its_direction():
    assert within(3.0, 4.0, 1.0) == pytest.approx((0.6, 0.8))
    assert within(0.3, 0.4, 1.0) == (0.3, 0.4)
    assert within(-2.0, 0.0, 1.0) == (-1.0, 0.0)


def test_a_velocity_changes_straight_to_its_target_by_rise_and_fall():
    # 1 m/s² for 0.1 s towards (0.6, 0.8), and 2 m/s² back
    assert ramp_in_plane(0.0, 0.0, 0.6, 0.8, 1.0, 2.0, 0.1) == pytest.approx((0.06, 0.08))
    assert ramp_in_plane(0.6, 0.8, 0.0, 0.0, 1.0, 2.0, 0.1) == pytest.approx((0.48, 0.64))
    # from ahead to the left, as fast: (1, 0) to (0, 1) is sqrt(2) long
    step = 0.1 / math.sqrt(2.0)
    assert ramp_in_plane(1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 0.1) == pytest.approx((1.0 - step, step))
    assert ramp_in_plane(0.95, 0.0, 1.0, 0.0, 1.0, 2.0, 0.1) == (1.0, 0.0)


# -- the levels -------------------------------------------------------------------------------------------------------


@LEVELS
@pytest.mark.parametrize(("x", "y"), [(0.5, 0.0), (0.0, 0.5), (0.0, -0.5), (-0.3, 0.4)])
def test_it_moves_in_any_direction_by_speed_times_time_less_the_ramp(kind, x, y):
    # 0.5 m/s for 2 s, less v²/2a = 0.0625 m at 2 m/s²
    truth = driven(kind, EXACT, x, y, 0.0, 2.0).truth()
    assert (truth.pose.x, truth.pose.y) == pytest.approx((1.875 * x, 1.875 * y), abs=0.01)
    assert truth.pose.yaw == pytest.approx(0.0, abs=1e-3)
    assert (truth.twist.linear_x, truth.twist.linear_y) == pytest.approx((x, y), abs=1e-3)


@LEVELS
def test_it_turns_while_it_goes_sideways_and_its_odometry_says_so(kind):
    simulator = driven(kind, EXACT, 0.0, 0.4, 0.8, 4.0)
    truth = simulator.truth()
    said = simulator.odometry.reading if kind is KinematicSimulator else simulator.odometry()
    assert math.remainder(said.pose.yaw - truth.pose.yaw, math.tau) == pytest.approx(0.0, abs=0.02)
    assert (said.pose.x, said.pose.y) == pytest.approx((truth.pose.x, truth.pose.y), abs=0.02)
    assert said.twist.linear_y == pytest.approx(0.4, abs=0.01)
    assert truth.twist.angular_z == pytest.approx(0.8, abs=1e-3)


@LEVELS
def test_it_is_no_faster_aslant_than_ahead_and_stops_when_commands_stay_away(kind):
    simulator = driven(kind, MECANUM, 3.0, 3.0, 0.0, 1.0)
    twist = simulator.truth().twist
    assert math.hypot(twist.linear_x, twist.linear_y) == pytest.approx(MECANUM.max_speed, abs=0.01)
    list(simulator.advance(simulator.time_ns + 1_000_000_000))
    twist = simulator.truth().twist
    assert math.hypot(twist.linear_x, twist.linear_y) == pytest.approx(0.0, abs=1e-3)


@LEVELS
def test_it_touches_what_stands_beside_it(kind):
    # a post of 0.1 m at 0.8 m: its near side at 0.7, the robot's at 0.225
    simulator = driven(kind, MECANUM, 0.0, 0.3, 0.0, 3.0, floor((0.0, 0.8, 0.1)))
    assert simulator.contact_events
    assert simulator.contact_events[0].y == pytest.approx(0.475, abs=0.01)
    assert not simulator.contact_events[0].standing


def test_wheels_push_no_more_than_their_rollers_grip():
    """Along (1, 1) and (1, -1) each grips with 0.8 of its weight: along x or y that is 0.8 g / sqrt(2) = 5.55 m/s².
    Told to stop from 1 m/s by 20 m/s², it needs 1 / (2 · 5.55) = 0.090 m."""
    hard = dataclasses.replace(MECANUM, deceleration=20.0, wheel_effort=100.0)
    simulator = driven(Simulator, hard, 0.0, 1.0, 0.0, 2.0)
    before = simulator.pose.y
    for _ in range(50):
        simulator.apply(Twist(simulator.time_ns))
        list(simulator.advance(simulator.time_ns + 20_000_000))
    assert simulator.pose.y - before == pytest.approx(0.090, abs=0.005)


@LEVELS
def test_a_rover_does_not_move_sideways(kind):
    assert driven(kind, JACKAL, 0.0, 0.5, 0.0, 1.0).pose.y == pytest.approx(0.0, abs=1e-6)


def test_a_simulation_goes_on_from_its_state_to_the_bit():
    simulator = driven(Simulator, MECANUM, 0.3, 0.4, 0.5, 0.5)
    state, ends = simulator.state(), []
    for _ in range(2):
        simulator.set_state(state)
        for _ in range(20):
            simulator.apply(Twist(simulator.time_ns, linear_x=0.3, linear_y=-0.4))
            list(simulator.advance(simulator.time_ns + 20_000_000))
        ends.append((simulator.pose, simulator.odometry()))
    assert ends[0] == ends[1]


def test_speeds_of_two_wheels_are_refused():
    with pytest.raises(ValueError, match="mecanum has four mecanum wheels"):
        Simulator(floor(), MECANUM, camera=False).set_wheel_speeds(1.0, 1.0)


# -- the reflex -------------------------------------------------------------------------------------------------------


def test_what_the_reflex_is_told_follows_from_its_numbers():
    settings = check_all(SETTINGS, MECANUM.reflex_settings)
    # 0.1 s of reaction, and 1 m/s over twice 2 m/s²
    assert (settings["holonomic"], settings["response_time"]) == (True, pytest.approx(0.35))
    gains = check_all(GAINS, MECANUM.reflex_gains)
    assert gains["max_acceleration"] == 1.0  # half of its braking
    weak = dataclasses.replace(MECANUM, max_speed=5.0, deceleration=0.5)
    assert check_all(SETTINGS, weak.reflex_settings)["response_time"] == 2.0


def ways_of(robot, goal, cylinders=(), seconds=3.0):
    """(x, y, yaw) of the robot under the reflex alone."""
    world = dataclasses.replace(floor(*cylinders), goal=goal)
    simulator = KinematicSimulator(world, robot, 0)
    return drive(Navigator(None, robot, memory=False), simulator, robot, Rules(duration=seconds), 0).way


def test_it_goes_sideways_where_the_way_is_sideways():
    ahead, aside = ways_of(MECANUM, (8.0, 0.0)), ways_of(MECANUM, (0.0, 4.0), seconds=1.0)
    assert abs(ahead[-1, 1]) < 0.1
    assert aside[-1, 1] > 0.1
    # a rover turns first
    assert aside[-1, 1] > 3.0 * ways_of(JACKAL, (0.0, 4.0), seconds=1.0)[-1, 1]


def test_the_compiled_episode_is_the_stepped_one_and_arrives():
    (scene,) = load_scenes("default:1", scale=MECANUM.world_scale)
    compiled, stepped = (Harness(Setup(robot="mecanum", level=level)) for level in ("kinematic", "planar"))
    one, other = (harness.run("reflex", scene, 0, 0) for harness in (compiled, stepped))
    assert one["success"]
    assert other.pop("false_stops") == 0  # which nobody looks for at the kinematic level
    assert {**one, "modes": 0} == {**other, "modes": 0}


@pytest.mark.slow
def test_it_arrives_in_worlds_of_the_simulator_and_touches_nothing():
    for seed in range(10):
        world = generate("default", seed, MECANUM.world_scale)
        driver = Navigator(None, MECANUM)
        rules = Rules().for_robot(MECANUM)
        episode = drive(driver, KinematicSimulator(world, MECANUM, seed), MECANUM, rules, seed)
        assert episode.success, f"seed {seed}"


@pytest.mark.slow
def test_where_things_move_it_touches_none_while_it_drives():
    harness = Harness(Setup(robot="mecanum", level="kinematic"))
    rows = [
        harness.run("hybrid", scene, i, 0)
        for i, scene in enumerate(load_scenes("crossing:12", scale=MECANUM.world_scale))
    ]
    assert not [row["world"] for row in rows if row["contact"] and not row["standing"]]
    assert sum(row["success"] for row in rows) >= 11
