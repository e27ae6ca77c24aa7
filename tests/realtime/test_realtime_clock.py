"""Clocks, and the small pieces of compiled code that the rest is built of."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import carray, njit
from numba.core.errors import TypingError

from hybrid_control.realtime import address_of, as_pointer, monotonic_ns, realtime_ns, sleep_until
from hybrid_control.realtime.compiled import bit_length, load_acquire, store_release

INNER = np.dtype([("a", np.float64), ("b", np.float32, (3,))], align=True)
OUTER = np.dtype([("first", np.int32), ("inner", INNER), ("last", np.int64)], align=True)


@njit(cache=True)
def inner_address(address):
    return address_of(carray(as_pointer(address), 1, OUTER)[0].inner)


@njit(cache=True)
def length(value):
    return bit_length(value)


@njit(cache=True)
def store_then_load(address, value):
    store_release(address, value)
    return load_acquire(address)


def test_monotonic_clock_is_that_of_the_time_module():
    before = time.monotonic_ns()
    now = monotonic_ns()
    assert before <= now <= time.monotonic_ns()


def test_realtime_clock_is_that_of_the_time_module():
    before = time.time_ns()
    now = realtime_ns()
    assert before <= now <= time.time_ns()


def test_sleep_ends_at_the_time_or_after_it_and_at_once_when_that_has_passed():
    until = time.monotonic_ns() + 3_000_000
    assert until <= sleep_until(until) <= time.monotonic_ns()
    sleep_until(0)


def test_address_of_a_nested_record_is_its_offset():
    record = np.zeros((), OUTER)
    assert inner_address(record.ctypes.data) == record.ctypes.data + OUTER.fields["inner"][1]


def test_address_of_a_number_is_refused_at_compilation():
    with pytest.raises(TypingError, match="no record"):
        njit(lambda x: address_of(x))(1.0)


@given(st.integers(0, 2**63 - 1))
def test_bit_length_is_that_of_python(value):
    assert length(value) == value.bit_length()


@given(st.integers(-(2**63), 2**63 - 1))
def test_what_was_stored_is_loaded(value):
    memory = np.zeros(3, np.int64)
    assert store_then_load(memory.ctypes.data + 8, value) == value
    assert memory.tolist() == [0, value, 0]
