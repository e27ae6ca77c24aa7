"""How a driving robot moves and how soon it would be at what is straight ahead, from events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nir
import numpy as np
import torch
from torch import Tensor

from hybrid_control.bench.hand_over import drive, drive_networks, sequences
from hybrid_control.bench.hand_over.drive_networks import CHANGES, MEAN, SPREAD, VALUES, scale
from hybrid_control.bench.hand_over.networks import Recurrent
from hybrid_control.bench.hand_over.sequences import STEP
from hybrid_control.bench.hand_over.task import STEPS, Effort, Part, Task, Window

WORLDS = {"training": range(300), "test": range(100_000, 100_040)}  # seeds
MOVING = 0.02  # s, by which an error of the ANN's change counts beside one of its value
MIRRORED = torch.tensor((1.0, -1.0, 1.0))  # of values, in a mirror


class Drive(Task):
    """Forward speed in m/s, yaw rate in rad/s and inverse time to contact in 1/s: (..., VALUES)."""

    name, prefix, unit = "drive", "drive_", "spreads"
    parts = tuple(
        Part(*named, one)
        for named, one in zip(
            (("speed", "m/s"), ("yaw_rate", "rad/s"), ("approach", "1/s")), SPREAD.tolist(), strict=True
        )
    )
    far = 4.0
    spiking = drive_networks.SPIKING
    effort, rate = Effort(finder=3000, follower=150, gru=600), 3e-3

    def place(self, folder: Path, window: Window, kind: str) -> Path:
        """The same for all windows."""
        return folder / f"{self.prefix}{kind}.npz"

    def made(self, window: Window, kind: str) -> tuple[Iterator[sequences.Sequence], int]:
        """Some in each world."""
        worlds = WORLDS[kind]
        return drive.sequences(worlds, STEPS), len(worlds) * drive.STARTS

    def turned(self, events: Tensor, truth: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """As it is, or in a mirror, where it turns the other way."""
        return (events.flip(-1), truth * MIRRORED) if draw.integers(0, 2) else (events, truth)

    def ann(self, bins: int) -> drive_networks.Finder:
        """Values and their changes."""
        return drive_networks.Finder(bins)

    def known(self, given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """In SI."""
        return drive_networks.values_of(given)

    def ann_loss(self, given: tuple[Tensor, ...], before: Tensor, now: Tensor) -> Tensor:
        """The mean distance to the values at the end of a window, and to their changes then."""
        found, per_second = self.known(given)
        loss = self.distance(found, now).mean()
        return loss + MOVING * self.distance(per_second, (now - before) / STEP).mean()

    def unknown(self, batch: int) -> Tensor:
        """What is the mean."""
        return MEAN.expand(batch, VALUES)

    def graph(self, dt: float, keeps: float, seed: int) -> nir.NIRGraph:
        """Four layers and two readouts."""
        return drive_networks.follower(dt, keeps, seed)

    def reader(self, dt: float, handed: bool) -> drive_networks.Told:
        """What the population of the values holds."""
        return drive_networks.Told()

    def gru(self) -> Recurrent:
        """It goes on from the values."""
        return Recurrent((VALUES,), MEAN, 4.0 * SPREAD, CHANGES * SPREAD)

    def distance(self, found: Tensor, truth: Tensor) -> Tensor:
        """Standard deviations over the training sequences, of each value."""
        return (found - truth).abs() / scale(found)[1]

    def carried(self, at: Tensor, per_second: Tensor, seconds: Tensor) -> Tensor:
        """Each goes on as it changed; the robot does not drive backwards, so neither speed nor approach is below 0."""
        found = at + per_second * seconds
        return torch.where(MIRRORED.to(found.device) > 0, found.clamp(min=0.0), found)
