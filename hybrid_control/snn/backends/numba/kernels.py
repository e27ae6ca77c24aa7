"""The compiled interpreter: runs an engine's program over one arena, one tick per call.

The arena is a single block of memory that starts with a header, and every place in it is given in bytes from
its start, so it can be copied, stored and handed to compiled code as one address. `engine` writes it; nothing
here allocates, raises or touches a Python object. Layout and op records are described in docs/snn.md.
"""

# numba types these functions; mypy cannot see into its intrinsics
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

# Header: int64 words at the start of the arena.
MAGIC = 0x314E4E5343594248  # "HBYCSNN1" read as a little-endian integer
(
    H_MAGIC,
    H_ITEM,  # 4 or 8: bytes of a value
    H_SIZE,  # bytes of the arena
    H_OPS,  # number of op records
    H_PROGRAM,  # where they are
    H_INPUT,  # where the values of all inputs are, one input after another
    H_INPUT_SIZE,  # how many values
    H_STATE,  # where the state is
    H_STATE_SIZE,  # bytes of the state
    H_TICK,  # where the tick counter is, inside the state
    H_STEP,  # address of the compiled interpreter for this type of values, in this process
) = range(11)
HEADER_WORDS = 16

# An op record is OP_WORDS int64 words; word 0 is the op code.
OP_WORDS = 32
(
    OP_SCAN,
    OP_MEMBRANE,
    OP_ROWS,
    OP_CSR,
    OP_ADD,
    OP_CONSTANT,
    OP_SCALE,
    OP_THRESHOLD,
    OP_DELAY_READ,
    OP_DELAY_WRITE,
    OP_CONV,
    OP_POOL,
    OP_EXTENDED,
    OP_IZHIKEVICH,
    OP_DELAYED_DRAIN,
    OP_DELAYED_SCATTER,
    OP_STDP,
) = range(17)

# Flags of an op.
SPIKING = 1  # the neuron has a threshold
UNIFORM = 2  # one set of coefficients for the whole population
SUBTRACT = 4  # reset by subtraction
SYNAPSE = 8  # the neuron has a synaptic current
CLEAR = 16  # set the input to zero after reading it
ZERO = 32  # set the destination to zero before adding to it

# Rows of a neuron's coefficient block.
(K_V, K_LEAK, K_NEW, K_OLD, K_SYN, K_IN, K_THRESHOLD, K_RESET, K_ADAPT, K_BETA, K_REFRACTORY) = range(11)

OK, NOT_FINITE, WRONG_SIZE = 0, 1, 2


@intrinsic
def values_at(typingctx: Any, address: Any, size: Any, like: Any) -> Any:
    """An array of `size` values of the type of `like` over memory at an integer address; owns nothing."""
    if not isinstance(address, types.Integer) or not isinstance(size, types.Integer):
        return None
    array_type = types.Array(like, 1, "C")
    signature = array_type(types.int64, types.int64, like)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(like)
        item = context.get_abi_sizeof(element)
        array = make_array(array_type)(context, builder)
        populate_array(
            array,
            data=builder.inttoptr(args[0], element.as_pointer()),
            shape=cgutils.pack_array(builder, [args[1]]),
            strides=cgutils.pack_array(builder, [context.get_constant(types.intp, item)]),
            itemsize=context.get_constant(types.intp, item),
            meminfo=None,
        )
        return array._getvalue()

    return signature, codegen


part = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]
"""For the interpreter's parts, which are compiled into `step_pointer`'s function and cached with it."""

AHEAD = 2  # rows of sparse weights that are asked for ahead of their use

I64, I32, U16, U8, U64, U32 = np.int64(0), np.int32(0), np.uint16(0), np.uint8(0), np.uint64(0), np.uint32(0)


@intrinsic
def _mask(typingctx: Any, address: Any, like: Any) -> Any:
    """Which of the 64 bytes, or 16 values, at an address are not zero, as the bits of an integer."""
    lanes = 64 if like == types.uint8 else 16
    result = types.uint64 if lanes == 64 else types.uint16

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(like)
        pointer = builder.inttoptr(args[0], ir.VectorType(element, lanes).as_pointer())
        values = builder.load(pointer, align=context.get_abi_sizeof(element))
        zero = ir.Constant(values.type, None)
        differ = builder.icmp_unsigned if like == types.uint8 else builder.fcmp_unordered
        return builder.bitcast(differ("!=", values, zero), ir.IntType(lanes))

    return result(types.int64, like), codegen


@intrinsic
def _lowest(typingctx: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set; the argument is not zero."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@part
def _scan(base, n, x_at, list_at, like):
    """List the indices of the non-zero values of x, which has room for a multiple of 16."""
    indices = values_at(base + list_at + 8, n, I32)
    item = values_at(base, HEADER_WORDS, I64)[H_ITEM]
    m = 0
    for first in range(0, n, 16):
        bits = np.uint64(_mask(base + x_at + first * item, like))
        if n - first < 16:
            bits &= np.uint64((1 << (n - first)) - 1)
        while bits != 0:
            indices[m] = first + _lowest(bits)
            m += 1
            bits &= bits - np.uint64(1)
    values_at(base + list_at, 1, I64)[0] = m


@part
def _emit(base, n, fired_at, out_at, list_at, counter_at, like):
    """Turn the flags of this tick into the spike list and the 0/1 output, and count them."""
    out = values_at(base + out_at, n, like)
    indices = values_at(base + list_at + 8, n, I32)
    count = values_at(base + list_at, 1, I64)
    for k in range(count[0]):
        out[np.int64(indices[k])] = 0
    m = 0
    for first in range(0, n, 64):  # the flags after the last neuron are zero
        bits = _mask(base + fired_at + first, U8)
        while bits != 0:
            i = first + _lowest(bits)
            indices[m] = i
            out[i] = 1
            m += 1
            bits &= bits - np.uint64(1)
    count[0] = m
    values_at(base + counter_at, 1, I64)[0] += m


@part
def _membrane(base, q, like):
    """I, IF, LI, LIF and, with a synaptic current, CubaLI and CubaLIF: a linear update, a threshold, a reset."""
    n, flags, pitch, k = q[1], q[3], q[5], base + q[4]
    x = values_at(base + q[2], n, like)
    v = values_at(base + q[6], n, like)
    fired = values_at(base + q[10], n, U8)
    spiking, subtract = flags & SPIKING != 0, flags & SUBTRACT != 0
    if flags & SYNAPSE:
        current = values_at(base + q[7], n, like)
        if flags & UNIFORM:
            kv, leak, new = (
                values_at(k, 1, like)[0],
                values_at(k + pitch, 1, like)[0],
                values_at(k + 2 * pitch, 1, like)[0],
            )
            old, syn, gain = (
                values_at(k + 3 * pitch, 1, like)[0],
                values_at(k + 4 * pitch, 1, like)[0],
                values_at(k + 5 * pitch, 1, like)[0],
            )
            threshold, reset = values_at(k + 6 * pitch, 1, like)[0], values_at(k + 7 * pitch, 1, like)[0]
            for i in range(n):
                j = current[i]
                jn = syn * j + gain * x[i]
                u = kv * v[i] + (leak + (old * j + new * jn))
                current[i] = jn
                s = spiking and u > threshold
                fired[i] = s
                v[i] = (u - reset if subtract else reset) if s else u
        else:
            a_kv, a_leak, a_new = (
                values_at(k, n, like),
                values_at(k + pitch, n, like),
                values_at(k + 2 * pitch, n, like),
            )
            a_old, a_syn, a_gain = (
                values_at(k + 3 * pitch, n, like),
                values_at(k + 4 * pitch, n, like),
                values_at(k + 5 * pitch, n, like),
            )
            a_threshold, a_reset = values_at(k + 6 * pitch, n, like), values_at(k + 7 * pitch, n, like)
            for i in range(n):
                j = current[i]
                jn = a_syn[i] * j + a_gain[i] * x[i]
                u = a_kv[i] * v[i] + (a_leak[i] + (a_old[i] * j + a_new[i] * jn))
                current[i] = jn
                s = spiking and u > a_threshold[i]
                fired[i] = s
                v[i] = (u - a_reset[i] if subtract else a_reset[i]) if s else u
    elif flags & UNIFORM:
        kv, leak, new = (
            values_at(k, 1, like)[0],
            values_at(k + pitch, 1, like)[0],
            values_at(k + 2 * pitch, 1, like)[0],
        )
        threshold, reset = values_at(k + 6 * pitch, 1, like)[0], values_at(k + 7 * pitch, 1, like)[0]
        for i in range(n):
            u = kv * v[i] + (leak + new * x[i])
            s = spiking and u > threshold
            fired[i] = s
            v[i] = (u - reset if subtract else reset) if s else u
    else:
        a_kv, a_leak, a_new = (
            values_at(k, n, like),
            values_at(k + pitch, n, like),
            values_at(k + 2 * pitch, n, like),
        )
        a_threshold, a_reset = values_at(k + 6 * pitch, n, like), values_at(k + 7 * pitch, n, like)
        for i in range(n):
            u = a_kv[i] * v[i] + (a_leak[i] + a_new[i] * x[i])
            s = spiking and u > a_threshold[i]
            fired[i] = s
            v[i] = (u - a_reset[i] if subtract else a_reset[i]) if s else u
    if flags & CLEAR:
        x[:] = 0
    if spiking:
        _emit(base, n, q[10], q[8], q[9], q[11], like)


@part
def _rows(base, q, like):
    """Dense weights, one padded row per presynaptic neuron: add the rows of those that are active."""
    n, padded, flags, row = q[1], q[2], q[3], q[7]
    x = values_at(base + q[4], n, like)
    dst = values_at(base + q[8], padded, like)
    gain = values_at(base + q[9], 1, like)[0]
    fan = values_at(base + q[10], n, I32)
    events = 0
    if flags & ZERO:
        dst[:] = 0
    weights = base + q[6]
    if q[5] == 0:
        for i in range(n):
            c = gain * x[i]
            w = values_at(weights + i * row, padded, like)
            for j in range(padded):
                dst[j] += c * w[j]
            if x[i] != 0:
                events += fan[i]
    else:
        count = values_at(base + q[5], 1, I64)[0]
        active = values_at(base + q[5] + 8, n, I32)
        k = 0
        while k + 4 <= count:
            i0, i1, i2, i3 = (
                np.int64(active[k]),
                np.int64(active[k + 1]),
                np.int64(active[k + 2]),
                np.int64(active[k + 3]),
            )
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
    values_at(base + q[11], 1, I64)[0] += events
    if flags & CLEAR:
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
def _csr_row(weights, columns, size, dst, c, like, column):
    w = values_at(weights, size, like)
    index = values_at(columns, size, column)
    for s in range(size):
        dst[index[s]] += c * w[s]


@part
def _csr_row_16(weights, columns, size, dst_at, c, like, item):
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


@part
def _csr(base, q, like):
    """Sparse weights in compressed rows, one per presynaptic neuron."""
    n, flags, item = q[1], q[3], q[12]
    x = values_at(base + q[4], n, like)
    dst = values_at(base + q[8], q[2], like)
    gain = values_at(base + q[9], 1, like)[0]
    pointer = values_at(base + q[10], n + 1, I64)
    columns, weights = base + q[7], base + q[6]
    events = 0
    if flags & ZERO:
        dst[:] = 0
    every = q[5] == 0
    count = n if every else values_at(base + q[5], 1, I64)[0]
    active = values_at(base + q[5] + 8, n, I32)
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
            for place in range(columns + begin * q[13], columns + end * q[13], 64):
                _prefetch(place)
        if q[13] == 2:
            _csr_row_16(weights + a * item, columns + a * 2, size, base + q[8], c, like, item)
        else:
            _csr_row(weights + a * item, columns + a * 4, size, dst, c, like, U32)
        if x[i] != 0:
            events += size
    values_at(base + q[11], 1, I64)[0] += events
    if flags & CLEAR:
        x[:] = 0


@part
def _elementwise(base, q, like):
    """ADD: dst += x. CONSTANT: dst += b. SCALE: dst += (gain * s) * x. THRESHOLD: dst = x > s."""
    op, n, flags = q[0], q[1], q[3]
    x = values_at(base + q[4], n, like)
    s = values_at(base + q[6], n, like)
    dst = values_at(base + q[8], n, like)
    if flags & ZERO:
        dst[:] = 0
    if op == OP_ADD:
        for i in range(n):
            dst[i] += x[i]
    elif op == OP_CONSTANT:
        for i in range(n):
            dst[i] += s[i]
    elif op == OP_SCALE:
        gain = values_at(base + q[9], 1, like)[0]
        for i in range(n):
            dst[i] += (gain * s[i]) * x[i]
    else:
        m = 0
        for i in range(n):
            above = x[i] > s[i]
            dst[i] = above
            m += above
        values_at(base + q[11], 1, I64)[0] += m
    if flags & CLEAR:
        x[:] = 0


@part
def _delay(base, q, tick, like):
    """READ: dst[i] = ring[(tick - steps[i]) mod length][i]. WRITE: ring[tick mod length] = x."""
    n, length = q[1], q[2]
    ring = values_at(base + q[6], n * length, like)
    if q[0] == OP_DELAY_READ:
        steps = values_at(base + q[5], n, I64)
        dst = values_at(base + q[8], n, like)
        for i in range(n):
            dst[i] = ring[((tick - steps[i]) % length) * n + i]
    else:
        x = values_at(base + q[4], n, like)
        first = (tick % length) * n
        for i in range(n):
            ring[first + i] = x[i]
        if q[3] & CLEAR:
            x[:] = 0


@part
def _extended(base, q, like):
    """AdaptiveLIF and AdaptiveCubaLIF: as `_membrane`, with a moving threshold and a refractory time."""
    n, flags, pitch, k = q[1], q[3], q[5], base + q[4]
    per_neuron = 0 if flags & UNIFORM else 1
    size = n if per_neuron else 1
    keep, leak, new, old = (
        values_at(k, size, like),
        values_at(k + pitch, size, like),
        values_at(k + 2 * pitch, size, like),
        values_at(k + 3 * pitch, size, like),
    )
    syn, gain, threshold, reset = (
        values_at(k + 4 * pitch, size, like),
        values_at(k + 5 * pitch, size, like),
        values_at(k + 6 * pitch, size, like),
        values_at(k + 7 * pitch, size, like),
    )
    fade, beta, hold = (
        values_at(k + 8 * pitch, size, like),
        values_at(k + 9 * pitch, size, like),
        values_at(k + 10 * pitch, size, like),
    )
    x, v = values_at(base + q[2], n, like), values_at(base + q[6], n, like)
    a, wait = values_at(base + q[12], n, like), values_at(base + q[13], n, like)
    fired = values_at(base + q[10], n, U8)
    cuba = flags & SYNAPSE != 0
    current = values_at(base + q[7], n if cuba else 0, like)
    for i in range(n):
        p = i * per_neuron
        if cuba:
            j = current[i]
            jn = syn[p] * j + gain[p] * x[i]
            current[i] = jn
            u = keep[p] * v[i] + (leak[p] + (old[p] * j + new[p] * jn))
        else:
            u = keep[p] * v[i] + (leak[p] + new[p] * x[i])
        a[i] *= fade[p]
        held = wait[i] > 0
        if held:
            wait[i] -= 1
            u = v[i]
        s = (not held) and u > threshold[p] + beta[p] * a[i]
        fired[i] = s
        if s:
            u = u - reset[p] if flags & SUBTRACT else reset[p]
            a[i] += 1
            wait[i] = hold[p]
        v[i] = u
    if flags & CLEAR:
        x[:] = 0
    _emit(base, n, q[10], q[8], q[9], q[11], like)


@part
def _izhikevich(base, q, like):
    """Izhikevich's neuron; coefficient rows a, b, c, d, v_peak, step of v in ms, step of u in ms."""
    n, flags, pitch, k = q[1], q[3], q[5], base + q[4]
    per_neuron = 0 if flags & UNIFORM else 1
    size = n if per_neuron else 1
    a, b, c, d = (
        values_at(k, size, like),
        values_at(k + pitch, size, like),
        values_at(k + 2 * pitch, size, like),
        values_at(k + 3 * pitch, size, like),
    )
    peak, part, whole = (
        values_at(k + 4 * pitch, size, like),
        values_at(k + 5 * pitch, size, like),
        values_at(k + 6 * pitch, size, like),
    )
    x, v, u = (
        values_at(base + q[2], n, like),
        values_at(base + q[6], n, like),
        values_at(base + q[12], n, like),
    )
    fired = values_at(base + q[10], n, U8)
    one = x.dtype.type(1)
    square, slope, offset = one / 25, one * 5, one * 140
    for i in range(n):
        p = i * per_neuron
        w = v[i]
        for _ in range(q[13]):
            w += part[p] * (square * w * w + slope * w + offset - u[i] + x[i])
        u[i] += whole[p] * (a[p] * (b[p] * w - u[i]))
        s = w >= peak[p]
        fired[i] = s
        if s:
            w = c[p]
            u[i] += d[p]
        v[i] = w
    if flags & CLEAR:
        x[:] = 0
    _emit(base, n, q[10], q[8], q[9], q[11], like)


@part
def _delayed(base, q, tick, like):
    """Synapses with delays. SCATTER: ring[(tick + steps) mod length] += w x. DRAIN: dst += ring[tick mod length]."""
    n, post, flags, length = q[1], q[2], q[3], q[13]
    ring = values_at(base + q[14], post * length, like)
    if q[0] == OP_DELAYED_DRAIN:
        dst = values_at(base + q[8], post, like)
        due = values_at(base + q[14] + (tick % length) * post * q[12], post, like)
        if flags & ZERO:
            dst[:] = 0
        for j in range(post):
            dst[j] += due[j]
        due[:] = 0
        return
    x = values_at(base + q[4], n, like)
    gain = values_at(base + q[9], 1, like)[0]
    pointer = values_at(base + q[10], n + 1, I64)
    every = q[5] == 0
    count = n if every else values_at(base + q[5], 1, I64)[0]
    active = values_at(base + q[5] + 8, n, I32)
    events = 0
    for k in range(count):
        i = k if every else np.int64(active[k])
        c = gain * x[i]
        first = pointer[i]
        size = pointer[i + 1] - first
        w = values_at(base + q[6] + first * q[12], size, like)
        columns = values_at(base + q[7] + first * 4, size, U32)
        steps = values_at(base + q[15] + first * 4, size, U32)
        for s in range(size):
            ring[((tick + np.int64(steps[s])) % length) * post + np.int64(columns[s])] += c * w[s]
        if x[i] != 0:
            events += size
    values_at(base + q[11], 1, I64)[0] += events
    if flags & CLEAR:
        x[:] = 0


@part
def _convolve(base, q, like):
    """Convolution (correlation, as in torch): from the list of active inputs, or over all of them."""
    channels, rows, columns = q[12], q[13], q[14]
    out_channels, out_rows, out_columns = q[15], q[16], q[17]
    kernel_rows, kernel_columns, down, right = q[18], q[19], q[20], q[21]
    top, left, spread_rows, spread_columns, groups = q[22], q[23], q[24], q[25], q[26]
    n = channels * rows * columns
    x = values_at(base + q[4], n, like)
    dst = values_at(base + q[8], out_channels * out_rows * out_columns, like)
    per_group = channels // groups
    out_per_group = out_channels // groups
    w = values_at(base + q[6], out_channels * per_group * kernel_rows * kernel_columns, like)
    gain = values_at(base + q[9], 1, like)[0]
    fan = values_at(base + q[10], n, I32)
    plane, window = out_rows * out_columns, kernel_rows * kernel_columns
    events = 0
    if q[3] & ZERO:
        dst[:] = 0
    if q[5] == 0:
        for o in range(out_channels):
            group = o // out_per_group
            for c in range(per_group):
                for a in range(kernel_rows):
                    for b in range(kernel_columns):
                        weight = w[(o * per_group + c) * window + a * kernel_columns + b]
                        for y in range(out_rows):
                            row = y * down - top + a * spread_rows
                            if row < 0 or row >= rows:
                                continue
                            source = ((group * per_group + c) * rows + row) * columns
                            target = o * plane + y * out_columns
                            shift = b * spread_columns - left
                            # the first and last output column whose input lies inside
                            lo = max(0, -(shift // right))
                            hi = min(out_columns, (columns - 1 - shift) // right + 1)
                            for z in range(lo, hi):
                                dst[target + z] += (gain * x[source + z * right + shift]) * weight
        for i in range(n):
            if x[i] != 0:
                events += fan[i]
    else:
        count = values_at(base + q[5], 1, I64)[0]
        active = values_at(base + q[5] + 8, n, I32)
        for k in range(count):
            i = np.int64(active[k])
            value = gain * x[i]
            events += fan[i]
            channel = i // (rows * columns)
            row, column = (i // columns) % rows, i % columns
            group, c = channel // per_group, channel % per_group
            for o in range(group * out_per_group, (group + 1) * out_per_group):
                for a in range(kernel_rows):
                    y = row + top - a * spread_rows
                    if y < 0 or y % down != 0 or y // down >= out_rows:
                        continue
                    for b in range(kernel_columns):
                        z = column + left - b * spread_columns
                        if z < 0 or z % right != 0 or z // right >= out_columns:
                            continue
                        weight = w[(o * per_group + c) * window + a * kernel_columns + b]
                        dst[o * plane + (y // down) * out_columns + z // right] += value * weight
    values_at(base + q[11], 1, I64)[0] += events
    if q[3] & CLEAR:
        x[:] = 0


@part
def _pool(base, q, like):
    """Sum over windows times a factor: 1, or one over the window's size with the padding counted in."""
    channels, rows, columns = q[12], q[13], q[14]
    out_rows, out_columns = q[16], q[17]
    kernel_rows, kernel_columns, down, right, top, left = q[18], q[19], q[20], q[21], q[22], q[23]
    x = values_at(base + q[4], channels * rows * columns, like)
    dst = values_at(base + q[8], channels * out_rows * out_columns, like)
    factor = values_at(base + q[6], 1, like)[0]
    if q[3] & ZERO:
        dst[:] = 0
    for c in range(channels):
        for y in range(out_rows):
            for z in range(out_columns):
                total = x.dtype.type(0)
                for row in range(max(0, y * down - top), min(rows, y * down - top + kernel_rows)):
                    for column in range(
                        max(0, z * right - left), min(columns, z * right - left + kernel_columns)
                    ):
                        total += x[(c * rows + row) * columns + column]
                dst[(c * out_rows + y) * out_columns + z] += factor * total
    if q[3] & CLEAR:
        x[:] = 0


@part
def _stdp(base, q, like):
    """Pair STDP on compressed rows, straight on the weights or through an eligibility trace and a reward.

    Both traces first decay, then the pairs with the spikes of this tick are taken, then these spikes join the
    traces: two spikes in one tick are no pair.
    """
    pre, post, total = q[1], q[2], q[3]
    fade_pre, fade_post, up, down, low, high, fade_trace, rate, learning, reward = values_at(
        base + q[4], 10, like
    )
    before, after = values_at(base + q[5], pre, like), values_at(base + q[6], post, like)
    pointer, columns = values_at(base + q[7], pre + 1, I64), values_at(base + q[8], total, U32)
    weights = values_at(base + q[9], total, like)
    by_target, sources, places = (
        values_at(base + q[10], post + 1, I64),
        values_at(base + q[11], total, U32),
        values_at(base + q[12], total, I64),
    )
    count_pre, count_post = values_at(base + q[13], 1, I64)[0], values_at(base + q[14], 1, I64)[0]
    spikes_pre, spikes_post = values_at(base + q[13] + 8, pre, I32), values_at(base + q[14] + 8, post, I32)
    three_factor = q[15] != 0
    changed = values_at(base + q[15], total, like) if three_factor else weights
    for i in range(pre):
        before[i] *= fade_pre
    for j in range(post):
        after[j] *= fade_post
    if three_factor:
        for s in range(total):
            changed[s] *= fade_trace
    for m in range(count_pre):
        i = np.int64(spikes_pre[m])
        for s in range(pointer[i], pointer[i + 1]):
            changed[s] -= learning * (down * after[np.int64(columns[s])])
            if not three_factor:
                changed[s] = min(max(changed[s], low), high)
    for m in range(count_post):
        j = np.int64(spikes_post[m])
        for r in range(by_target[j], by_target[j + 1]):
            s = places[r]
            changed[s] += learning * (up * before[np.int64(sources[r])])
            if not three_factor:
                changed[s] = min(max(changed[s], low), high)
    for m in range(count_pre):
        before[np.int64(spikes_pre[m])] += 1
    for m in range(count_post):
        after[np.int64(spikes_post[m])] += 1
    if three_factor and reward != 0:
        factor = rate * reward
        for s in range(total):
            weights[s] = min(max(weights[s] + factor * changed[s], low), high)


@part
def _step(base, like):
    head = values_at(base, HEADER_WORDS, I64)
    x = values_at(base + head[H_INPUT], head[H_INPUT_SIZE], like)
    bad = 0
    for i in range(x.size):
        bad += x[i] - x[i] != 0
    if bad:
        return NOT_FINITE
    tick = values_at(base + head[H_TICK], 1, I64)
    program = base + head[H_PROGRAM]
    for k in range(head[H_OPS]):
        q = values_at(program + k * (OP_WORDS * 8), OP_WORDS, I64)
        op = q[0]
        if op == OP_MEMBRANE:
            _membrane(base, q, like)
        elif op == OP_ROWS:
            _rows(base, q, like)
        elif op == OP_CSR:
            _csr(base, q, like)
        elif op == OP_SCAN:
            _scan(base, q[1], q[4], q[5], like)
        elif op <= OP_THRESHOLD:
            _elementwise(base, q, like)
        elif op <= OP_DELAY_WRITE:
            _delay(base, q, tick[0], like)
        elif op == OP_CONV:
            _convolve(base, q, like)
        elif op == OP_POOL:
            _pool(base, q, like)
        elif op == OP_EXTENDED:
            _extended(base, q, like)
        elif op == OP_IZHIKEVICH:
            _izhikevich(base, q, like)
        elif op <= OP_DELAYED_SCATTER:
            _delayed(base, q, tick[0], like)
        else:
            _stdp(base, q, like)
    tick[0] += 1
    return OK


F32, F64 = np.float32(0), np.float64(0)


def _step_f32(address: int) -> int:
    return _step(address, F32)


def _step_f64(address: int) -> int:
    return _step(address, F64)


@lru_cache(maxsize=2)
def _compiled(item: int) -> Any:
    return cfunc("int64(int64)", cache=True)(_step_f32 if item == 4 else _step_f64)


def step_pointer(item: int) -> int:
    """Address of the C function int64 step(int64 arena) for values of 4 or 8 bytes; compiled or loaded once."""
    return int(_compiled(item).address)


@intrinsic
def _call(typingctx: Any, function: Any, address: Any) -> Any:
    """Call an int64 (int64) C function at an address."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(64)
        pointer = builder.inttoptr(args[0], ir.FunctionType(word, [word]).as_pointer())
        return builder.call(pointer, [args[1]])

    return types.int64(types.int64, types.int64), codegen


@njit(cache=True, nogil=True)
def step_arena(address: int) -> int:
    """One tick of the engine whose arena is at `address`; for use inside other compiled functions.

    Inputs are what stands in the arena. Returns OK (0), or NOT_FINITE (1) where an input is NaN or infinite;
    nothing has moved then. The engine has to be kept alive by the caller.
    """
    return _call(values_at(address, HEADER_WORDS, I64)[H_STEP], address)


def _step_input(address: int, values: np.ndarray) -> int:
    head = values_at(address, HEADER_WORDS, I64)
    if values.size != head[H_INPUT_SIZE]:
        return WRONG_SIZE
    x = values_at(address + head[H_INPUT], values.size, values.dtype.type(0))
    for i in range(x.size):
        x[i] = values[i]
    return _call(head[H_STEP], address)


@lru_cache(maxsize=2)
def step_input(item: int) -> Any:
    """A function (address, values) for values of 4 or 8 bytes: `step_arena` after copying values to the inputs.

    Returns WRONG_SIZE (2) where they do not fit, else as `step_arena`. It takes contiguous arrays of its own
    type alone (TypeError), and keeps the interpreter's lock: giving it up costs more than a small network's tick.
    """
    return njit(f"int64(int64, float{8 * item}[::1])", cache=True)(_step_input)


@njit(cache=True, nogil=True)
def run_rows(address: int, values: np.ndarray, taps: np.ndarray, record: np.ndarray) -> tuple[int, int]:
    """A tick for each row of `values`; returns the status and the number of ticks done.

    taps (n, 2): place and size of the blocks that are copied to a row of `record` after each tick.
    """
    head = values_at(address, HEADER_WORDS, I64)
    like = values.dtype.type(0)
    x = values_at(address + head[H_INPUT], values.shape[1], like)
    for t in range(values.shape[0]):
        for i in range(x.size):
            x[i] = values[t, i]
        status = _call(head[H_STEP], address)
        if status != OK:
            return status, t
        column = 0
        for j in range(taps.shape[0]):
            block = values_at(address + taps[j, 0], taps[j, 1], like)
            for i in range(block.size):
                record[t, column + i] = block[i]
            column += block.size
    return OK, values.shape[0]
