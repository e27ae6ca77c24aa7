"""What a planner says of pictures that anybody has, drawn over them: `hybrid-control planner look`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.planner import contract, images
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    ClosedDirections,
)
from hybrid_control.navigation.planner.planner import MIN_CONTRAST
from hybrid_control.signals.headings import HEADINGS

Picture = NDArray[np.uint8]
SIZE = 480, 360  # pixels that each picture is drawn in
ACROSS = 3  # pictures side by side
CAPTION = 18  # pixels
LEAST = 0.2  # of sureness that is drawn
COLOURS = {STANDING: (40, 120, 255), HIDDEN: (255, 40, 40)}
GOAL = 3.0, 1.0, 0.0  # straight ahead


def held(height: float, tilt: float, view: float) -> CameraMount:
    """A camera that is held so many m above the ground, looks down by `tilt` and is `view` wide, both in degrees.

    ValueError where that cannot be.
    """
    return CameraMount(0.0, height, math.radians(tilt), math.radians(view), SIZE[1] / SIZE[0])


def places(closed: ClosedDirections, mount: CameraMount) -> list[tuple[int, float, float, float]]:
    """What is closed at least LEAST sure as kind (STANDING or HIDDEN), place across and down the picture, 0 .. 1, and
    sureness; of what the picture does not show nothing."""
    found = []
    for kind, at in ((STANDING, STANDING_AT), (HIDDEN, HIDDEN_AT)):
        for k in np.flatnonzero(closed.rows[kind] >= LEAST):
            place = np.array(HEADINGS[k]), np.array(closed.rows[at, k], np.float64)
            across, down = float(mount.across(*place)), float(mount.down(*place))
            if 0.0 <= across <= 1.0:
                found.append((kind, across, min(max(down, 0.0), 1.0), float(closed.rows[kind, k])))
    return found


def look(model: Path, pictures: Sequence[tuple[str, Picture]], mount: CameraMount) -> Image.Image:
    """Pictures, each with its name, side by side, and over each what a model says of it, if its camera were mounted so.

    Red: closed by what no scan shows, blue: by what one would; a circle is filled from a sureness of 0.5 on. The line
    from below points where it would go with the goal straight ahead. ValueError for a model that breaks its contract.
    """
    session, info = contract.load(model)
    (width, height), n = SIZE, len(pictures)
    down = math.ceil(n / ACROSS)
    sheet = Image.new("RGB", (min(n, ACROSS) * width, down * (height + CAPTION)), "white")
    for k, (name, whole) in enumerate(pictures):
        picture, _ = images.middle(whole, mount.aspect)
        seen = images.resize(picture, info.height, info.width)
        feed: dict[str, NDArray[Any]] = {
            "image": seen[None], "goal": np.array([GOAL], np.float32), "velocity": np.zeros((1, 2), np.float32)
        }  # fmt: skip
        if contract.CAMERA in info.optional:
            feed["camera"] = np.array([[mount.z, mount.pitch, mount.hfov]], np.float32)
        drawn = Image.fromarray(picture).resize(SIZE)
        draw = ImageDraw.Draw(drawn)
        if images.contrast(seen) < MIN_CONTRAST:
            said = "blind"
        else:
            outputs = contract.infer(session, info, feed)
            heading = contract.decode_heading(outputs.heading)
            said = f"{math.degrees(heading):+.0f} degrees"
            draw.line((width / 2, height, width / 2 - 60 * math.sin(heading), height - 60 * math.cos(heading)),
                      (255, 220, 0), 4)  # fmt: skip
            closed = [] if outputs.closed is None else places(ClosedDirections(0, outputs.closed), mount)
            for kind, x, y, sure in closed:
                u, v, r = x * width, y * height, 7
                colour = COLOURS[kind]
                draw.ellipse((u - r, v - r, u + r, v + r), colour if sure >= 0.5 else None, colour, 2)
        left, top = k % ACROSS * width, k // ACROSS * (height + CAPTION)
        sheet.paste(drawn, (left, top))
        ImageDraw.Draw(sheet).text((left + 4, top + height + 3), f"{name}: {said}", "black")
    return sheet
