"""Where the joints of a moving arm are, from events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nir
import numpy as np
import torch
from torch import Tensor

from hybrid_control.bench.hand_over import arm, arm_networks, sequences
from hybrid_control.bench.hand_over.networks import Recurrent
from hybrid_control.bench.hand_over.sequences import SIZE, STEP
from hybrid_control.bench.hand_over.task import STEPS, Task, Window

LINKS = 3
SEEDS = {"training": range(2400), "test": range(100_000, 100_240)}
PACES = {
    "10x10": arm.Pace((100.0, 140.0), (0.05, 0.15), 0.03),
    "33x1": arm.Pace((150.0, 250.0), (0.017, 0.05), 0.01),
}
"""How the arm moves where it is seen in windows of that name."""
MOVING = 0.02  # s, by which an error of the ANN's velocity counts beside one of its joints
AROUND = 3.0
"""px, standard deviation of the places at which velocity is asked, for a joint has moved when it is used."""


class Arm(Task):
    """The ends of the links, (..., LINKS, 2) px."""

    name, unit = "arm", "px"
    far = 6.0  # px: nobody can see an arm that stands still
    spiking = arm_networks.SPIKING

    def place(self, folder: Path, window: Window, kind: str) -> Path:
        """One for each window, for each has a pace of its own."""
        return folder / f"{window.name}_{kind}.npz"

    def made(self, window: Window, kind: str) -> tuple[Iterator[sequences.Sequence], int]:
        """One for each seed."""
        seeds, pace = SEEDS[kind], PACES[window.name]
        return (arm.sequence(LINKS, STEPS, pace, seed) for seed in seeds), len(seeds)

    def turned(self, events: Tensor, truth: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The same seen in a mirror or turned by quarters."""
        last = SIZE - 1
        across, down, over = draw.integers(0, 2, 3)
        if across:
            events, truth = events.flip(-1), torch.stack([last - truth[..., 0], truth[..., 1]], -1)
        if down:
            events, truth = events.flip(-2), torch.stack([truth[..., 0], last - truth[..., 1]], -1)
        if over:
            events, truth = events.transpose(-1, -2), truth.flip(-1)
        return events.contiguous(), truth

    def ann(self, bins: int) -> arm_networks.Finder:
        """Heat maps and flow."""
        return arm_networks.Finder(bins, LINKS)

    def known(self, given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Places and velocities, px and px/s."""
        maps, flow = given
        return arm_networks.joints_of((maps, flow))

    def ann_loss(self, given: tuple[Tensor, ...], before: Tensor, now: Tensor) -> Tensor:
        """The mean distance to the joints at the end of a window, and to their velocities then."""
        maps, flow = given
        found = arm_networks.velocity(flow, now + AROUND * torch.randn_like(now))
        loss = self.distance(arm_networks.places(maps), now).mean()
        return loss + MOVING * self.distance(found, (now - before) / STEP).mean()

    def unknown(self, batch: int) -> Tensor:
        """All in the middle."""
        return torch.full((batch, LINKS, 2), (SIZE - 1) / 2)

    def graph(self, dt: float, keeps: float, seed: int) -> nir.NIRGraph:
        """Four layers and three readouts."""
        return arm_networks.follower(LINKS, dt, keeps, seed)

    def reader(self, dt: float, handed: bool) -> arm_networks.Tracker:
        """The filter."""
        return arm_networks.Tracker(dt, 0.005 if handed else 0.3)

    def gru(self) -> Recurrent:
        """It goes on from the joints."""
        middle, span, pace = (torch.tensor(v) for v in (SIZE / 2, float(SIZE), arm_networks.PER_SECOND))
        return Recurrent((LINKS, 2), middle, span, pace)

    def distance(self, found: Tensor, truth: Tensor) -> Tensor:
        """px, of each joint."""
        return (found - truth).norm(dim=-1)
