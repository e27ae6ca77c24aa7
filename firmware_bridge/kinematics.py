"""Wheel speeds from a body's velocity and back, for differential, skid-steered, mecanum and Ackermann bases.

Arithmetic only. Frames after REP 103: x forward, y left, yaw counter-clockwise; a wheel's speed is positive
forward.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class BodyVelocity(NamedTuple):
    """Of the body, in its frame: m/s, m/s, rad/s."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0


class WheelCommand(NamedTuple):
    """Speeds of the driven wheels, rad/s, and angles of the steered ones, rad, positive to the left."""

    speeds: tuple[float, ...]
    steering: tuple[float, ...] = ()


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{owner}: {name} {value} must be finite and > 0")


def _finite(velocity: BodyVelocity) -> None:
    if not all(math.isfinite(v) for v in velocity):
        raise ValueError(f"velocity {tuple(velocity)} must be finite")


class Kinematics(ABC):
    """How wheels and body move together. ``wheels`` names the driven wheels in the order of speeds."""

    wheels: tuple[str, ...]

    @abstractmethod
    def to_wheels(self, velocity: BodyVelocity) -> WheelCommand:
        """What the wheels do for that velocity; what this base cannot do is left out. ValueError if not finite."""

    @abstractmethod
    def to_body(self, speeds: Sequence[float], steering: Sequence[float] = ()) -> BodyVelocity:
        """The velocity that these wheel speeds (rad/s) and steering angles (rad) make; linear in the speeds."""

    def _check(self, speeds: Sequence[float]) -> None:
        if len(speeds) != len(self.wheels):
            raise ValueError(f"{len(speeds)} wheel speeds for {len(self.wheels)} wheels {self.wheels}")


@dataclass(frozen=True)
class Differential(Kinematics):
    """Two driven wheels on one axle, or two sides of several (skid steering).

    radius: of the wheels, m. track: between left and right, m. per_side: wheels on each side. Skid-steered
    wheels slide when turning: slip > 1 is the ratio of the track that turning behaves like to the real one,
    found by turning on the spot and comparing (Mandow et al., 2007, "Experimental kinematics for wheeled
    skid-steer mobile robots", IROS); 1 for two wheels.
    """

    radius: float
    track: float
    per_side: int = 1
    slip: float = 1.0

    def __post_init__(self) -> None:
        _positive("differential", radius=self.radius, track=self.track, slip=self.slip)
        if self.per_side < 1 or self.slip < 1:
            raise ValueError(f"differential: per_side {self.per_side} and slip {self.slip} must be >= 1")

    @property
    def wheels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Left and right; from front to rear where there are several, left and right in turn."""
        if self.per_side == 1:
            return "left", "right"
        return tuple(f"{side}_{i}" for i in range(self.per_side) for side in ("left", "right"))

    def to_wheels(self, velocity: BodyVelocity) -> WheelCommand:
        """(x -/+ yaw track slip / 2) / radius for left and right; y is left out."""
        _finite(velocity)
        turn = velocity.yaw * self.track * self.slip / 2
        pair = ((velocity.x - turn) / self.radius, (velocity.x + turn) / self.radius)
        return WheelCommand(pair * self.per_side)

    def to_body(self, speeds: Sequence[float], steering: Sequence[float] = ()) -> BodyVelocity:
        """The mean of the sides, and their difference over the track."""
        self._check(speeds)
        left, right = (sum(speeds[i::2]) / self.per_side * self.radius for i in (0, 1))
        return BodyVelocity((left + right) / 2, 0.0, (right - left) / (self.track * self.slip))


def skid_steer(radius: float, track: float, slip: float, per_side: int = 2) -> Differential:
    """A skid-steered base; see Differential."""
    return Differential(radius, track, per_side, slip)


@dataclass(frozen=True)
class Mecanum(Kinematics):
    """Four wheels with rollers at 45 degrees that form an X seen from above.

    radius: m. wheelbase, track: between the axles, between left and right, m. Equations: Taheri et al., 2015,
    "Kinematic model of a four mecanum wheeled mobile robot", eqs. 20 and 22 to 24.
    """

    radius: float
    wheelbase: float
    track: float
    wheels = ("front_left", "front_right", "rear_left", "rear_right")

    def __post_init__(self) -> None:
        _positive("mecanum", radius=self.radius, wheelbase=self.wheelbase, track=self.track)

    def to_wheels(self, velocity: BodyVelocity) -> WheelCommand:
        """(x -/+ y -/+ (wheelbase + track) / 2 yaw) / radius."""
        _finite(velocity)
        x, y, yaw = velocity
        turn = (self.wheelbase + self.track) / 2 * yaw
        speeds = (x - y - turn, x + y + turn, x + y - turn, x - y + turn)
        return WheelCommand(tuple(v / self.radius for v in speeds))

    def to_body(self, speeds: Sequence[float], steering: Sequence[float] = ()) -> BodyVelocity:
        """The least-squares velocity of four wheels for three unknowns."""
        self._check(speeds)
        fl, fr, rl, rr = (v * self.radius / 4 for v in speeds)
        arm = (self.wheelbase + self.track) / 2
        return BodyVelocity(fl + fr + rl + rr, -fl + fr + rl - rr, (-fl + fr - rl + rr) / arm)


@dataclass(frozen=True)
class Ackermann(Kinematics):
    """Two driven rear wheels and two steered front wheels, whose angles meet in one centre of turning.

    radius: m. wheelbase, track: m. max_steering: rad, of the (imagined) middle front wheel.
    """

    radius: float
    wheelbase: float
    track: float
    max_steering: float
    wheels = ("rear_left", "rear_right")

    def __post_init__(self) -> None:
        _positive("ackermann", radius=self.radius, wheelbase=self.wheelbase, track=self.track)
        if not 0 < self.max_steering < math.pi / 2:
            raise ValueError(f"ackermann: max_steering {self.max_steering} must be within 0 .. pi/2 rad")
        if self.wheelbase / math.tan(self.max_steering) <= self.track / 2:
            raise ValueError(
                f"ackermann: max_steering {self.max_steering} rad would put the centre of turning between the wheels"
            )

    def to_wheels(self, velocity: BodyVelocity) -> WheelCommand:
        """Curvature yaw / x, within max_steering; turning on the spot is left out: the wheels stand still."""
        _finite(velocity)
        largest = math.tan(self.max_steering) / self.wheelbase
        if velocity.x == 0:
            return WheelCommand((0.0, 0.0), (0.0, 0.0))
        curvature = min(max(velocity.yaw / velocity.x, -largest), largest)
        left, right = (velocity.x * (1 + side * curvature * self.track / 2) / self.radius for side in (-1, 1))
        return WheelCommand((left, right), self.steering_angles(curvature))

    def steering_angles(self, curvature: float) -> tuple[float, float]:
        """Angles of the left and the right front wheel for a path's curvature in 1/m."""
        half = self.track / 2
        return (
            math.atan2(self.wheelbase * curvature, 1 - half * curvature),
            math.atan2(self.wheelbase * curvature, 1 + half * curvature),
        )

    def to_body(self, speeds: Sequence[float], steering: Sequence[float] = ()) -> BodyVelocity:
        """From the rear wheels; with measured steering angles (left, right) the yaw rate is theirs."""
        self._check(speeds)
        left, right = (v * self.radius for v in speeds)
        x = (left + right) / 2
        if not steering:
            return BodyVelocity(x, 0.0, (right - left) / self.track)
        if len(steering) != 2:
            raise ValueError(f"{len(steering)} steering angles, expected 2: left and right")
        middle = (
            sum(
                1 / (self.wheelbase / t + side * self.track / 2) if t else 0.0
                for t, side in zip((math.tan(a) for a in steering), (1, -1), strict=True)
            )
            / 2
        )
        return BodyVelocity(x, 0.0, x * middle)


@dataclass(frozen=True)
class BodyLimits:
    """What the body may do: m/s, rad/s, m/s², rad/s². grip: m/s² that the tyres hold before they slip
    (friction coefficient times 9.81), sideways and lengthways together. Infinity where there is no limit.
    """

    speed: float = math.inf
    yaw_rate: float = math.inf
    acceleration: float = math.inf
    yaw_acceleration: float = math.inf
    grip: float = math.inf

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"limits: {name} {value} must be > 0")


def limit_velocity(
    wanted: BodyVelocity, previous: BodyVelocity, limits: BodyLimits, dt: float
) -> BodyVelocity:
    """The velocity nearest to the wanted one that keeps the limits, dt seconds after previous.

    Speed and yaw rate are scaled together, so that the path keeps its curvature. Then the centripetal
    acceleration |v yaw| is kept within the grip, again without leaving the path. Then the change since
    previous is limited, and with what grip the curve leaves: friction circle. Slowing down is never delayed
    by the yaw's limits.
    """
    _finite(wanted)
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt {dt} must be finite and > 0 s")
    speed = math.hypot(wanted.x, wanted.y)
    scale = min(
        1.0, limits.speed / speed if speed else 1.0, limits.yaw_rate / abs(wanted.yaw) if wanted.yaw else 1.0
    )
    sideways = speed * abs(wanted.yaw) * scale**2
    if sideways > limits.grip:
        scale *= math.sqrt(limits.grip / sideways)
    x, y, yaw = (v * scale for v in wanted)

    sideways = min(math.hypot(previous.x, previous.y) * abs(previous.yaw), limits.grip)
    left = math.sqrt(limits.grip**2 - sideways**2) if math.isfinite(limits.grip) else math.inf
    allowed = min(limits.acceleration, max(left, 0.1 * limits.grip)) * dt
    dx, dy = x - previous.x, y - previous.y
    change = math.hypot(dx, dy)
    if change > allowed:
        dx, dy = dx * allowed / change, dy * allowed / change
    step = min(max(yaw - previous.yaw, -limits.yaw_acceleration * dt), limits.yaw_acceleration * dt)
    return BodyVelocity(previous.x + dx, previous.y + dy, previous.yaw + step)


def limit_wheels(speeds: Sequence[float], largest: float) -> tuple[float, ...]:
    """All speeds scaled by one factor so that none is above largest (rad/s): the path stays, slower."""
    peak = max((abs(v) for v in speeds), default=0.0)
    if peak <= largest:
        return tuple(speeds)
    return tuple(v * largest / peak for v in speeds)


def slip(kinematics: Kinematics, speeds: Sequence[float]) -> float:
    """Largest difference in rad/s between the measured wheel speeds and those that the rigid body could have.

    0 where no wheel slides against another. Always 0 for two wheels: they cannot contradict each other.
    """
    fitted = kinematics.to_wheels(kinematics.to_body(speeds)).speeds
    return max(abs(a - b) for a, b in zip(speeds, fitted, strict=True))
