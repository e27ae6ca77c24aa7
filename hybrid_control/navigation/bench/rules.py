"""The rules an episode is judged by, its score, and the statistics of many episodes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from hybrid_control.navigation.episode import Rules

# barn: The BARN Challenge (Xiao et al.), as in its public evaluation. arena: the evaluation of Spiking-DDPG (Tang,
# Kumar and Michmizos, "Reinforcement co-learning of deep and spiking neural networks", IROS 2020).
RULES: dict[str, Rules] = {
    "default": Rules(),
    "barn": Rules("barn", goal_radius=1.0, duration=100.0, max_speed=2.0),
    "arena": Rules("arena", goal_radius=0.5, duration=100.0, max_speed=0.5, centre_contact=0.18, track=0.25),
}


def rules(name: str, max_speed: float | None = None) -> Rules:
    """The rules of that name, with another speed limit where one is given; ValueError where there are none."""
    if name not in RULES:
        raise ValueError(f"--rules: unknown rules {name!r}; there are {', '.join(RULES)}")
    found = RULES[name]
    if max_speed is None:
        return found
    if not 0 < max_speed <= 10:
        raise ValueError(f"--max-speed {max_speed:g}: expected more than 0, at most 10 m/s")
    return dataclasses.replace(found, max_speed=max_speed)


SCORE_SPEED = 2.0  # m/s at which the optimal time is taken, whatever the robot's limit


def score(success: bool, path_length: float, time: float) -> float:
    """The BARN score of one episode, 0 .. 0.5: success · OT / clip(AT, 2·OT, 8·OT).

    path_length: m of the shortest path, OT = path_length / 2 m/s; time: AT, s taken. ValueError where the path's
    length is not positive or the time is negative.
    """
    if not (path_length > 0 and math.isfinite(path_length)):
        raise ValueError(f"score: path length {path_length} m must be > 0 and finite")
    if not time >= 0:
        raise ValueError(f"score: time {time} s must be >= 0")
    if not success:
        return 0.0
    optimal = path_length / SCORE_SPEED
    return optimal / min(max(time, 2.0 * optimal), 8.0 * optimal)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson, J. Am. Stat. Assoc. 22, 1927); (0, 1) of no trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"wilson: {successes} successes of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    share = successes / trials
    scale = 1.0 + z * z / trials
    middle = (share + z * z / (2.0 * trials)) / scale
    half = z / scale * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials))
    low = 0.0 if successes == 0 else middle - half  # exact there, rounding aside
    high = 1.0 if successes == trials else middle + half
    return low, high


def bootstrap(
    values: Sequence[float], confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron 1979); NaN of no values.

    The same values give the same interval, for the draws come from `seed`.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, array.size, (draws, array.size))].mean(axis=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(means, (tail, 100.0 - tail)).tolist()
    return low, high
