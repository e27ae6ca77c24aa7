"""What a recorded drive says, afterwards, of what its camera saw: ground that the robot drove over later was free, what
it bumped into and no scan had shown was hidden, what the scan showed stands there. Of all else nothing is known.

Without torch and without ROS; `report.driven` reads a drive from a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.planner.training.closed.labels import (
    ACROSS,
    COLUMNS,
    FARTHEST,
    FREE,
    HEIGHT,
    HIDDEN,
    STANDING,
    WIDTH,
)
from hybrid_control.signals import Pose, RangeScan

FloatArray = NDArray[np.float64]

UNKNOWN = -1  # beside the kinds of `labels`: a column of which nothing is known
STEP = 0.05  # m, between places that are looked at along a column, and between poses along the way
WITHIN = 0.03  # m by which ground must lie inside the outline to count as driven over
BESIDE = 0.05  # m beside the outline's edge within which what was bumped into may lie as well
NEAR = 0.15  # m from the outline within which a scan's reading says that what was bumped into stands
BEHIND = 0.2  # m that a scan must look past a bump to say that nothing stands there
SCAN_AGE = 0.1  # s between a frame and its scan
GAP, JUMP = 0.5, 0.3  # s without odometry, and m from one reading to the next, over which nothing is carried on
DROVE, STOOD, HELD = 0.1, 0.03, 0.5  # m/s, m/s and s: it drove, and stood so long although it was told to drive
TOO_WIDE = 0.02  # by which an image's shape may differ from that which the network sees


@dataclass(frozen=True)
class Robot:
    """Where camera and lidar are on a robot, and its outline."""

    camera: CameraMount
    lidar: Pose
    outline: Outline

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Robot:
        """Of camera_x, camera_z, camera_pitch, camera_hfov, camera_aspect, lidar_x, lidar_y, lidar_yaw, length, width
        and outline_x, m and rad; what a lidar and an outline lack is 0. ValueError for what can't be, or is missing."""
        wanted = ("camera_x", "camera_z", "camera_pitch", "camera_hfov", "camera_aspect", "length", "width")
        if missing := [name for name in wanted if name not in values]:
            raise ValueError(f"a robot without {', '.join(missing)}")
        try:
            numbers = {name: float(values.get(name, 0.0)) for name in (*wanted, *_PLACES)}
        except (TypeError, ValueError):
            raise ValueError(f"the robot's {', '.join((*wanted, *_PLACES))} must be numbers") from None
        length, width = numbers["length"], numbers["width"]
        if not (0.0 < length < math.inf and 0.0 < width < math.inf and math.isfinite(numbers["outline_x"])):
            raise ValueError(f"a robot {length} m long and {width} m wide")
        camera = CameraMount.of(numbers)
        if abs(camera.aspect - HEIGHT / WIDTH) > TOO_WIDE:
            raise ValueError(
                f"camera_aspect {camera.aspect:g}: the network takes images of {HEIGHT / WIDTH:g}, which 4:3 has"
            )
        lidar = Pose(*(numbers[name] for name in _PLACES[:3]))
        return cls(camera, lidar, Outline(length / 2, width / 2, numbers["outline_x"]))


_PLACES = ("lidar_x", "lidar_y", "lidar_yaw", "outline_x")


@dataclass(frozen=True)
class Drive:
    """A drive as it was recorded; all times in s, on one clock, and rising.

    t (n,), pose (n, 3) x, y m and yaw rad, unwrapped, and speed (n,) m/s ahead, of its odometry; scan_t (k,) and the
    scans; frame_t (m,), and what gives the picture (h, w, 3) uint8 of a frame's number, None where it is damaged; bumps
    (b,): when its outline met something, by a bumper, say; source: what said so; name: of its file.
    """

    name: str
    robot: Robot
    t: FloatArray
    pose: FloatArray
    speed: FloatArray
    scan_t: FloatArray
    scans: Sequence[RangeScan]
    frame_t: FloatArray
    picture: Callable[[int], NDArray[np.uint8] | None]
    bumps: FloatArray
    source: str = ""

    @cached_property
    def way(self) -> FloatArray:
        """m that the outline's farthest corner went at most up to each reading of odometry, (n,): a turn counts as
        well."""
        steps = np.diff(self.pose, axis=0)
        way = np.hypot(steps[:, 0], steps[:, 1]) + self.robot.outline.reach * np.abs(steps[:, 2])
        return np.concatenate(([0.0], np.cumsum(way)))


class Label(NamedTuple):
    """What is known of the columns of a frame, (COLUMNS,) each.

    kind: FREE, STANDING, HIDDEN or UNKNOWN; away: m from the camera's foot up to where it is free or to what closes it;
    free: m up to where nothing closes it, 0 where that is not known. Of a frame's HIDDEN columns at least one is closed
    there: a bumper does not say which part of it was touched.
    """

    kind: NDArray[np.int8]
    away: FloatArray
    free: FloatArray


class Stretch(NamedTuple):
    """Odometry readings first .. last in which nothing happened; bump: the edge of the outline (2, 2), its ends in m of
    the odometry's frame, that met something hidden at the end, None where none did."""

    first: int
    last: int
    bump: FloatArray | None


def held_up(t: FloatArray, speed: FloatArray, command_t: FloatArray, command: FloatArray) -> FloatArray:
    """When a robot came to stand although it was told to drive on, (b,) s: for want of a bumper.

    t, speed (n,): of its odometry; command_t, command (k,): s and m/s of the commands, which hold for HELD.
    """
    if not len(command_t):
        return np.zeros(0)
    newest = np.searchsorted(command_t, t, side="right") - 1
    told = np.where((newest >= 0) & (t - command_t[newest] <= HELD), command[newest], 0.0)
    found, drove, since = [], 0.0, math.nan  # drove: which way it last drove, 0 where a stop has been found since
    for k in range(len(t)):
        if abs(told[k]) >= DROVE and speed[k] * told[k] > 0.0 and abs(speed[k]) >= DROVE:
            drove, since = math.copysign(1.0, told[k]), math.nan
        elif abs(speed[k]) > STOOD or told[k] * drove < DROVE:
            since = math.nan
            drove = 0.0 if told[k] * drove < DROVE else drove
        else:
            since = t[k] if math.isnan(since) else since
            if t[k] - since >= HELD:
                found.append(since)
                drove, since = 0.0, math.nan
    return np.array(found)


def stretches(drive: Drive) -> list[Stretch]:
    """The parts of a drive within which odometry is carried on. After a bump its wheels may slip, so nothing counts
    until it drives the other way."""
    steps = np.diff(drive.pose, axis=0)
    breaks = (np.diff(drive.t) > GAP) | (np.hypot(steps[:, 0], steps[:, 1]) > JUMP)
    begins = {0, *(np.flatnonzero(breaks) + 1).tolist()}
    bumps = set(np.minimum(np.searchsorted(drive.t, drive.bumps), len(drive.t) - 1).tolist())
    found, first, way = [], 0, 0.0  # way: the one in which it drove into something, while it is not free of it
    for k in range(len(drive.t)):
        if way and drive.speed[k] * way < -STOOD:
            way, first = 0.0, k
        if k in begins and not way:
            found.append(Stretch(first, k - 1, None))
            first = k
        if k in bumps and not way:
            before = max(k - 1, first)
            window = (drive.t >= drive.t[k] - 0.3) & (drive.t <= drive.t[before])
            speed = float(drive.speed[window].mean()) if window.any() else 0.0
            way = math.copysign(1.0, speed)
            found.append(Stretch(first, before, _bumped(drive, before, speed)))
    if not way:
        found.append(Stretch(first, len(drive.t) - 1, None))
    return [stretch for stretch in found if stretch.last > stretch.first]


def _bumped(drive: Drive, k: int, speed: float) -> FloatArray | None:
    """The edge of the outline that met something hidden when odometry was at reading k; None where it is not known
    which edge, or a scan of that time shows something that stands there, or there is no scan."""
    outline, scan = drive.robot.outline, _scan_at(drive, float(drive.t[k]))
    if abs(speed) < STOOD or scan is None:
        return None
    x = outline.middle + math.copysign(outline.half_length, speed)
    points = _points(drive.scans[scan], drive.robot.lidar)
    along = (points[:, 0] - x) * math.copysign(1.0, speed)
    beside = np.abs(points[:, 1]) < outline.half_width + NEAR
    if (beside & (along > -NEAR) & (along < NEAR)).any():
        return None
    side = outline.half_width + BESIDE
    return _placed(np.array([[x, side], [x, -side]]), drive.pose[k])


def label(drive: Drive, at: float, stretch: Stretch, trusted: float) -> Label | None:
    """What is known of a frame taken at a time within a stretch; None where there is no scan of that time.

    trusted: m that a corner of the outline may go from there on, straight or turning, until odometry is not believed.
    """
    scan = _scan_at(drive, at)
    if scan is None:
        return None
    mount, here, way = drive.robot.camera, _pose_at(drive, at), drive.way
    gone = way - np.interp(at, drive.t, way)
    later = np.arange(np.searchsorted(drive.t, at), stretch.last + 1)
    later = later[gone[later] <= trusted]
    bearings, begins = mount.bearings(ACROSS), mount.away(ACROSS, np.ones(COLUMNS))
    free = _driven(drive, here, later[[*spaced(way[later], STEP), *([-1] if later.size else [])]], bearings, begins)
    stands, looked = _standing(drive, scan, here, bearings)
    kind = np.full(COLUMNS, UNKNOWN, np.int8)
    kind[free > 0.0] = FREE
    kind[stands < FARTHEST] = STANDING
    free = np.minimum(free, stands)
    away = np.where(kind == STANDING, stands, free)
    if stretch.bump is not None and gone[stretch.last] <= trusted:
        met = _met(_seen_from(stretch.bump, here) - (mount.x, 0.0), bearings)
        hit = np.isfinite(met)
        clear = (met > begins) & (met < FARTHEST) & looked & (stands > met + BEHIND)
        if hit.any() and clear[hit].all():
            kind[hit], away[hit] = HIDDEN, met[hit]
            free[hit] = np.minimum(free, met)[hit]
    return Label(kind, away, free)


def _driven(
    drive: Drive, here: FloatArray, later: NDArray[np.intp], bearings: FloatArray, begins: FloatArray
) -> FloatArray:
    """m up to where each column was driven over from the nearest ground that it shows, 0 for not at all, (COLUMNS,)."""
    places = np.arange(STEP, FARTHEST + STEP / 2, STEP)
    x = drive.robot.camera.x + places * np.cos(bearings)[:, None]
    points = np.stack([x, places * np.sin(bearings)[:, None]], axis=-1)
    over = np.zeros(points.shape[:2], bool)
    for pose in _placed_poses(drive.pose[later], here):
        inside = _seen_from(points, pose)
        over |= drive.robot.outline.holds(inside[..., 0], inside[..., 1], -WITHIN)
    shown = places >= begins[:, None]  # NaN, of a column that shows no ground, is not
    run = (over | ~shown).cumprod(axis=1)
    return np.where((run * shown).any(axis=1), run.sum(axis=1) * STEP, 0.0)


def _standing(
    drive: Drive, number: int, here: FloatArray, bearings: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """m from the camera's foot to what a scan shows in each column, inf for none, and where it looked: (COLUMNS,)."""
    scan = drive.scans[number]
    moved = _placed(_points(scan, drive.robot.lidar), _pose_at(drive, float(drive.scan_t[number])))
    points = _seen_from(moved, here) - (drive.robot.camera.x, 0.0)
    angle, away = np.arctan2(points[:, 1], points[:, 0]), np.hypot(points[:, 0], points[:, 1])
    off = np.abs(np.remainder(angle - bearings[:, None] + math.pi, math.tau) - math.pi)
    middle = np.abs(np.gradient(bearings)) / 4  # half of a column's width, or the nearest beam
    inside = off <= np.maximum(middle, 0.6 * abs(scan.angle_increment))[:, None]
    looked: NDArray[np.bool_] = np.asarray(inside.any(axis=1))
    return np.where(inside, away, np.inf).min(axis=1, initial=np.inf), looked


def _met(edge: FloatArray, bearings: FloatArray) -> FloatArray:
    """m along each column from the camera's foot to an edge (2, 2), inf beside it; inf everywhere where a part of it is
    out of view."""
    nothing = np.full(COLUMNS, np.inf)
    ends = np.arctan2(edge[:, 1], edge[:, 0])
    if (edge[:, 0] <= 0.0).any() or ends.max() > bearings.max() or ends.min() < bearings.min():
        return nothing
    (ax, ay), (bx, by) = edge.tolist()
    c, s = np.cos(bearings), np.sin(bearings)
    across = c * (by - ay) - s * (bx - ax)
    inside = (bearings <= ends.max()) & (bearings >= ends.min()) & (np.abs(across) > 1e-9)
    return np.where(inside, (ax * by - ay * bx) / np.where(inside, across, 1.0), np.inf)


def _scan_at(drive: Drive, at: float) -> int | None:
    """The number of the scan that is nearest in time; None where none is within SCAN_AGE."""
    if not len(drive.scan_t):
        return None
    k = int(np.abs(drive.scan_t - at).argmin())
    return k if abs(drive.scan_t[k] - at) <= SCAN_AGE else None


def _points(scan: RangeScan, lidar: Pose) -> FloatArray:
    """A scan's readings in the body's frame, (k, 2) m; a beam that met nothing lies 1 km away."""
    valid = scan.ranges >= scan.range_min
    away = np.where(scan.ranges <= scan.range_max, scan.ranges, 1000.0)[valid].astype(float)
    angles = scan.angles()[valid].astype(float)
    points = np.stack([away * np.cos(angles), away * np.sin(angles)], axis=-1)
    return _placed(points, np.array((lidar.x, lidar.y, lidar.yaw)))


def _pose_at(drive: Drive, at: float) -> FloatArray:
    return np.array([np.interp(at, drive.t, drive.pose[:, i]) for i in range(3)])


def _placed(points: FloatArray, pose: FloatArray) -> FloatArray:
    """Points (..., 2) of a pose's frame in the frame that the pose is given in."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    x, y = points[..., 0], points[..., 1]
    return np.stack([pose[0] + c * x - s * y, pose[1] + s * x + c * y], axis=-1)


def _seen_from(points: FloatArray, pose: FloatArray) -> FloatArray:
    """The inverse of `_placed`."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    x, y = points[..., 0] - pose[0], points[..., 1] - pose[1]
    return np.stack([c * x + s * y, c * y - s * x], axis=-1)


def _placed_poses(poses: FloatArray, here: FloatArray) -> FloatArray:
    """Poses (n, 3) as seen from another one."""
    return np.column_stack([_seen_from(poses[:, :2], here), poses[:, 2] - here[2]])


def spaced(way: FloatArray, step: float) -> NDArray[np.intp]:
    """Which of rising values (n,) are the first in their step."""
    return np.unique(np.floor(way / step), return_index=True)[1]
