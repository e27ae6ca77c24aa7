"""`hybrid-control bench snn`: what a tick of the spiking engine costs, beside other tools on the same networks.

Every network is run with the same weights and inputs everywhere, its activity is counted, and the peers' spikes are
compared with the engine's in the scheme that is theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from hybrid_control.bench.machine import machine
from hybrid_control.bench.workloads import DT, TAU, Arrays, reflex, sparse
from hybrid_control.realtime.clock import monotonic_ns
from hybrid_control.snn.backends.numba.kernels import step_arena

if TYPE_CHECKING:
    from hybrid_control.snn import Engine

PEERS_PYTHON = Path("build/peers/bin/python")


def measure(quick: bool, peers_python: Path | None) -> dict[str, Any]:
    """All figures, as a dict that JSON can hold: times in µs per tick, spikes and synaptic events per tick."""
    steps, peer_steps, sparse_steps = (4000, 300, 500) if quick else (100_000, 3000, 5000)
    small, medium, large = reflex(), sparse(1000, 100), sparse(10_000, 100)
    rows: list[dict[str, Any]] = []
    with tqdm(total=5, unit="part", disable=None, leave=False) as bar:
        engine, began = reflex_engine(small), time.perf_counter()
        engine.step(small["x"][0])
        first_call = time.perf_counter() - began
        rows.append(_from_python("64-256-8, a call from Python", engine, small["x"], steps))
        bar.update()
        rows.append(_compiled("64-256-8, in compiled code", reflex_engine(small), small["x"], steps))
        bar.update()
        rows.append(_compiled("1,000 neurons, 10 %", sparse_engine(medium), None, steps))
        bar.update()
        rows.append(_compiled("10,000 neurons, 1 %", sparse_engine(large), None, steps // 10))
        bar.update()
        peers, notes = _peers(small, large, peers_python, peer_steps, sparse_steps)
        bar.update()
    for row in peers:
        against = rows[0] if row["workload"] == "reflex" else rows[3]
        row["ratio"] = row["p50_us"] / against["p50_us"]
    return {
        "machine": machine(),
        "first_step_s": first_call,
        "timer_ns": _timer_ns(),
        "engine": rows,
        "peers": peers,
        "peers_run_in": notes,
    }


def reflex_engine(data: Arrays, **options: Any) -> Engine:
    """`workloads.reflex` on the engine."""
    import nir

    from hybrid_control.snn import Engine, Network

    net = Network()
    net.add_input("input", 64)
    for name, size in (("hidden", 256), ("output", 8)):
        net.add_population(name, nir.LIF, size, tau=TAU, r=TAU / DT)
    net.connect("input", "hidden", data["input"])
    net.connect("hidden", "hidden", data["recurrent"])
    net.connect("hidden", "output", data["output"])
    net.add_output("spikes", "output")
    return Engine(net, dt=DT, **options)


def sparse_engine(data: Arrays, **options: Any) -> Engine:
    """`workloads.sparse` on the engine."""
    import nir

    from hybrid_control.snn import Engine, Network, Synapses

    n, net = data["start"].size, Network()
    net.add_input("input", 1)
    net.add_population("hidden", nir.LIF, n, tau=TAU, r=TAU / DT, v_leak=data["leak"])
    one = np.zeros(1, np.int64)
    net.connect("input", "hidden", lambda *_: Synapses(one, one, np.ones(1)))  # an input, always silent
    net.connect("hidden", "hidden", lambda *_: Synapses(data["pre"], data["post"], data["weight"]))
    net.add_output("spikes", "hidden")
    engine = Engine(net, dt=DT, **options)
    engine.set_voltage("hidden", data["start"])
    return engine


@njit(cache=True, nogil=True)
def _ticks(address, held, x, times):  # type: ignore[no-untyped-def]
    """A tick for each of `times`, which receives its ns; inputs are the rows of x in turn, or stay without any."""
    begin = monotonic_ns()
    for t in range(times.size):
        if x.shape[0] > 0:
            held[:] = x[t % x.shape[0]]
        step_arena(address)
        end = monotonic_ns()
        times[t] = end - begin
        begin = end


def _row(name: str, engine: Any, times: NDArray[np.int64], before: Any, column: int) -> dict[str, Any]:
    """Times, and what was done in those ticks; `before`: the counters at their start, `column`: bytes of an index.

    The estimate of the bytes that a tick reads and writes: for each neuron, voltage and input read and written and
    a spike written (one set of coefficients serves all); for each synaptic event, its weight, its column where rows
    are sparse, and the target read and written.
    """
    after, item = engine.counters, engine.dtype.itemsize
    ticks = after.ticks - before.ticks
    spikes = {k: (after.spikes[k] - before.spikes[k]) / ticks for k in after.spikes}
    events = sum(after.events[k] - before.events[k] for k in after.events) / ticks
    neurons = sum(engine.voltage(k).size for k in engine.populations)
    moved = neurons * (5 * item + 1) + events * (3 * item + column)
    row: dict[str, Any] = {"name": name, **_percentiles(times)}
    row["spikes_per_tick"] = sum(spikes.values())
    row["hidden_hz"] = spikes["hidden"] / engine.voltage("hidden").size / DT
    row["events_per_tick"] = events
    row["bytes_per_tick"] = moved
    row["gigabytes_per_s"] = moved / row["mean_us"] * 1e-3
    row["copy_us"] = _copy_us(int(moved))
    return row


def _percentiles(times: NDArray[np.int64]) -> dict[str, float]:
    """Of single ticks, the clock's reading included; mean_us is the best mean of ten parts of the run."""
    us = times * 1e-3
    return {
        "mean_us": float(min(part.mean() for part in np.array_split(us, min(10, us.size)))),
        "p50_us": float(np.median(us)),
        "p99_us": float(np.percentile(us, 99)),
        "min_us": float(us.min()),
    }


def _copy_us(size: int) -> float:
    """Time to copy half as many bytes in warm memory, which reads and writes `size` of them in all; best of many."""
    source, target = np.ones(max(1, size // 2), np.uint8), np.zeros(max(1, size // 2), np.uint8)
    best = float("inf")
    for _ in range(2000):
        begin = time.perf_counter_ns()
        np.copyto(target, source)
        best = min(best, time.perf_counter_ns() - begin)
    return best * 1e-3


def _timer_ns() -> float:
    """What reading Python's clock twice takes: in every time of a call from Python."""
    best = 10**9
    for _ in range(10_000):
        begin = time.perf_counter_ns()
        best = min(best, time.perf_counter_ns() - begin)
    return float(best)


def _from_python(name: str, engine: Any, x: NDArray[np.float32], steps: int) -> dict[str, Any]:
    rows = list(x)
    for row in rows:
        engine.step(row)
    engine.reset()
    times, before = np.empty(steps, np.int64), engine.counters
    clock, step, n = time.perf_counter_ns, engine.step, len(rows)
    for t in range(steps):
        row = rows[t % n]
        begin = clock()
        step(row)
        times[t] = clock() - begin
    result = _row(name, engine, times, before, 0)
    # without a clock between the ticks
    best = float("inf")
    for _ in range(10):
        begin = clock()
        for row in rows:
            step(row)
        best = min(best, (clock() - begin) / n)
    result["mean_us"] = best * 1e-3
    return result


def _compiled(name: str, engine: Any, x: NDArray[np.float32] | None, steps: int) -> dict[str, Any]:
    held = engine.input("input")
    rows = np.empty((0, held.size), np.float32) if x is None else x
    warm = 2000 if x is None else len(rows)  # the sparse networks settle into their rate
    _ticks(engine.address, held, rows, np.empty(min(warm, steps), np.int64))
    times, before = np.empty(steps, np.int64), engine.counters
    _ticks(engine.address, held, rows, times)
    return _row(name, engine, times, before, 2 if x is None else 0)


def _peers(
    small: Arrays, large: Arrays, python: Path | None, steps: int, sparse_steps: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of the peers that `python` (or build/peers, or this interpreter) has, and what it said of itself."""
    if python is None:
        python = PEERS_PYTHON if PEERS_PYTHON.exists() else Path(sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "workloads.npz", Path(folder) / "peers.npz"
        arrays = {f"reflex/{k}": v for k, v in small.items()} | {f"large/{k}": v for k, v in large.items()}
        np.savez(source, **arrays)  # type: ignore[arg-type]
        root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
        command = [str(python), "-m", "hybrid_control.bench.peers", str(source), str(target)]
        done = subprocess.run(
            [*command, str(steps), str(sparse_steps)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ValueError(f"peers in {python}: exit status {done.returncode}: {last}")
        with np.load(target, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    notes = json.loads(str(arrays["notes"]))
    rows = []
    for name, note in notes.pop("tools").items():
        row = {"name": f"{name} {note['version']}", "workload": note["workload"]}
        row |= _percentiles(arrays[f"{name}/times_ns"])
        hidden = arrays[f"{name}/hidden"]
        row["spikes_per_tick"] = float(hidden.sum(axis=1).mean())
        if note["options"] is not None:
            row["differ"] = _differences(small if note["workload"] == "reflex" else large, hidden, note)
        rows.append(row)
    return rows, notes


def _differences(data: Arrays, hidden: NDArray[np.bool_], note: dict[str, Any]) -> str:
    """How many of the peer's spikes of the hidden neurons the engine does not share, in the peer's scheme."""
    if note["workload"] == "reflex":
        engine = reflex_engine(data, **note["options"])
        x = data["x"][np.arange(len(hidden)) % len(data["x"])]
    else:
        engine, x = sparse_engine(data, **note["options"]), np.zeros((len(hidden), 1))
    ours = engine.run(x, record=("hidden",))["hidden"]["spikes"] != 0
    return f"{int((ours != hidden).sum())} of {int(ours.sum())}"


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    m = result["machine"]
    lines = [
        f"{m['processor']}, {m['cores']} cores, load {m['load_average']}; Python {m['python']}, numba {m['numba']}",
        f"first step after building: {result['first_step_s']:.2f} s; Python's clock: {result['timer_ns']:.0f} ns",
        "",
        f"{'engine (us a tick)':30}{'mean':>8}{'p50':>8}{'p99':>8}{'min':>8}{'spikes':>8}{'events':>9}{'Hz':>6}"
        f"{'KB':>7}{'GB/s':>6}{'copy':>7}",
    ]
    for r in result["engine"]:
        lines.append(
            f"{r['name']:30}{r['mean_us']:8.2f}{r['p50_us']:8.2f}{r['p99_us']:8.2f}{r['min_us']:8.2f}"
            f"{r['spikes_per_tick']:8.1f}{r['events_per_tick']:9.0f}{r['hidden_hz']:6.1f}"
            f"{r['bytes_per_tick'] / 1000:7.1f}{r['gigabytes_per_s']:6.1f}{r['copy_us']:7.2f}"
        )
    lines += [
        "mean: best of ten parts, from Python without a clock between ticks; p50, p99, min: of single ticks, with it;",
        "KB: estimate of what a tick reads and writes; copy: copying so much in warm memory",
        "",
        f"{'peers (us a step)':30}{'mean':>8}{'p50':>8}{'p99':>8}{'min':>8}{'spikes':>8}"
        f"{'ratio':>8}   spikes that differ",
    ]
    for r in result["peers"]:
        lines.append(
            f"{r['name']:30}{r['mean_us']:8.1f}{r['p50_us']:8.1f}{r['p99_us']:8.1f}{r['min_us']:8.1f}"
            f"{r['spikes_per_tick']:8.1f}{r['ratio']:8.1f}   {r.get('differ', 'another scheme')}"
        )
    if not result["peers"]:
        lines.append(
            "none installed; scripts/peers.sh installs them in build/peers, or --peers-python names one"
        )
    lines.append(
        "ratio of p50: to the engine's 64-256-8 from Python; Brian2, C++ standalone (whole runs; spikes of the first "
        "100 steps), to 10,000 neurons in compiled code"
    )
    return "\n".join(lines)


def soak(ticks: int) -> list[dict[str, Any]]:
    """Resident memory after each tenth of `ticks`, in compiled code and then called from Python."""
    data, growth = reflex(), []
    rows, engine = list(data["x"]), reflex_engine(data)
    held, part = engine.input("input"), max(1, ticks // 10)
    times = np.ones(min(part, 100_000), np.int64)  # touched now, so that it does not count as growth

    def compiled(n: int) -> None:
        for done in range(0, n, times.size):
            _ticks(engine.address, held, data["x"], times[: min(times.size, n - done)])

    def from_python(n: int) -> None:
        for t in range(n):
            engine.step(rows[t % len(rows)])

    ways: list[tuple[str, Callable[[int], None]]] = [("compiled", compiled), ("from Python", from_python)]
    with tqdm(total=20, unit="tenth", disable=None, leave=False) as bar:
        for way, run in ways:
            run(1000)
            before = _resident()
            for tenth in range(1, 11):
                run(part)
                growth.append({"way": way, "ticks": tenth * part, "grown_bytes": _resident() - before})
                bar.update()
    return growth


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
