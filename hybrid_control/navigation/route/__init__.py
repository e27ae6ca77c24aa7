"""The way to the goal through what the lidar has seen so far: a memory of scans, from scans and odometry alone."""

from hybrid_control.navigation.route.guide import Guide, guide_of
from hybrid_control.navigation.route.memory import RouteMemory

__all__ = ["Guide", "RouteMemory", "guide_of"]
