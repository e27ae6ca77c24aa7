"""A NIR graph without nesting, checked, with the shape of every node: what a back end is handed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from nir.ir.node import NIRNode
from numpy.typing import NDArray

from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.checks import (
    Edge,
    GraphError,
    Shape,
    check_edges,
    check_values,
    naming,
    shape_of,
)
from hybrid_control.snn.nir.nodes import node_types
from hybrid_control.snn.nir.shapes import infer

VALUES_LIMIT = 1 << 26  # of all nodes together: a file says with a few bytes how large they are


@dataclass(frozen=True)
class Node:
    """A node of a flat graph: its NIR node (None passes its input on), and its input and output shape."""

    name: str
    nir: NIRNode | None
    shape_in: Shape
    shape_out: Shape

    @property
    def size_in(self) -> int:
        """Values that come in."""
        return math.prod(self.shape_in)

    @property
    def size_out(self) -> int:
        """Values that go out."""
        return math.prod(self.shape_out)

    @property
    def kind(self) -> str:
        """The type as NIR names it."""
        return type(self.nir).__name__ if self.nir is not None else "Identity"

    @property
    def spiking(self) -> bool:
        """Whether what goes out is spikes."""
        model = model_of(self.nir)
        return model is not None and model.spiking

    def spread(self, values: Any) -> NDArray[Any]:
        """Values broadcast to the output, in one line."""
        return np.array(np.broadcast_to(np.asarray(values), self.shape_out)).reshape(-1)


@dataclass(frozen=True)
class FlatGraph:
    """A checked graph without nesting. Names of nested nodes are joined by '.'; order does not matter."""

    nodes: dict[str, Node]
    edges: tuple[Edge, ...]


def flatten(graph: nir.NIRGraph) -> FlatGraph:
    """Check a graph, resolve nested graphs, and infer every shape. GraphError says what is wrong, and where."""
    nodes: dict[str, NIRNode | None] = {}
    declared: dict[str, Shape] = {}
    edges: list[Edge] = []
    _collect(graph, "", nodes, declared, edges)
    if not nodes:
        raise GraphError("the graph has no nodes")
    for name, node in nodes.items():
        if node is not None:
            with naming(name):
                check_values(name, node)
    shapes = infer(nodes, declared, edges)
    flat = {name: Node(name, node, *shapes[name]) for name, node in nodes.items()}
    size = sum(node.size_out for node in flat.values())
    if size > VALUES_LIMIT:
        raise GraphError(f"the graph has {size:,} values in all its nodes; at most {VALUES_LIMIT:,} are taken")
    return FlatGraph(flat, tuple(sorted(edges)))


def _collect(
    graph: nir.NIRGraph,
    prefix: str,
    nodes: dict[str, NIRNode | None],
    declared: dict[str, Shape],
    edges: list[Edge],
) -> None:
    check_edges(graph.nodes, graph.edges, f"graph {prefix[:-1]!r}" if prefix else "the graph")
    types = node_types()
    for name, node in graph.nodes.items():
        full = prefix + name
        if full in nodes:
            raise GraphError(f"two nodes are named {full!r}")
        if isinstance(node, nir.NIRGraph):
            _collect(node, full + ".", nodes, declared, edges)
        elif types.get(type(node).__name__) is not type(node):
            raise GraphError(
                f"node {full!r}: unknown node type {type(node).__name__!r}; known are {sorted(types)}"
            )
        elif isinstance(node, (nir.Input, nir.Output)):
            shape = node.input_type["input"]
            if shape is None:
                raise GraphError(f"node {full!r}: {type(node).__name__} has no shape")
            declared[full] = shape_of(shape, full)
            nodes[full] = None if prefix else node
        else:
            nodes[full] = node

    def port(name: str, kind: type, word: str) -> str:
        inner = graph.nodes[name]
        if not isinstance(inner, nir.NIRGraph):
            return prefix + name
        ports = [k for k, v in inner.nodes.items() if isinstance(v, kind)]
        if len(ports) != 1:
            raise GraphError(
                f"nested graph {prefix + name!r} has {len(ports)} {word}s; an edge needs exactly one"
            )
        return f"{prefix}{name}.{ports[0]}"

    for source, target in graph.edges:
        edges.append((port(source, nir.Output, "output"), port(target, nir.Input, "input")))
