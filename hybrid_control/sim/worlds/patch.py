"""Pieces of ground that look unlike the rest: what a camera can tell apart and a lidar cannot."""

from __future__ import annotations

import colorsys
import math
import re
import zlib
from dataclasses import dataclass

import numpy as np

KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
PATTERNS = ("flat", "checker", "gradient")


@dataclass(frozen=True, slots=True)
class Patch:
    """A flat rectangle of ground.

    kind: what it is, such as "puddle"; all of a kind look alike. x, y, length, width: m; yaw: rad. forbidden: whether a
    robot whose outline gets onto it is counted as touching it.
    """

    kind: str
    x: float
    y: float
    length: float
    width: float
    yaw: float = 0.0
    forbidden: bool = True

    def __post_init__(self) -> None:
        if not KIND.fullmatch(self.kind):
            raise ValueError(
                f"patch: kind {self.kind!r} must be a small letter and up to 31 small letters, digits or _"
            )
        if not all(math.isfinite(v) for v in self.rectangle) or min(self.length, self.width) <= 0:
            raise ValueError(f"patch: {self} must be finite, with length and width > 0")

    @property
    def rectangle(self) -> tuple[float, float, float, float, float]:
        """x, y, length, width, yaw, as a world's boxes have it."""
        return self.x, self.y, self.length, self.width, self.yaw


@dataclass(frozen=True, slots=True)
class GroundLook:
    """How a kind of ground looks: a pattern of PATTERNS of two colours, (red, green, blue) in 0 .. 1."""

    pattern: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]


KNOWN = {
    "puddle": GroundLook("gradient", (0.33, 0.46, 0.60), (0.16, 0.24, 0.36)),
    "grass": GroundLook("checker", (0.30, 0.52, 0.18), (0.22, 0.42, 0.14)),
    "mat": GroundLook("flat", (0.62, 0.24, 0.18), (0.62, 0.24, 0.18)),
    "water": GroundLook("gradient", (0.20, 0.42, 0.60), (0.10, 0.26, 0.44)),
    "hazard": GroundLook("checker", (0.95, 0.78, 0.08), (0.08, 0.08, 0.08)),
    "gravel": GroundLook("checker", (0.56, 0.52, 0.46), (0.40, 0.37, 0.33)),
    "line": GroundLook("flat", (0.92, 0.92, 0.88), (0.92, 0.92, 0.88)),
    "carpet": GroundLook("flat", (0.36, 0.22, 0.46), (0.36, 0.22, 0.46)),
    "leaves": GroundLook("checker", (0.64, 0.36, 0.12), (0.44, 0.24, 0.10)),
}
"""Looks of kinds that look like something; `textures` has a picture of each, which is drawn by seed."""
FORBIDDEN, PERMITTED = ("grass", "water", "hazard", "gravel"), ("mat", "line", "puddle", "carpet", "leaves")
"""Kinds of ground as they are in the worlds that are drawn: where no robot is to drive, and where it may."""


def ground_look(kind: str) -> GroundLook:
    """The look of a kind, always the same: of KNOWN, or a colour and a darker one of it, drawn by its name."""
    if kind in KNOWN:
        return KNOWN[kind]
    draw = np.random.default_rng(zlib.crc32(kind.encode()))
    hue, saturation, value = draw.uniform(), draw.uniform(0.5, 0.9), draw.uniform(0.45, 0.9)
    pattern = PATTERNS[int(draw.integers(len(PATTERNS)))]
    darker = value * draw.uniform(0.6, 0.85)
    return GroundLook(
        pattern, colorsys.hsv_to_rgb(hue, saturation, value), colorsys.hsv_to_rgb(hue, saturation, darker)
    )
