"""`hybrid-control up`: two robots in one launch, deaths and restarts, the topics as README says, Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import TwistStamped
from hybrid_control_msgs.msg import ReflexStatus, SimState
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

ROOT = Path(__file__).parents[2]
UP = ("-m", "hybrid_control.cli", "up")


def pids(process) -> dict[str, int]:
    """The processes that `up` has started, by node and namespace such as /r1/reflex_node."""
    found = {}
    tasks = Path(f"/proc/{process.popen.pid}/task")
    for child in {int(c) for task in tasks.iterdir() for c in (task / "children").read_text().split()}:
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        if "-m" in words:
            space = next((w.removeprefix("__ns:=") for w in words if w.startswith("__ns:=")), "")
            found[f"{space}/{words[words.index('-m') + 1].rsplit('.', 1)[-1]}"] = child
    return found


def table() -> list[tuple[str, set[str], str]]:
    """README's topics: name, types, quality of service."""
    text = (ROOT / "README.md").read_text().split("## Topics")[1].split("\n## ")[0]
    rows = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return [(row[0].strip("`"), set(re.findall(r"[a-z_]+_msgs/\w+", row[1])), row[5]) for row in rows]


def fits(profile, said: str) -> bool:
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return (reliable, latched) == {
        "sensor": (False, False),
        "stream": (True, False),
        "command": (True, False),
        "latched": (True, True),
        "best effort, depth 1": (False, False),
    }[said]


def test_launch_two_robots_in_one_launch_do_not_disturb_each_other_and_a_death_means_stop_then_restart(
    graph, command
):
    up = command(*UP, "sim", "--world", "default", "--namespace", "r1", "--namespace", "r2")
    state = {n: graph.collect(SimState, f"/{n}/sim/state") for n in ("r1", "r2")}
    status = {n: graph.collect(ReflexStatus, f"/{n}/reflex/status") for n in ("r1", "r2")}
    speed = {n: graph.collect(TwistStamped, f"/{n}/cmd_vel") for n in ("r1", "r2")}
    graph.until(
        lambda: all(s and s[-1].path_length > 0.3 for s in state.values()),
        100,
        "both drive to the world's goal",
    )

    # every topic of README is there, in each namespace, with its type and quality of service
    for name, types, said in table():
        for space in ("/r1/", "/r2/"):
            topic = name if name.startswith("/") else space + name
            ends = graph.until(lambda t=topic: graph.tester.get_publishers_info_by_topic(t), 10, topic)
            assert {end.topic_type.replace("/msg/", "/") for end in ends} <= types, topic
            assert all(fits(end.qos_profile, said) for end in ends), (topic, said)

    # the reflex of one dies: that one stops, the other drives on
    before = state["r2"][-1].path_length
    first = pids(up)
    os.kill(first["/r1/reflex_node"], signal.SIGKILL)
    died = time.monotonic()
    graph.until(lambda: abs(speed["r1"][-1].twist.linear.x) < 1e-9, 5, "zero commands in the reflex's place")
    assert time.monotonic() - died < 2.0
    graph.until(lambda: state["r2"][-1].path_length > before + 0.5, 20, "the other robot drives on")
    graph.until(lambda: abs(state["r1"][-1].linear_x) < 0.02, 10, "the robot stands")
    stood = state["r1"][-1].path_length
    # its planner dies too, and both are brought back; without a new goal the robot stays where it is
    os.kill(first["/r1/planner_node"], signal.SIGKILL)
    graph.until(lambda: status["r1"][-1].arrival > died + 1.5, 60, "a new reflex")
    graph.until(lambda: pids(up).get("/r1/planner_node", 0) not in (0, first["/r1/planner_node"]), 60)
    time.sleep(1.0)
    assert status["r1"][-1].mode == ReflexStatus.STOPPED
    assert status["r1"][-1].reason == "no goal yet"
    assert state["r1"][-1].path_length - stood < 0.02
    assert {k: v for k, v in pids(up).items() if k.startswith("/r2")} == {
        k: v for k, v in first.items() if k.startswith("/r2")
    }

    result, seconds = up.interrupt()
    assert result == 0
    assert seconds < 2.0
    assert "Traceback" not in up.output
    assert not [c for c in state.values() if c[-1].contacts]
    for name in ("r1", "r2"):
        assert speed[name][-1].twist.linear.x == 0.0 == speed[name][-1].twist.angular.z


def test_launch_ctrl_c_while_it_starts_ends_everything_within_two_seconds(graph, command):
    for delay in (0.8, 2.0, 3.5):
        up = command(*UP, "sim", "--namespace", f"n{delay * 10:.0f}")
        time.sleep(delay)
        children = list(pids(up).values())
        result, seconds = up.interrupt()
        assert seconds < 2.0
        assert result in (0, 130)
        assert "Traceback" not in up.output
        assert not [c for c in children if Path(f"/proc/{c}/cmdline").exists()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("robot", "--namespace", "7up"), "namespace: '7up' can't be one"),
        (("robot", "--params", "/nonexistent.yaml"), "params_file: /nonexistent.yaml: no such file"),
        (("robot", "--params", "rover9"), "params_file: no 'rover9' in config/, there are"),
        (("robot", "--model-file", "no.onnx"), "model_file: no.onnx: no such file"),
        (("robot", "--lidar", "radar"), "lidar: 'radar'; expected none,"),
        (("robot", "--lidar", "no_such/driver"), "package no_such is not installed"),
        (("sim", "--goal", "3"), "goal: '3' is no point"),
        (("replay",), "file: expected a recording"),
        (("sim", "--namespace", "a", "--namespace", "a"), "the same one stands twice"),
    ],
)
def test_launch_up_refuses_a_mistake_in_one_line_with_status_2(words, said, capsys, monkeypatch):
    from hybrid_control.cli import main

    monkeypatch.setenv("ROS_DOMAIN_ID", "99")
    assert main(["up", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
