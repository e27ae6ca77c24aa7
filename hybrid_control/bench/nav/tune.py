"""Gains of the reflex by Optuna, on generated worlds at the kinematic level, checked at the physics level."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_control.bench.nav.harness import Setup
from hybrid_control.bench.nav.runner import Row, run
from hybrid_control.bench.nav.scenes import Scene

# (least, greatest) of what is tuned; the reflex's defaults are the first set tried
SPACE: dict[str, tuple[float, float]] = {
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
CONTACT_COSTS = 1.0  # two episodes' best score


def value(rows: Sequence[Mapping[str, Any]]) -> float:
    """What is maximised: the mean score, less CONTACT_COSTS for each contact."""
    return sum(r["score"] - CONTACT_COSTS * bool(r["contact"]) for r in rows) / len(rows)


def gains_file(gains: Mapping[str, float], how: Sequence[str]) -> str:
    """A ROS parameter file of the gains, with how they were made as comments above."""
    lines = [f"# {line}" for line in how] + ["/**/reflex_node:", "  ros__parameters:"]
    return "\n".join(lines + [f"    {name}: {number:.4g}" for name, number in gains.items()]) + "\n"


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ValueError("Optuna is not installed: pip install optuna") from None
    return optuna


def tune(
    setup: Setup, scenes: Sequence[Scene], policy: str, budget: int, storage: Path, jobs: int = 1
) -> tuple[dict[str, float], Any]:
    """The best gains after `budget` sets in all, and Optuna's study; sets that the storage already has count.

    setup: its gains are what is kept fixed. storage: an SQLite file; made for other worlds, rules or policy it must
    not be used again. TPE with the set-up's seed. ValueError where Optuna is missing.
    """
    from hybrid_control.reflex.gains import GAINS

    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tuned = {n: limits for n, limits in SPACE.items() if n not in setup.gains}
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=setup.seed, multivariate=True),
        storage=f"sqlite:///{storage}",
        study_name=f"{policy}-{setup.rules}-{setup.level}",
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial({p.name: p.default for p in GAINS if p.name in tuned})

    def objective(trial: Any) -> float:
        drawn = {name: trial.suggest_float(name, *limits) for name, limits in tuned.items()}
        tried = dataclasses.replace(setup, gains={**setup.gains, **drawn})
        rows: list[Row] = run(tried, scenes, [policy], 1, jobs, progress=False)
        trial.set_user_attr("success", sum(r["success"] for r in rows) / len(rows))
        return value(rows)

    finished = sum(t.state.is_finished() for t in study.trials)
    study.optimize(objective, n_trials=max(budget - finished, 0), show_progress_bar=True)
    return dict(study.best_params), study


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
    """What mattered, as bars, and what was reached over the sets tried, as a PNG file."""
    from matplotlib.figure import Figure

    weights = importances(study)
    done = [t for t in study.trials if t.value is not None]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.barh(list(weights)[::-1], list(weights.values())[::-1])
    left.set(xlabel="|rank correlation| with the value", xlim=(0, 1))
    right.plot([t.number for t in done], [t.value for t in done], ".")
    right.set(xlabel="set", ylabel="mean score less contacts")
    figure.savefig(file, dpi=90)
