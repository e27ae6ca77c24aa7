"""A genetic search for the settings of a classifier, by deap, on folds of the training part alone.

Every set of settings that was tried is kept in a state file. A search that was interrupted goes the same way again
with what is known, so it ends as it would have.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet.classifier import CoLaNET
from hybrid_control.colanet.scale import Floats, Scale
from hybrid_control.colanet.settings import PICTURES, Settings
from hybrid_control.files import StrPath, read_json

#: What is searched: published ranges, of d_H as a part of D, and `foreign`; all but these two by their logarithms.
RANGES = {
    "microcolumns": (1.0, 30.0), "dopamine": (0.003, 1.0), "anti_hebbian": (0.3, 1.3), "stability": (0.0003, 1.0),
    "w_min": (0.003, 3.0), "w_max": (0.03, 3.0), "n_silent": (1.0, 3000.0), "kappa": (0.001, 0.3),
    "noise": (0.001, 3.0), "foreign": (0.0, 1.0),
}  # fmt: skip
LINEAR = ("anti_hebbian", "foreign")
ORDERS = ("mixed", "by-class", "both")
VERSION = 1
STATE, SETTINGS = "hybrid_control CoLaNET search", "hybrid_control CoLaNET settings"
CROSSED, MUTATED, PER_GENE, ETA = (
    0.6,
    0.6,
    0.25,
    10.0,
)  # shares of the offspring and of its genes; width of a change

Genes = tuple[float, ...]  # each from 0 to 1, of 4 digits, so that they are the same when read again


@dataclass(frozen=True)
class Plan:
    """What is asked of a search.

    population: sets of a generation. folds: of the training part, on each of which the others' learning is tested.
    order: in which samples are learnt: mixed, by class (one class after another), or both, which counts their mean.
    """

    population: int = 20
    generations: int = 10
    copies: int = 5
    folds: int = 3
    order: str = "mixed"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("population", 2, 1000), ("generations", 0, 1000), ("copies", 1, 256), ("folds", 2, 100),
            ("seed", 0, (1 << 31) - 1),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} {getattr(self, name)}: expected {low} to {high}")
        if self.order not in ORDERS:
            raise ValueError(f"order {self.order!r}: expected {', '.join(ORDERS)}")


@dataclass(frozen=True)
class Found:
    """The best settings, the part that they recognised in the mean over the folds, and how many sets were tried."""

    settings: Settings
    value: float
    tried: int


def settings_of(genes: Genes, base: Settings = PICTURES) -> Settings:
    """The settings that genes stand for; what is not searched is as in `base`."""
    values: dict[str, Any] = {}
    for (name, (low, high)), gene in zip(RANGES.items(), genes, strict=True):
        value = low + (high - low) * gene if name in LINEAR else low * (high / low) ** gene
        values[name] = _short(value)
    values["anti_hebbian"] = _short(-values["anti_hebbian"] * values["dopamine"])
    values["w_min"] = -values["w_min"]
    for name in ("microcolumns", "n_silent"):
        values[name] = round(values[name])
    return replace(base, **values)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def genes_of(settings: Settings) -> Genes:
    """The genes that come nearest to settings."""
    values = asdict(settings)
    values |= {
        "anti_hebbian": -settings.anti_hebbian / max(settings.dopamine, 1e-9),
        "w_min": -settings.w_min,
    }
    genes = []
    for name, (low, high) in RANGES.items():
        value = min(max(values[name], low), high)
        part = (
            (value - low) / (high - low) if name in LINEAR else math.log(value / low) / math.log(high / low)
        )
        genes.append(round(part, 4))
    return tuple(genes)


def folds_of(labels: NDArray[Any], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Each sample's fold, with as much of each class in every one."""
    rng, fold = np.random.default_rng(seed), np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % folds
    return fold


@dataclass(frozen=True)
class Task:
    """One fold: inputs (samples, inputs) and labels to learn from and to test on."""

    x: Floats
    y: NDArray[Any]
    test_x: Floats
    test_y: NDArray[Any]


def tasks_of(features: Floats, labels: NDArray[Any], plan: Plan) -> list[Task]:
    """The folds of the features of a training part, each with the scale of what is learnt in it alone."""
    fold, tasks = folds_of(labels, plan.folds, plan.seed), []
    for k in range(plan.folds):
        learnt = np.random.default_rng((plan.seed, k)).permutation(np.flatnonzero(fold != k))
        tested = fold == k
        if not tested.any() or len(np.unique(labels[learnt])) < 2:
            raise ValueError(f"{len(labels)} pictures make no {plan.folds} folds of 2 classes or more")
        scale = Scale.learnt(features[learnt])
        tasks.append(Task(scale(features[learnt]), labels[learnt], scale(features[tested]), labels[tested]))
    return tasks


def value_of(settings: Settings, tasks: Iterable[Task], plan: Plan) -> float:
    """The part of the test samples that is recognised after one pass, in the mean over the folds.

    By spikes: settings with which nothing ever fires, and potentials alone decide, are worth nothing.
    """
    parts = []
    for task in tasks:
        if plan.order != "by-class":
            network = CoLaNET(settings, copies=plan.copies, seed=plan.seed)
            network.partial_fit(task.x, task.y, shuffle=True)
            parts.append(network.score(task.test_x, task.test_y, spoken=True))
        if plan.order != "mixed":
            network = CoLaNET(settings, copies=plan.copies, seed=plan.seed)
            learn_by_class(network, task.x, task.y)
            parts.append(network.score(task.test_x, task.test_y, spoken=True))
    return float(np.mean(parts))


def learn_by_class(network: CoLaNET, x: Floats, y: NDArray[Any]) -> None:
    """Learn samples one class after another, in the order of their labels; within a class mixed."""
    for label in np.unique(y):
        network.partial_fit(x[y == label], y[y == label], shuffle=True)


class Known:
    """What was tried, by its genes; kept in a file after every set, whole or not at all.

    ValueError where the file is of another search.
    """

    def __init__(self, path: StrPath, asked: dict[str, Any]) -> None:
        self.path, self.asked = Path(path), asked
        self.values: dict[Genes, float] = {}
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        state = read_json(self.path)
        if not isinstance(state, dict) or state.get("format") != STATE or state.get("version") != VERSION:
            raise ValueError(f"{self.path}: not the state of a search for settings")
        if state.get("asked") != self.asked:
            raise ValueError(f"{self.path}: the state of another search; give another --out, or remove it")
        try:
            self.values = {tuple(float(g) for g in genes): float(value) for genes, value in state["tried"]}
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{self.path}: not the state of a search for settings: what was tried") from None

    def add(self, genes: Genes, value: float) -> None:
        """Keep what a set reached."""
        self.values[genes] = value
        tried = [[list(genes), value] for genes, value in self.values.items()]
        write_json(self.path, {"format": STATE, "version": VERSION, "asked": self.asked, "tried": tried})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_settings(path: Path, found: Found, how: dict[str, Any]) -> None:
    """Write settings for `read_settings`. how: what else the file is to say."""
    value = {"format": SETTINGS, "version": VERSION, "settings": asdict(found.settings)}
    write_json(path, value | {"recognised": found.value, "tried": found.tried} | how)


def read_settings(path: StrPath) -> Settings:
    """The settings of a file. ValueError in one line for any other file."""
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != SETTINGS or value.get("version") != VERSION:
        raise ValueError(f"{path}: not settings of a CoLaNET: does not say {SETTINGS!r}, version {VERSION}")
    settings, names = value.get("settings"), {field.name for field in fields(Settings)}
    if not isinstance(settings, dict) or not settings.keys() <= names:
        raise ValueError(f"{path}: settings: expected numbers of {', '.join(sorted(names))}")
    try:
        return Settings(**settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def search(
    features: Floats,
    labels: NDArray[Any],
    plan: Plan,
    state: StrPath,
    *,
    jobs: int = 1,
    progress: Callable[[int, float], None] = lambda tried, best: None,
) -> Found:
    """The best settings for the features (samples, features) of a training part.

    state: file in which it is kept what was tried. progress: is told after every set how many there were, and the best
    so far. The same plan and features find the same, with any number of jobs.
    """
    asked = asdict(plan) | {
        "samples": len(labels),
        "data": _digest(features, labels),
        "from": asdict(PICTURES),
    }
    del asked["generations"]  # more of them go on from what there is
    known = Known(state, asked)
    tasks = tasks_of(features, labels, plan)
    seen: dict[Genes, float] = {}
    with _tried_by(tasks, plan, jobs) as tried:

        def values(wanted: list[Genes]) -> list[float]:
            new = [genes for genes in dict.fromkeys(wanted) if genes not in known.values]
            for genes in dict.fromkeys(wanted):
                if genes in known.values and genes not in seen:
                    seen[genes] = known.values[genes]
                    progress(len(seen), max(seen.values()))
            for genes, value in zip(new, tried(new), strict=True):
                known.add(genes, value)
                seen[genes] = value
                progress(len(seen), max(seen.values()))
            return [known.values[genes] for genes in wanted]

        _evolve(plan, values)
    best = max(seen, key=lambda genes: seen[genes])
    return Found(settings_of(best), seen[best], len(seen))


def _digest(features: Floats, labels: NDArray[Any]) -> str:
    text = "\n".join(map(str, labels)).encode()
    content = np.ascontiguousarray(features, np.float32).tobytes()
    return hashlib.blake2b(content + text, digest_size=16).hexdigest()


def _evolve(plan: Plan, values: Callable[[list[Genes]], list[float]]) -> None:
    """Generations, of which each keeps the best set there was; the first begins with the settings of every day."""
    try:
        from deap import base, tools
    except ImportError as error:
        raise ValueError(f"the search needs deap ({error}): pip install '.[search]' in the repository") from None

    class Fitness(base.Fitness):
        weights = (1.0,)

    class Individual(list[float]):
        def __init__(self, genes: Iterable[float]) -> None:
            super().__init__(genes)
            self.fitness = Fitness()

    def judged(genes: list[Genes]) -> list[Individual]:
        individuals = [Individual(g) for g in genes]
        for individual, value in zip(individuals, values(genes), strict=True):
            individual.fitness.values = (value,)
        return individuals

    def born(generation: int, parents: list[Individual]) -> list[Genes]:
        with _randomness(plan.seed, generation):
            chosen = tools.selTournament(parents, plan.population - 1, tournsize=3)
            children = [list(parent) for parent in chosen]
            for a, b in zip(children[::2], children[1::2], strict=False):
                if random.random() < CROSSED:
                    tools.cxSimulatedBinaryBounded(a, b, ETA, 0.0, 1.0)
            for child in children:
                if random.random() < MUTATED:
                    tools.mutPolynomialBounded(child, ETA, 0.0, 1.0, PER_GENE)
        return [tuple(round(min(max(gene, 0.0), 1.0), 4) for gene in child) for child in children]

    with _randomness(plan.seed, 0):
        genes = [tuple(round(random.random(), 4) for _ in RANGES) for _ in range(plan.population - 1)]
    population = judged([genes_of(PICTURES), *genes])
    for generation in range(1, plan.generations + 1):
        best = max(population, key=lambda individual: individual.fitness.values[0])
        population = [best, *judged(born(generation, population))]


@contextmanager
def _randomness(seed: int, generation: int) -> Iterator[None]:
    """Python's random numbers, which deap draws from, as they belong to a generation; afterwards as before."""
    before = random.getstate()
    random.seed(f"{seed}/{generation}")
    try:
        yield
    finally:
        random.setstate(before)


_work: tuple[list[Task], Plan] | None = None  # of a process that tries sets


def _begin(tasks: list[Task], plan: Plan) -> None:
    global _work
    _work = tasks, plan


def _value(genes: Genes) -> float:
    assert _work is not None
    return value_of(settings_of(genes), *_work)


@contextmanager
def _tried_by(tasks: list[Task], plan: Plan, jobs: int) -> Iterator[Callable[[list[Genes]], Iterable[float]]]:
    """What tries sets, in their order: this process, or as many others as there are jobs."""
    if jobs == 1:
        yield lambda sets: (value_of(settings_of(genes), tasks, plan) for genes in sets)
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin, initargs=(tasks, plan))
    try:
        yield lambda sets: pool.map(_value, sets)
    finally:
        pool.shutdown(cancel_futures=True)
