"""Finds out how a base moves: drives it a metre and turns it, and tells speed, braking and delay from its odometry."""
