"""Reflex and planner searched for together: CMA-ES over gains, weights and the planner's last layer, and other ways.

A set of values drives a batch of generated worlds twice, with the planner and without it, at the kinematic level. Every
arm has the same number of sets: `population` of them in each of `generations`, all of a generation in the same batch,
and at the end so many as it takes to rank its three finalists in worlds of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.harness import Setup
from hybrid_control.navigation.bench.runner import Journal
from hybrid_control.navigation.bench.scenes import Scene, load_scenes
from hybrid_control.navigation.bench.sides import PLANNER_NUMBERS, WEIGHT_NUMBERS, Number, parted
from hybrid_control.navigation.bench.tune import CLOSE, GAIN_SPACE, rounded
from hybrid_control.navigation.bench.workers import Crew, Row
from hybrid_control.navigation.reflex.gains import GAINS

# sides that are searched together, one such group after the other; of `imitation` by gradients instead
ARMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "gains": (("gains",),),
    "weights": (("weights",),),
    "imitation": (("weights",),),
    "both": (("gains", "weights", "planner"),),
    "in-turn": (("gains", "weights"), ("planner",)),
}
ALIVE, DEAD = "hybrid", "reflex"  # the policies: with the planner, and without it from the start on
FINALISTS = 3  # the start, where the search was half way, and where it ended
CONTACT_COSTS, CLOSE_COSTS = 2.0, 0.2  # m/s: as `tune.value` has them, for a score is half of a speed


class Situation(NamedTuple):
    """Where a robot was in an episode: the world's number, whether there was a planner, and x, y, yaw."""

    world: int
    planner: bool
    x: float
    y: float
    yaw: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What every arm is given. worlds: of a batch, as `--worlds` takes them; batch k is drawn from setup.seed + k, and
    those of the finalists from setup.seed + batches on."""

    setup: Setup
    worlds: str
    generations: int
    population: int
    batches: int

    @property
    def sets(self) -> int:
        """Sets of values that an arm tries, each in one batch."""
        return self.generations * self.population + FINALISTS * self.batches

    def scenes(self) -> list[list[Scene]]:
        """The batches of worlds: those of the search, then as many for the finalists."""
        return [load_scenes(self.worlds, self.setup.seed + k) for k in range(2 * self.batches)]


def numbers_of(side: str, setup: Setup) -> tuple[Number, ...]:
    """What a side's search begins with: of the gains all that `tune` tunes but the limit of speed."""
    if side == "weights":
        return WEIGHT_NUMBERS
    if side == "planner":
        return PLANNER_NUMBERS
    known = {p.name: float(setup.gains.get(p.name, p.default)) for p in GAINS if p.name in GAIN_SPACE}
    return tuple(
        Number(n, known[n], (high - low) / 8.0, min(low, known[n]), max(high, known[n]))
        for n, (low, high) in GAIN_SPACE.items()
        if n != "max_speed"
    )


def progress(row: Row, path_length: float) -> float:
    """m/s along the shortest path, 0 where it did not arrive."""
    return path_length / row["time"] if row["success"] else 0.0


def value(rows: Sequence[Row], path_lengths: Sequence[float]) -> float:
    """What is maximised, m/s: mean progress, less CONTACT_COSTS for a contact and up to CLOSE_COSTS for a near miss."""
    total = 0.0
    for row in rows:
        least = row["minimum_distance"]
        near = 0.0 if least is None else max(0.0, 1.0 - least / CLOSE)
        total += progress(row, path_lengths[row["index"]]) - CLOSE_COSTS * near
        total -= CONTACT_COSTS * bool(row["contact"])
    return total / len(rows)


class Course:
    """The worlds of a plan, who drives them, and how many sets have been tried. journal: of one arm's sets."""

    def __init__(self, plan: Plan, batches: Sequence[Sequence[Scene]], crew: Crew) -> None:
        self.plan, self.crew, self.tried = plan, crew, 0
        self.scenes = [scene for batch in batches for scene in batch]
        self._lengths = [scene.path_length for scene in self.scenes]
        ends = np.cumsum([0, *map(len, batches)]).tolist()
        self._places = [range(first, end) for first, end in pairwise(ends)]

    def drive(self, values: Mapping[str, float], batch: int, trial: int) -> list[Row]:
        """The episodes of a set in a batch, in order; trial: of its noise."""
        tasks = [(policy, i, trial) for policy in (ALIVE, DEAD) for i in self._places[batch]]
        gains: dict[str, Any] = dict(self.plan.setup.gains)
        rows = self.crew.rows(tasks, {**gains, **values})
        return sorted(rows, key=lambda row: (row["policy"], row["index"]))

    def value(self, rows: Sequence[Row]) -> float:
        """What a set reached."""
        return value(rows, self._lengths)


@dataclass
class Searched:
    """An arm's end. values: of the finalist that reached most; reached: by every finalist; sets: that were tried."""

    values: dict[str, float]
    reached: list[float]
    sets: int


Step = Callable[[int, Callable[[int, Mapping[str, float]], Row]], dict[str, float]]
"""A generation: its number, and what tries its k-th set and says what came of it; returns where the search is then."""


class _Search:
    """CMA-ES over some of the numbers, each counted in steps from its start; resumed by being told again."""

    def __init__(self, numbers: Sequence[Number], plan: Plan, seed: int) -> None:
        try:
            from cmaes import CMA
        except ModuleNotFoundError as error:
            if error.name != "cmaes":
                raise
            raise ValueError("CMA-ES is not installed: pip install cmaes") from None
        self._numbers = numbers
        limits = [((n.low - n.start) / n.step, (n.high - n.start) / n.step) for n in numbers]
        self._cma = CMA(
            np.zeros(len(numbers)), 1.0, np.array(limits), seed=seed, population_size=plan.population
        )

    def values(self, x: FloatArray) -> dict[str, float]:
        return {n.name: n.start + n.step * float(v) for n, v in zip(self._numbers, x, strict=True)}

    def generation(self, tried: Callable[[int, Mapping[str, float]], Row]) -> dict[str, float]:
        """A generation; returns the mean of the distribution after it."""
        drawn = [self._cma.ask() for _ in range(self._cma.population_size)]
        reached = [float(tried(k, self.values(x))["value"]) for k, x in enumerate(drawn)]
        self._cma.tell([(x, -r) for x, r in zip(drawn, reached, strict=True)])
        return self.values(self._cma.mean)


def evolution(plan: Plan, groups: Sequence[Sequence[str]]) -> Step:
    """Generations by CMA-ES: of one group of sides after the other, each beside where the others are by then."""
    by_group = [[n for side in group for n in numbers_of(side, plan.setup)] for group in groups]
    searches = [_Search(numbers, plan, plan.setup.seed + k) for k, numbers in enumerate(by_group)]
    now = {n.name: n.start for numbers in by_group for n in numbers}

    def step(generation: int, tried: Callable[[int, Mapping[str, float]], Row]) -> dict[str, float]:
        search = searches[generation % len(searches)]
        now.update(search.generation(lambda k, values: tried(k, {**now, **values})))
        return dict(now)

    return step


def search(course: Course, arm: str, step: Step, journal: Journal) -> Searched:
    """An arm to its end; sets that the journal has are not tried again. ValueError where they are of another search."""
    plan = course.plan
    start = {n.name: n.start for group in ARMS[arm] for side in group for n in numbers_of(side, plan.setup)}
    finished = len(journal.rows)
    with tqdm(total=plan.sets, initial=finished, desc=arm, unit="set") as bar:

        def tried(task: tuple[int, int], values: Mapping[str, float], batch: int, trial: int) -> Row:
            known = journal.rows.get((arm, *task))
            if known is not None:
                if known["values"] != values:
                    raise ValueError(f"{journal.path}: its sets are not those of this search; delete it")
                return known
            rows = course.drive(values, batch, trial)
            row = {"policy": arm, "index": task[0], "trial": task[1], "values": dict(values)}
            row |= {"value": course.value(rows), "situations": _situations(rows, plan.setup.seed, task)}
            course.tried += 1
            journal.add(row)
            bar.update()
            bar.set_postfix(generation=task[0], value=f"{row['value']:.3f}")
            return row

        def in_generation(g: int, k: int, values: Mapping[str, float]) -> Row:
            return tried((g, k), values, g % plan.batches, g)

        where = [start]
        for g in range(plan.generations):
            where.append(step(g, partial(in_generation, g)))
        finalists = [start, where[(plan.generations + 1) // 2], where[-1]]
        reached = []
        for number, values in enumerate(finalists, plan.generations):
            rows = [
                tried((number, b), values, plan.batches + b, plan.generations) for b in range(plan.batches)
            ]
            reached.append(sum(row["value"] for row in rows) / len(rows))
    best = finalists[int(np.argmax(reached))]
    written = rounded(parted(best).gains)  # so that what is measured is what a parameter file says
    return Searched({**best, **written}, reached, len(journal.rows))


def _situations(rows: Sequence[Row], seed: int, task: tuple[int, int]) -> list[list[Any]]:
    """A few places where the robot was, of all episodes of a set: what imitation learns at."""
    rng = np.random.default_rng([seed, *task])
    found = []
    for row in (rows[k] for k in rng.integers(0, len(rows), 3)):
        x, y, yaw = row["way"][int(rng.integers(0, len(row["way"])))]
        found.append([row["index"], row["policy"] == ALIVE, x, y, yaw])
    return found
