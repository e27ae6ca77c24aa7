"""Events of an event camera, and their packing as the encoding `mono` of event_camera_msgs/EventPacket."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENT = np.dtype([("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("on", np.uint8)])  # t: ns
MONO_SPAN_NS = 1 << 32  # what one packet can hold


def pack_mono(events: NDArray[Any], time_base: int) -> bytes:
    """Events, (n,) of EVENT, as 8 bytes each, little-endian: 32 bits of ns after time_base, 16 of x, 15 of y, 1 of
    polarity. ValueError where a time does not fit."""
    after = events["t"] - np.int64(time_base)
    if events.size and not (after.min() >= 0 and after.max() < MONO_SPAN_NS):
        raise ValueError(
            f"events: times must lie within {MONO_SPAN_NS * 1e-9:.1f} s after the time base, {time_base} ns"
        )
    x, y, on = (events[name].astype(np.uint64) for name in ("x", "y", "on"))
    high = x | (y & np.uint64(0x7FFF)) << np.uint64(16) | on << np.uint64(31)
    return (after.astype(np.uint64) | high << np.uint64(32)).astype("<u8").tobytes()


def unpack_mono(data: bytes | bytearray | memoryview, time_base: int) -> NDArray[Any]:
    """What `pack_mono` packed, (n,) of EVENT."""
    words = np.frombuffer(data, "<u8")
    events = np.empty(words.size, EVENT)
    events["t"] = np.int64(time_base & 0x7FFFFFFFFFFFFFFF) + (words & 0xFFFFFFFF).astype(np.int64)
    events["x"], events["y"] = (words >> 32) & 0xFFFF, (words >> 48) & 0x7FFF
    events["on"] = words >> 63
    return events
