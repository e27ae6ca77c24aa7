"""A mailbox hands over whole values, the newest one, to any number of readers."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import carray, njit

from hybrid_control.realtime import Mailbox, as_pointer, monotonic_ns, read_mailbox, write_mailbox
from hybrid_control.realtime.mailbox import _HEADER, _STRIDE

SOAK_S = float(os.environ.get("SOAK_S", "3"))  # `make soak` hammers for a minute

GAINS = np.dtype([("low", np.float64), ("high", np.float64), ("n", np.int32)], align=True)
# 83 words and 5 bytes more: the tail has to arrive as well
PATTERN = np.dtype([("words", np.int64, (83,)), ("bytes", np.uint8, (5,))])


@njit(cache=True, nogil=True)
def write_patterns(mailbox, value, until_ns, pause_ns):
    """Write patterns that say which write they belong to, in bursts as fast as possible; returns how many."""
    record = carray(as_pointer(value), 1, PATTERN)[0]
    number = 0
    while monotonic_ns() < until_ns:
        for _ in range(100):
            number += 1
            for i in range(83):
                record.words[i] = number * 7 + i
            for i in range(5):
                record.bytes[i] = (number + i) & 255
            if write_mailbox(mailbox, value, number * 3, number * 5) != number:
                return -1
        resume = monotonic_ns() + pause_ns  # lets a reader through that the burst had overtaken
        while monotonic_ns() < resume:
            pass
    return number


@njit(cache=True, nogil=True)
def check_patterns(mailbox, entry, entry_dtype, until_ns, counts):
    """Read and check until a time; counts: values seen, values torn, sequence numbers that went back."""
    record = carray(as_pointer(entry), 1, entry_dtype)[0]
    while monotonic_ns() < until_ns:
        for _ in range(100):
            before = record.sequence
            if read_mailbox(mailbox, entry):
                n = record.sequence
                counts[0] += 1
                good = record.stamp_ns == 3 * n and record.received_ns == 5 * n
                for i in range(83):
                    good &= record.value.words[i] == n * 7 + i
                for i in range(5):
                    good &= record.value.bytes[i] == (n + i) & 255
                counts[1] += not good
                counts[2] += n <= before


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("slots", [2, 4, 8])
def test_no_reader_ever_sees_half_of_a_write(slots):
    box = Mailbox(PATTERN, slots=slots)
    counts = np.zeros((2, 3), np.int64)
    entries = [box.new_entry(), box.new_entry()]
    check_patterns(box.address, entries[0].ctypes.data, box.entry_dtype, 0, counts[0])  # compiles
    value = box.new()
    write_patterns(box.address, value.ctypes.data, 0, 0)
    written = []
    until = monotonic_ns() + int(SOAK_S / 3 * 1e9)

    def write():
        written.append(write_patterns(box.address, value.ctypes.data, until, 20_000))

    def read(i):
        check_patterns(box.address, entries[i].ctypes.data, box.entry_dtype, until, counts[i])

    threads = [threading.Thread(target=write)] + [threading.Thread(target=read, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written[0] > 1000
    assert counts[:, 0].sum() > 10  # readers did see values, however busy the machine
    assert counts[:, 1:].tolist() == [[0, 0], [0, 0]]
    assert int(box.read()["sequence"]) == written[0]


def test_a_new_mailbox_is_empty():
    box = Mailbox(GAINS)
    entry = box.read()
    assert entry["sequence"] == 0
    assert not box.read_into(entry)


def test_reader_gets_the_newest_value_once_with_its_stamps():
    box = Mailbox(GAINS)
    value = box.new()
    for n in range(1, 11):
        value["low"], value["high"], value["n"] = n, 2 * n, 3 * n
        assert box.write(value, stamp_ns=100 + n, received_ns=200 + n) == n
    entry = box.new_entry()
    assert box.read_into(entry)
    assert entry.item() == (10, 110, 210, (10.0, 20.0, 30))
    assert not box.read_into(entry)
    assert entry.item() == (10, 110, 210, (10.0, 20.0, 30))


def test_time_of_writing_is_the_monotonic_clock_unless_given():
    box = Mailbox(GAINS)
    before = time.monotonic_ns()
    box.write(box.new(), stamp_ns=0)
    assert before <= int(box.read()["received_ns"]) <= time.monotonic_ns()


def test_a_writer_suspended_in_the_middle_of_a_write_holds_nobody_up():
    box = Mailbox(GAINS)
    for n in range(1, 7):
        box.write(np.array((n, n, n), GAINS), stamp_ns=n)
    # write 7 has begun, in slot 3 of 4: its number is odd and its value half there
    words = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_int64 * 200).from_address(box.address))
    slot = (_HEADER + 3 * int(words[_STRIDE // 8])) // 8
    words[slot] = 2 * 7 - 1
    words[slot + 3] = -1
    assert box.read()["value"].item() == (6.0, 6.0, 6)


@given(st.data(), st.integers(1, 40), st.booleans())
def test_bytes_of_any_dtype_come_through_and_nothing_beside_them_is_touched(data, size, odd):
    dtype = np.dtype([("a", np.uint8, (size,)), ("b", np.float32)], align=not odd)
    content = data.draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    box = Mailbox(dtype)
    value = np.frombuffer(content, dtype)
    box.write(value, stamp_ns=1)
    guarded = np.zeros(3, box.entry_dtype)
    guarded.view(np.uint8)[...] = 0xAA
    guarded["sequence"][1] = 0
    assert box.read_into(guarded[1:2])
    assert guarded["value"][1].tobytes() == content
    raw = guarded.view(np.uint8).reshape(3, -1)
    assert (raw[[0, 2]] == 0xAA).all()


def test_updates_from_several_threads_are_all_kept():
    box = Mailbox(np.dtype([(f"gain{i}", np.int64) for i in range(4)]))
    box.write(box.new(), 0)

    def count(name):
        for n in range(1, 501):
            box.update(0, **{name: n})

    threads = [threading.Thread(target=count, args=(f"gain{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = box.read()
    assert newest["sequence"] == 2001
    assert newest["value"].item() == (500, 500, 500, 500)


def test_update_of_an_unknown_field_changes_nothing():
    box = Mailbox(GAINS)
    box.write(np.array((1, 2, 3), GAINS), 0)
    with pytest.raises(ValueError, match="no field 'middle'"):
        box.update(0, low=9, middle=1)
    assert box.read().item()[0] == 1
    assert box.read()["value"].item() == (1.0, 2.0, 3)


def test_wait_ends_with_a_write_from_another_thread_or_with_the_time():
    box = Mailbox(GAINS, waitable=True)
    assert not box.wait(0.0)
    writer = threading.Timer(0.05, lambda: box.write(box.new(), 0))
    writer.start()
    assert box.wait(10.0)
    assert not box.wait(0.0)
    writer.join()


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        (np.float64, "structured"),
        ([("a", object)], "structured"),
        (np.dtype([("a", np.longdouble)], align=True), "up to 8 bytes"),
    ],
)
def test_dtypes_that_do_not_fit_are_refused(dtype, reason):
    with pytest.raises(ValueError, match=reason):
        Mailbox(dtype)


def test_values_and_entries_of_another_dtype_are_refused():
    box = Mailbox(GAINS)
    with pytest.raises(ValueError, match="expected one of"):
        box.write(np.zeros(2, GAINS), 0)
    with pytest.raises(ValueError, match="expected one of"):
        box.write(np.zeros((), PATTERN), 0)
    with pytest.raises(ValueError, match="expected one of"):
        box.read_into(np.zeros((), GAINS))
    with pytest.raises(ValueError, match="waitable"):
        box.wait(0.0)
    with pytest.raises(ValueError, match="slots"):
        Mailbox(GAINS, slots=1)
