"""Codes between firing rates and spikes: streaming encoders, decoders and population codes.

Time is counted in whole nanoseconds and every channel keeps its own state, so results do not depend on how a
stretch of time is cut into calls: ten calls of 1 ms give the same spikes as one call of 10 ms. The functions
in ``kernels`` are compiled, hold no interpreter lock and may be called from other compiled code.
"""

from hybrid_control.signals.coding.decoders import (
    Decoder,
    ExponentialDecoder,
    FirstSpikeDecoder,
    PhaseDecoder,
    PopulationVectorDecoder,
    SlidingWindowDecoder,
    decoder,
)
from hybrid_control.signals.coding.encoders import (
    ENCODERS,
    Encoder,
    LatencyEncoder,
    PhaseEncoder,
    PoissonEncoder,
    RegularEncoder,
    encoder,
)
from hybrid_control.signals.coding.population import GaussianCode

__all__ = [
    "ENCODERS",
    "Decoder",
    "Encoder",
    "ExponentialDecoder",
    "FirstSpikeDecoder",
    "GaussianCode",
    "LatencyEncoder",
    "PhaseDecoder",
    "PhaseEncoder",
    "PoissonEncoder",
    "PopulationVectorDecoder",
    "RegularEncoder",
    "SlidingWindowDecoder",
    "decoder",
    "encoder",
]
