"""A graph with two inputs, two outputs, a nested graph, a cycle through it and a self-loop, against three tools.

The neurons are the tools' own, driven by hand in the order that the engine's documentation gives.
"""

import nir
import numpy as np
import pytest
from peers_cases import DT, is_lively
from test_peers_convolution import TOOLS, lif

from hybrid_control.snn import Engine

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(rng):
    """Weights by name, and the graph: left, Threshold of right -> a <-> sub(Affine, Scale, LIF b), a -> a."""
    w = {
        "left_a": rng.normal(0.6, 0.3, (30, 6)),
        "right_a": rng.normal(0.3, 0.3, (30, 5)),
        "a_a": rng.normal(0.0, 0.6, (30, 30)),
        "a_b": rng.normal(0.9, 0.9, (20, 30)),
        "b_a": rng.normal(-0.3, 0.6, (30, 20)),
        "bias": rng.normal(0.1, 0.1, 20),
        "scale": rng.uniform(0.7, 1.3, 20),
        "level": rng.uniform(0.3, 0.7, 5),
    }
    sub = nir.NIRGraph(
        {
            "input": nir.Input(np.array([30])),
            "affine": nir.Affine(w["a_b"], w["bias"]),
            "scale": nir.Scale(w["scale"]),
            "b": lif((20,)),
            "output": nir.Output(np.array([20])),
        },
        [("input", "affine"), ("affine", "scale"), ("scale", "b"), ("b", "output")],
    )
    nodes = {
        "left": nir.Input(np.array([6])),
        "right": nir.Input(np.array([5])),
        "threshold": nir.Threshold(w["level"]),
        "a": lif((30,)),
        "sub": sub,
        "out_a": nir.Output(np.array([30])),
        "out_b": nir.Output(np.array([20])),
        **{name: nir.Linear(w[name]) for name in ("left_a", "right_a", "a_a", "b_a")},
    }
    edges = [
        ("left", "left_a"),
        ("left_a", "a"),
        ("right", "threshold"),
        ("threshold", "right_a"),
        ("right_a", "a"),
        ("a", "a_a"),
        ("a_a", "a"),
        ("a", "sub"),
        ("sub", "b_a"),
        ("b_a", "a"),
        ("a", "out_a"),
        ("sub", "out_b"),
    ]
    return w, nir.NIRGraph(nodes, edges, type_check=False)


@torch.no_grad()
def by_hand(w, left, right, make):
    w = {name: torch.tensor(value) for name, value in w.items()}
    cells = {"a": make(), "b": make()}
    last = {"a": torch.zeros(1, 30), "b": torch.zeros(1, 20)}
    outputs = {"a": [], "b": []}
    for x, y in zip(torch.tensor(left), torch.tensor(right), strict=True):
        above = (y[None] > w["level"]).double()
        current = x[None] @ w["left_a"].T + above @ w["right_a"].T
        current = current + last["a"] @ w["a_a"].T + last["b"] @ w["b_a"].T
        last["a"] = cells["a"](current).double()
        last["b"] = cells["b"](w["scale"] * (last["a"] @ w["a_b"].T + w["bias"])).double()
        for name, values in last.items():
            outputs[name].append(values[0].numpy().copy())
    return {name: np.array(values) for name, values in outputs.items()}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_graph_with_cycles_a_nested_graph_and_several_inputs_and_outputs(tool):
    rng = np.random.default_rng(9)
    make, scheme = TOOLS[tool]
    w, graph = build(rng)
    left, right = rng.uniform(0, 1, (300, 6)), rng.uniform(0, 1, (300, 5))
    theirs = by_hand(w, left, right, make)
    ours = Engine(graph, dt=DT, dtype=np.float64, scheme=scheme).run({"left": left, "right": right})
    for name in ("a", "b"):
        assert is_lively(ours[f"out_{name}"])
        np.testing.assert_array_equal(ours[f"out_{name}"], theirs[name], err_msg=name)
