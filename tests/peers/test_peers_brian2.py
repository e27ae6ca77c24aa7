"""Spike for spike against Brian2, from the equations of each neuron type.

In Brian2 a spike reaches its targets in the tick after, also from one layer to the next: layer k is k ticks late.
"""

import nir
import numpy as np
import pytest
from peers_cases import DT, SIZES, Case, assert_same, is_lively, layered

from hybrid_control.snn import AdaptiveLIF, Engine, Izhikevich, Network, Synapses
from hybrid_control.snn.plasticity import STDP, RewardSTDP

b2 = pytest.importorskip("brian2")

pytestmark = pytest.mark.peers

LEAK = {"I": "r*J*hertz", "IF": "r*J*hertz", "LI": "(v_leak - v + r*J)/tau", "LIF": "(v_leak - v + r*J)/tau"}


@pytest.fixture(autouse=True)
def _numpy():
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    b2.defaultclock.dt = DT * b2.second


def group(layer, method, reset, current):
    """A NeuronGroup of the layer whose J is `current` (steps, n) plus what synapses add to it."""
    p = {"v_leak": np.zeros(layer.size), "v_reset": np.zeros(layer.size), **layer.parameters}
    times = [name for name in p if name.startswith("tau")]
    equations = "\n".join(f"{name} : {'second' if name in times else '1'}" for name in p) + "\nJ : 1\n"
    if "tau_syn" in p:
        equations += "dv/dt = (v_leak - v + r*I_syn)/tau_mem : 1\ndI_syn/dt = (w_in*J - I_syn)/tau_syn : 1"
    else:
        equations += f"dv/dt = {LEAK[layer.kind]} : 1"
    spiking = {}
    if "v_threshold" in p:
        how = "v -= v_threshold - v_reset" if reset == "subtract" else "v = v_reset"
        spiking = {"threshold": "v > v_threshold", "reset": how}
    stimulus = b2.TimedArray(current, dt=DT * b2.second)
    made = b2.NeuronGroup(layer.size, equations, method=method, namespace={"stimulus": stimulus}, **spiking)
    for name, value in p.items():
        setattr(made, name, value * b2.second if name in times else value)
    made.v = p["v_leak"]
    made.run_regularly("J += stimulus(t, i)", when="before_groups")
    made.run_regularly("J = 0", when="after_groups")
    return made


def connect(source, target, weights, delay=None):
    post, pre = np.nonzero(weights)
    synapses = b2.Synapses(source, target, "w : 1", on_pre="J_post += w")
    synapses.connect(i=pre, j=post)
    synapses.w = weights[post, pre]
    if delay is not None:
        synapses.delay = (delay[post, pre] if np.ndim(delay) else delay) * b2.second
    return synapses


def raster(monitor, steps, n):
    spikes = np.zeros((steps, n))
    spikes[np.rint(np.asarray(monitor.t / b2.second) / DT).astype(int), np.asarray(monitor.i)] = 1
    return spikes


def run(case: Case, method="euler", reset="value"):
    steps, parts, groups, monitors = len(case.x), [], [], []
    for i, layer in enumerate(case.layers):
        current = case.x @ layer.weights.T if i == 0 else np.zeros((steps, layer.size))
        groups.append(group(layer, method, reset, current))
        if i:
            parts.append(connect(groups[i - 1], groups[i], layer.weights))
        if layer.recurrent is not None:
            parts.append(connect(groups[i], groups[i], layer.recurrent))
        spiking = "v_threshold" in layer.parameters
        kind = b2.SpikeMonitor if spiking else lambda g: b2.StateMonitor(g, "v", record=True, when="end")
        monitors.append(kind(groups[i]))
    b2.Network(*groups, *parts, *monitors).run(steps * DT * b2.second)
    outputs = []
    for i, (layer, monitor) in enumerate(zip(case.layers, monitors, strict=True)):
        values = raster(monitor, steps, layer.size) if hasattr(monitor, "count") else np.asarray(monitor.v).T
        outputs.append(values[i:])
    return outputs


def on_time(ours):
    """The engine's layers without the ticks that Brian2, late by one per layer, has not reached."""
    return [values[: len(values) - i] for i, values in enumerate(ours)]


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["IF", "LIF"])
def test_spikes_equal_brian2_with_forward_euler(kind, sizes, reset):
    case = layered(kind, sizes, offsets=reset == "value")
    assert_same(case, on_time(case.engine(reset=reset)), run(case, reset=reset))


@pytest.mark.parametrize("sizes", SIZES)
def test_cuba_lif_spikes_equal_brian2_with_forward_euler_of_both_equations_at_once(sizes):
    case = layered("CubaLIF", sizes, offsets=True)
    assert_same(case, on_time(case.engine(order="voltage_first")), run(case))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_spikes_equal_brian2_with_the_exact_solution(kind, sizes):
    case = layered(kind, sizes, offsets=True)
    assert_same(case, on_time(case.engine(scheme="exact")), run(case, "exact"))


@pytest.mark.parametrize("scheme", ["euler", "exact"])
@pytest.mark.parametrize("sizes", SIZES)
def test_recurrent_spikes_equal_brian2(sizes, scheme):
    case = layered("LIF", sizes, recurrent=True, offsets=True)
    assert_same(case, on_time(case.engine(scheme=scheme)), run(case, scheme))


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("I", "euler"), ("LI", "euler"), ("CubaLI", "euler"), ("LI", "exact"), ("CubaLI", "exact")],
)
def test_voltages_without_threshold_equal_brian2(kind, scheme):
    case = layered(kind, (3, 5), offsets=True)
    ours = case.engine(scheme=scheme, order="voltage_first")
    assert_same(case, ours, run(case, scheme))


def two_populations(rng, delay):
    """Two populations that drive each other: (current into the first, weights there, weights back)."""
    case = layered("LIF", (10, 40), steps=300)
    there, back = rng.normal(1.0, 0.5, (40, 40)), rng.normal(-0.1, 0.3, (40, 40))
    return case, there, back


def test_a_cycle_of_two_populations_with_delays_equals_brian2():
    rng = np.random.default_rng(4)
    case, there, back = two_populations(rng, 3 * DT)
    (layer,) = case.layers
    net = Network()
    net.add_input("input", 10)
    for name in ("a", "b"):
        net.add_population(name, nir.LIF, 40, **layer.parameters)
    net.connect("input", "a", layer.weights)
    net.connect("a", "b", there, delay=3 * DT)
    net.connect("b", "a", back, delay=5 * DT)
    net.add_output("output", "b")
    found = Engine(net, dt=DT, dtype=np.float64).run(case.x, record=("a", "b"))
    a = group(layer, "euler", "value", case.x @ layer.weights.T)
    b = group(layer, "euler", "value", np.zeros((300, 40)))
    # the tick that Brian2 takes anyway comes off the delay
    parts = [connect(a, b, there, 2 * DT), connect(b, a, back, 4 * DT)]
    monitors = [b2.SpikeMonitor(a), b2.SpikeMonitor(b)]
    b2.Network(a, b, *parts, *monitors).run(300 * DT * b2.second)
    for name, monitor in zip("ab", monitors, strict=True):
        assert is_lively(found[name]["spikes"])
        np.testing.assert_array_equal(found[name]["spikes"], raster(monitor, 300, 40))


def test_delays_per_synapse_equal_brian2():
    rng = np.random.default_rng(5)
    case = layered("LIF", (10, 40), steps=300)
    (layer,) = case.layers
    weights = rng.normal(0.8, 0.6, (40, 40)) * (rng.random((40, 40)) < 0.3)
    delays = rng.integers(1, 20, (40, 40)) * DT
    net = Network()
    net.add_input("input", 10)
    net.add_population("a", nir.LIF, 40, **layer.parameters)
    net.connect("input", "a", layer.weights)
    net.connect("a", "a", weights, delay=delays)
    net.add_output("output", "a")
    ours = Engine(net, dt=DT, dtype=np.float64).run(case.x)
    a = group(layer, "euler", "value", case.x @ layer.weights.T)
    monitor = b2.SpikeMonitor(a)
    b2.Network(a, connect(a, a, weights, delays - DT), monitor).run(300 * DT * b2.second)
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, raster(monitor, 300, 40))


def test_a_large_sparse_recurrent_network_equals_brian2():
    rng = np.random.default_rng(6)
    n, steps = 4000, 100
    case = layered("LIF", (1, n), steps=steps)
    (layer,) = case.layers
    pre, post = rng.integers(0, n, 160_000), rng.integers(0, n, 160_000)
    weight = rng.normal(0.0, 0.4, 160_000)
    net = Network()
    net.add_input("input", 1)
    net.add_population("cells", nir.LIF, n, **layer.parameters)
    net.connect("input", "cells", layer.weights)
    net.connect("cells", "cells", lambda *_: Synapses(pre, post, weight))
    net.add_output("output", "cells")
    ours = Engine(net, dt=DT, dtype=np.float64).run(case.x)
    cells = group(layer, "euler", "value", case.x @ layer.weights.T)
    synapses = b2.Synapses(cells, cells, "w : 1", on_pre="J_post += w")
    synapses.connect(i=pre, j=post)
    synapses.w = weight
    monitor = b2.SpikeMonitor(cells)
    b2.Network(cells, synapses, monitor).run(steps * DT * b2.second)
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, raster(monitor, steps, n))


@pytest.mark.parametrize("ticks", [1, 4])
def test_refractory_time_and_adaptive_threshold_equal_brian2(ticks):
    rng = np.random.default_rng(7)
    n, steps, tau_adapt, beta = 40, 400, 40e-3, 0.5
    weights, x = rng.normal(0.8, 0.2, (n, 10)), rng.uniform(0, 1, (steps, 10))
    net = Network()
    net.add_input("input", 10)
    net.add_population(
        "cells", AdaptiveLIF, n, tau=10e-3, tau_adapt=tau_adapt, beta=beta, refractory=ticks * DT
    )
    net.connect("input", "cells", weights)
    net.add_output("output", "cells")
    ours = Engine(net, dt=DT, dtype=np.float64).run(x)
    cells = b2.NeuronGroup(
        n,
        """dv/dt = (-v + stimulus(t, i))/(10*ms) : 1 (unless refractory)
           da/dt = -a/tau_adapt : 1""",
        threshold="v > 1 + beta*a",
        reset="v = 0; a += 1",
        refractory=(ticks + 1) * DT * b2.second,  # Brian2 counts from the spike's own tick
        method="euler",
        namespace={
            "stimulus": b2.TimedArray(x @ weights.T, dt=DT * b2.second),
            "tau_adapt": tau_adapt * b2.second,
            "beta": beta,
        },
    )
    monitor = b2.SpikeMonitor(cells)
    b2.Network(cells, monitor).run(steps * DT * b2.second)
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, raster(monitor, steps, n))


def test_izhikevich_equals_the_same_program_in_brian2():
    rng = np.random.default_rng(8)
    n, steps = 200, 120  # rounding grows tenfold in some 20 ticks: much later, two runs are two runs
    current = np.repeat(rng.uniform(4.0, 15.0, (1, n)), steps, axis=0)
    a, b, c, d = rng.uniform(0.02, 0.1, n), np.full(n, 0.2), rng.uniform(-65, -50, n), rng.uniform(2, 8, n)
    net = Network()
    net.add_input("input", n)
    net.add_population("cells", Izhikevich, n, a=a, b=b, c=c, d=d)
    net.edge("input", "cells")
    net.add_output("output", "cells")
    ours = Engine(net, dt=DT, dtype=np.float64).run(current)
    cells = b2.NeuronGroup(
        n,
        "v : 1\nu : 1\na : 1\nb : 1\nc : 1\nd : 1",
        threshold="v >= 30",
        reset="v = c; u += d",
        namespace={"stimulus": b2.TimedArray(current, dt=DT * b2.second)},
    )
    for name, value in zip("abcd", (a, b, c, d), strict=True):
        setattr(cells, name, value)
    cells.v, cells.u = c, b * c
    cells.run_regularly(
        """v += 0.5*((0.04*v + 5)*v + 140 - u + stimulus(t, i))
           v += 0.5*((0.04*v + 5)*v + 140 - u + stimulus(t, i))
           u += a*(b*v - u)""",
        when="groups",
    )
    monitor = b2.SpikeMonitor(cells)
    b2.Network(cells, monitor).run(steps * DT * b2.second)
    assert 0.002 < ours.mean() < 0.2
    np.testing.assert_array_equal(ours, raster(monitor, steps, n))


@pytest.mark.parametrize("three", [False, True])
def test_learning(three):
    rng = np.random.default_rng(8)
    weights = np.where(rng.random((12, 20)) < 0.6, rng.uniform(0.2, 0.8, (12, 20)), 0)
    kinds = {"a_plus": 0.02, "a_minus": 0.021, "tau_plus": 15e-3, "tau_minus": 30e-3}
    rule = RewardSTDP(**kinds, tau_e=0.1, rate=20.0) if three else STDP(**kinds)
    steps, reward = 600, rng.normal(size=600)
    # in Brian2 two spikes in one tick may be a pair: pre spikes in even ticks, post in odd ones
    parity = np.arange(steps)[:, None] % 2
    pre = (rng.random((steps, 20)) < 0.1) & (parity == 0)
    post = (rng.random((steps, 12)) < 0.1) & (parity == 1)

    net = Network()
    for side, size in (("pre", 20), ("post", 12)):
        net.add_input(f"to_{side}", size)
        net.add_population(side, nir.IF, size, v_threshold=0.5)
        net.edge(f"to_{side}", side)
    net.connect("pre", "post", weights, name="w")
    net.add_output("output", "post")
    engine = Engine(net, dt=DT, dtype=np.float64, if_step="one", plasticity={"w": rule})
    engine.projection_gain("w")[0] = 0
    for t in range(steps):
        if three:
            engine.reward("w")[0] = reward[t]
        engine.step({"to_pre": pre[t], "to_post": post[t]})

    def generator(spikes):
        tick, neuron = np.nonzero(spikes)
        return b2.SpikeGeneratorGroup(spikes.shape[1], neuron, tick * DT * b2.second)

    traces = "dx/dt = -x/tau_plus : 1 (event-driven)\ndy/dt = -y/tau_minus : 1 (event-driven)\nw : 1\n"
    changed, bound = ("eligible", "") if three else ("w", "\nw = clip(w, 0, 1)")
    synapses = b2.Synapses(
        *(groups := (generator(pre), generator(post))),
        traces + ("deligible/dt = -eligible/tau_e : 1 (clock-driven)" if three else ""),
        on_pre=f"{changed} -= a_minus*y{bound}\nx += 1",
        on_post=f"{changed} += a_plus*x{bound}\ny += 1",
        method="exact",
        namespace={
            "a_plus": rule.a_plus,
            "a_minus": rule.a_minus,
            "tau_plus": rule.tau_plus * b2.second,
            "tau_minus": rule.tau_minus * b2.second,
            "tau_e": 0.1 * b2.second,
            "gain": 20.0 * DT,
            "reward": b2.TimedArray(reward, dt=DT * b2.second),
        },
    )
    post_of, pre_of = np.nonzero(weights)
    synapses.connect(i=pre_of, j=post_of)
    synapses.w = weights[post_of, pre_of]
    if three:
        synapses.run_regularly("w = clip(w + gain*reward(t)*eligible, 0, 1)", when="end")
    b2.Network(*groups, synapses).run(steps * DT * b2.second)
    ours = engine.weights("w")[post_of, pre_of]
    assert np.abs(ours - weights[post_of, pre_of]).max() > 0.1
    np.testing.assert_allclose(ours, np.asarray(synapses.w), rtol=0, atol=1e-9)
