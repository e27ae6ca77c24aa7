"""NeuroBench's metrics of a NIR graph, under its names: what it holds, and what it did while its mirror ran it.

NeuroBench counts what goes in and out of torch layers; this counts the same of a graph's nodes, at the values that the
mirror, and so the engine, has to the bit. Definitions: J. Yik et al., "NeuroBench: a framework for benchmarking
neuromorphic computing algorithms and systems", Nature Communications 16, 2025, as its package 2.3 has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_control.learning.mirror import Mirror, State, Tap
from hybrid_control.learning.operations import Operation
from hybrid_control.learning.propagation import lists
from hybrid_control.snn.backends.numba.schedule import delays
from hybrid_control.snn.energy import HOROWITZ_45NM, EnergyConstants
from hybrid_control.snn.network import Network
from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.graph import Node
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.options import Options

Array = NDArray[Any]
Seer = Callable[[Sequence[Any], Any], None]
"""Sees the arguments and the result of each call of an operation."""

CONNECTIONS = (nir.Linear, nir.Affine, nir.Conv1d, nir.Conv2d, SparseLinear)
"""What NeuroBench has a layer for: only their products are synaptic operations."""
PLACES = ("pre", "post", "delay")  # of a SparseLinear's synapses; an int32 each
PLACE_BYTES = 4


@dataclass(frozen=True)
class Metrics:
    """NeuroBench's numbers; operations and updates are means over the samples.

    footprint: bytes of all that the graph holds, of its neurons' variables and of what its delays keep.
    connection_sparsity: share of weights that are 0. activation_sparsity: share of values that spiking populations and
    Thresholds gave which are 0. effective_macs: products of a value and a weight that are both not 0, in ticks in which
    some of a node's values are none of -1, 0 and 1. effective_acs: the same where all are. dense: all products, of
    zeros too; a SparseLinear has those that it lists. membrane_updates: voltages that a tick changed, and each in the
    first tick.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    effective_macs: float
    effective_acs: float
    dense: float
    membrane_updates: float

    def named(self) -> dict[str, Any]:
        """As NeuroBench's Benchmark.run returns them."""
        return {
            "Footprint": self.footprint,
            "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": {
                "Effective_MACs": self.effective_macs,
                "Effective_ACs": self.effective_acs,
                "Dense": self.dense,
            },
            "MembraneUpdates": self.membrane_updates,
        }

    def joules(self, constants: EnergyConstants = HOROWITZ_45NM) -> float:
        """Of a sample's effective operations."""
        return 1e-12 * (
            self.effective_macs * constants.mac_pj + self.effective_acs * constants.synaptic_event_pj
        )


class _Watched(Operation):
    """An operation of which something sees the arguments and the result of each call."""

    def __init__(self, inner: Operation, see: Seer) -> None:
        super().__init__(inner.node, inner.parameters)
        self._inner, self._see = inner, see

    def bind(self) -> Any:
        """What the operation gives, watched."""
        call, see = self._inner.bind(), self._see

        def watched(*arguments: Any) -> Any:
            result = call(*arguments)
            see(arguments, result)
            return result

        return watched


@dataclass
class _Counts:
    """Sums since the start."""

    samples: int = 0
    macs: int = 0
    acs: int = 0
    products: int = 0
    updates: int = 0
    values: int = 0
    zeros: int = 0


class Meter(Mirror):
    """A mirror that counts what it does: run it as any, then ask for `metrics`. Nothing of it is trained.

    A sample is an item of a batch with all its ticks. Where a call goes on from a state, no tick is its first.
    """

    def __init__(self, graph: Network | nir.NIRGraph, options: Options = Options()) -> None:
        super().__init__(graph, options, free=())
        self._counts, self._begun, self._counting = _Counts(), set[str](), True
        for name, operation in list(self._operations.items()):
            see = self._seer(operation.node)
            if see is not None:
                self._operations[name] = _Watched(operation, see)

    def _seer(self, node: Node) -> Seer | None:
        """What looks at a node's calls; None for a node that NeuroBench does not count."""
        model = model_of(node.nir)
        if isinstance(node.nir, CONNECTIONS):
            return self._synapses(*_fan_out(node, self._steps(node)))
        if model is not None:
            return self._membranes(node.name, model.spiking)
        return (lambda _, given: self._given(given)) if isinstance(node.nir, nir.Threshold) else None

    def _steps(self, node: Node) -> Array | None:
        return self.schedule.steps(node.name) if delays(node) else None

    def clear(self) -> None:
        """Count from zero again."""
        self._counts = _Counts()

    def start(self, batch: int, given: Mapping[Tap, Tensor] | None = None) -> State:
        """As a mirror's; what is worked out for it is not counted."""
        self._counting = False
        try:
            return super().start(batch, given)
        finally:
            self._counting = True

    @torch.no_grad()
    def forward(
        self, x: Tensor | Mapping[str, Tensor], state: State | None = None, taps: Sequence[Tap] | None = None
    ) -> tuple[list[Tensor], State]:
        """As a mirror's."""
        self._begun = set() if state is None else set(state.variables)
        found, after = super().forward(x, state, taps)
        self._counts.samples += after.batch
        return found, after

    def _synapses(self, fan_out: Array, products: int) -> Seer:
        def see(arguments: Sequence[Any], result: Any) -> None:
            if not self._counting:
                return
            x, counts = arguments[-1].numpy(), self._counts  # of a Map and of a Scatter the last
            operations = int(np.count_nonzero(x, axis=0) @ fan_out)
            if np.all((x == 0) | (np.abs(x) == 1)):
                counts.acs += operations
            else:
                counts.macs += operations
            counts.products += len(x) * products

        return see

    def _membranes(self, name: str, spiking: bool) -> Seer:
        def see(arguments: Sequence[Any], result: Any) -> None:
            before, (given, after) = arguments[1][0], result  # the voltage is the first variable
            first = name not in self._begun
            self._begun.add(name)
            self._counts.updates += after[0].numel() if first else int((before != after[0]).sum())
            if spiking:
                self._given(given)

        return see

    def _given(self, given: Tensor) -> None:
        """Activations: a Threshold's, which may be worked out for the start too, and a spiking population's."""
        if self._counting:
            self._counts.values += given.numel()
            self._counts.zeros += given.numel() - int(torch.count_nonzero(given))

    def metrics(self, samples: int | None = None) -> Metrics:
        """Since the start, or `clear`. samples: by how many to divide, if not by items; by ticks, for example."""
        counts = self._counts
        samples = counts.samples if samples is None else samples
        if samples < 1:
            raise ValueError("no sample was run yet")
        nodes = list(self.schedule.nodes.values())
        weights = [np.asarray(n.nir.weight) for n in nodes if isinstance(n.nir, CONNECTIONS)]
        held = sum(w.size for w in weights)
        zeros = held - sum(int(np.count_nonzero(w)) for w in weights)
        return Metrics(
            sum(self._bytes(node) for node in nodes if node.nir is not None),
            round(zeros / held, 4) if held else 0.0,
            counts.zeros / counts.values if counts.values else 0.0,
            counts.macs / samples,
            counts.acs / samples,
            counts.products / samples,
            counts.updates / samples,
        )

    def _bytes(self, node: Node) -> int:
        value, total, steps = np.dtype(self.options.dtype).itemsize, 0, self._steps(node)
        for key, array in vars(node.nir).items():
            if isinstance(array, np.ndarray) and key not in ("shape", "input_shape"):
                total += array.size * (PLACE_BYTES if key in PLACES else value)
        model = model_of(node.nir)
        if model is not None:
            total += len(model.variables) * node.size_out * value
        if steps is not None:
            total += _kept(node, steps) * value
        return total


def _kept(node: Node, steps: Array) -> int:
    """Values that a delay has to keep: of each neuron for as long as its longest delay."""
    if not isinstance(node.nir, SparseLinear):
        return int(steps.sum())
    longest = np.zeros(node.size_in, np.int64)
    np.maximum.at(longest, node.nir.pre, steps)
    return int(longest.sum())


def _fan_out(node: Node, steps: Array | None) -> tuple[Array, int]:
    """Of each value that comes in, how many weights it reaches that are not 0; and all products of a tick."""
    assert isinstance(node.nir, CONNECTIONS)
    weight = np.asarray(node.nir.weight)
    reached, products = np.zeros(node.size_in, np.int64), 0
    for synapses in lists(node, steps).values():
        pre = np.repeat(np.arange(node.size_in), np.diff(synapses.pointer))
        np.add.at(reached, pre, weight.reshape(-1)[synapses.index.numpy()] != 0)
        products += pre.size
    if isinstance(node.nir, (nir.Linear, nir.Affine)):
        products = weight.size  # zeros in a matrix are not listed
    return reached, products


def measure(
    graph: Network | nir.NIRGraph, x: Tensor | Mapping[str, Tensor], options: Options = Options()
) -> Metrics:
    """Of a graph on inputs (batch, ticks, *shape), or such by name."""
    meter = Meter(graph, options)
    meter(x)
    return meter.metrics()
