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
        description="A robot stands on blocks in open space. From when the plan changes sides, from a new goal, and "
        "from activation, and from the first plan after it: the time until the heading that its commands follow stays "
        "within 10 degrees of where it settles, with the planner's initial states and without (docs/learning.md). "
        "'round': the plan leads to the goal on one side of it. Where states and none settle over 20 degrees apart "
        "('settles elsewhere') both ways were open.",
    )
    add = parser.add_argument
    add("--model", type=Path, metavar="FILE", help="the planner with initial states (default: the shipped one)")
    add("--trials", type=int, default=50, metavar="N", help="of each case (default: %(default)s)")
    add(
        "--nodes",
        action="store_true",
        help="in real time, planner, encoder and reflex as ROS nodes in processes of their own, about 2.5 s a trial; "
        "otherwise in lock step, the same numbers everywhere",
    )
    add("--seed", type=int, default=0, help="of wishes and spikes (default: %(default)s)")
    add("--json", type=Path, default=None, metavar="FILE", help="also write every trial here")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.trials <= 100_000:
        raise ValueError(f"--trials {arguments.trials}: expected 1 .. 100000")
    from hybrid_control.bench import settle_nodes
    from hybrid_control.navigation.bench import settle
    from hybrid_control.navigation.planner import contract
    from hybrid_control.navigation.states import read

    measure = settle_nodes.measure if arguments.nodes else settle.measure
    result = measure(read(arguments.model or contract.DEFAULT_MODEL), arguments.trials, arguments.seed)
    sys.stdout.write(settle.table(result) + "\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0
