"""An outline off base_link and a lidar's mount, by sums that can be worked by hand; what follows from a robot's size
and speed; and that the car steers as a car does."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.outline import OUTLINE, Outline, nearest_distance, stays_clear
from hybrid_control.geometry.shapes import footprint_distance
from hybrid_control.navigation.bench.dwa import STEP, free_way
from hybrid_control.navigation.bench.scan_driver import points_of
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.reflex.evasion import outline_of, robot_of
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.navigation.reflex.returns import Returns
from hybrid_control.parameters import check_all
from hybrid_control.signals import Pose, RangeScan, Twist
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots import ROBOTS, vehicle
from hybrid_control.sim.robots.car import CAR
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.transport import TRANSPORT
from hybrid_control.sim.score import outline_gap
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World, generate
from hybrid_control.sim.worlds.generators import guaranteed, passable, scale_for

ROVERS = [name for name in ROBOTS if vehicle(name).wheels is not None]
AHEAD = dataclasses.replace(JACKAL, outline_x=0.2)
MOUNTED = dataclasses.replace(JACKAL, lidar_x=0.2, lidar_y=-0.1, lidar_yaw=math.pi / 2)
DEFAULTS = {p.name: p.default for p in GAINS}


def world(*cylinders, start=Pose(), boxes=()):
    return World("w", start, (9.0, 0.0), (-5.0, -5.0, 10.0, 5.0), np.array(cylinders), np.array(boxes))


# -- the outline ------------------------------------------------------------------------------------------------------


def test_the_gap_counts_from_the_outline_where_it_is():
    # its front is 0.254 + 0.2 ahead, its rear 0.054 behind
    assert outline_gap(world((1.0, 0.0, 0.1)), AHEAD, Pose()) == pytest.approx(0.9 - 0.454)
    assert outline_gap(world((-1.0, 0.0, 0.1)), AHEAD, Pose()) == pytest.approx(0.9 - 0.054)
    # turned to the left it reaches along y
    assert outline_gap(world((0.0, 1.0, 0.1)), AHEAD, Pose(yaw=math.pi / 2)) == pytest.approx(0.9 - 0.454)


@settings(deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(-math.pi, math.pi), st.floats(-3, 3), st.floats(-3, 3))
def test_the_gap_is_that_of_the_rectangle_at_its_middle(ahead, yaw, x, y):
    robot = dataclasses.replace(JACKAL, outline_x=ahead)
    there = world((x, y, 0.1), start=Pose(-4.5, -4.5))
    middle = (ahead * math.cos(yaw), ahead * math.sin(yaw))
    expected = footprint_distance(*middle, yaw, robot.length, robot.width, there.cylinders, there.boxes)
    assert outline_gap(there, robot, Pose(yaw=yaw)) == pytest.approx(expected)


@pytest.mark.parametrize("ahead", [0.2, -0.15])
@pytest.mark.parametrize("kind", [KinematicSimulator, Simulator])
def test_a_robot_touches_what_is_ahead_where_its_front_is(kind, ahead):
    # the wall's face stands at 1.5
    robot = dataclasses.replace(JACKAL, outline_x=ahead)
    simulator = kind(world(boxes=[(1.6, 0.0, 0.2, 2.0, 0.0)]), robot)
    while not simulator.contact_events and simulator.time_ns < 10e9:
        simulator.apply(Twist(simulator.time_ns, linear_x=0.3))
        list(simulator.advance(simulator.time_ns + 20_000_000))
    assert simulator.pose.x + robot.front == pytest.approx(1.5, abs=0.02)


def guarded(outline, points, twist):
    record = np.zeros(1, OUTLINE)[0]
    for name, value in (*outline._asdict().items(), ("margin", 0.04)):
        record[name] = value
    points = np.array(points, np.float32).reshape(-1, 2)
    return stays_clear(points, len(points), twist, 1.0, (0.0, 0.0), 0.0, record), record


def test_a_way_is_clear_by_the_outline_where_it_is():
    # 0.3 m on, the front is at 0.25 + 0.2 + 0.3, and 0.04 are kept
    ahead = Outline(0.25, 0.2, 0.2)
    assert not guarded(ahead, [(0.78, 0.0)], (0.3, 0.0, 0.0))[0]
    assert guarded(ahead, [(0.80, 0.0)], (0.3, 0.0, 0.0))[0]
    # back: the rear is at -0.05, and gets to -0.35
    assert not guarded(ahead, [(-0.38, 0.0)], (-0.3, 0.0, 0.0))[0]
    assert guarded(ahead, [(-0.40, 0.0)], (-0.3, 0.0, 0.0))[0]
    # on the spot its far corners swing out to hypot(0.45, 0.2) = 0.49: a point beside the front is swept, one beside
    # the rear, which is hypot(0.05, 0.2) = 0.21 away, is not
    assert not guarded(ahead, [(0.35, 0.32)], (0.0, 0.0, 1.0))[0]
    assert guarded(ahead, [(-0.3, 0.1)], (0.0, 0.0, 1.0))[0]


@settings(deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-2, 2), st.floats(-2, 2))
def test_the_nearest_point_is_as_far_as_one_that_is_shifted_the_other_way(ahead, x, y):
    _, record = guarded(Outline(0.25, 0.2, ahead), [], (0.0, 0.0, 0.0))
    _, centred = guarded(Outline(0.25, 0.2), [], (0.0, 0.0, 0.0))
    there, shifted = (np.array([[v, y]], np.float32) for v in (x, x - ahead))
    assert nearest_distance(there, 1, record) == pytest.approx(nearest_distance(shifted, 1, centred), abs=1e-6)


def test_the_reflex_looks_as_far_as_the_farther_end_needs():
    values = {**check_all(SETTINGS, {}), **DEFAULTS, "max_speed": 3.0}
    near, far = (robot_of({**values, "outline_x": x}, values)["reach"] for x in (0.0, 0.3))
    assert far - near == pytest.approx(math.hypot(0.554, 0.215) - math.hypot(0.254, 0.215))


def test_what_lies_in_the_outline_is_the_robots_own_body():
    settings = check_all(SETTINGS, {"outline_x": 0.2, "lidar_x": 0.1})
    beam = {math.pi: 0.1, 0.0: 0.3}  # at 0.0, within; ahead at 0.4, within; with the outline about base_link it is not
    for angle, r in beam.items():
        scan = RangeScan(0, angle, 0.01, 0.05, 10.0, np.array([r], np.float32))
        assert np.isnan(Returns(settings).read(scan).ranges[0])
    behind = RangeScan(0, math.pi, 0.01, 0.05, 10.0, np.array([0.3], np.float32))  # at -0.2, beyond the rear
    assert Returns(settings).read(behind).ranges[0] == np.float32(0.3)


def test_the_baselines_know_where_the_outline_is():
    # from the front at 0.45 to a point at 1.0, less a step
    point = np.array([[1.0, 0.0]])
    assert free_way(point, 1.0, 0.0, 0.25, 0.2, 4.0, 0.2) == pytest.approx(0.55 - STEP / 2, abs=STEP / 2)
    scan = RangeScan(0, 0.0, 0.1, 0.05, 10.0, np.array([1.0], np.float32))
    assert points_of(scan, MOUNTED.lidar)[0] == pytest.approx((0.2, 0.9))


# -- the lidar --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KinematicSimulator, Simulator])
@pytest.mark.parametrize("fov", [2 * math.pi, 1.5 * math.pi])
def test_a_lidar_sees_from_where_it_is_mounted(kind, fov):
    robot = dataclasses.replace(MOUNTED, lidar_fov=fov, lidar_beams=361, lidar_noise=0.0, lidar_dropout=0.0)
    # robot at (1, 1) turned left: its lidar is 0.1 along x and 0.2 along y of the world, at (1.1, 1.2), and looks to -x
    scan = kind(world((-1.0, 1.2, 0.1), start=Pose(1.0, 1.0, math.pi / 2)), robot).scan()
    angles = scan.angle_min + scan.angle_increment * np.arange(scan.ranges.size)
    ahead = int(np.argmin(np.abs(angles)))
    assert scan.ranges[ahead] == pytest.approx(2.0, abs=0.01)
    hits = angles[np.isfinite(scan.ranges)]
    assert np.abs(hits).max() < 0.06
    assert (angles[0], angles[-1]) == pytest.approx(
        (-fov / 2, fov / 2 - (scan.angle_increment if fov > 6.0 else 0.0)), abs=1e-6
    )


def test_the_reflex_is_told_of_mount_and_outline_where_there_are_any():
    assert not {"outline_x", "lidar_x", "lidar_y", "lidar_yaw"} & JACKAL.reflex_settings.keys()
    told = check_all(SETTINGS, {**MOUNTED.reflex_settings})
    assert (told["lidar_x"], told["lidar_y"], told["lidar_yaw"]) == (0.2, -0.1, math.pi / 2)
    assert outline_of(check_all(SETTINGS, AHEAD.reflex_settings)) == AHEAD.outline


# -- what follows from size and speed ---------------------------------------------------------------------------------


def test_a_jackals_gains_are_the_reflexs_own():
    assert all(DEFAULTS[name] == value for name, value in JACKAL.reflex_gains.items())


@pytest.mark.parametrize("name", ROVERS)
def test_no_robot_is_asked_for_more_than_it_can(name):
    robot = vehicle(name)
    gains = {**DEFAULTS, **robot.reflex_gains}
    assert gains["max_speed"] <= robot.max_speed
    assert gains["max_yaw_rate"] <= robot.max_yaw_rate
    assert gains["max_acceleration"] <= min(robot.acceleration, robot.deceleration)
    assert gains["scan_timeout"] >= 3.0 / robot.lidar_rate
    check_all(SETTINGS, robot.reflex_settings)


def test_worlds_of_a_jackal_are_as_they_were_and_those_of_a_larger_robot_larger():
    assert JACKAL.world_scale == CAR.world_scale == 1.0
    # half diagonals: 0.75 m and 0.33279 m
    assert TRANSPORT.world_scale == pytest.approx(0.75 / math.hypot(0.254, 0.215))
    assert scale_for(0.1, 0.1) == 1.0
    small, large = generate("default", 3), generate("default", 3, 2.0)
    np.testing.assert_array_equal(large.cylinders, 2.0 * small.cylinders)
    np.testing.assert_array_equal(large.boxes[:, :4], 2.0 * small.boxes[:, :4])
    np.testing.assert_array_equal(large.boxes[:, 4], small.boxes[:, 4])
    assert large.goal == (20.0, 0.0)
    room, cell = guaranteed("default")
    assert passable(large, 1.98 * room, cell=cell)
    with pytest.raises(ValueError, match=r"a scale of 0; expected 0.1 .. 20"):
        generate("default", 3, 0.0)


def test_moving_things_and_patches_of_a_larger_world_are_where_they_have_to_be():
    small, large = generate("crossing", 1), generate("crossing", 1, 2.0)
    assert [m.a for m in large.movers] == [(2 * m.a[0], 2 * m.a[1]) for m in small.movers]
    assert [m.speed for m in large.movers] == [m.speed for m in small.movers]
    small, large = generate("patches", 1), generate("patches", 1, 2.0)
    assert [(p.x, p.length, p.yaw) for p in large.patches] == [(2 * p.x, 2 * p.length, p.yaw) for p in small.patches]


def test_time_follows_from_way_and_speed():
    rules = Rules()
    assert rules.for_robot(JACKAL) == rules
    assert rules.for_robot(vehicle("burger")).duration == pytest.approx(90.0 / 0.22)
    assert rules.for_robot(TRANSPORT).duration == pytest.approx(90.0 * TRANSPORT.world_scale)


# -- the car ----------------------------------------------------------------------------------------------------------


def test_front_wheels_stand_square_to_their_lines_to_the_circles_middle():
    left, right = CAR.front_angles(0.3)
    radius, half = CAR.wheelbase / math.tan(0.3), CAR.track / 2
    assert (math.tan(left), math.tan(right)) == pytest.approx(
        (CAR.wheelbase / (radius - half), CAR.wheelbase / (radius + half))
    )
    assert CAR.front_angles(0.0) == (0.0, 0.0)


@pytest.mark.parametrize("wished", [1.0, -1.0])
def test_the_car_drives_its_tightest_circle_in_mujoco_and_does_not_turn_on_the_spot(wished):
    simulator = Simulator(world(), CAR, camera=False)
    radius = CAR.wheels.turning_radius
    places = []
    for _ in range(800):
        simulator.apply(Twist(simulator.time_ns, linear_x=0.5, angular_z=wished * 3.0))
        simulator.step(0.01)
        places.append((simulator.pose.x, simulator.pose.y))
    # a circle through the places of the last turn, by least squares: x² + y² = 2 a x + 2 b y + c
    p = np.array(places[-500:])
    a, b, c = np.linalg.lstsq(np.column_stack((2 * p, np.ones(len(p)))), (p**2).sum(axis=1), rcond=None)[0]
    driven = math.sqrt(c + a * a + b * b)
    assert driven == pytest.approx(radius, rel=0.05)
    assert math.copysign(1.0, b - places[0][1]) == wished
    before = simulator.pose.yaw
    for _ in range(100):
        simulator.apply(Twist(simulator.time_ns, angular_z=wished * 3.0))
        simulator.step(0.01)
    still = simulator.pose.yaw
    for _ in range(100):
        simulator.apply(Twist(simulator.time_ns, angular_z=wished * 3.0))
        simulator.step(0.01)
    assert math.remainder(simulator.pose.yaw - still, math.tau) == pytest.approx(0.0, abs=0.01)
    assert before != still


@pytest.mark.parametrize("robot", [JACKAL, CAR])
def test_a_simulation_goes_on_from_its_state_to_the_bit(robot):
    def drive(simulator):
        for _ in range(30):
            simulator.apply(Twist(simulator.time_ns, linear_x=0.8, angular_z=0.5))
            simulator.step(0.01)
        return simulator.pose

    simulator = Simulator(world(), robot, camera=False)
    drive(simulator)
    state = simulator.state()
    first = drive(simulator)
    simulator.set_state(state)
    assert drive(simulator) == first


@pytest.mark.parametrize("name", ROVERS)
def test_every_rover_drives_straight_ahead_and_stands_upright_in_mujoco(name):
    robot = vehicle(name)
    simulator = Simulator(world(), robot, camera=False)
    for _ in range(300):
        simulator.apply(Twist(simulator.time_ns, linear_x=robot.max_speed))
        simulator.step(0.01)
    truth = simulator.truth()
    assert truth.twist.linear_x == pytest.approx(robot.max_speed, rel=0.03)
    assert abs(truth.pose.y) < 0.02 * truth.pose.x
    assert simulator.height == pytest.approx(robot.start_height, abs=0.01)
    assert simulator.imu().linear_acceleration[2] == pytest.approx(9.81, abs=0.6)
