"""Training of the planner's network on the CPU, its export to ONNX and the whole of `train planner`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from hybrid_control import __version__
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.scans import UNKNOWN
from hybrid_control.navigation.planner.training import card, dataset, evaluation, labels
from hybrid_control.navigation.planner.training.dataset import Plan, Samples
from hybrid_control.navigation.planner.training.network import (
    GOAL_CAP,
    MAX_RATE,
    Network,
    Rates,
    disturb,
    follow,
    goal_tensor,
    mirror,
    told,
)
from hybrid_control.signals.headings import SECTORS

BATCH = 256
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.02
AVERAGING = 0.998  # of the weights that are exported, a step
SPEED_WEIGHT, RANGES_WEIGHT = 4.0, 3.0  # of the two smaller losses beside the headings' cross entropy
OPSET = 18
LARGEST_FILE = 2_000_000  # bytes


class TrainingError(ValueError):
    """A training that cannot begin or go on, and why."""


@dataclass(frozen=True)
class Settings:
    """What `train planner` was asked for. jobs: processes that draw, then threads that train."""

    out: Path
    plan: Plan
    epochs: int
    jobs: int = 2
    resume: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.jobs < 1:
            raise TrainingError(f"epochs {self.epochs} and jobs {self.jobs} must be 1 or more")

    @property
    def command(self) -> str:
        """The command line that repeats it."""
        p = self.plan
        return (
            f"hybrid-control train planner --out DIR --worlds {p.worlds} --frames {p.frames} "
            f"--epochs {self.epochs} --seed {p.seed} --jobs {self.jobs}"
        )


def train_planner(settings: Settings) -> Path:
    """Draw the data, train, export, test; everything lands in settings.out. Returns the path of planner.onnx.

    Each step that was finished before is not repeated where settings.resume is set; the model is the same as
    without the interruption. Raises DatasetError or TrainingError where the folder holds something else.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    times = settings.out / "times.json"
    with _timed(times, "data"):
        dataset.build(settings.out, settings.plan, settings.jobs, settings.resume)
    with _timed(times, "training"):
        network = fit(dataset.load(settings.out, "train"), settings)
    path = settings.out / "planner.onnx"
    export(network, path, settings)
    test = dataset.load(settings.out, "test")
    report = evaluation.evaluate(path, test)
    took = json.loads(times.read_text(encoding="utf-8"))
    text = card.render(path, report, settings.command, settings.plan, took["data"], took["training"])
    (settings.out / "planner.md").write_text(text, encoding="utf-8")
    return path


@contextmanager
def _timed(times: Path, part: str) -> Iterator[None]:
    """Adds the seconds that the block takes, by the clock and of the cores, to those of interrupted runs."""
    before = os.times()
    try:
        yield
    finally:
        after = os.times()
        spent = json.loads(times.read_text(encoding="utf-8")) if times.exists() else {}
        wall, cores = spent.get(part, (0.0, 0.0))
        spent[part] = (wall + after.elapsed - before.elapsed, cores + sum(after[:4]) - sum(before[:4]))
        times.write_text(json.dumps(spent) + "\n", encoding="utf-8")


def fit(samples: Samples, settings: Settings) -> Network:
    """Train on the samples, with a checkpoint after every epoch; the network of averaged weights."""
    torch.set_num_threads(settings.jobs)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.plan.seed)
    network, average = Network(), Network()
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = math.ceil(len(samples) / BATCH)
    first = _restore(settings, network, average, optimizer)
    data = {name: torch.from_numpy(getattr(samples, name)) for name in evaluation.ARRAYS}
    with tqdm(total=settings.epochs * steps, initial=first * steps, desc="training", unit="step") as bar:
        for epoch in range(first, settings.epochs):
            generator = torch.Generator().manual_seed(settings.plan.seed * 100_003 + epoch)
            order = torch.randperm(len(samples), generator=generator)
            network.train()
            for step, chosen in enumerate(order.split(BATCH)):
                rate = _learning_rate((epoch * steps + step) / (settings.epochs * steps))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = _loss(network, {name: values[chosen] for name, values in data.items()}, generator)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
                done = epoch * steps + step
                follow(average, network, min(AVERAGING, (1 + done) / (10 + done)))
                bar.update()
                bar.set_postfix(loss=f"{loss.item():.3f}")
            _save(settings, epoch + 1, network, average, optimizer)
    return average.eval()


def _learning_rate(share: float) -> float:
    """Warm-up over the first twentieth, then a half cosine down to a hundredth."""
    if share < 0.05:
        return LEARNING_RATE * (share / 0.05 + 0.01)
    return LEARNING_RATE * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (share - 0.05) / 0.95)))


def _loss(network: Network, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    if torch.rand((), generator=generator) < 0.5:
        batch = mirror(batch)
    image, scan = disturb(batch["image"], generator), told(batch["scan"], generator)
    logits, speed, seen = network(image, goal_tensor(batch["goal"]), batch["velocity"], scan)
    off = torch.cos(batch["heading"][:, None] - network.directions)
    bump = torch.softmax(off / labels.HEADING_SIGMA**2, dim=1)
    by_heading = functional.cross_entropy(logits, bump)
    by_speed = functional.mse_loss(speed, batch["speed"])
    by_ranges = functional.mse_loss(seen, 1.0 / (1.0 + batch["ranges"]))
    return by_heading + SPEED_WEIGHT * by_speed + RANGES_WEIGHT * by_ranges


def _identity(settings: Settings) -> dict[str, Any]:
    return {**asdict(settings.plan), "epochs": settings.epochs}


def _save(
    settings: Settings, epoch: int, network: Network, average: Network, optimizer: torch.optim.Optimizer
) -> None:
    state = {
        "settings": _identity(settings),
        "epoch": epoch,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    path = settings.out / "checkpoint.pt"
    unfinished = path.with_suffix(".tmp")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def _restore(settings: Settings, network: Network, average: Network, optimizer: torch.optim.Optimizer) -> int:
    """The number of epochs that are done; 0 where there is no checkpoint."""
    path = settings.out / "checkpoint.pt"
    if not path.exists():
        return 0
    if not settings.resume:
        raise TrainingError(f"{path}: a checkpoint is there already; --resume goes on with it")
    try:
        state = torch.load(path, weights_only=True)
        stored = state["settings"]
    except Exception as error:  # whatever a damaged zip file or a foreign one makes of it
        raise TrainingError(f"{path}: not a checkpoint of this training ({type(error).__name__})") from None
    if stored != _identity(settings):
        raise TrainingError(
            f"{path}: made with {stored}, not with {_identity(settings)}; choose another --out"
        )
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])


def export(network: Network, path: Path, settings: Settings) -> None:
    """Write the network as an ONNX file that keeps the planner's contract, and check it against torch.

    Raises TrainingError where onnxruntime and torch disagree or the file is too large.
    """
    model = Rates(network).eval()
    example = (
        torch.randint(0, 256, (1, dataset.HEIGHT, dataset.WIDTH, 3), dtype=torch.uint8),
        torch.tensor([[3.0, math.cos(0.4), math.sin(0.4)]]),
        torch.tensor([[0.5, 0.1]]),
        torch.linspace(0.3, 9.0, SECTORS)[None],
    )
    names = [*(spec.name for spec in contract.INPUTS), contract.SCAN.name]
    program = torch.onnx.export(
        model, example, input_names=names,
        output_names=[*(spec.name for spec in contract.OUTPUTS), contract.FEATURES],
        opset_version=OPSET, dynamo=True, verbose=False,
    )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    unknown = np.full(contract.SCAN.shape, UNKNOWN, np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(unknown, contract.SCAN.name))  # which makes it optional
    onnx.helper.set_model_props(proto, _metadata(settings))
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString()
    if len(content) > LARGEST_FILE:
        raise TrainingError(f"{path}: {len(content)} bytes; a planner may have {LARGEST_FILE}")
    path.write_bytes(content)
    session, info = contract.load(path)
    feed = {name: value.numpy() for name, value in zip(names, example, strict=True)}
    with torch.no_grad():
        expected = model(*example)
    for answer, wanted in zip(contract.infer(session, info, feed)[:2], expected[:2], strict=True):
        error = float(np.abs(answer - wanted.numpy()[0]).max())
        if error > 1e-3 * MAX_RATE:
            raise TrainingError(f"{path}: onnxruntime and torch differ by {error:.3g} Hz")


def _metadata(settings: Settings) -> dict[str, str]:
    return {
        contract.KEY_VERSION: "1",
        contract.KEY_MAX_RATE: f"{MAX_RATE:g}",
        contract.KEY_GOAL_CAP: f"{GOAL_CAP:g}",
        "hybrid_control.planner.camera_hfov_deg": "90",
        "hybrid_control.planner.trained_by": f"hybrid-control {__version__}, torch {torch.__version__}",
        "hybrid_control.planner.command": settings.command,
    }


def _strip(proto: onnx.ModelProto) -> None:
    """Takes out what the exporter noted about this machine: source lines, paths, types of inner values."""
    proto.doc_string = proto.graph.doc_string = ""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    items: list[Any] = [*proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]
    for item in items:
        item.doc_string = ""
        del item.metadata_props[:]
