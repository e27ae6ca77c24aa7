"""Spike for spike against Norse's functional steps with the same weights."""

import numpy as np
import pytest
from peers_cases import DT, SIZES, Case, Layer, assert_same, is_lively, layered

from hybrid_control.snn import AdaptiveCubaLIF, Engine, Network

torch = pytest.importorskip("torch")
pytest.importorskip("norse")

from norse.torch.functional import iaf, leaky_integrator, lif, lif_refrac, lsnn  # noqa: E402
from norse.torch.functional import leaky_integrator_box as li_box  # noqa: E402
from norse.torch.functional import lif_box as box  # noqa: E402
from norse.torch.functional.reset import reset_subtract, reset_value  # noqa: E402

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def tensor(p, name, n):
    return torch.tensor(p.get(name, np.zeros(n)))


def neuron(layer: Layer, reset):
    """A function from currents to what the layer gives, and the factor that Norse's own equation lacks."""
    p, n = layer.parameters, layer.size
    zero = torch.zeros(1, n)
    leak, back, level = (tensor(p, name, n) for name in ("v_leak", "v_reset", "v_threshold"))
    if layer.kind == "IF":
        values = iaf.IAFParameters(v_th=level, v_reset=back, method="heaviside")
        state = iaf.IAFFeedForwardState(v=zero)
        return lambda x, s: iaf.iaf_feed_forward_step(x, s, values), state, p["r"] * DT
    if layer.kind == "LIF":
        how = reset_subtract if reset == "subtract" else reset_value
        values = box.LIFBoxParameters(
            1 / tensor(p, "tau", n), leak, level, back, "heaviside", reset_method=how
        )
        state = box.LIFBoxFeedForwardState(v=leak[None])
        return lambda x, s: box.lif_box_feed_forward_step(x, s, values, DT), state, p["r"]
    if layer.kind == "LI":
        values = li_box.LIBoxParameters(1 / tensor(p, "tau", n), leak)
        state = li_box.LIBoxState(leak[None])
        return lambda x, s: li_box.li_box_feed_forward_step(x, s, values, DT), state, p["r"]
    # Norse adds spikes to the current; NIR moves the current a fraction dt / tau_syn towards w_in times them
    gain = p["r"] * p["w_in"] * DT / p["tau_syn"]
    tau_s, tau_m = 1 / tensor(p, "tau_syn", n), 1 / tensor(p, "tau_mem", n)
    if layer.kind == "CubaLI":
        values = leaky_integrator.LIParameters(tau_s, tau_m, leak)
        state = leaky_integrator.LIState(leak[None], zero)
        return lambda x, s: leaky_integrator.li_feed_forward_step(x, s, values, DT), state, gain
    values = lif.LIFParameters(tau_s, tau_m, leak, level, back, "heaviside")
    state = lif.LIFFeedForwardState(leak[None], zero)
    return lambda x, s: lif.lif_feed_forward_step(x, s, values, DT), state, gain


@torch.no_grad()
def run(case: Case, reset="value"):
    made = [neuron(layer, reset) for layer in case.layers]
    states = [m[1] for m in made]
    outputs = [[] for _ in case.layers]
    last = [torch.zeros(1, layer.size) for layer in case.layers]
    for row in torch.tensor(case.x):
        value = row[None]
        for i, layer in enumerate(case.layers):
            step, _, gain = made[i]
            current = value @ torch.tensor(gain[:, None] * layer.weights).T
            if layer.recurrent is not None:
                current = current + last[i] @ torch.tensor(gain[:, None] * layer.recurrent).T
            value, states[i] = step(current, states[i])
            last[i] = value
            outputs[i].append(value[0].numpy().copy())
    return [np.array(out) for out in outputs]


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_feed_forward_spikes_equal_norse(kind, sizes, offsets):
    case = layered(kind, sizes, offsets=offsets)
    assert_same(case, case.engine(), run(case))


@pytest.mark.parametrize("sizes", SIZES)
def test_lif_box_with_subtraction_equals_norse(sizes):
    case = layered("LIF", sizes)
    assert_same(case, case.engine(reset="subtract"), run(case, "subtract"))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_recurrent_spikes_equal_norse(kind, sizes):
    case = layered(kind, sizes, recurrent=True, offsets=True)
    assert_same(case, case.engine(), run(case))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["LI", "CubaLI"])
def test_voltages_without_threshold_equal_norse(kind, sizes):
    case = layered(kind, sizes, offsets=True)
    assert_same(case, case.engine(), run(case))


@torch.no_grad()
def test_norses_own_recurrent_lif_step_is_current_first_with_recurrence_one_tick_late():
    case = layered("CubaLIF", (20, 50), recurrent=True)
    (layer,) = case.layers
    _, _, gain = neuron(layer, "value")
    p = layer.parameters
    values = lif.LIFParameters(
        1 / torch.tensor(p["tau_syn"]),
        1 / torch.tensor(p["tau_mem"]),
        v_th=torch.tensor(p["v_threshold"]),
        v_reset=torch.zeros(50),
        method="heaviside",
    )
    state = lif.LIFState(torch.zeros(1, 50), torch.zeros(1, 50), torch.zeros(1, 50))
    weights, recurrent = (torch.tensor(gain[:, None] * w) for w in (layer.weights, layer.recurrent))
    out = []
    for row in torch.tensor(case.x):
        z, state = lif.lif_step(row[None], state, weights, recurrent, values, DT)
        out.append(z[0].numpy())
    assert_same(case, case.engine(), [np.array(out)])


def single(node_type, n, weights, **parameters):
    net = Network()
    net.add_input("input", weights.shape[1])
    net.add_population("cells", node_type, n, **parameters)
    net.connect("input", "cells", weights)
    net.add_output("output", "cells")
    return net


@torch.no_grad()
def test_refractory_lif_equals_norse():
    rng = np.random.default_rng(1)
    n, rho = 60, 5
    weights, x = rng.normal(2.0, 0.3, (n, 10)), rng.uniform(0, 1, (300, 10))
    net = single(
        AdaptiveCubaLIF,
        n,
        weights,
        tau_syn=5e-3,
        tau_mem=10e-3,
        w_in=5.0,
        tau_adapt=0.1,
        beta=0.0,
        refractory=rho * DT,
    )
    ours = Engine(net, dt=DT, dtype=np.float64).run(x)
    values = lif_refrac.LIFRefracParameters(
        lif.LIFParameters(torch.tensor(200.0), torch.tensor(100.0), method="heaviside"), torch.tensor(rho)
    )
    zero = torch.zeros(1, n)
    state = lif_refrac.LIFRefracFeedForwardState(lif.LIFFeedForwardState(zero, zero), zero)
    out = []
    for row in torch.tensor(x):
        z, state = lif_refrac.lif_refrac_feed_forward_step(
            row[None] @ torch.tensor(weights).T, state, values, DT
        )
        out.append(z[0].numpy())
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, np.array(out))


@torch.no_grad()
def test_adaptive_threshold_equals_norses_lsnn_with_the_old_current_and_voltage_first():
    rng = np.random.default_rng(2)
    n, level, beta = 60, 1.0, 0.6
    weights, x = rng.normal(0.6, 0.2, (n, 10)), rng.uniform(0, 1, (400, 10))
    net = single(
        AdaptiveCubaLIF,
        n,
        weights,
        tau_syn=5e-3,
        tau_mem=10e-3,
        w_in=5.0,
        v_threshold=level,
        tau_adapt=50e-3,
        beta=beta,
    )
    ours = Engine(net, dt=DT, dtype=np.float64, order="voltage_first").run(x)
    values = lsnn.LSNNParameters(
        tau_syn_inv=torch.tensor(200.0),
        tau_mem_inv=torch.tensor(100.0),
        tau_adapt_inv=torch.tensor(20.0),
        v_th=torch.tensor(level),
        v_reset=torch.tensor(0.0),
        beta=torch.tensor(beta),
        method="heaviside",
    )
    zero = torch.zeros(1, n)
    state = lsnn.LSNNFeedForwardState(v=zero, i=zero, b=zero + level)
    out = []
    for row in torch.tensor(x):
        z, state = lsnn.lsnn_feed_forward_step(row[None] @ torch.tensor(weights).T, state, values, DT)
        out.append(z[0].numpy())
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, np.array(out))
