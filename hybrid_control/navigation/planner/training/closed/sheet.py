"""A sheet of frames with their labels drawn over them, to be looked at before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from hybrid_control.navigation.planner.training.closed.labels import (
    COLUMNS,
    FREE,
    HEIGHT,
    HIDDEN,
    ROWS,
    SKY,
    STANDING,
    WIDTH,
    rows_of,
)
from hybrid_control.navigation.planner.training.closed.recorded import Labelled

FRAMES = 24  # on a sheet
ACROSS = 4  # of them side by side
SCALE = 2  # pixels of the sheet for one of an image
MARGIN = 14  # pixels above each, for its words
COLOURS = {FREE: (40, 200, 80), STANDING: (60, 120, 255), HIDDEN: (255, 40, 40)}
SHADE = 70  # of 255, how much of the picture what is free covers
THICK = 3  # pixels, of the line where a column is closed


def write_sheet(frames: Sequence[Labelled], path: Path) -> None:
    """A PNG of at most FRAMES frames, half of them with something hidden where there are so many.

    Green: ground that was driven over later. Red: in one of these columns something hidden was bumped into there. Blue:
    there the scan shows something that stands. Of columns without a colour nothing is known, and nothing is learnt.
    """
    chosen = _chosen(frames)
    size = WIDTH * SCALE, HEIGHT * SCALE + MARGIN
    rows = -(-len(chosen) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * size[0], rows * size[1]), (255, 255, 255))
    for k, frame in enumerate(chosen):
        sheet.paste(_drawn(frame), (k % ACROSS * size[0], k // ACROSS * size[1] + MARGIN))
        words = f"{Path(frame.drive.name).parent.name}/{Path(frame.drive.name).name} {frame.at:.1f} s"
        place = k % ACROSS * size[0] + 4, k // ACROSS * size[1] + 1
        ImageDraw.Draw(sheet).text(place, words, fill=(0, 0, 0))
    sheet.save(path)


def _chosen(frames: Sequence[Labelled]) -> list[Labelled]:
    hidden = [k for k, frame in enumerate(frames) if (frame.label.kind == HIDDEN).any()]
    others = sorted(set(range(len(frames))) - set(hidden))
    few = min(len(hidden), max(FRAMES // 2, FRAMES - len(others)))
    numbers = [*_evenly(hidden, few), *_evenly(others, FRAMES - few)]
    return [frames[k] for k in sorted(numbers)]


def _evenly(numbers: list[int], count: int) -> list[int]:
    places = np.unique(np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int))
    return [numbers[k] for k in places]


def _drawn(frame: Labelled) -> Image.Image:
    image, known, mount = frame.picture(), frame.label, frame.drive.robot.camera
    size = WIDTH * SCALE, HEIGHT * SCALE
    if image is None:
        return Image.new("RGB", size, (128, 128, 128))
    picture = Image.fromarray(image).resize(size, Image.Resampling.NEAREST).convert("RGBA")
    shade = Image.new("RGBA", size)
    draw, wide = ImageDraw.Draw(shade), size[0] / COLUMNS
    free, closed = rows_of(known.free, mount), rows_of(known.away, mount)
    for k in range(COLUMNS):
        left, right = k * wide, (k + 1) * wide - 1
        if known.free[k] > 0.0 and known.kind[k] in COLOURS:
            draw.rectangle((left, _pixel(free[k]), right, size[1]), fill=(*COLOURS[FREE], SHADE))
        if known.kind[k] in (STANDING, HIDDEN):
            y = _pixel(closed[k])
            draw.rectangle((left, y - THICK, right, y + THICK), fill=(*COLOURS[int(known.kind[k])], 255))
    return Image.alpha_composite(picture, shade).convert("RGB")


def _pixel(row: float) -> float:
    """Of the sheet, from an image's top, where a row of `labels` is; the last one is the image's lower edge."""
    return SCALE * (SKY + 2.0 * row) if row < ROWS - 0.01 else float(SCALE * HEIGHT)
