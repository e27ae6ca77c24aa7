"""The compiled course of one sample: 15 ticks of all columns of one copy, and what they learn from it.

It is a kernel of its own because the engine of `snn` has neither gating nor resources behind weights, and because of
what the construction gives: all neurons share their inputs, and an input's 10 ticks are one of 32 spike trains. So a
weight is visited once in a sample, when the weights of all inputs with the same train are added up, and what a synapse
contributed is known by its train. Weights are whole numbers of a quantum (a power of two, far below what a rule
changes), so that sums are exact in any order; the resource behind each is float32.

Each sample stands for itself: it begins at rest, as after silence, which ends every tight spike sequence and opens
every gate. That leaves a simple rule for what BIASGATE does: it fires, and forces the label's column, where none of
that column's neurons fired in the 10 ticks with input.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.colanet import rules
from hybrid_control.colanet.settings import FORCE, FORCED_TICK, INPUT_TICKS, REWARD_TICK, SILENCE, THRESHOLD
from hybrid_control.colanet.state import NEVER, TRAINS, Batch, Floats, Ints, Numbers, Sample, Scratch, Weights


@njit(cache=True, nogil=True)
def encode(x: Floats, k: int, saturation: float, batch: Batch) -> None:
    """Make sample k of the batch of inputs x: sort those that spike by their trains."""
    known, place = batch.known, batch.place
    order, starts, trains = batch.order[k], batch.starts[k], batch.trains[k]
    known[:] = -1
    starts[:] = 0
    count = total = 0
    for i in range(len(x)):
        train = rules.spike_train(np.float64(x[i]), saturation, INPUT_TICKS)
        place[i] = -1
        if train:
            if known[train] < 0:
                known[train] = count
                trains[count] = train << 1  # heard a tick later
                count += 1
            place[i] = known[train]
            starts[place[i]] += 1
            total += 1
    end = 0
    for p in range(count):  # from how many there are to where they end
        end += starts[p]
        starts[p] = end
    starts[count] = total
    for i in range(len(x) - 1, -1, -1):  # from behind, so that each end becomes a start
        if place[i] >= 0:
            starts[place[i]] -= 1
            order[starts[place[i]]] = i
    batch.kinds[k] = count


@njit(cache=True, nogil=True)
def see(x: Floats, copy: int, k: int, numbers: Numbers, batch: Batch) -> None:
    """Make sample k of the batch of values x as one copy sees them: turned in its pairs, each as two inputs."""
    values, count = batch.values, len(x)
    values[:] = x
    for turn in range(batch.pairs.shape[1]):
        pairs = batch.pairs[copy, turn]
        for p in range(0, count - 1, 2):  # an odd one is left as it is
            i, j = pairs[p], pairs[p + 1]
            values[i], values[j] = rules.turned(values[i], values[j])
    for i in range(count):
        batch.inputs[i] = max((values[i] - numbers.low) * numbers.gain, rules.ZERO)
        batch.inputs[count + i] = max((-values[i] - numbers.low) * numbers.gain, rules.ZERO)
    encode(batch.inputs, k, numbers.saturation, batch)


@njit(cache=True, nogil=True)
def sample_of(batch: Batch, k: int) -> Sample:
    """Sample k of the batch."""
    return Sample(batch.order[k], batch.starts[k], batch.trains[k], batch.kinds[k])


@njit(cache=True, nogil=True)
def add_up(weight: Ints, sample: Sample, scratch: Scratch) -> None:
    """The drive of every neuron at every tick, in quanta. Each weight of a spiking input is visited once."""
    neurons = weight.shape[1]
    scratch.drive[:] = 0
    for p in range(sample.kinds):
        total = scratch.sums[p]
        total[:] = 0
        j, end = sample.starts[p], sample.starts[p + 1]
        while j + 4 <= end:
            a, b = weight[sample.order[j]], weight[sample.order[j + 1]]
            c, d = weight[sample.order[j + 2]], weight[sample.order[j + 3]]
            for n in range(neurons):
                total[n] += np.int32(np.int32(a[n] + b[n]) + np.int32(c[n] + d[n]))
            j += 4
        while j < end:
            a = weight[sample.order[j]]
            for n in range(neurons):
                total[n] += a[n]
            j += 1
        for tick in range(1, INPUT_TICKS + 1):
            if sample.trains[p] >> tick & 1:
                row = scratch.drive[tick]
                for n in range(neurons):
                    row[n] += total[n]


@njit(cache=True, nogil=True)
def threshold_of(positive: int, numbers: Numbers) -> np.float32:
    """H + κ Σ max(w, 0)."""
    return np.float32(THRESHOLD + numbers.kappa * (positive * numbers.quantum))


@njit(cache=True, nogil=True)
def begin(positive: NDArray[np.int64], numbers: Numbers, scratch: Scratch) -> None:
    """All neurons at rest."""
    for n in range(len(positive)):
        scratch.threshold[n] = threshold_of(positive[n], numbers)
    scratch.u[:] = 0
    scratch.activity[:] = rules.OPEN
    scratch.last[:] = NEVER
    scratch.first[:] = -1
    scratch.contributed[:] = 0
    scratch.depressed[:] = 0


@njit(cache=True, nogil=True)
def integrate(tick: int, key: np.uint32, forced: int, numbers: Numbers, scratch: Scratch) -> int:
    """One tick of every membrane; how many neurons reach their threshold. forced: the column that is, or -1."""
    quantum = np.float32(numbers.quantum)
    row = scratch.drive[tick if tick <= INPUT_TICKS else 0]
    time = np.uint32(tick)
    u, above, threshold, activity = scratch.u, scratch.above, scratch.threshold, scratch.activity
    low, high = forced * numbers.m, (forced + 1) * numbers.m
    if forced < 0:
        low = high = 0
    fired = 0
    for n in range(len(u)):
        push = np.float32(row[n]) * quantum + numbers.noise * rules.uniform(key, time, np.uint32(n))
        push += np.float32(FORCE) if low <= n < high else rules.ZERO
        is_open = activity[n] > 0
        value = max(u[n] * numbers.decay + (push if is_open else rules.ZERO), rules.ZERO)
        u[n] = value
        above[n] = value - threshold[n] if is_open else -rules.ONE
        activity[n] = rules.moved(activity[n])
        fired += above[n] >= rules.ZERO
    return fired


@njit(cache=True, nogil=True)
def compete(column: int, numbers: Numbers, scratch: Scratch) -> int:
    """Who of a column fires at this tick: above >= 0 is left to those. They silence the others. How many fire."""
    low, high = column * numbers.m, (column + 1) * numbers.m
    best, count = -1, 0
    for n in range(low, high):
        if scratch.above[n] >= 0:
            count += 1
            if best < 0 or scratch.above[n] > scratch.above[best]:
                best = n
    if count and numbers.one_winner:
        for n in range(low, high):
            if n != best:
                scratch.above[n] = -rules.ONE
        count = 1
    for n in range(low, high):
        fires = scratch.above[n] >= 0
        if count > fires:  # another one fires
            scratch.activity[n] = -SILENCE
        if fires:
            scratch.u[n] = 0
    return count


@njit(cache=True, nogil=True)
def heard(begin: int, end: int, sample: Sample) -> np.uint32:
    """A bit for each train with a spike that is heard at a tick of begin..end."""
    ticks = (np.int64(1) << (end + 1)) - (np.int64(1) << max(begin, 0))
    bits = np.uint32(0)
    for p in range(sample.kinds):
        if sample.trains[p] & ticks:
            bits |= np.uint32(1) << np.uint32(p)
    return bits


@njit(cache=True, nogil=True)
def quanta(resource: np.float32, numbers: Numbers) -> np.int32:
    """The weight of a resource in whole quanta."""
    weight = rules.weight_of(resource, numbers.w_min, numbers.w_max)
    return np.int32(np.floor(weight * np.float32(1.0 / numbers.quantum) + np.float32(0.5)))


@njit(cache=True, nogil=True)
def grow(
    weights: Weights, where: tuple[int, int], change: np.float32, bits: np.uint32, sample: Sample
) -> None:
    """ΔW to the synapses of these trains, of one neuron (copy, neuron); free goes down by as much in all."""
    copy, n = where
    row = weights.resource[copy, n]
    count = 0
    for p in range(TRAINS):
        if bits >> np.uint32(p) & np.uint32(1):
            for j in range(sample.starts[p], sample.starts[p + 1]):
                row[sample.order[j]] += change
            count += sample.starts[p + 1] - sample.starts[p]
    weights.free[copy, n] -= change * np.float32(count)


@njit(cache=True, nogil=True)
def weigh(
    weights: Weights,
    where: tuple[int, int],
    bits: np.uint32,
    sample: Sample,
    numbers: Numbers,
    scratch: Scratch,
) -> None:
    """Work out anew the weights of the synapses of these trains, and their sums."""
    copy, n = where
    row, weight = weights.resource[copy, n], weights.weight[copy]
    positive = weights.positive[copy, n]
    for p in range(TRAINS):
        if bits >> np.uint32(p) & np.uint32(1):
            total = np.int32(0)
            for j in range(sample.starts[p], sample.starts[p + 1]):
                i = sample.order[j]
                new = quanta(row[i], numbers)
                positive += max(new, np.int32(0)) - max(weight[i, n], np.int32(0))
                weight[i, n] = new
                total += new
            scratch.sums[p, n] = total
    weights.positive[copy, n] = positive
    scratch.threshold[n] = threshold_of(positive, numbers)


@njit(cache=True, nogil=True)
def weigh_all(weights: Weights, where: tuple[int, int], offset: np.float32, numbers: Numbers) -> None:
    """Give every resource of a neuron as much more, and work out its weights anew."""
    copy, n = where
    row, weight = weights.resource[copy, n], weights.weight[copy]
    positive = np.int64(0)
    for i in range(len(row)):
        row[i] += offset
        new = quanta(row[i], numbers)
        positive += max(new, np.int32(0))
        weight[i, n] = new
    weights.positive[copy, n] = positive


@njit(cache=True, nogil=True)
def weigh_copies(weights: Weights, numbers: Numbers) -> None:
    """Work out all weights anew from their resources."""
    for copy in range(weights.resource.shape[0]):
        for n in range(weights.resource.shape[1]):
            weigh_all(weights, (copy, n), rules.ZERO, numbers)


@njit(cache=True, nogil=True)
def spike(
    weights: Weights,
    where: tuple[int, int],
    tick: int,
    forced: bool,
    sample: Sample,
    numbers: Numbers,
    scratch: Scratch,
) -> None:
    """What a neuron (copy, neuron) learns at its spike."""
    copy, n = where
    interval = tick - scratch.last[n]
    scratch.last[n] = tick
    if forced:
        scratch.first[n] = -1
        scratch.contributed[n] = heard(tick - numbers.window, tick, sample)
        return
    if not rules.continues(interval, numbers.isi_max, scratch.first[n] < 0):
        scratch.first[n] = tick
        scratch.contributed[n] = scratch.depressed[n] = 0
        weights.stability[copy, n] = rules.stability_at_start(
            weights.stability[copy, n], numbers.rate, numbers.d_h
        )
    scratch.contributed[n] |= heard(scratch.first[n] - numbers.window, tick, sample)
    new = scratch.contributed[n] & ~scratch.depressed[n]
    if new:
        scratch.depressed[n] |= new
        grow(weights, where, rules.anti_hebbian(numbers.d_h, weights.stability[copy, n]), new, sample)
        weigh(weights, where, new, sample, numbers, scratch)
        for later in range(tick + 1, INPUT_TICKS + 1):
            total = np.int32(0)
            for p in range(sample.kinds):
                if sample.trains[p] >> later & 1:
                    total += scratch.sums[p, n]
            scratch.drive[later, n] = total


@njit(cache=True, nogil=True)
def settle(
    weights: Weights,
    where: tuple[int, int],
    rewarded: bool,
    sample: Sample,
    numbers: Numbers,
    scratch: Scratch,
) -> None:
    """What a neuron that fired learns when the sample is over: of the reward or, in a foreign column, of what it gets
    back; and its renormalisation, as no sequence goes on."""
    copy, n = where
    bits = np.uint32(0)
    if rewarded and REWARD_TICK - scratch.last[n] <= numbers.t_dopamine:
        bits = scratch.contributed[n]
        forced = scratch.first[n] < 0
        stability = weights.stability[copy, n]
        grow(weights, where, rules.dopamine(numbers.dopamine, stability, forced), bits, sample)
        weights.stability[copy, n] = rules.stability_at_reward(
            stability,
            numbers.rate * numbers.dopamine,
            forced,
            REWARD_TICK - scratch.first[n],
            numbers.reward_isi,
        )
    elif not rewarded and numbers.foreign < rules.ONE:
        bits = scratch.depressed[n]
        change = rules.returned(numbers.d_h, weights.stability[copy, n], numbers.foreign)
        grow(weights, where, change, bits, sample)
    offset = rules.renormalisation(weights.free[copy, n], weights.resource.shape[2], numbers.n_silent)
    if offset != rules.ZERO:
        weights.free[copy, n] = 0
        weigh_all(weights, where, offset, numbers)
    elif bits:
        weigh(weights, where, bits, sample, numbers, scratch)


@njit(cache=True, nogil=True)
def learn_one(
    weights: Weights,
    copy: int,
    key: np.uint32,
    label: int,
    sample: Sample,
    numbers: Numbers,
    scratch: Scratch,
) -> None:
    """One sample of one copy. label: the column that is right."""
    add_up(weights.weight[copy], sample, scratch)
    begin(weights.positive[copy], numbers, scratch)
    m = numbers.m
    columns = len(scratch.u) // m
    forces = True
    for tick in range(1, REWARD_TICK + 1):
        forced = label if tick == FORCED_TICK and forces else -1
        if integrate(tick, key, forced, numbers, scratch) == 0:
            continue
        for column in range(columns):
            if compete(column, numbers, scratch) == 0:
                continue
            for n in range(column * m, (column + 1) * m):
                if scratch.above[n] >= 0:
                    spike(weights, (copy, n), tick, column == forced, sample, numbers, scratch)
            if column == label and tick <= INPUT_TICKS:
                forces = False  # OUT fired in time, which silences BIASGATE
    for n in range(len(scratch.u)):
        if scratch.last[n] != NEVER:
            settle(weights, (copy, n), n // m == label, sample, numbers, scratch)


@njit(cache=True, nogil=True)
def learn(
    weights: Weights,
    X: Floats,
    labels: Ints,
    orders: Ints,
    learnt: int,
    batch: Batch,
    numbers: Numbers,
    scratch: Scratch,
) -> None:
    """A batch of samples (samples, inputs) of the columns `labels`, each once.

    orders: (copies, samples), in which each copy takes them. learnt: how many samples there were before.
    """
    shared = batch.pairs.shape[1] == 0
    for k in range(len(X) if shared else 0):
        encode(X[k], k, numbers.saturation, batch)
    for copy in range(weights.weight.shape[0]):
        for j in range(len(X)):
            k = orders[copy, j]
            if not shared:
                see(X[k], copy, k, numbers, batch)
            key = rules.key_of(numbers.seed, copy, learnt + j + 1)
            learn_one(weights, copy, key, labels[k], sample_of(batch, k), numbers, scratch)


@njit(cache=True, nogil=True)
def decide(
    weights: Weights, X: Floats, out: Floats, near: Floats, batch: Batch, numbers: Numbers, scratch: Scratch
) -> None:
    """Spikes of OUT of each column, all copies together, into out (samples, columns); learns nothing.

    near: how far the column's best neuron came, above its threshold at most, summed over the copies. The noise is that
    of sample 0, the same for every sample.
    """
    out[:] = 0
    near[:] = 0
    shared = batch.pairs.shape[1] == 0
    for k in range(len(X) if shared else 0):
        encode(X[k], k, numbers.saturation, batch)
    for copy in range(weights.weight.shape[0]):
        key = rules.key_of(numbers.seed, copy, 0)
        for k in range(len(X)):
            if not shared:
                see(X[k], copy, k, numbers, batch)
            add_up(weights.weight[copy], sample_of(batch, k), scratch)
            begin(weights.positive[copy], numbers, scratch)
            watch(key, out[k], near[k], numbers, scratch)


@njit(cache=True, nogil=True)
def watch(key: np.uint32, out: Floats, near: Floats, numbers: Numbers, scratch: Scratch) -> None:
    """The ticks of one copy with its drive; adds to out and near (columns,)."""
    columns = len(out)
    best = scratch.best
    best[:] = -np.float32(np.inf)
    for tick in range(1, FORCED_TICK + 1):
        fired = integrate(tick, key, -1, numbers, scratch)
        for column in range(columns):
            for n in range(column * numbers.m, (column + 1) * numbers.m):
                best[column] = max(best[column], scratch.above[n])
            if fired and compete(column, numbers, scratch):
                out[column] += 1
    for column in range(columns):
        near[column] += best[column]
