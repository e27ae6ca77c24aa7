"""From the folder of a run to report.json and report.html."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hybrid_control.report.measures import measure
from hybrid_control.report.page import page
from hybrid_control.report.run import load


def make_report(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read run.mcap (and run.json) of a folder, write report.json and report.html beside them, return the numbers.

    Raises RecordingError where there is nothing to report from, OSError where a file can't be read or written.
    """
    run = load(Path(folder))
    report = measure(run)
    text = page(run, report)
    (run.folder / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    (run.folder / "report.html").write_text(text, encoding="utf-8")
    return report


def summary_line(report: dict[str, Any]) -> str:
    """A run in one line: outcome, time, path, least distance, contacts, missed ticks."""
    time = report["time_to_goal_s"] if report["time_to_goal_s"] is not None else report["duration_s"]
    parts = [str(report["outcome"].get("text", "")), f"{time:.1f} s", f"path {report['path_length_m']:.2f} m"]
    if report["minimum_distance_m"] is not None:
        parts.append(f"least distance {report['minimum_distance_m']:.2f} m")
    share = report["ticks"]["missed_share"]
    if share is not None:
        parts.append(f"missed ticks {100 * share:.3g} %")
    return ", ".join(parts)
