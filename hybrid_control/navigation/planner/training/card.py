"""The model card: what a planner's model is, how it was made, and how well it does, in words for a person."""

from __future__ import annotations

from pathlib import Path

from hybrid_control.navigation.planner.training import dataset, labels
from hybrid_control.navigation.planner.training.dataset import Plan
from hybrid_control.navigation.planner.training.evaluation import Report
from hybrid_control.sim.worlds import GENERATORS

_TEMPLATE = """\
# Model card: planner.onnx

A small convolutional network that looks at one camera image, a scan where there is one, the goal's distance
and bearing and the robot's speed, and answers with the rates of 72 heading and 8 speed neurons
(docs/planner.md). It has no memory and no map.

## How it was made

    {command}

- File: {size:,} bytes. Images of {width} x {height} pixels from a camera that sees 90 degrees across, at the
  front of a Jackal-sized rover.
- Data: {worlds} random worlds of the embedded simulator, up to {frames} frames each, seed {seed}. Kinds:
  {mix}.
  Colours, textures, light, heights of obstacles, and the camera's position, tilt and field of view differ
  from world to world. Mirror images, gain, offset and noise are added while training.
- Labels: an expert that knows the map drives at the point {lookahead:g} m down the shortest path of a disc
  of {radius:g} m radius, slower near obstacles, in turns and near the goal. Poses scatter around such
  paths. About a quarter of the goals are the world's own, which a magenta pole marks; the others are marked
  by nothing.
- The goal is told with an error of 0.2 m and 3 degrees (one sigma), as odometry drifts. The speed input is
  random and says nothing about the answer.
- Time: data {drawing}, training {fitting}.

## How well it does

On {samples:.0f} frames of {test_worlds:.0f} worlds of other seeds, which training never saw. Error: the angle
in degrees between the decoded heading and the expert's. *Around*: frames in which the expert leaves the
goal's direction by more than 20 degrees ({around_share:.0%} of all). *Blocked*: an obstacle stands within
1 m along and 0.3 m beside the line that the heading points along, within the camera's view (of the expert's
own headings: {expert_blocked:.1%}). That the model looks is shown by the third row and the last; a black image,
which the planner refuses as blind before the model gets it, is unlike anything it was trained on.

| | mean | median | within 15° | mean, around | blocked |
|---|---|---|---|---|---|
{rows}

| kind of world | frames | model, mean | straight, mean |
|---|---|---|---|
{kinds}

Mean error of the speed, as a fraction of the greatest: model {model_speed:.3f}; with another sample's image
{shuffled_speed:.3f}; with a black image {black_speed:.3f}; always saying the mean {constant_speed:.3f}.

One inference on one core, while the machine did other things too: median {median_ms:.2f} ms, 99th percentile
{p99_ms:.2f} ms. Share of these images that the planner refuses as blind: {blind_share:.2%}.

## What it cannot do

- It has seen rendered pillars, crates and walls only, never a photograph. For a real robot it is a start,
  not a product; the reflex is what keeps the robot off obstacles.
- It sees 90 degrees and remembers nothing: what stands beside or behind the robot, and dead ends, are
  beyond it.
- The expert knows what the camera cannot see, so part of the error cannot be learned away.
- With another camera (field of view, height, tilt) than in training its directions shift; train it anew.
"""

_ROWS = {
    "model": "**the model**",
    "straight": "straight to the goal, no network",
    "shuffled": "the model, with another sample's image",
    "black": "the model, with a black image",
    "alone": "the model, without a scan",
}


Spent = tuple[float, float]


def render(model: Path, report: Report, command: str, plan: Plan, drawing: Spent, fitting: Spent) -> str:
    """The card as Markdown; drawing, fitting: seconds by the clock and of the cores."""
    rows = [
        f"| {text} | {report[f'{name}_mean']:.1f} | {report[f'{name}_median']:.1f} "
        f"| {report[f'{name}_within_15']:.1%} | {report[f'{name}_around_mean']:.1f} "
        f"| {report[f'{name}_blocked']:.1%} |"
        for name, text in _ROWS.items()
    ]
    kinds = [
        f"| {kind} | {report[f'kind_{kind}_n']:.0f} | {report[f'kind_{kind}_model']:.1f} "
        f"| {report[f'kind_{kind}_straight']:.1f} |"
        for kind in GENERATORS
        if f"kind_{kind}_n" in report
    ]
    return _TEMPLATE.format(
        command=command,
        size=model.stat().st_size,
        width=dataset.WIDTH,
        height=dataset.HEIGHT,
        worlds=plan.worlds,
        frames=plan.frames,
        seed=plan.seed,
        mix=", ".join(f"{kind} {share:.0%}" for kind, share in dataset.MIX.items()),
        lookahead=labels.LOOKAHEAD,
        radius=labels.EXPERT_RADIUS,
        drawing=_minutes(drawing),
        fitting=_minutes(fitting),
        test_worlds=report["worlds"],
        rows="\n".join(rows),
        kinds="\n".join(kinds),
        **{name: value for name, value in report.items() if name != "worlds"},
    )


def _minutes(spent: Spent) -> str:
    return f"{spent[0] / 60:.1f} min by the clock, {spent[1] / 60:.1f} min of one core"
