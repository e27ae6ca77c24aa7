"""The robots that can be simulated, each a file of this folder that holds a Vehicle under the file's name in capitals,
or a file of a user's own.

A robot's numbers, its model in MuJoCo and in Gazebo, and what it asks of the reflex stand in its file alone; nothing
else names it. The names are known without importing any of the files.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from hybrid_control.sim.robots.vehicle import Vehicle

_KINDS = ("ackermann", "holonomic", "rover", "vehicle")  # what robots are made of
_ENDINGS = (".urdf", ".xacro", ".mjcf", ".xml")
_OPTION = re.compile(r"([a-z_]+)=([^,=]*)")

ROBOTS: tuple[str, ...] = tuple(
    sorted(m.name for m in iter_modules(__path__) if not m.ispkg and m.name not in _KINDS)
)


def vehicle(name: str) -> Vehicle:
    """The robot of that name, or of a URDF, xacro or MJCF file; with other numbers where NAME,field=value,... says so.

    ValueError where there is none, or a file or a number is not as it should be; OSError where a file can't be read.
    """
    return vehicle_and_notes(name)[0]


def vehicle_and_notes(name: str) -> tuple[Vehicle, tuple[str, ...]]:
    """`vehicle`, and lines on what was taken for it that its file does not say."""
    name, given = parted(name)
    if name.endswith(_ENDINGS):
        from hybrid_control.sim.robots.files import read_robot

        said = given.pop("holonomic", None)  # a kind, and no number of the robot that comes of it
        if said not in (None, 0.0, 1.0):
            raise ValueError(f"robot {name!r}: holonomic={said:g}; expected 1 where it moves sideways, 0 where not")
        robot, notes = read_robot(name, given, None if said is None else bool(said))
        _check(robot, given)
        return robot, notes
    if name not in ROBOTS:
        raise ValueError(
            f"unknown robot {name!r}; there are {', '.join(ROBOTS)}, and files that end in {', '.join(_ENDINGS)}"
        )
    robot = getattr(import_module(f"{__name__}.{name}"), name.upper())
    assert isinstance(robot, Vehicle)
    return (replace(robot, **_check(robot, given)) if given else robot), ()


def is_name(name: str) -> bool:
    """Whether it is one of ROBOTS as it is."""
    return name in ROBOTS


def with_lidar(robot: str, mount: str) -> str:
    """A robot as it is typed, with its lidar mounted otherwise: 'fov=270,x=0.2,y=0,z=0.3,yaw=0', in degrees and m.

    ValueError for anything else.
    """
    if not mount:
        return robot
    given = ""
    for option in mount.split(","):
        name, _, text = option.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if name not in ("fov", "x", "y", "z", "yaw", "beams", "rate") or not math.isfinite(value):
            expected = "expected some of fov=270,x=0.2,y=0,z=0.3,yaw=0,beams=360,rate=40, degrees, m and Hz"
            raise ValueError(f"--lidar: {option!r}; {expected}")
        given += f",lidar_{name}={math.radians(value) if name in ('fov', 'yaw') else value!r}"
    return robot + given


def parted(name: str) -> tuple[str, dict[str, float]]:
    """A robot's name or file, and the numbers that stand behind it."""
    first, *options = name.split(",")
    given: dict[str, float] = {}
    for option in options:
        match = _OPTION.fullmatch(option)
        try:
            value = float(match[2]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or not math.isfinite(value):
            raise ValueError(f"robot {name!r}: {option!r}; expected a number of it, such as max_speed=0.8")
        given[match[1]] = value
    return first, given


def _check(robot: Vehicle, given: dict[str, float]) -> dict[str, Any]:
    """Numbers for fields of a robot, whole where they are; ValueError for a field or a number that it can't have."""
    known = {f.name: str(f.type) for f in fields(robot) if f.type in ("float", "int")}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"robot {robot.name!r} has no number {name!r}; it has {', '.join(known)}")
        signed = name.endswith(("_x", "_y", "_yaw", "_pitch"))
        if abs(value) > 1e6 or (value < 0.0 and not signed) or (value == 0.0 and name in _ABOVE_ZERO):
            raise ValueError(f"robot {robot.name!r}: {name}={value:g} can't be")
        if name == "lidar_fov" and value > math.tau + 1e-9:
            raise ValueError(f"robot {robot.name!r}: lidar_fov={value:g}; expected at most 2 pi rad")
    return {name: int(value) if known[name] == "int" else value for name, value in given.items()}


_ABOVE_ZERO = {
    "acceleration", "camera_height", "camera_hfov", "camera_rate", "camera_width", "deceleration", "encoder_counts",
    "height", "imu_rate", "length", "lidar_beams", "lidar_fov", "lidar_range_max", "lidar_rate", "mass", "max_speed",
    "max_yaw_rate", "odometry_rate", "track", "wheel_radius", "wheelbase", "width", "yaw_acceleration",
}  # fmt: skip
