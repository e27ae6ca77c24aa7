"""The robot: sensors, route memory, planner and reflex, the loop that joins them, and the benchmark that drives it."""
