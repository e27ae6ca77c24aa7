"""The engine: a spiking network compiled into one block of memory and stepped tick by tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import nir
import numpy as np
from numba.core.errors import NumbaTypeError
from numpy.typing import ArrayLike, NDArray

from hybrid_control.snn.backends.backend import Backend, State
from hybrid_control.snn.backends.numba import kernels
from hybrid_control.snn.backends.numba.compiler import Program
from hybrid_control.snn.backends.numba.kernels.neurons import Population
from hybrid_control.snn.backends.numba.kernels.plasticity import LEARNING, REWARD
from hybrid_control.snn.backends.numba.memory import padded
from hybrid_control.snn.backends.numba.populations import Neurons, coefficients
from hybrid_control.snn.backends.numba.projections import Drive, Projection, Storage
from hybrid_control.snn.energy import Counters
from hybrid_control.snn.network import Network
from hybrid_control.snn.neurons import linear
from hybrid_control.snn.neurons.model import parameters_of
from hybrid_control.snn.nir.checks import check_parameters
from hybrid_control.snn.options import Options
from hybrid_control.snn.plasticity import STDP, RewardSTDP

Array = NDArray[Any]
# what gives nothing for nothing, but for a bias
_STATELESS = (
    nir.Input, nir.Output, nir.Linear, nir.Affine, nir.Conv1d, nir.Conv2d, nir.Scale, nir.Flatten, nir.SumPool2d,
    nir.AvgPool2d,
)  # fmt: skip


class Engine(Backend):
    """A spiking network that is stepped one tick at a time.

    graph: a Network or a nir.NIRGraph; further arguments are the fields of `Options` (dt, dtype, scheme, reset,
    if_step, order, initial, recurrent_delay). drive and storage say, per projection, how it is propagated
    ("event" or "dense") and how its weights are kept ("rows" or "csr"); what is not said is chosen, and
    `explain` tells what was. GraphError (a ValueError) where the graph cannot be run.

    All state is in `arena`; views given out by the methods below point into it and stay valid.
    """

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name} {self.read(name, 'voltage').size}"
            for name in self.graph.nodes
            if "voltage" in self.variables(name)
        )
        ends = f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}"
        return f"Engine({sizes}; {ends}; dt {self.options.dt:g} s, {self.dtype})"

    def __init__(
        self,
        graph: Network | nir.NIRGraph,
        *,
        drive: Mapping[str, Drive] | None = None,
        storage: Mapping[str, Storage] | None = None,
        plasticity: Mapping[str, STDP] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(graph, Options(**options))
        self._plasticity = dict(plasticity or {})
        self._program = Program(self.graph, self.options, drive or {}, storage or {}, self._plasticity)
        self._arena = self._program.memory.finish()
        self.arena = self._arena.words
        self.address = int(self.arena.ctypes.data)
        self._step_input = kernels.step_input(self.dtype.itemsize)
        self._initial = self.snapshot()
        outputs = {name: self.read(name) for name in self.output_names}
        self._result = outputs[self.output_names[0]] if len(outputs) == 1 else outputs

    @classmethod
    def load(cls, graph: Network | nir.NIRGraph, options: Options) -> Engine:
        """An engine with every choice of its own left to itself."""
        return cls(graph, **vars(options))

    # views

    def read(self, name: str, what: str = "output") -> Array:
        """Live view of what a node gives, or of a variable of a population."""
        node = self.node(name)
        if what != "output":
            if what not in self.variables(name):
                raise ValueError(f"{name!r} is a {node.kind}; it has {['output', *self.variables(name)]}")
            return self._view(f"{name}.{what}")
        if name not in self._program.wiring.values:
            target = self._program.schedule.targets[name][0]
            raise ValueError(f"{name!r} adds straight to what {target!r} takes and keeps no output")
        return self._arena.view(self._program.wiring.values[name].out, node.shape_out, self.dtype)

    def _view(self, name: str) -> Array:
        """Live view of a part of the state."""
        return self._arena.view(*self._program.memory.named[name])

    def input(self, name: str) -> Array:
        """Live view of an Input in its shape: currents or spike counts; stays as written until written again."""
        if name not in self.input_names:
            raise ValueError(f"{name!r} is no input; inputs are {list(self.input_names)}")
        return self.read(name)

    def projection_gain(self, name: str) -> Array:
        """Live view of one value that multiplies a projection's weights as they are propagated (not its bias)."""
        return self._arena.view(self._projection(name).gain, (1,), self.dtype)

    def place(self, what: str, name: str) -> int:
        """Bytes from the start of the arena to what a method gives a view of.

        what: "input", "output", "spikes", "voltage", "current", "recovery", "projection_gain" or
        "coefficient"; for the last, the first row of the population's block (see `coefficient`).
        """
        view = self.coefficient(name, 0) if what == "coefficient" else getattr(self, what)(name)
        return int(view.ctypes.data) - self.address

    # parameters

    def _neurons(self, name: str) -> Neurons:
        node, neurons = self.node(name), self._program.neurons
        if name not in neurons:
            raise ValueError(f"{name!r} is a {node.kind}, no population; there are {sorted(neurons)}")
        return neurons[name]

    def parameters(self, population: str) -> dict[str, Array]:
        """A population's parameters as they are now, under NIR's names, each in float64; copies."""
        return {key: value.copy() for key, value in self._neurons(population).parameters.items()}

    def set_parameter(self, population: str, **values: ArrayLike) -> None:
        """Change parameters of a population while it runs: `set_parameter("hidden", tau=0.02, v_threshold=0.8)`.

        Values broadcast to the population's shape. They act from the next tick on; the state stays.
        """
        neurons, node = self._neurons(population), self.node(population)
        changed = dict(neurons.parameters)
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
        assert node.nir is not None
        every = parameters_of(node.nir, neurons.model) | changed
        rows, uniform = coefficients(neurons.model, node, every, self.options)
        block = self._arena.view(neurons.coefficients, (len(rows), node.size_out), self.dtype)
        block[:] = self._program.memory.cast(population, rows)
        self._arena.field(neurons.op, Population, "uniform")[0] = uniform
        neurons.parameters.update(changed)

    def coefficient(self, population: str, row: int) -> Array:
        """Live view of one row of a population's coefficient block (`kernels.K_THRESHOLD` and its like).

        One value where the whole population shares it, else one per neuron. For compiled code that changes
        a threshold or a gain between two ticks; `set_parameter` sets all rows from NIR's parameters.
        """
        neurons = self._neurons(population)
        uniform = self._arena.field(neurons.op, Population, "uniform")[0]
        size = 1 if uniform else self.node(population).size_out
        return self._arena.view(neurons.coefficients.after(row * neurons.pitch), (size,), self.dtype)

    # learning

    def learning(self, projection: str) -> Array:
        """Live view of one value that multiplies a plastic projection's changes at spikes: 1 learns, 0 does not."""
        return self._rule(projection, LEARNING)

    def reward(self, projection: str) -> Array:
        """Live view of the reward of a projection that learns by RewardSTDP; 0 at the start."""
        view = self._rule(projection, REWARD)
        if not isinstance(self._plasticity[projection], RewardSTDP):
            raise ValueError(f"{projection!r} learns by STDP without a reward")
        return view

    def _rule(self, projection: str, value: int) -> Array:
        rules = self._program.rules
        if projection not in rules:
            raise ValueError(f"{projection!r} is not plastic; plastic are {sorted(rules)}")
        return self._arena.view(rules[projection].after(value * self.dtype.itemsize), (1,), self.dtype)

    def _projection(self, name: str) -> Projection:
        projections = self._program.projections
        if name not in projections:
            raise ValueError(f"{name!r} is no projection; there are {sorted(projections)}")
        return projections[name]

    def weights(self, projection: str) -> Array:
        """A projection's weights as they are now: a copy, (target, source); for a convolution as NIR has them.

        The gain is not in them. Synapses that join the same two neurons are added up.
        """
        plan, node = self._projection(projection), self.node(projection)
        if plan.storage == "window":
            shape = np.shape(node.nir.weight)  # type: ignore[union-attr]
            return self._arena.view(plan.weights, shape, self.dtype).copy()
        if plan.storage == "rows":
            rows = self._arena.view(plan.weights, (node.size_in, padded(node.size_out)), self.dtype)
            return rows[:, : node.size_out].T.copy()
        assert plan.lists is not None
        matrix = np.zeros((node.size_out, node.size_in), self.dtype)
        weights = self._arena.view(plan.weights, (plan.synapses,), self.dtype)
        np.add.at(matrix, (plan.lists.post, plan.lists.pre), weights)
        return matrix

    # what was compiled, and what it did

    @property
    def synapses(self) -> dict[str, int]:
        """Synapses by projection: weights that are not zero, and for a convolution its weights times their places."""
        return {name: p.synapses for name, p in sorted(self._program.projections.items())}

    def explain(self) -> str:
        """What was chosen, as lines of text: order of evaluation, late edges, and each projection's propagation."""
        schedule = self._program.schedule
        ordered = (name for name in schedule.order if name not in schedule.starters)
        lines = ["order of evaluation: " + ", ".join(ordered)]
        if schedule.starters:
            lines.append("known when the tick begins (delayed): " + ", ".join(sorted(schedule.starters)))
        for a, b in sorted(schedule.late):
            lines.append(f"{a} -> {b} delivers one tick late")
        for name, p in sorted(self._program.projections.items()):
            lines.append(f"{name}: {p.drive}, weights as {p.storage}, {p.synapses} synapses ({p.why})")
        lines.append(f"arena of {self.arena.nbytes} bytes, {self._initial.nbytes} of them state")
        return "\n".join(lines)

    @property
    def ticks(self) -> int:
        """Ticks since the start or the last reset."""
        return int(self._view("tick")[0])

    @property
    def counters(self) -> Counters:
        """Spikes and synaptic events since the start or the last reset."""
        program, ticks = self._program, self.ticks

        def counts(places: Mapping[str, Any]) -> dict[str, int]:
            return {name: int(self._arena.view(ref, (1,), np.int64)[0]) for name, ref in places.items()}

        spiking = {name: n.spikes for name, n in program.neurons.items() if n.spikes is not None}
        return Counters(
            ticks,
            ticks * self.options.dt,
            spikes=counts(spiking | program.thresholds),
            events=counts({name: p.events for name, p in program.projections.items()}),
            macs={n: p.synapses * ticks for n, p in program.projections.items() if p.drive == "dense"},
            updates={name: self.node(name).size_out * ticks for name in program.neurons},
        )

    # ticks

    def step(self, x: Any = None) -> Any:
        """Advance one tick; returns the output, a live view that the next tick overwrites.

        x: the input in its shape (or flat), currents or spike counts; with several inputs a dict of them by
        name; None keeps what `input` holds. Returns a dict by name where there are several outputs. ValueError
        where x is not finite or of the wrong shape; nothing has moved then.
        """
        try:
            call = self._step_input  # looked up as a method it takes 10 ns more
            status = call(self.address, x)
        except (TypeError, NumbaTypeError):  # not yet a flat array of the engine's type
            status = self._step_input(self.address, self.flat(x))
        if status:
            self._refuse(status, x)
        return self._result

    def _refuse(self, status: int, x: Any) -> None:
        if status == kernels.WRONG_SIZE:
            size = sum(self.node(name).size_out for name in self.input_names)
            raise ValueError(f"input of shape {np.shape(x)}, expected {size} values")
        raise ValueError("input holds NaN or infinity")

    def advance(self, rows: Array, taps: Sequence[tuple[str, str]]) -> list[Array]:
        """As every back end does, in one compiled call."""
        views = [self.read(*tap) for tap in taps]
        places = np.array([(view.ctypes.data - self.address, view.size) for view in views], np.int64)
        record = np.empty((len(rows), sum(view.size for view in views)), self.dtype)
        status, done = kernels.run_rows(self.address, rows, places.reshape(-1, 2), record)
        if status:
            raise ValueError(
                f"input holds NaN or infinity in step {done}; the {done} steps before it were run"
            )
        columns = np.split(record, np.cumsum([view.size for view in views])[:-1], axis=1) if views else []
        return [
            np.ascontiguousarray(block).reshape(len(rows), *view.shape)
            for block, view in zip(columns, views, strict=True)
        ]

    def quiet_ops(self) -> NDArray[np.int64]:
        """For `kernels.pass_quietly`: of each population the place of its op, and how many variables it has.

        Empty where silence need not stay silence: where something besides NIR's own spiking neurons has a state or a
        bias, holds spikes back, or learns.
        """
        nodes = self.graph.nodes.values()
        still = all(
            (isinstance(node.nir, _STATELESS) and not np.any(getattr(node.nir, "bias", 0.0)))
            or (node.spiking and type(node.nir) in linear.PARAMETERS)
            for node in nodes
            if node.nir is not None
        )
        if not still or self._plasticity or self.options.recurrent_delay > 1:
            return np.empty(0, np.int64)
        places = []
        for neurons in self._program.neurons.values():
            view = self._arena.field(neurons.op, Population, Population._fields[0])
            places += [int(view.ctypes.data) - 8 - self.address, len(neurons.model.variables)]
        return np.array(places, np.int64)

    # state

    def state(self) -> State:
        """The parts of the state by name, each a copy."""
        return {name: self._view(name).copy() for name in self._program.memory.named}

    def set_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Set parts of the state; ValueError for one that is not there or has another shape, and nothing is set."""
        new = {name: np.asarray(values) for name, values in state.items()}
        for name, values in new.items():
            if name not in self._program.memory.named:
                raise ValueError(
                    f"there is no state {name!r}; there are {sorted(self._program.memory.named)}"
                )
            shape = self._view(name).shape
            if values.shape != shape:
                raise ValueError(f"{name}: values of shape {values.shape}, expected {shape}")
        for name, values in new.items():
            self._view(name)[...] = values

    def reset(self) -> None:
        """Back to the state before the first tick; gains and parameters stay as they are."""
        self._arena.state()[:] = self._initial

    def snapshot(self) -> Array:
        """A copy of the whole state, in one line."""
        return self._arena.state().copy()

    def restore(self, snapshot: Array) -> None:
        """Go on from a state that `snapshot` of the same network gave."""
        state = self._arena.state()
        if snapshot.shape != state.shape or snapshot.dtype != state.dtype:
            raise ValueError(f"snapshot of {snapshot.shape} words; this network's state has {state.shape}")
        state[:] = snapshot
