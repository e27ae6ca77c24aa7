"""NeuroBench's own metrics of torch networks, beside ours of the same networks in NIR."""

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("neurobench")
snntorch = pytest.importorskip("snntorch")

from neurobench.benchmarks import Benchmark  # noqa: E402
from neurobench.metrics.static import ConnectionSparsity, Footprint  # noqa: E402
from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations  # noqa: E402
from neurobench.models import SNNTorchModel, TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from hybrid_control.learning.metrics import measure  # noqa: E402
from hybrid_control.snn import Network, Options  # noqa: E402

pytestmark = pytest.mark.peers

TICK, BETA = 1e-3, 0.75
OPTIONS = Options(dt=TICK, initial="zero")


def theirs(model, x, metrics):
    loader = DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=len(x))
    return Benchmark(model, loader, [], [], metrics).run(quiet=True)


def matrix(rng, out, of, zeros=0.3):
    """Weights of which some are 0, on a grid of 1/64 so that sums are exact in any order."""
    weights = rng.integers(-48, 96, (out, of)) / 64
    return np.where(rng.random((out, of)) < zeros, 0.0, weights)


class Spiking(nn.Module):
    """Linear maps, each followed by snnTorch's Leaky: v = beta v + x, 0 after a spike."""

    def __init__(self, weights):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(w.shape[1], w.shape[0], bias=False) for w in weights)
        self.cells = nn.ModuleList(
            snntorch.Leaky(BETA, reset_mechanism="zero", reset_delay=False, init_hidden=True) for _ in weights
        )
        with torch.no_grad():
            for layer, w in zip(self.maps, weights, strict=True):
                layer.weight.copy_(torch.from_numpy(w))

    def forward(self, x):
        for layer, cells in zip(self.maps, self.cells, strict=True):
            x = cells(layer(x))
        return x, None


def spiking(weights):
    """The same in NIR: with tau = dt / (1 - beta), v = beta v + (1 - beta) r x."""
    net = Network()
    before = net.add_input("in", weights[0].shape[1])
    for i, w in enumerate(weights):
        name = net.add_population(
            f"cells{i}", nir.LIF, len(w), tau=TICK / (1 - BETA), r=1 / (1 - BETA), v_threshold=1.0
        )
        net.connect(before, name, w)
        before = name
    net.add_output("out", before)
    return net


@pytest.mark.parametrize("kind", ["spikes", "values"])
@pytest.mark.parametrize("seed", range(4))
def test_a_spiking_network_has_neurobenchs_operations_sparsity_and_updates(seed, kind):
    rng = np.random.default_rng(seed)
    weights = [matrix(rng, 12, 7), matrix(rng, 9, 12), matrix(rng, 3, 9)]
    drive = rng.integers(0, 2, (5, 20, 7)) * (1 if kind == "spikes" else rng.integers(1, 9, (5, 20, 7)) / 8)
    x = torch.tensor(drive, dtype=torch.float32)
    workload = [ActivationSparsity, SynapticOperations, MembraneUpdates]
    wanted = theirs(SNNTorchModel(Spiking(weights)), x, [[ConnectionSparsity], workload])
    got = measure(spiking(weights), x, OPTIONS).named()
    assert got["SynapticOperations"]["Effective_ACs"] > 0
    for name in wanted:
        assert got[name] == pytest.approx(wanted[name], rel=1e-12), name


def test_maps_of_values_have_neurobenchs_footprint_and_operations():
    rng = np.random.default_rng(5)
    weights, bias = [matrix(rng, 6, 4), matrix(rng, 5, 6)], rng.normal(size=6)
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 5, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(weights[0]))
        model[0].bias.copy_(torch.from_numpy(bias))
        model[1].weight.copy_(torch.from_numpy(weights[1]))
    x = torch.from_numpy(rng.normal(size=(8, 4)) * (rng.random((8, 4)) < 0.7)).float()
    wanted = theirs(TorchModel(model), x, [[Footprint, ConnectionSparsity], [SynapticOperations]])
    net = Network()
    net.add_input("in", 4)
    net.add("first", nir.Affine(weights[0], bias))
    net.add("second", nir.Linear(weights[1]))
    net.edge("in", "first")
    net.edge("first", "second")
    net.add_output("out", "second")
    got = measure(net, x[:, None], OPTIONS).named()
    for name in wanted:
        assert got[name] == pytest.approx(wanted[name], rel=1e-12), name


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_has_neurobenchs_operations(groups):
    rng = np.random.default_rng(6)
    weight = matrix(rng, 4, 2 // groups * 9).reshape(4, 2 // groups, 3, 3)
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=groups, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
    x = torch.from_numpy(rng.normal(size=(3, 2, 7, 6)) * (rng.random((3, 2, 7, 6)) < 0.6)).float()
    wanted = theirs(TorchModel(nn.Sequential(layer)), x, [[ConnectionSparsity], [SynapticOperations]])
    net = nir.NIRGraph(
        {
            "in": nir.Input(np.array([2, 7, 6])),
            "conv": nir.Conv2d((7, 6), weight, 2, 1, 1, groups, np.zeros(4)),
            "out": nir.Output(np.array([4, 4, 3])),
        },
        [("in", "conv"), ("conv", "out")],
        type_check=False,  # which knows no groups
    )
    got = measure(net, x[:, None], OPTIONS).named()
    for name in wanted:
        assert got[name] == pytest.approx(wanted[name], rel=1e-12), name
