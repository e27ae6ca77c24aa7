"""`hybrid-control bench cosim-cost`: what a meeting and a tick between two of them cost, and what that grows with.

Figures are medians over turns, in time of the processor, so that what else the machine does meets all of them; those
of two threads are of the wall, and want two idle cores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nir
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.bench.closed_loop.ours import TICK
from hybrid_control.bench.closed_loop.plot import Panel, figure
from hybrid_control.bench.machine import machine
from hybrid_control.bench.snn import reflex_engine, sparse_engine
from hybrid_control.bench.workloads import DT, TAU, reflex, sparse
from hybrid_control.cosim import Hybrid
from hybrid_control.cosim.link import LinkOptions
from hybrid_control.cosim.parts import FunctionPart, plant_part
from hybrid_control.cosim.parts.snn import EnginePart
from hybrid_control.snn import Engine, Network, Synapses
from hybrid_control.snn.backends.numba.kernels import step_arena

Run = Callable[[], int]  # a turn: how many ticks it did
LINKS, PARTS = (1, 4, 16), (1, 2, 4, 8, 16, 32, 64)
NEURONS, SHARES = (10, 100, 1000, 10_000, 100_000), (0.0, 1e-3, 1e-2, 0.1, 0.3, 1.0)
MEETING_TICKS = 330
SIDES = (20, 50, 200, 500, 1000)  # us
PANELS = (
    ("parts", "parts of 100 neurons, linked in a row", "parts"),
    ("neurons", "one part, 100 synapses a neuron", "neurons"),
    ("events", "10,000 neurons, more and more of them at 10 Hz", "synaptic events a tick"),
)


def turns(runs: Mapping[str, Run], repeats: int) -> dict[str, NDArray[np.float64]]:
    """us of the processor a tick of each turn, (repeats,), after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            begin = time.process_time_ns()
            ticks = run()
            if turn:
                times[name].append((time.process_time_ns() - begin) / ticks * 1e-3)
    return {name: np.array(values) for name, values in times.items()}


def cosim(hybrid: Hybrid, ticks: int) -> Run:
    """Turns of a hybrid."""
    scheduler = hybrid.scheduler()

    def run() -> int:
        scheduler.advance(scheduler.now_ns + ticks * TICK)
        return ticks

    return run


# ticks between two meetings, and meetings


def fed(links: int) -> Hybrid:
    """64-256-8 fed by a function of Python's every 330 ticks, over so many links into the network."""
    data, hybrid, k = reflex(), Hybrid(), 0

    def row() -> Mapping[str, Any]:
        nonlocal k
        k += 1
        return {"x": data["x"][(k - 1) % len(data["x"])]}

    hybrid.add("source", FunctionPart(row, {}, {"x": (64,)}), MEETING_TICKS * DT)
    hybrid.add("snn", EnginePart(reflex_engine(data)), DT)
    for _ in range(links):
        hybrid.link("source", "snn.input", LinkOptions(gain=1.0 / links))
    return hybrid


@njit(cache=True)
def _held_ticks(address, held, x, first, ticks, every):  # type: ignore[no-untyped-def]
    for t in range(first, first + ticks):
        if t % every == 0:
            held[:] = x[t // every % x.shape[0]]
        step_arena(address)


def alone(ticks: int) -> tuple[Run, Engine]:
    """The engine with the same inputs, in a compiled loop."""
    data, done = reflex(), 0
    engine = reflex_engine(data)

    def run() -> int:
        nonlocal done
        _held_ticks(engine.address, engine.input("input"), data["x"], done, ticks, MEETING_TICKS)
        done += ticks
        return ticks

    return run, engine


@njit
def _still(state, inputs, outputs, dt):  # type: ignore[no-untyped-def]
    outputs[:] = state


class _CompiledStill:
    inputs: Mapping[str, tuple[int, ...]] = {"push": (8,)}
    outputs: Mapping[str, tuple[int, ...]] = {"x": (64,)}

    def __init__(self) -> None:
        self.kernel = _still

    def start(self, seed: int) -> NDArray[np.float64]:
        return np.zeros(64)


class _PythonStill:
    inputs: Mapping[str, tuple[int, ...]] = {"push": (8,)}
    outputs: Mapping[str, tuple[int, ...]] = {"x": (64,)}

    def __init__(self) -> None:
        self.x = np.zeros(64)

    def reset(self, seed: int) -> None:
        pass

    def step(self, dt: float, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return {"x": self.x}


def meetings(plant: Any, ticks: int) -> Run:
    """64-256-8 that meets a plant that does nothing at each tick."""
    hybrid = Hybrid()
    hybrid.add("plant", plant_part(plant), DT)
    hybrid.add("snn", EnginePart(reflex_engine(reflex())), DT)
    hybrid.link("plant", "snn.input")
    hybrid.link("snn.spikes", "plant", LinkOptions(delay_ns=TICK))
    return cosim(hybrid, ticks)


# an ANN in a thread of its own

ANN_TICKS = 10


@njit(nogil=True)
def _work(rounds):  # type: ignore[no-untyped-def]
    x = 1.0
    for _ in range(rounds):
        x = x * 1.0000001 + 1e-9
    return x


@njit
def _busy(state, inputs, outputs, dt):  # type: ignore[no-untyped-def]
    outputs[:] = inputs[0] + 0.0 * _work(np.int64(state[0]))


class _BusyPlant:
    inputs: Mapping[str, tuple[int, ...]] = {"u": (1,)}
    outputs: Mapping[str, tuple[int, ...]] = {"x": (1,)}

    def __init__(self, rounds: int) -> None:
        self.kernel, self._rounds = _busy, rounds

    def start(self, seed: int) -> NDArray[np.float64]:
        return np.array([self._rounds], np.float64)


def rounds_a_us() -> float:
    """Of `_work`, at the machine's best."""
    rounds, best = 100_000, math.inf
    _work(1)
    for _ in range(200):
        begin = time.perf_counter()
        _work(rounds)
        best = min(best, time.perf_counter() - begin)
    return rounds / best * 1e-6


def two_sides(rounds: int, beside: bool | None) -> Hybrid:
    """An ANN every 10 ms that has as long to arrive, and a compiled plant at 1 kHz: each takes so many rounds in 10 ms.

    beside: whether the ANN has a thread; None: as it finds best.
    """
    hybrid = Hybrid()
    ann = FunctionPart(lambda x: {"y": x + 0.0 * _work(rounds)}, {"x": (1,)}, {"y": (1,)})
    hybrid.add("ann", ann, ANN_TICKS * DT, latency=ANN_TICKS * DT)
    hybrid.add("plant", plant_part(_BusyPlant(rounds // ANN_TICKS)), DT)
    hybrid.link("ann", "plant")
    hybrid.link("plant", "ann")
    if beside is not None:
        hybrid.beside["ann"] = beside
    return hybrid


def overlapped(side_us: float, repeats: int, rounds: float) -> dict[str, float]:
    """us of the wall each 10 ms, one after the other, with a thread, and as the scheduler finds best: medians."""
    ways = {"in turn": False, "beside": True, "by itself": None}
    schedulers = {name: two_sides(round(side_us * rounds), way).scheduler() for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    periods = max(round(20_000 / side_us), 30)
    for turn in range(repeats + 1):
        for name, scheduler in schedulers.items():
            begin = time.perf_counter_ns()
            scheduler.advance(scheduler.now_ns + periods * ANN_TICKS * TICK)
            if turn:
                times[name].append((time.perf_counter_ns() - begin) / periods * 1e-3)
    return {name: float(np.median(values)) for name, values in times.items()}


# what it grows with


def chained(spiking: bool) -> Engine:
    """100 LIF neurons, 10 synapses from each, at about 10 Hz or silent; 100 inputs, each to a neuron of its own."""
    data, net, all_ = sparse(100, 10), Network(), np.arange(100)
    net.add_input("input", 100)
    leak = float(data["leak"]) if spiking else 0.0
    net.add_population("hidden", nir.LIF, 100, tau=TAU, r=TAU / DT, v_leak=leak)
    net.connect("input", "hidden", lambda *_: Synapses(all_, all_, np.full(100, 0.01)))
    net.connect("hidden", "hidden", lambda *_: Synapses(data["pre"], data["post"], data["weight"]))
    net.add_output("spikes", "hidden")
    engine = Engine(net, dt=DT)
    if spiking:
        engine.set_voltage("hidden", data["start"])
    return engine


def chained_hybrid(parts: int, kind: str) -> Hybrid:
    """Networks, each of which takes the spikes of the one before it, a tick later.

    kind: "active", all of them spike; "silent", only the first does; "not due", only the first runs at all.
    """
    hybrid = Hybrid()
    for i in range(parts):
        first = i == 0
        part = EnginePart(chained(first or kind == "active"))
        hybrid.add(f"n{i}", part, 3600.0 if not first and kind == "not due" else DT)
        if not first and (i > 1 or kind != "not due"):  # spikes for one that is never due would be kept
            hybrid.link(f"n{i - 1}.spikes", f"n{i}.input", LinkOptions(delay_ns=TICK))
    return hybrid


def population(neurons: int, share: float, ticks: int) -> tuple[Run, Callable[[], float]]:
    """One network, a share of which is at about 10 Hz; and the synaptic events a tick that it has had."""
    data = sparse(neurons, min(neurons, 100))
    lively = np.arange(neurons) < share * neurons
    data["leak"], data["start"] = data["leak"] * lively, data["start"] * lively
    hybrid, engine = Hybrid(), sparse_engine(data)
    hybrid.add("n", EnginePart(engine), DT)

    def events() -> float:
        counters = engine.counters
        return sum(counters.events.values()) / max(counters.ticks, 1)

    return cosim(hybrid, ticks), events


def measure(repeats: int, show: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """All figures, as a dict that JSON can hold; us a tick."""
    show("meetings")
    ticks = 20 * MEETING_TICKS
    runs: dict[str, Run] = {"alone": alone(ticks)[0]}
    runs |= {f"links {n}": cosim(fed(n), ticks) for n in LINKS}
    runs |= {"compiled": meetings(_CompiledStill(), 3300), "python": meetings(_PythonStill(), 1000)}
    found = turns(runs, 3 * repeats)
    result: dict[str, Any] = {
        "machine": machine(),
        "repeats": repeats,
        "engine_us": float(np.median(found["alone"])),
        "between_us": {n: float(np.median(found[f"links {n}"] - found["alone"])) for n in LINKS},
        "meeting_us": float(np.median(found["python"] - found["compiled"])),
    }
    rounds, result["overlap"] = rounds_a_us(), []
    for side in SIDES:
        show(f"{side} us a side")
        result["overlap"].append((side, overlapped(side, 2 * repeats, rounds)))
    kinds = ("active", "silent", "not due")
    result["parts"] = {kind: [] for kind in kinds}
    for n in PARTS:
        show(f"{n} parts")
        found = turns({kind: cosim(chained_hybrid(n, kind), max(6400 // n, 300)) for kind in kinds}, repeats)
        for kind in kinds:
            result["parts"][kind].append((n, float(np.median(found[kind]))))
    result["neurons"] = {"at 10 Hz": [], "silent": []}
    for n in NEURONS:
        show(f"{n} neurons")
        ticks = min(max(2_000_000 // n, 200), 5000)
        pair = {name: population(n, share, ticks) for name, share in (("at 10 Hz", 1.0), ("silent", 0.0))}
        found = turns({name: run for name, (run, _) in pair.items()}, repeats)
        for name, values in found.items():
            result["neurons"][name].append((n, float(np.median(values))))
    result["events"] = {"10,000 neurons": []}
    for share in SHARES:
        show(f"{share:.1%} of 10,000")
        run, events = population(10_000, share, 200)
        us = float(np.median(turns({"": run}, repeats)[""]))
        result["events"]["10,000 neurons"].append((events(), us))
    return result


def table(result: Mapping[str, Any]) -> str:
    """The result as text."""
    m = result["machine"]
    lines = [
        f"{m['processor']}, {m['cores']} cores, load {m['load_average']}; Python {m['python']}, numba {m['numba']}",
        "",
        f"64-256-8 in a compiled loop: {result['engine_us']:.2f} us a tick; in a co-simulation, between two meetings",
        "".join(f"  {n} link{'s' if n > 1 else ''} {us:+.3f} us" for n, us in result["between_us"].items()),
        f"a meeting with a part of Python's, without its own call: {result['meeting_us']:.1f} us",
    ]
    lines += [
        "",
        f"an ANN and {ANN_TICKS} ticks of a plant, in turn and overlapped, us of the wall: by us a side",
    ]
    for way in ("in turn", "beside", "by itself"):
        lines.append(_row(way, [(side, us[way]) for side, us in result["overlap"]], ".0f"))
    lines.append(_row("gain", [(side, us["in turn"] / us["by itself"]) for side, us in result["overlap"]]))
    for name, title, what in PANELS:
        lines += ["", f"us a tick, {title}: by {what}"]
        lines += [_row(kind, points) for kind, points in result[name].items()]
    return "\n".join(lines)


def picture(result: Mapping[str, Any]) -> str:
    """The figures as SVG."""
    seen = {
        name: {k: [p for p in line if p[0] > 0] for k, line in result[name].items()} for name, *_ in PANELS
    }
    return figure([Panel(title, what, seen[name]) for name, title, what in PANELS])


def _row(name: str, points: Sequence[tuple[float, float]], digits: str = ".2f") -> str:
    return f"{name:16}" + "".join(f"  {x:.0f}: {us:{digits}}" for x, us in points)
