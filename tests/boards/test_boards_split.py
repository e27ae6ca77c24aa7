"""The cut between host and board, and what becomes of leaky integrators that do not spike."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.snn import Engine, Network, one_to_one
from hybrid_control.snn.backends.capabilities import BoardRefusal
from hybrid_control.snn.backends.split import spiking, split, synapse_times


def _filtered(taus: list[float], weights: list[float]) -> Network:
    """Spikes through one LI for each time constant into one LIF."""
    net = Network()
    net.add_population("cell", nir.LIF, 3, tau=0.010)
    for i, (tau, weight) in enumerate(zip(taus, weights, strict=True)):
        net.add_input(f"in{i}", 3)
        net.add_population(f"filter{i}", nir.LI, 3, tau=tau)
        net.connect(f"in{i}", f"filter{i}", one_to_one(weight))
        net.edge(f"filter{i}", "cell")
    net.add_output("out", "cell")
    return net


def _spikes(net: Network, ticks: int, rate: float = 0.1, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = {n: v for n, v in sorted(net.nodes.items()) if isinstance(v, nir.Input)}
    x = {n: (rng.random((ticks, *v.input_type["input"])) < rate).astype(float) for n, v in inputs.items()}
    result = Engine(net, dtype=np.float64).run(x)
    return result if isinstance(result, dict) else {"out": result}


def test_the_reflex_keeps_its_encoders_on_the_host_and_the_board_gets_spikes_alone() -> None:
    parts = split(build_network())
    encoders = {"goal", "near", "mid", "far", "approach"}
    assert {n for n, v in parts.host.nodes.items() if isinstance(v, nir.LIF)} == encoders
    inputs = {n for n, v in parts.board.nodes.items() if isinstance(v, nir.Input)}
    assert inputs == encoders | {"planner", "arousal", "stuck_current"}
    assert not any(n.endswith("_current") and n != "stuck_current" for n in parts.board.nodes)


def test_both_parts_together_spike_as_the_whole() -> None:
    whole = build_network()
    parts = split(whole)
    rng = np.random.default_rng(3)
    ticks = 400
    given_: dict[str, np.ndarray] = {}
    for name, node in whole.nodes.items():
        if isinstance(node, nir.Input):
            size = int(node.input_type["input"][0])
            if name.endswith("_current") and name != "stuck_current":
                given_[name] = np.tile(rng.choice([0.0, 1.5, 3.0], size), (ticks, 1))
            else:
                given_[name] = (rng.random((ticks, size)) < 0.1).astype(float)
    given_["arousal"][:] = 1.0
    want = Engine(whole).run(given_)
    host = Engine(parts.host)
    coded = host.run({n: given_[n] for n in host.input_names})
    board = Engine(parts.board)
    got = board.run({n: coded[f"{n}_out"] if f"{n}_out" in coded else given_[n] for n in board.input_names})
    assert sum(v.sum() for v in want.values()) > 100
    for name, spikes in want.items():
        np.testing.assert_array_equal(got[name], spikes)


def test_neither_function_changes_what_it_is_given() -> None:
    net = build_network()
    split(net)
    spiking(net)
    assert net == build_network()


def test_filters_of_one_time_constant_become_the_synapse_and_spike_the_same() -> None:
    net = _filtered([0.02, 0.02], [9.0, 7.0])
    made = spiking(net)
    assert not any(isinstance(n, nir.LI) for n in made.nodes.values())
    assert isinstance(made.nodes["cell"], nir.CubaLIF)
    before, after = _spikes(net, 2000)["out"], _spikes(made, 2000)["out"]
    assert before.sum() > 50
    np.testing.assert_array_equal(before, after)


def test_where_time_constants_differ_the_commonest_is_taken_else_their_geometric_mean() -> None:
    # 20 ms leads two to one; of 5 and 20 ms none leads, and sqrt(5 * 20) = 10
    most = synapse_times(_filtered([0.02, 0.02, 0.08], [1.0, 1.0, 1.0]))["cell"]
    assert most == {"filter0": (0.02, 0.02), "filter1": (0.02, 0.02), "filter2": (0.08, 0.02)}
    mean = synapse_times(_filtered([0.005, 0.02], [1.0, 1.0]))["cell"]
    assert mean["filter0"][1] == pytest.approx(0.010)


def test_weights_behind_a_filter_are_folded_into_those_before_it() -> None:
    net = Network()
    net.add_input("in", 4)
    net.add_population("pool", nir.LI, 1, tau=0.005, r=2.0)
    net.connect("in", "pool", np.array([[1.0, 2.0, 3.0, 4.0]]), "gather")
    net.add_population("cell", nir.LIF, 2, tau=0.010)
    net.connect("pool", "cell", np.array([[0.5], [-1.0]]), "scatter")
    net.add_output("out", "cell")
    made = spiking(net)
    assert set(made.nodes) == {"in", "gather", "cell", "out"}
    # W_scatter r W_gather = [[0.5], [-1]] * 2 * [[1, 2, 3, 4]]
    np.testing.assert_allclose(made.nodes["gather"].weight, [[1, 2, 3, 4], [-2, -4, -6, -8]])


def _relayed(weight: float, relays: int) -> tuple[Network, Network]:
    """An LI into a CubaLIF, which has a synapse already."""
    net = Network()
    net.add_input("in", 8)
    net.add_population("mean", nir.LI, 1, tau=0.02)
    net.connect("in", "mean", np.full((1, 8), weight), "gather")
    net.add_population("cell", nir.CubaLIF, 4, tau_syn=0.02, tau_mem=0.02)
    net.connect("mean", "cell", np.full((4, 1), 1.0), "scatter")
    net.add_output("out", "cell")
    return net, spiking(net, relays=relays)


@settings(max_examples=15, deadline=None)
@given(relays=st.integers(1, 8), rate=st.floats(0.05, 0.3))
def test_relays_say_by_their_rate_what_the_filter_said_by_its_value(relays: int, rate: float) -> None:
    made = _relayed(2.0, relays)[1]
    x = (np.random.default_rng(0).random((4000, 8)) < rate).astype(float)
    engine = Engine(made, dtype=np.float64)
    engine.run(x)
    said = engine.counters.spikes["mean"] / (relays * 4000)
    # the filter's mean value is 2 * 8 * rate, and at scale = 2 * 8 * 0.5 a relay spikes once a tick; a reset to 0 loses
    # what was over the threshold, at most a whole tick of each interval
    meant = 2.0 * x.sum() / 4000 / 8.0
    assert meant / (1 + meant) - 0.01 <= said <= 1.02 * meant + 0.01


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda n: n.add_output("value", "mean"), "gives the value of LI 'mean'"),
        (lambda n: n.connect("other", "mean", np.full((1, 2), -1.0)), "below 0"),
        (lambda n: n.edge("single", "mean"), "takes what 'single' gives"),
    ],
)
def test_what_no_relay_can_say_is_refused_with_the_nearest_that_could(build, says) -> None:  # type: ignore[no-untyped-def]
    net, _ = _relayed(1.0, 1)
    net.add_input("other", 2)
    net.add_input("single", 1)
    build(net)
    with pytest.raises(BoardRefusal, match=says) as refusal:
        spiking(net)
    assert refusal.value.nearest


def test_a_graph_in_a_graph_is_refused() -> None:
    net = Network()
    net.add("inner", build_network().to_nir())
    with pytest.raises(ValueError, match="graph in the graph"):
        split(net)
