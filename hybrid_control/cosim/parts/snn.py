"""A spiking network as a part: a NIR file, a Network or a nir.NIRGraph, on any back end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import nir
import numpy as np

from hybrid_control.cosim.block import CompiledPart, words
from hybrid_control.cosim.kernels import parts
from hybrid_control.cosim.part import Array, Port, Runs, Updates
from hybrid_control.snn.backends.backend import Backend
from hybrid_control.snn.backends.numba.engine import Engine


class SnnPart:
    """A back end that is stepped a tick a run; a run's period is its tick. On the numba engine it is an `EnginePart`.

    Inputs: those of the network, currents or spike counts; and "POPULATION.voltage", a state that is written before
    the tick at which it arrives. Outputs: those of the network, and each of `taps`: a population's name for its spikes,
    or "POPULATION.voltage" and the like for a variable.
    """

    def __init__(self, backend: Backend, taps: Sequence[str] = ()) -> None:
        self._backend = backend
        inputs = {name: Port("values", backend.node(name).shape_out) for name in backend.input_names}
        for population in backend.populations:
            for variable in backend.variables(population):
                inputs[f"{population}.{variable}"] = Port("states", backend.node(population).shape_out)
        self.inputs: Mapping[str, Port] = inputs
        outputs: dict[str, Port] = {}
        self.outputs: Mapping[str, Port] = outputs
        self._taps: list[tuple[str, str]] = []
        for tap in (*backend.output_names, *taps):
            node, _, what = tap.partition(".")
            if tap not in outputs:
                outputs[tap] = Port(_kind(backend, node, what), backend.node(node).shape_out)
                self._taps.append((node, what or "output"))
        self._start = backend.state()

    def reset(self, seed: int) -> None:
        """Back to before the first tick."""
        self._backend.reset()
        self._backend.set_state(self._start)

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """A tick a run; states that arrive are written between two."""
        backend, dtype = self._backend, self._backend.dtype
        blocks = []
        for name in backend.input_names:
            size = self.inputs[name].size
            rows = inputs.get(name)
            blocks.append(
                np.zeros((runs.count, size), dtype) if rows is None else rows.astype(dtype, copy=False)
            )
        rows = np.ascontiguousarray(blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1))
        updates = [(name, value) for name, value in inputs.items() if isinstance(value, Updates)]
        cuts = sorted({0, *(int(i) for _, u in updates for i in u.before)})
        results: list[list[Array]] = []
        for first, last in zip(cuts, [*cuts[1:], runs.count], strict=True):
            for name, update in updates:
                for i in np.flatnonzero(update.before == first):
                    self._write(name, update.values[i])
            results.append(backend.advance(rows[first:last], self._taps))
        joined = (
            results[0]
            if len(results) == 1
            else [np.concatenate(parts) for parts in zip(*results, strict=True)]
        )
        return {name: block.reshape(runs.count, -1) for name, block in zip(self.outputs, joined, strict=True)}

    def _write(self, name: str, values: Array) -> None:
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: a state that is not finite")
        self._backend.set_state({name: values.reshape(self.inputs[name].shape)})

    def state(self) -> Any:
        """Of the back end."""
        return self._backend.state()

    def set_state(self, state: Any) -> None:
        """Of the back end."""
        self._backend.set_state(state)

    @property
    def backend(self) -> Backend:
        """What runs it: counters and energy are there."""
        return self._backend


class EnginePart(SnnPart, CompiledPart):
    """A network on the numba engine: all ticks between two meetings in compiled code."""

    def __init__(self, engine: Engine, taps: Sequence[str] = ()) -> None:
        super().__init__(engine, taps)
        self._engine = engine
        views = [engine.read(*tap) for tap in self._taps]
        places = [(int(view.ctypes.data) - engine.address, view.size) for view in views]
        sizes = [self.inputs[name].size for name in engine.input_names]
        self.function = parts.address_of(parts.spiking)
        # a variable is recorded in every tick, so every tick is then done
        spikes_alone = all(what == "output" for _, what in self._taps)
        self._quiet = engine.quiet_ops() if spikes_alone else np.empty(0, np.int64)
        neurons = sum(engine.node(name).size_out for name in engine.populations)
        self._scratch = np.zeros(2 * neurons + 1, engine.dtype)
        self.data = words(
            engine.address, len(sizes), len(places), len(self.inputs),
            self._quiet.ctypes.data, self._quiet.size, self._scratch.ctypes.data, 0, sizes, *places,
        )  # fmt: skip
        self.memory = {
            name: (int(engine.read(*name.rsplit(".", 1)).ctypes.data), engine.dtype.itemsize)
            for name, port in self.inputs.items()
            if port.kind == "states"
        }

    def reset(self, seed: int) -> None:
        """Back to before the first tick."""
        super().reset(seed)
        self.data[7] = 0

    @property
    def steps(self) -> int:
        """How many steps it took for its ticks: of those in a row in which nothing arrived and nothing fired, one."""
        return self._engine.ticks - int(self.data[7])

    def refusal(self, inputs: Mapping[str, Array]) -> str:
        """Of what can't be an input."""
        return f"an input that {self.backend.dtype} does not hold"


def _kind(backend: Backend, node: str, what: str) -> Any:
    """Whether a tap gives spikes, or values."""
    if what not in ("", "output"):
        return "values"
    while isinstance(backend.node(node).nir, nir.Output):
        sources = [a for a, b in backend.graph.edges if b == node]
        if len(sources) != 1:
            return "values"
        node = sources[0]
    return "spikes" if backend.node(node).spiking else "values"


def load(graph: Any, *, dt: float, taps: Sequence[str] = (), **options: Any) -> EnginePart:
    """A part on the numba engine; graph as `Engine` takes it, dt in seconds. GraphError where it cannot be run."""
    return EnginePart(Engine(graph, dt=dt, **options), taps)
