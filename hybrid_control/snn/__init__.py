"""Spiking networks: built in Python or read from NIR files, compiled once, stepped a tick at a time.

`Network` builds and stores, `Engine` runs; both names and their public methods are stable. Compiled code
steps an engine through `kernels.step_arena(engine.address)` and reads and writes through the engine's views.
"""

from hybrid_control.snn.backends.backend import Backend
from hybrid_control.snn.backends.numba.engine import Engine
from hybrid_control.snn.network import (
    Network,
    Synapses,
    all_to_all,
    gaussian_ring,
    one_to_one,
    random_sparse,
)
from hybrid_control.snn.neurons.adaptive import AdaptiveCubaLIF, AdaptiveLIF
from hybrid_control.snn.neurons.izhikevich import Izhikevich
from hybrid_control.snn.nir.checks import GraphError
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.options import Options

__all__ = [
    "AdaptiveCubaLIF",
    "AdaptiveLIF",
    "Backend",
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
