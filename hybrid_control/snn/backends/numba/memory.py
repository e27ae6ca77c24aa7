"""Lays out an arena: room in its regions, the program, and what stands in them before the first tick."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hybrid_control.snn.backends.numba.kernels import arena as k
from hybrid_control.snn.backends.numba.kernels.arena import KERNELS, Ref
from hybrid_control.snn.backends.numba.kernels.step import step_pointer
from hybrid_control.snn.nir.checks import GraphError

Array = NDArray[Any]
LANES = 16  # values that compiled code takes at once
LINE = 64  # bytes of a cache line
STATE_LIMIT = 2 << 30  # bytes; delays of a few bytes in a file make it grow


def padded(size: int) -> int:
    """The next multiple of `LANES`."""
    return -(-size // LANES) * LANES


@dataclass
class _Region:
    size: int = 0
    parts: list[tuple[int, Array]] = field(default_factory=list)


class Arena:
    """A finished arena: its aligned int64 words, and where each region starts in it."""

    def __init__(self, words: Array, bases: dict[str, int]) -> None:
        self.words, self._bases = words, bases

    def place(self, ref: Ref) -> int:
        """Bytes from the start of the arena."""
        return self._bases[ref.region] + ref.offset

    def view(self, ref: Ref, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """What lies at a place, as an array."""
        count, kind, start = int(np.prod(shape, dtype=np.int64)), np.dtype(dtype), self.place(ref)
        return self.words.view(np.uint8)[start : start + count * kind.itemsize].view(kind).reshape(shape)

    def field(self, op: int, record: Any, name: str) -> Array:
        """The word that holds a field of an op's record."""
        word = int(self.words[k.H_PROGRAM]) // 8 + op * k.OP_WORDS + 1 + record._fields.index(name)
        return self.words[word : word + 1]

    def state(self) -> Array:
        """The words of the state."""
        start = int(self.words[k.H_STATE]) // 8
        return self.words[start : start + -(-int(self.words[k.H_STATE_SIZE]) // 8)]


class Memory:
    """The regions of an arena as they grow, and the program that will run on them."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.named: dict[str, tuple[Ref, tuple[int, ...], np.dtype[Any]]] = {}
        self.first: dict[Ref, Array] = {}
        self._regions = {name: _Region() for name in ("program", "input", "parameters", "state")}
        self._ops: list[tuple[Hashable, NamedTuple]] = []
        self.tick = self.state("tick", np.zeros(1, np.int64))

    def _alloc(self, region: str, values: Array, align: int = LINE) -> Ref:
        r = self._regions[region]
        r.size = -(-r.size // align) * align
        ref = Ref(region, r.size)
        r.parts.append((r.size, np.ascontiguousarray(values)))
        r.size += values.nbytes
        return ref

    def input(self, size: int) -> Ref:
        """Room for an input, right after the one before."""
        return self._alloc("input", np.zeros(size, self.dtype), self.dtype.itemsize)

    def parameters(self, values: Array) -> Ref:
        """Room for values that ticks do not change."""
        return self._alloc("parameters", values)

    def state(self, name: str, values: Array, align: int = LINE) -> Ref:
        """Room for a part of the state; `values` are its first contents."""
        ref = self._alloc("state", values, align)
        if self._regions["state"].size > STATE_LIMIT:
            raise GraphError(f"state of more than {STATE_LIMIT >> 20} MiB, with that of {name!r}")
        self.named[name] = ref, values.shape, values.dtype
        return ref

    def buffer(self, name: str, size: int) -> Ref:
        """Zeros for `size` values of the state, with room to the next multiple of 16."""
        return self.state(name, np.zeros(padded(size), self.dtype))

    def list(self, name: str, size: int) -> Ref:
        """Room for a list of up to `size` indices, and its length."""
        return self.state(name, np.zeros(2 + size, np.int32))

    def counter(self, name: str) -> Ref:
        """A count that starts at 0."""
        return self.state(name, np.zeros(1, np.int64), 8)

    def one(self) -> Ref:
        """A gain of 1."""
        return self.parameters(np.ones(1, self.dtype))

    def cast(self, name: str, values: Any) -> Array:
        """A node's values in the arena's type; GraphError where one is too large for it."""
        exact = np.asarray(values)
        with np.errstate(over="ignore"):
            cast: Array = exact.astype(self.dtype)
        if (np.isinf(cast) & np.isfinite(exact)).any():
            raise GraphError(f"node {name!r}: {np.abs(exact).max():g} is too large for {self.dtype}")
        return cast

    def op(self, record: NamedTuple, kernel: Hashable = None) -> int:
        """Append an op, run by its record's kernel or by another; returns its number."""
        self._ops.append((kernel or type(record), record))
        return len(self._ops) - 1

    def finish(self) -> Arena:
        """The arena, ready for its first tick."""
        step = step_pointer(self.dtype.itemsize)  # every kernel has its code from here on
        self._regions["program"].size = len(self._ops) * k.OP_WORDS * 8
        bases, size = {}, k.HEADER_WORDS * 8
        for name, region in self._regions.items():
            size = -(-size // 64) * 64
            bases[name] = size
            size += region.size
        size = -(-size // 64) * 64 + 128  # a scan reads 16 values at a time and may look past the last
        raw = np.zeros(size // 8 + 8, np.int64)
        skip = (-raw.ctypes.data % 64) // 8
        words = raw[skip : skip + size // 8]
        arena = Arena(words, bases)
        for name, region in self._regions.items():
            for offset, part in region.parts:
                arena.view(Ref(name, offset), part.shape, part.dtype)[...] = part
        for ref, part in self.first.items():
            arena.view(ref, part.shape, part.dtype)[...] = part
        codes = {key: code for code, key in enumerate(KERNELS)}
        program = words[bases["program"] // 8 :][: len(self._ops) * k.OP_WORDS].reshape(-1, k.OP_WORDS)
        for row, (kernel, record) in zip(program, self._ops, strict=True):
            fields = [arena.place(word) if isinstance(word, Ref) else int(word) for word in record]
            row[: 1 + len(fields)] = [codes[kernel], *fields]
        words[k.H_MAGIC], words[k.H_ITEM], words[k.H_SIZE] = k.MAGIC, self.dtype.itemsize, size
        words[k.H_OPS], words[k.H_PROGRAM] = len(self._ops), bases["program"]
        words[k.H_INPUT], words[k.H_STEP] = bases["input"], step
        words[k.H_INPUT_SIZE] = self._regions["input"].size // self.dtype.itemsize
        words[k.H_STATE], words[k.H_STATE_SIZE] = bases["state"], self._regions["state"].size
        words[k.H_TICK] = arena.place(self.tick)
        return arena
