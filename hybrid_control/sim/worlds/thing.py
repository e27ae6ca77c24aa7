"""What a planar lidar does not show, or not as it is: kerbs, table tops, glass, wires, and steps down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("low", "overhang", "pane", "wire", "hole")
LOOKS = ("", "ground", "cone")
FAINTEST, DENSEST = 0.05, 0.5  # opacity of a pane


@dataclass(frozen=True, slots=True)
class Thing:
    """A turned box that stands, lies or hangs in a world, or a hole of that shape in its ground.

    kind: one of KINDS: "low" stands or lies there, such as a kerb; "overhang", such as a table top, begins above the
    ground; a "pane" and a "wire" a lidar looks through; "hole", such as a step down. x, y, length, width: m; yaw: rad;
    bottom, top: m above the ground, of a hole 0 > bottom and top 0. look: "" one of its own, drawn by the appearance's
    seed; "ground" the ground's; "cone" orange and white. opacity: 0 .. 1, of a pane 0.05 .. 0.5.
    """

    kind: str
    x: float
    y: float
    length: float
    width: float
    yaw: float
    bottom: float
    top: float
    look: str = ""
    opacity: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"thing: kind {self.kind!r}, expected one of {', '.join(KINDS)}")
        if self.look not in LOOKS:
            raise ValueError(f"thing: look {self.look!r}, expected one of {', '.join(map(repr, LOOKS))}")
        values = (*self.rectangle, self.bottom, self.top, self.opacity)
        if not all(math.isfinite(v) for v in values) or min(self.length, self.width) <= 0:
            raise ValueError(f"thing: {self} must be finite, with length and width > 0")
        if self.kind == "hole" and not (self.bottom < 0 and self.top == 0):
            raise ValueError(f"thing: {self} must have a bottom < 0 and its top at 0, as it is a hole")
        if self.kind != "hole" and not 0 <= self.bottom < self.top:
            raise ValueError(f"thing: {self} must have 0 <= bottom < top")
        faintest, densest = (FAINTEST, DENSEST) if self.kind == "pane" else (0.0, 1.0)
        if not faintest <= self.opacity <= densest:
            raise ValueError(f"thing: {self} must have an opacity of {faintest:g} .. {densest:g}")

    @property
    def rectangle(self) -> tuple[float, float, float, float, float]:
        """x, y, length, width, yaw, as a world's boxes have it."""
        return self.x, self.y, self.length, self.width, self.yaw

    @property
    def row(self) -> tuple[float, ...]:
        """Its numbers: the kind's place in KINDS, rectangle, bottom, top, the look's place in LOOKS, opacity."""
        kind, look = KINDS.index(self.kind), LOOKS.index(self.look)
        return (kind, *self.rectangle, self.bottom, self.top, look, self.opacity)

    @classmethod
    def of(cls, row: Sequence[float]) -> Thing:
        """The one with these numbers; ValueError where they are none."""
        if len(row) != ROW or row[0] not in range(len(KINDS)) or row[8] not in range(len(LOOKS)):
            raise ValueError(
                f"thing: {str(tuple(row))[:200]} are not {ROW} numbers, the first a kind's place below {len(KINDS)}, "
                f"the last but one a look's below {len(LOOKS)}"
            )
        _, x, y, length, width, yaw, bottom, top, _, opacity = row
        kind, look = KINDS[int(row[0])], LOOKS[int(row[8])]
        return cls(kind, x, y, length, width, yaw, bottom, top, look, opacity)

    def seen_by_lidar(self, height: float) -> bool:
        """Whether a lidar whose level beams go out at a height (m) meets it."""
        return self.kind in ("low", "overhang") and self.bottom < height < self.top

    def touches(self, height: float) -> bool:
        """Whether a robot that drives on the ground and is so high (m) meets it."""
        return self.bottom < height


ROW = 10  # numbers of a Thing
