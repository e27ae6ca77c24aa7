"""Delays: the rings that hold what is on its way, for Delay nodes and for synapses with delays of their own."""

from __future__ import annotations

from collections.abc import Mapping

import nir
import numpy as np

from hybrid_control.snn.backends.numba.kernels.arena import Ref
from hybrid_control.snn.backends.numba.kernels.maps import DelayRead, DelayWrite
from hybrid_control.snn.backends.numba.kernels.synapses import Drain
from hybrid_control.snn.backends.numba.memory import Array
from hybrid_control.snn.backends.numba.schedule import MAX_DELAY_LINE
from hybrid_control.snn.backends.numba.wiring import Wiring
from hybrid_control.snn.nir.checks import GraphError


class Rings:
    """The rings of a program, by node."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring, self.schedule, self.memory = wiring, wiring.schedule, wiring.memory
        self._rings: dict[str, Ref] = {}

    def ring(self, name: str) -> tuple[Ref, int]:
        """A node's ring, and its length in ticks."""
        size = self.schedule.nodes[name].size_out
        length = int(self.schedule.steps(name).max(initial=0)) + 1
        if length * size > MAX_DELAY_LINE:
            raise GraphError(f"node {name!r}: a delay of {length - 1} ticks for {size} values is too long")
        if name not in self._rings:
            self._rings[name] = self.memory.state(f"{name}.ring", np.zeros(length * size, self.memory.dtype))
        return self._rings[name], length

    def begin(self, silent: Mapping[str, Array]) -> None:
        """What the delays in lengthened edges deliver before anything has passed them, by their source."""
        for name, source in self.schedule.lengthened.items():
            if source in silent:
                ring, length = self.ring(name)
                self.memory.first[ring] = np.tile(silent[source], length)

    def take(self, name: str) -> None:
        """What arrives in this tick."""
        node = self.schedule.nodes[name]
        ring, length = self.ring(name)
        if isinstance(node.nir, nir.Delay):
            steps = self.memory.parameters(self.schedule.steps(name))
            self.memory.op(DelayRead(node.size_out, ring, length, steps, self.wiring.value(name).out))
        else:
            out, zero = self.wiring.write(name)
            self.memory.op(Drain(node.size_out, ring, length, out, zero))

    def put(self, name: str) -> None:
        """What a Delay takes in this tick."""
        ring, length = self.ring(name)
        source = self.wiring.read(name)
        self.memory.op(DelayWrite(self.schedule.nodes[name].size_out, ring, length, source.x, source.clear))
