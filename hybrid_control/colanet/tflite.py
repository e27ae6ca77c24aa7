"""A TFLite file as something that is called, by PyPI's ai-edge-litert, as `hybrid_control.ann` does for ONNX files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.ann import ModelError


class TfliteModel:
    """A model with one example as its input; inputs, types and outputs as `OnnxModel` has them, without the batch.

    output: a tensor's name, which may lie within; the file's outputs where None. Quantised values are given as numbers.
    ModelError where ai-edge-litert is not there, or the file is nothing that it runs.
    """

    def __init__(self, path: str | os.PathLike[str], output: str | None = None) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ModelError(
                f"{path}: TFLite needs ai-edge-litert ({error}): pip install '.[tflite]' in the repository"
            ) from None
        self.path = str(path)
        if not Path(path).is_file():
            raise ModelError(f"{path}: no such file; expected a TFLite file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that tensors within are kept
                self._interpreter = Interpreter(
                    self.path, num_threads=1, experimental_preserve_all_tensors=output is not None
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            words = " ".join(str(error).split())[:300]
            raise ModelError(f"{path}: not a TFLite model that can be run ({words})") from None
        given = self._interpreter.get_input_details()
        self._inputs = {d["name"]: d for d in given}
        details = self._interpreter.get_output_details()
        if output is not None:
            details = [d for d in self._interpreter.get_tensor_details() if d["name"] == output][:1]
            if not details:
                raise ModelError(f"{path}: has no tensor {output!r}")
        self._outputs = {d["name"]: d for d in details}
        self.inputs = {name: tuple(int(n) for n in d["shape"][1:]) for name, d in self._inputs.items()}
        self.types = {name: d["dtype"] for name, d in self._inputs.items()}
        self.outputs = {name: tuple(int(n) for n in d["shape"][1:]) for name, d in self._outputs.items()}

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs by name for inputs by name."""
        for name, d in self._inputs.items():
            self._interpreter.set_tensor(d["index"], inputs[name].astype(d["dtype"])[None])
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self.path}: {' '.join(str(error).split())[:300]}") from None
        result = {}
        for name, d in self._outputs.items():
            scale, zero = d["quantization"]
            value = self._interpreter.get_tensor(d["index"])[0].astype(np.float32)
            result[name] = (value - zero) * scale if scale else value
        return result
