"""Makes the wheel driver and the kinematics that the parameters of firmware_bridge_node name. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from firmware_bridge.adapters.polled import PolledDriver
from firmware_bridge.kinematics import Ackermann, BodyLimits, Differential, Kinematics, Mecanum, skid_steer
from firmware_bridge.link import FirmwareLink, Gains, Limits, LinkConfig
from firmware_bridge.wheels import WheelDriver
from hybrid_control.bringup.node_parameters import FIRMWARE_BRIDGE
from hybrid_control.parameters import ParameterError, Value

# What only some drivers, kinematics or settings obey; another value than the default is refused with the others.
_ADAPTERS = ("odrive", "vesc", "dynamixel")
_OBEYED_BY = {
    "motors": ("driver", _ADAPTERS),
    "directions": ("driver", ("ros_arduino_bridge", *_ADAPTERS)),
    "gear": ("driver", ("odrive", "vesc")),
    "pole_pairs": ("driver", ("vesc",)),
    "ticks_per_rev": ("driver", ("ros_arduino_bridge",)),
    "full_speed": ("driver", ("ros_arduino_bridge",)),
    **dict.fromkeys(("direct", "set_limits", "set_gains"), ("driver", ("link",))),
    **dict.fromkeys(("range_min", "range_max", "range_field_of_view"), ("driver", ("link",))),
    **dict.fromkeys(("wheel_acceleration", "min_battery"), ("set_limits", (True,))),
    **dict.fromkeys(("wheel_kp", "wheel_ki", "wheel_kd", "wheel_kff"), ("set_gains", (True,))),
    "wheelbase": ("kinematics", ("mecanum", "ackermann")),
    "wheels_per_side": ("kinematics", ("skid",)),
    "slip": ("kinematics", ("skid",)),
    "max_steering": ("kinematics", ("ackermann",)),
}

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


def check_obeyed(values: Mapping[str, Value], names: Iterable[str] = _OBEYED_BY) -> None:
    """ParameterError where one of these parameters was set, and what else is set would ignore it."""
    defaults = {p.name: p.default for p in FIRMWARE_BRIDGE}
    for name in names:
        by, settings = _OBEYED_BY.get(name, ("", ()))
        if by and values[by] not in settings and values[name] != defaults[name]:
            obeying = " or ".join(str(s).lower() for s in settings)
            raise ParameterError(
                f"{name}: {values[name]!r} would have no effect with {by} {str(values[by]).lower()!r};"
                f" leave it at {defaults[name]!r}, or set {by} to {obeying}"
            )
    if values["baud"] and str(values["port"]).startswith("tcp://"):
        raise ParameterError(f"baud: {values['baud']} would have no effect at {values['port']}; leave it at 0")


def make_driver(values: Mapping[str, Value]) -> WheelDriver:
    """The driver, not yet started. ValueError where a parameter is impossible or a package is missing."""
    v: Any = values
    kind = v["driver"]
    if not v["port"]:
        raise ParameterError("port: is empty; expected a serial port such as /dev/ttyACM0")
    check_obeyed(values)
    wheels = len(make_kinematics(values).wheels)
    more: dict[str, Any] = {"baud": v["baud"]} if v["baud"] else {}
    if kind == "link":
        if v["set_limits"]:
            more["limits"] = Limits(v["max_wheel_speed"], v["wheel_acceleration"], v["min_battery"])
        if v["set_gains"]:
            more["gains"] = make_gains(values)
        return FirmwareLink(LinkConfig(v["port"], wheels=wheels, **more))
    more |= {"address": v["port"], "command_timeout": v["command_timeout"]}
    motors, directions = _integers(v, "motors"), _integers(v, "directions")
    if (kind != "vesc" and None in motors) or None in directions:
        raise ParameterError("motors, directions: 'local' is for the motors of VESCs alone")
    more |= {"directions": directions} if directions else {}
    driver = _adapter(kind, v, motors, more)
    if driver.wheels != wheels:
        raise ParameterError(
            f"motors: driver {kind!r} has {driver.wheels} of them, kinematics {v['kinematics']!r} {wheels} wheels"
        )
    return driver


def _adapter(kind: str, v: Any, motors: tuple[int | None, ...], more: dict[str, Any]) -> PolledDriver:
    """The driver of another maker's controller; ValueError as for make_driver."""
    if kind == "ros_arduino_bridge":
        from firmware_bridge.adapters.arduino_text import ArduinoText, ArduinoTextConfig

        more |= {"ticks_per_rev": v["ticks_per_rev"], "full_speed": v["full_speed"] or None}
        return ArduinoText(ArduinoTextConfig(**more))
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
