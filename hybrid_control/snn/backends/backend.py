"""What runs a spiking network: the interface of every back end, and what is the same for all of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import nir
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.snn.energy import HOROWITZ_45NM, Counters, Energy, EnergyConstants, estimate
from hybrid_control.snn.network import Network
from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.graph import Node, flatten
from hybrid_control.snn.options import Options

Array = NDArray[Any]
State = dict[str, Array]


class Backend(ABC):
    """A spiking network that is stepped one tick at a time.

    A back end loads a graph and steps it; it reads what a node gives and a population's variables, sets and gives
    its whole state, and counts. All else (many ticks, batches, recording, checks of inputs) is here.
    """

    def __init__(self, graph: Network | nir.NIRGraph, options: Options) -> None:
        self.options = options
        self.dtype = np.dtype(options.dtype)
        self.graph = flatten(graph.to_nir() if isinstance(graph, Network) else graph)
        nodes = sorted(self.graph.nodes.items())
        self.input_names = tuple(name for name, node in nodes if isinstance(node.nir, nir.Input))
        self.output_names = tuple(name for name, node in nodes if isinstance(node.nir, nir.Output))

    @classmethod
    @abstractmethod
    def load(cls, graph: Network | nir.NIRGraph, options: Options) -> Backend:
        """A network before its first tick. GraphError (a ValueError) where this back end cannot run it."""

    @abstractmethod
    def step(self, x: Any = None) -> Any:
        """Advance one tick; returns the output, which the next tick may overwrite.

        x: the input in its shape (or flat), currents or spike counts; with several inputs a dict of them by
        name; None keeps the inputs as they are. Returns a dict by name where there are several outputs. ValueError
        where x is not finite or of the wrong shape; nothing has moved then.
        """

    @abstractmethod
    def read(self, name: str, what: str = "output") -> Array:
        """What a node gives, or a variable of a population, in its shape; the next tick may overwrite it.

        what: "output", or one of the type's `variables` ("voltage", "current", ...). ValueError where there is none.
        """

    @abstractmethod
    def state(self) -> State:
        """All that the next tick depends on besides its input, by name; copies.

        A population's variables are "<population>.<variable>" in its shape; other names are the back end's own.
        """

    @abstractmethod
    def set_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Set what is named as `state` names it, and leave the rest. ValueError for another name or shape."""

    @abstractmethod
    def reset(self) -> None:
        """Back to the state before the first tick; parameters stay as they are."""

    @property
    @abstractmethod
    def counters(self) -> Counters:
        """Spikes and synaptic events since the start or the last reset."""

    def advance(self, rows: Array, taps: Sequence[tuple[str, str]]) -> list[Array]:
        """A tick for each of `rows` (steps, values of all inputs); what `read` then says for each of `taps`."""
        blocks = [np.empty((len(rows), *self.node(name).shape_out), self.dtype) for name, _ in taps]
        ends = np.cumsum([self.node(name).size_out for name in self.input_names])
        for t, row in enumerate(rows):
            self.step(dict(zip(self.input_names, np.split(row, ends[:-1]), strict=True)))
            for block, tap in zip(blocks, taps, strict=True):
                block[t] = self.read(*tap)
        return blocks

    # what there is

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the nodes that hold neurons."""
        return tuple(sorted(n for n, node in self.graph.nodes.items() if model_of(node.nir) is not None))

    def node(self, name: str) -> Node:
        """A node of the graph; ValueError where there is none of that name."""
        if name not in self.graph.nodes:
            raise ValueError(f"there is no node {name!r}; there are {sorted(self.graph.nodes)}")
        return self.graph.nodes[name]

    def variables(self, name: str) -> tuple[str, ...]:
        """The variables of a node: of a population those of its type, of others none."""
        model = model_of(self.node(name).nir)
        return model.variables if model is not None else ()

    def output(self, name: str) -> Array:
        """What a node gives, in its shape: spikes as 0 and 1, voltages, or values."""
        return self.read(name)

    def spikes(self, name: str) -> Array:
        """A spiking population's spikes of the last tick, 0 or 1."""
        if not self.node(name).spiking:
            raise ValueError(f"{name!r} is a {self.node(name).kind} and does not spike")
        return self.read(name)

    def voltage(self, name: str) -> Array:
        """A population's membrane potentials, after the reset."""
        return self._variable(name, "voltage")

    def current(self, name: str) -> Array:
        """A population's synaptic currents."""
        return self._variable(name, "current")

    def recovery(self, name: str) -> Array:
        """The recovery variables u of an Izhikevich population."""
        return self._variable(name, "recovery")

    def _variable(self, name: str, what: str) -> Array:
        if what not in self.variables(name):
            able = [population for population in self.populations if what in self.variables(population)]
            raise ValueError(
                f"{name!r} is a {self.node(name).kind} and has no {what}; those with one: {able}"
            )
        return self.read(name, what)

    def set_voltage(self, population: str, values: ArrayLike) -> None:
        """Set the membrane potentials of a population from outside; values broadcast to its shape, and are finite."""
        shape, new = self.voltage(population).shape, np.asarray(values, dtype=self.dtype)
        if not np.isfinite(new).all():
            raise ValueError(f"voltages of {population!r} must be finite")
        try:
            self.set_state({f"{population}.voltage": np.broadcast_to(new, shape)})
        except ValueError:
            raise ValueError(f"voltages of shape {new.shape} for {population!r} of shape {shape}") from None

    def energy(self, constants: EnergyConstants = HOROWITZ_45NM) -> Energy:
        """An estimate of what the ticks so far would cost on hardware with such constants; see `energy`."""
        return estimate(self.counters, constants)

    # many ticks

    def run(self, x: Any, record: Sequence[str] = ()) -> Any:
        """Advance many ticks, to the same bits as as many calls of `step`.

        x: (steps, *input shape), or a dict of such by name; or the number of ticks, with the inputs as they are.
        With a batch axis, (batch, steps, *input shape), every item starts from the present state, and the state
        is afterwards what it was before; results have the batch axis too.
        Returns the output (steps, *output shape), or a dict by name where there are several; with `record`, a
        dict that holds, besides each output, each node of `record` as {"spikes", "voltage"} where it has them.
        """
        if self.has_batch(x):
            return self._run_batch(x, record)
        rows = self._rows(x)
        taps = [(name, "output") for name in self.output_names]
        keys = [("output", name) for name in self.output_names]
        for name in record:
            self.check_recordable(name)
        for name in dict.fromkeys(name for name in record if name != "output"):
            voltage, node = "voltage" in self.variables(name), self.node(name)
            if voltage:
                taps.append((name, "voltage"))
                keys.append((name, "voltage"))
            if node.spiking or not voltage:
                taps.append((name, "output"))
                keys.append((name, "spikes" if node.spiking else "values"))
        results: dict[str, dict[str, Array]] = {"output": {}}
        for (first, second), block in zip(keys, self.advance(rows, taps), strict=True):
            results.setdefault(first, {})[second] = block
        outputs = results.pop("output")
        output = outputs[self.output_names[0]] if len(outputs) == 1 else outputs
        return {"output": output, **results} if record else output

    def check_recordable(self, name: str) -> None:
        """ValueError where a node has neither a voltage nor an output that `run` could record."""
        node = self.node(name)
        if name == "output" and not isinstance(node.nir, nir.Output):
            raise ValueError("a node named 'output' cannot be recorded: what the graph gives has that name")
        if "voltage" not in self.variables(name):
            self.read(name)

    def has_batch(self, x: Any) -> bool:
        """Whether an input for `run` has a batch axis before its steps."""
        if isinstance(x, (int, np.integer)):
            return False
        batched = []
        for name, values in self._named(x).items():
            own, shape = self.graph.nodes[name].shape_out, np.shape(values)
            tail = len(own) if shape[-len(own) :] == own else 1
            batched.append(len(shape) == tail + 2)
        if len(set(batched)) > 1:
            raise ValueError("either all inputs have a batch axis or none has")
        return bool(batched) and batched[0]

    def _run_batch(self, x: Any, record: Sequence[str]) -> Any:
        """Each item from the present state, which stays as it is."""
        batches = {name: np.asarray(values) for name, values in self._named(x).items()}
        sizes = {values.shape[0] for values in batches.values()}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(f"batches of sizes {sorted(sizes)}: they must be one size, and not 0")
        start = self.state()
        results = []
        try:
            for b in range(sizes.pop()):
                self.set_state(start)
                results.append(self.run({name: values[b] for name, values in batches.items()}, record))
        finally:
            self.set_state(start)
        return _stack(results)

    # inputs

    def _named(self, x: Any) -> dict[str, Any]:
        if not isinstance(x, Mapping):
            if len(self.input_names) != 1:
                raise ValueError(f"inputs are {list(self.input_names)}: they have to be given by name")
            return {self.input_names[0]: x}
        if set(x) != set(self.input_names):
            raise ValueError(f"inputs are {list(self.input_names)}, given were {sorted(x)}")
        return {name: x[name] for name in self.input_names}

    def flat(self, x: Any) -> Array:
        """All inputs of one tick in one line, in order of name; those of None are the ones that stand."""
        if x is None:
            held = [self.read(name).reshape(-1) for name in self.input_names]
            return np.concatenate([np.zeros(0, self.dtype), *held])
        parts = []
        for name, values in self._named(x).items():
            array, node = np.asarray(values), self.graph.nodes[name]
            if array.size != node.size_out or array.dtype.kind not in "biuf":
                raise ValueError(
                    f"input {name!r}: {array.dtype} of shape {array.shape}, expected {node.shape_out}"
                )
            parts.append(array.reshape(-1))
        with np.errstate(over="ignore"):  # infinite then, and refused as such
            return np.concatenate(parts).astype(self.dtype, copy=False)

    def _rows(self, x: Any) -> Array:
        """All inputs of many ticks, a line for each."""
        if isinstance(x, (int, np.integer)):
            if x < 0:
                raise ValueError(f"{x} ticks: there must be 0 or more")
            return np.tile(self.flat(None), (int(x), 1))
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


def _stack(results: list[Any]) -> Any:
    """Results of one structure, joined along a new first axis."""
    if isinstance(results[0], dict):
        return {key: _stack([r[key] for r in results]) for key in results[0]}
    return np.stack(results)
