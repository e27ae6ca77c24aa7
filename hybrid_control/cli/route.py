"""`hybrid-control bench route`: what the route memory costs as its grid grows, and how long its longest call takes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_route_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``route`` to the benchmarks."""
    parser = subparsers.add_parser(
        "route",
        help="the route memory: cost as its grid grows, and its longest call",
        description="A point goes at 2 m/s from one corner to the other of a field of pillars, a tenth to a square "
        "metre, and of a field with one wall across, whose door is at its far end; the memory is called as the "
        "planner's node calls it. Processor time in ms: of a simulated second, of a metre, and of the calls' "
        "percentiles (docs/navigation.md).",
    )
    add = parser.add_argument
    add("--worlds", default="pillars,wall", metavar="W,W", help="any of %(default)s (default: both)")
    add("--sides", default="20,50,100", metavar="M,M", help="of the fields, 10 to 200 m (default: %(default)s)")
    add("--seed", type=int, default=1, help="of pillars and noise (default: %(default)s)")
    add("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.set_defaults(run=_run)


def _sides(text: str) -> list[float]:
    try:
        sides = [float(side) for side in text.split(",")]
    except ValueError:
        sides = []
    if not sides or not all(10.0 <= side <= 200.0 for side in sides):
        raise ValueError(f"--sides {text}: expected numbers from 10 to 200, such as 20,50,100")
    return sides


def _run(arguments: argparse.Namespace) -> int:
    """The command."""
    from hybrid_control.navigation.bench.route import HEADER, line, measure

    if not 0 <= arguments.seed < 2**31:
        raise ValueError(f"--seed {arguments.seed}: expected 0 .. 2147483647")
    rows: list[dict[str, Any]] = []
    for row in measure(arguments.worlds.split(","), _sides(arguments.sides), arguments.seed):
        if not rows:
            print(HEADER)
        print(line(row), flush=True)
        rows.append(row)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0
