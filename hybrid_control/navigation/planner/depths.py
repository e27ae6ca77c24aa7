"""A depth image as a planner is told it: m along the optical axis, at the model's size, 0 where none is known.

Drivers say in their own ways that a pixel has none (REP 118: NaN or infinite in 32FC1, 0 in 16UC1); here, and
behind the contract's border, it is always UNKNOWN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner.images import LARGEST_SIDE, Bytes, ImageError, middle
from hybrid_control.signals.spikes import Float32Array

UNKNOWN = 0.0
AGE = 0.1  # s between an image and a depth image, beyond which the two do not belong together

#: Raw encodings, named as in sensor_msgs (REP 118): numbers as they lie there, and how many m one is.
ENCODINGS: dict[str, tuple[str, float]] = {"32FC1": ("f4", 1.0), "16UC1": ("u2", 0.001)}


def told(depth: NDArray[Any], size: tuple[int, int]) -> Float32Array:
    """A depth image (h, w) in m of any size as the model takes it, (height, width): UNKNOWN where it is not a number,
    infinite or not above 0. Of each of the model's pixels it is the one nearest to its middle: between an edge and what
    is behind it there is nothing. Of one of another shape the middle counts, as of the image. ImageError for anything
    but such an array."""
    if not (isinstance(depth, np.ndarray) and depth.dtype.kind == "f" and depth.ndim == 2) or 0 in depth.shape:
        seen = f"{depth.dtype} {depth.shape}" if isinstance(depth, np.ndarray) else type(depth).__name__
        raise ImageError(f"depth is {seen}; an array of floats (height, width) is wanted")
    depth, _ = middle(depth, size[0] / size[1])
    rows, columns = (
        ((np.arange(wanted) + 0.5) * (there / wanted)).astype(np.intp)
        for wanted, there in zip(size, depth.shape, strict=True)
    )
    taken = depth[rows[:, None], columns]
    return np.where(np.isfinite(taken) & (taken > 0.0), taken, UNKNOWN).astype(np.float32)


def decode(
    data: Bytes, encoding: str, size: tuple[int, int], step: int, bigendian: bool = False
) -> Float32Array:
    """A raw depth image, laid out as in sensor_msgs/Image, as (height, width) m; size: height and width.

    step: bytes from one row to the next. Raises ImageError on another encoding or sizes that do not agree.
    """
    if encoding not in ENCODINGS:
        raise ImageError(f"depth encoding {encoding!r} is not known; known: {', '.join(ENCODINGS)}")
    kind, unit = ENCODINGS[encoding]
    (height, width), wide = size, np.dtype(kind).itemsize
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise ImageError(f"depth of {width} x {height} pixels: each side must be 1 .. {LARGEST_SIDE}")
    if step < width * wide:
        raise ImageError(f"depth step {step}: {width} pixels of {encoding} take {width * wide} bytes a row")
    buffer = np.frombuffer(data, np.uint8)
    if buffer.size != height * step:
        raise ImageError(f"depth has {buffer.size} bytes; {height} rows of step {step} take {height * step}")
    rows = np.ascontiguousarray(buffer.reshape(height, step)[:, : width * wide])
    values = rows.view((">" if bigendian else "<") + kind).astype(np.float32)
    return values if unit == 1.0 else values * np.float32(unit)
