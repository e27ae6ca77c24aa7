"""The planner node with a model that takes depth images, and the simulator that draws them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import PoseStamped
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage
from hybrid_control_ros.planner import PlannerNode
from hybrid_control_ros.simulator import SimNode
from nav_msgs.msg import Odometry as OdometryMessage
from ros_models import write_model
from sensor_msgs.msg import Image

from hybrid_control.navigation.planner import depths
from hybrid_control.signals import Goal, Odometry, Pose, Twist

TOPIC = "camera/depth/image_raw"
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def taking_depths(tmp_path_factory):
    """A model whose heading neuron 0 says the mean of its depths in m."""
    path = tmp_path_factory.mktemp("depth") / "depth.onnx"
    write_model(path, closed=np.zeros((4, 72)), depth=True)
    return path


class Bench:
    """A planner node with a camera, a depth camera, odometry and a goal in front of it."""

    def __init__(self, graph, model_file, **values):
        self.graph = graph
        self.node = graph.add(PlannerNode, model_file=str(model_file), rate=100.0, route_memory=False, **values)
        assert self.node.start()
        self.rates = graph.collect(RateVectorMessage, "planner/rates", qos.STREAM)
        self.camera, self.depth = graph.publisher(Image, "camera/image_raw"), graph.publisher(Image, TOPIC)
        self.odom = graph.publisher(OdometryMessage, "odom")
        self.goal = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
        for publisher in (self.camera, self.depth, self.odom, self.goal):
            graph.until(lambda p=publisher: p.get_subscription_count() == 1)
        graph.until(lambda: self.node.count_subscribers("planner/rates") == 1)

    def measure(self, message):
        """Send a depth image, and wait until the node has taken or refused it."""
        shown, refused = self.node._shown, self.node.refused[TOPIC]
        shown.depth = None
        self.depth.publish(message)
        self.graph.until(lambda: shown.depth is not None or self.node.refused[TOPIC] > refused)

    def said(self, age=0.0):
        """The mean depth that the model was told with an image that is so many s older than now."""
        now, count = self.node.now_ns(), len(self.rates)
        self.odom.publish(convert.odometry_message(Odometry(now, Pose(), Twist(now)), "odom", "base_link"))
        self.goal.publish(convert.goal_message(Goal(now, 5.0, 0.0), "odom"))
        self.graph.until(lambda: self.node._goal is not None and self.node._odometry is not None)
        self.camera.publish(convert.image_message(now - round(age * 1e9), "camera", PICTURE))
        self.graph.until(lambda: len(self.rates) > count)
        return float(convert.rate_vector(self.rates[-1].message).of("heading")[0])


def millimetres(stamp_ns, value):
    """A depth image of 16UC1, four times as large as the model's, with a quarter of it unknown."""
    values = np.full((48, 64), value, "<u2")
    values[:12] = 0
    message = Image(height=48, width=64, encoding="16UC1", step=128, data=values.tobytes())
    message.header.stamp = convert.to_stamp(stamp_ns)
    return message


def test_ros_planner_is_told_the_depths_of_either_encoding_and_none_where_there_are_none_or_they_are_old(
    graph, taking_depths
):
    bench = Bench(graph, taking_depths, depth_timeout=0.5)
    assert bench.said() == 0.0
    seen = np.full((24, 32), 2.0, np.float32)
    seen[:, :16] = 0.0  # NaN on the topic
    bench.measure(convert.depth_message(bench.node.now_ns(), "camera", seen))
    assert bench.said() == pytest.approx(1.0)
    bench.measure(millimetres(bench.node.now_ns(), 1600))
    assert bench.said() == pytest.approx(0.75 * 1.6)
    bench.measure(millimetres(bench.node.now_ns() - 600_000_000, 1600))
    assert bench.said() == 0.0


def test_ros_planner_refuses_depths_that_it_cannot_read_in_one_line_and_plans_without(graph, taking_depths):
    bench = Bench(graph, taking_depths, depth_timeout=0.5)
    bench.measure(convert.image_message(bench.node.now_ns(), "camera", PICTURE))
    assert bench.node.refused[TOPIC] == 1
    short = millimetres(bench.node.now_ns(), 1000)
    short.height = 24
    bench.measure(short)
    assert bench.node.refused[TOPIC] == 2
    assert bench.said() == 0.0
    bench.measure(millimetres(bench.node.now_ns(), 1000))
    assert bench.said() == pytest.approx(0.75)


def test_ros_planner_listens_to_no_depths_where_its_model_takes_none(graph, model_file):
    node = graph.start(PlannerNode, model_file=str(model_file))
    assert node.count_subscribers(TOPIC) == 0


def test_ros_a_depth_image_comes_back_as_it_was_sent():
    seen = np.random.default_rng(0).uniform(0.2, 6.0, (12, 16)).astype(np.float32)
    seen[3, 4] = 0.0
    message = convert.depth_message(7, "camera", seen)
    assert (message.encoding, message.step, message.header.frame_id) == ("32FC1", 64, "camera")
    assert np.isnan(np.frombuffer(message.data, np.float32)).sum() == 1  # as REP 118 has it
    assert (depths.told(convert.depth(message), (12, 16)) == seen).all()


def test_ros_simulator_sends_a_depth_image_with_each_image_where_it_is_asked_to(graph):
    topics = {name: graph.collect(Image, name) for name in ("camera/image_raw", TOPIC)}
    node = graph.add(SimNode, world="default", depth=True, seed=3)
    assert node.start()
    graph.until(lambda: all(len(messages) > 4 for messages in topics.values()), 20)
    seen = convert.depth(topics[TOPIC][-1].message)
    assert seen.shape == (120, 160)
    assert 0.3 < np.nanmedian(seen[110:]) < 0.45  # the ground next before the robot
    stamps = [{convert.to_ns(m.header.stamp) for m in messages} for messages in topics.values()]
    assert len(stamps[0] & stamps[1]) >= 3
