"""The arguments of a robot's graph: what there is to say about it, in words, and those words read as values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_control.parameters import Value

FLAG = ("true", "false")

_NAMESPACE = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
_TOPIC = re.compile(r"[/~]{0,2}[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
_NODE = re.compile(r"([A-Za-z_]\w*)?")  # "" for all of them


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a graph: the same name on the command line (with dashes) and in a launch file."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()

    def check(self, value: str) -> str:
        """The value; ValueError where it can't be."""
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name}: {value!r} is unknown, expected {', '.join(self.choices)}")
        return value


@dataclass(frozen=True, slots=True)
class Driver:
    """Somebody else's driver of a sensor. remappings: (its topic, ours)."""

    package: str
    executable: str
    values: Mapping[str, Value]
    remappings: tuple[tuple[str, str], ...] = ()


#: Drivers of sensors by name. Never run here.
LIDARS = {
    "rplidar": Driver("rplidar_ros", "rplidar_composition", {"frame_id": "lidar"}),
    "urg": Driver("urg_node", "urg_node_driver", {"laser_frame_id": "lidar"}),
}
_IMAGE = (("image_raw", "camera/image_raw"),)
CAMERAS = {
    "v4l2": Driver("v4l2_camera", "v4l2_camera_node", {"camera_frame_id": "camera"}, _IMAGE),
    "usb_cam": Driver("usb_cam", "usb_cam_node_exe", {"frame_id": "camera"}, _IMAGE),
}


def common(params: str, sim_time: bool) -> tuple[Argument, ...]:
    """The arguments that every graph has. params: its usual parameter file."""
    return (
        Argument("namespace", "", "namespace of every node and topic, such as robot1"),
        Argument("use_sim_time", str(sim_time).lower(), "go by /clock", FLAG),
        Argument("params_file", params, "parameters: a YAML file, or the name of one in config/"),
        Argument("model_file", "", "the planner, an ONNX file or a name; empty for what the parameters say"),
        Argument("network_file", "", "the reflex's network, a NIR file; empty for what the parameters say"),
        Argument("log_level", "info", "least that is logged", ("debug", "info", "warn", "error", "fatal")),
        Argument("composed", "false", "planner, encoder and reflex in one process", FLAG),
        Argument(
            "goal", "", "where to go at once, 'X,Y' in the odometry's frame; empty to wait for goal_pose"
        ),
        Argument(
            "cmd_vel",
            "cmd_vel",
            "topic of the commands, such as cmd_vel_reflex where a twist_mux comes after",
        ),
        Argument(
            "remap",
            "",
            "topics that have other names on this robot, such as 'scan:=front/scan; odom:=platform/odom'; "
            "NODE:FROM:=TO for one node alone",
        ),
        Argument("rviz", "false", "open rviz2 (package rviz2)", FLAG),
        Argument("foxglove", "false", "serve Foxglove on port 8765 (package foxglove_bridge)", FLAG),
    )


BASE = (
    Argument(
        "base", "firmware",
        "what moves the robot: our firmware bridge; direct, the bridge in the reflex's process; "
        "none, where the robot's own driver listens to cmd_vel",
        ("firmware", "direct", "none"),
    ),
    Argument("port", "", "serial port of the motor controller; empty for what the parameters say"),
)  # fmt: skip

SENSORS = tuple(
    Argument(sensor, "none", f"driver to start: none, {', '.join(drivers)}, or PACKAGE/EXECUTABLE")
    for sensor, drivers in (("lidar", LIDARS), ("camera", CAMERAS))
)

GROUND = (
    Argument(
        "learner",
        "",
        "teach it ground: what each class does, such as 'puddle=avoid; dock=approach'; empty: no learner",
    ),
)

WORLD = (
    Argument("world", "default", "name of a world, or FILE.npz:ID"),
    Argument("seed", "0", "seed of the world and of everything random"),
    Argument("robot", "jackal", "name of a robot"),
)


class Arguments(dict[str, str]):
    """The arguments of one graph by name, in words; the methods read them. Each raises ValueError where it can't."""

    @classmethod
    def check(cls, kind: str, known: tuple[Argument, ...], words: Mapping[str, str]) -> Arguments:
        """All that are `known`, by default or as `words` say."""
        names = [argument.name for argument in known]
        for name in words:
            if name not in names:
                raise ValueError(f"{kind}: unknown argument {name!r}; known are {', '.join(names)}")
        return cls({a.name: a.check(words.get(a.name, a.default)) for a in known})

    def true(self, name: str) -> bool:
        """Whether a flag is set."""
        return self[name] == "true"

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number, low .. high."""
        text = self[name]
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise ValueError(f"{name}: {text!r}; expected a whole number, {low} .. {high}")
        return int(text)

    def seed(self) -> int:
        """The seed of everything random."""
        return self.integer("seed", 0, 2**31 - 1)

    def number(self, name: str, low: float, high: float, default: str = "") -> float:
        """A number, low .. high."""
        text = self[name] or default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"{name}: {text!r}; expected a number, {low:g} .. {high:g}")
        return value

    def file(self, name: str) -> dict[str, Value]:
        """The full path of a file by the argument's name, {} where none is named."""
        if not self[name]:
            return {}
        path = Path(self[name]).expanduser()
        if name == "model_file":
            from hybrid_control.navigation.planner.contract import named

            path = named(str(path))
        if not path.is_file():
            raise ValueError(f"{name}: {self[name]}: no such file")
        return {name: str(path.resolve())}

    def namespace(self) -> str:
        """The namespace as ROS has it, "" or "/robot1"."""
        text = self["namespace"]
        if text and not _NAMESPACE.fullmatch(text):
            raise ValueError(f"namespace: {text!r} can't be one; expected a name such as robot1")
        return f"/{text.strip('/')}" if text else ""

    def goal(self) -> tuple[float, float] | None:
        """(x, y) m, None where none is named."""
        text = self["goal"]
        if not text:
            return None
        try:
            x, y = (float(part) for part in text.split(","))
        except ValueError:
            x = y = math.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"goal: {text!r} is no point; expected X,Y in metres, such as 3,-1.5")
        return x, y

    def remappings(self) -> dict[str, str]:
        """'FROM:=TO; ...' as a table; 'NODE:FROM:=TO' for one node alone."""
        table = {}
        for part in filter(None, (each.strip() for each in self["remap"].split(";"))):
            name, becomes = (side.strip() for side in part.partition(":=")[::2])
            node, _, topic = name.rpartition(":")
            if not _TOPIC.fullmatch(topic) or not _TOPIC.fullmatch(becomes) or not _NODE.fullmatch(node):
                raise ValueError(f"remap: {part!r}; expected FROM:=TO, such as scan:=front/scan")
            if name == "cmd_vel":
                raise ValueError("remap: cmd_vel has an argument of its own, cmd_vel")
            table[name] = becomes
        return table
