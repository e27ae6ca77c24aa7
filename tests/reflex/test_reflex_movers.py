"""What moves around the robot: found in scans, followed, and kept clear of."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.reflex.evasion import (
    HORIZON,
    RETREAT,
    ROBOT,
    SPEEDS,
    TURNS,
    clear_times,
    evade,
    speed_of,
    turn_of,
)
from hybrid_control.navigation.reflex.ground import mark_passed
from hybrid_control.navigation.reflex.movers import WATCHED, watch
from hybrid_control.navigation.reflex.percept import BEAMS, SWEEP, lay_out
from hybrid_control.navigation.reflex.scan import MOTION, SCAN
from hybrid_control.navigation.reflex.tracks import CLUSTER, TRACK, TRACKS, clusters, follow, moves

ANGLES = -math.pi + 2 * math.pi / 360 * np.arange(360)
NO_BOXES = np.empty((0, 5))
CIRCLE = np.array([(-math.pi, 2 * math.pi / 360, 0.05, 10.0, 0.0, 0.0, 0.0, 0.025, 0.0)], SWEEP)[0]
ROUND = np.zeros(1, BEAMS)[0]
lay_out(ROUND, 360, CIRCLE)
ROVER = np.array([((0.25, 0.22, 0.1, 0.0), 1.0, 2.2, 2.0, 8.0, 2.5, 0.5, 1, 1.0, 0.0, 0.0)], ROBOT)[0]
AHEAD, STRAIGHT = SPEEDS - 1, TURNS // 2  # the table's places of full speed and of no turn


def things_in(*cylinders, boxes=NO_BOXES):
    ranges = cast_rays(0.0, 0.0, ANGLES, 10.0, np.array(cylinders, float).reshape(-1, 3), boxes)
    things = np.empty(32, CLUSTER)
    return things[: clusters(ranges.astype(np.float32), CIRCLE, ROUND, things)]


def table(*movers, linear=1.0, standing=()):
    times = np.zeros((SPEEDS, TURNS), np.float32)
    stands = np.array(standing, float).reshape(-1, 2)
    motion = np.array([(0.0, 0.0, 0.0, linear, 0.0, 0.0)], MOTION)[0]
    places = np.array([(*mover, HORIZON, 0.0) for mover in movers], float)
    clear_times(places, stands, motion, ROVER, times)
    return times


@pytest.mark.parametrize(("x", "y"), [(2.0, 0.0), (1.0, 1.0), (-3.0, -0.5), (-2.0, 0.0)])
def test_a_person_is_found_where_he_stands(x, y):
    (cluster,) = things_in((x, y, 0.25))
    assert (cluster["x"], cluster["y"]) == pytest.approx((x, y), abs=0.03)
    assert cluster["radius"] == pytest.approx(0.25, abs=0.03)
    assert not cluster["hidden"]


def test_a_wall_is_nobody_and_who_stands_before_one_is_somebody():
    wall = np.array([[3.0, 0.0, 0.2, 6.0, 0.0]])
    assert len(things_in(boxes=wall)) == 0
    assert len(things_in((2.0, 0.0, 0.25), boxes=wall)) == 1


def test_who_is_half_hidden_is_marked():
    clear = {round(c["x"]): bool(c["hidden"]) for c in things_in((1.0, 0.0, 0.2), (3.0, 0.65, 0.25))}
    assert clear == {1: False, 3: True}


def seen_by(watched, *cylinders):
    """One more scan, 25 ms later, of a robot that stands at the origin; how many things move."""
    ranges = cast_rays(0.0, 0.0, ANGLES, 10.0, np.array(cylinders, float).reshape(-1, 3), NO_BOXES)
    ranges = ranges + np.random.default_rng(round(watched["time"] * 1e3)).normal(0.0, 0.01, 360)
    ranges = ranges.astype(np.float32)
    scan = np.zeros(1, SCAN)[0]
    scan["sectors"] = np.inf
    watch(watched, ranges, CIRCLE, ROUND, np.zeros(1, MOTION)[0], ROVER, scan)
    mark_passed(watched, ranges, CIRCLE["range_min"])
    return scan["moving"]


def test_a_walker_is_told_from_a_post_within_half_a_second():
    watched = np.zeros(1, WATCHED)[0]
    for _ in range(10):
        assert seen_by(watched, (2.0, -1.0, 0.25), (1.0, 1.0, 0.2)) == 0
    for k in range(25):
        moving = seen_by(watched, (2.0, -1.0 + 0.8 * 0.025 * k, 0.25), (1.0, 1.0, 0.2))
    assert moving == 1
    (walker,) = [track for track in watched["tracks"] if moves(track)]
    assert (walker["x"], walker["y"]) == pytest.approx((2.0, -0.52), abs=0.1)
    assert (walker["vx"], walker["vy"]) == pytest.approx((0.0, 0.8), abs=0.2)


def times_beside(watched, *cylinders):
    """As `seen_by`, for a robot that drives straight on at 1 m/s: how long each motion stays clear."""
    ranges = cast_rays(0.0, 0.0, ANGLES, 10.0, np.array(cylinders, float).reshape(-1, 3), NO_BOXES)
    scan = np.zeros(1, SCAN)[0]
    scan["sectors"] = np.inf
    watch(watched, ranges.astype(np.float32), CIRCLE, ROUND, np.zeros(1, MOTION)[0], ROVER, scan)
    mark_passed(watched, ranges.astype(np.float32), CIRCLE["range_min"])
    return scan["times"].copy(), scan["moving"]


def test_before_one_who_has_halted_room_is_kept_and_behind_them_not():
    """They came from the right and halted 1.5 m ahead and 0.7 m to the right of the way, or have just passed it."""
    for stands, kept in ((-0.7, True), (0.75, False)):
        watched = np.zeros(1, WATCHED)[0]
        path = np.minimum(np.arange(-2.2, 5.0, 0.02), stands)[:190]
        for y in path:
            times, moving = times_beside(watched, (1.5, y, 0.25))
        assert moving == 1
        assert bool(times[AHEAD, STRAIGHT] < HORIZON) is kept, stands


def test_after_some_time_one_who_has_halted_is_an_obstacle_as_any_other():
    watched = np.zeros(1, WATCHED)[0]
    for y in np.minimum(np.arange(-2.2, 9.0, 0.02), -0.7):
        _, moving = times_beside(watched, (1.5, y, 0.25))
    assert moving == 0


def test_where_nothing_stays_clear_it_brakes():
    near = np.full((SPEEDS, TURNS), 0.1, np.float32)
    assert evade(near, 1.0, 0.5, 1.0, 2.2) == (0.0, 0.0, True)


def test_posts_that_come_into_sight_one_after_another_do_not_move():
    watched = np.zeros(1, WATCHED)[0]
    row = [(2.0, y, 0.1) for y in np.arange(-1.0, 1.0, 0.25)]
    hides = [(1.0, -0.5 + 0.01 * k, 0.3) for k in range(60)]
    for screen in hides:
        seen_by(watched, *row, screen)
        assert not any(moves(track) and track["x"] > 1.6 for track in watched["tracks"])


def test_a_walker_who_is_not_seen_for_long_is_forgotten():
    tracks = np.zeros(TRACKS, TRACK)
    follow(tracks, np.array([(2.0, 0.0, 0.25, 0, 0, 5, 0.0)], CLUSTER), 0.025)
    for _ in range(40):
        follow(tracks, np.empty(0, CLUSTER), 0.025)
    assert not tracks["alive"].any()


def test_motions_stay_clear_for_as_long_as_it_takes_to_meet():
    # 3 m ahead, coming at 1 m/s: driving at 1 m/s they meet after (3 - 0.25 - 0.25) / 2 = 1.25 s
    times = table((3.0, 0.0, -1.0, 0.0, 0.25))
    assert 1.1 <= times[AHEAD, STRAIGHT] <= 1.4
    assert times[AHEAD, STRAIGHT] < times[AHEAD // 2, STRAIGHT]
    assert (table((3.0, 0.0, 1.5, 0.0, 0.25)) == HORIZON).all(), (
        "who goes away faster than it can drive is no matter"
    )
    assert (table((-3.0, 0.0, 0.0, 1.0, 0.25)) == HORIZON).all()


def test_a_way_that_something_standing_closes_is_no_way_out():
    comes = (-1.2, 0.0, 1.0, 0.0, 0.25)  # from behind
    assert table(comes)[AHEAD, STRAIGHT] == HORIZON
    closed = table(comes, linear=0.0, standing=[(0.5, y) for y in np.arange(-1.0, 1.0, 0.05)])
    assert closed[AHEAD, STRAIGHT] < HORIZON


def test_a_wish_that_is_clear_stays_as_it_is():
    clear = np.full((SPEEDS, TURNS), HORIZON, np.float32)
    assert evade(clear, 0.43, -0.21, 1.0, 2.2) == (0.43, -0.21, False)


def test_of_the_motions_that_are_clear_the_nearest_is_taken():
    times = np.full((SPEEDS, TURNS), HORIZON, np.float32)
    times[AHEAD - 2 :, :] = 0.5
    linear, angular, other = evade(times, 1.0, 0.0, 1.0, 2.2)
    assert other
    assert 0.0 <= linear <= speed_of(AHEAD - 3, 1.0)
    assert angular == 0.0


def test_the_evasion_does_not_change_its_mind_for_what_is_hardly_better():
    """Ahead to the left and ahead to the right are clear, the wish points a little to the right of straight on."""
    times = np.full((SPEEDS, TURNS), 0.5, np.float32)
    times[AHEAD - 1 :, :2] = times[AHEAD - 1 :, -2:] = HORIZON
    first = evade(times, 1.0, -0.1, 1.0, 2.2)
    assert first[2]
    assert first[1] < 0.0
    left = (1.0, turn_of(TURNS - 1, 2.2), True)
    assert evade(times, 1.0, -0.1, 1.0, 2.2, left)[1] > 0.0
    assert evade(times, 1.0, -0.1, 1.0, 2.2, (*left[:2], False)) == first  # which was only the wish
    times[AHEAD - 1 :, -2:] = 0.5
    assert evade(times, 1.0, -0.1, 1.0, 2.2, left)[1] < 0.0


def test_the_table_reaches_from_retreat_to_full_speed_and_from_turn_to_turn():
    assert (speed_of(0, 2.0), speed_of(AHEAD, 2.0)) == pytest.approx((-2.0 * RETREAT, 2.0))
    assert (turn_of(0, 1.5), turn_of(STRAIGHT, 1.5), turn_of(TURNS - 1, 1.5)) == pytest.approx(
        (-1.5, 0.0, 1.5)
    )
