"""The compiled part of the codes: state of a channel, random streams, a tick of each encoder and decoder.

Every function here is compiled with ``nogil``, allocates nothing and may be called from other compiled code.
None of them raises: the classes in ``encoders`` and ``decoders`` check what comes from outside. State is one
structured array with a record per channel, so that it is one argument of a call and one ``copy()`` is a
snapshot.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

POISSON, REGULAR, LATENCY, PHASE = 0, 1, 2, 3

# Rates are held in units of 2^-16 Hz and what a channel has integrated in units of 2^-16 Hz x 1 ns, both as
# whole numbers: sums of whole numbers do not depend on how they are grouped, sums of floats do.
RATE_UNIT = 65536.0
ONE = 65536 * 1_000_000_000  # one spike's worth of rate x time
MAX_RATE = 1.0e6  # Hz
SHORT = 1 << 26  # ns, through which no rate x time is beyond 64 bits

ENCODER_CHANNEL = np.dtype(
    [
        ("kind", np.int64),  # POISSON, REGULAR, LATENCY or PHASE
        ("key", np.uint64),  # names the channel's random stream (Poisson)
        ("draws", np.int64),  # numbers taken from that stream so far
        ("target", np.int64),  # rate x time still to pass before the next spike
        ("clock", np.int64),  # ns since the cycle began; = period: a new cycle begins with the next ns
        ("period", np.int64),  # ns of one cycle (latency, phase)
        ("pending", np.int64),  # latency: ns of this cycle's spike still to come, or -1; phase: bits still to send
        ("bits", np.int64),  # phase: slots in a cycle
        ("max_rate", np.float64),  # Hz that stands for the full scale (latency, phase)
    ],
    align=True,
)

CYCLE_CHANNEL = np.dtype(
    [
        ("clock", np.int64),  # ns since the cycle began
        ("period", np.int64),  # ns
        ("word", np.int64),  # first spike: its time in this cycle or -1; phase: the bits received
        ("bits", np.int64),  # slots in a cycle; 0 for the first-spike code
        ("max_rate", np.float64),  # Hz
        ("rate", np.float64),  # Hz, read from the last whole cycle
        ("seen", np.int64),  # ns of the window at hand that have passed
    ],
    align=True,
)

TRACE_CHANNEL = np.dtype(
    [
        ("now", np.int64),  # ns since reset
        ("last", np.int64),  # ns at which trace was last brought up to date
        ("trace", np.float64),  # sum over spikes of exp(-age / tau), at time last
        ("tau", np.float64),  # ns
    ],
    align=True,
)

# Columns of the sliding window's state, (channels, WINDOW_COUNTS + bins) int64
WINDOW_NOW, WINDOW_BIN, WINDOW_HEAD, WINDOW_TOTAL, WINDOW_COUNTS = 0, 1, 2, 3, 4

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@njit(cache=True, nogil=True)
def splitmix64(key, index):  # type: ignore[no-untyped-def]
    """Number ``index`` (0, 1, ...) of the SplitMix64 sequence whose seed is ``key``, as uint64.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014. Any number of
    the sequence is computed without those before it, so a stream needs no more state than how far it is.
    """
    z = np.uint64(key) + (np.uint64(index) + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True)
def uniform(key, index):  # type: ignore[no-untyped-def]
    """Number ``index`` of stream ``key``, uniform in (0, 1], a multiple of 2^-53."""
    return (np.float64(splitmix64(key, index) >> _S11) + 1.0) * 1.1102230246251565e-16


@njit(cache=True, nogil=True)
def _interval(channel):  # type: ignore[no-untyped-def]
    """Rate x time from one spike to the next: 1 for the regular code, exponential of mean 1 for Poisson."""
    if channel["kind"] == REGULAR:
        return ONE
    u = uniform(channel["key"], channel["draws"])
    channel["draws"] += 1
    return max(1, math.ceil(-math.log(u) * ONE))


@njit(cache=True, nogil=True)
def start(state):  # type: ignore[no-untyped-def]
    """Draw the first interval of each Poisson channel. Called once, on fresh state."""
    for i in range(state.size):
        if state[i]["kind"] == POISSON:
            state[i]["target"] = _interval(state[i])


@njit(cache=True, nogil=True)
def _integrate(channel, rate, left):  # type: ignore[no-untyped-def]
    """Advance an integrating channel to its next spike or by ``left`` ns; ns to that spike, or -1."""
    if not rate > 0.0:  # also NaN
        return -1
    gain = int(min(rate, MAX_RATE) * RATE_UNIT + 0.5)
    if gain == 0:
        return -1
    if left <= SHORT and gain * left < channel["target"]:  # as below, without the division
        channel["target"] -= gain * left
        return -1
    # the spike lies in the nanosecond in which the integral reaches the target
    wait = (channel["target"] - 1) // gain
    if wait >= left:
        channel["target"] -= gain * left
        return -1
    channel["target"] += _interval(channel) - gain * wait
    return wait


@njit(cache=True, nogil=True)
def _latch(channel, rate):  # type: ignore[no-untyped-def]
    """Begin a cycle: what is to be sent in it is fixed by the rate that holds now."""
    channel["clock"] = 0
    share = min(rate / channel["max_rate"], 1.0) if rate > 0.0 else 0.0
    if channel["kind"] == LATENCY:
        channel["pending"] = int((1.0 - share) * channel["period"] + 0.5)
        if channel["pending"] >= channel["period"]:
            channel["pending"] = -1
    else:
        full = 1 << channel["bits"]
        channel["pending"] = min(int(share * full + 0.5), full - 1)


@njit(cache=True, nogil=True)
def _due(channel):  # type: ignore[no-untyped-def]
    """Time in the cycle of the next spike, ns, or -1 where none is left."""
    if channel["kind"] == LATENCY:
        return channel["pending"]
    if channel["pending"] == 0:
        return -1
    slot = 0
    while not (channel["pending"] >> (channel["bits"] - 1 - slot)) & 1:
        slot += 1
    return slot * (channel["period"] // channel["bits"])


@njit(cache=True, nogil=True)
def _cycle(channel, rate, left):  # type: ignore[no-untyped-def]
    """Advance a cyclic channel to its next spike or by ``left`` ns; ns to that spike, or -1 for none."""
    passed = 0
    while passed < left:
        if channel["clock"] == channel["period"]:
            _latch(channel, rate)
        due = _due(channel)
        if due >= 0:
            wait = due - channel["clock"]
            if wait >= left - passed:
                channel["clock"] += left - passed
                return -1
            channel["clock"] = due
            if channel["kind"] == LATENCY:
                channel["pending"] = -1
            else:
                slot = due // (channel["period"] // channel["bits"])
                channel["pending"] -= 1 << (channel["bits"] - 1 - slot)
            return passed + wait
        rest = min(channel["period"] - channel["clock"], left - passed)
        channel["clock"] += rest
        passed += rest
    return -1


@njit(cache=True, nogil=True)
def _advance(channel, rate, left):  # type: ignore[no-untyped-def]
    if channel["kind"] <= REGULAR:
        return _integrate(channel, rate, left)
    return _cycle(channel, rate, left)


@njit(cache=True, nogil=True)
def encode(state, rates, duration_ns, keys):  # type: ignore[no-untyped-def]
    """Advance every channel by ``duration_ns`` and write its spikes; returns how many there were.

    state: (n,) ENCODER_CHANNEL, changed in place. rates: (n,) Hz, held for the whole duration; a NaN or
    negative rate is silence, one above MAX_RATE counts as MAX_RATE. keys: (m,) uint64, receives one number
    per spike, ``offset_ns << 32 | neuron``, neuron by neuron: sorted, they are in order of time. Where the
    returned number is above m the spikes beyond m were not written: take a larger buffer, and the state as it
    was.
    """
    count = 0
    for i in range(state.size):
        channel = state[i]
        now = 0
        while True:
            wait = _advance(channel, rates[i], duration_ns - now)
            if wait < 0:
                break
            now += wait
            if count < keys.size:
                keys[count] = np.uint64((now << 32) | i)
            count += 1
    return count


@njit(cache=True, nogil=True)
def encode_counts(state, rates, duration_ns, counts):  # type: ignore[no-untyped-def]
    """As ``encode``, but only each channel's number of spikes is written, to counts (n,); returns the sum."""
    total = 0
    for i in range(state.size):
        channel = state[i]
        now, count = 0, 0
        while True:
            wait = _advance(channel, rates[i], duration_ns - now)
            if wait < 0:
                break
            now += wait
            count += 1
        counts[i] = count
        total += count
    return total


@njit(cache=True, nogil=True)
def _read_cycle(channel):  # type: ignore[no-untyped-def]
    """End a cycle: the rate that its spikes stood for."""
    if channel["bits"] > 0:
        channel["rate"] = channel["max_rate"] * channel["word"] / (1 << channel["bits"])
        channel["word"] = 0
    else:
        if channel["word"] < 0:
            channel["rate"] = 0.0
        else:
            channel["rate"] = channel["max_rate"] * (1.0 - channel["word"] / channel["period"])
        channel["word"] = -1
    channel["clock"] = 0


@njit(cache=True, nogil=True)
def _pass_cycles(channel, wait):  # type: ignore[no-untyped-def]
    """Let ``wait`` ns pass, reading every cycle that ends on the way."""
    while wait >= channel["period"] - channel["clock"]:
        wait -= channel["period"] - channel["clock"]
        _read_cycle(channel)
    channel["clock"] += wait


@njit(cache=True, nogil=True)
def decode_cycles(state, neuron, offset_ns, duration_ns, rates):  # type: ignore[no-untyped-def]
    """Advance first-spike or phase decoders by a window of spikes and read them.

    state: (n,) CYCLE_CHANNEL; neuron, offset_ns: (k,) the spikes in order of
    offset; rates: (n,) Hz, receives what the last whole cycle of each channel stood for, 0 before the first
    has ended.
    """
    state["seen"][:] = 0
    for k in range(neuron.size):
        i = neuron[k]
        channel = state[i]
        _pass_cycles(channel, np.int64(offset_ns[k]) - channel["seen"])
        channel["seen"] = offset_ns[k]
        if channel["bits"] > 0:
            slot = min(channel["clock"] // (channel["period"] // channel["bits"]), channel["bits"] - 1)
            channel["word"] |= 1 << (channel["bits"] - 1 - slot)
        elif channel["word"] < 0:
            channel["word"] = channel["clock"]
    for i in range(state.size):
        _pass_cycles(state[i], duration_ns - state[i]["seen"])
        rates[i] = state[i]["rate"]


@njit(cache=True, nogil=True)
def decode_traces(state, neuron, offset_ns, duration_ns, rates):  # type: ignore[no-untyped-def]
    """Advance exponential decoders by a window of spikes and read them.

    state: (n,) TRACE_CHANNEL; neuron, offset_ns: (k,) the spikes in order of offset; rates: (n,) Hz, receives
    sum(exp(-age / tau)) / tau. A trace changes only at its own spikes, so reading more often changes nothing.
    """
    for k in range(neuron.size):
        channel = state[neuron[k]]
        at = channel["now"] + np.int64(offset_ns[k])
        channel["trace"] = channel["trace"] * math.exp((channel["last"] - at) / channel["tau"]) + 1.0
        channel["last"] = at
    for i in range(state.size):
        channel = state[i]
        channel["now"] += duration_ns
        rates[i] = channel["trace"] * math.exp((channel["last"] - channel["now"]) / channel["tau"])
        rates[i] *= 1.0e9 / channel["tau"]


@njit(cache=True, nogil=True)
def _turn(window, bins, head):  # type: ignore[no-untyped-def]
    """Move a ring of counts on to bin number ``head``, forgetting what left the window."""
    steps = min(head - window[WINDOW_HEAD], bins)
    for b in range(head - steps + 1, head + 1):
        slot = WINDOW_COUNTS + b % bins
        window[WINDOW_TOTAL] -= window[slot]
        window[slot] = 0
    window[WINDOW_HEAD] = head


@njit(cache=True, nogil=True)
def decode_windows(state, neuron, offset_ns, duration_ns, rates):  # type: ignore[no-untyped-def]
    """Advance sliding windows by a window of spikes and read them.

    state: (n, WINDOW_COUNTS + bins) int64; neuron, offset_ns: (k,) the spikes in order of offset; rates: (n,)
    Hz, receives the spikes in the last ``bins`` bins, the present one included, over their whole length.
    """
    bins = state.shape[1] - WINDOW_COUNTS
    for k in range(neuron.size):
        window = state[neuron[k]]
        head = (window[WINDOW_NOW] + np.int64(offset_ns[k])) // window[WINDOW_BIN]
        if head > window[WINDOW_HEAD]:
            _turn(window, bins, head)
        window[WINDOW_COUNTS + head % bins] += 1
        window[WINDOW_TOTAL] += 1
    for i in range(state.shape[0]):
        window = state[i]
        window[WINDOW_NOW] += duration_ns
        head = (window[WINDOW_NOW] - 1) // window[WINDOW_BIN]
        if head > window[WINDOW_HEAD]:
            _turn(window, bins, head)
        rates[i] = window[WINDOW_TOTAL] * 1.0e9 / (window[WINDOW_BIN] * bins)


@njit(cache=True, nogil=True)
def gaussian_rates(value, preferred, sigma, peak, period, rates):  # type: ignore[no-untyped-def]
    """Rates of a Gaussian population code for one value, written to rates (n,) Hz.

    preferred: (n,), sigma: in the value's unit; peak: Hz; period: length of the circle, 0 for a line.
    """
    for i in range(preferred.size):
        distance = value - preferred[i]
        if period > 0.0:
            distance -= period * math.floor(distance / period + 0.5)
        rates[i] = peak * math.exp(-0.5 * (distance / sigma) ** 2)


@njit(cache=True, nogil=True)
def population_vector(rates, preferred, period):  # type: ignore[no-untyped-def]
    """The value that rates (n,) stand for: their centre on a line (period 0) or circle; NaN for none.

    Line: sum(r x) / sum(r). Circle: direction of sum(r exp(i 2 pi x / period)), in -period/2 .. period/2.
    Source: Georgopoulos, Schwartz and Kettner, Neuronal population coding of movement direction, Science
    1986.
    """
    x, y, total = 0.0, 0.0, 0.0
    turn = 2.0 * math.pi / period if period > 0.0 else 0.0
    for i in range(preferred.size):
        total += rates[i]
        if period > 0.0:
            x += rates[i] * math.cos(turn * preferred[i])
            y += rates[i] * math.sin(turn * preferred[i])
        else:
            x += rates[i] * preferred[i]
    if not total > 0.0:
        return math.nan
    if period > 0.0:
        # equal activity all round has no direction; what rounding leaves of it is not one either
        if math.hypot(x, y) <= 1e-9 * total:
            return math.nan
        return math.atan2(y, x) / turn
    return x / total
