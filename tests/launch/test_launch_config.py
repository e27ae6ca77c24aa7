"""What config/ holds for other programs: each file is read by a parser and held against the graph."""

from __future__ import annotations

import configparser
import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from launch_topics import tables

from hybrid_control.bringup import kinds
from hybrid_control.bringup.parameter_files import read_yaml

CONFIG = Path(__file__).parents[2] / "config"
# The message that each kind of display shows
DISPLAYS = {
    "LaserScan": "sensor_msgs/LaserScan",
    "Odometry": "nav_msgs/Odometry",
    "Pose": "geometry_msgs/PoseStamped",
    "Image": "sensor_msgs/Image",
    "MarkerArray": "visualization_msgs/MarkerArray",
    "SetGoal": "geometry_msgs/PoseStamped",
}


# What comes with ROS besides messages
ROS = ("ament_index_python", "launch", "launch_ros", "rclpy")


def message(kind):
    package, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def test_launch_rviz_layout_shows_topics_of_the_graph_with_their_types_and_a_quality_that_fits():
    layout = yaml.safe_load((CONFIG / "hybrid_control.rviz").read_text())["Visualization Manager"]
    default, _ = tables()
    shown = 0
    for display in [*layout["Displays"], *layout["Tools"]]:
        if "Topic" not in display:
            continue
        topic, kind = display["Topic"], display["Class"].rsplit("/", 1)[1]
        row = default[topic["Value"]]
        assert DISPLAYS[kind] in row.types, topic
        # as the row says: less than it would lose messages, more would get none
        assert topic["Reliability Policy"] == ("Reliable" if row.reliable else "Best Effort"), topic
        assert topic.get("Durability Policy", "Volatile") == (
            "Transient Local" if row.latched else "Volatile"
        )
        shown += 1
    assert shown == 6
    assert (
        layout["Global Options"]["Fixed Frame"] == read_yaml(CONFIG / "sim.yaml")["reflex_node"]["odom_frame"]
    )


def test_launch_foxglove_layout_shows_topics_of_the_graph_and_fields_that_their_messages_have():
    layout = json.loads((CONFIG / "foxglove.json").read_text())
    default, _ = tables()
    default = {name if name.startswith("/") else f"/{name}": row for name, row in default.items()}
    panels = layout["configById"]
    paths = [series["value"] for panel in panels.values() for series in panel.get("paths", ())]
    topics = [topic for panel in panels.values() for topic in panel.get("topics", ())]
    topics += [
        panel[key] for panel in panels.values() for key in ("topicPath", "topicToRender") if key in panel
    ]
    topics += [panels["Image!camera"]["imageMode"]["imageTopic"], panels["3D!world"]["publish"]["poseTopic"]]
    assert set(topics) <= set(default)
    for path in paths:
        topic, *fields = path.split(".")
        (kind,) = default[topic].types
        for field in fields:
            known = message(kind).get_fields_and_field_types()
            assert field in known, path
            kind = known[field]

    def names(place):
        if isinstance(place, str):
            return [place]
        return names(place["first"]) + names(place["second"])

    # each panel stands in the window once
    assert sorted(names(layout["layout"])) == sorted(panels)


def test_launch_twist_mux_example_listens_where_the_reflex_talks_and_stops_first():
    file = CONFIG / "examples" / "twist_mux.yaml"
    values = yaml.safe_load(file.read_text())["twist_mux"]["ros__parameters"]
    moved = kinds.build("robot", {"cmd_vel": "cmd_vel_reflex"})
    reflex = moved.values("reflex_node")
    assert values["use_stamped"] == reflex["stamped_cmd_vel"]
    assert values["topics"]["reflex"]["topic"] == moved.cmd_vel
    assert "cmd_vel:=cmd_vel_reflex" in file.read_text()
    # nothing that the reflex or a joystick sends passes the lock
    assert values["locks"]["emergency_stop"]["priority"] > max(
        t["priority"] for t in values["topics"].values()
    )
    # a reflex that is silent is left out no later than the base would stop by itself
    assert values["topics"]["reflex"]["timeout"] <= moved.values("firmware_bridge_node")["command_timeout"]


def test_launch_udev_rule_names_one_device_and_gives_it_the_name_that_the_parameters_have():
    rules = [line for line in (CONFIG / "99-rover.rules").read_text().splitlines() if line and line[0] != "#"]
    assert len(rules) == 1
    for rule in rules:
        parts = [re.fullmatch(r'([A-Z]+(?:\{\w+\})?)(==|\+?=)"([^"]*)"', part) for part in rule.split(", ")]
        assert all(parts), rule
        known = {part[1]: (part[2], part[3]) for part in parts if part}
        assert known["SUBSYSTEM"] == ("==", "tty")
        assert known["ENV{ID_SERIAL_SHORT}"] == ("==", "CHANGE_ME")
        operator, name = known["SYMLINK"]
        assert operator == "+="
        assert read_yaml(CONFIG / "custom_rover.yaml")["firmware_bridge_node"]["port"] == f"/dev/{name}"


def test_launch_systemd_unit_starts_a_graph_that_there_is_and_gives_up_on_a_mistake():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(CONFIG / "hybrid-control.service")
    service = unit["Service"]
    shell, option, script = shlex.split(service["ExecStart"])
    assert (shell, option) == ("/bin/bash", "-c")
    assert "$" not in script  # systemd would put in its own
    words = shlex.split(script.rsplit("exec ", 1)[1])
    assert words[:2] == ["hybrid-control", "up"]
    assert words[3] == "--params"
    assert kinds.build(words[2], {"params_file": words[4]}).managed
    assert service["KillSignal"] == "SIGTERM"
    assert service["RestartPreventExitStatus"] == "2"
    assert int(service["LimitRTPRIO"]) >= read_yaml(CONFIG / "custom_rover.yaml")["reflex_node"]["priority"]


def test_launch_limits_allow_the_priority_that_the_loop_asks_for():
    lines = [
        line.split() for line in (CONFIG / "99-realtime.conf").read_text().splitlines() if line[0] != "#"
    ]
    assert all(len(line) == 4 for line in lines)
    limits = {item: value for _, _, item, value in lines}
    assert int(limits["rtprio"]) >= read_yaml(CONFIG / "custom_rover.yaml")["reflex_node"]["priority"] + 1
    assert limits["memlock"] == "unlimited"


def test_launch_package_names_as_dependencies_what_its_modules_import_and_nothing_else():
    folder = CONFIG.parent / "ros2_ws" / "src" / "hybrid_control_ros"
    source = "\n".join(file.read_text() for file in sorted(folder.rglob("*.py")))
    imported = set(re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE))
    imported |= set(re.findall(r'message_of\("(\w+)"', source))
    ours = {
        "firmware_bridge",
        "hybrid_control",
        "hybrid_control_ros",
    }  # the library comes with pip, see docs/bringup.md
    of_ros = {
        name for name in imported if name.endswith(("_msgs", "_srvs", "_interfaces")) or name in ROS
    } - ours
    depends = re.findall(r"<exec_depend>(.*?)</exec_depend>", (folder / "package.xml").read_text())
    # event cameras are rare: who has one installs their messages
    assert set(depends) == of_ros - {"event_camera_msgs"} | {"python3-numpy"}
