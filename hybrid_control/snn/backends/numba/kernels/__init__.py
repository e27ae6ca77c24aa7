"""The compiled interpreter: runs an engine's program over one arena, one tick per call.

`engine` lays the arena out; nothing here allocates, raises or touches a Python object. Each kernel stands with the
record of its op, whose fields are what the arena holds for it; docs/snn.md describes the layout.
"""

from hybrid_control.snn.backends.numba.kernels.arena import NOT_FINITE, OK, WRONG_SIZE, values_at
from hybrid_control.snn.backends.numba.kernels.step import run_rows, step_arena, step_input, step_pointer
from hybrid_control.snn.neurons.linear import K_LEAK, K_NEW, K_RESET, K_THRESHOLD, K_V

__all__ = [
    "K_LEAK",
    "K_NEW",
    "K_RESET",
    "K_THRESHOLD",
    "K_V",
    "NOT_FINITE",
    "OK",
    "WRONG_SIZE",
    "run_rows",
    "step_arena",
    "step_input",
    "step_pointer",
    "values_at",
]
