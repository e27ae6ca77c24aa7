"""The navigation benchmark: does the robot arrive, how fast, and does it ever touch anything."""
