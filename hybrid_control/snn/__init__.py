"""Spiking networks: built in Python or read from NIR files, compiled once, stepped a tick at a time.

`Network` builds and stores, `Engine` runs; both names and their public methods are stable. Compiled code
steps an engine through `kernels.step_arena(engine.address)` and reads and writes through the engine's views.
"""

from hybrid_control.snn.backends.numba.engine import Engine, Options
from hybrid_control.snn.network import (
    Network,
    Synapses,
    all_to_all,
    gaussian_ring,
    one_to_one,
    random_sparse,
)
from hybrid_control.snn.neurons import AdaptiveCubaLIF, AdaptiveLIF, Izhikevich, SparseLinear
from hybrid_control.snn.nir.files import GraphError

__all__ = [
    "AdaptiveCubaLIF",
    "AdaptiveLIF",
    "Engine",
    "GraphError",
    "Izhikevich",
    "Network",
    "Options",
    "SparseLinear",
    "Synapses",
    "all_to_all",
    "gaussian_ring",
    "one_to_one",
    "random_sparse",
]
