"""Turns a checked graph into an arena and a program for `kernels`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import nir
import numpy as np
from nir.ir.node import NIRNode
from numpy.typing import NDArray

from hybrid_control.snn.backends.numba import kernels as k
from hybrid_control.snn.backends.numba.schedule import schedule
from hybrid_control.snn.neurons import (
    NEURON_PARAMETERS,
    TIME_CONSTANTS,
    AdaptiveCubaLIF,
    AdaptiveLIF,
    Izhikevich,
    SparseLinear,
)
from hybrid_control.snn.nir.files import Edge, FlatGraph, GraphError, Node, Window, window
from hybrid_control.snn.plasticity import STDP, RewardSTDP

Scheme = Literal["euler", "exponential", "exact"]
Reset = Literal["value", "subtract"]
Order = Literal["current_first", "voltage_first"]
Drive = Literal["event", "dense"]
Storage = Literal["rows", "csr"]
Array = NDArray[Any]

MAX_DELAY_LINE = 1 << 28  # values that one delay may have to keep
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


def coefficients(node: NIRNode, parameters: Mapping[str, Array], options: Options) -> list[Array]:
    """The rows of a neuron's coefficient block (K_V .. K_REFRACTORY), in float64, each of the parameters' shape.

    One tick is  I' = K_SYN I + K_IN x,  v' = K_V v + K_LEAK + K_OLD I + K_NEW I'  (I' = x without a synapse).
    For an Izhikevich the rows are a, b, c, d, v_peak, the step of v and the step of u, both in ms.
    """
    dt = options.dt
    p = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
    if isinstance(node, Izhikevich):
        whole = np.full_like(p["a"], 1e3 * dt)
        return [p["a"], p["b"], p["c"], p["d"], p["v_peak"], whole / substeps(node), whole]
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
        if options.scheme == "exact" and tau is not None:
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


def _spread(values: Any, node: Node) -> Array:
    """Values broadcast to a node's output, in one line."""
    return np.array(np.broadcast_to(np.asarray(values), node.shape_out)).reshape(-1)


def uniform(rows: Sequence[Array]) -> bool:
    """Whether each row holds one value only."""
    return all(bool(np.all(row == np.asarray(row).reshape(-1)[0])) for row in rows)


def substeps(node: Izhikevich) -> int:
    """In how many parts a tick is integrated."""
    count = np.asarray(node.substeps)
    if count.size != 1 or int(count.reshape(-1)[0]) != count.reshape(-1)[0] or count.reshape(-1)[0] < 1:
        raise GraphError(f"Izhikevich: substeps {node.substeps} must be a whole number >= 1")
    return int(count.reshape(-1)[0])


def _delays(node: Node) -> bool:
    return isinstance(node.nir, nir.Delay) or (
        isinstance(node.nir, SparseLinear) and node.nir.delay is not None
    )


def _repeated(synapses: tuple[Array, Array, Array]) -> bool:
    pairs = np.stack(synapses[:2])
    return bool(np.unique(pairs, axis=1).shape[1] < pairs.shape[1])


def _reach(size_in: int, size_out: int, w: Window, d: int) -> Array:
    """Along one direction: to how many outputs each input position leads."""
    targets = np.arange(size_in)[:, None] + w.padding[d] - np.arange(w.kernel[d]) * w.dilation[d]
    inside = (targets >= 0) & (targets % w.stride[d] == 0) & (targets // w.stride[d] < size_out)
    return inside.sum(axis=1)


@dataclass(frozen=True)
class Projection:
    """How the weights of a node are kept and used."""

    storage: str  # "rows", "csr" or "window"
    drive: Drive
    synapses: int
    weights: Ref
    gain: Ref
    events: Ref
    why: str
    ends: tuple[Array, Array] | None = None  # (pre, post) of each weight of a "csr"


@dataclass(frozen=True)
class Neuron:
    """A population's parameters as given, and where its coefficient block and its op record are."""

    parameters: dict[str, Array]
    coefficients: Ref
    pitch: int
    op: int


class Compiler:
    """Lays out the arena and writes the program; used once by `Engine`."""

    def __init__(
        self,
        flat: FlatGraph,
        options: Options,
        drive: Mapping[str, Drive],
        storage: Mapping[str, Storage],
        plasticity: Mapping[str, STDP],
    ) -> None:
        self.options = options
        self.dtype = np.dtype(options.dtype)
        self.forced_drive, self.forced_storage = dict(drive), dict(storage)
        self.plasticity = dict(plasticity)
        self.regions = {name: _Region() for name in ("program", "input", "parameters", "state")}
        self.ops: list[list[int | Ref]] = []
        self.values: dict[str, Value] = {}
        self.accumulator: dict[str, Ref] = {}
        self.neurons: dict[str, Neuron] = {}
        self.recovery: dict[str, Ref] = {}
        self.learning: dict[str, tuple[Ref, bool]] = {}
        self._plastic: dict[str, tuple[Ref, Ref, Ref]] = {}
        self.voltage: dict[str, Ref] = {}
        self.current: dict[str, Ref] = {}
        self.spike_counter: dict[str, Ref] = {}
        self.projections: dict[str, Projection] = {}
        self.scans: dict[Ref, Ref] = {}
        self.rings: dict[str, Ref] = {}
        self.first: dict[Ref, Array] = {}
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
        self._check_told()
        for name in sorted(self.plasticity):
            self._learn(name, self.plasticity[name])

    def _check_told(self) -> None:
        """What was told about projections must name one and say something known."""
        for what, told, known in (
            ("drive", self.forced_drive, ("event", "dense")),
            ("storage", self.forced_storage, ("rows", "csr")),
        ):
            for name, choice in told.items():
                if choice not in known:
                    raise ValueError(f"{what} of {name!r} must be one of {known}, not {choice!r}")
                if name not in self.projections or (
                    what == "storage" and self.projections[name].storage == "window"
                ):
                    able = [
                        n for n, p in self.projections.items() if what == "drive" or p.storage != "window"
                    ]
                    raise ValueError(
                        f"{what}: {name!r} is no projection that has one; there are {sorted(able)}"
                    )

    # memory

    def alloc(self, region: str, values: Array, align: int = 64) -> Ref:
        """Room for `values`, which are its first contents."""
        r = self.regions[region]
        r.size = -(-r.size // align) * align
        ref = Ref(region, r.size)
        r.parts.append((r.size, np.ascontiguousarray(values)))
        r.size += values.nbytes
        return ref

    def cast(self, name: str, values: Any) -> Array:
        """A node's values in the engine's type; GraphError where one is too large for it."""
        given = np.asarray(values)
        with np.errstate(over="ignore"):
            cast: Array = given.astype(self.dtype)
        if (np.isinf(cast) & np.isfinite(given)).any():
            raise GraphError(f"node {name!r}: {np.abs(given).max():g} is too large for {self.dtype}")
        return cast

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
        """Delays in whole ticks: of each neuron for a Delay, of each synapse for a SparseLinear."""
        node = self.nodes[name]
        assert isinstance(node.nir, (nir.Delay, SparseLinear))
        seconds = np.asarray(node.nir.delay, dtype=np.float64)
        steps: Array = np.minimum(np.round(seconds / self.options.dt), MAX_DELAY_LINE).astype(np.int64)
        return steps if isinstance(node.nir, SparseLinear) else _spread(steps, node)

    def _starters(self) -> frozenset[str]:
        found = []
        for name, node in self.nodes.items():
            if _delays(node) and self._steps(name).min(initial=1) >= 1:
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
            if _delays(node):
                self._drain(name)
        elif isinstance(node.nir, (nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d)):
            self._slide(name, node)
        elif isinstance(node.nir, nir.Scale):
            x, _, clear = self._read(name)
            dst, zero = self._destination(name)
            scale = self.cast(name, _spread(node.nir.scale, node))
            gain = self.alloc("parameters", np.ones(1, self.dtype))
            place = self.alloc("parameters", scale)
            self.op(k.OP_SCALE, q1=node.size_out, q3=clear | zero, q4=x, q6=place, q8=dst, q9=gain)
        elif isinstance(node.nir, nir.Threshold):
            x, _, clear = self._read(name)
            level = self.cast(name, _spread(node.nir.threshold, node))
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
        node = self.nodes[name]
        if isinstance(node.nir, nir.Delay):
            self._delay_read(name, node)
        else:
            self._drain(name)

    def _finish(self, name: str) -> None:
        node = self.nodes[name]
        if isinstance(node.nir, nir.Delay):
            self._delay_write(name, node)
        else:
            self._linear(name, node)

    def _delay_ring(self, name: str) -> tuple[Ref, int]:
        length = int(self._steps(name).max(initial=0)) + 1
        if length * self.nodes[name].size_out > MAX_DELAY_LINE:
            raise GraphError(
                f"node {name!r}: a delay of {length - 1} ticks for {self.nodes[name].size_out} values is too long"
            )
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
        n, kind = node.size_out, type(node.nir)
        x, _, clear = self._read(name)
        value = self._value(name)
        given = {p: np.asarray(getattr(node.nir, p), dtype=np.float64) for p in NEURON_PARAMETERS[kind]}
        self._warn(name, given)
        rows = coefficients(node.nir, given, self.options)
        place = self.alloc("parameters", self.cast(name, np.stack([_spread(row, node) for row in rows])))
        flags = clear | (k.UNIFORM if uniform(rows) else 0)
        words: dict[str, int | Ref] = {}
        start = np.zeros(n)
        if isinstance(node.nir, Izhikevich):
            code = k.OP_IZHIKEVICH
            start = _spread(given["c"], node)
            other = self.alloc("state", self.cast(name, _spread(given["b"], node) * start))
            self.recovery[name] = other
            words = {"q12": other, "q13": substeps(node.nir)}
        elif kind in (AdaptiveLIF, AdaptiveCubaLIF):
            code = k.OP_EXTENDED
            words = {f"q{q}": self.alloc("state", np.zeros(n, self.dtype)) for q in (12, 13)}
        else:
            code = k.OP_MEMBRANE
        if self.options.initial == "leak" and "v_leak" in given:
            start = _spread(given["v_leak"], node)
        if "tau_syn" in given:
            flags |= k.SYNAPSE
            words["q7"] = self.current[name] = self.alloc("state", np.zeros(n, self.dtype))
        if node.spiking:
            flags |= k.SPIKING | (k.SUBTRACT if self.options.reset == "subtract" else 0)
            self.voltage[name] = self.alloc("state", self.cast(name, start))
            self.spike_counter[name] = self._counter()
            assert value.indices is not None
            words |= {"q8": value.out, "q9": value.indices, "q11": self.spike_counter[name]}
        else:  # what it gives is its voltage
            self.voltage[name] = value.out
            self.first[value.out] = self.cast(name, start)
        fired = self.alloc("state", np.zeros(-(-n // 64) * 64, np.uint8))
        pitch = n * self.dtype.itemsize
        self.neurons[name] = Neuron(given, place, pitch, len(self.ops))
        self.op(code, q1=n, q2=x, q3=flags, q4=place, q5=pitch, q6=self.voltage[name], q10=fired, **words)

    def _warn(self, name: str, given: Mapping[str, Array]) -> None:
        if self.options.scheme == "euler":
            for key in sorted(set(TIME_CONSTANTS) & set(given)):
                if (given[key] < self.options.dt).any():
                    warnings.warn(
                        f"node {name!r}: dt {self.options.dt:g} s is larger than {key} {given[key].min():g} s; "
                        "forward Euler overshoots there: take a smaller dt or scheme='exponential'",
                        stacklevel=6,
                    )

    def _linear(self, name: str, node: Node) -> None:
        x, indices, clear = self._read(name)
        pre, post = node.size_in, node.size_out
        matrix, synapses = _weights(node)
        rule = self.plasticity.get(name)
        count = synapses[0].size if matrix is None and synapses else int(np.count_nonzero(np.asarray(matrix)))
        density = count / (pre * post)
        drive, why = self._drive(name)
        wide = pre * post * self.dtype.itemsize > 1 << 26
        storage: Storage = "csr" if density <= 0.1 or (wide and density < 0.5) else "rows"
        must = rule is not None or _delays(node) or (synapses is not None and _repeated(synapses))
        if name in self.forced_storage:
            storage = self.forced_storage[name]
            if must and storage != "csr":
                raise ValueError(
                    f"projection {name!r}: delays, learning and repeated synapses need storage 'csr'"
                )
        elif must:
            storage = "csr"
        why += f"; {100 * density:.3g} % of all pairs are joined"
        listed: int | Ref = self._listed(name, x, indices) if drive == "event" else 0
        gain, events = self.alloc("parameters", np.ones(1, self.dtype)), self._counter()
        common: dict[str, int | Ref] = {"q1": pre, "q4": x, "q5": listed, "q9": gain, "q11": events}
        if storage == "rows":
            if matrix is None:
                assert synapses is not None
                matrix = np.zeros((post, pre))
                matrix[synapses[1], synapses[0]] = synapses[2]
            padded = -(-post // 16) * 16
            rows = np.zeros((pre, padded), self.dtype)
            rows[:, :post] = self.cast(name, matrix.T)
            place = self.alloc("parameters", rows)
            fan = self.alloc("parameters", np.count_nonzero(matrix, axis=0).astype(np.int32))
            dst, zero = self._destination(name)
            pitch = padded * self.dtype.itemsize
            self.op(k.OP_ROWS, q2=padded, q3=clear | zero, q6=place, q7=pitch, q8=dst, q10=fan, **common)
            self.projections[name] = Projection(storage, drive, count, place, gain, events, why)
        else:
            self._compressed(name, node, matrix, synapses, clear, common, why)
        if isinstance(node.nir, nir.Affine):
            dst, _ = self._destination(name)
            bias = self.alloc("parameters", self.cast(name, _spread(node.nir.bias, node)))
            self.op(k.OP_CONSTANT, q1=post, q4=x, q6=bias, q8=dst)

    def _drive(self, name: str) -> tuple[Drive, str]:
        """How a projection is propagated, and why."""
        sparse = all(self._sparse(s) for s in self.sources[name])
        drive: Drive = self.forced_drive.get(name, "event" if sparse else "dense")
        if name in self.forced_drive or name in self.forced_storage:
            return drive, "told to"
        return drive, "spikes or inputs come in" if sparse else "values come in that are seldom zero"

    def _compressed(
        self,
        name: str,
        node: Node,
        matrix: Array | None,
        synapses: tuple[Array, Array, Array] | None,
        clear: int,
        common: dict[str, int | Ref],
        why: str,
    ) -> None:
        pre, post = node.size_in, node.size_out
        rule = self.plasticity.get(name)
        if synapses is None:
            assert matrix is not None
            source, target = np.nonzero(matrix.T)
            weight = matrix.T[source, target]
            order = np.arange(source.size)
        else:
            order = np.lexsort((synapses[1], synapses[0]))
            source, target, weight = (part[order] for part in synapses)
        pointer = np.zeros(pre + 1, np.int64)
        np.cumsum(np.bincount(source, minlength=pre), out=pointer[1:])
        wide = post > 1 << 16 or rule is not None or _delays(node)
        columns = self.alloc("parameters", target.astype(np.uint32 if wide else np.uint16))
        place = self.alloc("parameters" if rule is None else "state", self.cast(name, weight))
        at = self.alloc("parameters", pointer)
        item = self.dtype.itemsize
        common |= {"q2": post, "q6": place, "q7": columns, "q10": at, "q12": item}
        if _delays(node):
            ring, length = self._delay_ring(name)
            steps = self.alloc("parameters", self._steps(name)[order].astype(np.uint32))
            self.op(k.OP_DELAYED_SCATTER, q3=clear, q13=length, q14=ring, q15=steps, **common)
        else:
            dst, zero = self._destination(name)
            self.op(k.OP_CSR, q3=clear | zero, q8=dst, q13=4 if wide else 2, **common)
        gain, events = common["q9"], common["q11"]
        assert isinstance(gain, Ref)
        assert isinstance(events, Ref)
        drive: Drive = "dense" if common["q5"] == 0 else "event"
        self.projections[name] = Projection(
            "csr", drive, source.size, place, gain, events, why, (source, target)
        )
        if rule is not None:
            self._plastic[name] = at, columns, place

    def _drain(self, name: str) -> None:
        node = self.nodes[name]
        ring, length = self._delay_ring(name)
        dst, zero = self._destination(name)
        self.op(
            k.OP_DELAYED_DRAIN,
            q2=node.size_out,
            q3=zero,
            q8=dst,
            q12=self.dtype.itemsize,
            q13=length,
            q14=ring,
        )

    def _slide(self, name: str, node: Node) -> None:
        """A convolution or pooling: one record with the geometry."""
        x, indices, clear = self._read(name)
        w = window(name, node.nir)
        one = isinstance(node.nir, nir.Conv1d)
        shape_in = (node.shape_in[0], 1, node.shape_in[1]) if one else node.shape_in
        shape_out = (node.shape_out[0], 1, node.shape_out[1]) if one else node.shape_out
        numbers = (*shape_in, *shape_out, *w.kernel, *w.stride, *w.padding, *w.dilation, w.groups)
        geometry: dict[str, int | Ref] = {f"q{12 + i}": int(v) for i, v in enumerate(numbers)}
        dst, zero = self._destination(name)
        if isinstance(node.nir, (nir.SumPool2d, nir.AvgPool2d)):
            factor = 1.0 if isinstance(node.nir, nir.SumPool2d) else 1.0 / math.prod(w.kernel)
            place = self.alloc("parameters", np.array([factor], self.dtype))
            self.op(k.OP_POOL, q3=clear | zero, q4=x, q6=place, q8=dst, **geometry)
            return
        assert isinstance(node.nir, (nir.Conv1d, nir.Conv2d))
        drive, why = self._drive(name)
        listed: int | Ref = self._listed(name, x, indices) if drive == "event" else 0
        gain, events = self.alloc("parameters", np.ones(1, self.dtype)), self._counter()
        place = self.alloc("parameters", self.cast(name, np.asarray(node.nir.weight)))
        along = [_reach(shape_in[1 + d], shape_out[1 + d], w, d) for d in (0, 1)]
        fan = np.outer(*along) * (shape_out[0] // w.groups)
        spread = self.alloc("parameters", np.broadcast_to(fan, shape_in).astype(np.int32))
        self.op(
            k.OP_CONV, q3=clear | zero, q4=x, q5=listed, q6=place, q8=dst, q9=gain, q10=spread, q11=events,
            **geometry,
        )  # fmt: skip
        bias = np.asarray(node.nir.bias)
        if bias.any():
            by_pixel = np.broadcast_to(bias.reshape(-1, *[1] * (len(node.shape_out) - 1)), node.shape_out)
            constant = self.alloc("parameters", self.cast(name, by_pixel.reshape(-1)))
            self.op(k.OP_CONSTANT, q1=node.size_out, q4=x, q6=constant, q8=dst)
        total = int(fan.sum()) * shape_in[0]
        self.projections[name] = Projection("window", drive, total, place, gain, events, why)

    def _learn(self, name: str, rule: STDP) -> None:
        """The op that changes a projection's weights; it comes after everything that fires."""
        node = self.nodes.get(name)
        if node is None or name not in self._plastic:
            raise ValueError(
                f"plasticity: {name!r} is no projection with weights; there are {sorted(self.projections)}"
            )
        if len(self.sources[name]) != 1:
            raise ValueError(
                f"plasticity of {name!r}: it must come from one population, not {self.sources[name]}"
            )
        source = self.sources[name][0]
        target = name
        while not self.nodes[target].spiking:
            following = self.targets[target]
            if len(following) != 1 or not (target == name or isinstance(self.nodes[target].nir, nir.Delay)):
                raise ValueError(f"plasticity of {name!r}: it must lead to one spiking population")
            target = following[0]
        before, after = self._value(source), self._value(target)
        pre, post = node.size_in, node.size_out
        listed = before.indices
        if listed is None:
            listed = self._list(pre)
            self.op(k.OP_SCAN, q1=pre, q4=before.out, q5=listed)
        assert after.indices is not None
        at, columns, place = self._plastic[name]
        ends = self.projections[name].ends
        assert ends is not None
        by_target = np.argsort(ends[1], kind="stable")
        pointer = np.zeros(post + 1, np.int64)
        np.cumsum(np.bincount(ends[1], minlength=post), out=pointer[1:])
        dt = self.options.dt
        three = isinstance(rule, RewardSTDP)
        numbers = [math.exp(-dt / rule.tau_plus), math.exp(-dt / rule.tau_minus), rule.a_plus, rule.a_minus]
        numbers += [rule.w_min, rule.w_max]
        numbers += (
            [math.exp(-dt / rule.tau_e), rule.rate * dt] if isinstance(rule, RewardSTDP) else [0.0, 0.0]
        )
        numbers += [1.0, 0.0]
        parameters = self.alloc("parameters", np.array(numbers, self.dtype))
        trace: int | Ref = self.alloc("state", np.zeros(ends[0].size, self.dtype)) if three else 0
        self.learning[name] = parameters, three
        self.op(
            k.OP_STDP, q1=pre, q2=post, q3=ends[0].size, q4=parameters,
            q5=self.alloc("state", np.zeros(pre, self.dtype)), q6=self.alloc("state", np.zeros(post, self.dtype)),
            q7=at, q8=columns, q9=place, q10=self.alloc("parameters", pointer),
            q11=self.alloc("parameters", ends[0][by_target].astype(np.uint32)),
            q12=self.alloc("parameters", by_target.astype(np.int64)), q13=listed, q14=after.indices, q15=trace,
        )  # fmt: skip

    def arena(self) -> tuple[Array, dict[str, int]]:
        """The finished arena as aligned int64 words, and where each region starts in it."""
        self.regions["program"].size = len(self.ops) * k.OP_WORDS * 8
        bases, size = {}, k.HEADER_WORDS * 8
        for name, region in self.regions.items():
            size = -(-size // 64) * 64
            bases[name] = size
            size += region.size
        size = -(-size // 64) * 64 + 128  # a scan reads 16 values at a time and may look past the last
        raw = np.zeros(size // 8 + 8, np.int64)
        skip = (-raw.ctypes.data % 64) // 8
        words = raw[skip : skip + size // 8]
        bytes_ = words.view(np.uint8)
        for name, region in self.regions.items():
            for offset, part in region.parts:
                start = bases[name] + offset
                bytes_[start : start + part.nbytes] = part.reshape(-1).view(np.uint8)
        for ref, part in self.first.items():
            start = bases[ref.region] + ref.offset
            bytes_[start : start + part.nbytes] = part.view(np.uint8)
        flat = [
            bases[w.region] + w.offset if isinstance(w, Ref) else int(w)
            for record in self.ops
            for w in record
        ]
        first = bases["program"] // 8
        words[first : first + len(flat)] = flat
        words[k.H_MAGIC], words[k.H_ITEM], words[k.H_SIZE] = k.MAGIC, self.dtype.itemsize, size
        words[k.H_OPS], words[k.H_PROGRAM] = len(self.ops), bases["program"]
        words[k.H_INPUT] = bases["input"]
        words[k.H_INPUT_SIZE] = sum(self.nodes[n].size_out for n in self.inputs)
        words[k.H_STEP] = k.step_pointer(self.dtype.itemsize)
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
