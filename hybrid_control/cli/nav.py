"""`hybrid-control bench nav`: its arguments, checked before anything is started."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Sequence
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
    add(
        "--level",
        default="physics",
        metavar="NAMES",
        help="physics, planar or kinematic; several with commas are compared (default: %(default)s)",
    )
    add("--rules", help="default, barn or arena (default: barn for BARN's and Gazebo's files, arena for arenas)")
    add("--robot", default="jackal", help="the robot (default: %(default)s)")
    add("--trials", type=int, default=1, metavar="N", help="episodes in each world (default: %(default)s)")
    add(
        "--seed",
        type=int,
        default=0,
        help="seed of generated worlds, noise and spikes (default: %(default)s)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add(
        "--backend",
        default="processes",
        help="processes of this machine, or ray or dask: an existing cluster (default: %(default)s)",
    )
    add(
        "--address",
        default="",
        help="of the cluster: Ray's head (default: auto), or Dask's scheduler, such as tcp://10.0.0.1:8786",
    )
    add("--costs", action="store_true", help="also what each policy costs: times of its parts, energy")
    add("--max-speed", type=float, metavar="M/S", help="another speed limit than the rules'")
    add(
        "--params",
        type=Path,
        metavar="FILE",
        help="the reflex's gains, a ROS parameter file such as config/sim.yaml; none for its own defaults (default: "
        "config/tuned/gains_RULES.yaml where there is one)",
    )
    add(
        "--baselines",
        type=Path,
        metavar="FILE",
        help="settings of baselines, YAML as tune writes it; none for their own defaults (default: "
        "config/tuned/baselines_RULES.yaml where there is one)",
    )
    add("--model", type=Path, metavar="FILE", help="another planner, an ONNX file (docs/planner.md)")
    add(
        "--fault",
        default="none",
        metavar="KINDS",
        help="what befalls the planner half way: planner-dies, black, frozen; late: images 0.5 s late all the way; "
        "several with commas, such as none,planner-dies,black (default: %(default)s)",
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


def _existing(option: str, file: Path) -> Path:
    if not file.is_file():
        raise ValueError(f"{option}: {file}: no such file")
    return file


def tuned_file(option: str, given: Path | None, kind: str, rules: str, robot: str) -> Path | None:
    """The file that was named, or the tuned set of that kind for a rover under these rules; None for the defaults.

    ValueError where the file that was named is not there.
    """
    if given == Path("none"):
        return None
    if given is not None:
        return _existing(option, given)
    from hybrid_control.bringup.parameter_files import config_folder
    from hybrid_control.sim.robots import RobotModel, vehicle

    if not isinstance(vehicle(robot), RobotModel):
        return None
    try:
        file = config_folder() / "tuned" / f"{kind}_{rules}.yaml"
    except OSError:
        return None
    return file if file.is_file() else None


def reflex_gains(file: Path | None) -> dict[str, Any]:
    """The gains that a ROS parameter file gives the reflex and that differ from the defaults."""
    if file is None:
        return {}
    from hybrid_control.bringup.parameter_files import read_parameters
    from hybrid_control.navigation.reflex.gains import GAINS

    values = read_parameters(file)["reflex_node"]
    return {p.name: values[p.name] for p in GAINS if values[p.name] != p.default}


def baseline_settings(file: Path | None) -> dict[str, dict[str, float]]:
    """The settings of baselines in a YAML file: numbers by name, by policy. ValueError for anything else."""
    if file is None:
        return {}
    import yaml

    from hybrid_control.navigation.bench.tune import SPACES

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not YAML ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a mapping of settings by baseline")
    for policy, values in content.items():
        if policy not in SPACES or not isinstance(values, dict):
            raise ValueError(f"{file}: {policy!r} is no baseline with settings")
        for name, value in values.items():
            known = SPACES[policy]
            if name not in known:
                raise ValueError(f"{file}: {policy} has no setting {name!r}; it has {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
                raise ValueError(f"{file}: {policy}: {name}: {value!r} is no number from 0 on")
    return {policy: {n: float(v) for n, v in values.items()} for policy, values in content.items()}


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
    if args.model is not None:
        _existing("--model", args.model)
    for option, values in (("--start", args.start), ("--goal", args.goal)):
        if values is not None and not all(math.isfinite(v) for v in values):
            raise ValueError(f"{option}: {values} must be finite")


def _several(text: str, option: str, known: Sequence[str]) -> list[str]:
    """Names with commas between them, each once; ValueError for one that is not known."""
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            raise ValueError(f"{option}: unknown {name!r}; there are {', '.join(known)}")
    return names


def _run(args: argparse.Namespace) -> int:
    _check(args)
    from hybrid_control.navigation.bench.compare import difference_table, differences
    from hybrid_control.navigation.bench.costs import cost_table, costs
    from hybrid_control.navigation.bench.harness import FAULTS, LEVELS, PLANNED, POLICIES, Setup, setup_dict
    from hybrid_control.navigation.bench.rules import rules
    from hybrid_control.navigation.bench.runner import BACKENDS, Journal, run, world_digest
    from hybrid_control.navigation.bench.scenes import load_scenes, usual_rules
    from hybrid_control.navigation.bench.summary import summaries, table
    from hybrid_control.navigation.planner.contract import DEFAULT_MODEL
    from hybrid_control.signals import Pose
    from hybrid_control.sim.robots import vehicle

    policies = _several(args.policy, "--policy", POLICIES)
    levels = _several(args.level, "--level", LEVELS)
    faults = _several(args.fault, "--fault", FAULTS)
    _several(args.backend, "--backend", BACKENDS)
    judged = rules(args.rules or usual_rules(args.worlds), args.max_speed)
    params, baselines = (
        tuned_file(option, given, kind, judged.name, args.robot)
        for option, given, kind in (
            ("--params", args.params, "gains"),
            ("--baselines", args.baselines, "baselines"),
        )
    )
    first = Setup(
        robot=args.robot,
        rules=judged.name,
        max_speed=args.max_speed,
        level=levels[0],
        seed=args.seed,
        fault=faults[0],
        model=str(args.model or ""),
        gains=reflex_gains(params),
        settings=baseline_settings(baselines),
    )
    by = f"rules {judged.name}, gains {params.name if params else 'as by default'}"
    sys.stderr.write(f"bench nav: {by}\n")
    setups = [dataclasses.replace(first, level=level, fault=fault) for level in levels for fault in faults]
    start = Pose(*args.start) if args.start else None
    scenes = load_scenes(args.worlds, args.seed, start, tuple(args.goal) if args.goal else None)
    model = hashlib.sha256(Path(args.model or DEFAULT_MODEL).read_bytes()).hexdigest()[:16]
    common = {"worlds": args.worlds, "digest": world_digest(scenes), "model_digest": model}
    rows: list[dict[str, Any]] = []
    for setup in setups:
        asked = {**setup_dict(setup), **common}
        part = "" if len(setups) == 1 else f".{setup.level}-{setup.fault}"
        journal = Journal(args.json.with_suffix(f"{part}.jsonl"), asked)
        # a fault of the planner befalls nobody who has none
        driven = [p for p in policies if setup.fault == "none" or p in PLANNED]
        found = run(
            setup, scenes, driven, args.trials, args.jobs, journal, backend=args.backend, address=args.address
        )
        rows += [{**row, "level": setup.level, "fault": setup.fault} for row in found]

    def case(row: dict[str, Any]) -> str:
        return " ".join(
            [row["policy"], *[row["level"]] * (len(levels) > 1), *[row["fault"]] * (len(faults) > 1)]
        )

    by_case = summaries(rows, case)
    content: dict[str, Any] = {
        "asked": {**setup_dict(first), **common, "level": levels, "fault": faults, "trials": args.trials},
        "summary": by_case,
    }
    tables = [table(by_case)]
    if len(levels) > 1:
        for level in levels[1:]:
            one, other = (
                [r for r in rows if r["level"] == k and r["fault"] == faults[0]] for k in (levels[0], level)
            )
            content[f"{level} less {levels[0]}"] = differences(one, other)
            tables.append(difference_table(differences(one, other), levels[0], level))
    if args.costs:
        found_costs = costs(dataclasses.replace(first, fault="none"), scenes[0], policies)
        content["costs"] = found_costs
        plain = [r for r in rows if r["level"] == levels[0] and r["fault"] == faults[0]]
        tables.append(cost_table(found_costs, summaries(plain)))
    content["episodes"] = rows
    args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    pictures: list[Path] = []
    if not args.no_pictures:
        from hybrid_control.navigation.bench.pictures import draw_failures

        folder = args.json.with_name(args.json.stem + "_failures")
        named = [{**row, "policy": case(row)} for row in rows]
        pictures = draw_failures(named, scenes, judged.robot(vehicle(args.robot)), judged.goal_radius, folder)
    if args.html is not None:
        from hybrid_control.navigation.bench.page import make_page

        title = f"Navigation: {Path(args.worlds).name}, {by}, {', '.join(levels)}"
        args.html.parent.mkdir(parents=True, exist_ok=True)
        named = [{**row, "policy": case(row)} for row in rows]
        args.html.write_text(make_page(title, by_case, named, pictures, tables[1:]), encoding="utf-8")
    sys.stdout.write("\n\n".join(tables) + "\n")
    return 0
