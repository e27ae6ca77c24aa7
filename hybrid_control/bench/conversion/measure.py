"""Measures conversions of networks with their data: trained ones, published ones on photographs, and the planner.

`python -m hybrid_control.bench.conversion.measure digits NETS ERRORS.svg` takes what `train` wrote. `... photographs
FILE.onnx PHOTOGRAPHS.zip SIZE WHITE` takes a network of images with SIZE pixels a side whose white is WHITE (255, or
1). `... planner` draws frames of random worlds for the package's own planner. Each prints a table; docs/learning.md has
them.
"""

from __future__ import annotations

import io
import math
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid_control.learning.conversion.compare import MARKS, compare
from hybrid_control.learning.conversion.convert import convert
from hybrid_control.learning.conversion.picture import picture
from hybrid_control.learning.conversion.table import comparison_lines
from hybrid_control.navigation.planner.contract import DEFAULT_MODEL, decode_heading
from hybrid_control.navigation.planner.planner import goal_input

TICKS, KEPT = 64, 128  # read after so many ticks; so many examples for scales
PLANNER_CUTS = (
    ["div", "stack", "add_2"],
    ["conv1d_7"],
)  # contrasts, goal and speed in; logits of headings out
GOAL_CAP = 10.0  # m


def digits(folder: Path, svg: Path, examples: int = 2000) -> None:
    """Of each network of `train`: the first examples of its test; the errors over the ticks as a picture."""
    found = {}
    for path in sorted(folder.glob("*_*.npz")):
        with np.load(path) as file:
            data = {key: file[key] for key in file.files}
        conversion = convert(path.with_suffix(".onnx"), data["calibration"][:KEPT], TICKS)
        test = slice(examples)
        found[path.stem] = compare(conversion, data["test_x"][test], MARKS, data["test_y"][test])
        _say(path.stem, comparison_lines(found[path.stem], TICKS))
    svg.write_text(picture(found), encoding="utf-8")


def photographs(model: Path, archive: Path, size: int, white: float, examples: int = 1000) -> None:
    """The class of photographs; scales and potentials from others than the compared."""
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
        order = np.random.default_rng(0).permutation(len(names))[: KEPT + examples]
        images = [
            Image.open(io.BytesIO(files.read(names[i]))).convert("RGB").resize((size, size)) for i in order
        ]
    data = np.stack([np.asarray(image, np.float32) * (white / 255) for image in images])
    conversion = convert(model, data[:KEPT], TICKS, percentile=99.99)
    marks = (16, 32, 64, 128, 256)
    _say(model.stem, comparison_lines(compare(conversion, data[KEPT:], marks), TICKS))


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


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "digits":
        digits(Path(rest[0]), Path(rest[1]))
    elif what == "photographs":
        photographs(Path(rest[0]), Path(rest[1]), int(rest[2]), float(rest[3]))
    else:
        planner()
