"""The command `hybrid-control`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from hybrid_control import __version__
from hybrid_control.bringup.interrupts import ending_at_once

# Each of these modules of this package has add_commands(subparsers), and imports what is heavy when a command runs.
COMMANDS = (
    "sim",
    "report",
    "doctor",
    "up",
    "world",
    "params",
    "new_robot",
    "mask",
    "policy",
    "warm",
    "train",
    "snn",
    "colanet",
    "cosim",
    "bench",
    "tune",
    "coevolve",
    "firmware",
    "boards",
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="hybrid-control",
        description="A robot control node that pairs an ANN planner with a spiking reflex.",
    )
    root.add_argument("--version", action="version", version=f"hybrid-control {__version__}")
    subparsers = root.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"hybrid_control.cli.{name}").add_commands(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on stderr and exit status 2."""
    with ending_at_once():
        commands = parser()
        arguments = commands.parse_args(argv)
        if not hasattr(arguments, "run"):
            commands.print_help()
            return 0
    try:
        return int(arguments.run(arguments))
    except (ValueError, OSError) as error:
        print(f"hybrid-control: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
