"""The way to the goal through what the lidar has seen so far: a memory of scans, from scans and odometry alone."""

from hybrid_control.route.guide import Guide
from hybrid_control.route.memory import RouteMemory

__all__ = ["Guide", "RouteMemory"]
