"""Spike for spike against Nengo's integrate-and-fire neurons.

Nengo's own LIF finds the time of a spike within its tick and lets the neuron go on from there, which no scheme of
one update per tick can match; its SpikingRectifiedLinear is NIR's IF with reset by subtraction, for positive input.
"""

import nir
import numpy as np
import pytest
from peers_cases import DT, SIZES, assert_same, is_lively, layered

from hybrid_control.snn import Engine, Network

nengo = pytest.importorskip("nengo")

pytestmark = pytest.mark.peers


def population(n):
    neurons = nengo.SpikingRectifiedLinear(initial_state={"voltage": nengo.dists.Choice([0])})
    return nengo.Ensemble(n, 1, neuron_type=neurons, gain=np.ones(n), bias=np.zeros(n))


def simulate(model, steps, probes):
    """Runs of the probed neurons, as spikes 0 and 1."""
    with nengo.Simulator(model, dt=DT, progress_bar=False) as simulator:
        simulator.run_steps(steps, progress_bar=False)
    return [np.rint(simulator.data[p] * DT) for p in probes]


def source(x):
    return nengo.Node(lambda t: x[round(t / DT) - 1], size_out=x.shape[1])


def scaled(layer):
    """Weights for a threshold of 1 and r of 1."""
    gain = layer.parameters["r"] / layer.parameters["v_threshold"]
    return gain[:, None] * layer.weights, None if layer.recurrent is None else gain[:, None] * layer.recurrent


def run(case):
    with nengo.Network() as model:
        before, factor, probes = source(case.x), 1.0, []
        for layer in case.layers:
            cells = population(layer.size)
            weights, recurrent = scaled(layer)
            nengo.Connection(before, cells.neurons, transform=factor * weights, synapse=None)
            if recurrent is not None:
                # a spike is 1 / dt here; a synapse of 0 is a delay of one tick
                nengo.Connection(cells.neurons, cells.neurons, transform=DT * recurrent, synapse=0)
            probes.append(nengo.Probe(cells.neurons))
            before, factor = cells.neurons, DT
    return simulate(model, len(case.x), probes)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_if_spikes_equal_nengo(sizes, recurrent):
    case = layered("IF", sizes, recurrent=recurrent, positive=True)
    for layer in case.layers:
        layer.recurrent = None if layer.recurrent is None else 0.2 * layer.recurrent
    assert_same(case, case.engine(reset="subtract"), run(case))


def test_delays_between_populations_equal_nengo():
    case = layered("IF", (10, 40, 20), positive=True)
    first, second = case.layers
    ticks = 7
    net = Network()
    net.add_input("input", 10)
    net.add_population("a", nir.IF, 40, **first.parameters)
    net.add_population("b", nir.IF, 20, **second.parameters)
    net.connect("input", "a", first.weights)
    net.connect("a", "b", second.weights, delay=ticks * DT)
    net.add_output("output", "b")
    ours = Engine(net, dt=DT, dtype=np.float64, reset="subtract").run(case.x)
    with nengo.Network() as model:
        a, b = population(40), population(20)
        nengo.Connection(source(case.x), a.neurons, transform=scaled(first)[0], synapse=None)
        late = nengo.LinearFilter([1], [1] + [0] * ticks, analog=False)
        nengo.Connection(a.neurons, b.neurons, transform=DT * scaled(second)[0], synapse=late)
        probe = nengo.Probe(b.neurons)
    (theirs,) = simulate(model, len(case.x), [probe])
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, theirs)
