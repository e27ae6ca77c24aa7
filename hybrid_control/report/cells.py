"""Cells of ground in a recorded cloud, as the reflex sees by them: learner/ground and planner/hidden."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid_control.navigation.ground.memory import CELL, SIDE
from hybrid_control.navigation.ground.overlay import EDGE
from hybrid_control.report.recording import RecordingError, Topic
from hybrid_control.report.run import FloatArray

_CLOUD = "sensor_msgs/msg/PointCloud2"
_BYTES = 4 * 3 * 4  # of a cell: its corners
_HALF_DIAGONAL = (CELL / 2 + EDGE) * 2**0.5  # m, from a cell's middle to its corners


def middles(topic: Topic, message: Any) -> FloatArray:
    """The middles of the cells of a message, (n, 2) m in the body's frame, by the corners that `overlay.corners` makes.

    RecordingError where it is no cloud of such cells, or one of more than there can be.
    """
    if topic.type != _CLOUD:
        raise RecordingError(f"{topic.name}: a {topic.type}, expected {_CLOUD}")
    data = bytes(message.data)
    if len(data) % _BYTES:
        raise RecordingError(f"{topic.name}: {len(data)} bytes, expected {_BYTES} for each cell")
    if len(data) > SIDE * SIDE * _BYTES:
        raise RecordingError(f"{topic.name}: {len(data) // _BYTES} cells, expected {SIDE * SIDE} at most")
    corners = np.frombuffer(data, "<f4").reshape(-1, 4, 3)[:, :, :2].astype(np.float64)
    found = corners.mean(axis=1)
    off = np.hypot(*np.moveaxis(corners - found[:, None], -1, 0)) - _HALF_DIAGONAL
    if not (np.abs(off) < CELL / 10).all():  # what is not finite is none either
        raise RecordingError(f"{topic.name}: points that are no corners of cells of {CELL:g} m")
    return found
