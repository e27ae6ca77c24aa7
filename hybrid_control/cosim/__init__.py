"""ANN and SNN stepped together in simulated time, with no ROS and no wall clock."""

from hybrid_control.cosim.lockstep import Driver, Episode, LockStep, Plans, Simulated, run_episode

__all__ = ["Driver", "Episode", "LockStep", "Plans", "Simulated", "run_episode"]
