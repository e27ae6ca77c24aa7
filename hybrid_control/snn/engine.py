"""Compiles a NIR graph into an arena and a program for `kernels`, and runs it tick by tick."""

from __future__ import annotations

import heapq
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import nir
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.snn import kernels as k
from hybrid_control.snn.network import Network
from hybrid_control.snn.neurons import (
    NEURON_PARAMETERS,
    SPIKING_TYPES,
    AdaptiveCubaLIF,
    AdaptiveLIF,
    Izhikevich,
    SparseLinear,
)
from hybrid_control.snn.nir_files import Edge, FlatGraph, GraphError, Node, flatten, window

Scheme = Literal["euler", "exponential", "exact"]
Reset = Literal["value", "subtract"]
Order = Literal["current_first", "voltage_first"]
Drive = Literal["event", "dense"]
Storage = Literal["rows", "csr"]
Array = NDArray[Any]

MAPS = (nir.Linear, nir.Affine, nir.Scale, nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d, SparseLinear)


@dataclass(frozen=True)
class Ref:
    """A place in the arena: bytes from the start of a region."""

    region: str
    offset: int


@dataclass
class _Region:
    size: int = 0
    parts: list[tuple[int, Array]] = field(default_factory=list)


@dataclass(frozen=True)
class Value:
    """What a node gives: where its values are, and its list of non-zero ones where it keeps one."""

    out: Ref
    indices: Ref | None = None


def schedule(
    nodes: Mapping[str, Node], edges: Sequence[Edge], starters: frozenset[str]
) -> tuple[list[str], frozenset[Edge]]:
    """The order of evaluation within a tick, and the edges that deliver one tick late.

    A cycle is entered at its node nearest to an Input (by number of edges, then neurons first, then by name),
    and the edges that lead back to that node are late; so on inside what remains. Edges into `starters`
    (delays of at least a tick) bind nothing: their output is known when the tick begins.
    """
    binding = [e for e in edges if e[1] not in starters]
    distance = _distances(nodes, edges)

    def rank(name: str) -> tuple[float, bool, str]:
        return distance[name], type(nodes[name].nir) not in NEURON_PARAMETERS, name

    late: set[Edge] = set()
    stack = [list(nodes)]
    while stack:
        group = stack.pop()
        for component in _components(group, [e for e in binding if e not in late]):
            inside = [e for e in binding if e not in late and e[0] in component and e[1] in component]
            if inside:
                entry = min(component, key=rank)
                late |= {e for e in inside if e[1] == entry}
                stack.append(sorted(component))
    for edge in sorted(late):  # keep only those without which there is a cycle
        rest = [e for e in binding if e not in late]
        if not _reaches(edge[1], edge[0], rest):
            late.discard(edge)
    after: dict[str, list[str]] = {name: [] for name in nodes}
    open_inputs = dict.fromkeys(nodes, 0)
    for a, b in binding:
        if (a, b) not in late:
            after[a].append(b)
            open_inputs[b] += 1
    ready = [rank(name) for name in nodes if not open_inputs[name]]
    heapq.heapify(ready)
    order = []
    while ready:
        name = heapq.heappop(ready)[2]
        order.append(name)
        for b in after[name]:
            open_inputs[b] -= 1
            if not open_inputs[b]:
                heapq.heappush(ready, rank(b))
    return order, frozenset(late)


def _distances(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> dict[str, float]:
    distance = dict.fromkeys(nodes, math.inf)
    wave = [name for name, node in nodes.items() if isinstance(node.nir, nir.Input)]
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        after[a].append(b)
    steps = 0
    while wave:
        for name in wave:
            distance[name] = steps
        steps += 1
        wave = sorted({b for a in wave for b in after[a] if distance[b] == math.inf})
    return distance


def _reaches(start: str, goal: str, edges: Sequence[Edge]) -> bool:
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    seen, stack = {start}, [start]
    while stack:
        name = stack.pop()
        if name == goal:
            return True
        fresh = [b for b in after.get(name, []) if b not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return False


def _components(group: Sequence[str], edges: Sequence[Edge]) -> list[set[str]]:
    """Strongly connected components of the part of the graph that `group` spans (Kosaraju's algorithm)."""
    members = set(group)
    forward: dict[str, list[str]] = {name: [] for name in group}
    backward: dict[str, list[str]] = {name: [] for name in group}
    for a, b in edges:
        if a in members and b in members:
            forward[a].append(b)
            backward[b].append(a)
    finished: list[str] = []
    seen: set[str] = set()
    for root in group:
        stack = [(root, iter(forward[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            name, rest = stack[-1]
            following = next((b for b in rest if b not in seen), None)
            if following is None:
                finished.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(forward[following])))
    components = []
    taken: set[str] = set()
    for root in reversed(finished):
        if root in taken:
            continue
        component, pending = {root}, [root]
        taken.add(root)
        while pending:
            fresh = [a for a in backward[pending.pop()] if a not in taken]
            taken.update(fresh)
            component.update(fresh)
            pending.extend(fresh)
        components.append(component)
    return components


@dataclass(frozen=True)
class Options:
    """What NIR leaves open. Every field is described, with its equation, in docs/snn.md."""

    dt: float = 1e-3
    dtype: type = np.float32
    scheme: Scheme = "euler"
    reset: Reset = "value"
    if_step: Literal["dt", "one"] = "dt"
    order: Order = "current_first"
    initial: Literal["leak", "zero"] = "leak"
    recurrent_delay: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be a positive time in seconds, not {self.dt}")
        if np.dtype(self.dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, not {self.dtype}")
        for name, value, allowed in (
            ("scheme", self.scheme, ("euler", "exponential", "exact")),
            ("reset", self.reset, ("value", "subtract")),
            ("if_step", self.if_step, ("dt", "one")),
            ("order", self.order, ("current_first", "voltage_first")),
            ("initial", self.initial, ("leak", "zero")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, not {value!r}")
        if self.recurrent_delay != int(self.recurrent_delay) or self.recurrent_delay < 1:
            raise ValueError(
                f"recurrent_delay must be a whole number of ticks >= 1, not {self.recurrent_delay}"
            )


def coefficients(parameters: Mapping[str, Array], kind: type, options: Options) -> list[Array]:
    """The rows K_V .. K_REFRACTORY of a neuron's coefficient block, in float64, each of the parameters' shape.

    One tick is  I' = K_SYN I + K_IN x,  v' = K_V v + K_LEAK + K_OLD I + K_NEW I'  (I' = x without a synapse).
    """
    dt = options.dt
    p = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
    r, leak = p["r"], p.get("v_leak", np.zeros_like(p["r"]))
    zero = np.zeros_like(r)
    tau = p.get("tau_mem", p.get("tau"))
    euler = options.scheme == "euler"
    if tau is None:
        keep, take = np.ones_like(r), np.full_like(r, dt if options.if_step == "dt" else 1.0)
    elif euler:
        keep, take = 1.0 - dt / tau, dt / tau
    else:
        keep, take = np.exp(-dt / tau), -np.expm1(-dt / tau)
    old, new, syn, gain = zero, take * r, zero, zero + 1.0
    if "tau_syn" in p:
        tau_syn = p["tau_syn"]
        syn = 1.0 - dt / tau_syn if euler else np.exp(-dt / tau_syn)
        part = dt / tau_syn if euler else -np.expm1(-dt / tau_syn)
        gain = part * p["w_in"]
        if options.scheme == "exact":
            both = _response(tau, tau_syn, dt)
            new = r * (take - both) / part
            old = r * both - syn * new
        elif options.order == "voltage_first":
            old, new = take * r, zero
    threshold = p.get("v_threshold", zero)
    reset = p.get("v_reset", zero)
    if options.reset == "subtract":
        reset = np.where(np.isinf(threshold), 0.0, threshold - reset)
    adapt = np.ones_like(r)
    if "tau_adapt" in p:
        adapt = 1.0 - dt / p["tau_adapt"] if euler else np.exp(-dt / p["tau_adapt"])
    refractory = np.round(p.get("refractory", zero) / dt)
    leak_in = take * leak if tau is not None else zero
    return [keep, leak_in, new, old, syn, gain, threshold, reset, adapt, p.get("beta", zero), refractory]


def _response(tau: Array, tau_syn: Array, dt: float) -> Array:
    """(1 / tau) times the integral over a tick of exp(-(dt - s) / tau) exp(-s / tau_syn)."""
    close = np.isclose(tau, tau_syn, rtol=1e-6)
    apart = np.where(close, 2.0 * tau, tau_syn)
    general = apart / (apart - tau) * (np.exp(-dt / apart) - np.exp(-dt / tau))
    return np.where(close, dt / tau * np.exp(-dt / tau), general)


@dataclass(frozen=True)
class Projection:
    """How the weights of a node are kept and used. Places are bytes from the start of the arena."""

    storage: str  # "rows", "csr" or "window"
    drive: Drive
    synapses: int  # weights that are not zero
    density: float
    weights: Ref
    gain: Ref
    events: Ref
    why: str


class _Compiler:
    """Lays out the arena and writes the program; used once by `Engine`."""

    def __init__(
        self,
        flat: FlatGraph,
        options: Options,
        drive: Mapping[str, Drive],
        storage: Mapping[str, Storage],
    ) -> None:
        self.options = options
        self.dtype = np.dtype(options.dtype)
        self.forced_drive, self.forced_storage = dict(drive), dict(storage)
        self.regions = {name: _Region() for name in ("program", "input", "parameters", "state")}
        self.ops: list[list[int | Ref]] = []
        self.values: dict[str, Value] = {}
        self.accumulator: dict[str, Ref] = {}
        self.coefficients: dict[str, tuple[Ref, int]] = {}
        self.op_of: dict[str, int] = {}
        self.voltage: dict[str, Ref] = {}
        self.current: dict[str, Ref] = {}
        self.spike_counter: dict[str, Ref] = {}
        self.projections: dict[str, Projection] = {}
        self.scans: dict[Ref, Ref] = {}
        self.rings: dict[str, Ref] = {}
        self.initial: dict[Ref, Array] = {}
        self.nodes, edges = dict(flat.nodes), list(flat.edges)
        starters = self._starters()
        order, late = schedule(self.nodes, edges, starters)
        if options.recurrent_delay > 1 and late:
            edges = self._lengthen(edges, late)
            starters = self._starters()
            order, late = schedule(self.nodes, edges, starters)
        self.order, self.late, self.edges, self.starters = order, late, edges, starters
        self.sources = {n: [a for a, b in edges if b == n] for n in self.nodes}
        self.targets = {n: [b for a, b in edges if a == n] for n in self.nodes}
        self.tick = self.alloc("state", np.zeros(1, np.int64))
        self.inputs = [n for n in sorted(self.nodes) if isinstance(self.nodes[n].nir, nir.Input)]
        for name in self.inputs:
            self.values[name] = Value(self._pack("input", np.zeros(self.nodes[name].size_out, self.dtype)))
        begun = [n for n in self.order if n in self.starters]
        for name in begun:
            self._start(name)
        for name in begun:
            self._push(name)
        for name in self.order:
            if name not in self.starters:
                self._emit(name)
                self._push(name)
        for name in begun:
            self._finish(name)

    # memory

    def alloc(self, region: str, values: Array, align: int = 64) -> Ref:
        """Room for `values`, which are its first contents."""
        r = self.regions[region]
        r.size = -(-r.size // align) * align
        ref = Ref(region, r.size)
        r.parts.append((r.size, np.ascontiguousarray(values)))
        r.size += values.nbytes
        return ref

    def _pack(self, region: str, values: Array) -> Ref:
        return self.alloc(region, values, self.dtype.itemsize)

    def _buffer(self, size: int) -> Ref:
        """Zeros for `size` values, with room to the next multiple of 16."""
        return self.alloc("state", np.zeros(-(-size // 16) * 16, self.dtype))

    def _list(self, size: int) -> Ref:
        return self.alloc("state", np.zeros(2 + size, np.int32))

    def _counter(self) -> Ref:
        return self.alloc("state", np.zeros(1, np.int64), 8)

    def op(self, code: int, **words: int | Ref) -> None:
        """Append an op record; words are named q<position>."""
        record: list[int | Ref] = [0] * k.OP_WORDS
        record[0] = code
        for word, value in words.items():
            record[int(word[1:])] = value
        self.ops.append(record)

    # graph

    def _steps(self, name: str) -> Array:
        node = self.nodes[name]
        delay = np.round(np.asarray(node.nir.delay, dtype=np.float64) / self.options.dt).astype(np.int64)
        return np.array(np.broadcast_to(delay, node.shape_out)).reshape(-1)

    def _starters(self) -> frozenset[str]:
        found = []
        for name, node in self.nodes.items():
            if isinstance(node.nir, nir.Delay) and self._steps(name).min() >= 1:
                found.append(name)
        return frozenset(found)

    def _lengthen(self, edges: list[Edge], late: frozenset[Edge]) -> list[Edge]:
        """Put a delay of `recurrent_delay` ticks into every edge that would be late."""
        for a, b in sorted(late):
            name = f"{a}->{b}"
            shape = self.nodes[a].shape_out
            delay = nir.Delay(np.full(shape, self.options.recurrent_delay * self.options.dt))
            self.nodes[name] = Node(name, delay, shape, shape)
            edges.remove((a, b))
            edges += [(a, name), (name, b)]
        return edges

    def _fused(self, name: str) -> bool:
        """Whether a map adds straight to what its only target takes."""
        targets = self.targets[name]
        return isinstance(self.nodes[name].nir, MAPS) and len(targets) == 1 and not self._passes(targets[0])

    def _passes(self, name: str) -> bool:
        return self.nodes[name].nir is None or isinstance(self.nodes[name].nir, (nir.Output, nir.Flatten))

    def _pulls(self, name: str) -> bool:
        """Whether a node reads the one node before it in place."""
        sources = self.sources[name]
        return len(sources) == 1 and not self._fused(sources[0])

    def _acc(self, name: str) -> Ref:
        if name not in self.accumulator:
            self.accumulator[name] = self._buffer(self.nodes[name].size_in)
        return self.accumulator[name]

    def _read(self, name: str) -> tuple[Ref, Ref | None, int]:
        """Where a node's input is, its list of non-zero values if there is one, and CLEAR or 0."""
        if self._pulls(name):
            source = self.sources[name][0]
            value = self._value(source)
            return value.out, value.indices, 0
        return self._acc(name), None, k.CLEAR

    def _value(self, name: str) -> Value:
        """What a node gives; made ahead of its turn where a late edge reads it."""
        if name not in self.values:
            node = self.nodes[name]
            indices = self._list(node.size_out) if node.spiking else None
            self.values[name] = Value(self._buffer(node.size_out), indices)
        return self.values[name]

    def _listed(self, name: str, x: Ref, indices: Ref | None) -> Ref:
        """The list of non-zero inputs of a node, made by a scan where nobody keeps one."""
        if indices is not None:
            return indices
        steady = self._pulls(name) and (self.sources[name][0], name) not in self.late
        if steady and x in self.scans:
            return self.scans[x]
        size = self.nodes[name].size_in
        made = self._list(size)
        self.op(k.OP_SCAN, q1=size, q4=x, q5=made)
        if steady:
            self.scans[x] = made
        return made

    def _sparse(self, name: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether most of what a node gives is zero: spikes, inputs, and what keeps zero zero."""
        node = self.nodes[name]
        if node.spiking or isinstance(node.nir, (nir.Input, nir.Threshold)) or name in seen:
            return True
        if node.nir is None or isinstance(
            node.nir, (nir.Delay, nir.Scale, nir.Flatten, nir.SumPool2d, nir.AvgPool2d)
        ):
            return all(self._sparse(s, seen | {name}) for s in self.sources[name])
        return False

    def _push(self, name: str) -> None:
        """Add what a node gives to the targets that gather from several."""
        if self._fused(name):
            return
        for target in self.targets[name]:
            if not self._pulls(target):
                size = self.nodes[name].size_out
                self.op(k.OP_ADD, q1=size, q4=self._value(name).out, q8=self._acc(target))

    def _destination(self, name: str) -> tuple[Ref, int]:
        if self._fused(name):
            return self._acc(self.targets[name][0]), 0
        return self._value(name).out, k.ZERO

    # nodes

    def _emit(self, name: str) -> None:
        node = self.nodes[name]
        if isinstance(node.nir, nir.Input):
            return
        if type(node.nir) in NEURON_PARAMETERS:
            self._neuron(name, node)
        elif isinstance(node.nir, (nir.Linear, nir.Affine, SparseLinear)):
            self._linear(name, node)
        elif isinstance(node.nir, nir.Scale):
            x, _, clear = self._read(name)
            dst, zero = self._destination(name)
            scale = np.broadcast_to(node.nir.scale, node.shape_out).reshape(-1).astype(self.dtype)
            gain = self.alloc("parameters", np.ones(1, self.dtype))
            place = self.alloc("parameters", scale)
            self.op(k.OP_SCALE, q1=node.size_out, q3=clear | zero, q4=x, q6=place, q8=dst, q9=gain)
        elif isinstance(node.nir, nir.Threshold):
            x, _, clear = self._read(name)
            level = np.broadcast_to(node.nir.threshold, node.shape_out).reshape(-1).astype(self.dtype)
            self.spike_counter[name] = self._counter()
            out, place = self._value(name).out, self.alloc("parameters", level)
            self.op(
                k.OP_THRESHOLD,
                q1=node.size_out,
                q3=clear,
                q4=x,
                q6=place,
                q8=out,
                q11=self.spike_counter[name],
            )
        elif isinstance(node.nir, nir.Delay):
            self._delay_write(name, node)
            self._delay_read(name, node)
        elif self._passes(name):
            self._pass(name, node)
        else:
            raise GraphError(f"node {name!r}: {node.kind} cannot be run")

    def _pass(self, name: str, node: Node) -> None:
        in_time = all(e not in self.late for e in self.edges if name in e)
        if self._pulls(name) and in_time and name not in self.values:
            self.values[name] = self._value(self.sources[name][0])
            return
        x, _, clear = self._read(name)
        self.op(k.OP_ADD, q1=node.size_out, q3=clear | k.ZERO, q4=x, q8=self._value(name).out)

    def _start(self, name: str) -> None:
        self._delay_read(name, self.nodes[name])

    def _finish(self, name: str) -> None:
        self._delay_write(name, self.nodes[name])

    def _delay_ring(self, name: str) -> tuple[Ref, int]:
        length = int(self._steps(name).max()) + 1
        if name not in self.rings:
            self.rings[name] = self.alloc("state", np.zeros(length * self.nodes[name].size_out, self.dtype))
        return self.rings[name], length

    def _delay_read(self, name: str, node: Node) -> None:
        ring, length = self._delay_ring(name)
        steps = self.alloc("parameters", self._steps(name))
        self.op(k.OP_DELAY_READ, q1=node.size_out, q2=length, q5=steps, q6=ring, q8=self._value(name).out)

    def _delay_write(self, name: str, node: Node) -> None:
        ring, length = self._delay_ring(name)
        x, _, clear = self._read(name)
        self.op(k.OP_DELAY_WRITE, q1=node.size_out, q2=length, q3=clear, q4=x, q6=ring)

    def _neuron(self, name: str, node: Node) -> None:
        n = node.size_out
        kind = type(node.nir)
        x, _, clear = self._read(name)
        value = self._value(name)
        given = {p: np.asarray(getattr(node.nir, p)) for p in NEURON_PARAMETERS[kind]}
        rows = coefficients(given, kind, self.options)
        uniform = all(np.all(row == row.reshape(-1)[0]) for row in rows)
        block = np.stack([np.broadcast_to(row, node.shape_out).reshape(-1) for row in rows]).astype(
            self.dtype
        )
        place = self.alloc("parameters", block)
        self.coefficients[name] = place, n * self.dtype.itemsize
        flags = clear | (k.UNIFORM if uniform else 0)
        start = np.zeros(n)
        if self.options.initial == "leak" and "v_leak" in given:
            start = np.broadcast_to(given["v_leak"], node.shape_out).reshape(-1)
        # neurons that never spike give their voltage
        v = self.alloc("state", start.astype(self.dtype)) if node.spiking else value.out
        if not node.spiking:
            self.initial[value.out] = start.astype(self.dtype)
        self.voltage[name] = v
        current: int | Ref = 0
        if "tau_syn" in given:
            flags |= k.SYNAPSE
            current = self.current[name] = self.alloc("state", np.zeros(n, self.dtype))
        words: dict[str, int | Ref] = {}
        if node.spiking:
            flags |= k.SPIKING | (k.SUBTRACT if self.options.reset == "subtract" else 0)
            self.spike_counter[name] = self._counter()
            assert value.indices is not None
            words = {"q8": value.out, "q9": value.indices, "q11": self.spike_counter[name]}
        fired = self.alloc("state", np.zeros(-(-n // 8) * 8, np.uint8))
        self.op_of[name] = len(self.ops)
        self.op(
            k.OP_MEMBRANE,
            q1=n,
            q2=x,
            q3=flags,
            q4=place,
            q5=n * self.dtype.itemsize,
            q6=v,
            q7=current,
            q10=fired,
            **words,
        )

    def _linear(self, name: str, node: Node) -> None:
        x, indices, clear = self._read(name)
        dst, zero = self._destination(name)
        matrix, synapses = _weights(node)
        pre, post = node.size_in, node.size_out
        count = int(np.count_nonzero(matrix)) if synapses is None else synapses[2].size
        density = count / (pre * post)
        sparse_in = all(self._sparse(s) for s in self.sources[name])
        drive = self.forced_drive.get(name, "event" if sparse_in else "dense")
        wide = pre * post * self.dtype.itemsize > 1 << 26
        storage = self.forced_storage.get(
            name, "csr" if density <= 0.1 or (wide and density < 0.5) else "rows"
        )
        why = f"{'spikes or inputs' if sparse_in else 'values'} come in, {100 * density:.3g} % of the weights are not zero"
        if name in self.forced_drive or name in self.forced_storage:
            why = "told to"
        listed: int | Ref = self._listed(name, x, indices) if drive == "event" else 0
        gain = self.alloc("parameters", np.ones(1, self.dtype))
        events = self._counter()
        if storage == "rows":
            if matrix is None:
                assert synapses is not None
                matrix = np.zeros((post, pre))
                np.add.at(matrix, (synapses[1], synapses[0]), synapses[2])
            padded = -(-post // 16) * 16
            rows = np.zeros((pre, padded), self.dtype)
            rows[:, :post] = matrix.T
            place = self.alloc("parameters", rows)
            fan = self.alloc("parameters", np.count_nonzero(matrix, axis=0).astype(np.int32))
            self.op(
                k.OP_ROWS, q1=pre, q2=padded, q3=clear | zero, q4=x, q5=listed, q6=place,
                q7=padded * self.dtype.itemsize, q8=dst, q9=gain, q10=fan, q11=events,
            )  # fmt: skip
        else:
            if synapses is None:
                assert matrix is not None
                source, target = np.nonzero(matrix.T)
                weight = matrix.T[source, target]
            else:
                source, target, weight = synapses
                by_row = np.lexsort((target, source))
                source, target, weight = source[by_row], target[by_row], weight[by_row]
            pointer = np.zeros(pre + 1, np.int64)
            np.cumsum(np.bincount(source, minlength=pre), out=pointer[1:])
            width = np.uint16 if post <= 1 << 16 else np.uint32
            place = self.alloc("parameters", weight.astype(self.dtype))
            columns = self.alloc("parameters", target.astype(width))
            rows_at = self.alloc("parameters", pointer)
            self.op(
                k.OP_CSR, q1=pre, q2=post, q3=clear | zero, q4=x, q5=listed, q6=place, q7=columns, q8=dst, q9=gain,
                q10=rows_at, q11=events, q12=self.dtype.itemsize, q13=np.dtype(width).itemsize,
            )  # fmt: skip
        if isinstance(node.nir, nir.Affine):
            bias = np.broadcast_to(node.nir.bias, node.shape_out).reshape(-1).astype(self.dtype)
            self.op(k.OP_CONSTANT, q1=post, q4=x, q6=self.alloc("parameters", bias), q8=dst)
        self.projections[name] = Projection(storage, drive, count, density, place, gain, events, why)

    def arena(self) -> tuple[Array, dict[str, int]]:
        """The finished arena as aligned int64 words, and where each region starts in it."""
        self.regions["program"].size = len(self.ops) * k.OP_WORDS * 8
        bases, size = {}, k.HEADER_WORDS * 8
        for name, region in self.regions.items():
            size = -(-size // 64) * 64
            bases[name] = size
            size += region.size
        size = -(-size // 64) * 64
        raw = np.zeros(size // 8 + 8, np.int64)
        skip = (-raw.ctypes.data % 64) // 8
        words = raw[skip : skip + size // 8]
        bytes_ = words.view(np.uint8)
        for name, region in self.regions.items():
            for offset, part in region.parts:
                start = bases[name] + offset
                bytes_[start : start + part.nbytes] = part.reshape(-1).view(np.uint8)
        for ref, part in self.initial.items():
            start = bases[ref.region] + ref.offset
            bytes_[start : start + part.nbytes] = part.view(np.uint8)
        flat = [
            bases[w.region] + w.offset if isinstance(w, Ref) else int(w)
            for record in self.ops
            for w in record
        ]
        first = bases["program"] // 8
        words[first : first + len(flat)] = flat
        words[k.H_MAGIC], words[k.H_DTYPE], words[k.H_SIZE] = k.MAGIC, self.dtype.itemsize, size
        words[k.H_OPS], words[k.H_PROGRAM] = len(self.ops), bases["program"]
        words[k.H_INPUT] = bases["input"]
        words[k.H_INPUT_SIZE] = sum(self.nodes[n].size_out for n in self.inputs)
        words[k.H_STATE], words[k.H_STATE_SIZE] = bases["state"], self.regions["state"].size
        words[k.H_TICK] = bases["state"] + self.tick.offset
        return words, bases


def _weights(node: Node) -> tuple[Array | None, tuple[Array, Array, Array] | None]:
    """A linear node's weights as a matrix (out, in), or as lists (pre, post, weight)."""
    if isinstance(node.nir, SparseLinear):
        return None, (node.nir.pre, node.nir.post, np.asarray(node.nir.weight))
    weight = np.asarray(node.nir.weight)  # type: ignore[union-attr]
    if weight.ndim == 2:
        return weight, None
    blocks = weight.reshape(-1, *weight.shape[-2:])
    count, post, pre = blocks.shape
    matrix = np.zeros((count * post, count * pre), weight.dtype)
    for b in range(count):
        matrix[b * post : (b + 1) * post, b * pre : (b + 1) * pre] = blocks[b]
    return matrix, None


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
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        self.graph = flatten(graph.to_nir() if isinstance(graph, Network) else graph)
        self._plan = plan = _Compiler(self.graph, self.options, drive or {}, storage or {})
        self.arena, self._bases = plan.arena()
        self.address = int(self.arena.ctypes.data)
        self.dtype = plan.dtype
        self.input_names = tuple(plan.inputs)
        self.output_names = tuple(
            sorted(n for n, v in self.graph.nodes.items() if isinstance(v.nir, nir.Output))
        )
        single = self.dtype == np.float32
        self._step_input = k.step_input_f32 if single else k.step_input_f64
        self._run = k.run_f32 if single else k.run_f64
        self._inputs = {n: self.input(n) for n in self.input_names}
        self._outputs = {n: self.output(n) for n in self.output_names}
        self._input_size = int(self.arena[k.H_INPUT_SIZE])
        self._result = self._outputs[self.output_names[0]] if len(self.output_names) == 1 else self._outputs
        start = int(self.arena[k.H_STATE]) // 8
        self._state = self.arena[start : start + -(-int(self.arena[k.H_STATE_SIZE]) // 8)]
        self._initial = self._state.copy()

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
        except TypeError:
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
        return np.concatenate(parts).astype(self.dtype, copy=False)

    def _named(self, x: Any) -> dict[str, Any]:
        if not isinstance(x, Mapping):
            if len(self.input_names) != 1:
                raise ValueError(f"inputs are {list(self.input_names)}: give a dict of them by name")
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
        Returns the output (steps, *output shape), or a dict by name where there are several; with `record`, a
        dict that holds, besides each output, each node of `record` as {"spikes", "voltage"} where it has them.
        """
        values = self._rows(x)
        names = list(self.output_names)
        taps = [(self.offset(self._plan.values[n].out), self.graph.nodes[n].size_out) for n in names]
        keys: list[tuple[str, str]] = [("output", n) for n in names]
        for name in record:
            node = self._node(name)
            if name in self._plan.voltage:
                keys.append(("voltage", name))
                taps.append((self.offset(self._plan.voltage[name]), node.size_out))
            if node.spiking or name not in self._plan.voltage:
                self.output(name)
                keys.append(("spikes" if node.spiking else "values", name))
                taps.append((self.offset(self._plan.values[name].out), node.size_out))
        places = np.array(taps, dtype=np.int64).reshape(-1, 2)
        out = np.empty((values.shape[0], int(places[:, 1].sum())), self.dtype)
        status, done = self._run(self.address, values, places, out)
        if status:
            raise ValueError(
                f"input holds NaN or infinity in step {done}; the {done} steps before it were run"
            )
        columns = np.cumsum(places[:, 1])[:-1]
        found: dict[str, dict[str, Array]] = {"output": {}}
        for (what, name), block in zip(keys, np.split(out, columns, axis=1), strict=True):
            shaped = np.ascontiguousarray(block).reshape(values.shape[0], *self.graph.nodes[name].shape_out)
            if what == "output":
                found["output"][name] = shaped
            else:
                found.setdefault(name, {})[what] = shaped
        outputs = found["output"]
        result = outputs[names[0]] if len(names) == 1 else outputs
        if not record:
            return result
        return {"output": result, **{name: found[name] for name in record}}

    def _rows(self, x: Any) -> Array:
        if isinstance(x, (int, np.integer)):
            return np.array(np.broadcast_to(self._flat(None), (int(x), self._input_size)))
        blocks = []
        for name, values in self._named(x).items():
            array = np.asarray(values)
            shape = self.graph.nodes[name].shape_out
            if array.shape[1:] not in (shape, (math.prod(shape),)) or array.dtype.kind not in "biuf":
                raise ValueError(
                    f"input {name!r}: {array.dtype} of shape {array.shape}, expected (steps, {', '.join(map(str, shape))})"
                )
            blocks.append(array.reshape(array.shape[0], -1))
        if len({b.shape[0] for b in blocks}) != 1:
            raise ValueError(f"inputs of different numbers of steps: {[b.shape[0] for b in blocks]}")
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
