"""Links from the reflex to motor microcontrollers, neuromorphic boards and autopilots. Imports no ROS."""
