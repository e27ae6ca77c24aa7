"""How convolutions and pooling slide over their input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir

from hybrid_control.snn.nir.checks import GraphError, pair, whole


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
    padding = node.padding.decode("utf8") if isinstance(node.padding, bytes) else node.padding
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
