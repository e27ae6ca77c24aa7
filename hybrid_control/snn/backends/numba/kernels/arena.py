"""The arena: one block of memory that starts with a header; arrays over it and the records of ops in it.

Every place is given in bytes from the arena's start, so it can be copied, stored and handed to compiled code as one
address. Nothing here allocates, raises or touches a Python object. docs/snn.md describes the layout.
"""

# numba types these functions; mypy cannot see into its intrinsics
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types
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
OP_WORDS = 32  # an op: its code, then the fields of its record, each an int64 word

OK, NOT_FINITE, WRONG_SIZE = 0, 1, 2

I64, I32, U16, U8, U64, U32 = np.int64(0), np.int32(0), np.uint16(0), np.uint8(0), np.uint64(0), np.uint32(0)

part = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)  # type: ignore[call-overload]
"""For parts of a compiled function, such as the interpreter of `step_pointer`: put into it where they are called, and
cached with it. A call costs more than it seems to: each array goes as seven arguments."""


@dataclass(frozen=True)
class Ref:
    """A place in the arena: bytes from the start of a region."""

    region: str
    offset: int

    def after(self, size: int) -> Ref:
        """The place so many bytes further."""
        return Ref(self.region, self.offset + size)


KERNELS: dict[Hashable, tuple[Any, Any]] = {}
"""By the record's type (for neurons, by their step): the record's type and the kernel. An op's code is its number."""


def kernel(record: Any) -> Callable[[Any], Any]:
    """Registers (base, q, tick, like) for ops whose record q is of such a type; `like` is a value of the arena's type.

    A record's fields are numbers and places, 0 for none. The same in all: zero: whether to set `out` to zero before
    adding to it; clear: whether to set `x` to zero after reading it; listed: a list of what in x is not zero.
    """

    def register(function: Any) -> Any:
        KERNELS[record] = record, part(function)
        return KERNELS[record][1]

    return register


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


@intrinsic(prefer_literal=True)
def gather(typingctx: Any, address: Any, pitch: Any, count: Any, i: Any, like: Any) -> Any:
    """Value i of each of `count` rows, which lie `pitch` bytes apart, as a tuple."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    result = types.UniTuple(like, count.literal_value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(like)
        rows = _rows(context, builder, args[0], args[1], element, len(result))
        item = context.get_abi_sizeof(element)
        values = [builder.load(builder.gep(row, [args[3]]), align=item) for row in rows]
        return context.make_tuple(builder, result, values)

    return result(types.int64, types.int64, count, types.int64, like), codegen


@intrinsic
def scatter(typingctx: Any, address: Any, pitch: Any, i: Any, values: Any, like: Any) -> Any:
    """Write a tuple to place i of rows that lie `pitch` bytes apart."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(like)
        rows = _rows(context, builder, args[0], args[1], element, len(values))
        for k, (row, kind) in enumerate(zip(rows, values, strict=True)):
            value = context.cast(builder, builder.extract_value(args[3], k), kind, like)
            builder.store(value, builder.gep(row, [args[2]]), align=context.get_abi_sizeof(element))
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64, values, like), codegen


def _rows(context: Any, builder: Any, address: Any, pitch: Any, element: Any, count: int) -> list[Any]:
    steps = [builder.mul(pitch, context.get_constant(types.int64, k)) for k in range(count)]
    return [builder.inttoptr(builder.add(address, step), element.as_pointer()) for step in steps]
