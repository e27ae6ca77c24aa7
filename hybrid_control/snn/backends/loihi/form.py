"""A network in Loihi 1's integers: weights, decays, thresholds and biases as its cores hold them.

After M. Davies et al., "Loihi: a neuromorphic manycore processor with on-chip learning", IEEE Micro 38(1), 2018, and
as nengo-loihi 1.1.0's emulator computes them. A compartment does once a tick, in integers, with [x] rounded towards 0:

    u = [u (4095 - decay_u) / 4096] + weights of the spikes of the tick before
    v = [v (4096 - decay_v) / 4096] + u + bias, at most 2^23 - 1 either way
    a spike where v > vth, then v = 0

That is forward Euler of a CubaLIF with dt / tau_syn = (decay_u + 1) / 4096 and dt / tau_mem = decay_v / 4096, every
spike a tick under way. A weight is a whole number of -127 .. 127 times a power of two, 2^6 .. 2^14, that its
projection shares: 7 bits and a sign, as a core keeps weights of both signs.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import layout
from hybrid_control.snn import Network, SparseLinear
from hybrid_control.snn.backends.capabilities import BoardCapabilities, BoardRefusal, Layout
from hybrid_control.snn.backends.split import channels, neighbours, spiking
from hybrid_control.snn.neurons import MODELS

Ints = NDArray[np.int32]

DECAY_ONE = 4096  # a decay of this over 4096 forgets all
MANTISSA = 127
EXPONENTS = range(6, 15)
VTH_UNIT, VTH_MAX = 64, 131_071 * 64
BIAS_MANTISSA, BIAS_EXPONENT = 4095, 7
INPUT_BITS, STATE_BITS = 21, 23  # of the sum of a tick's weights, and of u and v, without their sign
CORES = 128  # of a chip
COMPARTMENTS, AXONS, SYNAPSE_BITS = 1024, 4096, 2**20  # of a core: one population here
MAX_COUNT = 4  # spikes of one input in one tick that are counted on when sums are kept from overflowing

CAPABILITIES = BoardCapabilities(
    board="Loihi 1 (nengo-loihi's emulator)",
    models={"LIF": "a compartment with decay_u = 4095", "CubaLIF": "a compartment", "IF": "decay_v = 0"},
    neurons=CORES * COMPARTMENTS,
    synapses=CORES * SYNAPSE_BITS // 14,  # a weight and an index of 6 bits or more
    weight_bits=8,
    delay=(1, 1),
    dt=(1e-6, 1e-1),  # a tick has no length on the chip; the host paces it
)


@dataclass(frozen=True)
class LoihiPopulation:
    """Compartments of one core. decay_u, decay_v, vth, bias: (size,); scale: v where the network's voltage is 1."""

    name: str
    size: int
    decay_u: Ints
    decay_v: Ints
    vth: Ints
    bias: Ints
    scale: float


@dataclass(frozen=True)
class LoihiProjection:
    """Synapses from an input or a population to a population. weights: (target, source), multiples of 2^exponent."""

    name: str
    source: str
    target: str
    weights: Ints
    exponent: int


@dataclass(frozen=True)
class LoihiProgram:
    """All that a core must be told. outputs: the network's outputs in the order of their names, with whose spikes."""

    dt: float
    inputs: Layout
    outputs: Layout
    output_of: tuple[str, ...]
    populations: tuple[LoihiPopulation, ...]
    projections: tuple[LoihiProjection, ...]

    def to_bytes(self) -> bytes:
        """As an npz file: "meta" (JSON) and the arrays, for a process that has only numpy."""
        meta = {
            "dt": self.dt,
            "inputs": [[p.name, p.size] for p in self.inputs],
            "outputs": [[p.name, p.size, of] for p, of in zip(self.outputs, self.output_of, strict=True)],
            "populations": [[p.name, p.size, p.scale] for p in self.populations],
            "projections": [[p.name, p.source, p.target, p.exponent] for p in self.projections],
        }
        arrays: dict[str, Any] = {}
        for i, p in enumerate(self.populations):
            arrays |= {f"{key}_{i}": getattr(p, key) for key in ("decay_u", "decay_v", "vth", "bias")}
        for i, j in enumerate(self.projections):
            arrays[f"weights_{i}"] = j.weights
        buffer = io.BytesIO()
        np.savez_compressed(buffer, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
        return buffer.getvalue()


def loihi_program(network: Network, dt: float = 1e-3) -> LoihiProgram:
    """A network, its LI made spikes, in Loihi's integers. BoardRefusal where a core can't hold it."""
    low, high = CAPABILITIES.dt
    if not low <= dt <= high:
        raise BoardRefusal(f"a tick of {dt:g} s", f"{low:g} .. {high:g} s")
    return loihi_form(spiking(network, dt), dt)[0]


def loihi_form(network: Network, dt: float = 1e-3) -> tuple[LoihiProgram, Network]:
    """A network of spiking neurons in Loihi's integers, and the same again as a network of what they stand for.

    network: as `split.spiking` makes it. The second network is the numba engine's quantised mode: weights, time
    constants and thresholds are those of the integers, each projection a tick long; only the rounding of u and v
    towards 0 is not in it. The scale of v is the largest at which nothing can overflow, however many neurons fire at
    once. BoardRefusal where a core can't hold it.
    """
    inputs = channels(network, nir.Input)
    cells = {n: v for n, v in network.nodes.items() if isinstance(v, (nir.LIF, nir.CubaLIF, nir.IF))}
    sizes = {p.name: p.size for p in inputs} | {n: int(np.size(v.v_threshold)) for n, v in cells.items()}
    _check_nodes(network, set(sizes))
    ways = list(_projections(network, sizes, dt))
    populations, projections = [], []
    for name, node in cells.items():
        into = [(j, s, w) for j, s, t, w in ways if t == name]
        _check_core(name, sizes, into, [t for _, s, t, _ in ways if s == name])
        population, synapses = _population(name, node, into, {p.name for p in inputs}, dt)
        populations.append(population)
        projections += synapses
    outputs, output_of = [], []
    for name, node in sorted(network.nodes.items()):
        if isinstance(node, nir.Output):
            of = [a for a, b in network.edges if b == name]
            if len(of) != 1 or of[0] not in cells:
                raise BoardRefusal(
                    f"Output {name!r} gives {of}, not one population's spikes", "an Output each"
                )
            outputs.append((name, sizes[of[0]]))
            output_of.append(of[0])
    if not populations or not outputs:
        raise BoardRefusal("a network without spiking neurons or without an Output", "one with both")
    if len(populations) > CORES:
        raise BoardRefusal(f"{len(populations)} populations, a core each", f"at most {CORES}")
    program = LoihiProgram(
        dt,
        inputs,
        layout(**dict(outputs)),
        tuple(output_of),
        tuple(populations),
        tuple(projections),
    )
    return program, _as_network(network, program, cells)


def _check_core(
    name: str, sizes: dict[str, int], into: list[tuple[str, str, NDArray[np.float64]]], out_to: list[str]
) -> None:
    """BoardRefusal where a population with what leads to it and from it is more than a core holds."""
    if sizes[name] > COMPARTMENTS:
        raise BoardRefusal(
            f"population {name!r} of {sizes[name]} neurons fits no core",
            f"populations of at most {COMPARTMENTS} neurons",
        )
    for axons, way in (sum(sizes[s] for _, s, _ in into), "into"), (sizes[name] * len(out_to), "out of"):
        if axons > AXONS:
            raise BoardRefusal(f"{axons} axons {way} {name!r}", f"at most {AXONS}, as a core has")
    # a synapse is a weight of 8 bits and an index; 64 of them share 10 bits more, in words of 64 bits
    index = max(6, math.ceil(math.log2(sizes[name])))
    bits = 0
    for _, _, weights in into:
        for synapses in np.count_nonzero(weights, axis=0):
            whole, rest = divmod(int(synapses), 64)
            bits += 64 * (
                whole * -(-(64 * (8 + index) + 10) // 64) + -(-(rest * (8 + index) + 10) // 64) * bool(rest)
            )
    if bits > SYNAPSE_BITS:
        raise BoardRefusal(
            f"the synapses into {name!r} take {bits:,} bits", f"at most {SYNAPSE_BITS:,}, as a core has"
        )


def _check_nodes(network: Network, known: set[str]) -> None:
    for name, node in network.nodes.items():
        kind = type(node).__name__
        if name in known or isinstance(node, (nir.Linear, nir.Output)):
            continue
        if isinstance(node, (SparseLinear, nir.Delay)):
            continue
        nearest = "LIF, CubaLIF and IF, joined by Linear"
        if type(node) in MODELS:
            nearest = (
                f"{name!r} as a LIF or CubaLIF" if kind != "LI" else f"{name!r} made spikes by `spiking`"
            )
        raise BoardRefusal(f"{name!r} is a {kind}, which a Loihi core does not have", nearest)


def _projections(
    network: Network, sizes: dict[str, int], dt: float
) -> Iterator[tuple[str, str, str, NDArray[np.float64]]]:
    """(name, source, target, weights) of every way from an input or population to the next population."""
    into, out_of = neighbours(network)
    for source in sizes:
        for first in out_of[source]:
            node = network.nodes[first]
            if first in sizes:
                if sizes[source] != sizes[first]:
                    raise BoardRefusal(
                        f"edge from {source!r} to {first!r} of another size", "a Linear between"
                    )
                yield f"{source}_{first}", source, first, np.eye(sizes[first])
                continue
            if isinstance(node, nir.Output):
                continue
            weights: NDArray[np.float64]
            if isinstance(node, nir.Linear):
                weights = np.asarray(node.weight, dtype=np.float64)
            elif isinstance(node, SparseLinear):
                _check_delay(first, 0.0 if node.delay is None else node.delay, dt)
                weights = np.zeros([int(k) for k in node.shape])
                np.add.at(weights, (node.post, node.pre), node.weight)
            else:
                raise BoardRefusal(
                    f"{first!r} takes the spikes of {source!r} unweighted", "a Linear before it"
                )
            several = len(into[first]) > 1 or len(out_of[first]) > 1
            for second in out_of[first]:
                ends = [second]
                if isinstance(network.nodes[second], nir.Delay):
                    _check_delay(second, network.nodes[second].delay, dt)
                    ends = out_of[second]
                for end in ends:
                    if end not in sizes or isinstance(network.nodes[end], nir.Input):
                        raise BoardRefusal(
                            f"{first!r} leads to {end!r}, which is no population", "a LIF there"
                        )
                    yield f"{source}_{first}_{end}" if several else first, source, end, weights


def _check_delay(name: str, delay: object, dt: float) -> None:
    ticks = np.round(np.asarray(delay, dtype=np.float64) / dt)
    if np.any(ticks > CAPABILITIES.delay[1]):
        raise BoardRefusal(
            f"{name!r} delays by {int(ticks.max())} ticks, and nengo-loihi has no delays",
            f"a delay of {CAPABILITIES.delay[1]} tick",
        )


def _population(
    name: str,
    node: nir.NIRNode,
    into: list[tuple[str, str, NDArray[np.float64]]],
    inputs: set[str],
    dt: float,
) -> tuple[LoihiPopulation, list[LoihiProjection]]:
    """One population and what leads to it, in integers."""
    if isinstance(node, nir.IF):
        threshold = np.asarray(node.v_threshold, dtype=np.float64).reshape(-1)
        leak = 0 * threshold
        reset = np.asarray(node.v_reset, dtype=np.float64).reshape(-1)
        decay_v, take = np.zeros(threshold.size), dt * np.asarray(node.r).reshape(-1)
        rest = reset  # nothing draws v anywhere
    else:
        threshold, leak, reset, tau, r = (
            np.asarray(v, dtype=np.float64).reshape(-1)
            for v in (
                node.v_threshold,
                node.v_leak,
                node.v_reset,
                node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau,
                node.r,
            )
        )
        decay_v = np.clip(np.round(DECAY_ONE * dt / tau), 1, DECAY_ONE - 1)
        take = decay_v / DECAY_ONE * r
        rest = leak
    decay_u = np.full(threshold.size, DECAY_ONE - 1.0)
    if isinstance(node, nir.CubaLIF):
        tau_syn = np.asarray(node.tau_syn, dtype=np.float64).reshape(-1)
        decay_u = np.clip(np.round(DECAY_ONE * dt / tau_syn) - 1, 0, DECAY_ONE - 1)
        take = take * (decay_u + 1) / DECAY_ONE * np.asarray(node.w_in).reshape(-1)
    height = threshold - reset
    if np.any(height <= 0) or not np.isfinite(height).all():
        raise BoardRefusal(f"{name!r} has a threshold that is not above its reset", "v_threshold > v_reset")
    drive = decay_v / DECAY_ONE * (rest - reset)  # what draws v to its rest each tick

    # the largest scale at which no threshold is too high and no sum too wide
    weights = [w * take[:, None] for _, _, w in into]
    total = sum(
        (
            (MAX_COUNT if s in inputs else 1) * np.abs(w).sum(axis=1)
            for (_, s, _), w in zip(into, weights, strict=True)
        ),
        np.zeros(threshold.size),
    )
    room = np.stack(
        [
            VTH_MAX / height,
            (2.0**INPUT_BITS - 1) / np.maximum(1.02 * total, 1e-12),  # rounding may add to each weight
            (2.0**STATE_BITS - 1)
            / np.maximum(1.02 * total * DECAY_ONE / (decay_u + 1) + np.abs(drive), 1e-12),
            BIAS_MANTISSA * 2**BIAS_EXPONENT / np.maximum(np.abs(drive), 1e-12),
        ]
    )
    most = float(room.min())
    tallest = float(height.max())
    while True:
        scale = math.floor(most * tallest / VTH_UNIT) * VTH_UNIT / tallest
        vth = np.round(height * scale / VTH_UNIT) * VTH_UNIT
        if scale <= 0 or np.any(vth < VTH_UNIT):
            raise BoardRefusal(
                f"{name!r} is driven by up to {total.max() / height.min():.3g} thresholds a tick, so that its "
                "threshold is less than one unit of vth",
                "smaller weights, or fewer of them",
            )
        rounded = [_rounded(w * scale) for w in weights]
        sums = np.zeros(threshold.size)
        for (_, s, _), (whole, _) in zip(into, rounded, strict=True):
            sums += (MAX_COUNT if s in inputs else 1) * np.abs(whole).sum(axis=1)
        states = sums * DECAY_ONE / (decay_u + 1) + np.abs(drive) * scale + 2**BIAS_EXPONENT
        if sums.max() < 2.0**INPUT_BITS and states.max() < 2.0**STATE_BITS:
            break
        most *= 0.97  # many small weights were rounded up
    bias = drive * scale
    exponent = np.ceil(np.log2(np.maximum(np.abs(bias) / BIAS_MANTISSA, 1)))
    bias = np.round(bias / 2**exponent) * 2**exponent
    synapses = [
        LoihiProjection(projection, source, name, whole.astype(np.int32), k)
        for (projection, source, _), (whole, k) in zip(into, rounded, strict=True)
    ]
    u, v, limit, offset = (k.astype(np.int32) for k in (decay_u, decay_v, vth, bias))
    return LoihiPopulation(name, threshold.size, u, v, limit, offset, scale), synapses


def _rounded(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Weights as whole mantissas times 2^k, and k."""
    largest = float(np.abs(weights).max(initial=0.0))
    k = EXPONENTS[0]
    while k < EXPONENTS[-1] and largest / 2**k > MANTISSA + 0.5:
        k += 1
    return np.clip(np.round(weights / 2**k), -MANTISSA, MANTISSA) * 2**k, k


def _as_network(network: Network, program: LoihiProgram, cells: dict[str, nir.NIRNode]) -> Network:
    """What the integers stand for, as a network for the numba engine."""
    net = Network()
    net.metadata = dict(network.metadata)
    for p in program.inputs:
        net.add_input(p.name, p.size)
    takes = {}
    for q in program.populations:
        node = cells[q.name]
        reset = np.asarray(node.v_reset, dtype=np.float64).reshape(-1)
        take = np.ones(q.size)
        common = {"v_threshold": reset + q.vth / q.scale, "v_reset": reset}
        if isinstance(node, nir.IF):
            net.add_population(q.name, nir.IF, q.size, r=1 / program.dt, **common)
        else:
            a = q.decay_v / DECAY_ONE
            take = take * a
            common["v_leak"] = reset + q.bias / q.scale / a
            if isinstance(node, nir.CubaLIF):
                b = (q.decay_u + 1.0) / DECAY_ONE
                take = take * b
                net.add_population(
                    q.name, nir.CubaLIF, q.size, tau_mem=program.dt / a, tau_syn=program.dt / b, **common
                )
            else:
                net.add_population(q.name, nir.LIF, q.size, tau=program.dt / a, **common)
        takes[q.name] = take * q.scale
    for j in program.projections:
        net.connect(j.source, j.target, j.weights / takes[j.target][:, None], name=j.name, delay=program.dt)
    for p, of in zip(program.outputs, program.output_of, strict=True):
        net.add_output(p.name, of)
    return net
