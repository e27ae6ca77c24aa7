"""What the lidar does not see is not driven into: covered, dead, turned away or sent in segments."""

import math

import numpy as np
import pytest
from lock_step import Bot, lidar, room

from hybrid_control.navigation.reflex import InputRefused, Mode
from hybrid_control.signals import RangeScan

HALL = room()
NOTHING = np.array([(1e6, 0.0, 1e6, 1.0)])


def blind(bot):
    return bot.reflex.status().reason if bot.reflex.command().mode is Mode.STOPPED else ""


@pytest.mark.parametrize(
    "value", [0.0, 0.03, math.nan, -1.0], ids=["zero", "below range_min", "nan", "negative"]
)
def test_a_lidar_that_is_covered_while_it_drives_stops_within_the_timeout(value):
    bot = Bot(gains={"max_speed": 0.5})
    bot.drive(2.0, lidar(HALL))
    assert bot.v > 0.2
    bot.drive(0.6, lidar(HALL, change=lambda r, a: np.full_like(r, value)))
    assert "see nothing in 100 % of their directions" in blind(bot)
    bot.drive(1.0, lidar(HALL))
    assert bot.v > 0.2, "and drives on when it sees again"


@pytest.mark.parametrize("value", [np.inf, 13.0])
def test_nothing_in_range_anywhere_is_a_dead_lidar_unless_the_space_is_open(value):
    gone = lidar(HALL, change=lambda r, a: np.full_like(r, value))
    bot = Bot(gains={"max_speed": 0.5})
    bot.drive(2.0, lidar(HALL))
    bot.drive(0.6, gone)
    assert "nothing is in range in any direction" in blind(bot)
    bot = Bot({"open_space": True})
    bot.drive(2.0, gone)
    assert bot.v > 0.4


def test_a_lidar_that_never_saw_anything_never_drives():
    bot = Bot()
    bot.drive(3.0, lidar(NOTHING))
    assert bot.x == 0.0
    assert "nothing is in range" in blind(bot)


def test_a_share_of_unknown_above_the_limit_stops_with_its_figure():
    ahead_alone = lidar(
        room(right=8.0), change=lambda r, a: np.where(np.abs(a) > math.radians(30), np.nan, r)
    )
    bot = Bot(gains={"max_unknown": 0.9})
    bot.drive(2.0, ahead_alone)
    assert bot.x > 0.1
    bot = Bot()
    bot.drive(2.0, ahead_alone)
    assert "see nothing in 83 % of their directions" in blind(bot)
    assert bot.x == 0.0


def test_beams_with_no_angle_between_them_are_refused_in_one_line():
    bot = Bot()
    with pytest.raises(InputRefused, match="360 beams with angle_increment 0"):
        bot.drive(0.1, lidar(HALL, step=0.0))


def test_where_nothing_valid_comes_it_creeps_and_where_no_sensor_looks_it_does_not_go():
    bot = Bot()
    dead_ahead = lidar(HALL, change=lambda r, a: np.where(np.abs(a) < math.radians(25), np.nan, r))
    bot.drive(4.0, dead_ahead)
    assert 0.05 < bot.fastest <= 0.101
    bot = Bot(gains={"creep": 0.0})
    bot.drive(2.0, dead_ahead)
    assert bot.x < 1e-3
    bot = Bot()
    bot.drive(4.0, lidar(HALL, beams=271, first=math.radians(45), step=math.radians(1)))  # looks behind
    assert bot.fastest < 0.02


def test_a_lidar_that_looks_ahead_alone_drives_ahead_and_never_back():
    wall = np.array([(1.2, -9.0, 1.2, 9.0), (-0.6, -9.0, -0.6, 9.0)])
    bot = Bot(goal=(9.0, 0.0))
    bot.drive(12.0, lidar(wall, beams=271, first=math.radians(-135), step=math.radians(1)))
    assert bot.fastest > 0.2
    assert bot.slowest > -1e-3
    assert bot.corners()[:, 0].max() < 1.2


@pytest.mark.parametrize("segments", [2, 6, 12])
def test_one_turn_sent_in_segments_is_one_view(segments):
    wall = np.array(
        [(2.0, -9.0, 2.0, 9.0), (-4.0, -6.0, 2.0, -6.0), (-4.0, 6.0, 2.0, 6.0), (-4.0, -9.0, -4.0, 9.0)]
    )
    beams = 360 // segments
    each = [
        lidar(wall, beams, -math.pi + k * 2 * math.pi / segments, math.radians(1)) for k in range(segments)
    ]
    turn = {"k": 0}

    def segment(bot):
        turn["k"] += 1
        return each[turn["k"] % segments](bot)

    bot = Bot(gains={"max_speed": 0.6}, goal=(3.5, 0.0))
    bot.drive(8.0, segment, period=max(0.01, 0.07 / segments))
    assert bot.fastest > 0.25
    assert bot.corners()[:, 0].max() < 2.0


def test_a_segment_that_stays_away_is_not_driven_into():
    each = [lidar(HALL, 90, -math.pi + k * math.pi / 2, math.radians(1)) for k in range(4)]
    turn = {"k": 0}

    def rear(bot):  # the two quarters ahead, 1 and 2, never come
        turn["k"] += 1
        return each[(0, 3)[turn["k"] % 2]](bot)

    bot = Bot()
    bot.drive(3.0, rear, period=0.02)
    assert bot.x < 0.02


def test_a_single_dropout_is_no_reason_to_slow_down():
    rng = np.random.default_rng(1)
    bot = Bot(gains={"max_speed": 1.6})
    bot.drive(3.0, lidar(HALL, change=lambda r, a: np.where(rng.random(r.size) < 0.3, np.nan, r)))
    assert bot.fastest > 0.6


def test_minus_infinity_is_something_too_close():
    bot = Bot({"robot_length": 0.2, "robot_width": 0.2})
    ahead = lidar(HALL, low=0.15, change=lambda r, a: np.where(np.abs(a) < 0.5, -np.inf, r))
    bot.drive(2.0, ahead)
    assert bot.x < 0.02


def test_one_beam_alone_is_no_view_of_what_is_ahead():
    bot = Bot()
    bot.drive(2.0, lambda b: RangeScan(b.t, 1.57, 0.0, 0.05, 12.0, np.array([5.0], np.float32)))
    assert abs(bot.x) < 0.02
