"""A network in the form in which SpiNNaker runs it: populations of sPyNNaker's models, projections, quantised weights.

From it come the PyNN script (`firmware_bridge.boards.spinnaker_export`) and the network that the emulator runs
(`SpinnakerForm.network`). Units are PyNN's: ms, mV, nA, nF. A threshold of 1 in the NIR file is SCALE mV here.

Per time step sPyNNaker solves the membrane exactly, V = V_inf + (V - V_inf) exp(-dt / tau_m), and lets the current of
an IF_curr_exp synapse decay by exp(-dt / tau_syn) after it has scaled a spike's weight by
tau_syn / dt (1 - exp(-dt / tau_syn)); that is the scheme `exponential` of `hybrid_control.snn`. An IF_curr_delta
synapse makes a current of one step. With cm = tau_m (nF, ms) the membrane's resistance is 1, so that a NIR weight w is
a weight of SCALE r w (delta) and SCALE r w_in w dt / tau_syn (exp). An LI that leads to an LIF is that neuron's
synaptic current; a neuron has two, so that more than two time constants are brought together (`_receptors`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import layout
from hybrid_control.snn import Network
from hybrid_control.snn.backends.capabilities import BoardCapabilities, BoardRefusal, Layout
from hybrid_control.snn.backends.split import channels, filters, fold, neighbours, spiking

Array = NDArray[np.float64]

SCALE = 10.0  # mV of a threshold of 1
MAX_DELAY = 144  # time steps, with sPyNNaker's delay extensions
WEIGHT_BITS = 16
NEURONS_PER_CORE = 256

CAPABILITIES = BoardCapabilities(
    board="SpiNNaker (sPyNNaker 7.4.1)",
    models={
        "LIF": "IF_curr_delta, or IF_curr_exp where LI lead to it",
        "CubaLIF": "IF_curr_exp",
        "LI": "the synaptic current of the LIF that it leads to, or relays that say its value by their rate",
        "Linear": "projection",
        "Delay": "delay of the projection before it",
    },
    neurons=48 * 16 * NEURONS_PER_CORE,  # a board of 48 chips with 16 cores for neurons each
    synapses=48 * 100 * 2**20 // 4,  # 4 bytes each in about 100 MiB of a chip's SDRAM
    weight_bits=WEIGHT_BITS,
    delay=(1, MAX_DELAY),
    dt=(1e-3, 1e-3),
)


@dataclass(frozen=True)
class SpinnakerPopulation:
    """A population of one of sPyNNaker's models.

    model: "IF_curr_exp" or "IF_curr_delta"; parameters: by PyNN's names, (size,) each. largest: the largest sum of
    weights, in nA, that one time step can bring to a neuron, excitatory and inhibitory; it sets the weights' scale.
    """

    name: str
    model: str
    size: int
    parameters: dict[str, Array]
    largest: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class SpinnakerProjection:
    """Synapses of one sign from a population or a live input to a population.

    pre, post: (n,) neurons; weight: (n,) nA, all > 0; delay: ms, for all.
    """

    name: str
    source: str
    target: str
    receptor: str  # "excitatory" or "inhibitory"
    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weight: Array
    delay: float


@dataclass(frozen=True)
class SpinnakerForm:
    """A network as SpiNNaker runs it.

    inputs: live inputs; outputs: Layout of the outputs, and by name the population that each one tells of. changes:
    what is not as it was in the network, in lines of text.
    """

    inputs: Layout
    outputs: Layout
    output_of: dict[str, str]
    populations: tuple[SpinnakerPopulation, ...]
    projections: tuple[SpinnakerProjection, ...]
    changes: tuple[str, ...] = field(default=())

    def network(self) -> Network:
        """The network that this is, for the numba engine at dt = 1 ms with the scheme `exponential`."""
        net = Network()
        for source in self.inputs:
            net.add_input(source.name, source.size)
        for p in self.populations:
            v = p.parameters
            common = {
                "v_threshold": v["v_thresh"],
                "v_reset": v["v_reset"],
                "v_leak": v["v_rest"],
                "r": v["tau_m"] / v["cm"],
            }
            net.add_population(p.name, nir.LIF, p.size, tau=v["tau_m"] * 1e-3, **common)
            if p.model == "IF_curr_delta":
                continue
            # each receptor's current decays by itself, which in NIR is an LI before the LIF
            for receptor, tau in (("excitatory", v["tau_syn_E"]), ("inhibitory", v["tau_syn_I"])):
                if any(j.target == p.name and j.receptor == receptor for j in self.projections):
                    current = f"{p.name}_{receptor}"
                    net.add_population(current, nir.LI, p.size, tau=tau * 1e-3, r=tau)
                    net.edge(current, p.name)
        sizes = {p.name: p.size for p in self.inputs} | {p.name: p.size for p in self.populations}
        models = {p.name: p.model for p in self.populations}
        for j in self.projections:
            matrix = np.zeros((sizes[j.target], sizes[j.source]))
            np.add.at(matrix, (j.post, j.pre), j.weight if j.receptor == "excitatory" else -j.weight)
            target = j.target if models[j.target] == "IF_curr_delta" else f"{j.target}_{j.receptor}"
            net.connect(j.source, target, matrix, j.name, delay=j.delay * 1e-3)
        for name, population in self.output_of.items():
            net.add_output(name, population)
        return net


def spinnaker_form(network: Network, dt: float = 1e-3) -> SpinnakerForm:
    """A network whose inputs are all spikes as SpiNNaker runs it; BoardRefusal where it can't."""
    net, times, changes = _receptors(network)
    changes += [
        f"{name}: an LI becomes {node.tau.size} relays of spikes"
        for name, node in net.nodes.items()
        if isinstance(node, nir.LI)
    ]
    net = spiking(net, dt)
    if dt != 1e-3:
        raise BoardRefusal(f"a tick of {dt * 1e3:g} ms", "real time at 1 ms")
    into, out_of = neighbours(net)
    populations, projections = {}, []
    for name, node in net.nodes.items():
        if isinstance(node, (nir.LIF, nir.CubaLIF)):
            populations[name] = _population(name, node, times.get(name))
        elif not isinstance(node, (nir.Input, nir.Output, nir.Linear, nir.Delay)):
            kind = type(node).__name__
            raise BoardRefusal(f"{name!r} is a {kind}, which this has no model for", "LIF, CubaLIF or LI")
    for name, node in net.nodes.items():
        if isinstance(node, nir.Linear):
            target, delay = _end(net, name, out_of)
            for source in into[name]:
                if not isinstance(net.nodes[source], (nir.Input, nir.LIF, nir.CubaLIF)):
                    raise BoardRefusal(
                        f"{name!r} takes what {source!r} gives, a {type(net.nodes[source]).__name__}",
                        "a projection from a population or an input",
                    )
                steps = max(1, delay)
                if steps > MAX_DELAY:
                    raise BoardRefusal(f"{name!r} has a delay of {delay} ms", f"{MAX_DELAY} ms")
                projections += _synapses(
                    name, source, populations[target], np.asarray(node.weight), net, float(steps)
                )
    plain = [
        (a, b)
        for a, b in net.edges
        if b in populations and isinstance(net.nodes[a], (nir.Input, nir.LIF, nir.CubaLIF))
    ]
    if plain:
        raise BoardRefusal(
            f"{plain[0][0]!r} leads to {plain[0][1]!r} with no weights between",
            "an input of spikes, a Linear between",
        )
    output_of = {}
    for name in sorted(n for n, v in net.nodes.items() if isinstance(v, nir.Output)):
        source = into[name][0]
        if len(into[name]) != 1 or source not in populations:
            raise BoardRefusal(
                f"Output {name!r} gives what {into[name]} give", "the spikes of one population"
            )
        output_of[name] = source
    changes.append("every projection takes 1 ms at least")
    neurons = sum(p.size for p in populations.values())
    if neurons > CAPABILITIES.neurons:
        raise BoardRefusal(f"{neurons} neurons", f"{CAPABILITIES.neurons} on a board of 48 chips")
    quantised, scaled, note = _quantise(list(populations.values()), projections)
    outputs = layout(**{name: populations[population].size for name, population in output_of.items()})
    return SpinnakerForm(channels(net, nir.Input), outputs, output_of, scaled, quantised, (*changes, note))


def _receptors(network: Network) -> tuple[Network, dict[str, tuple[float, float]], list[str]]:
    """Make of the LI that lead to an LIF the currents of its receptors, one excitatory and one inhibitory.

    Returns the network without those LI, the receptors' time constants in s by the LIF's name, and what changed. A
    receptor has one time constant: where its LI have several, the longest of the excitatory ones, which carry memory,
    and the shortest of the inhibitory ones, which must not come late; mean currents stay as they were.
    """
    net = Network.from_nir(network.to_nir())
    into, _ = neighbours(network)
    filters_of = filters(network)
    times: dict[str, tuple[float, float]] = {}
    changes = []
    for target in (name for name in network.nodes if name in filters_of):
        feeders = sorted(filters_of[target], key=lambda li: into[target].index(li.behind or li.name))
        tau: dict[str, list[float]] = {"excitatory": [], "inhibitory": []}
        for li in feeders:
            fold(net, target, li)
            for front in li.fronts:
                if (net.nodes[front].weight > 0).any():
                    tau["excitatory"].append(li.tau)
                if (net.nodes[front].weight < 0).any():
                    tau["inhibitory"].append(li.tau)
        chosen = (max(tau["excitatory"], default=5e-3), min(tau["inhibitory"], default=5e-3))
        times[target] = chosen
        changes += [
            f"{li.name}: its time constant of {li.tau * 1e3:g} ms becomes that of its receptor"
            for li in feeders
            if li.tau not in chosen
        ]
        changes.append(
            f"{target}: receptors of {chosen[0] * 1e3:g} ms (excitatory) and {chosen[1] * 1e3:g} ms (inhibitory) in "
            f"place of {', '.join(li.name for li in feeders)}"
        )
    return net, times, changes


def _population(
    name: str, node: nir.LIF | nir.CubaLIF, times: tuple[float, float] | None
) -> SpinnakerPopulation:
    one = np.ones(np.size(node.v_threshold))
    delta = isinstance(node, nir.LIF)
    tau = 1e3 * (node.tau if delta else node.tau_mem).ravel()
    parameters = {
        "tau_m": tau * one,
        "cm": tau * one,
        "v_rest": SCALE * node.v_leak.ravel() * one,
        "v_reset": SCALE * node.v_reset.ravel() * one,
        "v_thresh": SCALE * node.v_threshold.ravel() * one,
        "tau_refrac": 0.0 * one,
        "i_offset": 0.0 * one,
    }
    if times is not None:
        parameters |= {"tau_syn_E": 1e3 * times[0] * one, "tau_syn_I": 1e3 * times[1] * one}
    elif not delta:
        parameters |= {
            "tau_syn_E": 1e3 * node.tau_syn.ravel() * one,
            "tau_syn_I": 1e3 * node.tau_syn.ravel() * one,
        }
    model = "IF_curr_exp" if "tau_syn_E" in parameters else "IF_curr_delta"
    return SpinnakerPopulation(name, model, one.size, parameters)


def _end(net: Network, name: str, out_of: dict[str, list[str]]) -> tuple[str, int]:
    """Where a Linear leads, by way of Delays, and how long that takes in whole ms."""
    delay = 0
    at = name
    while True:
        if len(out_of[at]) != 1:
            raise BoardRefusal(f"{at!r} leads to {len(out_of[at])} nodes", "a projection of its own to each")
        at = out_of[at][0]
        node = net.nodes[at]
        if isinstance(node, (nir.LIF, nir.CubaLIF)):
            return at, delay
        if not isinstance(node, nir.Delay):
            raise BoardRefusal(
                f"{name!r} leads to {at!r}, a {type(node).__name__}", "a projection to a population"
            )
        if np.ptp(node.delay) > 0:
            raise BoardRefusal(f"{at!r} has delays that differ", "one delay for each projection")
        delay += round(float(np.max(node.delay)) * 1e3)


def _synapses(
    name: str, source: str, target: SpinnakerPopulation, weights: Array, net: Network, delay: float
) -> list[SpinnakerProjection]:
    node = net.nodes[target.name]
    factor = SCALE * node.r.ravel() * np.ones(target.size)
    if isinstance(node, nir.CubaLIF):
        factor = factor * node.w_in.ravel()
    weights = weights * factor[:, None]
    several = len([a for a, b in net.edges if b == name]) > 1
    base = f"{name}_{source}" if several else name
    both = (weights > 0).any() and (weights < 0).any()
    result = []
    for receptor, part, tau in (
        ("excitatory", weights > 0, "tau_syn_E"), ("inhibitory", weights < 0, "tau_syn_I"),
    ):  # fmt: skip
        post, pre = np.nonzero(part)
        if pre.size:
            weight = np.abs(weights[post, pre])
            if tau in target.parameters:
                weight = weight / target.parameters[tau][post]
            called = f"{base}_{receptor}" if both else base
            result.append(
                SpinnakerProjection(called, source, target.name, receptor, pre, post, weight, delay)
            )
    return result


def _quantise(
    populations: list[SpinnakerPopulation], projections: list[SpinnakerProjection]
) -> tuple[tuple[SpinnakerProjection, ...], tuple[SpinnakerPopulation, ...], str]:
    """Round weights to what SpiNNaker's 16-bit synapses hold, and note each population's largest sums.

    A weight is a whole number of 2^(p - 16 + 1) nA where 2^p is above the largest sum that a time step can bring, with
    which sPyNNaker scales its ring buffers (`max_expected_summed_weight`).
    """
    scaled, worst = [], 0.0
    rounded: dict[int, Array] = {}
    for p in populations:
        largest = []
        for receptor in ("excitatory", "inhibitory"):
            total = np.zeros(p.size)
            own = [i for i, j in enumerate(projections) if j.target == p.name and j.receptor == receptor]
            for i in own:
                np.add.at(total, projections[i].post, projections[i].weight)
            top = max(float(total.max(initial=0.0)), 1e-3)
            quantum = 2.0 ** (max(0, math.floor(math.log2(top)) + 1) - WEIGHT_BITS + 1)
            for i in own:
                rounded[i] = np.round(projections[i].weight / quantum) * quantum
                worst = max(
                    worst,
                    float(np.max(np.abs(rounded[i] - projections[i].weight) / projections[i].weight.max())),
                )
            largest.append(top)
        scaled.append(SpinnakerPopulation(p.name, p.model, p.size, p.parameters, (largest[0], largest[1])))
    quantised = []
    for i, j in enumerate(projections):
        keep = rounded[i] > 0
        quantised.append(
            SpinnakerProjection(
                j.name, j.source, j.target, j.receptor, j.pre[keep], j.post[keep], rounded[i][keep], j.delay
            )
        )
    note = f"weights are rounded to 16 bits: by at most {worst:.2g} of the largest in their projection"
    return tuple(quantised), tuple(scaled), note
