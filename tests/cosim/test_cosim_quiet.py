"""Ticks in which nothing arrives and nothing fires are passed many at a time: the same bits in fewer steps."""

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.cosim import Hybrid, Runs
from hybrid_control.cosim.parts import ArraySource
from hybrid_control.cosim.parts.snn import load
from hybrid_control.cosim.results import results
from hybrid_control.snn.backends.numba.engine import Engine

MS = 1_000_000


def population(kind, n, rng, drive):
    """Neurons that fire now and then by themselves (drive), or never without input."""
    tau, one = rng.uniform(0.005, 0.05, n), np.ones(n)
    leak = rng.uniform(0.9, 1.1, n) if drive else rng.uniform(-0.5, 0.5, n)
    if kind == "lif":
        return nir.LIF(tau, one, leak, one, np.zeros(n))
    if kind == "cuba":
        return nir.CubaLIF(rng.uniform(0.002, 0.02, n), tau, one, leak, one, np.zeros(n), w_in=one)
    return nir.IF(one, one, np.zeros(n))


def network(kind, seed, drive, recurrent):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    nodes = {
        "input": nir.Input(np.array([3])),
        "fc": nir.Linear(rng.normal(size=(n, 3)) * 0.8),
        "a": population(kind, n, rng, drive),
        "ro": nir.Affine(rng.normal(size=(2, n)) * 0.6, np.zeros(2)),
        "b": population("lif", 2, rng, False),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "fc"), ("fc", "a"), ("a", "ro"), ("ro", "b"), ("b", "output")]
    if recurrent:
        nodes["rec"] = nir.Linear(rng.normal(size=(n, n)) * 0.3)
        edges += [("a", "rec"), ("rec", "a")]
    return nir.NIRGraph(nodes, edges)


def stepped(graph, rows, dtype, **options):
    """Spikes and steps of the network in a co-simulation, and its state afterwards."""
    part = load(graph, dt=1e-3, taps=["a"], dtype=dtype, **options)
    hybrid = Hybrid(until_ns=len(rows) * MS, record=["net.a", "net.output"])
    hybrid.add("in", ArraySource(rows, "spikes"), "1 ms")
    hybrid.add("net", part, "1 ms")
    hybrid.link("in", "net.input")
    scheduler = hybrid.scheduler()
    scheduler.advance(len(rows) * MS)
    recorded = results(scheduler, 0.0)
    return recorded["net.a"], recorded["net.output"], part.steps, part.backend.state()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["lif", "cuba", "if"]), st.integers(0, 10**6), st.booleans(), st.booleans(),
    st.sampled_from([0.0, 0.002, 0.05]), st.sampled_from(["float32", "float64"]), st.sampled_from(["euler", "exact"]),
)
def test_cosim_quiet_ticks_are_passed_to_the_same_bits(kind, seed, drive, recurrent, density, dtype, scheme):
    graph = network(kind, seed, drive, recurrent)
    rows = (np.random.default_rng(seed).random((700, 3)) < density).astype(float)
    spikes, output, steps, state = stepped(graph, rows, dtype, scheme=scheme)
    engine = Engine(graph, dt=1e-3, dtype=dtype, scheme=scheme)
    wanted = engine.run(rows.astype(dtype), record=["a"])
    assert np.array_equal(spikes, wanted["a"]["spikes"])
    assert np.array_equal(output, wanted["output"])
    for name, value in engine.state().items():
        if not name.endswith(".scan"):  # what of the input was not 0, which the next tick looks for anew
            assert np.array_equal(state[name], value), name
    # something happens where input comes or something fires, and in the tick after a spike, in which it may arrive
    fired = spikes.any(axis=1) | output.any(axis=1)
    happens = rows.any(axis=1) | fired | np.concatenate([[False], fired[:-1]])
    assert steps <= 1.05 * happens.sum() + 3  # one for each call of the network


def test_cosim_a_network_at_two_hertz_takes_a_quarter_of_the_steps_of_its_ticks():
    rng = np.random.default_rng(1)
    n, one = 64, np.ones(64)
    # v goes from 0 to 1.05 with tau, and fires at 1: every tau ln(1.05 / 0.05) s, 1.8 times a second
    tau = 0.55 / np.log(21.0) * rng.uniform(0.9, 1.1, n)
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])), "fc": nir.Linear(np.ones((n, 3))),
            "a": nir.LIF(tau, one, 1.05 * one, one, np.zeros(n)), "ro": nir.Linear(np.zeros((2, n))),
            "b": nir.LIF(np.full(2, 0.02), np.ones(2), np.zeros(2), np.ones(2), np.zeros(2)),
            "output": nir.Output(np.array([2])),
        },
        [("input", "fc"), ("fc", "a"), ("a", "ro"), ("ro", "b"), ("b", "output")],
    )  # fmt: skip
    spikes, _, steps, _ = stepped(graph, np.zeros((5000, 3)), "float32")
    assert spikes.sum() / 64 / 5 == pytest.approx(1.8, rel=0.1)
    assert steps <= 5000 / 4


def test_cosim_no_tick_is_passed_where_a_voltage_is_recorded_or_a_bias_drives_or_something_learns_or_delays():
    graph = network("lif", 3, False, False)
    assert load(graph, dt=1e-3, taps=["a.voltage"]).data[5] == 0
    assert load(graph, dt=1e-3, taps=["a"]).data[5] > 0
    graph.nodes["ro"] = nir.Affine(graph.nodes["ro"].weight, np.array([0.1, 0.0]))
    assert Engine(graph, dt=1e-3).quiet_ops().size == 0
    graph.nodes["ro"] = nir.Linear(graph.nodes["ro"].weight)
    graph.nodes["hold"] = nir.Delay(np.full(2, 0.004))
    graph.edges = [e for e in graph.edges if e != ("ro", "b")] + [("ro", "hold"), ("hold", "b")]
    assert Engine(graph, dt=1e-3).quiet_ops().size == 0


def test_cosim_steps_are_the_ticks_where_input_never_ends():
    part = load(network("lif", 5, False, True), dt=1e-3)
    part.reset(0)
    assert part.run(Runs(0, MS, 50), {"input": np.ones((50, 3))})["output"].shape == (50, 2)
    assert part.steps == 50
