"""Sequences of a task: the events of a camera, with a time each, and the truth after every millisecond."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.files import MIB, read_npz

Array = NDArray[Any]

SIZE = 64  # pixels of a side
STEP = 1e-3  # s, the resolution that events are kept at
LIMIT = 2048 * MIB  # of a file of sequences


@dataclass(frozen=True)
class Sequence:
    """truth: (steps, *shape) after each step of STEP; events: what the camera said.

    events: step, polarity (1: ON), y, x of each, in order, as uint16 (n, 4).
    """

    truth: Array
    events: Array


def rows(events: Array, steps: Array | int) -> Array:
    """Events of a camera, with the step of each or of all, as `Sequence.events` has them."""
    kept = np.empty((len(events), 4), np.uint16)
    kept[:, 0] = steps
    kept[:, 1], kept[:, 2], kept[:, 3] = events["on"], events["y"], events["x"]
    return kept


@njit(cache=True, nogil=True)
def _count(events, pointer, chosen, begins, per_bin, out):  # type: ignore[no-untyped-def]
    for k in range(chosen.size):
        low, high = pointer[chosen[k]], pointer[chosen[k] + 1]
        begin, end = begins[k], begins[k] + out.shape[1] * per_bin
        left, right = low, high  # the first event that is not before the window
        while left < right:
            middle = (left + right) // 2
            if events[middle, 0] < begin:
                left = middle + 1
            else:
                right = middle
        while left < high and events[left, 0] < end:
            out[
                k, (events[left, 0] - begin) // per_bin, events[left, 1], events[left, 2], events[left, 3]
            ] += 1.0
            left += 1


@dataclass(frozen=True)
class Sequences:
    """Many of one length. truth: (n, steps, *shape); events: (all, 4) as `Sequence.events`; pointer: (n + 1,)."""

    truth: Array
    events: Array
    pointer: Array

    @classmethod
    def of(cls, made: Iterable[Sequence]) -> Sequences:
        """Those, in their order."""
        each = list(made)
        pointer = np.concatenate([[0], np.cumsum([len(one.events) for one in each])])
        return cls(
            np.stack([one.truth for one in each]), np.concatenate([one.events for one in each]), pointer
        )

    @classmethod
    def load(cls, path: Path) -> Sequences:
        """Those that `save` wrote."""
        arrays = read_npz(path, "sequences of events", LIMIT)
        truth = arrays["truth"] if "truth" in arrays else arrays["joints"]  # as the arm's were once called
        return cls(truth, arrays["events"], arrays["pointer"])

    def save(self, path: Path) -> None:
        """As an npz file, written whole or not at all."""
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            np.savez(file, truth=self.truth, events=self.events, pointer=self.pointer)
        os.replace(unfinished, path)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def steps(self) -> int:
        """Of each."""
        return int(self.truth.shape[1])

    def bins(self, chosen: Array, begins: Array, count: int, per_bin: int) -> Array:
        """Events of each pixel in `count` bins of `per_bin` steps from `begins` on: (chosen, count, 2, SIZE, SIZE).

        chosen: numbers of sequences; begins: the step at which each begins.
        """
        out = np.zeros((len(chosen), count, 2, SIZE, SIZE), np.float32)
        _count(self.events, self.pointer, np.asarray(chosen), np.asarray(begins), per_bin, out)
        return out

    def after(self, chosen: Array, begins: Array, count: int, per_bin: int) -> Array:
        """The truth at the end of each of those bins: (chosen, count, *shape)."""
        at = np.asarray(begins)[:, None] + per_bin * np.arange(1, count + 1) - 1
        return np.asarray(self.truth[np.asarray(chosen)[:, None], at])
