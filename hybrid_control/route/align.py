"""Where the robot stands on the grid: scans are laid over what earlier ones saw, which undoes the odometry's drift.

Every cell keeps the mean of the readings that fell into it, the first ones of them for good, so that the map does not
drift along with the robot. A scan is moved and turned until its points lie on the lines through those means: the
point-to-line metric of Chen and Medioni (Image and Vision Computing 10, 1992), with Tukey's weights against what is
new or moves.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from hybrid_control.route.field import FloatArray

STEADY = 25.0  # readings after which a cell's mean stays as it is
GATE = 0.20  # m from the line beyond which a point does not count
ROUNDS = 4  # of association and solution
STIFFNESS = 0.03  # trust in odometry, m² per point: where the scene shows nothing, it is believed
LEAST_POINTS = 30  # on lines, or nothing is corrected
LINE_SHARE = 0.15  # of a neighbourhood's longer variance, below which its shorter one makes a line


@numba.njit(cache=True, nogil=True)
def settle(
    surfaces: FloatArray,
    x0: float,
    y0: float,
    cell: float,
    x: float,
    y: float,
    towards_x: float,
    towards_y: float,
) -> None:
    """Enter a reading at (x, y), taken from the direction (towards_x, towards_y), into its cell's mean.

    surfaces: (rows, columns, 5) count, sums of x and y in m, sums of the unit vectors to where it was seen from. A
    thin wall's other side is not mixed with the one that was seen first.
    """
    j, i = math.floor((x - x0) / cell), math.floor((y - y0) / cell)
    if not (0 <= i < surfaces.shape[0] and 0 <= j < surfaces.shape[1]) or surfaces[i, j, 0] >= STEADY:
        return
    if surfaces[i, j, 3] * towards_x + surfaces[i, j, 4] * towards_y < 0.0:
        return
    surfaces[i, j, 0] += 1.0
    surfaces[i, j, 1] += x - x0
    surfaces[i, j, 2] += y - y0
    surfaces[i, j, 3] += towards_x
    surfaces[i, j, 4] += towards_y


@numba.njit(cache=True, nogil=True)
def line_near(
    surfaces: FloatArray, cell: float, u: float, v: float, towards_x: float, towards_y: float
) -> tuple[bool, float, float, float, float]:
    """The line through the means around (u, v), m from the grid's corner: (found, a point of it, its normal).

    Of the means that were seen from about where (towards_x, towards_y) points.
    """
    rows, columns = surfaces.shape[0], surfaces.shape[1]
    i, j = math.floor(v / cell), math.floor(u / cell)
    n = sx = sy = sxx = sxy = syy = 0.0
    for p in range(max(0, i - 1), min(rows, i + 2)):
        for q in range(max(0, j - 1), min(columns, j + 2)):
            count = surfaces[p, q, 0]
            seen_from = surfaces[p, q, 3] * towards_x + surfaces[p, q, 4] * towards_y
            if count < 2.0 or seen_from <= 0.0:
                continue
            mx, my = surfaces[p, q, 1] / count - u, surfaces[p, q, 2] / count - v
            n += 1.0
            sx += mx
            sy += my
            sxx += mx * mx
            sxy += mx * my
            syy += my * my
    if n < 2.0:
        return False, 0.0, 0.0, 0.0, 0.0
    mx, my = sx / n, sy / n
    a, b, c = sxx / n - mx * mx, sxy / n - mx * my, syy / n - my * my
    root = math.sqrt(0.25 * (a - c) ** 2 + b * b)
    long, short = 0.5 * (a + c) + root, 0.5 * (a + c) - root
    if long < 1e-4 or short > LINE_SHARE * long:
        return False, 0.0, 0.0, 0.0, 0.0
    angle = 0.5 * math.atan2(2.0 * b, a - c)
    return True, u + mx, v + my, -math.sin(angle), math.cos(angle)


@numba.njit(cache=True, nogil=True)
def equations(
    surfaces: FloatArray,
    x0: float,
    y0: float,
    cell: float,
    x: float,
    y: float,
    yaw: float,
    points: FloatArray,
) -> tuple[FloatArray, FloatArray, int]:
    """Normal equations (3, 3) and (3,) of the correction in x, y and yaw, and the number of points on lines."""
    c, s = math.cos(yaw), math.sin(yaw)
    normal = np.zeros((3, 3))
    right = np.zeros(3)
    used = 0
    for k in range(points.shape[0]):
        dx, dy = c * points[k, 0] - s * points[k, 1], s * points[k, 0] + c * points[k, 1]
        u, v = x + dx - x0, y + dy - y0
        distance = math.hypot(dx, dy)
        found, mu, mv, nx, ny = line_near(surfaces, cell, u, v, -dx / distance, -dy / distance)
        if not found:
            continue
        residual = nx * (mu - u) + ny * (mv - v)
        if abs(residual) >= GATE:
            continue
        weight = (1.0 - (residual / GATE) ** 2) ** 2
        jacobian = (nx, ny, ny * dx - nx * dy)
        for p in range(3):
            right[p] += weight * jacobian[p] * residual
            for q in range(3):
                normal[p, q] += weight * jacobian[p] * jacobian[q]
        used += 1
    return normal, right, used


def align(
    surfaces: FloatArray,
    x0: float,
    y0: float,
    cell: float,
    x: float,
    y: float,
    yaw: float,
    points: FloatArray,
) -> tuple[float, float, float]:
    """The pose at which the points lie best on the surfaces, near (x, y, yaw); this one where too few lie on lines.

    points: (n, 2) m in the body frame. Least squares of the distances to the lines, and STIFFNESS times the
    squares of the correction in m, and in rad times a lever of 1 m.
    """
    for _ in range(ROUNDS):
        normal, right, used = equations(surfaces, x0, y0, cell, x, y, yaw, points)
        if used < LEAST_POINTS:
            break
        step = np.linalg.solve(normal + STIFFNESS * used * np.eye(3), right).tolist()
        x, y, yaw = x + step[0], y + step[1], yaw + step[2]
        if max(map(abs, step)) < 1e-4:
            break
    return x, y, yaw
