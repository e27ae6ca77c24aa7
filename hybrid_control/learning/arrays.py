"""numpy's functions on torch tensors, so that a neuron type's own formulas for its coefficients can be differentiated.

`NeuronModel.coefficients` is numpy. Called with `Tracked` instead of arrays it gives the gradients of the coefficients
after the parameters; their values are numpy's own, as the engine has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from torch import Tensor

from hybrid_control.snn.neurons.model import NeuronModel
from hybrid_control.snn.options import Options

Array = NDArray[Any]


def _isclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8) -> Tensor:
    return torch.isclose(*torch.broadcast_tensors(a, b), rtol=rtol, atol=atol)


_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    np.add: torch.add,
    np.subtract: torch.subtract,
    np.multiply: torch.multiply,
    np.true_divide: torch.true_divide,
    np.power: torch.pow,
    np.negative: torch.negative,
    np.exp: torch.exp,
    np.expm1: torch.expm1,
    np.log: torch.log,
    np.sqrt: torch.sqrt,
    np.maximum: torch.maximum,
    np.minimum: torch.minimum,
    np.isinf: torch.isinf,
    np.isclose: _isclose,
    np.where: torch.where,
    np.round: torch.round,
    np.zeros_like: torch.zeros_like,
    np.ones_like: torch.ones_like,
    np.full_like: lambda a, value: torch.zeros_like(a) + value,
}


def _tensor(value: Any) -> Any:
    return value.tensor if isinstance(value, Tracked) else torch.from_numpy(np.array(value, dtype=np.float64))


class Tracked(NDArrayOperatorsMixin):
    """A tensor (float64) that numpy's operators and the functions above take for an array."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return tuple(self.tensor.shape)

    def _call(self, function: Any, arguments: Any, named: Mapping[str, Any]) -> Tracked:
        if function not in _FUNCTIONS:
            raise TypeError(f"numpy.{getattr(function, '__name__', function)} is not known here")
        return Tracked(_FUNCTIONS[function](*[_tensor(a) for a in arguments], **named))

    def __array_ufunc__(self, function: Any, method: str, *arguments: Any, **named: Any) -> Tracked:
        return self._call(function if method == "__call__" else method, arguments, named)

    def __array_function__(self, function: Any, types: Any, arguments: Any, named: Any) -> Tracked:
        return self._call(function, arguments, named)


class _Exactly(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tracked: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def coefficients(
    model: NeuronModel, values: Mapping[str, Array], tracked: Mapping[str, Tensor], options: Options
) -> list[Tensor]:
    """The rows that a type's step takes, in float64: numpy's values, with gradients after the `tracked` parameters.

    values: all parameters as the engine has them. ValueError where the type's formulas use a function that is not
    known here.
    """
    exact = model.coefficients(values, options)
    rows = [torch.from_numpy(np.array(exact[name], dtype=np.float64)) for name in model.rows]
    if not tracked:
        return rows
    try:
        followed = model.coefficients(
            {key: Tracked(tracked[key]) if key in tracked else value for key, value in values.items()},  # type: ignore[misc]
            options,
        )
    except TypeError as error:
        raise ValueError(
            f"{sorted(tracked)} of {model.node.__name__} cannot be trained: {' '.join(str(error).split())}"
        ) from None
    for i, name in enumerate(model.rows):
        row: Any = followed[name]
        if isinstance(row, Tracked) and row.tensor.requires_grad:
            shape = torch.broadcast_shapes(row.tensor.shape, rows[i].shape)
            rows[i] = _Exactly.apply(row.tensor.expand(shape), rows[i].expand(shape))
    return rows
