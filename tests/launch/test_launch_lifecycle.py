"""Every node and every program through its whole life, twice in a row, with nothing left behind."""

from __future__ import annotations

import gc
import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control_ros import programs
from launch_recording import two_scans
from launch_topics import tables
from ros_models import write_model

from firmware_bridge.boards.emulated import emulated_config
from firmware_bridge.boards.registry import format_config
from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME
from hybrid_control.parameters import check_all

NO_TF = "tf2_msgs comes with an installed ROS 2, not from PyPI"
NOBODY = "tcp://127.0.0.1:9"  # no device answers there
# Every node: what differs from the defaults
NODE_VALUES = {
    "sim_node": {"camera": False},
    "planner_node": {},
    "rate_to_spike_node": {},
    "learner_node": {"effects": "puddle=avoid", "copies": 3},
    "reflex_node": {"priority": 0},
    "firmware_bridge_node": {"port": NOBODY},
    "mavlink_bridge_node": {"address": "udpout:127.0.0.1:9"},
    "board_bridge_node": {"backend": "spinnaker"},
    "replay_node": {"loop": True},
    "frames_node": {"map_frame": "map"},
}
# Programs of several nodes: what differs from the defaults
PROGRAMS = {
    "composed_node": {"reflex_node": {"priority": 0}},
    "reflex_board_node": {"reflex_node": {"priority": 0, "backend": "spinnaker"}},
    "reflex_wheels_node": {
        "reflex_node": {"priority": 0},
        "firmware_bridge_node": {"port": NOBODY, "direct": True},
    },
}
# Nodes that have topics which the ones above have not
VARIANTS = [
    ("sim_node", {"robot": "quad", "camera": False}),
    ("planner_node", {"model_file": "closing.onnx"}),
    ("reflex_node", {"priority": 0, "backend": "spinnaker", "holonomic": True, "hover_height": 1.0}),
]
LIFE = (
    ("configure", "inactive"),
    ("activate", "active"),
    ("deactivate", "inactive"),
    ("cleanup", "unconfigured"),
)
# Of every node by rclpy, and not ours
INFRASTRUCTURE = ("/rosout", "/parameter_events")
DEPTHS = {"sensor": 5, "stream": 10, "command": 1, "latched": 1}


def made(kind, values, tmp_path):
    """A node's class, and its parameters with what has to be there for it."""
    if kind == "mavlink_bridge_node":
        pytest.importorskip(
            "pymavlink", reason="pymavlink is not installed: pip install '.[mavlink]' in the repository"
        )
    if kind == "frames_node":
        pytest.importorskip("tf2_msgs.msg", reason=NO_TF)
    values = {**(NODE_VALUES[kind] if values is None else values)}
    if kind == "planner_node" and values:
        values["model_file"] = str(tmp_path / values["model_file"])
        write_model(Path(values["model_file"]), closed=np.zeros((4, 72)), depth=True)
    if kind == "replay_node":
        values["file"] = two_scans(tmp_path / "two.mcap")
    if kind == "board_bridge_node":
        values["connection"] = format_config(emulated_config("spinnaker"))
    return programs.PROGRAMS[kind].load(), values


def entities(node):
    """What a node has in the graph, and its timers."""
    topics = [sorted(e.topic_name for e in found) for found in (node.publishers, node.subscriptions)]
    services = [sorted(e.srv_name for e in found) for found in (node.services, node.clients)]
    return (*topics, *services, len(list(node.timers)))


def threads():
    """Of Python, by name."""
    return sorted(t.name for t in threading.enumerate())


@pytest.fixture
def program(graph, monkeypatch):
    """The nodes of a program of several, by name, in the graph's context."""
    monkeypatch.setattr("rclpy.node.get_default_context", lambda: graph.context)

    def start(name):
        values = {kind: check_all(known, PROGRAMS[name].get(kind, {})) for kind, known in NODES.items()}
        if name == "reflex_board_node":
            values["board_bridge_node"]["connection"] = format_config(emulated_config("spinnaker"))
        nodes = programs.PROGRAMS[name].build(values)
        for node in nodes:
            graph.adopt(node)
        return {node.get_name(): node for node in nodes}

    return start


def go_through(graph, nodes, lasting, times):
    """The whole life of nodes, so many times, and then once more to its end by `shutdown`."""
    fresh = {name: entities(node) for name, node in nodes.items()}
    for _ in range(times):
        for transition, state in LIFE:
            for name in nodes:
                assert graph.transition(name, transition), (name, transition)
                assert graph.state(name) == state
        assert {name: entities(node) for name, node in nodes.items()} == fresh
        assert threads() == lasting
    for name in nodes:
        assert graph.transition(name, "configure"), name
    for name in nodes:
        assert graph.transition(name, "activate"), name
    for name in nodes:
        assert graph.transition(name, "shutdown"), name
        assert graph.state(name) == "finalized"
    assert threads() == lasting
    for node in nodes.values():
        graph.remove(node)
    graph._clients.clear()


@pytest.mark.parametrize("kind", sorted(NODE_VALUES))
def test_launch_node_goes_through_its_life_twice_and_leaves_no_topic_and_no_thread(graph, kind, tmp_path):
    node_class, values = made(kind, None, tmp_path)
    lasting = threads()
    for _ in range(2):
        go_through(graph, {kind: graph.add(node_class, **values)}, lasting, 2)
        gc.collect()


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_launch_program_of_several_nodes_goes_through_its_life_twice_and_leaves_nothing(graph, program, name):
    lasting = threads()
    for _ in range(2):
        go_through(graph, program(name), lasting, 1)
        gc.collect()


def test_launch_every_node_and_every_program_is_tested():
    """What has parameters and what setup.py installs stands in the lists above."""
    assert set(NODES) == set(NODE_VALUES)
    installed = (Path(__file__).parents[2] / "ros2_ws/src/hybrid_control_ros/setup.py").read_text()
    names = installed.split("NODES = (")[1].split(")")[0].replace('"', "").replace(",", "").split()
    assert set(names) == set(programs.PROGRAMS) == {*NODE_VALUES, *PROGRAMS}


def test_launch_every_node_has_the_topics_and_parameters_that_are_written_down(graph, tmp_path):
    """Both ways: README's topics with type and quality of service, and the lists of parameters."""
    default, others = tables()
    written = {name if name.startswith("/") else f"/{name}": row for name, row in (default | others).items()}
    found = set()
    absent = {
        "/range/range_0"
    }  # a device's range sensors are known with its first reading: tests/firmware_node
    if importlib.util.find_spec("tf2_msgs") is None:
        absent |= {"/tf", "/tf_static"}
    kinds = [kind for kind in NODE_VALUES if kind != "frames_node" or "/tf" not in absent]
    for kind, given in [*((kind, None) for kind in kinds), *VARIANTS]:
        node_class, values = made(kind, given, tmp_path)
        node = graph.add(node_class, **values)
        own = {*INFRASTRUCTURE, f"/{kind}/transition_event"}
        known = {p.name for p in (USE_SIM_TIME, *NODES[kind])}
        declared = {name for name in node.get_parameters_by_prefix("")}
        assert known <= declared <= known | {"start_type_description_service"}, kind
        assert node.trigger_configure().name == "SUCCESS", kind
        for entity in [*node.publishers, *node.subscriptions]:
            topic = entity.topic_name
            if topic in own:
                continue
            assert topic in written, f"{kind} has {topic}, which README lacks"
            row = written[topic]
            message = entity.msg_type
            assert f"{message.__module__.split('.')[0]}/{message.__name__}" in row.types, (kind, topic)
            if entity in list(node.publishers):
                assert row.offered(entity.qos_profile), (kind, topic, row.quality)
                depth = DEPTHS.get(row.quality) or int(row.quality.rsplit(" ", 1)[1])
                assert entity.qos_profile.depth == depth, (kind, topic)
            else:
                assert row.heard(entity.qos_profile), (kind, topic, row.quality)
            found.add(topic)
        graph.remove(node)
    assert found == set(written) - absent
