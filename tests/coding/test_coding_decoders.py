"""Decoders: hand-worked readings, and the bounds of docs/coding.md for each pair of encoder and decoder."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.signals import SpikeTrain, layout
from hybrid_control.signals.coding import (
    ExponentialDecoder,
    FirstSpikeDecoder,
    GaussianCode,
    LatencyEncoder,
    PhaseDecoder,
    PhaseEncoder,
    PoissonEncoder,
    PopulationVectorDecoder,
    RegularEncoder,
    SlidingWindowDecoder,
    decoder,
)

MS = 1_000_000
SECOND = 1000 * MS
NAMES = ["window", "exponential", "first_spike", "phase"]
RATES = np.array([0.0, 1.0, 10.0, 33.3, 99.0, 100.0, 250.0, 399.9])


def through(encoder, reader, rates, duration, step=MS):
    """The readings at the end of each step, (steps, channels)."""
    return np.array([reader.decode(*encoder.encode(rates, step), step) for _ in range(duration // step)])


# --- hand-worked ------------------------------------------------------------------------------------------


def test_a_window_counts_what_is_not_older_than_itself():
    window = SlidingWindowDecoder(2, window=0.01, resolution=0.001)
    assert list(window.decode([0, 1, 0], [0, 500, 3 * MS], 4 * MS)) == [200.0, 100.0]
    assert list(window.decode([], [], 6 * MS)) == [200.0, 100.0]
    assert list(window.decode([], [], 1 * MS)) == [100.0, 0.0]  # those of the first millisecond are gone
    assert list(window.decode([], [], 4 * MS)) == [0.0, 0.0]


def test_an_exponential_trace_decays_from_one_over_tau():
    reader = ExponentialDecoder(1, tau=0.02)
    assert reader.decode([0], [0], 20 * MS)[0] == pytest.approx(50 * math.exp(-1), rel=1e-6)
    # 20 ms later, with a second spike half way: 50 (exp(-2) + exp(-1/2))
    assert reader.decode([0], [10 * MS], 20 * MS)[0] == pytest.approx(
        50 * (math.exp(-2) + math.exp(-0.5)), rel=1e-6
    )


def test_the_first_spike_of_the_last_whole_cycle_is_read_and_later_ones_are_not():
    reader = FirstSpikeDecoder(2, max_rate=100.0, period=0.01)
    assert list(reader.decode([0, 0], [2 * MS, 3 * MS], 9 * MS)) == [0.0, 0.0]
    assert list(reader.decode([], [], MS)) == pytest.approx([80.0, 0.0])
    assert list(reader.decode([1], [5 * MS], 25 * MS)) == [
        0.0,
        0.0,
    ]  # the third cycle is half over: the second holds


def test_phase_spikes_are_summed_with_their_weights():
    reader = PhaseDecoder(1, max_rate=256.0, period=0.008, bits=8)
    assert reader.decode([0, 0, 0], [0, 2 * MS, 7 * MS], 8 * MS)[0] == 0b10100001


def test_a_reading_carries_the_time_of_the_windows_end():
    train = SpikeTrain(1000, 10 * MS, layout(a=1, b=2), [2], [5])
    vector = SlidingWindowDecoder(3, window=0.01).rates(train)
    assert vector.stamp_ns == 1000 + 10 * MS
    assert list(vector.of("b")) == [0.0, 100.0]


# --- pairs: each row of the table in docs/coding.md --------------------------------------------------------


@pytest.mark.parametrize("rate", [10.0, 100.0, 400.0])
def test_poisson_to_window_is_unbiased_with_standard_deviation_root_of_rate_over_window(rate):
    n, window = 4000, 0.05
    error = (
        through(PoissonEncoder(n, 1), SlidingWindowDecoder(n, window), np.full(n, rate), 50 * MS)[-1] - rate
    )
    expected = math.sqrt(rate / window)
    assert abs(error.mean()) < 4 * expected / math.sqrt(n)
    assert error.std() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("rate", [10.0, 100.0, 400.0])
def test_poisson_to_exponential_is_unbiased_with_standard_deviation_root_of_rate_over_two_tau(rate):
    n, tau = 4000, 0.05
    error = (
        through(PoissonEncoder(n, 2), ExponentialDecoder(n, tau), np.full(n, rate), SECOND, 100 * MS)[-1]
        - rate
    )
    expected = math.sqrt(rate / (2 * tau))
    assert abs(error.mean()) < 4 * expected / math.sqrt(n)
    assert error.std() == pytest.approx(expected, rel=0.06)


def test_regular_to_window_is_within_one_spike_per_window():
    window = 0.05
    read = through(RegularEncoder(8, seed=1), SlidingWindowDecoder(8, window), RATES, 2 * SECOND)[50:]
    assert np.abs(read - RATES).max() <= 1 / window


def test_regular_to_exponential_is_within_one_over_tau_above_and_half_of_it_below():
    tau = 0.05
    read = through(RegularEncoder(8, seed=2), ExponentialDecoder(8, tau), RATES, 4 * SECOND)[2000:]
    assert (read - RATES).max() <= 1 / tau
    assert (RATES - read).max() <= 0.5 / tau + 1e-4 * RATES.max()


def test_latency_to_first_spike_is_within_half_a_nanosecond_of_the_period():
    rates, period = RATES[:6], 0.01
    read = through(LatencyEncoder(6, 100.0, period), FirstSpikeDecoder(6, 100.0, period), rates, 50 * MS)[10:]
    assert np.abs(read - rates).max() <= 100.0 * 0.5e-9 / period + 1e-5  # and the rounding of float32


@pytest.mark.parametrize("tick", [MS, MS // 10])
def test_latency_to_first_spike_over_a_clocked_network_is_within_a_tick_of_the_period(tick):
    n, period = 200, 0.01
    rates = np.linspace(0, 100, n)
    neuron, offset = LatencyEncoder(n, 100.0, period).encode(rates, 10 * MS)
    read = FirstSpikeDecoder(n, 100.0, period).decode(neuron, offset // tick * tick, 10 * MS)
    assert (
        0.5 * 100.0 * tick * 1e-9 / period < np.abs(read - rates).max() <= 100.0 * tick * 1e-9 / period + 1e-5
    )


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_phase_to_phase_is_within_half_a_digit_and_a_whole_one_at_full_scale(bits):
    n, top = 500, 100.0
    rates = np.linspace(0, top, n)
    encoder, reader = PhaseEncoder(n, top, 0.008, bits), PhaseDecoder(n, top, 0.008, bits)
    error = np.abs(reader.decode(*encoder.encode(rates, 8 * MS), 8 * MS) - rates)
    below = rates <= top * (1 - 0.5**bits)
    assert error[below].max() <= top * 0.5 ** (bits + 1) + 1e-5
    assert error.max() <= top * 0.5**bits + 1e-5


def test_latency_and_phase_do_not_carry_their_rate_to_a_window():
    rates = np.array([0.0, 12.5, 50.0, 90.0])
    latency = through(LatencyEncoder(4, 100.0, 0.01), SlidingWindowDecoder(4, 0.05), rates, 50 * MS)[-1]
    assert list(latency) == [0.0, 100.0, 100.0, 100.0]  # one spike per cycle, whatever the rate
    phase = through(PhaseEncoder(4, 100.0, 0.01, 8), SlidingWindowDecoder(4, 0.05), rates, 50 * MS)[-1]
    assert list(phase) == [0.0, 100.0, 100.0, 500.0]  # 0.9 is 11100110 in binary: five ones


# --- population codes -------------------------------------------------------------------------------------


def test_gaussian_rates_are_the_bell_curve():
    code = GaussianCode([0.0, 1.0, 3.0], sigma=1.0, peak=100.0)
    assert code.rates(1.0) == pytest.approx([100 * math.exp(-0.5), 100.0, 100 * math.exp(-2)], rel=1e-6)


def test_on_a_circle_the_distance_is_the_shorter_way_round():
    code = GaussianCode([0.0, 90.0, 180.0, 270.0], sigma=45.0, peak=1.0, period=360.0)
    np.testing.assert_allclose(code.rates(350.0), code.rates(-10.0), rtol=1e-6)
    assert code.rates(350.0)[0] == pytest.approx(math.exp(-0.5 * (10 / 45) ** 2), rel=1e-6)
    assert code.rates(350.0)[3] == pytest.approx(math.exp(-0.5 * (80 / 45) ** 2), rel=1e-6)


def test_population_vectors_worked_by_hand():
    line = GaussianCode([0.0, 1.0, 4.0], sigma=1.0)
    assert line.decode([1.0, 2.0, 1.0]) == pytest.approx((2 + 4) / 4)
    circle = GaussianCode.circle(4)  # preferred -pi, -pi/2, 0, pi/2
    assert circle.decode([0.0, 0.0, 5.0, 5.0]) == pytest.approx(math.pi / 4)
    assert abs(circle.decode([2.0, 1.0, 0.0, 1.0])) == pytest.approx(math.pi)


def test_no_activity_or_no_direction_is_nan():
    assert math.isnan(GaussianCode.line(0.0, 1.0, 9).decode(np.zeros(9)))
    assert math.isnan(GaussianCode.circle(72).decode(np.zeros(72)))
    assert math.isnan(GaussianCode.circle(72).decode(np.full(72, 3.0)))


@pytest.mark.parametrize("size", [8, 16, 72])
def test_rates_on_a_circle_are_read_back_to_a_fifty_thousandth_of_sigma(size):
    code = GaussianCode.circle(size)
    values = np.linspace(-math.pi, math.pi, 997)
    error = [math.remainder(code.decode(code.rates(v)) - v, 2 * math.pi) for v in values]
    assert np.abs(error).max() < 2e-5 * code.sigma


@pytest.mark.parametrize("size", [8, 16, 72])
def test_rates_on_a_line_are_read_back_to_half_a_hundredth_of_sigma(size):
    code = GaussianCode.line(-1.0, 2.0, size)
    error = [code.decode(code.rates(v)) - v for v in np.linspace(-1.0, 2.0, 500)]
    assert np.abs(error).max() < 0.005 * code.sigma


def test_poisson_population_vector_has_the_standard_deviation_of_the_linear_estimate():
    code, tau, value = GaussianCode.circle(72, peak=100.0), 0.05, 0.3
    activity = code.rates(value).sum()
    assert activity == pytest.approx(100.0 * math.sqrt(2 * math.pi), rel=1e-3)
    encoder = PoissonEncoder(72, seed=3)
    reader = PopulationVectorDecoder(code, ExponentialDecoder(72, tau))
    errors = []
    for i in range(1200):
        read = reader.decode(*encoder.encode(code.rates(value), 250 * MS), 250 * MS)
        if i:  # 5 tau apart: independent
            errors.append(math.remainder(read - value, 2 * math.pi))
    expected = code.sigma / math.sqrt(2 * tau * activity)
    assert abs(np.mean(errors)) < 4 * expected / math.sqrt(len(errors))
    assert np.std(errors) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("channels", "bound"),
    [(lambda: SlidingWindowDecoder(72, 0.05), 0.75), (lambda: ExponentialDecoder(72, 0.05), 0.5)],
)
def test_regular_population_vector_is_within_a_fraction_of_sigma(channels, bound):
    code = GaussianCode.circle(72, peak=100.0)
    worst = 0.0
    for value in np.linspace(-3.1, 3.1, 25):
        encoder, reader = RegularEncoder(72, seed=4), PopulationVectorDecoder(code, channels())
        for step in range(100):
            read = reader.decode(*encoder.encode(code.rates(value), 10 * MS), 10 * MS)
            if step >= 50:
                worst = max(worst, abs(math.remainder(read - value, 2 * math.pi)))
    assert worst < bound * code.sigma


def test_latency_population_vector_is_read_to_a_ten_thousandth_of_sigma():
    code = GaussianCode.circle(72, peak=100.0)
    encoder, reader = LatencyEncoder(72, 100.0), PopulationVectorDecoder(code, FirstSpikeDecoder(72, 100.0))
    for value in np.linspace(-3.1, 3.1, 25):
        read = reader.decode(*encoder.encode(code.rates(value), 10 * MS), 10 * MS)
        assert abs(math.remainder(read - value, 2 * math.pi)) < 1e-4 * code.sigma


def test_phase_population_vector_of_eight_bits_is_within_a_hundredth_of_sigma():
    code = GaussianCode.circle(72, peak=100.0)
    encoder, reader = PhaseEncoder(72, 100.0), PopulationVectorDecoder(code, PhaseDecoder(72, 100.0))
    for value in np.linspace(-3.1, 3.1, 25):
        read = reader.decode(*encoder.encode(code.rates(value), 8 * MS), 8 * MS)
        assert abs(math.remainder(read - value, 2 * math.pi)) < 0.01 * code.sigma


# --- streaming --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(
    spikes=st.lists(st.tuples(st.integers(0, 100 * MS - 1), st.integers(0, 3)), max_size=60),
    cuts=st.lists(st.integers(1, 100 * MS - 1), max_size=8, unique=True),
)
def test_no_way_of_cutting_time_changes_a_reading(name, spikes, cuts):
    spikes.sort()
    times = np.array([t for t, _ in spikes], np.int64)
    neurons = np.array([i for _, i in spikes], np.int64)
    whole, parts = decoder(name, 4), decoder(name, 4)
    expected = whole.decode(neurons, times, 100 * MS)
    edges = [0, *sorted(cuts), 100 * MS]
    for begin, end in pairwise(edges):
        inside = (times >= begin) & (times < end)
        read = parts.decode(neurons[inside], times[inside] - begin, end - begin)
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("name", NAMES)
def test_reset_snapshot_and_restore_repeat_the_same_readings(name):
    reader, rng = decoder(name, 5), np.random.default_rng(0)
    windows = [(rng.integers(0, 5, 40), np.sort(rng.integers(0, 9 * MS, 40)), 9 * MS) for _ in range(4)]
    first = [reader.decode(*w) for w in windows[:2]]
    saved = reader.snapshot()
    rest = [reader.decode(*w) for w in windows[2:]]
    reader.restore(saved)
    np.testing.assert_array_equal(rest, [reader.decode(*w) for w in windows[2:]])
    reader.reset()
    np.testing.assert_array_equal(first, [reader.decode(*w) for w in windows[:2]])


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("neuron", "offset", "what"),
    [
        ([0, 3], [0, 1], "neuron: 3"),
        ([-1], [0], "neuron: -1"),
        ([0], [MS], "offset_ns"),
        ([0], [-5], "offset_ns: -5"),
        ([0, 1], [5, 4], "order of time"),
        ([0, 1], [5], "2 neurons and 1 offsets"),
        ([0.5], [1], "neuron"),
        ([[0]], [[1]], "neuron"),
        (["a"], [1], "neuron"),
    ],
)
def test_impossible_spikes_are_refused_and_leave_the_state_alone(name, neuron, offset, what):
    reader = decoder(name, 3)
    before = reader.snapshot()
    with pytest.raises(ValueError, match=what):
        reader.decode(neuron, offset, MS)
    np.testing.assert_array_equal(before, reader.snapshot())


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: decoder("mean", 3), "decoder 'mean'"),
        (lambda: decoder("window", 3, tau=1.0), "tau"),
        (lambda: SlidingWindowDecoder(3, 0.0105), "whole bins"),
        (lambda: SlidingWindowDecoder(3, -0.05), "window"),
        (lambda: SlidingWindowDecoder(0), "size"),
        (lambda: ExponentialDecoder(3, 0.0), "tau"),
        (lambda: ExponentialDecoder(3, math.nan), "tau"),
        (lambda: FirstSpikeDecoder(3, math.inf), "max_rate"),
        (lambda: PhaseDecoder(3, bits=40), "bits"),
        (lambda: GaussianCode([0.0], 1.0), "preferred"),
        (lambda: GaussianCode([0.0, math.nan], 1.0), "preferred"),
        (lambda: GaussianCode([0.0, 1.0], 0.0), "sigma"),
        (lambda: GaussianCode([0.0, 1.0], 1.0, peak=-1.0), "max_rate"),
        (lambda: GaussianCode([0.0, 1.0], 1.0, period=math.inf), "period"),
        (lambda: GaussianCode.line(0.0, 1.0, 7), "too few"),
        (lambda: GaussianCode.line(1.0, 1.0, 20), "no range"),
        (lambda: GaussianCode.circle(8).rates(math.nan), "value"),
        (lambda: GaussianCode.circle(8).decode(np.full(8, math.nan)), "finite"),
        (lambda: GaussianCode.circle(8).decode(np.zeros(7)), "shape"),
        (
            lambda: PopulationVectorDecoder(GaussianCode.circle(8), ExponentialDecoder(9)),
            "9 decoder channels",
        ),
        (lambda: ExponentialDecoder(3).rates(SpikeTrain(0, 1, layout(a=2), [], [])), "2 neurons"),
        (lambda: ExponentialDecoder(3).restore(ExponentialDecoder(4).snapshot()), "snapshot"),
    ],
)
def test_impossible_decoders_and_codes_are_refused(make, what):
    with pytest.raises(ValueError, match=what):
        make()
