"""The closed loop of `bench closed-loop` in other tools: equal spikes where the equations are the same, else rates."""

import importlib.metadata

import numpy as np
import pytest

from hybrid_control.bench.closed_loop import figures, loops, workload
from hybrid_control.bench.closed_loop.tools import TOOLS

pytestmark = pytest.mark.peers

TICKS = 30 * workload.ANN_TICKS
SAME = "torch", "snnTorch", "Brian2, long runs"


@pytest.mark.parametrize("name", [name for name in TOOLS if name != "Brian2, run(1 ms)"])
def test_peers_closed_loop_has_our_spikes_or_our_rates(name):
    distribution, make = TOOLS[name]
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")
    data = workload.arrays()
    seen = figures.compared(make(data, True).run(TICKS), loops.NumbaLoop(data, True).run(TICKS))
    assert np.isfinite(seen["hidden_hz"])
    if name in SAME:
        assert seen["first_difference"] is None
    else:
        assert seen["rates_differ"] < figures.RATE_BOUND
