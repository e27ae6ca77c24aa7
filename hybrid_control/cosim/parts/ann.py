"""A network without spikes as a part: an ONNX file that is called once a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hybrid_control.cosim.part import Array, CalledPart, Port, Stateless


class Model(Protocol):
    """What can be called by name; `ann.OnnxModel` is one."""

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """The outputs for one example."""


class AnnPart(CalledPart, Stateless):
    """A model without a memory of its own: each run sees what its inputs hold."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.inputs = {name: Port("values", shape) for name, shape in model.inputs.items()}
        self.outputs = {name: Port("values", shape) for name, shape in model.outputs.items()}

    def call(self, inputs: Mapping[str, Array], period_ns: int) -> Mapping[str, Array]:
        """One inference."""
        return self._model(inputs)

    @property
    def model(self) -> Model:
        """What it calls."""
        return self._model
