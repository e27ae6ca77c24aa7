"""Builds networks from named populations and projections, and turns them into NIR graphs and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import nir
import numpy as np
from nir.ir.node import NIRNode
from numpy.typing import ArrayLike, NDArray

from hybrid_control.snn.neurons import neuron
from hybrid_control.snn.nir import files
from hybrid_control.snn.nir.graph import flatten
from hybrid_control.snn.nir.sparse import SparseLinear

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Synapses:
    """Synapses listed one by one: pre, post, weight, each (synapses,)."""

    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weight: Weights


Rule = Callable[[int, int], "Weights | Synapses"]
"""A connection rule: (size of the target, size of the source) to weights (target, source) or to Synapses."""


def all_to_all(weight: float) -> Rule:
    """Every neuron to every neuron, each with `weight`."""
    return lambda post, pre: np.full((post, pre), float(weight))


def one_to_one(weight: float) -> Rule:
    """Neuron i to neuron i; both sides of one size."""

    def rule(post: int, pre: int) -> Weights:
        if post != pre:
            raise ValueError(f"one_to_one: {pre} neurons cannot be paired with {post}")
        return float(weight) * np.eye(post)

    return rule


def gaussian_ring(weight: float, sigma: float, background: float = 0.0) -> Rule:
    """Both sides lie evenly on a circle; the weight falls off with the distance d in radians around it.

    w(d) = background + weight exp(-d^2 / (2 sigma^2)), d in [0, pi]. With a negative background it is local
    excitation with global inhibition.
    """

    def rule(post: int, pre: int) -> Weights:
        angle = 2 * np.pi * (np.arange(post)[:, None] / post - np.arange(pre)[None, :] / pre)
        distance = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
        return background + weight * np.exp(-(distance**2) / (2 * sigma**2))

    return rule


def random_sparse(probability: float, weight: float, seed: int, deviation: float = 0.0) -> Rule:
    """Each pair with `probability`, weights normal around `weight`; the same for the same seed."""

    def rule(post: int, pre: int) -> Synapses:
        rng = np.random.default_rng(seed)
        targets = [np.flatnonzero(rng.random(post) < probability) for _ in range(pre)]
        size = sum(t.size for t in targets)
        source = np.repeat(np.arange(pre), [t.size for t in targets])
        values = weight + deviation * rng.standard_normal(size)
        return Synapses(source, np.concatenate(targets) if targets else np.zeros(0, np.int64), values)

    return rule


class Network:
    """A graph of named nodes, built up by name. Names must be unique; weights are (target, source) as in NIR.

    Populations, projections and any other NIR node are nodes of one NIR graph, so `to_nir` loses nothing and
    `from_nir(net.to_nir()) == net`. Two networks are equal when their nodes, edges and metadata are.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.metadata: dict[str, Any] = {}

    def add(self, name: str, node: NIRNode) -> str:
        """Add any NIR node; returns the name. Join it up with `edge`."""
        if name in self.nodes:
            raise ValueError(f"there is a node {name!r} already")
        if not name or "/" in name or name == ".":
            raise ValueError(f"node name {name!r} must be text without '/'")
        self.nodes[name] = node
        return name

    def add_input(self, name: str, shape: int | tuple[int, ...]) -> str:
        """An input of currents or spike counts, one value per channel and tick."""
        return self.add(name, nir.Input(np.atleast_1d(shape)))

    def add_population(
        self, name: str, kind: type, size: int | tuple[int, ...], **parameters: ArrayLike
    ) -> str:
        """`size` neurons of a type in `neurons.MODELS`, for instance nir.LIF; time constants in seconds."""
        shape = (size,) if isinstance(size, int) else tuple(size)
        return self.add(name, neuron(kind, shape, **parameters))

    def add_output(self, name: str, source: str) -> str:
        """An output that gives what node `source` gives."""
        shape = self._shape_out(source)
        self.add(name, nir.Output(np.array(shape)))
        self.edge(source, name)
        return name

    def edge(self, source: str, target: str) -> None:
        """What `source` gives is added to what `target` takes."""
        for end in (source, target):
            if end not in self.nodes:
                raise ValueError(f"edge ({source!r}, {target!r}): there is no node {end!r}")
        if (source, target) in self.edges:
            raise ValueError(f"edge ({source!r}, {target!r}) is there already")
        self.edges.append((source, target))

    def connect(
        self,
        source: str,
        target: str,
        weights: ArrayLike | Rule | Synapses,
        name: str | None = None,
        bias: ArrayLike | None = None,
        delay: ArrayLike | None = None,
    ) -> str:
        """A projection from `source` to `target`; returns its name, by default "source_target".

        weights: (target, source) array, a rule, or Synapses. delay: seconds; one number for the projection
        (a NIR Delay node, named after it with "_delay"), or one per synapse: (target, source) for an array of
        weights, (synapses,) for Synapses. bias: (target,), added every tick.
        """
        name = f"{source}_{target}" if name is None else name
        post, pre = math.prod(self._shape_out(target)), math.prod(self._shape_out(source))
        values = weights(post, pre) if callable(weights) else weights
        delays = None if delay is None else np.asarray(delay, dtype=np.float64)
        single = delays is None or delays.ndim == 0
        node: NIRNode
        if isinstance(values, Synapses):
            per_synapse = None if single else np.array(delays)
            node = SparseLinear(np.array([post, pre]), values.pre, values.post, values.weight, per_synapse)
        else:
            matrix = np.array(values, dtype=np.float64)
            if matrix.shape != (post, pre):
                raise ValueError(
                    f"projection {name!r}: weights of shape {matrix.shape}, "
                    f"but {source!r} to {target!r} is (target, source) = {(post, pre)}"
                )
            if delays is not None and not single:
                if delays.shape != matrix.shape:
                    raise ValueError(
                        f"projection {name!r}: delays of shape {delays.shape} for weights of {matrix.shape}"
                    )
                to, of = np.nonzero(matrix)
                node = SparseLinear(np.array([post, pre]), of, to, matrix[to, of], delays[to, of])
            else:
                node = nir.Linear(matrix)
        if bias is not None:
            if not isinstance(node, nir.Linear):
                raise ValueError(
                    f"projection {name!r}: a bias needs weights given as an array and no delay per synapse"
                )
            node = nir.Affine(
                node.weight, np.array(np.broadcast_to(np.asarray(bias, dtype=np.float64), (post,)))
            )
        self.add(name, node)
        self.edge(source, name)
        last = name
        if delays is not None and single:
            last = self.add(f"{name}_delay", nir.Delay(np.full(post, float(delays))))
            self.edge(name, last)
        self.edge(last, target)
        return name

    def _shape_out(self, name: str) -> tuple[int, ...]:
        if name not in self.nodes:
            raise ValueError(f"there is no node {name!r}; there are {sorted(self.nodes)}")
        shape = next(iter((self.nodes[name].output_type or {"output": None}).values()))
        if shape is None:
            return flatten(self.to_nir()).nodes[name].shape_out
        return tuple(int(v) for v in np.atleast_1d(shape))

    def to_nir(self) -> nir.NIRGraph:
        """The network as a NIR graph that shares its arrays."""
        return nir.NIRGraph(dict(self.nodes), list(self.edges), dict(self.metadata), type_check=False)

    @classmethod
    def from_nir(cls, graph: nir.NIRGraph) -> Network:
        """A network with the nodes and edges of a NIR graph; the graph is checked first."""
        flatten(graph)
        net = cls()
        net.nodes, net.edges = dict(graph.nodes), [(str(a), str(b)) for a, b in graph.edges]
        net.metadata = dict(graph.metadata)
        return net

    def save(self, path: str | Path) -> None:
        """Write a NIR file."""
        files.write(path, self.to_nir())

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a NIR file."""
        return cls.from_nir(files.read(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return same_graph(self.to_nir(), other.to_nir())

    __hash__ = None  # type: ignore[assignment]


def same_graph(a: NIRNode, b: NIRNode) -> bool:
    """Whether two nodes or graphs hold the same, to the bit; the order of nodes and edges does not count."""
    if type(a) is not type(b) or not _same(a.metadata, b.metadata):
        return False
    if isinstance(a, nir.NIRGraph) and isinstance(b, nir.NIRGraph):
        return (
            a.nodes.keys() == b.nodes.keys()
            and sorted(a.edges) == sorted(b.edges)
            and all(same_graph(a.nodes[key], b.nodes[key]) for key in a.nodes)
        )
    own = [f.name for f in fields(a) if f.name not in ("output_type", "metadata")]
    return all(_same(getattr(a, name), getattr(b, name)) for name in own)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if a is None or b is None or isinstance(a, (str, bytes)):
        return bool(type(a) is type(b) and a == b)
    return np.array_equal(np.asarray(a), np.asarray(b))
