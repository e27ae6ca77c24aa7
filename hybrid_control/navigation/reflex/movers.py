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
from hybrid_control.navigation.reflex.percept import MAX_BEAMS, pose_after
from hybrid_control.navigation.reflex.tracks import CLUSTER, FORGOTTEN, TRACK, TRACKS, clusters, follow, moves

HALTS = 0.75  # s within which who walks may have halted where they are
GOES_ON = 0.7  # s of the way before who has halted that is kept free, for they may go on as they walked before
AHEAD = 4  # radii before them, of that at most
LEAVES = 1.0  # s within which the robot leaves what is so kept free, where it stands in it
PLACES = AHEAD + 2  # in which one thing counts

WATCHED = np.dtype(
    [
        ("time", np.float64),
        ("sensor_x", np.float64),  # where the newest scan was taken, in the odometry's frame
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
    x, y, yaw = pose_after(motion, sweep.motion_age)
    watched.time += sweep.interval
    c, s, turn = math.cos(yaw), math.sin(yaw), yaw + sweep.mount_yaw
    watched.sensor_x = x + sweep.mount_x * c - sweep.mount_y * s
    watched.sensor_y = y + sweep.mount_x * s + sweep.mount_y * c
    watched.sensor_yaw = turn
    along, across = math.cos(turn), math.sin(turn)
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
    """Bring a cluster into the odometry's frame, and note the share of it that lies where it had been free."""
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
            of_mover = of_mover or math.hypot(u - movers[k, 0], v - movers[k, 1]) < movers[k, 4] + 0.15
        if not of_mover:
            standing[kept, 0], standing[kept, 1] = u, v
            kept += 1
    return standing[:kept]
