"""`hybrid-control planner labels`, and what `train closed --recordings` shares with it: labels of recorded runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_control.navigation.planner.training.closed.recorded import Recorded

TRUSTED = 3.0  # m
_CAMERA = tuple(f"camera_{name}" for name in ("x", "z", "pitch", "hfov", "aspect"))
_BODY = {"robot_length": "length", "robot_width": "width"}


def add_labels(subparsers: argparse._SubParsersAction) -> None:
    """Add `labels` to `planner`."""
    labels = subparsers.add_parser(
        "labels",
        help="draw what a recorded run says of its camera's frames, to be looked at before it is learnt from",
        description="Labels the frames of recorded runs by what came later: ground that the robot drove over was free "
        "(green), what it bumped into and no scan shows was hidden (red), what the scan shows stands there (blue); of "
        "all else nothing is known. `train closed --recordings` learns from them (docs/planner.md).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    labels.add_argument("recordings", type=Path, nargs="+", metavar="RUN.mcap")
    labels.add_argument("--out", type=Path, default=Path("labels.png"), metavar="FILE.png", help="the sheet of frames")
    add_options(labels)
    labels.set_defaults(run=_labels)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how a recording is to be read."""
    parser.add_argument(
        "--params", metavar="FILE.yaml",
        help="parameter file of the robot, for camera, lidar and outline; without one run.json beside each recording",
    )  # fmt: skip
    parser.add_argument(
        "--bump", default="", metavar="TOPIC",
        help="of std_msgs/Bool, true while a bumper is pressed, or a sensor at the nose sees the ground end; without "
        "one the simulator's contacts, or else a stop although cmd_vel went on",
    )  # fmt: skip
    parser.add_argument(
        "--trusted", type=float, default=TRUSTED, metavar="M", help="of way over which odometry is believed"
    )


def labelled_runs(files: Sequence[Path], arguments: argparse.Namespace, sheet: Path) -> Recorded:
    """What is known of the frames of recordings, a line on it for each, and the sheet drawn."""
    from hybrid_control.navigation.planner.training.closed.recorded import labelled, recorded
    from hybrid_control.navigation.planner.training.closed.sheet import write_sheet
    from hybrid_control.report.driven import driven

    if not 0.5 <= arguments.trusted <= 100.0:
        raise ValueError(f"--trusted {arguments.trusted:g}: expected 0.5 .. 100 m")
    robot = None if arguments.params is None else _robot(arguments.params)
    drives = [driven(file, robot, arguments.bump) for file in files]
    frames = labelled(drives, arguments.trusted)
    known = recorded(frames)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    write_sheet(frames, sheet)
    for drive in drives:
        sys.stdout.write(f"{drive.name}: {len(drive.bumps)} bumps by {drive.source}\n")
    sys.stdout.write(f"{known}\n{sheet}\n")
    return known


def _labels(arguments: argparse.Namespace) -> int:
    labelled_runs(arguments.recordings, arguments, arguments.out)
    return 0


def _robot(name: str) -> dict[str, Any]:
    """Camera, lidar and outline as a parameter file says them."""
    from hybrid_control.bringup.parameter_files import params_path, read_yaml

    path = params_path(name)
    reflex = read_yaml(path).get("reflex_node", {})
    missing = [f"reflex_node.{n}" for n in (*_CAMERA, *_BODY) if n not in reflex]
    if missing:
        raise ValueError(f"{path}: does not say {', '.join(missing)}")
    places = {n: reflex[n] for n in ("lidar_x", "lidar_y", "lidar_yaw", "outline_x") if n in reflex}
    return {n: reflex[n] for n in _CAMERA} | {short: reflex[n] for n, short in _BODY.items()} | places
