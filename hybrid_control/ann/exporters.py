"""torch modules and Keras models as they are: written as ONNX by their own exporters, run by onnxruntime."""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.ann.model import OnnxModel
from hybrid_control.ann.session import ModelError


def exported(model: Any, sizes: Mapping[str, Sequence[int]] | None = None) -> OnnxModel:
    """A torch.nn.Module or a keras.Model as an OnnxModel.

    sizes: shapes of the inputs by name, without the batch; a torch module needs them, in the order of its `forward`
    and under the names of its arguments, where there are any. ModelError where it is neither, or can't be exported;
    torch needs onnx and onnxscript for it, Keras what its own exporter says.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{type(model).__name__}.onnx")
        try:
            if _is_a(model, "keras", "Model"):  # first: on torch it is a torch module, too
                zeros = [np.zeros((1, *entry.shape[1:]), np.float32) for entry in model.inputs]
                model(zeros[0] if len(zeros) == 1 else zeros)  # an exporter needs a model that was called
                model.export(path, format="onnx", verbose=False)
            elif _is_a(model, "torch.nn", "Module"):
                _from_torch(model, path, sizes)
            else:
                raise ModelError(f"a {type(model).__name__}; expected a torch module or a Keras model")
        except ModelError:
            raise
        except Exception as error:  # of exporters, and of what they need
            words = " ".join(str(error).split())[:300]
            raise ModelError(f"{path.stem}: its exporter says {type(error).__name__}: {words}") from error
        return OnnxModel(path, sizes=None)


def _is_a(model: Any, module: str, name: str) -> bool:
    """Whether it is of a class of a module; a module that nobody has imported has no objects."""
    return module in sys.modules and isinstance(model, getattr(sys.modules[module], name))


def _from_torch(model: Any, path: Path, sizes: Mapping[str, Sequence[int]] | None) -> None:
    torch = sys.modules["torch"]
    if not sizes:
        raise ModelError(f"{path.stem}: sizes: expected the shape of each input of its forward, such as x: [16]")
    taken = [p for p in inspect.signature(model.forward).parameters.values() if p.default is p.empty]
    named = [p.name for p in taken if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if named and named != list(sizes):
        raise ModelError(f"{path.stem}: sizes are of {', '.join(sizes)}; its forward takes {', '.join(named)}")
    model = model.eval()
    example = tuple(torch.zeros((1, *size), dtype=torch.float32) for size in sizes.values())
    with torch.no_grad():
        given = model(*example)
    count = 1 if hasattr(given, "shape") else len(given)
    outputs = ["out"] if count == 1 else [f"out{i}" for i in range(count)]
    program = torch.onnx.export(
        model, example, input_names=list(sizes), output_names=outputs, dynamo=True, verbose=False
    )
    program.save(path)

