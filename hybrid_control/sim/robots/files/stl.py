"""Meshes in STL, binary or text: their corners."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybrid_control.files import MIB, read_bytes
from hybrid_control.sim.robots.files.found import FloatArray

LIMIT = 64 * MIB
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


def read_stl(path: Path) -> FloatArray:
    """The corners of its triangles, (n, 3), in the file's unit. ValueError for a file that is none; OSError where it
    can't be read."""
    content = read_bytes(path, LIMIT)
    count = int.from_bytes(content[80:84], "little")
    if len(content) >= 84 and len(content) == 84 + count * _FACET.itemsize:
        corners = np.frombuffer(content, _FACET, count, 84)["corners"].reshape(-1, 3).astype(np.float64)
    elif content[:5].lower() == b"solid":
        corners = _text_corners(content, path)
    else:
        raise ValueError(f"{path}: not STL: neither a text nor {count} triangles in {len(content)} bytes")
    if not corners.size or not np.isfinite(corners).all():
        raise ValueError(f"{path}: not STL: expected triangles with finite corners")
    return corners


def _text_corners(content: bytes, path: Path) -> FloatArray:
    words = content.split()
    at = [i for i, word in enumerate(words) if word == b"vertex"]
    try:
        return np.array([[float(word) for word in words[i + 1 : i + 4]] for i in at], np.float64).reshape(-1, 3)
    except ValueError:
        raise ValueError(f"{path}: not STL: a vertex that is not three numbers") from None
