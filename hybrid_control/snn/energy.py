"""Counts of what a network did, and an estimate of the energy that this would take on given hardware."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counters:
    """What was done in `ticks` ticks of `seconds` simulated seconds in all.

    spikes: by spiking population (and Threshold node). events: by projection, synapses reached by a value that
    is not zero (a spike, or a non-zero input or voltage); for a convolution every weight of its window counts.
    macs: by densely driven projection, multiply-accumulates of all its synapses in every tick.
    updates: by population, neurons updated.
    """

    ticks: int
    seconds: float
    spikes: Mapping[str, int]
    events: Mapping[str, int]
    macs: Mapping[str, int]
    updates: Mapping[str, int]

    def per_second(self) -> dict[str, dict[str, float]]:
        """Spikes and events by name, per simulated second; 0 before the first tick."""
        span = self.seconds or math.inf
        return {
            "spikes": {name: count / span for name, count in self.spikes.items()},
            "events": {name: count / span for name, count in self.events.items()},
        }


@dataclass(frozen=True)
class EnergyConstants:
    """What one operation takes, in picojoules, and where the numbers are from."""

    name: str
    synaptic_event_pj: float
    mac_pj: float
    neuron_update_pj: float
    source: str

    def __post_init__(self) -> None:
        for key in ("synaptic_event_pj", "mac_pj", "neuron_update_pj"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{self.name}: {key} must be a finite energy >= 0 pJ, not {value}")


HOROWITZ_45NM = EnergyConstants(
    name="45 nm CMOS arithmetic, 32-bit float",
    synaptic_event_pj=0.9,
    mac_pj=4.6,
    neuron_update_pj=0.0,
    source="M. Horowitz, 'Computing's energy problem (and what we can do about it)', ISSCC 2014: "
    "addition 0.9 pJ, multiplication 3.7 pJ; arithmetic alone, no memory access",
)
LOIHI = EnergyConstants(
    name="Loihi, 14 nm",
    synaptic_event_pj=23.6,
    mac_pj=23.6,
    neuron_update_pj=81.0,
    source="M. Davies et al., 'Loihi: a neuromorphic manycore processor with on-chip learning', IEEE Micro 38(1), "
    "2018: 23.6 pJ per synaptic spike operation (minimum), 81 pJ per update of an active neuron",
)


@dataclass(frozen=True)
class Energy:
    """An estimate in joules: by projection, by population, and in all; `watts` is over the simulated time."""

    constants: EnergyConstants
    projections: Mapping[str, float]
    populations: Mapping[str, float]
    seconds: float
    joules: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "joules", sum(self.projections.values()) + sum(self.populations.values()))

    @property
    def watts(self) -> float:
        """Mean power over the simulated time; 0 before the first tick."""
        return self.joules / self.seconds if self.seconds else 0.0


def estimate(counters: Counters, constants: EnergyConstants = HOROWITZ_45NM) -> Energy:
    """Events times the energy of an event; for densely driven projections multiply-accumulates times theirs."""
    projections = {
        name: 1e-12 * counters.macs[name] * constants.mac_pj
        if name in counters.macs
        else 1e-12 * count * constants.synaptic_event_pj
        for name, count in counters.events.items()
    }
    populations = {name: 1e-12 * n * constants.neuron_update_pj for name, n in counters.updates.items()}
    return Energy(constants, projections, populations, counters.seconds)
