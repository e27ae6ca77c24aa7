"""Convolutional networks, to some 30,000 neurons, spike for spike against snnTorch, Norse and sinabs.

The maps are torch's own; each tool brings its neurons, and sinabs its sum pooling.
"""

from itertools import pairwise

import nir
import numpy as np
import pytest
from peers_cases import DT, is_lively

from hybrid_control.snn import Engine

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.peers

TAU = 10e-3
SHARE = {"euler": DT / TAU, "exponential": -np.expm1(-DT / TAU)}


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def snntorch_lif():
    snn = pytest.importorskip("snntorch")
    cell = snn.Leaky(torch.tensor(1 - SHARE["euler"]), reset_mechanism="zero", reset_delay=False)
    return lambda current: cell(SHARE["euler"] * current)[0]


def norse_lif():
    pytest.importorskip("norse")
    from norse.torch.functional import lif_box

    state = []
    values = lif_box.LIFBoxParameters(torch.tensor(1 / TAU), method="heaviside")

    def step(current):
        state[:] = state or [lif_box.LIFBoxFeedForwardState(torch.zeros_like(current))]
        spikes, state[0] = lif_box.lif_box_feed_forward_step(current, state[0], values, DT)
        return spikes

    return step


def sinabs_lif():
    layers = pytest.importorskip("sinabs.layers")
    from sinabs.activation import MembraneReset, SingleSpike

    cell = layers.LIF(torch.tensor(TAU / DT), spike_fn=SingleSpike, reset_fn=MembraneReset())
    return lambda current: cell(current[:, None])[:, 0]


TOOLS = {
    "snntorch": (snntorch_lif, "euler"),
    "norse": (norse_lif, "euler"),
    "sinabs": (sinabs_lif, "exponential"),
}


def lif(shape):
    one = np.ones(shape)
    return nir.LIF(tau=TAU * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


class Stack:
    """A chain of maps and LIF layers, both as NIR nodes and as torch functions."""

    def __init__(self, shape, rng):
        self.rng, self.shapes, self.input = rng, [], tuple(shape)
        self.nodes = {"input": nir.Input(np.array(shape))}
        self.functions = []
        self.shape = tuple(shape)

    def map(self, node, function):
        self.nodes[f"n{len(self.nodes)}"] = node
        self.functions.append(function)
        with torch.no_grad():
            self.shape = tuple(function(torch.zeros(1, *self.shape)).shape[1:])
        return self

    def lif(self):
        self.nodes[f"n{len(self.nodes)}"] = lif(self.shape)
        self.functions.append(None)
        self.shapes.append(self.shape)
        return self

    def convolution(self, channels, kernel, drive, stride=1, padding=0, dilation=1, groups=1, bias=True):
        dimensions = len(self.shape) - 1
        fan = self.shape[0] // groups * kernel**dimensions
        weight = self.rng.normal(
            drive / fan,
            0.6 * drive / np.sqrt(fan),
            (channels, self.shape[0] // groups) + (kernel,) * dimensions,
        )
        offset = self.rng.normal(0.2, 0.1, channels) if bias else np.zeros(channels)
        values = tuple(torch.tensor(v) for v in (weight, offset))
        if dimensions == 2:
            pair = lambda v: (v, v)  # noqa: E731
            node = nir.Conv2d(
                self.shape[1:], weight, pair(stride), pair(padding), pair(dilation), groups, offset
            )
            run = torch.nn.functional.conv2d
        else:
            node = nir.Conv1d(self.shape[1], weight, stride, padding, dilation, groups, offset)
            run = torch.nn.functional.conv1d
        return self.map(node, lambda x: run(x, *values, stride, padding, dilation, groups))

    def sum_pool(self, size):
        node = nir.SumPool2d(np.array([size] * 2), np.array([size] * 2), np.array([0, 0]))
        return self.map(node, lambda x: size**2 * torch.nn.functional.avg_pool2d(x, size))

    def average_pool(self, size):
        node = nir.AvgPool2d(np.array([size] * 2), np.array([size] * 2), np.array([0, 0]))
        return self.map(node, lambda x: torch.nn.functional.avg_pool2d(x, size))

    def flatten(self):
        node = nir.Flatten({"input": np.array(self.shape)}, start_dim=0, end_dim=-1)
        return self.map(node, lambda x: x.reshape(1, -1))

    def dense(self, n, drive):
        (pre,) = self.shape
        weight = self.rng.normal(drive / pre, 0.6 * drive / np.sqrt(pre), (n, pre))
        bias = self.rng.normal(0.2, 0.1, n)
        values = torch.tensor(weight), torch.tensor(bias)
        return self.map(nir.Affine(weight, bias), lambda x: x @ values[0].T + values[1])

    def graph(self):
        nodes = {**self.nodes, "output": nir.Output(np.array(self.shape))}
        names = list(nodes)
        return nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)

    @property
    def populations(self):
        return [name for name, node in self.nodes.items() if isinstance(node, nir.LIF)]

    @torch.no_grad()
    def run(self, x, make):
        cells = [make() if f is None else None for f in self.functions]
        outputs = {name: [] for name in self.populations}
        for row in torch.tensor(x):
            value, names = row[None], iter(self.populations)
            for function, cell in zip(self.functions, cells, strict=True):
                value = function(value) if cell is None else cell(value).double()
                if cell is not None:
                    outputs[next(names)].append(value[0].numpy().copy())
        return {name: np.array(values) for name, values in outputs.items()}


def compare(stack, tool, steps, rng):
    make, scheme = TOOLS[tool]
    x = (rng.random((steps, *stack.input)) < 0.3).astype(float)
    theirs = stack.run(x, make)
    engine = Engine(stack.graph(), dt=DT, dtype=np.float64, scheme=scheme)
    ours = engine.run(x, record=stack.populations)
    for name in stack.populations:
        assert is_lively(ours[name]["spikes"]), f"{name}: {ours[name]['spikes'].mean():.4f}"
        np.testing.assert_array_equal(ours[name]["spikes"], theirs[name], err_msg=name)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_convolutional_network_of_thirty_thousand_neurons(tool):
    rng = np.random.default_rng(1)
    stack = Stack((2, 32, 32), rng)
    stack.convolution(20, 3, 8.0, padding=1).lif().sum_pool(2)
    stack.convolution(24, 3, 6.0, padding=1).lif().average_pool(2)
    stack.convolution(48, 3, 24.0, padding=2, dilation=2, groups=4).lif().flatten().dense(10, 12.0).lif()
    assert sum(int(np.prod(s)) for s in stack.shapes) == 20480 + 6144 + 3072 + 10
    compare(stack, tool, 25, rng)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 1},
        {"kernel": 4, "stride": 2},
        {"kernel": 3, "stride": 3, "padding": 2},
        {"kernel": 3, "padding": 1, "dilation": 3},
        {"kernel": 5, "stride": 2, "padding": 4, "dilation": 2, "groups": 3, "bias": False},
        {"kernel": 3, "groups": 6},
    ],
)
@pytest.mark.parametrize("shape", [(6, 15, 18), (6, 40)])
def test_convolutions_in_one_and_two_dimensions(shape, options, tool):
    rng = np.random.default_rng(2)
    stack = (
        Stack(shape, rng)
        .convolution(12, drive=9.0, **options)
        .lif()
        .convolution(6, 3, drive=12.0, padding=1)
        .lif()
    )
    compare(stack, tool, 60, rng)
