"""AdaptiveLIF and AdaptiveCubaLIF: LIF and CubaLIF with a moving threshold and a refractory time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nir.ir.node import NIRNode
from numba.extending import register_jitable

from hybrid_control.snn.neurons import linear
from hybrid_control.snn.neurons.model import Array, NeuronModel, Parameters, register
from hybrid_control.snn.options import Options


@dataclass(eq=False)
class AdaptiveLIF(NIRNode):
    """LIF with an adaptive threshold and a refractory time.

    tau dv/dt = (v_leak - v) + r I;  tau_adapt da/dt = -a;
    a spike where v > v_threshold + beta a; at a spike v is reset, a grows by 1, and for `refractory` seconds
    (rounded to whole ticks) v stays where the reset put it and no spike is given.
    Adaptation after Bellec et al., "Long short-term memory and learning-to-learn in networks of spiking
    neurons", NeurIPS 2018. With beta = 0 it is a LIF with a refractory time.
    """

    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array
    tau_adapt: Array
    beta: Array
    refractory: Array

    def __post_init__(self) -> None:
        self.input_type = {"input": np.array(self.v_threshold.shape)}
        self.output_type = {"output": np.array(self.v_threshold.shape)}


@dataclass(eq=False)
class AdaptiveCubaLIF(NIRNode):
    """CubaLIF with an adaptive threshold and a refractory time.

    tau_syn dI/dt = -I + w_in S;  tau_mem dv/dt = (v_leak - v) + r I; otherwise as `AdaptiveLIF`. The current
    goes on integrating during the refractory time.
    """

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array
    w_in: Array
    tau_adapt: Array
    beta: Array
    refractory: Array

    def __post_init__(self) -> None:
        self.input_type = {"input": np.array(self.v_threshold.shape)}
        self.output_type = {"output": np.array(self.v_threshold.shape)}


def coefficients(parameters: Parameters, options: Options) -> dict[str, Array]:
    """As of a neuron without adaptation; fade: what is left of a after a tick; hold: refractory ticks."""
    decay = options.dt / parameters["tau_adapt"]
    return {
        **linear.coefficients(parameters, options),
        "fade": 1.0 - decay if options.scheme == "euler" else np.exp(-decay),
        "beta": parameters["beta"],
        "hold": np.round(parameters["refractory"] / options.dt),
    }


@register_jitable
def _adapt(
    new: float, v: float, a: float, wait: float, c: tuple[float, ...], subtract: int
) -> tuple[bool, float, float, float]:
    """The threshold, the reset and the refractory time, where `new` is what the membrane would go to."""
    threshold, reset, fade, beta, hold = c
    a = fade * a
    held = wait > 0
    if held:
        wait, new = wait - 1, v
    fired = (not held) and new > threshold + beta * a
    if fired:
        new = new - reset if subtract else reset
        a, wait = a + 1, hold
    return fired, new, a, wait


def _membrane(
    x: float, state: tuple[float, ...], c: tuple[float, ...], subtract: int
) -> tuple[bool, tuple[float, ...]]:
    v, a, wait = state
    keep, leak, new, threshold, reset, fade, beta, hold = c
    levels = (threshold, reset, fade, beta, hold)
    fired, v, a, wait = _adapt(keep * v + (leak + new * x), v, a, wait, levels, subtract)
    return fired, (v, a, wait)


def _membrane_and_synapse(
    x: float, state: tuple[float, ...], c: tuple[float, ...], subtract: int
) -> tuple[bool, tuple[float, ...]]:
    v, current, a, wait = state
    keep, leak, new, threshold, reset, old, decay, gain, fade, beta, hold = c
    after = decay * current + gain * x
    levels = (threshold, reset, fade, beta, hold)
    membrane = keep * v + (leak + (old * current + new * after))
    fired, v, a, wait = _adapt(membrane, v, a, wait, levels, subtract)
    return fired, (v, after, a, wait)


_OWN = {"tau_adapt": 0.1, "beta": 0.0, "refractory": 0.0}

register(
    NeuronModel(
        AdaptiveLIF,
        {**linear.LEAKY, **linear.SPIKES, **_OWN},
        (*linear.MEMBRANE, "fade", "beta", "hold"),
        coefficients,
        _membrane,
        variables=("voltage", "adaptation", "wait"),
        start=linear.start,
    ),
    NeuronModel(
        AdaptiveCubaLIF,
        {**linear.CUBA, **linear.SPIKES, "w_in": 1.0, **_OWN},
        (*linear.MEMBRANE, *linear.SYNAPSE, "fade", "beta", "hold"),
        coefficients,
        _membrane_and_synapse,
        variables=("voltage", "current", "adaptation", "wait"),
        start=linear.start,
    ),
)
