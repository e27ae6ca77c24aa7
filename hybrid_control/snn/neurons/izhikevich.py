"""Izhikevich's two-variable neuron."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from nir.ir.node import NIRNode

from hybrid_control.snn.neurons.model import Array, NeuronModel, Parameters, register
from hybrid_control.snn.options import Options


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


def _substeps(parameters: Parameters, options: Options) -> int:
    values = parameters["substeps"].reshape(-1)
    if values.size != 1 or int(values[0]) != values[0] or values[0] < 1:
        raise ValueError(f"substeps {parameters['substeps']} must be a whole number >= 1")
    return int(values[0])


def _coefficients(parameters: Parameters, options: Options) -> dict[str, Array]:
    tick = np.full_like(parameters["a"], 1e3 * options.dt)
    return {**parameters, "tick": tick, "part": tick / _substeps(parameters, options)}


def _start(parameters: Parameters, options: Options) -> dict[str, Array]:
    return {"voltage": parameters["c"], "recovery": parameters["b"] * parameters["c"]}


def _step(
    x: float, state: tuple[float, float], coefficients: tuple[float, ...], substeps: int
) -> tuple[bool, tuple[float, float]]:
    v, u = state
    a, b, c, d, peak, tick, part = coefficients
    for _ in range(substeps):
        v += part * (0.04 * v * v + 5.0 * v + 140.0 - u + x)
    u = type(x)(u + tick * (a * (b * v - u)))
    fired = v >= peak
    if fired:
        v, u = c, u + d
    return fired, (v, u)


register(
    NeuronModel(
        Izhikevich,
        {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0, "v_peak": 30.0},
        ("a", "b", "c", "d", "v_peak", "tick", "part"),
        _coefficients,
        _step,
        variables=("voltage", "recovery"),
        whole=("substeps",),
        start=_start,
        setting=_substeps,
    )
)
