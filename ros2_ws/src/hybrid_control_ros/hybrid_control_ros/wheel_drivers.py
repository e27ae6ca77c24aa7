"""Makes the wheel driver and the kinematics that the parameters of firmware_bridge_node name. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from firmware_bridge.kinematics import Ackermann, BodyLimits, Differential, Kinematics, Mecanum, skid_steer
from firmware_bridge.link import FirmwareLink, Gains, Limits, LinkConfig
from firmware_bridge.wheels import WheelDriver
from hybrid_control.parameters import ParameterError, Value

WHEEL_GAINS = ("wheel_kp", "wheel_ki", "wheel_kd", "wheel_kff")


def make_kinematics(values: Mapping[str, Value]) -> Kinematics:
    """The base that the parameters describe; ValueError where its measures are impossible."""
    v: Any = values
    kind = v["kinematics"]
    if kind == "skid":
        return skid_steer(v["wheel_radius"], v["track"], v["slip"], v["wheels_per_side"])
    if kind == "mecanum":
        return Mecanum(v["wheel_radius"], v["wheelbase"], v["track"])
    if kind == "ackermann":
        return Ackermann(v["wheel_radius"], v["wheelbase"], v["track"], v["max_steering"])
    return Differential(v["wheel_radius"], v["track"])


def make_limits(values: Mapping[str, Value]) -> BodyLimits:
    """What the body may do."""
    v: Any = values
    return BodyLimits(
        v["max_speed"], v["max_yaw_rate"], v["acceleration"], v["yaw_acceleration"], v["grip"] or math.inf
    )


def make_gains(values: Mapping[str, Value]) -> Gains:
    """The gains of the firmware's wheel speed control; values: at least wheel_kp, wheel_ki, wheel_kd and wheel_kff."""
    v: Any = values
    return Gains(*(v[name] for name in WHEEL_GAINS))


def _integers(values: Mapping[str, Value], name: str) -> tuple[int | None, ...]:
    """A list of whole numbers in a string, None for the word local; ParameterError where it is none."""
    text = str(values[name])
    try:
        return tuple(None if w.strip() == "local" else int(w) for w in text.split(",") if text.strip())
    except ValueError:
        raise ParameterError(f"{name}: {text!r}; expected whole numbers such as '1, 2'") from None


def make_driver(values: Mapping[str, Value]) -> WheelDriver:
    """The driver, not yet started. ValueError where a parameter is impossible or a package is missing."""
    v: Any = values
    kind = v["driver"]
    if not v["port"]:
        raise ParameterError("port: is empty; expected a serial port such as /dev/ttyACM0")
    more: dict[str, Any] = {"baud": v["baud"]} if v["baud"] else {}
    if kind == "link":
        if v["set_limits"]:
            more["limits"] = Limits(v["max_wheel_speed"], v["wheel_acceleration"], v["min_battery"])
        if v["set_gains"]:
            more["gains"] = make_gains(values)
        return FirmwareLink(LinkConfig(v["port"], **more))
    more |= {"address": v["port"], "command_timeout": v["command_timeout"]}
    if kind == "ros_arduino_bridge":
        from firmware_bridge.adapters.arduino_text import ArduinoText, ArduinoTextConfig

        more |= {"ticks_per_rev": v["ticks_per_rev"], "full_speed": v["full_speed"] or None}
        return ArduinoText(ArduinoTextConfig(**more))
    motors, directions = _integers(v, "motors"), _integers(v, "directions")
    if (kind != "vesc" and None in motors) or None in directions:
        raise ParameterError("motors, directions: 'local' is for the motors of VESCs alone")
    more |= {"directions": directions} if directions else {}
    if kind == "odrive":
        from firmware_bridge.adapters.odrive import Odrive, OdriveConfig

        more |= {"axes": motors} if motors else {}
        return Odrive(OdriveConfig(gear=v["gear"], **more))
    if kind == "vesc":
        from firmware_bridge.adapters.vesc import Vesc, VescConfig

        more |= {"can_ids": motors} if motors else {}
        return Vesc(VescConfig(gear=v["gear"], pole_pairs=v["pole_pairs"], **more))
    from firmware_bridge.adapters.dynamixel import Dynamixel, DynamixelConfig

    more |= {"ids": motors} if motors else {}
    return Dynamixel(DynamixelConfig(**more))
