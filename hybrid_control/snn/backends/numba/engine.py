"""The engine: a spiking network compiled into one block of memory and stepped tick by tick."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import nir
import numpy as np
from numba.core.errors import NumbaTypeError
from numpy.typing import ArrayLike, NDArray

from hybrid_control.snn.backends.numba import kernels as k
from hybrid_control.snn.backends.numba.compiler import (
    Compiler,
    Drive,
    Neuron,
    Options,
    Ref,
    Storage,
    coefficients,
    uniform,
)
from hybrid_control.snn.energy import HOROWITZ_45NM, Counters, Energy, EnergyConstants, estimate
from hybrid_control.snn.network import Network
from hybrid_control.snn.nir.files import Node, check_parameters, flatten
from hybrid_control.snn.plasticity import STDP

Array = NDArray[Any]


class Engine:
    """A spiking network that is stepped one tick at a time.

    graph: a Network or a nir.NIRGraph; further arguments are the fields of `Options` (dt, dtype, scheme, reset,
    if_step, order, initial, recurrent_delay). drive and storage say, per projection, how it is propagated
    ("event" or "dense") and how its weights are kept ("rows" or "csr"); what is not said is chosen, and
    `explain` tells what was. GraphError (a ValueError) where the graph cannot be run.

    All state is in `arena`; views given out by the methods below point into it and stay valid.
    """

    def __init__(
        self,
        graph: Network | nir.NIRGraph,
        *,
        drive: Mapping[str, Drive] | None = None,
        storage: Mapping[str, Storage] | None = None,
        plasticity: Mapping[str, STDP] | None = None,
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        self.graph = flatten(graph.to_nir() if isinstance(graph, Network) else graph)
        self._plan = plan = Compiler(self.graph, self.options, drive or {}, storage or {}, plasticity or {})
        self.arena, self._bases = plan.arena()
        self.address = int(self.arena.ctypes.data)
        self.dtype = plan.dtype
        self.input_names = tuple(plan.inputs)
        self.output_names = tuple(
            sorted(n for n, v in self.graph.nodes.items() if isinstance(v.nir, nir.Output))
        )
        self._step_input = k.step_input(self.dtype.itemsize)
        self._inputs = {n: self.input(n) for n in self.input_names}
        self._outputs = {n: self.output(n) for n in self.output_names}
        self._input_size = int(self.arena[k.H_INPUT_SIZE])
        self._result = self._outputs[self.output_names[0]] if len(self.output_names) == 1 else self._outputs
        start = int(self.arena[k.H_STATE]) // 8
        self._state = self.arena[start : start + -(-int(self.arena[k.H_STATE_SIZE]) // 8)]
        self._initial = self._state.copy()

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the nodes that hold neurons."""
        return tuple(sorted(self._plan.neurons))

    @property
    def synapses(self) -> dict[str, int]:
        """Synapses by projection: weights that are not zero, and for a convolution its weights times their places."""
        return {name: p.synapses for name, p in sorted(self._plan.projections.items())}

    def offset(self, ref: Ref) -> int:
        """Bytes from the start of the arena."""
        return self._bases[ref.region] + ref.offset

    def _view(self, ref: Ref, size: int, dtype: Any = None) -> Array:
        dtype = np.dtype(dtype or self.dtype)
        start = self.offset(ref)
        return self.arena.view(np.uint8)[start : start + size * dtype.itemsize].view(dtype)

    def _node(self, name: str) -> Node:
        if name not in self.graph.nodes:
            raise ValueError(f"there is no node {name!r}; there are {sorted(self.graph.nodes)}")
        return self.graph.nodes[name]

    def input(self, name: str) -> Array:
        """Live view of an Input in its shape: currents or spike counts; stays as written until written again."""
        node = self._node(name)
        if name not in self.input_names:
            raise ValueError(f"{name!r} is no input; inputs are {list(self.input_names)}")
        return self._view(self._plan.values[name].out, node.size_out).reshape(node.shape_out)

    def output(self, name: str) -> Array:
        """Live view of what a node gives, in its shape: spikes as 0 and 1, voltages, or values."""
        node = self._node(name)
        if name not in self._plan.values:
            raise ValueError(
                f"{name!r} adds straight to what {self._plan.targets[name][0]!r} takes and keeps no output"
            )
        return self._view(self._plan.values[name].out, node.size_out).reshape(node.shape_out)

    def spikes(self, name: str) -> Array:
        """Live view of a spiking population's spikes of the last tick, 0 or 1."""
        if not self._node(name).spiking:
            raise ValueError(f"{name!r} is a {self._node(name).kind} and does not spike")
        return self.output(name)

    def voltage(self, name: str) -> Array:
        """Live view of a population's membrane potentials, after the reset."""
        node = self._node(name)
        if name not in self._plan.voltage:
            raise ValueError(
                f"{name!r} is a {node.kind} and has no voltage; those with one: {sorted(self._plan.voltage)}"
            )
        return self._view(self._plan.voltage[name], node.size_out).reshape(node.shape_out)

    def current(self, name: str) -> Array:
        """Live view of a population's synaptic currents."""
        node = self._node(name)
        if name not in self._plan.current:
            raise ValueError(f"{name!r} is a {node.kind} and has no synaptic current")
        return self._view(self._plan.current[name], node.size_out).reshape(node.shape_out)

    def projection_gain(self, name: str) -> Array:
        """Live view of one value that multiplies a projection's weights as they are propagated (not its bias)."""
        if name not in self._plan.projections:
            raise ValueError(f"{name!r} is no projection; there are {sorted(self._plan.projections)}")
        return self._view(self._plan.projections[name].gain, 1)

    def recovery(self, name: str) -> Array:
        """Live view of the recovery variables u of an Izhikevich population."""
        node = self._node(name)
        if name not in self._plan.recovery:
            raise ValueError(f"{name!r} is a {node.kind} and has no recovery variable")
        return self._view(self._plan.recovery[name], node.size_out).reshape(node.shape_out)

    def place(self, what: str, name: str) -> int:
        """Bytes from the start of the arena to what a method gives a view of.

        what: "input", "output", "spikes", "voltage", "current", "recovery", "projection_gain" or
        "coefficient"; for the last, the first row of the population's block (see `coefficient`).
        """
        view = self.coefficient(name, 0) if what == "coefficient" else getattr(self, what)(name)
        return int(view.ctypes.data) - self.address

    def parameters(self, population: str) -> dict[str, Array]:
        """A population's parameters as they are now, under NIR's names, each in float64; copies."""
        return {key: value.copy() for key, value in self._neuron(population).parameters.items()}

    def set_parameter(self, population: str, **values: ArrayLike) -> None:
        """Change parameters of a population while it runs: `set_parameter("hidden", tau=0.02, v_threshold=0.8)`.

        Values broadcast to the population's shape. They act from the next tick on; the state stays.
        """
        plan, node = self._neuron(population), self._node(population)
        changed = dict(plan.parameters)
        for key, value in values.items():
            if key not in changed:
                raise ValueError(f"{population!r} is a {node.kind} without {key!r}; it has {list(changed)}")
            array = np.asarray(value, dtype=np.float64)
            try:
                changed[key] = np.array(np.broadcast_to(array, node.shape_out))
            except ValueError:
                raise ValueError(
                    f"{key} of shape {array.shape} for {population!r} of shape {node.shape_out}"
                ) from None
        check_parameters(population, changed)
        rows = coefficients(node.nir, changed, self.options)
        block = self._view(plan.coefficients, len(rows) * node.size_out).reshape(len(rows), -1)
        record = int(self.arena[k.H_PROGRAM]) // 8 + plan.op * k.OP_WORDS
        same = uniform(rows)
        block[:] = self._plan.cast(
            population, [np.broadcast_to(row, node.shape_out).reshape(-1) for row in rows]
        )
        flags = int(self.arena[record + 3])
        self.arena[record + 3] = flags | k.UNIFORM if same else flags & ~k.UNIFORM
        plan.parameters.update(changed)

    def coefficient(self, population: str, row: int) -> Array:
        """Live view of one row of a population's coefficient block (`kernels.K_THRESHOLD` and its like).

        One value where the whole population shares it, else one per neuron. For compiled code that changes
        a threshold or a gain between two ticks; `set_parameter` sets all rows from NIR's parameters.
        """
        plan, node = self._neuron(population), self._node(population)
        record = int(self.arena[k.H_PROGRAM]) // 8 + plan.op * k.OP_WORDS
        size = 1 if int(self.arena[record + 3]) & k.UNIFORM else node.size_out
        place = Ref(plan.coefficients.region, plan.coefficients.offset + row * plan.pitch)
        return self._view(place, size)

    def _neuron(self, name: str) -> Neuron:
        node = self._node(name)
        if name not in self._plan.neurons:
            raise ValueError(
                f"{name!r} is a {node.kind}, no population; there are {sorted(self._plan.neurons)}"
            )
        return self._plan.neurons[name]

    def learning(self, projection: str) -> Array:
        """Live view of one value that multiplies a plastic projection's changes at spikes: 1 learns, 0 does not."""
        return self._rule(projection, 8)

    def reward(self, projection: str) -> Array:
        """Live view of the reward of a projection that learns by RewardSTDP; 0 at the start."""
        if projection in self._plan.learning and not self._plan.learning[projection][1]:
            raise ValueError(f"{projection!r} learns by STDP without a reward")
        return self._rule(projection, 9)

    def _rule(self, projection: str, index: int) -> Array:
        if projection not in self._plan.learning:
            raise ValueError(f"{projection!r} is not plastic; plastic are {sorted(self._plan.learning)}")
        ref = self._plan.learning[projection][0]
        return self._view(Ref(ref.region, ref.offset + index * self.dtype.itemsize), 1)

    def weights(self, projection: str) -> Array:
        """A projection's weights as they are now: a copy, (target, source); for a convolution as NIR has them.

        The gain is not in them. Synapses that join the same two neurons are added up.
        """
        self.projection_gain(projection)
        plan, node = self._plan.projections[projection], self._node(projection)
        if plan.storage == "window":
            shape = np.shape(node.nir.weight)  # type: ignore[union-attr]
            return self._view(plan.weights, math.prod(shape)).reshape(shape).copy()
        if plan.storage == "rows":
            padded = -(-node.size_out // 16) * 16
            return (
                self._view(plan.weights, node.size_in * padded)
                .reshape(-1, padded)[:, : node.size_out]
                .T.copy()
            )
        assert plan.ends is not None
        matrix = np.zeros((node.size_out, node.size_in), self.dtype)
        np.add.at(matrix, (plan.ends[1], plan.ends[0]), self._view(plan.weights, plan.synapses))
        return matrix

    def explain(self) -> str:
        """What was chosen, as lines of text: order of evaluation, late edges, and each projection's propagation."""
        plan = self._plan
        lines = ["order of evaluation: " + ", ".join(n for n in plan.order if n not in plan.starters)]
        if plan.starters:
            lines.append("known when the tick begins (delayed): " + ", ".join(sorted(plan.starters)))
        for a, b in sorted(plan.late):
            lines.append(f"{a} -> {b} delivers one tick late")
        for name, p in sorted(plan.projections.items()):
            lines.append(f"{name}: {p.drive}, weights as {p.storage}, {p.synapses} synapses ({p.why})")
        lines.append(f"arena of {self.arena.nbytes} bytes, {self._state.nbytes} of them state")
        return "\n".join(lines)

    @property
    def ticks(self) -> int:
        """Ticks since the start or the last reset."""
        return int(self.arena[int(self.arena[k.H_TICK]) // 8])

    @property
    def counters(self) -> Counters:
        """Spikes and synaptic events since the start or the last reset."""
        plan = self._plan
        spikes = {n: int(self._view(ref, 1, np.int64)[0]) for n, ref in plan.spike_counter.items()}
        events = {n: int(self._view(p.events, 1, np.int64)[0]) for n, p in plan.projections.items()}
        macs = {n: p.synapses * self.ticks for n, p in plan.projections.items() if p.drive == "dense"}
        updates = {n: self._node(n).size_out * self.ticks for n in plan.neurons}
        return Counters(self.ticks, self.ticks * self.options.dt, spikes, events, macs, updates)

    def energy(self, constants: EnergyConstants = HOROWITZ_45NM) -> Energy:
        """An estimate of what the ticks so far would cost on hardware with such constants; see `energy`."""
        return estimate(self.counters, constants)

    def set_voltage(self, population: str, values: ArrayLike) -> None:
        """Set the membrane potentials of a population from outside; values broadcast to its shape, and are finite."""
        view = self.voltage(population)
        new = np.asarray(values, dtype=self.dtype)
        if not np.isfinite(new).all():
            raise ValueError(f"voltages of {population!r} must be finite")
        try:
            view[...] = new
        except ValueError:
            raise ValueError(
                f"voltages of shape {new.shape} for {population!r} of shape {view.shape}"
            ) from None

    def step(self, x: Any = None) -> Any:
        """Advance one tick; returns the output, a live view that the next tick overwrites.

        x: the input in its shape (or flat), currents or spike counts; with several inputs a dict of them by
        name; None keeps what `input` holds. Returns a dict by name where there are several outputs. ValueError
        where x is not finite or of the wrong shape; nothing has moved then.
        """
        try:
            status = self._step_input(self.address, x)
        except (TypeError, NumbaTypeError):  # not yet a flat array of the engine's type
            status = self._step_input(self.address, self._flat(x))
        if status:
            self._refuse(status, x)
        return self._result

    def _flat(self, x: Any) -> Array:
        """All inputs of one tick in one line."""
        if x is None:
            return np.concatenate(
                [self._inputs[n].reshape(-1) for n in self.input_names] or [np.zeros(0, self.dtype)]
            )
        parts = []
        for name, values in self._named(x).items():
            array = np.asarray(values)
            size = self.graph.nodes[name].size_out
            if array.size != size or array.dtype.kind not in "biuf":
                raise ValueError(
                    f"input {name!r}: {array.dtype} of shape {array.shape}, expected {self._inputs[name].shape}"
                )
            parts.append(array.reshape(-1))
        with np.errstate(over="ignore"):  # infinite then, and refused as such
            return np.concatenate(parts).astype(self.dtype, copy=False)

    def _named(self, x: Any) -> dict[str, Any]:
        if not isinstance(x, Mapping):
            if len(self.input_names) != 1:
                raise ValueError(f"inputs are {list(self.input_names)}: they have to be given by name")
            return {self.input_names[0]: x}
        if set(x) != set(self.input_names):
            raise ValueError(f"inputs are {list(self.input_names)}, given were {sorted(x)}")
        return {name: x[name] for name in self.input_names}

    def _refuse(self, status: int, x: Any) -> None:
        if status == k.WRONG_SIZE:
            raise ValueError(f"input of shape {np.shape(x)}, expected {self._input_size} values")
        raise ValueError("input holds NaN or infinity")

    def run(self, x: Any, record: Sequence[str] = ()) -> Any:
        """Advance many ticks in one compiled call, to the same bits as as many calls of `step`.

        x: (steps, *input shape), or a dict of such by name; or the number of ticks, with the inputs as they are.
        With a batch axis, (batch, steps, *input shape), every item starts from the present state, and the state
        is afterwards what it was before; results have the batch axis too.
        Returns the output (steps, *output shape), or a dict by name where there are several; with `record`, a
        dict that holds, besides each output, each node of `record` as {"spikes", "voltage"} where it has them.
        """
        if self.has_batch(x):
            return self._run_batch(x, record)
        values = self._rows(x)
        names = list(self.output_names)
        taps = [(self.offset(self._plan.values[n].out), self.graph.nodes[n].size_out) for n in names]
        keys: list[tuple[str, str]] = [("output", n) for n in names]
        recorded: dict[str, dict[str, Array]] = {}
        for name in record:
            self.check_recordable(name)
            if name == "output" or name in recorded:
                continue
            recorded[name] = {}
            node = self._node(name)
            if name in self._plan.voltage:
                keys.append(("voltage", name))
                taps.append((self.offset(self._plan.voltage[name]), node.size_out))
            if node.spiking or name not in self._plan.voltage:
                keys.append(("spikes" if node.spiking else "values", name))
                taps.append((self.offset(self._plan.values[name].out), node.size_out))
        places = np.array(taps, dtype=np.int64).reshape(-1, 2)
        out = np.empty((values.shape[0], int(places[:, 1].sum())), self.dtype)
        status, done = k.run_rows(self.address, values, places, out)
        if status:
            raise ValueError(
                f"input holds NaN or infinity in step {done}; the {done} steps before it were run"
            )
        columns = np.cumsum(places[:, 1])
        outputs: dict[str, Array] = {}
        for (what, name), end, size in zip(keys, columns, places[:, 1], strict=True):
            shaped = np.ascontiguousarray(out[:, end - size : end]).reshape(
                values.shape[0], *self.graph.nodes[name].shape_out
            )
            if what == "output":
                outputs[name] = shaped
            else:
                recorded[name][what] = shaped
        result = outputs[names[0]] if len(names) == 1 else outputs
        if not record:
            return result
        return {"output": result, **recorded}

    def check_recordable(self, name: str) -> None:
        """ValueError where a node has neither a voltage nor an output that `run` could record."""
        node = self._node(name)
        if name == "output" and not isinstance(node.nir, nir.Output):
            raise ValueError("a node named 'output' cannot be recorded: what the graph gives has that name")
        if name not in self._plan.voltage:
            self.output(name)

    def has_batch(self, x: Any) -> bool:
        """Whether an input for `run` has a batch axis before its steps."""
        if isinstance(x, (int, np.integer)):
            return False
        batched = []
        for name, values in self._named(x).items():
            shape, given = self.graph.nodes[name].shape_out, np.shape(values)
            tail = len(shape) if given[-len(shape) :] == shape else 1
            batched.append(len(given) == tail + 2)
        if len(set(batched)) > 1:
            raise ValueError("either all inputs have a batch axis or none has")
        return bool(batched) and batched[0]

    def _run_batch(self, x: Any, record: Sequence[str]) -> Any:
        """Each item from the present state, which stays as it is."""
        given = {name: np.asarray(values) for name, values in self._named(x).items()}
        sizes = {values.shape[0] for values in given.values()}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(f"batches of sizes {sorted(sizes)}: they must be one size, and not 0")
        start = self.snapshot()
        results = []
        try:
            for b in range(sizes.pop()):
                self.restore(start)
                results.append(self.run({name: values[b] for name, values in given.items()}, record))
        finally:
            self.restore(start)
        return _stack(results)

    def _rows(self, x: Any) -> Array:
        if isinstance(x, (int, np.integer)):
            if x < 0:
                raise ValueError(f"{x} ticks: there must be 0 or more")
            return np.array(np.broadcast_to(self._flat(None), (int(x), self._input_size)))
        blocks = []
        for name, values in self._named(x).items():
            array = np.asarray(values)
            shape = self.graph.nodes[name].shape_out
            if array.shape[1:] not in (shape, (math.prod(shape),)) or array.dtype.kind not in "biuf":
                raise ValueError(
                    f"input {name!r}: {array.dtype} of shape {array.shape}, expected numbers of shape "
                    f"(steps, {', '.join(map(str, shape))})"
                )
            blocks.append(array.reshape(array.shape[0], math.prod(shape)))
        if len({b.shape[0] for b in blocks}) != 1:
            raise ValueError(f"inputs of different numbers of steps: {[b.shape[0] for b in blocks]}")
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(
                np.concatenate(blocks, axis=1) if len(blocks) > 1 else blocks[0], dtype=self.dtype
            )

    def reset(self) -> None:
        """Back to the state before the first tick; gains and parameters stay as they are."""
        self._state[:] = self._initial

    def snapshot(self) -> Array:
        """A copy of the whole state."""
        return self._state.copy()

    def restore(self, snapshot: Array) -> None:
        """Go on from a state that `snapshot` of the same network gave."""
        if snapshot.shape != self._state.shape or snapshot.dtype != self._state.dtype:
            raise ValueError(
                f"snapshot of {snapshot.shape} words; this network's state has {self._state.shape}"
            )
        self._state[:] = snapshot


def _stack(results: list[Any]) -> Any:
    """Results of one structure, joined along a new first axis."""
    if isinstance(results[0], dict):
        return {key: _stack([r[key] for r in results]) for key in results[0]}
    return np.stack(results)
