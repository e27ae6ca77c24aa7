"""Where odometry has the robot on the grid, what it does wrong all the time, and how sure both are."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.route.memory import RouteMemory
from hybrid_control.navigation.route.reckoning import Reckoning, foreseen
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

ROOM = np.array([[4, 0, 0.2, 8, 0.1], [-4, 0, 0.2, 8, 0], [0, 4, 8, 0.2, -0.1], [0, -4, 8, 0.2, 0]], float)
POSTS = np.array([[1.5, 1.0, 0.3], [-2.0, 0.5, 0.2], [0.5, -2.0, 0.25]])
EMPTY = np.full(360, np.inf, np.float32)


def scan(stamp, ranges=EMPTY):
    return RangeScan(stamp, -math.pi, math.tau / 360, 0.05, 10.0, ranges.astype(np.float32))


def room_from(pose, seed):
    angles = -math.pi + math.tau / 360 * np.arange(360)
    ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, 10.0, POSTS, ROOM)
    return ranges + np.random.default_rng(seed).normal(0.0, 0.01, 360)


def test_a_doubt_about_the_yaw_becomes_one_about_the_place_by_the_way_driven():
    after = foreseen(np.diag((0.0, 0.0, 0.01, 0.0, 0.0, 0.0)), 2.0, 0.0, 0.0, 2.0)
    assert after[1, 1] - after[0, 0] == pytest.approx(0.01 * 2.0**2)
    assert after[1, 2] == pytest.approx(0.01 * 2.0)


def test_a_doubt_about_what_odometry_does_wrong_grows_with_the_way_and_the_turn():
    sure = foreseen(np.zeros((6, 6)), 2.0, 0.0, 0.5, 2.0)
    after = foreseen(np.diag((0.0, 0.0, 0.0, 0.01, 0.02, 0.03)), 2.0, 0.0, 0.5, 2.0) - sure
    assert after[0, 0] == pytest.approx(0.01 * 2.0**2)
    assert after[0, 3] == pytest.approx(0.01 * 2.0)
    assert after[2, 2] == pytest.approx(0.02 * 0.5**2 + 0.03 * 2.0**2)
    assert (after[2, 4], after[2, 5]) == pytest.approx((0.02 * 0.5, 0.03 * 2.0))
    assert after[1, 1] == 0.0


def test_what_odometry_does_wrong_is_made_good_on_the_way():
    reckoning = Reckoning()
    reckoning.go_on(Pose(1.0, 0.0, 0.0))
    reckoning.settle(np.array((1.0, 0.0, 0.0, 0.1, 0.2, 0.5)), np.eye(6))
    # 1 m ahead is 1.1 m, on which it turns by 0.5 rad: it is half turned in the middle
    np.testing.assert_allclose(
        reckoning.go_on(Pose(2.0, 0.0, 0.0)),
        (1.0 + 1.1 * math.cos(0.25), 1.1 * math.sin(0.25), 0.5, 0.1, 0.2, 0.5),
    )
    reckoning.settle(np.array((0.0, 0.0, 0.0, 0.1, 0.2, 0.5)), np.eye(6))
    # 1 m back turns it the other way; of 0.4 rad on the spot it makes 0.48
    assert reckoning.go_on(Pose(1.0, 0.0, 0.0))[2] == pytest.approx(-0.5)
    reckoning.settle(np.array((0.0, 0.0, 0.0, 0.1, 0.2, 0.5)), np.eye(6))
    np.testing.assert_allclose(reckoning.go_on(Pose(1.0, 0.0, 0.4))[:3], (0.0, 0.0, 0.48), atol=1e-12)


def test_what_scans_have_told_of_the_odometry_keeps_the_place_where_nothing_is_in_sight():
    # odometry counts 3 % too much, and turns by 0.04 rad per metre. 3 m to and fro in a room, then 3 m out of sight
    memory = RouteMemory(Pose(-1.5, -3.0, 0.0), Goal(0, 12.0, -3.0))
    believed, stamp = Pose(-1.5, -3.0, 0.0), 0

    def drive(x, seen):
        nonlocal believed, stamp
        stamp += 25_000_000
        way = math.copysign(0.01, x - drive.x)
        drive.x = x
        yaw = believed.yaw + 0.04 * way
        believed = Pose(believed.x + 1.03 * way * math.cos(yaw), believed.y + 1.03 * way * math.sin(yaw), yaw)
        ranges = room_from(Pose(x, -3.0), stamp % 2**31) if seen else EMPTY
        memory.remember(scan(stamp, ranges), Odometry(stamp, believed, Twist(stamp)))

    drive.x = -1.5
    for x in (*np.linspace(-1.49, 1.5, 300), *np.linspace(1.49, -1.5, 300), *np.linspace(-1.49, 1.5, 300)):
        drive(float(x), True)
    sure = memory.place(believed)
    for x in np.linspace(1.51, 4.5, 300):
        drive(float(x), False)
    place = memory.place(believed)
    # without: 0.09 m too far, and 0.04 rad/m · (3 m)² / 2 = 0.18 m beside it
    assert (place.x - sure.x, place.y - sure.y) == pytest.approx((3.0, 0.0), abs=0.07)
    assert place.yaw == pytest.approx(0.0, abs=0.03)


def test_odometry_whose_yaw_goes_from_pi_to_minus_pi_is_believed_as_much_as_any():
    spreads = []
    for before, after in ((0.5, 0.6), (math.pi - 0.05, -math.pi + 0.05)):
        memory = RouteMemory(Pose(yaw=before), Goal(0, 4.0, 0.0))
        for k, yaw in enumerate((before, after)):
            stamp = k * 10**8
            memory.remember(scan(stamp), Odometry(stamp, Pose(yaw=yaw), Twist(stamp)))
        spreads.append(memory.reckoning.spread)
    np.testing.assert_allclose(spreads[1], spreads[0], atol=1e-9)
