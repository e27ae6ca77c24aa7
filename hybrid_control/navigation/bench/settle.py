"""Measures how long the reflex takes to the first right command, with the planner's initial states and without.

The reflex in lock step with a planner and an encoder, on a robot that stands on blocks in open space, so that its ring
settles somewhere. A command is right from when the ring's heading stays within RIGHT of where it settles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hybrid_control.navigation.bench.map_planner import MAX_RATE, planner_rates
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.rates import LATENCY, PLANNER_RATE, HeldRates
from hybrid_control.navigation.planner.states import NewDirection, Plan
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.states import WIDTHS, Settled, bumps
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, Pose, RangeScan, SpikeTrain, Twist
from hybrid_control.signals.coding import encoder
from hybrid_control.signals.headings import SECTORS

RIGHT = math.radians(10.0)
STAYS = 100  # ms for which it is within RIGHT
TURN = 2.0 * math.pi
TICK_NS, WINDOW_NS = 1_000_000, 10_000_000
SCAN, ODOMETRY, PLAN = 50, 20, round(1000 / PLANNER_RATE)  # ms from one to the next
BEFORE, AFTER, REFERENCE = 700, 1200, 400  # ms: until it happens, after it, and the last of them: where it settles
FAR = 20.0  # m to a goal
CASES = ("new plan", "new goal", "new goal, round", "activation", "activation, round")
OPEN = np.full(360, 8.0, np.float32)


class Wish(NamedTuple):
    """Bearing of the goal, and the planner's direction, rad; width of its bump, rad: the surer, the narrower."""

    goal: float
    plan: float
    width: float


class Blocks:
    """A reflex with its planner and encoder on a robot that stands still, stepped by the millisecond.

    settled: the planner's initial states, None for a planner without.
    """

    def __init__(self, settled: Settled | None) -> None:
        self.now = 0  # ns
        self._settled = settled
        settings = {"planner_states": settled is not None}
        self.reflex = Reflex(settings, clock=lambda: self.now)

    def begin(self, seed: int, phase: int) -> None:
        """As new. phase: ms at which the planner looks first."""
        self.now = 1_000_000_000
        self.reflex.reset()
        self._loop = SteppedLoop(self.reflex.tick, self.reflex.context, self.reflex.rate)
        self._loop.advance(self.now)
        self._encoder = encoder("poisson", SECTORS + contract.SPEED_NEURONS, seed=seed)
        self._held, self._turned = HeldRates(), NewDirection()
        self.ms, self._phase = 0, phase
        self._coming: list[tuple[int, Plan]] = []
        self.arrived: list[tuple[int, float]] = []  # ms and direction of the plans that came

    def tell(self, goal: float) -> None:
        """Send it to a goal, by its bearing in rad."""
        self._turned.reset()
        self.reflex.put_goal(Goal(self.now, FAR * math.cos(goal), FAR * math.sin(goal)))

    def run(self, ms: int, wish: Wish | None) -> NDArray[np.float64]:
        """Let time pass; the ring's heading in rad after each ms, NaN where it is silent. wish: None for no planner."""
        headings = np.empty(ms)
        reflex, command = self.reflex, self.reflex.context["command"]
        for i in range(ms):
            now = self.now
            if self.ms % ODOMETRY == 0:
                reflex.put_odometry(Odometry(now, Pose(), Twist(now)), now)
            if self.ms % SCAN == 0:
                reflex.put_scan(RangeScan(now, -math.pi, math.radians(1.0), 0.05, 20.0, OPEN), now)
            if wish is not None and self.ms % PLAN == self._phase:
                self._coming.append((self.ms + round(LATENCY * 1e3), self._plan(wish)))
            while self._coming and self._coming[0][0] <= self.ms:
                self._arrive(self._coming.pop(0)[1])
            held = self._held.at(now) if self.ms % (WINDOW_NS // TICK_NS) == 0 else None
            if held is not None:
                spikes = self._encoder.encode(held.rates, WINDOW_NS)
                reflex.put_planner_spikes(SpikeTrain(now, WINDOW_NS, PLANNER_POPULATIONS, *spikes), now)
            self.now += TICK_NS
            self.ms += 1
            self._loop.advance(self.now)
            headings[i] = command["heading"][0]
        return headings

    def _plan(self, wish: Wish) -> Plan:
        rates = planner_rates(wish.plan, 1.0)
        rates[:SECTORS] = bumps([(wish.plan, wish.width, 1.0)], MAX_RATE)
        states = None
        if self._settled is not None:
            states = self._settled(rates[:SECTORS], wish.goal, self.now)
        return Plan(self.now, rates, PLANNER_POPULATIONS, states)

    def _arrive(self, plan: Plan) -> None:
        self._held.put(plan, plan.stamp_ns)
        self.arrived.append((self.ms, contract.decode_heading(plan.of("heading"))))
        states = self._turned.states(plan, 0.0)
        if states is not None:
            self.reflex.put_states(states, self.now)


def wishes(case: str, rng: np.random.Generator) -> tuple[Wish | None, Wish]:
    """What is wished before and after: the way round an obstacle changes sides; another goal; nothing before.

    The plan leads to the goal, or ("round") to one side of it.
    """
    side = float(rng.choice([-1.0, 1.0]))
    widths = np.radians(rng.uniform(*WIDTHS, 2))
    aside = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.1) if case.endswith("round") else rng.normal(0.0, 0.25)
    if case == "new plan":
        sides = side * rng.uniform(0.4, 1.1), -side * rng.uniform(0.4, 1.1)
        return Wish(0.0, sides[0], widths[0]), Wish(0.0, sides[1], widths[1])
    goal = side * rng.uniform(1.0, 2.6)
    before = Wish(0.0, rng.normal(0.0, 0.25), widths[0]) if case.startswith("new goal") else None
    return before, Wish(goal, goal + aside, widths[1])


def right_after(headings: NDArray[np.float64]) -> tuple[float, float]:
    """ms to the first heading from which it stays right, NaN where it never does; and where it settles, rad."""
    turns = np.exp(1j * headings[-REFERENCE:])
    end = float(np.angle(turns[np.isfinite(turns)].sum())) if np.isfinite(turns).any() else math.nan
    off = ~(np.abs(np.angle(np.exp(1j * (headings - end)))) <= RIGHT)
    run = np.convolve(off, np.ones(STAYS), "valid")
    found = np.flatnonzero(run < 0.5)
    return (float(found[0] + 1) if found.size else math.nan), end


def trial(blocks: Blocks, case: str, seed: int) -> dict[str, float]:
    """One time that it happens: ms to the first right command from the event, and from its first plan; where to."""
    rng = np.random.default_rng([seed, CASES.index(case)])
    before, after = wishes(case, rng)
    blocks.begin(seed, int(rng.integers(PLAN)))
    blocks.reflex.activate()
    if before is not None:
        blocks.tell(before.goal)
        blocks.run(BEFORE, before)
    if case != "new plan":
        blocks.tell(after.goal)
    told, came = blocks.ms, len(blocks.arrived)
    headings = blocks.run(AFTER, after)
    ms, end = right_after(headings)
    return {"event_ms": ms, "plan_ms": ms - (first_plan(blocks.arrived[came:], after) - told), "settles": end}


def first_plan(arrived: Sequence[tuple[int, float]], wish: Wish) -> int:
    """When the first plan came that knows of a wish; ValueError where none did.

    arrived: times of plans, and their directions in rad.
    """
    for at, heading in arrived:
        if abs(math.remainder(heading - wish.plan, TURN)) < 0.1:
            return at
    raise ValueError(f"none of {len(arrived)} plans leads {math.degrees(wish.plan):.0f} degrees off the robot's front")


#: Opens what a trial runs in, with states or without, and gives the trial: of a case and a seed, its numbers.
Trials = Callable[[bool], AbstractContextManager[Callable[[str, int], dict[str, float]]]]


def measured(trials_of: Trials, trials: int, seed: int) -> dict[str, Any]:
    """Every case with and without states: each trial's numbers; with a bar on stderr."""
    result: dict[str, Any] = {"trials": trials, "seed": seed, "cases": {case: {} for case in CASES}}
    with tqdm(total=2 * len(CASES) * trials, unit="trial") as bar:
        for name in ("without", "with"):
            with trials_of(name == "with") as run:
                for case in CASES:
                    rows = result["cases"][case][name] = []
                    for k in range(trials):
                        rows.append(run(case, seed + k))
                        bar.update()
    return result


def measure(settled: Settled, trials: int, seed: int) -> dict[str, Any]:
    """`measured` in lock step: the same numbers wherever it runs."""

    def in_lock_step(states: bool) -> AbstractContextManager[Callable[[str, int], dict[str, float]]]:
        return nullcontext(partial(trial, Blocks(settled if states else None)))

    return measured(in_lock_step, trials, seed)


def table(result: Mapping[str, Any]) -> str:
    """Medians and 90th percentiles in ms."""
    lines = [
        f"ms to the first command that stays within {math.degrees(RIGHT):.0f} degrees of where it settles, "
        f"{result['trials']} trials: median (p90)",
        f"{'':17} {'from':6} {'without':>12} {'with':>12} {'ratio':>6}  settles elsewhere",
    ]
    for case, runs in result["cases"].items():
        ends = [np.array([row["settles"] for row in runs[name]]) for name in ("without", "with")]
        apart = np.abs(np.angle(np.exp(1j * (ends[0] - ends[1])))) > 2 * RIGHT
        for since in ("plan", "event"):
            values = [np.array([row[f"{since}_ms"] for row in runs[name]]) for name in ("without", "with")]
            cells = [f"{np.nanmedian(v):5.0f} ({np.nanpercentile(v, 90):4.0f})" for v in values]
            ratio = np.nanmedian(values[1]) / np.nanmedian(values[0])
            lines.append(f"{case:17} {since:6} {cells[0]:>12} {cells[1]:>12} {ratio:6.2f}  {100 * apart.mean():.0f} %")
    return "\n".join(lines)
