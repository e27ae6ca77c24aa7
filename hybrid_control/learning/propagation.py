"""Weighted sums in the order in which the engine adds them up, so that both have the same bits, with gradients.

A sum of floats depends on its order, and one that ends up on the other side of a threshold is another spike. The
engine adds to a target in the order of the presynaptic neurons; so do these, and what is zero is left out. Where the
tensors are on another device than the CPU the sums are torch's own, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional, grad

from hybrid_control.snn.nir.graph import Node
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.nir.windows import Window, window

Array = NDArray[Any]
DENSE = 0.25  # of all pairs joined, from which on a matrix is kept as one


@njit(cache=True, nogil=True)
def _add_rows(x, weights, out):  # type: ignore[no-untyped-def]
    """out[b] += x[b, i] * weights[i], i ascending. x (batch, pre), weights (pre, post), out (batch, post)."""
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            c = x[b, i]
            if c != 0:
                for j in range(weights.shape[1]):
                    out[b, j] += c * weights[i, j]


@njit(cache=True, nogil=True)
def _add_lists(x, pointer, post, values, out):  # type: ignore[no-untyped-def]
    """The same, where the synapses of i are those from pointer[i] to pointer[i + 1]."""
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            c = x[b, i]
            if c != 0:
                for s in range(pointer[i], pointer[i + 1]):
                    out[b, post[s]] += c * values[s]


@njit(cache=True, nogil=True)
def _to_sources(gradient, pointer, post, values, out):  # type: ignore[no-untyped-def]
    """Gradients after x: out[b, i] = sum over the synapses of i of gradient[b, post] * value."""
    for b in range(out.shape[0]):
        for i in range(out.shape[1]):
            total = out[b, i]
            for s in range(pointer[i], pointer[i + 1]):
                total += gradient[b, post[s]] * values[s]
            out[b, i] = total


@njit(cache=True, nogil=True)
def _to_synapses(x, gradient, pointer, post, out):  # type: ignore[no-untyped-def]
    """Gradients after the values: out[s] = sum over the batch of x[b, i] * gradient[b, post]."""
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            c = x[b, i]
            if c != 0:
                for s in range(pointer[i], pointer[i + 1]):
                    out[s] += c * gradient[b, post[s]]


@dataclass(frozen=True)
class Synapses:
    """Synapses sorted by presynaptic neuron. index: where in the node's weights the value of each is."""

    pointer: Array
    post: Array
    index: Tensor
    _ends: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def ends(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """From which neuron to which each goes, (synapses,) both, on a device."""
        if device not in self._ends:
            pre = np.repeat(np.arange(self.pointer.size - 1), np.diff(self.pointer))
            self._ends[device] = (torch.from_numpy(pre).to(device), torch.from_numpy(self.post).to(device))
        return self._ends[device]


def compiled_for(x: Tensor) -> bool:
    """Whether what is compiled here can read a tensor."""
    return x.device.type == "cpu"


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, weights)
        out = total.detach().clone()
        _add_rows(x.detach().numpy(), weights.detach().numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weights = ctx.saved_tensors
        g = gradients[0]
        return (
            g,
            g @ weights.T if ctx.needs_input_grad[1] else None,
            x.T @ g if ctx.needs_input_grad[2] else None,
        )


class _Lists(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, x: Tensor, values: Tensor, synapses: Synapses) -> Tensor:
        ctx.save_for_backward(x, values)
        ctx.synapses = synapses
        out = total.detach().clone()
        arrays = x.detach().numpy(), synapses.pointer, synapses.post, values.detach().numpy()
        _add_lists(*arrays, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, values = ctx.saved_tensors
        g, s, to_x, to_values = gradients[0].contiguous(), ctx.synapses, None, None
        if ctx.needs_input_grad[1]:
            to_x = torch.zeros_like(x)
            _to_sources(g.numpy(), s.pointer, s.post, values.numpy(), to_x.numpy())
        if ctx.needs_input_grad[2]:
            to_values = torch.zeros_like(values)
            _to_synapses(x.numpy(), g.numpy(), s.pointer, s.post, to_values.numpy())
        return g, to_x, to_values, None


class _Windows(torch.autograd.Function):
    """As `_Lists`, for a convolution: what goes back is torch's own, several times as fast."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, x: Tensor, weights: Tensor, values: Array, over: Sliding) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.over, synapses = over, over.synapses
        out = total.detach().clone()
        _add_lists(x.detach().numpy(), synapses.pointer, synapses.post, values, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weights = ctx.saved_tensors
        over, g = ctx.over, gradients[0].reshape(-1, *ctx.over.outs)
        kernels = weights.reshape(over.kernels)
        shape = (len(x), *over.ins)
        to_x = to_weights = None
        if ctx.needs_input_grad[1]:
            to_x = grad.conv2d_input(shape, kernels, g, *over.how).reshape(x.shape)
        if ctx.needs_input_grad[2]:
            to_weights = grad.conv2d_weight(x.reshape(shape), over.kernels, g, *over.how).reshape(
                weights.shape
            )
        return gradients[0], to_x, to_weights, None, None


@dataclass(frozen=True)
class Sliding:
    """A convolution as torch's conv2d takes it: shapes without the batch, and (stride, padding, dilation, groups)."""

    synapses: Synapses
    ins: tuple[int, int, int]
    outs: tuple[int, int, int]
    kernels: tuple[int, int, int, int]
    how: tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]

    @classmethod
    def of(cls, node: Node, synapses: Synapses) -> Sliding | None:
        """Of a Conv1d or Conv2d; None where it is padded more on one side than on the other."""
        w: Window = window(node.name, node.nir)
        if w.padding != w.padding_after:
            return None

        def plane(shape: Sequence[int]) -> tuple[int, int, int]:
            return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0], shape[1], shape[2])

        ins, outs = plane(node.shape_in), plane(node.shape_out)
        kernels = (outs[0], ins[0] // w.groups, *w.kernel)
        return cls(synapses, ins, outs, kernels, (w.stride, w.padding, w.dilation, w.groups))


def add_rows(total: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    """total + x @ weights: (batch, post), (batch, pre), (pre, post), the last contiguous."""
    if not compiled_for(x):
        return torch.addmm(total, x, weights)
    added: Tensor = _Rows.apply(total, x.contiguous(), weights)
    return added


def add_synapses(total: Tensor, x: Tensor, values: Tensor, synapses: Synapses) -> Tensor:
    """The same over listed synapses; values (synapses,)."""
    if not compiled_for(x):
        pre, post = synapses.ends(x.device)
        return total.index_add(1, post, x[:, pre] * values)
    added: Tensor = _Lists.apply(total, x.contiguous(), values, synapses)
    return added


def add_windows(total: Tensor, x: Tensor, weights: Tensor, values: Array | None, over: Sliding) -> Tensor:
    """The same over the synapses of a convolution. weights: as the node has them; values: those of its synapses, None
    where nothing compiled can read them."""
    if values is None:
        planes, kernels = x.reshape(-1, *over.ins), weights.reshape(over.kernels)
        return total + functional.conv2d(planes, kernels, None, *over.how).reshape(total.shape)
    added: Tensor = _Windows.apply(total, x.contiguous(), weights, values, over)
    return added


def is_dense(node: Node) -> bool:
    """Whether a node's weights are better used as a matrix than synapse by synapse."""
    weight = getattr(node.nir, "weight", np.zeros(0))
    matrix = isinstance(node.nir, (nir.Linear, nir.Affine)) and weight.ndim == 2
    return bool(matrix and np.count_nonzero(weight) > DENSE * weight.size)


def lists(node: Node, steps: Array | None) -> dict[int, Synapses]:
    """A node's synapses by their delay in ticks; steps: of each synapse of a SparseLinear, None for none.

    For pooling the index is 0 throughout.
    """
    if isinstance(node.nir, SparseLinear):
        pre, post, index = node.nir.pre, node.nir.post, np.arange(np.size(node.nir.weight))
    elif isinstance(node.nir, (nir.Linear, nir.Affine)):
        pre, post, index = _joined(np.asarray(node.nir.weight))
    else:
        pre, post, index = _windows(node)
    delays = np.zeros(index.size, np.int64) if steps is None else steps
    found = {}
    for delay in np.unique(delays):
        chosen = np.flatnonzero(delays == delay)
        order = chosen[np.lexsort((post[chosen], pre[chosen]))]
        pointer = np.zeros(node.size_in + 1, np.int64)
        np.cumsum(np.bincount(pre[order], minlength=node.size_in), out=pointer[1:])
        found[int(delay)] = Synapses(
            pointer, post[order].astype(np.int64), torch.from_numpy(index[order].astype(np.int64))
        )
    return found


def _joined(weight: Array) -> tuple[Array, Array, Array]:
    """The pairs that a matrix, or a block of them along a diagonal, joins: pre, post, place in `weight`."""
    *_, to, of = weight.shape
    block, post, pre = np.nonzero(weight.reshape(-1, to, of))
    return block * of + pre, block * to + post, (block * to + post) * of + pre


def _windows(node: Node) -> tuple[Array, Array, Array]:
    """What a convolution or pooling joins: pre, post, place in the weights."""
    w = window(node.name, node.nir)
    one = isinstance(node.nir, nir.Conv1d)
    (channels, *into), (outs, *out) = node.shape_in, node.shape_out
    rows, columns = (1, *into) if one else into
    out_rows, out_columns = (1, *out) if one else out
    convolves = isinstance(node.nir, (nir.Conv1d, nir.Conv2d))
    per_group = channels // w.groups if convolves else 1
    o, c, a, b, y, z = np.ogrid[:outs, :per_group, : w.kernel[0], : w.kernel[1], :out_rows, :out_columns]
    group = o // (outs // w.groups) if convolves else o
    row = y * w.stride[0] - w.padding[0] + a * w.dilation[0]
    column = z * w.stride[1] - w.padding[1] + b * w.dilation[1]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    pre = ((group * per_group + c) * rows + row) * columns + column
    post = (o * out_rows + y) * out_columns + z
    index = ((o * per_group + c) * w.kernel[0] + a) * w.kernel[1] + b if convolves else 0 * o
    shape = np.broadcast_shapes(pre.shape, inside.shape, post.shape)
    kept = np.broadcast_to(inside, shape)
    pre, post, index = (np.broadcast_to(values, shape)[kept] for values in (pre, post, index))
    return pre, post, index
