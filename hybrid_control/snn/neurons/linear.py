"""NIR's own neurons (I, IF, LI, LIF, CubaLI, CubaLIF): a linear update, a threshold and a reset."""

from __future__ import annotations

import nir
import numpy as np

from hybrid_control.snn.neurons.model import Array, NeuronModel, Parameters, register
from hybrid_control.snn.options import Options

MEMBRANE = ("keep", "leak", "new", "threshold", "reset")
SYNAPSE = ("old", "decay", "gain")
K_V, K_LEAK, K_NEW, K_THRESHOLD, K_RESET = range(5)  # the membrane's rows are the first of each type here


def coefficients(parameters: Parameters, options: Options) -> dict[str, Array]:
    """The rows of `MEMBRANE` and `SYNAPSE`. One tick is

    I' = decay I + gain x,  v' = keep v + leak + old I + new I'   (I' = x without a synapse).
    What does not spike has a threshold of infinity.
    """
    dt, p, euler = options.dt, parameters, options.scheme == "euler"
    r = p["r"]
    zero = np.zeros_like(r)
    tau = p.get("tau_mem", p.get("tau"))
    if tau is None:
        keep, take = np.ones_like(r), np.full_like(r, dt if options.if_step == "dt" else 1.0)
    elif euler:
        keep, take = 1.0 - dt / tau, dt / tau
    else:
        keep, take = np.exp(-dt / tau), -np.expm1(-dt / tau)
    old, new, decay, gain = zero, take * r, zero, zero + 1.0
    if "tau_syn" in p:
        tau_syn = p["tau_syn"]
        decay = 1.0 - dt / tau_syn if euler else np.exp(-dt / tau_syn)
        part = dt / tau_syn if euler else -np.expm1(-dt / tau_syn)
        gain = part * p["w_in"]
        if options.scheme == "exact" and tau is not None:
            both = _response(tau, tau_syn, dt)
            new = r * (take - both) / part
            old = r * both - decay * new
        elif options.order == "voltage_first":
            old, new = take * r, zero
    threshold, reset = p.get("v_threshold", zero + np.inf), p.get("v_reset", zero)
    if options.reset == "subtract":
        reset = np.where(np.isinf(threshold), 0.0, threshold - reset)
    leak = take * p["v_leak"] if "v_leak" in p else zero
    return {
        "keep": keep,
        "leak": leak,
        "new": new,
        "threshold": threshold,
        "reset": reset,
        "old": old,
        "decay": decay,
        "gain": gain,
    }


def _response(tau: Array, tau_syn: Array, dt: float) -> Array:
    """(1 / tau) times the integral over a tick of exp(-(dt - s) / tau) exp(-s / tau_syn)."""
    close = np.isclose(tau, tau_syn, rtol=1e-6)
    apart = np.where(close, 2.0 * tau, tau_syn)
    general = apart / (apart - tau) * (np.exp(-dt / apart) - np.exp(-dt / tau))
    return np.where(close, dt / tau * np.exp(-dt / tau), general)


def start(parameters: Parameters, options: Options) -> dict[str, Array]:
    """A membrane rests at its leak, unless it is to start at 0."""
    rests = options.initial == "leak" and "v_leak" in parameters
    return {"voltage": parameters["v_leak"]} if rests else {}


def _membrane(
    x: float, state: tuple[float], c: tuple[float, ...], subtract: int
) -> tuple[bool, tuple[float]]:
    keep, leak, new, threshold, reset = c
    v = keep * state[0] + (leak + new * x)
    fired = v > threshold
    if fired:
        v = v - reset if subtract else reset
    return fired, (v,)


def _membrane_and_synapse(
    x: float, state: tuple[float, float], c: tuple[float, ...], subtract: int
) -> tuple[bool, tuple[float, float]]:
    keep, leak, new, threshold, reset, old, decay, gain = c
    current = decay * state[1] + gain * x
    v = keep * state[0] + (leak + (old * state[1] + new * current))
    fired = v > threshold
    if fired:
        v = v - reset if subtract else reset
    return fired, (v, current)


SPIKES: dict[str, float | None] = {"v_threshold": 1.0, "v_reset": 0.0}
LEAKY: dict[str, float | None] = {"tau": None, "r": 1.0, "v_leak": 0.0}
CUBA: dict[str, float | None] = {"tau_syn": None, "tau_mem": None, "r": 1.0, "v_leak": 0.0}

PARAMETERS: dict[type, dict[str, float | None]] = {
    nir.I: {"r": 1.0},
    nir.IF: {"r": 1.0, **SPIKES},
    nir.LI: LEAKY,
    nir.LIF: {**LEAKY, **SPIKES},
    nir.CubaLI: {**CUBA, "w_in": 1.0},
    nir.CubaLIF: {**CUBA, **SPIKES, "w_in": 1.0},
}

for _kind, _parameters in PARAMETERS.items():
    _synapse = "tau_syn" in _parameters
    register(
        NeuronModel(
            _kind,
            _parameters,
            MEMBRANE + SYNAPSE if _synapse else MEMBRANE,
            coefficients,
            _membrane_and_synapse if _synapse else _membrane,
            variables=("voltage", "current") if _synapse else ("voltage",),
            spiking="v_threshold" in _parameters,
            start=start,
        )
    )
