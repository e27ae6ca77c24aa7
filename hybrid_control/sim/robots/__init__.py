"""The robots that can be simulated, each a file of this folder that holds a Vehicle under the file's name in capitals.

A robot's numbers, its model in MuJoCo and in Gazebo, and what it asks of the reflex stand in its file alone; nothing
else names it. The names are known without importing any of the files.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from hybrid_control.sim.robots.vehicle import Vehicle

_KINDS = ("ackermann", "rover", "vehicle")  # what robots are made of

ROBOTS: tuple[str, ...] = tuple(
    sorted(m.name for m in iter_modules(__path__) if not m.ispkg and m.name not in _KINDS)
)


def vehicle(name: str) -> Vehicle:
    """The robot of that name; ValueError where there is none."""
    if name not in ROBOTS:
        raise ValueError(f"unknown robot {name!r}; there are {', '.join(ROBOTS)}")
    robot = getattr(import_module(f"{__name__}.{name}"), name.upper())
    assert isinstance(robot, Vehicle)
    return robot
