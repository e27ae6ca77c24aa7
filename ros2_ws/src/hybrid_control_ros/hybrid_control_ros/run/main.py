"""What `hybrid-control sim` runs: one run with its report, or a table of many seeds."""

from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from hybrid_control.bringup.options import RunOptions
from hybrid_control.report import make_report, summary_line
from hybrid_control_ros.run.judge import Judge
from hybrid_control_ros.run.supervisor import drive
from hybrid_control_ros.run.terminal import Display, Interrupt

SUCCESS_SHARE = 0.95  # of the seeds that must reach the goal for exit status 0


def run_one(
    options: RunOptions, seed: int, folder: Path, interrupt: Interrupt, display: Display
) -> dict[str, Any]:
    """Drive, then report; the outcome with the report's numbers under "report", None where it could not be made.

    Who interrupts a run waits for nothing: the recording is whole, and the report can be made of it afterwards.
    """
    outcome = drive(options, seed, folder, interrupt, display)
    report = None
    try:
        with interrupt.raising():
            report = make_report(folder)
    except (ValueError, OSError) as error:
        display.line(f"no report: {error}")
    except KeyboardInterrupt:
        display.line(f"no report of what was interrupted; to have one: hybrid-control report {folder}")
    return {**outcome, "seed": seed, "report": report}


def run(options: RunOptions) -> int:
    """Exit status: 0 where the goal was reached without a contact (with many seeds, in 95 % of them), else 1."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    world = Path(options.world).stem.replace(":", "-")
    display = Display()
    with Interrupt() as interrupt:
        if options.seeds is not None:
            status = _many(options, options.out / f"{stamp}-{world}-seeds", interrupt, display)
        else:
            folder = options.out / f"{stamp}-{world}-{options.seed}"
            result = run_one(options, options.seed, folder, interrupt, display)
            display.line(_line(result))
            if result["report"] is not None:
                display.line(f"report: {folder / 'report.html'}")
            status = 0 if result["success"] else 1
        if interrupt.requested:
            # all is written; taking the interpreter down with all its libraries could only take long
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return status


def _line(result: dict[str, Any]) -> str:
    report = result["report"]
    return summary_line(report) if report is not None else str(result["text"])


_HEAD = (
    f"{'seed':>4}  {'outcome':<12} {'time':>7} {'path':>8} {'least dist.':>11} {'contacts':>8} {'missed':>9}"
)


def _row(result: dict[str, Any]) -> str:
    report = result["report"]
    share = report["ticks"]["missed_share"] if report else None
    nearest = result["minimum_distance_m"]
    return (
        f"{result['seed']:>4}  {result['result']:<12} {result['time_s']:>5.1f} s {result['path_length_m']:>6.2f} m "
        f"{'–' if nearest is None else f'{nearest:.2f} m':>11} {result['contacts']:>8} "
        f"{'–' if share is None else f'{100 * share:.3g} %':>9}"
    )


def _many(options: RunOptions, folder: Path, interrupt: Interrupt, display: Display) -> int:
    assert options.seeds is not None
    results: list[dict[str, Any]] = []
    folder.mkdir(parents=True)
    for seed in range(options.seeds):
        try:
            result = run_one(options, seed, folder / f"seed{seed:02d}", interrupt, display)
        except ValueError as error:
            if seed == 0:
                raise  # what was asked for does not work at all
            result = {**Judge(options.duration, ended="not started").outcome(), "seed": seed, "report": None}
            display.line(str(error))
        results.append(result)
        display.line(_line(result))
        if interrupt.requested:
            break
    good = sum(r["success"] for r in results)
    kept = [{k: v for k, v in r.items() if k != "report"} | _measured(r["report"]) for r in results]
    summary = {"world": options.world, "runs": len(results), "succeeded": good, "results": kept}
    (folder / "seeds.json").write_text(json.dumps(summary, indent=2) + "\n")
    display.line("")
    display.line(_HEAD)
    for result in results:
        display.line(_row(result))
    times = sorted(r["time_s"] for r in results if r["success"])
    median = f", median time {times[len(times) // 2]:.1f} s" if times else ""
    display.line(
        f"{good} of {len(results)} seeds reached the goal without a contact{median}; table: {folder / 'seeds.json'}"
    )
    return 0 if len(results) == options.seeds and good >= SUCCESS_SHARE * options.seeds else 1


def _measured(report: dict[str, Any] | None) -> dict[str, Any]:
    if report is None:
        return {}
    return {k: report[k] for k in ("ticks", "latency_ms", "planner_rate_hz", "modes_s")}
