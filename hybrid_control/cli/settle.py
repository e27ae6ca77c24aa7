"""`hybrid-control bench settle`: the time to the first right command, with the planner's initial states and without."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_settle_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``settle`` to the benchmarks."""
    parser = subparsers.add_parser(
        "settle",
        help="from a new plan, a new goal and activation to the first right command",
        description="Steps reflex, planner and encoder of a robot that stands on blocks, and measures the time to "
        "the first command that stays within 10 degrees of where it settles, with initial states and without.",
    )
    add = parser.add_argument
    add("--model", type=Path, metavar="FILE", help="the planner with initial states (default: the shipped one)")
    add("--trials", type=int, default=50, metavar="N", help="of each case (default: %(default)s)")
    add("--seed", type=int, default=0, help="of wishes and spikes (default: %(default)s)")
    add("--json", type=Path, default=None, metavar="FILE", help="also write every trial here")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.trials <= 100_000:
        raise ValueError(f"--trials {arguments.trials}: expected 1 .. 100000")
    from hybrid_control.navigation.bench.settle import measure, table
    from hybrid_control.navigation.planner import contract
    from hybrid_control.navigation.states import read

    result = measure(read(arguments.model or contract.DEFAULT_MODEL), arguments.trials, arguments.seed)
    sys.stdout.write(table(result) + "\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0
