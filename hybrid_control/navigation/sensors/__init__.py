"""Sensors as robots have them: what each says, as points in the robot's frame, and all of them together. No ROS."""

from hybrid_control.navigation.sensors.fusion import Fused, Fusion, warm
from hybrid_control.navigation.sensors.mounts import Frames, MissingTransform, Mount
from hybrid_control.navigation.sensors.sources import Source, read_sources

__all__ = ["Frames", "Fused", "Fusion", "MissingTransform", "Mount", "Source", "read_sources", "warm"]
