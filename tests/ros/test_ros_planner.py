from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage
from hybrid_control_ros.planner import PlannerNode
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import Image, LaserScan

from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


class Bench:
    """A planner node with a camera, odometry and a goal in front of it."""

    def __init__(self, graph, model_file, **values):
        self.graph = graph
        self.node = graph.add(PlannerNode, model_file=str(model_file), **values)
        assert self.node.start()
        self.rates = graph.collect(RateVectorMessage, "planner/rates", qos.STREAM)
        self.camera = graph.publisher(Image, "camera/image_raw")
        self.odom = graph.publisher(OdometryMessage, "odom")
        self.goal = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
        for publisher in (self.camera, self.odom, self.goal):
            graph.until(lambda p=publisher: p.get_subscription_count() == 1)
        graph.until(lambda: self.node.count_subscribers("planner/rates") == 1)

    def tell(self, goal_frame="odom"):
        now = self.node.now_ns()
        self.odom.publish(convert.odometry_message(Odometry(now, Pose(), Twist(now)), "odom", "base_link"))
        self.goal.publish(convert.goal_message(Goal(now, 5.0, 0.0), goal_frame))

    def ready(self):
        self.tell()
        self.graph.until(lambda: self.node._goal is not None and self.node._odometry is not None)

    def show(self, picture=PICTURE, age=0.0):
        message = convert.image_message(self.node.now_ns() - round(age * 1e9), "camera", picture)
        self.camera.publish(message)
        return message


def test_ros_planner_answers_an_image_with_the_models_rates_and_the_images_stamp(graph, model_file):
    bench = Bench(graph, model_file)
    bench.ready()
    image = bench.show()
    graph.until(lambda: bench.rates)
    rates = convert.rate_vector(bench.rates[0].message)
    assert rates.stamp_ns == convert.to_ns(image.header.stamp)
    assert rates.of("heading")[40] == rates.of("speed")[7] == 100.0
    assert rates.rates.sum() == 360.0


def test_ros_planner_says_nothing_without_a_goal_or_for_a_goal_in_another_frame(graph, model_file):
    bench = Bench(graph, model_file)
    bench.tell(goal_frame="map")
    graph.until(lambda: bench.node.refused["goal_pose"] == 1)
    bench.show()
    time.sleep(0.3)
    assert not bench.rates
    bench.ready()
    bench.show()
    graph.until(lambda: bench.rates)


@pytest.mark.parametrize("fault", ["black", "white", "size", "nan", "old", "future", "again"])
def test_ros_planner_refuses_an_image_that_is_wrong_says_nothing_and_recovers(graph, model_file, fault):
    bench = Bench(graph, model_file, rate=100.0)
    bench.ready()
    good = bench.show()
    graph.until(lambda: len(bench.rates) == 1)
    if fault in ("black", "white"):
        bench.show(np.full_like(PICTURE, 0 if fault == "black" else 255))
    elif fault in ("old", "future"):
        bench.show(age=2.0 if fault == "old" else -2.0)
    elif fault == "again":
        bench.camera.publish(good)
    else:
        message = convert.image_message(bench.node.now_ns(), "camera", PICTURE)
        if fault == "size":
            message.height = 60
        else:
            message.encoding, message.step = "32FC1", 640
            message.data = np.full((120, 160), np.nan, np.float32).tobytes()
        bench.camera.publish(message)
    graph.until(lambda: bench.node.refused["camera/image_raw"] == 1)
    _, _, values = bench.node.report()
    assert values["blind"] == (fault in ("black", "white"))
    assert len(bench.rates) == 1
    bench.ready()
    bench.show()
    graph.until(lambda: len(bench.rates) == 2)


def test_ros_planner_plans_on_the_newest_image_and_never_on_a_queue(graph, model_file):
    bench = Bench(graph, model_file, rate=5.0, odometry_timeout=5.0)
    bench.ready()
    stamps = []
    for _ in range(40):  # 40 Hz for a second
        stamps.append(convert.to_ns(bench.show().header.stamp))
        time.sleep(0.025)
    time.sleep(0.5)
    used = [convert.to_ns(m.header.stamp) for m in bench.rates]
    assert 3 <= len(used) <= 8
    # the last one planned on is the last one shown, not one out of a backlog
    assert used[-1] == stamps[-1]
    assert used == sorted(set(used))


def test_ros_planner_tells_diagnostics_of_inference_time_rate_and_refusals(graph, model_file):
    bench = Bench(graph, model_file)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    bench.ready()
    bench.show()
    graph.until(lambda: bench.rates)
    bench.show(np.zeros_like(PICTURE))
    graph.until(lambda: bench.node.refused)
    count = len(diagnostics)
    graph.until(lambda: len(diagnostics) > count + 1)
    (status,) = diagnostics[-1].status
    values = {v.key: v.value for v in status.values}
    assert (status.name, status.level) == ("planner_node", b"\x01")
    assert status.message == "blind: the image shows nothing"
    assert values["state"] == "active"
    assert values["refused camera/image_raw"] == "1"
    assert values["planned"] == "1"
    assert 0 < float(values["inference p50 [ms]"]) <= float(values["inference p99 [ms]"])


def test_ros_planner_leads_round_what_the_scans_saw(graph, model_file):
    bench = Bench(graph, model_file)
    points = graph.collect(PoseStamped, "planner/waypoint", qos.COMMAND)
    lidar = graph.publisher(LaserScan, "scan")
    graph.until(lambda: lidar.get_subscription_count() == 1)
    bench.ready()
    # a wall 1.5 m ahead, from 3 m to the right to 1 m to the left: the way is on the left
    angles = np.linspace(-np.pi, np.pi, 360, endpoint=False)
    with np.errstate(divide="ignore"):
        ranges = np.where(np.cos(angles) > 0, 1.5 / np.cos(angles), np.inf)
    ranges[~((ranges * np.sin(angles) < 1.0) & (ranges * np.sin(angles) > -3.0))] = np.inf

    def led():
        bench.tell()
        scan = RangeScan(bench.node.now_ns(), -np.pi, 2 * np.pi / 360, 0.05, 10.0, ranges)
        lidar.publish(convert.scan_message(scan, "lidar"))
        time.sleep(0.03)
        return len(points) > 1

    graph.until(led)
    point = points[-1].message
    assert point.header.frame_id == "odom"
    assert np.arctan2(point.pose.position.y, point.pose.position.x) > 0.3
    assert bench.node._aim is not None


def test_ros_planner_without_route_memory_does_not_listen_to_scans(graph, model_file):
    bench = Bench(graph, model_file, route_memory=False)
    assert bench.node.count_subscribers("scan") == 0
    assert bench.node.count_publishers("planner/waypoint") == 0


def test_ros_planner_goes_through_its_lifecycle_twice_and_leaves_no_thread_or_topic(graph, model_file):
    node = graph.add(PlannerNode, model_file=str(model_file))

    def topics():
        return {name for name, _ in node.get_publisher_names_and_types_by_node(node.get_name(), "/")}

    before, threads = topics(), threading.active_count()
    for _ in range(2):
        for name in ("configure", "activate", "deactivate", "cleanup"):
            assert graph.transition("planner_node", name)
            if name == "activate":
                assert "/planner/rates" in topics()
                assert threading.active_count() == threads + 2  # images, and the way
        assert topics() == before
        assert threading.active_count() == threads
    assert graph.transition("planner_node", "shutdown")
    assert graph.state("planner_node") == "finalized"


def test_ros_planner_that_is_started_again_on_the_way_knows_the_goal_that_the_reflex_has(graph, model_file):
    from hybrid_control_ros.reflex import ReflexNode

    reflex = graph.start(ReflexNode, priority=0)
    goals = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
    told = graph.collect(PoseStamped, "reflex/goal", qos.LATCHED)
    graph.until(goals.get_subscription_count)
    for x in (1.0, 5.0, 5.0):  # the same one again is told once
        goals.publish(convert.goal_message(Goal(reflex.now_ns(), x, 2.0), "odom"))
        time.sleep(0.1)
    graph.until(lambda: len(told) == 2)
    graph.tester.destroy_publisher(goals)
    planner = graph.start(PlannerNode, model_file=str(model_file))
    graph.until(lambda: planner._goal is not None)
    assert (planner._goal.x, planner._goal.y) == (5.0, 2.0)
    assert [round(m.pose.position.x) for m in told] == [1, 5]
