"""Cuts a network into what stays on the host and what a board runs, and turns what boards lack into what they have.

A board takes and gives spikes alone, and none of ours has a leaky integrator that does not spike. `split` and
`spiking` leave their network as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import nir
import numpy as np

from hybrid_control.signals import layout
from hybrid_control.snn import Network
from hybrid_control.snn.backends.capabilities import BoardRefusal, Layout
from hybrid_control.snn.neurons import is_spiking

RELAY_LEAK = 1.0  # s, membrane time constant of a relay, long against the time between two of its spikes
RELAY_SPREAD = 0.15  # of the threshold, by which relays that share a value lie apart
ANALOG_TARGETS = (nir.LIF, nir.CubaLIF, nir.IF)


@dataclass(frozen=True)
class Parts:
    """A network in two parts.

    host: the populations that are driven by values, each with its Input, and an Output `<population>_out`. board:
    the rest; where the host's population was, there is an Input of its name, which takes its spikes.
    """

    host: Network
    board: Network


def channels(network: Network, kind: type[nir.NIRNode]) -> Layout:
    """A network's inputs (kind: nir.Input) or outputs (nir.Output), flat, in the order of their names."""
    return layout(
        **{
            name: math.prod(int(n) for n in np.atleast_1d(node.input_type["input"]))
            for name, node in sorted(network.nodes.items())
            if type(node) is kind
        }
    )


def neighbours(network: Network) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """For each node those that lead into it, and those that it leads to, in the order of the edges."""
    into: dict[str, list[str]] = {name: [] for name in network.nodes}
    out_of: dict[str, list[str]] = {name: [] for name in network.nodes}
    for a, b in network.edges:
        into[b].append(a)
        out_of[a].append(b)
    return into, out_of


def split(network: Network) -> Parts:
    """Leave on the host each population that a plain edge from an Input drives and nothing else: that Input is analog.

    Every other Input takes spikes: its value is their number in a tick. ValueError for a graph in a graph.
    """
    _check_flat(network)
    into, out_of = neighbours(network)
    encoders = {
        targets[0]: name
        for name, targets in out_of.items()
        if isinstance(network.nodes[name], nir.Input)
        and len(targets) == 1
        and isinstance(network.nodes[targets[0]], ANALOG_TARGETS)
        and into[targets[0]] == [name]
    }
    host, board = Network(), Network()
    for population, name in encoders.items():
        host.add(name, network.nodes[name])
        host.add(population, network.nodes[population])
        host.edge(name, population)
        host.add_output(f"{population}_out", population)
    for name, node in network.nodes.items():
        if name in encoders:
            board.add_input(name, np.shape(node.v_threshold))
        elif name not in encoders.values():
            board.add(name, node)
    board.edges = [edge for edge in network.edges if edge[1] not in encoders]
    board.metadata = dict(network.metadata)
    return Parts(host, board)


def spiking(network: Network, dt: float = 1e-3, max_rate: float = 500.0, relays: int = 1) -> Network:
    """The network with no LI in it, for boards whose neurons all spike.

    An LI that leads to one LIF and nowhere else becomes the synapse of that LIF, which is then a CubaLIF. These are
    the same equations where all that the LIF takes comes through LI of one time constant. A synapse has one: where
    theirs differ it is what `synapse_times` says, and what reached the LIF with no filter has one now.
    Any other LI becomes relays, which say by their rate what the LI said by its value: a relay is a CubaLIF whose
    synapse has the LI's time constant and whose membrane adds up. It spikes each time the value has summed to `scale`,
    and its weights are the LI's times `scale`: the value at which all that excites the LI fires at `max_rate` Hz, so
    that a relay then fires once a tick; more is cut off there. relays: how many share the value of one LI, their
    thresholds apart. dt: s of a tick.
    BoardRefusal for an LI whose value can be below 0 where a rate would have to say it, that has a v_leak, that takes
    anything but what weights give, or that leads to an Output, and for a CubaLI or an I.
    """
    _check_flat(network)
    changed = Network()
    changed.nodes, changed.edges = dict(network.nodes), list(network.edges)
    changed.metadata = dict(network.metadata)
    for target, those in filters(network).items():
        _merge(changed, target, those)
    for name, node in network.nodes.items():
        if isinstance(node, (nir.CubaLI, nir.I)):
            raise BoardRefusal(f"{name!r} is a {type(node).__name__}, which does not spike", "an LI")
        if name in changed.nodes and isinstance(node, nir.LI):
            _relay(changed, name, node, dt, max_rate, relays)
    return changed


def synapse_times(network: Network) -> dict[str, dict[str, tuple[float, float]]]:
    """What `spiking` makes of the LI that become synapses: for each LIF, its LI with their tau before and after, in s.

    After is the one that most of them have, the geometric mean where no one time constant leads.
    """
    times = {}
    for target, those in filters(network).items():
        after = _one_time([f.tau for f in those])
        times[target] = {f.name: (f.tau, after) for f in those}
    return times


@dataclass(frozen=True)
class Filter:
    """An LI that leads to one LIF and nowhere else, so that it can be that neuron's synapse.

    tau: s. behind: the Linear between the two, "" for none. fronts: the Linear before it.
    """

    name: str
    tau: float
    behind: str
    fronts: tuple[str, ...]


def filters(network: Network) -> dict[str, list[Filter]]:
    """For each LIF the LI that can be its synapses, in the order of the nodes."""
    into, out_of = neighbours(network)
    by_target: dict[str, list[Filter]] = {}
    for name, node in network.nodes.items():
        if not isinstance(node, nir.LI) or len(out_of[name]) != 1 or np.any(node.v_leak):
            continue
        target, behind = out_of[name][0], ""
        if isinstance(network.nodes[target], nir.Linear) and into[target] == [name]:
            behind, target = target, (out_of[target][0] if len(out_of[target]) == 1 else target)
        if (
            isinstance(network.nodes[target], nir.LIF)
            and np.ptp(node.tau) == 0
            and all(isinstance(network.nodes[f], nir.Linear) and out_of[f] == [name] for f in into[name])
        ):
            by_target.setdefault(target, []).append(
                Filter(name, float(node.tau.flat[0]), behind, tuple(into[name]))
            )
    return by_target


def fold(net: Network, target: str, li: Filter) -> None:
    """Take an LI out: the Linear before it lead to the LIF itself, with what it and the one behind it did."""
    through = np.diag(net.nodes.pop(li.name).r.ravel())
    if li.behind:
        through = net.nodes.pop(li.behind).weight @ through
    for front in li.fronts:
        net.nodes[front] = nir.Linear(through @ net.nodes[front].weight)
        net.edges.append((front, target))
    net.edges = [edge for edge in net.edges if {li.name, li.behind}.isdisjoint(edge)]


def _one_time(times: list[float]) -> float:
    values, counts = np.unique(times, return_counts=True)
    if np.count_nonzero(counts == counts.max()) == 1:
        return float(values[counts.argmax()])
    return float(np.exp(np.mean(np.log(times))))


def _merge(net: Network, target: str, those: list[Filter]) -> None:
    """Make LI the synapses of the LIF that they lead to."""
    lif = net.nodes[target]
    one = np.ones(lif.tau.shape)
    net.nodes[target] = nir.CubaLIF(
        tau_syn=_one_time([f.tau for f in those]) * one,
        tau_mem=lif.tau,
        r=lif.r,
        v_leak=lif.v_leak,
        v_threshold=lif.v_threshold,
        v_reset=lif.v_reset,
        w_in=one,
    )
    for li in those:
        fold(net, target, li)


def _relay(net: Network, name: str, node: nir.LI, dt: float, max_rate: float, relays: int) -> None:
    """Put relays in place of one LI."""
    if np.any(node.v_leak):
        raise BoardRefusal(f"LI {name!r} rests at v_leak, not at 0", "v_leak = 0")
    bound = np.zeros(node.tau.shape)
    for source in [a for a, b in net.edges if b == name]:
        weights = getattr(net.nodes[source], "weight", None)
        if not isinstance(net.nodes[source], nir.Linear) or weights is None:
            raise BoardRefusal(
                f"LI {name!r} takes what {source!r} gives, a {type(net.nodes[source]).__name__}",
                "a Linear between them",
            )
        if np.any(weights * np.sign(node.r)[:, None] < 0):
            raise BoardRefusal(
                f"LI {name!r} is inhibited by {source!r}, so its value can be below 0, which no rate can say",
                "two LI, one for each sign",
            )
        bound += np.abs(weights * node.r[:, None]).sum(axis=1) * max_rate * dt
    scale = float(bound.max()) or 1.0
    spread = np.linspace(-1, 1, relays) * RELAY_SPREAD if relays > 1 else np.zeros(1)
    size = node.tau.size
    gain = np.repeat(node.r, relays)
    one = np.ones(size * relays)
    net.nodes[name] = nir.CubaLIF(
        tau_syn=np.repeat(node.tau, relays),
        tau_mem=RELAY_LEAK * one,
        r=RELAY_LEAK / dt / scale * np.abs(gain),
        v_leak=0 * one,
        v_threshold=np.tile(1.0 + spread, size),
        v_reset=0 * one,
        w_in=np.where(gain < 0, -1.0, 1.0),
    )
    for source in [a for a, b in net.edges if b == name]:
        net.nodes[source] = nir.Linear(np.repeat(net.nodes[source].weight, relays, axis=0))
    for target in [b for a, b in net.edges if a == name]:
        behind = net.nodes[target]
        if isinstance(behind, nir.Output):
            raise BoardRefusal(f"Output {target!r} gives the value of LI {name!r}", "an Output of spikes")
        if isinstance(behind, nir.Linear):
            net.nodes[target] = nir.Linear(np.repeat(behind.weight, relays, axis=1) * scale / relays)
        elif is_spiking(behind):
            joint = f"{name}_{target}"
            while joint in net.nodes:
                joint += "_"
            net.nodes[joint] = nir.Linear(np.repeat(np.eye(size), relays, axis=1) * scale / relays)
            net.edges.remove((name, target))
            net.edges += [(name, joint), (joint, target)]
        else:
            raise BoardRefusal(
                f"LI {name!r} leads to {target!r}, a {type(behind).__name__}",
                "a Linear or a population there",
            )


def _check_flat(network: Network) -> None:
    for name, node in network.nodes.items():
        if isinstance(node, nir.NIRGraph):
            raise ValueError(f"{name!r} is a graph in the graph: boards take flat networks")
