"""The embedded simulator with planner, encoder and reflex: the robot drives to the world's goal.

    ros2 launch hybrid_control_bringup sim.launch.py world:=forest seed:=3

All arguments: --show-args. The graph is described in hybrid_control.bringup.kinds.
"""

from hybrid_control_ros.launch import description


def generate_launch_description():
    """What ros2 launch asks for."""
    return description("sim")
