"""Which motions what moves around the robot leaves it: once a scan a table of how long each stays clear, which the
tick looks its wish up in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.outline import OUTLINE, Outline, farthest_corner, outline_distance
from hybrid_control.navigation.reflex.guard import REACTION
from hybrid_control.navigation.reflex.percept import NEAR
from hybrid_control.parameters import Value

SPEEDS, TURNS = 9, 9  # the table's motions
HORIZON, STEP = 2.5, 0.125  # s that each is followed, and in which steps
STEPS = int(HORIZON / STEP)
SPREAD = 0.10  # m/s by which the place of what moves grows uncertain
MARGIN = 0.10  # m kept from it
STATIC_MARGIN = 0.05  # m kept from what stands, where the robot stops
TOO_LATE = 0.4  # s within which whatever it does is met
KEEPS = 0.2  # weight of how far a motion is off the one before, beside how far it is off the wish
RETREAT = 0.6  # largest speed backwards, as a share of that ahead

ROBOT = np.dtype(
    [
        ("outline", OUTLINE),
        ("fastest", np.float64),  # m/s and rad/s, the ends of the table
        ("fastest_turn", np.float64),
        ("acceleration", np.float64),  # m/s² and rad/s²
        ("yaw_acceleration", np.float64),
        ("reach", np.float64),  # m from its centre within which what it sees can concern it
        ("scan_timeout", np.float64),  # s for which what was seen counts
        ("open_space", np.int64),  # 1: a view with nothing in range is a free one
        ("max_unknown", np.float64),  # share of the directions looked at that may give nothing
        ("radius", np.float64),  # m, of the tightest circle that a car drives; 0: turns on the spot
        ("hidden_speed", np.float64),  # m/s, of who may step out from behind what hides them; 0: nobody
    ],
    align=True,
)

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]


def outline_of(settings: Mapping[str, Value]) -> Outline:
    """The outline that the reflex's settings say."""
    return Outline(
        float(settings["robot_length"]) / 2, float(settings["robot_width"]) / 2, float(settings["outline_x"])
    )


def robot_of(settings: Mapping[str, Value], gains: Mapping[str, Value]) -> Any:
    """The ROBOT of a reflex with these settings and gains."""
    body = outline_of(settings)
    fastest, fastest_turn = (max(float(gains[name]), 0.1) for name in ("max_speed", "max_yaw_rate"))
    outline = (body.half_length, body.half_width, MARGIN, body.middle)
    braking, timeout = float(gains["max_acceleration"]), float(gains["scan_timeout"])
    response = float(settings["response_time"]) if settings["holonomic"] else 0.0
    way = fastest * (timeout + REACTION + response) + 0.5 * fastest * fastest / braking
    reach = max(NEAR, body.reach + float(gains["stop_distance"]) + way)
    limits = (fastest, fastest_turn, braking, float(settings["max_yaw_acceleration"]))
    view = (reach, timeout, bool(settings["open_space"]), float(gains["max_unknown"]))
    others = float(settings["min_turning_radius"]), float(gains["hidden_speed"])
    return np.array((outline, *limits, *view, *others), ROBOT)[()]


@numba.njit(cache=True, nogil=True)
def clear_times(
    movers: FloatArray, standing: FloatArray, motion: Any, robot: Any, times: Float32Array
) -> None:
    """Fill `times` (SPEEDS, TURNS): s, at most HORIZON, for which each motion stays clear of all that moves.

    movers: (n, 7) x, y, vx, vy, radius in the body frame, m and m/s, s for which each counts, and s that the robot has
    to leave it where it is in it already; standing: (k, 2) m, points before which the robot is taken to stop; motion: a
    MOTION, of which its speeds now count; robot: a ROBOT.
    """
    turning = np.empty((TURNS, STEPS, 4))
    for b in range(TURNS):  # how fast it turns does not depend on its speed, but for a car
        _turn(motion, robot, 0.0, turn_of(b, robot.fastest_turn), turning[b])
    for a in range(SPEEDS):
        target = speed_of(a, robot.fastest)
        near = _in_reach(standing, motion, robot, target)
        for b in range(TURNS):
            if robot.radius > 0.0:
                _turn(motion, robot, target, turn_of(b, robot.fastest_turn), turning[b])
            times[a, b] = _clear_time(movers, near, motion, robot, target, turning[b])


@numba.njit(cache=True, nogil=True)
def _in_reach(standing: FloatArray, motion: Any, robot: Any, target: float) -> FloatArray:
    """Of what stands, (k, 2) m, that to which the robot comes so near on any motion to a target speed, m/s, that it
    would stop."""
    most, v = robot.acceleration * STEP, motion.linear_x
    reach = farthest_corner(robot.outline) + STATIC_MARGIN + 1e-6
    for _ in range(STEPS):
        v += min(max(target - v, -most), most)
        reach += abs(v) * STEP
    near, n = np.empty(standing.shape), 0
    for i in range(standing.shape[0]):
        x, y = standing[i, 0], standing[i, 1]
        if x * x + y * y <= reach * reach:
            near[n, 0], near[n, 1], n = x, y, n + 1
    return near[:n]


@numba.njit(cache=True, nogil=True)
def speed_of(a: int, fastest: float) -> float:
    """Speed of the table's row a, m/s."""
    return fastest * (-RETREAT + (1.0 + RETREAT) * a / (SPEEDS - 1))


@numba.njit(cache=True, nogil=True)
def turn_of(b: int, fastest_turn: float) -> float:
    """Yaw rate of the table's column b, rad/s."""
    return fastest_turn * (2.0 * b / (TURNS - 1) - 1.0)


@numba.njit(cache=True, nogil=True)
def on_a_circle(turn: float, speed: float, radius: float) -> float:
    """Of a yaw rate (rad/s) what a car does of it at a speed (m/s), whose tightest circle has that radius (m)."""
    return min(max(turn, -abs(speed) / radius), abs(speed) / radius)


@numba.njit(cache=True, nogil=True)
def _turn(motion: Any, robot: Any, target: float, turn: float, turning: FloatArray) -> None:
    """Fill `turning`, (STEPS, 4), with how a motion turns: cosine and sine of the yaw in the middle of each step and at
    its end."""
    most, most_turn = robot.acceleration * STEP, robot.yaw_acceleration * STEP
    v, w, yaw = motion.linear_x, motion.angular_z, 0.0
    for k in range(STEPS):
        w += min(max(turn - w, -most_turn), most_turn)
        if robot.radius > 0.0:
            v += min(max(target - v, -most), most)
            w = on_a_circle(w, v, robot.radius)
        middle, yaw = yaw + 0.5 * w * STEP, yaw + w * STEP
        turning[k, 0], turning[k, 1] = math.cos(middle), math.sin(middle)
        turning[k, 2], turning[k, 3] = math.cos(yaw), math.sin(yaw)


@numba.njit(cache=True, nogil=True)
def _clear_time(
    movers: FloatArray, standing: FloatArray, motion: Any, robot: Any, target: float, turning: FloatArray
) -> float:
    half_length, half_width, ahead = robot.outline.half_length, robot.outline.half_width, robot.outline.middle
    most = robot.acceleration * STEP
    x = y = s = 0.0
    c = 1.0
    v = motion.linear_x
    halted, near = False, HORIZON
    around = farthest_corner(robot.outline)
    reach = around + STATIC_MARGIN
    for k in range(1, STEPS + 1):
        if not halted:
            v += min(max(target - v, -most), most)
            nx, ny = x + v * STEP * turning[k - 1, 0], y + v * STEP * turning[k - 1, 1]
            nc, ns = turning[k - 1, 2], turning[k - 1, 3]
            within = 0
            for i in range(standing.shape[0]):  # in a loop of its own, which goes over several at once
                dx, dy = standing[i, 0] - nx, standing[i, 1] - ny
                within += dx * dx + dy * dy <= reach * reach
            for i in range(standing.shape[0] if within else 0):
                dx, dy = standing[i, 0] - nx, standing[i, 1] - ny
                if dx * dx + dy * dy > reach * reach:
                    continue
                d = outline_distance(nc * dx + ns * dy - ahead, nc * dy - ns * dx, half_length, half_width)
                if d < STATIC_MARGIN:
                    ox, oy = standing[i, 0] - x, standing[i, 1] - y
                    was = outline_distance(c * ox + s * oy - ahead, c * oy - s * ox, half_length, half_width)
                    if d < was - 1e-4:
                        halted = True
                        break
            if not halted:
                x, y, c, s = nx, ny, nc, ns
        time = k * STEP
        for i in range(movers.shape[0]):
            if time > movers[i, 5]:
                continue
            dx = movers[i, 0] + movers[i, 2] * time - x
            dy = movers[i, 1] + movers[i, 3] * time - y
            far = around + movers[i, 4] + MARGIN + SPREAD * time + 1e-9
            if dx * dx + dy * dy > far * far:
                continue
            away = outline_distance(c * dx + s * dy - ahead, c * dy - s * dx, half_length, half_width)
            d = away - movers[i, 4]
            if d >= MARGIN + SPREAD * time:
                continue
            now = outline_distance(movers[i, 0] - ahead, movers[i, 1], half_length, half_width) - movers[i, 4]
            if d < 0.0 and (now >= 0.0 or time > movers[i, 6]):
                return 0.5 * (near + time) if near < time else time
            if near >= HORIZON and d < now - 0.01:
                near = time
    return 0.5 * (near + HORIZON)


@numba.njit(cache=True, nogil=True)
def evade(
    times: Float32Array,
    linear: float,
    angular: float,
    fastest: float,
    fastest_turn: float,
    before: tuple[float, float, bool] = (0.0, 0.0, False),
) -> tuple[float, float, bool]:
    """The motion nearest to the wish that stays clear long enough: (m/s, rad/s, whether it is another one).

    before: what it gave last; of another motion it does not let go for one that is hardly better.

    The wish itself where the table's motions around it stay clear for all of HORIZON; a stand where none stays clear
    for long, so that it is as slow as it can be by then.
    """
    u = (linear / fastest + RETREAT) / (1.0 + RETREAT) * (SPEEDS - 1)
    v = (angular / fastest_turn + 1.0) / 2.0 * (TURNS - 1)
    a, b = min(max(int(u), 0), SPEEDS - 2), min(max(int(v), 0), TURNS - 2)
    least = min(times[a, b], times[a + 1, b], times[a, b + 1], times[a + 1, b + 1])
    if least >= HORIZON:
        return linear, angular, False
    if times.max() < TOO_LATE:
        return 0.0, 0.0, True
    best, at_a, at_b = math.inf, 0, 0
    p = (before[0] / fastest + RETREAT) / (1.0 + RETREAT) * (SPEEDS - 1)
    q = (before[1] / fastest_turn + 1.0) / 2.0 * (TURNS - 1)
    for i in range(SPEEDS):
        for j in range(TURNS):
            # what lies beside it counts as well: speeds and places are not known so exactly
            least = min(
                times[max(i - 1, 0), j], times[min(i + 1, SPEEDS - 1), j],
                times[i, max(j - 1, 0)], times[i, min(j + 1, TURNS - 1)],
            )  # fmt: skip
            late = 1.0 - 0.5 * (times[i, j] + min(least, times[i, j])) / HORIZON
            away = ((i - u) / (SPEEDS - 1)) ** 2 + 0.3 * ((j - v) / (TURNS - 1)) ** 2
            if before[2]:
                away += KEEPS * (((i - p) / (SPEEDS - 1)) ** 2 + 0.3 * ((j - q) / (TURNS - 1)) ** 2)
            cost = away + 4.0 * late
            if cost < best:
                best, at_a, at_b = cost, i, j
    return speed_of(at_a, fastest), turn_of(at_b, fastest_turn), True
