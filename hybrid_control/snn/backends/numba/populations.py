"""Populations of neurons: their coefficients, their state and their op."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_control.snn.backends.numba.kernels.arena import Ref
from hybrid_control.snn.backends.numba.kernels.neurons import Population
from hybrid_control.snn.backends.numba.memory import Array, Memory, padded
from hybrid_control.snn.backends.numba.wiring import Wiring
from hybrid_control.snn.neurons import NeuronModel, model_of
from hybrid_control.snn.neurons.model import parameters_of
from hybrid_control.snn.nir.checks import is_time_constant, naming
from hybrid_control.snn.nir.graph import Node
from hybrid_control.snn.options import Options


@dataclass(frozen=True)
class Neurons:
    """A population: its parameters as they are, and where its block of coefficients and its op are."""

    model: NeuronModel
    parameters: dict[str, Array]
    coefficients: Ref
    pitch: int
    op: int
    spikes: Ref | None


def coefficients(
    model: NeuronModel, node: Node, parameters: Mapping[str, Array], options: Options
) -> tuple[list[Array], bool]:
    """The rows that the type's step takes, in float64, spread over the node; and whether each is one value."""
    values = model.coefficients(parameters, options)
    rows = [np.asarray(values[row]) for row in model.rows]
    uniform = all(bool(np.all(row == row.reshape(-1)[0])) for row in rows)
    return [node.spread(row) for row in rows], uniform


class Populations:
    """The populations of a program, by name."""

    def __init__(self, wiring: Wiring, options: Options) -> None:
        self.wiring, self.options = wiring, options
        self.neurons: dict[str, Neurons] = {}

    def add(self, node: Node) -> None:
        """The op of a population."""
        model = model_of(node.nir)
        assert model is not None
        assert node.nir is not None
        memory: Memory = self.wiring.memory
        name, n, item = node.name, node.size_out, memory.dtype.itemsize
        source, value = self.wiring.read(name), self.wiring.value(name)
        with naming(name):
            parameters = parameters_of(node.nir, model)
            rows, uniform = coefficients(model, node, parameters, self.options)
            setting, start = model.setting(parameters, self.options), model.start(parameters, self.options)
        self._warn(name, parameters)
        block = memory.parameters(memory.cast(name, np.stack(rows)))
        states, pitch, spikes = value.out, padded(n) * item, None
        fields: dict[str, Any] = {"listed": 0, "out": 0, "counter": 0}
        if model.spiking:
            states, spikes = self.wiring.variables(name), memory.counter(f"{name}.spikes")
            assert value.listed is not None
            fields = {"listed": value.listed, "out": value.out, "counter": spikes}
        for variable, values in start.items():
            place = states.after(model.variables.index(variable) * pitch)
            memory.first[place] = memory.cast(name, node.spread(values))
        fired = memory.state(f"{name}.fired", np.zeros(-(-n // 64) * 64, np.uint8))
        op = memory.op(
            Population(
                size=n,
                x=source.x,
                clear=source.clear,
                coefficients=block,
                pitch=n * item,
                uniform=uniform,
                setting=setting,
                states=states,
                states_pitch=pitch,
                fired=fired,
                **fields,
            ),
            model.step,
        )
        changeable = {key: parameters[key] for key in model.parameters}
        self.neurons[name] = Neurons(model, changeable, block, n * item, op, spikes)

    def _warn(self, name: str, parameters: Mapping[str, Array]) -> None:
        dt = self.options.dt
        for key in sorted(filter(is_time_constant, parameters)) if self.options.scheme == "euler" else ():
            if (parameters[key] < dt).any():
                warnings.warn(
                    f"node {name!r}: dt {dt:g} s is larger than {key} {parameters[key].min():g} s; "
                    "forward Euler overshoots there: take a smaller dt or scheme='exponential'",
                    stacklevel=6,
                )
