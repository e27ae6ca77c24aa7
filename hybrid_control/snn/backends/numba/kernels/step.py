"""One tick: the interpreter of an arena's program, and the ways to call it."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from hybrid_control.snn.backends.numba.kernels import maps, plasticity, spikes, synapses  # noqa: F401 they register
from hybrid_control.snn.backends.numba.kernels.arena import (
    H_INPUT,
    H_INPUT_SIZE,
    H_OPS,
    H_PROGRAM,
    H_STEP,
    H_TICK,
    HEADER_WORDS,
    I64,
    KERNELS,
    NOT_FINITE,
    OK,
    OP_WORDS,
    WRONG_SIZE,
    part,
    values_at,
)
from hybrid_control.snn.backends.numba.kernels.neurons import add_population_kernel
from hybrid_control.snn.neurons import MODELS


@intrinsic
def _run(typingctx: Any, base: Any, op: Any, tick: Any, like: Any, table: Any) -> Any:
    """Run the op whose words are at `op`: a switch over the first kernels, as many as `table` is long."""
    cases = []
    for record, function in list(KERNELS.values())[: len(table)]:
        fields = types.NamedUniTuple(types.int64, len(record._fields), record)
        kind = typingctx.resolve_value_type(function)
        cases.append(
            (fields, kind, kind.get_call_type(typingctx, (types.int64, fields, types.int64, like), {}))
        )

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base, op, tick, value, _ = args
        words = builder.inttoptr(op, ir.IntType(64).as_pointer())
        after = builder.append_basic_block("after")
        switch = builder.switch(builder.load(words), after)
        for code, (fields, kind, signature) in enumerate(cases):
            block = builder.append_basic_block(fields.instance_class.__name__)
            switch.add_case(ir.Constant(ir.IntType(64), code), block)
            builder.position_at_end(block)
            places = [builder.gep(words, [ir.Constant(ir.IntType(64), 1 + f)]) for f in range(len(fields))]
            record = context.make_tuple(builder, fields, [builder.load(place) for place in places])
            context.get_function(kind, signature)(builder, (base, record, tick, value))
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64, like, table), codegen


@part
def _step(base, like, table):
    head = values_at(base, HEADER_WORDS, I64)
    x = values_at(base + head[H_INPUT], head[H_INPUT_SIZE], like)
    bad = False
    for i in range(x.size):
        bad |= x[i] - x[i] != 0
    if bad:
        return NOT_FINITE
    tick = values_at(base + head[H_TICK], 1, I64)
    program = base + head[H_PROGRAM]
    for k in range(head[H_OPS]):
        _run(base, program + k * (OP_WORDS * 8), tick[0], like, table)
    tick[0] += 1
    return OK


@cache
def _text(path: str) -> bytes:
    return Path(path).read_bytes()


def _version() -> int:
    """A digest of the code of all kernels in their order; not 0."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(_text(str(path)))
    for step in (key for key in KERNELS if isinstance(key, FunctionType)):  # of a neuron type
        code = step.__code__
        digest.update(f"{code.co_name} {code.co_firstlineno}".encode())
        digest.update(_text(code.co_filename) if Path(code.co_filename).exists() else code.co_code)
    return int.from_bytes(digest.digest()[:7], "little") | 1


@cache
def _compiled(item: int, version: int) -> Any:
    """The interpreter. numba's cache sees changes of this file alone; by `version` it sees those of all kernels.

    `table` holds nothing: its length, which numba types, stands for the kernels that there are.
    """
    like, table = np.float32(0) if item == 4 else np.float64(0), (0,) * len(KERNELS)

    def step(address: int) -> int:
        return _step(address, like, table) if version else NOT_FINITE

    return cfunc("int64(int64)", cache=True)(step)


def step_pointer(item: int) -> int:
    """Address of the C function int64 step(int64 arena) for values of 4 or 8 bytes; compiled or loaded once."""
    for model in MODELS.values():
        add_population_kernel(model)
    return int(_compiled(item, _version()).address)


@intrinsic
def call_at(typingctx: Any, function: Any, address: Any) -> Any:
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
    return call_at(values_at(address, HEADER_WORDS, I64)[H_STEP], address)


def _step_input(address: int, values: np.ndarray) -> int:
    head = values_at(address, HEADER_WORDS, I64)
    if values.size != head[H_INPUT_SIZE]:
        return WRONG_SIZE
    x = values_at(address + head[H_INPUT], values.size, values.dtype.type(0))
    for i in range(x.size):
        x[i] = values[i]
    return call_at(head[H_STEP], address)


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
        status = call_at(head[H_STEP], address)
        if status != OK:
            return status, t
        column = 0
        for j in range(taps.shape[0]):
            block = values_at(address + taps[j, 0], taps[j, 1], like)
            for i in range(block.size):
                record[t, column + i] = block[i]
            column += block.size
    return OK, values.shape[0]
