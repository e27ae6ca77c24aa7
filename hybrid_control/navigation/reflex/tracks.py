"""Small things in scans that stand alone, and the tracks that follow them: a Kalman filter each, constant velocity.

What is no larger than a person is followed in a frame that stands still (`movers`). It moves if it comes to where the
scans had seen free ground (`ground`): a row of posts of which ever others come into sight seems to move, but not there.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.percept import goes_round

TRACKS = 16
WIDEST = 0.9  # m, the largest cluster that is followed
FARTHEST = 7.0  # m
GAP = 0.12  # m between neighbouring readings, and twice their spacing, that parts two clusters
EMPTY = 2  # beams in a row without a reading that do not part one
DEPTH = 0.15  # m by which what is beside a cluster must lie behind it, or it is only partly seen
GATE = 0.45  # m between a track's predicted place and the cluster that counts as its next
READING_SD, HIDDEN_SD, ACCELERATION_SD = 0.03, 0.15, 2.0  # m, m of what is seen in part, m/s²
SURPRISE = 2.0  # standard deviations off what was foreseen, beyond which a reading says that it moves otherwise now
COAST = 0.6  # s that a track lives without a reading
LEAST_READINGS, LEAST_WAY, LEAST_SPEED = 6, 0.15, 0.20  # what makes a track one that moves: -, m, m/s
LEAST_FRESH = 3.5  # and how many of its readings of late lay to a part where it had been free
FRESH_SHARE = 0.12  # of a cluster's readings, that part
LATELY = 0.95  # what a reading counts for beside the next
SLOWED = 0.5  # share of how fast it walked, below which it has halted, or is about to
FALLS = 1.0  # s in which what is held of how fast it walks follows it down
FORGOTTEN = 5.0  # s after which how it walked before says nothing of how it will go on
FASTEST = 3.0  # m/s; what seems to move faster was mistaken for something else

TRACK = np.dtype(
    [
        ("alive", np.int64),
        *(
            (n, np.float64)
            for n in ("x", "y", "vx", "vy", "pp", "pv", "vv", "radius", "born_x", "born_y", "unseen")
        ),
        ("walk_x", np.float64),  # m/s, its velocity as it walked, or walks
        ("walk_y", np.float64),
        ("stood", np.float64),  # s for which it has been slower than that
        ("fresh", np.float64),  # readings that lay where it had been free, of late
        ("readings", np.int64),
        ("moving", np.int64),  # whether it has been seen to move
    ],
    align=True,
)

CLUSTER = np.dtype(
    [
        ("x", np.float64),  # m, of its middle
        ("y", np.float64),
        ("radius", np.float64),
        ("hidden", np.int64),  # whether something nearer or just behind it may hide a part of it
        ("first", np.int64),  # its first beam, and how many
        ("beams", np.int64),
        ("fresh", np.float64),  # the share of them that lies where it had been free
    ],
    align=True,
)

Float32Array = NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def clusters(ranges: Float32Array, sweep: Any, beams: Any, out: Any) -> int:
    """Fill `out`, (n,) of CLUSTER, with the small things of a scan, in the sensor's frame; returns how many there are.

    sweep: a SWEEP; beams: its BEAMS. The arc seen of a disc of radius R has its mean R pi / 4 before its centre.
    """
    angle_increment = sweep.angle_increment
    range_min, range_max = sweep.range_min, sweep.range_max
    n = ranges.shape[0]
    count = 0
    full = goes_round(n, angle_increment)
    first = 0
    if full:  # begin at a break, or a cluster would be cut in two
        for i in range(n):
            if abs(ranges[i] - ranges[i - 1]) > DEPTH:
                first = i
                break
    k = 0
    while k < n and count < out.shape[0]:
        begin = k
        i = (first + k) % n
        r = ranges[i]
        k += 1
        if not range_min <= r <= min(range_max, FARTHEST):
            continue
        x0, y0 = r * beams.sensor[i, 0], r * beams.sensor[i, 1]
        x, y = x0, y0
        sx, sy = x, y
        members = 1
        ahead = k
        while ahead < min(n, k + 1 + EMPTY):
            j = (first + ahead) % n
            if j == 0 and not full:
                break
            q = ranges[j]
            ahead += 1
            if not range_min <= q <= range_max:
                continue
            u, v = q * beams.sensor[j, 0], q * beams.sensor[j, 1]
            if math.sqrt((u - x) ** 2 + (v - y) ** 2) > GAP + 2.0 * min(q, r) * abs(angle_increment):
                break
            x, y, r = u, v, q
            sx += x
            sy += y
            members += 1
            k = ahead
        width = math.hypot(x - x0, y - y0)
        if members < 3 or width > WIDEST:
            continue
        before, after = ranges[(first + begin - 1) % n], ranges[(first + k) % n]
        start = ranges[(first + begin) % n]
        hidden = (range_min <= before < start + DEPTH) or (range_min <= after < r + DEPTH)
        radius = 0.5 * width + 0.5 * r * abs(angle_increment)
        mx, my = sx / members, sy / members
        push = 1.0 + 0.25 * math.pi * radius / max(math.hypot(mx, my), 0.1)
        thing = out[count]
        thing.x, thing.y, thing.radius, thing.hidden = mx * push, my * push, radius, hidden
        thing.first, thing.beams = (first + begin) % n, k - begin
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def moves(track: Any) -> bool:
    """Whether a track is of something that moves."""
    return bool(track.alive and track.moving and math.hypot(track.vx, track.vy) >= LEAST_SPEED)


@numba.njit(cache=True, nogil=True)
def follow(tracks: Any, things: Any, dt: float) -> None:
    """Let `dt` s pass for the tracks, and take in the clusters of a scan, (n,) of CLUSTER in the odometry's frame.

    Track and cluster that are nearest to each other belong together, then the next two.
    """
    for i in range(tracks.shape[0]):
        if tracks[i].alive:
            _go_on(tracks[i], dt)
    seen, taken = np.zeros(tracks.shape[0], np.bool_), np.zeros(things.shape[0], np.bool_)
    while True:
        i, k = _nearest(tracks, seen, things, taken)
        if i < 0:
            break
        taken[k] = True
        if not things[k].hidden or moves(tracks[i]):
            seen[i] = True
            _take(tracks[i], things[k], dt)
    for k in range(things.shape[0]):
        if not (taken[k] or things[k].hidden or _is_part(tracks, seen, things[k])):
            _begin(tracks, seen, things[k])


@numba.njit(cache=True, nogil=True)
def _go_on(t: Any, dt: float) -> None:
    q = ACCELERATION_SD * ACCELERATION_SD
    t.x += t.vx * dt
    t.y += t.vy * dt
    t.pp += 2.0 * dt * t.pv + dt * dt * t.vv + 0.25 * q * dt**4
    t.pv += dt * t.vv + 0.5 * q * dt**3
    t.vv += q * dt * dt
    t.unseen += dt
    t.stood += dt
    if t.unseen > COAST:
        t.alive = 0


@numba.njit(cache=True, nogil=True)
def _nearest(
    tracks: Any, seen: NDArray[np.bool_], things: Any, taken: NDArray[np.bool_]
) -> tuple[int, int]:
    """Of the tracks without a reading yet, and the clusters that are none's, the two nearest; -1, -1 for none."""
    of, to, nearest = -1, -1, GATE
    for i in range(tracks.shape[0]):
        if not tracks[i].alive or seen[i]:
            continue
        for k in range(things.shape[0]):
            if not taken[k]:
                dx, dy = things[k].x - tracks[i].x, things[k].y - tracks[i].y
                if dx * dx + dy * dy > nearest * nearest * (1.0 + 1e-9):
                    continue  # most are, and need no root
                d = math.hypot(dx, dy)
                if d < nearest:
                    of, to, nearest = i, k, d
    return of, to


@numba.njit(cache=True, nogil=True)
def _is_part(tracks: Any, seen: NDArray[np.bool_], thing: Any) -> bool:
    """Whether a cluster is another part of what a track has had its reading of: a ray between them came back empty."""
    for i in range(tracks.shape[0]):
        t = tracks[i]
        if t.alive and seen[i] and math.hypot(thing.x - t.x, thing.y - t.y) < t.radius + thing.radius:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _begin(tracks: Any, seen: NDArray[np.bool_], thing: Any) -> None:
    """A new track, where there is room for one."""
    for i in range(tracks.shape[0]):
        t = tracks[i]
        if t.alive:
            continue
        t.alive, t.readings, t.fresh, t.moving, t.unseen = 1, 1, 0.0, 0, 0.0
        t.x, t.y, t.vx, t.vy = thing.x, thing.y, 0.0, 0.0
        t.born_x, t.born_y, t.radius = t.x, t.y, thing.radius
        t.walk_x = t.walk_y = t.stood = 0.0
        t.pp, t.pv, t.vv = READING_SD * READING_SD, 0.0, 1.0
        seen[i] = True
        return


@numba.njit(cache=True, nogil=True)
def _take(t: Any, thing: Any, dt: float) -> None:
    """A reading of what a track follows, dt s after the scan before."""
    sd = HIDDEN_SD if thing.hidden else READING_SD
    ex, ey = thing.x - t.x, thing.y - t.y
    grown = ((ex * ex + ey * ey) / (SURPRISE * SURPRISE) - sd * sd) / t.pp
    if t.moving and grown > 1.0:  # it walks otherwise than it did: what was thought of it counts for less
        t.pp, t.pv, t.vv = grown * t.pp, grown * t.pv, grown * t.vv
    s = t.pp + sd * sd
    gain_p, gain_v = t.pp / s, t.pv / s
    t.x += gain_p * ex
    t.y += gain_p * ey
    t.vx += gain_v * ex
    t.vy += gain_v * ey
    t.vv -= gain_v * t.pv
    t.pv -= gain_v * t.pp
    t.pp -= gain_p * t.pp
    if not thing.hidden:
        t.radius += 0.1 * (thing.radius - t.radius)
    t.readings += 1
    t.unseen = 0.0
    speed = math.hypot(t.vx, t.vy)
    if speed > FASTEST:
        t.alive = 0
    t.fresh = LATELY * t.fresh + (thing.fresh > FRESH_SHARE)
    far = math.hypot(t.x - t.born_x, t.y - t.born_y) >= LEAST_WAY
    sure = t.readings >= LEAST_READINGS and t.fresh >= LEAST_FRESH
    if far and sure and speed >= max(LEAST_SPEED, 2.0 * math.sqrt(t.vv)):
        t.moving = 1
    walked = math.hypot(t.walk_x, t.walk_y)
    if moves(t) and (t.stood > FORGOTTEN or speed > SLOWED * walked):
        share = 1.0 if t.stood > FORGOTTEN or speed > walked else min(dt / FALLS, 1.0)
        t.walk_x += share * (t.vx - t.walk_x)
        t.walk_y += share * (t.vy - t.walk_y)
        t.stood = 0.0
