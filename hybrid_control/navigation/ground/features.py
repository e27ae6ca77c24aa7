"""The encoder: an image's feature map, by a layer within the planner's file or by any other ONNX file."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from hybrid_control.ann import ModelError, OnnxModel
from hybrid_control.files import digest
from hybrid_control.navigation.planner.contract import FEATURES
from hybrid_control.navigation.planner.planner import resized

IMAGE = "image"
MADE = 64  # images made by code


class FeatureMap:
    """A frozen ONNX file with an input "image", uint8 (height, width, 3), and an output (features, rows, columns).

    What else it asks for is given as zeros; what is below 0 of its features counts as 0. ModelError where the file is
    nothing of the kind.
    """

    def __init__(self, path: str | os.PathLike[str], output: str = FEATURES) -> None:
        self._model, self._output = OnnxModel(path), output
        shape = self._model.inputs.get(IMAGE, ())
        if len(shape) != 3 or shape[2] != 3 or self._model.types[IMAGE] != np.uint8:
            raise ModelError(f"{path}: has no input {IMAGE!r} of uint8 (height, width, 3)")
        found = self._model.outputs.get(output, ())
        if len(found) != 3:
            named = ", ".join(f"{name} {size}" for name, size in self._model.outputs.items())
            raise ModelError(f"{path}: has no output {output!r} (features, rows, columns); it has {named}")
        self.features, *self.shape = found
        self._height, self._width = shape[:2]
        self._zeros = {name: np.zeros(size) for name, size in self._model.inputs.items()}
        self.digest = digest(path)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(rows, columns, features) of an image (h, w, 3), uint8 RGB of any size. BlindError where it shows nothing."""
        small = resized(image, (self._height, self._width))
        found = np.asarray(self._model({**self._zeros, IMAGE: small})[self._output], np.float32)
        if not np.isfinite(found).all():
            raise ModelError(f"{self._model.path}: gives features that are not finite")
        return np.maximum(np.moveaxis(found, 0, 2), 0.0)

    def typical(self) -> NDArray[np.float32]:
        """Features of images made by code, (n, features), always the same: how its features are spread before anything
        was seen."""
        draw = np.random.default_rng(0)
        images = (_made(draw, self._height, self._width) for _ in range(MADE))
        return np.concatenate([self(image).reshape(-1, self.features) for image in images])


def _made(draw: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Rectangles of random colours, some of them chequered, over one another, with noise."""
    image = np.tile(draw.uniform(0.0, 255.0, 3), (height, width, 1))
    for _ in range(6):
        top, left = draw.integers(0, height), draw.integers(0, width)
        rows, columns = draw.integers(height // 12, 1 + height * 2 // 3, 2)
        part = image[top : top + rows, left : left + columns]
        part[:] = draw.uniform(0.0, 255.0, 3)
        if draw.random() < 0.3:
            side = int(draw.integers(2, 6))
            odd = np.add.outer(np.arange(part.shape[0]) // side, np.arange(part.shape[1]) // side) % 2
            part *= 0.7 + 0.3 * odd[:, :, None]
    return np.clip(image + draw.normal(0.0, 3.0, image.shape), 0, 255).astype(np.uint8)
