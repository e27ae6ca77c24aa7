"""Opens ONNX files with onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

ORT_ERRORS = tuple(
    getattr(ort_state, name)
    for name in (
        "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelLoaded",
        "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException",
    )
)  # fmt: skip


class ModelError(ValueError):
    """A file that is no ONNX model that can be run, or a model that cannot take or give what it should."""


class ProviderError(ModelError):
    """An execution provider that is not there."""


def open_session(
    path: str | os.PathLike[str], providers: Sequence[str] | None = None
) -> ort.InferenceSession:
    """An onnxruntime session on one thread, with nothing left to chance or to a busy wait.

    providers: names of execution providers in order of preference; the CPU where None.
    Raises ModelError where the file is not there or is no ONNX model that this onnxruntime runs, ProviderError where a
    provider is not there (onnxruntime alone would quietly take another).
    """
    chosen = ["CPUExecutionProvider"] if providers is None else list(providers)
    available = ort.get_available_providers()
    for name in chosen:
        if name not in available:
            raise ProviderError(
                f"execution provider {name!r} is not there; available: {', '.join(available)}"
            )
    if not chosen:
        raise ProviderError(f"no execution provider was named; available: {', '.join(available)}")
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"{file}: no such file; expected an ONNX file")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what is wrong is said once, below
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(file), options, providers=chosen)
    except ORT_ERRORS as error:
        words = " ".join(str(error).split())
        raise ModelError(f"{file}: not an ONNX model that onnxruntime loads ({words[:300]})") from None
