"""Projections: how the weights of a map are kept, and the op that propagates them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import nir
import numpy as np

from hybrid_control.snn.backends.numba.delays import Rings
from hybrid_control.snn.backends.numba.kernels.arena import Ref
from hybrid_control.snn.backends.numba.kernels.maps import Constant, Convolve, Pool
from hybrid_control.snn.backends.numba.kernels.synapses import Compressed, Rows, Scatter
from hybrid_control.snn.backends.numba.memory import Array, padded
from hybrid_control.snn.backends.numba.schedule import delays
from hybrid_control.snn.backends.numba.wiring import Source
from hybrid_control.snn.nir.graph import Node
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.nir.windows import Window, window

Drive = Literal["event", "dense"]
Storage = Literal["rows", "csr"]

WIDE = (
    1 << 26
)  # bytes of a matrix from which on half of its pairs may be joined and it is still kept as lists


@dataclass(frozen=True)
class Lists:
    """Synapses in compressed rows: the ends of each, and where the arena keeps them."""

    pre: Array
    post: Array
    pointer: Ref
    columns: Ref


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
    lists: Lists | None = None  # of a "csr"


class Projections:
    """The projections of a program, by name.

    drive, storage: what is chosen from outside, by name. plastic: those that will learn.
    """

    def __init__(
        self,
        rings: Rings,
        drive: Mapping[str, Drive],
        storage: Mapping[str, Storage],
        plastic: frozenset[str],
    ) -> None:
        self.rings, self.wiring, self.memory = rings, rings.wiring, rings.memory
        self.drive, self.storage, self.plastic = drive, storage, plastic
        self.projections: dict[str, Projection] = {}

    def check_choices(self) -> None:
        """ValueError where a choice from outside names no projection that has it, or says something unknown."""
        slid = {name for name, p in self.projections.items() if p.storage == "window"}
        for what, choices, known, able in (
            ("drive", self.drive, ("event", "dense"), set(self.projections)),
            ("storage", self.storage, ("rows", "csr"), set(self.projections) - slid),
        ):
            for name, choice in choices.items():
                if choice not in known:
                    raise ValueError(f"{what} of {name!r} must be one of {known}, not {choice!r}")
                if name not in able:
                    raise ValueError(
                        f"{what}: {name!r} is no projection that has one; there are {sorted(able)}"
                    )

    def add_linear(self, node: Node) -> None:
        """A Linear, Affine or SparseLinear."""
        name, source = node.name, self.wiring.read(node.name)
        pairs = node.size_in * node.size_out
        matrix, synapses = _weights(node)
        count = synapses[0].size if synapses is not None else int(np.count_nonzero(matrix))
        density = count / pairs
        drive, why = self._drive(name)
        wide = pairs * self.memory.dtype.itemsize > WIDE
        storage: Storage = "csr" if density <= 0.1 or (wide and density < 0.5) else "rows"
        must = name in self.plastic or delays(node) or (synapses is not None and _repeated(synapses))
        if name in self.storage:
            storage = self.storage[name]
            if must and storage != "csr":
                raise ValueError(
                    f"projection {name!r}: delays, learning and repeated synapses need storage 'csr'"
                )
        elif must:
            storage = "csr"
        why += f"; {100 * density:.3g} % of all pairs are joined"
        if storage == "rows":
            if synapses is not None:
                matrix = np.zeros((node.size_out, node.size_in))
                matrix[synapses[1], synapses[0]] = synapses[2]
            self._rows(node, source, matrix, count, drive, why)
        else:
            if synapses is None:
                pre, post = np.nonzero(matrix.T)
                synapses = pre, post, matrix.T[pre, post]
            self._compressed(node, source, synapses, drive, why)
        if isinstance(node.nir, nir.Affine):
            self._constant(node, np.asarray(node.nir.bias))

    def _drive(self, name: str) -> tuple[Drive, str]:
        """How a projection is propagated, and why."""
        schedule = self.wiring.schedule
        sparse = all(schedule.sparse(source) for source in schedule.sources[name])
        drive: Drive = self.drive.get(name, "event" if sparse else "dense")
        if name in self.drive or name in self.storage:
            return drive, "told to"
        return drive, "spikes or inputs come in" if sparse else "values come in that are seldom zero"

    def _listed(self, name: str, source: Source, drive: Drive) -> int | Ref:
        return self.wiring.listed(name, source) if drive == "event" else 0

    def _constant(self, node: Node, values: Array) -> None:
        place = self.memory.parameters(self.memory.cast(node.name, node.spread(values)))
        self.memory.op(Constant(node.size_out, place, self.wiring.write(node.name)[0]))

    def _rows(self, node: Node, source: Source, matrix: Array, count: int, drive: Drive, why: str) -> None:
        name, memory = node.name, self.memory
        listed = self._listed(name, source, drive)
        gain, events = memory.one(), memory.counter(f"{name}.events")
        rows = np.zeros((node.size_in, padded(node.size_out)), memory.dtype)
        rows[:, : node.size_out] = memory.cast(name, matrix.T)
        weights = memory.parameters(rows)
        fan = memory.parameters(np.count_nonzero(matrix, axis=0).astype(np.int32))
        out, zero = self.wiring.write(name)
        memory.op(
            Rows(
                pre=node.size_in,
                padded=rows.shape[1],
                x=source.x,
                listed=listed,
                weights=weights,
                pitch=rows.strides[0],
                out=out,
                zero=zero,
                clear=source.clear,
                gain=gain,
                fan=fan,
                events=events,
            )
        )
        self.projections[name] = Projection("rows", drive, count, weights, gain, events, why)

    def _compressed(
        self, node: Node, source: Source, synapses: tuple[Array, Array, Array], drive: Drive, why: str
    ) -> None:
        name, memory, plastic = node.name, self.memory, node.name in self.plastic
        listed = self._listed(name, source, drive)
        gain, events = memory.one(), memory.counter(f"{name}.events")
        order = np.lexsort((synapses[1], synapses[0]))
        pre, post, weight = (values[order] for values in synapses)
        pointer = memory.parameters(starts(pre, node.size_in))
        wide = node.size_out > 1 << 16 or plastic or delays(node)
        columns = memory.parameters(post.astype(np.uint32 if wide else np.uint16))
        values = memory.cast(name, weight)
        weights = memory.state(f"{name}.weights", values) if plastic else memory.parameters(values)
        common: dict[str, int | Ref] = {
            "pre": node.size_in,
            "post": node.size_out,
            "x": source.x,
            "listed": listed,
            "clear": source.clear,
            "pointer": pointer,
            "columns": columns,
            "weights": weights,
            "gain": gain,
            "events": events,
        }
        if delays(node):
            ring, length = self.rings.ring(name)
            steps = memory.parameters(self.wiring.schedule.steps(name)[order].astype(np.uint32))
            memory.op(Scatter(steps=steps, ring=ring, length=length, **common))
        else:
            out, zero = self.wiring.write(name)
            every = np.arange(node.size_in)
            straight = np.array_equal(pre, every) and np.array_equal(post, every)
            memory.op(Compressed(straight=straight, column_bytes=4 if wide else 2, out=out, zero=zero, **common))
        lists = Lists(pre, post, pointer, columns)
        self.projections[name] = Projection("csr", drive, pre.size, weights, gain, events, why, lists)

    def add_window(self, node: Node) -> None:
        """A convolution or pooling: one record with the geometry."""
        name, memory, source = node.name, self.memory, self.wiring.read(node.name)
        w = window(name, node.nir)
        one = isinstance(node.nir, nir.Conv1d)
        shape_in = (node.shape_in[0], 1, node.shape_in[1]) if one else node.shape_in
        shape_out = (node.shape_out[0], 1, node.shape_out[1]) if one else node.shape_out
        numbers = (*shape_in, *shape_out, *w.kernel, *w.stride, *w.padding, *w.dilation, w.groups)
        geometry = dict(zip(Convolve._fields[-len(numbers) :], map(int, numbers), strict=True))
        out, zero = self.wiring.write(name)
        if isinstance(node.nir, (nir.SumPool2d, nir.AvgPool2d)):
            factor = 1.0 if isinstance(node.nir, nir.SumPool2d) else 1.0 / math.prod(w.kernel)
            place = memory.parameters(np.array([factor], memory.dtype))
            known = {key: value for key, value in geometry.items() if key in Pool._fields}
            memory.op(Pool(x=source.x, factor=place, out=out, zero=zero, clear=source.clear, **known))
            return
        assert isinstance(node.nir, (nir.Conv1d, nir.Conv2d))
        drive, why = self._drive(name)
        listed = self._listed(name, source, drive)
        gain, events = memory.one(), memory.counter(f"{name}.events")
        weights = memory.parameters(memory.cast(name, np.asarray(node.nir.weight)))
        along = [_reach(shape_in[1 + d], shape_out[1 + d], w, d) for d in (0, 1)]
        fan = np.outer(*along) * (shape_out[0] // w.groups)
        memory.op(
            Convolve(
                x=source.x,
                listed=listed,
                weights=weights,
                out=out,
                zero=zero,
                clear=source.clear,
                gain=gain,
                fan=memory.parameters(np.broadcast_to(fan, shape_in).astype(np.int32)),
                events=events,
                **geometry,
            )
        )
        bias = np.asarray(node.nir.bias)
        if bias.any():
            self._constant(node, bias.reshape(-1, *[1] * (len(node.shape_out) - 1)))
        total = int(fan.sum()) * shape_in[0]
        self.projections[name] = Projection("window", drive, total, weights, gain, events, why)


def starts(index: Array, size: int) -> Array:
    """Where the run of each of 0 .. size - 1 begins in a sorted index, and where the last one ends."""
    pointer = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(index, minlength=size), out=pointer[1:])
    return pointer


def _repeated(synapses: tuple[Array, Array, Array]) -> bool:
    pairs = np.stack(synapses[:2])
    return bool(np.unique(pairs, axis=1).shape[1] < pairs.shape[1])


def _reach(size_in: int, size_out: int, w: Window, d: int) -> Array:
    """Along one direction: to how many outputs each input position leads."""
    targets = np.arange(size_in)[:, None] + w.padding[d] - np.arange(w.kernel[d]) * w.dilation[d]
    inside = (targets >= 0) & (targets % w.stride[d] == 0) & (targets // w.stride[d] < size_out)
    return inside.sum(axis=1)


def _weights(node: Node) -> tuple[Array, tuple[Array, Array, Array] | None]:
    """A linear node's weights as a matrix (out, in); of a SparseLinear as lists (pre, post, weight), no matrix."""
    if isinstance(node.nir, SparseLinear):
        return np.zeros((0, 0)), (node.nir.pre, node.nir.post, np.asarray(node.nir.weight))
    weight = np.asarray(node.nir.weight)  # type: ignore[union-attr]
    if weight.ndim == 2:
        return weight, None
    blocks = weight.reshape(-1, *weight.shape[-2:])
    count, post, pre = blocks.shape
    matrix = np.zeros((count * post, count * pre), weight.dtype)
    for b in range(count):
        matrix[b * post : (b + 1) * post, b * pre : (b + 1) * pre] = blocks[b]
    return matrix, None
