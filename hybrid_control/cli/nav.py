"""`hybrid-control bench nav`: its arguments, checked before anything is started."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROBOT, LIDAR = "NAME|FILE", "fov=270,x=0.2,yaw=0"
ROBOT_HELP = (
    "the robot: a name, or a file that ends in .urdf, .xacro, .mjcf or .xml; NAME,max_speed=0.8,... has other numbers "
    "(docs/simulator.md; default: %(default)s)"
)
LIDAR_HELP = (
    "its lidar mounted otherwise: fov, x, y, z, yaw, beams, rate, in degrees, m and Hz (default: as the robot has it)"
)


def add_nav_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``nav`` to the benchmarks."""
    parser = subparsers.add_parser(
        "nav",
        help="does the robot arrive, how fast, without a contact; beside baselines",
        description="Drives policies through worlds, prints a summary with 95 % intervals, and writes OUT.json with "
        "a row for every episode, pictures of failed ones in OUT_failures/, and OUT.jsonl, from which an "
        "interrupted run is resumed.",
    )
    add = parser.add_argument
    add(
        "--worlds",
        required=True,
        metavar="FILE|GENERATOR",
        help="FILE.npz[:IDS] of BARN worlds, FILE.world or .sdf of Gazebo or a folder of them, FILE.json of a polygon "
        "arena, GENERATOR[,option=value][:COUNT], such as field,fill=0.25:20, or all:COUNT of every generator "
        "(docs/navigation.md)",
    )
    add(
        "--policy",
        default="hybrid",
        metavar="NAMES",
        help="hybrid, memoryless, planner, reflex, straight, gap, vfh, dwa, mppi, and led-vfh, led-dwa, led-mppi by "
        "the hybrid's memory of the way; several with commas (default: %(default)s)",
    )
    add(
        "--level",
        default="physics",
        metavar="NAMES",
        help="physics, planar or kinematic; several with commas are compared (default: %(default)s)",
    )
    add("--rules", help="default, barn or arena (default: barn for BARN's and Gazebo's files, arena for arenas)")
    add("--robot", default="jackal", metavar=ROBOT, help=ROBOT_HELP)
    add("--lidar", default="", metavar=LIDAR, help=LIDAR_HELP)
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
    add("--duration", type=float, metavar="S", help="another time after which an episode ends than the rules'")
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
    add(
        "--hold", type=float, default=0.0, metavar="S",
        help="time that the planner's rates hold at most while next to nothing changes (0: each image is planned on)",
    )
    add("--states", action="store_true", help="the reflex takes up the planner's initial states (docs/learning.md)")
    add("--model", type=Path, metavar="FILE", help="another planner: an ONNX file, or a name (docs/planner.md)")
    add(
        "--looks", default="plain",
        help="what the camera sees: plain, varied, night, blurred, lowered or black (docs/navigation.md)",
    )
    add("--depth", action="store_true", help="a depth camera beside the camera, for a planner that takes its images")
    add("--network", type=Path, metavar="FILE", help="another network of the reflex, a NIR file (docs/reflex.md)")
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


def existing(option: str, file: Path) -> Path:
    """The file of an option; ValueError where it is not there."""
    if not file.is_file():
        raise ValueError(f"{option}: {file}: no such file")
    return file


def tuned_or_named(option: str, named: Path | None, kind: str, rules: str, robot: str) -> Path | None:
    """The file that was named, or the tuned set of that kind for a robot under these rules; None for the defaults.

    ValueError where the file that was named is not there.
    """
    if named == Path("none"):
        return None
    if named is not None:
        return existing(option, named)
    from hybrid_control.bringup.parameter_files import config_folder
    from hybrid_control.navigation.bench.tuned import tuned_file

    try:
        return tuned_file(config_folder(), kind, rules, robot)
    except OSError:
        return None


def reflex_gains(file: Path | None) -> dict[str, Any]:
    """The gains that a ROS parameter file gives the reflex and that differ from the defaults."""
    if file is None:
        return {}
    from hybrid_control.bringup.parameter_files import read_parameters
    from hybrid_control.navigation.bench.tuned import changed_gains

    return changed_gains(read_parameters(file)["reflex_node"])


def _check(args: argparse.Namespace) -> None:
    for option, value, most in (("--trials", args.trials, 1000), ("--jobs", args.jobs, 1024)):
        if not 1 <= value <= most:
            raise ValueError(f"{option} {value}: expected 1 .. {most}")
    if args.duration is not None and not 0 < args.duration <= 3600:
        raise ValueError(f"--duration {args.duration:g}: expected more than 0, at most 3600 s")
    if not 0 <= args.seed < 2**31:
        raise ValueError(f"--seed {args.seed}: expected 0 .. {2**31 - 1}")
    if args.json.suffix != ".json":
        raise ValueError(f"--json {args.json}: expected a name that ends in .json")
    if args.json.resolve() == Path(args.worlds.rpartition(":")[0] or args.worlds).resolve():
        raise ValueError(f"--json {args.json}: this is the file of the worlds, which it would overwrite")
    if args.model is not None:
        from hybrid_control.navigation.planner.contract import named

        args.model = named(str(args.model))
    for option, file in (("--model", args.model), ("--network", args.network)):
        if file is not None:
            existing(option, file)
    for option, values in (("--start", args.start), ("--goal", args.goal)):
        if values is not None and not all(math.isfinite(v) for v in values):
            raise ValueError(f"{option}: {values} must be finite")


def several(text: str, option: str, known: Sequence[str]) -> list[str]:
    """Names with commas between them, each once; ValueError for one that is not known."""
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            raise ValueError(f"{option}: unknown {name!r}; there are {', '.join(known)}")
    return names


def _run(args: argparse.Namespace) -> int:
    _check(args)
    from hybrid_control.navigation.bench import benchmark
    from hybrid_control.navigation.bench.faults import FAULTS
    from hybrid_control.navigation.bench.harness import LEVELS, Setup
    from hybrid_control.navigation.bench.policies import POLICIES
    from hybrid_control.navigation.bench.rules import rules
    from hybrid_control.navigation.bench.scenes import load_scenes, usual_rules
    from hybrid_control.navigation.bench.tuned import baseline_settings
    from hybrid_control.navigation.bench.workers import Machines
    from hybrid_control.signals import Pose
    from hybrid_control.sim.robots import vehicle, vehicle_and_notes, with_lidar

    args.robot = with_lidar(args.robot, args.lidar)
    for note in vehicle_and_notes(args.robot)[1]:
        sys.stderr.write(f"bench nav: {note}\n")
    policies = several(args.policy, "--policy", list(POLICIES))
    levels = several(args.level, "--level", LEVELS)
    faults = several(args.fault, "--fault", FAULTS)
    machines = Machines(args.jobs, args.backend, args.address)
    judged = rules(args.rules or usual_rules(args.worlds), args.max_speed)
    params = tuned_or_named("--params", args.params, "gains", judged.name, args.robot)
    baselines = tuned_or_named("--baselines", args.baselines, "baselines", judged.name, args.robot)
    setup = Setup(
        robot=args.robot,
        rules=judged.name,
        max_speed=args.max_speed,
        duration=args.duration,
        level=levels[0],
        seed=args.seed,
        fault=faults[0],
        model=str(args.model or ""),
        network=str(args.network or ""),
        hold=args.hold,
        states=args.states,
        looks=args.looks,
        depth=args.depth,
        gains=reflex_gains(params),
        settings=baseline_settings(baselines),
    )
    by = f"rules {judged.name}, gains {params.name if params else 'as by default'}"
    sys.stderr.write(f"bench nav: {by}\n")
    start = Pose(*args.start) if args.start else None
    goal = tuple(args.goal) if args.goal else None
    scale = vehicle(args.robot).world_scale
    scenes = load_scenes(args.worlds, args.seed, start, goal, scale=scale, jobs=args.jobs)
    request = benchmark.Request(
        args.worlds, scenes, policies, levels, faults, setup, args.trials, machines, args.costs
    )
    try:
        content = benchmark.benchmark(request, args.json)
    except KeyboardInterrupt:
        sys.stderr.write("\nbench nav: interrupted; the same command goes on where it was\n")
        return 130
    args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    tables = benchmark.tables(content)
    rows = [{**row, "policy": benchmark.case(content, row)} for row in content["episodes"]]
    pictures: list[Path] = []
    if not args.no_pictures:
        from hybrid_control.navigation.bench.pictures import draw_failures

        folder = args.json.with_name(args.json.stem + "_failures")
        pictures = draw_failures(rows, scenes, judged.robot(vehicle(args.robot)), judged.goal_radius, folder)
    if args.html is not None:
        from hybrid_control.navigation.bench.page import make_page

        title = f"Navigation: {Path(args.worlds).name}, {by}, {', '.join(levels)}"
        args.html.parent.mkdir(parents=True, exist_ok=True)
        page = make_page(title, content["summary"], rows, pictures, tables[1:])
        args.html.write_text(page, encoding="utf-8")
    sys.stdout.write("\n\n".join(tables) + "\n")
    return 0
