"""The node types that are understood, and a node from what a file holds for it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import nir
import numpy as np
from nir.ir.node import NIRNode

from hybrid_control.snn.neurons import MODELS, NeuronModel
from hybrid_control.snn.nir.checks import GraphError, check_edges, naming
from hybrid_control.snn.nir.sparse import SparseLinear

MAP_TYPES: tuple[type, ...] = (
    nir.Affine,
    nir.AvgPool2d,
    nir.Conv1d,
    nir.Conv2d,
    nir.Delay,
    nir.Flatten,
    nir.Input,
    nir.Linear,
    nir.NIRGraph,
    nir.Output,
    nir.Scale,
    nir.SumPool2d,
    nir.Threshold,
    SparseLinear,
)


def node_types() -> dict[str, type]:
    """Every node type by its name: the maps and the registered neurons."""
    return {kind.__name__: kind for kind in (*MAP_TYPES, *MODELS)}


def text(value: Any) -> Any:
    """Bytes as text, all else as it is."""
    return value.decode("utf8") if isinstance(value, bytes) else value


def node_from(tree: Any, name: str) -> NIRNode:
    """A node, or a graph of them, from the dictionary that its HDF5 group holds."""
    with naming(name):
        return _read_node(tree, name)


def _read_node(tree: Any, name: str) -> NIRNode:
    where = f"node {name!r}" if name else "the graph"
    if not isinstance(tree, dict) or "type" not in tree:
        raise GraphError(f"{where}: no type given")
    tree = dict(tree)
    kind_name = text(tree.pop("type"))
    types = node_types()
    kind = types.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        raise GraphError(f"{where}: unknown node type {kind_name!r}; known are {sorted(types)}")
    metadata = tree.pop("metadata", {})
    if kind is nir.NIRGraph:
        nodes, edges = tree.get("nodes"), tree.get("edges")
        if not isinstance(nodes, dict) or edges is None:
            raise GraphError(f"{where}: a NIRGraph needs 'nodes' and 'edges'")
        edges = np.asarray(edges)
        if edges.size and (edges.ndim != 2 or edges.shape[1] != 2):
            raise GraphError(f"{where}: edges of shape {edges.shape}, expected (n, 2)")
        built = {k: node_from(v, f"{name}.{k}" if name else k) for k, v in nodes.items()}
        pairs = [(str(text(a)), str(text(b))) for a, b in edges] if edges.size else []
        check_edges(built, pairs, where)
        return _make(kind, where, nodes=built, edges=pairs, metadata=metadata, type_check=False)
    if kind in (nir.Input, nir.Output):
        if "shape" not in tree:
            raise GraphError(f"{where}: {kind_name} has no shape")
        side = "input" if kind is nir.Input else "output"
        return _make(kind, where, **{f"{side}_type": {side: np.atleast_1d(tree["shape"])}}, metadata=metadata)
    if kind is nir.Flatten:
        shape = tree.pop("input_type", None)
        tree["input_type"] = {"input": None if shape is None else np.asarray(shape)}
    if kind in (nir.Conv1d, nir.Conv2d):
        tree.setdefault("input_shape", None)
    known = {f.name for f in fields(kind)} - {"output_type", "metadata"}
    if kind is not nir.Flatten:
        known -= {"input_type"}
    unknown = set(tree) - known
    if unknown:
        raise GraphError(f"{where}: {kind_name} has no parameter {sorted(unknown)}; it has {sorted(known)}")
    if kind in MODELS:
        tree = _broadcast(MODELS[kind], tree, where)
    return _make(kind, where, **tree, metadata=metadata)


def _broadcast(model: NeuronModel, parameters: dict[str, Any], where: str) -> dict[str, Any]:
    """A neuron's parameters in one shape, scalars spread over it."""
    own = {k: np.asarray(v) for k, v in parameters.items() if k not in model.whole}
    try:
        shape = np.broadcast_shapes(*(v.shape for v in own.values()))
    except ValueError:
        shapes = ", ".join(f"{k} {v.shape}" for k, v in own.items())
        raise GraphError(f"{where}: parameters of shapes that do not fit: {shapes}") from None
    spread: dict[str, Any] = {k: np.array(np.broadcast_to(v, shape)) for k, v in own.items()}
    return spread | {k: np.asarray(parameters[k]) for k in model.whole if k in parameters}


def _make(kind: type, where: str, **arguments: Any) -> NIRNode:
    try:
        return kind(**arguments)
    except (TypeError, ValueError, AssertionError, AttributeError, IndexError) as error:
        raise GraphError(f"{where}: not a valid {kind.__name__} ({error})") from error
