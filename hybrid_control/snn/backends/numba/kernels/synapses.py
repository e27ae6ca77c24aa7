"""Weighted synapses: padded rows, compressed rows, and rows with a delay for each synapse."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hybrid_control.snn.backends.numba.kernels.arena import I32, I64, U16, U32, kernel, part, values_at

AHEAD = 2  # rows of sparse weights that are asked for ahead of their use


Rows = namedtuple("Rows", "pre padded x listed weights pitch out zero clear gain fan events")


@kernel(Rows)
def _rows(base, q, tick, like):
    """Dense weights, one padded row per presynaptic neuron: add the rows of those that are active.

    padded: values of a row. listed: the active ones; 0: all rows are added. pitch: bytes of a row. fan: synapses
    of each presynaptic neuron.
    """
    n, padded = q.pre, q.padded
    x = values_at(base + q.x, n, like)
    dst = values_at(base + q.out, padded, like)
    gain = values_at(base + q.gain, 1, like)[0]
    fan = values_at(base + q.fan, n, I32)
    events = 0
    if q.zero:
        dst[:] = 0
    weights, row = base + q.weights, q.pitch
    if q.listed == 0:
        for i in range(n):
            c = gain * x[i]
            w = values_at(weights + i * row, padded, like)
            for j in range(padded):
                dst[j] += c * w[j]
            if x[i] != 0:
                events += fan[i]
    else:
        count = values_at(base + q.listed, 1, I64)[0]
        active = values_at(base + q.listed + 8, n, I32)
        k = 0
        while k + 4 <= count:
            i0, i1 = np.int64(active[k]), np.int64(active[k + 1])
            i2, i3 = np.int64(active[k + 2]), np.int64(active[k + 3])
            c0, c1, c2, c3 = gain * x[i0], gain * x[i1], gain * x[i2], gain * x[i3]
            w0, w1 = values_at(weights + i0 * row, padded, like), values_at(weights + i1 * row, padded, like)
            w2, w3 = values_at(weights + i2 * row, padded, like), values_at(weights + i3 * row, padded, like)
            for j in range(padded):
                dst[j] = (((dst[j] + c0 * w0[j]) + c1 * w1[j]) + c2 * w2[j]) + c3 * w3[j]
            events += fan[i0] + fan[i1] + fan[i2] + fan[i3]
            k += 4
        while k < count:
            i = np.int64(active[k])
            c = gain * x[i]
            w = values_at(weights + i * row, padded, like)
            for j in range(padded):
                dst[j] += c * w[j]
            events += fan[i]
            k += 1
    values_at(base + q.events, 1, I64)[0] += events
    if q.clear:
        x[:] = 0


@intrinsic
def _prefetch(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line at an address ahead of its use."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte_pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte_pointer, word, word, word]),
            "llvm.prefetch.p0i8",
        )
        numbers = [ir.Constant(word, v) for v in (0, 3, 1)]  # to read, keep, data
        builder.call(function, [builder.inttoptr(args[0], byte_pointer), *numbers])
        return context.get_dummy_value()

    return types.none(types.int64), codegen


@intrinsic
def _scatter_four(typingctx: Any, weights: Any, columns: Any, dst: Any, c: Any) -> Any:
    """dst[column] += c * weight for four synapses, one after another, their 16-bit columns read as one word.

    The same adds in the same order as four turns of a loop, in a quarter less time: a loop has to read each
    column and weight anew, for the compiler cannot know that the stores before do not change them.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element, word = context.get_data_type(sig.args[3]), ir.IntType(64)
        four, item = ir.VectorType(element, 4), context.get_abi_sizeof(element)
        factor = ir.Constant(four, ir.Undefined)
        lanes = [ir.Constant(ir.IntType(32), lane) for lane in range(4)]
        for lane in lanes:
            factor = builder.insert_element(factor, args[3], lane)
        w = builder.load(builder.inttoptr(args[0], four.as_pointer()), align=item)
        products = builder.fmul(factor, w)
        packed = builder.load(builder.inttoptr(args[1], word.as_pointer()), align=2)
        for position, lane in enumerate(lanes):
            column = builder.lshr(packed, ir.Constant(word, 16 * position))
            column = builder.and_(column, ir.Constant(word, 0xFFFF))
            address = builder.add(args[2], builder.mul(column, ir.Constant(word, item)))
            place = builder.inttoptr(address, element.as_pointer())
            total = builder.fadd(builder.load(place, align=item), builder.extract_element(products, lane))
            builder.store(total, place, align=item)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64, c), codegen


@part
def _row(weights, columns, size, dst, c, like, column):
    w = values_at(weights, size, like)
    index = values_at(columns, size, column)
    for s in range(size):
        dst[index[s]] += c * w[s]


@part
def _row_16(weights, columns, size, dst_at, c, like, item):
    fours = size // 4
    for s in range(fours):
        _scatter_four(weights + s * 4 * item, columns + s * 8, dst_at, c)
    done = fours * 4
    dst = values_at(dst_at, 1 << 16, like)
    w, index = (
        values_at(weights + done * item, size - done, like),
        values_at(columns + done * 2, size - done, U16),
    )
    for s in range(size - done):
        dst[index[s]] += c * w[s]


Compressed = namedtuple(
    "Compressed",
    "pre post x listed pointer columns column_bytes weights out zero clear gain events",
)


@kernel(Compressed)
def _compressed(base, q, tick, like):
    """Sparse weights in compressed rows, one per presynaptic neuron.

    listed: as in Rows. pointer: where each row begins, pre + 1 of them. columns: the postsynaptic neuron of each
    synapse. column_bytes: 2 or 4.
    """
    n = q.pre
    x = values_at(base + q.x, n, like)
    dst = values_at(base + q.out, q.post, like)
    gain = values_at(base + q.gain, 1, like)[0]
    pointer = values_at(base + q.pointer, n + 1, I64)
    columns, weights, item = base + q.columns, base + q.weights, x.itemsize
    events = 0
    if q.zero:
        dst[:] = 0
    every = q.listed == 0
    count = n if every else values_at(base + q.listed, 1, I64)[0]
    active = values_at(base + q.listed + 8, n, I32)
    for k in range(count):
        i = k if every else np.int64(active[k])
        c = gain * x[i]
        a = pointer[i]
        size = pointer[i + 1] - a
        if not every and k + AHEAD < count:
            coming = np.int64(active[k + AHEAD])
            begin, end = pointer[coming], pointer[coming + 1]
            for place in range(weights + begin * item, weights + end * item, 64):
                _prefetch(place)
            for place in range(columns + begin * q.column_bytes, columns + end * q.column_bytes, 64):
                _prefetch(place)
        if q.column_bytes == 2:
            _row_16(weights + a * item, columns + a * 2, size, base + q.out, c, like, item)
        else:
            _row(weights + a * item, columns + a * 4, size, dst, c, like, U32)
        if x[i] != 0:
            events += size
    values_at(base + q.events, 1, I64)[0] += events
    if q.clear:
        x[:] = 0


Scatter = namedtuple(
    "Scatter",
    "pre post x listed pointer columns steps weights ring length clear gain events",
)


@kernel(Scatter)
def _scatter(base, q, tick, like):
    """Synapses with delays, on their way: ring[(tick + steps) mod length] += w x.

    listed: as in Rows. columns: 4 bytes each, as steps.
    """
    n, post, length = q.pre, q.post, q.length
    ring = values_at(base + q.ring, post * length, like)
    x = values_at(base + q.x, n, like)
    gain = values_at(base + q.gain, 1, like)[0]
    pointer = values_at(base + q.pointer, n + 1, I64)
    every = q.listed == 0
    count = n if every else values_at(base + q.listed, 1, I64)[0]
    active = values_at(base + q.listed + 8, n, I32)
    events = 0
    for k in range(count):
        i = k if every else np.int64(active[k])
        c = gain * x[i]
        first = pointer[i]
        size = pointer[i + 1] - first
        w = values_at(base + q.weights + first * x.itemsize, size, like)
        columns = values_at(base + q.columns + first * 4, size, U32)
        steps = values_at(base + q.steps + first * 4, size, U32)
        for s in range(size):
            ring[((tick + np.int64(steps[s])) % length) * post + np.int64(columns[s])] += c * w[s]
        if x[i] != 0:
            events += size
    values_at(base + q.events, 1, I64)[0] += events
    if q.clear:
        x[:] = 0


Drain = namedtuple("Drain", "post ring length out zero")


@kernel(Drain)
def _drain(base, q, tick, like):
    """Synapses with delays, where they arrive: out += ring[tick mod length], which is then empty."""
    dst = values_at(base + q.out, q.post, like)
    due = values_at(base + q.ring + (tick % q.length) * q.post * dst.itemsize, q.post, like)
    if q.zero:
        dst[:] = 0
    for j in range(q.post):
        dst[j] += due[j]
    due[:] = 0
