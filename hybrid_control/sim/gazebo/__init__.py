"""Worlds and robots for Gazebo (SDF), and the topics that ros_gz_bridge carries, for each release from one source.

Nothing here imports ROS or Gazebo: it makes files and command lines. docs/gazebo.md says how they are used.
"""

from hybrid_control.sim.gazebo.bridge import (
    CLOCK,
    GROUND_TRUTH,
    VERTICAL,
    Bridged,
    bridge_entries,
    bridge_yaml,
    sensor_frame_aliases,
    topics_of,
)
from hybrid_control.sim.gazebo.releases import FORTRESS, HARMONIC, IONIC, RELEASES, Release, release
from hybrid_control.sim.gazebo.robots import (
    looks,
    odometry_origin,
    robot_model,
    standing,
    truth_topic,
    urdf_elements,
)
from hybrid_control.sim.gazebo.sdf import model_sdf
from hybrid_control.sim.gazebo.session import Session, Spawned, prepare, server_command
from hybrid_control.sim.gazebo.world import Physics, goal_in_odometry, world_name, world_sdf

__all__ = [
    "CLOCK",
    "FORTRESS",
    "GROUND_TRUTH",
    "HARMONIC",
    "IONIC",
    "RELEASES",
    "VERTICAL",
    "Bridged",
    "Physics",
    "Release",
    "Session",
    "Spawned",
    "bridge_entries",
    "bridge_yaml",
    "goal_in_odometry",
    "looks",
    "model_sdf",
    "odometry_origin",
    "prepare",
    "release",
    "robot_model",
    "sensor_frame_aliases",
    "server_command",
    "standing",
    "topics_of",
    "truth_topic",
    "urdf_elements",
    "world_name",
    "world_sdf",
]
