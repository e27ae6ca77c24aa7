"""Networks of torch and Keras as parts, through their own exporters."""

import sys

import numpy as np
import pytest

from hybrid_control.ann import ModelError, exported
from hybrid_control.cosim import HybridError, run
from hybrid_control.cosim.hybrid import build

MODULE = """
import torch

class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x, y):
        return torch.relu(self.layer(x)) + y
"""


def test_cosim_what_is_no_network_is_refused_in_one_line():
    with pytest.raises(ModelError, match=r"a dict; expected a torch module or a Keras model"):
        exported({})


@pytest.mark.train
def test_cosim_a_torch_module_is_a_part_that_gives_what_torch_gives(tmp_path):
    torch = pytest.importorskip("torch")

    (tmp_path / "net.py").write_text(MODULE)
    rows = np.random.default_rng(0).normal(size=(5, 4))
    np.save(tmp_path / "x.npy", rows)
    content = {
        "hybrid": 1, "until": "50 ms", "record": ["net.out"],
        "parts": {
            "x": {"source": "x.npy", "period": "10 ms"},
            "net": {"ann": "net.py:Two", "sizes": {"x": [4], "y": [3]}, "period": "10 ms"},
        },
        "links": ["x -> net.x"],
    }  # fmt: skip
    out = run(build(content, tmp_path))["net.out"]
    space = {}
    exec(MODULE, space)
    with torch.no_grad():
        wanted = space["Two"]().eval()(torch.tensor(rows, dtype=torch.float32), torch.zeros(5, 3)).numpy()
    assert out == pytest.approx(wanted, abs=1e-6)
    content["parts"]["net"]["sizes"] = {"z": [4]}
    with pytest.raises(HybridError, match=r"net: Two: sizes are of z; its forward takes x, y"):
        build(content, tmp_path)


@pytest.mark.train
def test_cosim_a_keras_model_is_a_part_that_gives_what_keras_gives(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    keras = sys.modules["keras"]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
    x = np.random.default_rng(1).normal(size=4)
    given = exported(model)
    (name,) = given.inputs
    assert given({name: x})[next(iter(given.outputs))] == pytest.approx(
        np.asarray(model(x[None].astype(np.float32)).detach())[0], abs=1e-5
    )
