"""Scans laid over what earlier ones saw: where the robot stands although its odometry drifts."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.route.align import GATE, STEADY, align, equations, foreseen, normals, settle
from hybrid_control.navigation.route.cells import BLOCK, Cells, place
from hybrid_control.navigation.route.memory import RouteMemory
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

CELL = 0.1
ROOM = np.array([[4, 0, 0.2, 8, 0.1], [-4, 0, 0.2, 8, 0], [0, 4, 8, 0.2, -0.1], [0, -4, 8, 0.2, 0]], float)
POSTS = np.array([[1.5, 1.0, 0.3], [-2.0, 0.5, 0.2], [0.5, -2.0, 0.25]])


def ranges_from(pose, boxes=ROOM, cylinders=POSTS, seed=0):
    angles = -math.pi + 2 * math.pi / 360 * np.arange(360)
    ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, 10.0, cylinders, boxes)
    return ranges + np.random.default_rng(seed).normal(0.0, 0.01, ranges.size)


def scan_from(pose, stamp=0, **world):
    ranges = ranges_from(pose, seed=stamp % 2**31, **world).astype(np.float32)
    return RangeScan(stamp, -math.pi, 2 * math.pi / 360, 0.05, 10.0, ranges)


def odometry(pose, stamp=0):
    return Odometry(stamp, pose, Twist(stamp))


def bare():
    """24 x 24 cells that know of no surface, all of their blocks in use."""
    table = np.arange(1, 10, dtype=np.int32).reshape(3, 3)
    return Cells(table, np.zeros(10 * BLOCK, np.int8), np.zeros((10 * BLOCK, 6), np.float32))


def enter(cells, x0, *readings, time=0.0):
    """Readings (x, y, normal's x, normal's y) of a robot at the origin that looks along x."""
    rows = np.array(readings, float)
    return settle(cells, (x0, 0.0, CELL), (0.0, 0.0, 0.0), rows[:, :2].copy(), rows[:, 2:].copy(), time)


def wall(y=0.5):
    cells = bare()
    enter(cells, 0.0, *((x, y, 0.0, -1.0) for x in np.arange(0.05, 2.0, 0.02)))
    return cells


def correction_of(cells, *readings, time=9.0):
    """The normal equations' right side and the points used, for a robot at the origin that looks along x."""
    rows = np.array(readings, float)
    points, facing = rows[:, :2].copy(), rows[:, 2:].copy()
    _, right, used = equations(cells, (0.0, 0.0, CELL), (0.0, 0.0, 0.0), points, facing, time)
    return right, used


def test_a_cell_keeps_the_mean_of_its_first_readings():
    cells = bare()
    assert enter(cells, 1.0, *((x, 0.35, 0.0, -1.0) for x in (1.21, 1.23, 1.25)), time=7.0).size == 0
    surface = cells.surfaces[place(cells.table, 3, 2)]
    assert surface == pytest.approx((3.0, 3 * 0.03, 3 * 0.05, 0.0, -3.0, 7.0), abs=1e-6)
    steady = [enter(cells, 1.0, (1.29, 0.35, 0.0, -1.0)).tolist() for _ in range(100)]
    assert [k for k, found in enumerate(steady) if found] == [STEADY - 4]  # said once, when it is
    assert steady[int(STEADY) - 4] == [3 * 24 + 2]
    assert surface[0] == STEADY
    enter(cells, 1.0, (-9.0, 99.0, 0.0, -1.0))  # out of the grid: nothing
    assert cells.surfaces[:, 0].sum() == STEADY


def test_a_straight_wall_faces_the_robot_and_a_lone_point_nowhere():
    points = np.column_stack((np.full(20, 2.0), np.linspace(-0.3, 0.3, 20)))
    np.testing.assert_allclose(normals(points), np.tile((-1.0, 0.0), (20, 1)), atol=1e-9)
    np.testing.assert_array_equal(normals(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])), np.zeros((3, 2)))


def test_a_point_before_its_surface_is_drawn_to_it_along_the_normal():
    right, used = correction_of(wall(0.52), (1.03, 0.48, 0.0, -1.0))
    assert used == 1
    assert right[:2] == pytest.approx((0.0, (1.0 - (0.04 / GATE) ** 2) ** 2 * 0.04))
    assert right[2] == pytest.approx(1.03 * right[1])


def test_what_faces_another_way_what_was_just_first_seen_and_what_is_far_does_not_count():
    for reading, time in (
        ((1.03, 0.48, 0.0, 1.0), 9.0),  # the other side of a thin wall
        ((1.03, 0.48, 0.0, -1.0), -1.0),
        ((1.03, 0.35, 0.0, -1.0), 9.0),
    ):
        assert correction_of(wall(0.52), reading, time=time)[1] == 0


def test_the_other_side_of_a_thin_wall_is_not_mixed_with_the_first():
    cells = wall(0.52)
    before = cells.surfaces.copy()
    enter(cells, 0.0, (1.03, 0.57, 0.0, 1.0))
    np.testing.assert_array_equal(cells.surfaces, before)


def test_a_displaced_scan_is_brought_back():
    memory = RouteMemory(Pose(), Goal(0, 3.0, 0.0))
    for k in range(6):
        memory.remember(scan_from(Pose(), k), odometry(Pose(), k))
    seen = ranges_from(Pose(0.3, 0.2, 0.1), seed=9)
    angles = -math.pi + 2 * math.pi / 360 * np.arange(360)
    points = (seen[:, None] * np.column_stack((np.cos(angles), np.sin(angles))))[seen < 5.0]
    (x, y, yaw), _ = align(
        memory.grid.cells,
        memory.grid.frame,
        (0.36, 0.13, 0.13),
        np.diag((0.01, 0.01, 0.01)),
        points,
        normals(points),
        9.0,
    )
    assert (x, y) == pytest.approx((0.3, 0.2), abs=0.02)
    assert yaw == pytest.approx(0.1, abs=0.01)


def test_along_a_bare_wall_the_odometry_is_believed_and_across_it_the_wall():
    points = np.column_stack((np.linspace(-0.5, 0.5, 60), np.full(60, 0.3)))
    facing = np.tile((0.0, -1.0), (60, 1))
    (x, y, yaw), _ = align(
        wall(0.5), (0.0, 0.0, CELL), (1.0, 0.25, 0.0), np.diag((1.0, 1.0, 1.0)), points, facing, 9.0
    )
    assert (x, y, yaw) == pytest.approx((1.0, 0.2, 0.0), abs=0.005)


def test_nothing_seen_changes_nothing():
    spread = np.diag((0.1, 0.2, 0.3))
    pose, after = align(
        bare(),
        (0.0, 0.0, CELL),
        (0.3, 0.4, 0.5),
        spread,
        np.empty((0, 2)),
        np.empty((0, 2)),
        9.0,
    )
    assert pose == (0.3, 0.4, 0.5)
    np.testing.assert_array_equal(after, spread)


def test_a_doubt_about_the_yaw_becomes_one_about_the_place_by_the_way_driven():
    after = foreseen(np.diag((0.0, 0.0, 0.01)), 2.0, 0.0, 0.0)
    assert after[1, 1] - after[0, 0] == pytest.approx(0.01 * 2.0**2)
    assert after[1, 2] == pytest.approx(0.01 * 2.0)


def test_the_point_on_the_way_leads_to_the_true_goal_although_the_odometry_drifts():
    # odometry counts 3 % too much, and turns by 0.04 rad per metre: after 3 m along x it is over 0.15 m off
    memory = RouteMemory(Pose(-1.5, -3.0, 0.0), Goal(0, 2.5, -3.0))
    true, believed = Pose(-1.5, -3.0, 0.0), Pose(-1.5, -3.0, 0.0)
    for k in range(1, 301):
        stamp = k * 25_000_000
        true = Pose(-1.5 + 0.01 * k, -3.0, 0.0)
        yaw = 0.0004 * k
        believed = Pose(believed.x + 0.0103 * math.cos(yaw), believed.y + 0.0103 * math.sin(yaw), yaw)
        memory.remember(scan_from(true, stamp), odometry(believed, stamp))
    assert math.dist((believed.x, believed.y), (true.x, true.y)) > 0.15
    place = memory.place(believed)
    assert (place.x, place.y) == pytest.approx((true.x, true.y), abs=0.04)
    aim = memory.point(believed, 0)
    distance, bearing = believed.to_body(aim.x, aim.y)
    assert distance == pytest.approx(1.0, abs=0.05)
    assert bearing == pytest.approx(0.0, abs=0.07)


def test_odometry_whose_yaw_goes_from_pi_to_minus_pi_is_believed_as_much_as_any():
    spreads = []
    for before, after in ((0.5, 0.6), (math.pi - 0.05, -math.pi + 0.05)):
        memory = RouteMemory(Pose(yaw=before), Goal(0, 4.0, 0.0))
        for k, yaw in enumerate((before, after)):
            stamp = k * 10**8
            empty = RangeScan(stamp, -math.pi, math.tau / 360, 0.05, 10.0, np.full(360, np.inf, np.float32))
            memory.remember(empty, Odometry(stamp, Pose(yaw=yaw), Twist(stamp)))
        spreads.append(memory._spread)
    np.testing.assert_allclose(spreads[1], spreads[0], atol=1e-9)
