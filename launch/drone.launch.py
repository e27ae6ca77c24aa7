"""A drone with a MAVLink autopilot: planner, encoder, reflex and the bridge. First read docs/drone.md, docs/safety.md.

    ros2 launch hybrid_control_bringup drone.launch.py address:=udpin:127.0.0.1:14540

It never arms and never changes the flight mode. All arguments: --show-args. The graph is described in
hybrid_control.bringup.kinds.
"""

from hybrid_control_ros.launch import description


def generate_launch_description():
    """What ros2 launch asks for."""
    return description("drone")
