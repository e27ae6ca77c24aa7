"""`hybrid-control mask`: learn at which bearings the lidar sees the robot itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybrid_control.navigation.reflex.body import Standing


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `mask` to the command line."""
    mask = subparsers.add_parser(
        "mask",
        help="learn at which bearings the lidar sees the robot itself, and write them to a parameter file",
        description="Listens to the lidar of a robot that stands with nothing near it, or reads a recording of it; "
        "shows what it takes for the robot's own body, and with --save writes it as body_mask of reflex_node.",
    )
    mask.add_argument(
        "--file", type=Path, metavar="RUN.mcap", help="a recording, in place of the running lidar"
    )
    mask.add_argument("--topic", default="scan", help="the lidar's topic (scan)")
    mask.add_argument(
        "--odom", default="odom", help="odometry, which must stand still where there is some (odom)"
    )
    mask.add_argument(
        "--namespace", help="the robot's, such as /robot1; its section of the parameter file too"
    )
    mask.add_argument(
        "--seconds", type=float, default=5.0, help="how long to look, from the first scan on (5)"
    )
    mask.add_argument(
        "--farthest", type=float, default=0.6, help="m within which what is always seen is the robot (0.6)"
    )
    mask.add_argument(
        "--save", type=Path, metavar="FILE.yaml", help="parameter file to write it to; all else in it stays"
    )
    mask.set_defaults(run=_mask)


def _mask(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.reflex.body import body_mask, picture
    from hybrid_control.navigation.reflex.returns import FARTHEST_ECHO

    for name, most in (("seconds", 600.0), ("farthest", FARTHEST_ECHO)):
        if not 0.0 < getattr(arguments, name) <= most:
            raise ValueError(f"--{name} {getattr(arguments, name):g}: expected more than 0, {most:g} at most")
    if arguments.save is not None and not arguments.save.resolve().parent.is_dir():
        raise ValueError(f"--save {arguments.save}: its folder does not exist")
    heard = _heard(arguments)
    found = body_mask(heard, arguments.farthest, _most_unknown(arguments.save))
    print(picture(heard.scans[-1], found))
    stood = "stood still by its odometry" if heard.poses else "was not watched: there is no odometry"
    print(f"{len(heard.scans)} scans; the robot {stood}")
    print(f"body_mask: {found!r}{'' if found else ' (it sees nothing of itself)'}")
    if arguments.save is not None:
        _save(arguments.save, found, arguments.namespace)
    return 0


def _heard(arguments: argparse.Namespace) -> Standing:
    if arguments.file is not None:
        from hybrid_control.report.standing import standing

        return standing(arguments.file, arguments.topic, arguments.odom, arguments.seconds)
    try:
        from hybrid_control_ros.standing import listen
    except ImportError as error:
        raise ValueError(
            f"mask needs ROS 2 and the workspace ({error}), or a recording by --file: source them, or scripts/env.sh"
        ) from None
    return listen(arguments.topic, arguments.odom, arguments.seconds, arguments.namespace or "")


def _most_unknown(file: Path | None) -> float:
    """The parameter max_unknown: as the file that is written to has it, or by default."""
    from hybrid_control.bringup.parameter_files import read_yaml
    from hybrid_control.navigation.reflex.gains import GAINS

    given = read_yaml(file).get("reflex_node", {}) if file is not None and file.exists() else {}
    return float(given.get("max_unknown", next(p.default for p in GAINS if p.name == "max_unknown")))


def _save(file: Path, mask: str, namespace: str | None) -> None:
    from hybrid_control.bringup.parameter_edit import set_parameter

    set_parameter(file, "reflex_node", "body_mask", mask, namespace)
    print(f"{file}: written; the reflex uses it from its next start")
