"""The text protocol of ros_arduino_bridge and diffdrive_arduino: ``e``, ``m l r``, ``o l r``, ``r``, ``u p:d:i:o``.

Each command ends with a carriage return, each answer with a line feed. ``m`` takes encoder ticks per turn of the
firmware's own speed loop, ``o`` a duty of -255 .. 255 without any control. That firmware stops by itself only 2 s after
the last command; this driver after command_timeout, as long as host and line live.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from firmware_bridge.adapters.polled import LineDriver, PolledConfig
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState, advance

_FULL_DUTY = 255


@dataclass(frozen=True, kw_only=True)
class ArduinoTextConfig(PolledConfig):
    """ticks_per_rev: of an encoder, at the wheel. loop_rate: Hz of the firmware's speed loop (PID_RATE, 30). gains:
    whole numbers (p, d, i, o) for ``u``, None leaves the firmware's. full_speed: rad/s at full duty; with it the wheels
    are driven by ``o``, in proportion, for a board whose speed loop is not tuned; None drives them by ``m``. boot: s
    that a board resets when its port opens.
    """

    baud: int = 57_600
    ticks_per_rev: int = 1320
    loop_rate: float = 30.0
    gains: tuple[int, int, int, int] | None = None
    full_speed: float | None = None
    boot: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ticks_per_rev <= 0 or not self.loop_rate > 0 or not self.boot >= 0:
            raise LinkError("ticks_per_rev and loop_rate must be > 0, boot >= 0")
        if self.full_speed is not None and not (math.isfinite(self.full_speed) and self.full_speed > 0):
            raise LinkError(f"full_speed {self.full_speed} must be finite and > 0 rad/s")


class ArduinoText(LineDriver):
    """Two wheels, left and right."""

    def __init__(self, config: ArduinoTextConfig) -> None:
        super().__init__(config, 2)
        self.arduino = config
        self._raw = (0, 0)  # since the connection's beginning, when the board's counts were reset
        self._counts_now = [0, 0]  # since the driver was made
        self._read_at = 0.0

    def _ask(self, command: str) -> str:
        self._write(command.encode("ascii") + b"\r")
        return self._read_line(command)

    def _expect_ok(self, command: str) -> None:
        answer = self._ask(command)
        if answer != "OK":
            raise LinkError(f"{self.config.address}: answered {answer!r} to {command!r}, expected 'OK'")

    def _open(self) -> None:
        super()._open()
        until = time.monotonic() + self.arduino.boot + 3 * self.config.answer
        while True:  # a board that resets swallows the first commands
            try:
                self._pending = b""
                self._encoders()
                break
            except LinkError:
                if time.monotonic() >= until or self._connection.closing.is_set():
                    raise
        self._expect_ok("m 0 0")
        self._expect_ok("r")
        self._raw, self._read_at = (0, 0), time.monotonic()
        if self.arduino.gains is not None:
            self._expect_ok("u " + ":".join(str(int(v)) for v in self.arduino.gains))

    def _encoders(self) -> tuple[int, int]:
        left, right = self._numbers(self._ask("e"), 2, "e")
        return int(left), int(right)

    def _motion(self, speeds: tuple[float, ...]) -> str:
        """The command for these speeds."""
        a = self.arduino
        if a.full_speed is None:
            name, scale, largest = "m", a.ticks_per_rev / math.tau / a.loop_rate, math.inf
        else:
            name, scale, largest = "o", _FULL_DUTY / a.full_speed, _FULL_DUTY
        left, right = (round(max(-largest, min(v * scale, largest))) for v in speeds)
        return f"{name} {left} {right}"

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        self._expect_ok(self._motion(speeds) if speeds is not None else "m 0 0")
        raw, now = self._encoders(), time.monotonic()
        before, dt = tuple(self._counts_now), now - self._read_at
        self._counts_now = advance(before, self._raw, raw)
        self._raw, self._read_at = raw, now
        radians = math.tau / self.arduino.ticks_per_rev
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=tuple(c * radians for c in self._counts_now),
            speeds=tuple((a - b) * radians / dt for a, b in zip(self._counts_now, before, strict=True)),
            motors_on=speeds is not None and any(speeds),
        )
