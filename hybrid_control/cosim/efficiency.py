"""Hybrid_Efficiency: accuracy, latency and power as one figure, and one accounting of energy for ANN and SNN.

    Hybrid_Efficiency = alpha A + beta L + gamma P,   alpha, beta, gamma >= 0,  alpha + beta + gamma = 1

Each term is made of a measure m that is the better the smaller it is (an error, a time, a power) and a reference r > 0
that is stated beforehand:

    term(m, r) = r / (r + m)

1 where m is 0, 1/2 where it is the reference, towards 0 beyond: within 0 .. 1 without clipping, so that no two measures
become one. The figure is within 0 .. 1. It depends on the references as much as on the weights; `ranking` and `regions`
show how the order of candidates changes over all weights, and `ternary.picture` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_control.snn.energy import HOROWITZ_45NM, Counters, EnergyConstants

PICO = 1e-12


@dataclass(frozen=True)
class Weights:
    """What accuracy (alpha), latency (beta) and power (gamma) count: not negative, their sum 1."""

    accuracy: float
    latency: float
    power: float

    def __post_init__(self) -> None:
        values = (self.accuracy, self.latency, self.power)
        if not all(math.isfinite(v) and v >= 0.0 for v in values):
            raise ValueError(f"weights: {', '.join(f'{v:g}' for v in values)} must not be negative")
        if not math.isclose(sum(values), 1.0, abs_tol=1e-6):
            raise ValueError(
                f"weights: {', '.join(f'{v:g}' for v in values)} must have the sum 1, not {sum(values):g}"
            )


@dataclass(frozen=True)
class Measures:
    """Of a candidate, or the references: error (any unit, the same in both), latency in s, power in W."""

    error: float
    latency: float
    power: float

    def __post_init__(self) -> None:
        for name in ("error", "latency", "power"):
            value = getattr(self, name)
            if math.isnan(value) or value < 0.0:
                raise ValueError(f"{name}: {value!r} must not be negative")


def term(measure: float, reference: float) -> float:
    """reference / (reference + measure): 1 for 0, 1/2 for the reference, 0 for infinity (what never happened)."""
    if not (math.isfinite(reference) and reference > 0.0):
        raise ValueError(f"reference: {reference!r} must be finite and above 0")
    return reference / (reference + measure)


def efficiency(measures: Measures, references: Measures, weights: Weights) -> float:
    """Hybrid_Efficiency, within 0 .. 1, the higher the better; see the module's first lines."""
    return (
        weights.accuracy * term(measures.error, references.error)
        + weights.latency * term(measures.latency, references.latency)
        + weights.power * term(measures.power, references.power)
    )


@dataclass(frozen=True)
class Rank:
    """The candidates in order of their efficiency for some weights, the best first."""

    weights: Weights
    order: tuple[str, ...]
    values: tuple[float, ...]


def ranking(candidates: Mapping[str, Measures], references: Measures, steps: int = 10) -> list[Rank]:
    """The order of the candidates over a grid of weights, i/steps each: (steps + 1)(steps + 2)/2 of them.

    For a picture: a triangle with a corner for each term. Equals stand in the order of their names.
    """
    if steps < 1:
        raise ValueError(f"steps: {steps} must be 1 or more")
    ranks = []
    for i in range(steps + 1):
        for j in range(steps + 1 - i):
            weights = Weights(i / steps, j / steps, (steps - i - j) / steps)
            values = {name: efficiency(m, references, weights) for name, m in candidates.items()}
            order = tuple(sorted(values, key=lambda name: (-values[name], name)))
            ranks.append(Rank(weights, order, tuple(values[name] for name in order)))
    return ranks


Corner = tuple[float, float, float]  # weights of accuracy, latency and power
ALL_WEIGHTS: tuple[Corner, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def regions(
    candidates: Mapping[str, Measures], references: Measures, within: Sequence[Corner] = ALL_WEIGHTS
) -> dict[str, tuple[Corner, ...]]:
    """Where each candidate comes first: the corners of its part of the triangle of weights, in order around it.

    Exact: the figure is linear in the weights, so each part is convex. within: corners of a convex part of it all. Who
    comes first nowhere is not there; of equals the first in the order of names is.
    """
    terms = {
        name: (
            term(m.error, references.error),
            term(m.latency, references.latency),
            term(m.power, references.power),
        )
        for name, m in candidates.items()
    }
    found = {}
    for name, own in terms.items():
        corners = tuple(within)
        for other, its in terms.items():
            if its == own and other < name:
                corners = ()
            elif other != name:
                corners = _cut(corners, (own[0] - its[0], own[1] - its[1], own[2] - its[2]))
        if share(corners) > 1e-9:
            found[name] = corners
    return found


def _cut(corners: Sequence[Corner], lead: Corner) -> tuple[Corner, ...]:
    """What of a convex part has lead . weights >= 0."""
    leads = [sum(a * w for a, w in zip(lead, corner, strict=True)) for corner in corners]
    kept: list[Corner] = []
    for i, (corner, own) in enumerate(zip(corners, leads, strict=True)):
        before, its = corners[i - 1], leads[i - 1]
        if (own >= 0.0) != (its >= 0.0):
            a, b, c = (x + (y - x) * its / (its - own) for x, y in zip(before, corner, strict=True))
            kept.append((a, b, c))
        if own >= 0.0:
            kept.append(corner)
    return tuple(kept)


def share(corners: Sequence[Corner]) -> float:
    """How much of all weights a part of the triangle holds, 0 .. 1."""
    turns = (a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, (*corners[1:], *corners[:1]), strict=True))
    return abs(sum(turns))


@dataclass(frozen=True)
class MemoryConstants:
    """What a membrane update and an access to memory take in pJ, and how many accesses an operation makes.

    A multiply-accumulate reads a weight and an activation; its sum stays in a register. A synaptic event reads a weight
    and reads and writes the sum of its target. An update of a neuron reads and writes its membrane potential.
    """

    access_pj: float = 5.0
    update_pj: float = 4.6
    per_mac: int = 2
    per_event: int = 3
    per_update: int = 2
    source: str = (
        "access of 32 bits in SRAM 5 pJ, 45 nm: S. Han et al., 'Learning both weights and connections for efficient "
        "neural networks', NIPS 2015, table 1; an update as one multiply-accumulate of M. Horowitz, ISSCC 2014"
    )


SRAM_45NM = MemoryConstants()


@dataclass(frozen=True)
class Work:
    """What both sides did in `seconds` simulated seconds.

    ann_macs: multiply-accumulates of all inferences (NeuroBench: Dense). snn_macs: those of projections that are driven
    by values and not by spikes. events: synapses reached by a spike (NeuroBench: Effective_ACs). updates: neurons
    updated, over all ticks. NeuroBench: J. Yik et al., Nature Communications 16, 2025.
    """

    seconds: float
    ann_macs: int = 0
    snn_macs: int = 0
    events: int = 0
    updates: int = 0

    @classmethod
    def of(cls, seconds: float, ann_macs: int = 0, counters: Counters | None = None) -> Work:
        """Of an ANN's multiply-accumulates and an SNN's counters, either of which may be missing.

        A projection with multiply-accumulates counts by these alone, as in `snn.energy.estimate`.
        """
        if counters is None:
            return cls(seconds, ann_macs)
        events = sum(n for name, n in counters.events.items() if name not in counters.macs)
        return cls(seconds, ann_macs, sum(counters.macs.values()), events, sum(counters.updates.values()))

    def watts(
        self, memory: MemoryConstants | None = None, constants: EnergyConstants = HOROWITZ_45NM
    ) -> float:
        """Mean power: arithmetic alone (4.6 pJ a multiply-accumulate, 0.9 pJ an event), or with updates and memory.

        memory: adds the neurons' updates and every operation's accesses. W; 0 where no time has passed.
        """
        macs = self.ann_macs + self.snn_macs
        joules = macs * constants.mac_pj + self.events * constants.synaptic_event_pj
        if memory is None:
            joules += self.updates * constants.neuron_update_pj
        else:
            accesses = (
                macs * memory.per_mac + self.events * memory.per_event + self.updates * memory.per_update
            )
            joules += self.updates * memory.update_pj + accesses * memory.access_pj
        return PICO * joules / self.seconds if self.seconds > 0.0 else 0.0
