"""ODrive over its ASCII protocol, with its watchdog armed so that it stops by itself when the host goes silent.

Commands as its documentation gives them: ``v axis turns_per_s torque``, ``f axis``, ``r`` and ``w property``, ``sc``,
``u axis``. Firmware 0.5 (ODrive 3.x) and 0.6 (Pro, S1) differ in the name of an axis's errors; either will do. Older
firmware counts in encoder steps and is refused.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from firmware_bridge.adapters.polled import LineDriver, NoAnswer, PolledConfig, check_directions
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState

_CLOSED_LOOP, _IDLE = 8, 1
_LOOK_EVERY = 0.1  # s between two looks at errors, states and battery
_ARMED_WITHIN = 0.3  # s until an axis that was asked for closed loop must be in it
_STEPS = 1e4  # that a turn is counted in
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
        self._armed_at: float | None = None  # since when every axis is to be in closed loop
        self._error_name = _ERROR_NAMES[0]
        self._errors: tuple[str, ...] = ()
        self._looked_at = 0.0
        self._battery: float | None = None

    def _say(self, command: str) -> None:
        self._write(command.encode("ascii") + b"\n")

    def _ask_line(self, command: str) -> str:
        self._fresh()
        self._say(command)
        return self._read_line(command)

    def _ask(self, command: str, count: int = 1) -> list[float]:
        return self._numbers(self._ask_line(command), count, command)

    def _greet(self) -> None:
        self._battery = self._ask("r vbus_voltage")[0]
        self._check_version()
        self._error_name = self._find_error_name(self.odrive.axes[0])
        for axis in self.odrive.axes:
            self._say(f"w axis{axis}.requested_state {_IDLE}")
            self._say(f"w axis{axis}.config.watchdog_timeout {self.odrive.watchdog}")
            self._say(f"w axis{axis}.config.enable_watchdog 1")
            if self._ask(f"r axis{axis}.config.enable_watchdog")[0] != 1:
                raise NoAnswer(f"{self.config.address}: axis {axis} did not arm its watchdog")
        self._armed_at, self._looked_at = None, 0.0

    def _check_version(self) -> None:
        version = [self._ask_line(f"r fw_version_{part}") for part in ("major", "minor")]
        if all(word.isdigit() for word in version) and not (0, 5) <= tuple(map(int, version)) < (1, 0):
            raise LinkError(
                f"{self.config.address}: ODrive firmware {'.'.join(version)}; expected 0.5 or 0.6, which count in turns"
            )

    def _find_error_name(self, axis: int) -> str:
        for name in _ERROR_NAMES:
            question = f"r axis{axis}.{name}"
            if self._ask_line(question).isdigit():
                return name
        raise NoAnswer(
            f"{self.config.address}: axis {axis} tells no errors; expected ODrive firmware 0.5 or 0.6"
        )

    def _clear(self) -> None:
        self._say("sc")
        for axis in self.odrive.axes:
            self._say(f"u {axis}")
        self._armed_at, self._looked_at = None, 0.0

    def _arm(self, on: bool) -> None:
        for axis in self.odrive.axes:
            self._say(f"w axis{axis}.requested_state {_CLOSED_LOOP if on else _IDLE}")
        self._armed_at = time.monotonic() if on else None

    def _let_go(self) -> None:
        for axis in self.odrive.axes:
            self._say(f"v {axis} 0 0")
        self._arm(False)

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        o, begun = self.odrive, time.monotonic()
        if speeds is None:
            for axis in o.axes:
                self._say(f"v {axis} 0 0")  # also feeds the watchdog
            if self._armed_at is not None:
                self._arm(False)
        else:
            for axis, direction, speed in zip(o.axes, o.directions, speeds, strict=True):
                self._say(f"v {axis} {direction * speed * o.gear / math.tau:.6f} 0")
            if self._armed_at is None and not self._errors:
                self._arm(True)
        readings = [self._ask(f"f {axis}", 2) for axis in o.axes]
        if time.monotonic() - self._looked_at > _LOOK_EVERY:
            self._look()
        scale = [direction * math.tau / o.gear for direction in o.directions]
        turning = tuple(v * s for (_, v), s in zip(readings, scale, strict=True))
        explained = [max(abs(v), abs(c)) for v, c in zip(turning, speeds or turning, strict=True)]
        raw = [p * _STEPS for p, _ in readings]
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=self._move(raw, [s / _STEPS for s in scale], explained, begun),
            speeds=turning,
            battery=self._battery,
            motors_on=self._armed_at is not None and not self._errors,
            faults=self._errors,
        )

    def _look(self) -> None:
        """The battery, and what every axis says of itself: its errors, and whether it still drives."""
        self._battery = self._ask("r vbus_voltage")[0]
        armed = self._armed_at is not None and time.monotonic() - self._armed_at > _ARMED_WITHIN
        faults = []
        for axis in self.odrive.axes:
            error = int(self._ask(f"r axis{axis}.{self._error_name}")[0])
            state = int(self._ask(f"r axis{axis}.current_state")[0])
            if error:
                faults.append(f"axis{axis}:{error:#x}")
            elif armed and state != _CLOSED_LOOP:
                faults.append(f"axis{axis}: not in closed loop (state {state})")
        self._errors = tuple(faults)
        self._looked_at = time.monotonic()
