"""Where the robot stands on the grid: scans are laid over what earlier ones saw, which undoes the odometry's drift.

Every cell keeps the mean of the readings that fell into it and how its surface faces, from the first readings for
good, so that the map does not drift along with the robot. A scan is moved and turned towards where its points lie on
those surfaces (the point-to-plane metric of Chen and Medioni, Image and Vision Computing 10, 1992, with Tukey's weights
against what is new or moves), as far as odometry may have erred since: an iterated Kalman filter of the pose.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import FloatArray
from hybrid_control.navigation.route.cells import CAME, SIDE, Cells, place

Triple = tuple[float, float, float]

BESIDE, BEAMS_BESIDE = 0.15, 6  # m, and number of readings to either side, that decide on a surface's normal
AGREE = 0.8  # least cosine between the normals of a reading and of its surface
SETTLED = 0.6  # s after its first reading from which a cell counts: what moves has left it by then
FOLLOWS = 10.0  # s more, where something has come to where there was nothing: it may follow the robot
STEADY = 25.0  # readings after which a cell's mean stays as it is
GATE = 0.15  # m from its surface beyond which a point does not count
ROUNDS = 4  # of association and solution
LEAST_POINTS = 20  # with a surface, or nothing is corrected
READING_SD = 0.10  # m, of a reading from its surface: neighbouring readings err alike
DRIFT, TURN_DRIFT = 0.05, 0.05  # m and rad per m driven, rad per rad turned, by which odometry may err


@numba.njit(cache=True, nogil=True)
def normals(points: FloatArray) -> FloatArray:
    """The direction (n, 2) in which the surface at each point of a scan faces; 0 where its neighbours do not say.

    points: (n, 2) m in the body frame, in the order of the beams. The shorter axis of the points within BESIDE m.
    """
    n = points.shape[0]
    out = np.zeros((n, 2))
    for k in range(n):
        x, y = points[k, 0], points[k, 1]
        count = 0.0
        sx = sy = sxx = sxy = syy = 0.0
        for side in (-1, 1):
            for m in range(0 if side > 0 else 1, BEAMS_BESIDE + 1):
                i = (k + side * m) % n
                u, v = points[i, 0] - x, points[i, 1] - y
                if u * u + v * v > BESIDE * BESIDE:
                    break
                count += 1.0
                sx += u
                sy += v
                sxx += u * u
                sxy += u * v
                syy += v * v
        if count < 3.0:
            continue
        mx, my = sx / count, sy / count
        a, b, c = sxx / count - mx * mx, sxy / count - mx * my, syy / count - my * my
        angle = 0.5 * math.atan2(2.0 * b, a - c)
        nx, ny = -math.sin(angle), math.cos(angle)
        if nx * x + ny * y > 0.0:
            nx, ny = -nx, -ny
        out[k, 0], out[k, 1] = nx, ny
    return out


@numba.njit(cache=True, nogil=True)
def settle(
    cells: Cells, frame: Triple, pose: Triple, points: FloatArray, facing: FloatArray, time: float
) -> NDArray[np.int64]:
    """Enter a scan from a pose (x, y, yaw) at `time` s into the means of its cells.

    frame: x and y of the first cell's corner and the cells' side, m; points, facing: (n, 2), as `normals` has them. The
    other side of a thin wall is not mixed with the first one. Returns the cells, row · columns + column, that are
    STEADY from now on.
    """
    rows, columns = cells.table.shape[0] * SIDE, cells.table.shape[1] * SIDE
    surfaces, steady, n = cells.surfaces, np.empty(points.shape[0], np.int64), 0
    (x0, y0, cell), (x, y, yaw) = frame, pose
    c, s = math.cos(yaw), math.sin(yaw)
    for k in range(points.shape[0]):
        nx, ny = c * facing[k, 0] - s * facing[k, 1], s * facing[k, 0] + c * facing[k, 1]
        u = x + c * points[k, 0] - s * points[k, 1] - x0
        v = y + s * points[k, 0] + c * points[k, 1] - y0
        j, i = math.floor(u / cell), math.floor(v / cell)
        if not (0 <= i < rows and 0 <= j < columns) or cells.table[i >> 3, j >> 3] == 0:
            continue
        at = place(cells.table, i, j)
        count = surfaces[at, 0]
        if count >= STEADY or (nx == 0.0 and ny == 0.0):
            continue
        if surfaces[at, 3] * nx + surfaces[at, 4] * ny < AGREE * count:
            continue
        if count == 0.0:
            surfaces[at, 5] = time if surfaces[at, 5] != CAME else time + FOLLOWS
        surfaces[at, 0] += 1.0
        surfaces[at, 1] += u - j * cell
        surfaces[at, 2] += v - i * cell
        surfaces[at, 3] += nx
        surfaces[at, 4] += ny
        if count == STEADY - 1.0:
            steady[n], n = i * columns + j, n + 1
    return steady[:n]


@numba.njit(cache=True, nogil=True)
def equations(
    cells: Cells, frame: Triple, pose: Triple, points: FloatArray, facing: FloatArray, until: float
) -> tuple[FloatArray, FloatArray, int]:
    """Normal equations (3, 3) and (3,) of the correction in x, y and yaw, and the number of points with a surface.

    A point's surface is the nearest mean around it that faces its way and was first seen before `until` s.
    """
    (x0, y0, cell), (x, y, yaw) = frame, pose
    c, s = math.cos(yaw), math.sin(yaw)
    table, surfaces, reach = cells.table, cells.surfaces, math.ceil(GATE / cell - 0.01) - 1
    rows, columns = table.shape[0] * SIDE, table.shape[1] * SIDE
    normal = np.zeros((3, 3))
    right = np.zeros(3)
    used = 0
    for k in range(points.shape[0]):
        fx, fy = c * facing[k, 0] - s * facing[k, 1], s * facing[k, 0] + c * facing[k, 1]
        if fx == 0.0 and fy == 0.0:
            continue
        dx, dy = c * points[k, 0] - s * points[k, 1], s * points[k, 0] + c * points[k, 1]
        u, v = x + dx - x0, y + dy - y0
        i, j = math.floor(v / cell), math.floor(u / cell)
        nearest, residual, nx, ny = GATE * GATE, 0.0, 0.0, 0.0
        for p in range(max(0, i - reach), min(rows, i + reach + 1)):
            for q in range(max(0, j - reach), min(columns, j + reach + 1)):
                at = place(table, p, q)
                count = surfaces[at, 0]
                if count < 2.0 or surfaces[at, 5] > until:
                    continue
                along = math.hypot(surfaces[at, 3], surfaces[at, 4])
                if surfaces[at, 3] * fx + surfaces[at, 4] * fy < AGREE * along or along == 0.0:
                    continue
                ex = q * cell + surfaces[at, 1] / count - u
                ey = p * cell + surfaces[at, 2] / count - v
                if ex * ex + ey * ey < nearest:
                    nearest = ex * ex + ey * ey
                    nx, ny = surfaces[at, 3] / along, surfaces[at, 4] / along
                    residual = nx * ex + ny * ey
        if nx == 0.0 and ny == 0.0:
            continue
        weight = (1.0 - (residual / GATE) ** 2) ** 2
        jacobian = (nx, ny, ny * dx - nx * dy)
        for p in range(3):
            right[p] += weight * jacobian[p] * residual
            for q in range(3):
                normal[p, q] += weight * jacobian[p] * jacobian[q]
        used += 1
    return normal, right, used


def foreseen(spread: FloatArray, dx: float, dy: float, turn: float) -> FloatArray:
    """The covariance (3, 3) of x, y and yaw after the robot has moved by (dx, dy) m and turned by `turn` rad.

    What it was, carried along, and what odometry adds: shares of the way and of the turn.
    """
    carry = np.array([[1.0, 0.0, -dy], [0.0, 1.0, dx], [0.0, 0.0, 1.0]])
    way = math.hypot(dx, dy)
    place = (DRIFT * way) ** 2 + 1e-10
    return carry @ spread @ carry.T + np.diag(
        (place, place, (DRIFT * way + TURN_DRIFT * abs(turn)) ** 2 + 1e-10)
    )


def align(
    cells: Cells,
    frame: Triple,
    pose: Triple,
    spread: FloatArray,
    points: FloatArray,
    facing: FloatArray,
    time: float,
) -> tuple[Triple, FloatArray]:
    """The most likely pose (x, y, yaw), and its covariance (3, 3), from where odometry has it and how sure that is.

    points, facing: (n, 2) m in the body frame and their `normals`, seen at `time` s. Gauss and Newton's method on the
    squared distances of the points to their surfaces over READING_SD², and that from the pose foreseen by its
    covariance.
    """
    here = np.array(pose)
    trust = np.linalg.inv(spread)
    surely = trust
    for _ in range(ROUNDS):
        x, y, yaw = here.tolist()
        normal, right, used = equations(cells, frame, (x, y, yaw), points, facing, time - SETTLED)
        if used < LEAST_POINTS:
            return pose, spread
        surely = normal / READING_SD**2 + trust
        step = np.linalg.solve(surely, right / READING_SD**2 - trust @ (here - pose))
        here += step
        if np.abs(step).max() < 1e-4:
            break
    x, y, yaw = here.tolist()
    return (x, y, yaw), np.linalg.inv(surely)
