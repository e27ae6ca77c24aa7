"""What a task says of itself, so that networks are trained and measured in the same way for each: windows, variants of
the SNN, and `Task`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir
import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from hybrid_control.bench.hand_over import sequences
from hybrid_control.bench.hand_over.networks import Reader, Recurrent
from hybrid_control.bench.hand_over.sequences import Sequences
from hybrid_control.learning.mirror import Tap

STEPS = 500  # of a sequence


@dataclass(frozen=True)
class Window:
    """ticks of the SNN of `per_tick` ms, into how many bins the ANN sorts the window before, and spikes of a neuron and
    tick as training begins."""

    ticks: int
    per_tick: int
    bins: int
    rate: float

    @property
    def length(self) -> int:
        """ms"""
        return self.ticks * self.per_tick

    @property
    def name(self) -> str:
        """Such as 33x1."""
        return f"{self.ticks}x{self.per_tick}"

    def seen(self, ticks: Tensor) -> Tensor:
        """Ticks (batch, ticks, ...) as the bins that the ANN sorts them into."""
        return ticks.unflatten(1, (self.bins, -1)).sum(2)


WINDOWS = {w.name: w for w in (Window(10, 10, 10, 0.06), Window(33, 1, 11, 0.03))}


@dataclass(frozen=True)
class Variant:
    """initialised: the ANN sets the potentials of the layers; handed: the output goes on from the ANN's; carried: the
    state is kept from window to window."""

    initialised: bool
    handed: bool
    carried: bool = False


VARIANTS = {
    "hybrid": Variant(True, True),
    "no_initialisation": Variant(False, True),
    "no_output": Variant(True, False),
    "cold": Variant(False, False),
    "warm": Variant(False, False, carried=True),
}


@dataclass(frozen=True)
class Effort:
    """Steps of learning of each kind of network, and samples of a step."""

    finder: int = 6000
    follower: int = 1500
    gru: int = 1500
    batch: int = 16


@dataclass(frozen=True)
class Spiking:
    """How the SNN of a task is wired to what is around it.

    layers: populations, and the ANN's modules that set them; handed: populations that hold the output and go on from
    the ANN's; projections: for each population what is scaled so that it fires as training begins; taps: what is read;
    driven: projections that are driven by values and not by spikes; belief: the input by which it is told what is
    believed.
    """

    layers: Mapping[str, str]
    handed: Sequence[str]
    projections: Mapping[str, Sequence[str]]
    taps: Sequence[Tap]
    driven: Sequence[str]
    belief: str


@dataclass(frozen=True)
class Part:
    """A part of the truth that has a unit of its own, and how much of it is a distance of 1."""

    name: str
    unit: str
    one: float


class Task(ABC):
    """What is asked of events, and by which networks. Truth is (..., *shape) of `Sequences`.

    unit: of a distance; parts: what the truth consists of, () where it is all of that unit; far: a distance beyond
    which an error of the SNN counts as its logarithm in training; rate: of its learning, at most.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""  # of its files
    unit: ClassVar[str]
    parts: ClassVar[tuple[Part, ...]] = ()
    far: ClassVar[float]
    spiking: ClassVar[Spiking]
    effort: Effort = Effort()
    rate: ClassVar[float] = 1e-2

    # -- sequences ------------------------------------------------------------------------------------------

    @abstractmethod
    def place(self, folder: Path, window: Window, kind: str) -> Path:
        """The file of its "training" or "test" sequences."""

    @abstractmethod
    def made(self, window: Window, kind: str) -> tuple[Iterator[sequences.Sequence], int]:
        """Those sequences, of STEPS each, and how many they are."""

    def sequences(self, folder: Path, window: Window) -> tuple[Sequences, Sequences]:
        """Those to train with and those to test, made where they are not there yet."""
        return self._loaded(folder, window, "training"), self._loaded(folder, window, "test")

    def test_sequences(self, folder: Path, window: Window) -> Sequences:
        """Those to test with, made where they are not there yet."""
        return self._loaded(folder, window, "test")

    def _loaded(self, folder: Path, window: Window, kind: str) -> Sequences:
        place = self.place(folder, window, kind)
        if not place.exists():
            each, count = self.made(window, kind)
            place.parent.mkdir(parents=True, exist_ok=True)
            Sequences.of(tqdm(each, f"{self.name}, {kind}", count, unit="sequence")).save(place)
        return Sequences.load(place)

    @abstractmethod
    def turned(self, events: Tensor, truth: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The same seen in a way that could be as well: events (..., SIZE, SIZE) and truth (..., *shape)."""

    # -- networks -------------------------------------------------------------------------------------------

    @abstractmethod
    def ann(self, bins: int) -> nn.Module:
        """The ANN, from bins of events (batch, bins, 2, SIZE, SIZE) to what `known` reads."""

    @abstractmethod
    def known(self, given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """By what the ANN gives: the truth at the end of a window, and by how much it changes in a second."""

    @abstractmethod
    def ann_loss(self, given: tuple[Tensor, ...], before: Tensor, now: Tensor) -> Tensor:
        """Of what the ANN gives for a window; now: the truth at its end, before: STEP earlier."""

    @abstractmethod
    def unknown(self, batch: int) -> Tensor:
        """What is believed where nothing is known, (batch, *shape)."""

    @abstractmethod
    def graph(self, dt: float, keeps: float, seed: int) -> nir.NIRGraph:
        """The SNN in ticks of dt; keeps: s, for which its output's change lasts as training begins."""

    @abstractmethod
    def reader(self, dt: float, handed: bool) -> Reader:
        """What reads the SNN; handed: whether its output goes on from the ANN's."""

    @abstractmethod
    def gru(self) -> Recurrent:
        """The GRU beside it."""

    # -- distances ------------------------------------------------------------------------------------------

    @abstractmethod
    def distance(self, found: Tensor, truth: Tensor) -> Tensor:
        """Of each part, (..., parts), of (..., *shape)."""

    def carried(self, at: Tensor, per_second: Tensor, seconds: Tensor) -> Tensor:
        """What was known so many seconds ago, carried on as it changed then."""
        return at + per_second * seconds
