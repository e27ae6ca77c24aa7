"""Settings of a policy by Optuna: searched at the kinematic level on generated worlds, checked at the physics level."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_control.navigation.bench.harness import Harness, Setup, setup_dict
from hybrid_control.navigation.bench.policies import POLICIES
from hybrid_control.navigation.bench.scenes import Scene, world_digest
from hybrid_control.navigation.bench.workers import Row, Workers
from hybrid_control.navigation.reflex.gains import GAINS

# (least, greatest) of what is tuned
GAIN_SPACE: dict[str, tuple[float, float]] = {
    "planner_gain": (0.4, 2.0),
    "goal_gain": (0.5, 4.0),
    "avoidance_gain": (0.4, 1.5),
    "approach_gain": (0.0, 2.0),
    "avoidance_distance": (1.1, 2.5),
    "clearance": (0.02, 0.15),
    "speed_gain": (0.6, 1.5),
    "turn_gain": (0.6, 1.5),
    "max_speed": (0.5, 2.0),
}
SPEED_SPACE = {"max_speed": (0.5, 2.0)}
SPACES: dict[str, dict[str, tuple[float, float]]] = {
    **{name: GAIN_SPACE for name, policy in POLICIES.items() if policy.reflex},
    "straight": SPEED_SPACE,
    "gap": {"reach": (0.8, 4.0), "inflation": (0.02, 0.25), "weight": (0.05, 3.0), **SPEED_SPACE},
    "vfh": {
        "reach": (0.8, 4.0),
        "margin": (0.02, 0.2),
        "low": (0.02, 0.5),
        "high": (0.2, 3.0),
        **SPEED_SPACE,
    },
    "dwa": {
        "heading": (0.05, 2.0),
        "clearance": (0.05, 2.0),
        "velocity": (0.05, 2.0),
        "margin": (0.02, 0.15),
        "look_ahead": (0.1, 1.5),
        **SPEED_SPACE,
    },
    "mppi": {
        "sigma_linear": (0.1, 1.0),
        "sigma_angular": (0.3, 2.5),
        "temperature": (0.5, 30.0),
        "margin": (0.1, 0.6),
        **SPEED_SPACE,
    },
}
SAMPLERS = ("tpe", "cmaes")
CONTACT_COSTS = 1.0  # two episodes' best score
CLOSE, CLOSE_COSTS = 0.06, 0.1  # m from the outline, and what a miss by nothing costs
PRUNE_AFTER = 4  # worlds, and every so many, at which a set that is below the median is given up


def value(rows: Sequence[Mapping[str, Any]]) -> float:
    """What is maximised: the mean score, less CONTACT_COSTS for each contact and up to CLOSE_COSTS for each near miss.

    A near miss costs the more the nearer the outline came than CLOSE: the kinematic level knows no slip, so what has no
    margin there has a contact elsewhere; and most sets that are any good reach the best score there.
    """
    total = 0.0
    for row in rows:
        least = row["minimum_distance"]
        near = 0.0 if least is None else max(0.0, 1.0 - least / CLOSE)
        total += row["score"] - CONTACT_COSTS * bool(row["contact"]) - CLOSE_COSTS * near
    return total / len(rows)


def defaults(policy: str, setup: Setup) -> dict[str, float]:
    """The values of what is tuned that hold where nothing is said: the first set that is tried."""
    if POLICIES[policy].reflex:
        known = {p.name: p.default for p in GAINS}
    else:
        known = {n: p.default for n, p in inspect.signature(POLICIES[policy].baseline).parameters.items()}
        known["max_speed"] = Harness(setup).robot.max_speed
    return {name: min(max(float(known[name]), low), high) for name, (low, high) in SPACES[policy].items()}


def parameter_file(policy: str, values: Mapping[str, float], how: Sequence[str]) -> str:
    """A policy's values as YAML, with how they were made as comments above.

    Gains make a ROS parameter file, as --params takes it; a baseline's settings a mapping by its name, as --baselines
    takes it.
    """
    lines = [f"# {line}".rstrip() for line in how]
    if POLICIES[policy].reflex:
        lines += ["/**/reflex_node:", "  ros__parameters:"]
        return "\n".join(lines + [f"    {name}: {number:.4g}" for name, number in values.items()]) + "\n"
    lines.append(f"{policy}:")
    return "\n".join(lines + [f"  {name}: {number:.4g}" for name, number in values.items()]) + "\n"


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """The values as `parameter_file` writes them, so that what was checked is what is written."""
    return {name: float(f"{number:.4g}") for name, number in values.items()}


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ValueError(
            "Optuna is not installed: pip install optuna (and cmaes, for --sampler cmaes)"
        ) from None
    return optuna


def _sampler(optuna: Any, name: str, seed: int) -> Any:
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True)
    if name != "cmaes":
        raise ValueError(f"--sampler: unknown sampler {name!r}; there are {', '.join(SAMPLERS)}")
    try:
        import cmaes  # noqa: F401 - Optuna would only miss it at the second set
    except ModuleNotFoundError:
        raise ValueError("CMA-ES is not installed: pip install cmaes") from None
    return optuna.samplers.CmaEsSampler(seed=seed)


def tune(
    setup: Setup,
    scenes: Sequence[Scene],
    policy: str,
    budget: int,
    storage: Path,
    jobs: int = 1,
    sampler: str = "tpe",
) -> Any:
    """Optuna's study after `budget` sets in all; sets that the storage already has count.

    setup: its gains are what is kept fixed. storage: an SQLite file. A set that after PRUNE_AFTER worlds, or as many
    more, is below the median of those before it, is given up. ValueError where Optuna is missing, or the storage was
    begun for other worlds, rules or options.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {n: limits for n, limits in SPACES[policy].items() if n not in setup.gains}
    study = optuna.create_study(
        direction="maximize",
        sampler=_sampler(optuna, sampler, setup.seed),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=8, n_warmup_steps=PRUNE_AFTER, interval_steps=PRUNE_AFTER
        ),
        storage=f"sqlite:///{storage}",
        study_name=policy,
        load_if_exists=True,
    )
    asked = json.dumps({**setup_dict(setup), "digest": world_digest(scenes), "space": space}, sort_keys=True)
    if study.user_attrs.setdefault("asked", asked) != asked:
        raise ValueError(f"{storage}: begun with other worlds or options; delete it, or name another --out")
    study.set_user_attr("asked", asked)
    if not study.trials:
        first = defaults(policy, setup)
        study.enqueue_trial({name: first[name] for name in space})

    with Workers(setup, scenes, jobs) as workers:

        def objective(trial: Any) -> float:
            drawn = rounded({name: trial.suggest_float(name, *limits) for name, limits in space.items()})
            rows: list[Row] = []
            for begin in range(0, len(scenes), PRUNE_AFTER):
                end = min(begin + PRUNE_AFTER, len(scenes))
                values: dict[str, Any] = {**setup.gains, **drawn}
                some = workers.rows([(policy, i, 0) for i in range(begin, end)], values)
                rows += sorted(some, key=lambda row: row["index"])
                trial.report(value(rows), end)
                if end < len(scenes) and trial.should_prune():
                    raise optuna.TrialPruned
            trial.set_user_attr("success", sum(r["success"] for r in rows) / len(rows))
            trial.set_user_attr("contact", sum(r["contact"] for r in rows))
            return value(rows)

        finished = sum(t.state.is_finished() for t in study.trials)
        study.optimize(objective, n_trials=max(budget - finished, 0), show_progress_bar=True)
    return study


def best_sets(study: Any, count: int) -> list[dict[str, float]]:
    """The `count` sets that reached most, best first, and the first one that was tried, the defaults."""
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    ranked = sorted(done, key=lambda t: -t.value)[:count]
    if done[0] not in ranked:
        ranked.append(done[0])
    return [rounded(t.params) for t in ranked]


def importances(study: Any) -> dict[str, float]:
    """How much each gain mattered: the absolute rank correlation of its value with what was reached, 0 .. 1."""
    import numpy as np

    done = [t for t in study.trials if t.value is not None]
    if len(done) < 3:
        return {}

    def ranks(values: Sequence[float]) -> Any:
        return np.argsort(np.argsort(values)).astype(np.float64)

    reached = ranks([t.value for t in done])
    result = {}
    for name in done[0].params:
        mine = ranks([t.params[name] for t in done])
        correlation = float(np.corrcoef(mine, reached)[0, 1])
        result[name] = abs(correlation) if math.isfinite(correlation) else 0.0
    return dict(sorted(result.items(), key=lambda item: -item[1]))


def plot(study: Any, file: Path) -> None:
    """What mattered, as bars, what was reached over the sets tried, and over the two values that mattered most."""
    from matplotlib.figure import Figure

    weights = importances(study)
    done = [t for t in study.trials if t.value is not None]
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    bars, course, *most = figure.subplots(1, 4)
    bars.barh(list(weights)[::-1], list(weights.values())[::-1])
    bars.set(xlabel="|rank correlation| with the value", xlim=(0, 1))
    course.plot([t.number for t in done], [t.value for t in done], ".")
    course.set(xlabel="set", ylabel="mean score less contacts")
    for axes, name in zip(most, weights, strict=False):
        axes.plot([t.params[name] for t in done], [t.value for t in done], ".")
        axes.set(xlabel=name)
    figure.savefig(file, dpi=90)
