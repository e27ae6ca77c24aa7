"""What numba lacks for real-time code: calls by address, ordered loads and stores, records at an address.

All of it is usable inside ``numba.njit(nogil=True)`` and ``numba.cfunc`` code, with ``cache=True``: addresses
are arguments, so nothing of the running process is baked into the machine code.

Memory order. On x86-64 plain loads and stores already are acquire and release; on ARM they are not, and on
both the compiler may reorder them. The functions below emit LLVM's atomic instructions, so the order holds on
either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, extending
from numba.core.errors import TypingError

# mypy would otherwise check calls against the first argument, the typing context, which numba supplies
intrinsic: Callable[[Any], Any] = extending.intrinsic

_I64 = ir.IntType(64)
_I8 = ir.IntType(8)


def _pointer(builder: Any, address: Any, item: Any) -> Any:
    return builder.inttoptr(address, item.as_pointer())


def _load(ordering: str) -> Any:
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load_atomic(_pointer(builder, args[0], _I64), ordering, 8)

        return types.int64(types.int64), codegen

    return intrinsic(load)


def _store(ordering: str) -> Any:
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.store_atomic(args[1], _pointer(builder, args[0], _I64), ordering, 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return intrinsic(store)


def _fence(ordering: str) -> Any:
    def fence(typingctx: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), codegen

    return intrinsic(fence)


#: ``load_acquire(address) -> int64``: what follows in the program is not moved before this load.
load_acquire = _load("acquire")
#: ``load_relaxed(address) -> int64``: one whole load of 8 bytes, in no particular order.
load_relaxed = _load("monotonic")
#: ``store_release(address, value)``: what precedes in the program is not moved after this store.
store_release = _store("release")
#: ``store_relaxed(address, value)``: one whole store of 8 bytes, in no particular order.
store_relaxed = _store("monotonic")
#: ``fence_acquire()``: loads before this point are done before any load or store after it.
fence_acquire = _fence("acquire")
#: ``fence_release()``: loads and stores before this point are done before any store after it.
fence_release = _fence("release")


@intrinsic
def compare_and_swap(typingctx: Any, address: Any, expected: Any, value: Any) -> Any:
    """``compare_and_swap(address, expected, value) -> int64``: 1 where it was ``expected`` and is now ``value``.

    Acquires and releases; 0, and nothing written, where something else stood there.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], _I64)
        result = builder.cmpxchg(pointer, args[1], args[2], "acq_rel", "acquire")
        return builder.zext(builder.extract_value(result, 1), _I64)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def load_word(typingctx: Any, address: Any) -> Any:
    """``load_word(address) -> int64``: 8 bytes of memory that no other thread writes, at any alignment."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], _I64), align=1)

    return types.int64(types.int64), codegen


@intrinsic
def store_word(typingctx: Any, address: Any, value: Any) -> Any:
    """``store_word(address, value)``: 8 bytes of memory that no other thread reads, at any alignment."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], _pointer(builder, args[0], _I64), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def load_byte(typingctx: Any, address: Any) -> Any:
    """``load_byte(address) -> int64``: one byte, 0 to 255."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(_pointer(builder, args[0], _I8)), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def store_byte(typingctx: Any, address: Any, value: Any) -> Any:
    """``store_byte(address, value)``: the lowest byte of value."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(builder.trunc(args[1], _I8), _pointer(builder, args[0], _I8))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def bit_length(typingctx: Any, value: Any) -> Any:
    """``bit_length(value) -> int64`` of a value >= 0, as Python's ``int.bit_length``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zeros = builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(_I64, 64), zeros)

    return types.int64(types.int64), codegen


@intrinsic
def call_tick(typingctx: Any, tick: Any, context_address: Any, now_ns: Any) -> Any:
    """``call_tick(tick, context_address, now_ns) -> int64``: call ``int64 tick(void*, int64)``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(_I64, [pointer, _I64])
        function = builder.inttoptr(args[0], kind.as_pointer())
        return builder.call(function, [builder.inttoptr(args[1], pointer), args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def as_pointer(typingctx: Any, address: Any) -> Any:
    """``as_pointer(address) -> void*``, which ``numba.carray(pointer, 1, dtype)[0]`` turns into a record."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], _I8.as_pointer())

    return types.voidptr(types.int64), codegen


@intrinsic
def address_of(typingctx: Any, record: Any) -> Any:
    """``address_of(record) -> int64``: where a record, whole or nested in another one, lies in memory."""
    if not isinstance(record, types.Record):
        raise TypingError(f"address_of: {record} is no record")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], _I64)

    return types.int64(record), codegen


@intrinsic
def signal_event(typingctx: Any, descriptor: Any) -> Any:
    """``signal_event(descriptor) -> int64``: add 1 to a Linux eventfd; 8 where it worked."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_I64, [ir.IntType(32), _I64.as_pointer(), _I64])
        function = cgutils.get_or_insert_function(builder.module, kind, "write")
        one = cgutils.alloca_once_value(builder, ir.Constant(_I64, 1))
        return builder.call(function, [builder.trunc(args[0], ir.IntType(32)), one, ir.Constant(_I64, 8)])

    return types.int64(types.int64), codegen
