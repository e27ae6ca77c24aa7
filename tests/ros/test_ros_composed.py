"""Planner, encoder and reflex in one process: the same topics, with hand-over in memory."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, SpikeTrainMessage
from reflex_bench import World
from sensor_msgs.msg import Image

NODES = ("planner_node", "rate_to_spike_node", "reflex_node")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_ros_composed_node_drives_by_the_same_topics_and_ends_stopped(graph, model_file, tmp_path):
    parameters = tmp_path / "composed.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters: {autostart: true}\n"
        # the scans are a ring all around: a memory of them would say that there is no way to the goal beyond it
        f"/**/planner_node:\n  ros__parameters: {{model_file: {model_file}, route_memory: false}}\n"
        "/**/reflex_node:\n  ros__parameters: {max_speed: 0.4}\n"
    )
    world = World(graph, hears=("scan", "odom", "goal_pose"))
    rates = graph.collect(RateVectorMessage, "planner/rates", qos.STREAM)
    spikes = graph.collect(SpikeTrainMessage, "planner/spikes", qos.STREAM)
    camera = graph.publisher(Image, "camera/image_raw")
    process = graph.run("composed_node", "--params-file", str(parameters))
    try:
        graph.until(lambda: camera.get_subscription_count() == 1, 30)
        world.begin()

        def drives():
            camera.publish(convert.image_message(time.time_ns(), "camera", PICTURE))
            time.sleep(0.03)
            return world.mode == ReflexStatus.HYBRID and world.speed() > 0.1

        graph.until(drives, 20)
        assert [graph.state(node) for node in NODES] == ["active"] * 3
        assert graph.get("reflex_node", "max_speed") == 0.4
        assert rates
        assert spikes
        # in memory: nobody in the graph listens to rates and spikes but this test
        assert graph.tester.count_subscribers("planner/rates") == 1
        assert graph.tester.count_subscribers("planner/spikes") == 1
        # no image any more: no rates, no spikes, and the reflex goes on alone
        world.until_mode(ReflexStatus.REFLEX_ONLY)
        status, seconds = process.interrupt(signal.SIGINT)
        time.sleep(0.1)
        assert status == 0
        assert seconds < 2.0
        assert world.speed() == 0.0
        assert "Traceback" not in process.output
    finally:
        world.end()


def test_ros_composed_node_refuses_an_unknown_parameter_of_any_of_its_nodes(graph):
    process = graph.run("composed_node", "-p", "rate_to_spike_node:windw:=0.01")
    assert process.wait() == 2
    assert process.lines == ["composed_node: unknown parameter 'windw'; did you mean 'window'?"]
