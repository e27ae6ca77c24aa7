"""`hybrid-control bench`: the subcommands that measure."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybrid_control.bench.boards import add_boards_command
from hybrid_control.bench.latency import add_latency_command
from hybrid_control.bench.loop import add_loop_command
from hybrid_control.bench.nav.commands import add_nav_command, add_tune_command


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add ``bench`` with what it can measure, and ``tune``."""
    parser = subparsers.add_parser("bench", help="measure what the documentation states")
    kinds = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    add_loop_command(kinds)
    add_latency_command(kinds)
    add_snn_command(kinds)
    add_nav_command(kinds)
    add_boards_command(kinds)
    add_tune_command(subparsers)


def add_snn_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``snn`` to the benchmarks."""
    parser = subparsers.add_parser("snn", help="cost of the spiking engine's ticks, beside other tools")
    parser.add_argument("--quick", action="store_true", help="fewer steps: under a minute without peers")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=None,
        metavar="PATH",
        help="interpreter that has the other tools; default build/peers/bin/python where it is, else this one",
    )
    parser.add_argument(
        "--soak", type=int, default=None, metavar="N", help="instead: N ticks, watching memory grow"
    )
    parser.set_defaults(run=_run_snn)


def _run_snn(arguments: argparse.Namespace) -> int:
    from hybrid_control.bench.snn import run

    return run(arguments)
