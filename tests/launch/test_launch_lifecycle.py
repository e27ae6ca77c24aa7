"""Every node through its whole life, twice in a row, with nothing left behind."""

from __future__ import annotations

import gc
import importlib
import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control.node_parameters import NODES

NODE_CLASSES = {
    "sim_node": ("simulator", "SimNode", {"camera": False}),
    "planner_node": ("planner", "PlannerNode", {}),
    "rate_to_spike_node": ("encoder", "RateToSpikeNode", {}),
    "reflex_node": ("reflex", "ReflexNode", {"priority": 0}),
    "firmware_bridge_node": ("firmware_bridge", "FirmwareBridgeNode", {"port": "tcp://127.0.0.1:9"}),
    "replay_node": ("replay", "ReplayNode", {"loop": True}),
}


def recording(path):
    """A recording of two scans."""
    from hybrid_control_ros.run.recorder import McapFile
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import LaserScan

    file = McapFile(path)
    for i in (1, 2):
        scan = LaserScan(range_max=5.0, ranges=[1.0])
        scan.header.stamp.sec = i
        file.write("/scan", "sensor_msgs/msg/LaserScan", serialize_message(scan), i * 10**9, i * 10**9)
    file.close()
    return str(path)


def entities(node):
    topics = [sorted(e.topic_name for e in found) for found in (node.publishers, node.subscriptions)]
    return (*topics, len(list(node.timers)))


def threads():
    return sorted(t.name for t in threading.enumerate())


@pytest.mark.parametrize("kind", sorted(NODE_CLASSES))
def test_launch_node_goes_through_its_life_twice_and_leaves_no_topic_and_no_thread(graph, kind, tmp_path):
    module, name, values = NODE_CLASSES[kind]
    node_class = getattr(importlib.import_module(f"hybrid_control_ros.{module}"), name)
    if kind == "replay_node":
        values = {**values, "file": recording(tmp_path / "two.mcap")}
    lasting = threads()
    for _ in range(2):
        node = graph.add(node_class, **values)
        fresh = entities(node)
        for _ in range(2):
            for transition, state in (
                ("configure", "inactive"), ("activate", "active"), ("deactivate", "inactive"),
                ("cleanup", "unconfigured"),
            ):  # fmt: skip
                assert graph.transition(kind, transition), transition
                assert graph.state(kind) == state
            assert entities(node) == fresh
            assert threads() == lasting
        assert graph.transition(kind, "configure")
        assert graph.transition(kind, "activate")
        assert graph.transition(kind, "shutdown")
        assert graph.state(kind) == "finalized"
        assert threads() == lasting
        graph.remove(node)
        graph._clients.clear()
        del node
        gc.collect()


def test_launch_every_node_is_tested():
    """What is run as a program and has parameters stands in the list above, or in another room's tests."""
    elsewhere = set(NODES) - set(NODE_CLASSES)
    assert elsewhere <= {"board_bridge_node", "mavlink_node", "mavlink_bridge_node"}
