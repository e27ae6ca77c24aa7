"""Dynamixel X servos as wheels, in velocity mode with their bus watchdog armed, by the maker's ``dynamixel-sdk``.

The SDK is an optional dependency (PyPI ``dynamixel-sdk``). Register addresses are those of the X series' control
table, protocol 2.0.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import time
from dataclasses import dataclass
from typing import Any

from firmware_bridge.adapters.polled import NoAnswer, PolledConfig, PolledDriver, check_directions
from firmware_bridge.link.frames import LinkError
from firmware_bridge.wheels import WheelState

_MODEL, _MODE, _TORQUE, _ERROR, _WATCHDOG, _GOAL = 0, 11, 64, 70, 98, 104
_PRESENT, _PRESENT_SIZE = 128, 18  # velocity (4), position (4), then up to input voltage (2) at 144
_VELOCITY_MODE = 1
_X_MODELS = range(1000, 1400)
_MX_MODELS = (30, 311, 321)  # MX-28, 64, 106 with protocol 2.0: the same control table
_RPM = 0.229  # of one unit of velocity
_TURN = 4096  # units of position
_WATCHDOG_UNIT = 0.02


@dataclass(frozen=True, kw_only=True)
class DynamixelConfig(PolledConfig):
    """ids: one for each wheel, in order. directions: +1 or -1 for each. watchdog: s without a packet after which a
    servo stops by itself (0.02 .. 2.54, in steps of 0.02).
    """

    ids: tuple[int, ...] = (1, 2)
    directions: tuple[int, ...] = (1, -1)
    baud: int = 57_600
    watchdog: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_directions("ids", self.ids, self.directions)
        if not (_WATCHDOG_UNIT <= self.watchdog <= 127 * _WATCHDOG_UNIT and self.watchdog > 1 / self.rate):
            raise LinkError(
                f"watchdog {self.watchdog} s must be within 0.02 .. 2.54 and longer than 1 / rate"
            )


class Dynamixel(PolledDriver):
    """One servo for each wheel."""

    def __init__(self, config: DynamixelConfig) -> None:
        super().__init__(config, len(config.ids))
        self.dynamixel = config
        try:
            self._sdk: Any = importlib.import_module("dynamixel_sdk")
        except ImportError:
            raise LinkError(
                "Dynamixel servos need the package dynamixel-sdk: pip install dynamixel-sdk"
            ) from None
        self._packets = self._sdk.PacketHandler(2.0)
        self._port: Any = None
        self._armed = False

    def _check(self, servo: int, result: int, error: int) -> None:
        if result != self._sdk.COMM_SUCCESS:
            text = self._packets.getTxRxResult(result).removeprefix("[TxRxResult] ")
            raise NoAnswer(f"{self.config.address}: servo {servo}: {text}")
        if error & 0x7F:
            raise NoAnswer(
                f"{self.config.address}: servo {servo}:"
                f" {self._packets.getRxPacketError(error).removeprefix('[RxPacketError] ')}"
            )

    def _open(self) -> None:
        self._port = self._sdk.PortHandler(self.config.address)
        try:
            if not self._port.openPort() or not self._port.setBaudRate(self.config.baud):
                raise LinkError(f"{self.config.address}: cannot do {self.config.baud} baud")
        except (OSError, ValueError) as error:
            raise LinkError(f"{self.config.address}: cannot be opened ({error})") from None

    def _greet(self) -> None:
        for servo in self.dynamixel.ids:
            model = self._guard(
                servo, lambda servo=servo: self._packets.read2ByteTxRx(self._port, servo, _MODEL)
            )
            if model not in _X_MODELS and model not in _MX_MODELS:
                raise LinkError(
                    f"{self.config.address}: servo {servo} is of model {model}; expected an X series (1000 .. 1399)"
                    " or MX with protocol 2.0 (30, 311, 321)"
                )
        for servo in self.dynamixel.ids:
            self._write1(servo, _WATCHDOG, 0)  # also clears a watchdog that has bitten
            self._write1(servo, _TORQUE, 0)
            self._write1(servo, _MODE, _VELOCITY_MODE)
            self._write1(servo, _WATCHDOG, round(self.dynamixel.watchdog / _WATCHDOG_UNIT))
        self._armed = False

    def _shut(self) -> None:
        if self._port is not None and self._port.is_open:
            with contextlib.suppress(OSError):
                self._port.closePort()

    def _settle(self, quiet: float) -> None:
        time.sleep(quiet)
        with contextlib.suppress(OSError):
            self._port.clearPort()

    def _let_go(self) -> None:
        for servo in self.dynamixel.ids:
            self._packets.write1ByteTxOnly(self._port, servo, _TORQUE, 0)
        self._armed = False

    def _write1(self, servo: int, address: int, value: int) -> None:
        self._guard(servo, lambda: self._packets.write1ByteTxRx(self._port, servo, address, value))

    def _guard(self, servo: int, call: Any) -> Any:
        """What a call of the SDK reads; once more if there is no answer, which a shared bus may lose now and then."""
        for _ in range(2):
            try:
                *data, result, error = call()
            except OSError as fault:
                raise LinkError(f"{self.config.address}: connection lost ({fault})") from None
            if result == self._sdk.COMM_SUCCESS:
                break
        self._check(servo, result, error)
        return data[0] if data else None

    def _torque(self, on: bool) -> None:
        for servo in self.dynamixel.ids:
            self._write1(servo, _TORQUE, int(on))
        self._armed = on

    def _clear(self) -> None:
        for servo in self.dynamixel.ids:
            self._guard(servo, lambda servo=servo: self._packets.reboot(self._port, servo))
        raise LinkError(f"{self.config.address}: servos reboot to clear their errors")

    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        d, begun = self.dynamixel, time.monotonic()
        if (speeds is None) and self._armed:
            self._torque(False)
        if speeds is not None:
            if not self._armed:
                self._torque(True)
            for servo, direction, speed in zip(d.ids, d.directions, speeds, strict=True):
                units = round(direction * speed * 60 / math.tau / _RPM) & 0xFFFFFFFF
                self._guard(
                    servo, lambda s=servo, u=units: self._packets.write4ByteTxRx(self._port, s, _GOAL, u)
                )
        raw, velocities, battery, faults = [], [], None, []
        for servo in d.ids:
            data = self._guard(
                servo, lambda s=servo: self._packets.readTxRx(self._port, s, _PRESENT, _PRESENT_SIZE)
            )
            if data is None or len(data) != _PRESENT_SIZE:
                raise NoAnswer(f"{self.config.address}: servo {servo} answered too little")
            block = bytes(data)
            velocities.append(int.from_bytes(block[0:4], "little", signed=True))
            raw.append(int.from_bytes(block[4:8], "little", signed=True))
            battery = int.from_bytes(block[16:18], "little") / 10
            torque, *_, error = self._guard(
                servo,
                lambda s=servo: self._packets.readTxRx(self._port, s, _TORQUE, _ERROR - _TORQUE + 1),
            )
            if error:
                faults.append(f"servo{servo}:{error:#x}")
            elif self._armed and not torque:
                faults.append(f"servo{servo}: torque is off")
        turning = tuple(v * s * _RPM * math.tau / 60 for v, s in zip(velocities, d.directions, strict=True))
        explained = [max(abs(t), abs(c)) for t, c in zip(turning, speeds or turning, strict=True)]
        return WheelState(
            received_ns=time.monotonic_ns(),
            positions=self._move(raw, [s * math.tau / _TURN for s in d.directions], explained, begun),
            speeds=turning,
            battery=battery,
            motors_on=self._armed,
            faults=tuple(faults),
        )
