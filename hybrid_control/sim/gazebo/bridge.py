"""The topics that ros_gz_bridge carries, and the file that tells it so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_control.sim.description import BASE, Placement
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.robots.vehicle import TRUTH_TOPIC, Vehicle

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")


def topic_prefix(namespace: str) -> str:
    """What stands before a robot's topics in Gazebo: "/" or "/NAMESPACE/"."""
    bare = namespace.strip("/")
    if bare and not NAME.fullmatch(bare):
        raise ValueError(f"namespace {namespace!r}: expected names of letters, digits and _ between slashes")
    return f"/{bare}/" if bare else "/"


def model_name(robot: Vehicle, namespace: str) -> str:
    """A robot's model is named as its namespace, or for none as the robot."""
    return namespace.strip("/").replace("/", "_") or robot.name


@dataclass(frozen=True, slots=True)
class Bridged:
    """A topic that ros_gz_bridge carries. topic: relative, the same on both sides; ros: message type of ROS; gz:
    message of Gazebo, without its package; to_ros: from Gazebo to ROS, or the other way."""

    topic: str
    ros: str
    gz: str
    to_ros: bool = True


#: Where the robot truly is in the world: for the score alone, no node steers by it.
GROUND_TRUTH = Bridged(TRUTH_TOPIC, "nav_msgs/msg/Odometry", "Odometry")
JOINT_STATES = Bridged("joint_states", "sensor_msgs/msg/JointState", "Model")
#: A drone's ranges down and up, two beams of one scan; `hybrid_control_ros.run.gazebo_ranges` makes range/down and
#: range/up of them, for ros_gz_bridge has no conversion to sensor_msgs/Range.
VERTICAL = Bridged("range/vertical", "sensor_msgs/msg/LaserScan", "LaserScan")
TOPICS = (
    Bridged("cmd_vel", "geometry_msgs/msg/TwistStamped", "Twist", to_ros=False),
    Bridged("scan", "sensor_msgs/msg/LaserScan", "LaserScan"),
    Bridged("camera/image_raw", "sensor_msgs/msg/Image", "Image"),
    Bridged("camera/camera_info", "sensor_msgs/msg/CameraInfo", "CameraInfo"),
    Bridged("imu", "sensor_msgs/msg/Imu", "IMU"),
    Bridged("odom", "nav_msgs/msg/Odometry", "Odometry"),
    Bridged("tf", "tf2_msgs/msg/TFMessage", "Pose_V"),
    JOINT_STATES,
    Bridged("contacts", "ros_gz_interfaces/msg/Contacts", "Contacts"),
    GROUND_TRUTH,
    VERTICAL,
)
CLOCK = Bridged("clock", "rosgraph_msgs/msg/Clock", "Clock")


def topics_of(robot: Vehicle) -> tuple[Bridged, ...]:
    """The topics of a robot: joint states of wheels, ranges up and down where it has them, its true place where its
    odometry drifts."""
    has = {
        JOINT_STATES: robot.wheels is not None,
        GROUND_TRUTH: not robot.flies,
        VERTICAL: robot.vertical is not None,
    }
    return tuple(t for t in TOPICS if has.get(t, True))


def bridge_entries(
    to: Release,
    robot: Vehicle,
    namespace: str = "",
    clock: bool = True,
    stamped_cmd_vel: bool = True,
) -> list[dict[str, object]]:
    """What stands in a ros_gz_bridge configuration file for one robot.

    ROS names are relative: the bridge's own namespace moves them; Gazebo's carry the namespace. The clock is one for
    all robots, so only one bridge may carry it. stamped_cmd_vel: as the reflex's parameter.
    """
    prefix, topics = topic_prefix(namespace), topics_of(robot)
    entries: list[dict[str, object]] = []
    for bridged in (CLOCK, *topics) if clock else topics:
        is_clock = bridged is CLOCK
        ros = bridged.ros
        gz = "/clock" if is_clock else f"{prefix}{bridged.topic}"
        if bridged.topic == "cmd_vel":
            ros = bridged.ros if stamped_cmd_vel else "geometry_msgs/msg/Twist"
            # a drone's controller listens below the model's name
            gz = f"/{model_name(robot, namespace)}/cmd_vel" if robot.flies else gz
        entries.append(
            {
                "ros_topic_name": "/clock" if is_clock else bridged.topic,
                "gz_topic_name": gz,
                "ros_type_name": ros,
                "gz_type_name": f"{to.messages}.{bridged.gz}",
                "subscriber_queue": 1,
                "publisher_queue": 1 if is_clock else 5,
                "direction": "GZ_TO_ROS" if bridged.to_ros else "ROS_TO_GZ",
            }
        )
    return entries


def bridge_yaml(entries: Sequence[Mapping[str, object]]) -> str:
    """A configuration file of ros_gz_bridge, for its parameter config_file."""
    lines = []
    for entry in entries:
        for i, (key, value) in enumerate(entry.items()):
            lines.append(
                f"{'- ' if i == 0 else '  '}{key}: {value if isinstance(value, int) else json.dumps(value)}"
            )
    return "\n".join(lines) + "\n"


def sensor_frame_aliases(robot: Vehicle, name: str) -> dict[str, Placement]:
    """Frames NAME/base_link/SENSOR and their places in base_link.

    Fortress with ign-sensors before 6.4, as Ubuntu 22.04 itself packages it, names these in its messages, whatever the
    model asks for; later ones say SENSOR. Static transforms make both known.
    """
    return {f"{name}/{BASE}/{frame}": at for frame, at in robot.sensor_frames().items()}
