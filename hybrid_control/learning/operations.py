"""What each node of a graph does in a tick, on tensors: the torch side of the engine's ops."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from hybrid_control.learning.arrays import coefficients
from hybrid_control.learning.parameters import Parameters
from hybrid_control.learning.propagation import (
    Sliding,
    add_rows,
    add_synapses,
    add_windows,
    compiled_for,
    is_dense,
    lists,
)
from hybrid_control.learning.surrogates import Surrogate, spike
from hybrid_control.learning.tracing import stepper
from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.checks import GraphError
from hybrid_control.snn.nir.graph import Node
from hybrid_control.snn.nir.windows import window
from hybrid_control.snn.options import Options

Map = Callable[[Tensor, Tensor], Tensor]
"""(what has been added up so far, what comes in) to their sum, both (batch, values)."""
Scatter = Callable[[dict[int, Tensor], int, Tensor], None]
"""(what is on its way, by the tick in which it arrives; this tick; what comes in); adds to the first."""
Step = Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, tuple[Tensor, ...]]]
"""(what comes in, variables) to (what a population gives, variables)."""


class Operation(abc.ABC):
    """A node's work, apart from where it reads and writes; `bind` gives it with the parameters as they are now."""

    def __init__(self, node: Node, parameters: Parameters) -> None:
        self.node, self.parameters = node, parameters

    @abc.abstractmethod
    def bind(self) -> Any:
        """A Map, a Step or a Scatter."""


class Pass(Operation):
    """Gives what it takes."""

    def bind(self) -> Map:
        """A Map."""
        return lambda total, x: total + x


class Weighted(Operation):
    """Linear, Affine, Conv1d, Conv2d, SparseLinear without delays."""

    def __init__(self, node: Node, parameters: Parameters) -> None:
        super().__init__(node, parameters)
        self._synapses = None if is_dense(node) else lists(node, None).get(0)
        self._over = None
        if self._synapses is not None and isinstance(node.nir, (nir.Conv1d, nir.Conv2d)):
            self._over = Sliding.of(node, self._synapses)

    def bind(self) -> Map:
        """A Map."""
        weights, bias = self.parameters.values(self.node.name, "weight"), self._bias()
        synapses, over = self._synapses, self._over
        if is_dense(self.node):
            rows = weights.T.contiguous()

            def matrix(total: Tensor, x: Tensor) -> Tensor:
                added = add_rows(total, x, rows)
                return added if bias is None else added + bias

            return matrix
        if over is not None:
            numbers = None
            if compiled_for(weights):
                numbers = weights.detach().numpy().reshape(-1)[over.synapses.index.numpy()]

            def slid(total: Tensor, x: Tensor) -> Tensor:
                added = add_windows(total, x, weights, numbers, over)
                return added if bias is None else added + bias

            return slid
        values = weights
        if synapses is not None:
            values = weights.reshape(-1)[synapses.index.to(weights.device)]

        def listed(total: Tensor, x: Tensor) -> Tensor:
            added = total if synapses is None else add_synapses(total, x, values, synapses)
            return added if bias is None else added + bias

        return listed

    def _bias(self) -> Tensor | None:
        name, node = self.node.name, self.node.nir
        if not self.parameters.has(name, "bias"):
            return None
        bias = self.parameters.values(name, "bias")
        if isinstance(node, (nir.Conv1d, nir.Conv2d)):
            bias = bias.reshape(-1, *[1] * (len(self.node.shape_out) - 1))
        return bias.expand(self.node.shape_out).reshape(-1)


class Delayed(Operation):
    """SparseLinear with delays: a Scatter."""

    def __init__(self, node: Node, parameters: Parameters, steps: Any) -> None:
        super().__init__(node, parameters)
        self._synapses = lists(node, steps)

    def bind(self) -> Scatter:
        """A Scatter."""
        weights, size = self.parameters.values(self.node.name, "weight"), self.node.size_out
        groups = {delay: (weights[s.index.to(weights.device)], s) for delay, s in self._synapses.items()}

        def scatter(coming: dict[int, Tensor], tick: int, x: Tensor) -> None:
            for delay, (values, synapses) in groups.items():
                total = coming.get(tick + delay)
                total = x.new_zeros(len(x), size) if total is None else total
                coming[tick + delay] = add_synapses(total, x, values, synapses)

        return scatter


class Scaled(Operation):
    """Scale."""

    def bind(self) -> Map:
        """A Map."""
        scale = self.parameters.values(self.node.name, "scale")
        factors = scale.expand(self.node.shape_out).reshape(-1)
        return lambda total, x: total + factors * x


class Pool(Operation):
    """SumPool2d, AvgPool2d."""

    def __init__(self, node: Node, parameters: Parameters) -> None:
        super().__init__(node, parameters)
        self._synapses = lists(node, None)[0]

    def bind(self) -> Map:
        """A Map."""
        synapses, brought = self._synapses, self.parameters.brought
        ones = brought(torch.ones(len(synapses.index)))
        size = 1.0
        if isinstance(self.node.nir, nir.AvgPool2d):
            size = float(np.prod(window(self.node.name, self.node.nir).kernel))
        factor = brought(torch.tensor(1.0 / size, dtype=torch.float64))
        return lambda total, x: total + factor * add_synapses(torch.zeros_like(total), x, ones, synapses)


class Above(Operation):
    """Threshold."""

    def __init__(self, node: Node, parameters: Parameters, surrogate: Surrogate) -> None:
        super().__init__(node, parameters)
        self._surrogate = surrogate

    def bind(self) -> Map:
        """A Map."""
        level = self.parameters.values(self.node.name, "threshold")
        levels, surrogate = level.expand(self.node.shape_out).reshape(-1), self._surrogate
        return lambda total, x: spike(x, levels, False, surrogate)


class Population(Operation):
    """Neurons of any type: a Step."""

    def __init__(self, node: Node, parameters: Parameters, surrogate: Surrogate, options: Options) -> None:
        super().__init__(node, parameters)
        model = model_of(node.nir)
        assert model is not None
        self.model, self._options = model, options
        self._keys = (*model.parameters, *model.whole)
        setting = model.setting({key: parameters.exact(node.name, key) for key in self._keys}, options)
        self._step = stepper(model, setting, surrogate)

    def bind(self) -> Step:
        """A Step."""
        name = self.node.name
        values = {key: self.parameters.exact(name, key) for key in self._keys}
        exact = coefficients(self.model, values, self.parameters.tracked(name), self._options)
        rows = [self.parameters.brought(row).expand(self.node.shape_out).reshape(-1) for row in exact]
        step = self._step

        def tick(x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
            spikes, after = step(x, states, rows)
            return after[0] if spikes is None else spikes, after

        return tick


def operation(
    node: Node, parameters: Parameters, surrogate: Surrogate, options: Options, steps: Any
) -> Operation:
    """The operation of a node that is no Input and no Delay. steps: the delays of a SparseLinear that has some."""
    if model_of(node.nir) is not None:
        return Population(node, parameters, surrogate, options)
    if steps is not None:
        return Delayed(node, parameters, steps)
    if isinstance(node.nir, nir.Scale):
        return Scaled(node, parameters)
    if isinstance(node.nir, nir.Threshold):
        return Above(node, parameters, surrogate)
    if isinstance(node.nir, (nir.SumPool2d, nir.AvgPool2d)):
        return Pool(node, parameters)
    if parameters.has(node.name, "weight"):
        return Weighted(node, parameters)
    if node.nir is None or isinstance(node.nir, (nir.Output, nir.Flatten)):
        return Pass(node, parameters)
    raise GraphError(f"node {node.name!r}: {node.kind} cannot be trained through")
