"""What moves around the robot: things tracked from scan to scan, and which motions they leave it.

Clusters of the scan are followed (`tracks`), one moves if it comes to where the scans had seen free ground (`ground`),
and from those that move follows a table of the motions that keep the robot's outline clear of them (`evasion`). Who
walks may halt at once, and who has halted may go on as they walked before: both are kept clear of.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.evasion import HORIZON, clear_times
from hybrid_control.navigation.reflex.ground import GROUND, mark_met, newly_taken
from hybrid_control.navigation.reflex.matching import SWEPT, Place, keep_sweep, missed_turn
from hybrid_control.navigation.reflex.percept import MAX_BEAMS, pose_after
from hybrid_control.navigation.reflex.tracks import CLUSTER, FORGOTTEN, TRACK, TRACKS, clusters, follow, moves
from hybrid_control.signals.headings import wrapped

HALTS = 0.75  # s within which who walks may have halted where they are
GOES_ON = 0.7  # s of the way before who has halted that is kept free, for they may go on as they walked before
AHEAD = 4  # radii before them, of that at most
LEAVES = 1.0  # s within which the robot leaves what is so kept free, where it stands in it
PLACES = AHEAD + 2  # in which one thing counts
BESIDE = 0.2  # m around who walks in which no reading tells of what stands

WATCHED = np.dtype(
    [
        ("time", np.float64),
        ("x", np.float64),  # m, where the robot was at the newest scan, in the frame of all that is here
        ("y", np.float64),
        ("turned", np.float64),  # rad, of that frame against the odometry's, as which it begins
        ("odometry_x", np.float64),  # m, where odometry had it
        ("odometry_y", np.float64),
        ("swept", SWEPT),
        ("sensor_x", np.float64),  # where the newest scan was taken
        ("sensor_y", np.float64),
        ("sensor_yaw", np.float64),
        ("directions", np.float64, (MAX_BEAMS, 2)),  # of its beams, cosine and sine
        ("tracks", TRACK, (TRACKS,)),
        ("ground", GROUND),
    ],
    align=True,
)

Float32Array = NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def watch(
    watched: Any, ranges: Float32Array, sweep: Any, beams: Any, motion: Any, robot: Any, scan: Any
) -> None:
    """Take in a scan: set how many things move near the robot, and where some do fill `scan.times` (`clear_times`).
    `mark_passed` is to follow before the next scan.

    watched: a WATCHED; sweep: a SWEEP; beams: its BEAMS; motion: a MOTION, pose and speeds by odometry; robot: a
    ROBOT; scan: a SCAN with its sectors.
    """
    watched.time += sweep.interval
    x, y, yaw = _go_to(watched, ranges, sweep, beams, pose_after(motion, sweep.motion_age))
    c, s = math.cos(yaw), math.sin(yaw)
    along, across = math.cos(watched.sensor_yaw), math.sin(watched.sensor_yaw)
    for k in range(ranges.shape[0]):
        u, v = beams.sensor[k, 0], beams.sensor[k, 1]
        watched.directions[k, 0], watched.directions[k, 1] = along * u - across * v, across * u + along * v
    mark_met(watched, ranges, sweep)
    things = np.empty(2 * TRACKS, CLUSTER)
    things = things[: clusters(ranges, sweep, beams, things)]
    for k in range(things.shape[0]):
        _place(watched, ranges, sweep, things[k])
    follow(watched.tracks, things, sweep.interval)
    near = np.empty((PLACES * TRACKS, 7))
    places = scan.moving = 0
    for i in range(watched.tracks.shape[0]):
        t = watched.tracks[i]
        if not (t.alive and t.moving):
            continue
        dx, dy = t.x - x, t.y - y
        place = c * dx + s * dy, c * dy - s * dx
        before = places
        walked = math.hypot(t.walk_x, t.walk_y)
        if moves(t):
            velocity = c * t.vx + s * t.vy, c * t.vy - s * t.vx
            places = _add(near, places, place, velocity, t.radius, HORIZON, 0.0)
            places = _add(near, places, place, (0.0, 0.0), t.radius, HALTS, 0.0)
        if t.unseen < t.stood < FORGOTTEN and walked > 0.0:
            ux, uy = (c * t.walk_x + s * t.walk_y) / walked, (c * t.walk_y - s * t.walk_x) / walked
            for k in range(min(AHEAD, math.ceil(GOES_ON * walked / t.radius))):
                way = (k + 1) * t.radius
                there = place[0] + way * ux, place[1] + way * uy
                places = _add(near, places, there, (0.0, 0.0), t.radius, HORIZON, LEAVES)
        scan.moving += places > before
    if scan.moving > 0:
        scan.fastest, scan.fastest_turn = robot.fastest, robot.fastest_turn
        clear_times(near[:places], _standing(scan.sectors, near[:places]), motion, robot, scan.times)


@numba.njit(cache=True, nogil=True)
def _go_to(watched: Any, ranges: Float32Array, sweep: Any, beams: Any, odometry: Place) -> Place:
    """Where the robot is now in the frame of what is watched, m and rad: odometry's way on from where it was, and
    turned so that the scan lies over the one before."""
    c, s = math.cos(watched.turned), math.sin(watched.turned)
    dx, dy = odometry[0] - watched.odometry_x, odometry[1] - watched.odometry_y
    x, y = watched.x + c * dx - s * dy, watched.y + s * dx + c * dy
    seen_from = _sensor(sweep, (x, y, odometry[2] + watched.turned))
    standing = _without_movers(watched.tracks, ranges, sweep, seen_from)
    watched.turned = wrapped(watched.turned + missed_turn(watched.swept, standing, sweep, beams, seen_from))
    watched.x, watched.y, watched.odometry_x, watched.odometry_y = x, y, odometry[0], odometry[1]
    place = x, y, odometry[2] + watched.turned
    watched.sensor_x, watched.sensor_y, watched.sensor_yaw = seen_from = _sensor(sweep, place)
    keep_sweep(watched.swept, ranges, sweep, seen_from)
    return place


@numba.njit(cache=True, nogil=True)
def _without_movers(tracks: Any, ranges: Float32Array, sweep: Any, sensor: Place) -> Float32Array:
    """The ranges, NaN where somebody walks: what walks does not tell how the robot has turned."""
    standing, step = ranges.copy(), sweep.angle_increment
    for i in range(tracks.shape[0]):
        t = tracks[i]
        if not (t.alive and t.moving) or step == 0.0:
            continue
        dx, dy, room = t.x - sensor[0], t.y - sensor[1], t.radius + BESIDE
        bearing = math.atan2(dy, dx) - sensor[2] - sweep.angle_min
        half = math.asin(min(room / max(math.hypot(dx, dy), room), 1.0))
        first = math.floor(wrapped(bearing - half) / step)
        for k in range(first, first + math.ceil(2.0 * half / abs(step)) + 2):
            at = k % max(round(2.0 * math.pi / abs(step)), 1)
            if at < standing.shape[0]:
                standing[at] = np.nan
    return standing


@numba.njit(cache=True, nogil=True)
def _sensor(sweep: Any, place: Place) -> Place:
    """Where the sensor is on a robot at a place, m and rad."""
    c, s = math.cos(place[2]), math.sin(place[2])
    x, y = place[0] + sweep.mount_x * c - sweep.mount_y * s, place[1] + sweep.mount_x * s + sweep.mount_y * c
    return x, y, place[2] + sweep.mount_yaw


@numba.njit(cache=True, nogil=True)
def _add(
    near: NDArray[np.float64],
    count: int,
    place: tuple[float, float],
    velocity: tuple[float, float],
    radius: float,
    until: float,
    leaves: float,
) -> int:
    """One more place, (x, y) m, that somebody goes from at a velocity, m/s, that counts for so many s, and that the
    robot leaves within so many; how many there are then."""
    row = near[count]
    row[0], row[1], row[2], row[3], row[4] = place[0], place[1], velocity[0], velocity[1], radius
    row[5], row[6] = until, leaves
    return count + 1


@numba.njit(cache=True, nogil=True)
def _place(watched: Any, ranges: Float32Array, sweep: Any, thing: Any) -> None:
    """Bring a cluster into the frame of what is watched, and note the share of it that lies where it had been free."""
    x, y = watched.sensor_x, watched.sensor_y
    fresh = readings = 0
    for m in range(thing.beams):
        beam = (thing.first + m) % ranges.shape[0]
        if not sweep.range_min <= ranges[beam] <= sweep.range_max:
            continue
        readings += 1
        u, v = x + ranges[beam] * watched.directions[beam, 0], y + ranges[beam] * watched.directions[beam, 1]
        fresh += newly_taken(watched.ground, watched.time, u, v)
    thing.fresh = fresh / readings
    c, s = math.cos(watched.sensor_yaw), math.sin(watched.sensor_yaw)
    u, v = thing.x, thing.y
    thing.x, thing.y = x + c * u - s * v, y + s * u + c * v


@numba.njit(cache=True, nogil=True)
def _is_nearer(x: float, y: float, reach: float) -> bool:
    """Whether hypot(x, y) < reach, without it where the square leaves no doubt."""
    square = x * x + y * y
    if abs(square - reach * reach) > 1e-9:
        return square < reach * reach
    return math.hypot(x, y) < reach


@numba.njit(cache=True, nogil=True)
def _standing(sectors: Float32Array, movers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest point of each sector that is not of something that moves, (k, 2) m in the body frame."""
    n = sectors.shape[0]
    standing = np.empty((n, 2))
    kept = 0
    for i in range(n):
        if not sectors[i] < math.inf:
            continue
        angle = -math.pi + (i + 0.5) * 2.0 * math.pi / n
        u, v = sectors[i] * math.cos(angle), sectors[i] * math.sin(angle)
        of_mover = False
        for k in range(movers.shape[0]):
            of_mover = of_mover or _is_nearer(u - movers[k, 0], v - movers[k, 1], movers[k, 4] + 0.15)
        if not of_mover:
            standing[kept, 0], standing[kept, 1] = u, v
            kept += 1
    return standing[:kept]
