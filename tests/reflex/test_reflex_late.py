"""A scan that comes late is held against the robot as it has moved since, by odometry."""

import math

import numpy as np
import pytest
from lock_step import Bot, lidar, room

from hybrid_control.signals import Odometry, Pose, RangeScan, Twist


def reflex_at_rest():
    bot = Bot()
    bot.reflex.deactivate()
    return bot


def odometry(bot, x, y=0.0, yaw=0.0, v=0.0, w=0.0):
    bot.reflex.put_odometry(Odometry(bot.t, Pose(x, y, yaw), Twist(bot.t, v, 0.0, 0.0, w)), bot.t)


def tick(bot, seconds=0.01):
    bot.t += round(seconds * 1e9)
    bot.loop.advance(bot.t)


def seen(bot):
    scan = bot.reflex.context[0]["scan"]["value"]
    return scan["points"][: scan["count"]]


def wall_ahead(bot, stamp, distance=2.0):
    ranges = np.full(360, np.inf, np.float32)
    ranges[180] = distance  # straight ahead
    return RangeScan(stamp, -math.pi, 2 * math.pi / 360, 0.05, 12.0, ranges)


def test_points_come_nearer_by_as_much_as_the_robot_drove_since_the_scan_was_taken():
    bot = reflex_at_rest()
    odometry(bot, 1.0, v=1.0)
    taken = bot.t
    for k in range(1, 31):
        tick(bot)
        odometry(bot, 1.0 + 0.01 * k, v=1.0)
    bot.reflex.put_scan(wall_ahead(bot, taken), bot.t)  # 0.3 s and 0.3 m later
    tick(bot)
    assert seen(bot) == pytest.approx(np.array([[1.7, 0.0]]), abs=1e-3)


def test_points_turn_with_the_robot():
    bot = reflex_at_rest()
    odometry(bot, 0.0)
    taken = bot.t
    for k in range(1, 11):
        tick(bot)
        odometry(bot, 0.0, yaw=0.02 * k, w=2.0)
    bot.reflex.put_scan(wall_ahead(bot, taken), bot.t)
    tick(bot)
    assert seen(bot) == pytest.approx(np.array([[2 * math.cos(0.2), -2 * math.sin(0.2)]]), abs=1e-3)
    assert bot.reflex.context[0]["scan"]["value"]["turned"] == pytest.approx(0.2, abs=1e-6)


def test_points_stay_where_they_were_seen_when_odometry_leaps():
    bot = reflex_at_rest()
    odometry(bot, 4.8, v=0.5)
    bot.reflex.put_scan(wall_ahead(bot, bot.t), bot.t)
    tick(bot)
    odometry(bot, 0.0, v=0.5)  # a board that began anew
    tick(bot)
    assert seen(bot) == pytest.approx(np.array([[2.0, 0.0]]), abs=1e-3)
    assert not bot.reflex.context[0]["scan"]["value"]["posed"]


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3])
def test_a_robot_stops_before_the_wall_however_late_its_scans_are(delay):
    walls = room(right=10.0)
    bot = Bot(gains={"max_speed": 3.0, "max_acceleration": 2.0})
    bot.drive(15.0, lidar(walls), delay=delay)
    assert bot.fastest > 0.4
    assert bot.corners()[:, 0].max() < 10.0
