"""What Gazebo and the nodes have between them: topics of the same types on both sides of ros_gz_bridge, and nodes that
go by simulated time at whatever rate the simulator reaches."""

import math

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_msgs.msg import SpikeTrain as SpikeTrainMessage
from hybrid_control_ros import convert, qos
from hybrid_control_ros.encoder import RateToSpikeNode
from hybrid_control_ros.planner import PlannerNode
from hybrid_control_ros.reflex import ReflexNode
from hybrid_control_ros.simulator import SimNode
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import LaserScan, Range

from hybrid_control.signals import Goal
from hybrid_control.sim import gazebo
from hybrid_control.sim.robots.jackal import JACKAL


def test_ros_bridged_topics_have_the_types_that_the_nodes_declare(graph, model_file):
    planner = graph.add(PlannerNode, model_file=str(model_file))
    reflex = graph.add(ReflexNode)
    nodes = [planner, reflex, graph.add(RateToSpikeNode), graph.add(SimNode, camera=False)]
    bridged = {f"/{t.topic}": t for t in gazebo.topics_of(JACKAL)}
    bridged["/clock"] = gazebo.CLOCK
    for node in nodes:
        assert node.trigger_configure().name == "SUCCESS"
    met = set()
    for node in nodes:
        name = node.get_name()
        graph.until(lambda n=name: n in graph.tester.get_node_names())
        for find, to_ros in (
            (node.get_subscriber_names_and_types_by_node, True),
            (node.get_publisher_names_and_types_by_node, False),
        ):
            for topic, types in graph.until(lambda f=find, n=name: f(n, "/")):
                # the embedded simulator is on Gazebo's side of each topic
                if topic in bridged:
                    met.add(topic)
                    assert types == [bridged[topic].ros], (name, topic)
                    if node is not nodes[-1] and topic != "/clock":
                        assert bridged[topic].to_ros == to_ros, (name, topic)
    # what the nodes need from a robot, and the embedded simulator has, comes over the bridge too
    assert {"/cmd_vel", "/scan", "/camera/image_raw", "/odom", "/imu", "/clock"} <= met
    # the bridge publishes and listens reliably, with a short queue: the nodes' own quality must go with that
    assert (
        reflex.get_publishers_info_by_topic("/cmd_vel")[0].qos_profile.reliability
        == ReliabilityPolicy.RELIABLE
    )


@pytest.mark.parametrize("factor", [pytest.param(0.3, marks=pytest.mark.slow), 1.7])
def test_ros_nodes_drive_by_simulated_time_at_whatever_rate_it_goes(graph, model_file, factor):
    simulator = graph.run(
        "sim_node", *arguments(world="open", camera="true", stamps="simulated", real_time_factor=factor)
    )
    planner = graph.run("planner_node", *arguments(model_file=model_file, use_sim_time="true"))
    encoder = graph.run("rate_to_spike_node", *arguments(use_sim_time="true"))
    reflex = graph.run("reflex_node", *arguments(use_sim_time="true", open_space="true"))
    statuses = graph.collect(ReflexStatus, "reflex/status", qos.STREAM)
    commands = graph.collect(TwistStamped, "cmd_vel", qos.COMMAND)
    trains = graph.collect(SpikeTrainMessage, "planner/spikes", qos.STREAM)
    odometry = graph.collect(OdometryMessage, "odom")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", qos.STREAM)
    goals = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
    graph.until(lambda: odometry and statuses, 60.0, "the nodes at work")
    graph.until(lambda: goals.get_subscription_count() == 2)
    goals.publish(convert.goal_message(Goal(convert.to_ns(odometry[-1].header.stamp), 100.0, 0.0), "odom"))
    graph.until(lambda: odometry[-1].pose.pose.position.x > 0.5, 60.0, "the robot on its way")

    def span(messages):
        return (convert.to_ns(messages[-1].header.stamp) - convert.to_ns(messages[0].header.stamp)) * 1e-9

    begun = len(odometry), len(trains), len(commands)
    graph.until(lambda: span(odometry[begun[0] :] or odometry[-1:]) > 2.0, 60.0, "two simulated seconds")
    driven, said, told = odometry[begun[0] :], trains[begun[1] :], commands[begun[2] :]
    # so much real time went by as the factor says, where the machine kept up
    assert driven[-1].arrival - driven[0].arrival > 0.8 * span(driven) / factor
    # the windows of 10 ms follow on each other in simulated time, whatever the real time between them
    stamps = [convert.to_ns(t.header.stamp) for t in said]
    assert stamps == sorted(set(stamps))
    assert len(said) == pytest.approx(100 * span(said), rel=0.15)
    assert len(told) > 80 * span(told)
    assert statuses[-1].mode == ReflexStatus.HYBRID
    assert math.hypot(driven[-1].twist.twist.linear.x, driven[-1].twist.twist.linear.y) > 0.5
    for process in (simulator, planner, encoder, reflex):
        assert process.popen.poll() is None, process.output
        assert "refused" not in process.output
    assert any(status.name.startswith("reflex_node") for d in diagnostics for status in d.status)


def test_ros_a_drones_two_beams_become_ranges_down_and_up(graph):
    graph.run("run.gazebo_ranges")
    scans = graph.publisher(LaserScan, "range/vertical")
    ranges = {side: graph.collect(Range, f"range/{side}") for side in ("down", "up")}

    def scan():
        message = LaserScan(range_min=0.08, range_max=4.0, ranges=[0.75, math.inf])
        message.header.stamp.sec = 12
        return message

    graph.repeat(scans, scan)
    graph.until(lambda: all(ranges.values()), 30.0, "both ranges")
    down, up = ranges["down"][0], ranges["up"][0]
    assert (down.range, down.header.frame_id, down.header.stamp.sec) == (0.75, "range_down", 12)
    assert (up.range, up.header.frame_id, up.min_range) == (math.inf, "range_up", pytest.approx(0.08))


def arguments(**values):
    words = ["-p", "autostart:=true"]
    for name, value in values.items():
        words += ["-p", f"{name}:={value}"]
    return words
