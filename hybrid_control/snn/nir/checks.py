"""What makes a NIR graph unfit to be run or stored: names, edges, values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import nir
import numpy as np
from nir.ir.node import NIRNode

from hybrid_control.snn.nir.sparse import SparseLinear

Shape = tuple[int, ...]
Edge = tuple[str, str]


class GraphError(ValueError):
    """A NIR graph or file that cannot be run as it stands; the message names the node and what is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # one line, whatever value is shown in it


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn what Python and numpy say about an unfit value into a GraphError that names the node."""
    try:
        yield
    except GraphError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError, IndexError, KeyError) as error:
        raise GraphError(f"node {name!r}: a value in it cannot be used ({error})") from error


def check_names(graph: nir.NIRGraph) -> None:
    """GraphError where a node's name cannot be stored: HDF5 takes '/' and '.' for places in the file."""
    for name, node in graph.nodes.items():
        if not isinstance(name, str) or not name or "/" in name or name == "." or "\0" in name:
            raise GraphError(
                f"node name {name!r} cannot be stored in a NIR file: it must be text without '/'"
            )
        if isinstance(node, nir.NIRGraph):
            check_names(node)


def check_edges(nodes: dict[str, NIRNode], edges: list[Edge], where: str = "the graph") -> None:
    """GraphError for an edge to a node that is not there, or one given twice."""
    seen = set()
    for source, target in edges:
        for end in (source, target):
            if end not in nodes:
                raise GraphError(
                    f"{where}: edge ({source!r}, {target!r}) names {end!r}, which is no node of it"
                )
        if (source, target) in seen:
            raise GraphError(f"{where}: edge ({source!r}, {target!r}) is given twice")
        seen.add((source, target))
        if isinstance(nodes[target], nir.Input):
            raise GraphError(f"{where}: edge ({source!r}, {target!r}) leads into an Input")
        if isinstance(nodes[source], nir.Output):
            raise GraphError(f"{where}: edge ({source!r}, {target!r}) starts at an Output")


def check_values(name: str, node: NIRNode) -> None:
    """GraphError where a node holds something empty, or numbers that no engine can run."""
    skipped = ("input_type", "output_type", "metadata", "input_shape", "padding")
    values = {key: v for key, v in vars(node).items() if key not in skipped and v is not None}
    empty = [key for key, value in values.items() if np.size(value) == 0]
    if empty and not isinstance(node, SparseLinear):  # which may have no synapses
        raise GraphError(f"node {name!r}: {empty[0]} is empty")
    check_parameters(name, values)


def is_time_constant(parameter: str) -> bool:
    """Whether a parameter of a neuron is a time constant, by its name."""
    return parameter.startswith("tau")


def check_parameters(name: str, values: Mapping[str, Any]) -> None:
    """GraphError for numbers that no engine can run: NaN, infinite, or a time constant that is not positive."""
    for key, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind not in "iufb":
            raise GraphError(f"node {name!r}: {key} must be real numbers, not {array.dtype}")
        if np.isnan(array).any():
            raise GraphError(f"node {name!r}: {key} holds NaN")
        never = key in ("v_threshold", "threshold")  # a threshold of +infinity: no spikes
        if (np.isinf(array) & ~((array > 0) & never)).any():
            raise GraphError(f"node {name!r}: {key} holds infinity")
        if is_time_constant(key) and (array <= 0).any():
            raise GraphError(f"node {name!r}: {key} must be positive, but holds {array.min():g} s")
        if key in ("delay", "refractory") and (array < 0).any():
            raise GraphError(f"node {name!r}: {key} must not be negative, but holds {array.min():g} s")


def pair(value: Any, name: str, what: str) -> tuple[int, int]:
    """A number or two of them as (rows, columns)."""
    array = np.atleast_1d(np.asarray(value))
    if array.size not in (1, 2) or array.dtype.kind not in "biuf" or (array != np.round(array)).any():
        raise GraphError(f"node {name!r}: {what} {value!r} must be one or two whole numbers")
    flat = array.reshape(-1)
    return int(flat[0]), int(flat[-1])


def whole(value: Any, name: str, what: str) -> int:
    """One whole number."""
    if np.size(value) != 1:
        raise GraphError(f"node {name!r}: {what} {value!r} must be one whole number")
    return pair(value, name, what)[0]


def shape_of(values: Any, name: str) -> Shape:
    """A shape from what a node holds as one."""
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise GraphError(f"node {name!r}: {values!r} is no shape")
    shape = tuple(int(v) for v in array)
    if any(v < 1 for v in shape) or any(int(v) != v for v in array):
        raise GraphError(f"node {name!r}: shape {shape} must be whole numbers >= 1")
    return shape
