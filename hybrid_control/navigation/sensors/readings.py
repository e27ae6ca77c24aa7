"""What each kind of range sensor says, as obstacles in the robot's plane: (n, 2) m, the nearest of each bearing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.sensors.mounts import Matrix, Mount
from hybrid_control.signals import RangeScan

Points = NDArray[np.float32]
Bytes = bytes | bytearray | memoryview
BEARINGS = 720  # directions kept apart: half a degree
MAX_CLOUD = 4_000_000  # points of a cloud, pixels of an image
ARC = 9  # points that stand for the arc on which a sonar's echo may be
_TURN = 2 * math.pi
_FLOATS = {7: "f4", 8: "f8"}  # sensor_msgs/PointField: FLOAT32, FLOAT64
_DEPTHS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}


@numba.njit(cache=True, nogil=True)
def nearest_of_each_bearing(points: Points) -> Points:
    """The point nearest to the origin in each of BEARINGS directions, in order of bearing from -pi on.

    points: (n, 2) m, finite.
    """
    best = np.full(BEARINGS, np.inf)
    which = np.full(BEARINGS, -1, np.int64)
    for i in range(points.shape[0]):
        x, y = points[i, 0], points[i, 1]
        distance = x * x + y * y
        place = int((math.atan2(y, x) + math.pi) * (BEARINGS / _TURN)) % BEARINGS
        if distance < best[place]:
            best[place] = distance
            which[place] = i
    return points[which[which >= 0]]


@numba.njit(cache=True, nogil=True)
def _slice(xyz: Matrix, rotation: Matrix, offset: Matrix, low: float, high: float) -> Points:
    """Points of a sensor in the robot's plane, those between two heights; what is not finite is left out."""
    result = np.empty((xyz.shape[0], 2), np.float32)
    n = 0
    for i in range(xyz.shape[0]):
        a, b, c = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        # the sensor's own place is how drivers say that there is no point
        if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)) or a * a + b * b + c * c <= 1e-4:
            continue
        z = rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2] * c + offset[2]
        if low <= z <= high:
            result[n, 0] = rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2] * c + offset[0]
            result[n, 1] = rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2] * c + offset[1]
            n += 1
    return result[:n]


def seen_points(
    xyz: NDArray[np.float64], mount: Mount, low: float = -math.inf, high: float = math.inf
) -> Points:
    """Points of the sensor's frame, (n, 3) m, as obstacles between two heights above the robot's."""
    return nearest_of_each_bearing(_slice(xyz, mount.rotation, mount.offset, low, high))


def laser_points(scan: RangeScan, mount: Mount) -> Points:
    """A sweep's obstacles; -inf is read as range_min, as REP 117 has it, and what is no range is left out."""
    r = scan.ranges.astype(np.float64)
    r[np.isneginf(r)] = scan.range_min
    a = scan.angle_min + scan.angle_increment * np.arange(r.size)
    keep = (r >= scan.range_min) & (r <= scan.range_max)
    r, a = r[keep], a[keep]
    return seen_points(np.column_stack((r * np.cos(a), r * np.sin(a), np.zeros(r.size))), mount)


def range_points(reading: float, low: float, high: float, field_of_view: float, mount: Mount) -> Points:
    """The arc on which the echo of a sonar, or of a time-of-flight sensor, may be; nothing where it is +inf or beyond.

    reading, low, high: m; field_of_view: rad, the full cone. ValueError for NaN, a negative or an impossible range.
    """
    if not (math.isfinite(low) and math.isfinite(high) and 0 <= low < high):
        raise ValueError(f"limits {low} .. {high} m are no range")
    if not 0 <= field_of_view <= math.pi:
        raise ValueError(f"a field of view of {field_of_view} rad; expected 0 .. pi")
    if math.isnan(reading) or (reading < 0 and math.isfinite(reading)):
        raise ValueError(f"a range of {reading} m")
    if reading > high:
        return np.empty((0, 2), np.float32)
    # closer than it can measure is as close as it can measure
    r = max(reading, low)
    a = np.linspace(-field_of_view / 2, field_of_view / 2, ARC if field_of_view > 0.01 else 1)
    return seen_points(np.column_stack((r * np.cos(a), r * np.sin(a), np.zeros(a.size))), mount)


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """A PointCloud2 as it came.

    fields: offset in bytes and datatype (as in sensor_msgs/PointField) by name; x, y and z must be there as floats.
    point_step, row_step: bytes from one point, and from one row, to the next.
    """

    data: Bytes
    fields: Mapping[str, tuple[int, int]]
    width: int
    height: int
    point_step: int
    row_step: int
    big_endian: bool

    def xyz(self) -> Matrix:
        """Its points in the sensor's frame, (n, 3) m. ValueError where the message contradicts itself."""
        width, height, step, fields = self.width, self.height, self.point_step, self.fields
        if width * height > MAX_CLOUD:
            raise ValueError(f"{width} x {height} points, at most {MAX_CLOUD}")
        columns = []
        for name in "xyz":
            if name not in fields:
                raise ValueError(f"no field {name!r}; there are {', '.join(fields) or 'none'}")
            offset, kind = fields[name]
            if kind not in _FLOATS:
                raise ValueError(f"field {name!r} is of type {kind}, expected FLOAT32 (7) or FLOAT64 (8)")
            if offset < 0 or offset + int(_FLOATS[kind][1]) > step:
                raise ValueError(f"field {name!r} at byte {offset} in points of {step} bytes")
            columns.append((offset, (">" if self.big_endian else "<") + _FLOATS[kind]))
        if self.row_step < width * step or len(self.data) < self.row_step * height:
            raise ValueError(
                f"{len(self.data)} bytes in rows of {self.row_step} for {width} x {height} points of {step} bytes"
            )
        raw = _rows(self.data, height, self.row_step, width * step)
        raw = raw.reshape(height * width, step) if step else raw
        xyz = np.empty((height * width, 3))
        for i, (offset, code) in enumerate(columns):
            number = np.dtype(code)
            xyz[:, i] = np.ascontiguousarray(raw[:, offset : offset + number.itemsize]).view(number)[:, 0]
        return xyz


@dataclass(frozen=True, slots=True, eq=False)
class DepthImage:
    """A depth image as it came.

    encoding: 16UC1 (millimetres, 0 for none) or 32FC1 (metres, NaN for none), as REP 118 has it. step: bytes from one
    row to the next.
    """

    data: Bytes
    encoding: str
    width: int
    height: int
    step: int
    big_endian: bool

    def metres(self) -> NDArray[np.float32]:
        """Depth of each pixel, (height, width) m, 0 or NaN for none; ValueError where it contradicts itself."""
        width, height = self.width, self.height
        if self.encoding not in _DEPTHS:
            raise ValueError(f"encoding {self.encoding!r}, expected 16UC1 or 32FC1")
        kind = np.dtype((">" if self.big_endian else "<") + _DEPTHS[self.encoding])
        row = width * kind.itemsize
        if not 0 < width * height <= MAX_CLOUD or self.step < row or len(self.data) < self.step * height:
            raise ValueError(
                f"{len(self.data)} bytes in rows of {self.step} for an image of {width} x {height} in {self.encoding}"
            )
        metres = np.ascontiguousarray(_rows(self.data, height, self.step, row)).view(kind).astype(np.float32)
        if self.encoding != "32FC1":
            metres *= np.float32(0.001)
        return metres


def _rows(data: Bytes, height: int, step: int, used: int) -> NDArray[np.uint8]:
    """The bytes of each row that are its pixels or points, (height, used)."""
    return np.frombuffer(data, np.uint8, step * height).reshape(height, step)[:, :used]


def cloud_points(cloud: Cloud, mount: Mount, low: float, high: float) -> Points:
    """The obstacles of a cloud between two heights above the robot's frame; points that are not finite are left out."""
    return seen_points(cloud.xyz(), mount, low, high)


def depth_points(
    image: DepthImage,
    intrinsics: tuple[float, float, float, float],
    mount: Mount,
    low: float,
    high: float,
    furthest: float,
) -> Points:
    """The obstacles of a depth image between two heights: for each column of the image, the nearest.

    intrinsics: fx, fy, cx, cy in pixels, ValueError where they are those of no camera. mount: of the camera's optical
    frame.
    """
    metres = image.metres()
    fx, fy, cx, cy = intrinsics
    if not (all(map(math.isfinite, intrinsics)) and fx > 0 and fy > 0):
        raise ValueError(f"intrinsics fx {fx}, fy {fy}, cx {cx}, cy {cy} are those of no camera")
    columns = _columns(metres, fx, fy, cx, cy, mount.rotation, mount.offset, low, high, furthest)
    return nearest_of_each_bearing(columns)


@numba.njit(cache=True, nogil=True)
def _columns(
    depth: NDArray[np.float32], fx: float, fy: float, cx: float, cy: float, rotation: NDArray[np.float64],
    offset: NDArray[np.float64], low: float, high: float, furthest: float,
) -> Points:  # fmt: skip
    """The nearest obstacle of each column; pinhole model: x = (u - cx) d / fx, y = (v - cy) d / fy, z = d."""
    height, width = depth.shape
    best = np.full(width, np.inf)
    nearest = np.empty((width, 2), np.float32)
    for v in range(height):
        b = (v - cy) / fy
        for u in range(width):
            d = depth[v, u]
            if not 0.0 < d <= furthest:  # NaN fails too
                continue
            a = (u - cx) / fx
            z = d * (rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2]) + offset[2]
            if not low <= z <= high:
                continue
            x = d * (rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2]) + offset[0]
            y = d * (rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2]) + offset[1]
            square = x * x + y * y
            if square < best[u]:
                best[u] = square
                nearest[u, 0], nearest[u, 1] = x, y
    return nearest[np.isfinite(best)]
