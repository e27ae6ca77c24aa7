"""ODrive over its ASCII protocol, with its watchdog armed so that it stops by itself when the host goes silent.

Commands as its documentation gives them: ``v axis turns_per_s torque``, ``f axis``, ``r`` and ``w property``, ``sc``,
``u axis``. Firmware 0.5 (ODrive 3.x) and 0.6 (Pro, S1) differ in the name of an axis's errors; either will do.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from firmware_bridge.adapters.polled import LineDriver, PolledConfig, check_directions
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState

_CLOSED_LOOP, _IDLE = 8, 1
_ERROR_NAMES = ("active_errors", "error")  # of firmware 0.6 and 0.5


@dataclass(frozen=True, kw_only=True)
class OdriveConfig(PolledConfig):
    """axes: one for each wheel, in order. directions: +1 or -1 for each, where a motor is mounted mirrored. gear:
    motor turns per wheel turn. watchdog: s without a command after which the ODrive disarms the axis.
    """

    axes: tuple[int, ...] = (0, 1)
    directions: tuple[int, ...] = (1, -1)
    gear: float = 1.0
    watchdog: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_directions("axes", self.axes, self.directions)
        if not (self.gear > 0 and self.watchdog > 1 / self.rate):
            raise LinkError(f"gear {self.gear} must be > 0, watchdog {self.watchdog} s longer than 1 / rate")


class Odrive(LineDriver):
    """One wheel on each axis of an ODrive."""

    def __init__(self, config: OdriveConfig) -> None:
        super().__init__(config, len(config.axes))
        self.odrive = config
        self._zero: list[float] | None = None
        self._armed = False
        self._error_name = _ERROR_NAMES[0]
        self._errors: tuple[str, ...] = ()
        self._looked_at = 0.0
        self._battery: float | None = None

    def _say(self, command: str) -> None:
        self._write(command.encode("ascii") + b"\n")

    def _ask(self, command: str, count: int = 1) -> list[float]:
        self._say(command)
        return self._numbers(self._read_line(command), count, command)

    def _open(self) -> None:
        super()._open()
        self._battery = self._ask("r vbus_voltage")[0]
        self._error_name = self._find_error_name(self.odrive.axes[0])
        for axis in self.odrive.axes:
            self._say(f"w axis{axis}.config.watchdog_timeout {self.odrive.watchdog}")
            self._say(f"w axis{axis}.config.enable_watchdog 1")
            if self._ask(f"r axis{axis}.config.enable_watchdog")[0] != 1:
                raise LinkError(f"{self.config.address}: axis {axis} did not arm its watchdog")
        self._armed = False

    def _find_error_name(self, axis: int) -> str:
        for name in _ERROR_NAMES:
            question = f"r axis{axis}.{name}"
            self._say(question)
            if self._read_line(question).isdigit():
                return name
        raise LinkError(
            f"{self.config.address}: axis {axis} tells no errors; expected ODrive firmware 0.5 or 0.6"
        )

    def _clear(self) -> None:
        self._say("sc")
        for axis in self.odrive.axes:
            self._say(f"u {axis}")
        self._armed = False

    def _arm(self, on: bool) -> None:
        for axis in self.odrive.axes:
            self._say(f"w axis{axis}.requested_state {_CLOSED_LOOP if on else _IDLE}")
        self._armed = on

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        o = self.odrive
        if speeds is None:
            for axis in o.axes:
                self._say(f"v {axis} 0 0")  # also feeds the watchdog
            if self._armed:
                self._arm(False)
        else:
            for axis, direction, speed in zip(o.axes, o.directions, speeds, strict=True):
                self._say(f"v {axis} {direction * speed * o.gear / math.tau:.6f} 0")
            if not self._armed and not self._errors:
                self._arm(True)
        readings = [self._ask(f"f {axis}", 2) for axis in o.axes]
        if time.monotonic() - self._looked_at > 0.1:
            self._looked_at = time.monotonic()
            self._battery = self._ask("r vbus_voltage")[0]
            errors = [int(self._ask(f"r axis{axis}.{self._error_name}")[0]) for axis in o.axes]
            self._errors = tuple(f"axis{a}:{e:#x}" for a, e in zip(o.axes, errors, strict=True) if e)
        if self._zero is None:
            self._zero = [position for position, _ in readings]
        scale = [direction * math.tau / o.gear for direction in o.directions]
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=tuple((p - z) * s for (p, _), z, s in zip(readings, self._zero, scale, strict=True)),
            speeds=tuple(v * s for (_, v), s in zip(readings, scale, strict=True)),
            battery=self._battery,
            motors_on=self._armed and not self._errors,
            faults=self._errors,
        )
