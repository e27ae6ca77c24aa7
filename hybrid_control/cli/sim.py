"""`hybrid-control sim`: its arguments, checked before anything is started."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

from hybrid_control.bringup.interrupts import ending_at_once
from hybrid_control.bringup.node_parameters import REFLEX
from hybrid_control.bringup.options import (
    CAMERA_FAULTS,
    SCAN_FAULTS,
    RunOptions,
    parse_fault,
    parse_when,
)
from hybrid_control.cli.nav import LIDAR, LIDAR_HELP, ROBOT, ROBOT_HELP

_CHOICES = {p.name: p.choices for p in REFLEX}


def options_of(args: argparse.Namespace) -> RunOptions:
    """What was typed, checked; ValueError or OSError with one line where it can't be."""
    from hybrid_control.bringup.parameter_files import params_path, read_stated
    from hybrid_control.navigation.episode import Rules
    from hybrid_control.sim.robots import parted, vehicle_and_notes, with_lidar

    robot, given = parted(with_lidar(args.robot, args.lidar))
    if Path(robot).is_file():  # whatever folder a node runs in
        robot = str(Path(robot).resolve())
    args.robot = ",".join((robot, *(f"{name}={value!r}" for name, value in given.items())))
    machine, notes = vehicle_and_notes(args.robot)
    for note in notes:
        sys.stderr.write(f"sim: {note}\n")
    if args.duration is None:
        args.duration = Rules(duration=RunOptions.duration).for_robot(machine).duration
    if args.model is not None:
        from hybrid_control.navigation.planner.contract import named

        args.model = named(str(args.model))
    same = {f.name: getattr(args, f.name) for f in fields(RunOptions) if hasattr(args, f.name)}
    options = RunOptions(
        **same,
        kill_board=parse_when(args.kill_board_at, "--kill-board-at") if args.kill_board_at else None,
        kill_planner=parse_when(args.kill_planner_at, "--kill-planner-at") if args.kill_planner_at else None,
        faults=(
            *(parse_fault(text, "camera") for text in args.camera_fault),
            *(parse_fault(text, "scan") for text in args.scan_fault),
        ),
        parameters=read_stated(params_path(args.params) if args.params else None),
    )
    options.check()
    _check_here(options)
    return options


def _check_here(options: RunOptions) -> None:
    """Look for what the options need, so that a mistake is refused before a process is started."""
    from hybrid_control.navigation.ground.classes import read_effects
    from hybrid_control.navigation.planner import contract
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import load_world

    read_effects(options.learner)
    robot = vehicle(options.robot)
    load_world(options.world, options.seed, robot.world_scale)
    if options.viewer and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ValueError(
            "--viewer: there is no display (DISPLAY is not set); leave it out to drive without one"
        )
    if options.backend != "numba":
        from firmware_bridge.boards.emulated import emulated_config, emulator_command

        emulator_command(options.backend, Path("board.nir"), emulated_config(options.backend))
    if options.firmware:
        from firmware_bridge.firmware.build import check_tools

        check_tools()
        wheels = robot.wheels
        has = "none" if wheels is None else "steered ones" if wheels.turning_radius > 0.0 else str(wheels.number)
        if has != "2":
            raise ValueError(f"--firmware: drives two wheels, and the robot {options.robot!r} has {has}")
    contract.load(options.model or contract.named(str(options.parameters["planner_node"].get("model_file", ""))))


def _sim(args: argparse.Namespace) -> int:
    with ending_at_once():
        options = options_of(args)
        try:
            from hybrid_control_ros.run.main import run
        except ImportError as error:
            raise ValueError(
                f"ROS 2 or the workspace is not in this shell ({error}): run `make setup` once and `. scripts/env.sh`, "
                "or simply `make sim`"
            ) from None
    return run(options)


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `sim` to the command line."""
    defaults = RunOptions()
    sim = subparsers.add_parser(
        "sim",
        help="drive the simulated robot to its goal and write a report",
        description="Drives the simulated robot to its goal with real ROS 2 nodes, and writes OUT/<run>/ with "
        "report.html, report.json and run.mcap. Exit status: 0 where the goal was reached without a contact, 1 where "
        "it was not, 2 for a mistake in what was asked.",
        epilog="WHEN is seconds since the simulation began, such as 12.5, or the share of the way done, such as 50%.",
    )
    add = sim.add_argument
    add(
        "--world",
        default=defaults.world,
        help="default, open, forest, corridor, rooms, field, crossing or arena, or FILE.npz:ID (default: %(default)s)",
    )
    add("--robot", default=defaults.robot, metavar=ROBOT, help=ROBOT_HELP)
    add("--lidar", default="", metavar=LIDAR, help=LIDAR_HELP)
    add(
        "--seed",
        type=int,
        default=defaults.seed,
        help="seed of the world, the noise and the spikes (default: %(default)s)",
    )
    add(
        "--seeds",
        type=int,
        metavar="N",
        help="drive seeds 0 .. N-1 one after another and print a table; exit status 0 where 95%% succeed",
    )
    add(
        "--duration",
        type=float,
        metavar="S",
        help=f"simulated seconds after which a run is given up (default: {defaults.duration:g}, and more for a robot "
        "that is slower than 1 m/s or needs larger worlds)",
    )
    add(
        "--real-time-factor",
        type=float,
        default=defaults.real_time_factor,
        metavar="X",
        help="simulated seconds in a second (default: %(default)g)",
    )
    add(
        "--out",
        type=Path,
        default=defaults.out,
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    look = sim.add_mutually_exclusive_group()
    look.add_argument(
        "--headless", dest="viewer", action="store_false", help="without a window (this is the default)"
    )
    look.add_argument("--viewer", dest="viewer", action="store_true", help="with MuJoCo's window")
    sim.set_defaults(viewer=False)
    add(
        "--composed",
        action="store_true",
        help="planner, encoder and reflex in one process, as on small boards",
    )
    add(
        "--firmware",
        action="store_true",
        help="the motor firmware on an emulated ATmega328P between reflex and wheels (needs gcc-avr and libsimavr)",
    )
    add(
        "--backend",
        choices=_CHOICES["backend"],
        default=defaults.backend,
        help="what runs the reflex's network: this processor, or a board's emulator behind the board's wire "
        "(default: %(default)s)",
    )
    add(
        "--without-board",
        choices=_CHOICES["without_board"],
        help="what the reflex does while the board is silent (default: as the parameters say)",
    )
    add("--kill-board-at", metavar="WHEN", help="test: kill the board's emulator then")
    add(
        "--params",
        metavar="FILE",
        help="parameters of the nodes: a ROS parameter file, or the name of one in config/",
    )
    add(
        "--learner",
        default=defaults.learner,
        metavar="EFFECTS",
        help="a learner of ground beside the planner, and what each class does, such as 'puddle=avoid; dock=approach' "
        "(docs/ground.md)",
    )
    add(
        "--teach",
        type=float,
        default=defaults.teach,
        metavar="S",
        help="somebody says what ground lies before the robot, for S seconds in all; with --world lesson --learner "
        "puddle=avoid",
    )
    add("--model", type=Path, metavar="FILE", help="another planner: an ONNX file, or a name (docs/planner.md)")
    add("--network", type=Path, metavar="FILE", help="another network for the reflex, a NIR file")
    add("--domain", type=int, metavar="ID", help="ROS_DOMAIN_ID (default: a free one)")
    add("--kill-planner-at", metavar="WHEN", help="test: kill the planner's process then")
    add(
        "--camera-fault",
        action="append",
        default=[],
        metavar="KIND@WHEN[:S]",
        help=f"test: what the camera shows from then on (for S seconds): {', '.join(CAMERA_FAULTS)}",
    )
    add(
        "--scan-fault",
        action="append",
        default=[],
        metavar="KIND@WHEN[:S]",
        help=f"test: the same for the lidar: {', '.join(SCAN_FAULTS)}",
    )
    sim.set_defaults(run=_sim)
