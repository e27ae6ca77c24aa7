"""A base without physics, for trials: it answers late and by ramps, and its lidar sees what it is told to."""

from __future__ import annotations

import math

import numpy as np

from hybrid_control.navigation.identify.trial import Trial, Wish
from hybrid_control.navigation.reflex.gains import SETTINGS
from hybrid_control.parameters import check_all
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist

STEP_NS = 10_000_000
FAR = 8.0  # m


def settings(**values):
    return check_all(SETTINGS, {"robot_length": 0.4, "robot_width": 0.3, **values})


def trial(speed=0.5, yaw_rate=1.0, shares=(1.0,), **more):
    wish = {name: more.pop(name) for name in ("braking", "turning_radius", "delay") if name in more}
    return Trial(
        Wish(speed=speed, yaw_rate=yaw_rate, shares=shares, **{"braking": 1.0, **wish}), settings(**more)
    )


def sweep(stamp_ns, ranges=FAR, first=-math.pi, beams=360, step=math.tau / 360):
    return RangeScan(stamp_ns, first, step, 0.05, 12.0, np.broadcast_to(np.float32(ranges), (beams,)).copy())


class Base:
    """delay: s; rise, fall: m/s²; turn: rad/s². scan, odometry: of (base, stamp), None for silence. sent: every
    command, as (s, Twist)."""

    def __init__(self, delay=0.1, rise=1.0, fall=1.5, turn=4.0, scan=None, odometry=None):
        self.delay, self.rise, self.fall, self.turn = delay, rise, fall, turn
        self.scan = scan or (lambda base, stamp: sweep(stamp))
        self.odometry = odometry or Base.reading
        self.t = 10**15
        self.x = self.y = self.yaw = self.v = self.w = 0.0
        self.sent = []

    @property
    def seconds(self):
        return (self.t - 10**15) * 1e-9

    def reading(self, stamp):
        return Odometry(stamp, Pose(self.x, self.y, self.yaw), Twist(stamp, self.v, 0.0, 0.0, self.w))

    def drive(self, trial, seconds=120.0):
        """Until the trial is over."""
        while not trial.over and self.seconds < seconds:
            self.t += STEP_NS
            self._move()
            if self.t // STEP_NS % 2 == 0:
                reading = self.odometry(self, self.t)
                if reading is not None:
                    trial.put_odometry(reading, self.t)
            if self.t // STEP_NS % 5 == 0:
                scan = self.scan(self, self.t)
                if scan is not None:
                    trial.put_scan(scan, self.t)
            self.sent.append((self.seconds, trial.command(self.t)))
        return self

    def _move(self):
        dt = STEP_NS * 1e-9
        heard = [twist for when, twist in self.sent if when <= self.seconds - self.delay + 1e-6]
        v, w = (heard[-1].linear_x, heard[-1].angular_z) if heard else (0.0, 0.0)
        self.v = min(v, self.v + self.rise * dt) if v > self.v else max(v, self.v - self.fall * dt)
        self.w = min(w, self.w + self.turn * dt) if w > self.w else max(w, self.w - self.turn * dt)
        self.x += self.v * dt * math.cos(self.yaw)
        self.y += self.v * dt * math.sin(self.yaw)
        self.yaw = math.remainder(self.yaw + self.w * dt, math.tau)
