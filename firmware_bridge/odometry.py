"""Where the robot is, from what its wheels have turned. Takes positions and dt; knows no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware_bridge.kinematics import BodyVelocity, Kinematics
from hybrid_control.signals import Pose


def integrate(pose: Pose, motion: BodyVelocity) -> Pose:
    """The pose after a motion (m, m, rad in the body's frame) along an arc of constant curvature.

    The exponential of SE(2) (Solà et al., 2018, "A micro Lie theory for state estimation in robotics", eq.
    156).
    """
    x, y, yaw = motion
    if abs(yaw) < 1e-6:
        a, b = 1 - yaw * yaw / 6, yaw / 2
    else:
        a, b = math.sin(yaw) / yaw, (1 - math.cos(yaw)) / yaw
    dx, dy = a * x - b * y, b * x + a * y
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
    heading = math.remainder(pose.yaw + yaw, math.tau)
    return Pose(pose.x + cos * dx - sin * dy, pose.y + sin * dx + cos * dy, heading)


@dataclass
class WheelOdometry:
    """Integrates wheel positions to a pose.

    max_wheel_speed: rad/s; a step that would need more (a glitch, a counter that began anew) is left out and
    counted in ``jumps``. pose, velocity: the newest.
    """

    kinematics: Kinematics
    max_wheel_speed: float = math.inf
    pose: Pose = field(default_factory=Pose)
    velocity: BodyVelocity = field(default_factory=BodyVelocity)
    jumps: int = 0

    def __post_init__(self) -> None:
        self._positions: tuple[float, ...] | None = None
        if not self.max_wheel_speed > 0:
            raise ValueError(f"odometry: max_wheel_speed {self.max_wheel_speed} must be > 0 rad/s")

    def update(self, positions: Sequence[float], dt: float, steering: Sequence[float] = ()) -> Pose:
        """New wheel positions in rad, unwrapped, dt seconds after the ones before; returns the pose.

        The first call only takes the positions as the beginning. ValueError if something is not finite, or dt
        <= 0.
        """
        if not (math.isfinite(dt) and dt > 0):
            raise ValueError(f"odometry: dt {dt} must be finite and > 0 s")
        if not all(math.isfinite(v) for v in (*positions, *steering)):
            raise ValueError(
                f"odometry: positions {tuple(positions)}, steering {tuple(steering)} must be finite"
            )
        before, self._positions = self._positions, tuple(positions)
        if before is None:
            return self.pose
        if len(before) != len(positions):
            raise ValueError(f"odometry: {len(positions)} positions, before there were {len(before)}")
        turned = [now - then for now, then in zip(positions, before, strict=True)]
        if max(abs(v) for v in turned) > self.max_wheel_speed * dt:
            self.jumps += 1
            return self.pose
        motion = self.kinematics.to_body(turned, steering)
        self.pose = integrate(self.pose, motion)
        self.velocity = BodyVelocity(motion.x / dt, motion.y / dt, motion.yaw / dt)
        return self.pose
