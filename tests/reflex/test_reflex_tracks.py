"""Who walks is followed from scan to scan: through empty rays, past others, at a halt and at a turn."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.reflex.evasion import HORIZON, ROBOT, SPEEDS, TURNS, clear_times
from hybrid_control.navigation.reflex.movers import AHEAD, LEAVES
from hybrid_control.navigation.reflex.percept import BEAMS, SWEEP, lay_out
from hybrid_control.navigation.reflex.scan import MOTION
from hybrid_control.navigation.reflex.tracks import CLUSTER, FORGOTTEN, TRACK, TRACKS, clusters, follow, moves

DT = 0.025  # s between scans
ANGLES = -math.pi + 2 * math.pi / 360 * np.arange(360)
CIRCLE = np.array([(-math.pi, 2 * math.pi / 360, 0.05, 10.0, 0.0, 0.0, 0.0, DT, 0.0)], SWEEP)[0]
ROUND = np.zeros(1, BEAMS)[0]
lay_out(ROUND, 360, CIRCLE)
ROVER = np.array([((0.25, 0.22, 0.1, 0.0), 1.0, 2.2, 2.0, 8.0, 2.5, 0.5, 1, 1.0, 0.0, 0.0)], ROBOT)[0]
PERSON = 0.25


def things_of(*cylinders, empty=()):
    """Clusters of a scan of those (x, y, radius); the beams named in `empty` come back without a reading."""
    ranges = cast_rays(0.0, 0.0, ANGLES, 10.0, np.array(cylinders, float), np.empty((0, 5))).astype(np.float32)
    for beam, reading in empty:
        ranges[beam] = reading
    things = np.empty(32, CLUSTER)
    return things[: clusters(ranges, CIRCLE, ROUND, things)]


def at(x, y, fresh=1.0):
    """A cluster of somebody there."""
    return (x, y, PERSON, 0, 0, 20, fresh)


def follow_all(tracks, *things):
    follow(tracks, np.array(list(things), CLUSTER), DT)


def walker(*path):
    """The tracks after one has walked along a path (k, 2) m, a scan at each point."""
    tracks = np.zeros(TRACKS, TRACK)
    for x, y in path:
        follow_all(tracks, at(x, y))
    return tracks


def walks(speed, seconds, x=2.0, y=-1.0):
    return [(x, y + speed * DT * k) for k in range(round(seconds / DT))]


@pytest.mark.parametrize("reading", [np.nan, np.inf])
@pytest.mark.parametrize("gone", [1, 2])
def test_empty_rays_do_not_part_what_is_one(reading, gone):
    (whole,) = things_of((0.6, 0.0, PERSON))
    (parted,) = things_of((0.6, 0.0, PERSON), empty=[(180 + k, reading) for k in range(gone)])
    assert (parted["x"], parted["y"]) == pytest.approx((whole["x"], whole["y"]), abs=0.01)
    assert parted["radius"] == pytest.approx(whole["radius"], abs=0.005)


def test_what_stands_apart_stays_apart_with_an_empty_ray_between():
    assert len(things_of((2.0, 0.35, 0.15), (2.0, -0.35, 0.15), empty=[(180, np.nan)])) == 2


def test_a_part_of_one_who_is_followed_begins_no_track_of_its_own():
    tracks = walker(*walks(1.0, 0.5))
    y = -1.0 + 1.0 * 0.5
    for _ in range(20):  # two clusters where one person is
        y += 1.0 * DT
        follow_all(tracks, at(2.0, y - 0.05), at(2.05, y + 0.2))
    assert tracks["alive"].sum() == 1
    assert tracks["unseen"][tracks["alive"] == 1].item() == 0.0


def test_a_post_that_one_walks_past_stays_a_post():
    """Post and walker are one cluster, that of the post's place, for a tenth of a second as they pass."""
    tracks = walker(*walks(1.2, 0.5))
    for k in range(60):
        y = -1.0 + 1.2 * (0.5 + DT * k)
        post = at(2.35, 0.3, fresh=0.0)
        follow_all(tracks, *([post] if abs(y - 0.3) < 0.06 else [post, at(2.0, y)]))
    moving = [track for track in tracks if moves(track)]
    assert len(moving) == 1
    assert moving[0]["y"] == pytest.approx(y, abs=0.1)
    (post,) = [track for track in tracks if track["alive"] and not track["moving"]]
    assert (post["x"], post["y"]) == pytest.approx((2.35, 0.3), abs=0.02)


@pytest.mark.parametrize(("share", "moves_then"), [(1 / 20, 0), (1 / 8, 0), (1 / 3, 1), (1.0, 1)])
def test_what_seems_to_come_to_free_ground_once_in_a_while_does_not_move(share, moves_then):
    """A post seen from a robot that turns seems to drift; of one who walks a third of the readings at least is new."""
    tracks = np.zeros(TRACKS, TRACK)
    every = round(1 / share)
    for k, (x, y) in enumerate(walks(0.5, 5.0)):
        follow_all(tracks, at(x, y, fresh=float(k % every == 0)))
    (track,) = tracks[tracks["alive"] == 1]
    assert track["moving"] == moves_then


def test_one_who_walks_is_told_from_a_post_within_a_third_of_a_second():
    (track,) = [t for t in walker(*walks(0.8, 0.35)) if t["alive"]]
    assert track["moving"]


@pytest.mark.parametrize("speed", [0.6, 1.0, 1.5])
def test_a_halt_is_seen_within_three_tenths_of_a_second(speed):
    path = walks(speed, 1.5)
    tracks = walker(*path, *[path[-1]] * 12)
    (track,) = tracks[tracks["alive"] == 1]
    assert math.hypot(track["vx"], track["vy"]) < 0.45 * speed
    assert track["y"] == pytest.approx(path[-1][1], abs=0.08)


@pytest.mark.parametrize("speed", [0.6, 1.0, 1.5])
def test_one_who_turns_back_is_seen_to_within_four_tenths_of_a_second(speed):
    path = walks(speed, 1.5)
    back = [(2.0, path[-1][1] - speed * DT * k) for k in range(1, 17)]
    (track,) = [track for track in walker(*path, *back) if track["alive"]]
    assert track["vy"] < -0.5 * speed


def test_how_one_walked_is_known_for_some_time_after_they_halted():
    path = walks(1.4, 1.0)
    tracks = walker(*path)
    draw = np.random.default_rng(0)
    for _ in range(round((FORGOTTEN - 0.5) / DT)):  # the middle of what is seen wanders as the robot moves
        follow_all(tracks, at(*(path[-1] + draw.normal(0.0, 0.02, 2)), fresh=0.0))
    (track,) = tracks[tracks["alive"] == 1]
    assert (track["walk_x"], track["walk_y"]) == pytest.approx((0.0, 1.4), abs=0.25)
    assert FORGOTTEN - 1.0 < track["stood"] < FORGOTTEN


def table(*places):
    times = np.zeros((SPEEDS, TURNS), np.float32)
    clear_times(np.array(places, float), np.empty((0, 2)), np.zeros(1, MOTION)[0], ROVER, times)
    return times


def test_a_robot_that_stands_where_one_may_go_on_to_leaves_and_does_not_stay():
    """They halted 1.1 m to its right, facing it: it stands in the last of the places before them."""
    one = (0.0, -1.1, 0.0, 0.0, PERSON)
    before_them = [(0.0, -1.1 + (k + 1) * PERSON, 0.0, 0.0, PERSON, HORIZON, LEAVES) for k in range(AHEAD)]
    times = table((*one, HORIZON, 0.0), *before_them)
    stands = times[round((SPEEDS - 1) * 0.6 / 1.6), TURNS // 2]  # no speed, no turn
    assert LEAVES <= stands < HORIZON
    assert times[-1, TURNS // 2] == HORIZON  # straight on


def test_where_somebody_is_counts_at_once_however_near():
    assert (table((0.0, -0.4, 0.0, 0.0, PERSON, HORIZON, 0.0)) < 0.2).all()
