"""Files that other tools' own exporters write, run as they are, give the spikes that the tool gives."""

import nir
import numpy as np
import pytest

from hybrid_control.snn import Engine, Network
from hybrid_control.snn.nir.files import write

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _unchecked(monkeypatch):
    """nir 1.0.8 refuses the parameters without a dimension that these exporters give; older ones let them pass."""
    monkeypatch.setattr(nir.NIRGraph, "infer_types", lambda self: None)
    monkeypatch.setattr(nir.NIRGraph, "check_types", lambda self: True)
    torch.manual_seed(0)


def layers(first, second):
    return torch.nn.Linear(8, 16), first, torch.nn.Linear(16, 4), second


def louder(net, factor):
    """Weights of the maps alone: sinabs' layers share one tensor as their default threshold."""
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
                for weights in layer.parameters():
                    weights *= factor
    return net


def assert_same_spikes(graph, x, spikes, path, **options):
    write(path / "net.nir", graph)
    engine = Engine(Network.load(path / "net.nir"), dtype=np.float64, **options)
    assert 0.02 < spikes.mean() < 0.9
    np.testing.assert_array_equal(engine.run(x).reshape(spikes.shape), spikes)


X = (np.random.default_rng(0).random((60, 1, 8)) < 0.4).astype(np.float32)


def test_snntorch(tmp_path):
    snn = pytest.importorskip("snntorch")
    from snntorch.export_nir import export_to_nir

    kinds = {"beta": 0.9, "init_hidden": True, "reset_mechanism": "zero"}
    net = louder(torch.nn.Sequential(*layers(snn.Leaky(**kinds), snn.Leaky(**kinds))), 2)
    with torch.no_grad():
        graph = export_to_nir(net, torch.ones(8))
        spikes = np.stack([net(torch.from_numpy(row))[0].numpy() for row in X])
    assert_same_spikes(graph, X[:, 0], spikes, tmp_path, dt=1e-4)


def test_norse(tmp_path):
    norse = pytest.importorskip("norse.torch")
    net = louder(norse.SequentialState(*layers(norse.LIFBoxCell(), norse.LIFBoxCell())), 20)
    state, rows = None, []
    with torch.no_grad():
        graph = norse.to_nir(net, torch.ones(8))
        for row in X:
            spikes, state = net(torch.from_numpy(row), state)
            rows.append(spikes[0].numpy())
    assert_same_spikes(graph, X[:, 0], np.stack(rows), tmp_path, dt=1e-6)


def test_sinabs(tmp_path):
    pytest.importorskip("sinabs")
    import sinabs.layers as sl
    from sinabs.activation import SingleSpike
    from sinabs.nir import to_nir

    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, padding=1, stride=2, bias=False),
        sl.LIFSqueeze(tau_mem=20.0, batch_size=1, spike_fn=SingleSpike),
        sl.SumPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(12, 5),
        sl.IAFSqueeze(batch_size=1, spike_fn=SingleSpike),
    )
    x = (np.random.default_rng(1).random((60, 1, 8, 8)) < 0.4).astype(np.float32)
    with torch.no_grad():
        louder(net, 6)
        spikes = net(torch.from_numpy(x)).numpy()
        for layer in (net[1], net[5]):
            layer.reset_states()
        graph = to_nir(net, torch.from_numpy(x[:1]))
    assert_same_spikes(graph, x, spikes, tmp_path, dt=1.0, scheme="exponential", reset="subtract")
