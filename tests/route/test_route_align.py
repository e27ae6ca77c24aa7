"""Scans laid over what earlier ones saw: where the robot stands although its odometry drifts."""

import math

import numpy as np
import pytest

from hybrid_control.messages import Goal, Odometry, Pose, RangeScan, Twist
from hybrid_control.route.align import STEADY, align, line_near, settle
from hybrid_control.route.memory import RouteMemory
from hybrid_control.sim.geometry import cast_rays

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


def wall(y=0.5):
    surfaces = np.zeros((20, 20, 5))
    for x in np.arange(0.05, 2.0, 0.02):
        settle(surfaces, 0.0, 0.0, CELL, x, y, 0.0, -1.0)
    return surfaces


def test_a_cell_keeps_the_mean_of_its_first_readings():
    surfaces = np.zeros((5, 5, 5))
    for x in (1.21, 1.23, 1.25):
        settle(surfaces, 1.0, 0.0, CELL, x, 0.35, 0.0, -1.0)
    n, sx, sy, *_ = surfaces[3, 2]
    assert (n, sx / n, sy / n) == pytest.approx((3, 0.23, 0.35))
    for _ in range(100):
        settle(surfaces, 1.0, 0.0, CELL, 1.29, 0.35, 0.0, -1.0)
    assert surfaces[3, 2, 0] == STEADY
    settle(surfaces, 1.0, 0.0, CELL, -9.0, 99.0, 0.0, -1.0)  # out of the grid: nothing


def test_a_wall_is_a_line_and_a_lone_cell_is_none():
    found, _, y, nx, ny = line_near(wall(0.52), CELL, 1.03, 0.55, 0.0, -1.0)
    assert found
    assert y == pytest.approx(0.52)
    assert (abs(nx), abs(ny)) == pytest.approx((0.0, 1.0), abs=1e-6)
    lone = np.zeros((20, 20, 5))
    settle(lone, 0.0, 0.0, CELL, 1.0, 1.0, 0.0, -1.0)
    assert not line_near(lone, CELL, 1.0, 1.0, 0.0, -1.0)[0]


def test_the_other_side_of_a_thin_wall_is_another_surface():
    surfaces = wall(0.52)
    before = surfaces.copy()
    settle(surfaces, 0.0, 0.0, CELL, 1.03, 0.57, 0.0, 1.0)
    np.testing.assert_array_equal(surfaces, before)
    assert not line_near(surfaces, CELL, 1.03, 0.55, 0.0, 1.0)[0]


def test_a_displaced_scan_is_brought_back():
    memory = RouteMemory(Pose(), Goal(0, 3.0, 0.0))
    for k in range(6):
        memory.remember(scan_from(Pose(), k), odometry(Pose(), k))
    seen = ranges_from(Pose(0.3, 0.2, 0.1), seed=9)
    angles = -math.pi + 2 * math.pi / 360 * np.arange(360)
    points = (seen[:, None] * np.column_stack((np.cos(angles), np.sin(angles))))[seen < 5.0]
    x, y, yaw = align(memory.surfaces, memory.x0, memory.y0, CELL, 0.36, 0.13, 0.13, points)
    assert (x, y) == pytest.approx((0.3, 0.2), abs=0.02)
    assert yaw == pytest.approx(0.1, abs=0.01)


def test_along_a_bare_wall_the_odometry_is_believed_and_across_it_the_wall():
    points = np.column_stack((np.linspace(-0.5, 0.5, 60), np.full(60, 0.3)))
    x, y, yaw = align(wall(0.5), 0.0, 0.0, CELL, 1.0, 0.25, 0.0, points)
    assert (x, y, yaw) == pytest.approx((1.0, 0.2, 0.0), abs=0.005)


def test_nothing_seen_changes_nothing():
    assert align(np.zeros((9, 9, 5)), 0.0, 0.0, CELL, 0.3, 0.4, 0.5, np.empty((0, 2))) == (0.3, 0.4, 0.5)


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
    assert bearing == pytest.approx(0.0, abs=0.05)
