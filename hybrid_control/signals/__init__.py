"""What travels between the parts of hybrid_control, in memory or over topics: rates, spikes, states, robot values."""

from hybrid_control.signals.robot import (
    FREE_SIDE,
    FreeGround,
    Goal,
    NoWay,
    Odometry,
    Pose,
    RangeScan,
    Twist,
    VerticalRanges,
)
from hybrid_control.signals.spikes import (
    PLANNER_POPULATIONS,
    Population,
    RateVector,
    SpikeTrain,
    StateVector,
    layout,
)

__all__ = [
    "FREE_SIDE",
    "PLANNER_POPULATIONS",
    "FreeGround",
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
