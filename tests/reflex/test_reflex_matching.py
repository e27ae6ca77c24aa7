"""What stands is not taken for somebody who walks where odometry is wrong about a turn, nor for being seen anew."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.reflex.ground import mark_passed
from hybrid_control.navigation.reflex.matching import SWEPT, keep_sweep, missed_turn
from hybrid_control.navigation.reflex.movers import WATCHED, watch
from hybrid_control.navigation.reflex.percept import BEAMS, SWEEP, lay_out
from hybrid_control.navigation.reflex.scan import MOTION, SCAN
from hybrid_control.navigation.reflex.tracks import moves
from tests.reflex.test_reflex_tracks import ROVER

BEAM_COUNT, DT = 720, 0.025
ANGLES = -math.pi + math.tau / BEAM_COUNT * np.arange(BEAM_COUNT)
POSTS = np.array(
    [(1.5, 0.8, 0.08), (1.6, -1.0, 0.1), (-1.2, 1.1, 0.08), (0.2, -1.6, 0.1), (2.4, 0.1, 0.08), (-2.0, -0.8, 0.1),
     (0.1, 2.2, 0.08), (-0.9, -2.3, 0.1)]
)  # fmt: skip
ROOM = np.array([(4.0, 0.0, 0.2, 8.0, 0.0), (0.0, 4.0, 8.0, 0.2, 0.0), (0.0, -4.0, 8.0, 0.2, 0.0)])


def sweep_of(mount=(0.1, 0.0, 0.0)):
    sweep = np.array([(-math.pi, math.tau / BEAM_COUNT, 0.05, 10.0, *mount, DT, 0.0)], SWEEP)[0]
    beams = np.zeros(1, BEAMS)[0]
    lay_out(beams, BEAM_COUNT, sweep)
    return sweep, beams


def scan_from(x, y, yaw, posts=POSTS, boxes=ROOM, seed=0, noise=0.01):
    ranges = cast_rays(x, y, yaw + ANGLES, 10.0, posts, boxes)
    return (ranges + np.random.default_rng(seed).normal(0.0, noise, BEAM_COUNT)).astype(np.float32)


def missed(true, believed, **scene):
    """What is found missed of a turn, rad, from the origin; true, believed: (x, y, yaw) of the sensor then."""
    sweep, beams = sweep_of()
    swept = np.zeros(1, SWEPT)[0]
    keep_sweep(swept, scan_from(0.0, 0.0, 0.0, seed=1, **scene), sweep, (0.0, 0.0, 0.0))
    return missed_turn(swept, scan_from(*true, seed=2, **scene), sweep, beams, believed)


@pytest.mark.parametrize("turn", [-0.055, -0.02, 0.02, 0.055])
@pytest.mark.parametrize("slip", [0.0, 0.1, -0.15])
def test_a_turn_that_odometry_has_wrong_is_found_to_a_third_of_a_degree(turn, slip):
    believed = (1.0 + slip) * turn
    assert believed + missed((0.0, 0.0, turn), (0.0, 0.0, believed)) == pytest.approx(
        turn, abs=math.radians(0.33)
    )


def test_a_turn_on_the_way_is_found_as_well():
    true = 0.04, 0.01, 0.05
    assert 0.04 + missed(true, (0.04, 0.01, 0.04)) == pytest.approx(0.05, abs=math.radians(0.33))


def test_of_what_odometry_has_right_little_is_changed():
    assert missed((0.04, 0.0, 0.0), (0.04, 0.0, 0.0)) == pytest.approx(0.0, abs=0.003)


def test_nothing_is_said_where_little_stands_around():
    few = {"posts": POSTS[:1], "boxes": np.empty((0, 5))}
    assert missed((0.0, 0.0, 0.05), (0.0, 0.0, 0.04), **few) == 0.0


def test_nothing_is_said_of_another_sensors_scan_nor_of_the_first():
    sweep, beams = sweep_of()
    other, _ = sweep_of(mount=(-0.1, 0.0, math.pi))
    swept = np.zeros(1, SWEPT)[0]
    ranges, place = scan_from(0.0, 0.0, 0.05), (0.0, 0.0, 0.04)
    assert missed_turn(swept, ranges, sweep, beams, place) == 0.0
    keep_sweep(swept, scan_from(0.0, 0.0, 0.0), other, (0.0, 0.0, 0.0))
    assert missed_turn(swept, ranges, sweep, beams, place) == 0.0


class Robot:
    """Watches from where it is while odometry has its turns too large by a share."""

    def __init__(self, slip):
        self.slip = slip
        self.watched = np.zeros(1, WATCHED)[0]
        self.sweep, self.beams = sweep_of()
        self.scans = 0

    def see(self, x, y, yaw, *others):
        """One more scan from a place; how many are taken for walking."""
        sensor = x + 0.1 * math.cos(yaw), y + 0.1 * math.sin(yaw)
        self.scans += 1
        ranges = scan_from(*sensor, yaw, np.vstack((POSTS, *others)), seed=self.scans)
        motion = np.array([(x, y, (1.0 + self.slip) * yaw, 0.0, 0.0, 0.0)], MOTION)[0]
        scan = np.zeros(1, SCAN)[0]
        watch(self.watched, ranges, self.sweep, self.beams, motion, ROVER, scan)
        mark_passed(self.watched, ranges, 0.05)
        return int(scan["moving"])


@pytest.mark.parametrize("slip", [-0.15, 0.0, 0.08, 0.15])
def test_posts_do_not_walk_where_a_robot_slips_as_it_turns(slip):
    robot = Robot(slip)
    yaws = np.concatenate(
        [np.zeros(20), np.cumsum(np.full(80, 2.2 * DT)), 4.4 - np.cumsum(np.full(80, 2.2 * DT))]
    )
    assert sum(robot.see(0.0, 0.0, float(yaw)) for yaw in yaws) == 0


@pytest.mark.parametrize("slip", [0.0, 0.1])
def test_who_walks_is_found_within_half_a_second_though_the_robot_turns_and_slips(slip):
    robot = Robot(slip)
    for k in range(40):
        robot.see(0.0, 0.0, 0.5 * DT * k)
    found = None
    for k in range(40):
        walker = np.array([[2.0, -0.5 + 0.8 * DT * k, 0.25]])
        robot.see(0.0, 0.0, 0.5 * DT * (40 + k), walker)
        t = robot.watched["tracks"]
        near = np.hypot(t["x"] - 2.0, t["y"] - walker[0, 1]) < 0.5
        if found is None and any(moves(track) for track in t[near]):
            found = k * DT
    assert found is not None
    assert found <= 0.5


def test_the_frame_of_what_is_watched_follows_the_true_turn():
    robot = Robot(0.15)
    for k in range(100):
        robot.see(0.0, 0.0, 2.0 * DT * k)
    true, believed = 2.0 * DT * 99, 1.15 * 2.0 * DT * 99
    assert believed + robot.watched["turned"] == pytest.approx(true, abs=0.2)  # 0.74 of it are wrong
