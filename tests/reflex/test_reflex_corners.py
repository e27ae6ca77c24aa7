"""Blind corners of a scan, and the speed past them, worked out by hand."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.drive import Navigator, drive
from hybrid_control.navigation.reflex.corners import CORNERS, LEAST, fastest_past, find_corners
from hybrid_control.navigation.reflex.guard import GUARD, REACTION
from hybrid_control.navigation.reflex.percept import BEAMS, SWEEP, lay_out
from hybrid_control.signals import Pose
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.worlds import World

ANGLES = -math.pi + np.arange(360) * 2 * math.pi / 360


def corners_of(cylinders=(), boxes=()):
    sweep, beams = np.zeros(1, SWEEP)[0], np.zeros(1, BEAMS)[0]
    sweep["angle_min"], sweep["angle_increment"] = ANGLES[0], 2 * math.pi / 360
    sweep["range_min"], sweep["range_max"] = 0.05, 10.0
    lay_out(beams, 360, sweep)
    ranges = cast_rays(
        0.0, 0.0, ANGLES, 10.0, np.array(cylinders, float).reshape(-1, 3), np.array(boxes, float).reshape(-1, 5)
    )
    out = np.zeros((CORNERS, 2), np.float32)
    return out[: find_corners(ranges.astype(np.float32), sweep, beams, out)]


def past(*corners, hidden_speed=1.0, braking=2.0):
    g = np.zeros(1, GUARD)[0]
    g["outline"]["half_length"], g["outline"]["half_width"] = 0.25, 0.2
    g["deceleration"] = braking
    points = np.array(corners, np.float32).reshape(-1, 2)
    return fastest_past(points, len(points), hidden_speed, g)


def test_a_pillar_hides_somebody_on_both_sides_and_a_closed_room_nobody():
    edges = corners_of(cylinders=[(2.0, 0.0, 0.3)])
    assert len(edges) == 2
    assert edges[:, 1].tolist() == pytest.approx([-0.3, 0.3], abs=0.05)
    room = [(4.0, 0.0, 0.1, 8.1), (-4.0, 0.0, 0.1, 8.1), (0.0, 4.0, 8.1, 0.1), (0.0, -4.0, 8.1, 0.1)]
    assert len(corners_of(boxes=[(*wall, 0.0) for wall in room])) == 0


def test_what_stands_just_behind_leaves_no_room_for_somebody():
    wall = [(2.3, 0.0, 0.1, 20.0, 0.0)]  # 0.4 m beyond the edge that is seen of the pillar
    assert len(corners_of(cylinders=[(2.0, 0.0, 0.3)], boxes=wall)) == 0
    assert len(corners_of(cylinders=[(1.3, 0.0, 0.3)], boxes=wall)) == 2


def test_without_corners_no_speed_is_too_fast():
    assert past() == math.inf


def test_before_a_corner_it_can_stop_or_stands_before_somebody_is_in_the_way():
    # 0.8 m beside: they need 0.8 s at 1 m/s; 0.1 + v / 2 = 0.8
    assert past((0.25, 1.0)) == pytest.approx(2.0 * (0.8 - REACTION))
    # 3.2 m ahead of the nose, and as good as in the way: 0.1 v + v^2 / 4 = 3.2
    v = past((3.45, 0.2))
    assert REACTION * v + v * v / 4.0 == pytest.approx(3.2)
    assert past((0.25, 1.0), (0.25, -0.6)) == pytest.approx(2.0 * (0.4 - REACTION))


def test_a_robot_that_is_to_mind_corners_passes_a_crate_slowly():
    crate = np.array([(4.0, 0.9, 1.0, 1.0, 0.0)])
    world = World("crate", Pose(), (8.0, 0.0), (-1.0, -3.0, 9.0, 3.0), boxes=crate)
    beside = []
    for hidden_speed in (0.0, 1.5):
        driver = Navigator(None, gains={"hidden_speed": hidden_speed}, memory=False)
        episode = drive(driver, KinematicSimulator(world), driver.robot, seed=1)
        assert episode.success
        way = episode.way[np.abs(episode.way[:, 0] - 4.0) < 0.6]
        beside.append(len(way))  # ten a second
    assert beside[1] > 1.25 * beside[0]


def test_however_near_it_goes_on_slowly_and_what_lies_behind_is_past():
    assert past((0.25, 0.21), hidden_speed=3.0) == LEAST
    assert past((-0.8, 0.3)) == math.inf
