"""Losses: how far what a network gave in a window of ticks is from what it should have given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

LOSSES = ("cross_entropy", "mse_rate", "mse_voltage", "van_rossum")


@dataclass(frozen=True)
class Loss:
    """A loss by name; given and wanted are (batch, ticks, *shape) of a window, or as said.

    cross_entropy: of a softmax over what was given, added up over the ticks: spike counts as logits; wanted (batch,)
    is the number of the right one. mse_rate: mean square of the difference of mean rates, in Hz^2; wanted
    (batch, *shape) in Hz. mse_voltage: mean square of the difference in each tick, of voltages or values.
    van_rossum: spikes smoothed by exp(-t / tau), and the integral over the square of the difference, divided by tau, so
    that one spike too many is about 1/2; mean over neurons and batch; M. van Rossum, Neural Computation 13(4), 2001.
    tau: seconds, of van_rossum alone.
    """

    name: str
    tau: float = 10e-3

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise ValueError(f"loss {self.name!r} must be one of {list(LOSSES)}")
        if not (math.isfinite(self.tau) and self.tau > 0):
            raise ValueError(
                f"the time constant of van_rossum must be a positive time in seconds, not {self.tau}"
            )

    @property
    def over_time(self) -> bool:
        """Whether there is a target for each tick."""
        return self.name in ("mse_voltage", "van_rossum")

    def check_targets(self, targets: NDArray[np.generic], ticks: int, shape: tuple[int, ...]) -> None:
        """ValueError where they do not fit outputs of `shape` over so many ticks."""
        if self.name == "cross_entropy":
            classes = math.prod(shape)
            if targets.ndim != 1 or targets.dtype.kind not in "iu":
                raise ValueError(
                    f"targets of cross_entropy must be whole numbers of shape (samples,), not {targets.dtype} "
                    f"of shape {targets.shape}"
                )
            if targets.size and not 0 <= targets.min() <= targets.max() < classes:
                raise ValueError(
                    f"targets of cross_entropy must lie in 0 .. {classes - 1}, for {classes} outputs; "
                    f"they reach from {targets.min()} to {targets.max()}"
                )
            return
        wanted = (ticks, *shape) if self.over_time else shape
        if targets.shape[1:] != wanted or targets.dtype.kind not in "iufb":
            raise ValueError(
                f"targets of {self.name} must be numbers of shape {('samples', *wanted)}, "
                f"not {targets.dtype} of shape {targets.shape}"
            )

    def __call__(self, given: Tensor, wanted: Tensor, dt: float) -> Tensor:
        """The loss of a window."""
        if self.name == "cross_entropy":
            return functional.cross_entropy(given.sum(1).flatten(1), wanted)
        if self.name == "mse_rate":
            return functional.mse_loss(given.mean(1) / dt, wanted)
        if self.name == "mse_voltage":
            return functional.mse_loss(given, wanted)
        ticks = torch.arange(given.shape[1], dtype=given.dtype, device=given.device)
        age = ticks[:, None] - ticks[None, :]
        kernel = torch.where(age >= 0, torch.exp(-age.clamp(min=0) * dt / self.tau), 0.0)
        difference = torch.einsum("ts,bs...->bt...", kernel, given - wanted)
        return dt / self.tau * difference.square().sum(1).mean()


def correct(given: Tensor, wanted: Tensor) -> int:
    """How many of a batch have their largest sum at the right place."""
    return int((given.sum(1).flatten(1).argmax(1) == wanted).sum())
