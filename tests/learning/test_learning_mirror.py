"""The torch mirror beside the engine: the same values to the bit, and gradients that are right."""

import itertools
import math
import warnings

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from snn_networks import drive_of, networks, options  # noqa: E402

from hybrid_control.learning import tracing  # noqa: E402
from hybrid_control.learning.mirror import Mirror  # noqa: E402
from hybrid_control.learning.parameters import GROUPS, starting  # noqa: E402
from hybrid_control.learning.surrogates import Surrogate  # noqa: E402
from hybrid_control.snn import Engine, Network, Options, SparseLinear  # noqa: E402
from hybrid_control.snn.neurons import MODELS, NeuronModel  # noqa: E402
from hybrid_control.snn.nir.files import read_unchecked  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore:node")]

few = settings(max_examples=40, deadline=None)
TICKS = 25


def mirrored(mirror, x):
    """What the mirror's Outputs give for inputs of one run, by name."""
    with torch.no_grad():
        given, _ = mirror({name: torch.from_numpy(np.asarray(values)[None]) for name, values in x.items()})
    return {name: values.numpy()[0] for name, values in zip(mirror.output_names, given, strict=True)}


def run(graph, chosen, x):
    """What the engine's Outputs give, from the graph's own initial states."""
    engine = Engine(graph, **chosen)
    engine.set_state(starting(engine_graph(graph)))
    got = engine.run(x)
    return got if isinstance(got, dict) else {engine.output_names[0]: got}


def engine_graph(graph):
    return graph.to_nir() if isinstance(graph, Network) else graph


def same(wanted, got):
    assert wanted.keys() == got.keys()
    for name in wanted:
        np.testing.assert_array_equal(wanted[name], got[name], err_msg=name)


def shaken(mirror, seed):
    """Every free number elsewhere, as after training."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _, leaf in mirror.numbers.named():
            leaf += torch.from_numpy(np.asarray(rng.normal(0, 0.3, leaf.shape))).to(leaf.dtype)
    mirror.numbers.constrain()


@few
@given(networks(), options)
def test_the_mirror_gives_the_values_of_the_engine_to_the_bit(net, chosen):
    x = drive_of(net, TICKS)
    same(run(net, chosen, x), mirrored(Mirror(net, Options(**chosen)), x))


@few
@given(networks(), options, st.integers(0, 99))
def test_the_engine_runs_a_trained_graph_from_a_file_with_the_values_of_the_mirror(
    tmp_path_factory, net, chosen, seed
):
    x, path = drive_of(net, TICKS), tmp_path_factory.mktemp("nir") / "net.nir"
    mirror = Mirror(net, Options(**chosen), free=GROUPS)
    shaken(mirror, seed)
    net.from_nir(mirror.to_nir()).save(path)
    same(mirrored(mirror, x), run(read_unchecked(path), chosen, x))


def windows():
    """Convolutions with groups, stride and padding, both poolings, Scale, Threshold and Flatten, a nested graph."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 0.6, (6, 1, 3, 2))
    inner = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3, 8, 9])),
            "conv": nir.Conv2d(None, kernel, (2, 1), (1, 1), (1, 2), 3, rng.normal(0, 0.1, 6)),
            "lif": nir.LIF(*(np.full((6, 4, 9), v) for v in (5e-3, 1.0, 0.0, 0.4)), np.zeros((6, 4, 9))),
            "output": nir.Output(np.array([6, 4, 9])),
        },
        [("input", "conv"), ("conv", "lif"), ("lif", "output")],
        type_check=False,
    )  # fmt: skip
    nodes = {
        "in": nir.Input(np.array([3, 8, 9])),
        "sub": inner,
        "sum": nir.SumPool2d(np.array([2, 3]), np.array([2, 3]), np.array([0, 0])),
        "average": nir.AvgPool2d(np.array([3, 2]), np.array([1, 1]), np.array([1, 0])),
        "scale": nir.Scale(rng.uniform(0.5, 1.5, (6, 2, 3))),
        "above": nir.Threshold(np.full((6, 2, 3), 0.5)),
        "flat": nir.Flatten({"input": np.array([6, 2, 2])}, 0, 2),
        "dense": nir.Affine(rng.normal(0, 0.5, (10, 24)), rng.normal(0, 0.1, 10)),
        "li": nir.LI(*(np.full(10, v) for v in (8e-3, 1.0, 0.1))),
        "signal": nir.Conv1d(None, rng.normal(0, 1, (2, 2, 3)), 1, "same", 1, 1, rng.normal(0, 0.1, 2)),
        "wave": nir.Input(np.array([2, 7])),
        "out": nir.Output(np.array([10])),
        "wave_out": nir.Output(np.array([2, 7])),
    }
    chain = ["in", "sub", "sum", "scale", "above", "average", "flat", "dense", "li", "out"]
    edges = [*itertools.pairwise(chain), ("wave", "signal"), ("signal", "wave_out")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def test_convolution_pooling_and_nested_graphs_are_the_engines_to_the_bit_before_and_after_training():
    graph, rng = windows(), np.random.default_rng(0)
    x = {"in": rng.poisson(0.5, (TICKS, 3, 8, 9)) * 1.0, "wave": rng.normal(0, 1, (TICKS, 2, 7))}
    mirror = Mirror(graph, free=("weights", "tau", "threshold"))
    same(run(graph, {}, x), mirrored(mirror, x))
    shaken(mirror, 0)
    trained = mirror.to_nir()
    assert not np.array_equal(
        trained.nodes["sub"].nodes["conv"].weight, graph.nodes["sub"].nodes["conv"].weight
    )
    same(mirrored(mirror, x), run(trained, {}, x))


def bias_ring(bias):
    """Two populations in a cycle through one Affine that leads to both, which nothing else drives."""
    net = Network()
    for name in "ab":
        net.add_population(name, nir.LIF, 3, tau=5e-3)
    net.add("loop", nir.Affine(np.full((3, 3), 0.2), np.full(3, bias)))
    for a, b in (("a", "loop"), ("b", "loop"), ("loop", "a"), ("loop", "b")):
        net.edge(a, b)
    net.add_input("in", 3)
    net.add_output("seen", "in")
    net.add_output("out", "a")
    return net


@pytest.mark.parametrize("recurrent_delay", [1, 2])
def test_a_bias_that_comes_over_a_late_edge_is_there_from_the_first_tick_also_once_it_is_trained(
    recurrent_delay,
):
    x, chosen = {"in": np.zeros((9, 3))}, {"recurrent_delay": recurrent_delay}
    for bias in (0.0, 3.0):
        mirror = Mirror(bias_ring(bias), Options(**chosen), free=("weights",))
        same(run(bias_ring(bias), chosen, x), mirrored(mirror, x))
        shaken(mirror, 3)
        same(mirrored(mirror, x), run(mirror.to_nir(), chosen, x))


def chain(kinds, scheme_delay=2e-3):
    """Neurons without a threshold, joined by a matrix, a sparse one with delays, and a Scale, one of them recurrent."""
    rng = np.random.default_rng(2)
    net = Network()
    net.add_input("in", 2)
    for i, kind in enumerate(kinds):
        times = (
            {"tau": 4e-3}
            if kind is nir.LI
            else {"tau_syn": 3e-3, "tau_mem": 6e-3}
            if kind is nir.CubaLI
            else {}
        )
        net.add_population(f"n{i}", kind, 3, **times)
    net.connect("in", "n0", rng.normal(0, 1, (3, 2)), bias=rng.normal(0, 1, 3))
    delays = rng.integers(0, 3, (3, 3)) * 1e-3
    net.connect("n0", "n1", rng.normal(0, 1, (3, 3)) * (rng.random((3, 3)) < 0.8), delay=delays)
    net.connect("n1", "n1", rng.normal(0, 0.3, (3, 3)), delay=scheme_delay)
    net.add("scale", nir.Scale(rng.uniform(0.5, 1.5, 3)))
    net.edge("n1", "scale")
    net.add_output("out", "scale")
    return net


@pytest.mark.parametrize("scheme", ["euler", "exponential", "exact"])
@pytest.mark.parametrize("order", ["current_first", "voltage_first"])
@pytest.mark.parametrize("kinds", [(nir.CubaLI, nir.LI), (nir.I, nir.CubaLI)])
def test_gradients_of_what_has_no_threshold_are_those_of_finite_differences(scheme, order, kinds):
    options = Options(dtype=np.float64, scheme=scheme, order=order)
    mirror = Mirror(chain(kinds), options, free=("weights", "tau", "initial"))
    x = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (2, 8, 2)))

    def loss():
        (out,), _ = mirror(x)
        return (out * torch.linspace(0.5, 1.5, out.shape[1], dtype=out.dtype)[:, None]).square().sum()

    loss().backward()
    checked = 0
    for name, leaf in mirror.numbers.named():
        flat = leaf.detach().view(-1)
        for i in range(0, flat.numel(), 2):
            if flat[i] == 0 and name.endswith("weight"):
                continue
            with torch.no_grad():
                old, sides = float(flat[i]), []
                for step in (1e-5, -1e-5):
                    flat[i] = old + step
                    sides.append(float(loss()))
                flat[i] = old
            slope = (sides[0] - sides[1]) / 2e-5
            assert float(leaf.grad.view(-1)[i]) == pytest.approx(slope, rel=1e-4, abs=1e-6), name
            checked += 1
    assert checked > 15


@pytest.mark.parametrize(
    ("surrogate", "derivative"),
    [
        (Surrogate("atan"), lambda x: 1.0 / (1.0 + (math.pi * x) ** 2)),
        (Surrogate("fast_sigmoid"), lambda x: 1.0 / (1.0 + 25.0 * abs(x)) ** 2),
        (Surrogate("superspike"), lambda x: 1.0 / (1.0 + 100.0 * abs(x)) ** 2),
        (Surrogate("superspike", 3.0), lambda x: 1.0 / (1.0 + 3.0 * abs(x)) ** 2),
    ],
)
def test_the_gradient_of_a_spike_is_the_surrogates(surrogate, derivative):
    net = Network()
    net.add_input("in", 1)
    net.add_population("n", nir.IF, 1, v_threshold=1.0)
    net.connect("in", "n", [[0.7]], name="w")
    net.add_output("out", "n")
    mirror = Mirror(net, Options(dtype=np.float64, if_step="one"), surrogate=surrogate)
    (out,), _ = mirror(torch.ones(1, 2, 1))  # v: 0.7, no spike; 1.4, a spike
    assert out.flatten().tolist() == [0.0, 1.0]
    out.sum().backward()
    # d v(1) / d w = 1, d v(2) / d w = 2
    wanted = derivative(0.7 - 1.0) + 2.0 * derivative(1.4 - 1.0)
    assert float(mirror.numbers.leaves["w", "weight"].grad) == pytest.approx(wanted)


@pytest.mark.parametrize("kind", sorted(MODELS, key=lambda kind: kind.__name__))
def test_every_neuron_type_lets_gradients_through(kind):
    net = Network()
    net.add_input("in", 4)
    times = {
        k: 10e-3 for k, default in MODELS[kind].parameters.items() if k.startswith("tau") and default is None
    }
    net.add_population("n", kind, 3, **times)
    strength = 20.0 if kind.__name__ == "Izhikevich" else 2.0
    net.connect("in", "n", np.full((3, 4), strength), name="w")
    net.add_output("out", "n")
    mirror = Mirror(net, Options(if_step="one"), free=GROUPS)
    (out,), _ = mirror(torch.ones(1, 20, 4))
    out.sum().backward()
    gradient = mirror.numbers.leaves["w", "weight"].grad
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", sorted(MODELS, key=lambda kind: kind.__name__))
def test_a_population_large_enough_to_be_compiled_gives_the_same_values_and_gradients(
    kind, dtype, monkeypatch
):
    """The same bits as torch's operations one by one, and gradients that differ by rounding alone."""
    draw = np.random.default_rng(5)
    net = Network()
    net.add_input("in", 4)
    times = {
        k: 10e-3 for k, default in MODELS[kind].parameters.items() if k.startswith("tau") and default is None
    }
    net.add_population("n", kind, 6, **times)
    strength = 20.0 if kind.__name__ == "Izhikevich" else 2.0
    net.connect("in", "n", draw.normal(strength, strength, (6, 4)), name="w")
    net.connect("n", "n", draw.normal(0.0, 0.3, (6, 6)), name="back")
    net.add_output("out", "n")
    x = torch.from_numpy(draw.uniform(0.0, 1.0, (3, 30, 4)))
    found = []
    for worth in (1, 10**9):
        monkeypatch.setattr(tracing, "WORTH", worth)
        mirror = Mirror(net, Options(dtype=dtype, if_step="one", reset="subtract"), free=GROUPS)
        (out,), state = mirror(x)
        (out.square().sum() + state.variables["n"][0].square().sum()).backward()
        found.append(
            (out.detach(), state.variables["n"], {n: leaf.grad for n, leaf in mirror.numbers.named()})
        )
    (out, variables, gradients), (other_out, other_variables, other_gradients) = found
    assert torch.equal(out, other_out)
    assert out.std() > 0
    for mine, others in zip(variables, other_variables, strict=True):
        assert torch.equal(mine, others)
    for name, gradient in gradients.items():
        if gradient is None or other_gradients[name] is None:
            assert other_gradients[name] is None or not other_gradients[name].any()
            assert gradient is None or not gradient.any()
        else:
            torch.testing.assert_close(gradient, other_gradients[name], rtol=2e-3, atol=1e-5)


def test_an_adaptive_threshold_learns_by_way_of_the_spikes_that_raise_it():
    from hybrid_control.snn import AdaptiveLIF

    net = Network()
    net.add_input("in", 1)
    net.add_population("n", AdaptiveLIF, 1, tau=10e-3, tau_adapt=50e-3, beta=0.5)
    net.connect("in", "n", [[30.0]], name="w")
    net.add_output("out", "n")
    mirror = Mirror(net, free=("tau",))
    (adaptation,), _ = mirror(torch.ones(1, 3, 1), taps=[("n", "adaptation")])
    adaptation[0, -1].sum().backward()
    assert float(mirror.numbers.leaves["n", "tau_adapt"].grad) > 0  # slower: more is left


def net_for_masks():
    rng = np.random.default_rng(0)
    net = Network()
    net.add_input("in", 20)
    for name in "ab":
        net.add_population(name, nir.LIF, 15, tau=5e-3)
    net.connect("in", "a", rng.normal(0.5, 1, (15, 20)) * (rng.random((15, 20)) < 0.5), name="half")
    net.connect("a", "b", rng.normal(0.5, 1, (15, 15)) * (rng.random((15, 15)) < 0.1), name="few")
    net.add_output("out", "b")
    return net


def test_sparse_masks_and_what_is_frozen_stay_as_they_are():
    net = net_for_masks()
    mirror = Mirror(net, free=("weights", "tau"), frozen=("b",))
    optimizer = torch.optim.Adam(mirror.parameters(), 0.1)
    for seed in range(3):
        x = torch.from_numpy(np.random.default_rng(seed).poisson(1.0, (4, 20, 20)))
        optimizer.zero_grad()
        mirror(x)[0][0].sum().backward()
        optimizer.step()
        mirror.numbers.constrain()
    trained = mirror.to_nir().nodes
    for name in ("half", "few"):
        new, old = trained[name].weight, net.nodes[name].weight
        np.testing.assert_array_equal(new == 0, old == 0)
        assert (new[old != 0] != old[old != 0]).any()
    assert trained["b"] is net.nodes["b"]
    assert trained["a"].tau.mean() != net.nodes["a"].tau.mean()
    np.testing.assert_array_equal(trained["a"].v_threshold, net.nodes["a"].v_threshold)


def test_time_constants_stay_above_a_tick_and_thresholds_above_their_reset():
    mirror = Mirror(net_for_masks(), free=("tau", "threshold"))
    with torch.no_grad():
        for _, leaf in mirror.numbers.named():
            leaf -= 50.0
    mirror.numbers.constrain()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # forward Euler's: dt larger than tau
        Engine(mirror.to_nir())
    trained = mirror.to_nir().nodes["a"]
    np.testing.assert_allclose(trained.tau, 1e-3)
    assert (trained.v_threshold > trained.v_reset).all()


@pytest.mark.parametrize("recurrent_delay", [1, 3])
def test_going_on_from_a_state_is_the_same_as_running_in_one_go(recurrent_delay):
    mirror = Mirror(chain((nir.CubaLI, nir.LI), None), Options(recurrent_delay=recurrent_delay))
    x = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (2, 9, 2)))
    (whole,), _ = mirror(x)
    (first,), state = mirror(x[:, :4])
    kept = state.detached()
    for _ in range(2):  # and the state is not changed by it
        (rest,), _ = mirror(x[:, 4:], kept)
        assert torch.equal(torch.cat([first, rest], 1), whole)


def test_a_state_that_was_given_back_can_be_any_nodes():
    mirror = Mirror(chain((nir.CubaLI, nir.LI)))
    x = torch.ones(1, 3, 2)
    (current, voltage), _ = mirror(x, taps=[("n0", "current"), ("n0", "voltage")])
    engine = Engine(chain((nir.CubaLI, nir.LI)))
    engine.run(np.ones((3, 2)))
    np.testing.assert_array_equal(current[0, -1].detach(), engine.current("n0"))
    np.testing.assert_array_equal(voltage[0, -1].detach(), engine.voltage("n0"))


def test_a_step_that_cannot_be_followed_is_refused_in_one_line(monkeypatch):
    def step(x, state, coefficients, setting):
        (v,) = state
        return math.exp(v) > 2.0, (v,)

    lif = MODELS[nir.LIF]
    odd = NeuronModel(nir.LIF, lif.parameters, lif.rows, lif.coefficients, step, start=lif.start)
    monkeypatch.setitem(MODELS, nir.LIF, odd)
    with pytest.raises(ValueError, match="step of LIF cannot be differentiated") as caught:
        Mirror(net_for_masks())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda net: Mirror(net, free=("weight",)), "'weight' must be one of"),
        (lambda net: Mirror(net, frozen=("c",)), "'c' must be one of"),
        (lambda net: Surrogate("box"), "surrogate 'box' must be one of"),
        (lambda net: Surrogate("atan", 0.0), "slope must be a positive number"),
        (lambda net: Mirror(net)(torch.ones(1, 3, 4)), "expected .batch, steps, 20."),
        (lambda net: Mirror(net)({"on": torch.ones(1, 3, 20)}), "inputs are"),
        (lambda net: Mirror(net)(torch.ones(1, 0, 20)), "not 0"),
        (lambda net: Mirror(net)(torch.ones(1, 3, 20), taps=[("a", "current")]), "'a' is a LIF"),
        (lambda net: Mirror(net)(torch.ones(1, 3, 20), taps=[("half", "output")]), "keeps no output"),
        (lambda net: Mirror(net)(torch.ones(1, 3, 20), Mirror(net).start(2)), "cannot go on"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, what):
    with pytest.raises(ValueError, match=what) as caught:
        make(net_for_masks())
    assert "\n" not in str(caught.value)


def test_synapses_listed_twice_and_none_at_all_are_taken():
    net = Network()
    net.add_input("in", 3)
    net.add_population("n", nir.LIF, 2, tau=5e-3)
    twice = SparseLinear(
        np.array([2, 3]), np.array([1, 1, 0]), np.array([0, 0, 1]), np.array([3.0, 0.1, 4.0])
    )
    none = SparseLinear(np.array([2, 3]), np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))
    for name, node in (("twice", twice), ("none", none)):
        net.add(name, node)
        net.edge("in", name)
        net.edge(name, "n")
    net.add_output("out", "n")
    x = {"in": np.random.default_rng(0).poisson(1.0, (30, 3))}
    mirror = Mirror(net)
    same(run(net, {}, x), mirrored(mirror, x))
    shaken(mirror, 0)
    same(mirrored(mirror, x), run(mirror.to_nir(), {}, x))
