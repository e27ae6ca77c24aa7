"""Mailboxes: the newest value of one kind, handed between threads with no lock between writer and reader.

A mailbox is a block of memory that compiled code and Python both reach by its address. It is a seqlock over a
few slots (H.-J. Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012): write n
goes to slot n modulo the number of slots, so a reader that copies the newest slot is disturbed only by a
writer that comes round the whole ring meanwhile; it sees that by the slot's number, and copies again.

A reader never waits for a writer, nor for one that was suspended in the middle of a write. Writers on Python
threads exclude each other with a lock that no reader touches; compiled code may write too where it is the
only writer.
"""

from __future__ import annotations

import ctypes
import os
import select
import threading
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from hybrid_control.realtime.clock import monotonic_ns
from hybrid_control.realtime.compiled import (
    fence_acquire,
    fence_release,
    load_acquire,
    load_byte,
    load_relaxed,
    load_word,
    signal_event,
    store_byte,
    store_relaxed,
    store_release,
    store_word,
)

# The block: a header of 8 words, then the slots. Offsets in bytes.
_SEQUENCE = 0  # number of the newest whole write, 0 before the first
_SIZE = 8  # bytes of a value
_STRIDE = 16  # bytes from one slot to the next
_SLOTS = 24
_EVENT = 32  # eventfd that a write signals, or -1
_HEADER = 64
# A slot: number (2n while it holds write n, odd while being written), stamp, time of writing, value
_VALUE = 24


@njit("int64(int64, int64)", cache=True, nogil=True)
def _copy_newest(mailbox: int, entry: int) -> int:
    size = load_relaxed(mailbox + _SIZE)
    stride = load_relaxed(mailbox + _STRIDE)
    slots = load_relaxed(mailbox + _SLOTS)
    while True:
        newest = load_acquire(mailbox + _SEQUENCE)
        slot = mailbox + _HEADER + (newest % slots) * stride
        if load_acquire(slot) != 2 * newest:
            continue
        for offset in range(8, _VALUE + size - 7, 8):
            store_word(entry + offset, load_relaxed(slot + offset))
        tail = size % 8
        if tail:
            offset = _VALUE + size - tail
            word = load_relaxed(slot + offset)
            for i in range(tail):
                store_byte(entry + offset + i, word >> (8 * i))
        fence_acquire()
        if load_relaxed(slot) == 2 * newest:
            store_word(entry, newest)
            return 1


@njit("int64(int64, int64)", cache=True, nogil=True)
def read_mailbox(mailbox: int, entry: int) -> int:
    """Copy the newest value into an entry, if it is newer than what the entry holds; 1 if it did, else 0.

    mailbox: ``Mailbox.address``; entry: address of a record of the mailbox's ``entry_dtype``, the reader's
    own. Copies again only where the writer came round the whole ring during the copy, which a writer that
    copies as much each time cannot keep up.
    """
    if load_acquire(mailbox + _SEQUENCE) == load_word(entry):
        return 0  # a few instructions, which are put in where it is called
    return _copy_newest(mailbox, entry)


@njit("int64(int64, int64, int64, int64)", cache=True, nogil=True)
def write_mailbox(mailbox: int, value: int, stamp_ns: int, received_ns: int) -> int:
    """Write a value; returns its sequence number. For compiled code that is the mailbox's only writer.

    mailbox: ``Mailbox.address``; value: address of a record of the mailbox's ``dtype``; stamp_ns: when what
    the value tells was true, on the ROS clock; received_ns: now, on the clock that the loop's ticks are
    given.
    """
    size = load_relaxed(mailbox + _SIZE)
    number = load_relaxed(mailbox + _SEQUENCE) + 1
    slot = mailbox + _HEADER + (number % load_relaxed(mailbox + _SLOTS)) * load_relaxed(mailbox + _STRIDE)
    store_relaxed(slot, 2 * number - 1)
    fence_release()
    store_relaxed(slot + 8, stamp_ns)
    store_relaxed(slot + 16, received_ns)
    for offset in range(0, size - 7, 8):
        store_relaxed(slot + _VALUE + offset, load_word(value + offset))
    tail = size % 8
    if tail:
        word = 0
        for i in range(tail):
            word |= load_byte(value + size - tail + i) << (8 * i)
        store_relaxed(slot + _VALUE + size - tail, word)
    store_release(slot, 2 * number)
    store_release(mailbox + _SEQUENCE, number)
    event = load_relaxed(mailbox + _EVENT)
    if event >= 0:
        signal_event(event)
    return number


class Mailbox:
    """The newest value of one kind, for one or several writers and any number of readers.

    dtype: a structured numpy dtype of plain fields, nested records and nested arrays; no Python objects.
    waitable: whether readers in Python may `wait` for a write (Linux; a write then costs one system call
    more).

    A tick keeps an entry (`entry_dtype`) in its context and calls ``read_mailbox(address,
    address_of(entry))``; the entry's ``sequence`` is 0 until the first value, and counts the writes. For a
    set of gains it is the version: a set is written as one value, so a tick sees all of it or nothing.
    """

    def __init__(self, dtype: DTypeLike, *, waitable: bool = False, slots: int = 4) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.names is None or self.dtype.hasobject or self.dtype.alignment > 8:
            raise ValueError(f"mailbox: dtype {self.dtype} must be structured, of plain fields up to 8 bytes")
        if slots < 2:
            raise ValueError(f"mailbox: {slots} slots, expected 2 or more")
        header = [("sequence", np.int64), ("stamp_ns", np.int64), ("received_ns", np.int64)]
        # offsets given, for numpy leaves no room to pad a value that is packed
        self.entry_dtype = np.dtype(
            {
                "names": [name for name, _ in header] + ["value"],
                "formats": [kind for _, kind in header] + [self.dtype],
                "offsets": [0, 8, 16, _VALUE],
                "itemsize": _VALUE + -(-self.dtype.itemsize // 8) * 8,
            },
            align=self.dtype.isalignedstruct,
        )
        self._block = ctypes.c_int64 * (self.entry_dtype.itemsize // 8)
        stride = -(-self.entry_dtype.itemsize // 64) * 64  # whole cache lines
        self._memory: NDArray[np.int64] = np.zeros((_HEADER + slots * stride) // 8 + 8, np.int64)
        self.address = -(-self._memory.ctypes.data // 64) * 64
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if waitable else -1
        header_words = self._memory[(self.address - self._memory.ctypes.data) // 8 :]
        layout = {_SIZE: self.dtype.itemsize, _STRIDE: stride, _SLOTS: slots, _EVENT: self._event}
        for offset, number in layout.items():
            header_words[offset // 8] = number
        self._writers = threading.Lock()
        self._staged = self.new()

    def __del__(self) -> None:
        if getattr(self, "_event", -1) >= 0:
            os.close(self._event)

    def new(self) -> NDArray[Any]:
        """A record of zeros to fill and `write`: a numpy array of shape ()."""
        return np.zeros((), self.dtype)

    def new_entry(self) -> NDArray[Any]:
        """An entry for `read_into`: shape (), fields sequence, stamp_ns, received_ns, value."""
        return np.zeros((), self.entry_dtype)

    def write(self, value: NDArray[Any] | np.void, stamp_ns: int, received_ns: int | None = None) -> int:
        """Write one record; returns its sequence number.

        value: of the mailbox's dtype, shape () or (1,); stamp_ns: its time on the ROS clock; received_ns: its
        time of arrival on the clock of the loop's ticks, by default the monotonic clock's now.
        """
        record = np.asarray(value)
        if record.dtype != self.dtype or record.size != 1:
            raise ValueError(f"mailbox: {record.size} values of {record.dtype}, expected one of {self.dtype}")
        now = monotonic_ns() if received_ns is None else received_ns
        with self._writers:
            return write_mailbox(self.address, record.ctypes.data, stamp_ns, now)

    def update(self, stamp_ns: int, received_ns: int | None = None, **fields: Any) -> int:
        """Write the newest value again with some fields changed, as one value; returns its sequence number.

        For several writers in Python, none of whose changes is lost. Not where compiled code writes.
        """
        now = monotonic_ns() if received_ns is None else received_ns
        with self._writers:
            staged = self._staged
            newest = self.read()
            staged[...] = newest["value"]
            for name, content in fields.items():
                if name not in (self.dtype.names or ()):
                    raise ValueError(f"mailbox: no field {name!r}; there are {self.dtype.names}")
                staged[name] = content
            return write_mailbox(self.address, staged.ctypes.data, stamp_ns, now)

    def read(self) -> NDArray[Any]:
        """A new entry with the newest value; its sequence is 0 where nothing was written yet."""
        block = self._block()  # memory whose address is known at once; numpy takes longer to say it than all of this
        read_mailbox(self.address, ctypes.addressof(block))
        return np.ndarray((), self.entry_dtype, memoryview(block))

    def read_into(self, entry: NDArray[Any]) -> bool:
        """Bring the caller's entry up to date; whether there was a newer value."""
        if entry.dtype != self.entry_dtype or entry.size != 1 or not entry.flags.writeable:
            raise ValueError(f"mailbox: entry of {entry.dtype}, expected one of {self.entry_dtype}")
        return bool(read_mailbox(self.address, entry.ctypes.data))

    def state(self) -> NDArray[np.int64]:
        """A copy of all that it holds; for what stands still."""
        return self._words().copy()

    def set_state(self, state: NDArray[np.int64]) -> None:
        """Hold that again; of a mailbox of the same dtype and slots."""
        self._words()[:] = state

    def _words(self) -> NDArray[np.int64]:
        """From its address on."""
        first = (self.address - self._memory.ctypes.data) // 8
        return self._memory[first : first + self._memory.size - 8]

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a write, or a time-out; whether there was one since the last `wait`. For one waiter."""
        if self._event < 0:
            raise ValueError("mailbox: made without waitable=True")
        if not select.select([self._event], [], [], timeout_s)[0]:
            return False
        os.eventfd_read(self._event)
        return True
