"""What counts as a stop for nothing, by hand."""

import math

import numpy as np

from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.stops import FalseStops
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import Mover, Patch, World

OUTLINE = Outline(0.25, 0.2)
HERE = (0.0, 0.0, 0.0)
NOBODY = np.empty((0, 3))


def world(**parts):
    return World("made", Pose(-3.0, -3.0), (3.0, 3.0), (-4.0, -4.0, 4.0, 4.0), **parts)


def counted(scene, moves, pose=HERE, movers=NOBODY):
    """moves: (s, m/s, rad/s) of each part of a drive, looked at every 10 ms from 2 s on."""
    stops, time = FalseStops(scene, OUTLINE), 2.0
    for seconds, speed, turn in moves:
        for _ in range(round(seconds * 100)):
            stops.look(time, pose, speed, turn, movers)
            time += 0.01
    return stops.count


def test_standing_on_free_ground_counts_once_however_long_and_again_after_a_move():
    assert counted(world(), [(1.0, 0.5, 0.0)]) == 0
    assert counted(world(), [(5.0, 0.0, 0.0)]) == 1
    assert counted(world(), [(1.0, 0.0, 0.0), (0.1, 0.2, 0.0), (1.0, 0.0, 0.0)]) == 2


def test_a_moment_a_turn_on_the_spot_and_the_first_second_do_not_count():
    assert counted(world(), [(0.25, 0.0, 0.0), (0.1, 0.2, 0.0)]) == 0
    assert counted(world(), [(3.0, 0.0, 0.5)]) == 0
    stops = FalseStops(world(), OUTLINE)
    for k in range(100):
        stops.look(k * 0.01, HERE, 0.0, 0.0, NOBODY)
    assert stops.count == 0


def test_what_is_within_half_a_metre_ahead_is_a_reason_whether_a_scan_shows_it_or_not():
    wall = np.array([[0.25 + 0.55, 0.0, 0.1, 1.0, 0.0]])  # 0.5 m before the outline
    assert counted(world(boxes=wall), [(1.0, 0.0, 0.0)]) == 0
    assert counted(world(boxes=wall + np.array([0.2, 0.0, 0.0, 0.0, 0.0])), [(1.0, 0.0, 0.0)]) == 1
    assert counted(world(boxes=wall), [(1.0, 0.0, 0.0)], pose=(0.0, 0.0, math.pi / 2)) == 1
    assert counted(world(patches=(Patch("grass", 0.8, 0.0, 0.2, 1.0),)), [(1.0, 0.0, 0.0)]) == 0


def test_somebody_who_stands_there_now_is_a_reason():
    scene = world(movers=(Mover(0.3, (2.0, 0.0), (2.0, 2.0), 1.0),))
    assert counted(scene, [(1.0, 0.0, 0.0)], movers=np.array([[0.8, 0.0, 0.0]])) == 0
    assert counted(scene, [(1.0, 0.0, 0.0)], movers=np.array([[2.0, 0.0, 0.0]])) == 1
