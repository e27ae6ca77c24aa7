"""`hybrid-control coevolve`: reflex and planner searched for together, beside either alone, with the same budget."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_control.cli.nav import existing, reflex_gains, several, tuned_or_named

if TYPE_CHECKING:
    from hybrid_control.navigation.bench.coevolve import Plan, Searched, Step
    from hybrid_control.navigation.bench.harness import Setup
    from hybrid_control.navigation.bench.scenes import Scene
    from hybrid_control.navigation.bench.verdict import Entry
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


def _step(plan: Plan, arm: str, scenes: Sequence[Scene]) -> Step:
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
    from hybrid_control.navigation.bench import coevolve, verdict
    from hybrid_control.navigation.bench.harness import Setup, setup_dict
    from hybrid_control.navigation.bench.scenes import load_scenes
    from hybrid_control.navigation.bench.workers import Machines

    arms = several(args.arms, "--arms", list(coevolve.ARMS))
    machines = Machines(args.jobs, args.backend, args.address)
    gains = reflex_gains(None if args.params is None else existing("--params", args.params))
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
    held_out = dataclasses.replace(setup, seed=args.seed + 2 * args.batches, duration=None, ways=False)
    scenes = load_scenes(args.held_out, held_out.seed)
    beside = tuned_or_named("--beside", args.beside, "gains", args.rules, args.robot)
    cases: dict[str, Mapping[str, Any]] = {} if beside is None else {beside.stem: reflex_gains(beside)}
    found = _searched(plan, arms, machines, args.json)
    cases |= {arm: end.values for arm, end in found.items()}
    entries = _measured(held_out, scenes, cases, machines, args.json)
    ahead = [case for case in cases if verdict.better(entries, case)]
    content = {
        "asked": {**dataclasses.asdict(plan), "setup": setup_dict(setup), "held_out": args.held_out},
        "sets": plan.sets,
        "arms": {arm: dataclasses.asdict(end) for arm, end in found.items()},
        "held_out": entries,
        "better_everywhere": ahead,
    }
    args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for arm, end in found.items():
        _write(args.json, arm, gains, end.values)
    sys.stdout.write(verdict.table(entries) + "\n")
    sys.stdout.write(f"better than hand-built everywhere: {', '.join(ahead) or 'none'}\n{args.json}\n")
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


def _measured(
    setup: Setup,
    scenes: Sequence[Scene],
    cases: Mapping[str, Mapping[str, Any]],
    machines: Machines,
    out: Path,
) -> list[Entry]:
    """What the cases come to in held-out worlds, beside the hand-built robot; resumed from OUT.DIGEST.jsonl."""
    from hybrid_control.navigation.bench.coevolve import ALIVE, DEAD
    from hybrid_control.navigation.bench.harness import setup_dict
    from hybrid_control.navigation.bench.runner import Journal, run
    from hybrid_control.navigation.bench.scenes import world_digest
    from hybrid_control.navigation.bench.verdict import HAND_BUILT, compare

    rows = {}
    for case, values in {HAND_BUILT: {}, **cases}.items():
        tried = setup.with_values(ALIVE, values)
        asked = {**setup_dict(tried), "digest": world_digest(scenes)}
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        journal = Journal(out.with_suffix(f".{name}.jsonl"), asked)
        rows[case] = run(tried, scenes, [ALIVE, DEAD], machines=machines, journal=journal)
    return compare(rows, [scene.path_length for scene in scenes])


def _write(out: Path, arm: str, start: Mapping[str, Any], values: Mapping[str, float]) -> None:
    """OUT_ARM.yaml, of an arm with gains, and OUT_ARM.nir, of one with weights. start: gains that it began with."""
    from hybrid_control.navigation.bench.coevolve import ALIVE
    from hybrid_control.navigation.bench.sides import parted, shaped
    from hybrid_control.navigation.bench.tune import parameter_file

    mine = parted(values)
    if mine.gains:
        how = [f"hybrid-control coevolve, arm {arm}: {out.name}", f"The planner's last layer: {mine.readout}"]
        text = parameter_file(ALIVE, {**start, **mine.gains}, how)
        out.with_name(f"{out.stem}_{arm}.yaml").write_text(text, encoding="utf-8")
    if mine.weights:
        shaped(mine.weights).save(out.with_name(f"{out.stem}_{arm}.nir"))
