"""Who walks is told from what stands, and is no mark for where the robot is."""

import math

import numpy as np

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.route.memory import RouteMemory
from hybrid_control.navigation.route.walkers import Walkers
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

BEAMS, STEP_S = 360, 0.025


def scan_of(people, k):
    """Scan k of a robot at the origin among people (n, 3), x, y and radius in m."""
    angles = -math.pi + math.tau / BEAMS * np.arange(BEAMS)
    ranges = cast_rays(0.0, 0.0, angles, 10.0, np.array(people, float), np.empty((0, 5)))
    ranges += np.random.default_rng(k).normal(0.0, 0.01, BEAMS)
    return RangeScan(round(k * STEP_S * 1e9), -math.pi, math.tau / BEAMS, 0.05, 10.0, ranges.astype(np.float32))


def test_who_walks_or_has_halted_in_sight_is_told_from_a_post():
    walkers, post = Walkers(Pose()), (0.0, 2.0, 0.25)
    for k in range(160):
        ahead = max(4.0 - 1.0 * k * STEP_S, 2.0)  # comes at 1 m/s, and stands 2 m before the robot from 2 s on
        scan = scan_of([(ahead, 0.0, 0.25), post], k)
        found = walkers.among(scan, Pose())
        seen, side = np.isfinite(scan.ranges), np.arange(BEAMS) > 225  # the beams to the left: the post's
        assert not found[~seen | side].any()
        if k in (60, 159):
            assert found[seen & ~side].all()


def test_beams_that_are_too_many_are_nobodys():
    scan = RangeScan(0, -math.pi, math.tau / 5000, 0.05, 10.0, np.full(5000, 2.0, np.float32))
    assert Walkers(Pose()).among(scan, Pose()).tolist() == [False] * 5000


def test_people_around_a_robot_do_not_carry_its_place_along_with_them():
    # five come from 3 m away to 1 m, stand for 3 s and then go sideways at 0.02 m/s, too slow to be seen to walk
    memory = RouteMemory(Pose(), Goal(0, 8.0, 0.0))
    around = np.arange(5) * math.tau / 5
    for k in range(360):
        away, aside = max(3.0 - 1.0 * k * STEP_S, 1.0), 0.02 * max(k - 200, 0) * STEP_S
        people = [(away * math.cos(a), away * math.sin(a) + aside, 0.25) for a in around]
        scan = scan_of(people, k)
        memory.remember(scan, Odometry(scan.stamp_ns, Pose(), Twist(scan.stamp_ns)))
    place = memory.place(Pose())
    assert math.hypot(place.x, place.y) < 0.005
