"""The report of a run: numbers (report.json) and a page to look at (report.html), both made from run.mcap."""

from hybrid_control.report.make import make_report, summary_line

__all__ = ["make_report", "summary_line"]
