"""A robot control library that pairs a slow ANN planner with a fast spiking reflex. Imports no ROS."""

from hybrid_control import machine_code

__version__ = "0.1.0"

machine_code.keep_apart()
