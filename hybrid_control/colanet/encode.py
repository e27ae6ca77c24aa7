"""A frozen encoder before the classifier: an ONNX or TFLite file that makes features of an image."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.ann import ModelError, OnnxModel
from hybrid_control.colanet.tflite import TfliteModel
from hybrid_control.files import digest

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of values from 0 to 1


class Encoder:
    """An ONNX or TFLite file with one image as its input: (height, width, 3) or (3, height, width).

    An input of uint8 takes pixels as they are; one of floats takes (pixel / 255 - mean) / std. The features are what
    `output` names (of TFLite, a tensor within, too), or its only output, flat; what is below 0 counts as 0. ModelError
    where the file is nothing of the kind.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        output: str | None = None,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
    ) -> None:
        tflite = os.fspath(path).endswith(".tflite")
        self._model: OnnxModel | TfliteModel = TfliteModel(path, output) if tflite else OnnxModel(path)
        if len(self._model.inputs) != 1:
            raise ModelError(f"{path}: has inputs {', '.join(self._model.inputs)}; expected one image")
        self._input, shape = next(iter(self._model.inputs.items()))
        if len(shape) != 3 or 3 not in (shape[0], shape[2]):
            raise ModelError(f"{path}: input {self._input} has the shape {shape}; expected an RGB image")
        self._channels_first = shape[2] != 3
        self.size = shape[1:] if self._channels_first else shape[:2]
        outputs = self._model.outputs
        if (output is None and len(outputs) != 1) or (output is not None and output not in outputs):
            raise ModelError(f"{path}: name the output with the features, one of {', '.join(outputs)}")
        self._output = output or next(iter(outputs))
        self.features = int(np.prod(outputs[self._output]))
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)
        self._pixels = self._model.types[self._input] == np.uint8
        self.digest = digest(path)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features of an image (*size, 3), uint8, RGB."""
        value: Any = image if self._pixels else (image.astype(np.float32) / 255.0 - self._mean) / self._std
        if self._channels_first:
            value = np.moveaxis(value, 2, 0)
        features = np.asarray(self._model({self._input: value})[self._output], np.float32).reshape(-1)
        if not np.isfinite(features).all():
            raise ModelError(f"{self._model.path}: gives features that are not finite")
        return np.maximum(features, 0.0)
