"""What a board's precision and neuron models make of a network, before anything is sent: errors, and spikes compared.

`quantise` is the one step from a network to what a board computes. `compare` runs two networks on the numba engine
with the same spikes going in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.backends import BOARDS
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends import loihi, spinnaker
from hybrid_control.snn.backends.capabilities import BoardCapabilities
from hybrid_control.snn.backends.split import channels, spiking, synapse_times

Spikes = NDArray[Any]

WITHIN = 5  # ticks by which two spikes may be apart to count as the same one


@dataclass(frozen=True)
class Error:
    """What rounding did to one kind of parameter: worst and mean, and the node that has the worst.

    Weights: as a share of the largest of their projection. Filters are the time constants of LI that became synapses;
    they, the populations' time constants and thresholds: as a share of themselves. Delays: in ticks.
    """

    what: str
    worst: float
    mean: float
    where: str


@dataclass(frozen=True)
class PopulationComparison:
    """One population in two networks. Rates in Hz a neuron.

    rate_error: mean over the neurons of how far their rates are apart. overlap: share of all spikes of both that have
    one of the same neuron in the other within WITHIN ticks, and what it is by chance (one of them half the time late).
    """

    name: str
    rate: tuple[float, float]
    rate_error: float
    overlap: float
    chance: float


@dataclass(frozen=True)
class Comparison:
    """Two networks with the same input. first: tick of the first spike that only one of them has, None for none."""

    ticks: int
    populations: tuple[PopulationComparison, ...]
    first: int | None

    @property
    def rate_error(self) -> float:
        """Mean distance of the populations' rates, as a share of the first network's mean rate."""
        before = sum(p.rate[0] for p in self.populations)
        return sum(p.rate_error for p in self.populations) / before if before else math.nan

    def lines(self) -> list[str]:
        """As a table."""
        rows = [
            f"  {'population':14} {'Hz before':>9} {'after':>7} {'apart':>7} {'same spikes':>12} {'by chance':>10}"
        ]
        for p in self.populations:
            rates = f"{p.rate[0]:9.1f} {p.rate[1]:7.1f} {p.rate_error:7.1f}"
            rows.append(f"  {p.name:14} {rates} {p.overlap:12.0%} {p.chance:10.0%}")
        first = "none" if self.first is None else f"tick {self.first}"
        return [*rows, f"  first spike that only one has: {first} of {self.ticks}"]


@dataclass(frozen=True)
class Quantised:
    """A network as a board of these capabilities computes it.

    network: for the numba engine, with `options` of Engine. notes: what is another model now, a line each. program:
    Loihi's integers, where it is for Loihi.
    """

    board: BoardCapabilities
    network: Network
    errors: tuple[Error, ...]
    notes: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    program: loihi.LoihiProgram | None = None


def quantise(network: Network, target: str, dt: float = 1e-3) -> Quantised:
    """What a board of `target`, one of BOARDS, makes of a network whose inputs are all spikes.

    BoardRefusal, with the reason and the nearest that could run, where it can't run it.
    """
    if target not in _QUANTISE:
        raise ValueError(f"no board {target!r}; there are {', '.join(BOARDS)}")
    return _QUANTISE[target](network, dt)


def _on_spinnaker(network: Network, dt: float) -> Quantised:
    form = spinnaker.spinnaker_form(network, dt)
    after = form.network()
    errors = parameter_errors(network, after, dt, scaled=True)
    return Quantised(spinnaker.CAPABILITIES, after, errors, form.changes, {"scheme": "exponential"})


def _on_loihi(network: Network, dt: float) -> Quantised:
    times = synapse_times(network)
    notes = []
    for name, changes in times.items():
        lines = ", ".join(f"{n} {a * 1e3:g} -> {b * 1e3:g} ms" for n, (a, b) in changes.items())
        notes.append(f"{name}: its filters become its synapse, which has one time constant: {lines}")
    before = spiking(network, dt)
    notes += [
        f"{name}: an LI becomes {np.size(before.nodes[name].v_threshold)} relays of spikes"
        for name, node in network.nodes.items()
        if isinstance(node, nir.LI) and name in before.nodes
    ]
    program, after = loihi.loihi_form(before, dt)
    errors = parameter_errors(before, after, dt)
    merged = [(n, abs(b - a) / a) for changes in times.values() for n, (a, b) in changes.items()]
    if merged:
        where, worst = max(merged, key=lambda pair: pair[1])
        errors = (Error("filters", worst, sum(e for _, e in merged) / len(merged), where), *errors)
    return Quantised(loihi.CAPABILITIES, after, errors, tuple(notes), {}, program)


_QUANTISE = {"spinnaker": _on_spinnaker, "loihi": _on_loihi}


def parameter_errors(before: Network, after: Network, dt: float, scaled: bool = False) -> tuple[Error, ...]:
    """How far the parameters of two networks with nodes of the same names are apart.

    scaled: weights and thresholds of `after` are in other units, whose factor is taken from them.
    """
    shares: dict[str, list[tuple[str, NDArray[np.float64]]]] = {}
    for name, a in before.nodes.items():
        b = after.nodes.get(name)
        if isinstance(a, nir.Linear) and isinstance(b, nir.Linear) and a.weight.shape == b.weight.shape:
            factor = _factor(a.weight, b.weight) if scaled else 1.0
            largest = np.abs(a.weight).max(initial=0.0)
            if largest > 0:
                used = (a.weight != 0) | (b.weight != 0)
                shares.setdefault("weights", []).append(
                    (name, np.abs(a.weight - factor * b.weight)[used] / largest)
                )
        if not isinstance(a, (nir.LIF, nir.CubaLIF)) or not isinstance(b, (nir.LIF, nir.CubaLIF)):
            continue
        for key in ("membrane", "synapse"):
            was, now = _time(a, key), _time(b, key)
            if was is not None and now is not None:
                shares.setdefault("time constants", []).append((name, np.abs(now - was) / was))
        high, then = a.v_threshold - a.v_reset, b.v_threshold - b.v_reset
        factor = _factor(high, then) if scaled else 1.0
        shares.setdefault("thresholds", []).append((name, np.abs(factor * then - high) / high))
    least = min(
        (float(np.min(n.delay)) for n in after.nodes.values() if isinstance(n, nir.Delay)), default=0.0
    )
    late = [
        (name, np.array([max(0.0, least / dt - delay)]))
        for name, node in before.nodes.items()
        if isinstance(node, nir.Linear)
        for delay in [_delay_behind(before, name) / dt]
    ]
    errors = []
    for what, parts in (*shares.items(), ("delays", late)):
        if parts:
            every = np.concatenate([np.ravel(p) for _, p in parts])
            where = max(parts, key=lambda part: float(part[1].max(initial=0.0)))[0]
            errors.append(Error(what, float(every.max(initial=0.0)), float(every.mean()), where))
    return tuple(errors)


def _factor(a: NDArray[Any], b: NDArray[Any]) -> float:
    """c with which c b is nearest to a."""
    size = float(np.sum(b * b))
    return float(np.sum(a * b)) / size if size > 0 else 1.0


def _time(node: nir.NIRNode, key: str) -> NDArray[np.float64] | None:
    if key == "membrane":
        return np.ravel(node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau)
    return np.ravel(node.tau_syn) if isinstance(node, nir.CubaLIF) else None


def _delay_behind(network: Network, name: str) -> float:
    """Least delay in s of what follows a projection."""
    behind = [network.nodes[b] for a, b in network.edges if a == name]
    return min((float(np.min(n.delay)) for n in behind if isinstance(n, nir.Delay)), default=0.0)


def compare(
    original: Network,
    changed: Network,
    inputs: Mapping[str, Spikes],
    ticks: int,
    *,
    dt: float = 1e-3,
    options: Mapping[str, Any] | None = None,
) -> Comparison:
    """Run two networks on the numba engine, as the robot runs it, and compare the spikes of populations of one name.

    inputs: by the name of the Input, (ticks, size) spikes of each tick. options: of Engine, for `changed`.
    """
    spikes = {name: np.asarray(x, dtype=np.float32)[:ticks] for name, x in inputs.items()}
    first, second = (Engine(net, dt=dt, **more) for net, more in ((original, {}), (changed, options or {})))
    names = [
        n
        for n in first.populations
        if first.graph.nodes[n].spiking and n in second.populations and second.graph.nodes[n].spiking
    ]
    before = first.run({n: spikes[n] for n in first.input_names}, record=names)
    after = second.run({n: spikes[n] for n in second.input_names}, record=names)
    return compare_spikes(
        {n: before[n]["spikes"] for n in names}, {n: after[n]["spikes"] for n in names}, ticks, dt
    )


def compare_spikes(
    before: Mapping[str, Spikes], after: Mapping[str, Spikes], ticks: int, dt: float = 1e-3
) -> Comparison:
    """Compare spikes that were recorded: by the name of the population, (ticks, size) of 0 and 1."""
    populations, firsts = [], []
    for name in sorted(before):
        a = np.asarray(before[name]).reshape(ticks, -1) != 0
        b = np.asarray(after[name]).reshape(ticks, -1) != 0
        seconds = ticks * dt
        rates = a.sum(axis=0) / seconds, b.sum(axis=0) / seconds
        populations.append(
            PopulationComparison(
                name,
                (float(rates[0].mean()), float(rates[1].mean())),
                float(np.abs(rates[0] - rates[1]).mean()),
                overlap(a, b),
                overlap(a, np.roll(b, ticks // 2, axis=0)),
            )
        )
        differs = (a != b).any(axis=1)
        if differs.any():
            firsts.append(int(differs.argmax()))
    return Comparison(ticks, tuple(populations), min(firsts) if firsts else None)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_], within: int = WITHIN) -> float:
    """Share of both's spikes, (ticks, size), that have one of the same neuron in the other within `within` ticks."""
    total = int(a.sum() + b.sum())
    if not total:
        return 1.0
    return float((a & _spread(b, within)).sum() + (b & _spread(a, within)).sum()) / total


def _spread(spikes: NDArray[np.bool_], within: int) -> NDArray[np.bool_]:
    count = np.concatenate([np.zeros((1, spikes.shape[1]), np.int64), np.cumsum(spikes, axis=0)])
    ticks = np.arange(spikes.shape[0])
    begin, end = np.maximum(ticks - within, 0), np.minimum(ticks + within + 1, spikes.shape[0])
    return np.asarray(count[end] > count[begin])


def random_inputs(network: Network, ticks: int, seed: int = 0, dt: float = 1e-3) -> dict[str, Spikes]:
    """Spikes for each Input of a network, (ticks, size) of 0 and 1.

    Each neuron is Poisson, its rate drawn anew every quarter of a second between 2 and 200 Hz.
    """
    rng = np.random.default_rng(seed)
    spell = max(1, round(0.25 / dt))
    inputs = {}
    for p in channels(network, nir.Input):
        rates = np.exp(rng.uniform(np.log(2.0), np.log(200.0), (-(-ticks // spell), p.size)))
        chance = np.repeat(rates, spell, axis=0)[:ticks] * dt
        inputs[p.name] = (rng.random((ticks, p.size)) < chance).astype(np.float64)
    return inputs


def integer_spikes(
    program: loihi.LoihiProgram, inputs: Mapping[str, Spikes], ticks: int
) -> dict[str, Spikes]:
    """The spikes of each population of a Loihi program, (ticks, size), by Loihi's integer arithmetic."""
    engine = loihi.LoihiEngine(program)
    x = np.concatenate([np.asarray(inputs[p.name]).reshape(-1, p.size) for p in program.inputs], axis=1)
    spikes_of = {p.name: np.zeros((ticks, p.size), np.int64) for p in program.populations}
    for t in range(ticks):
        engine.step(x[t].astype(np.int64))
        for name, spikes in spikes_of.items():
            spikes[t] = engine.spikes(name)
    return spikes_of


def report(network: Network, target: str, inputs: Mapping[str, Spikes]) -> str:
    """What a board makes of a network whose inputs are all spikes, as lines of text. inputs: as for `compare`."""
    quantised = quantise(network, target)
    ticks = min(len(x) for x in inputs.values())
    board = quantised.board
    lines = [f"{board.board}, {'tried' if board.on_hardware else 'never tried'} on hardware"]
    lines += [f"  {note}" for note in quantised.notes]
    for e in quantised.errors:
        if e.what == "delays":
            lines.append(f"  delays longer by at most {e.worst:g} ticks, by {e.mean:.2g} on average")
        else:
            unit = "of the largest" if e.what == "weights" else "of themselves"
            lines.append(
                f"  {e.what}: off by at most {e.worst:.2g} {unit} (in {e.where}), by {e.mean:.2g} on average"
            )
    computed = compare(network, quantised.network, inputs, ticks, options=quantised.options)
    lines.append(
        f"spikes of the network and of what the board computes, {ticks} ticks, within {WITHIN} of each other:"
    )
    lines += computed.lines()
    if quantised.program is not None:
        exact = integer_spikes(quantised.program, inputs, ticks)
        engine = Engine(quantised.network)
        ran = engine.run({n: inputs[n] for n in engine.input_names}, record=list(exact))
        rounded = compare_spikes({n: ran[n]["spikes"] for n in exact}, exact, ticks)
        lines.append(
            "the same again, by the numba engine and in Loihi's integers (u and v rounded towards 0):"
        )
        lines += rounded.lines()
    return "\n".join(lines)
