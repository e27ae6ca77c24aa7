from __future__ import annotations

import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import Twist as TwistMessage
from geometry_msgs.msg import TwistStamped
from hybrid_control_msgs.msg import SimState
from hybrid_control_ros import convert, qos
from hybrid_control_ros.simulator import SimNode
from nav_msgs.msg import Odometry as OdometryMessage
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu, LaserScan
from visualization_msgs.msg import MarkerArray

from hybrid_control.navigation.sensors.events import EventDecoder
from hybrid_control.sim.worlds import load_world


def start(graph, **values):
    node = graph.add(SimNode, **{"world": "open", "camera": False, **values})
    assert node.start()
    return node


def test_ros_simulator_publishes_every_sensor_at_its_rate_with_the_ros_clocks_stamps(graph):
    topics = {
        "scan": LaserScan,
        "imu": Imu,
        "odom": OdometryMessage,
        "camera/image_raw": Image,
        "sim/state": SimState,
    }
    seen = {topic: graph.collect(kind, topic) for topic, kind in topics.items()}
    clock = graph.collect(Clock, "/clock")
    world = graph.collect(MarkerArray, "sim/world", qos.LATCHED)
    node = start(graph, world="default", camera=True, seed=3)
    graph.until(lambda: all(seen.values()) and world, 20)
    time.sleep(1.0)
    now = node.now_ns()
    for messages in seen.values():
        stamps = [convert.to_ns(m.header.stamp) for m in messages]
        assert stamps == sorted(set(stamps))
        assert 0 <= now - stamps[-1] < 500_000_000
    # simulated time between two messages does not depend on how busy the machine is
    rates = {"scan": 40, "imu": 100, "odom": 50, "camera/image_raw": 15, "sim/state": 50}
    for topic, rate in rates.items():
        gaps = np.diff([convert.to_ns(m.header.stamp) for m in seen[topic]]) * 1e-9
        assert np.median(gaps) == pytest.approx(1 / rate, abs=0.003), topic
    assert np.median(np.diff([convert.to_ns(m.clock) for m in clock])) == pytest.approx(10e6, abs=1e3)
    picture = convert.image(seen["camera/image_raw"][-1].message)
    assert picture.shape == (120, 160, 3)
    assert picture.std() > 2
    assert len(seen["scan"][-1].ranges) == 360
    names = [m.ns for m in world[0].markers]
    expected = load_world("default", 3)
    assert names.count("obstacles") == len(expected.cylinders)
    assert names.count("boxes") == len(expected.boxes)
    (goal,) = [m for m in world[0].markers if m.ns == "goal"]
    assert (goal.pose.position.x, goal.pose.position.y) == pytest.approx(expected.goal)


def drive(graph, node, publisher, kind, speed, seconds, along="x"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = kind()
        setattr((message.twist if kind is TwistStamped else message).linear, along, speed)
        publisher.publish(message)
        time.sleep(0.05)


@pytest.mark.parametrize("stamped", [True, False])
def test_ros_simulator_obeys_cmd_vel_of_either_type_and_stops_without(graph, stamped):
    kind = TwistStamped if stamped else TwistMessage
    state = graph.collect(SimState, "sim/state")
    odom = graph.collect(OdometryMessage, "odom")
    publisher = graph.publisher(kind, "cmd_vel", qos.COMMAND)
    node = start(graph, stamped_cmd_vel=stamped)
    graph.until(lambda: publisher.get_subscription_count() == 1)
    drive(graph, node, publisher, kind, 0.5, 1.2)
    assert state[-1].linear_x == pytest.approx(0.5, abs=0.05)
    assert odom[-1].twist.twist.linear.x == pytest.approx(0.5, abs=0.1)
    graph.until(lambda: abs(state[-1].linear_x) < 0.02, 3.0, "a stop without commands")
    assert 0.2 < state[-1].path_length < 1.2
    # and what is no number is refused
    drive(graph, node, publisher, kind, float("nan"), 0.1)
    graph.until(lambda: node.refused["cmd_vel"])
    assert abs(state[-1].linear_x) < 0.02


def test_ros_simulator_of_a_mecanum_base_goes_sideways_by_linear_y_and_its_odometry_says_so(graph):
    odom = graph.collect(OdometryMessage, "odom")
    publisher = graph.publisher(TwistMessage, "cmd_vel", qos.COMMAND)
    node = start(graph, robot="mecanum", stamped_cmd_vel=False)
    graph.until(lambda: publisher.get_subscription_count() == 1)
    drive(graph, node, publisher, TwistMessage, 0.4, 0.8, along="y")
    twist = odom[-1].twist.twist.linear
    assert (twist.x, twist.y) == pytest.approx((0.0, 0.4), abs=0.05)


def test_ros_simulator_in_simulated_time_counts_from_zero_at_the_factor_asked_for(graph):
    clock = graph.collect(Clock, "/clock")
    start(graph, stamps="simulated", real_time_factor=0.5)
    graph.until(lambda: len(clock) >= 40)
    times = np.array([convert.to_ns(m.clock) for m in clock]) * 1e-9
    assert times[0] < 1.0
    arrivals = np.array([m.arrival for m in clock])
    assert np.median(np.diff(arrivals)) == pytest.approx(0.02, rel=0.3)


def test_ros_simulator_goes_as_fast_as_it_can_with_a_factor_of_zero(graph):
    clock = graph.collect(Clock, "/clock")
    start(graph, stamps="simulated", real_time_factor=0.0)
    graph.until(lambda: clock and clock[-1].clock.sec >= 2)
    assert clock[-1].arrival - clock[0].arrival < convert.to_ns(clock[-1].clock) * 1e-9


def test_ros_simulator_shows_the_faults_that_a_test_asks_for(graph):
    scan, camera = graph.collect(LaserScan, "scan"), graph.collect(Image, "camera/image_raw")
    start(graph, camera=True)
    graph.until(lambda: scan and camera, 20)
    newest = lambda: camera[-1].message  # noqa: E731
    assert graph.set("sim_node", camera_fault="black", scan_fault="nan").successful
    graph.until(lambda: not any(newest().data) and np.isnan(scan[-1].ranges).all())
    assert graph.set("sim_node", camera_fault="white").successful
    graph.until(lambda: set(newest().data) == {255})
    assert graph.set("sim_node", camera_fault="nan").successful
    graph.until(
        lambda: newest().encoding == "32FC1" and np.isnan(np.frombuffer(newest().data, np.float32)).all()
    )
    assert graph.set("sim_node", camera_fault="size").successful
    graph.until(lambda: newest().encoding == "rgb8" and len(newest().data) == 120 * 160 * 3 // 2)
    assert graph.set("sim_node", camera_fault="freeze").successful
    graph.until(lambda: len(camera) > 2 and camera[-1].header == camera[-2].header)
    assert graph.set("sim_node", camera_fault="silent", scan_fault="silent").successful
    graph.until(lambda: time.monotonic() - max(scan[-1].arrival, camera[-1].arrival) > 0.3)
    assert graph.set("sim_node", camera_fault="", scan_fault="").successful
    graph.until(
        lambda: newest().encoding == "rgb8" and len(set(newest().data)) > 2 and scan[-1].ranges[0] > 0
    )
    answer = graph.set("sim_node", camera_fault="purple")
    assert not answer.successful
    assert "camera_fault: 'purple' is unknown" in answer.reason


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"world": "nowhere"}, "unknown world 'nowhere'"),
        ({"robot": "horse"}, "unknown robot 'horse'"),
        ({"robot": "mecanum", "wheel_port": 9}, "wheel_port: the robot 'mecanum' has 4 wheels; it must be 0"),
        ({"real_time_factor": 2.0}, "real_time_factor: 2 needs stamps 'simulated'"),
        ({"use_sim_time": True}, "use_sim_time: must be false"),
    ],
)
def test_ros_simulator_that_cannot_be_configured_says_why_and_stays_unconfigured(graph, capfd, values, said):
    node = graph.add(SimNode, **{"camera": False, **values})
    assert not graph.transition("sim_node", "configure")
    assert graph.state("sim_node") == "unconfigured"
    assert not node.configured
    assert f"configure failed: {said}" in capfd.readouterr().err


def test_ros_simulator_without_the_message_package_refuses_an_event_camera_in_a_line(graph, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "event_camera_msgs.msg", None)
    node = graph.add(SimNode, world="open", camera=False, event_camera=True)
    assert not node.start()
    assert "event_camera: true needs event_camera_msgs (apt install" in capfd.readouterr().err


def test_ros_simulator_publishes_event_packets_that_the_reflex_can_decode(graph):
    messages = pytest.importorskip(
        "event_camera_msgs.msg", reason="event_camera_msgs comes with an installed ROS 2, not from PyPI"
    )
    packets = graph.collect(messages.EventPacket, "events")
    start(graph, world="default", event_camera=True, seed=3)
    graph.until(lambda: len(packets) > 20, 20)
    for packet in packets:
        data = np.frombuffer(packet.events, np.uint8).tobytes()
        EventDecoder().decode(packet.encoding, data, packet.width, packet.height, packet.time_base)
