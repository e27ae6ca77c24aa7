"""Who tries to get on and does not: the way that the grid shows there is closed, and another one taken."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.route.cells import SURE
from hybrid_control.navigation.route.grid import Grid
from hybrid_control.navigation.route.held import AFTER, PAUSE, TRIES, WITHIN, Held
from hybrid_control.navigation.route.memory import RouteMemory
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

NO_CYLINDERS = np.empty((0, 3))
PERIOD = 0.2  # s, between two points
NEAR_GAP = [(2.0, -2.85, 0.1, 5.0, 0.0)]  # a wall across the way up to y = -0.35
BOTH_GAPS = [*NEAR_GAP, (2.0, 1.35, 0.1, 2.0, 0.0), (2.0, 6.6, 0.1, 6.0, 0.0)]  # free from 2.35 to 3.6 m, too
ROOM = [(0.0, 9.0, 30.0, 0.1, 0.0), (0.0, -5.0, 30.0, 0.1, 0.0)]
ROOM += [(-4.0, 0.0, 0.1, 30.0, 0.0), (12.0, 0.0, 0.1, 30.0, 0.0)]


def looks(poses):
    held = Held()
    return [held.look(pose, PERIOD * k) for k, pose in enumerate(poses)]


def swaying(seconds, step=0.02, around=Pose()):
    count = round(seconds / PERIOD) + 1
    return [Pose(around.x + step * (k % 2), around.y, around.yaw) for k in range(count)]


def test_a_robot_that_drives_to_and_fro_about_one_place_is_held_and_that_is_said_once():
    said = looks(swaying(AFTER + 3.0))
    assert [k for k, s in enumerate(said) if s] == [round(AFTER / PERIOD)]


def test_a_robot_that_turns_to_and_fro_on_the_spot_is_held():
    poses = [Pose(0.0, 0.0, math.pi + 0.1 * (-1) ** k) for k in range(round(AFTER / PERIOD) + 1)]  # across +-pi
    assert looks(poses)[-1]


def test_a_robot_that_stands_is_not_held_and_neither_is_one_whose_odometry_trembles():
    assert not any(looks([Pose(1.0, 2.0, 3.0)] * 500))
    assert not any(looks(swaying(60.0, step=0.9 * TRIES / (AFTER / PERIOD + 1))))


def test_a_robot_that_gets_on_slowly_is_not_held():
    speed = 1.1 * WITHIN / AFTER
    assert not any(looks([Pose(speed * PERIOD * k, 0.0, 0.0) for k in range(200)]))


def test_nothing_is_known_of_a_time_in_which_nobody_looked_or_that_is_set_back():
    held = Held()
    for k, pose in enumerate(swaying(AFTER - PERIOD)):
        assert not held.look(pose, PERIOD * k)
    assert not held.look(Pose(), AFTER + PAUSE)
    assert not held.look(Pose(0.02), 0.0)


def entered(grid, pose, boxes, time=0.0):
    angles = -math.pi + math.tau / 360 * np.arange(360)
    ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, 10.0, NO_CYLINDERS, np.array(boxes))
    grid.enter(pose.x, pose.y, ranges, -math.pi, math.tau / 360, 0.05, 5.0, time)


def room(grid, x, y):
    return grid.clear()[math.floor((y - grid.y0) / grid.cell), math.floor((x - grid.x0) / grid.cell)]


def test_a_barred_place_stays_closed_whatever_is_seen_until_it_is_opened():
    grid = Grid(0.0, 0.0, 0.1, 0.6)
    entered(grid, Pose(), ROOM)
    free = grid.clear().copy()
    grid.bar(1.05, 0.05)
    for k in range(20):
        entered(grid, Pose(), ROOM, 0.1 * k)
    assert room(grid, 1.05, 0.05) == 0.0
    assert room(grid, 1.35, 0.05) == pytest.approx(0.3, abs=1e-6)
    assert grid.unbar()
    assert not grid.unbar()
    np.testing.assert_array_equal(grid.clear(), free)


def test_a_barred_place_is_the_same_one_after_the_grid_has_grown():
    grid = Grid(0.0, 0.0, 0.1, 0.6)
    entered(grid, Pose(), ROOM)
    grid.bar(1.05, 0.05)
    before = grid.shape
    entered(grid, Pose(-4.0, -3.0), [(-8.0, -6.0, 0.1, 5.0, 0.0), *ROOM[:1]])
    assert grid.shape != before
    assert room(grid, 1.05, 0.05) == 0.0
    assert grid.unbar()
    assert room(grid, 1.05, 0.05) > 0.5


def test_places_off_the_grid_are_barred_by_nothing_and_forgetting_opens_what_was():
    grid = Grid(0.0, 0.0, 0.1, 0.6)
    grid.bar(1e3, -1e3)
    grid.bar(1.0, 1.0)
    assert (grid.counts() >= SURE).sum() == 1
    grid.forget()
    assert not grid.unbar()
    assert (grid.counts() >= SURE).sum() == 0


def points(boxes, poses, goal=Goal(0, 6.0, 0.0)):
    """The memory's points, every PERIOD, of a robot at these poses in a room with boxes."""
    memory, given = RouteMemory(poses[0], goal), []
    angles = -math.pi + math.tau / 360 * np.arange(360)
    for k, pose in enumerate(poses):
        stamp = round(PERIOD * k * 1e9)
        ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, 10.0, NO_CYLINDERS, np.array([*boxes, *ROOM]))
        scan = RangeScan(stamp, -math.pi, math.tau / 360, 0.05, 10.0, ranges.astype(np.float32))
        memory.remember(scan, Odometry(stamp, pose, Twist(stamp)))
        given.append(memory.point(pose, stamp))
    return memory, given


def test_a_robot_held_before_one_gap_is_led_to_the_other_one():
    _, given = points(BOTH_GAPS, swaying(AFTER + 1.0, around=Pose(1.2, 0.0, 0.0)))
    assert all(abs(p.y) < 0.3 for p in given[1:-6])
    assert given[-1].y > 1.0


def test_a_robot_held_before_the_only_gap_tries_it_again_and_is_not_told_that_there_is_no_way():
    closed = [(0.0, 3.0, 30.0, 0.1, 0.0), (0.0, -3.0, 30.0, 0.1, 0.0), (-2.5, 0.0, 0.1, 9.0, 0.0)]  # all within sight
    boxes = [*NEAR_GAP, (2.0, 4.85, 0.1, 9.0, 0.0), *closed]
    memory, given = points(boxes, swaying(3.0 * AFTER, around=Pose(1.2, 0.0, 0.0)))
    assert not memory.blocked
    assert given[-1] is not None
    assert abs(given[-1].y) < 0.3
    assert sum(p is None for p in given[1:]) <= 6  # while the search begins anew


def test_a_robot_that_stands_before_a_gap_is_led_through_it_for_ever():
    _, given = points(BOTH_GAPS, [Pose(1.2, 0.0, 0.0)] * 100)
    assert all(abs(p.y) < 0.3 for p in given[1:])
