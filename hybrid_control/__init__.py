"""A robot control library that pairs a slow ANN planner with a fast spiking reflex. Imports no ROS."""

__version__ = "0.1.0"
