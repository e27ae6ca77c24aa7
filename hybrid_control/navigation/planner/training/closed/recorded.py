"""Frames of recorded drives as arrays to learn from, with what hindsight says of their columns."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner.images import resize
from hybrid_control.navigation.planner.training.closed.hindsight import (
    UNKNOWN,
    Drive,
    Label,
    label,
    spaced,
    stretches,
)
from hybrid_control.navigation.planner.training.closed.labels import (
    FARTHEST,
    HEIGHT,
    HIDDEN,
    ROWS,
    WIDTH,
    rows_of,
)

EVERY = 0.1  # m that a corner of the outline goes from one frame that is kept to the next
MOST = 4000  # frames that are kept


class Labelled(NamedTuple):
    """A frame of a drive: its number, its time in s, and what is known of it."""

    drive: Drive
    number: int
    at: float
    label: Label

    def picture(self) -> NDArray[np.uint8] | None:
        """Its image as the network sees it, (HEIGHT, WIDTH, 3); None where it is damaged."""
        image = self.drive.picture(self.number)
        return None if image is None else resize(image, HEIGHT, WIDTH)


def labelled(drives: Sequence[Drive], trusted: float) -> list[Labelled]:
    """The frames of drives of which something is known, EVERY so far, at most MOST of them, evenly; trusted: as in
    `hindsight.label`. ValueError where there is none."""
    found = [frame for drive in drives for frame in _labelled(drive, trusted)]
    if not found:
        names = ", ".join(drive.name for drive in drives)
        raise ValueError(f"{names}: no frame of which anything is known: it has to drive over what its camera saw")
    return [found[k] for k in np.unique(np.linspace(0, len(found) - 1, MOST).round().astype(int))]


def _labelled(drive: Drive, trusted: float) -> Iterator[Labelled]:
    for stretch in stretches(drive):
        inside = (drive.frame_t >= drive.t[stretch.first]) & (drive.frame_t < drive.t[stretch.last])
        numbers = np.flatnonzero(inside)
        for k in numbers[spaced(np.interp(drive.frame_t[numbers], drive.t, drive.way), EVERY)].tolist():
            known = label(drive, float(drive.frame_t[k]), stretch, trusted)
            if known is not None and (known.kind != UNKNOWN).any():
                yield Labelled(drive, k, float(drive.frame_t[k]), known)


@dataclass(frozen=True)
class Recorded:
    """n labelled frames to learn from: image (n, 120, 160, 3) uint8; camera (n, 3) float32 as the contract has it; kind
    (n, 40) int8; row and free_row (n, 40) float32, of a Label's away and free (`labels.rows_of`), ROWS where nothing is
    known to be free."""

    image: NDArray[np.uint8]
    camera: NDArray[np.float32]
    kind: NDArray[np.int8]
    row: NDArray[np.float32]
    free_row: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def mark(self) -> int:
        """A number by which a training that goes on knows whether it has the same frames."""
        return zlib.crc32(self.image.tobytes() + self.kind.tobytes() + self.row.tobytes())

    def __str__(self) -> str:
        names = ("free", "standing", "hidden")
        counts = ", ".join(f"{(self.kind == k).sum():,} {name}" for k, name in enumerate(names))
        bumps = int((self.kind == HIDDEN).any(axis=1).sum())
        return f"{len(self)} frames, {bumps} of them with something hidden; columns: {counts}, the others unknown"


def recorded(frames: Sequence[Labelled]) -> Recorded:
    """Labelled frames as arrays; those whose picture is damaged are left out. ValueError where none is left."""
    rows: list[tuple[NDArray[Any], ...]] = []
    for frame in frames:
        image, mount, known = frame.picture(), frame.drive.robot.camera, frame.label
        if image is not None:
            camera = np.array((mount.z, mount.pitch, mount.hfov), np.float32)
            free = np.where(known.free > 0.0, rows_of(known.free, mount), ROWS)
            row = rows_of(np.where(known.kind == UNKNOWN, FARTHEST, known.away), mount)
            rows.append((image, camera, known.kind, row.astype(np.float32), free.astype(np.float32)))
    if not rows:
        raise ValueError("no picture of the recordings can be read")
    return Recorded(*(np.stack(column) for column in zip(*rows, strict=True)))
