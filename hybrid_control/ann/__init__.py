"""Networks without spikes: any ONNX file as something that is called."""

from hybrid_control.ann.exporters import exported
from hybrid_control.ann.macs import multiply_accumulates
from hybrid_control.ann.model import OnnxModel
from hybrid_control.ann.session import ORT_ERRORS, ModelError, ProviderError, open_session

__all__ = [
    "ORT_ERRORS",
    "ModelError",
    "OnnxModel",
    "ProviderError",
    "exported",
    "multiply_accumulates",
    "open_session",
]
