"""An ONNX model with named inputs and outputs of known shapes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.ann.session import ORT_ERRORS, ModelError, open_session

_TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}  # fmt: skip


class OnnxModel:
    """A model that is called with one example at a time, without a batch axis.

    inputs, outputs: shapes by name, without the batch axis. types: of the inputs, by name. sizes: of axes that the
    file leaves open, by the input's name: its whole shape. ModelError as `open_session` raises it, and where a shape
    stays open.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sizes: Mapping[str, Sequence[int]] | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        self.path = str(path)
        self._session = open_session(path, providers)
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.types: dict[str, Any] = {}
        self._batched: dict[str, bool] = {}
        for arg in self._session.get_inputs():
            self._take_input(arg, (sizes or {}).get(arg.name))
        unknown = set(sizes or {}) - set(self.inputs)
        if unknown:
            raise ModelError(
                f"{self.path}: no input {sorted(unknown)[0]!r}; there are {', '.join(self.inputs)}"
            )
        self._names = [arg.name for arg in self._session.get_outputs()]
        self.outputs = self._shapes_of_outputs()

    def _take_input(self, arg: Any, size: Sequence[int] | None) -> None:
        if arg.type not in _TYPES:
            raise ModelError(
                f"{self.path}: input {arg.name} is {arg.type}, which is not a number that can be given"
            )
        shape = [n if isinstance(n, int) and n > 0 else 0 for n in arg.shape]
        batched = len(shape) > 1 and shape[0] in (0, 1)
        inner = tuple(size) if size is not None else tuple(shape[1:] if batched else shape)
        if 0 in inner or (size is not None and len(inner) != len(shape) - batched):
            raise ModelError(
                f"{self.path}: input {arg.name} has the shape {arg.shape}: give its size, without the batch"
            )
        self.inputs[arg.name] = inner
        self.types[arg.name], self._batched[arg.name] = _TYPES[arg.type], batched

    def _shapes_of_outputs(self) -> dict[str, tuple[int, ...]]:
        """By a run on zeros: what the file says of them may be open."""
        results = self._run(None)
        return {name: np.shape(value) for name, value in zip(self._names, results, strict=True)}

    def feed(self, inputs: Mapping[str, NDArray[Any]] | None = None) -> dict[str, NDArray[Any]]:
        """What onnxruntime is given for these inputs, with the file's types and batch axes; zeros without any."""
        feed = {}
        for name, shape in self.inputs.items():
            value = np.zeros(shape) if inputs is None else np.asarray(inputs[name]).reshape(shape)
            value = value.astype(self.types[name], copy=False)
            feed[name] = value[None] if self._batched[name] else value
        return feed

    def _run(self, inputs: Mapping[str, NDArray[Any]] | None) -> list[NDArray[Any]]:
        feed = self.feed(inputs)
        try:
            results = self._session.run(None, feed)
        except ORT_ERRORS as error:
            raise ModelError(f"{self.path}: {' '.join(str(error).split())[:300]}") from None
        return [
            np.asarray(r)[0] if np.ndim(r) > 1 and np.shape(r)[0] == 1 else np.asarray(r) for r in results
        ]

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs by name for inputs by name, each in its shape or flat."""
        return dict(zip(self._names, self._run(inputs), strict=True))
