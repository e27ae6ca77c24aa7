"""Spike for spike against sinabs' layers, which decay exponentially and spike at the threshold itself."""

import numpy as np
import pytest
from peers_cases import DT, SIZES, Case, assert_same, is_lively, layered

from hybrid_control.snn import AdaptiveLIF, Engine, Network

torch = pytest.importorskip("torch")
pytest.importorskip("sinabs")

import sinabs.layers as sl  # noqa: E402
from sinabs.activation import MembraneReset, MembraneSubtract, SingleSpike  # noqa: E402

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Recurrent(torch.nn.Module):
    """A linear map for spikes, which sinabs gives as float32."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, spikes):
        return spikes.double() @ self.weights.T


def neuron(layer, reset):
    p = layer.parameters
    how = MembraneSubtract() if reset == "subtract" else MembraneReset()
    spiking = {"spike_fn": SingleSpike, "reset_fn": how}
    if "v_threshold" in p:
        spiking["spike_threshold"] = torch.tensor(p["v_threshold"])
    if layer.kind == "IF":
        return sl.IAF(**spiking), p["r"] * DT
    if layer.kind == "LI":
        gain = p["r"] * -np.expm1(-DT / p["tau"])
        return sl.ExpLeak(torch.tensor(p["tau"] / DT), norm_input=False), gain
    if layer.kind == "LIF":
        tau = torch.tensor(p["tau"] / DT)
        if layer.recurrent is not None:
            return sl.LIFRecurrent(tau, Recurrent(p["r"][:, None] * layer.recurrent), **spiking), p["r"]
        return sl.LIF(tau, **spiking), p["r"]
    # sinabs decays what it has just added to the current, and adds it whole
    keep = np.exp(-DT / p["tau_syn"])
    gain = p["r"] * p["w_in"] * (1 - keep) / keep
    taus = (torch.tensor(p[t] / DT) for t in ("tau_mem", "tau_syn"))
    return sl.LIF(*taus, **spiking), gain


@torch.no_grad()
def run(case: Case, reset="value"):
    value = torch.tensor(case.x)[None]
    outputs = []
    for layer in case.layers:
        made, gain = neuron(layer, reset)
        value = made(value.double() @ torch.tensor(gain[:, None] * layer.weights).T)
        outputs.append(value[0].numpy().copy())
    return outputs


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_feed_forward_spikes_equal_sinabs(kind, sizes, reset):
    case = layered(kind, sizes)
    assert_same(case, case.engine(scheme="exponential", reset=reset), run(case, reset))


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("sizes", SIZES)
def test_recurrent_lif_spikes_equal_sinabs(sizes, reset):
    case = layered("LIF", sizes, recurrent=True)
    assert_same(case, case.engine(scheme="exponential", reset=reset), run(case, reset))


@pytest.mark.parametrize("sizes", SIZES)
def test_leaky_integrator_voltages_equal_sinabs(sizes):
    case = layered("LI", sizes)
    assert_same(
        case, case.engine(scheme="exponential"), run(case), rtol=5e-6
    )  # it keeps that decay as float32


def test_sinabs_if_takes_its_input_whole_as_with_if_step_one():
    case = layered("IF", (3, 5))
    case.layers[0].weights *= DT
    (layer,) = case.layers
    value = sl.IAF(
        spike_threshold=torch.tensor(layer.parameters["v_threshold"]),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
    )(torch.tensor(case.x)[None] @ torch.tensor(layer.parameters["r"][:, None] * layer.weights).T)
    assert_same(case, case.engine(if_step="one"), [value[0].numpy()])


@torch.no_grad()
def test_adaptive_threshold_equals_sinabs_alif():
    """sinabs adds (1 - a) per spike and compares before the decay; the engine adds 1 and decays first."""
    rng = np.random.default_rng(3)
    n, tau, tau_adapt, scale = 40, 10e-3, 40e-3, 6.0
    weights, x = rng.normal(0.6, 0.2, (n, 10)), rng.uniform(0, 1, (400, 10))
    keep = np.exp(-DT / tau_adapt)
    net = Network()
    net.add_input("input", 10)
    net.add_population("cells", AdaptiveLIF, n, tau=tau, tau_adapt=tau_adapt, beta=scale * (1 - keep) / keep)
    net.connect("input", "cells", weights)
    net.add_output("output", "cells")
    ours = Engine(net, dt=DT, dtype=np.float64, scheme="exponential").run(x)
    layer = sl.ALIF(
        torch.tensor(tau / DT),
        torch.tensor(tau_adapt / DT),
        adapt_scale=scale,
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
    )
    theirs = layer(torch.tensor(x)[None] @ torch.tensor(weights).T)[0].numpy()
    assert is_lively(ours)
    np.testing.assert_array_equal(ours, theirs)
