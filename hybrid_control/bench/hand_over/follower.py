"""An SNN with what the ANN sets of it and what reads it, tick by tick."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid_control.bench.hand_over.networks import options, time_constant
from hybrid_control.bench.hand_over.sequences import SIZE
from hybrid_control.bench.hand_over.task import Task, Variant, Window
from hybrid_control.learning.hand_over import HandOver
from hybrid_control.learning.mirror import Mirror, State
from hybrid_control.learning.surrogates import Surrogate


class Follower(nn.Module):
    """An SNN with what the ANN sets of it, and what reads it."""

    def __init__(self, task: Task, both: HandOver, handed: bool) -> None:
        super().__init__()
        self.task, self.both = task, both
        self.tracker = task.reader(both.mirror.options.dt, handed)

    def train(self, mode: bool = True) -> Follower:
        """As any module's; the ANN stays as it was trained."""
        super().train(mode)
        self.both.train(mode)
        return self

    def trained(self) -> list[nn.Parameter]:
        """What is trained of it."""
        return [*self.both.trained(), *self.tracker.parameters()]

    def begin(self, seen: Tensor) -> tuple[State | None, Tensor]:
        """The state, and what is believed, that a window begins with, by what the ANN says."""
        given, voltages = self.both.states(seen)
        state = self.both.start(voltages) if voltages else None
        return state, self.task.known(given)[0] if self.both.outputs else self._unknown(seen)

    def _unknown(self, seen: Tensor) -> Tensor:
        return self.task.unknown(len(seen)).to(seen.device)

    def forward(
        self, ticks: Tensor, state: State | None, at: Tensor | None, told: list[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """What it finds after each tick (batch, ticks, *shape), and the state then. at: what is believed before; None:
        nothing; told: gets what the SNN is told of it in each tick."""
        mirror, spiking, found = self.both.mirror, self.task.spiking, []
        bound = mirror.bound(spiking.taps)
        state = mirror.start(len(ticks)) if state is None else state.copy()
        at = self._unknown(ticks) if at is None else at
        for events in ticks.unbind(1):
            belief = self.tracker.told(at.detach())
            if told is not None:
                told.append(belief)
            at = self.tracker(bound.tick({"events": events, spiking.belief: belief}, state), at)
            found.append(at)
        return torch.stack(found, 1), state


def pair(task: Task, network: nn.Module, window: Window, variant: Variant, seed: int) -> Follower:
    """An SNN, with what the ANN sets of it."""
    dt = window.per_tick * 1e-3
    keeps = 3e-3 * window.length if variant.handed else time_constant(dt)
    graph = task.graph(dt, keeps, seed)
    mirror = Mirror(graph, options(dt), free=("weights", "tau"), surrogate=Surrogate("atan"))
    layers = task.spiking.layers if variant.initialised else {}
    example = torch.zeros(1, window.bins, 2, SIZE, SIZE)
    both = HandOver(network, mirror, layers, task.spiking.handed if variant.handed else (), example)
    return Follower(task, both, variant.handed)
