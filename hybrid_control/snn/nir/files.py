"""Reads, checks and writes NIR graphs; flattens nested ones and infers the shape of every node.

Shapes follow NIR's definitions. They are worked out here because the nir package (1.0.8) takes the first
kernel size for both directions of a Conv2d and leaves groups out of a Conv1d's input.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
from nir.ir.node import NIRNode
from nir.serialization import hdf2dict

from hybrid_control.snn.neurons import (
    NEURON_PARAMETERS,
    SPIKING_TYPES,
    TIME_CONSTANTS,
    AdaptiveCubaLIF,
    AdaptiveLIF,
    Izhikevich,
    SparseLinear,
)

Shape = tuple[int, ...]
Edge = tuple[str, str]

NODE_TYPES: dict[str, type] = {
    t.__name__: t
    for t in (
        nir.Affine,
        nir.AvgPool2d,
        nir.Conv1d,
        nir.Conv2d,
        nir.CubaLI,
        nir.CubaLIF,
        nir.Delay,
        nir.Flatten,
        nir.I,
        nir.IF,
        nir.Input,
        nir.LI,
        nir.LIF,
        nir.Linear,
        nir.NIRGraph,
        nir.Output,
        nir.Scale,
        nir.SumPool2d,
        nir.Threshold,
        AdaptiveLIF,
        AdaptiveCubaLIF,
        Izhikevich,
        SparseLinear,
    )
}


class GraphError(ValueError):
    """A NIR graph or file that cannot be run as it stands; the message names the node and what is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # one line, whatever value is shown in it


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn what Python and numpy say about an unfit value into a GraphError that names the node."""
    try:
        yield
    except GraphError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError, IndexError, KeyError) as error:
        raise GraphError(f"node {name!r}: a value in it cannot be used ({error})") from error


def read(path: str | Path) -> nir.NIRGraph:
    """Read a NIR file. GraphError where it is none or holds what is not understood, OSError where it will not open."""
    path = Path(path)
    path.open("rb").close()  # what h5py says of a file that will not open takes several lines
    if not h5py.is_hdf5(path):
        raise GraphError(f"{path}: not a NIR file (it is not HDF5)")
    try:
        with h5py.File(path, "r") as file:
            return read_tree(file)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    except OSError as error:
        raise GraphError(f"{path}: damaged HDF5 file ({error})") from error


def read_tree(file: h5py.File) -> nir.NIRGraph:
    """The graph in an open file."""
    if not isinstance(file.get("node"), h5py.Group):
        raise GraphError("not a NIR file (it has no group 'node')")
    try:
        tree = hdf2dict(file["node"])
    except (RuntimeError, KeyError, TypeError, UnicodeDecodeError, MemoryError) as error:
        raise GraphError(f"damaged NIR file ({error})") from error
    graph = _node(tree, "")
    return graph if isinstance(graph, nir.NIRGraph) else nir.NIRGraph.from_list(graph, type_check=False)


def write(path: str | Path, graph: nir.NIRGraph) -> None:
    """Write a NIR file, in the layout of the nir package; GraphError for a name that cannot be stored.

    (nir.write itself, in 1.0.8, cannot store parameters without a dimension.)
    """
    check_names(graph)
    with h5py.File(path, "w") as file:
        write_tree(file, graph)


def write_tree(file: h5py.File, graph: nir.NIRGraph) -> None:
    """Write a graph into an open, empty file."""
    file.create_dataset("version", data=nir.version, dtype=h5py.string_dtype())
    _write_group(file.create_group("node"), graph.to_dict())


def _write_group(group: h5py.Group, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            if value or key != "metadata":
                _write_group(group.create_group(str(key)), value)
        elif isinstance(value, (str, bytes)):
            group.create_dataset(key, data=_text(value), dtype=h5py.string_dtype())
        elif isinstance(value, np.ndarray) and value.size > 1:
            group.create_dataset(key, data=value, compression="gzip")
        elif value is not None:
            group.create_dataset(key, data=value)


def check_names(graph: nir.NIRGraph) -> None:
    """GraphError where a node's name cannot be stored: HDF5 takes '/' and '.' for places in the file."""
    for name, node in graph.nodes.items():
        if not isinstance(name, str) or not name or "/" in name or name == "." or "\0" in name:
            raise GraphError(
                f"node name {name!r} cannot be stored in a NIR file: it must be text without '/'"
            )
        if isinstance(node, nir.NIRGraph):
            check_names(node)


def _text(value: Any) -> Any:
    return value.decode("utf8") if isinstance(value, bytes) else value


def _node(tree: Any, name: str) -> NIRNode:
    with _naming(name):
        return _read_node(tree, name)


def _read_node(tree: Any, name: str) -> NIRNode:
    """One node, or a graph of them, from the dictionary that its HDF5 group holds."""
    where = f"node {name!r}" if name else "the graph"
    if not isinstance(tree, dict) or "type" not in tree:
        raise GraphError(f"{where}: no type given")
    tree = dict(tree)
    kind_name = _text(tree.pop("type"))
    kind = NODE_TYPES.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        raise GraphError(f"{where}: unknown node type {kind_name!r}; known are {sorted(NODE_TYPES)}")
    metadata = tree.pop("metadata", {})
    if kind is nir.NIRGraph:
        nodes, edges = tree.get("nodes"), tree.get("edges")
        if not isinstance(nodes, dict) or edges is None:
            raise GraphError(f"{where}: a NIRGraph needs 'nodes' and 'edges'")
        edges = np.asarray(edges)
        if edges.size and (edges.ndim != 2 or edges.shape[1] != 2):
            raise GraphError(f"{where}: edges of shape {edges.shape}, expected (n, 2)")
        built = {k: _node(v, f"{name}.{k}" if name else k) for k, v in nodes.items()}
        pairs = [(str(_text(a)), str(_text(b))) for a, b in edges] if edges.size else []
        check_edges(built, pairs, where)
        return _make(kind, where, nodes=built, edges=pairs, metadata=metadata, type_check=False)
    if kind in (nir.Input, nir.Output):
        if "shape" not in tree:
            raise GraphError(f"{where}: {kind_name} has no shape")
        side = "input" if kind is nir.Input else "output"
        return _make(kind, where, **{f"{side}_type": {side: np.atleast_1d(tree["shape"])}}, metadata=metadata)
    if kind is nir.Flatten:
        given = tree.pop("input_type", None)
        tree["input_type"] = {"input": None if given is None else np.asarray(given)}
    if kind in (nir.Conv1d, nir.Conv2d):
        tree.setdefault("input_shape", None)
    known = {f.name for f in fields(kind)} - {"output_type", "metadata"}
    if kind is not nir.Flatten:
        known -= {"input_type"}
    unknown = set(tree) - known
    if unknown:
        raise GraphError(f"{where}: {kind_name} has no parameter {sorted(unknown)}; it has {sorted(known)}")
    if kind in NEURON_PARAMETERS:
        tree = _broadcast(tree, where)
    return _make(kind, where, **tree, metadata=metadata)


def _broadcast(parameters: dict[str, Any], where: str) -> dict[str, Any]:
    """A neuron's parameters in one shape, scalars spread over it."""
    own = {k: np.asarray(v) for k, v in parameters.items() if k != "substeps"}
    try:
        shape = np.broadcast_shapes(*(v.shape for v in own.values()))
    except ValueError:
        shapes = ", ".join(f"{k} {v.shape}" for k, v in own.items())
        raise GraphError(f"{where}: parameters of shapes that do not fit: {shapes}") from None
    spread: dict[str, Any] = {k: np.array(np.broadcast_to(v, shape)) for k, v in own.items()}
    if "substeps" in parameters:
        spread["substeps"] = np.asarray(parameters["substeps"])
    return spread


def _make(kind: type, where: str, **arguments: Any) -> NIRNode:
    try:
        return kind(**arguments)
    except (TypeError, ValueError, AssertionError, AttributeError, IndexError) as error:
        raise GraphError(f"{where}: not a valid {kind.__name__} ({error})") from error


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
        return isinstance(self.nir, SPIKING_TYPES)


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
            with _naming(name):
                _check_values(name, node)
    return FlatGraph(_infer(nodes, declared, edges), tuple(sorted(edges)))


def _collect(
    graph: nir.NIRGraph,
    prefix: str,
    nodes: dict[str, NIRNode | None],
    declared: dict[str, Shape],
    edges: list[Edge],
) -> None:
    check_edges(graph.nodes, graph.edges, f"graph {prefix[:-1]!r}" if prefix else "the graph")
    for name, node in graph.nodes.items():
        full = prefix + name
        if full in nodes:
            raise GraphError(f"two nodes are named {full!r}")
        if isinstance(node, nir.NIRGraph):
            _collect(node, full + ".", nodes, declared, edges)
        elif type(node).__name__ not in NODE_TYPES or type(node) is not NODE_TYPES[type(node).__name__]:
            raise GraphError(
                f"node {full!r}: unknown node type {type(node).__name__!r}; known are {sorted(NODE_TYPES)}"
            )
        elif isinstance(node, (nir.Input, nir.Output)):
            shape = node.input_type["input"]
            if shape is None:
                raise GraphError(f"node {full!r}: {type(node).__name__} has no shape")
            declared[full] = _shape(shape, full)
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
        found = ports[0]
        return f"{prefix}{name}.{found}"

    for source, target in graph.edges:
        edges.append((port(source, nir.Output, "output"), port(target, nir.Input, "input")))


def _shape(values: Any, name: str) -> Shape:
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise GraphError(f"node {name!r}: {values!r} is no shape")
    shape = tuple(int(v) for v in array)
    if any(v < 1 for v in shape) or any(int(v) != v for v in array):
        raise GraphError(f"node {name!r}: shape {shape} must be whole numbers >= 1")
    return shape


def _check_values(name: str, node: NIRNode) -> None:
    skipped = ("input_type", "output_type", "metadata", "input_shape", "padding")
    values = {key: v for key, v in vars(node).items() if key not in skipped and v is not None}
    empty = [key for key, value in values.items() if np.size(value) == 0]
    if empty and not isinstance(node, SparseLinear):
        raise GraphError(f"node {name!r}: {empty[0]} is empty")
    check_parameters(name, values)


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
        if key in TIME_CONSTANTS and (array <= 0).any():
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


@dataclass(frozen=True)
class Window:
    """How a convolution or pooling slides: sizes as (rows, columns); a Conv1d has one row."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]  # before the first row and column
    padding_after: tuple[int, int]
    dilation: tuple[int, int]
    groups: int = 1

    def out(self, size: tuple[int, int]) -> tuple[int, int]:
        """Output rows and columns for an input of so many."""
        rows, columns = (
            (size[k] + self.padding[k] + self.padding_after[k] - self.dilation[k] * (self.kernel[k] - 1) - 1)
            // self.stride[k]
            + 1
            for k in (0, 1)
        )
        return rows, columns


def window(name: str, node: Any) -> Window:
    """The window of a Conv1d, Conv2d, SumPool2d or AvgPool2d; GraphError for impossible numbers.

    padding 'same' is as in torch: stride 1, and where it is odd the extra row or column comes last.
    """
    one = isinstance(node, nir.Conv1d)
    conv = one or isinstance(node, nir.Conv2d)

    def two(value: Any, what: str, row: int) -> tuple[int, int]:
        return (row, whole(value, name, what)) if one else pair(value, name, what)

    if conv:
        kernel = (1, node.weight.shape[2]) if one else node.weight.shape[2:4]
        dilation, groups = two(node.dilation, "dilation", 1), whole(node.groups, name, "groups")
    else:
        kernel, dilation, groups = pair(node.kernel_size, name, "kernel_size"), (1, 1), 1
    stride = two(node.stride, "stride", 1)
    if min(*kernel, *stride, *dilation, groups) < 1:
        raise GraphError(f"node {name!r}: kernel, stride, dilation and groups must be >= 1")
    padding = _text(node.padding)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise GraphError(f"node {name!r}: padding {padding!r} must be 'same', 'valid' or numbers")
        if padding == "same" and stride != (1, 1):
            raise GraphError(f"node {name!r}: padding 'same' needs stride 1, not {stride}")
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        before = (total[0] // 2, total[1] // 2)
        return Window(kernel, stride, before, (total[0] - before[0], total[1] - before[1]), dilation, groups)
    around = two(padding, "padding", 0)
    if min(around) < 0:
        raise GraphError(f"node {name!r}: padding {around} must not be negative")
    return Window(kernel, stride, around, around, dilation, groups)


def _own_shapes(
    name: str, node: NIRNode | None, declared: dict[str, Shape]
) -> tuple[Shape | None, Shape | None]:
    """Input and output shape where the node itself says them; None where its input decides."""
    if name in declared:
        return declared[name], declared[name]
    if isinstance(node, (nir.Linear, nir.Affine)):
        shape = node.weight.shape
        if len(shape) < 2:
            raise GraphError(f"node {name!r}: weight of shape {shape} must have two dimensions, (out, in)")
        out = (*shape[:-2], shape[-2])
        if isinstance(node, nir.Affine):
            try:
                np.broadcast_to(node.bias, out)
            except ValueError:
                raise GraphError(
                    f"node {name!r}: bias of shape {np.shape(node.bias)} for an output of {out}"
                ) from None
        return (*shape[:-2], shape[-1]), out
    if isinstance(node, SparseLinear):
        _check_synapses(name, node)
        return (int(node.shape[1]),), (int(node.shape[0]),)
    return None, None


def _check_synapses(name: str, node: SparseLinear) -> None:
    if node.shape.shape != (2,) or (node.shape < 1).any():
        raise GraphError(f"node {name!r}: shape {node.shape} must be (out, in)")
    listed = [np.asarray(a) for a in (node.pre, node.post, node.weight, node.delay) if a is not None]
    if any(a.shape != listed[0].shape or a.ndim != 1 for a in listed):
        raise GraphError(
            f"node {name!r}: pre, post, weight and delay must be lists of one length, not {[a.shape for a in listed]}"
        )
    for end, index, size in (("pre", node.pre, node.shape[1]), ("post", node.post, node.shape[0])):
        if index.dtype.kind not in "iu" or (index.size and (index.min() < 0 or index.max() >= size)):
            raise GraphError(f"node {name!r}: {end} must be whole numbers in 0 .. {size - 1}")


def parameter_shape(node: NIRNode | None) -> Shape | None:
    """The common shape of the parameters of an elementwise node; None for other nodes."""
    if type(node) in NEURON_PARAMETERS:
        return np.broadcast_shapes(*(np.shape(getattr(node, k)) for k in NEURON_PARAMETERS[type(node)]))
    for kind, key in ((nir.Scale, "scale"), (nir.Threshold, "threshold"), (nir.Delay, "delay")):
        if isinstance(node, kind):
            return np.shape(getattr(node, key))
    return None


def _from_input(name: str, node: NIRNode | None, shape: Shape) -> tuple[Shape, Shape]:
    """(input shape the node takes, its output shape) for an input of `shape`."""
    own = parameter_shape(node)
    if own is not None:
        spreads = len(own) == len(shape) and all(a in (1, b) for a, b in zip(own, shape, strict=True))
        taken = shape if spreads or math.prod(own) == 1 else own
        return taken, taken
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        one = isinstance(node, nir.Conv1d)
        dims = 2 if one else 3
        if node.weight.ndim != dims + 1:
            raise GraphError(
                f"node {name!r}: weight of shape {node.weight.shape} must have {dims + 1} dimensions"
            )
        slide = window(name, node)
        out_channels, per_group = node.weight.shape[:2]
        if out_channels % slide.groups:
            raise GraphError(
                f"node {name!r}: {out_channels} output channels are not a multiple of {slide.groups} groups"
            )
        if np.size(node.bias) not in (1, out_channels):
            raise GraphError(
                f"node {name!r}: bias of shape {np.shape(node.bias)} for {out_channels} output channels"
            )
        channels = per_group * slide.groups
        wanted = _shape(node.input_shape, name) if node.input_shape is not None else shape[1:]
        taken = (channels, *wanted)
        if len(taken) != dims:
            return taken, taken
        rows, columns = slide.out((1, taken[1]) if one else (taken[1], taken[2]))
        if rows < 1 or columns < 1:
            raise GraphError(
                f"node {name!r}: a kernel of {slide.kernel} does not fit into an input of shape {taken}"
            )
        return taken, (out_channels, columns) if one else (out_channels, rows, columns)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        if len(shape) != 3:
            raise GraphError(
                f"node {name!r}: {type(node).__name__} needs (channels, rows, columns), not {shape}"
            )
        slide = window(name, node)
        if slide.padding[0] * 2 > slide.kernel[0] or slide.padding[1] * 2 > slide.kernel[1]:
            raise GraphError(
                f"node {name!r}: padding {slide.padding} is more than half of the kernel {slide.kernel}"
            )
        rows, columns = slide.out((shape[1], shape[2]))
        if rows < 1 or columns < 1:
            raise GraphError(
                f"node {name!r}: a kernel of {slide.kernel} does not fit into an input of shape {shape}"
            )
        return shape, (shape[0], rows, columns)
    if isinstance(node, nir.Flatten):
        given = node.input_type.get("input") if isinstance(node.input_type, dict) else None
        taken = shape if given is None else _shape(given, name)
        first, last = whole(node.start_dim, name, "start_dim"), whole(node.end_dim, name, "end_dim")
        dims = len(taken)
        if not (-dims <= first < dims and -dims <= last < dims):
            raise GraphError(
                f"node {name!r}: dimensions {first} to {last} to flatten in an input of shape {taken}"
            )
        first, last = first % dims, last % dims
        if last < first:
            raise GraphError(
                f"node {name!r}: dimensions {first} to {last} to flatten in an input of shape {taken}"
            )
        return taken, (*taken[:first], math.prod(taken[first : last + 1]), *taken[last + 1 :])
    return shape, shape


def _infer(
    nodes: dict[str, NIRNode | None], declared: dict[str, Shape], edges: list[Edge]
) -> dict[str, Node]:
    shapes: dict[str, tuple[Shape, Shape]] = {}
    for name, node in nodes.items():
        with _naming(name):
            taken, given = _own_shapes(name, node, declared)
        if taken is not None and given is not None:
            shapes[name] = (taken, given)
    waiting = sorted(set(nodes) - set(shapes))
    sources = {name: sorted(a for a, b in edges if b == name) for name in nodes}
    targets = {name: sorted(b for a, b in edges if a == name) for name in nodes}
    while waiting:
        found = []
        for name in waiting:
            incoming = [shapes[s][1] for s in sources[name] if s in shapes]
            if incoming:
                with _naming(name):
                    shapes[name] = _from_input(name, nodes[name], incoming[0])
                found.append(name)
        if not found:
            name = _undecided(waiting, nodes)
            own = parameter_shape(nodes[name])
            after = [shapes[t][0] for t in targets[name] if t in shapes]
            if own is not None and math.prod(own) > 1:
                shapes[name] = (own, own)
            elif own is not None:
                shape = after[0] if after else (own or (1,))
                shapes[name] = (shape, shape)
            else:
                shape = _input_of_root(name, nodes[name])
                with _naming(name):
                    shapes[name] = _from_input(name, nodes[name], shape)
            found.append(name)
        waiting = [name for name in waiting if name not in found]
    for a, b in edges:
        if shapes[a][1] != shapes[b][0]:
            raise GraphError(
                f"node {a!r} gives shape {shapes[a][1]}, but node {b!r} takes shape {shapes[b][0]}"
            )
    return {name: Node(name, node, *shapes[name]) for name, node in nodes.items()}


def _undecided(waiting: list[str], nodes: dict[str, NIRNode | None]) -> str:
    """The waiting node whose own parameters say most: arrays first, then scalars, then the rest."""

    def rank(name: str) -> tuple[int, str]:
        own = parameter_shape(nodes[name])
        return (2 if own is None else int(math.prod(own) == 1), name)

    return min(waiting, key=rank)


def _input_of_root(name: str, node: NIRNode | None) -> Shape:
    """The input shape of a node that nothing leads to."""
    if isinstance(node, (nir.Conv1d, nir.Conv2d)) and node.input_shape is not None:
        inner = _shape(node.input_shape, name)
        return (node.weight.shape[1] * whole(node.groups, name, "groups"), *inner)
    if (
        isinstance(node, nir.Flatten)
        and isinstance(node.input_type, dict)
        and node.input_type.get("input") is not None
    ):
        return _shape(node.input_type["input"], name)
    raise GraphError(f"node {name!r}: nothing leads to it, and its input shape is given nowhere")
