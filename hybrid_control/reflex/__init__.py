"""The avoidance reflex: a spiking heading ring, its gains, and the tick that every loop calls."""

from hybrid_control.reflex.reflex import Command, InputRefused, Mode, Reflex, Status

__all__ = ["Command", "InputRefused", "Mode", "Reflex", "Status"]
