"""The arrays of a CoLaNET: what is learnt, samples as spikes, what the ticks need; and its numbers for the kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet import rules
from hybrid_control.colanet.settings import INPUT_TICKS, Settings

TRAINS = 32  # spike trains that a value from a tenth of the saturation to all of it can have
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
BATCH = 256  # samples at once
NEVER = -1000  # tick of the last spike of a neuron that has not fired


class Weights(NamedTuple):
    """What is learnt, of all copies; a neuron's number is its column times M plus its place in it."""

    resource: Floats  # (copies, neurons, inputs): what the rules change
    weight: Ints  # (copies, inputs, neurons), in quanta: what follows from it
    positive: NDArray[np.int64]  # (copies, neurons): sum of the weights above 0, in quanta
    stability: Floats  # (copies, neurons)
    free: Floats  # (copies, neurons)


class Numbers(NamedTuple):
    """`Settings` as the kernel takes them."""

    m: int
    decay: np.float32
    window: int  # ticks before a tight spike sequence in which a spike contributes: 3 tau
    t_dopamine: int
    isi_max: int
    reward_isi: int  # isi_max, or 0 where the stability follows the rule of three factors
    dopamine: np.float32
    d_h: np.float32
    rate: np.float32
    w_min: np.float32
    w_max: np.float32
    n_silent: int
    kappa: float
    noise: np.float32
    saturation: float
    one_winner: bool
    foreign: np.float32
    low: np.float32
    gain: np.float32  # saturation per value above low
    quantum: float
    seed: int


class Batch(NamedTuple):
    """Samples as spikes, for all copies: each copy goes through the batch while its weights are in the cache."""

    order: Ints  # (BATCH, inputs): those that spike, by train
    starts: Ints  # (BATCH, TRAINS + 1): where each train's inputs begin in it
    trains: Ints  # (BATCH, TRAINS): bit k is a spike that is heard at tick k
    kinds: Ints  # (BATCH,): how many trains there are
    known: Ints  # (1024,): a train's place in trains, or -1
    place: Ints  # (inputs,): each input's train, -1 without a spike
    pairs: (
        Ints  # (copies, turns, values): of each turn the values, those that are turned together side by side
    )
    values: Floats  # (values,) of one sample, as a copy turns them
    inputs: Floats  # (inputs,) that it makes of them


class Sample(NamedTuple):
    """One of them."""

    order: Ints
    starts: Ints
    trains: Ints
    kinds: int


class Scratch(NamedTuple):
    """What the ticks of one copy need, made once."""

    sums: Ints  # (TRAINS, neurons): of the weights of each train's inputs
    drive: Ints  # (INPUT_TICKS + 1, neurons): what is heard at each tick
    u: Floats  # (neurons,)
    above: Floats  # (neurons,): u less the threshold
    threshold: Floats  # (neurons,)
    best: Floats  # (neurons,): of each column, its place: the largest of above so far
    activity: Ints  # (neurons,): of the gating
    last: Ints  # (neurons,): tick of the last spike
    first: Ints  # (neurons,): tick at which the tight spike sequence began; -1 after forced firing
    contributed: NDArray[np.uint32]  # (neurons,): a bit per train
    depressed: NDArray[np.uint32]  # (neurons,): which of these had the anti-Hebbian rule


def inputs_of(settings: Settings, values: int) -> int:
    """How many inputs a sample of so many values has."""
    return 2 * values if settings.turns else values


def numbers_of(settings: Settings, inputs: int, seed: int) -> Numbers:
    """The kernel's numbers for so many inputs."""
    s = settings
    largest = max(-s.w_min, s.w_max) * inputs
    quantum = 2.0 ** np.ceil(np.log2(largest / 2**30))
    f = np.float32
    return Numbers(
        s.microcolumns, f(1.0 - 1.0 / s.tau), int(3.0 * s.tau), s.t_dopamine, s.isi_max,
        s.isi_max if s.stability_rule == "two-factor" else 0, f(s.dopamine), f(s.anti_hebbian), f(s.stability),
        f(s.w_min), f(s.w_max), s.n_silent, s.kappa, f(s.noise), s.saturation, s.winners == "one", f(s.foreign),
        f(s.low), f(s.saturation / (s.high - s.low)), quantum, seed,
    )  # fmt: skip


def new_weights(settings: Settings, copies: int, inputs: int, neurons: int) -> Weights:
    """Of neurons that have learnt nothing: every weight 0."""
    start = np.float32(rules.start_resource(settings.w_min, settings.w_max))
    return Weights(
        np.full((copies, neurons, inputs), start, np.float32),
        np.zeros((copies, inputs, neurons), np.int32),
        np.zeros((copies, neurons), np.int64),
        np.zeros((copies, neurons), np.float32),
        np.zeros((copies, neurons), np.float32),
    )


def new_batch(settings: Settings, copies: int, values: int, seed: int) -> Batch:
    """For samples of so many values."""
    inputs = inputs_of(settings, values)
    pairs = np.empty((copies, settings.turns, values), np.int32)
    for copy in range(copies):
        rng = np.random.default_rng((seed, copy, 1))
        for turn in range(settings.turns):
            pairs[copy, turn] = rng.permutation(values)
    return Batch(
        np.zeros((BATCH, inputs), np.int32), np.zeros((BATCH, TRAINS + 1), np.int32),
        np.zeros((BATCH, TRAINS), np.int32), np.zeros(BATCH, np.int32), np.zeros(1 << INPUT_TICKS, np.int32),
        np.zeros(inputs, np.int32), pairs, np.zeros(values, np.float32), np.zeros(inputs, np.float32),
    )  # fmt: skip


def new_scratch(neurons: int) -> Scratch:
    """For so many neurons."""
    u, above, threshold, best = (np.zeros(neurons, np.float32) for _ in range(4))
    activity, last, first = (np.zeros(neurons, np.int32) for _ in range(3))
    contributed, depressed = (np.zeros(neurons, np.uint32) for _ in range(2))
    sums, drive = np.zeros((TRAINS, neurons), np.int32), np.zeros((INPUT_TICKS + 1, neurons), np.int32)
    return Scratch(sums, drive, u, above, threshold, best, activity, last, first, contributed, depressed)
