"""Trains all that is compared: `python -m hybrid_control.bench.hand_over.train OUT --task arm --window 33x1`.

For each seed the ANN, then each variant of the SNN with it and the GRU beside, each in a process of its own. What is in
OUT already is not trained again, so an interrupted training goes on where a network was finished. On a GPU where torch
finds one. Needs torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybrid_control.bench.hand_over.follower import Follower, pair
from hybrid_control.bench.hand_over.networks import Recurrent
from hybrid_control.bench.hand_over.sequences import Sequences
from hybrid_control.bench.hand_over.task import VARIANTS, WINDOWS, Task, Variant, Window
from hybrid_control.bench.hand_over.tasks import TASKS
from hybrid_control.learning.devices import device_of, ready
from hybrid_control.learning.hand_over import CONSISTENCY
from hybrid_control.learning.initial_weights import scale_to_rate

_Network = TypeVar("_Network", bound=nn.Module)
ANN = "both.ann."  # begins the names of the ANN's parts in those of an SNN that goes with it
CARRIED = 3
"""Windows of a sample for the SNN whose state is carried on; a step of learning after all but the first."""


def _near(away: Tensor, far: float) -> Tensor:
    """Distances as they count in the training of an SNN."""
    return torch.where(away < far, away, far * (1.0 + torch.log(away.clamp(min=far) / far)))


def finder(
    task: Task, data: Sequences, window: Window, seed: int, steps: int, device: torch.device
) -> nn.Module:
    """The ANN, by the task's loss at the end of a window."""
    torch.manual_seed(seed)
    draw = np.random.default_rng([seed, 1])
    network = task.ann(window.bins).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, steps, pct_start=0.1, final_div_factor=100
    )
    for _ in _counted(steps, f"ANN {seed}"):
        chosen, begins = draw.integers(0, len(data), 32), draw.integers(0, data.steps - window.length, 32)
        bins = data.bins(chosen, begins, window.bins, window.length // window.bins)
        truth = data.after(chosen, begins + window.length - 2, 2, 1)
        x, y = task.turned(torch.from_numpy(bins), torch.from_numpy(truth), draw)
        x, y = x.to(device), y.to(device)
        with torch.autocast(device.type, torch.bfloat16):  # several times as fast where the machine has it
            given = network(x)
        loss = task.ann_loss(tuple(each.float() for each in given), *y.unbind(1))
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


def _windows(
    task: Task, data: Sequences, window: Window, count: int, draw: np.random.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Ticks of `count` windows in a row, and the truth after each: a sample of a step."""
    batch = task.effort.batch
    length = count * window.length
    chosen, begins = draw.integers(0, len(data), batch), draw.integers(0, data.steps - length, batch)
    how = count * window.ticks, window.per_tick
    events, truth = task.turned(
        torch.from_numpy(data.bins(chosen, begins, *how)),
        torch.from_numpy(data.after(chosen, begins, *how)),
        draw,
    )
    return events.to(device), truth.to(device)


def follower(
    task: Task, data: Sequences, network: nn.Module, window: Window, variant: Variant, seed: int,
    device: torch.device,
) -> Follower:  # fmt: skip
    """The SNN and its initialisers, by the distance to the truth after each tick."""
    torch.manual_seed(seed)
    draw, effort, spiking = np.random.default_rng([seed, 2]), task.effort, task.spiking
    whole = pair(task, network, window, variant, seed).to(device).train()
    first, truth = _windows(task, data, window, 1, np.random.default_rng([seed, 4]), device)
    scale_to_rate(
        whole.both.mirror, {"events": first, spiking.belief: whole.tracker.told(truth)}, spiking.projections,
        window.rate,
    )  # fmt: skip
    optimizer = torch.optim.Adam(whole.trained())
    samples = effort.follower // 2 if variant.carried else effort.follower
    steps = samples * (CARRIED - 1 if variant.carried else 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, task.rate, steps, pct_start=0.15, final_div_factor=100
    )
    for _ in _counted(samples, f"SNN {seed}"):
        drawn = _windows(task, data, window, CARRIED if variant.carried else 2, draw, device)
        for loss in _losses(whole, variant, window, drawn):
            _step(loss, whole.trained(), optimizer, schedule)
            whole.both.mirror.numbers.constrain()
    return whole.eval()


def _losses(
    whole: Follower, variant: Variant, window: Window, drawn: tuple[Tensor, Tensor]
) -> Iterator[Tensor]:
    events, truth = drawn
    windows = range(
        window.ticks, events.shape[1], window.ticks
    )  # the first is what the ANN sees, or warms up
    state, at = None, None
    if not variant.carried:
        state, at = whole.begin(window.seen(events[:, : window.ticks]))
    else:
        with torch.no_grad():
            found, state = whole(events[:, : window.ticks], None, None)
        at = found[:, -1]
    for start in windows:
        now, then = events[:, start : start + window.ticks], truth[:, start : start + window.ticks]
        found, state = whole(now, state, at)
        loss = _near(whole.task.distance(found, then), whole.task.far).mean()
        if variant.initialised:
            with torch.no_grad():
                _, following = whole.both.states(window.seen(now))
            loss = (1.0 - CONSISTENCY) * loss + CONSISTENCY * whole.both.consistency(state, following)
        yield loss
        state, at = state.detached(), found[:, -1].detach()


def recurrent(
    task: Task, data: Sequences, network: nn.Module, window: Window, seed: int, device: torch.device
) -> Recurrent:
    """The GRU that goes on from what the ANN knows."""
    torch.manual_seed(seed)
    draw, effort = np.random.default_rng([seed, 3]), task.effort
    gru, network = task.gru().to(device), network.to(device)
    optimizer = torch.optim.Adam(gru.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, effort.gru, pct_start=0.1, final_div_factor=30
    )
    for _ in _counted(effort.gru, f"GRU {seed}"):
        events, truth = _windows(task, data, window, 2, draw, device)
        before, now = events.split(window.ticks, 1)
        with torch.no_grad():
            known = task.known(network(window.seen(before)))
        found = gru(now, *known)
        loss = _near(task.distance(found, truth[:, window.ticks :]), task.far).mean()
        _step(loss, gru.parameters(), optimizer, schedule)
    return gru.eval()


class Trained:
    """What was trained of a task in a folder, for a window."""

    def __init__(self, task: Task, folder: Path, window: Window) -> None:
        self.task, self.folder, self.window = task, folder, window

    def path(self, name: str, seed: int) -> Path:
        """Where a trained network is."""
        return self.folder / f"{self.task.prefix}{self.window.name}_{name}_{seed}.pt"

    def _loaded(self, network: _Network, name: str, seed: int) -> _Network:
        file = self.path(name, seed)
        if file.exists():
            network.load_state_dict(torch.load(file, weights_only=True))
        else:
            with np.load(file.with_suffix(".npz")) as arrays:
                missing, _ = network.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()}, strict=False)
            if not all(key.startswith(ANN) for key in missing):  # that has a file of its own
                raise ValueError(f"{file.with_suffix('.npz')}: lacks {missing[0]}")
        return network.eval()

    def has(self, name: str, seed: int) -> bool:
        """Whether a network was trained, or came with this package."""
        file = self.path(name, seed)
        return file.exists() or file.with_suffix(".npz").exists()

    def ship(self, name: str, seed: int, to: Path) -> Path:
        """Write a trained network as plain arrays, without the ANN that an SNN goes with; the file."""
        state = torch.load(self.path(name, seed), weights_only=True)
        file = to / self.path(name, seed).with_suffix(".npz").name
        np.savez_compressed(file, **{k: v.numpy() for k, v in state.items() if not k.startswith(ANN)})
        return file

    def ann(self, seed: int) -> nn.Module:
        """The trained ANN of a seed."""
        return self._loaded(self.task.ann(self.window.bins), "ann", seed)

    def follower(self, name: str, seed: int) -> Follower:
        """A trained SNN with its ANN and initialisers."""
        whole = pair(self.task, self.ann(seed), self.window, VARIANTS[name], seed)
        return self._loaded(whole, name, seed)

    def gru(self, seed: int) -> Recurrent:
        """The trained GRU of a seed."""
        return self._loaded(self.task.gru(), "gru", seed)


def _train(have: Trained, name: str, seed: int, device: torch.device) -> tuple[str, float]:
    torch.set_num_threads(1)
    ready(device)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of the time, and nothing reads it
    begun, task, window = time.monotonic(), have.task, have.window
    data, _ = task.sequences(have.folder, window)
    trained: nn.Module
    if name == "ann":
        trained = finder(task, data, window, seed, task.effort.finder, device)
    elif name == "gru":
        trained = recurrent(task, data, have.ann(seed), window, seed, device)
    else:
        trained = follower(task, data, have.ann(seed), window, VARIANTS[name], seed, device)
    place = have.path(name, seed)
    torch.save({k: v.cpu() for k, v in trained.state_dict().items()}, place.with_suffix(".tmp"))
    os.replace(place.with_suffix(".tmp"), place)
    return place.stem, time.monotonic() - begun


def _count(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return int(text)


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m hybrid_control.bench.hand_over.train", description=__doc__
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for sequences and trained networks")
    parser.add_argument("--task", choices=[*TASKS], default="arm", help="(default: %(default)s)")
    parser.add_argument(
        "--window", choices=[*WINDOWS], default="33x1", help="ticks x ms (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument(
        "--ship", type=Path, metavar="FOLDER", help="train nothing; write ANN and hybrid of seed 0 there as arrays"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--device", default="auto", help="auto: cuda where there is one, else cpu (default: %(default)s)"
    )
    for name, what in (("steps", "steps of each SNN and GRU"), ("batch", "sequences in each of these steps")):
        parser.add_argument(f"--{name}", type=_count, metavar="N", help=f"{what} (default: the task's)")
    args = parser.parse_args()
    task, window = TASKS[args.task], WINDOWS[args.window]
    effort = task.effort
    task.effort = dataclasses.replace(
        effort,
        follower=args.steps or effort.follower,
        gru=args.steps or effort.gru,
        batch=args.batch or effort.batch,
    )
    if args.ship is not None:
        for name in ("ann", "hybrid"):
            print(Trained(task, args.out, window).ship(name, 0, args.ship))
        return
    try:
        device = device_of(args.device)
    except ValueError as error:
        parser.error(str(error))
    args.out.mkdir(parents=True, exist_ok=True)
    task.sequences(args.out, window)
    said = json.dumps(vars(task.effort)) + "\n"
    (args.out / f"{task.prefix}{window.name}_effort.json").write_text(said, encoding="utf-8")
    have = Trained(task, args.out, window)
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:  # a GPU is not forked
        for names in (["ann"], [*VARIANTS, "gru"]):  # the second kind needs the first
            wanted = [
                (name, seed)
                for name, seed in itertools.product(names, range(args.seeds))
                if not have.path(name, seed).exists()
            ]
            for done in [pool.submit(_train, have, *each, device) for each in wanted]:
                name, seconds = done.result()
                print(f"{name}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
