"""Training of the closed directions in one pass over fresh frames, drawn by other processes while it learns, and with
frames of recorded drives beside them where there are any."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybrid_control.navigation.planner.training.closed import scenes
from hybrid_control.navigation.planner.training.closed.labels import HIDDEN
from hybrid_control.navigation.planner.training.closed.network import (
    Network,
    recorded_loss,
    target_shares,
)
from hybrid_control.navigation.planner.training.closed.recorded import Recorded
from hybrid_control.navigation.planner.training.closed.scenes import SHARD, Frames
from hybrid_control.navigation.planner.training.closed.start import fill, from_planner
from hybrid_control.navigation.planner.training.network import follow

BATCH = 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.01
AGAIN = 0.1  # of the learning rate, for weights that have learnt before
AVERAGING = 0.999  # of the weights that are exported, a step
ROW_WIDTH = 1.0  # rows, of the bell that is taught
MIXED = 8  # shards that are shuffled together
KEEP = 40  # shards between two checkpoints
AHEAD = 8  # shards that are drawn ahead, MIXED at least: one lot while the other is learnt
BLIND = 0.5  # of the frames, whose depth is not known
BACKBONES = ("efficientnet-lite0",)


class TrainingError(ValueError):
    """A training that cannot begin or go on, and why."""


@dataclass(frozen=True)
class Settings:
    """What `train closed` was asked for. examples: frames, each of which is learnt once; jobs: processor cores, half of
    which learn and half draw; device: where torch works, "auto" for a GPU where there is one; start: another training's
    checkpoint, or a planner's file, whose weights it begins with; depth: whether the network takes a depth image as
    well; rate: the greatest of learning, LEARNING_RATE, or a tenth of it for a start, where it is None; backbone: of
    BACKBONES, None for a network from scratch; finetune: whether the backbone's own weights learn on."""

    examples: int = 500_000
    seed: int = 1
    jobs: int = 2
    device: str = "auto"
    start: Path | None = None
    depth: bool = False
    rate: float | None = None
    backbone: str | None = None
    finetune: bool = False

    def __post_init__(self) -> None:
        if self.backbone not in (None, *BACKBONES):
            raise TrainingError(f"backbone {self.backbone}: expected {' or '.join(BACKBONES)}")
        if self.finetune and self.backbone is None:
            raise TrainingError("finetune: without a backbone there is nothing pretrained to learn on")
        if self.backbone and self.start is not None and self.start.suffix == ".onnx":
            raise TrainingError(f"start {self.start}: a network with a backbone begins with a checkpoint, closed.pt")
        if self.examples < MIXED * SHARD or self.seed < 0 or self.jobs < 1:
            raise TrainingError(
                f"examples {self.examples} must be {MIXED * SHARD} or more, seed {self.seed} 0 or more, "
                f"jobs {self.jobs} 1 or more"
            )
        if not 0.0 <= self.fastest < 1.0:
            raise TrainingError(f"rate {self.rate}: expected 0 .. 1, such as {LEARNING_RATE}")

    @property
    def fastest(self) -> float:
        """The greatest rate of learning."""
        return LEARNING_RATE * (1.0 if self.start is None else AGAIN) if self.rate is None else self.rate

    @property
    def learners(self) -> int:
        """Threads that learn. More of them than cores are free wait for one another, spinning: two beside two processes
        that draw, on two cores, were 58 frames a second for 160."""
        return max(1, self.jobs // 2)

    @property
    def shards(self) -> int:
        """How many are drawn, MIXED at a time."""
        return math.ceil(self.examples / (SHARD * MIXED)) * MIXED

    @property
    def identity(self) -> dict[str, int | str]:
        """What a run that goes on must have in common with the one that it goes on with."""
        same: dict[str, int | str] = {"examples": self.examples, "seed": self.seed}
        same |= {"depth": 1} if self.depth else {}
        same |= {} if self.rate is None else {"rate": str(self.rate)}
        same |= {"backbone": self.backbone} if self.backbone else {}
        same |= {"finetune": 1} if self.finetune else {}
        return same if self.start is None else same | {"start": str(self.start)}


def drawn(seed: int, numbers: range, jobs: int, depth: bool = False) -> Iterator[Frames]:
    """Shards in their order, drawn ahead by so many processes."""
    context = multiprocessing.get_context("spawn")  # a fork would share GL and torch's threads
    waiting: deque[Future[Frames]] = deque()
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        rest = iter(numbers)
        try:
            while True:
                while len(waiting) < max(AHEAD, 2 * jobs) and (number := next(rest, None)) is not None:
                    waiting.append(pool.submit(scenes.shard, seed, number, depth=depth))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def network_of(settings: Settings) -> nn.Module:
    """A new network as the settings ask for it. ModuleNotFoundError where its backbone's package is not installed."""
    if settings.backbone is None:
        return Network(settings.depth)
    from hybrid_control.navigation.planner.training.closed import backbone  # its package few have installed

    return backbone.PretrainedNetwork(settings.depth, frozen=not settings.finetune)


def _groups(network: nn.Module) -> list[dict[str, Any]]:
    """What learns, and at what share of the rate."""
    if isinstance(network, Network):
        return [{"params": list(network.parameters())}]
    return list(network.groups(AGAIN))


def fit(
    settings: Settings, device: torch.device, out: Path, resume: bool, recorded: Recorded | None = None
) -> nn.Module:
    """Learn settings.examples frames; out/closed.pt is kept every KEEP shards. The network of averaged weights.

    recorded: with each batch of what is drawn, as many of these are learnt, over and over; what is drawn keeps the
    network from forgetting the rest."""
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.learners)
    torch.manual_seed(settings.seed)
    network, average = (network_of(settings).to(device) for _ in range(2))
    if settings.start is not None:
        if settings.start.suffix == ".onnx" and isinstance(network, Network):
            from_planner(settings.start, network, scenes.shard(settings.seed, 0))
        else:
            learnt(settings.start, network)
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(_groups(network), settings.fastest, weight_decay=WEIGHT_DECAY)
    identity = settings.identity | ({} if recorded is None else {"recorded": recorded.mark})
    first = _restore(identity, out / "closed.pt", resume, network, average, optimizer)
    steps = settings.shards * SHARD // BATCH
    done = first * SHARD // BATCH
    drawers = max(1, settings.jobs - settings.learners)
    source = drawn(settings.seed, range(first, settings.shards), drawers, settings.depth)
    with tqdm(total=settings.shards * SHARD, initial=first * SHARD, desc="closed", unit="frame") as bar:
        for number in range(first, settings.shards, MIXED):
            mixed = [next(source) for _ in range(MIXED)]
            network.train()
            for batch in _batches(mixed, np.random.default_rng([settings.seed, number]), device):
                rate = settings.fastest * _schedule(done / steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group.get("share", 1.0)
                more = {} if recorded is None else _again(recorded, [settings.seed, done], device)
                loss = _loss(network, batch, more, device)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                done += 1
                follow(average, network, min(AVERAGING, (1 + done) / (10 + done)))
                bar.update(len(batch["kind"]))
                if done % 20 == 0:
                    bar.set_postfix(loss=f"{loss.item():.3f}")
            if (number + MIXED) % KEEP == 0 or number + MIXED == settings.shards:
                _save(identity, out / "closed.pt", number + MIXED, network, average, optimizer)
    return average.eval().cpu()


def _loss(network: nn.Module, batch: dict[str, Tensor], more: dict[str, Tensor], device: torch.device) -> Tensor:
    """Of what was drawn, and of recorded frames where there are more."""
    n = len(batch["kind"])
    seen = {name: torch.cat([batch[name], more[name]]) if more else batch[name] for name in ("image", "camera")}
    depth = batch.get("depth")
    if depth is not None and more:  # recorded frames come without
        depth = torch.cat([depth, torch.zeros_like(depth[:1]).expand(len(more["kind"]), -1, -1)])
    with _half(device):
        logits = network(seen["image"], seen["camera"], depth)
    wanted = target_shares(batch["kind"], batch["row"], ROW_WIDTH)
    loss = -(wanted * torch.log_softmax(logits[:n].float(), dim=1)).sum(dim=1).mean()
    return loss + recorded_loss(logits[n:], more["kind"], more["row"], more["free_row"]) if more else loss


def _again(recorded: Recorded, seed: list[int], device: torch.device) -> dict[str, Tensor]:
    """A batch of recorded frames, half of it with something hidden where there is any, seen in a mirror or not."""
    rng = np.random.default_rng([*seed, 1])
    hidden = np.flatnonzero((recorded.kind == HIDDEN).any(axis=1))
    chosen = rng.integers(len(recorded), size=BATCH)
    if len(hidden):
        chosen[: BATCH // 2] = rng.choice(hidden, BATCH // 2)
    names = ("image", "camera", "kind", "row", "free_row")
    batch = {name: torch.from_numpy(getattr(recorded, name)[chosen]) for name in names}
    return {name: values.to(device) for name, values in _mirrored(batch, rng).items()}


def _mirrored(batch: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """Half of the batches."""
    if rng.uniform() >= 0.5:
        return batch
    across = {name: 2 if name in ("image", "depth") else 1 for name in batch if name != "camera"}
    return batch | {name: batch[name].flip(axis) for name, axis in across.items()}


def _batches(mixed: list[Frames], rng: np.random.Generator, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Shards shuffled together, each half of the batches seen in a mirror; of BLIND frames the depth is not known."""
    arrays = {name: [getattr(f, name) for f in mixed] for name in ("image", "camera", "kind", "row")}
    if any(f.depth is not None for f in mixed):
        arrays["depth"] = [np.zeros(f.image.shape[:3], np.int16) if f.depth is None else f.depth for f in mixed]
    joined = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in arrays.items()}
    order = torch.from_numpy(rng.permutation(len(joined["kind"])))
    for chosen in order.split(BATCH):
        if len(chosen) < BATCH:
            return
        batch = _mirrored({name: values[chosen] for name, values in joined.items()}, rng)
        if "depth" in batch:
            known = torch.from_numpy(rng.uniform(size=BATCH) >= BLIND)[:, None, None]
            batch["depth"] = batch["depth"].float() * 0.001 * known
        yield {name: values.to(device) for name, values in batch.items()}


def _half(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where it is enough: on a CPU that has it a step takes half the time."""
    return torch.autocast(device.type, torch.bfloat16)


def _schedule(share: float) -> float:
    """Warm-up over the first fiftieth, then a half cosine down to a hundredth."""
    if share < 0.02:
        return share / 0.02 + 0.01
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (share - 0.02) / 0.98))


Identity = Mapping[str, int | str]


def _save(identity: Identity, path: Path, shards: int, *parts: Any) -> None:
    """Whole or not at all."""
    state = {"settings": dict(identity), "shards": shards, "parts": [part.state_dict() for part in parts]}
    unfinished = path.with_suffix(".tmp")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def _restore(identity: Identity, path: Path, resume: bool, *parts: Any) -> int:
    """The number of shards that are learnt; 0 where there is no checkpoint."""
    if not path.exists():
        return 0
    if not resume:
        raise TrainingError(f"{path}: a checkpoint is there already; --resume goes on with it")
    stored, shards, states = _checkpoint(path)
    if stored != identity:
        raise TrainingError(f"{path}: made with {stored}, not with {dict(identity)}; choose another --out")
    for part, kept in zip(parts, states, strict=True):
        part.load_state_dict(kept)
    return shards


def learnt(path: Path, network: nn.Module) -> None:
    """Give a network the averaged weights of a checkpoint. TrainingError where it is none; OSError as usual."""
    with path.open("rb"):  # torch's own words on a file that is not there are many
        pass
    _, _, states = _checkpoint(path)
    try:
        fill(network, states[1])
    except (RuntimeError, TypeError, AttributeError, IndexError, KeyError):
        raise TrainingError(f"{path}: not a checkpoint of this network") from None


def _checkpoint(path: Path) -> tuple[Any, int, Any]:
    """What it was made with, how many shards it has learnt, and the states of network, average and optimizer."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        return state["settings"], int(state["shards"]), state["parts"]
    except Exception as error:  # whatever a damaged zip file or a foreign one makes of it
        raise TrainingError(f"{path}: not a checkpoint of this training ({type(error).__name__})") from None
