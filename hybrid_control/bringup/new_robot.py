"""A new robot's parameter file: answers and measurements become parameters, with reasons; checked, then written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_control.bringup import kinds
from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.bringup.parameter_files import read_yaml, to_yaml
from hybrid_control.bringup.questions import NO_CONTROLLER, TOPICS, Answers, turning_radius
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.parameters import Value, check_all

if TYPE_CHECKING:
    from hybrid_control.navigation.derive import Derived, Measures
    from hybrid_control.navigation.identify.response import Identified
    from hybrid_control.navigation.identify.trial import Wish
    from hybrid_control.sim.robots.vehicle import Vehicle

_BESIDE = 1.1  # what the bridge's limits leave above the reflex's
_PLACES = tuple(p.name for p in NODES["planner_node"] if p.name in {s.name for s in SETTINGS})
_SHARED = {
    "planner_node": ("compressed", "odom_frame", "odometry_timeout", *_PLACES),
    "firmware_bridge_node": (
        "port", "wheel_radius", "track", "wheelbase", "max_steering", "wheels_per_side", "slip", "stamped_cmd_vel",
        "odom_frame", "base_frame",
    ),
}  # fmt: skip


def described(robot: Vehicle) -> dict[str, Value]:
    """The answers that a robot's description gives. ValueError for a drone."""
    if robot.flies:
        raise ValueError(
            f"--robot {robot.name}: is a drone; docs/drone.md says how one is set up, from config/quad.yaml"
        )
    answers: dict[str, Value] = {
        "drive": "mecanum" if robot.holonomic else "differential",
        **{name: value for name, value in robot.reflex_settings.items() if name != "open_space"},
        "max_speed": min(robot.max_speed, 5.0),
        "max_yaw_rate": min(robot.max_yaw_rate, 6.0),
        "braking": robot.deceleration,
        "lidar_rate": robot.lidar_rate,
        "odometry_rate": robot.odometry_rate,
    }
    if robot.wheels is not None:
        answers |= {"wheel_radius": robot.wheels.radius, "track": robot.wheels.track}
        if robot.wheels.wheelbase:
            answers["wheelbase"] = robot.wheels.wheelbase
        if robot.wheels.turning_radius:
            answers["drive"] = "ackermann"
    return answers


def wish(answers: Answers) -> Wish:
    """What a trial is to try of this robot."""
    from hybrid_control.navigation.identify.trial import Wish

    return Wish(
        speed=float(answers["max_speed"]),
        yaw_rate=_yaw_rate(answers),
        braking=float(answers["braking"]),
        turning_radius=turning_radius(answers),
    )


def trial_settings(answers: Answers) -> dict[str, Value]:
    """The reflex's settings, of answers or of a description, that a trial looks at the floor by."""
    names = {p.name for p in SETTINGS}
    return check_all(SETTINGS, {name: value for name, value in answers.items() if name in names})


def _yaw_rate(answers: Answers) -> float:
    radius = turning_radius(answers)
    return float(answers["max_speed"]) / radius if radius else float(answers["max_yaw_rate"])


def measures(answers: Answers, found: Identified | None) -> Measures:
    """What is known of the robot: by answers, and by measurement over them, the worse of repetitions."""
    from hybrid_control.navigation.derive import Measures

    def said(name: str) -> float:
        return float(answers[name])

    speed, yaw_rate = said("max_speed"), _yaw_rate(answers)
    motion = (
        {
            "max_speed": speed, "max_yaw_rate": yaw_rate,
            **{name: said(name) for name in ("braking", "delay", "lidar_rate", "odometry_rate")},
        }
        if found is None
        else {
            "max_speed": min(speed, found.speed.median), "max_yaw_rate": min(yaw_rate, found.yaw_rate.median),
            "braking": found.braking.low, "acceleration": found.acceleration.low, "delay": found.delay.high,
            "yaw_acceleration": found.yaw_acceleration.low,
            "lidar_rate": found.scan_rate.median, "odometry_rate": found.odometry_rate.median,
        }
    )  # fmt: skip
    return Measures(
        length=said("robot_length"),
        width=said("robot_width"),
        middle=said("outline_x"),
        turning_radius=turning_radius(answers),
        holonomic=answers["drive"] == "mecanum",
        **motion,
    )


def sections(
    answers: Answers, robot: Measures, reasons: Mapping[str, Derived]
) -> dict[str, dict[str, Value]]:
    """Every node's parameters that differ from their defaults."""
    reflex_names = {p.name for p in NODES["reflex_node"]}
    known = {**answers, **{name: each.value for name, each in reasons.items()}}
    result: dict[str, dict[str, Value]] = {
        "planner_node": {name: known[name] for name in _SHARED["planner_node"] if name in known},
        "rate_to_spike_node": {},
        "reflex_node": {name: value for name, value in known.items() if name in reflex_names},
    }
    if answers["controller"] == NO_CONTROLLER:
        return result
    radius, track = float(answers["wheel_radius"]), float(answers["track"])
    fastest = _BESIDE * (robot.max_speed + robot.max_yaw_rate * track / 2)
    result["firmware_bridge_node"] = {
        **{name: answers[name] for name in _SHARED["firmware_bridge_node"] if name in answers},
        "driver": answers["controller"],
        "kinematics": answers["drive"],
        "max_speed": round(_BESIDE * robot.max_speed, 2),
        "max_yaw_rate": round(_BESIDE * robot.max_yaw_rate, 2),
        "acceleration": round(robot.braking, 2),
        "max_wheel_speed": round(fastest / radius, 1),
    }
    return result


def head(answers: Answers, found: Identified | None, how: str, reasons: Mapping[str, Derived]) -> str:
    """The comment that the file begins with: where its numbers come from, and why the derived ones are what they are.

    how: how it was measured, in words.
    """
    lines = [
        f"Parameters of a {answers['drive']} robot, written by `hybrid-control new-robot`; {how}.",
        "Of topics it has " + ", ".join(f"{name} as {answers[name]}" for name in TOPICS) + ".",
    ]
    if found is not None:
        lines += ["Measured, median (lowest .. highest):", *(f"  {line}" for line in told(found))]
    lines.append("Why the reflex has these values (hybrid_control/navigation/derive.py):")
    units = {p.name: f" {p.unit}" if p.unit else "" for p in (*SETTINGS, *GAINS)}
    for name, each in reasons.items():
        value = f"{each.value:g}" if isinstance(each.value, float) else str(each.value).lower()
        lines.append(f"  {name} {value}{units[name]}: {each.reason}")
    return "\n".join(lines)


def told(found: Identified) -> list[str]:
    """What was measured, a line each."""
    rows = (
        ("speed", found.speed, "m/s"),
        ("acceleration", found.acceleration, "m/s²"),
        ("braking", found.braking, "m/s²"),
        ("delay of a command", found.delay, "s"),
        ("yaw rate", found.yaw_rate, "rad/s"),
        ("yaw acceleration", found.yaw_acceleration, "rad/s²"),
        ("odometry", found.odometry_rate, "Hz"),
        ("scans", found.scan_rate, "Hz"),
    )
    lines = [
        f"{name} {s.median:.3g} {unit} ({s.low:.3g} .. {s.high:.3g}, {s.repeats} values)"
        for name, s, unit in rows
    ]
    if not found.steady:
        lines.append("a speed still grew when it had to stop: the robot may be faster than that")
    return lines


def write(path: Path, values: Mapping[str, Mapping[str, Value]], comment: str) -> str:
    """Write the file, once what the launch would check of it is fine; what it holds, in a line.

    Errors as of `kinds.build` and `read_yaml`, OSError as usual; then nothing has changed.
    """
    scratch = path.with_name(f"{path.stem}.new{path.suffix}")
    try:
        with open(scratch, "w", encoding="utf-8") as file:
            file.write(to_yaml(values, comment))
            file.flush()
            os.fsync(file.fileno())
        nodes = read_yaml(scratch)
        kinds.build("robot", launch_arguments(scratch, values))
        os.replace(scratch, path)
    except ValueError as error:
        raise ValueError(str(error).replace(str(scratch), str(path))) from None
    finally:
        scratch.unlink(missing_ok=True)  # where it is not yet the file itself
    return f"{sum(map(len, nodes.values()))} parameters of {', '.join(nodes)}: fine"


def launch_arguments(
    path: Path, values: Mapping[str, object], answers: Answers | None = None
) -> dict[str, str]:
    """What `hybrid-control up robot` is to be given. answers: for the names of topics."""
    words = {"params_file": str(path)}
    if "firmware_bridge_node" not in values:
        words["base"] = "none"
    said = answers or {}
    if said.get("cmd_vel", "cmd_vel") != "cmd_vel":
        words["cmd_vel"] = str(said["cmd_vel"])
    moved = [
        f"{ours}:={said[name]}"
        for name, ours in TOPICS.items()
        if name != "cmd_vel" and said.get(name, ours) != ours
    ]
    return {**words, "remap": "; ".join(moved)} if moved else words
