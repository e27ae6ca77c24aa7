"""What moves around the robot: things tracked from scan to scan, and which motions they leave it.

Clusters of the scan that stand alone and are no larger than a person are followed in the odometry's frame, each by a
Kalman filter with constant velocity. One moves if it comes to where the scans had seen free ground: a row of posts of
which ever others come into sight seems to move, but not there. From those that move follows, once a scan, for how long
each of a table of motions would keep the robot's outline clear of them. The tick looks its wish up in it (`evade`).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.guard import outline_distance

TRACKS = 16
WIDEST = 0.9  # m, the largest cluster that is followed
FARTHEST = 7.0  # m
GAP = 0.12  # m between neighbouring readings, and twice their spacing, that parts two clusters
DEPTH = 0.15  # m by which what is beside a cluster must lie behind it, or it is only partly seen
GATE = 0.45  # m between a track's foretold place and the cluster that is taken for it
READING_SD, HIDDEN_SD, ACCELERATION_SD = 0.04, 0.15, 1.0  # m, m of what is seen in part, m/s²
COAST = 0.6  # s that a track lives without a reading
LEAST_READINGS, LEAST_WAY, LEAST_SPEED = 6, 0.15, 0.20  # what makes a track one that moves: -, m, m/s
LEAST_FRESH = 4  # and readings of it that lay to a part where it had been free
FRESH_SHARE = 0.12  # of a cluster's readings, that part
FASTEST = 3.0  # m/s; what seems to move faster was mistaken for something else

SPEEDS, TURNS = 9, 9  # the table's motions
HORIZON, STEP = 2.5, 0.125  # s that each is followed, and in which steps
SPREAD = 0.10  # m/s by which the place of what moves grows uncertain
MARGIN = 0.10  # m kept from it
STATIC_MARGIN = 0.05  # m kept from what stands, where the robot stops
RETREAT = 0.6  # largest speed backwards, as a share of that ahead

CELL = 0.1  # m, of the ground around the robot on which the memory of free places lies
CELLS = 256  # to a side; a power of two, more than twice FARTHEST
SEEN_FREE = 5  # rays that must have passed a cell for it to have been free
NEW = 0.5  # s that a place that was free counts as newly taken
GONE = 0.15  # s without a reading after which a ray that passes a cell makes it free

TRACK = np.dtype(
    [
        ("alive", np.int64),
        *(
            (n, np.float64)
            for n in ("x", "y", "vx", "vy", "pp", "pv", "vv", "radius", "born_x", "born_y", "unseen")
        ),
        ("readings", np.int64),
        ("fresh", np.int64),  # readings that lay where it had been free
        ("moving", np.int64),  # whether it has been seen to move
    ],
    align=True,
)

GROUND = np.dtype(
    [
        ("key", np.int64),  # which place of the odometry's frame the cell stands for now
        ("free", np.int64),  # rays that have passed since something was last there
        ("was_free", np.int64),  # whether it was free before what is there now
        ("since", np.float64),  # s, when what is there now was first seen; negative for nothing
        ("hit", np.float64),  # s, when it was last seen
    ],
    align=True,
)
WATCHED = np.dtype(
    [
        ("time", np.float64),
        ("sensor_x", np.float64),  # where the newest scan was taken, in the odometry's frame
        ("sensor_y", np.float64),
        ("sensor_yaw", np.float64),
        ("tracks", TRACK, (TRACKS,)),
        ("ground", GROUND, (CELLS, CELLS)),
    ],
    align=True,
)

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def clusters(
    ranges: Float32Array,
    angle_min: float,
    angle_increment: float,
    range_min: float,
    range_max: float,
    found: FloatArray,
) -> int:
    """Fill `found` (n, 6) with the small things of a scan: centre x and y in the sensor's frame and radius, m, 1 for
    those that something nearer or just behind them may hide a part of, their first beam and how many.

    The arc that is seen of a disc of radius R has its mean R pi / 4 before the centre.
    """
    n = ranges.shape[0]
    count = 0
    full = abs(angle_increment) * n > 2.0 * math.pi - 1.5 * abs(angle_increment)
    first = 0
    if full:  # begin at a break, or a cluster would be cut in two
        for i in range(n):
            if abs(ranges[i] - ranges[i - 1]) > DEPTH:
                first = i
                break
    k = 0
    while k < n and count < found.shape[0]:
        begin = k
        i = (first + k) % n
        r = ranges[i]
        k += 1
        if not range_min <= r <= min(range_max, FARTHEST):
            continue
        a = angle_min + i * angle_increment
        x0, y0 = r * math.cos(a), r * math.sin(a)
        x, y = x0, y0
        sx, sy = x, y
        members = 1
        while k < n:
            j = (first + k) % n
            if j == 0 and not full:
                break
            q = ranges[j]
            if not range_min <= q <= range_max:
                break
            b = angle_min + j * angle_increment
            u, v = q * math.cos(b), q * math.sin(b)
            if math.hypot(u - x, v - y) > GAP + 2.0 * min(q, r) * abs(angle_increment):
                break
            x, y, r = u, v, q
            sx += x
            sy += y
            members += 1
            k += 1
        width = math.hypot(x - x0, y - y0)
        if members < 3 or width > WIDEST:
            continue
        before, after = ranges[(first + begin - 1) % n], ranges[(first + k) % n]
        start = ranges[(first + begin) % n]
        hidden = (range_min <= before < start + DEPTH) or (range_min <= after < r + DEPTH)
        radius = 0.5 * width + 0.5 * r * abs(angle_increment)
        mx, my = sx / members, sy / members
        push = 1.0 + 0.25 * math.pi * radius / max(math.hypot(mx, my), 0.1)
        found[count, 0], found[count, 1], found[count, 2] = mx * push, my * push, radius
        found[count, 3] = 1.0 if hidden else 0.0
        found[count, 4], found[count, 5] = (first + begin) % n, members
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def moves(track: Any) -> bool:
    """Whether a track is of something that moves."""
    return bool(track.alive and track.moving and math.hypot(track.vx, track.vy) >= LEAST_SPEED)


@numba.njit(cache=True, nogil=True)
def follow(tracks: Any, found: FloatArray, count: int, dt: float) -> None:
    """Let `dt` s pass for the tracks, and take in the clusters of a scan, in the odometry's frame.

    found: rows of x, y, radius, 1 where partly hidden, and the share that lies where it had been free.
    """
    q = ACCELERATION_SD * ACCELERATION_SD
    for i in range(tracks.shape[0]):
        t = tracks[i]
        if not t.alive:
            continue
        t.x += t.vx * dt
        t.y += t.vy * dt
        t.pp += 2.0 * dt * t.pv + dt * dt * t.vv + 0.25 * q * dt**4
        t.pv += dt * t.vv + 0.5 * q * dt**3
        t.vv += q * dt * dt
        t.unseen += dt
        if t.unseen > COAST:
            t.alive = 0
    taken = np.zeros(tracks.shape[0], np.bool_)
    for k in range(count):
        best, nearest = -1, GATE
        for i in range(tracks.shape[0]):
            if tracks[i].alive and not taken[i]:
                d = math.hypot(found[k, 0] - tracks[i].x, found[k, 1] - tracks[i].y)
                if d < nearest:
                    best, nearest = i, d
        if best >= 0 and found[k, 3] > 0.0 and not moves(tracks[best]):
            continue
        if best < 0:
            for i in range(tracks.shape[0]):
                if not tracks[i].alive:
                    best = i
                    break
            if best < 0 or found[k, 3] > 0.0:
                continue
            t = tracks[best]
            t.alive, t.readings, t.fresh, t.moving, t.unseen = 1, 1, 0, 0, 0.0
            t.x, t.y, t.vx, t.vy = found[k, 0], found[k, 1], 0.0, 0.0
            t.born_x, t.born_y, t.radius = t.x, t.y, found[k, 2]
            t.pp, t.pv, t.vv = READING_SD * READING_SD, 0.0, 1.0
            taken[best] = True
            continue
        t = tracks[best]
        taken[best] = True
        sd = HIDDEN_SD if found[k, 3] > 0.0 else READING_SD
        s = t.pp + sd * sd
        gain_p, gain_v = t.pp / s, t.pv / s
        ex, ey = found[k, 0] - t.x, found[k, 1] - t.y
        t.x += gain_p * ex
        t.y += gain_p * ey
        t.vx += gain_v * ex
        t.vy += gain_v * ey
        t.vv -= gain_v * t.pv
        t.pv -= gain_v * t.pp
        t.pp -= gain_p * t.pp
        if found[k, 3] == 0.0:
            t.radius += 0.1 * (found[k, 2] - t.radius)
        t.readings += 1
        t.unseen = 0.0
        speed = math.hypot(t.vx, t.vy)
        if speed > FASTEST:
            t.alive = 0
        if found[k, 4] > FRESH_SHARE:
            t.fresh += 1
        far = math.hypot(t.x - t.born_x, t.y - t.born_y) >= LEAST_WAY
        sure = t.readings >= LEAST_READINGS and t.fresh >= LEAST_FRESH
        if far and sure and speed >= max(LEAST_SPEED, 2.0 * math.sqrt(t.vv)):
            t.moving = 1


@numba.njit(cache=True, nogil=True)
def _cell(ground: Any, i: int, j: int) -> Any:
    """The record of the cell at column i and row j of the odometry's frame, empty where it stood for another."""
    g = ground[j & (CELLS - 1), i & (CELLS - 1)]
    key = (i + (1 << 20)) * (1 << 22) + j + (1 << 20)
    if g.key != key:
        g.key, g.free, g.was_free, g.since, g.hit = key, 0, 0, -1.0, -1.0
    return g


@numba.njit(cache=True, nogil=True)
def _mark_met(
    ground: Any,
    time: float,
    x: float,
    y: float,
    yaw: float,
    ranges: Float32Array,
    angle_min: float,
    angle_increment: float,
    range_min: float,
    range_max: float,
) -> None:
    """Note where a scan, taken by a sensor at (x, y, yaw) at `time` s, has met something."""
    for k in range(ranges.shape[0]):
        r = ranges[k]
        if range_min <= r <= min(range_max, FARTHEST):
            angle = yaw + angle_min + k * angle_increment
            i, j = math.floor((x + r * math.cos(angle)) / CELL), math.floor((y + r * math.sin(angle)) / CELL)
            g = _cell(ground, i, j)
            if g.since < 0.0:
                g.since, g.was_free = time, g.free >= SEEN_FREE
            g.hit, g.free = time, 0


@numba.njit(cache=True, nogil=True)
def mark_passed(
    watched: Any, ranges: Float32Array, angle_min: float, angle_increment: float, range_min: float
) -> None:
    """Note which ground the scan that `watch` took in last has passed over.

    Apart from `watch`, which does not need it before the next scan: a walk over some 10,000 cells.
    """
    ground, time = watched.ground, watched.time
    x, y = watched.sensor_x / CELL, watched.sensor_y / CELL
    for k in range(0, ranges.shape[0], max(1, ranges.shape[0] // 180)):
        r = ranges[k]
        if r >= range_min:
            angle = watched.sensor_yaw + angle_min + k * angle_increment
            c, s = math.cos(angle), math.sin(angle)
            for m in range(1, int((min(r, FARTHEST) - 0.15) / CELL)):
                g = _cell(ground, math.floor(x + m * c), math.floor(y + m * s))
                if time - g.hit > GONE:
                    g.since = -1.0
                    g.free += 1


@numba.njit(cache=True, nogil=True)
def _newly_taken(ground: Any, time: float, i: int, j: int) -> bool:
    """Whether something has come to a free cell lately, and nothing stood in it or beside it before."""
    g = _cell(ground, i, j)
    if not (g.was_free and g.since >= 0.0 and time - g.since < NEW):
        return False
    for p in range(-1, 2):
        for q in range(-1, 2):
            b = _cell(ground, i + p, j + q)
            if b.since >= 0.0 and time - b.hit < 2.0 * GONE and (time - b.since >= NEW or not b.was_free):
                return False
    return True


@numba.njit(cache=True, nogil=True)
def clear_times(
    movers: FloatArray,
    count: int,
    standing: FloatArray,
    linear: float,
    angular: float,
    fastest: float,
    fastest_turn: float,
    acceleration: float,
    yaw_acceleration: float,
    half_length: float,
    half_width: float,
    times: Float32Array,
) -> None:
    """Fill `times` (SPEEDS, TURNS): s, at most HORIZON, for which each motion stays clear of all that moves.

    movers: (n, 5) x, y, vx, vy, radius in the body frame, m and m/s; standing: (k, 2) m, points before which the
    robot is taken to stop; linear, angular: its speeds now; fastest, fastest_turn: m/s and rad/s, the ends of the
    table.
    """
    for a in range(SPEEDS):
        for b in range(TURNS):
            times[a, b] = _clear_time(
                movers, count, standing, linear, angular, speed_of(a, fastest), turn_of(b, fastest_turn),
                acceleration, yaw_acceleration, half_length, half_width,
            )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def speed_of(a: int, fastest: float) -> float:
    """Speed of the table's row a, m/s."""
    return fastest * (-RETREAT + (1.0 + RETREAT) * a / (SPEEDS - 1))


@numba.njit(cache=True, nogil=True)
def turn_of(b: int, fastest_turn: float) -> float:
    """Yaw rate of the table's column b, rad/s."""
    return fastest_turn * (2.0 * b / (TURNS - 1) - 1.0)


@numba.njit(cache=True, nogil=True)
def _clear_time(
    movers: FloatArray,
    count: int,
    standing: FloatArray,
    linear: float,
    angular: float,
    target: float,
    turn: float,
    acceleration: float,
    yaw_acceleration: float,
    half_length: float,
    half_width: float,
) -> float:
    x = y = yaw = 0.0
    v, w = linear, angular
    halted, near = False, HORIZON
    reach = math.hypot(half_length, half_width) + STATIC_MARGIN
    for k in range(1, int(HORIZON / STEP) + 1):
        if not halted:
            v += min(max(target - v, -acceleration * STEP), acceleration * STEP)
            w += min(max(turn - w, -yaw_acceleration * STEP), yaw_acceleration * STEP)
            middle = yaw + 0.5 * w * STEP
            nx, ny, nyaw = x + v * STEP * math.cos(middle), y + v * STEP * math.sin(middle), yaw + w * STEP
            c, s = math.cos(nyaw), math.sin(nyaw)
            c0, s0 = math.cos(yaw), math.sin(yaw)
            for i in range(standing.shape[0]):
                dx, dy = standing[i, 0] - nx, standing[i, 1] - ny
                if dx * dx + dy * dy > reach * reach:
                    continue
                d = outline_distance(c * dx + s * dy, c * dy - s * dx, half_length, half_width)
                if d < STATIC_MARGIN:
                    ox, oy = standing[i, 0] - x, standing[i, 1] - y
                    was = outline_distance(c0 * ox + s0 * oy, c0 * oy - s0 * ox, half_length, half_width)
                    if d < was - 1e-4:
                        halted = True
                        break
            if not halted:
                x, y, yaw = nx, ny, nyaw
        time = k * STEP
        c, s = math.cos(yaw), math.sin(yaw)
        for i in range(count):
            dx = movers[i, 0] + movers[i, 2] * time - x
            dy = movers[i, 1] + movers[i, 3] * time - y
            d = outline_distance(c * dx + s * dy, c * dy - s * dx, half_length, half_width) - movers[i, 4]
            if d < 0.0:
                return 0.5 * (near + time) if near < time else time
            if near >= HORIZON and d < MARGIN + SPREAD * time:
                now = outline_distance(movers[i, 0], movers[i, 1], half_length, half_width) - movers[i, 4]
                if d < now - 0.01:
                    near = time
    return 0.5 * (near + HORIZON)


@numba.njit(cache=True, nogil=True)
def evade(
    times: Float32Array, linear: float, angular: float, fastest: float, fastest_turn: float
) -> tuple[float, float, bool]:
    """The motion nearest to the wish that stays clear long enough: (m/s, rad/s, whether it is another one).

    The wish itself where the table's motions around it stay clear for all of HORIZON.
    """
    u = (linear / fastest + RETREAT) / (1.0 + RETREAT) * (SPEEDS - 1)
    v = (angular / fastest_turn + 1.0) / 2.0 * (TURNS - 1)
    a, b = min(max(int(u), 0), SPEEDS - 2), min(max(int(v), 0), TURNS - 2)
    least = min(times[a, b], times[a + 1, b], times[a, b + 1], times[a + 1, b + 1])
    if least >= HORIZON:
        return linear, angular, False
    best, at_a, at_b = math.inf, 0, 0
    for i in range(SPEEDS):
        for j in range(TURNS):
            # what lies beside it counts as well: speeds and places are not known so exactly
            least = min(
                times[max(i - 1, 0), j], times[min(i + 1, SPEEDS - 1), j],
                times[i, max(j - 1, 0)], times[i, min(j + 1, TURNS - 1)],
            )  # fmt: skip
            late = 1.0 - 0.5 * (times[i, j] + min(least, times[i, j])) / HORIZON
            away = ((i - u) / (SPEEDS - 1)) ** 2 + 0.3 * ((j - v) / (TURNS - 1)) ** 2
            cost = away + 4.0 * late
            if cost < best:
                best, at_a, at_b = cost, i, j
    return speed_of(at_a, fastest), turn_of(at_b, fastest_turn), True


@numba.njit(cache=True, nogil=True)
def watch(
    watched: Any,
    ranges: Float32Array,
    angle_min: float,
    angle_increment: float,
    range_min: float,
    range_max: float,
    mount_x: float,
    mount_yaw: float,
    x: float,
    y: float,
    yaw: float,
    linear: float,
    angular: float,
    age: float,
    interval: float,
    sectors: Float32Array,
    fastest: float,
    fastest_turn: float,
    acceleration: float,
    yaw_acceleration: float,
    half_length: float,
    half_width: float,
    times: Float32Array,
) -> int:
    """Take in a scan; returns how many things move near the robot, and where some do fills `times` (`clear_times`).
    `mark_passed` is to follow before the next scan.

    x, y, yaw, linear, angular: pose and speeds by odometry, `age` s before the scan; interval: s since the scan
    before; sectors: (n,) m, the nearest range of each sector, as `percept.perceive` has them.
    """
    yaw += angular * age
    x += linear * age * math.cos(yaw)
    y += linear * age * math.sin(yaw)
    tracks = watched.tracks
    watched.time += interval
    time = watched.time
    sensor_x, sensor_y, turn = x + mount_x * math.cos(yaw), y + mount_x * math.sin(yaw), yaw + mount_yaw
    watched.sensor_x, watched.sensor_y, watched.sensor_yaw = sensor_x, sensor_y, turn
    _mark_met(
        watched.ground, time, sensor_x, sensor_y, turn, ranges, angle_min, angle_increment, range_min, range_max
    )
    found = np.empty((2 * TRACKS, 6))
    count = clusters(ranges, angle_min, angle_increment, range_min, range_max, found)
    c, s = math.cos(turn), math.sin(turn)
    for k in range(count):
        fresh = 0
        for m in range(int(found[k, 5])):
            beam = (int(found[k, 4]) + m) % ranges.shape[0]
            angle = turn + angle_min + beam * angle_increment
            i = math.floor((sensor_x + ranges[beam] * math.cos(angle)) / CELL)
            j = math.floor((sensor_y + ranges[beam] * math.sin(angle)) / CELL)
            fresh += _newly_taken(watched.ground, time, i, j)
        found[k, 4] = fresh / found[k, 5]
        u, v = found[k, 0], found[k, 1]
        found[k, 0], found[k, 1] = sensor_x + c * u - s * v, sensor_y + s * u + c * v
    follow(tracks, found, count, interval)
    near = np.empty((TRACKS, 5))
    c, s = math.cos(yaw), math.sin(yaw)
    moving = 0
    for i in range(tracks.shape[0]):
        t = tracks[i]
        if not moves(t):
            continue
        dx, dy = t.x - x, t.y - y
        near[moving, 0], near[moving, 1] = c * dx + s * dy, c * dy - s * dx
        near[moving, 2], near[moving, 3] = c * t.vx + s * t.vy, c * t.vy - s * t.vx
        near[moving, 4] = t.radius
        moving += 1
    if moving == 0:
        return 0
    n = sectors.shape[0]
    standing = np.empty((n, 2))
    kept = 0
    for i in range(n):
        if not sectors[i] < math.inf:
            continue
        angle = -math.pi + (i + 0.5) * 2.0 * math.pi / n
        u, v = sectors[i] * math.cos(angle), sectors[i] * math.sin(angle)
        of_mover = False
        for k in range(moving):
            of_mover = of_mover or math.hypot(u - near[k, 0], v - near[k, 1]) < near[k, 4] + 0.15
        if not of_mover:
            standing[kept, 0], standing[kept, 1] = u, v
            kept += 1
    clear_times(
        near, moving, standing[:kept], linear, angular, fastest, fastest_turn, acceleration, yaw_acceleration,
        half_length, half_width, times,
    )  # fmt: skip
    return moving
