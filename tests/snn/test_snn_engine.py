"""The engine as it is used: views, live changes, compiled callers, batches, counting, learning."""

import ctypes
import gc
from itertools import pairwise

import nir
import numpy as np
import pytest
from numba import cfunc, njit, types

from hybrid_control.snn import (
    Engine,
    GraphError,
    Network,
    Synapses,
    all_to_all,
    gaussian_ring,
    one_to_one,
    random_sparse,
)
from hybrid_control.snn.backends.numba import kernels as k
from hybrid_control.snn.energy import HOROWITZ_45NM, EnergyConstants
from hybrid_control.snn.plasticity import STDP, RewardSTDP


def pair(weight=0.0, size=1):
    """Inputs that make population a spike at once, joined to population b by projection "w"."""
    net = Network()
    net.add_input("x", size)
    net.add_input("drive", size)
    net.add_population("a", nir.IF, size, v_threshold=0.5)
    net.add_population("b", nir.IF, size, v_threshold=0.5)
    net.edge("x", "a")
    net.edge("drive", "b")
    net.connect("a", "b", np.full((size, size), weight), name="w")
    return net


def reflexlike():
    """64 -> 256 recurrent -> 8, the network of the README's table."""
    rng = np.random.default_rng(0)
    net = Network()
    net.add_input("x", 64)
    net.add_population("hidden", nir.LIF, 256, tau=20e-3, r=20.0)
    net.add_population("motor", nir.LIF, 8, tau=20e-3, r=20.0)
    net.connect("x", "hidden", rng.normal(0, 0.6, (256, 64)))
    net.connect("hidden", "hidden", gaussian_ring(0.3, sigma=0.3, background=-0.05), name="ring")
    net.connect("hidden", "motor", rng.normal(0.1, 0.3, (8, 256)))
    net.add_output("y", "motor")
    return net


def test_views_are_windows_into_the_arena():
    engine = Engine(pair(1.0, size=3), if_step="one")
    engine.input("x")[:] = [1, 0, 1]
    engine.step()
    assert engine.spikes("a").tolist() == [1, 0, 1]
    assert engine.spikes("b").tolist() == [1, 1, 1]
    for what, name in (
        ("input", "x"),
        ("spikes", "a"),
        ("voltage", "b"),
        ("projection_gain", "w"),
        ("coefficient", "a"),
    ):
        view = engine.coefficient(name, 0) if what == "coefficient" else getattr(engine, what)(name)
        assert np.shares_memory(view, engine.arena)
        assert view.ctypes.data == engine.address + engine.place(what, name)


def test_a_gain_acts_at_once_and_leaves_the_weights():
    engine = Engine(leaky(), if_step="one")
    engine.step([1.0])
    assert engine.voltage("v")[0] == 2.0
    engine.projection_gain("w")[0] = 0.5
    engine.step([1.0])
    assert engine.voltage("v")[0] == 3.0
    engine.projection_gain("w")[0] = 0.0
    engine.step([1.0])
    assert engine.voltage("v")[0] == 3.0
    assert engine.weights("w").tolist() == [[2.0]]


def leaky():
    """Input -> w = 2 -> one integrator."""
    net = Network()
    net.add_input("x", 1)
    net.add_population("v", nir.I, 1)
    net.connect("x", "v", [[2.0]], name="w")
    return net


def test_parameters_change_while_it_runs_as_if_built_so():
    def lif(size, **p):
        net = Network()
        net.add_input("x", size)
        net.add_population("n", nir.LIF, size, **p)
        net.edge("x", "n")
        net.add_output("y", "n")
        return net

    x = np.random.default_rng(0).uniform(0, 2, (200, 4))
    changed = {"tau": 8e-3, "v_threshold": 0.7}
    engine = Engine(lif(4, tau=5e-3))
    engine.set_parameter("n", **changed)
    np.testing.assert_array_equal(engine.run(x), Engine(lif(4, **changed)).run(x))
    own = {"tau": np.array([2e-3, 4e-3, 8e-3, 16e-3]), "v_threshold": 0.7}
    engine.reset()
    engine.set_parameter("n", **own)  # from one value for all to one for each
    np.testing.assert_array_equal(engine.run(x), Engine(lif(4, **own)).run(x))
    engine.reset()
    engine.set_parameter("n", tau=5e-3, v_threshold=1.0)  # and back
    np.testing.assert_array_equal(engine.run(x), Engine(lif(4, tau=5e-3)).run(x))
    assert engine.parameters("n")["tau"].tolist() == [5e-3] * 4
    engine.coefficient("n", k.K_THRESHOLD)[:] = np.inf
    assert engine.run(x).sum() == 0
    refused = [({"tau": -1.0}, "positive")]
    refused += [({"q": 1.0}, "without 'q'"), ({"tau": np.ones(3)}, "shape"), ({"r": np.nan}, "NaN")]
    for bad, message in refused:
        with pytest.raises(ValueError, match=message):
            engine.set_parameter("n", **bad)


def test_voltages_can_be_set_from_outside():
    engine = Engine(pair(size=3), if_step="one")
    engine.set_voltage("b", [0.4, 0.6, 0.1])
    engine.step({"x": np.zeros(3), "drive": np.zeros(3)})
    assert engine.spikes("b").tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="finite"):
        engine.set_voltage("b", np.nan)
    with pytest.raises(ValueError, match="shape"):
        engine.set_voltage("b", [1, 2])
    with pytest.raises(ValueError, match="no voltage"):
        engine.set_voltage("w", 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_callers_step_it_without_python(dtype):
    x = (np.random.default_rng(1).random((100, 64)) < 0.1).astype(dtype)
    engine = Engine(reflexlike(), dtype=dtype)
    want = engine.run(x)
    engine.reset()

    @njit(nogil=True)
    def loop(address, inputs, outputs, x, found):
        for t in range(x.shape[0]):
            inputs[:] = x[t]
            if k.step_arena(address) != 0:
                return t
            found[t] = outputs
        return x.shape[0]

    found = np.zeros_like(want)
    assert loop(engine.address, engine.input("x"), engine.output("y"), x, found) == 100
    np.testing.assert_array_equal(found, want)
    assert want.sum() > 20


def test_a_c_callable_tick_can_step_it():
    engine = Engine(reflexlike())
    place_in, place_out = engine.place("input", "x"), engine.place("output", "y")

    @cfunc(types.float64(types.int64))
    def tick(address):
        inputs = k.values_at(address + place_in, 64, np.float32(0))
        outputs = k.values_at(address + place_out, 8, np.float32(0))
        inputs[3] = 5.0
        k.step_arena(address)
        return outputs.sum()

    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(tick.address)
    twin = Engine(reflexlike())
    x = np.zeros(64)
    x[3] = 5.0
    assert [call(engine.address) for _ in range(50)] == [float(twin.step(x).sum()) for _ in range(50)]


def test_an_input_that_is_not_finite_or_of_another_size_is_refused_and_nothing_moves():
    engine = Engine(reflexlike())
    engine.run(np.random.default_rng(1).random((20, 64)) < 0.1)
    before = engine.snapshot()
    for value in (np.nan, np.inf, -np.inf):
        x = np.zeros(64, np.float32)
        x[63] = value
        with pytest.raises(ValueError, match="NaN or infinity"):
            engine.step(x)
    for bad in (
        np.zeros(63, np.float32),
        np.zeros((2, 64)),
        [1.0],
        np.zeros(64, complex),
        {"z": np.zeros(64)},
    ):
        with pytest.raises(ValueError, match="x"):
            engine.step(bad)
    np.testing.assert_array_equal(engine.snapshot(), before)
    x = np.zeros((10, 64))
    x[4, 0] = np.nan
    with pytest.raises(ValueError, match="step 4"):
        engine.run(x)
    assert engine.ticks == 24


def test_step_takes_what_numpy_takes():
    engine = Engine(leaky(), if_step="one")
    for x in (
        [1],
        np.ones(1),
        np.ones(1, np.int8),
        np.ones((1, 1)),
        np.ones(4, np.float32)[::4],
        {"x": 1},
        np.array(1.0),
        np.ma.ones(1),
        np.ones(1, ">f4"),
    ):
        engine.reset()
        engine.step(x)
        assert engine.voltage("v")[0] == 2.0


def test_a_batch_runs_every_item_from_the_present_state_and_leaves_it():
    x = (np.random.default_rng(2).random((3, 40, 64)) < 0.1).astype(float)
    engine = Engine(reflexlike())
    engine.run(x[0, :7])
    before = engine.snapshot()
    got = engine.run(x, record=("hidden",))
    np.testing.assert_array_equal(engine.snapshot(), before)
    for b in range(3):
        engine.restore(before)
        np.testing.assert_array_equal(got["output"][b], engine.run(x[b]))
    assert got["hidden"]["spikes"].shape == (3, 40, 256)
    with pytest.raises(ValueError, match="state has"):
        engine.restore(before[:-1])


def test_spikes_and_synaptic_events_are_counted():
    net = Network()
    net.add_input("x", 2)
    net.add_population("a", nir.IF, 2, v_threshold=0.5)
    net.add_population("b", nir.LI, 3, tau=10e-3)
    net.connect("x", "a", one_to_one(1.0), name="in")
    net.connect("a", "b", [[1, 0], [1, 0], [1, 2]], name="w")
    net.connect("b", "b", all_to_all(0.0), name="still")
    net.connect("b", "a", np.full((2, 3), -1e-9), name="back")
    engine = Engine(net, if_step="one", dt=1e-2)
    engine.run([[1, 0], [1, 1], [0, 0], [0, 1]])
    c = engine.counters
    assert c.ticks == 4
    assert c.spikes == {"a": 4}
    assert c.events["in"] == 4
    assert c.events["w"] == 2 * 3 + 2 * 1  # neuron 0 reaches three, neuron 1 one
    assert c.events["still"] == 0
    assert c.macs == {"back": 4 * 6, "still": 0}
    assert c.per_second()["spikes"]["a"] == pytest.approx(100)
    e = engine.energy()
    assert e.projections["w"] == pytest.approx(8 * 0.9e-12)
    assert e.projections["back"] == pytest.approx(24 * 4.6e-12)
    assert e.watts == pytest.approx(e.joules / 0.04)
    mine = EnergyConstants("mine", 1000.0, 0.0, 1.0, "made up")
    assert engine.energy(mine).joules == pytest.approx(1e-9 * (4 + 8) + 1e-12 * 4 * 5)
    assert "Horowitz" in HOROWITZ_45NM.source
    engine.reset()
    assert engine.counters.events["w"] == 0
    assert engine.counters.per_second()["spikes"]["a"] == 0


def test_the_choice_of_propagation_is_told_and_can_be_overridden():
    net = Network()
    net.add_input("x", 50)
    net.add_population("a", nir.LIF, 50, tau=10e-3)
    net.add_population("v", nir.LI, 50, tau=10e-3)
    net.connect("x", "a", all_to_all(1.0), name="full")
    net.connect("a", "v", random_sparse(0.05, 1.0, seed=0), name="sparse")
    net.connect("v", "a", all_to_all(0.1), name="analog")
    text = Engine(net).explain()
    assert "full: event, weights as rows" in text
    assert "sparse: event, weights as csr" in text
    assert "analog: dense, weights as rows" in text
    told = Engine(net, drive={"full": "dense"}, storage={"full": "csr"}).explain()
    assert "full: dense, weights as csr, 2500 synapses (told to" in told
    for bad in (
        {"drive": {"q": "event"}},
        {"drive": {"full": "slow"}},
        {"storage": {"full": "coo"}},
        {"storage": {"a": "csr"}},
    ):
        with pytest.raises(ValueError, match=r"q|slow|coo|'a'"):
            Engine(net, **bad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3, 16, 300])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_dense_rows_are_added_one_after_another_to_the_bit(dtype, size, gain):
    rng = np.random.default_rng(size)
    weights = rng.normal(size=(size, 20)).astype(dtype)
    net = Network()
    net.add_input("x", 20)
    net.add_population("n", nir.IF, size, v_threshold=1e6)
    net.connect("x", "n", weights, name="w")
    engine = Engine(net, if_step="one", dtype=dtype, drive={"w": "event"}, storage={"w": "rows"})
    engine.projection_gain("w")[0] = gain
    for x in (rng.integers(0, 2, 20), rng.integers(0, 4, 20), rng.normal(size=20), np.zeros(20)):
        engine.reset()
        engine.step(x.astype(dtype))
        total = np.zeros(size, dtype)
        for i in np.flatnonzero(x):
            total += (dtype(gain) * dtype(x[i])) * weights[:, i]
        np.testing.assert_array_equal(engine.read("n", "voltage"), total)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [range(20), [1, 0, *range(2, 20)]])
def test_one_synapse_from_each_neuron_gives_its_term_to_the_bit_and_counts_where_a_value_comes(dtype, order):
    rng = np.random.default_rng(5)
    weights = np.zeros((20, 20), dtype)
    weights[np.array(order), np.arange(20)] = rng.normal(size=20)
    net = Network()
    net.add_input("x", 20)
    net.add_population("n", nir.IF, 20, v_threshold=1e6)
    net.connect("x", "n", weights, name="w")
    engine = Engine(net, if_step="one", dtype=dtype, drive={"w": "dense"}, storage={"w": "csr"})
    engine.projection_gain("w")[0] = 0.7
    x = rng.normal(size=20).astype(dtype)
    x[3] = 0.0
    engine.step(x)
    expected = np.zeros(20, dtype)
    expected[np.array(order)] = (dtype(0.7) * x) * weights[np.array(order), np.arange(20)]
    np.testing.assert_array_equal(engine.read("n", "voltage"), expected)
    assert engine.counters.events["w"] == 19


def test_the_same_seed_gives_the_same_network_and_results():
    nets = []
    for _ in range(2):
        net = Network()
        net.add_input("x", 30)
        net.add_population("n", nir.LIF, 40, tau=10e-3, r=10.0)
        net.connect("x", "n", random_sparse(0.3, 0.5, seed=7, deviation=0.2))
        net.add_output("y", "n")
        nets.append(net)
    assert nets[0] == nets[1]
    x = np.random.default_rng(0).poisson(0.3, (100, 30))
    np.testing.assert_array_equal(Engine(nets[0]).run(x), Engine(nets[1]).run(x))


def test_ring_weights_fall_off_around_the_circle():
    w = gaussian_ring(2.0, sigma=0.5, background=-0.25)(8, 8)
    assert w[3, 3] == 1.75
    np.testing.assert_allclose(w[0, 7], -0.25 + 2 * np.exp(-((2 * np.pi / 8) ** 2) / 0.5))
    np.testing.assert_allclose(w, w.T)
    np.testing.assert_allclose(w[0], np.roll(w[3], -3))


def test_nothing_grows_over_many_ticks():
    engine = Engine(reflexlike())
    x = (np.random.default_rng(1).random((2000, 64)) < 0.05).astype(np.float32)
    rows = list(x)
    engine.run(x)
    for row in rows:
        engine.step(row)
    gc.collect()
    before = len(gc.get_objects()), resident()
    for _ in range(20):
        for row in rows:
            engine.step(row)
    gc.collect()
    assert len(gc.get_objects()) - before[0] < 10
    assert resident() - before[1] < 2**20


def resident():
    """Bytes of memory that the process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def stdp_run(rule, events, ticks=40, weight=0.5, reward=(), dtype=np.float64):
    """The weight after spikes of pre ("a") and post ("b") at given ticks; dt 1 ms."""
    engine = Engine(pair(weight), if_step="one", plasticity={"w": rule}, dtype=dtype)
    engine.projection_gain("w")[0] = 0.0  # the spikes come from outside alone
    for t in range(ticks):
        if t in reward:
            engine.reward("w")[0] = reward[t]
        elif reward:
            engine.reward("w")[0] = 0.0
        engine.step({"x": [float(("pre", t) in events)], "drive": [float(("post", t) in events)]})
    return float(engine.weights("w")[0, 0])


RULE = {"a_plus": 0.1, "a_minus": 0.05, "tau_plus": 10e-3, "tau_minus": 20e-3}


def test_stdp_follows_its_window():
    rule = STDP(**RULE)
    assert stdp_run(rule, {("pre", 5), ("post", 9)}) == pytest.approx(0.5 + 0.1 * np.exp(-4 / 10))
    assert stdp_run(rule, {("post", 5), ("pre", 9)}) == pytest.approx(0.5 - 0.05 * np.exp(-4 / 20))
    assert stdp_run(rule, {("post", 5), ("pre", 5)}) == 0.5
    both = 0.5 + 0.1 * (np.exp(-4 / 10) + np.exp(-1 / 10)) - 0.05 * 0
    assert stdp_run(rule, {("pre", 5), ("pre", 8), ("post", 9)}) == pytest.approx(both)


def test_stdp_keeps_its_bounds_and_can_be_switched_off():
    events = {("pre", t) for t in range(0, 40, 2)} | {("post", t) for t in range(1, 40, 2)}
    assert stdp_run(STDP(a_plus=0.5, a_minus=0.0, w_max=0.8), events) == pytest.approx(0.8)
    assert stdp_run(STDP(a_plus=0.0, a_minus=0.5, w_min=0.2), events) == pytest.approx(0.2)
    engine = Engine(pair(0.5), if_step="one", plasticity={"w": STDP()})
    engine.learning("w")[0] = 0
    engine.run({"x": np.ones((10, 1)), "drive": np.ones((10, 1))})
    assert engine.weights("w")[0, 0] == 0.5
    engine.learning("w")[0] = 1
    engine.run({"x": np.ones((10, 1)), "drive": np.ones((10, 1))})
    assert engine.weights("w")[0, 0] != 0.5
    engine.reset()
    assert engine.weights("w")[0, 0] == 0.5


def test_a_reward_turns_eligibility_into_weight():
    rule = RewardSTDP(**RULE, tau_e=50e-3, rate=100.0)
    events = {("pre", 5), ("post", 9)}
    assert stdp_run(rule, events) == 0.5
    # at tick 20 the trace is 0.1 exp(-0.4) exp(-11/50); reward 2 for one tick of 1 ms at rate 100
    want = 0.5 + 100 * 1e-3 * 2.0 * 0.1 * np.exp(-4 / 10) * np.exp(-11 / 50)
    assert stdp_run(rule, events, reward={20: 2.0}) == pytest.approx(want)
    assert stdp_run(rule, events, reward={20: -2.0}) == pytest.approx(1.0 - want)


def all_pairs(rule, weights, pre, post, reward, dt):
    """Weights after spikes (ticks, neurons), from the sum over all pairs of spikes; no traces, nothing compiled."""

    def earlier(spikes, k, t, tau):
        return sum(np.exp(-(t - s) * dt / tau) for s in np.flatnonzero(spikes[:t, k]))

    three = isinstance(rule, RewardSTDP)
    weights = weights.copy()
    changed = np.zeros_like(weights) if three else weights
    low, high = (-np.inf, np.inf) if three else (rule.w_min, rule.w_max)
    joined = weights != 0
    for t in range(len(pre)):
        if three:
            changed *= np.exp(-dt / rule.tau_e)
        for i in np.flatnonzero(pre[t]):
            for j in np.flatnonzero(joined[:, i]):
                less = changed[j, i] - rule.a_minus * earlier(post, j, t, rule.tau_minus)
                changed[j, i] = min(max(less, low), high)
        for j in np.flatnonzero(post[t]):
            for i in np.flatnonzero(joined[j]):
                more = changed[j, i] + rule.a_plus * earlier(pre, i, t, rule.tau_plus)
                changed[j, i] = min(max(more, low), high)
        if three:
            moved = weights + dt * rule.rate * reward[t] * changed
            weights = np.where(joined, np.clip(moved, rule.w_min, rule.w_max), 0)
    return weights


@pytest.mark.parametrize("targets", [50, 65_536, 65_537])  # 16-bit and 32-bit columns
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_add_synapse_by_synapse_in_order(targets, dtype):
    rng = np.random.default_rng(7)
    pre = np.repeat(np.arange(20), np.arange(20))  # rows of 0 to 19 synapses
    post = rng.integers(0, targets, pre.size)
    post[rng.random(pre.size) < 0.3] = targets - 1  # several synapses to one target
    weight = rng.normal(size=pre.size)
    net = Network()
    net.add_input("x", 20)
    net.add_population("n", nir.I, targets)
    net.connect("x", "n", lambda *_: Synapses(pre, post, weight), name="w")
    net.add_output("y", "n")
    engine = Engine(net, dtype=dtype, if_step="one", storage={"w": "csr"})
    x = rng.normal(size=20).astype(dtype)
    want = np.zeros(targets, dtype)
    order = np.lexsort((post, pre))
    for i, j, w in zip(pre[order], post[order], weight[order].astype(dtype), strict=True):
        want[j] += x[i] * w
    np.testing.assert_array_equal(engine.step(x), want)


@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("dt", [1e-3, 5e-4])
def test_learning_is_the_sum_over_all_pairs_of_spikes(three, dt):
    rng = np.random.default_rng(3)
    start = np.where(rng.random((4, 5)) < 0.7, rng.uniform(0.1, 0.9, (4, 5)), 0)
    kinds = {"a_plus": 0.06, "a_minus": 0.05, "tau_plus": 12e-3, "tau_minus": 25e-3, "w_min": 0.05}
    rule = RewardSTDP(**kinds, tau_e=50e-3, rate=120.0) if three else STDP(**kinds)
    net = Network()
    for side, size in (("pre", 5), ("post", 4)):
        net.add_input(f"to_{side}", size)
        net.add_population(side, nir.IF, size, v_threshold=0.5)
        net.edge(f"to_{side}", side)
    net.connect("pre", "post", start, name="w")
    net.add_output("y", "post")
    engine = Engine(net, dt=dt, dtype=np.float64, if_step="one", plasticity={"w": rule})
    engine.projection_gain("w")[0] = 0  # the spikes come from outside alone
    pre, post = rng.random((120, 5)) < 0.1, rng.random((120, 4)) < 0.1
    reward = np.where(rng.random(120) < 0.3, rng.normal(size=120), 0)
    for t in range(120):
        if three:
            engine.reward("w")[0] = reward[t]
        engine.step({"to_pre": pre[t], "to_post": post[t]})
    want = all_pairs(rule, start, pre, post, reward, dt)
    assert np.abs(want - start).max() > 0.05
    assert (want[start != 0] == 0.05).any() or three
    np.testing.assert_allclose(engine.weights("w"), want, rtol=0, atol=1e-12)


def test_plasticity_works_on_recurrent_sparse_and_delayed_projections_and_run_equals_step():
    rng = np.random.default_rng(0)
    net = Network()
    net.add_input("x", 20)
    net.add_population("n", nir.LIF, 30, tau=10e-3, r=15.0)
    net.connect("x", "n", rng.uniform(0, 1, (30, 20)), name="in")
    net.connect("n", "n", random_sparse(0.2, 0.3, seed=1), name="rec")
    net.connect(
        "n", "n", rng.uniform(0, 0.2, (30, 30)), name="late", delay=rng.integers(1, 5, (30, 30)) * 1e-3
    )
    net.add_output("y", "n")
    rules = {"in": STDP(), "rec": RewardSTDP(), "late": STDP(a_plus=0.05)}
    x = rng.poisson(0.1, (200, 20))
    one, two = Engine(net, plasticity=rules), Engine(net, plasticity=rules)
    for engine in (one, two):
        engine.reward("rec")[0] = 1.0
    bulk = one.run(x)
    np.testing.assert_array_equal(bulk, [two.step(row).copy() for row in x])
    plain = Engine(net)
    for name in rules:
        assert (one.weights(name) != plain.weights(name)).any()
        np.testing.assert_array_equal(one.weights(name), two.weights(name))
        assert not one.weights(name)[plain.weights(name) == 0].any()


def test_plasticity_that_cannot_work_is_refused():
    net = leaky()
    with pytest.raises(ValueError, match="spiking population"):
        Engine(net, plasticity={"w": STDP()})
    with pytest.raises(ValueError, match="no projection"):
        Engine(net, plasticity={"q": STDP()})
    with pytest.raises(ValueError, match="w_min"):
        STDP(w_min=1.0, w_max=0.0)
    with pytest.raises(ValueError, match="tau_e"):
        RewardSTDP(tau_e=0.0)
    with pytest.raises(ValueError, match="without a reward"):
        Engine(pair(), plasticity={"w": STDP()}).reward("w")
    with pytest.raises(ValueError, match="not plastic"):
        Engine(pair()).learning("w")


def test_views_of_what_is_not_there_are_refused():
    engine = Engine(pair())
    for method, name in (
        ("input", "a"), ("output", "w"), ("spikes", "x"), ("voltage", "x"), ("current", "a"), ("recovery", "a"),
        ("projection_gain", "a"), ("weights", "a"), ("parameters", "w"), ("voltage", "nobody"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            getattr(engine, method)(name)


def test_a_convolutional_net_of_30000_neurons_agrees_event_driven_and_dense():
    rng = np.random.default_rng(0)
    net = Network()
    net.add_input("x", (2, 64, 64))
    net.add("conv1", nir.Conv2d(None, rng.normal(0, 0.5, (7, 2, 3, 3)), 1, 1, 1, 1, np.zeros(7)))
    net.add("spikes1", nir.IF(np.array(1.0), np.array(1.0)))
    net.add("pool", nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])))
    net.add("conv2", nir.Conv2d(None, rng.normal(0, 0.3, (4, 7, 3, 3)), 2, "valid", 1, 1, np.full(4, 0.1)))
    net.add("spikes2", nir.IF(np.array(1.0), np.array(1.0)))
    net.add("flat", nir.Flatten(None, 0, -1))
    net.add("read", nir.Linear(rng.normal(size=(10, 4 * 15 * 15))))
    net.add("y", nir.Output(np.array([10])))
    names = list(net.nodes)
    for a, b in pairwise(names):
        net.edge(a, b)
    x = (rng.random((4, 2, 64, 64)) < 0.05).astype(float)
    found = [
        Engine(net, if_step="one", drive=dict.fromkeys(("conv1", "conv2", "read"), d))
        for d in ("event", "dense")
    ]
    assert sum(found[0].graph.nodes[n].size_out for n in found[0].populations) > 29_000
    np.testing.assert_array_equal(*(engine.run(x) for engine in found))
    assert found[0].counters == found[1].counters.__class__(**{**vars(found[1].counters), "macs": {}})
    assert found[0].counters.spikes["spikes2"] > 50


def test_errors_are_value_errors():
    assert issubclass(GraphError, ValueError)


def test_an_engine_is_shown_by_its_populations_and_ends():
    assert repr(Engine(pair(size=3))) == "Engine(a 3, b 3; drive, x -> ; dt 0.001 s, float32)"
