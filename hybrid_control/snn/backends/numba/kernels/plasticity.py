"""Learning: spike-timing-dependent plasticity on compressed rows."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from collections import namedtuple

import numpy as np

from hybrid_control.snn.backends.numba.kernels.arena import I32, I64, U32, kernel, values_at

# Values of a rule: what is left of the traces after a tick, the changes at a pair, the bounds of a weight, what is
# left of the eligibility, the rate in a tick, and what is set from outside.
RULE_SIZE = 10
LEARNING, REWARD = 8, 9


Stdp = namedtuple(
    "Stdp",
    "pre post synapses rule before after pointer columns weights by_target sources places pre_listed "
    "post_listed eligibility",
)


@kernel(Stdp)
def _stdp(base, q, tick, like):
    """Pair STDP on compressed rows, straight on the weights or through an eligibility trace and a reward.

    Both traces first decay, then the pairs with the spikes of this tick are taken, then these spikes join the
    traces: two spikes in one tick are no pair.

    before: traces of the presynaptic neurons. after: and of the postsynaptic ones. by_target: where the synapses
    of each postsynaptic neuron begin in the next two. pre_listed: spikes. eligibility: 0: a rule without a reward.
    """
    pre, post, total = q.pre, q.post, q.synapses
    fade_pre, fade_post, up, down, low, high, fade_trace, rate, learning, reward = values_at(
        base + q.rule, RULE_SIZE, like
    )
    before, after = values_at(base + q.before, pre, like), values_at(base + q.after, post, like)
    pointer, columns = values_at(base + q.pointer, pre + 1, I64), values_at(base + q.columns, total, U32)
    weights = values_at(base + q.weights, total, like)
    by_target, sources, places = (
        values_at(base + q.by_target, post + 1, I64),
        values_at(base + q.sources, total, U32),
        values_at(base + q.places, total, I64),
    )
    count_pre, count_post = (
        values_at(base + q.pre_listed, 1, I64)[0],
        values_at(base + q.post_listed, 1, I64)[0],
    )
    spikes_pre, spikes_post = (
        values_at(base + q.pre_listed + 8, pre, I32),
        values_at(base + q.post_listed + 8, post, I32),
    )
    three_factor = q.eligibility != 0
    changed = values_at(base + q.eligibility, total, like) if three_factor else weights
    for i in range(pre):
        before[i] *= fade_pre
    for j in range(post):
        after[j] *= fade_post
    if three_factor:
        for s in range(total):
            changed[s] *= fade_trace
    for m in range(count_pre):
        i = np.int64(spikes_pre[m])
        for s in range(pointer[i], pointer[i + 1]):
            changed[s] -= learning * (down * after[np.int64(columns[s])])
            if not three_factor:
                changed[s] = min(max(changed[s], low), high)
    for m in range(count_post):
        j = np.int64(spikes_post[m])
        for r in range(by_target[j], by_target[j + 1]):
            s = places[r]
            changed[s] += learning * (up * before[np.int64(sources[r])])
            if not three_factor:
                changed[s] = min(max(changed[s], low), high)
    for m in range(count_pre):
        before[np.int64(spikes_pre[m])] += 1
    for m in range(count_post):
        after[np.int64(spikes_post[m])] += 1
    if three_factor and reward != 0:
        factor = rate * reward
        for s in range(total):
            weights[s] = min(max(weights[s] + factor * changed[s], low), high)
