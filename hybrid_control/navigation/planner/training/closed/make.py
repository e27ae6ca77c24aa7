"""The whole of `train closed`: learn, put it beside a planner's own network, test, and say in words what came of it."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import torch

from hybrid_control import __version__
from hybrid_control.learning.devices import device_of
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.training.closed import evaluation
from hybrid_control.navigation.planner.training.closed.export import export
from hybrid_control.navigation.planner.training.closed.network import Closed
from hybrid_control.navigation.planner.training.closed.recorded import Recorded
from hybrid_control.navigation.planner.training.closed.scenes import SHARD, TEST_SEED, Frames
from hybrid_control.navigation.planner.training.closed.train import (
    BLIND,
    Settings,
    TrainingError,
    drawn,
    fit,
)

_CARD = """\
# Model card: closed directions of planner.onnx

A convolutional network beside the planner's own, which looks at the same image and says of each direction in view
whether it is closed, how far away, and whether a planar scan would show why (docs/planner.md, contract 2).

    {command}

- File, both networks: {size:,} bytes. Images of 160 x 120 pixels.
- Data: {examples:,} frames, each learnt once, of scenes of the embedded simulator that are drawn while it learns.
  Looks, light, lens, and the camera's height, pitch and width of view differ; it is told the camera, with an error.
{recorded}{depth}{backbone}\
- This run: {wall:.0f} min by the clock, {cores:.0f} min of one core, since it was begun or taken up again.

## What it sees

{frames} frames of other seeds, a camera like the robot's own. A direction is one of the 72 of 5 degrees; one that hides
nothing within {clear:g} m, nor beside it, is free. The confidence from which on it counts is set so that it is wrong
in 1 % (5 %) of the free directions. Seen: of the directions in which something is hidden {near[0]:g} to {near[1]:g} m
from the camera; *placed*: at the right distance, to {placed:g} m or a fifth.

| | directions | seen, 1 % | placed, 1 % | seen, 5 % | placed, 5 % |
|---|---|---|---|---|---|
{rows}

The confidence at 1 % is {limit:.2f}; above it {alarms:.1%} of the frames that hide nothing have a direction. A robot
goes by a confidence of 0.5, which is made to be where {counts:.1%} of the free directions are closed by mistake: here
{wrong:.1%} are, and {right:.0%} of what is hidden in the distances above is seen.{without}

## What it cannot do

{photographs}
What it says is a reason to brake, and never one to drive on: the reflex and the scan decide that.
"""


_RECORDED = """\
- With each batch of them as many frames of recorded drives, learnt over and over: {frames}.
  Its confidence is set, and the table below made, on drawn scenes alone; how well it sees where these drives were is
  not known.
"""
_RENDERED = "What is closed it has learnt from rendered scenes alone, never from a photograph."
_DRIVEN = "It has seen rendered scenes, and the recorded drives alone of what is not."
_DEPTH = """\
- With each comes a depth image of a simulated stereo camera (`sim/depth.py`), not known in {blind:.0%} of them.
"""
_BACKBONE = """\
- Its features come from the first blocks of {name}, whose weights have learnt ImageNet's photographs
  {on}.
"""
_WITHOUT = """

The same frames without their depth images: at 0.5 {wrong:.1%} of the free directions are closed, and {right:.0%} of
what is hidden is seen.

| | directions | seen, 1 % | placed, 1 % | seen, 5 % | placed, 5 % |
|---|---|---|---|---|---|
{rows}"""


def _table(seen: evaluation.Seen) -> str:
    return "\n".join(
        f"| {name} | {count} | " + " | ".join(f"{share:.0%}" for pair in shares.values() for share in pair) + " |"
        for name, count, shares in evaluation.rows(seen)
    )


def _power(path: Path, shards: list[Frames], depth: bool) -> float:
    """To which what a file says of frames, with or without their depth images, is to be raised, so that 0.5 is where it
    counts."""
    limit = evaluation.threshold(evaluation.look(path, shards, depth), evaluation.counts(depth))
    return math.log(0.5) / math.log(limit)


def train_closed(
    planner: Path, out: Path, settings: Settings, test: int, resume: bool, recorded: Recorded | None = None
) -> Path:
    """Learn and test; returns the path of out/planner.onnx, beside which out/closed.md lies. ValueError for a planner
    that is not of contract 1, and TrainingError for a checkpoint of something else."""
    if test < 2 * SHARD:
        raise TrainingError(f"--test {test}: expected {2 * SHARD} frames or more")
    _, info = contract.load(planner)
    if info.version != 1:
        raise ValueError(f"{planner}: keeps contract {info.version}; a file of contract 1 is wanted")
    begun, cores = time.monotonic(), sum(os.times()[:4])
    network = fit(settings, device_of(settings.device), out, resume, recorded)
    command = (
        f"hybrid-control train closed --planner IN.onnx --out OUT --examples {settings.examples} "
        f"--seed {settings.seed}" + " --depth" * settings.depth
        + (f" --backbone {settings.backbone}" if settings.backbone else "") + " --finetune" * settings.finetune
        + ("" if settings.start is None else f" --start {settings.start.name}")
        + ("" if settings.rate is None else f" --rate {settings.rate:g}")
        + ("" if recorded is None else " --recordings RUN.mcap")
    )
    path = out / "planner.onnx"
    metadata = {
        "hybrid_control.planner.closed.command": command,
        "hybrid_control.planner.closed.trained_by": f"hybrid-control {__version__}, torch {torch.__version__}",
    }
    export(Closed(network), planner, path, metadata)
    took = time.monotonic() - begun, sum(os.times()[:4]) - cores
    numbers = range(test // SHARD)
    shards = list(drawn(settings.seed + TEST_SEED, numbers, settings.jobs, settings.depth))
    half = len(shards) // 2  # the one half says where 0.5 is to be, the other how well that does
    power = _power(path, shards[:half], settings.depth)
    blind = _power(path, shards[:half], depth=False) if settings.depth else None
    export(Closed(network, power, blind), planner, path, metadata)
    seen = evaluation.look(path, shards[half:])
    depth = without = backbone = ""
    if settings.backbone:
        on = "and learnt on" if settings.finetune else "and stay as they are"
        backbone = _BACKBONE.format(name=settings.backbone, on=on)
    if settings.depth:
        alone = evaluation.look(path, shards[half:], depth=False)
        depth = _DEPTH.format(blind=BLIND)
        without = _WITHOUT.format(rows=_table(alone), **evaluation.at_half(alone))
    (out / "closed.md").write_text(
        _CARD.format(
            command=command, size=path.stat().st_size, examples=settings.shards * SHARD, wall=took[0] / 60,
            cores=took[1] / 60, recorded="" if recorded is None else _RECORDED.format(frames=recorded),
            photographs=_RENDERED if recorded is None else _DRIVEN, frames=len(seen.said), clear=evaluation.CLEAR,
            backbone=backbone, near=evaluation.NEAR, placed=evaluation.PLACED, rows=_table(seen),
            limit=evaluation.threshold(seen, 0.01), alarms=evaluation.frames_with_alarm(seen, 0.01),
            counts=evaluation.counts(settings.depth), depth=depth, without=without, **evaluation.at_half(seen),
        ),
        encoding="utf-8",
    )  # fmt: skip
    return path
