"""What must hold for any graph: random graphs of all node types, cycles and delays included."""

import nir
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.snn import AdaptiveCubaLIF, AdaptiveLIF, Engine, Izhikevich, Network
from hybrid_control.snn.backends.numba.schedule import Schedule
from hybrid_control.snn.nir.graph import flatten
from hybrid_control.snn.options import Options

few = settings(max_examples=40, deadline=None)
KINDS = [nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF, AdaptiveLIF, AdaptiveCubaLIF, Izhikevich]


def parameters(kind, size, rng, mixed):
    """Parameters that make a population of this type active; mixed: each neuron its own."""
    n = size if mixed else ()
    times = {k: rng.uniform(2e-3, 2e-2, n) for k in ("tau", "tau_syn", "tau_mem", "tau_adapt")}
    own = {nir.LI: ("tau",), nir.LIF: ("tau",), nir.CubaLI: ("tau_syn", "tau_mem"), nir.CubaLIF: ("tau_syn", "tau_mem"),
           AdaptiveLIF: ("tau", "tau_adapt"), AdaptiveCubaLIF: ("tau_syn", "tau_mem", "tau_adapt")}  # fmt: skip
    given = {k: times[k] for k in own.get(kind, ())}
    if kind is not Izhikevich:
        given["r"] = rng.uniform(2.0, 6.0, n)
    if kind in (AdaptiveLIF, AdaptiveCubaLIF):
        given |= {"beta": rng.uniform(0, 0.5, n), "refractory": rng.choice([0.0, 1e-3, 2e-3])}
    if kind in (nir.LIF, nir.CubaLIF, AdaptiveLIF):
        given |= {"v_reset": rng.uniform(-0.3, 0.1, n), "v_leak": rng.uniform(-0.2, 0.3, n)}
    return given


@st.composite
def networks(draw):
    """A network of one or two inputs, some populations and other nodes, joined at random, cycles among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = Network()
    sizes = {}
    for name in ("left", "right")[: draw(st.integers(1, 2))]:
        sizes[name] = draw(st.integers(1, 20))
        net.add_input(name, sizes[name])
    for i in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(KINDS))
        name, size = f"p{i}", draw(st.integers(1, 70))
        net.add_population(name, kind, size, **parameters(kind, size, rng, draw(st.booleans())))
        sizes[name] = size
    populations = [n for n in sizes if n[0] == "p"]
    for number in range(draw(st.integers(1, 7))):
        source, target = draw(st.sampled_from(sorted(sizes))), draw(st.sampled_from(populations))
        size = (sizes[target], sizes[source])
        weights = rng.normal(0.3, 1.0, size) * (rng.random(size) < draw(st.sampled_from([0.05, 0.4, 1.0])))
        delay = draw(st.sampled_from([None, 0.0, 2e-3, "each"]))
        bias = rng.normal(0, 0.1, sizes[target]) if delay in (None, 2e-3) and draw(st.booleans()) else None
        delays = rng.integers(0, 4, size) * 1e-3 if isinstance(delay, str) else delay
        net.connect(source, target, weights, name=f"w{number}", bias=bias, delay=delays)
    if draw(st.booleans()):
        node = draw(st.sampled_from([nir.Threshold, nir.Scale, nir.Delay]))
        source = draw(st.sampled_from(populations))
        values = rng.integers(0, 3, sizes[source]) * (1e-3 if node is nir.Delay else 0.5)
        net.add("extra", node(values))
        net.edge(source, "extra")
        if draw(st.booleans()):
            net.edge("extra", source)
        net.add_output("seen", "extra")
    net.add_output("out", populations[-1])
    return net


def drive_of(net, steps, seed=0):
    """Inputs: counts of spikes and now and then a current."""
    rng = np.random.default_rng(seed)
    shapes = {
        n: steps_shape.input_type["input"]
        for n, steps_shape in net.nodes.items()
        if isinstance(steps_shape, nir.Input)
    }
    return {n: rng.poisson(0.5, (steps, *s)) * rng.choice([1.0, 0.5], (steps, *s)) for n, s in shapes.items()}


def results(engine, x):
    """All outputs of a run, by name."""
    got = engine.run(x)
    return got if isinstance(got, dict) else {"out": got}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


options = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([np.float32, np.float64]),
        "scheme": st.sampled_from(["euler", "exponential", "exact"]),
        "reset": st.sampled_from(["value", "subtract"]),
        "order": st.sampled_from(["current_first", "voltage_first"]),
        "if_step": st.sampled_from(["dt", "one"]),
        "recurrent_delay": st.integers(1, 3),
    }
)


@few
@given(networks(), options)
def test_run_equals_repeated_step_to_the_bit(net, chosen):
    x = drive_of(net, 25)
    many, single = Engine(net, **chosen), Engine(net, **chosen)
    bulk = results(many, x)
    for t in range(25):
        got = single.step({n: v[t] for n, v in x.items()})
        same({n: v[t] for n, v in bulk.items()}, got if isinstance(got, dict) else {"out": got})
    np.testing.assert_array_equal(many.snapshot(), single.snapshot())


@few
@given(networks(), options)
def test_event_driven_equals_dense_to_the_bit_in_either_storage(net, chosen):
    x = drive_of(net, 25)
    plain = Engine(net, **chosen)
    want = results(plain, x)
    names = list(plain.synapses)
    fixed = {
        n for n in names if getattr(net.nodes[n], "delay", None) is not None
    }  # these are always rows of lists
    for drive in ("event", "dense"):
        for storage in ("rows", "csr"):
            engine = Engine(
                net,
                drive=dict.fromkeys(names, drive),
                storage={n: storage for n in names if n not in fixed},
                **chosen,
            )
            same(want, results(engine, x))
            assert engine.counters.spikes == plain.counters.spikes
            assert engine.counters.events == plain.counters.events


@few
@given(networks(), options, st.integers(0, 24))
def test_snapshot_and_restore_change_nothing(net, chosen, cut):
    x = drive_of(net, 25)
    first, rest = ({n: v[part] for n, v in x.items()} for part in (slice(cut), slice(cut, None)))
    engine = Engine(net, **chosen)
    engine.run(first)
    middle = engine.snapshot()
    want = results(engine, rest)
    engine.restore(middle)
    same(want, results(engine, rest))
    other = Engine(net, **chosen)
    other.restore(middle)
    same(want, results(other, rest))


@few
@given(networks(), options)
def test_reset_goes_back_to_the_start(net, chosen):
    x = drive_of(net, 15)
    engine = Engine(net, **chosen)
    want = results(engine, x)
    engine.reset()
    same(want, results(engine, x))


@few
@given(networks())
def test_a_file_brings_back_the_same_network(tmp_path_factory, net):
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    net.save(path)
    back = Network.load(path)
    assert back == net
    x = drive_of(net, 10)
    same(results(Engine(net), x), results(Engine(back), x))


@few
@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_edges_does_not_matter(net, random):
    x = drive_of(net, 15)
    want = results(Engine(net), x)
    names, edges = list(net.nodes), list(net.edges)
    random.shuffle(names)
    random.shuffle(edges)
    mixed = nir.NIRGraph({n: net.nodes[n] for n in names}, edges, type_check=False)
    same(want, results(Engine(mixed), x))


@few
@given(networks())
def test_every_late_edge_closes_a_cycle_and_the_others_follow_the_order(net):
    plan = Schedule(flatten(net.to_nir()), Options())
    place = {name: i for i, name in enumerate(plan.order)}
    for a, b in plan.edges:
        if b not in plan.starters:
            assert (place[a] >= place[b]) == ((a, b) in plan.late)


@few
@given(networks())
def test_both_precisions_agree_on_the_first_ticks(net):
    x = drive_of(net, 2)
    a, b = results(Engine(net, dtype=np.float32), x), results(Engine(net, dtype=np.float64), x)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-4)
