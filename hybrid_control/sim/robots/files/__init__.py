"""Robots of one's own: a URDF, xacro or MJCF file as a robot.

Files come from strangers: bounded in size, time and memory, and they read nothing outside the robot's package or
folder but ROS packages by name whose folders lie above it.
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hybrid_control.files import read_xml
from hybrid_control.sim.robots.files.assemble import assemble
from hybrid_control.sim.robots.files.expand import expanded
from hybrid_control.sim.robots.files.found import Found
from hybrid_control.sim.robots.files.mjcf import read_mjcf
from hybrid_control.sim.robots.files.urdf import read_urdf
from hybrid_control.sim.robots.rover import Rover

ENDINGS = (".urdf", ".xacro", ".mjcf", ".xml")
_XACRO = "{http://www.ros.org/wiki/xacro}", "{http://ros.org/wiki/xacro}", "{http://wiki.ros.org/xacro}"


class Read(NamedTuple):
    """A robot, and lines on what was taken for it that its file does not say."""

    robot: Rover
    notes: tuple[str, ...]


def read_robot(
    path: str | Path, given: Mapping[str, float] | None = None, sideways: bool | None = None
) -> Read:
    """The robot of a file. given: numbers over the file's, by the fields of `Vehicle`, `Rover`, `Car` and `Holonomic`;
    sideways: whether it moves in any direction, as the file says where None.

    ValueError with one line that names the file and the element for what can't be; OSError where it can't be read.
    """
    file = Path(path)
    status = file.stat()
    content = file.resolve(), status.st_mtime_ns, status.st_size
    robot, notes = assemble(_found(str(path), content), file, given or {}, sideways)
    return Read(robot, tuple(notes))


@functools.lru_cache(maxsize=16)
def _found(path: str, content: tuple[object, ...]) -> Found:
    """What a file says, read once for each content."""
    file = Path(path)
    if file.suffix == ".mjcf":
        return read_mjcf(file)
    root = read_xml(file, "a robot's file")
    if root.tag == "mujoco":
        return read_mjcf(file)
    if root.tag != "robot":
        raise ValueError(f"{path}: <{root.tag}> where <robot> of a URDF or <mujoco> was expected")
    if any(isinstance(e.tag, str) and e.tag.startswith(_XACRO) for e in root.iter()):
        text = expanded(file)
        try:
            root = ET.fromstring(text)
        except ET.ParseError as error:
            raise ValueError(f"{path}: not xacro: {error}") from None
    return read_urdf(root, file)


__all__ = ["ENDINGS", "Read", "read_robot"]
