"""Turns a checked graph into a program: node by node in the order of the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np

from hybrid_control.snn.backends.numba.delays import Rings
from hybrid_control.snn.backends.numba.kernels.arena import Ref
from hybrid_control.snn.backends.numba.kernels.maps import Scale, Threshold
from hybrid_control.snn.backends.numba.kernels.step import step_arena
from hybrid_control.snn.backends.numba.learning import add_learning
from hybrid_control.snn.backends.numba.memory import Array, Memory
from hybrid_control.snn.backends.numba.populations import Populations
from hybrid_control.snn.backends.numba.projections import Drive, Projections, Storage
from hybrid_control.snn.backends.numba.schedule import MAPS, Schedule, delays
from hybrid_control.snn.backends.numba.wiring import Value, Wiring
from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.checks import GraphError
from hybrid_control.snn.nir.graph import FlatGraph, Node
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.options import Options
from hybrid_control.snn.plasticity import STDP


class Program:
    """A graph's program and where everything in its arena is; `Engine` compiles it and runs it."""

    def __init__(
        self,
        flat: FlatGraph,
        options: Options,
        drive: Mapping[str, Drive],
        storage: Mapping[str, Storage],
        plasticity: Mapping[str, STDP],
    ) -> None:
        self.schedule = schedule = Schedule(flat, options)
        self.memory = Memory(options.dtype)
        self.wiring = Wiring(schedule, self.memory)
        self.rings = Rings(self.wiring)
        self._populations = Populations(self.wiring, options)
        self._projections = Projections(self.rings, drive, storage, frozenset(plasticity))
        self.thresholds: dict[str, Ref] = {}  # their counts of spikes
        for name in sorted(flat.nodes):
            if isinstance(flat.nodes[name].nir, nir.Input):
                self.wiring.values[name] = Value(self.memory.input(flat.nodes[name].size_out))
        does = {"take": self.rings.take, "push": self.wiring.push, "add": self._add, "put": self._put}
        for action, name in schedule.actions():
            does[action](name)
        silent = _silent(schedule, options)
        self.wiring.begin(silent)
        self.rings.begin(silent)
        self._projections.check_choices()
        self.rules = {
            name: add_learning(self._projections, name, plasticity[name]) for name in sorted(plasticity)
        }
        self.neurons, self.projections = self._populations.neurons, self._projections.projections

    def _put(self, name: str) -> None:
        """What a node with a delay sends on its way."""
        node = self.schedule.nodes[name]
        if isinstance(node.nir, nir.Delay):
            self.rings.put(name)
        else:
            self._projections.add_linear(node)

    def _add(self, name: str) -> None:
        node = self.schedule.nodes[name]
        if model_of(node.nir) is not None:
            self._populations.add(node)
        elif isinstance(node.nir, (nir.Linear, nir.Affine, SparseLinear)):
            self._projections.add_linear(node)
        elif isinstance(node.nir, (nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d)):
            self._projections.add_window(node)
        elif isinstance(node.nir, nir.Scale):
            self._scale(name, node.nir)
        elif isinstance(node.nir, nir.Threshold):
            self._threshold(name, node.nir)
        elif self.schedule.passes(name):
            self.wiring.pass_on(name)
        else:
            raise GraphError(f"node {name!r}: {node.kind} cannot be run")

    def _scale(self, name: str, scale: nir.Scale) -> None:
        node, source = self.schedule.nodes[name], self.wiring.read(name)
        out, zero = self.wiring.write(name)
        gain = self.memory.one()
        factors = self.memory.parameters(self.memory.cast(name, node.spread(scale.scale)))
        self.memory.op(Scale(node.size_out, source.x, factors, gain, out, zero, source.clear))

    def _threshold(self, name: str, threshold: nir.Threshold) -> None:
        node, source = self.schedule.nodes[name], self.wiring.read(name)
        levels = self.memory.parameters(self.memory.cast(name, node.spread(threshold.threshold)))
        self.thresholds[name] = counter = self.memory.counter(f"{name}.spikes")
        out = self.wiring.value(name).out
        self.memory.op(Threshold(node.size_out, source.x, levels, out, source.clear, counter))


def _silent(schedule: Schedule, options: Options) -> dict[str, Array]:
    """What the sources of recurrent edges give when no neuron, input or delay has given anything yet, where not 0.

    It is there in the first tick, as if the network had been silent before: the bias of an Affine, for instance.
    The maps alone are run for one tick, with each recurrent edge cut.
    """
    graph = silent_maps(schedule)
    if not any(_offset(node) for node in graph.nodes.values()):
        return {}
    program = Program(graph, replace(options, recurrent_delay=1), {}, {}, {})
    arena = program.memory.finish()
    step_arena(int(arena.words.ctypes.data))
    return {
        name: arena.view(
            program.wiring.values[name].out, (graph.nodes[name].size_out,), program.memory.dtype
        ).copy()
        for name in schedule.recurrent & set(graph.nodes)
    }


def silent_maps(schedule: Schedule) -> FlatGraph:
    """The maps that lead to recurrent edges, with these edges cut: one tick of it is what they give for silence."""
    maps, waiting = dict[str, Node](), sorted(schedule.recurrent)
    while waiting:
        name = waiting.pop()
        node = schedule.nodes[name]
        if name not in maps and not delays(node) and (_is_map(node) or schedule.passes(name)):
            maps[name] = node
            waiting += schedule.sources[name]
    edges = [(a, b) for a, b in schedule.edges if a in maps and b in maps and (a, b) not in schedule.late]
    for source in schedule.recurrent & set(maps):  # something to read it from, where it adds straight to a target
        shape = maps[source].shape_out
        maps[f"{source}->"] = Node(f"{source}->", None, shape, shape)
        edges.append((source, f"{source}->"))
    return FlatGraph(maps, tuple(edges))


def _is_map(node: Node) -> bool:
    return isinstance(node.nir, (*MAPS, nir.Threshold))


def _offset(node: Node) -> bool:
    """Whether a map gives something for nothing."""
    if isinstance(node.nir, nir.Threshold):
        return bool((np.asarray(node.nir.threshold) < 0).any())
    return bool(np.asarray(getattr(node.nir, "bias", 0)).any())
