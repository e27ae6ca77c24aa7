"""The drone's bridge node between ROS and MAVSDK's autopilot side, and the nodes that hear ranges up and down."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")
pytest.importorskip("pymavlink", reason="pymavlink is not installed: pip install '.[mavlink]' in the repository")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros.mavlink_bridge import MavlinkBridgeNode, odometry_of
from hybrid_control_ros.reflex import ReflexNode
from hybrid_control_ros.simulator import SimNode
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Range
from std_srvs.srv import Trigger

from firmware_bridge.mavlink import AutopilotState


def drive(graph, x=0.0, y=0.0, z=0.0, turn=0.0):
    """A cmd_vel that goes on until its timer is cancelled."""

    def message():
        made = TwistStamped()
        made.header.stamp = graph.tester.get_clock().now().to_msg()
        made.twist.linear.x, made.twist.linear.y, made.twist.linear.z = x, y, z
        made.twist.angular.z = turn
        return made

    return graph.repeat(graph.publisher(TwistStamped, "cmd_vel", 1), message)


def ask(graph, name):
    return graph.call(Trigger, f"/mavlink_bridge_node/{name}", Trigger.Request())


def start(graph, vehicle):
    return graph.start(MavlinkBridgeNode, address=f"udpin:127.0.0.1:{vehicle.port}")


def test_mavlink_node_passes_commands_on_and_falls_silent_with_them(graph, vehicle):
    node = start(graph, vehicle)
    driving = drive(graph, 0.5, 0.25, -0.125, 0.3)
    graph.until(lambda: vehicle.count() > 10)
    fields = vehicle.newest()
    sent = [fields[name] for name in ("vx", "vy", "vz", "yaw_rate")]
    assert sent == pytest.approx([0.5, -0.25, 0.125, -0.3])
    driving.cancel()
    graph.until(lambda: node.autopilot.status().sending == "nothing")
    assert vehicle.newest()["vx"] == 0.0


def test_mavlink_node_arms_and_engages_by_service_alone(graph, vehicle):
    node = start(graph, vehicle)
    graph.until(lambda: node.autopilot.status().connected)
    refused = ask(graph, "engage")
    assert not refused.success
    assert "no fresh commands" in refused.message
    drive(graph)
    graph.until(lambda: vehicle.count() > 10)
    assert not node.autopilot.state().armed
    assert ask(graph, "arm").success
    assert ask(graph, "engage").success
    graph.until(lambda: node.autopilot.state().armed and node.autopilot.engaged)
    assert ask(graph, "land").success
    graph.until(lambda: node.autopilot.state().mode == "AUTO.LAND")
    assert graph.transition("mavlink_bridge_node", "deactivate")
    assert "not active" in ask(graph, "arm").message
    graph.until(lambda: node.autopilot.status().sending == "nothing")


def test_mavlink_node_refuses_what_is_too_fast(graph, vehicle):
    node = start(graph, vehicle)
    drive(graph, x=2.5)
    graph.until(lambda: node.refused["cmd_vel"] > 3)
    assert all(fields["vx"] == 0.0 for _, fields in vehicle.setpoints)


def test_mavlink_node_says_in_diagnostics_that_nobody_is_there(graph):
    told = graph.collect(DiagnosticArray, "/diagnostics")
    graph.start(MavlinkBridgeNode, address="udpout:127.0.0.1:9")

    def error():
        entries = [s for m in told for s in m.status if s.name == "mavlink_bridge_node"]
        return entries and entries[-1].level == DiagnosticStatus.ERROR and "heartbeat" in entries[-1].message

    graph.until(error)


def test_mavlink_node_publishes_odometry_and_ranges(graph, vehicle):
    odom, down = graph.collect(Odometry, "odom"), graph.collect(Range, "range/down")
    start(graph, vehicle)

    def heard():
        vehicle.say(
            "ATTITUDE", time_boot_ms=1, roll=0.0, pitch=0.0, yaw=-math.pi / 2, rollspeed=0.0, pitchspeed=0.0,
            yawspeed=0.0,
        )  # fmt: skip
        vehicle.say("LOCAL_POSITION_NED", time_boot_ms=1, x=1.0, y=2.0, z=-3.0, vx=0.0, vy=-0.5, vz=0.0)
        vehicle.say(
            "DISTANCE_SENSOR", time_boot_ms=1, min_distance=5, max_distance=800, current_distance=150, type=0, id=0,
            orientation=25, covariance=255,
        )  # fmt: skip
        return odom and down

    graph.until(heard)
    pose, twist = odom[-1].pose.pose, odom[-1].twist.twist
    # 1 m north, 2 m east (west is minus), 3 m up; it looks west and flies west: ahead
    assert (pose.position.x, pose.position.y, pose.position.z) == pytest.approx((1.0, -2.0, 3.0))
    assert 2 * math.atan2(pose.orientation.z, pose.orientation.w) == pytest.approx(math.pi / 2)
    assert (twist.linear.x, twist.linear.y) == pytest.approx((0.5, 0.0), abs=1e-6)
    assert down[-1].range == pytest.approx(1.5)


def test_odometry_is_no_sooner_than_all_of_it_is_there():
    with pytest.raises(ValueError, match="no position, velocity or attitude yet"):
        odometry_of(AutopilotState(position=(0.0, 0.0, 0.0)), 0)


def test_sim_and_reflex_nodes_keep_a_drones_height_by_the_ranges_up_and_down(graph):
    status, down = graph.collect(ReflexStatus, "reflex/status"), graph.collect(Range, "range/down")
    graph.start(SimNode, world="open", robot="quad", camera=False)
    outline = {"robot_length": 0.41, "robot_width": 0.41}
    graph.start(ReflexNode, holonomic=True, hover_height=1.2, open_space=True, priority=0, **outline)

    def goal():
        made = PoseStamped()
        made.header.frame_id = "odom"
        made.header.stamp = graph.tester.get_clock().now().to_msg()
        made.pose.position.x = 8.0
        return made

    graph.repeat(graph.publisher(PoseStamped, "goal_pose", 1), goal, 5.0)
    graph.until(lambda: status and status[-1].mode == ReflexStatus.REFLEX_ONLY)
    graph.until(lambda: down and abs(down[-1].range - 1.2) < 0.1, 40.0)


def test_mavlink_node_tells_no_range_that_is_invalid_and_repeats_none(graph):
    import socket

    from mavlink_vehicle import Vehicle

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    up, down = graph.collect(Range, "range/up"), graph.collect(Range, "range/down")
    node = graph.start(MavlinkBridgeNode, address=f"udpin:127.0.0.1:{port}")
    vehicle = Vehicle(port)
    try:
        graph.until(lambda: node.autopilot.status().connected)

        def say(quality):
            vehicle.distance(150, quality)
            vehicle.distance(300, orientation=24)

        graph.until(lambda: (say(0), down and up)[1])
        graph.until(lambda: (say(1), node.autopilot.state().down is None)[1])
        count, before = len(down), len(up)
        graph.until(lambda: (say(1), len(up) > before + 20)[1])  # the other side goes on
        assert len(down) - count <= 1
        assert all(message.range == pytest.approx(1.5) for message in down)
    finally:
        vehicle.close()


def test_mavlink_node_tells_no_odometry_by_an_attitude_that_is_old(graph):
    import socket

    from mavlink_vehicle import Vehicle, m

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    odom = graph.collect(Odometry, "odom")
    node = graph.start(MavlinkBridgeNode, address=f"udpin:127.0.0.1:{port}")
    vehicle = Vehicle(port)
    try:
        graph.until(lambda: node.autopilot.status().connected)

        def here():
            vehicle.say(m.MAVLink_local_position_ned_message(1, 1.0, 2.0, -3.0, 0.0, 0.0, 0.0))

        vehicle.say(m.MAVLink_attitude_message(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        graph.until(lambda: (here(), odom)[1])
        old = node.autopilot.state().attitude_ns + 600_000_000
        graph.until(lambda: (here(), node.autopilot.state().position_ns > old)[1])
        count = len(odom)
        graph.until(lambda: (here(), node.autopilot.state().position_ns > old + 300_000_000)[1])
        assert len(odom) <= count + 1
    finally:
        vehicle.close()


def test_mavlink_node_refuses_an_autopilot_of_another_kind(graph):
    import socket

    from mavlink_vehicle import ARDUPILOT, Vehicle

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = graph.start(MavlinkBridgeNode, address=f"udpin:127.0.0.1:{port}")
    vehicle = Vehicle(port, autopilot=ARDUPILOT, kind=2)
    try:
        drive(graph, 0.5)
        graph.until(lambda: "of kind ardupilot quadrotor, but autopilot is set to px4" in node.report()[1])
        for name in ("arm", "engage", "hold", "land"):
            assert not ask(graph, name).success
        assert (vehicle.commands, vehicle.setpoints) == ([], 0)
    finally:
        vehicle.close()
