"""A drone's ranges up and down, from two topics to one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from sensor_msgs.msg import Range

from hybrid_control.signals import VerticalRanges
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode


def distance(message: Range) -> float:
    """What a Range says in m: 0 for too close, inf for nothing in range (REP 117). ValueError for NaN or a negative."""
    if math.isnan(message.range) or (message.range < 0 and math.isfinite(message.range)):
        raise ValueError(f"range is {message.range} m")
    if message.range < message.min_range:
        return 0.0
    return math.inf if message.range > message.max_range else float(message.range)


class VerticalInput:
    """Listens to range/up and range/down for a node. put: takes the two, as old as the older of them."""

    def __init__(self, node: ManagedNode, put: Callable[[VerticalRanges], None]) -> None:
        self._put = put
        self._newest: dict[str, tuple[int, float]] = {}
        self._told = -1
        for side in ("up", "down"):
            node.take(Range, f"range/{side}", partial(self._on_range, side), qos.SENSOR, sole=True)

    def _on_range(self, side: str, message: Range) -> None:
        self._newest[side] = (convert.to_ns(message.header.stamp), distance(message))
        if len(self._newest) < 2:
            return
        (up_ns, up), (down_ns, down) = self._newest["up"], self._newest["down"]
        stamp_ns = min(up_ns, down_ns)
        if stamp_ns > self._told:
            self._put(VerticalRanges(stamp_ns, up, down))
            self._told = stamp_ns


def range_message(stamp_ns: int, side: str, value: float, low: float, high: float) -> Range:
    """A range sensor's reading as a message."""
    message = Range(radiation_type=Range.INFRARED, min_range=low, max_range=high, field_of_view=0.03)
    message.header.stamp = convert.to_stamp(stamp_ns)
    message.header.frame_id = f"range_{side}"
    message.range = -math.inf if value < low else math.inf if value > high else value
    return message
