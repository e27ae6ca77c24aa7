"""The planner's network: a small convolutional net that works in directions around the robot.

What the image's columns show is laid out on a ring of directions, one place for each heading neuron, beside
the goal's bearing; convolutions around the ring then decide. The same weights serve every direction, so little
data goes a long way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.navigation.planner.contract import PREFERRED_SPEEDS, SPEED_SIGMA
from hybrid_control.navigation.planner.scans import UNKNOWN
from hybrid_control.navigation.planner.training.dataset import HEIGHT, WIDTH
from hybrid_control.navigation.planner.training.labels import BUMP_PEAK, RAY_ANGLES
from hybrid_control.signals.headings import HEADINGS, SECTORS

GOAL_CAP = 10.0  # m
MAX_RATE = 200.0  # Hz
CAMERA_HFOV = math.radians(90.0)  # of the camera that the training looks through; its lens is a pinhole
NO_SCAN, LOST = 0.25, 0.01  # share of the frames without a scan, and of a scan's sectors without a reading
_COLUMNS = 20  # of the innermost feature map
_SEEN, _RING = 32, 32  # channels of a direction in view, and on the ring
_AROUND = (1, 2, 4, 8, 1, 2, 4, 8)  # dilations of the ring's convolutions
_GOAL_WIDTHS = (1.0, 8.0, 60.0)  # concentration of the von Mises bumps in which the goal's bearing is given


def _block(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def column_weights(directions: np.ndarray) -> Tensor:
    """Weights (columns, n) that read the feature map at body-frame directions (n,) in rad; 0 out of view.

    A pinhole camera shows direction b at -tan(b) / tan(hfov / 2) of the half width from the middle to the right.
    Strided convolutions put the middle of column j on that of pixel j * WIDTH / columns; between two columns the
    weights are linear.
    """
    pixel = 0.5 * WIDTH * (1.0 - np.tan(directions) / math.tan(CAMERA_HFOV / 2)) - 0.5
    at = pixel * _COLUMNS / WIDTH
    at = np.clip(at, 0.0, _COLUMNS - 1.0)
    weights = np.maximum(1.0 - np.abs(np.arange(_COLUMNS)[:, None] - at[None, :]), 0.0)
    weights[:, np.abs(directions) > CAMERA_HFOV / 2 + 1e-6] = 0.0
    return torch.tensor(weights, dtype=torch.float32)


class _RingBlock(nn.Module):
    """A convolution around the ring of directions, added to what came in."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.around = nn.Conv1d(_RING, _RING, 5, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(_RING)
        self.reach = 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        closed = torch.cat([x[:, :, -self.reach :], x, x[:, :, : self.reach]], dim=2)
        return functional.relu(x + self.norm(self.around(closed)))


class Network(nn.Module):
    """From image, goal and velocity to logits of headings (n, 72), a speed fraction (n,) and ranges (n, 33).

    The ranges (as 1 / (1 + metres)) only help training to see free space; export leaves them out.
    """

    directions: Tensor
    to_ring: Tensor
    to_rays: Tensor
    in_view: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(
            _block(3, 16, 5, 2),
            _block(16, 32, 3, 2),
            _block(32, 48, 3, (2, 1)),  # columns are directions: they are kept apart longer than rows
            _block(48, 64, 3, (2, 1)),
            _block(64, 32, 1, 1),
        )
        with torch.no_grad():
            _, channels, rows, columns = self.see.eval()(torch.zeros(1, 3, HEIGHT, WIDTH)).shape
        self.see.train()
        if columns != _COLUMNS:
            raise AssertionError(f"the feature map has {columns} columns, not {_COLUMNS}")
        self.column = nn.Sequential(
            nn.Conv1d(channels * rows, _SEEN, 3, padding=1, bias=False), nn.BatchNorm1d(_SEEN), nn.ReLU()
        )
        self.ranges = nn.Conv1d(_SEEN, 1, 1)
        features = len(_GOAL_WIDTHS) + 3 + 2 + 3
        self.enter = nn.Sequential(
            nn.Conv1d(_SEEN + 1 + features, _RING, 1, bias=False), nn.BatchNorm1d(_RING), nn.ReLU()
        )
        self.around = nn.Sequential(*(_RingBlock(d) for d in _AROUND))
        self.heading = nn.Conv1d(_RING, 1, 1)
        self.speed = nn.Sequential(nn.Linear(3 * _RING + 5, 64), nn.ReLU(), nn.Linear(64, 1))
        constants = {
            "directions": torch.tensor(HEADINGS, dtype=torch.float32),
            "to_ring": column_weights(HEADINGS),
            "to_rays": column_weights(RAY_ANGLES),
            "in_view": torch.tensor(np.abs(HEADINGS) < CAMERA_HFOV / 2, dtype=torch.float32),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self, image: Tensor, goal: Tensor, velocity: Tensor, scan: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """image: (n, 60, 80, 3), 0 .. 255; goal: (n, 3) as in the contract; velocity: (n, 2); scan: (n, 72)."""
        logits, speed, ranges, _ = self.whole(image, goal, velocity, scan)
        return logits, speed, ranges

    def whole(
        self, image: Tensor, goal: Tensor, velocity: Tensor, scan: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `forward` gives, and the feature map (n, 32, 15, 20) of its second layer, for who learns behind it."""
        x = image.permute(0, 3, 1, 2).float()
        # Light differs from place to place: only contrasts are looked at.
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        spread = ((x - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        features = self.see[:2]((x - mean) / (spread + 4.0))
        seen = self.column(self.see[2:](features).flatten(1, 2))
        ranges = torch.sigmoid(self.ranges(seen @ self.to_rays))[:, 0]

        distance, cosine, sine = goal[:, 0:1], goal[:, 1:2], goal[:, 2:3]
        ahead = cosine * torch.cos(self.directions) + sine * torch.sin(self.directions)
        bumps = torch.stack([torch.exp(k * (ahead - 1.0)) for k in _GOAL_WIDTHS], dim=1)
        scalars = torch.cat(
            [distance / GOAL_CAP, torch.exp(-distance), torch.exp(-distance / 3.0), 0.5 * velocity], dim=1
        )
        everywhere = scalars[:, :, None] + torch.zeros_like(bumps[:, :1])
        view = self.in_view + torch.zeros_like(bumps[:, :1])
        known = (scan > UNKNOWN).float()
        shown = torch.stack([known, known / (1.0 + scan), known * torch.exp(-2.0 * scan)], dim=1)
        ring = self.around(self.enter(torch.cat([seen @ self.to_ring, view, bumps, everywhere, shown], dim=1)))
        logits = self.heading(ring)[:, 0]
        attention = torch.softmax(logits, dim=1)[:, None]
        front = ring[:, :, SECTORS // 2 - 1 : SECTORS // 2 + 1].mean(dim=2)
        summary = torch.cat([(ring * attention).sum(dim=2), ring.mean(dim=2), front, scalars], dim=1)
        return logits, torch.sigmoid(self.speed(summary))[:, 0], ranges, features


class Rates(nn.Module):
    """The network with its answers as the contract's rates.

    A heading neuron's rate is its probability over that of the expert's bump at its peak, times MAX_RATE: a
    sure network gives one full bump, one in doubt a broader and lower one, and their sum stays the same.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("speeds", torch.tensor(PREFERRED_SPEEDS, dtype=torch.float32))

    def forward(
        self, image: Tensor, goal: Tensor, velocity: Tensor, scan: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rates in Hz, heading (n, 72) and speed (n, 8), and the feature map of the network's second layer."""
        logits, speed, _, features = self.network.whole(image, goal, velocity, scan)
        heading = MAX_RATE * (torch.softmax(logits, dim=1) / BUMP_PEAK).clamp(max=1.0)
        code = torch.exp(-((speed[:, None] - self.speeds) ** 2) / (2.0 * SPEED_SIGMA**2))
        return heading, MAX_RATE * code, features


def goal_tensor(goal: Tensor) -> Tensor:
    """The contract's goal input (n, 3) from distance in m and bearing in rad (n, 2)."""
    distance = goal[:, 0].clamp(max=GOAL_CAP)
    return torch.stack([distance, torch.cos(goal[:, 1]), torch.sin(goal[:, 1])], dim=1)


def mirror(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same samples, arrays of `dataset.Samples` by name, seen in a mirror: left and right change places in all that
    has a side."""
    sign = torch.tensor([1.0, -1.0])
    image, goal, velocity = batch["image"].flip(2), batch["goal"] * sign, batch["velocity"] * sign
    turned = {"image": image, "goal": goal, "velocity": velocity, "heading": -batch["heading"]}
    return {**batch, **turned, "ranges": batch["ranges"].flip(1), "scan": batch["scan"].flip(1)}


def told(scan: Tensor, generator: torch.Generator) -> Tensor:
    """Scans (n, 72) as a robot has them: with noise, with sectors missing, and now and then none at all."""
    noise = 0.01 * torch.randn(scan.shape, generator=generator)
    none = torch.rand(len(scan), 1, generator=generator) < NO_SCAN
    lost = torch.rand(scan.shape, generator=generator) < LOST
    return torch.where(none | lost, UNKNOWN, (scan + noise).clamp(min=0.05))


def disturb(image: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n, h, w, 3) as float 0 .. 255, with gain, offset and noise of a camera that differ for each."""
    n = image.shape[0]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    gain = torch.exp(uniform(-math.log(1.6), math.log(1.6), n, 1, 1, 1)) * uniform(0.85, 1.15, n, 1, 1, 3)
    noise = uniform(0.0, 8.0, n, 1, 1, 1) * torch.randn(image.shape, generator=generator)
    return (image.float() * gain + uniform(-25.0, 25.0, n, 1, 1, 1) + noise).clamp(0.0, 255.0)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Moves averaged weights, and the statistics of the normalisations, a little towards the newest: 1 - keep of the
    way."""
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1.0 - keep)  # what does not change stays the same to the bit
        else:
            slow.copy_(fast)
