"""What a board's chip can run, and the refusal of a network that it can't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_control.signals import Population

Layout = tuple[Population, ...]


@dataclass(frozen=True)
class BoardCapabilities:
    """What a board can run.

    models: names of NIR types with what they become there. neurons, synapses: largest numbers. weight_bits: of a
    synapse's weight, sign included. delay: least and largest delay of a projection in ticks. dt: least and largest
    length of a tick in s. on_hardware: whether this code ever ran on the real thing.
    """

    board: str
    models: Mapping[str, str]
    neurons: int
    synapses: int
    weight_bits: int
    delay: tuple[int, int]
    dt: tuple[float, float]
    on_hardware: bool = False


class BoardRefusal(ValueError):
    """A network that a board cannot run. reason: why. nearest: the nearest thing that it could run."""

    def __init__(self, reason: str, nearest: str) -> None:
        super().__init__(f"{reason}; nearest that it can run: {nearest}")
        self.reason, self.nearest = reason, nearest
