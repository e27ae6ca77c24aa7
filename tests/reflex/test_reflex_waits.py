"""A robot that stands because there is nothing to drive to gives way to who comes, and stands otherwise."""

import math

import numpy as np
from lock_step import Bot

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.signals import Goal, NoWay, RangeScan

PERSON = 0.25  # m
BEAMS = 360
STANDS = (-2.0, 1.5, 0.2)  # x, y, radius in m


class Met(Bot):
    """A Bot without a way, to whom somebody comes from ahead at `speed` m/s. least: m between their outlines so far."""

    def __init__(self, speed, point=None):
        super().__init__()
        self.speed, self.point, self.least, self.begun = speed, point, math.inf, self.t
        self.commanded = set()  # modes in which it was told to move

    @property
    def person(self):
        return 4.0 - self.speed * (self.t - self.begun) * 1e-9, 0.1, PERSON

    def look(self, _):
        point = NoWay(self.t) if self.point is None else Goal(self.t, *self.point)
        self.reflex.put_waypoint(point, self.t)
        angles = -math.pi + math.tau / BEAMS * np.arange(BEAMS)
        ranges = cast_rays(self.x, self.y, self.yaw + angles, 10.0, np.array([self.person, STANDS]), np.empty((0, 5)))
        ranges += np.random.default_rng(self.t % 2**31).normal(0.0, 0.01, BEAMS)
        return RangeScan(self.t, -math.pi, math.tau / BEAMS, 0.05, 10.0, ranges.astype(np.float32))

    def apart(self, _):
        x, y, radius = self.person
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        u, v = c * (x - self.x) + s * (y - self.y), c * (y - self.y) - s * (x - self.x)
        length, width = (float(self.reflex.settings[n]) / 2 for n in ("robot_length", "robot_width"))
        command = self.reflex.command()
        if command.twist.linear_x or command.twist.angular_z:
            self.commanded.add(command.mode)
        self.least = min(self.least, math.hypot(max(abs(u) - length, 0.0), max(abs(v) - width, 0.0)) - radius)
        return self.least <= 0.0


def test_who_comes_is_given_way_to_where_there_is_no_way():
    bot = Met(1.0)
    bot.drive(6.0, bot.look, period=0.025, each=bot.apart)
    assert bot.reflex.status().mode == Mode.STOPPED
    assert bot.commanded == {Mode.REFLEX_ONLY}  # what moves is not called stopped
    assert bot.least > 0.0


def test_who_comes_is_given_way_to_at_a_point_on_the_way():
    bot = Met(1.0, point=(0.05, 0.0))
    bot.drive(6.0, bot.look, period=0.025, each=bot.apart)
    assert bot.least > 0.0


def test_without_a_way_a_robot_stands_while_nobody_comes():
    bot = Met(0.0)
    bot.drive(3.0, bot.look, period=0.025, each=bot.apart)
    assert (bot.x, bot.y, bot.yaw) == (0.0, 0.0, 0.0)
