"""Spike for spike against snnTorch, built from its own neurons with the same weights."""

import numpy as np
import pytest
from peers_cases import DT, SIZES, assert_same, layered

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def gains(layer):
    """snnTorch adds its input as it is: what NIR multiplies it with goes into the weights."""
    p = layer.parameters
    if "tau_syn" in p:
        return DT / p["tau_syn"] * p["w_in"] * DT / p["tau_mem"] * p["r"]
    return p["r"] * DT / p["tau"] if "tau" in p else p["r"] * DT


def neuron(layer, reset, delayed):
    p = layer.parameters
    common = {
        "threshold": torch.tensor(p.get("v_threshold", np.ones(layer.size))),
        "reset_mechanism": reset if "v_threshold" in p else "none",
        "reset_delay": delayed,
    }
    if "tau_syn" in p:
        alpha, beta = (torch.tensor(1 - DT / p[t]) for t in ("tau_syn", "tau_mem"))
        return snn.Synaptic(alpha, beta, **common)
    beta = torch.tensor(1 - DT / p["tau"]) if "tau" in p else torch.ones(layer.size)
    if layer.recurrent is None:
        return snn.Leaky(beta, **common)
    made = snn.RLeaky(beta, linear_features=layer.size, **common)
    made.recurrent.weight.data[:] = torch.tensor(gains(layer)[:, None] * layer.recurrent)
    made.recurrent.bias.data[:] = 0.0
    return made


@torch.no_grad()
def run(case, reset, delayed=False):
    neurons = [neuron(layer, reset, delayed) for layer in case.layers]
    weights = [torch.tensor(gains(layer)[:, None] * layer.weights) for layer in case.layers]
    outputs = [[] for _ in case.layers]
    for row in torch.tensor(case.x):
        value = row[None]
        for layer, made, weight, out in zip(case.layers, neurons, weights, outputs, strict=True):
            spikes, *_, mem = made(value @ weight.T)
            value = (spikes if "v_threshold" in layer.parameters else mem).double()
            if layer.recurrent is not None:
                made.spk = value  # snnTorch gives spikes as float32
            out.append(value[0].numpy().copy())
    return [np.array(out) for out in outputs]


RESETS = [("zero", "value"), ("subtract", "subtract")]


@pytest.mark.parametrize(("theirs", "ours"), RESETS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_feed_forward_spikes_equal_snntorch(kind, sizes, theirs, ours):
    case = layered(kind, sizes)
    assert_same(case, case.engine(reset=ours), run(case, theirs))


@pytest.mark.parametrize(("theirs", "ours"), RESETS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["IF", "LIF"])
def test_recurrent_spikes_equal_snntorch(kind, sizes, theirs, ours):
    case = layered(kind, sizes, recurrent=True)
    assert_same(case, case.engine(reset=ours), run(case, theirs))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["I", "LI", "CubaLI"])
def test_voltages_without_threshold_equal_snntorch(kind, sizes):
    case = layered(kind, sizes)
    assert_same(case, case.engine(), run(case, "none"))


def test_snntorchs_default_delayed_reset_to_zero_gives_the_same_spikes():
    case = layered("LIF", (3, 5, 4))
    assert_same(case, case.engine(reset="value"), run(case, "zero", delayed=True))


def test_snntorchs_default_delayed_subtraction_is_another_scheme():
    """beta (v - threshold) here, beta v - threshold there: no option of the engine matches that."""
    case = layered("LIF", (64, 256, 8))
    ours, theirs = case.engine(reset="subtract"), run(case, "subtract", delayed=True)
    assert (ours[0] != theirs[0]).any()
