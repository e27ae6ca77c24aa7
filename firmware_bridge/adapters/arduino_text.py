"""The text protocol of ros_arduino_bridge and diffdrive_arduino: ``e``, ``m l r``, ``o l r``, ``r``, ``u p:d:i:o``.

Each command ends with a carriage return, each answer with a line feed. ``m`` takes encoder ticks per turn of the
firmware's own speed loop. That firmware stops by itself only 2 s after the last command; this driver after
command_timeout, as long as host and line live.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from firmware_bridge.adapters.polled import LineDriver, PolledConfig
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState, unwrap


@dataclass(frozen=True, kw_only=True)
class ArduinoTextConfig(PolledConfig):
    """ticks_per_rev: of an encoder, at the wheel. loop_rate: Hz of the firmware's speed loop (PID_RATE, 30). gains:
    whole numbers (p, d, i, o) for ``u``, None leaves the firmware's. boot: s that a board resets when its port opens.
    """

    baud: int = 57_600
    ticks_per_rev: int = 1320
    loop_rate: float = 30.0
    gains: tuple[int, int, int, int] | None = None
    boot: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ticks_per_rev <= 0 or not self.loop_rate > 0 or not self.boot >= 0:
            raise LinkError("ticks_per_rev and loop_rate must be > 0, boot >= 0")


class ArduinoText(LineDriver):
    """Two wheels, left and right."""

    def __init__(self, config: ArduinoTextConfig) -> None:
        super().__init__(config, 2)
        self.arduino = config
        self._raw = (0, 0)
        self._counts_now = [0, 0]
        self._read_at = 0.0
        self._counted = False

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
                if time.monotonic() >= until or self._closing.is_set():
                    raise
        self._expect_ok("m 0 0")
        if self.arduino.gains is not None:
            self._expect_ok("u " + ":".join(str(int(v)) for v in self.arduino.gains))
        self._counted = False

    def _encoders(self) -> tuple[int, int]:
        left, right = self._numbers(self._ask("e"), 2, "e")
        return int(left), int(right)

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        per_loop = self.arduino.ticks_per_rev / math.tau / self.arduino.loop_rate
        left, right = (round(v * per_loop) for v in speeds or (0.0, 0.0))
        self._expect_ok(f"m {left} {right}")
        raw, now = self._encoders(), time.monotonic()
        before, dt = tuple(self._counts_now), now - self._read_at
        if self._counted:
            self._counts_now = [
                unwrap(count, count + new - old)
                for count, new, old in zip(before, raw, self._raw, strict=True)
            ]
        turned = [
            (a - b) * math.tau / self.arduino.ticks_per_rev
            for a, b in zip(self._counts_now, before, strict=True)
        ]
        self._raw, self._read_at, self._counted = raw, now, True
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=tuple(c * math.tau / self.arduino.ticks_per_rev for c in self._counts_now),
            speeds=tuple(v / dt for v in turned),
            motors_on=bool(left or right),
        )
