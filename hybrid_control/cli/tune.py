"""`hybrid-control tune`: gains of the reflex, or settings of a baseline, searched for on generated worlds."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `tune` to the command line."""
    parser = subparsers.add_parser(
        "tune",
        help="gains of the reflex, or settings of a baseline, by Optuna on generated worlds",
        description="Searches at the kinematic level, ranks the best sets anew at the physics level on other worlds "
        "(seed + 1), and measures the winner on yet others (seed + 2). Writes OUT.yaml, a parameter file that says how "
        "it was made; OUT.db, from which an interrupted search is resumed; and OUT.png, what mattered.",
    )
    add = parser.add_argument
    add(
        "--worlds",
        default="field:16+forest:4",
        metavar="GENERATOR",
        help="as for bench nav (default: %(default)s)",
    )
    add("--budget", type=int, default=100, metavar="N", help="sets tried in all (default: %(default)s)")
    add("--policy", default="hybrid", help="what is tuned: any policy but planner (default: %(default)s)")
    add("--sampler", default="tpe", help="tpe or cmaes (default: %(default)s)")
    add("--rules", default="barn", help="default, barn or arena (default: %(default)s)")
    add("--robot", default="jackal", help="the robot (default: %(default)s)")
    add("--duration", type=float, metavar="S", help="end episodes of the search after so many simulated s")
    add("--seed", type=int, default=1, help="seed of worlds, noise and search (default: %(default)s)")
    add("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add(
        "--finalists",
        type=int,
        default=4,
        metavar="N",
        help="sets that are ranked at the physics level, beside the defaults (default: %(default)s)",
    )
    add("--level", default="physics", help="level at which finalists are ranked (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="OUT.yaml", help="where the values go")
    parser.set_defaults(run=_tune)


def _check_tune(args: argparse.Namespace) -> None:
    from hybrid_control.navigation.bench.tune import SAMPLERS, SPACES

    if args.policy not in SPACES:
        raise ValueError(f"--policy: nothing of {args.policy!r} can be tuned; expected {', '.join(SPACES)}")
    if args.sampler not in SAMPLERS:
        raise ValueError(f"--sampler: unknown sampler {args.sampler!r}; there are {', '.join(SAMPLERS)}")
    for option, number, most in (
        ("--budget", args.budget, 100_000), ("--jobs", args.jobs, 1024), ("--finalists", args.finalists, 100)
    ):  # fmt: skip
        if not 1 <= number <= most:
            raise ValueError(f"{option} {number}: expected 1 .. {most}")
    if args.duration is not None and not 1.0 <= args.duration <= 1000.0:
        raise ValueError(f"--duration {args.duration:g}: expected 1 .. 1000 s")
    if not 0 <= args.seed < 2**31 - 2:
        raise ValueError(f"--seed {args.seed}: expected 0 .. {2**31 - 3}")
    if args.out.suffix != ".yaml":
        raise ValueError(f"--out {args.out}: expected a name that ends in .yaml")


def _tune(args: argparse.Namespace) -> int:
    _check_tune(args)
    from hybrid_control.navigation.bench import tune
    from hybrid_control.navigation.bench.harness import Setup, setup_dict
    from hybrid_control.navigation.bench.runner import Journal, run
    from hybrid_control.navigation.bench.scenes import load_scenes, world_digest
    from hybrid_control.navigation.bench.summary import summaries, table
    from hybrid_control.navigation.bench.workers import Machines

    setup = Setup(
        robot=args.robot, rules=args.rules, level="kinematic", seed=args.seed, duration=args.duration
    )
    judged = dataclasses.replace(setup, level=args.level, duration=None)
    scenes = load_scenes(args.worlds, args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    study = tune.tune(
        setup, scenes, args.policy, args.budget, args.out.with_suffix(".db"), args.jobs, args.sampler
    )
    tune.plot(study, args.out.with_suffix(".png"))

    def measured(values: dict[str, float], seed: int) -> list[dict[str, Any]]:
        """Episodes with these values in the worlds of another seed, resumed from OUT.DIGEST.jsonl."""
        others = load_scenes(args.worlds, seed)
        tried = dataclasses.replace(judged, seed=seed).with_values(args.policy, values)
        asked = {**setup_dict(tried), "worlds": args.worlds, "digest": world_digest(others)}
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        journal = Journal(args.out.with_suffix(f".{name}.jsonl"), asked)
        return run(tried, others, [args.policy], machines=Machines(args.jobs), journal=journal)

    finalists = tune.best_sets(study, args.finalists)
    reached = [tune.value(measured(values, args.seed + 1)) for values in finalists]
    winner = finalists[max(range(len(finalists)), key=lambda k: reached[k])]
    summary = summaries(measured(winner, args.seed + 2))
    pruned = sum(t.state.name == "PRUNED" for t in study.trials)
    how = [
        f"hybrid-control tune --worlds {args.worlds} --policy {args.policy} --rules {args.rules} --seed {args.seed} "
        f"--budget {args.budget} --sampler {args.sampler} --finalists {args.finalists} --level {args.level}"
        + (f" --duration {args.duration:g}" if args.duration else ""),
        f"Search: {len(study.trials)} sets ({pruned} given up early) in {len(scenes)} generated worlds, kinematic; the "
        f"best reached {study.best_value:.4f} (mean score, less {tune.CONTACT_COSTS:g} for a contact and up to "
        f"{tune.CLOSE_COSTS:g} for coming nearer than {tune.CLOSE:g} m).",
        f"Finalists at the {args.level} level in the worlds of seed {args.seed + 1}: "
        + ", ".join(f"{v:.4f}" for v in reached)
        + "; the last is the defaults'." * (len(finalists) > 1),
        f"The winner at the {args.level} level in the worlds of seed {args.seed + 2}, which decided nothing:",
        *table(summary).splitlines(),
    ]
    args.out.write_text(tune.parameter_file(args.policy, winner, how), encoding="utf-8")
    sys.stdout.write(table(summary) + f"\n{args.out}\n")
    return 0
