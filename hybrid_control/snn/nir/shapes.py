"""The shape of every node of a graph, from what the nodes say and what comes in.

Shapes follow NIR's definitions. They are worked out here because the nir package (1.0.8) takes the first
kernel size for both directions of a Conv2d and leaves groups out of a Conv1d's input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import nir
import numpy as np
from nir.ir.node import NIRNode

from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.checks import Edge, GraphError, Shape, naming, shape_of, whole
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.nir.windows import window


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
    model = model_of(node)
    if model is not None:
        return np.broadcast_shapes(*(np.shape(getattr(node, key)) for key in model.parameters))
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
        wanted = shape_of(node.input_shape, name) if node.input_shape is not None else shape[1:]
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
        own = node.input_type.get("input") if isinstance(node.input_type, dict) else None
        taken = shape if own is None else shape_of(own, name)
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


def infer(
    nodes: dict[str, NIRNode | None], declared: dict[str, Shape], edges: Sequence[Edge]
) -> dict[str, tuple[Shape, Shape]]:
    """Input and output shape of every node; GraphError where they do not fit. declared: of inputs and outputs."""
    shapes: dict[str, tuple[Shape, Shape]] = {}
    for name, node in nodes.items():
        with naming(name):
            shape_in, shape_out = _own_shapes(name, node, declared)
        if shape_in is not None and shape_out is not None:
            shapes[name] = (shape_in, shape_out)
    waiting = sorted(set(nodes) - set(shapes))
    sources = {name: sorted(a for a, b in edges if b == name) for name in nodes}
    targets = {name: sorted(b for a, b in edges if a == name) for name in nodes}
    while waiting:
        decided = []
        for name in waiting:
            incoming = [shapes[s][1] for s in sources[name] if s in shapes]
            if incoming:
                with naming(name):
                    shapes[name] = _from_input(name, nodes[name], incoming[0])
                decided.append(name)
        if not decided:
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
                with naming(name):
                    shapes[name] = _from_input(name, nodes[name], shape)
            decided.append(name)
        waiting = [name for name in waiting if name not in decided]
    for a, b in edges:
        if shapes[a][1] != shapes[b][0]:
            raise GraphError(
                f"node {a!r} gives shape {shapes[a][1]}, but node {b!r} takes shape {shapes[b][0]}"
            )
    return shapes


def _undecided(waiting: list[str], nodes: dict[str, NIRNode | None]) -> str:
    """The waiting node whose own parameters say most: arrays first, then scalars, then the rest."""

    def rank(name: str) -> tuple[int, str]:
        own = parameter_shape(nodes[name])
        return (2 if own is None else int(math.prod(own) == 1), name)

    return min(waiting, key=rank)


def _input_of_root(name: str, node: NIRNode | None) -> Shape:
    """The input shape of a node that nothing leads to."""
    if isinstance(node, (nir.Conv1d, nir.Conv2d)) and node.input_shape is not None:
        inner = shape_of(node.input_shape, name)
        return (node.weight.shape[1] * whole(node.groups, name, "groups"), *inner)
    if (
        isinstance(node, nir.Flatten)
        and isinstance(node.input_type, dict)
        and node.input_type.get("input") is not None
    ):
        return shape_of(node.input_type["input"], name)
    raise GraphError(f"node {name!r}: nothing leads to it, and its input shape is given nowhere")
