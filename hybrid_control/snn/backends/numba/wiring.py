"""Where nodes read and write in the arena: what each gives, and what gathers for those that take from several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hybrid_control.snn.backends.numba.kernels.arena import Ref
from hybrid_control.snn.backends.numba.kernels.maps import Add
from hybrid_control.snn.backends.numba.kernels.spikes import Scan
from hybrid_control.snn.backends.numba.memory import LINE, Array, Memory, padded
from hybrid_control.snn.backends.numba.schedule import Schedule
from hybrid_control.snn.neurons import model_of


@dataclass(frozen=True)
class Value:
    """What a node gives: where its values are, and its list of non-zero ones where it keeps one."""

    out: Ref
    listed: Ref | None = None


@dataclass(frozen=True)
class Source:
    """What a node reads: where it is, its list of non-zero values if there is one, and whether to clear it."""

    x: Ref
    listed: Ref | None
    clear: int


class Wiring:
    """The values of a schedule's nodes, each allocated when the first op needs it."""

    def __init__(self, schedule: Schedule, memory: Memory) -> None:
        self.schedule, self.memory = schedule, memory
        self.values: dict[str, Value] = {}
        self._gathered: dict[str, Ref] = {}
        self._scans: dict[Ref, Ref] = {}

    def value(self, name: str) -> Value:
        """What a node gives; made ahead of its turn where a late edge reads it."""
        if name not in self.values:
            node, model = self.schedule.nodes[name], model_of(self.schedule.nodes[name].nir)
            if model is not None and not model.spiking:
                self.values[name] = Value(self.variables(name))
            else:
                out = self.memory.buffer(f"{name}.output", node.size_out)
                listed = self.memory.list(f"{name}.listed", node.size_out) if node.spiking else None
                self.values[name] = Value(out, listed)
        return self.values[name]

    def variables(self, name: str) -> Ref:
        """Room for a population's variables, one padded row each; the first is the voltage."""
        node, model = self.schedule.nodes[name], model_of(self.schedule.nodes[name].nir)
        assert model is not None
        first = None
        for variable in model.variables:
            block = np.zeros(padded(node.size_out), self.memory.dtype)
            ref = self.memory.state(f"{name}.{variable}", block, LINE if first is None else block.itemsize)
            self.memory.named[f"{name}.{variable}"] = ref, node.shape_out, block.dtype
            first = first or ref
        assert first is not None
        return first

    def gathered(self, name: str) -> Ref:
        """Where what a node takes from several is added up."""
        if name not in self._gathered:
            self._gathered[name] = self.memory.buffer(f"{name}.input", self.schedule.nodes[name].size_in)
        return self._gathered[name]

    def read(self, name: str) -> Source:
        """Where a node's input is."""
        if self.schedule.pulls(name):
            value = self.value(self.schedule.sources[name][0])
            return Source(value.out, value.listed, 0)
        return Source(self.gathered(name), None, 1)

    def write(self, name: str) -> tuple[Ref, int]:
        """Where a map adds what it gives, and whether that is to be set to zero before."""
        if self.schedule.fused(name):
            return self.gathered(self.schedule.targets[name][0]), 0
        return self.value(name).out, 1

    def listed(self, name: str, source: Source) -> Ref:
        """The list of a node's non-zero inputs, made by a scan where nobody keeps one."""
        if source.listed is not None:
            return source.listed
        schedule = self.schedule
        steady = schedule.pulls(name) and (schedule.sources[name][0], name) not in schedule.late
        if steady and source.x in self._scans:
            return self._scans[source.x]
        size = schedule.nodes[name].size_in
        listed = self.memory.list(f"{name}.scan", size)
        self.memory.op(Scan(size, source.x, listed))
        if steady:
            self._scans[source.x] = listed
        return listed

    def push(self, name: str) -> None:
        """Add what a node gives to the targets that gather from several."""
        if self.schedule.fused(name):
            return
        for target in self.schedule.targets[name]:
            if not self.schedule.pulls(target):
                size = self.schedule.nodes[name].size_out
                self.memory.op(Add(size, self.value(name).out, self.gathered(target), zero=0, clear=0))

    def begin(self, silent: Mapping[str, Array]) -> None:
        """What late edges deliver in the first tick, by their source."""
        first, schedule = self.memory.first, self.schedule
        for a, b in sorted(edge for edge in schedule.late if edge[0] in silent):
            if schedule.pulls(b):
                first[self.value(a).out] = silent[a]
                continue
            place = self.gathered(b)
            first[place] = silent[a] + first[place] if place in first else silent[a]

    def pass_on(self, name: str) -> None:
        """A node that gives what it takes: the same place, unless a tick lies between."""
        schedule = self.schedule
        in_time = all(edge not in schedule.late for edge in schedule.edges if name in edge)
        if schedule.pulls(name) and in_time and name not in self.values:
            self.values[name] = self.value(schedule.sources[name][0])
            return
        source = self.read(name)
        size = schedule.nodes[name].size_out
        self.memory.op(Add(size, source.x, self.value(name).out, zero=1, clear=source.clear))
