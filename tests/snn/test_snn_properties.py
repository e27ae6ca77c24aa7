"""What must hold for any graph: random graphs of all node types, cycles and delays included."""

import nir
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_networks import drive_of, networks, options

from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends.numba.schedule import Schedule
from hybrid_control.snn.nir.graph import flatten
from hybrid_control.snn.options import Options

few = settings(max_examples=40, deadline=None)


def results(engine, x):
    """All outputs of a run, by name."""
    got = engine.run(x)
    return got if isinstance(got, dict) else {"out": got}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


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
