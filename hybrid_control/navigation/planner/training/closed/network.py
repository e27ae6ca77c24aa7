"""The network that says which directions are closed: in each column of the image the row where the free ground ends.

After D. Levi, N. Garnett, E. Fetaya, "StixelNet: A Deep Convolutional Network for Obstacle Detection and Road
Segmentation", BMVC 2015: a column's answer is a distribution over rows, here of two kinds and of "free". What row is
what distance the camera's height and pitch say, which the network is told, so that it need not learn them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.navigation.planner.training.closed.hindsight import UNKNOWN
from hybrid_control.navigation.planner.training.closed.labels import (
    ACROSS,
    COLUMNS,
    HEIGHT,
    HIDDEN,
    ROWS,
    SKY,
    STANDING,
    WIDTH,
)
from hybrid_control.signals.headings import HEADINGS, SECTORS

REACH = 2.0  # m, within which a direction counts as closed
LEAST_AWAY = 0.05  # m
SLACK = 2.0  # rows by which a recorded drive may be wrong about a place
HIGH = 0.1  # m, of heights by a depth image
NEAREST = 0.1  # m, of depths
DEPTHS = 3  # channels that `heights` makes of a depth image, the last of those that a network takes them with
_WIDE, _DEEP = 48, 96  # channels at a quarter and at an eighth of the image's size


def block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 * dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """A convolution, added to what came in."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.inner = block(channels, channels, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, rows, columns), as what comes out."""
        return x + self.inner(x)


def nearness(camera: Tensor, rows: int) -> Tensor:
    """1 / m of the ground that each of `rows` rows of the part of the image that is looked at shows straight ahead, 0
    above the horizon: (n, rows). camera: (n, 3) as the contract has it."""
    height, pitch, hfov = camera[:, 0:1], camera[:, 1:2], camera[:, 2:3]
    places = (SKY + (torch.arange(rows) + 0.5) * (HEIGHT - SKY) / rows) / HEIGHT
    below = (2.0 * places.to(camera.device) - 1.0) * torch.tan(hfov / 2) * HEIGHT / WIDTH
    sinks = torch.sin(pitch) + below * torch.cos(pitch)
    ahead = torch.cos(pitch) - below * torch.sin(pitch)
    return (sinks / (height * ahead.clamp(min=0.05))).clamp(min=0.0)


def heights(depth: Tensor, camera: Tensor) -> Tensor:
    """What a depth image (n, 120, 160) in m, 0 where it is not known, says by the camera (n, 3): (n, 3, ROWS, 80),
    means of what is known of 2 x 2 pixels of the part of the image that is looked at.

    First how high what is seen is above level ground, in units of HIGH and cut at 3 of them: a point `depth` along the
    axis of a camera `height` up lies height - depth · (sin pitch + below · cos pitch) high, below being how far its
    pixel is below the image's middle, 1 m ahead. This is 0 wherever ground is seen, whatever the camera and the row.
    Then 1 / depth, in 1 / m, and the share of the pixels of which it is known. All are 0 where none is.
    """
    depth = depth[:, SKY:]
    places = (SKY + torch.arange(HEIGHT - SKY, device=camera.device) + 0.5) / HEIGHT
    below = (2.0 * places - 1.0) * torch.tan(camera[:, 2:3] / 2) * HEIGHT / WIDTH
    sinks = torch.sin(camera[:, 1:2]) + below * torch.cos(camera[:, 1:2])
    known = (depth > 0.0).float()
    high = (camera[:, 0:1, None] - depth * sinks[:, :, None]) / HIGH
    near = 1.0 / depth.clamp(min=NEAREST)
    means = functional.avg_pool2d(torch.stack([high.clamp(-3.0, 3.0) * known, near * known, known], dim=1), 2)
    share = means[:, 2:]
    return torch.cat([means[:, :2] / share.clamp(min=0.25), share], dim=1)


def free_of(channels: int) -> nn.Sequential:
    """From means and maxima of a feature map over its rows, (n, 2 channels, COLUMNS), to logits of "free"."""
    return nn.Sequential(nn.Conv1d(2 * channels, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 1, 1))


def logits(x: Tensor, free: nn.Module, rows: nn.Module) -> Tensor:
    """From a feature map (n, channels, ROWS / 2, COLUMNS) to (n, 1 + 2 ROWS, COLUMNS). free: as `free_of` makes it;
    rows: to four channels, two rows of two kinds."""
    found = rows(x)
    n = found.shape[0]
    found = found.reshape(n, 2, 2, ROWS // 2, COLUMNS).transpose(2, 3).reshape(n, 2 * ROWS, COLUMNS)
    return torch.cat([free(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)), found], dim=1)


class Network(nn.Module):
    """From image (n, 120, 160, 3), 0 .. 255, and camera (n, 3) to logits (n, 1 + 2 ROWS, COLUMNS): free, then the rows
    of what stands and of what is hidden. depth: whether it takes a depth image (n, 120, 160) as well."""

    def __init__(self, depth: bool = False) -> None:
        super().__init__()
        self.depth = depth
        self.stem = nn.Sequential(block(3, 24, 5, 2), block(24 + DEPTHS * depth, _WIDE, 3, 2))
        self.told = nn.Conv2d(1, _WIDE, 1)
        self.first = nn.Sequential(Residual(_WIDE), Residual(_WIDE, 2))
        self.deep = nn.Sequential(
            block(_WIDE, _DEEP, 3, 2), Residual(_DEEP), Residual(_DEEP, 2), Residual(_DEEP, 4)
        )
        self.back = nn.Conv2d(_DEEP, _WIDE, 1)
        self.last = Residual(_WIDE)
        self.rows = nn.Conv2d(_WIDE, 4, 1)  # two rows of two kinds
        self.free = free_of(_WIDE)

    def forward(self, image: Tensor, camera: Tensor, depth: Tensor | None = None) -> Tensor:
        """The logits."""
        x = image.permute(0, 3, 1, 2).float()
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        spread = ((x - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        x = self.stem[0](((x - mean) / (spread + 4.0))[:, :, SKY:])
        if depth is not None:
            x = torch.cat([x, heights(depth, camera)], dim=1)
        x = self.stem[1](x)
        near = nearness(camera, ROWS // 2)[:, None, :, None]
        x = self.first(functional.relu(x + self.told(near)))
        x = x + functional.interpolate(self.back(self.deep(x)), scale_factor=2, mode="nearest")
        x = self.last(functional.relu(x))
        return logits(x, self.free, self.rows)


class Closed(nn.Module):
    """A network's answer as the contract has it: (n, 4, 72) of `planner.closed.ClosedDirections`.

    network: a `Network`, or what answers as it does; power: to which its confidence in what is hidden is raised, so
    that 0.5 is where it is to count; blind: the same of images without a depth image, None for the one power.
    """

    headings: Tensor
    across: Tensor

    def __init__(self, network: nn.Module, power: float = 1.0, blind: float | None = None) -> None:
        super().__init__()
        self.network, self.power, self.blind = network, power, power if blind is None else blind
        self.register_buffer("headings", torch.tensor(HEADINGS, dtype=torch.float32))
        self.register_buffer("across", torch.tensor(2.0 * ACROSS - 1.0, dtype=torch.float32))

    def forward(self, image: Tensor, camera: Tensor, depth: Tensor | None = None) -> Tensor:
        """From image, camera and, where the network takes one, depth image, as in the contract."""
        shares = torch.softmax(self.network(image, camera, depth).float(), dim=1)
        confidence, away = self.columns(shares, camera)
        power: Tensor | float = self.power
        if depth is not None:
            known = (depth > 0.0).float().amax(dim=(1, 2))[:, None]
            power = self.blind + (self.power - self.blind) * known
        raised = torch.stack([confidence[:, 0], confidence[:, 1] ** power], dim=1)
        return self.sectors(raised, away, camera)

    def columns(self, shares: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
        """How sure it is that a column is closed within REACH by each of two kinds, and where in m, (n, 2, COLUMNS)."""
        n = shares.shape[0]
        found = shares[:, 1:].reshape(n, 2, ROWS, COLUMNS)
        slant = torch.sqrt(1.0 + (self.across[None] * torch.tan(camera[:, 2:3] / 2)) ** 2)
        near = nearness(camera, ROWS)[:, :, None] / slant[:, None]  # 1 / m along each column's bearing
        within = torch.sigmoid((near - 1.0 / REACH) * 40.0)[:, None]
        confidence = (found * within).sum(dim=2)
        nearest = (found * within * near[:, None]).sum(dim=2) / (confidence + 1e-6)
        return confidence, 1.0 / nearest.clamp(min=1.0 / REACH, max=1.0 / LEAST_AWAY)

    def sectors(self, confidence: Tensor, away: Tensor, camera: Tensor) -> Tensor:
        """Of each heading the surest of its columns."""
        bearing = -torch.atan(self.across[None] * torch.tan(camera[:, 2:3] / 2))
        off = torch.abs(bearing[:, None, :] - self.headings[None, :, None])  # (n, 72, COLUMNS)
        inside = (off <= math.pi / SECTORS + 1e-4).float()[:, None]
        seen = inside.amax(dim=3)  # (n, 1, 72)
        best = (inside * confidence[:, :, None]).amax(dim=3)
        weight = inside * (confidence[:, :, None] + 1e-6) ** 4
        where = (weight * away[:, :, None]).sum(dim=3) / weight.sum(dim=3).clamp(min=1e-30)
        total = best.sum(dim=1, keepdim=True).clamp(min=1.0)  # of two columns that say two things
        best = best / total * seen - (1.0 - seen)
        return torch.stack([best[:, 0], where[:, 0], best[:, 1], where[:, 1]], dim=1)


def target_shares(kinds: Tensor, rows: Tensor, width: float) -> Tensor:
    """What the network is to answer, (n, 1 + 2 ROWS, COLUMNS): one for "free", or a bell of `width` rows around the
    row in which what closes the column stands."""
    places = torch.arange(ROWS, device=rows.device)[None, :, None] + 0.5
    bell = torch.softmax(-0.5 * ((rows[:, None] - places) / width) ** 2, dim=1)
    shares = [(kinds == k)[:, None].float() for k in range(3)]
    return torch.cat([shares[0], shares[1] * bell, shares[2] * bell], dim=1)


def agreeing(kinds: Tensor, rows: Tensor, free_rows: Tensor) -> Tensor:
    """Which answers agree with what is known of each column, (n, 1 + 2 ROWS, COLUMNS) bool; all do where nothing is.

    kinds, rows, free_rows: (n, COLUMNS), as `recorded.Recorded` has them. Nothing closes a column nearer than to where
    its ground is known to be free. Before what stands there may be something hidden, which the scan does not show.
    """
    places = torch.arange(ROWS, device=rows.device)[None, :, None] + 0.5
    row, kind = rows[:, None], kinds[:, None]
    behind = places <= free_rows[:, None] + SLACK
    at = (places - row).abs() <= SLACK
    nearer = behind & (places >= row - SLACK)
    stands = torch.where(kind == STANDING, at, behind)
    hides = torch.where(kind == STANDING, nearer, behind)
    return torch.cat([kind != STANDING, stands, hides], dim=1) | (kind == UNKNOWN)


def recorded_loss(logits: Tensor, kinds: Tensor, rows: Tensor, free_rows: Tensor) -> Tensor:
    """How little the network says what is known of recorded frames, a number; logits (n, 1 + 2 ROWS, COLUMNS).

    -log of the share of the answers that agree, the mean over the columns of which something is known; and -log of the
    probability that at least one of a frame's HIDDEN columns is closed there by something hidden, the mean over the
    frames that have any: the noisy or of O. Maron and T. Lozano-Perez, "Multiple-Instance Learning", NIPS 1997.
    """
    log = torch.log_softmax(logits.float(), dim=1)
    known = kinds != UNKNOWN
    agree = torch.logsumexp(log.masked_fill(~agreeing(kinds, rows, free_rows), -torch.inf), dim=1)
    loss = -agree[known].mean() if bool(known.any()) else log.sum() * 0.0
    met = kinds == HIDDEN
    bumped = met.any(dim=1)
    if bool(bumped.any()):
        places = torch.arange(ROWS, device=rows.device)[None, :, None] + 0.5
        at = (places - rows[:, None]).abs() <= SLACK
        there = (log[:, 1 + ROWS :].exp() * at).sum(dim=1).clamp(max=1.0 - 1e-6)
        none = (torch.log1p(-there) * met).sum(dim=1)[bumped]
        loss = loss - torch.log(-torch.expm1(none.clamp(max=-1e-7))).mean()
    return loss
