"""Spike for spike against Rockpool's torch modules: exponential decay, subtraction, a spike at the threshold itself.

Rockpool keeps parameters and state as float32; the engine runs in float64 here as against every other tool.
"""

import numpy as np
import pytest
from peers_cases import DT, SIZES, Case, assert_same, layered

torch = pytest.importorskip("torch")
pytest.importorskip("rockpool")

from rockpool.nn.modules.torch import ExpSynTorch, LIFNeuronTorch, LIFTorch  # noqa: E402

pytestmark = pytest.mark.peers


def single(values):
    return torch.tensor(values, dtype=torch.float32)


def neuron(layer):
    p = {name: single(value) for name, value in layer.parameters.items()}
    share = lambda tau: -np.expm1(-DT / layer.parameters[tau])  # noqa: E731
    common = {"dt": DT, "max_spikes_per_dt": torch.tensor(1.0)}
    if layer.kind == "LI":
        # a synapse decays what it has just taken in: what it gives is NIR's LI with another factor
        return ExpSynTorch((layer.size,), tau=p["tau"], dt=DT), layer.parameters["r"] * share("tau") / (
            1 - share("tau")
        )
    if layer.kind == "LIF":
        made = LIFNeuronTorch(
            (layer.size,),
            tau_mem=p["tau"],
            threshold=p["v_threshold"],
            bias=torch.zeros(layer.size),
            **common,
        )
        return made, layer.parameters["r"] * share("tau")
    gain = layer.parameters["w_in"] * share("tau_syn") / (1 - share("tau_syn"))
    gain = gain * layer.parameters["r"] * share("tau_mem")
    recurrent = {}
    if layer.recurrent is not None:
        recurrent = {"has_rec": True, "w_rec": single(gain[:, None] * layer.recurrent).T}
    made = LIFTorch(
        (layer.size,),
        tau_mem=p["tau_mem"],
        tau_syn=p["tau_syn"][:, None],
        threshold=p["v_threshold"],
        bias=torch.zeros(layer.size),
        **recurrent,
        **common,
    )
    return made, gain


@torch.no_grad()
def run(case: Case):
    value = single(case.x)[None]
    outputs = []
    for layer in case.layers:
        made, gain = neuron(layer)
        value, *_ = made(value @ single(gain[:, None] * layer.weights).T)
        outputs.append(value[0].numpy().copy())
    return outputs


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_cuba_lif_spikes_equal_rockpool(sizes, recurrent):
    case = layered("CubaLIF", sizes, recurrent=recurrent)
    assert_same(case, case.engine(scheme="exponential", reset="subtract"), run(case))


@pytest.mark.parametrize("sizes", SIZES)
def test_lif_spikes_equal_rockpool(sizes):
    case = layered("LIF", sizes)
    assert_same(case, case.engine(scheme="exponential", reset="subtract"), run(case))


@pytest.mark.parametrize("sizes", SIZES)
def test_leaky_integrator_equals_rockpools_exponential_synapse(sizes):
    case = layered("LI", sizes)
    assert_same(case, case.engine(scheme="exponential"), run(case), rtol=5e-6)
