"""Event cameras: packets decoded, motion of edges from the time surface, and from its divergence the time to contact.

The encodings are those of event_camera_msgs/EventPacket that need no compiled package: `mono` and Prophesee's `evt3`.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals.events import EVENT, unpack_mono
from hybrid_control.signals.headings import SECTORS, sectors_of

MAX_BYTES = 8_000_000  # of a packet
MAX_PIXELS = 4_000_000
ENCODINGS = ("mono", "evt3")
LONG_AGO = -(2**62)  # ns, of an edge that never passed
_MEMORY = 0.05  # s; edges that passed longer ago are no longer of the same motion
_WINDOW = 3  # pixels around an event whose times make the plane
_LEAST = 8  # of these that must be fresh
_FASTEST = 5000.0  # pixels/s; beyond, the plane is flat and says nothing
_FORGET = 0.1  # s, time constant of the sums
_ENOUGH = 60.0  # weight of flow in a sector before anything is said of it
_LARGEST = 20.0  # 1/s, an inverse of a time to contact beyond which it is taken for an artefact


class EventDecoder:
    """Decodes the packets of one camera, in order; evt3 carries its time on from one packet to the next."""

    def __init__(self) -> None:
        # evt3: has a time, time high with its turns (us), time low (us), y, x of the next vector, its polarity
        self._state = np.zeros(6, np.int64)

    def decode(
        self, encoding: str, data: bytes | bytearray | memoryview, width: int, height: int, time_base: int,
        big_endian: bool = False,
    ) -> NDArray[Any]:  # fmt: skip
        """The events of a packet, (n,) of EVENT, times in ns of the sensor's clock.

        Events outside the picture are left out. ValueError for an encoding or a packet that can't be.
        """
        if encoding not in ENCODINGS:
            raise ValueError(f"encoding {encoding!r}, expected {' or '.join(ENCODINGS)}")
        if big_endian:
            raise ValueError("the packet is big-endian, expected little-endian")
        if not 0 < width * height <= MAX_PIXELS or max(width, height) > 65535:
            raise ValueError(f"a picture of {width} x {height} pixels")
        size = 8 if encoding == "mono" else 2
        if len(data) % size or len(data) > MAX_BYTES:
            raise ValueError(
                f"{len(data)} bytes of {encoding}, expected a multiple of {size}, at most {MAX_BYTES}"
            )
        if encoding == "mono":
            events = unpack_mono(data, time_base)
            return events[(events["x"] < width) & (events["y"] < height)]
        words = np.frombuffer(data, "<u2")
        events = np.empty(12 * words.size, EVENT)
        count = _evt3(words, width, height, self._state, events)
        return events[:count].copy()


@numba.njit(cache=True, nogil=True)
def _evt3(words: Any, width: int, height: int, state: Any, events: Any) -> int:
    """Prophesee's EVT 3.0: words of 16 bits, the upper four a type; earlier words say what later ones mean."""
    valid, high, low, y, base, polarity = state[0], state[1], state[2], state[3], state[4], state[5]
    count = 0
    for i in range(words.size):
        kind, rest = int(words[i]) >> 12, int(words[i]) & 0xFFF
        if kind == 0x8:  # time high: bits 12 .. 23 of the microseconds
            before = (high >> 12) & 0xFFF
            # it may step back a little; a long way back is a turn of the counter
            if valid & 1 and rest < before and before - rest > 10:
                high += 1 << 24
            high = (high & ~0xFFFFFF) | (rest << 12)
            valid |= 1
        elif kind == 0x6:  # time low
            low = rest
            if valid & 1:
                valid |= 2
        elif valid != 3:
            continue
        elif kind == 0x0:  # y
            y = rest & 0x7FF
        elif kind == 0x2:  # one event
            x = rest & 0x7FF
            if x < width and y < height:
                e = events[count]
                e.t, e.x, e.y, e.on = (high | low) * 1000, x, y, rest >> 11
                count += 1
        elif kind == 0x3:  # x and polarity of the vectors that follow
            base, polarity = rest & 0x7FF, rest >> 11
        elif kind == 0x4 or kind == 0x5:  # 12 or 8 pixels beside one another
            n = 12 if kind == 0x4 else 8
            for k in range(n):
                if rest & (1 << k) and base + k < width and y < height:
                    e = events[count]
                    e.t, e.x, e.y, e.on = (high | low) * 1000, base + k, y, polarity
                    count += 1
            base += n
        # triggers and the camera's own messages say nothing of what is seen
    state[0], state[1], state[2], state[3], state[4], state[5] = valid, high, low, y, base, polarity
    return count


def columns(width: int, fov: float) -> tuple[float, NDArray[np.floating]]:
    """By the pinhole model, in pixels: the focal length, and how far left of the middle each column is, (width,)."""
    return width / 2 / math.tan(fov / 2), (width - 1) / 2 - np.arange(width)


class Looming:
    """How fast what is in front of an event camera comes nearer, for each sector of the robot's ring.

    The normal flow of an edge is the slope of the surface of its pixels' newest times (Benosman et al., "Event-based
    visual flow", 2014). Where something comes nearer with time to contact T, the flow at p is (p - q) / T for some q,
    so its part along the normal n is n·p / T - n·q / T: least squares over the events of a sector give 1 / T, and a
    turn of the camera, which moves everything alike, falls to q.

    width, height: pixels; fov: rad across the image; yaw: where the camera looks, rad. Times are ns of one clock.
    """

    def __init__(self, width: int, height: int, fov: float, yaw: float) -> None:
        if not 0 < width * height <= MAX_PIXELS:
            raise ValueError(f"a picture of {width} x {height} pixels")
        self.width, self.height = width, height
        self._times = np.full((2, height, width), LONG_AGO, np.int64)
        focal, beside = columns(width, fov)
        bearing = yaw + np.arctan2(beside, focal)
        bearing = np.arctan2(np.sin(bearing), np.cos(bearing))
        self._sector = sectors_of(bearing)
        self._sums = np.zeros((SECTORS, 10))
        self._newest = LONG_AGO

    def put(self, events: NDArray[Any]) -> None:
        """Take in events, in order of time."""
        if events.size:
            first = int(events["t"][0])
            if not 0 <= first - self._newest < 1_000_000_000:
                self._sums[:] = 0.0  # the first ones, or the clock was set
                self._times[:] = LONG_AGO
            else:
                self._sums *= math.exp(-(int(events["t"][-1]) - self._newest) * 1e-9 / _FORGET)
            _flow(events, self._times, self._sector, self._sums)
            self._newest = int(events["t"].max())

    def rates(self) -> NDArray[np.float32]:
        """1 / time to contact of each sector, (SECTORS,) 1/s; 0 where nothing comes nearer or too little was seen.

        A sector is judged together with its two neighbours on each side: what is seen needs some width.
        """
        result = np.zeros(SECTORS, np.float32)
        used = np.flatnonzero(self._sums[:, 9] > 0)
        for i in used:
            total = sum(self._sums[(i + k) % SECTORS] for k in (-2, -1, 0, 1, 2))
            a = np.array(
                [
                    [total[0], total[1], total[2]],
                    [total[1], total[3], total[4]],
                    [total[2], total[4], total[5]],
                ]
            )
            # a plane needs edges in more than one direction; ridge of a hundredth of the mean
            if total[9] < _ENOUGH:
                continue
            solution = np.linalg.solve(a + np.eye(3) * (1e-6 * np.trace(a) + 1e-9), total[6:9])
            if 0.0 < solution[0] < _LARGEST:
                result[i] = solution[0]
        return result


@numba.njit(cache=True, nogil=True)
def normal_flow(times: Any, t: int, x: int, y: int, on: int) -> tuple[bool, float, float, float]:
    """Note an event in the surface of newest times, (2, height, width) ns; how the edge goes that made it: whether that
    is known, its direction (a unit vector) and its speed in pixels/s."""
    height, width = times.shape[1], times.shape[2]
    times[on, y, x] = t
    if not (_WINDOW <= x < width - _WINDOW and _WINDOW <= y < height - _WINDOW):
        return False, 0.0, 0.0, 0.0
    # plane t = a dx + b dy + c through the newest times around
    n = sx = sy = st = sxx = sxy = syy = sxt = syt = 0.0
    for dy in range(-_WINDOW, _WINDOW + 1):
        for dx in range(-_WINDOW, _WINDOW + 1):
            age = (t - times[on, y + dy, x + dx]) * 1e-9
            if 0.0 <= age <= _MEMORY:
                n += 1.0
                sx += dx
                sy += dy
                st -= age
                sxx += dx * dx
                sxy += dx * dy
                syy += dy * dy
                sxt -= dx * age
                syt -= dy * age
    if n < _LEAST:
        return False, 0.0, 0.0, 0.0
    cxx, cxy, cyy = sxx - sx * sx / n, sxy - sx * sy / n, syy - sy * sy / n
    cxt, cyt = sxt - sx * st / n, syt - sy * st / n
    determinant = cxx * cyy - cxy * cxy
    if determinant < 1e-6:
        return False, 0.0, 0.0, 0.0
    a = (cyy * cxt - cxy * cyt) / determinant
    b = (cxx * cyt - cxy * cxt) / determinant
    slope = math.hypot(a, b)  # s / pixel
    if slope * _FASTEST < 1.0:
        return False, 0.0, 0.0, 0.0
    return True, a / slope, b / slope, 1.0 / slope


@numba.njit(cache=True, nogil=True)
def _flow(events: Any, times: Any, sector: Any, sums: Any) -> None:
    """Add each event's normal flow to its sector's sums: the 3 x 3 normal equations, their right side, the weight."""
    height, width = times.shape[1], times.shape[2]
    for i in range(events.size):
        x, y = int(events[i].x), int(events[i].y)
        if x >= width or y >= height:
            continue
        known, nx, ny, speed = normal_flow(times, events[i].t, x, y, int(events[i].on) & 1)
        if not known:
            continue
        px, py = x - 0.5 * (width - 1), y - 0.5 * (height - 1)
        u = nx * px + ny * py
        s = sums[sector[x]]
        s[0] += u * u
        s[1] -= u * nx
        s[2] -= u * ny
        s[3] += nx * nx
        s[4] += nx * ny
        s[5] += ny * ny
        s[6] += u * speed
        s[7] -= nx * speed
        s[8] -= ny * speed
        s[9] += 1.0
