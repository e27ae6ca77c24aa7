"""How a base answers a step of speed: delay, acceleration, speed reached and braking, from samples of its odometry.

The answer is taken for a ramp behind a dead time: nothing for `delay`, then a straight rise to the speed. The ramp is
fitted by the least sum of absolute errors, which a few wild samples do not move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

LEAST_SAMPLES = 6  # of an answer, from the command on
LEAST_SHARE = 0.2  # of the commanded speed; less is no answer
STEADY_FOR = 0.2  # s before the stop over which the speed reached is taken
STEADY = 0.05  # share by which the speed may still grow in that time
GRID, ZOOMS = 41, 7  # tries along either side of a fit, and how often it looks closer


class Spread(NamedTuple):
    """A quantity over repetitions."""

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: ArrayLike) -> Spread:
        """Of (n,) values, one at least."""
        array = np.asarray(values, np.float64)
        return cls(float(np.median(array)), float(array.min()), float(array.max()), array.size)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A speed that was commanded from a rest, held and taken back, and what odometry said meanwhile.

    commanded: m/s, or rad/s; begun, ended: s, when the speed and when zero was first sent; times: (n,) s of the
    samples, on the same clock and in any order; speeds: (n,) as commanded. ValueError where they do not
    fit each other.
    """

    commanded: float
    begun: float
    ended: float
    times: FloatArray
    speeds: FloatArray

    def __post_init__(self) -> None:
        times, first = np.unique(np.asarray(self.times, np.float64), return_index=True)
        speeds = np.asarray(self.speeds, np.float64)
        if speeds.shape != np.shape(self.times) or speeds.ndim != 1:
            raise ValueError(
                f"step: {np.shape(self.times)} times and {speeds.shape} speeds, expected as many, (n,)"
            )
        if not (np.isfinite(times).all() and np.isfinite(speeds).all()):
            raise ValueError("step: times and speeds must be finite")
        if not (self.commanded != 0.0 and math.isfinite(self.commanded) and self.begun < self.ended):
            raise ValueError(f"step: {self.commanded} from {self.begun} to {self.ended} s is no step")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "speeds", speeds[first])


class Response(NamedTuple):
    """speed: reached, m/s (or rad/s); steady: whether it no longer grew; acceleration, braking: m/s²; delay and
    stop_delay: s from command and stop to the motion's answer; way: m from the stop to rest.

    Braking is what makes that way: no more than the slope, and no more than v² / (2 (way - v stop_delay)).
    """

    speed: float
    steady: bool
    acceleration: float
    delay: float
    braking: float
    stop_delay: float
    way: float


def respond(step: Step) -> Response:
    """What a step shows. ValueError, one line, where it shows nothing: too few samples, or no motion."""
    sign = math.copysign(1.0, step.commanded)
    times, speeds = step.times, sign * step.speeds
    rising = (times >= step.begun) & (times <= step.ended)
    falling = times >= step.ended
    if min(np.count_nonzero(rising), np.count_nonzero(falling)) < LEAST_SAMPLES:
        raise ValueError(
            f"odometry: {np.count_nonzero(rising)} messages while it drove and {np.count_nonzero(falling)} after; "
            f"expected {LEAST_SAMPLES} of each at least"
        )
    last = rising & (times >= min(step.ended - STEADY_FOR, times[rising][-3]))
    speed = float(np.median(speeds[last]))
    if speed < LEAST_SHARE * abs(step.commanded):
        raise ValueError(
            f"odometry: {sign * speed:.3g} was reached where {step.commanded:.3g} was commanded: it does not follow"
        )
    onset, rise = fit_ramp(times[rising] - step.begun, speeds[rising] / speed)
    stop_onset, fall = fit_ramp(times[falling] - step.ended, 1.0 - speeds[falling] / speed)
    grown = speed / rise * max(onset + rise - (step.ended - STEADY_FOR - step.begun), 0.0)
    until = falling & (times <= step.ended + stop_onset + 2.0 * fall + STEADY_FOR)
    way = _integral(np.append(step.ended, times[until]), np.append(speed, speeds[until]))
    slope, beyond = speed / fall, way - speed * stop_onset
    braking = min(slope, 0.5 * speed * speed / beyond) if beyond > 0.0 else slope
    return Response(speed, grown < STEADY * speed, speed / rise, onset, braking, stop_onset, way)


def fit_ramp(times: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Onset and duration in s of the ramp from 0 to 1 nearest to samples; of those as near, the longest.

    times: (n,) s from the command on; values: (n,) as shares. The duration is no less than 1 ms.
    """
    span = max(float(times.max()), 1e-3)
    onset, duration, reach = 0.5 * span, 0.5 * span, 0.5 * span
    for _ in range(ZOOMS):
        steps = np.linspace(-reach, reach, GRID)
        onsets = np.clip(onset + steps, 0.0, span)
        durations = np.clip(duration - steps, 1e-3, span)  # the longest first
        share = (times - onsets[:, None, None]) / durations[None, :, None]
        errors = np.abs(np.clip(share, 0.0, 1.0) - values).sum(2)
        good = errors <= errors.min() + 1e-9 * times.size
        column = int(np.argmax(good.any(0)))
        onset, duration = float(onsets[int(np.argmax(good[:, column]))]), float(durations[column])
        reach *= 0.3
    return onset, duration


def _integral(times: FloatArray, values: FloatArray) -> float:
    """By the trapezoidal rule."""
    return float(np.sum(0.5 * (values[1:] + values[:-1]) * np.diff(times)))


def rate(stamps: Sequence[float]) -> Spread:
    """Messages a second by their stamps, (n,) s in any order: median; by the longest and by the shortest gap.

    ValueError where fewer than three differ.
    """
    gaps = np.diff(np.unique(np.asarray(stamps, np.float64)))
    if gaps.size < 2:
        raise ValueError(f"{gaps.size + 1 if len(stamps) else 0} stamps that differ; expected 3 at least")
    return Spread(
        float(1.0 / np.median(gaps)), float(1.0 / gaps.max()), float(1.0 / gaps.min()), gaps.size + 1
    )


@dataclass(frozen=True, slots=True)
class Identified:
    """What was measured of a base, each over the repetitions; speed in m/s, yaw_rate in rad/s.

    delay: s from a command to its answer, of starts and stops; odometry_rate, scan_rate: Hz; steady: whether all steps
    reached a speed that no longer grew.
    """

    speed: Spread
    acceleration: Spread
    braking: Spread
    delay: Spread
    yaw_rate: Spread
    yaw_acceleration: Spread
    odometry_rate: Spread
    scan_rate: Spread
    steady: bool


def identify(
    ahead: Sequence[Step],
    turns: Sequence[Step],
    odometry_stamps: Sequence[float],
    scan_stamps: Sequence[float],
) -> Identified:
    """What steps straight ahead and turns show together. ValueError where a step shows nothing."""
    moved, turned = [respond(step) for step in ahead], [respond(step) for step in turns]
    both = [*moved, *turned]
    return Identified(
        Spread.of([r.speed for r in moved]),
        Spread.of([r.acceleration for r in moved]),
        Spread.of([r.braking for r in moved]),
        Spread.of([delay for r in both for delay in (r.delay, r.stop_delay)]),
        Spread.of([r.speed for r in turned]),
        Spread.of([min(r.acceleration, r.braking) for r in turned]),
        rate(odometry_stamps),
        rate(scan_stamps),
        all(r.steady for r in both),
    )
