"""Neuron models: NIR's own, and the node types this engine adds to them (adaptation, refractory time, Izhikevich).

NIR's neurons (I, IF, LI, LIF, CubaLI, CubaLIF) are used as NIR's own dataclasses. The classes below are NIR
nodes too, so they are stored in the same files; a tool that does not know them refuses the file instead of
running something else. Time constants are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from nir.ir.node import NIRNode
from numpy.typing import NDArray

Array = NDArray[Any]


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


@dataclass(eq=False)
class Izhikevich(NIRNode):
    """The two-variable neuron of Izhikevich, in its published units (mV and ms).

    dv/dt = 0.04 v^2 + 5 v + 140 - u + I;  du/dt = a (b v - u), per millisecond;
    where v >= v_peak: a spike, v = c, u = u + d.
    E. M. Izhikevich, "Simple model of spiking neurons", IEEE Trans. Neural Networks 14(6), 2003. A tick is
    integrated by forward Euler in `substeps` equal parts for v, then one for u, as in the program printed
    there (which takes 2 parts of 0.5 ms). Starts at v = c, u = b c.
    """

    a: Array
    b: Array
    c: Array
    d: Array
    v_peak: Array
    substeps: Array = field(default_factory=lambda: np.array(2))

    def __post_init__(self) -> None:
        self.input_type = {"input": np.array(self.a.shape)}
        self.output_type = {"output": np.array(self.a.shape)}


@dataclass(eq=False)
class SparseLinear(NIRNode):
    """A linear map given synapse by synapse, each with a weight and, where wanted, a delay.

    y_j(t) = sum over the synapses s with post[s] = j of weight[s] x_{pre[s]}(t - delay[s])
    shape: (out, in), as the shape of a Linear's weight; pre, post, weight: (synapses,); delay: (synapses,)
    seconds, rounded to whole ticks, or None for none. Several synapses may join the same two neurons.
    """

    shape: Array
    pre: Array
    post: Array
    weight: Array
    delay: Array | None = None

    def __post_init__(self) -> None:
        self.shape = np.asarray(self.shape, dtype=np.int64)
        self.input_type = {"input": self.shape[1:]}
        self.output_type = {"output": self.shape[:1]}

    def to_dict(self) -> dict[str, Any]:
        """As NIR's nodes do; a delay of None is left out."""
        values = super().to_dict()
        if self.delay is None:
            del values["delay"]
        return values


NEURON_PARAMETERS: dict[type, dict[str, float | None]] = {
    nir.I: {"r": 1.0},
    nir.IF: {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0},
    nir.LI: {"tau": None, "r": 1.0, "v_leak": 0.0},
    nir.LIF: {"tau": None, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0},
    nir.CubaLI: {"tau_syn": None, "tau_mem": None, "r": 1.0, "v_leak": 0.0, "w_in": 1.0},
    nir.CubaLIF: {
        "tau_syn": None,
        "tau_mem": None,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "w_in": 1.0,
    },
    AdaptiveLIF: {
        "tau": None,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "tau_adapt": 0.1,
        "beta": 0.0,
        "refractory": 0.0,
    },
    AdaptiveCubaLIF: {
        "tau_syn": None,
        "tau_mem": None,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "w_in": 1.0,
        "tau_adapt": 0.1,
        "beta": 0.0,
        "refractory": 0.0,
    },
    Izhikevich: {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0, "v_peak": 30.0},
}
"""Each neuron type's parameters with the builder's defaults; None where one has to be given."""

SPIKING_TYPES = (nir.IF, nir.LIF, nir.CubaLIF, AdaptiveLIF, AdaptiveCubaLIF, Izhikevich)
TIME_CONSTANTS = ("tau", "tau_syn", "tau_mem", "tau_adapt")


def neuron(kind: type, shape: tuple[int, ...], **parameters: Any) -> NIRNode:
    """A neuron node of `shape` from scalars or arrays; ValueError for a missing, unknown or unfit parameter."""
    known = NEURON_PARAMETERS.get(kind)
    if known is None:
        raise ValueError(
            f"{kind.__name__} is no neuron type; there are {[k.__name__ for k in NEURON_PARAMETERS]}"
        )
    extra = {"substeps"} if kind is Izhikevich else set()
    unknown = set(parameters) - set(known) - extra
    if unknown:
        raise ValueError(f"{kind.__name__} has no parameter {sorted(unknown)}; it has {list(known)}")
    values: dict[str, Any] = {}
    for name, default in known.items():
        value = parameters.get(name, default)
        if value is None:
            raise ValueError(f"{kind.__name__}: {name} must be given")
        array = np.asarray(value, dtype=np.float64)
        try:
            values[name] = np.array(np.broadcast_to(array, shape))
        except ValueError:
            raise ValueError(f"{kind.__name__}: {name} of shape {array.shape} does not fit {shape}") from None
    for name in extra & set(parameters):
        values[name] = np.asarray(parameters[name])
    return kind(**values)
