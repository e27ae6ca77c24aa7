"""The frames node: odometry and the lidar's place as transforms, for what looks by TF, as rviz and Foxglove do.

Nothing of ours goes by these transforms; a robot whose driver or description tells of them does not need this node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry as OdometryMessage

from hybrid_control.parameters import Value
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import message_of
from hybrid_control_ros.node import ManagedNode


class FramesNode(ManagedNode):
    """Tells of odom_frame to base_frame by each odometry message, and once of what does not move."""

    kind = "frames_node"

    def __init__(self, values: Mapping[str, Value] | None = None, **options: object) -> None:
        super().__init__(values, **options)
        self._kind: Any = None

    def configure(self) -> None:
        self._kind = message_of("tf2_msgs", "TFMessage", "frames_node")
        self._moving = self.talk(self._kind, "/tf", qos.TF)
        self._standing = self.talk(self._kind, "/tf_static", qos.TF_STATIC)
        self.listen(OdometryMessage, "odom", self._on_odometry, qos.SENSOR)

    def activate(self) -> None:
        base, lidar = str(self.value("base_frame")), str(self.value("lidar_frame"))
        told = [self._transform(base, lidar, *(self.value(n) for n in ("lidar_x", "lidar_y", "lidar_yaw")))]
        if self.value("map_frame"):
            told.append(
                self._transform(str(self.value("map_frame")), str(self.value("odom_frame")), 0.0, 0.0, 0.0)
            )
        self._standing.publish(self._kind(transforms=told))

    def _transform(self, parent: str, child: str, x: float, y: float, yaw: float) -> TransformStamped:
        transform = TransformStamped(child_frame_id=child)
        transform.header.stamp = self.get_clock().now().to_msg()
        transform.header.frame_id = parent
        transform.transform.translation.x, transform.transform.translation.y = x, y
        transform.transform.rotation = convert.quaternion(yaw)
        return transform

    def _on_odometry(self, message: OdometryMessage) -> None:
        if not self.active:
            return
        try:
            pose = convert.odometry(message, self.value("odom_frame")).pose
        except ValueError as error:
            self.refuse("odom", error)
            return
        transform = self._transform(
            message.header.frame_id, str(self.value("base_frame")), pose.x, pose.y, pose.yaw
        )
        transform.header.stamp = message.header.stamp
        transform.transform.translation.z = message.pose.pose.position.z
        self._moving.publish(self._kind(transforms=[transform]))
