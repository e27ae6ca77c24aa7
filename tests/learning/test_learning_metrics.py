"""NeuroBench's metrics of a NIR graph, beside numbers worked out by hand."""

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from snn_networks import drive_of, networks, options  # noqa: E402

from hybrid_control.learning.metrics import Meter, measure  # noqa: E402
from hybrid_control.learning.mirror import Mirror  # noqa: E402
from hybrid_control.snn import Network, Options, SparseLinear  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore:node")]

TICK = 1e-3


def layer(weights, threshold=0.5):
    """One layer of LIFs that keep nothing: voltage = what comes in."""
    net = Network()
    net.add_input("in", np.shape(weights)[1])
    net.add_population("cells", nir.LIF, np.shape(weights)[0], tau=TICK, v_threshold=threshold)
    net.connect("in", "cells", np.array(weights))
    net.add_output("out", "cells")
    return net


def ticks(*rows):
    """One sample."""
    return torch.tensor([rows], dtype=torch.float32)


def test_values_are_multiplied_and_spikes_added():
    net = layer([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    # not 0: 2 weights out of the first, 1 out of the second, 2 out of the third
    found = measure(net, ticks((0.3, 0.0, 0.2), (1.0, 1.0, 0.0), (0.0, 0.0, 0.0)))
    assert found.effective_macs == 2 + 2  # in the first tick
    assert found.effective_acs == 2 + 1  # in the second; nothing in the third
    assert found.dense == 3 * 6
    assert found.connection_sparsity == round(1 / 6, 4)


def test_a_value_that_is_no_spike_makes_its_whole_tick_one_of_products():
    found = measure(layer([[1.0, 1.0]]), ticks((1.0, 2.0), (1.0, -1.0)))
    assert (found.effective_macs, found.effective_acs) == (2, 2)


def test_activation_sparsity_is_the_share_of_silent_cells():
    # two cells, three ticks: (1, 1), (0, 1), (0, 0) spikes
    found = measure(layer([[1.0, 0.0], [0.0, 1.0]]), ticks((1, 1), (0, 1), (0, 0)))
    assert found.activation_sparsity == 3 / 6


def test_a_membrane_is_updated_where_its_voltage_changes_and_in_the_first_tick():
    # below the threshold: the first tick counts both cells; then 0.1 -> 0.2 in the first cell alone, then nothing
    found = measure(layer([[1.0, 0.0], [0.0, 1.0]]), ticks((0.1, 0.1), (0.2, 0.1), (0.2, 0.1)))
    assert found.membrane_updates == 2 + 1


def test_operations_are_means_over_samples():
    rows = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]]])
    found = measure(layer([[1.0, 1.0]]), rows)
    assert found.effective_acs == (2 + 1) / 2
    assert found.dense == 2


def test_a_convolution_counts_the_products_inside_its_image():
    net = nir.NIRGraph(
        {
            "in": nir.Input(np.array([1, 4])),
            "conv": nir.Conv1d(4, np.ones((2, 1, 3)), 1, 1, 1, 1, np.zeros(2)),
            "out": nir.Output(np.array([2, 4])),
        },
        [("in", "conv"), ("conv", "out")],
    )
    # the first pixel is in 2 windows, the second in 3, each for 2 channels; in all 2 + 3 + 3 + 2 places
    found = measure(net, torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]]))
    assert found.effective_acs == 2 * (2 + 3)
    assert found.dense == 2 * 10


def test_delayed_synapses_count_when_the_value_comes_to_them():
    net = Network()
    net.add_input("in", 1)
    net.add_population("cells", nir.LIF, 2, tau=TICK, v_threshold=9.0)
    pre, post, weight = np.array([0, 0]), np.array([0, 1]), np.array([1.0, 0.0])
    net.add("late", SparseLinear(np.array([2, 1]), pre, post, weight, np.array([TICK, 3 * TICK])))
    net.edge("in", "late")
    net.edge("late", "cells")
    net.add_output("out", "cells")
    found = measure(net, ticks((2.0,), (0.0,)))
    assert (found.effective_macs, found.dense, found.connection_sparsity) == (1, 2 * 2, 0.5)
    # 2 weights, 5 parameters of each cell (tau, r, v_leak, v_reset, v_threshold) and its voltage, 3 values on their
    # way, in float32; pre, post and delay of 2 synapses in int32
    assert found.footprint == 4 * (2 + 2 * 5 + 2 + 3) + 4 * 3 * 2


def test_a_threshold_is_an_activation():
    net = Network()
    net.add_input("in", 2)
    net.add("above", nir.Threshold(np.array([0.5, 0.5])))
    net.edge("in", "above")
    net.add_output("out", "above")
    assert measure(net, ticks((1.0, 0.0))).activation_sparsity == 0.5


def test_a_meter_that_goes_on_counts_on_and_can_be_cleared():
    meter = Meter(layer([[1.0, 1.0]]))
    _, state = meter(ticks((1.0, 1.0)))
    meter.clear()
    meter(ticks((1.0, 0.0)), state)
    # the spike before reset the voltage to 0, so this one changes nothing but that: 1 -> reset again to 0
    assert (meter.metrics().effective_acs, meter.metrics().membrane_updates) == (1, 0)


def test_what_has_run_nothing_has_no_metrics():
    with pytest.raises(ValueError, match="no sample was run yet"):
        Meter(layer([[1.0]])).metrics()


def test_named_is_as_neurobench_returns_it():
    found = measure(layer([[1.0]]), ticks((1.0,)))
    assert found.named() == {
        "Footprint": 4 * (1 + 5 + 1),
        "ConnectionSparsity": 0.0,
        "ActivationSparsity": 0.0,
        "SynapticOperations": {"Effective_MACs": 0, "Effective_ACs": 1, "Dense": 1},
        "MembraneUpdates": 1,
    }
    assert found.joules() == pytest.approx(0.9e-12)


@settings(max_examples=30, deadline=None)
@given(networks(), options, st.integers(0, 2**31))
def test_any_graph_can_be_measured_and_runs_as_in_the_mirror(net, chosen, seed):
    x = {n: torch.from_numpy(np.asarray(v)[None]) for n, v in drive_of(net, 12, seed).items()}
    meter, mirror = Meter(net, Options(**chosen)), Mirror(net, Options(**chosen))
    with torch.no_grad():
        wanted, _ = mirror(x)
    got, _ = meter(x)
    for a, b in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    found = meter.metrics()
    assert 0 <= found.effective_macs + found.effective_acs <= found.dense
    assert 0 <= found.activation_sparsity <= 1
