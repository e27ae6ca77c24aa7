"""Membrane potentials that the planner gives the network to begin with: checked here, and written whole between two
ticks, so that the ring need not first forget the plan before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.signals import StateVector
from hybrid_control.snn import Engine
from hybrid_control.snn.backends.numba import kernels

MOST_POPULATIONS, MOST_VALUES = 8, 1024  # of one state
MOST_POTENTIAL = 1e3  # firing thresholds; sums of such potentials stay finite, and leave again within a second

STATES = np.dtype(
    [
        ("count", np.int64),  # populations
        ("at", np.int64, (MOST_POPULATIONS,)),  # bytes from the start of the arena to each one's potentials
        ("size", np.int64, (MOST_POPULATIONS,)),
        ("values", np.float32, (MOST_VALUES,)),
    ],
    align=True,
)

_F32 = np.float32(0)
_view: Any = kernels.values_at


def fill(record: NDArray[Any], states: StateVector, engine: Engine) -> None:
    """Write states into a STATES record for a network; ValueError for what is not its own or can't be."""
    if len(states.populations) > MOST_POPULATIONS or states.values.size > MOST_VALUES:
        raise ValueError(
            f"{len(states.populations)} populations and {states.values.size} values, at most {MOST_POPULATIONS} and "
            f"{MOST_VALUES}"
        )
    for k, population in enumerate(states.populations):
        name = population.name
        if name not in engine.graph.nodes or "voltage" not in engine.variables(name):
            raise ValueError(f"the network has no population {name!r} with membrane potentials")
        size = engine.read(name, "voltage").size
        if population.size != size:
            raise ValueError(f"population {name!r} of {population.size}; the network's has {size} neurons")
        record["at"][k], record["size"][k] = engine.place("voltage", name), size
    if states.values.size and not np.abs(states.values).max() <= MOST_POTENTIAL:
        raise ValueError(f"a potential of {np.abs(states.values).max():g}, at most {MOST_POTENTIAL:g} thresholds")
    record["count"] = len(states.populations)
    record["values"][: states.values.size] = states.values


@njit(cache=True, nogil=True)
def take_up(c: Any, now_ns: int) -> None:
    """Write the states that just came into the network, unless they have grown too old on the way."""
    if now_ns - c.states.received_ns > c.gains.value.planner_timeout * 1e9:
        return
    states = c.states.value
    first = 0
    for k in range(states.count):
        potentials = _view(c.arena + states.at[k], states.size[k], _F32)
        for i in range(states.size[k]):
            potentials[i] = states.values[first + i]
        first += states.size[k]
    c.set_for = 0.0
