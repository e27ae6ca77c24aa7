"""The newest command as wheel speeds: ramped within the limits, and zero where it is stale. Arithmetic only."""

from __future__ import annotations

from firmware_bridge.kinematics import (
    BodyLimits,
    BodyVelocity,
    Kinematics,
    WheelCommand,
    limit_velocity,
    limit_wheels,
)

_LONGEST_STEP = 0.1  # s, so that a pause is not made up for by a jump of the speed
_SHORTEST_STEP = 1e-3  # s


class Drive:
    """Takes commands as they come and says what the wheels are to do next. Times are in s of a monotonic clock.

    max_wheel_speed: rad/s. timeout: s, age of a command beyond which it counts as zero. stale: whether it does.
    """

    def __init__(
        self, kinematics: Kinematics, limits: BodyLimits, max_wheel_speed: float, timeout: float
    ) -> None:
        self.kinematics, self.max_wheel_speed, self.timeout = kinematics, max_wheel_speed, timeout
        self._limits = limits
        self._sent_at = 0.0
        self.reset()

    def reset(self) -> None:
        """There is no command, and the wheels stand."""
        self._wanted: tuple[float, BodyVelocity] | None = None
        self.stale = False
        self.rest()

    def rest(self) -> None:
        """The wheels stand, or were not reached: the next command begins from there."""
        self._velocity = BodyVelocity()

    def put(self, velocity: BodyVelocity, now: float, age: float = 0.0) -> None:
        """A new command. age: s since it was made; the time on its way is a part of the timeout."""
        self._wanted = now - age, velocity

    def step(self, now: float) -> WheelCommand | None:
        """What the wheels do now; None where the command of just now stands, and the next step takes up the rest."""
        wanted = BodyVelocity()
        if self._wanted is not None:
            made, velocity = self._wanted
            self.stale = now - made > self.timeout
            wanted = BodyVelocity() if self.stale else velocity
        dt = min(now - self._sent_at, _LONGEST_STEP)
        if dt < _SHORTEST_STEP:
            return None
        self._sent_at = now
        self._velocity = limit_velocity(wanted, self._velocity, self._limits, dt)
        command = self.kinematics.to_wheels(self._velocity)
        return command._replace(speeds=limit_wheels(command.speeds, self.max_wheel_speed))
