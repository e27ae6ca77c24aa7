"""A real rover: planner, encoder, reflex, and our firmware bridge or its own driver. First read docs/bringup.md.

    ros2 launch hybrid_control_bringup robot.launch.py params_file:=custom_rover port:=/dev/rover lidar:=rplidar
    ros2 launch hybrid_control_bringup robot.launch.py params_file:=jackal base:=none

All arguments: --show-args. The graph is described in hybrid_control.bringup.kinds.
"""

from hybrid_control_ros.launch import description


def generate_launch_description():
    """What ros2 launch asks for."""
    return description("robot")
