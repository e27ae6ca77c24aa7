"""Where the reflex is sent, told to whoever comes late, and whether the robot comes nearer."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped

from hybrid_control.navigation.hints import Way
from hybrid_control.signals import Goal
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode


class Errand:
    """The newest goal on the latched topic reflex/goal, until the node's cleanup: a planner that is started again hears
    it there. way: its progress."""

    def __init__(self, node: ManagedNode) -> None:
        self._frame = str(node.value("odom_frame"))
        self._topic = node.talk(PoseStamped, "reflex/goal", qos.LATCHED)
        self.way = Way()

    def begin(self) -> None:
        """The reflex has no goal."""
        self.way = Way()

    def aim(self, goal: Goal) -> None:
        """The reflex was sent somewhere."""
        if self.way.aim(goal):
            self._topic.publish(convert.goal_message(goal, self._frame))
