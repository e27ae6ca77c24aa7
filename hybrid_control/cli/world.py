"""`hybrid-control world export`: any of our worlds as a file for Gazebo, MuJoCo or numpy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FORMATS = {"sdf": ".sdf", "mjcf": ".xml", "npz": ".npz"}


def _export(args: argparse.Namespace) -> int:
    from hybrid_control.sim import gazebo
    from hybrid_control.sim.model import Appearance, build_mjcf
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import load_world
    from hybrid_control.sim.worlds.files import write_npz

    scale = 1.0 if args.robot == "none" else vehicle(args.robot).world_scale
    world = load_world(args.world, args.seed, scale)
    file = args.out or Path(f"{gazebo.world_name(world)}{FORMATS[args.format]}")
    if args.format == "npz":
        write_npz(file, world)
    elif args.format == "mjcf":
        if args.robot == "none":
            raise ValueError("--robot none: a MuJoCo model always holds the robot")
        machine = vehicle(args.robot)
        content = build_mjcf(world, machine, gazebo.looks(machine, args.seed), args.physics_step or 0.002)
        file.write_text(content + "\n", encoding="utf-8")
    else:
        to = gazebo.release(args.gazebo)
        defaults = gazebo.Physics()
        physics = gazebo.Physics(
            args.physics_step or defaults.step, args.real_time_factor, args.render_engine
        )
        robots, appearance = [], Appearance(args.seed)
        if args.robot != "none":
            machine = vehicle(args.robot)
            appearance = gazebo.looks(machine, args.seed)
            model = gazebo.robot_model(machine, to, lidar_rate=args.lidar_rate)
            robots.append((model, gazebo.standing(machine, world.start)))
        file.write_text(gazebo.world_sdf(world, to, physics, robots, appearance), encoding="utf-8")
    standing = len(world.cylinders) + len(world.boxes)
    moving = f", {len(world.movers)} that move" if world.movers else ""
    sys.stdout.write(f"{file}: {standing} obstacles{moving}\n")
    return 0


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `world` to the command line."""
    world = subparsers.add_parser("world", help="worlds as files for other simulators")
    actions = world.add_subparsers(metavar="ACTION", required=True)
    export = actions.add_parser(
        "export",
        help="write a world for Gazebo, MuJoCo or numpy",
        description="Writes a world as SDF (Gazebo), MJCF (MuJoCo) or npz (arrays). Each of these files can be named "
        "as a world again, here and in `hybrid-control sim --world`.",
    )
    add = export.add_argument
    add(
        "world",
        help="default, open, forest, corridor, rooms, field, crossing or arena, or a file: FILE.npz:ID of BARN worlds, "
        ".npz, .world, .sdf, .xml, or FILE.json:NUMBER of a polygon arena",
    )
    add("--format", choices=tuple(FORMATS), default="sdf", help="(default: %(default)s)")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="(default: the world's name with the format's ending, in this folder)",
    )
    add("--seed", type=int, default=0, help="seed of the world and of its looks (default: %(default)s)")
    add("--robot", default="jackal", help="the robot that stands in it, or none (default: %(default)s)")
    add(
        "--gazebo",
        default="harmonic",
        metavar="RELEASE",
        help="fortress, harmonic or ionic, or the ROS 2 release that goes with it (default: %(default)s)",
    )
    add("--physics-step", type=float, metavar="S", help="seconds of a physics step (default: 0.002)")
    add(
        "--real-time-factor",
        type=float,
        default=1.0,
        metavar="X",
        help="Gazebo: simulated seconds in a second, 0 for as fast as it goes (default: %(default)g)",
    )
    add(
        "--render-engine",
        choices=("ogre2", "ogre"),
        default="ogre2",
        help="Gazebo: what draws camera and lidar (default: %(default)s)",
    )
    add(
        "--lidar-rate",
        type=float,
        default=20.0,
        metavar="HZ",
        help="Gazebo: scans a second (default: %(default)g)",
    )
    export.set_defaults(run=_export)
