"""Networks that several tools run: layers of one neuron type each, with weights, parameters and input currents."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import nir
import numpy as np

from hybrid_control.snn import Engine, Network

DT = 1e-3


@dataclass
class Layer:
    """`weights` (n, inputs) from the layer before, `recurrent` (n, n) from itself or None, parameters each (n,)."""

    kind: str
    weights: np.ndarray
    parameters: dict[str, np.ndarray]
    recurrent: np.ndarray | None = None

    @property
    def size(self) -> int:
        return self.weights.shape[0]


@dataclass
class Case:
    layers: list[Layer]
    x: np.ndarray = field(repr=False)

    def network(self) -> Network:
        net = Network()
        before = net.add_input("input", self.x.shape[1])
        for i, layer in enumerate(self.layers):
            name = net.add_population(f"layer{i}", getattr(nir, layer.kind), layer.size, **layer.parameters)
            net.connect(before, name, layer.weights)
            if layer.recurrent is not None:
                net.connect(name, name, layer.recurrent)
            before = name
        net.add_output("output", before)
        return net

    def engine(self, **options) -> list[np.ndarray]:
        """What each layer gives, (steps, n): spikes, or voltages where it has no threshold."""
        engine = Engine(self.network(), dt=DT, dtype=np.float64, **options)
        names = [f"layer{i}" for i in range(len(self.layers))]
        found = engine.run(self.x, record=names)
        return [
            found[n]["spikes" if "v_threshold" in layer.parameters else "voltage"]
            for n, layer in zip(names, self.layers, strict=True)
        ]


# drawn for a neuron type: its range, with v_leak and v_reset off zero only where a tool knows them
RANGES = {
    "tau": (8e-3, 30e-3),
    "tau_mem": (8e-3, 30e-3),
    "tau_syn": (2e-3, 10e-3),
    "r": (0.7, 1.4),
    "w_in": (0.7, 1.4),
    "v_threshold": (0.8, 1.2),
}
PARAMETERS = {
    "I": ("r",),
    "IF": ("r", "v_threshold"),
    "LI": ("tau", "r"),
    "LIF": ("tau", "r", "v_threshold"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "w_in", "v_threshold"),
}
SIZES = [(1, 1), (3, 5, 4), (64, 256, 8)]


def draw(kind: str, n: int, rng: np.random.Generator, offsets: bool = False) -> dict[str, np.ndarray]:
    """Parameters of `n` neurons; `offsets`: with a resting and a reset potential other than 0."""
    given = {name: rng.uniform(*RANGES[name], n) for name in PARAMETERS[kind]}
    for name in given:
        if name.startswith(
            "tau"
        ):  # sinabs keeps tau / dt as float32: draw such as that holds without rounding
            given[name] = np.round(given[name] / DT * 64) / 64 * DT
    if offsets:
        if kind not in ("I", "IF"):
            given["v_leak"] = rng.uniform(-0.3, 0.3, n)
        if "v_threshold" in given:
            given["v_reset"] = rng.uniform(-0.5, 0.3, n)
    return given


def layered(
    kind: str,
    sizes: tuple[int, ...],
    *,
    recurrent: bool = False,
    offsets: bool = False,
    steps: int = 200,
    seed: int = 0,
    positive: bool = False,
) -> Case:
    """Layers of `kind` under currents that drive them well, but not in every tick."""
    rng = np.random.default_rng(seed)
    layers = []
    for i, (pre, post) in enumerate(pairwise(sizes)):
        # aims at a drive of 1.6 thresholds, from currents of 0.5 on average or from spikes in a tick of ten
        share = 0.5 if i == 0 else 0.1
        unit = 40.0 if kind in ("I", "IF") else 1.0  # without a leak, what counts is the current times dt
        weights = unit * rng.normal(1.6 / (share * pre), 0.4 / (share * np.sqrt(pre)), (post, pre))
        rec = unit * rng.normal(0.0, 1.5 / np.sqrt(post), (post, post)) if recurrent else None
        if positive:
            weights, rec = np.abs(weights), None if rec is None else np.abs(rec)
        layers.append(Layer(kind, weights, draw(kind, post, rng, offsets), rec))
    x = rng.uniform(0.0, 1.0, (steps, sizes[0]))
    return Case(layers, x)


def is_lively(spikes: np.ndarray) -> bool:
    """Neither silent nor in every tick: else agreement would say little."""
    return 0.005 < spikes.mean() < 0.7


def assert_same(case: Case, ours: list[np.ndarray], theirs: list[np.ndarray], rtol: float = 1e-9) -> None:
    """Spikes equal one for one; voltages of neurons without a threshold to rounding."""
    for i, (layer, a, b) in enumerate(zip(case.layers, ours, theirs, strict=True)):
        if "v_threshold" in layer.parameters:
            assert is_lively(a), f"layer {i}: {a.mean():.3f} spikes per neuron and tick"
            differ = np.argwhere(a != b)
            assert not differ.size, f"layer {i}: {len(differ)} of {a.sum():.0f} differ, first {differ[0]}"
        else:
            assert np.abs(a).max() > 0.1
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-3 * rtol)
