"""The avoidance reflex: a spiking heading ring, its gains, and the tick that every loop calls."""
