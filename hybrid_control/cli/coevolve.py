"""`hybrid-control coevolve`: reflex and planner searched for together, beside either alone, with the same budget."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_control.cli.nav import _existing, _several, _tuned, reflex_gains

if TYPE_CHECKING:
    from hybrid_control.navigation.bench.coevolve import Plan, Searched
    from hybrid_control.navigation.bench.workers import Machines


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `coevolve` to the command line."""
    parser = subparsers.add_parser(
        "coevolve",
        help="gains, weights and the planner's last layer by CMA-ES, together and one by one",
        description="Searches at the kinematic level by arms of one budget, then measures them in held-out worlds "
        "beside the hand-built robot, with the planner and without. Writes OUT.json; OUT_ARM.yaml where the arm has "
        "gains and OUT_ARM.nir where it has weights; and OUT.ARM.jsonl, from which an interrupted search is resumed.",
    )
    add = parser.add_argument
    add(
        "--arms",
        default="gains,imitation,both,in-turn",
        metavar="NAMES",
        help="gains, weights; imitation: weights by surrogate gradients (needs torch); both: gains, weights and the "
        "planner's last layer at once; in-turn: reflex and planner by turns (default: %(default)s)",
    )
    add(
        "--worlds",
        default="field:2+forest+rooms+corridor+crossing",
        metavar="GENERATOR",
        help="of a batch, as for bench nav (default: %(default)s)",
    )
    add(
        "--held-out",
        default="field:40+forest:40+rooms:40+corridor:40+crossing:40",
        metavar="GENERATOR",
        help="worlds of the comparison (default: %(default)s)",
    )
    add("--generations", type=int, default=24, metavar="N", help="of each arm (default: %(default)s)")
    add("--population", type=int, default=12, metavar="N", help="sets in a generation (default: %(default)s)")
    add(
        "--batches",
        type=int,
        default=8,
        metavar="N",
        help="of worlds, one for a generation (default: %(default)s)",
    )
    add("--rules", default="barn", help="default, barn or arena (default: %(default)s)")
    add("--robot", default="jackal", help="the robot (default: %(default)s)")
    add(
        "--params",
        type=Path,
        metavar="FILE",
        help="gains to start from, a ROS parameter file (default: the reflex's defaults)",
    )
    add(
        "--beside",
        type=Path,
        metavar="FILE",
        help="other gains to measure beside the arms; none for none (default: config/tuned/gains_RULES.yaml where "
        "there is one)",
    )
    add(
        "--duration", type=float, default=30.0, metavar="S",
        help="end episodes of the search after so many simulated s (default: %(default)s)",
    )  # fmt: skip
    add("--seed", type=int, default=1, help="seed of worlds, noise and search (default: %(default)s)")
    add("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add(
        "--backend",
        default="processes",
        help="processes of this machine, or ray or dask: an existing cluster (default: %(default)s)",
    )
    add("--address", default="", help="of the cluster, as for bench nav")
    add("--json", type=Path, required=True, metavar="OUT.json", help="where the result goes")
    parser.set_defaults(run=_coevolve)


def _check(args: argparse.Namespace) -> None:
    for option, number, least, most in (
        ("--generations", args.generations, 1, 100_000), ("--population", args.population, 4, 10_000),
        ("--batches", args.batches, 1, 1000), ("--jobs", args.jobs, 1, 1024),
    ):  # fmt: skip
        if not least <= number <= most:
            raise ValueError(f"{option} {number}: expected {least} .. {most}")
    if not 1.0 <= args.duration <= 1000.0:
        raise ValueError(f"--duration {args.duration:g}: expected 1 .. 1000 s")
    if not 0 <= args.seed < 2**31 - 2001:
        raise ValueError(f"--seed {args.seed}: expected 0 .. {2**31 - 2002}")
    if args.json.suffix != ".json":
        raise ValueError(f"--json {args.json}: expected a name that ends in .json")


def _step(plan: Plan, arm: str, scenes: Any) -> Callable[..., Any]:
    from hybrid_control.navigation.bench.coevolve import ARMS, evolution

    if arm != "imitation":
        return evolution(plan, ARMS[arm])
    try:
        from hybrid_control.navigation.bench.imitation import imitation
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError("--arms imitation: torch is not installed; its own pages say how") from None
    return imitation(plan, scenes)


def _coevolve(args: argparse.Namespace) -> int:
    _check(args)
    from hybrid_control.navigation.bench import coevolve
    from hybrid_control.navigation.bench.harness import Setup
    from hybrid_control.navigation.bench.workers import Machines

    arms = _several(args.arms, "--arms", list(coevolve.ARMS))
    machines = Machines(args.jobs, args.backend, args.address)
    gains = reflex_gains(None if args.params is None else _existing("--params", args.params))
    setup = Setup(
        robot=args.robot,
        rules=args.rules,
        level="kinematic",
        seed=args.seed,
        duration=args.duration,
        ways=True,
        gains=gains,
    )
    plan = coevolve.Plan(setup, args.worlds, args.generations, args.population, args.batches)
    found = _searched(plan, arms, machines, args.json)
    cases: dict[str, Mapping[str, Any]] = {arm: end.values for arm, end in found.items()}
    beside = _tuned("--beside", args.beside, "gains", args.rules, args.robot)
    if beside is not None:
        cases = {beside.stem: reflex_gains(beside), **cases}
    _judge(args, plan, found, cases, machines)
    return 0


def _searched(plan: Plan, arms: list[str], machines: Machines, out: Path) -> dict[str, Searched]:
    """Every arm's search, resumed from OUT.ARM.jsonl."""
    from hybrid_control.navigation.bench.coevolve import Course, search
    from hybrid_control.navigation.bench.harness import setup_dict
    from hybrid_control.navigation.bench.runner import Journal
    from hybrid_control.navigation.bench.scenes import world_digest

    batches = plan.scenes()
    scenes = [scene for batch in batches for scene in batch]
    steps = {arm: _step(plan, arm, scenes) for arm in arms}
    asked = {**dataclasses.asdict(plan), "setup": setup_dict(plan.setup), "digest": world_digest(scenes)}
    found = {}
    with machines.crew(plan.setup, scenes) as crew:
        course = Course(plan, batches, crew)
        for arm in arms:
            journal = Journal(out.with_suffix(f".{arm}.jsonl"), asked)
            found[arm] = search(course, arm, steps[arm], journal)
    return found


def _judge(
    args: argparse.Namespace,
    plan: Plan,
    found: Mapping[str, Searched],
    cases: Mapping[str, Mapping[str, Any]],
    machines: Machines,
) -> None:
    """Measure in held-out worlds, say what came of it, and write the files."""
    import hashlib

    from hybrid_control.navigation.bench import verdict
    from hybrid_control.navigation.bench.coevolve import ALIVE, DEAD
    from hybrid_control.navigation.bench.harness import setup_dict
    from hybrid_control.navigation.bench.runner import Journal, run
    from hybrid_control.navigation.bench.scenes import load_scenes, world_digest
    from hybrid_control.navigation.bench.sides import WEIGHTS, parted, shaped
    from hybrid_control.navigation.bench.tune import parameter_file

    setup = dataclasses.replace(plan.setup, seed=args.seed + 2 * args.batches, duration=None, ways=False)
    scenes = load_scenes(args.held_out, setup.seed)
    rows = {}
    for case, values in {verdict.HAND_BUILT: {}, **cases}.items():
        tried = setup.with_values(ALIVE, values)
        asked = {**setup_dict(tried), "worlds": args.held_out, "digest": world_digest(scenes)}
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        journal = Journal(args.json.with_suffix(f".{name}.jsonl"), asked)
        rows[case] = run(tried, scenes, [ALIVE, DEAD], machines=machines, journal=journal)
    entries = verdict.compare(rows, [scene.path_length for scene in scenes])
    ahead = [case for case in cases if verdict.better(entries, case)]
    content = {
        "asked": {**dataclasses.asdict(plan), "setup": setup_dict(plan.setup), "held_out": args.held_out},
        "sets": plan.sets,
        "arms": {arm: dataclasses.asdict(end) for arm, end in found.items()},
        "held_out": entries,
        "better_everywhere": ahead,
    }
    args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for arm, end in found.items():
        mine = parted(end.values)
        gains: dict[str, Any] = {**plan.setup.gains, **mine.gains}
        how = [f"hybrid-control coevolve, arm {arm}; {args.json.name} says how", f"planner: {mine.readout}"]
        if gains:
            file = args.json.with_name(f"{args.json.stem}_{arm}.yaml")
            file.write_text(parameter_file(ALIVE, gains, how), encoding="utf-8")
        if any(name.startswith(WEIGHTS) for name in end.values):
            shaped(mine.weights).save(args.json.with_name(f"{args.json.stem}_{arm}.nir"))
    sys.stdout.write(verdict.table(entries) + "\n")
    sys.stdout.write(f"better than hand-built everywhere: {', '.join(ahead) or 'none'}\n{args.json}\n")
