"""Surrogate gradients: what takes the place of the derivative of a threshold, which is 0 wherever there is one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Derivative = Callable[[Tensor, float], Tensor]


def _atan(x: Tensor, slope: float) -> Tensor:
    return (slope / 2.0) / (1.0 + (math.pi / 2.0 * slope * x) ** 2)


def _hyperbola(x: Tensor, slope: float) -> Tensor:
    return 1.0 / (1.0 + slope * abs(x)) ** 2


SURROGATES: dict[str, tuple[Derivative, float]] = {
    "atan": (_atan, 2.0),
    "fast_sigmoid": (_hyperbola, 25.0),
    "superspike": (_hyperbola, 100.0),
}
"""Each with its usual slope k, where x is how far the membrane is above its threshold.

atan: (k / 2) / (1 + (pi k x / 2)^2); W. Fang et al., ICCV 2021. fast_sigmoid: 1 / (1 + k |x|)^2, the derivative of
x / (1 + k |x|). superspike: the same curve with the slope that is usual under this name; F. Zenke and S. Ganguli,
"SuperSpike", Neural Computation 30(6), 2018.
"""


@dataclass(frozen=True)
class Surrogate:
    """A surrogate by its name in `SURROGATES`, with a slope of its own or, for None, the usual one."""

    name: str = "atan"
    slope: float | None = None

    def __post_init__(self) -> None:
        if self.name not in SURROGATES:
            raise ValueError(f"surrogate {self.name!r} must be one of {list(SURROGATES)}")
        if self.slope is not None and not (math.isfinite(self.slope) and self.slope > 0):
            raise ValueError(f"the surrogate's slope must be a positive number, not {self.slope}")

    def derivative(self, x: Tensor) -> Tensor:
        """What stands for the derivative of the step at 0, at x."""
        function, usual = SURROGATES[self.name]
        return function(x, usual if self.slope is None else self.slope)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, equal: bool, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.surrogate = surrogate
        return (a >= b if equal else a > b).to(a.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        a, b = ctx.saved_tensors
        gradient = gradients[0] * ctx.surrogate.derivative(a - b)
        return gradient, -gradient.sum_to_size(b.shape), None, None


class _Choice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, flag: Tensor, soft: Tensor, then: Tensor, other: Tensor) -> Tensor:
        ctx.save_for_backward(flag, then, other)
        return torch.where(flag, then, other)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        flag, then, other = ctx.saved_tensors
        g = gradients[0]
        return None, g * (then - other), torch.where(flag, g, 0), torch.where(flag, 0, g)


def spike(a: Tensor, b: Tensor, equal: bool, surrogate: Surrogate) -> Tensor:
    """1 where a > b (or, where `equal`, a >= b), else 0, in the type of a; with the surrogate's gradient."""
    if a.dim() < b.dim() or a.shape[-1:] != b.shape[-1:]:
        a, b = torch.broadcast_tensors(a, b)
    spikes: Tensor = _Spike.apply(a, b, equal, surrogate)
    return spikes


def choose(flag: Tensor, soft: Tensor, then: Tensor, other: Tensor) -> Tensor:
    """`then` where flag is, else `other`; a change of `soft` (flag as 0 and 1) would change it by what they differ."""
    sides = (
        torch.as_tensor(side, dtype=soft.dtype, device=soft.device) for side in (then, other)
    )  # a constant of the step is a number
    chosen: Tensor = _Choice.apply(*torch.broadcast_tensors(flag, soft, *sides))
    return chosen
