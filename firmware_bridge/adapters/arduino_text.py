"""The text protocol of ros_arduino_bridge and diffdrive_arduino: ``e``, ``m l r``, ``o l r``, ``r``, ``u p:d:i:o``.

Each command ends with a carriage return, each answer with a line feed. ``m`` takes encoder ticks per turn of the
firmware's own speed loop, ``o`` a duty of -255 .. 255 without any control. That firmware stops by itself only 2 s after
the last command; this driver after command_timeout, as long as host and line live.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from firmware_bridge.adapters.polled import LineDriver, NoAnswer, PolledConfig, check_directions
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState

_FULL_DUTY = 255


@dataclass(frozen=True, kw_only=True)
class ArduinoTextConfig(PolledConfig):
    """ticks_per_rev: of an encoder, at the wheel. loop_rate: Hz of the firmware's speed loop (PID_RATE, 30). gains:
    whole numbers (p, d, i, o) for ``u``, None leaves the firmware's. full_speed: rad/s at full duty; with it the wheels
    are driven by ``o``, in proportion, for a board whose speed loop is not tuned; None drives them by ``m``.
    directions: +1 or -1 for left and right.
    """

    baud: int = 57_600
    ticks_per_rev: int = 1320
    loop_rate: float = 30.0
    gains: tuple[int, int, int, int] | None = None
    full_speed: float | None = None
    directions: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_directions("wheels", ("left", "right"), self.directions)
        if self.ticks_per_rev <= 0 or not self.loop_rate > 0:
            raise LinkError("ticks_per_rev and loop_rate must be > 0")
        if self.full_speed is not None and not (math.isfinite(self.full_speed) and self.full_speed > 0):
            raise LinkError(f"full_speed {self.full_speed} must be finite and > 0 rad/s")


class ArduinoText(LineDriver):
    """Two wheels, left and right."""

    def __init__(self, config: ArduinoTextConfig) -> None:
        super().__init__(config, 2)
        self.arduino = config
        self._read_at = 0.0

    def _ask(self, command: str) -> str:
        self._fresh()
        self._write(command.encode("ascii") + b"\r")
        return self._read_line(command)

    def _expect_ok(self, command: str) -> None:
        answer = self._ask(command)
        if answer != "OK":
            raise NoAnswer(f"{self.config.address}: answered {answer!r} to {command!r}, expected 'OK'")

    def _greet(self) -> None:
        self._encoders()
        self._expect_ok("m 0 0")
        self._expect_ok("r")
        self._read_at = time.monotonic()
        if self.arduino.gains is not None:
            self._expect_ok("u " + ":".join(str(int(v)) for v in self.arduino.gains))

    def _let_go(self) -> None:
        self._write(b"m 0 0\r")

    def _encoders(self) -> tuple[int, int]:
        left, right = self._numbers(self._ask("e"), 2, "e")
        if not (left.is_integer() and right.is_integer() and max(abs(left), abs(right)) <= 2**31):
            raise NoAnswer(f"{self.config.address}: encoders at {left:g}, {right:g}, expected whole numbers")
        return int(left), int(right)

    def _motion(self, speeds: tuple[float, ...]) -> str:
        """The command for these speeds."""
        a = self.arduino
        if a.full_speed is None:
            name, scale, largest = "m", a.ticks_per_rev / math.tau / a.loop_rate, math.inf
        else:
            name, scale, largest = "o", _FULL_DUTY / a.full_speed, _FULL_DUTY
        left, right = (
            d * round(max(-largest, min(v * scale, largest))) for v, d in zip(speeds, a.directions, strict=True)
        )
        return f"{name} {left} {right}"

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        begun, before = time.monotonic(), self.positions.radians
        self._expect_ok(self._motion(speeds) if speeds is not None else "m 0 0")
        raw, now = self._encoders(), time.monotonic()
        scale = [d * math.tau / self.arduino.ticks_per_rev for d in self.arduino.directions]
        positions = self._move(raw, scale, speeds or (0.0, 0.0), begun)
        dt, self._read_at = now - self._read_at, now
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=positions,
            speeds=tuple((a - b) / dt for a, b in zip(positions, before, strict=True)),
            motors_on=speeds is not None and any(speeds),
        )
