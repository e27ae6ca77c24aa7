"""Gazebo with a robot and the bridge of its topics, planner, encoder and reflex: the robot drives to the world's goal.

    ros2 launch hybrid_control_bringup gazebo.launch.py gazebo:=fortress world:=forest

All arguments: --show-args. The graph is described in hybrid_control.bringup.kinds.
"""

from hybrid_control_ros.launch import description


def generate_launch_description():
    """What ros2 launch asks for."""
    return description("gazebo")
