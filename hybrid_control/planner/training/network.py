"""The planner's network: a small convolutional net over the image, joined with goal and speed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hybrid_control.planner.contract import HEADING_NEURONS, HEADINGS, SPEED_SIGMA, SPEEDS
from hybrid_control.planner.training.dataset import HEIGHT, WIDTH
from hybrid_control.planner.training.labels import BUMP_PEAK, RAY_ANGLES

GOAL_CAP = 10.0  # m
MAX_RATE = 200.0  # Hz
_GOAL_WIDTHS = (1.0, 8.0, 60.0)  # concentration of the von Mises bumps in which the goal's bearing is given


def _block(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Network(nn.Module):
    """From image, goal and velocity to logits of headings (n, 72), a speed fraction (n,) and ranges (n, 33).

    The ranges (as 1 / (1 + metres)) only help training to see free space; export leaves them out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(
            _block(3, 16, 5, 2),
            _block(16, 32, 3, 2),
            _block(32, 48, 3, 2),
            _block(48, 64, 3, (2, 1)),  # columns are directions: they are kept apart longer than rows
            _block(64, 32, 1, 1),
            nn.Flatten(),
        )
        with torch.no_grad():
            size = self.see.eval()(torch.zeros(1, 3, HEIGHT, WIDTH)).shape[1]
        self.see.train()
        self.image = nn.Sequential(nn.Linear(size, 128), nn.ReLU())
        self.goal = nn.Sequential(nn.Linear(len(_GOAL_WIDTHS) * HEADING_NEURONS + 7, 64), nn.ReLU())
        self.join = nn.Sequential(nn.Linear(128 + 64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
        self.heading = nn.Linear(128, HEADING_NEURONS)
        self.speed = nn.Linear(128, 1)
        self.ranges = nn.Linear(128, RAY_ANGLES.size)
        self.register_buffer("directions", torch.tensor(HEADINGS, dtype=torch.float32), persistent=False)

    def forward(self, image: Tensor, goal: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: (n, 60, 80, 3), 0 .. 255; goal: (n, 3) as in the contract; velocity: (n, 2)."""
        x = image.permute(0, 3, 1, 2).float()
        # Light differs from place to place: only contrasts are looked at.
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        spread = ((x - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        seen = self.image(self.see((x - mean) / (spread + 4.0)))
        distance, cosine, sine = goal[:, 0:1], goal[:, 1:2], goal[:, 2:3]
        ahead = cosine * torch.cos(self.directions) + sine * torch.sin(self.directions)
        bumps = [torch.exp(k * (ahead - 1.0)) for k in _GOAL_WIDTHS]
        near = torch.exp(-distance)
        goal_features = torch.cat(
            [*bumps, distance / GOAL_CAP, near, torch.exp(-distance / 3.0), cosine, sine], dim=1
        )
        told = self.goal(torch.cat([goal_features, 0.5 * velocity], dim=1))
        both = self.join(torch.cat([seen, told], dim=1))
        return self.heading(both), torch.sigmoid(self.speed(both))[:, 0], torch.sigmoid(self.ranges(seen))


class Rates(nn.Module):
    """The network with its answers as the contract's rates.

    A heading neuron's rate is its probability over that of the expert's bump at its peak, times MAX_RATE: a
    sure network gives one full bump, one in doubt a broader and lower one, and their sum stays the same.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("speeds", torch.tensor(SPEEDS, dtype=torch.float32))

    def forward(self, image: Tensor, goal: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Rates in Hz: heading (n, 72) and speed (n, 8)."""
        logits, speed, _ = self.network(image, goal, velocity)
        heading = MAX_RATE * (torch.softmax(logits, dim=1) / BUMP_PEAK).clamp(max=1.0)
        code = torch.exp(-((speed[:, None] - self.speeds) ** 2) / (2.0 * SPEED_SIGMA**2))
        return heading, MAX_RATE * code


def goal_tensor(goal: Tensor) -> Tensor:
    """The contract's goal input (n, 3) from distance in m and bearing in rad (n, 2)."""
    distance = goal[:, 0].clamp(max=GOAL_CAP)
    return torch.stack([distance, torch.cos(goal[:, 1]), torch.sin(goal[:, 1])], dim=1)


def mirror(
    image: Tensor, goal: Tensor, velocity: Tensor, heading: Tensor, ranges: Tensor
) -> tuple[Tensor, ...]:
    """The same samples seen in a mirror: left and right change places in all that has a side."""
    sign = torch.tensor([1.0, -1.0])
    return image.flip(2), goal * sign, velocity * sign, -heading, ranges.flip(1)


def disturb(image: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n, h, w, 3) as float 0 .. 255, with gain, offset and noise of a camera that differ for each."""
    n = image.shape[0]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    gain = torch.exp(uniform(-math.log(1.6), math.log(1.6), n, 1, 1, 1)) * uniform(0.85, 1.15, n, 1, 1, 3)
    noise = uniform(0.0, 8.0, n, 1, 1, 1) * torch.randn(image.shape, generator=generator)
    return (image.float() * gain + uniform(-25.0, 25.0, n, 1, 1, 1) + noise).clamp(0.0, 255.0)
