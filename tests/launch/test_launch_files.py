"""The launch files, where the launch packages are: each builds its description, runs, and ends on Ctrl-C."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_ros",
    reason="launch and launch_ros are not here: they come with an installed ROS 2, not from PyPI",
)
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from launch.actions import DeclareLaunchArgument
from launch_recording import two_scans
from launch_ros.actions import Node

import launch
from hybrid_control.bringup import kinds

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
EVERYWHERE = {
    "namespace", "use_sim_time", "params_file", "model_file", "network_file", "log_level", "rviz", "foxglove",
}  # fmt: skip
RUN = """
import json, sys, launch
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = launch.LaunchService(noninteractive=True)
service.include_launch_description(launch.LaunchDescription([
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=json.loads(given).items()
    )
    for given in sys.argv[2:]
]))
sys.exit(service.run())
"""


def described(path):
    spec = importlib.util.spec_from_file_location(path.name.split(".")[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_launch_file_has_every_argument_and_the_nodes_of_its_graph(path, graph, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    kind = path.name.split(".")[0]
    description = described(path)
    declared = {a.name: a for a in description.entities if isinstance(a, DeclareLaunchArgument)}
    assert set(declared) >= EVERYWHERE
    assert set(declared) == {a.name for a in kinds.KINDS[kind].arguments}
    recording = tmp_path / "run.mcap"
    recording.write_bytes(b"")
    context = launch.LaunchContext()
    given = {"namespace": "robot1", "file": str(recording), "folder": str(tmp_path), "rviz": "true"}
    for name, argument in declared.items():
        context.launch_configurations[name] = given.get(
            name, argument.default_value[0].text if argument.default_value else ""
        )
    (start,) = [e for e in description.entities if isinstance(e, launch.actions.OpaqueFunction)]
    made = start.execute(context)
    nodes = {n.node_package + "/" + n.node_executable for n in made if isinstance(n, Node)}
    programs = kinds.build(
        kind, {k: v for k, v in context.launch_configurations.items() if k in declared}
    ).programs
    assert nodes == {f"{p.package}/{p.executable}" for p in programs if p.package}
    assert {"hybrid_control_ros/planner_node", "hybrid_control_ros/reflex_node", "rviz2/rviz2"} <= nodes


def children(process) -> dict[str, int]:
    """The processes of ours that a launch has started, by name such as /a/reflex_node."""
    found = {}
    tasks = Path(f"/proc/{process.popen.pid}/task")
    for child in {int(c) for task in tasks.iterdir() for c in (task / "children").read_text().split()}:
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        program = next((Path(w).name for w in words if "/lib/hybrid_control_ros/" in w), "")
        space = next((w.removeprefix("__ns:=").rstrip("/") for w in words if w.startswith("__ns:=")), "")
        if program:
            found[f"{space}/{program}"] = child
    return found


def ends(process) -> None:
    """Ctrl-C ends the launch and everything in it within two seconds."""
    nodes = children(process).values()
    result, seconds = process.interrupt()
    assert seconds < 2.0
    assert result in (0, 1)  # launch's own answer to Ctrl-C, by release
    assert "Traceback" not in process.output
    assert not [n for n in nodes if Path(f"/proc/{n}/cmdline").exists()]


@pytest.fixture
def launched(command, tmp_path):
    """Runs a launch file, one process for as many robots as there are sets of arguments."""

    def start(name, *given):
        script = tmp_path / "run_launch.py"
        script.write_text(RUN)
        return command(str(script), str(ROOT / "launch" / f"{name}.launch.py"), *map(json.dumps, given))

    return start


def test_launch_two_robots_in_one_launch_do_not_disturb_each_other_and_a_death_means_stop(graph, launched):
    from geometry_msgs.msg import TwistStamped
    from hybrid_control_msgs.msg import ReflexStatus, SimState

    process = launched("sim", *({"namespace": name, "seed": "2"} for name in ("a", "b")))
    states = {name: graph.collect(SimState, f"/{name}/sim/state") for name in ("a", "b")}
    status = graph.collect(ReflexStatus, "/a/reflex/status")
    speed = graph.collect(TwistStamped, "/a/cmd_vel")
    graph.until(lambda: all(s and s[-1].path_length > 0.3 for s in states.values()), 100, "both drive")

    before, first = states["b"][-1].path_length, children(process)
    os.kill(first["/a/reflex_node"], signal.SIGKILL)
    died = time.monotonic()
    graph.until(lambda: abs(speed[-1].twist.linear.x) < 1e-9, 5, "zero commands in the reflex's place")
    assert time.monotonic() - died < 2.0
    graph.until(lambda: states["b"][-1].path_length > before + 0.5, 20, "the other robot drives on")
    graph.until(lambda: status[-1].arrival > died + 1.0, 60, "a new reflex")
    assert status[-1].mode == ReflexStatus.STOPPED
    assert status[-1].reason == "no goal yet"
    now = children(process)
    assert now.pop("/a/reflex_node") != first.pop("/a/reflex_node")
    assert now == first
    assert not [s for s in states.values() if s[-1].contacts]
    ends(process)


def test_launch_that_is_killed_takes_its_nodes_with_it_and_the_robot_to_stop(graph, launched):
    from geometry_msgs.msg import TwistStamped
    from hybrid_control_msgs.msg import SimState

    process = launched("sim", {"world": "open"})
    state, speed = graph.collect(SimState, "/sim/state"), graph.collect(TwistStamped, "/cmd_vel")
    graph.until(lambda: state and state[-1].path_length > 0.3, 60, "it drives")
    nodes = children(process)
    assert set(nodes) == {"/planner_node", "/rate_to_spike_node", "/reflex_node", "/sim_node"}
    process.kill()
    graph.until(
        lambda: not [n for n in nodes.values() if Path(f"/proc/{n}/cmdline").exists()], 2.0, "all end"
    )
    assert speed[-1].twist.linear.x == 0.0 == speed[-1].twist.angular.z


@pytest.mark.parametrize(
    ("name", "given", "nodes"),
    [
        ("robot", {"port": "tcp://127.0.0.1:9"}, 4),
        ("robot", {"port": "tcp://127.0.0.1:9", "base": "direct"}, 4),
        ("robot", {"base": "none", "composed": "true"}, 3),
        ("drone", {"address": "udpout:127.0.0.1:9"}, 4),
        ("replay", {"loop": "true"}, 4),
    ],
)
def test_launch_file_takes_its_nodes_to_active_and_ends_on_ctrl_c(
    launched, graph, tmp_path, name, given, nodes
):
    if name == "replay":
        given = {**given, "file": two_scans(tmp_path / "two.mcap")}
    process = launched(name, given)
    graph.until(lambda: f"{nodes} nodes are active" in process.output, 60, "all are active")
    ends(process)
