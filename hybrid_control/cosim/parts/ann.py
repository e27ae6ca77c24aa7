"""A network without spikes as a part: an ONNX file that is called once a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hybrid_control.cosim.part import Array, Port, Runs, Stateless, call_each


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


class AnnPart(Stateless):
    """A model without a memory of its own: each run sees what its inputs hold."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.inputs = {name: Port("values", shape) for name, shape in model.inputs.items()}
        self.outputs = {name: Port("values", shape) for name, shape in model.outputs.items()}

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """One inference a run."""
        return call_each(self, runs, inputs, self._infer)

    def _infer(self, inputs: dict[str, Array]) -> Mapping[str, Array]:
        given = self._model(inputs)
        return {name: given[name] for name in self.outputs}

    @property
    def model(self) -> Model:
        """What it calls."""
        return self._model
