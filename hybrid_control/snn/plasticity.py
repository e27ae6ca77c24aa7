"""Learning rules that change a projection's weights while the network runs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class STDP:
    """Pair-based spike-timing-dependent plasticity, all pairs, with hard bounds.

    Each neuron has a trace that decays with tau_plus (pre) or tau_minus (post) and grows by 1 at its spikes.
    At a post spike  w += a_plus x_pre;  at a pre spike  w -= a_minus x_post;  then w is kept in w_min .. w_max.
    Spikes are taken at the tick at which they are fired, and two in one tick are no pair. Times in seconds.
    After Morrison, Diesmann and Gerstner, "Phenomenological models of synaptic plasticity based on spike
    timing", Biological Cybernetics 98, 2008.
    """

    a_plus: float = 0.01
    a_minus: float = 0.012
    tau_plus: float = 20e-3
    tau_minus: float = 20e-3
    w_min: float = 0.0
    w_max: float = 1.0

    def __post_init__(self) -> None:
        for name in ("a_plus", "a_minus", "w_min", "w_max"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"STDP: {name} must be finite")
        for name in ("tau_plus", "tau_minus"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(
                    f"STDP: {name} must be a positive time in seconds, not {getattr(self, name)}"
                )
        if self.w_min > self.w_max:
            raise ValueError(f"STDP: w_min {self.w_min} is above w_max {self.w_max}")


@dataclass(frozen=True)
class RewardSTDP(STDP):
    """STDP whose changes go into an eligibility trace e, from which a reward makes weights: three factors.

    tau_e de/dt = -e, and e changes at spikes as w does in `STDP`;  dw/dt = rate reward(t) e, kept in bounds.
    The reward is set from outside, by `Engine.reward`; it is 0 at the start. rate is per second.
    After Izhikevich, "Solving the distal reward problem through linkage of STDP and dopamine signaling",
    Cerebral Cortex 17, 2007.
    """

    tau_e: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.tau_e) and self.tau_e > 0):
            raise ValueError(f"RewardSTDP: tau_e must be a positive time in seconds, not {self.tau_e}")
        if not math.isfinite(self.rate):
            raise ValueError("RewardSTDP: rate must be finite")
