"""The Mackey-Glass series, cut as NeuroBench's benchmark cuts it, and how forecasts of it are judged.

dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, a point every 1/75 of a Lyapunov time (197). At each of 30 offsets
750 points are learned from and the next 750 are forecast, each from the forecasts before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TAU, LYAPUNOV_TIME, PER_LYAPUNOV = 17, 197, 75
PAST, DEVELOPMENT_PAST = (
    0.7206597,
    1.1,
)  # what it was before it began: NeuroBench's, and where choices were made
LEARNED = FORECAST = 10 * PER_LYAPUNOV  # points
OFFSETS = tuple(k * PER_LYAPUNOV // 2 for k in range(30))  # half a Lyapunov time apart
POINTS = OFFSETS[-1] + LEARNED + FORECAST + 1


def series(points: int = POINTS, past: float = PAST, per_lyapunov: int = PER_LYAPUNOV) -> Array:
    """(points,) from t = 17 on, where NeuroBench's begins, by Runge-Kutta of the fourth order.

    A step of 1/75 divides the delay and the time between points, so only its middles are interpolated (Hermite, of
    the third order). per_lyapunov: a multiple of 75 takes finer steps and gives the same times. After 10 Lyapunov times
    it is right to 2e-9 and after 20 to 3e-5 (beside half the step).
    """
    step, lag = 1.0 / per_lyapunov, TAU * per_lyapunov
    between = LYAPUNOV_TIME * per_lyapunov // PER_LYAPUNOV
    begin = 2 * lag  # t = 17: `lag` steps of past, and as many that lead to where it begins
    last = begin + (points - 1) * between
    x, slope = [past] * (last + 1), [0.0] * (last + 1)
    for k in range(lag, last):
        early, late = x[k - lag], x[k - lag + 1]
        middle = 0.5 * (early + late)
        if k - lag >= lag:  # before t = 0 it stands still
            middle += step / 8.0 * (slope[k - lag] - slope[k - lag + 1])
        drives = [0.2 * u / (1.0 + u**10) for u in (early, middle, late)]
        y = x[k]
        a = slope[k] = drives[0] - 0.1 * y
        b = drives[1] - 0.1 * (y + step / 2.0 * a)
        c = drives[1] - 0.1 * (y + step / 2.0 * b)
        d = drives[2] - 0.1 * (y + step * c)
        x[k + 1] = y + step / 6.0 * (a + 2.0 * b + 2.0 * c + d)
    return np.array(x[begin::between])


def cut(values: Array, offset: int) -> tuple[Array, Array]:
    """The points to learn from, with the first that is to be forecast's input as last (751,), and the truth (750,)."""
    end = offset + LEARNED
    return values[offset : end + 1], values[end + 1 : end + 1 + FORECAST]


def smape(forecast: Array, truth: Array) -> float:
    """Symmetric mean absolute percentage error, 0 to 200; 200 where it is no number, as NeuroBench has it."""
    with np.errstate(invalid="ignore"):
        error = 200.0 * np.mean(np.abs(forecast - truth) / (np.abs(forecast) + np.abs(truth)))
    return float(error) if np.isfinite(error) else 200.0


def constant(values: Array) -> list[float]:
    """Of each offset the error of the mean of what was learned from."""
    errors = []
    for offset in OFFSETS:
        learned, truth = cut(values, offset)
        errors.append(smape(np.full(FORECAST, learned[:-1].mean()), truth))
    return errors


def interval(errors: Sequence[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval: 1.96 standard errors."""
    return float(np.mean(errors)), float(1.96 * np.std(errors, ddof=1) / np.sqrt(len(errors)))
