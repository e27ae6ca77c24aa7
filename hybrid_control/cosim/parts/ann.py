"""A network without spikes as a part: an ONNX file that is called once a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hybrid_control.cosim.part import Array, Port, Runs


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


class AnnPart:
    """A model without a memory of its own: each run sees what its inputs hold."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.inputs = {name: Port("values", shape) for name, shape in model.inputs.items()}
        self.outputs = {name: Port("values", shape) for name, shape in model.outputs.items()}

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """One inference a run."""
        results = {name: np.empty((runs.count, port.size)) for name, port in self.outputs.items()}
        zeros = {name: np.zeros(port.size) for name, port in self.inputs.items()}
        for i in range(runs.count):
            given = self._model({**zeros, **{name: rows[i] for name, rows in inputs.items()}})
            for name, out in results.items():
                out[i] = np.reshape(given[name], -1)
        return results

    @property
    def model(self) -> Model:
        """What it calls."""
        return self._model

    def state(self) -> Any:
        """It has none."""

    def set_state(self, state: Any) -> None:
        """It has none."""
