"""A recorded run: its sensors are played, and planner and reflex answer anew; nothing moves.

    ros2 launch hybrid_control_bringup replay.launch.py file:=out/RUN/run.mcap

All arguments: --show-args. The graph is described in hybrid_control.bringup.kinds.
"""

from hybrid_control_ros.launch import description


def generate_launch_description():
    """What ros2 launch asks for."""
    return description("replay")
