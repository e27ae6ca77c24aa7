"""What a neuron type is: its NIR node, its parameters, its state and one tick of it; and the list of all types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from nir.ir.node import NIRNode
from numpy.typing import NDArray

from hybrid_control.snn.options import Options

Array = NDArray[Any]
Parameters = Mapping[str, Array]


def _at_zero(parameters: Parameters, options: Options) -> dict[str, Array]:
    return {}


def subtracts(parameters: Parameters, options: Options) -> int:
    """1 where a spike subtracts from the voltage, 0 where it sets it."""
    return int(options.reset == "subtract")


@dataclass(frozen=True)
class NeuronModel:
    """A neuron type. One tick of one neuron is  fired, state' = step(x, state, coefficients, setting).

    node: the NIR node. parameters: what may differ between neurons, with the builder's default, None where it has
    to be given. whole: parameters that are one whole number for all. variables: the names of the state, the voltage
    first; it is what a neuron that does not spike gives. rows: the coefficients that `step` takes, in its order;
    `coefficients` works out these, or more, in the parameters' shape and in float64. start: the variables that do
    not start at 0. setting: one whole number for all. `step` is Python that numba compiles as it stands: numbers
    and tuples, and no calls but of functions that are compiled too.
    """

    node: type[NIRNode]
    parameters: Mapping[str, float | None]
    rows: tuple[str, ...]
    coefficients: Callable[[Parameters, Options], Mapping[str, Array]]
    step: Callable[..., tuple[bool, tuple[float, ...]]]
    variables: tuple[str, ...] = ("voltage",)
    spiking: bool = True
    whole: tuple[str, ...] = ()
    start: Callable[[Parameters, Options], Mapping[str, Array]] = _at_zero
    setting: Callable[[Parameters, Options], int] = subtracts


MODELS: dict[type, NeuronModel] = {}
"""Every neuron type by its NIR node."""


def register(*models: NeuronModel) -> None:
    """Add neuron types. ValueError where another type of that name is there."""
    for model in models:
        if any(kind.__name__ == model.node.__name__ for kind in MODELS):
            raise ValueError(f"there is a neuron type {model.node.__name__} already")
        MODELS[model.node] = model


def model_of(node: NIRNode | None) -> NeuronModel | None:
    """The neuron type of a node; None where it is no neuron."""
    return MODELS.get(type(node))


def is_spiking(node: NIRNode | None) -> bool:
    """Whether a node is a neuron with a threshold."""
    model = model_of(node)
    return model is not None and model.spiking


def parameters_of(node: NIRNode, model: NeuronModel) -> dict[str, Array]:
    """All parameters of a node, in float64."""
    return {n: np.asarray(getattr(node, n), dtype=np.float64) for n in (*model.parameters, *model.whole)}


def neuron(kind: type, shape: tuple[int, ...], **parameters: Any) -> NIRNode:
    """A neuron node of `shape` from scalars or arrays; ValueError for a missing, unknown or unfit parameter."""
    model = MODELS.get(kind)
    if model is None:
        raise ValueError(f"{kind.__name__} is no neuron type; there are {[k.__name__ for k in MODELS]}")
    unknown = set(parameters) - set(model.parameters) - set(model.whole)
    if unknown:
        raise ValueError(
            f"{kind.__name__} has no parameter {sorted(unknown)}; it has {[*model.parameters, *model.whole]}"
        )
    values: dict[str, Any] = {
        name: np.asarray(parameters[name]) for name in model.whole if name in parameters
    }
    for name, default in model.parameters.items():
        value = parameters.get(name, default)
        if value is None:
            raise ValueError(f"{kind.__name__}: {name} must be given")
        array = np.asarray(value, dtype=np.float64)
        try:
            values[name] = np.array(np.broadcast_to(array, shape))
        except ValueError:
            raise ValueError(f"{kind.__name__}: {name} of shape {array.shape} does not fit {shape}") from None
    return kind(**values)
