"""A NIR graph as a torch module: the engine's order of nodes, late edges, delays and equations, with gradients.

What is done in a tick, and from where each node reads, is asked of the engine's own `Schedule`; what a neuron does,
of its own step (`tracing`); sums are added up in the engine's order (`propagation`). So both give the same spikes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

from hybrid_control.learning.operations import Operation, operation
from hybrid_control.learning.parameters import Parameters
from hybrid_control.learning.surrogates import Surrogate
from hybrid_control.snn.backends.numba.compiler import silent_maps
from hybrid_control.snn.backends.numba.schedule import Schedule, delays
from hybrid_control.snn.network import Network
from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.graph import Node, flatten
from hybrid_control.snn.options import Options

Tap = tuple[str, str]
"""A node, and "output" or one of its variables, as `Backend.read` takes them."""


@dataclass
class State:
    """A mirror between two ticks, each tensor (batch, values): what nodes gave, what was added up for those that
    gather, variables of populations, and what is on its way, by the tick in which it arrives or, for a Delay, left."""

    batch: int
    tick: int = 0
    given: dict[str, Tensor] = field(default_factory=dict)
    gathered: dict[str, Tensor] = field(default_factory=dict)
    variables: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)
    coming: dict[str, dict[int, Tensor]] = field(default_factory=dict)

    def copy(self) -> State:
        """The same with dicts of its own, so that going on from the old one twice gives the same twice."""
        coming = {name: dict(ring) for name, ring in self.coming.items()}
        return State(
            self.batch, self.tick, dict(self.given), dict(self.gathered), dict(self.variables), coming
        )

    def detached(self) -> State:
        """The same without the way by which it came about: where backpropagation through time is cut."""
        return State(
            self.batch,
            self.tick,
            {name: value.detach() for name, value in self.given.items()},
            {name: value.detach() for name, value in self.gathered.items()},
            {name: tuple(v.detach() for v in values) for name, values in self.variables.items()},
            {n: {t: value.detach() for t, value in ring.items()} for n, ring in self.coming.items()},
        )


class _Ticker:
    """Ticks of a schedule with the parameters as they are now."""

    def __init__(
        self, schedule: Schedule, operations: Mapping[str, Operation], numbers: Parameters
    ) -> None:
        self.schedule, self.numbers = schedule, numbers
        self._bound = {name: operations[name].bind() for name in operations if name in schedule.nodes}
        does = {"take": self._take, "push": self._push, "add": self._add, "put": self._put}
        self._actions: list[tuple[Callable[[str, State], None], str]] = [
            (does[action], name) for action, name in schedule.actions()
        ]
        self._steps = {n: schedule.steps(n) for n, node in schedule.nodes.items() if delays(node)}
        # asked in every tick
        self._pulled = {n: schedule.sources[n][0] for n in schedule.nodes if schedule.pulls(n)}
        self._fused = {n: schedule.targets[n][0] for n in schedule.nodes if schedule.fused(n)}

    def tick(self, state: State, inputs: Mapping[str, Tensor]) -> None:
        """One tick; changes the state."""
        state.given.update(inputs)
        for action, name in self._actions:
            action(name, state)
        state.tick += 1

    def _zeros(self, state: State, size: int) -> Tensor:
        return torch.zeros(state.batch, size, dtype=self.numbers.dtype, device=self.numbers.device)

    def given(self, name: str, state: State) -> Tensor:
        """What a node gave last."""
        if name not in state.given:
            state.given[name] = self._zeros(state, self.schedule.nodes[name].size_out)
        return state.given[name]

    def _read(self, name: str, state: State) -> Tensor:
        if name in self._pulled:
            return self.given(self._pulled[name], state)
        total = state.gathered.pop(name, None)
        return self._zeros(state, self.schedule.nodes[name].size_in) if total is None else total

    def _write(self, name: str, state: State, add: Callable[[Tensor], Tensor]) -> None:
        """Add to what a node's only target gathers, or make it what the node gives."""
        node = self.schedule.nodes[name]
        place, key = (state.given, name)
        total = None
        if name in self._fused:
            place, key = state.gathered, self._fused[name]
            total = place.get(key)
        place[key] = add(self._zeros(state, node.size_out) if total is None else total)

    def _push(self, name: str, state: State) -> None:
        if name in self._fused:
            return
        for target in self.schedule.targets[name]:
            if target not in self._pulled:
                total, value = state.gathered.get(target), self.given(name, state)
                state.gathered[target] = value if total is None else total + value

    def _add(self, name: str, state: State) -> None:
        x = self._read(name, state)
        if name in state.variables:
            state.given[name], state.variables[name] = self._bound[name](x, state.variables[name])
        else:
            self._write(name, state, lambda total: self._bound[name](total, x))

    def _put(self, name: str, state: State) -> None:
        x = self._read(name, state)
        ring = state.coming.setdefault(name, {})
        if isinstance(self.schedule.nodes[name].nir, nir.Delay):
            ring[state.tick] = x
        else:
            self._bound[name](ring, state.tick, x)

    def _take(self, name: str, state: State) -> None:
        ring = state.coming.setdefault(name, {})
        if not isinstance(self.schedule.nodes[name].nir, nir.Delay):
            due = ring.pop(state.tick, None)
            self._write(name, state, lambda total: total if due is None else total + due)
            return
        steps = self._steps[name]
        zeros = self._zeros(state, steps.size)
        out = None
        for delay in np.unique(steps):
            past = ring.get(state.tick - int(delay), zeros)
            out = past if out is None else torch.where(torch.from_numpy(steps == delay).to(past.device), past, out)
        assert out is not None
        state.given[name] = out
        ring.pop(state.tick - int(steps.max()), None)


class Mirror(nn.Module):
    """A NIR graph as a torch module that gives the engine's spikes.

    graph: a Network or a nir.NIRGraph. options: as of the engine. free, frozen: what is trained, see `Parameters`.
    `parameters()` are the free ones. GraphError (a ValueError) where the graph cannot be run, ValueError for a
    neuron type whose step cannot be differentiated. `mirror.to("cuda")` has it run on a GPU, where sums are torch's
    own: nearly the engine's, not its bits.
    """

    def __init__(
        self,
        graph: Network | nir.NIRGraph,
        options: Options = Options(),
        free: Collection[str] = ("weights",),
        frozen: Collection[str] = (),
        surrogate: Surrogate = Surrogate(),
    ) -> None:
        super().__init__()
        self.graph = graph.to_nir() if isinstance(graph, Network) else graph
        self.options, self.surrogate, flat = options, surrogate, flatten(self.graph)
        self.schedule = Schedule(flat, options)
        self.numbers = Parameters(flat, options, free, frozen)
        self._operations = {
            name: operation(
                node, self.numbers, surrogate, options, self.schedule.steps(name) if delays(node) else None
            )
            for name, node in sorted(flat.nodes.items())
            if not isinstance(node.nir, (nir.Input, nir.Delay))
        }
        self._silent = self._add_silent(options)
        nodes = sorted(flat.nodes.items())
        self.input_names = tuple(name for name, node in nodes if isinstance(node.nir, nir.Input))
        self.output_names = tuple(name for name, node in nodes if isinstance(node.nir, nir.Output))

    def _add_silent(self, options: Options) -> Schedule | None:
        maps = silent_maps(self.schedule)
        if not maps.nodes:
            return None
        for name, node in maps.nodes.items():
            if name not in self._operations:
                self._operations[name] = operation(node, self.numbers, Surrogate(), options, None)
        return Schedule(maps, replace(options, recurrent_delay=1))

    def node(self, name: str) -> Node:
        """A node of the graph; ValueError where there is none of that name."""
        if name not in self.schedule.nodes:
            raise ValueError(f"there is no node {name!r}; there are {sorted(self.schedule.nodes)}")
        return self.schedule.nodes[name]

    def to_nir(self) -> nir.NIRGraph:
        """The graph with its parameters as they are now; trained initial states are in its metadata (`starting`)."""
        return self.numbers.written(self.graph)

    def start(self, batch: int, given: Mapping[Tap, Tensor] | None = None) -> State:
        """The state before the first tick.

        given: values of variables, by (population, variable), each (batch, *shape), instead of the graph's own, as
        the engine's `set_state` puts them; gradients reach them. ValueError for what no population has.
        """
        state = State(batch)
        given = given or {}
        for name, what in given:
            if self._place(name, what)[1] < 0:
                raise ValueError(f"the output of {name!r} follows from its variables and cannot be given")
        for name, node in self.schedule.nodes.items():
            model = model_of(node.nir)
            if model is not None:
                state.variables[name] = tuple(
                    self._first(batch, name, variable, given.get((name, variable))) for variable in model.variables
                )
                if not model.spiking:
                    state.given[name] = state.variables[name][0]
        if self._silent is not None:
            self._begin(state, self._silent)
        return state

    def _first(self, batch: int, name: str, variable: str, given: Tensor | None) -> Tensor:
        if given is None:
            return self.numbers.values(name, variable).expand(batch, -1)
        shape = (batch, *self.node(name).shape_out)
        if tuple(given.shape) != shape:
            raise ValueError(f"{variable} of {name!r}: of shape {tuple(given.shape)}, expected {shape}")
        return self.numbers.brought(given).flatten(1)

    def _begin(self, state: State, maps: Schedule) -> None:
        """What late edges and the delays in lengthened ones deliver in the first tick."""
        schedule = self.schedule
        quiet = State(state.batch)
        ticker = _Ticker(maps, self._operations, self.numbers)
        ticker.tick(quiet, {})
        silent = {name: ticker.given(name, quiet) for name in schedule.recurrent & set(maps.nodes)}
        for a, b in sorted(edge for edge in schedule.late if edge[0] in silent):
            if schedule.pulls(b):
                state.given[a] = silent[a]
                continue
            total = state.gathered.get(b)
            state.gathered[b] = silent[a] if total is None else silent[a] + total
        for name, source in schedule.lengthened.items():
            if source in silent:
                ticks = range(-int(schedule.steps(name).max()), 0)
                state.coming[name] = dict.fromkeys(ticks, silent[source])

    def forward(
        self, x: Tensor | Mapping[str, Tensor], state: State | None = None, taps: Sequence[Tap] | None = None
    ) -> tuple[list[Tensor], State]:
        """Many ticks.

        x: (batch, steps, *input shape), or a dict of such by name. state: what `forward` gave, to go on from it;
        None: before the first tick. taps: what to return; None: what the Outputs give, in order of name. Returns a
        tensor (batch, steps, *shape) for each tap, and the state afterwards.
        """
        inputs = self._inputs(x)
        steps = next(iter(inputs.values())).shape[1]
        bound = self.bound(taps)
        state = self.start(len(next(iter(inputs.values())))) if state is None else state.copy()
        rows = {name: values.unbind(1) for name, values in inputs.items()}
        seen = [bound.tick({name: values[t] for name, values in rows.items()}, state) for t in range(steps)]
        return [torch.stack(column, 1) for column in zip(*seen, strict=True)], state

    def bound(self, taps: Sequence[Tap] | None = None) -> Bound:
        """Its parameters as they are now, to run one tick after the other where an input depends on an output."""
        return Bound(self, [(name, "output") for name in self.output_names] if taps is None else taps)

    def _place(self, name: str, what: str) -> tuple[str, int]:
        node, model = self.node(name), model_of(self.node(name).nir)
        if what == "output":
            if self.schedule.fused(name):
                target = self.schedule.targets[name][0]
                raise ValueError(f"{name!r} adds straight to what {target!r} takes and keeps no output")
            return name, -1
        if model is None or what not in model.variables:
            known = ["output", *(model.variables if model is not None else ())]
            raise ValueError(f"{name!r} is a {node.kind}; it has {known}")
        return name, model.variables.index(what)

    def _inputs(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        named: Mapping[str, Any] = x if isinstance(x, Mapping) else dict.fromkeys(self.input_names[:1], x)
        if set(named) != set(self.input_names):
            raise ValueError(f"inputs are {list(self.input_names)}, given were {sorted(named)}")
        found, sizes = {}, set()
        for name, values in named.items():
            shape = self.node(name).shape_out
            if tuple(values.shape[2:]) != shape:
                raise ValueError(
                    f"input {name!r}: of shape {tuple(values.shape)}, expected "
                    f"(batch, steps, {', '.join(map(str, shape))})"
                )
            found[name] = self.numbers.brought(values).flatten(2)
            sizes.add(tuple(values.shape[:2]))
        if len(sizes) != 1 or 0 in next(iter(sizes)):
            raise ValueError(f"inputs of {sorted(sizes)} items and steps: they must be one size, and not 0")
        return found


class Bound:
    """Ticks of a mirror with the parameters as they were when it was made; taps as `Mirror.forward` has them."""

    def __init__(self, mirror: Mirror, taps: Sequence[Tap]) -> None:
        self._ticker = _Ticker(mirror.schedule, mirror._operations, mirror.numbers)
        self._taps = [(*mirror._place(*tap), tuple(mirror.node(tap[0]).shape_out)) for tap in taps]

    def tick(self, inputs: Mapping[str, Tensor], state: State) -> list[Tensor]:
        """One tick of inputs (batch, *shape) by name; changes the state. (batch, *shape) for each tap."""
        for name, values in inputs.items():
            if len(values) != state.batch:
                raise ValueError(
                    f"input {name!r}: a batch of {len(values)} cannot go on from a state of {state.batch}"
                )
        self._ticker.tick(state, {name: values.flatten(1) for name, values in inputs.items()})
        found = []
        for name, variable, shape in self._taps:
            values = self._ticker.given(name, state) if variable < 0 else state.variables[name][variable]
            found.append(values.reshape(state.batch, *shape))
        return found
