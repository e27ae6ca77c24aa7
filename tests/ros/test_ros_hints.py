"""A node that waits in vain says for what: on reflex/status and on /diagnostics, never with level OK."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

import rclpy
import reflex_bench
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert, qos
from hybrid_control_ros.encoder import RateToSpikeNode
from hybrid_control_ros.reflex import ReflexNode
from hybrid_control_ros.vertical import range_message
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.qos import QoSProfile, ReliabilityPolicy
from reflex_bench import World
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import LaserScan, Range

from hybrid_control.signals import Goal, Odometry, Pose
from hybrid_control.signals import Twist as Velocity

HYBRID, STOPPED, ARRIVED = ReflexStatus.HYBRID, ReflexStatus.STOPPED, ReflexStatus.ARRIVED


class Ears:
    """What a node says of itself."""

    def __init__(self, graph, name="reflex_node"):
        self._graph, self._name = graph, name
        self.status = graph.collect(ReflexStatus, "reflex/status", qos.STREAM)
        self._diagnostics = graph.collect(DiagnosticArray, "/diagnostics", qos.STREAM)

    @property
    def diagnostics(self):
        said = [s for d in list(self._diagnostics)[-6:] for s in d.status if self._name in s.name]
        return said[-1] if said else None

    def until_reason(self, *words):
        self._graph.until(lambda: self.status and all(w in self.status[-1].reason for w in words), what=words)
        return self.status[-1]

    def until_warned(self, *words):
        self._graph.until(
            lambda: (d := self.diagnostics) and d.level != b"\x00" and all(w in d.message for w in words),
            what=words,
        )

    def until_silent(self, word):
        self._graph.until(
            lambda: word not in self.status[-1].reason and word not in self.diagnostics.message, what=word
        )


@pytest.fixture
def world(graph):
    node = graph.start(ReflexNode, priority=0)
    world = World(graph).begin()
    world.node = node
    world.until_mode(HYBRID)
    yield world
    world.end()


@pytest.fixture
def peer(graph):
    """A node in a context of its own: one context can't have a topic with two types."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=graph.domain)
    node = rclpy.create_node("base", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_hint_of_a_base_that_hears_the_other_kind_of_twist(graph, world, peer):
    ears = Ears(graph)
    base = peer.create_subscription(Twist, "cmd_vel", lambda m: None, 10)
    ears.until_reason("/cmd_vel: /base hears geometry_msgs/msg/Twist", "sends geometry_msgs/msg/TwistStamped")
    ears.until_warned("stamped_cmd_vel")
    peer.destroy_subscription(base)
    ears.until_silent("stamped_cmd_vel")


def test_hint_of_two_publishers_of_cmd_vel_and_none_of_the_manager_beside(graph, world):
    ears = Ears(graph)
    joystick = graph.publisher(TwistStamped, "cmd_vel", 10)
    ears.until_reason("/cmd_vel: 2 publishers (reflex_node, tester)")
    ears.until_warned("2 publishers")
    graph.tester.destroy_publisher(joystick)
    ears.until_silent("publishers")


def test_two_publishers_of_one_lidar_are_not_driven_on_and_named(graph, world, peer):
    ears = Ears(graph)
    second = peer.create_publisher(LaserScan, "scan", qos.SENSOR)
    graph.until(lambda: second.get_subscription_count() > 0)
    blind = True

    def send():
        while blind:
            second.publish(reflex_bench.scan(time.time_ns(), distance=9.9))
            time.sleep(0.025)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        status = ears.until_reason(
            "contradicted: scan refused: more than one publisher speaks on it (base, tester)"
        )
        assert status.mode == STOPPED
        graph.until(lambda: world.speed() == 0.0)
        ears.until_warned("more than one publisher")
    finally:
        blind = False
        sender.join()
    world.until_mode(HYBRID)  # a publisher that keeps silent is no other


def test_two_publishers_of_a_sensor_of_the_list_or_of_odometry_are_not_believed(graph, peer):
    node = graph.start(ReflexNode, priority=0, sensors="scan laser x=0.1 timeout=1")
    ears = Ears(graph)
    world = World(graph).begin()
    world.node = node
    world.until_mode(HYBRID)
    odom = peer.create_publisher(OdometryMessage, "odom", qos.SENSOR)
    scan = peer.create_publisher(LaserScan, "scan", qos.SENSOR)
    for publisher, message in ((odom, reflex_bench.odometry), (scan, reflex_bench.scan)):
        graph.until(lambda p=publisher: p.get_subscription_count() > 0)

        def send(publisher=publisher, message=message):
            publisher.publish(message(time.time_ns()))
            return node.refusal(publisher.topic_name.removeprefix("/"), 1.0)

        assert "more than one publisher speaks on it (base, tester)" in graph.until(send)
    ears.until_reason("contradicted: scan refused")
    world.end()


def test_two_publishers_of_a_range_of_a_drone_are_not_believed(graph, peer):
    node = graph.start(ReflexNode, priority=0, holonomic=True, hover_height=1.0, open_space=True)
    publishers = [each.create_publisher(Range, "range/down", qos.SENSOR) for each in (graph.tester, peer)]
    graph.until(lambda: all(p.get_subscription_count() > 0 for p in publishers))

    def send():
        for publisher in publishers:
            publisher.publish(range_message(time.time_ns(), "down", 1.0, 0.05, 4.0))
        return node.refusal("range/down", 1.0)

    assert "more than one publisher speaks on it (base, tester)" in graph.until(send)


def test_hint_of_a_goal_that_is_sent_best_effort(graph):
    graph.start(ReflexNode, priority=0)
    ears = Ears(graph)
    graph.publisher(PoseStamped, "goal_pose", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    status = ears.until_reason("/goal_pose: /tester sends best effort and /reflex_node asks for reliable")
    assert status.mode == STOPPED
    ears.until_warned("/goal_pose")


def test_hint_of_another_type_is_every_node_s(graph, peer):
    graph.start(RateToSpikeNode)
    ears = Ears(graph, RateToSpikeNode.kind)
    peer.create_publisher(LaserScan, "/planner/rates", qos.SENSOR)
    ears.until_warned("/planner/rates: /base sends sensor_msgs/msg/LaserScan, this node hears ")


@pytest.mark.slow
def test_hint_of_simulated_time_that_nobody_tells_comes_on_status_and_diagnostics(graph, peer):
    graph.start(ReflexNode, priority=0, use_sim_time=True)
    ears = Ears(graph)
    ears.until_reason("/clock stands still", "nobody publishes /clock")
    ears.until_warned("nobody publishes /clock")
    clocks = [graph.publisher(Clock, "/clock", 10), peer.create_publisher(Clock, "/clock", 10)]
    ears.until_warned("/clock: 2 publishers (base, tester)")
    assert len(clocks) == 2


def test_scans_of_another_frame_are_the_reason_of_no_scan(graph):
    graph.start(ReflexNode, priority=0, scan_frame="base_scan")
    ears = Ears(graph)
    world = World(graph).begin()
    ears.until_reason("no scan yet: scan refused: it is in frame 'lidar', expected 'base_scan'")
    ears.until_warned("expected 'base_scan'")
    world.end()


def test_sensors_that_are_missing_or_refused_are_the_reason_of_no_scan(graph):
    graph.start(ReflexNode, priority=0, sensors="scan laser x=0.1; low/scan laser x=0.2 z=0.1")
    ears = Ears(graph)
    world = World(graph, hears=("scan", "odom", "goal_pose")).begin()
    ears.until_reason("no scan yet: missing: low/scan")
    world.end()


def test_goal_of_another_frame_is_said_until_a_good_one_comes(graph, world):
    ears = Ears(graph)
    world.sending.remove("goal_pose")
    time.sleep(0.2)
    goals = world.publishers["goal_pose"]
    goals.publish(convert.goal_message(Goal(0, 1.0, 0.0), "map"))
    ears.until_reason("goal_pose refused: ", "'map'", "'odom'")
    ears.until_warned("goal_pose refused: ")
    time.sleep(2.5)
    ears.until_reason("goal_pose refused: ")
    goals.publish(convert.goal_message(Goal(0, 1.0, 0.0), "odom"))
    ears.until_silent("refused")


@pytest.mark.slow
def test_robot_that_drives_and_comes_no_nearer_says_so(graph, world):
    ears = Ears(graph)  # the odometry of this world stands at 0
    ears.until_reason("not 0.1 m nearer to the goal for 10 s")
    ears.until_warned("not 0.1 m nearer")


def test_same_goal_after_being_carried_away_is_driven_to_again(graph, world):
    ears = Ears(graph)
    world.sending -= {"odom", "goal_pose"}
    odoms, goals = world.publishers["odom"], world.publishers["goal_pose"]
    x = [2.0]

    def odometry():
        stamp = time.time_ns()
        return convert.odometry_message(
            Odometry(stamp, Pose(x[0], 0.0), Velocity(stamp)), "odom", "base_link"
        )

    timer = graph.repeat(odoms, odometry)
    goals.publish(convert.goal_message(Goal(0, 2.1, 0.0), "odom"))
    graph.until(lambda: ears.status and ears.status[-1].mode == ARRIVED)
    goals.publish(convert.goal_message(Goal(0, 2.1, 0.0), "odom"))
    time.sleep(0.3)
    assert ears.status[-1].mode == ARRIVED
    x[0] = 0.0
    time.sleep(0.3)
    assert ears.status[-1].mode == ARRIVED, "nobody has said that it is to go back"
    goals.publish(convert.goal_message(Goal(0, 2.1, 0.0), "odom"))
    graph.until(lambda: ears.status[-1].mode == HYBRID)
    timer.cancel()
