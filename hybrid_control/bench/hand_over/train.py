"""Trains every network of the comparison: `python -m hybrid_control.bench.hand_over.train OUT --window 33x1`.

For each seed the ANN, then each variant of the SNN with it and the GRU beside, each in a process of its own. What is in
OUT already is not trained again, so an interrupted training goes on where a network was finished. Needs torch.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybrid_control.bench.hand_over import arm, models
from hybrid_control.learning.hand_over import CONSISTENCY, HandOver
from hybrid_control.learning.initial_weights import scale_to_rate
from hybrid_control.learning.mirror import Mirror, State
from hybrid_control.learning.surrogates import Surrogate

LINKS, STEPS = 3, 500
TRAINING, TEST = range(2400), range(100_000, 100_240)  # seeds of sequences
FAR = 6.0  # px, beyond which an error of the SNN counts as its logarithm: nobody can see an arm that stands still
MOVING = 0.02  # s, by which an error of the ANN's velocity counts beside one of its joints
AROUND = (
    3.0  # px, standard deviation of the places at which it is asked, for a joint has moved when it is used
)
CARRIED = 3
"""Windows of a sample for the SNN whose state is carried on; a step of learning after all but the first."""


@dataclass(frozen=True)
class Window:
    """ticks of the SNN of `per_tick` ms, into how many bins the ANN sorts the window before, how the arm moves,
    and spikes of a neuron and tick as training begins."""

    ticks: int
    per_tick: int
    bins: int
    pace: arm.Pace
    rate: float

    @property
    def length(self) -> int:
        """ms"""
        return self.ticks * self.per_tick

    @property
    def name(self) -> str:
        """Such as 33x1."""
        return f"{self.ticks}x{self.per_tick}"


WINDOWS = {
    w.name: w
    for w in (
        Window(10, 10, 10, arm.Pace((100.0, 140.0), (0.05, 0.15), 0.03), 0.06),
        Window(33, 1, 11, arm.Pace((150.0, 250.0), (0.017, 0.05), 0.01), 0.03),
    )
}


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


def sequences(folder: Path, window: Window) -> tuple[arm.Sequences, arm.Sequences]:
    """Those to train with and those to test, made where they are not there yet."""
    found = []
    for name, seeds in (("training", TRAINING), ("test", TEST)):
        place = folder / f"{window.name}_{name}.npz"
        if not place.exists():
            arm.Sequences.made(LINKS, STEPS, window.pace, seeds).save(place)
        found.append(arm.Sequences.load(place))
    return found[0], found[1]


def turned(events: Tensor, joints: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same seen in a mirror or turned by quarters: events (..., SIZE, SIZE), joints (..., 2)."""
    last = arm.SIZE - 1
    across, down, over = draw.integers(0, 2, 3)
    if across:
        events, joints = events.flip(-1), torch.stack([last - joints[..., 0], joints[..., 1]], -1)
    if down:
        events, joints = events.flip(-2), torch.stack([joints[..., 0], last - joints[..., 1]], -1)
    if over:
        events, joints = events.transpose(-1, -2), joints.flip(-1)
    return events.contiguous(), joints


def seen(ticks: Tensor, window: Window) -> Tensor:
    """Ticks (batch, ticks, ...) as the bins that the ANN sorts them into."""
    return ticks.unflatten(1, (window.bins, -1)).sum(2)


def distance(found: Tensor, truth: Tensor) -> Tensor:
    """px, (...) of (..., 2)."""
    return (found - truth).norm(dim=-1)


def _near(away: Tensor) -> Tensor:
    """Distances in px as they count in the training of an SNN."""
    return torch.where(away < FAR, away, FAR * (1.0 + torch.log(away.clamp(min=FAR) / FAR)))


def finder(data: arm.Sequences, window: Window, seed: int, steps: int) -> models.Finder:
    """The ANN, by the mean distance to the joints at the end of a window, and to their velocities then."""
    torch.manual_seed(seed)
    draw = np.random.default_rng([seed, 1])
    network = models.Finder(window.bins, LINKS).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, steps, pct_start=0.1, final_div_factor=100
    )
    for _ in _counted(steps, f"ANN {seed}"):
        chosen, begins = draw.integers(0, len(data), 32), draw.integers(0, STEPS - window.length, 32)
        bins = data.bins(chosen, begins, window.bins, window.length // window.bins)
        truth = data.truth(chosen, begins + window.length - 2, 2, 1)
        x, y = turned(torch.from_numpy(bins), torch.from_numpy(truth), draw)
        with torch.autocast("cpu", torch.bfloat16):  # several times as fast where the machine has it
            maps, flow = network(x)
        before, joints = y.unbind(1)
        found = models.velocity(flow.float(), joints + AROUND * torch.randn_like(joints))
        loss = distance(models.places(maps.float()), joints).mean()
        loss = loss + MOVING * distance(found, (joints - before) / arm.STEP).mean()
        _step(loss, network.parameters(), optimizer, schedule)
    return network.eval()


def _counted(steps: int, name: str) -> Iterator[int]:
    yield from tqdm(range(steps), desc=name, unit="step", mininterval=5.0)


def _step(loss: Tensor, parameters: Any, optimizer: Any, schedule: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(parameters), 5.0)
    optimizer.step()
    schedule.step()


class Follower(nn.Module):
    """An SNN with what the ANN sets of it, and the filter that reads it."""

    def __init__(self, both: HandOver, gain: float) -> None:
        super().__init__()
        self.both, self.tracker = both, models.Tracker(both.mirror.options.dt, gain)

    def train(self, mode: bool = True) -> Follower:
        """As any module's; the ANN stays as it was trained."""
        super().train(mode)
        self.both.train(mode)
        return self

    def trained(self) -> list[nn.Parameter]:
        """What is trained of it."""
        return [*self.both.trained(), *self.tracker.parameters()]

    def begin(self, seen: Tensor) -> tuple[State | None, Tensor]:
        """The state, and the joints, that a window begins with, by what the ANN says."""
        given, voltages = self.both.states(seen)
        state = self.both.start(voltages) if voltages else None
        return state, models.places(given[0] if self.both.outputs else torch.zeros_like(given[0]))

    def forward(
        self, ticks: Tensor, state: State | None, at: Tensor | None, told: list[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Joints after each tick, and the state then. at: joints before; None: as if they were in the middle; told:
        gets what the SNN is told of them in each tick."""
        mirror, found = self.both.mirror, []
        bound = mirror.bound(models.OUTPUTS)
        state = mirror.start(len(ticks)) if state is None else state.copy()
        if at is None:
            at = torch.full((len(ticks), LINKS, 2), (arm.SIZE - 1) / 2)
        for events in ticks.unbind(1):
            near = models.around(at.detach())
            if told is not None:
                told.append(near)
            flow, quick, maps = bound.tick({"events": events, "joints": near}, state)
            at = self.tracker(flow + quick, maps, at)
            found.append(at)
        return torch.stack(found, 1), state


def pair(network: models.Finder, window: Window, variant: Variant, seed: int) -> Follower:
    """An SNN, with what the ANN sets of it."""
    dt = window.per_tick * 1e-3
    keeps = 3e-3 * window.length if variant.handed else max(10e-3, 3 * dt)
    graph = models.follower(LINKS, dt, keeps, seed)
    mirror = Mirror(graph, models.options(dt), free=("weights", "tau"), surrogate=Surrogate("atan"))
    layers = models.LAYERS if variant.initialised else {}
    example = torch.zeros(1, window.bins, 2, arm.SIZE, arm.SIZE)
    both = HandOver(network, mirror, layers, models.HANDED if variant.handed else (), example)
    return Follower(both, 0.005 if variant.handed else 0.3)


def _windows(
    data: arm.Sequences, window: Window, count: int, batch: int, draw: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Ticks of `count` windows in a row, and the joints after each."""
    length = count * window.length
    chosen, begins = draw.integers(0, len(data), batch), draw.integers(0, STEPS - length, batch)
    how = count * window.ticks, window.per_tick
    return turned(
        torch.from_numpy(data.bins(chosen, begins, *how)),
        torch.from_numpy(data.truth(chosen, begins, *how)),
        draw,
    )


def follower(
    data: arm.Sequences, network: models.Finder, window: Window, variant: Variant, seed: int, effort: Effort
) -> Follower:
    """The SNN and its initialisers, by the distance to the joints after each tick."""
    torch.manual_seed(seed)
    draw = np.random.default_rng([seed, 2])
    whole = pair(network, window, variant, seed).train()
    first, joints = _windows(data, window, 1, effort.batch, np.random.default_rng([seed, 4]))
    scale_to_rate(
        whole.both.mirror, {"events": first, "joints": models.around(joints)}, models.PROJECTIONS, window.rate
    )
    optimizer = torch.optim.Adam(whole.trained())
    samples = effort.follower // 2 if variant.carried else effort.follower
    steps = samples * (CARRIED - 1 if variant.carried else 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-2, steps, pct_start=0.15, final_div_factor=100
    )
    for _ in _counted(samples, f"SNN {seed}"):
        drawn = _windows(data, window, CARRIED if variant.carried else 2, effort.batch, draw)
        for loss in _losses(whole, variant, window, drawn):
            _step(loss, whole.trained(), optimizer, schedule)
            whole.both.mirror.numbers.constrain()
    return whole.eval()


def _losses(
    whole: Follower, variant: Variant, window: Window, drawn: tuple[Tensor, Tensor]
) -> Iterator[Tensor]:
    events, joints = drawn
    windows = range(
        window.ticks, events.shape[1], window.ticks
    )  # the first is what the ANN sees, or warms up
    state, at = None, None
    if not variant.carried:
        state, at = whole.begin(seen(events[:, : window.ticks], window))
    else:
        with torch.no_grad():
            found, state = whole(events[:, : window.ticks], None, None)
        at = found[:, -1]
    for start in windows:
        now, truth = events[:, start : start + window.ticks], joints[:, start : start + window.ticks]
        found, state = whole(now, state, at)
        loss = _near(distance(found, truth)).mean()
        if variant.initialised:
            with torch.no_grad():
                _, following = whole.both.states(seen(now, window))
            loss = (1.0 - CONSISTENCY) * loss + CONSISTENCY * whole.both.consistency(state, following)
        yield loss
        state, at = state.detached(), found[:, -1].detach()


def recurrent(
    data: arm.Sequences, network: models.Finder, window: Window, seed: int, effort: Effort
) -> models.Recurrent:
    """The GRU that goes on from the ANN's joints."""
    torch.manual_seed(seed)
    draw = np.random.default_rng([seed, 3])
    gru = models.Recurrent(LINKS)
    optimizer = torch.optim.Adam(gru.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, effort.gru, pct_start=0.1, final_div_factor=30
    )
    for _ in _counted(effort.gru, f"GRU {seed}"):
        events, joints = _windows(data, window, 2, effort.batch, draw)
        before, now = events.split(window.ticks, 1)
        with torch.no_grad():
            known = models.joints_of(network(seen(before, window)))
        found = gru(now, *known)
        loss = _near(distance(found, joints[:, window.ticks :])).mean()
        _step(loss, gru.parameters(), optimizer, schedule)
    return gru.eval()


def path(out: Path, window: Window, name: str, seed: int) -> Path:
    """Where a trained network is."""
    return out / f"{window.name}_{name}_{seed}.pt"


def load_finder(out: Path, window: Window, seed: int) -> models.Finder:
    """The trained ANN of a seed."""
    network = models.Finder(window.bins, LINKS)
    network.load_state_dict(torch.load(path(out, window, "ann", seed), weights_only=True))
    return network.eval()


def load_follower(out: Path, window: Window, name: str, seed: int) -> Follower:
    """A trained SNN with its ANN and initialisers."""
    whole = pair(load_finder(out, window, seed), window, VARIANTS[name], seed)
    whole.load_state_dict(torch.load(path(out, window, name, seed), weights_only=True))
    return whole.eval()


def load_gru(out: Path, window: Window, seed: int) -> models.Recurrent:
    """The trained GRU of a seed."""
    gru = models.Recurrent(LINKS)
    gru.load_state_dict(torch.load(path(out, window, "gru", seed), weights_only=True))
    return gru.eval()


def _train(out: Path, window: Window, name: str, seed: int, effort: Effort) -> tuple[str, float]:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    begun = time.monotonic()
    data, _ = sequences(out, window)
    trained: nn.Module
    if name == "ann":
        trained = finder(data, window, seed, effort.finder)
    elif name == "gru":
        trained = recurrent(data, load_finder(out, window, seed), window, seed, effort)
    else:
        trained = follower(data, load_finder(out, window, seed), window, VARIANTS[name], seed, effort)
    place = path(out, window, name, seed)
    torch.save(trained.state_dict(), place.with_suffix(".tmp"))
    os.replace(place.with_suffix(".tmp"), place)
    return place.stem, time.monotonic() - begun


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m hybrid_control.bench.hand_over.train", description=__doc__
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for sequences and trained networks")
    parser.add_argument(
        "--window", choices=[*WINDOWS], default="33x1", help="ticks x ms (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    args = parser.parse_args()
    window, effort = WINDOWS[args.window], Effort()
    args.out.mkdir(parents=True, exist_ok=True)
    sequences(args.out, window)
    (args.out / "effort.json").write_text(json.dumps(vars(effort)) + "\n", encoding="utf-8")
    with ProcessPoolExecutor(args.jobs) as pool:
        for names in (["ann"], [*VARIANTS, "gru"]):  # the second kind needs the first
            tasks = [
                (name, seed)
                for seed, name in itertools.product(range(args.seeds), names)
                if not path(args.out, window, name, seed).exists()
            ]
            for done in [pool.submit(_train, args.out, window, *task, effort) for task in tasks]:
                name, seconds = done.result()
                print(f"{name}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
