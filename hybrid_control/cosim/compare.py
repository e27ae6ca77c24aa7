"""Where two recordings of a co-simulation part first: traces (MCAP), npz files of `cosim run`, or one of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.clock import text
from hybrid_control.cosim.tracefile import Recorded, RecordedRuns, Times, Trace, read
from hybrid_control.files import read_npz

StrPath = str | os.PathLike[str]


class Divergence(NamedTuple):
    """When two recordings part, and what is said of it. order: of parts at one time."""

    at_ns: int
    order: int
    line: str


def first_divergence(first: StrPath, second: StrPath) -> str | None:
    """Where two files part first in time: a line that names port or part, run, time, place and both values.

    None where they are the same. Of two at one time, that of the part which gives to the other. The wall time that runs
    took is not compared. ValueError where a file is no such recording, OSError as usual.
    """
    a, b = open_recording(first), open_recording(second)
    odd = sorted(set(a.ports) ^ set(b.ports)) or (
        sorted(set(a.runs) ^ set(b.runs)) if a.runs and b.runs else []
    )
    if odd:
        return f"{odd[0]} is recorded in one of them alone"
    found = min([*_runs(a, b), *_ports(a, b)], default=None)
    return None if found is None else found.line


def open_recording(path: StrPath) -> Trace:
    """A trace, or an npz file as `cosim run` writes it, as a trace without runs."""
    if Path(path).suffix != ".npz":
        return read(path)
    arrays = read_npz(path)
    ports = {}
    for name in sorted(arrays):
        if name.endswith(".times"):
            continue
        rows, times = arrays[name], arrays.get(f"{name}.times")
        numbers = rows.dtype.kind in "biuf" and times is not None and times.dtype.kind in "iuf"
        if times is None or not numbers or times.shape != rows.shape[:1]:
            raise ValueError(f"{path}: {name}: expected rows of numbers, and their times as {name}.times")
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            ports[name] = Recorded(None, rows.shape[1:], np.round(times * 1e9).astype(np.int64), flat)
    return Trace(str(path), {}, [], [], {}, ports, True)


def _order(a: Trace, b: Trace) -> dict[str, int]:
    """Which part comes first at one time."""
    names = [part["name"] for part in a.parts or b.parts]
    return {name: i for i, name in enumerate(names)}


def _runs(a: Trace, b: Trace) -> Iterator[Divergence]:
    """The first difference between the runs of each part, where both files have them."""
    order = _order(a, b)
    for name in sorted(set(a.runs) & set(b.runs)):
        x, y, rank = a.runs[name], b.runs[name], order.get(name, 0)
        found = _run_difference(name, x, y)
        if found is not None:
            at, line = found
            yield Divergence(at, 2 * rank, line)


def _run_difference(name: str, x: RecordedRuns, y: RecordedRuns) -> tuple[int, str] | None:
    count = min(len(x.begin), len(y.begin))
    columns: list[tuple[str, NDArray[np.int64], NDArray[np.int64], bool]] = [
        ("begins", x.begin, y.begin, True),
        ("its results arrive", x.end, y.end, True),
        ("has waited", x.waited.astype(np.int64), y.waited.astype(np.int64), False),
        ("is lost", x.lost.astype(np.int64), y.lost.astype(np.int64), False),
    ]
    if x.links != y.links:
        return (int(x.begin[0]) if len(x.begin) else 0), f"{name}: other links lead to it"
    columns += [(f"age of {link}", x.ages[:, i], y.ages[:, i], True) for i, link in enumerate(x.links)]
    first: tuple[int, str] | None = None
    for what, left, right, is_time in columns:
        rows = np.flatnonzero(left[:count] != right[:count])
        if rows.size and (first is None or x.begin[rows[0]] < first[0]):
            run = int(rows[0])
            values = (_age(int(v[run])) if is_time else ("no", "yes")[int(v[run])] for v in (left, right))
            first = (
                int(x.begin[run]),
                f"{_place(name, run, int(x.begin[run]))}, {what}: {' and '.join(values)}",
            )
    if first is None and len(x.begin) != len(y.begin):
        longer = x.begin if len(x.begin) > count else y.begin
        return int(longer[count]), f"{name}: one ends before run {count} at {text(int(longer[count]))}"
    return first


def _age(ns: int) -> str:
    return "none" if ns < 0 else text(ns)


def _place(name: str, run: int, at_ns: int) -> str:
    return f"{name}: run {run} at {text(at_ns)}"


def _ports(a: Trace, b: Trace) -> Iterator[Divergence]:
    """The first difference of each port."""
    order = _order(a, b)
    for name in sorted(a.ports):
        x, y = a.ports[name], b.ports[name]
        part = name.partition(".")[0]
        if x.shape != y.shape:
            raise ValueError(f"{name}: rows of other shapes: {x.shape} and {y.shape}")
        begins = [t.runs[part].begin if part in t.runs else p.times for t, p in ((a, x), (b, y))]
        spiking = "spikes" in (x.kind, y.kind)
        count = min(map(len, begins))
        found = _odd_time(name, begins, count)
        common = begins[0][:count]
        at = (_spike_difference if spiking else _row_difference)(name, x, y, common)
        candidates = [c for c in (found, at) if c is not None]
        if not candidates and len(begins[0]) != len(begins[1]):
            longer = max(begins, key=len)
            line = f"{name}: one ends before run {count} at {text(int(longer[count]))}"
            candidates = [(int(longer[count]), line)]
        if candidates:
            when, line = min(candidates)
            yield Divergence(when, 2 * order.get(part, 0) + 1, line)


def _odd_time(name: str, begins: list[Times], count: int) -> tuple[int, str] | None:
    """The first run that begins at another time."""
    odd = np.flatnonzero(begins[0][:count] != begins[1][:count])
    if not odd.size:
        return None
    run = int(odd[0])
    times = [int(t[run]) for t in begins]
    return min(times), f"{name}: run {run} begins at {text(times[0])} and at {text(times[1])}"


def _row_difference(name: str, x: Recorded, y: Recorded, common: Times) -> tuple[int, str] | None:
    assert x.rows is not None
    assert y.rows is not None
    count = min(len(common), len(x.rows), len(y.rows))
    left, right = x.rows[:count], y.rows[:count]
    differs = (left != right) & ~(np.isnan(left) & np.isnan(right))
    rows = np.flatnonzero(differs.any(axis=1))
    if not rows.size:
        return None
    run = int(rows[0])
    index = int(np.flatnonzero(differs[run])[0])
    values = " and ".join(_number(float(r[run, index])) for r in (left, right))
    return int(common[run]), f"{_place(name, run, int(common[run]))}, number {index}: {values}"


def _spike_difference(name: str, x: Recorded, y: Recorded, common: Times) -> tuple[int, str] | None:
    left, right = _events(x, common), _events(y, common)
    count = min(len(left[0]), len(right[0]))
    odd = np.flatnonzero(
        np.logical_or.reduce([a[:count] != b[:count] for a, b in zip(left, right, strict=True)])
    )
    if not odd.size and len(left[0]) == len(right[0]):
        return None
    i = int(odd[0]) if odd.size else count
    here = [(int(e[0][i]), int(e[1][i]), float(e[2][i])) if i < len(e[0]) else None for e in (left, right)]
    at, neuron = min(event[:2] for event in here if event is not None)
    counts = [_number(event[2]) if event is not None and event[:2] == (at, neuron) else "0" for event in here]
    run = int(np.searchsorted(common, at))
    return at, f"{_place(name, run, at)}, neuron {neuron}: {' and '.join(counts)} spikes"


def _events(port: Recorded, common: Times) -> tuple[Times, Times, NDArray[np.float64]]:
    """The spikes up to the last common run, (k,) each: time in ns, neuron, count."""
    if port.rows is not None:
        rows = np.nan_to_num(port.rows[: len(common)], nan=0.0)
        run, neuron = np.nonzero(rows)
        return port.times[run], neuron.astype(np.int64), rows[run, neuron]
    assert port.neuron is not None
    assert port.count is not None
    kept = port.times <= common[-1] if len(common) else np.zeros(len(port.times), np.bool_)
    return port.times[kept], port.neuron[kept], port.count[kept]


def _number(value: float) -> str:
    """All of its digits."""
    return repr(value).removesuffix(".0")
