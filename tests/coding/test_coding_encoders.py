"""Encoders: what each code promises, and that no way of cutting time into calls changes a spike."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from hybrid_control.signals import RateVector, SpikeTrain, layout
from hybrid_control.signals.coding import (
    ENCODERS,
    LatencyEncoder,
    PhaseEncoder,
    PoissonEncoder,
    RegularEncoder,
    encoder,
    kernels,
)

MS = 1_000_000
SECOND = 1000 * MS
NAMES = list(ENCODERS)
ENTROPY = {"poisson": {"seed": 11}, "regular": {"seed": 11}, "latency": {}, "phase": {}}


def make(name, size):
    return encoder(name, size, **ENTROPY[name])


def stepwise(enc, rates, durations):
    """The spikes of several calls, on one time axis."""
    neurons, times, now = [], [], 0
    for duration in durations:
        neuron, offset = enc.encode(rates, duration)
        assert (offset < duration).all()
        neurons.append(neuron)
        times.append(offset.astype(np.int64) + now)
        now += duration
    return np.concatenate(neurons), np.concatenate(times)


# --- random streams ---------------------------------------------------------------------------------------


def test_splitmix64_gives_the_published_sequence_of_seed_1234567():
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [int(kernels.splitmix64(np.uint64(1234567), i)) for i in range(4)] == expected


def test_uniform_numbers_lie_above_0_and_have_the_moments_of_a_uniform_distribution():
    u = np.array([kernels.uniform(np.uint64(3), i) for i in range(20_000)])
    assert u.min() > 0
    assert u.max() <= 1
    assert abs(u.mean() - 0.5) < 4 * math.sqrt(1 / 12 / u.size)
    assert abs(u.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / u.size)
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 4 / math.sqrt(u.size)


# --- Poisson ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0, 400.0])
def test_poisson_mean_and_fano_factor_are_within_four_standard_errors(rate):
    channels, window = 4000, 0.5
    counts = PoissonEncoder(channels, seed=1).counts(np.full(channels, rate), int(window * SECOND))
    mean = rate * window
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / channels)
    # variance of the sample variance of Poisson numbers: 2 mean^2 / (n - 1) + mean / n
    fano_error = math.sqrt(2 / (channels - 1) + 1 / (channels * mean))
    assert abs(counts.var(ddof=1) / counts.mean() - 1) < 4 * fano_error


@pytest.mark.parametrize("rate", [10.0, 400.0])
def test_poisson_intervals_are_exponential_and_independent(rate):
    neuron, offset = PoissonEncoder(200, seed=2).encode(np.full(200, rate), 4 * SECOND)
    order = np.argsort(neuron, kind="stable")
    intervals = np.diff(offset[order].astype(np.float64))[np.diff(neuron[order]) == 0] * 1e-9
    # intervals longer than the window cannot be seen: look at channels' first ten only, which all fit
    firsts = np.concatenate(
        [np.diff(np.append(0, offset[order][neuron[order] == i])[:11]) for i in range(200)]
    )
    u = np.sort(1 - np.exp(-rate * firsts * 1e-9))
    steps = np.arange(1, u.size + 1) / u.size
    assert max(np.abs(u - steps).max(), np.abs(u - steps + 1 / u.size).max()) * math.sqrt(u.size) < 1.95
    assert abs(np.corrcoef(intervals[1:], intervals[:-1])[0, 1]) < 4 / math.sqrt(intervals.size)


def test_poisson_may_spike_more_than_once_in_a_millisecond():
    # at 400 Hz, one tick of 1 ms holds two or more spikes with probability 1 - 1.4 exp(-0.4) = 0.0616
    enc = PoissonEncoder(20_000, seed=3)
    share = (enc.counts(np.full(20_000, 400.0), MS) >= 2).mean()
    assert abs(share - 0.0616) < 4 * math.sqrt(0.0616 * 0.9384 / 20_000)


def test_poisson_channels_are_uncorrelated():
    enc = PoissonEncoder(50, seed=4)
    counts = np.array([enc.counts(np.full(50, 40.0), 50 * MS) for _ in range(2000)], float)
    off_diagonal = np.corrcoef(counts.T)[np.triu_indices(50, 1)]
    assert np.abs(off_diagonal).max() < 5 / math.sqrt(2000)


def test_poisson_follows_a_rate_that_changes_in_the_middle_of_intervals():
    enc = PoissonEncoder(3000, seed=5)
    counts = np.zeros(3000)
    for step in range(200):  # mean rate 50 Hz, changing every ms
        counts += enc.counts(np.full(3000, 100.0 if step % 2 else 0.0), MS)
    mean = 200 * 1e-3 * 50
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / 3000)
    assert abs(counts.var(ddof=1) / mean - 1) < 4 * math.sqrt(2 / 2999 + 1 / (3000 * mean))


def test_poisson_streams_do_not_depend_on_the_other_channels():
    small, large = PoissonEncoder(3, seed=6), PoissonEncoder(300, seed=6)
    a = small.encode(np.full(3, 50.0), SECOND)
    b = large.encode(np.r_[np.full(3, 50.0), np.linspace(0, 400, 297)], SECOND)
    for i in range(3):
        np.testing.assert_array_equal(a[1][a[0] == i], b[1][b[0] == i])


def test_another_seed_gives_other_spikes():
    a, b = (PoissonEncoder(20, seed=s).encode(np.full(20, 50.0), SECOND)[1] for s in (0, 1))
    assert a.size != b.size or (a != b).any()


# --- regular ----------------------------------------------------------------------------------------------


def test_regular_spikes_are_where_the_integral_of_the_rate_is_a_whole_number():
    neuron, offset = RegularEncoder(2).encode([250.0, 100.0], 12 * MS)
    # 250 Hz: 4, 8 ms, and at 12 ms the window is over; the spike ends the nanosecond before
    assert list(zip(neuron, offset, strict=True)) == [
        (0, 4 * MS - 1),
        (0, 8 * MS - 1),
        (1, 10 * MS - 1),
        (0, 12 * MS - 1),
    ]


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(0, 2000, width=32),
    before=st.integers(1, SECOND),
    window=st.integers(1, SECOND),
    seed=st.none() | st.integers(0, 2**64 - 1),
)
def test_regular_code_is_within_one_spike_of_rate_times_window_in_any_window(rate, before, window, seed):
    enc = RegularEncoder(1, seed)
    enc.encode([rate], before)
    count = int(enc.counts([rate], window)[0])
    resolution = 2**-17 * window * 1e-9  # rates are resolved to 2^-16 Hz
    assert abs(count - rate * window * 1e-9) <= 1 + resolution


def test_regular_phases_of_a_seed_are_spread_evenly():
    _, offset = RegularEncoder(2000, seed=7).encode(np.full(2000, 1.0), SECOND)
    assert offset.size == 2000
    assert abs(offset.mean() * 1e-9 - 0.5) < 4 * math.sqrt(1 / 12 / 2000)


# --- latency and phase ------------------------------------------------------------------------------------


def test_latency_is_the_shorter_the_higher_the_rate():
    enc = LatencyEncoder(5, max_rate=100.0, period=0.01)
    neuron, offset = enc.encode([0.0, 25.0, 50.0, 100.0, 300.0], 10 * MS)
    assert list(zip(neuron, offset, strict=True)) == [(3, 0), (4, 0), (2, 5 * MS), (1, 7_500_000)]


def test_latency_spikes_once_in_every_cycle_and_takes_the_rate_at_its_beginning():
    enc = LatencyEncoder(1, max_rate=100.0, period=0.01)
    _, first = enc.encode([50.0], 2 * MS)
    _, second = enc.encode([90.0], 18 * MS)  # of the rate 90 only the second cycle, from 8 ms on, knows
    assert first.size == 0
    assert list(second) == [3 * MS, 9 * MS]


def test_phase_spikes_are_the_binary_digits_of_the_rate():
    enc = PhaseEncoder(4, max_rate=256.0, period=0.008, bits=8)
    neuron, offset = enc.encode([0.0, 0b10100001, 1.0, 1000.0], 8 * MS)
    digits = {i: [int(t) // MS for t in offset[neuron == i]] for i in range(4)}
    assert digits == {0: [], 1: [0, 2, 7], 2: [7], 3: list(range(8))}
    assert (offset % MS == 0).all()


# --- all codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_of_a_millisecond_equal_one_call_of_ten(name):
    rates = np.array([0.0, 1.0, 10.0, 100.0, 399.9, 5000.0])
    a, b = make(name, 6), make(name, 6)
    for _ in range(20):
        whole, parts = a.encode(rates, 10 * MS), stepwise(b, rates, [MS] * 10)
        np.testing.assert_array_equal(whole[0], parts[0])
        np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(
    segments=st.lists(
        st.tuples(
            st.lists(st.floats(0, 3000, width=32), min_size=3, max_size=3),
            st.lists(st.integers(1, 30 * MS), min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_way_of_cutting_time_changes_a_spike(name, segments):
    whole, parts = make(name, 3), make(name, 3)
    for rates, durations in segments:
        one, several = whole.encode(rates, sum(durations)), stepwise(parts, rates, durations)
        np.testing.assert_array_equal(one[0], several[0])
        np.testing.assert_array_equal(one[1], several[1])
    np.testing.assert_array_equal(whole.snapshot(), parts.snapshot())


@pytest.mark.parametrize("name", NAMES)
def test_a_single_nanosecond_is_a_step_too(name):
    rates = [400.0, 100.0, 3.0]
    a, b = make(name, 3), make(name, 3)
    a.encode(rates, 9_999_000), b.encode(rates, 9_999_000)
    whole, parts = a.encode(rates, 3000), stepwise(b, rates, [1] * 3000)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(rates=st.lists(st.floats(0, 3000, width=32), min_size=1, max_size=20), duration=st.integers(1, 10**8))
def test_reset_snapshot_and_restore_repeat_the_same_spikes(name, rates, duration):
    enc = make(name, len(rates))
    first = enc.encode(rates, duration)
    saved = enc.snapshot()
    second = enc.encode(rates, duration)
    enc.restore(saved)
    again = enc.encode(rates, duration)
    enc.reset()
    from_start = enc.encode(rates, duration)
    for x, y in ((second, again), (first, from_start)):
        np.testing.assert_array_equal(x[0], y[0])
        np.testing.assert_array_equal(x[1], y[1])


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_counts_of_the_spikes(name):
    a, b = make(name, 30), make(name, 30)
    rates = np.linspace(0, 500, 30)
    for duration in (MS, 33 * MS, 7):
        np.testing.assert_array_equal(
            a.counts(rates, duration), np.bincount(b.encode(rates, duration)[0], minlength=30)
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_train_carries_the_vectors_stamp_and_populations_and_is_in_order(name):
    populations = layout(heading=72, speed=8)
    vector = RateVector(123, np.linspace(0, 200, 80), populations)
    train = make(name, 80).spikes(vector, 100 * MS)
    assert isinstance(train, SpikeTrain)
    assert (train.stamp_ns, train.duration_ns, train.populations) == (123, 100 * MS, populations)
    assert train.neuron.size > 64  # more than the first buffer holds


def test_more_spikes_than_any_buffer_come_out_whole():
    a, b = PoissonEncoder(100, seed=8), PoissonEncoder(100, seed=8)
    rates = np.full(100, 10_000.0)
    assert a.encode(rates, 100 * MS)[0].size == b.counts(rates, 100 * MS).sum() > 50_000


def test_the_compiled_functions_can_be_called_from_compiled_code():
    @njit(nogil=True)
    def loop(state, rates, counts, steps):
        total = 0
        for _ in range(steps):
            total += kernels.encode_counts(state, rates, 1_000_000, counts)
        return total

    enc = PoissonEncoder(10, seed=9)
    total = loop(enc.state, np.full(10, 100, np.float32), np.zeros(10, np.uint32), 1000)
    assert total == PoissonEncoder(10, seed=9).counts(np.full(10, 100.0), SECOND).sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [math.nan, -5.0])
def test_compiled_code_takes_an_impossible_rate_as_silence(name, rate):
    enc = make(name, 1)
    assert kernels.encode_counts(enc.state, np.array([rate], np.float32), SECOND, np.zeros(1, np.uint32)) == 0


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "rates", [[1.0, math.nan], [1.0, math.inf], [-1e-3, 1.0], [1.0], [[1.0, 2.0]], 5.0, [1.0, 1e7], [1, 2, 3]]
)
def test_impossible_rates_are_refused_and_leave_the_state_alone(name, rates):
    enc = make(name, 2)
    before = enc.snapshot()
    with pytest.raises(ValueError, match="rates"):
        enc.encode(rates, MS)
    with pytest.raises(ValueError, match="rates"):
        enc.counts(rates, MS)
    np.testing.assert_array_equal(before, enc.snapshot())


@pytest.mark.parametrize("duration", [0, -1, 2**32, 1.5, True])
def test_impossible_durations_are_refused(duration):
    with pytest.raises(ValueError, match="duration"):
        PoissonEncoder(1).encode([1.0], duration)


@pytest.mark.parametrize(
    ("name", "size", "options", "what"),
    [
        ("possion", 3, {}, "encoder 'possion'"),
        ("poisson", 0, {}, "size"),
        ("poisson", 2.5, {}, "size"),
        ("poisson", 3, {"seed": -1}, "seed"),
        ("poisson", 3, {"sed": 1}, "sed"),
        ("latency", 3, {"max_rate": 0.0}, "max_rate"),
        ("latency", 3, {"max_rate": math.nan}, "max_rate"),
        ("latency", 3, {"period": -0.01}, "period"),
        ("latency", 3, {"period": math.nan}, "period"),
        ("phase", 3, {"bits": 0}, "bits"),
        ("phase", 3, {"bits": 33}, "bits"),
        ("phase", 3, {"period": 1e-9}, "period"),
    ],
)
def test_impossible_encoders_are_refused_by_name(name, size, options, what):
    with pytest.raises(ValueError, match=what):
        encoder(name, size, **options)


def test_a_snapshot_of_another_encoder_is_refused():
    enc = PoissonEncoder(3)
    for other in (PoissonEncoder(4).snapshot(), RegularEncoder(3).snapshot(), np.zeros(3)):
        with pytest.raises(ValueError, match="snapshot"):
            enc.restore(other)
