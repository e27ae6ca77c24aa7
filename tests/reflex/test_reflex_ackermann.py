"""A base that steers as a car does: it is asked for arcs alone, and turns in legs where no arc ahead will do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lock_step import Bot, Car, lidar, post, room, touches

from hybrid_control.bringup import kinds
from hybrid_control.navigation.drive import Navigator
from hybrid_control.navigation.drive import drive as drive_world
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.reflex import Mode, Reflex
from hybrid_control.navigation.reflex.evasion import HORIZON, ROBOT, clear_times, evade, on_a_circle
from hybrid_control.navigation.reflex.guard import GUARD, guard
from hybrid_control.navigation.reflex.scan import MOTION, SCAN
from hybrid_control.navigation.reflex.turning import as_arc
from hybrid_control.parameters import ParameterError
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots.car import CAR
from hybrid_control.sim.worlds import generate

RADIUS = 0.9  # m
ASKED = 1e-9  # rad/s, rounding


def drive(bot, walls, seconds=90.0, scan=None):
    """Until it arrives or touches: (speeds at which it touched, legs in their order, slowest speed)."""
    met, legs = [], []

    def each(b):
        leg = int(b.reflex.context["leg"][0])
        if leg and (not legs or legs[-1] != leg):
            legs.append(leg)
        if b.v != 0.0 and touches(b, walls):
            met.append(b.v)
        return bool(met) or b.reflex.command().mode is Mode.ARRIVED

    bot.drive(seconds, scan or lidar(walls), each=each)
    return met, legs


def arrived(bot):
    return bot.reflex.command().mode is Mode.ARRIVED


def posts(rng, count, gap, span):
    """Places of posts that are at least `gap` m apart, within span (left, right, half), m."""
    places = []
    for _ in range(1000):
        place = rng.uniform(span[0], span[1]), rng.uniform(-span[2], span[2])
        if len(places) < count and all(math.dist(place, p) > gap for p in places):
            places.append(place)
    return places


def random_car(seed):
    """A car, a field of posts and a goal beyond them: (bot, walls)."""
    rng = np.random.default_rng(1000 + seed)
    length, width = rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.6)
    right, half = rng.uniform(8, 14), rng.uniform(2, 4)
    places = posts(rng, rng.integers(3, 12), width + 0.9, (1.5, right - 2, half - 0.3))
    bot = Car(
        rng.uniform(0.6, 0.9) * length,
        rng.uniform(0.35, 0.7),
        rng.uniform(1, 4),
        {"robot_length": length, "robot_width": width},
        gains={"max_speed": rng.uniform(0.5, 1.5)},
        goal=(right - 1.3, rng.uniform(1 - half, half - 1)),
    )
    bot.yaw = rng.uniform(-math.pi, math.pi)
    return bot, np.concatenate([room(-3, right, half), *(post(*p, rng.uniform(0.05, 0.3)) for p in places)])


def pocket(width, depth=3.5, front=2.0):
    """A dead end that opens to the rear, in a hall, (k, 4) m."""
    half, mouth = width / 2, front - depth
    walls = [(front, -half, front, half)]
    for side in (half, -half):
        walls += [(mouth, side, front, side), (mouth, side, mouth, math.copysign(4.0, side))]
    return np.concatenate([np.array(walls), room(-8, 3, 4)])


# -- what is asked of the base -----------------------------------------------------------------------------------------


@given(st.floats(-1, 1), st.floats(-3, 3), st.floats(0, 1), st.floats(0.05, 20))
def test_a_wish_becomes_an_arc_that_turns_no_faster_and_the_same_way(linear, angular, fastest, radius):
    x, w = as_arc(linear, angular, fastest, radius)
    assert abs(w) <= abs(x) / radius + ASKED
    assert abs(w) <= abs(angular)
    assert w * angular >= 0
    assert x * linear >= 0
    assert abs(x) <= max(abs(linear), fastest)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1, 2), st.floats(-1, 1), st.floats(-2, 2), st.floats(-1, 1))
def test_the_guard_answers_an_arc_by_arcs_that_are_no_faster_and_turn_the_same_way(
    seed, linear, share, speed, curve
):
    points = np.random.default_rng(seed).uniform(-2, 2, (20, 2)).astype(np.float32)
    scan, record = np.zeros(1, SCAN)[0], np.zeros(1, GUARD)[0]
    scan["count"], scan["points"][: len(points)] = len(points), points
    record["outline"], record["yaw_acceleration"] = (0.25, 0.2, 0.04, 0.0), 8.0
    record["stop_distance"], record["deceleration"], record["radius"] = 0.15, 2.0, RADIUS
    record["speed"], record["turn"] = speed, speed * curve / RADIUS
    angular = share * abs(linear) / RADIUS
    x, _, w, _ = guard(scan, linear, 0.0, angular, record)
    assert abs(w) <= abs(x) / RADIUS + ASKED
    assert abs(x) <= abs(linear)
    assert abs(w) <= abs(angular) + ASKED
    assert x * linear >= 0
    assert w * angular >= 0


def test_what_moves_is_evaded_by_arcs_that_a_car_drives():
    outline = (0.25, 0.2, 0.1, 0.0)
    robot = np.array((outline, 1.0, 2.2, 2.0, 8.0, 5.0, 0.5, True, 0.5, RADIUS, 0.0), ROBOT)[()]
    times = np.empty((9, 9), np.float32)
    mover, nothing = np.array([[0.7, 1.5, 0.0, -0.8, 0.3, HORIZON, 0.0]]), np.empty((0, 2))
    clear_times(mover, nothing, np.zeros(1, MOTION)[0], robot, times)
    # where it stands it does not turn, however much is asked
    assert np.ptp(times[3]) < 1e-6
    x, w, other = evade(times, 0.5, 0.5 / RADIUS, 1.0, 2.2)
    assert other
    assert abs(on_a_circle(w, x, RADIUS)) <= abs(x) / RADIUS
    robot["radius"] = 0.0
    clear_times(mover, nothing, np.zeros(1, MOTION)[0], robot, times)
    assert times.min() < HORIZON


def test_stopping_keeps_the_curve():
    """A car that is told to stop goes on on its circle until it stands, as the guard has checked."""
    bot = Car(0.5, 0.5, goal=(0.0, 50.0))
    walls = room(-20, 20, 20)
    bot.drive(1.5, lidar(walls, high=30.0))
    command = bot.reflex.context["command"][0]
    curvature = command["angular_z"] / command["linear_x"]
    assert abs(curvature) == pytest.approx(1 / bot.radius, rel=0.01)
    # a wall all around, so near that nothing passes
    ring = lidar(post(bot.x, bot.y, 0.5))
    seen = []


    def each(b):
        seen.append((b.v, float(command["linear_x"]), float(command["angular_z"])))
        return abs(b.v) < 0.05

    bot.drive(2.0, ring, each=each)
    assert len(seen) > 10
    assert [w / x for _, x, w in seen[:-1]] == pytest.approx([curvature] * (len(seen) - 1))
    assert seen[-1][1] <= 0.001


def test_a_differential_base_is_asked_for_turns_on_the_spot_as_before():
    bot = Bot(goal=(-3.0, 0.0))
    bot.drive(0.8, lidar(room(-6, 6, 6)))
    assert bot.v == pytest.approx(0.0, abs=0.05)
    assert abs(bot.w) > 0.3


# -- fields, corridors, dead ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_car_arrives_behind_a_field_of_posts_and_touches_none(seed):
    places = posts(np.random.default_rng(seed), 8, 1.4, (1.5, 9, 2.2))
    bot = Car(0.5, 0.5, goal=(10.5, 0.0))
    walls = np.concatenate([room(-2, 12, 3.5), *(post(*p, 0.15) for p in places)])
    met, _ = drive(bot, walls)
    assert not met
    assert arrived(bot)
    assert bot.asked <= ASKED


@pytest.mark.slow
def test_twenty_four_random_cars_arrive_behind_random_fields_and_touch_nothing():
    for seed in range(24):
        bot, walls = random_car(seed)
        met, _ = drive(bot, walls)
        assert (met, arrived(bot)) == ([], True), f"seed {seed}"
        assert bot.asked <= ASKED


@pytest.mark.parametrize("width", [3.0, 2.0, 1.6])
def test_a_goal_behind_in_a_corridor_is_a_three_point_turn(width):
    bot = Car(0.5, 0.5, goal=(-5.0, 0.0))
    met, legs = drive(bot, room(-8, 8, width / 2))
    assert not met
    assert arrived(bot)
    assert legs[:2] == [-1, 1]
    assert len(legs) <= 4, "no dithering"
    assert abs(math.remainder(bot.yaw - math.pi, 2 * math.pi)) < 0.5, "it has turned round"
    assert bot.asked <= ASKED


@pytest.mark.parametrize("width", [0.6, 0.8, 1.0, 1.4, 2.0])
def test_a_car_comes_out_of_a_dead_end_or_says_why_it_stands(width):
    """The car is 0.43 m wide and turns on a circle of 0.73 m; it begins in the middle, its nose to the end."""
    bot, walls = Car(0.4, 0.5, goal=(-6.0, 0.0)), pocket(width)
    met, _ = drive(bot, walls)
    assert not met
    assert arrived(bot) or "no arc, ahead or back" in bot.reflex.status().reason
    assert arrived(bot) or width < 1.0
    assert bot.asked <= ASKED


@pytest.mark.parametrize("goal", [(0.0, 0.5), (0.3, -0.6), (-0.3, 0.3), (-0.5, 0.0)])
def test_a_goal_within_the_circle_that_it_drives_is_not_driven_around(goal):
    bot, walls = Car(0.4, 0.5, goal=goal), room(-6, 6, 5)
    met, _ = drive(bot, walls, 20.0)
    assert not met
    assert arrived(bot)


def test_a_car_whose_lidar_does_not_look_back_never_drives_back():
    bot, walls = Car(0.5, 0.5, goal=(-5.0, 0.0)), room(-8, 8, 1.5)
    ahead = lidar(walls, beams=181, first=-math.pi / 2, step=math.pi / 180)
    met, _ = drive(bot, walls, 20.0, ahead)
    assert not met
    assert bot.slowest > -1e-6
    assert "no arc, ahead or back" in bot.reflex.status().reason


def test_a_car_only_creeps_back_to_where_nothing_valid_is_seen():
    def blind_behind(ranges, angles):
        return np.where(np.abs(angles) > 1.8, np.nan, ranges)

    bot, walls = Car(0.5, 0.5, goal=(-5.0, 0.0)), room(-8, 8, 1.5)
    met, _ = drive(bot, walls, 20.0, lidar(walls, change=blind_behind))
    assert not met
    assert -float(bot.reflex.gains["creep"]) - 0.01 <= bot.slowest < 0.0


@pytest.mark.slow
def test_a_car_with_a_memory_of_the_way_arrives_in_worlds_of_the_simulator():
    rules = Rules()
    car = rules.robot(CAR)
    driver = Navigator(None, car, gains={"max_speed": 1.0})
    for seed in range(6):
        world = generate("default", seed)
        episode = drive_world(driver, KinematicSimulator(world, car, seed), car, rules, seed)
        assert episode.success, f"seed {seed}"


# -- settings ----------------------------------------------------------------------------------------------------------


def test_a_holonomic_vehicle_has_no_turning_radius():
    with pytest.raises(ParameterError, match="min_turning_radius: is for a base that steers"):
        Reflex({"holonomic": True, "min_turning_radius": 0.5})


def robot_graph(tmp_path, radius, kinematics="ackermann", **words):
    file = tmp_path / "car.yaml"
    file.write_text(
        f"firmware_bridge_node: {{ros__parameters: {{kinematics: {kinematics}, track: 0.3}}}}\n"
        f"reflex_node: {{ros__parameters: {{min_turning_radius: {radius}}}}}\n"
    )
    return kinds.build("robot", {"params_file": str(file), "port": "tcp://127.0.0.1:9", **words})


def test_the_radius_of_the_firmware_bridge_s_wheels_is_the_reflex_s_unless_the_file_says_a_wider_one(tmp_path):
    def radius(*arguments, **words):
        return robot_graph(tmp_path, *arguments, **words).values("reflex_node")["min_turning_radius"]

    assert radius(0.0) == pytest.approx(0.262 / math.tan(0.5))
    assert radius(1.5) == 1.5
    assert radius(0.0, "skid") == 0.0
    assert radius(0.3, base="none") == 0.3, "another base, of which our bridge's parameters say nothing"
    assert radius(0.0, composed="true") == pytest.approx(0.262 / math.tan(0.5))


def test_a_radius_that_the_wheels_can_t_drive_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"min_turning_radius 0\.3 m is tighter than the wheels .* 0\.480 m") as e:
        robot_graph(tmp_path, 0.3)
    assert "\n" not in str(e.value)
