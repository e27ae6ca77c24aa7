"""`hybrid-control report`: report.json and report.html of a run, made anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `report` to the command line."""
    report = subparsers.add_parser("report", help="make report.json and report.html from a run's folder anew")
    report.add_argument("folder", type=Path, metavar="DIR", help="folder with run.mcap (and run.json)")
    report.set_defaults(run=_report)


def _report(args: argparse.Namespace) -> int:
    from hybrid_control.report import make_report, summary_line

    report = make_report(args.folder)
    sys.stdout.write(f"{summary_line(report)}\nreport: {args.folder / 'report.html'}\n")
    return 0
