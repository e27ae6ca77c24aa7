"""What compiled code knows of a co-simulation: a record for each part and each link, and blocks of words.

All of it is memory at fixed addresses, which the scheduler owns. Times are whole ns.
"""

# mypy: allow-untyped-defs, disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

HELD, COUNTED, WRITTEN, KEPT, MAIL = 0, 1, 2, 3, 4  # of links; KEPT leads to a recording, MAIL is carried in Python
HOLD, EXTRAPOLATE, DROP, WAIT = 0, 1, 2, 3  # what a link does where the newest value is too old

LINK = np.dtype(
    [
        ("kind", np.int64),
        ("source", np.int64),  # the part that gives, and the one that takes; -1 for a recording
        ("target", np.int64),
        ("size", np.int64),  # numbers in a row
        ("delay", np.int64),
        ("gain", np.float64),
        ("policy", np.int64),
        ("max_age", np.int64),  # -1: none
        ("initial", np.float64),
        ("given", np.int64),  # address of the rows that the source gives
        ("port", np.int64),  # address of what the taker's block says of the port: rows, bytes from row to row
        ("adds", np.int64),  # whether a link before it leads to the same port
        ("memory", np.int64),  # WRITTEN: address and bytes of a number of the state; 0: the part takes it itself
        ("item", np.int64),
        ("room", np.int64),  # rows of the ring, a power of two
        ("first", np.int64),  # where the oldest row is
        ("used", np.int64),
        ("arrivals", np.int64),  # addresses of the ring
        ("rows", np.int64),
    ],
    align=True,
)

MEMBER = np.dtype(
    [
        ("next", np.int64),  # when its next run begins
        ("period", np.int64),
        ("latency", np.int64),
        ("function", np.int64),  # address of an int64 (int64 block) C function; 0: it is run in Python
        ("block", np.int64),  # address of its block
        ("most", np.int64),  # runs at once
        ("inputs", np.int64),  # ports that it takes, and gives
        ("outputs", np.int64),
        ("into", np.int64),  # where its links begin in the list of links that lead to parts, and how many
        ("into_count", np.int64),
        ("out", np.int64),
        ("out_count", np.int64),
        ("waits", np.int64),  # whether a link into it may say that a run does not take place
        ("skipped", np.int64),  # whether the run at hand does not
        ("away", np.int64),  # whether it runs in a thread, from when it is to give
        ("away_since", np.int64),
        ("beside", np.int64),  # whether it is run in a thread: nobody then goes past a time at which it could begin
        ("loss", np.float64),  # share of its runs whose results never arrive
        ("key", np.uint64),  # of the stream that draws them
    ],
    align=True,
)

# The head of a simulation: int64 words.
(
    H_MEMBERS, H_MEMBER_COUNT, H_LINKS, H_LINK_COUNT, H_INTO, H_OUT, H_ORDER, H_UNTIL, H_OBSERVED,
    H_WHO, H_FIRST, H_RUNS, H_WHAT, H_BEGUN, H_BEGUN_COUNT,
) = range(15)  # fmt: skip
HEAD_WORDS = 16
# H_BEGUN: a word that a thread with a call to begin looks at, 0: none; H_BEGUN_COUNT: what is to be written there

# A part's block: int64 words, then two for each port: where its rows are, and bytes from row to row (0: one for all).
B_COUNT, B_FIRST, B_PERIOD, B_DATA, B_PORTS = 0, 1, 2, 3, 4

# What `advance` comes back with.
DONE, CALL, RAN, AWAIT, GROW, DRAIN, NOT_FINITE, FAILED = range(8)


@intrinsic
def records_at(typingctx: Any, address: Any, size: Any, dtype: Any) -> Any:
    """An array of `size` records of a type over memory at an integer address; owns nothing."""
    if not isinstance(address, types.Integer) or not isinstance(size, types.Integer):
        return None
    array_type = types.Array(dtype.dtype, 1, "C")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(dtype.dtype)
        item = context.get_constant(types.intp, dtype.dtype.size)
        array = make_array(array_type)(context, builder)
        populate_array(
            array,
            data=builder.inttoptr(args[0], element.as_pointer()),
            shape=cgutils.pack_array(builder, [args[1]]),
            strides=cgutils.pack_array(builder, [item]),
            itemsize=item,
            meminfo=None,
        )
        return array._getvalue()

    return array_type(types.int64, types.int64, dtype), codegen
