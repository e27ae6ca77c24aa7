"""ANN and SNN stepped together in simulated time, with no ROS and no wall clock."""

from hybrid_control.cosim.lockstep import Episode, LockStep

__all__ = ["Episode", "LockStep"]
