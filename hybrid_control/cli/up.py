"""`hybrid-control up`: starts the nodes of a robot where there is no launch package."""

from __future__ import annotations

import argparse

from hybrid_control.bringup.arguments import FLAG
from hybrid_control.bringup.interrupts import ending_at_once
from hybrid_control.bringup.kinds import KINDS, build


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `up` to the command line."""
    up = subparsers.add_parser(
        "up",
        help="start the nodes of a robot and look after them; what the launch files do, without the launch package",
        description="Starts the nodes of a robot, takes them to active, and starts again what dies where that is "
        "safe. Ctrl-C stops the robot and ends everything within two seconds. Exit status: 0 after a signal, 1 where "
        "something failed, 2 for a mistake in what was asked. --namespace may stand several times: a robot in each.",
    )
    kinds = up.add_subparsers(metavar="KIND", required=True)
    for name, kind in KINDS.items():
        parser = kinds.add_parser(name, help=kind.description, description=kind.description)
        for argument in kind.arguments:
            names = [f"--{argument.name.replace('_', '-')}"]
            if argument.name == "params_file":
                names.append("--params")
            text = argument.description.replace("%", "%%")
            if argument.default:
                text += f" (default: {argument.default})"
            if argument.name == "namespace":
                parser.add_argument(*names, action="append", default=None, metavar="NAME", help=text)
            elif argument.choices == FLAG:
                parser.add_argument(
                    *names, nargs="?", const="true", choices=argument.choices, default=None, help=text
                )
            else:
                parser.add_argument(*names, choices=argument.choices or None, default=None, help=text)
        parser.set_defaults(run=_up, kind=name)


def _up(args: argparse.Namespace) -> int:
    with ending_at_once():
        names = [a.name for a in KINDS[args.kind].arguments]
        words = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
        namespaces = words.pop("namespace", [""])
        if len(set(namespaces)) < len(namespaces):
            raise ValueError(f"namespace: the same one stands twice in {', '.join(namespaces)}")
        graphs = [build(args.kind, {**words, "namespace": namespace}) for namespace in namespaces]
        try:
            from hybrid_control_ros.run.up import run
        except ImportError as error:
            raise ValueError(
                f"ROS 2 or the workspace is not in this shell ({error}): source them, or run `make setup` once and "
                "`. scripts/env.sh`"
            ) from None
    return run(graphs)
