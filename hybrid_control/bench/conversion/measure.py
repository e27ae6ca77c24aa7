"""Measures conversions of networks with their data: trained ones, published ones on photographs, and the planner.

`python -m hybrid_control.bench.conversion.measure digits NETS ERRORS.svg` takes what `train` wrote. `... photographs
FILE.onnx PHOTOGRAPHS.zip SIZE WHITE` takes a network of images with SIZE pixels a side whose white is WHITE: 255, or 1,
as it was trained. `... planner` draws frames of random worlds for the package's own planner. Each prints a table;
docs/learning.md has them.
"""

from __future__ import annotations

import argparse
import io
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.conversion.files import networks_in
from hybrid_control.learning.conversion.compare import MARKS, Comparison, compare
from hybrid_control.learning.conversion.convert import convert
from hybrid_control.learning.conversion.picture import picture
from hybrid_control.learning.conversion.readout import Readout, eighths
from hybrid_control.learning.conversion.table import comparison_lines
from hybrid_control.navigation.planner.contract import DEFAULT_MODEL, decode_heading
from hybrid_control.navigation.planner.planner import goal_input

TICKS, KEPT = 64, 128  # read after so many ticks; so many examples for scales
PLANNER_CUTS = (
    ["div", "stack", "add_2"],
    ["conv1d_7"],
)  # contrasts, goal and speed in; logits of headings out
GOAL_CAP = 10.0  # m
MOST = 4096  # pixels, photographs, worlds


def digits(folder: Path, svg: Path, examples: int = 2000) -> None:
    """Of each network of `train`: the first examples of its test; the errors over the ticks as a picture."""
    found = {}
    for path in networks_in(folder):
        with np.load(path) as file:
            data = {key: file[key] for key in file.files}
        conversion = convert(path.with_suffix(".onnx"), data["calibration"][:KEPT], TICKS)
        test = slice(examples)
        found[path.stem] = compare(conversion, data["test_x"][test], MARKS, data["test_y"][test])
        _say(path.stem, comparison_lines(found[path.stem], TICKS))
    svg.write_text(picture(found), encoding="utf-8")


def photographs(model: Path, archive: Path, size: int, white: float, examples: int = 1000) -> None:
    """The class of photographs; scales and potentials from others than the compared."""
    _check(size=size, white=white, examples=examples)
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
        if len(names) <= KEPT:
            raise ValueError(f"{archive}: {len(names)} photographs; expected more than {KEPT}, which set the scales")
        order = np.random.default_rng(0).permutation(len(names))[: KEPT + examples]
        images = [
            Image.open(io.BytesIO(files.read(names[i]))).convert("RGB").resize((size, size)) for i in order
        ]
    data = np.stack([np.asarray(image, np.float32) * (white / 255) for image in images])
    conversion = convert(model, data[:KEPT], TICKS, percentile=99.99)
    found = compare(conversion, data[KEPT:], sorted({16, 32, 64, 128, 256, *eighths(TICKS)}))
    learnt = compare(conversion, data[:KEPT], eighths(TICKS))
    _say(model.stem, [*comparison_lines(found, TICKS), _fitted_line(learnt, found)])


def _fitted_line(learnt: Comparison, found: Comparison) -> str:
    """How near it is where each eighth of the ticks has a weight, learnt from other examples."""
    (given,) = Readout.fitted(learnt, TICKS).read(found).values()
    (wanted,) = found.wanted.values()
    error = math.sqrt(((given - wanted) ** 2).mean() / wanted.var())
    same = (given.argmax(axis=1) == wanted.argmax(axis=1)).mean()
    by = f"fitted by {learnt.examples} others, {TICKS} ticks"
    return f"{by}: error {100 * error:.2f} %, same class {100 * same:.1f} %"


def _check(**given: float) -> None:
    for name, value in given.items():
        if not 0 < value <= MOST:
            raise ValueError(f"{name} {value:g}: expected more than 0, {MOST} at most")


def _frames(worlds: int, seed: int) -> dict[str, NDArray[Any]]:
    """What the planner is given in random worlds, by its inputs."""
    from hybrid_control.navigation.planner.training.dataset import draw, random_world

    rows: dict[str, list[Any]] = {"image": [], "goal": [], "velocity": []}
    for world in range(worlds):
        rng = np.random.default_rng([seed, world])
        for frame in draw(random_world(rng), 8, rng):
            rows["image"].append(frame["image"])
            distance, bearing = map(float, frame["goal"])
            rows["goal"].append(goal_input(distance, bearing, GOAL_CAP)[0])
            rows["velocity"].append(frame["velocity"])
    return {name: np.stack(values) for name, values in rows.items()}


def planner(worlds: int = 40) -> None:
    """Degrees between the headings that the planner's rates stand for, of the ANN and of the spiking network."""
    _check(worlds=worlds)
    conversion = convert(DEFAULT_MODEL, _frames(KEPT // 8, 1), TICKS, cuts=PLANNER_CUTS)
    comparison = compare(conversion, _frames(worlds, 2), MARKS)
    lines = comparison_lines(comparison, TICKS)
    logits = PLANNER_CUTS[1][0]
    ann = [_heading(row) for row in comparison.wanted[logits]]
    for label, given in (("all ticks", comparison.given), ("late", comparison.late)):
        for i, mark in enumerate(comparison.marks):
            apart = [abs(_turn(_heading(row) - a)) for row, a in zip(given[logits][:, i], ann, strict=True)]
            degrees = np.degrees(apart)
            lines.append(
                f"{label}, {mark} ticks: heading {degrees.mean():.2f} degrees off in the mean, "
                f"{np.median(degrees):.2f} in the median, {np.percentile(degrees, 95):.2f} at 95 %"
            )
    _say("planner", lines)


def _heading(logits: NDArray[Any]) -> float:
    rates = np.exp(logits - logits.max())
    return decode_heading(rates / rates.sum())


def _turn(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _say(name: str, lines: Sequence[str]) -> None:
    print("\n".join([f"{name}:", *lines, ""]), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one of the three."""
    parser = parser_of("conversion.measure", __doc__)
    kinds = parser.add_subparsers(required=True, metavar="digits|photographs|planner")

    def kind(name: str, what: str, measure: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        found = kinds.add_parser(name, help=what, description=what)
        found.set_defaults(measure=measure)
        return found

    ours = kind("digits", "the networks of `train`", lambda given: digits(given.nets, given.svg))
    ours.add_argument("nets", type=Path, metavar="NETS", help="the folder that `train` filled")
    ours.add_argument("svg", type=Path, metavar="ERRORS.svg", help="is written: the errors over the ticks")
    theirs = kind(
        "photographs", "any network of images, beside itself",
        lambda given: photographs(given.model, given.archive, given.size, given.white, given.examples),
    )  # fmt: skip
    theirs.add_argument("model", type=Path, metavar="FILE.onnx", help="the network")
    theirs.add_argument("archive", type=Path, metavar="PHOTOGRAPHS.zip", help=f"more than {KEPT} photographs")
    theirs.add_argument("size", type=int, metavar="SIZE", help="pixels a side of what the network takes")
    theirs.add_argument("white", type=float, metavar="WHITE", help="the network's value of white")
    theirs.add_argument("--examples", type=int, default=1000, help="how many are compared (%(default)s)")
    robot = kind("planner", "the planner of this package", lambda given: planner(given.worlds))
    robot.add_argument("--worlds", type=int, default=40, help="8 frames of each (%(default)s)")
    run(parser, lambda given: given.measure(given), argv)


if __name__ == "__main__":
    main()
