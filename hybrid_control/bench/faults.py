"""`hybrid-control bench faults`: a simulated robot drives between goals, and every few seconds something befalls it.

One `hybrid-control up sim` in real time, its nodes in processes of their own, with all wires between sensors, nodes
and base in this process's hand. What befalls the robot is drawn by seed (fault_kinds.py), lasts 0.3 to 3 s and is taken
away. The simulator's ground truth judges: no contact; where the robot must stop, no motion beyond a limit that follows
from its timeouts, its braking and its speed; and after the fault it drives within 15 s or says why not. What this
machine itself is late by is measured beside it and added to every limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid_control.bench.fault_kinds import KINDS
from hybrid_control.bench.fault_robot import GRAPHS
from hybrid_control.bench.fault_site import ANSWERS, RETURNS, GraphLost, Row, Site
from hybrid_control.bench.fault_truth import Pulse
from hybrid_control.bench.machine import machine

PER_GRAPH = 40  # faults that befall one graph
_START = 180.0  # s until a new graph must drive; numba may have to compile the reflex first
_READY = 60.0  # s until a graph must drive on to the next fault
_END = 2.0  # s in which Ctrl-C ends everything


@dataclass(frozen=True)
class Settings:
    """What is to be done. kinds: names of `KINDS`; domain: a ROS domain that nobody else uses."""

    faults: int
    seed: int
    kinds: tuple[str, ...]
    world: str
    domain: int


class Campaign:
    """Runs the faults. say: takes a line for a person."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings, self._say = settings, say
        self._begun = time.monotonic()
        self._pulse = Pulse()
        self._site: Site | None = None
        self.rows: list[Row] = []
        self.graphs: list[dict[str, Any]] = []
        self.trace: list[tuple[float, float]] = []

    def run(self) -> None:
        """All of them; KeyboardInterrupt leaves what was done so far in `rows`; then `close`."""
        self._pulse.start()
        for number, kind in order(self._settings):
            self._one(number, kind)

    def close(self) -> None:
        """End what runs."""
        self._leave("")
        self._pulse.end()

    def _one(self, number: int, kind: str) -> None:
        random = np.random.default_rng((self._settings.seed, number))
        for attempt in range(3):
            try:
                site = self._ready(KINDS[kind].graph, float(random.uniform(0.0, 1.0)))
            except GraphLost as lost:
                self._leave(str(lost))
                if attempt == 2:
                    raise ValueError(f"no graph that drives: {lost}") from None
                continue
            break
        fault = KINDS[kind].make(site.robot, site.wires, random)
        row = Row(number, kind, "", len(self.graphs), 0.0, fault.seconds, 0.0)
        site.count += 1
        site.befall(fault, row, self._begun)
        self.rows.append(row)
        self.trace += [(round(s.t - self._begun, 2), round(s.speed, 3)) for s in site.truth_since_last()]
        self._say(row.line())
        if row.contacts or row.back is None or not site.robot.alive:
            self._leave(f"after fault {number}")

    def _ready(self, graph: str, delay: float) -> Site:
        """A robot that drives, after so many s of looking on."""
        site = self._site
        if site is not None and (site.graph != graph or site.count >= PER_GRAPH or site.robot.worn()):
            self._leave("")
            site = None
        if site is None:
            seed = (self._settings.seed * 1000 + len(self.graphs)) % 2**31
            self.graphs.append({"seed": seed, "graph": graph, "began": time.monotonic() - self._begun})
            site = self._site = Site(graph, self._settings.world, seed, self._settings.domain, self._pulse)
            site.drives(_START)
            self.graphs[-1]["startup_s"] = time.monotonic() - self._begun - self.graphs[-1]["began"]
            self._say(f"graph {len(self.graphs)}: {self._settings.world}, seed {seed}, drives")
        site.watch(delay, errand=True)
        site.drives(_READY)
        return site

    def _leave(self, why: str) -> None:
        """End the graph; an end that is not orderly is a failure of the graph's own."""
        site, self._site = self._site, None
        if site is None:
            return
        ended_before = not site.robot.alive
        begun = time.monotonic()
        status, seconds = site.robot.end()
        late = self._pulse.withheld(begun, time.monotonic())
        site.wires.close()
        failures = []
        if ended_before:
            failures.append(f"everything ended by itself (status {status}): {site.last_line()}")
        elif status != 0:
            failures.append("Ctrl-C did not end it" if status is None else f"exit status {status}")
        elif seconds > _END + late:
            failures.append(f"Ctrl-C took {seconds:.1f} s, {_END:g} s are allowed")
        self.graphs[-1] |= {
            "faults": site.count, "end_s": seconds, "late_s": late, "left": why, "failures": failures,
        }  # fmt: skip
        if failures or why:
            self._say(f"graph {len(self.graphs)} left {why}{': ' if failures else ''}{'; '.join(failures)}")

    def result(self) -> dict[str, Any]:
        """A dictionary for a JSON file."""
        settings = self._settings
        rows = [asdict(row) for row in self.rows]
        kinds = {name: _sum(name, [r for r in self.rows if r.kind == name]) for name in settings.kinds}
        return {
            "benchmark": "faults",
            "machine": machine(),
            "seed": settings.seed,
            "world": settings.world,
            "asked": settings.faults,
            "seconds": time.monotonic() - self._begun,
            "held": all(not r.failures for r in self.rows)
            and all(not g.get("failures") for g in self.graphs),
            "answers_s": ANSWERS,
            "returns_s": RETURNS,
            "kinds": kinds,
            "graphs": self.graphs,
            "rows": rows,
            "trace": self.trace[:: max(1, len(self.trace) // 20_000)],
        }


def order(settings: Settings) -> Iterable[tuple[int, str]]:
    """Every fault's number and kind: all kinds equally often, in an order by seed; those of other graphs last."""
    random = np.random.default_rng(settings.seed)
    drawn: list[str] = []
    while len(drawn) < settings.faults:
        drawn += [settings.kinds[i] for i in random.permutation(len(settings.kinds))]
    numbered = list(enumerate(drawn[: settings.faults], 1))
    return sorted(numbered, key=lambda pair: GRAPHS.index(KINDS[pair[1]].graph))


def _sum(name: str, rows: list[Row]) -> dict[str, Any]:
    """A kind's rows in a few numbers."""
    judged = [(r.stopped / r.limit, r) for r in rows if r.stopped is not None and r.limit]
    worst = max(judged, key=lambda pair: pair[0])[1] if judged else None
    return {
        "help": KINDS[name].help,
        "faults": len(rows),
        "failed": sum(bool(r.failures) for r in rows),
        "contacts": sum(r.contacts for r in rows),
        "judged_stops": len(judged),
        "worst_stop_s": worst.stopped if worst else None,
        "its_limit_s": worst.limit if worst else None,
        "slowest_drive_s": max((r.drove for r in rows if r.drove is not None), default=None),
        "only_said_why": sum(r.back is None and not r.failures for r in rows),
        "failures": sorted({f for r in rows for f in r.failures}),
    }


def ready_kinds(names: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Those of the kinds that can be done here, and for each other one why not."""
    missing = {name: KINDS[name].missing() for name in names}
    return tuple(name for name, why in missing.items() if not why), {n: w for n, w in missing.items() if w}
