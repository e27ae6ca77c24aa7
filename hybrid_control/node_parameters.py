"""The parameters of each ROS node, beside those of the libraries that they stand on, and the YAML files with them.

They stand here and not beside the nodes so that the command line can check files and print tables without ROS.

    python -m hybrid_control.node_parameters config/*.yaml

brings files up to date with the code: values stay, what is new comes in, what is gone goes, comments are renewed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hybrid_control.parameters import Parameter, ParameterError, Value, check_all
from hybrid_control.reflex.gains import GAINS, SETTINGS

AUTOSTART = Parameter(
    "autostart", False, "", "configure and activate at once, where no launch file or supervisor does it"
)
ODOM_FRAME = Parameter(
    "odom_frame", "odom", "", "frame of odometry and goal; what comes in another is refused"
)
STAMPED_CMD_VEL = Parameter("stamped_cmd_vel", True, "", "cmd_vel is a TwistStamped; a Twist where false")

SIM: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("world", "default", "", "name of a world, or a world file"),
    Parameter("robot", "jackal", "", "name of a robot"),
    Parameter("seed", 0, "", "seed of everything random: noise, drift, light, textures", 0, 2**31 - 1),
    Parameter("real_time_factor", 1.0, "", "simulated seconds in a second; 0 for as fast as it goes", 0.0, 100.0),
    Parameter(
        "stamps", "ros", "",
        "ros: stamps from the ROS clock as on a robot, which needs a real_time_factor of 1; "
        "simulated: simulated seconds, for nodes with use_sim_time",
        choices=("ros", "simulated"),
    ),
    Parameter("clock_rate", 100.0, "Hz", "messages a simulated second on /clock", 10.0, 1000.0),
    Parameter("camera", True, "", "whether the camera is drawn"),
    Parameter("viewer", False, "", "whether MuJoCo's window opens"),
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter(
        "camera_fault", "", "", "for tests: what the camera shows instead",
        choices=("", "black", "white", "nan", "size", "freeze", "silent"), live=True,
    ),
    Parameter(
        "scan_fault", "", "", "for tests: what the lidar says instead", choices=("", "nan", "silent"), live=True
    ),
)  # fmt: skip

PLANNER: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter(
        "model_file", "", "", "ONNX file of the planner; empty for the one that comes with hybrid_control"
    ),
    Parameter("compressed", False, "", "camera/image_raw is a CompressedImage (JPEG or PNG)"),
    Parameter("rate", 15.0, "Hz", "most images planned on in a second", 1.0, 100.0),
    Parameter(
        "min_contrast",
        2.0,
        "",
        "least contrast, in grey levels, of an image that shows something",
        0.0,
        127.0,
    ),
    Parameter("image_timeout", 0.5, "s", "age of an image beyond which it is refused", 0.05, 5.0),
    Parameter(
        "odometry_timeout", 0.5, "s", "age of the newest odometry beyond which nothing is planned", 0.05, 5.0
    ),
    ODOM_FRAME,
)

RATE_TO_SPIKE: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("window", 0.010, "s", "length of the windows of planner/spikes", 0.001, 0.1),
    Parameter("code", "poisson", "", "how rates become spikes", choices=("poisson", "regular", "latency")),
    Parameter("seed", 0, "", "seed of the Poisson code", 0, 2**31 - 1),
    Parameter(
        "max_rate",
        200.0,
        "Hz",
        "rate at which the latency code spikes at once: the peak of the planner's rates",
        1.0,
        1000.0,
    ),
    Parameter(
        "rates_timeout", 0.4, "s", "age of the newest rates beyond which no spikes are sent", 0.02, 5.0
    ),
)

REFLEX: tuple[Parameter, ...] = (
    AUTOSTART,
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame_id of a stamped cmd_vel"),
    Parameter("scan_frame", "", "", "frame of the scan, others are refused; empty for that of the first one"),
    Parameter("command_rate", 100.0, "Hz", "commands a second, beside one for every new scan", 10.0, 1000.0),
    Parameter("spikes_rate", 50.0, "Hz", "messages a second on reflex/spikes; 0 for none", 0.0, 100.0),
    Parameter(
        "watchdog_timeout", 0.02, "s", "time without a tick for which the robot is stopped", 0.005, 1.0
    ),
    *SETTINGS,
    *GAINS,
)

#: Parameters by the name under which each node runs.
NODES: dict[str, tuple[Parameter, ...]] = {
    "sim_node": SIM,
    "planner_node": PLANNER,
    "rate_to_spike_node": RATE_TO_SPIKE,
    "reflex_node": REFLEX,
}

#: A parameter of rclpy's own, in every node.
USE_SIM_TIME = Parameter("use_sim_time", False, "", "go by /clock")


def read_yaml(path: str | os.PathLike[str]) -> dict[str, dict[str, Value]]:
    """What a ROS parameter file says about our nodes, by the node's name without its namespace.

    Raises ParameterError, which begins with the path, where it is not a parameter file, or names a parameter that
    the node does not have or a value that it can't take. Nodes that are not ours are left out. OSError as usual.
    """
    result: dict[str, dict[str, Value]] = {}
    for name, given in _sections(path).items():
        if name in NODES:
            known = (USE_SIM_TIME, *NODES[name])
            checked = check_all(known, given, where=f"{path}: {name}")
            result[name] = {key: checked[key] for key in given}
    return result


def to_yaml(values: Mapping[str, Mapping[str, Value]], head: str = "") -> str:
    """A ROS parameter file that holds every parameter of the nodes in `values`, in any namespace.

    values: those that differ from the defaults. head: comment lines, without their #.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for name, given in values.items():
        known = (USE_SIM_TIME, *NODES[name])
        checked = check_all(known, given, where=name)
        lines += ["", f"/**/{name}:", "  ros__parameters:"]
        lines += [f"    {p.name}: {_scalar(checked[p.name])}  # {_remark(p)}" for p in known]
    return "\n".join(lines).lstrip("\n") + "\n"


def refresh(path: str | os.PathLike[str]) -> str:
    """The text of a parameter file brought up to date with the code."""
    head = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        head.append(line.removeprefix("#").removeprefix(" "))
    values = {}
    for name, given in _sections(path).items():
        names = {p.name for p in (USE_SIM_TIME, *NODES.get(name, ()))}
        values[name] = {key: value for key, value in given.items() if key in names}
    return to_yaml(values, "\n".join(head))


def _sections(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: not a parameter file, expected the names of nodes at the top")
    sections: dict[str, dict[str, Any]] = {}
    for key, section in content.items():
        if not isinstance(section, dict) or not isinstance(section.get("ros__parameters"), dict):
            raise ParameterError(f"{path}: {key}: expected 'ros__parameters:' with parameters under it")
        sections.setdefault(str(key).rsplit("/", 1)[-1], {}).update(section["ros__parameters"])
    return sections


def _scalar(value: Value) -> str:
    if isinstance(value, float):
        text = f"{value:.12g}"
        return text if any(c in text for c in ".e") else f"{text}.0"
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()


def _remark(parameter: Parameter) -> str:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    span = parameter.range_text
    if parameter.choices:
        span = "one of " + ", ".join(repr(c) for c in parameter.choices)
    return f"{parameter.description}{unit}" + (f" ({span})" if span else "")


if __name__ == "__main__":
    for file in sys.argv[1:]:
        Path(file).write_text(refresh(file), encoding="utf-8")
