"""Lists of what is not zero: made from spikes, or by a scan of values."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hybrid_control.snn.backends.numba.kernels.arena import I32, I64, U8, kernel, part, values_at


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


Scan = namedtuple("Scan", "size x listed")


@kernel(Scan)
def _scan(base, q, tick, like):
    """List the non-zero values of x, which has room for a multiple of 16."""
    n, item = q.size, values_at(base, 0, like).itemsize
    indices = values_at(base + q.listed + 8, n, I32)
    m = 0
    for first in range(0, n, 16):
        bits = np.uint64(_mask(base + q.x + first * item, like))
        if n - first < 16:
            bits &= np.uint64((1 << (n - first)) - 1)
        while bits != 0:
            indices[m] = first + _lowest(bits)
            m += 1
            bits &= bits - np.uint64(1)
    values_at(base + q.listed, 1, I64)[0] = m


@part
def silence(base, n, out_at, list_at, like):
    """Take the spikes of the tick before out of the spike list and the 0/1 output."""
    out = values_at(base + out_at, n, like)
    indices = values_at(base + list_at + 8, n, I32)
    count = values_at(base + list_at, 1, I64)
    for k in range(count[0]):
        out[np.int64(indices[k])] = 0
    count[0] = 0


@part
def emit(base, n, fired_at, out_at, list_at, counter_at, like):
    """Turn the flags of this tick into the spike list and the 0/1 output, both empty, and count them.

    To be left where nothing fired: the flags were just written one by one, and a load of many waits for that.
    """
    out = values_at(base + out_at, n, like)
    indices = values_at(base + list_at + 8, n, I32)
    m = 0
    for first in range(0, n, 64):  # the flags after the last neuron are zero
        bits = _mask(base + fired_at + first, U8)
        while bits != 0:
            i = first + _lowest(bits)
            indices[m] = i
            out[i] = 1
            m += 1
            bits &= bits - np.uint64(1)
    values_at(base + list_at, 1, I64)[0] = m
    values_at(base + counter_at, 1, I64)[0] += m
