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
from numba.np.arrayobj import make_array

from hybrid_control.snn.backends.numba.kernels.arena import I32, I64, U16, U32, kernel, part, values_at

AHEAD = 2  # rows of sparse weights that are asked for ahead of their use
VECTOR = 32  # bytes that are added at once: with 64, what numpy does between two ticks was seen to take longer
LANES, TILE = 16, 128  # columns of padded rows that are added up in registers


@intrinsic(prefer_literal=True)
def _add_tile(typingctx: Any, out: Any, weights: Any, pitch: Any, active: Any, x: Any, gain: Any, size: Any) -> Any:
    """`_add_rows` for `size` columns, which stay in registers meanwhile."""
    if not isinstance(size, types.IntegerLiteral):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element, word = context.get_data_type(x.dtype), ir.IntType(64)
        item = context.get_abi_sizeof(element)
        vector = ir.VectorType(element, VECTOR // item)
        alike = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
        listed = make_array(active)(context, builder, args[3])
        values = make_array(x)(context, builder, args[4])

        def vectors(address: Any) -> list[Any]:
            first = builder.inttoptr(address, vector.as_pointer())
            return [builder.gep(first, [ir.Constant(word, v)]) for v in range(size.literal_value // vector.count)]

        places = vectors(args[0])
        sums = [cgutils.alloca_once_value(builder, builder.load(place, align=item)) for place in places]
        with cgutils.for_range(builder, builder.extract_value(listed.shape, 0)) as loop:
            i = builder.sext(builder.load(builder.gep(listed.data, [loop.index])), word)
            if gain != types.none:
                c = builder.fmul(args[5], builder.load(builder.gep(values.data, [i])))
                first = builder.insert_element(ir.Constant(vector, ir.Undefined), c, ir.Constant(ir.IntType(32), 0))
                factor = builder.shuffle_vector(first, first, alike)
            for total, place in zip(sums, vectors(builder.add(args[1], builder.mul(i, args[2]))), strict=True):
                term = builder.load(place, align=item)
                if gain != types.none:
                    term = builder.fmul(factor, term)
                builder.store(builder.fadd(builder.load(total), term), total)
        for total, place in zip(sums, places, strict=True):
            builder.store(builder.load(total), place, align=item)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64, active, x, gain, size), codegen


@part
def _add_rows(out, weights, padded, pitch, active, x, gain):
    """out[j] += (gain * x[i]) * w[i, j] for each active i in turn; where gain is None, all of these factors are 1."""
    j, item = 0, x.itemsize
    while j + TILE <= padded:
        _add_tile(out + j * item, weights + j * item, pitch, active, x, gain, TILE)
        j += TILE
    while j < padded:
        _add_tile(out + j * item, weights + j * item, pitch, active, x, gain, LANES)
        j += LANES


@part
def _is_idle(base, q):
    """Whether nothing is active and nothing else is to be done: then little of the projection's memory is touched."""
    return q.listed != 0 and q.zero == 0 and q.clear == 0 and values_at(base + q.listed, 1, I64)[0] == 0


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
    if _is_idle(base, q):
        return
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
        active = values_at(base + q.listed + 8, count, I32)
        ones = 0
        for k in range(count):
            i = np.int64(active[k])
            events += fan[i]
            ones += gain * x[i] == 1
        if ones == count:
            _add_rows(base + q.out, weights, padded, row, active, x, None)
        else:
            _add_rows(base + q.out, weights, padded, row, active, x, gain)
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
    "pre post x listed straight pointer columns column_bytes weights out zero clear gain events",
)


@kernel(Compressed)
def _compressed(base, q, tick, like):
    """Sparse weights in compressed rows, one per presynaptic neuron.

    listed: as in Rows. straight: whether every neuron has one synapse, to that of its own number. pointer: where each
    row begins, pre + 1 of them. columns: the postsynaptic neuron of each synapse. column_bytes: 2 or 4.
    """
    n = q.pre
    x = values_at(base + q.x, n, like)
    dst = values_at(base + q.out, q.post, like)
    if _is_idle(base, q):
        return
    gain = values_at(base + q.gain, 1, like)[0]
    pointer = values_at(base + q.pointer, n + 1, I64)
    columns, weights, item = base + q.columns, base + q.weights, x.itemsize
    events = 0
    if q.zero:
        dst[:] = 0
    every = q.listed == 0
    count = n if every else values_at(base + q.listed, 1, I64)[0]
    active = values_at(base + q.listed + 8, n, I32)
    if q.straight:
        w = values_at(weights, n, like)
        for k in range(0 if every else count):
            i = np.int64(active[k])
            dst[i] += (gain * x[i]) * w[i]
            events += x[i] != 0
        for i in range(n if every else 0):
            dst[i] += (gain * x[i]) * w[i]
            events += x[i] != 0
        count = 0
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
