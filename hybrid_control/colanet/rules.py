"""The rules of CoLaNET, each a small compiled function of plain numbers, in float32 unless said.

After Kiselev, "CoLaNET – A Spiking Neural Network with Columnar Layered Architecture for Classification", 2024
(arXiv:2409.01230). What its text leaves open is decided as KasperskyLab/knp does: the stability never falls below 0, a
spike changes the stability before it changes the weights, and a reward after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
TURN = np.float32(0.5**0.5)
OPEN = np.iinfo(np.int32).max  # activity of a neuron that nothing gates


def start_resource(w_min: float, w_max: float) -> float:
    """The resource of a synapse of weight 0: -w_min (w_max - w_min) / w_max."""
    return -w_min * (w_max - w_min) / w_max


@njit(cache=True, nogil=True, inline="always")
def weight_of(resource: Any, w_min: Any, w_max: Any) -> Any:
    """w = w_min + (w_max - w_min) W⁺ / (w_max - w_min + W⁺), W⁺ = max(W, 0)."""
    positive = max(resource, ZERO)
    span = w_max - w_min
    return w_min + span * (positive / (span + positive))


@njit(cache=True, nogil=True)
def moved(activity: int) -> int:
    """Gating, a tick later: the activity goes by 1 to 0; from -1 it becomes OPEN. At 0 and below input is ignored."""
    if activity == OPEN or activity == 0:
        return activity
    if activity > 0:
        return activity - 1
    return OPEN if activity == -1 else activity + 1


@njit(cache=True, nogil=True)
def plasticity(stability: Any) -> Any:
    """By how much a neuron still learns: min(2^-s, 1)."""
    return np.float32(min(2.0 ** -np.float64(stability), 1.0))


@njit(cache=True, nogil=True)
def anti_hebbian(d_h: Any, stability: Any) -> Any:
    """ΔW of a synapse that contributed to an unforced spike, once in a tight spike sequence: d_H min(2^-s, 1)."""
    return d_h * plasticity(stability)


@njit(cache=True, nogil=True)
def returned(d_h: Any, stability: Any, stays: Any) -> Any:
    """ΔW at the time of the reward in columns that are not the label's: all but a part of what the rule took."""
    return (stays - ONE) * anti_hebbian(d_h, stability)


@njit(cache=True, nogil=True)
def dopamine(reward: Any, stability: Any, forced: bool) -> Any:
    """ΔW of a synapse that contributed: R min(2^-s, 1); 0 where the firing was forced and R <= 0."""
    return ZERO if forced and reward <= ZERO else reward * plasticity(stability)


@njit(cache=True, nogil=True)
def continues(interval: int, isi_max: int, after_forced: bool) -> bool:
    """Whether a spike, so many ticks after the one before it, is of the same tight spike sequence."""
    return not after_forced and 0 < interval <= isi_max


@njit(cache=True, nogil=True)
def stability_at_start(stability: Any, rate: Any, d_h: Any) -> Any:
    """At the start of a tight spike sequence: s + r d_H, not below 0."""
    return max(stability + rate * d_h, ZERO)


@njit(cache=True, nogil=True)
def stability_at_reward(stability: Any, change: Any, forced: bool, since: int, isi_max: int) -> Any:
    """After a reward R, not below 0; change: r R; since: ticks from the start of the sequence; isi_max: 0 means
    three factors.

    Forced: s - r R. Punished (R < 0): s + r R. Unforced: s + r R max(2 - |since - isi_max| / isi_max, -1) by two
    factors, s - 2 r R by three.
    """
    if forced:
        return max(stability - change, ZERO)
    if change < ZERO:
        return max(stability + change, ZERO)
    if isi_max == 0:
        return max(stability - TWO * change, ZERO)
    distance = np.float32(abs(since - isi_max)) / np.float32(isi_max)
    return max(stability + change * max(TWO - distance, -ONE), ZERO)


@njit(cache=True, nogil=True)
def renormalisation(free: Any, synapses: int, n_silent: int) -> Any:
    """What every resource grows by outside a tight spike sequence: free / (N + N_silent) where |free| >= 1, else 0."""
    return free / np.float32(synapses + n_silent) if abs(free) >= ONE else ZERO


@njit(cache=True, nogil=True)
def uniform(key: Any, tick: Any, neuron: Any) -> Any:
    """A number in [0, 1) that a key, a tick and a neuron determine: no state, so nothing depends on the order."""
    h = np.uint32(
        key ^ np.uint32(np.uint32(tick * np.uint32(0x9E3779B9)) + np.uint32(neuron * np.uint32(0x85EBCA6B)))
    )
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    return np.float32(h >> np.uint32(8)) * np.float32(2.0**-24)


@njit(cache=True, nogil=True)
def key_of(seed: int, copy: int, sample: int) -> Any:
    """The key of one copy's noise during one sample."""
    h = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(copy)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(sample)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32((h ^ (h >> np.uint64(31))) & np.uint64(0xFFFFFFFF))


@njit(cache=True, nogil=True)
def turned(a: Any, b: Any) -> Any:
    """Two values after an eighth of a turn: (a + b) / √2 and (a - b) / √2."""
    return (a + b) * TURN, (a - b) * TURN


@njit(cache=True, nogil=True)
def spike_train(value: float, saturation: float, ticks: int) -> int:
    """Rate code: bit k is set where the input fires at tick k; a += min(x / sat, 1), a spike and a -= 1 at a >= 1.

    a is counted in 1/161,280 (2,520 is what all of 1..10 divide), so that a tenth ten times is 1 and no less.
    """
    step = round(min(value / saturation, 1.0) * 161280.0)
    train, level = 0, 0
    for tick in range(ticks):
        level += step
        if level >= 161280:
            level -= 161280
            train |= 1 << tick
    return train


Floats = NDArray[np.float32]
