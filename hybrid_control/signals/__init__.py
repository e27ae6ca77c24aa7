"""What travels between the parts of hybrid_control, in memory or over topics: rates, spikes, states, robot values."""

from hybrid_control.signals.robot import Goal, NoWay, Odometry, Pose, RangeScan, Twist, VerticalRanges
from hybrid_control.signals.spikes import (
    PLANNER_POPULATIONS,
    Population,
    RateVector,
    SpikeTrain,
    StateVector,
    layout,
)

__all__ = [
    "PLANNER_POPULATIONS",
    "Goal",
    "NoWay",
    "Odometry",
    "Population",
    "Pose",
    "RangeScan",
    "RateVector",
    "SpikeTrain",
    "StateVector",
    "Twist",
    "VerticalRanges",
    "layout",
]
