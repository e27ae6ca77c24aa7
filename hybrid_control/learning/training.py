"""Trains a spiking network by backpropagation through time: with checkpoints, and what came of it epoch by epoch."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hybrid_control.learning.devices import ready
from hybrid_control.learning.losses import Loss, correct
from hybrid_control.learning.mirror import Mirror, Tap
from hybrid_control.learning.samples import Batch, Samples
from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir import files

Row = dict[str, float]
"""An epoch: its number `epoch`, `loss`, `gradient` (mean norm), `skipped` (steps whose gradient was not finite), and
where there are such `accuracy`, `held_out_loss`, `held_out_accuracy`."""
Source = Callable[[int, torch.Generator], Iterable[Batch]]
"""Batches of an epoch, drawn with the generator: a task in Python instead of samples."""

DECIMALS = 5  # of what the progress bar shows


class TrainingError(ValueError):
    """A training that cannot begin or go on, and why."""


@dataclass(frozen=True)
class Settings:
    """How it is trained, with Adam.

    window: ticks after which backpropagation is cut and a step is made, the state carried over; None: whole samples.
    rate: of learning. clip: the largest norm of all gradients together. held_out: share of the samples, the last, that
    is only measured. jobs: threads; another number may give other bits.
    """

    epochs: int = 20
    batch: int = 32
    window: int | None = None
    rate: float = 1e-2
    clip: float = 1.0
    seed: int = 0
    held_out: float = 0.0
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "window", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise TrainingError(f"{name} must be 1 or more, not {value}")
        for name in ("rate", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise TrainingError(f"{name} must be a positive number, not {value}")
        if not 0.0 <= self.held_out < 1.0:
            raise TrainingError(f"held_out must be a share in 0 .. 1, not {self.held_out}")


@dataclass
class Task:
    """What is trained on what: a mirror, samples or a source of batches, a loss, and what of the mirror it sees.

    readout: an Output or a population; None: the only Output. Of a population mse_voltage takes the voltage, other
    losses the spikes. ValueError where these do not fit together.
    """

    mirror: Mirror
    data: Samples | Source
    loss: Loss
    readout: str | None = None
    tap: Tap = field(init=False)

    def __post_init__(self) -> None:
        names = self.mirror.output_names
        if self.readout is None and len(names) != 1:
            raise TrainingError(f"the graph has the Outputs {list(names)}: the readout must be named")
        name = names[0] if self.readout is None else self.readout
        population = model_of(self.mirror.node(name).nir) is not None
        self.tap = name, "voltage" if population and self.loss.name == "mse_voltage" else "output"
        if isinstance(self.data, Samples):
            self.loss.check_targets(self.data.targets, self.data.ticks, self.mirror.node(name).shape_out)
        if not self.mirror.numbers.leaves:
            raise TrainingError("nothing in the graph is free to be trained")

    def targets(self, wanted: Tensor) -> Tensor:
        """Targets in the type that the loss needs."""
        numbers = self.mirror.numbers
        return wanted.long().to(numbers.device) if self.loss.name == "cross_entropy" else numbers.brought(wanted)

    def identity(self, settings: Settings) -> dict[str, Any]:
        """What a checkpoint has to have in common with the training that goes on with it."""
        mirror, digest = self.mirror, hashlib.sha256()
        for name, node in sorted(mirror.schedule.nodes.items()):
            digest.update(f"{name} {node.kind} {node.shape_in} {node.shape_out}".encode())
            for key, value in sorted(vars(node.nir).items()) if node.nir is not None else ():
                if isinstance(value, np.ndarray):
                    digest.update(key.encode() + np.ascontiguousarray(value).tobytes())
                elif isinstance(value, (int, float, str, tuple)):
                    digest.update(f"{key} {value}".encode())
        digest.update(repr(sorted(mirror.schedule.edges)).encode())
        options = {key: str(value) for key, value in vars(mirror.options).items()}
        return {
            **{key: value for key, value in asdict(settings).items() if key not in ("epochs", "jobs")},
            **{f"option {key}": value for key, value in options.items()},
            "graph": digest.hexdigest()[:16],
            "data": self.data.digest() if isinstance(self.data, Samples) else "drawn",
            "free": [name for name, _ in mirror.numbers.named()],
            "surrogate": repr(mirror.surrogate),
            "loss": repr(self.loss),
            "readout": list(self.tap),
            **({} if mirror.numbers.device.type == "cpu" else {"device": mirror.numbers.device.type}),
        }


def fit(
    task: Task, settings: Settings = Settings(), out: Path | None = None, resume: bool = False
) -> list[Row]:
    """Train; the mirror's parameters are afterwards the trained ones. Returns a row for each epoch.

    out: a folder for checkpoint.pt (after every epoch), trained.nir and history.json. The same seed gives the same
    bits on one machine, and a training that was interrupted and resumed those of one that was not. TrainingError
    where the folder holds another training, or the loss is no number any more.
    """
    torch.set_num_threads(settings.jobs)
    numbers = task.mirror.numbers
    ready(numbers.device)
    optimizer = torch.optim.Adam(numbers.parameters(), settings.rate)
    rows: list[Row] = []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        rows = _restore(out, task, settings, optimizer, resume)
    train, held = task.data, None
    if isinstance(train, Samples):
        train, held = train.split(settings.held_out)
    with tqdm(total=settings.epochs, initial=len(rows), desc="training", unit="epoch") as bar:
        for epoch in range(len(rows), settings.epochs):
            generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
            batches = (
                train.batches(settings.batch, generator)
                if isinstance(train, Samples)
                else train(epoch, generator)
            )
            row = {"epoch": float(epoch + 1), **_epoch(task, settings, batches, optimizer)}
            if held is not None:
                measured = _epoch(task, settings, held.batches(settings.batch), None)
                row |= {f"held_out_{key}": measured[key] for key in ("loss", "accuracy") if key in measured}
            rows.append(row)
            if out is not None:
                _save(out, task, settings, optimizer, rows)
            bar.update()
            bar.set_postfix(
                {k: f"{v:.{DECIMALS}g}" for k, v in row.items() if "loss" in k or "accuracy" in k}
            )
    if out is not None:
        files.write(out / "trained.nir", task.mirror.to_nir())
        (out / "history.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows


def _epoch(
    task: Task, settings: Settings, batches: Iterable[Batch], optimizer: torch.optim.Optimizer | None
) -> Row:
    """All batches once; without an optimiser they are only measured."""
    total, norms, samples, right, skipped = 0.0, [], 0, 0, 0
    for inputs, targets in batches:
        wanted, ticks = task.targets(targets), next(iter(inputs.values())).shape[1]
        window, state, seen = settings.window or ticks, None, []
        for start in range(0, ticks, window):
            cut = slice(start, start + window)
            piece = {name: values[:, cut] for name, values in inputs.items()}
            with torch.set_grad_enabled(optimizer is not None):
                (given,), state = task.mirror(piece, state, [task.tap])
                goal = wanted[:, cut] if task.loss.over_time else wanted
                loss = task.loss(given, goal, task.mirror.options.dt)
            if not math.isfinite(loss.item()):
                raise TrainingError(f"the loss is {loss.item()}: take a smaller rate of learning")
            if optimizer is not None:
                norm = _step(task.mirror, settings, loss, optimizer)
                norms += [norm] if math.isfinite(norm) else []
                skipped += not math.isfinite(norm)
            state = state.detached()
            total += loss.item() * given.shape[1] / ticks * len(given)
            seen.append(given.detach())
        samples += len(wanted)
        if task.loss.name == "cross_entropy":
            right += correct(torch.cat(seen, 1), wanted)
    if not samples:
        raise TrainingError("an epoch without samples")
    row = {"loss": total / samples}
    if optimizer is not None:
        row |= {"gradient": float(np.mean(norms)) if norms else 0.0, "skipped": float(skipped)}
    return row | ({"accuracy": right / samples} if task.loss.name == "cross_entropy" else {})


def _step(mirror: Mirror, settings: Settings, loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """A step down the gradient, whose norm it returns; none where that is not finite."""
    optimizer.zero_grad()
    if loss.requires_grad:
        loss.backward()
    norm = float(torch.nn.utils.clip_grad_norm_(mirror.numbers.parameters(), settings.clip))
    if math.isfinite(norm):
        optimizer.step()
        mirror.numbers.constrain()
    return norm


def _save(
    out: Path, task: Task, settings: Settings, optimizer: torch.optim.Optimizer, rows: list[Row]
) -> None:
    state = {
        "identity": task.identity(settings),
        "parameters": {name: leaf.detach() for name, leaf in task.mirror.numbers.named()},
        "optimizer": optimizer.state_dict(),
        "rows": rows,
    }
    unfinished = out / "checkpoint.tmp"
    torch.save(state, unfinished)
    os.replace(unfinished, out / "checkpoint.pt")


def _restore(
    out: Path, task: Task, settings: Settings, optimizer: torch.optim.Optimizer, resume: bool
) -> list[Row]:
    """The epochs that are done; none where there is no checkpoint."""
    path = out / "checkpoint.pt"
    if not path.exists():
        return []
    if not resume:
        raise TrainingError(f"{path}: a checkpoint is there already; --resume goes on with it")
    try:
        state = torch.load(path, weights_only=True)
        stored = dict(state["identity"])
    except Exception as error:  # whatever a damaged zip file or a foreign one makes of it
        raise TrainingError(f"{path}: not a checkpoint of this training ({type(error).__name__})") from None
    mine = task.identity(settings)
    other = sorted(key for key in {*mine, *stored} if mine.get(key) != stored.get(key))
    if other:
        key = other[0]
        raise TrainingError(
            f"{path}: made with {key} {stored.get(key)}, not {mine.get(key)}; choose another folder"
        )
    task.mirror.numbers.restore(state["parameters"])
    optimizer.load_state_dict(state["optimizer"])
    return list(state["rows"])
