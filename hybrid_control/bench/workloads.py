"""The spiking networks that `bench snn` measures, as plain arrays, so that every tool is given the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DT = 1e-3
TAU = 20e-3
Arrays = dict[str, NDArray[Any]]


def reflex(steps: int = 2000) -> Arrays:
    """64 inputs, spiking in 5 % of ticks, to 256 recurrent LIF neurons to 8 LIF neurons; every pair is connected.

    v' = (1 - dt / tau) v + x where x is the sum of weights of spikes: a weight is a step of the voltage.
    """
    rng = np.random.default_rng(0)
    return {
        "input": rng.normal(0.0, 0.2, (256, 64)).astype(np.float32),
        "recurrent": rng.normal(0.0, 0.05, (256, 256)).astype(np.float32),
        "output": rng.normal(0.02, 0.1, (8, 256)).astype(np.float32),
        "x": (rng.random((steps, 64)) < 0.05).astype(np.float32),
    }


def sparse(n: int, synapses: int) -> Arrays:
    """`n` LIF neurons that rest just above threshold and so spike at about 10 Hz, `synapses` from each to any others.

    v' = (1 - dt / tau) v + dt / tau * leak + x; they start at voltages spread evenly between 0 and threshold.
    """
    rng = np.random.default_rng(1)
    return {
        "pre": np.repeat(np.arange(n), synapses),
        "post": rng.integers(0, n, n * synapses),
        "weight": rng.normal(0.0, 0.01, n * synapses).astype(np.float32),
        "leak": np.array(1.0015, np.float32),
        "start": rng.uniform(0.0, 1.0, n).astype(np.float32),
    }
