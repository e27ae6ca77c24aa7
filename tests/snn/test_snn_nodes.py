"""Every node type against numbers worked out by hand or a closed form, in both precisions."""

import math
from itertools import pairwise

import nir
import numpy as np
import pytest

from hybrid_control.snn import (
    AdaptiveCubaLIF,
    AdaptiveLIF,
    Engine,
    GraphError,
    Izhikevich,
    Network,
    SparseLinear,
)
from hybrid_control.snn.network import Synapses

DT = 1e-3


def one(kind, size=1, **parameters):
    """An input straight into one population, and an output."""
    net = Network()
    net.add_input("x", size)
    net.add_population("n", kind, size, **parameters)
    net.edge("x", "n")
    net.add_output("y", "n")
    return net


def through(node, shape_in, shape_out):
    """Input, one node, output."""
    nodes = {"x": nir.Input(np.array(shape_in)), "node": node, "y": nir.Output(np.array(shape_out))}
    return nir.NIRGraph(nodes, [("x", "node"), ("node", "y")], type_check=False)


def voltages(net, x, **options):
    """Voltage of population n after each tick, (steps, size), and its spikes."""
    options = {"dt": DT, "dtype": np.float64, **options}
    got = Engine(net, **options).run(np.asarray(x), record=("n",))["n"]
    return got["voltage"], got.get("spikes")


def test_lif_euler_follows_the_numbers_of_a_worked_example():
    # a = dt/tau = 0.5: v = v/2 + x/2. Input 1.5: 0.75, 1.125 -> spike, reset to 0.1, then 0.8, 1.15 -> spike
    net = one(nir.LIF, tau=2 * DT, v_threshold=1.0, v_reset=0.1)
    v, z = voltages(net, np.full((4, 1), 1.5))
    np.testing.assert_allclose(v[:, 0], [0.75, 0.1, 0.8, 0.1], atol=1e-12)
    assert z[:, 0].tolist() == [0, 1, 0, 1]


def test_a_neuron_at_its_threshold_does_not_spike_and_above_it_does():
    net = one(nir.IF, v_threshold=1.0)
    v, z = voltages(net, [[0.5], [0.5], [0.25]], if_step="one")
    assert z[:, 0].tolist() == [0, 0, 1]
    assert v[:, 0].tolist() == [0.5, 1.0, 0.0]


def test_reset_by_subtraction_keeps_what_is_above_the_threshold():
    # v_reset counts as the new zero: v - (v_threshold - v_reset)
    v, _ = voltages(one(nir.IF, v_threshold=1.0), [[1.25]], if_step="one", reset="subtract")
    assert v[0, 0] == 0.25
    v, _ = voltages(one(nir.IF, v_threshold=1.0, v_reset=0.5), [[1.25]], if_step="one", reset="subtract")
    assert v[0, 0] == 0.75


def test_integrators_integrate_with_dt_or_with_one():
    v, _ = voltages(one(nir.I, r=2.0), np.ones((3, 1)))
    np.testing.assert_allclose(v[:, 0], [2 * DT, 4 * DT, 6 * DT])
    v, _ = voltages(one(nir.I, r=2.0), np.ones((3, 1)), if_step="one")
    assert v[:, 0].tolist() == [2, 4, 6]


def test_li_under_the_exponential_scheme_is_the_closed_form_for_a_constant_input():
    tau, leak, r, x = 13e-3, -0.2, 3.0, 0.7
    net = one(nir.LI, tau=tau, v_leak=leak, r=r)
    v, _ = voltages(net, np.full((100, 1), x), scheme="exponential")
    t = DT * np.arange(1, 101)
    np.testing.assert_allclose(v[:, 0], leak + r * x * (1 - np.exp(-t / tau)), rtol=1e-12)


def test_li_under_euler_is_the_closed_form_of_the_difference_equation():
    tau, r, x = 13e-3, 3.0, 0.7
    v, _ = voltages(one(nir.LI, tau=tau, r=r), np.full((100, 1), x))
    np.testing.assert_allclose(v[:, 0], r * x * (1 - (1 - DT / tau) ** np.arange(1, 101)), rtol=1e-12)


def test_cuba_euler_takes_the_new_current_by_default_and_the_old_one_when_told():
    # both factors 1/2: I = I/2 + x/2, v = v/2 + I/2; x = 4 once
    net = one(nir.CubaLI, tau_syn=2 * DT, tau_mem=2 * DT)
    x = [[4.0], [0.0], [0.0]]
    v, _ = voltages(net, x)
    assert v[:, 0].tolist() == [1.0, 1.0, 0.75]
    v, _ = voltages(net, x, order="voltage_first")
    assert v[:, 0].tolist() == [0.0, 1.0, 1.0]


def test_cuba_input_weight_and_resistance_multiply():
    v, _ = voltages(one(nir.CubaLI, tau_syn=2 * DT, tau_mem=2 * DT, w_in=3.0, r=5.0), [[4.0]])
    assert v[0, 0] == 15.0


@pytest.mark.parametrize("tau_syn", [4e-3, 10e-3, 25e-3])
def test_cuba_under_the_exact_scheme_is_the_closed_form_of_both_equations(tau_syn):
    tau, x, leak = 10e-3, 2.0, 0.3
    net = one(nir.CubaLI, tau_syn=tau_syn, tau_mem=tau, v_leak=leak)
    v, _ = voltages(net, np.full((80, 1), x), scheme="exact")
    t = DT * np.arange(1, 81)
    if tau_syn == tau:
        response = t / tau * np.exp(-t / tau)
    else:
        response = tau_syn / (tau_syn - tau) * (np.exp(-t / tau_syn) - np.exp(-t / tau))
    np.testing.assert_allclose(v[:, 0], leak + x * (1 - np.exp(-t / tau) - response), rtol=1e-9)


def test_cuba_under_the_exponential_scheme_decays_each_equation_exactly():
    tau_syn, tau = 5e-3, 20e-3
    v, _ = voltages(one(nir.CubaLI, tau_syn=tau_syn, tau_mem=tau), [[1.0], [0.0]], scheme="exponential")
    b, a = math.exp(-DT / tau_syn), math.exp(-DT / tau)
    first = (1 - a) * (1 - b)
    np.testing.assert_allclose(v[:, 0], [first, a * first + (1 - a) * b * (1 - b)], rtol=1e-12)


def test_cubalif_spikes_and_its_current_survives_the_reset():
    net = one(nir.CubaLIF, tau_syn=2 * DT, tau_mem=2 * DT, v_threshold=0.9, v_reset=-1.0)
    v, z = voltages(net, [[4.0], [0.0]])
    assert z[:, 0].tolist() == [1, 0]
    assert v[:, 0].tolist() == [-1.0, 0.0]  # -1/2 + (2/2)/2


def test_state_starts_at_the_leak_or_at_zero():
    net = one(nir.LI, tau=10 * DT, v_leak=-65.0)
    v, _ = voltages(net, [[0.0]])
    assert v[0, 0] == -65.0
    v, _ = voltages(net, [[0.0]], initial="zero")
    np.testing.assert_allclose(v[0, 0], -6.5)


def test_adaptive_lif_raises_its_threshold_by_beta_at_a_spike():
    # IF-like: tau = dt makes v = x. a decays by 1/2 a tick. thresholds seen: 1, 1 + .5, 1 + .25 (no spike in between)
    net = one(AdaptiveLIF, tau=DT, v_threshold=1.0, beta=1.0, tau_adapt=2 * DT)
    _, z = voltages(net, [[1.2], [1.4], [1.3], [1.2]])
    assert z[:, 0].tolist() == [1, 0, 1, 0]


def test_refractory_time_silences_for_so_many_ticks_and_holds_the_voltage():
    net = one(AdaptiveLIF, tau=DT, v_reset=-0.5, refractory=2 * DT)
    v, z = voltages(net, np.full((6, 1), 2.0))
    assert z[:, 0].tolist() == [1, 0, 0, 1, 0, 0]
    assert v[:, 0].tolist() == [-0.5] * 6


def test_adaptive_cubalif_without_adaptation_is_a_cubalif():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 3, (300, 5))
    same = {"tau_syn": 4e-3, "tau_mem": 9e-3, "v_threshold": 0.8, "v_leak": 0.1, "w_in": 1.5}
    v, z = voltages(one(nir.CubaLIF, 5, **same), x)
    v2, z2 = voltages(one(AdaptiveCubaLIF, 5, **same), x)
    np.testing.assert_array_equal(v, v2)
    np.testing.assert_array_equal(z, z2)
    assert z.sum() > 10


def test_izhikevich_follows_the_published_program():
    a, b, c, d = 0.02, 0.2, -65.0, 8.0
    x = np.full((400, 1), 10.0)
    v, z = voltages(one(Izhikevich, a=a, b=b, c=c, d=d), x)
    w, u, want, spikes = c, b * c, [], []
    for _ in range(400):
        for _ in range(2):
            w += 0.5 * (0.04 * w * w + 5 * w + 140 - u + 10.0)
        u += a * (b * w - u)
        fired = w >= 30
        if fired:
            w, u = c, u + d
        want.append(w)
        spikes.append(float(fired))
    np.testing.assert_allclose(v[:, 0], want, rtol=1e-9)
    assert z[:, 0].tolist() == spikes
    assert sum(spikes) > 3


def test_linear_and_affine_are_matrix_products():
    w, b = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]), np.array([10.0, 20.0])
    x = [[1.0, 2.0, 4.0]]
    assert Engine(through(nir.Linear(w), 3, 2), dtype=np.float64).run(x).tolist() == [[17, 0]]
    assert Engine(through(nir.Affine(w, b), 3, 2), dtype=np.float64).run(x).tolist() == [[27, 20]]


def test_linear_with_leading_dimensions_is_a_product_for_each():
    w = np.random.default_rng(0).normal(size=(4, 2, 3))
    x = np.random.default_rng(1).normal(size=(5, 4, 3))
    got = Engine(through(nir.Linear(w), (4, 3), (4, 2)), dtype=np.float64).run(x)
    np.testing.assert_allclose(got, np.einsum("aoi,tai->tao", w, x), rtol=1e-12)


def test_scale_and_threshold():
    x = [[-1.0, 0.5, 2.0]]
    assert Engine(through(nir.Scale(np.array([2.0, 4.0, -1.0])), 3, 3)).run(x).tolist() == [[-2, 2, -2]]
    assert Engine(through(nir.Threshold(np.array(0.5)), 3, 3)).run(x).tolist() == [[0, 0, 1]]


def test_delay_in_seconds_becomes_whole_ticks_for_each_element():
    node = nir.Delay(np.array([0.0, 1e-3, 3e-3]))
    x = np.arange(1, 6)[:, None] * np.ones(3)
    got = Engine(through(node, 3, 3), dt=1e-3).run(x)
    assert got.T.tolist() == [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [0, 0, 0, 1, 2]]
    assert Engine(through(nir.Delay(np.full(3, 2e-3)), 3, 3), dt=1e-3).run(x)[:, 0].tolist() == [
        0,
        0,
        1,
        2,
        3,
    ]


def test_delays_of_single_synapses():
    node = SparseLinear(np.array([1, 2]), np.array([0, 1, 1]), np.array([0, 0, 0]), np.array([1.0, 10.0, 100.0]),
                        np.array([0.0, 1e-3, 2e-3]))  # fmt: skip
    got = Engine(through(node, 2, 1), dt=1e-3).run([[1, 1], [0, 0], [0, 0], [1, 0]])
    assert got[:, 0].tolist() == [1, 10, 100, 1]


def reference_conv(x, w, b, stride, padding, dilation, groups):
    """The defining sum of a convolution, one output at a time."""
    after = padding[2:] if len(padding) == 4 else padding
    x = np.pad(x, ((0, 0), (padding[0], after[0]), (padding[1], after[1])))
    out_channels, per_group, kr, kc = w.shape
    rows = (x.shape[1] - dilation[0] * (kr - 1) - 1) // stride[0] + 1
    columns = (x.shape[2] - dilation[1] * (kc - 1) - 1) // stride[1] + 1
    out = np.zeros((out_channels, rows, columns))
    for o in range(out_channels):
        first = o // (out_channels // groups) * per_group
        for r in range(rows):
            for c in range(columns):
                patch = x[
                    first : first + per_group, r * stride[0] :: dilation[0], c * stride[1] :: dilation[1]
                ]
                out[o, r, c] = (patch[:, :kr, :kc] * w[o]).sum() + b[o]
    return out


@pytest.mark.parametrize("drive", ["event", "dense"])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 1), (1, 0), (1, 2), 2),
        ((3, 2), (2, 3), (2, 1), 1),
        ((1, 1), "same", (1, 2), 4),
    ],
)
def test_conv2d_is_the_defining_sum(stride, padding, dilation, groups, drive):
    rng = np.random.default_rng(3)
    w, b, x = rng.normal(size=(8, 4 // groups, 3, 2)), rng.normal(size=8), rng.normal(size=(4, 9, 8))
    pads = (1, 1, 1, 1) if padding == "same" else padding
    if padding == "same":  # rows: 2 in all; columns: dilation 2 * (2 - 1) = 2 in all
        assert (dilation, w.shape[2:]) == ((1, 2), (3, 2))
    want = reference_conv(x, w, b, stride, pads, dilation, groups)
    node = nir.Conv2d(None, w, stride, padding, dilation, groups, b)
    engine = Engine(through(node, x.shape, want.shape), dtype=np.float64, drive={"node": drive})
    np.testing.assert_allclose(engine.run(x[None])[0], want, atol=1e-12)


def test_conv2d_same_padding_puts_the_odd_row_and_column_last():
    w = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    node = nir.Conv2d(None, w, 1, "same", 1, 1, np.zeros(1))
    x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    want = reference_conv(x, w, [0.0], (1, 1), (0, 0, 1, 1), (1, 1), 1)
    assert Engine(through(node, (1, 2, 2), (1, 2, 2))).run(x[None])[0].tolist() == want.tolist()


@pytest.mark.parametrize("groups", [1, 2])
def test_conv1d_is_the_defining_sum(groups):
    rng = np.random.default_rng(4)
    w, b, x = rng.normal(size=(6, 4 // groups, 3)), rng.normal(size=6), rng.normal(size=(4, 11))
    want = reference_conv(x[:, None], w[:, :, None], b, (1, 2), (0, 1), (1, 2), groups)[:, 0]
    node = nir.Conv1d(11, w, 2, 1, 2, groups, b)
    np.testing.assert_allclose(
        Engine(through(node, (4, 11), want.shape), dtype=np.float64).run(x[None])[0], want, atol=1e-12
    )


def test_pools_sum_and_average_over_windows_with_the_padding_counted_in():
    x = np.arange(1.0, 10.0).reshape(1, 3, 3)
    two = np.array([2, 2])
    sums = Engine(through(nir.SumPool2d(two, two, np.array([1, 1])), (1, 3, 3), (1, 2, 2))).run(x[None])
    assert sums[0, 0].tolist() == [[1, 2 + 3], [4 + 7, 5 + 6 + 8 + 9]]
    means = Engine(through(nir.AvgPool2d(two, two, np.array([1, 1])), (1, 3, 3), (1, 2, 2))).run(x[None])
    assert means[0, 0].tolist() == [[0.25, 1.25], [2.75, 7]]
    tall = Engine(
        through(nir.SumPool2d(np.array([3, 1]), np.array([1, 2]), np.array([0, 0])), (1, 3, 3), (1, 1, 2))
    )
    assert tall.run(x[None])[0, 0].tolist() == [[12, 18]]


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [(0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (1, 1, (2, 3, 4)), (-2, -1, (2, 12))],
)
def test_flatten_joins_the_dimensions_it_names(start, end, shape):
    node = nir.Flatten(None, 0, -1)
    node.start_dim, node.end_dim = start, end
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    got = Engine(through(node, (2, 3, 4), shape)).run(x)
    np.testing.assert_array_equal(got, x.reshape(1, *shape))


def test_incoming_values_add_up():
    net = Network()
    net.add_input("a", 2)
    net.add_input("b", 2)
    net.add("s", nir.Scale(np.array([10.0, 100.0])))
    for source in ("a", "b"):
        net.edge(source, "s")
    net.add_output("y", "s")
    assert Engine(net).step({"a": [1, 2], "b": [3, 4]}).tolist() == [40, 600]


def test_a_recurrent_spike_arrives_one_tick_later_or_as_many_as_asked():
    net = one(nir.IF)
    net.connect("n", "n", [[0.25]], name="self")
    x = np.zeros((6, 1))
    x[0] = 1.5
    for ticks in (1, 2, 3):
        v, z = voltages(net, x, if_step="one", recurrent_delay=ticks)
        assert z[:, 0].tolist() == [1, 0, 0, 0, 0, 0]
        assert v[:, 0].tolist() == [0.0] * ticks + [0.25] * (6 - ticks)


def test_a_delay_in_a_loop_is_all_of_the_loops_delay():
    net = one(nir.IF)
    net.connect("n", "n", [[0.25]], name="self", delay=2e-3)
    v, _ = voltages(net, [[1.5], [0], [0], [0]], if_step="one")
    assert v[:, 0].tolist() == [0, 0, 0.25, 0.25]


def test_a_long_cycle_delays_only_where_it_closes():
    # x -> a -> b -> c -> a: one spike of a reaches b and c in the same tick, and a again in the next
    net = Network()
    net.add_input("x", 1)
    for name in "abc":
        net.add_population(name, nir.IF, 1)
    net.edge("x", "a")
    for pre, post in ("ab", "bc", "ca"):
        net.connect(pre, post, [[1.5]])
    engine = Engine(net, if_step="one")
    got = engine.run([[1.5], [0], [0]], record="abc")
    assert [got[n]["spikes"][:, 0].tolist() for n in "abc"] == [[1, 1, 1]] * 3
    assert "c_a -> a delivers one tick late" in engine.explain()


def test_a_cycle_without_a_neuron_is_a_recursion_over_ticks():
    net = Network()
    net.add_input("x", 1)
    net.add("s", nir.Scale(np.array([0.5])))
    net.edge("x", "s")
    net.edge("s", "s")
    net.add_output("y", "s")
    assert Engine(net).run([[1.0], [0.0], [0.0]])[:, 0].tolist() == [0.5, 0.25, 0.125]


def test_several_spikes_of_one_input_in_a_tick_count_as_many():
    net = Network()
    net.add_input("x", 1)
    net.add_population("n", nir.IF, 1, v_threshold=100.0)
    net.connect("x", "n", [[2.0]])
    v, _ = voltages(net, [[3]], if_step="one")
    assert v[0, 0] == 6.0


def test_a_network_without_inputs_runs_on_its_own():
    net = Network()
    net.add_population("n", nir.LIF, 3, tau=10e-3, v_leak=1.5)
    engine = Engine(net, initial="zero")
    spikes = engine.run(50, record=("n",))["n"]["spikes"]
    # v = 1.5 (1 - 0.9^k) passes 1 at k = 11
    assert np.flatnonzero(spikes[:, 0]).tolist() == [10, 21, 32, 43]


def test_nested_graphs_run_as_if_unfolded():
    inner = nir.NIRGraph(
        {"in": nir.Input(np.array([2])), "w": nir.Linear(np.eye(2) * 3), "out": nir.Output(np.array([2]))},
        [("in", "w"), ("w", "out")],
        type_check=False,
    )
    outer = through(inner, 2, 2)
    assert Engine(outer).run([[1, 2]]).tolist() == [[3, 6]]


def test_scalar_parameters_spread_over_the_shape_that_comes_in():
    node = nir.LIF(*(np.array(v) for v in (2e-3, 1.0, 0.0, 1.0, 0.0)))
    got = Engine(through(node, (2, 3), (2, 3))).run(np.full((1, 2, 3), 2.5))
    assert got.tolist() == np.ones((1, 2, 3)).tolist()


def test_parameters_of_fewer_dimensions_than_the_input_are_not_guessed_to_be_its_last():
    for shape, fits in (((1,), True), ((2, 1), True), ((2, 3), True), ((3,), False), ((2,), False)):
        graph = through(nir.Scale(np.full(shape, 2.0)), (2, 3), (2, 3))
        if fits:
            assert (Engine(graph).run(np.ones((1, 2, 3))) == 2.0).all()
        else:
            with pytest.raises(GraphError, match=r"gives shape \(2, 3\), but node .* takes shape \(\d,\)"):
                Engine(graph)


def test_listed_synapses_equal_the_matrix_they_make():
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(7, 9)) * (rng.random((7, 9)) < 0.4)
    post, pre = np.nonzero(matrix)
    x = rng.integers(0, 3, (20, 9))
    found = []
    for weights in (matrix, Synapses(pre, post, matrix[post, pre])):
        net = Network()
        net.add_input("x", 9)
        net.add_population("n", nir.LI, 7, tau=5e-3)
        net.connect("x", "n", weights)
        net.add_output("y", "n")
        found.append(Engine(net).run(x))
    np.testing.assert_array_equal(*found)


def biased_loop(*between, **connection):
    """x -> n -> w (y = v / 2 + 2) -> the nodes between -> n, where n gives what it takes."""
    net = Network()
    net.add_input("x", 1)
    net.add_population("n", nir.LI, 1, tau=DT)
    net.edge("x", "n")
    if connection:
        net.connect("n", "n", [[0.5]], name="w", bias=[2.0], **connection)
    else:
        affine = nir.Affine(np.array([[0.5]]), np.array([2.0]))
        names = [net.add(f"w{i}", node) for i, node in enumerate((affine, *between))]
        for a, b in pairwise(["n", *names, "n"]):
            net.edge(a, b)
    net.add_output("y", "n")
    return net


def test_a_bias_on_a_recurrent_edge_is_there_in_the_first_tick():
    x = [[1.0], [0.0], [0.0], [0.0]]

    def run(net, **options):
        engine = Engine(net, **options)
        got = engine.run(x)[:, 0].tolist()
        engine.reset()
        assert engine.run(x)[:, 0].tolist() == got
        return got

    # v = x + y of the tick before; y = v / 2 + 2, and 2 before the first tick
    assert run(biased_loop()) == [3.0, 3.5, 3.75, 3.875]
    # y of two ticks before
    assert run(biased_loop(), recurrent_delay=2) == [3.0, 2.0, 3.5, 3.0]
    # through more maps: 2 y, and y - 1 in place of y after a Linear of 1 and an Affine
    assert run(biased_loop(nir.Scale(np.array([2.0])))) == [5.0, 9.0, 13.0, 17.0]
    one = np.array([[1.0]])
    assert run(biased_loop(nir.Linear(one), nir.Affine(one, np.array([-1.0])))) == [2.0, 2.0, 2.0, 2.0]
    # a Delay in the file is empty at first, as in NIR
    assert run(biased_loop(delay=1e-3)) == [1.0, 2.5, 3.25, 3.625]


def test_a_population_that_takes_nothing_but_a_late_bias_has_it_in_the_first_tick():
    nodes = {"n": nir.IF(np.ones(1), np.full(1, 1.5)), "w": nir.Affine(np.array([[-2.0]]), np.array([1.0])),
             "y": nir.Output(np.array([1]))}  # fmt: skip
    graph = nir.NIRGraph(nodes, [("n", "w"), ("w", "n"), ("n", "y")], type_check=False)
    # v = v + y of the tick before, y = 1 - 2 for a spike: v = 1, 2 (spike, 0), -1, 0, 1, 2 (spike)
    assert Engine(graph, if_step="one").run(6)[:, 0].tolist() == [0, 1, 0, 0, 0, 1]


def test_a_late_bias_that_leads_to_two_populations_is_there_once():
    nodes = {name: nir.IF(np.ones(1), np.full(1, 9.0)) for name in "ab"}
    nodes |= {"w": nir.Affine(np.zeros((1, 1)), np.array([3.0])), "y": nir.Output(np.array([1]))}
    edges = [("a", "w"), ("b", "w"), ("w", "a"), ("w", "b"), ("a", "y")]
    engine = Engine(nir.NIRGraph(nodes, edges, type_check=False), if_step="one")
    for voltage in (3.0, 6.0):
        engine.step()
        assert engine.voltage("a")[0] == engine.voltage("b")[0] == voltage
