"""What a policy costs: processor time of its parts, and an estimate of the ANN's energy beside the SNN's.

Measured on an episode of its own, so that the rows of a benchmark hold nothing of the wall clock and stay the same.
Times are of the thread's processor clock: other processes on the machine do not count.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hybrid_control.ann import ModelError, multiply_accumulates
from hybrid_control.cosim import Hybrid, MessagePart
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import Scene
from hybrid_control.navigation.drive import Driver
from hybrid_control.navigation.planner.contract import DEFAULT_MODEL
from hybrid_control.signals import Goal
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.snn.energy import HOROWITZ_45NM

WARM_UP = 1.0  # simulated s of an episode that loads and compiles


class _Timer:
    """Processor seconds of each call of a function."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds.append(time.thread_time() - begin)

        return timed

    def median(self) -> float | None:
        """Seconds; None where nothing was timed."""
        return statistics.median(self.seconds) if self.seconds else None


def _macs(model: Path) -> int | None:
    """Of one inference; None where a shape does not follow from the file."""
    try:
        return multiply_accumulates(model)
    except ModelError:
        return None


def _instrument(driver: Driver, timers: dict[str, _Timer]) -> None:
    """Let a driver's parts be timed from its next episode on: what they are called by is replaced by what times it."""
    join = driver.join

    def timed(hybrid: Hybrid, robot: Vehicle, goal: Goal, seed: int) -> str:
        command = join(hybrid, robot, goal, seed)
        for name, part in hybrid.parts.items():
            if name != "world":
                assert isinstance(part, MessagePart)
                part.step = timers["driver"].wrap(part.step)  # type: ignore[method-assign]
        reflex: Any = hybrid.parts.get("reflex")
        if reflex is not None:
            reflex.tick = timers["ticks"].wrap(reflex.tick)
        return command

    driver.join = timed  # type: ignore[method-assign]
    if hasattr(driver, "steer"):
        driver.steer = timers["decision"].wrap(driver.steer)
    if driver.planner is not None:
        source: Any = driver.planner.source
        source.plan = timers["planner"].wrap(source.plan)


def costs(setup: Setup, scene: Scene, policies: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Of each policy, over one episode in a world: what its parts take.

    planner_ms: median of a plan (at the levels without pictures the stand-in's, so left out); reflex_us: median of a
    tick; decision_ms: median of a baseline's decision; cpu_ms_per_s: processor time of everything but the simulator in
    a simulated second; planner_uw: the ANN's multiply-accumulates as drawn at 15 Hz, with the constants of
    `energy.HOROWITZ_45NM`. None for what a policy does not have.
    """
    level = "planar" if setup.level == "kinematic" else setup.level
    result = {}
    for policy in policies:
        short = Harness(dataclasses.replace(setup, level=level, duration=WARM_UP))
        short.run(policy, scene, 0, 0)
        harness = Harness(dataclasses.replace(setup, level=level))
        timers = {name: _Timer() for name in ("driver", "decision", "planner", "ticks")}
        _instrument(harness.driver(policy), timers)
        row = harness.run(policy, scene, 0, 0)
        spent = sum(timers["driver"].seconds)
        model = Path(setup.model or DEFAULT_MODEL)
        plans = len(timers["planner"].seconds)
        macs = _macs(model) if plans and level == "physics" else None
        planner, ticks, decision = (timers[n].median() for n in ("planner", "ticks", "decision"))
        result[policy] = {
            "planner_ms": planner * 1e3 if planner is not None and level == "physics" else None,
            "reflex_us": ticks * 1e6 / 10.0 if ticks is not None else None,  # ten ticks in a window
            "decision_ms": decision * 1e3 if decision is not None else None,
            "cpu_ms_per_s": spent * 1e3 / row["time"],
            "planner_uw": macs * plans / row["time"] * HOROWITZ_45NM.mac_pj * 1e-6 if macs else None,
        }
    return result


def cost_table(found: dict[str, dict[str, float | None]], by_policy: dict[str, dict[str, Any]]) -> str:
    """The costs as text, a line for each policy."""
    lines = [
        f"{'policy':<11} {'planner ms':>10} {'reflex µs/tick':>14} {'decision ms':>11} {'cpu ms/s':>8} "
        f"{'spikes/s':>9} {'syn. events/s':>13} {'SNN µW':>7} {'ANN µW':>7}"
    ]
    for policy, cost in found.items():
        summary = by_policy.get(policy, {})

        def cell(value: float | None, width: int, digits: int) -> str:
            return f"{value:>{width}.{digits}f}" if value is not None else f"{'-':>{width}}"

        lines.append(
            f"{policy:<11} {cell(cost['planner_ms'], 10, 2)} {cell(cost['reflex_us'], 14, 2)} "
            f"{cell(cost['decision_ms'], 11, 2)} {cell(cost['cpu_ms_per_s'], 8, 1)} "
            f"{cell(summary.get('spikes_per_second'), 9, 0)} {cell(summary.get('events_per_second'), 13, 0)} "
            f"{cell(summary.get('power_uw'), 7, 1)} {cell(cost['planner_uw'], 7, 0)}"
        )
    return "\n".join(lines)
