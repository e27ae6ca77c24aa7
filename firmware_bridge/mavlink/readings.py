"""What an autopilot's messages say of the vehicle. What they themselves call invalid is not taken."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

from firmware_bridge.mavlink.modes import mode_name

UP, DOWN = 24, 25  # MAV_SENSOR_ROTATION of a range sensor: PITCH_90 looks up, PITCH_270 down
_INVALID = 1  # signal_quality; 0 is unknown, 100 the best
_UNKNOWN = 255  # covariance
_POSITION = mavlink.ESTIMATOR_POS_HORIZ_REL | mavlink.ESTIMATOR_POS_HORIZ_ABS


@dataclass(frozen=True, slots=True)
class AutopilotState:
    """The newest of what the autopilot said, x forward or north, y left or west, z up (REP 103).

    position (m), velocity (m/s): from where its estimator began; attitude: roll, pitch, yaw in rad; angular_velocity:
    rad/s in the body. battery: V, remaining: 0 .. 1. up, down: m of its range sensors, inf for nothing in range. None
    for what did not come yet or is invalid. position_ns, attitude_ns, up_ns, down_ns: monotonic time of arrival.
    """

    armed: bool = False
    mode: str = ""
    position: tuple[float, float, float] | None = None
    velocity: tuple[float, float, float] | None = None
    position_ns: int = 0
    attitude: tuple[float, float, float] | None = None
    angular_velocity: tuple[float, float, float] | None = None
    attitude_ns: int = 0
    battery: float | None = None
    remaining: float | None = None
    up: float | None = None
    down: float | None = None
    up_ns: int = 0
    down_ns: int = 0


class Readings:
    """state: the newest of each reading. autopilot: whose flight modes it has."""

    def __init__(self, autopilot: str) -> None:
        self._autopilot = autopilot
        self._lost = False  # the estimator says that it does not know where it is
        self.state = AutopilotState()

    def take(self, message: Any) -> None:
        """Take a message of the vehicle; ValueError where what it says is not valid."""
        take = getattr(self, f"_on_{message.get_type().lower()}", None)
        if take is not None:
            take(message, time.monotonic_ns())

    def _set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    def _on_heartbeat(self, message: Any, now: int) -> None:
        self._set(
            armed=bool(message.base_mode & mavlink.MAV_MODE_FLAG_SAFETY_ARMED),
            mode=mode_name(self._autopilot, message.custom_mode),
        )

    def _on_estimator_status(self, message: Any, now: int) -> None:
        flags = message.flags
        self._lost = not (flags & _POSITION and flags & mavlink.ESTIMATOR_VELOCITY_HORIZ)

    def _on_local_position_ned(self, message: Any, now: int) -> None:
        x, y, z, vx, vy, vz = _finite(message.x, message.y, message.z, message.vx, message.vy, message.vz)
        if self._lost:
            raise ValueError("the estimator's flags say that it knows no position or velocity")
        self._set(position=(x, -y, -z), velocity=(vx, -vy, -vz), position_ns=now)

    def _on_attitude(self, message: Any, now: int) -> None:
        roll, pitch, yaw, p, q, r = _finite(
            message.roll, message.pitch, message.yaw, message.rollspeed, message.pitchspeed, message.yawspeed
        )
        self._set(attitude=(roll, -pitch, -yaw), angular_velocity=(p, -q, -r), attitude_ns=now)

    def _on_sys_status(self, message: Any, now: int) -> None:
        share = message.battery_remaining
        self._set(
            battery=message.voltage_battery / 1000.0 if message.voltage_battery != 65535 else None,
            remaining=share / 100.0 if 0 <= share <= 100 else None,
        )

    def _on_distance_sensor(self, message: Any, now: int) -> None:
        side = {UP: "up", DOWN: "down"}.get(message.orientation)
        if side is None:
            return
        try:
            value = distance(message)
        except ValueError:
            self._set(**{side: None})
            raise
        self._set(**{side: value, f"{side}_ns": now})


def distance(message: Any) -> float:
    """A DISTANCE_SENSOR's reading in m, inf for nothing within its range; ValueError where it is not known.

    Not known: a quality of 1; shorter than its least or, downwards, longer than its largest distance; three standard
    deviations that reach down to zero.
    """
    now, low, high = message.current_distance, message.min_distance, message.max_distance
    quality = getattr(message, "signal_quality", 0)
    if quality == _INVALID or quality > 100:
        raise ValueError(f"signal quality {quality}")
    if not low < high or now < low or now == 0:
        raise ValueError(f"{now} cm, of a sensor for {low} .. {high} cm")
    if now > high and message.orientation == DOWN:
        raise ValueError(f"{now} cm, of a sensor for {low} .. {high} cm")
    if now >= high:
        return math.inf
    if message.covariance != _UNKNOWN and 3 * math.sqrt(message.covariance) >= now:
        raise ValueError(f"{now} cm with a variance of {message.covariance} cm^2")
    return now / 100.0


def _finite(*values: float) -> tuple[float, ...]:
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"{values} must be finite")
    return values
