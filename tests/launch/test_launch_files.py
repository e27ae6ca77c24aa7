"""The launch files, where the launch packages are: each builds its description, and sim.launch.py drives."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_ros",
    reason="launch and launch_ros are not here: they come with an installed ROS 2, not from PyPI",
)
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from launch.actions import DeclareLaunchArgument
from launch_ros.actions import Node

import launch
from hybrid_control.bringup import graph as graphs

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
EVERYWHERE = {
    "namespace", "use_sim_time", "params_file", "model_file", "network_file", "log_level", "rviz", "foxglove",
}  # fmt: skip
RUN = """
import sys, launch
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = launch.LaunchService(noninteractive=True)
service.include_launch_description(launch.LaunchDescription([
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments={"namespace": name, "seed": "2"}.items()
    )
    for name in sys.argv[2:]
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
    assert set(declared) == {a.name for a in graphs.arguments(kind)}
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
    programs = graphs.build(
        kind, {k: v for k, v in context.launch_configurations.items() if k in declared}
    ).programs
    assert nodes == {f"{p.package}/{p.executable}" for p in programs if p.package}
    assert {"hybrid_control_ros/planner_node", "hybrid_control_ros/reflex_node", "rviz2/rviz2"} <= nodes


def test_launch_sim_drives_two_robots_in_two_namespaces(graph, command, tmp_path):
    from hybrid_control_msgs.msg import SimState

    script = tmp_path / "run_launch.py"
    script.write_text(RUN)
    process = command(str(script), str(ROOT / "launch" / "sim.launch.py"), "a", "b")
    states = [graph.collect(SimState, f"/{name}/sim/state") for name in ("a", "b")]
    graph.until(lambda: all(s and s[-1].path_length > 1.0 for s in states), 100, "both drive")
    result, seconds = process.interrupt()
    assert seconds < 3.0
    assert result in (0, 1)  # launch's own answer to Ctrl-C, by release
    assert "Traceback" not in process.output
