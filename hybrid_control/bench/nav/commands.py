"""`hybrid-control bench nav`: its arguments, checked before anything is started."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any


def add_nav_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``nav`` to the benchmarks."""
    parser = subparsers.add_parser(
        "nav",
        help="does the robot arrive, how fast, without a contact; beside baselines",
        description="Drives policies through worlds, prints a summary with 95%% intervals, and writes OUT.json with "
        "a row for every episode, pictures of failed ones in OUT_failures/, and OUT.jsonl, from which an "
        "interrupted run is resumed.",
    )
    add = parser.add_argument
    add(
        "--worlds",
        required=True,
        metavar="FILE|GENERATOR",
        help="FILE.npz[:IDS] of BARN worlds, FILE.world or .sdf of Gazebo or a folder of them, FILE.json of a polygon "
        "arena, or GENERATOR[,option=value][:COUNT], such as field,fill=0.25:20 (docs/navigation.md)",
    )
    add(
        "--policy",
        default="hybrid",
        metavar="NAMES",
        help="hybrid, memoryless, planner, reflex, straight, gap, vfh, dwa, mppi; several "
        "with commas (default: %(default)s)",
    )
    add("--level", default="physics", help="physics, planar or kinematic (default: %(default)s)")
    add("--rules", default="default", help="default, barn or arena (default: %(default)s)")
    add("--robot", default="jackal", help="the robot (default: %(default)s)")
    add("--trials", type=int, default=1, metavar="N", help="episodes in each world (default: %(default)s)")
    add(
        "--seed",
        type=int,
        default=0,
        help="seed of generated worlds, noise and spikes (default: %(default)s)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add("--max-speed", type=float, metavar="M/S", help="another speed limit than the rules'")
    add(
        "--params",
        type=Path,
        metavar="FILE",
        help="the reflex's gains, a ROS parameter file such as config/sim.yaml",
    )
    add("--model", type=Path, metavar="FILE", help="another planner, an ONNX file (docs/planner.md)")
    add(
        "--fault",
        default="none",
        metavar="KIND",
        help="what befalls the hybrid's planner half way: planner-dies, black, frozen; "
        "late: images 0.5 s late all the way",
    )
    add(
        "--start",
        type=float,
        nargs=3,
        metavar=("X", "Y", "YAW"),
        help="start in Gazebo worlds (default: BARN's)",
    )
    add("--goal", type=float, nargs=2, metavar=("X", "Y"), help="goal in Gazebo worlds (default: BARN's)")
    add("--json", type=Path, required=True, metavar="OUT.json", help="where the result goes")
    add("--html", type=Path, metavar="PAGE", help="also a page that compares the policies")
    add("--no-pictures", action="store_true", help="draw no failed episodes")
    parser.set_defaults(run=_run)


def reflex_gains(file: Path | None) -> dict[str, Any]:
    """The gains that a ROS parameter file gives the reflex and that differ from the defaults."""
    if file is None:
        return {}
    from hybrid_control.reflex.gains import GAINS
    from hybrid_control.sim.commands import read_parameters

    values = read_parameters(file)["reflex_node"]
    return {p.name: values[p.name] for p in GAINS if values[p.name] != p.default}


def _check(args: argparse.Namespace) -> None:
    for option, value, most in (("--trials", args.trials, 1000), ("--jobs", args.jobs, 1024)):
        if not 1 <= value <= most:
            raise ValueError(f"{option} {value}: expected 1 .. {most}")
    if not 0 <= args.seed < 2**31:
        raise ValueError(f"--seed {args.seed}: expected 0 .. {2**31 - 1}")
    if args.json.suffix != ".json":
        raise ValueError(f"--json {args.json}: expected a name that ends in .json")
    if args.json.resolve() == Path(args.worlds.rpartition(":")[0] or args.worlds).resolve():
        raise ValueError(f"--json {args.json}: this is the file of the worlds, which it would overwrite")
    for option, file in (("--model", args.model), ("--params", args.params)):
        if file is not None and not file.is_file():
            raise ValueError(f"{option}: {file}: no such file")
    for option, values in (("--start", args.start), ("--goal", args.goal)):
        if values is not None and not all(math.isfinite(v) for v in values):
            raise ValueError(f"{option}: {values} must be finite")


def _run(args: argparse.Namespace) -> int:
    _check(args)
    from hybrid_control.bench.nav.harness import POLICIES, Setup, setup_dict
    from hybrid_control.bench.nav.rules import rules
    from hybrid_control.bench.nav.runner import Journal, run, world_digest
    from hybrid_control.bench.nav.scenes import load_scenes
    from hybrid_control.bench.nav.summary import summaries, table
    from hybrid_control.messages import Pose
    from hybrid_control.planner.contract import DEFAULT_MODEL
    from hybrid_control.sim.robot import robot

    policies = list(dict.fromkeys(args.policy.split(",")))
    unknown = [p for p in policies if p not in POLICIES]
    if unknown:
        raise ValueError(f"--policy: unknown policy {unknown[0]!r}; there are {', '.join(POLICIES)}")
    setup = Setup(
        robot=args.robot,
        rules=args.rules,
        max_speed=args.max_speed,
        level=args.level,
        seed=args.seed,
        fault=args.fault,
        model=str(args.model or ""),
        gains=reflex_gains(args.params),
    )
    start = Pose(*args.start) if args.start else None
    scenes = load_scenes(args.worlds, args.seed, start, tuple(args.goal) if args.goal else None)
    model = hashlib.sha256(Path(args.model or DEFAULT_MODEL).read_bytes()).hexdigest()[:16]
    asked = {
        **setup_dict(setup),
        "worlds": args.worlds,
        "digest": world_digest(scenes),
        "model_digest": model,
    }
    journal = Journal(args.json.with_suffix(".jsonl"), asked)
    rows = run(setup, scenes, policies, args.trials, args.jobs, journal)
    by_policy = summaries(rows)
    content = {"asked": {**asked, "trials": args.trials}, "summary": by_policy, "episodes": rows}
    args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    judged = rules(args.rules, args.max_speed)
    pictures: list[Path] = []
    if not args.no_pictures:
        from hybrid_control.bench.nav.pictures import draw_failures

        folder = args.json.with_name(args.json.stem + "_failures")
        pictures = draw_failures(rows, scenes, judged.robot(robot(args.robot)), judged.goal_radius, folder)
    if args.html is not None:
        from hybrid_control.bench.nav.page import make_page

        title = f"Navigation: {Path(args.worlds).name}, rules {args.rules}, {args.level}"
        args.html.parent.mkdir(parents=True, exist_ok=True)
        args.html.write_text(make_page(title, by_policy, rows, pictures), encoding="utf-8")
    sys.stdout.write(table(by_policy) + "\n")
    return 0


def add_tune_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``tune`` to the command line."""
    parser = subparsers.add_parser(
        "tune",
        help="gains of the reflex by Optuna, on generated worlds",
        description="Searches gains at the kinematic level and checks the best at the physics level on other worlds. "
        "Writes OUT.yaml, a parameter file; OUT.db, from which an interrupted search is resumed; and OUT.png, what "
        "mattered.",
    )
    add = parser.add_argument
    add("--worlds", default="field:20", metavar="GENERATOR", help="as for bench nav (default: %(default)s)")
    add(
        "--budget",
        type=int,
        default=50,
        metavar="N",
        help="sets of gains tried in all (default: %(default)s)",
    )
    add("--policy", default="hybrid", help="hybrid, memoryless or reflex (default: %(default)s)")
    add("--rules", default="barn", help="default, barn or arena (default: %(default)s)")
    add("--seed", type=int, default=1, help="seed of worlds, noise and search (default: %(default)s)")
    add("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="OUT.yaml", help="where the gains go")
    parser.set_defaults(run=_tune)


def _tune(args: argparse.Namespace) -> int:
    if args.policy not in ("hybrid", "memoryless", "reflex"):
        raise ValueError(f"--policy: {args.policy!r} has no gains; expected hybrid, memoryless or reflex")
    for option, number, most in (("--budget", args.budget, 100_000), ("--jobs", args.jobs, 1024)):
        if not 1 <= number <= most:
            raise ValueError(f"{option} {number}: expected 1 .. {most}")
    if args.out.suffix != ".yaml":
        raise ValueError(f"--out {args.out}: expected a name that ends in .yaml")
    import dataclasses

    from hybrid_control.bench.nav import tune
    from hybrid_control.bench.nav.harness import Setup
    from hybrid_control.bench.nav.runner import run
    from hybrid_control.bench.nav.scenes import load_scenes
    from hybrid_control.bench.nav.summary import summaries, table

    setup = Setup(rules=args.rules, level="kinematic", seed=args.seed)
    scenes = load_scenes(args.worlds, args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    gains, study = tune.tune(setup, scenes, args.policy, args.budget, args.out.with_suffix(".db"), args.jobs)
    tune.plot(study, args.out.with_suffix(".png"))
    others = load_scenes(args.worlds, args.seed + 1)
    check = dataclasses.replace(setup, level="physics", seed=args.seed + 1, gains=gains)
    summary = summaries(run(check, others, [args.policy], 1, args.jobs))
    how = [
        f"hybrid-control tune --worlds {args.worlds} --policy {args.policy} --rules {args.rules} --seed {args.seed} "
        f"--budget {args.budget}",
        f"kinematic, {len(scenes)} worlds: value {study.best_value:.4f}",
        f"physics, worlds of seed {args.seed + 1}:",
        *table(summary).splitlines(),
    ]
    args.out.write_text(tune.gains_file(gains, how), encoding="utf-8")
    sys.stdout.write(table(summary) + f"\ngains: {args.out}\n")
    return 0
