"""Parameters: files against code, descriptors, and what may change when."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME
from hybrid_control.bringup.parameter_files import read_yaml, refresh, save, to_yaml
from hybrid_control.parameters import ParameterError
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.quad import QUAD

CONFIG = Path(__file__).parents[2] / "config"
FILES = [*sorted(CONFIG.glob("*.yaml")), CONFIG / "tuned" / "gains_barn.yaml"]
MIND = {"planner_node", "rate_to_spike_node", "reflex_node"}
# Files of whole robots: what each has besides planner, encoder and reflex
ROBOTS = {
    "custom_rover": {"firmware_bridge_node"},
    "jackal": set(),
    "quad": {"mavlink_bridge_node"},
    "replay": {"replay_node"},
    "sim": {"sim_node", "firmware_bridge_node", "frames_node"},
    "turtlebot3_waffle": set(),
}
# Files of single nodes, to be taken into a robot's
NODES_ALONE = {
    "board": {"board_bridge_node"}, "gains_barn": {"reflex_node"}, "learner": {"learner_node"},
}  # fmt: skip


def test_ros_parameter_file_is_of_a_robot_or_of_single_nodes():
    expected = {name: MIND | more for name, more in ROBOTS.items()} | NODES_ALONE
    assert {f.stem: set(read_yaml(f)) for f in FILES} == expected


def test_ros_parameter_files_have_the_measures_of_the_robots_that_are_simulated():
    for name, robot in (("jackal", JACKAL), ("sim", JACKAL), ("quad", QUAD)):
        sections = read_yaml(CONFIG / f"{name}.yaml")
        reflex = sections["reflex_node"]
        assert (reflex["robot_length"], reflex["robot_width"]) == (robot.length, robot.width)
        assert (reflex["lidar_x"], reflex["lidar_yaw"]) == (0.0, 0.0)  # over the middle
        assert reflex["max_speed"] <= robot.max_speed
        assert reflex["max_yaw_rate"] <= robot.max_yaw_rate
        assert reflex["holonomic"] == robot.flies
    wheels = read_yaml(CONFIG / "sim.yaml")["firmware_bridge_node"]
    assert (wheels["wheel_radius"], wheels["track"]) == (JACKAL.wheel_radius, JACKAL.track)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_ros_parameter_file_holds_every_parameter_of_its_nodes_within_range_and_no_other(file):
    for node, values in read_yaml(file).items():  # refuses what does not exist or is out of range
        assert set(values) == {p.name for p in NODES[node]} | {"use_sim_time"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_ros_parameter_file_describes_each_parameter_as_the_code_does(file):
    assert file.read_text() == refresh(file), f"run: python -m hybrid_control.bringup.parameter_files {file}"


def test_ros_parameters_of_the_simulation_are_the_defaults_but_for_open_worlds_and_the_robots_own_camera():
    for node, values in read_yaml(CONFIG / "sim.yaml").items():
        if node == "reflex_node":
            assert values.pop("open_space") is True
        if node in ("planner_node", "reflex_node"):
            for name, value in JACKAL.camera_settings.items():
                if name in values:
                    assert values.pop(name) == pytest.approx(value, abs=1e-4)
        assert values == {p.name: p.default for p in (USE_SIM_TIME, *NODES[node]) if p.name in values}


@pytest.mark.parametrize("node", NODES)
def test_ros_defaults_are_in_their_ranges_and_names_are_unique(node):
    names = [p.name for p in NODES[node]]
    assert len(set(names)) == len(names)
    for p in NODES[node]:
        assert p.check(p.default) == p.default


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/**/reflex_node: {ros__parameters: {max_sped: 1}}", "did you mean 'max_speed'?"),
        (
            "reflex_node: {ros__parameters: {max_speed: 100.0}}",
            "max_speed: 100.0 is out of range, expected 0 .. 5 m/s",
        ),
        ("reflex_node: {ros__parameters: {max_speed: fast}}", "max_speed: 'fast' is a str, expected float"),
        ("reflex_node: {max_speed: 1.0}", "reflex_node: expected 'ros__parameters:'"),
        ("- 1", "not a parameter file"),
        ("a: [1", "not YAML"),
    ],
)
def test_ros_parameter_file_that_is_wrong_is_refused_in_one_line(tmp_path, text, said):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError) as error:
        read_yaml(file)
    assert said in str(error.value)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_ros_parameter_file_written_is_read_back(tmp_path):
    file = tmp_path / "written.yaml"
    file.write_text(to_yaml({"reflex_node": {"max_speed": 0.3, "without_planner": "stop"}}, "for a test"))
    assert file.read_text().startswith("# for a test\n")
    values = read_yaml(file)["reflex_node"]
    assert (values["max_speed"], values["without_planner"]) == (0.3, "stop")
    # what the code no longer knows goes, the rest stays
    file.write_text(file.read_text().replace("clearance:", "once_was:"))
    file.write_text(refresh(file))
    assert read_yaml(file)["reflex_node"] == values


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["save"], "params save: expected the name of one file"),
        (["save", "a.yaml", "b.yaml"], "params save: expected the name of one file"),
        (["save", "a.yaml", "--node", "reflex"], "unknown node 'reflex', known are sim_node, planner_node"),
    ],
)
def test_ros_saving_refuses_a_mistake_in_one_line(words, said, capsys):
    from hybrid_control.cli import main

    assert main(["params", *words]) == 2
    assert capsys.readouterr().err.startswith(f"hybrid-control: {said}")


def test_ros_saving_without_ros_says_what_it_needs(tmp_path, monkeypatch, capsys):
    import importlib.util

    from hybrid_control.cli import main

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["params", "save", str(tmp_path / "saved.yaml")]) == 2
    assert capsys.readouterr().err == (
        "hybrid-control: params save needs rclpy: source ROS 2 and the workspace, or scripts/env.sh\n"
    )


def test_ros_saving_over_a_file_of_other_nodes_is_refused_and_leaves_it(tmp_path):
    file = tmp_path / "others.yaml"
    file.write_text("rviz: {ros__parameters: {a: 1}}\n")
    with pytest.raises(ParameterError, match="has parameters of 'rviz', which is none of our nodes"):
        save(file, {"reflex_node": {"max_speed": 0.3}})
    with pytest.raises(ParameterError, match=r"max_speed: 99\.0 is out of range"):
        save(tmp_path / "new.yaml", {"reflex_node": {"max_speed": 99.0}})
    assert [f.name for f in tmp_path.iterdir()] == ["others.yaml"]
    assert file.read_text() == "rviz: {ros__parameters: {a: 1}}\n"


rclpy = pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")


def test_ros_every_parameter_has_a_descriptor_with_range_unit_and_description(graph):
    from hybrid_control_ros.encoder import RateToSpikeNode
    from hybrid_control_ros.planner import PlannerNode
    from hybrid_control_ros.reflex import ReflexNode
    from hybrid_control_ros.simulator import SimNode

    for kind in (SimNode, PlannerNode, RateToSpikeNode, ReflexNode):
        node = graph.add(kind)
        for p in NODES[kind.kind]:
            descriptor = node.describe_parameter(p.name)
            assert descriptor.description == p.description + (f" [{p.unit}]" if p.unit else "")
            assert not descriptor.dynamic_typing
            ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
            bounded = not isinstance(p.default, bool | str) and math.isfinite(p.low)
            assert [(r.from_value, r.to_value) for r in ranges] == ([(p.low, p.high)] if bounded else [])
            assert all(repr(choice) in descriptor.additional_constraints for choice in p.choices)
        graph.remove(node)


def test_ros_parameter_that_is_not_live_changes_only_while_the_node_is_not_configured(graph):
    from hybrid_control_ros.encoder import RateToSpikeNode

    graph.add(RateToSpikeNode)
    assert graph.set("rate_to_spike_node", code="regular", window=0.02).successful
    assert graph.transition("rate_to_spike_node", "configure")
    for values in ({"code": "latency"}, {"use_sim_time": True}):
        answer = graph.set("rate_to_spike_node", **values)
        assert not answer.successful
        assert answer.reason == f"{next(iter(values))}: may change only while the node is not configured"
    assert graph.get("rate_to_spike_node", "code") == "regular"
    assert graph.transition("rate_to_spike_node", "cleanup")
    assert graph.set("rate_to_spike_node", code="latency").successful
    answer = graph.set("rate_to_spike_node", code="morse", window=0.03)
    assert answer.reason == "code: 'morse' is unknown, expected poisson | regular | latency"
    assert graph.get("rate_to_spike_node", "window") == 0.02


def test_ros_running_set_is_saved_and_read_back_and_the_rest_of_the_file_stays(
    graph, tmp_path, monkeypatch, capsys
):
    from hybrid_control_ros.encoder import RateToSpikeNode
    from hybrid_control_ros.reflex import ReflexNode

    from hybrid_control.cli import main

    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    file = tmp_path / "saved.yaml"
    file.write_text(
        "# my robot\n/**/planner_node: {ros__parameters: {rate: 7.0}}\n"
        "/**/reflex_node: {ros__parameters: {turn_gain: 0.1}}\n"
    )
    graph.add(RateToSpikeNode, code="regular")
    reflex = graph.add(ReflexNode, options={"namespace": "robot1"})
    assert reflex.start()
    assert graph.set("robot1/reflex_node", max_speed=0.3, clearance=0.123456789).successful
    assert main(["params", "save", str(file)]) == 0
    saved = read_yaml(file)
    assert file.read_text().startswith("# my robot\n")
    assert (saved["planner_node"]["rate"], saved["rate_to_spike_node"]["code"]) == (7.0, "regular")
    assert (saved["reflex_node"]["max_speed"], saved["reflex_node"]["clearance"]) == (0.3, 0.123456789)
    for node in ("rate_to_spike_node", "reflex_node"):
        assert set(saved[node]) == {p.name for p in (USE_SIM_TIME, *NODES[node])}
    assert saved["reflex_node"]["turn_gain"] == 1.0  # what runs, not what stood there
    assert f"{file}: rate_to_spike_node (" in capsys.readouterr().out

    # one of them alone
    other = tmp_path / "reflex.yaml"
    assert main(["params", "save", str(other), "--node", "reflex_node", "--namespace", "/robot1"]) == 0
    assert read_yaml(other) == {"reflex_node": saved["reflex_node"]}
    # two of a name are refused, with the file as it was
    before = file.read_text()
    graph.add(ReflexNode)
    assert main(["params", "save", str(file)]) == 2
    assert "say which with --namespace" in capsys.readouterr().err
    assert file.read_text() == before


def test_ros_saving_where_no_node_runs_says_so_in_one_line(graph, monkeypatch):
    from hybrid_control_ros.parameters import running

    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    with pytest.raises(ValueError, match="no node of hybrid_control runs") as error:
        running("/nowhere", patience=0.2)
    assert f"in namespace /nowhere in ROS domain {graph.domain}; " in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no sim_node runs in ROS domain"):
        running(only="sim_node", patience=0.2)
