"""A small robot around a reflex in lock step, with exact kinematics, limited braking and a lidar of any make."""

from __future__ import annotations

import math

import numpy as np

from firmware_bridge.kinematics import Ackermann, BodyVelocity
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

STEP = 0.01  # s of the base, and between commands


class Bot:
    """A base that follows the reflex's commands with `braking` m/s² (the gain max_acceleration, unless said)."""

    def __init__(self, settings=None, gains=None, braking=None, goal=(50.0, 0.0)):
        self.t = 10**9
        self.reflex = Reflex(settings or {}, gains or {}, clock=lambda: self.t)
        self.loop = SteppedLoop(self.reflex.tick, self.reflex.context, self.reflex.rate)
        self.reflex.activate()
        self.reflex.put_goal(Goal(self.t, *goal))
        self.goal = goal
        self.x = self.y = self.yaw = self.v = self.u = self.w = 0.0  # u: m/s to the left
        self.braking = float(self.reflex.gains["max_acceleration"]) if braking is None else braking
        self.fastest = self.slowest = 0.0

    def drive(self, seconds, scan, period=0.05, delay=0.0, each=None):
        """scan: of the bot, a RangeScan or None, every `period` s, taken `delay` s later. Ends where `each` is true."""
        due, waiting, start = self.t, [], self.t
        while self.t < start + seconds * 1e9:
            if self.t >= due:
                due += round(period * 1e9)
                taken = scan(self)
                if taken is not None:
                    waiting.append((self.t + round(delay * 1e9), taken))
            while waiting and waiting[0][0] <= self.t:
                self.reflex.put_scan(waiting.pop(0)[1], self.t)
            twist = Twist(self.t, self.v, self.u, 0.0, self.w)
            self.reflex.put_odometry(Odometry(self.t, Pose(self.x, self.y, self.yaw), twist), self.t)
            self.t += round(STEP * 1e9)
            self.loop.advance(self.t)
            self.follow(self.reflex.command().twist)
            middle = self.yaw + 0.5 * self.w * STEP
            self.x += (self.v * math.cos(middle) - self.u * math.sin(middle)) * STEP
            self.y += (self.v * math.sin(middle) + self.u * math.cos(middle)) * STEP
            self.yaw += self.w * STEP
            self.fastest, self.slowest = max(self.fastest, self.v), min(self.slowest, self.v)
            if each is not None and each(self):
                return

    def follow(self, command):
        """What the base makes of a Twist in STEP s: v and w, m/s and rad/s."""
        most = self.braking * STEP
        self.v += min(max(command.linear_x - self.v, -most), most)
        self.w += min(max(command.angular_z - self.w, -0.2), 0.2)

    def corners(self):
        """The outline's corners in the world, (4, 2) m."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        half_length, half_width = (
            float(self.reflex.settings[n]) / 2 for n in ("robot_length", "robot_width")
        )
        signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * (half_length, half_width)
        return np.array([self.x, self.y]) + signs @ np.array([(c, s), (-s, c)])


class Sideways(Bot):
    """A Bot that moves in any direction, and changes its velocity straight to what is asked. most: m/s to the left or
    right that it has driven."""

    def __init__(self, settings=None, **more):
        super().__init__({"holonomic": True, "response_time": 0.35, **(settings or {})}, **more)
        self.most = 0.0

    def follow(self, command):
        dv, du = command.linear_x - self.v, command.linear_y - self.u
        share = min(1.0, self.braking * STEP / max(math.hypot(dv, du), 1e-9))
        self.v, self.u = self.v + share * dv, self.u + share * du
        self.w += min(max(command.angular_z - self.w, -0.06), 0.06)
        self.most = max(self.most, abs(self.u))


class Car(Bot):
    """A Bot with the steering of `firmware_bridge.kinematics.Ackermann`: what it can't drive is left out.

    steering_rate: rad/s, of the (imagined) middle front wheel. asked: the most of |angular| - |linear| / radius, rad/s,
    that the reflex has commanded.
    """

    def __init__(self, wheelbase=0.4, max_steering=0.5, steering_rate=3.0, settings=None, **more):
        self.base = Ackermann(0.1, wheelbase, 0.3 * wheelbase, max_steering)
        self.radius = wheelbase / math.tan(max_steering)
        super().__init__({"min_turning_radius": self.radius, **(settings or {})}, **more)
        self.steering_rate, self.steered, self.asked = steering_rate, 0.0, -math.inf

    def follow(self, command):
        """The steering turns as fast as it can; the car drives on its curve."""
        self.asked = max(self.asked, abs(command.angular_z) - abs(command.linear_x) / self.radius)
        most = self.braking * STEP
        self.v += min(max(command.linear_x - self.v, -most), most)
        wheels = self.base.to_wheels(BodyVelocity(command.linear_x, 0.0, command.angular_z))
        wanted = self.base.to_body(wheels.speeds)
        curvature = wanted.yaw / wanted.x if wanted.x else 0.0
        angle, turn = math.atan(self.base.wheelbase * curvature), self.steering_rate * STEP
        self.steered += min(max(angle - self.steered, -turn), turn)
        self.w = self.v * math.tan(self.steered) / self.base.wheelbase


def touches(bot, walls):
    """Whether one of the walls (k, 4) m reaches into the outline."""
    half = np.array([float(bot.reflex.settings[n]) / 2 for n in ("robot_length", "robot_width")])
    c, s = math.cos(bot.yaw), math.sin(bot.yaw)
    turn = np.array([(c, -s), (s, c)])
    a, b = (walls[:, :2] - (bot.x, bot.y)) @ turn, (walls[:, 2:] - (bot.x, bot.y)) @ turn
    # the share of each wall that lies between the outline's sides, along and across
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = (-half - a) / (b - a), (half - a) / (b - a)
    beside = (b == a) & (np.abs(a) >= half)
    first = np.where(b == a, 0.0, np.minimum(to_low, to_high)).max(axis=1)
    last = np.where(b == a, 1.0, np.maximum(to_low, to_high)).min(axis=1)
    return bool(((np.maximum(first, 0.0) < np.minimum(last, 1.0)) & ~beside.any(axis=1)).any())


def post(x, y, radius, sides=10):
    """A round post as walls, (sides, 4) m."""
    angles = 2 * math.pi * np.arange(sides + 1) / sides
    corners = np.column_stack((x + radius * np.cos(angles), y + radius * np.sin(angles)))
    return np.hstack((corners[:-1], corners[1:]))


def room(left=-5.0, right=20.0, half=6.0):
    """The walls of a hall as segments, (4, 4) m."""
    return np.array(
        [
            (right, -half, right, half),
            (left, -half, right, -half),
            (left, half, right, half),
            (left, -half, left, half),
        ]
    )


def distances(bot, walls, angles, mount_x=0.0):
    """Along rays at these angles in the body frame, (n,) m, to the nearest of walls (k, 4); inf for none."""
    c, s = np.cos(angles + bot.yaw)[:, None], np.sin(angles + bot.yaw)[:, None]
    x, y = bot.x + mount_x * math.cos(bot.yaw), bot.y + mount_x * math.sin(bot.yaw)
    dx, dy = walls[:, 2] - walls[:, 0], walls[:, 3] - walls[:, 1]
    across = c * dy - s * dx
    with np.errstate(divide="ignore", invalid="ignore"):
        t = ((walls[:, 0] - x) * dy - (walls[:, 1] - y) * dx) / across
        u = ((walls[:, 0] - x) * s - (walls[:, 1] - y) * c) / across
    met = (np.abs(across) > 1e-12) & (t > 0) & (u >= -1e-9) & (u <= 1 + 1e-9)
    return np.where(met, t, np.inf).min(axis=1)


def lidar(
    walls, beams=360, first=-math.pi, step=None, low=0.05, high=12.0, lag=0.0, mount_x=0.0, change=None
):
    """A function of a Bot that gives its scan; change: of the ranges (n,) and the angles, what a driver makes of them.

    lag: s by which the stamp is older than the reading.
    """
    step = 2 * math.pi / beams if step is None else step
    angles = first + step * np.arange(beams)

    def scan(bot):
        r = distances(bot, walls, angles, mount_x)
        r[r > high] = np.inf
        if change is not None:
            r = change(r, angles)
        return RangeScan(bot.t - round(lag * 1e9), first, step, low, high, r.astype(np.float32))

    return scan
