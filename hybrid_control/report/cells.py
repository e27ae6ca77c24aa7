"""Cells of ground in a recorded cloud: learner/ground, by which the reflex sees, and planner/hidden, which it says."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid_control.navigation.ground.memory import CELL, SIDE
from hybrid_control.navigation.ground.overlay import EDGE
from hybrid_control.report.recording import RecordingError, Topic
from hybrid_control.report.run import FloatArray

_CLOUD = "sensor_msgs/msg/PointCloud2"
_BYTES = 4 * 3  # of a point
_HALF_DIAGONAL = (CELL / 2 + EDGE) * 2**0.5  # m, from a cell's middle to its corners


def by_corners(topic: Topic, message: Any) -> FloatArray:
    """The middles of the cells of a message, (n, 2) m in the body's frame, by the corners that `overlay.corners` makes.

    RecordingError where it is no cloud of such cells, or one of more than there can be.
    """
    corners = _points(topic, message, 4)
    found = corners.mean(axis=1)
    off = np.hypot(*np.moveaxis(corners - found[:, None], -1, 0)) - _HALF_DIAGONAL
    if not (np.abs(off) < CELL / 10).all():  # what is not finite is none either
        raise RecordingError(f"{topic.name}: points that are no corners of cells of {CELL:g} m")
    return found


def by_middles(topic: Topic, message: Any) -> FloatArray:
    """The middles of the cells of a message of these, (n, 2) m in the odometry's frame. Errors as `by_corners`."""
    found = _points(topic, message, 1)[:, 0]
    off = found / CELL - np.floor(found / CELL) - 0.5
    if not (np.abs(off) < 0.1).all():
        raise RecordingError(f"{topic.name}: points that are no middles of cells of {CELL:g} m")
    return found


def _points(topic: Topic, message: Any, each: int) -> FloatArray:
    """The points of a message with so many of each cell, (n, each, 2) m."""
    if topic.type != _CLOUD:
        raise RecordingError(f"{topic.name}: a {topic.type}, expected {_CLOUD}")
    data, size = bytes(message.data), each * _BYTES
    if len(data) % size:
        raise RecordingError(f"{topic.name}: {len(data)} bytes, expected {size} for each cell")
    if len(data) > SIDE * SIDE * size:
        raise RecordingError(f"{topic.name}: {len(data) // size} cells, expected {SIDE * SIDE} at most")
    return np.frombuffer(data, "<f4").reshape(-1, each, 3)[:, :, :2].astype(np.float64)
