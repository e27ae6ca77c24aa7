"""Histograms tell percentiles to within one part in 32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.realtime.histogram import BINS, Histogram, bin_edges, bin_of

EDGES = bin_edges()


def histogram(durations):
    counts = np.zeros(BINS, np.int64)
    for duration in durations:
        counts[bin_of(duration)] += 1
    return Histogram(counts, max(durations, default=0))


@given(st.integers(0, 2**40 - 1))
def test_a_duration_lies_within_its_bin_which_is_narrow(duration):
    found = bin_of(duration)
    assert duration <= EDGES[found]
    assert found == 0 or EDGES[found - 1] < duration
    assert EDGES[found] - duration <= duration / 32


def test_what_is_out_of_range_counts_in_the_outermost_bins():
    assert bin_of(-5) == 0
    assert bin_of(2**62) == BINS - 1


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.floats(0, 100))
def test_percentiles_are_those_of_the_sorted_list(durations, percent):
    exact = np.percentile(durations, percent, method="inverted_cdf") * 1e-9
    found = histogram(durations).percentile(percent)
    assert exact * (1 - 1e-12) <= found <= exact * (1 + 1 / 32) + 1e-12


def test_known_percentiles():
    h = histogram([10] * 98 + [1000] + [5_000_000])
    assert h.percentile(50) == pytest.approx(10e-9)
    assert h.percentile(99) == pytest.approx(1e-6, rel=1 / 32)
    assert h.summary()["max_us"] == 5000.0


def test_difference_counts_what_came_later():
    early = histogram([10, 20])
    late = histogram([10, 20, 30, 30])
    assert late.since(early).total == 2
    assert late.since(early).percentile(50) == pytest.approx(30e-9)


def test_empty_histogram_and_impossible_percentile():
    assert histogram([]).percentile(99) == 0.0
    with pytest.raises(ValueError, match="must be within 0"):
        histogram([1]).percentile(101)
