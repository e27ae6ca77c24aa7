"""The reflex node seeing by several sensors at once, of several kinds, one of which fails."""

from __future__ import annotations

import math
import struct
import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import PoseStamped, TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import qos
from hybrid_control_ros.reflex import ReflexNode
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2, PointField, Range

SENSORS = (
    "scan laser x=0.1 timeout=1; rear laser x=-0.2 yaw=3.1416 timeout=1; sonar range x=0.2 y=0.1 yaw=0.3 timeout=0.8;"
    "depth/image depth x=0.2 z=0.3 timeout=1; cloud points z=0.4 timeout=1"
)


class Robot:
    """All sensors of a robot that stands still, at 20 Hz; what is in `silent` says nothing."""

    def __init__(self, graph):
        self.graph, self.silent, self.sonar, self.depth = graph, set(), 3.0, 4000
        names = {
            "scan": LaserScan,
            "rear": LaserScan,
            "sonar": Range,
            "depth/image": Image,
            "cloud": PointCloud2,
        }
        names |= {"depth/camera_info": CameraInfo, "odom": Odometry, "goal_pose": PoseStamped}
        self.topics = {name: graph.publisher(kind, name, 1) for name, kind in names.items()}
        self.timer = graph.tester.create_timer(0.05, self.speak)

    def say(self, name, message, frame="somewhere"):
        if name not in self.silent:
            message.header.stamp = self.graph.now()
            message.header.frame_id = frame
            self.topics[name].publish(message)

    def speak(self):
        for name in ("scan", "rear"):
            wide = {
                "angle_min": -1.5,
                "angle_max": 1.5,
                "angle_increment": 0.03,
                "range_min": 0.05,
                "range_max": 10.0,
            }
            self.say(name, LaserScan(ranges=[6.0] * 101, **wide))
        self.say("sonar", Range(range=self.sonar, min_range=0.02, max_range=4.0, field_of_view=0.3))
        self.say("depth/camera_info", CameraInfo(k=[20.0, 0.0, 9.5, 0.0, 20.0, 4.5, 0.0, 0.0, 1.0]))
        picture = struct.pack("<H", self.depth) * 200
        self.say("depth/image", Image(width=20, height=10, step=40, encoding="16UC1", data=picture))
        fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
        point = struct.pack("<3f", 0.0, -2.0, 0.0)
        self.say(
            "cloud", PointCloud2(width=1, height=1, fields=fields, point_step=12, row_step=12, data=point)
        )
        odometry = Odometry()
        odometry.pose.pose.orientation.w = 1.0
        self.say("odom", odometry, "odom")
        goal = PoseStamped()
        goal.pose.position.x, goal.pose.orientation.w = 5.0, 1.0
        self.say("goal_pose", goal, "odom")


def test_launch_reflex_sees_by_a_mix_of_sensors_and_stops_when_one_of_them_is_silent(graph):
    status = graph.collect(ReflexStatus, "reflex/status")
    speed = graph.collect(TwistStamped, "cmd_vel")
    node = graph.add(ReflexNode, sensors=SENSORS, priority=0, odometry_timeout=4.0, scan_timeout=1.5)
    robot = Robot(graph)
    assert node.start()
    graph.until(lambda: speed and speed[-1].twist.linear.x > 0.1, 30, "it drives")
    assert status[-1].mode == ReflexStatus.REFLEX_ONLY
    # the nearest is the cloud's point, 2 m to the right, seen from the outline
    graph.until(lambda: status[-1].nearest_obstacle == pytest.approx(2.0 - 0.215, abs=0.01), 15)

    # each of them alone stops the robot, in time, by what it sees ...
    robot.sonar = 0.15
    graph.until(lambda: status[-1].nearest_obstacle < 0.15, 15, "the sonar's echo")
    graph.until(lambda: speed[-1].twist.linear.x < 0.01, 15, "it stops for it")
    robot.sonar = math.inf
    graph.until(lambda: speed[-1].twist.linear.x > 0.1, 15, "and goes on")
    robot.depth = 150
    graph.until(lambda: speed[-1].twist.linear.x < 0.01, 15, "it stops for the depth image")
    robot.depth = 0
    graph.until(lambda: speed[-1].twist.linear.x > 0.1, 15, "and goes on")
    # ... and by what it does not see
    for name in ("sonar", "rear"):
        robot.silent = {name}
        graph.until(lambda: status[-1].mode == ReflexStatus.STOPPED, 15, f"stopped without {name}")
        assert status[-1].reason == "the newest scan is too old"
        graph.until(lambda n=name: n in str(node.report()[2].get("sensors missing")), 5, "diagnostics name it")
        robot.silent = set()
        graph.until(lambda: speed[-1].twist.linear.x > 0.1, 15, "and goes on")
    # a reading that can't be is refused and counted, and is as good as none
    robot.sonar = math.nan
    graph.until(lambda: status[-1].mode == ReflexStatus.STOPPED, 15)
    graph.until(lambda: node.refused["sonar"] > 0, 5, "it is counted")


def test_launch_reflex_says_which_transform_is_missing_and_drives_once_it_is_there(graph, capfd):
    tf = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with an installed ROS 2, not from PyPI")
    from geometry_msgs.msg import TransformStamped

    speed = graph.collect(TwistStamped, "cmd_vel")
    node = graph.add(
        ReflexNode, sensors="scan laser timeout=1", priority=0, odometry_timeout=4.0, scan_timeout=1.5
    )
    Robot(graph)
    assert node.start()
    graph.until(lambda: node.refused["scan"] > 2, 10)
    said = capfd.readouterr().err
    assert "refused scan" in said
    assert "no transform from 'somewhere' to 'base_link' on /tf and /tf_static: nobody tells of" in said
    transform = TransformStamped()
    transform.header.frame_id, transform.child_frame_id = "base_link", "somewhere"
    transform.transform.rotation.w = 1.0
    graph.publisher(tf.TFMessage, "/tf_static", qos.TF_STATIC).publish(tf.TFMessage(transforms=[transform]))
    graph.until(lambda: speed and speed[-1].twist.linear.x > 0.1, 20, "it drives")


def test_launch_frames_node_tells_where_the_robot_and_its_lidar_are(graph):
    tf = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with an installed ROS 2, not from PyPI")
    from hybrid_control_ros.frames import FramesNode

    moving, standing = (
        graph.collect(tf.TFMessage, "/tf"),
        graph.collect(tf.TFMessage, "/tf_static", qos.TF_STATIC),
    )
    graph.start(FramesNode, lidar_x=0.2, lidar_yaw=math.pi, map_frame="map")
    odometry = Odometry()
    odometry.header.frame_id = "odom"
    odometry.header.stamp.sec = 7
    odometry.pose.pose.position.x = 3.0
    odometry.pose.pose.orientation.z, odometry.pose.pose.orientation.w = 1.0, 0.0
    topic = graph.publisher(Odometry, "odom", 1)
    graph.repeat(topic, lambda: odometry)
    graph.until(lambda: moving and standing, 10)
    (robot,) = moving[-1].transforms
    assert (robot.header.frame_id, robot.child_frame_id, robot.header.stamp.sec) == ("odom", "base_link", 7)
    assert (robot.transform.translation.x, robot.transform.rotation.z) == (3.0, 1.0)
    lidar, odom = standing[-1].transforms
    assert (lidar.header.frame_id, lidar.child_frame_id) == ("base_link", "lidar")
    assert (lidar.transform.translation.x, lidar.transform.rotation.z) == (0.2, 1.0)
    assert (odom.header.frame_id, odom.child_frame_id) == ("map", "odom")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("sim", {"rviz": "true"}), {"map_frame": "map", "lidar_x": 0.0}),
        (("drone", {"foxglove": "true"}), {"map_frame": ""}),
        (("robot", {"foxglove": "true", "base": "none"}), None),  # the robot's own driver does
        (("sim", {}), None),
    ],
)
def test_launch_views_have_the_transforms_that_they_look_by(given, told):
    from hybrid_control.bringup import kinds

    programs = {p.name: p for p in kinds.build(*given).programs}
    assert ("frames_node" in programs) == (told is not None)
    if told is not None:
        assert told.items() <= programs["frames_node"].nodes["frames_node"].items()


@pytest.mark.parametrize(
    ("sensors", "package"),
    [("scan laser; ev events", "event_camera_msgs"), ("scan laser timeout=0.3", "tf2_msgs")],
)
def test_launch_reflex_without_a_message_package_says_what_to_install(
    graph, capfd, monkeypatch, sensors, package
):
    import sys

    monkeypatch.setitem(sys.modules, f"{package}.msg", None)
    if package != "tf2_msgs":
        sensors = sensors.replace("laser", "laser x=0")
    node = graph.add(ReflexNode, sensors=sensors.replace("events", "events x=0"), priority=0)
    assert not node.start()
    said = capfd.readouterr().err
    assert f"needs {package} (apt install ros-$ROS_DISTRO-{package.replace('_', '-')})" in said


def test_launch_reflex_hears_event_packets(graph):
    messages = pytest.importorskip(
        "event_camera_msgs.msg", reason="event_camera_msgs comes with an installed ROS 2, not from PyPI"
    )
    node = graph.add(ReflexNode, sensors="scan laser x=0; events events x=0.1", priority=0)
    assert node.start()
    topic = graph.publisher(messages.EventPacket, "events", 1)
    graph.until(topic.get_subscription_count, 10)

    def say(data):
        packet = messages.EventPacket(width=64, height=48, encoding="mono", events=data)
        packet.header.stamp = graph.now()
        topic.publish(packet)

    def heard(data):
        say(data)
        time.sleep(0.05)
        return not math.isnan(node.report()[2].get("events age [s]", math.nan))

    graph.until(lambda: heard(struct.pack("<Q", 1 << 63 | 7 << 48 | 5 << 32 | 1000)), 10)
    refused = node.refused["events"]
    say(b"123")
    graph.until(lambda: node.refused["events"] > refused, 10)


def test_launch_every_parameter_of_every_node_stands_in_a_file_of_config():
    from pathlib import Path

    from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME
    from hybrid_control.bringup.parameter_files import read_yaml

    found: dict[str, set[str]] = {}
    for file in (Path(__file__).parents[2] / "config").glob("*.yaml"):
        for node, values in read_yaml(file).items():
            found.setdefault(node, set()).update(values)
    assert found == {node: {p.name for p in (USE_SIM_TIME, *known)} for node, known in NODES.items()}
