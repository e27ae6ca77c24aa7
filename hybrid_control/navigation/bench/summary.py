"""What many episodes come to: proportions and means with confidence intervals, by policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybrid_control.navigation.bench.rules import bootstrap, wilson


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A summary of one policy's rows.

    success, contact, standing_contact, timeout: {count, share, low, high}, 95 % Wilson intervals; contact counts the
    episodes in which the robot drove into something, standing_contact those in which something came at it as it
    stood. impact: of those in worlds with movers in which it drove, the mean speed in m/s, the mean of the least that
    there could have been, and how many there need not have been. score, time (of successes), path: {mean, low, high},
    95 % bootstrap intervals; minimum_distance: the least. false_stops_per_100_m: how often the robot stood although the
    way was free, where that was looked at (`navigation.stops`).
    """
    n = len(rows)

    def proportion(count: int) -> dict[str, float]:
        low, high = wilson(count, n)
        return {"count": count, "share": count / n if n else math.nan, "low": low, "high": high}

    def mean(values: Sequence[float]) -> dict[str, float | None]:
        if not values:
            return {"mean": None, "low": None, "high": None}
        low, high = bootstrap(values)
        return {
            "mean": sum(values) / n if len(values) == n else sum(values) / len(values),
            "low": low,
            "high": high,
        }

    won = [r for r in rows if r["success"]]
    distances = [r["minimum_distance"] for r in rows if r["minimum_distance"] is not None]
    result: dict[str, Any] = {
        "episodes": n,
        "success": proportion(len(won)),
        "contact": proportion(sum(r["contact"] and not r["standing"] for r in rows)),
        "standing_contact": proportion(sum(r["standing"] for r in rows)),
        "timeout": proportion(sum(r["timeout"] for r in rows)),
        "score": mean([r["score"] for r in rows]),
        "time": mean([r["time"] for r in won]),
        "path": mean([r["path"] for r in won]),
        "minimum_distance": min(distances) if distances else None,
    }
    met = [r for r in rows if "impact" in r and not r["standing"]]
    if met:
        result["impact"] = {
            "speed": sum(r["impact"] for r in met) / len(met),
            "bound": sum(r["bound"] for r in met) / len(met),
            "avoidable": sum(r["bound"] == 0.0 for r in met),
            "count": len(met),
        }
    for cost in ("spikes_per_second", "events_per_second", "power_uw"):
        values = [r[cost] for r in rows if cost in r]
        if values:
            result[cost] = sum(values) / len(values)
    looked_at = [r for r in rows if "false_stops" in r]
    driven = sum(r["path"] for r in looked_at)
    if driven > 0:
        result["false_stops_per_100_m"] = 100.0 * sum(r["false_stops"] for r in looked_at) / driven
    images = sum(r.get("images", 0) for r in rows)
    if images:
        result["inferences_saved"] = 1.0 - sum(r["inferences"] for r in rows if "images" in r) / images
    return result


def policy_of(row: Mapping[str, Any]) -> str:
    """The row's policy."""
    return str(row["policy"])


def kind_of(row: Mapping[str, Any]) -> str:
    """The kind of world that a row is of: its name without the number at its end."""
    name = str(row["world"])
    kind, _, number = name.rpartition("-")
    return kind if number.isdigit() else name


def summaries(
    rows: Sequence[dict[str, Any]], case: Callable[[dict[str, Any]], str] = policy_of
) -> dict[str, dict[str, Any]]:
    """The summary of each case among the rows, in their order; a case is a policy, or what `case` calls a row."""
    return {c: summarise([r for r in rows if case(r) == c]) for c in dict.fromkeys(case(r) for r in rows)}


def failures(rows: Sequence[dict[str, Any]], case: Callable[[dict[str, Any]], str] = policy_of, most: int = 20) -> str:
    """A line for each failed episode, with what would run it again; empty where all arrived."""
    failed = [r for r in rows if not r["success"]]
    lines = []
    for r in failed[:most]:
        what = "contact" if r["contact"] else f"out of time, {r['path']:g} m driven"
        lines.append(f"failed: {case(r)}, {r['world']}, trial {r['trial']}: {what} after {r['time']:g} s")
    if len(failed) > most:
        lines.append(f"and {len(failed) - most} more, in the file of the rows")
    return "\n".join(lines)


def table(by_case: dict[str, dict[str, Any]], what: str = "policy") -> str:
    """The summaries as text, a line for each case; what: the cases are."""
    width = max([10, *(len(name) for name in by_case)])
    lines = [
        f"{what:<{width}} {'episodes':>8}  {'success':<21} {'contact':>7} {'standing':>8} {'timeout':>7}  "
        f"{'score':<23} {'time s':>7}"
    ]
    for name, s in by_case.items():
        share, score, time = s["success"], s["score"], s["time"]["mean"]
        lines.append(
            f"{name:<{width}} {s['episodes']:>8}  {share['share']:.3f} ({share['low']:.3f}-{share['high']:.3f})   "
            f"{s['contact']['count']:>7} {s['standing_contact']['count']:>8} {s['timeout']['count']:>7}  "
            f"{score['mean']:.4f} ({score['low']:.4f}-{score['high']:.4f}) "
            + (f"{time:>7.2f}" if time is not None else f"{'-':>7}")
        )
    for name, s in by_case.items():
        if "impact" in s:
            i = s["impact"]
            lines.append(
                f"{name:<{width}} drove into something at {i['speed']:.2f} m/s in the mean, {i['bound']:.2f} by "
                f"braking from when it could be seen; {i['avoidable']} of {i['count']} need not have been"
            )
    for name, s in by_case.items():
        if "false_stops_per_100_m" in s:
            lines.append(f"{name:<{width}} stood on free ground {s['false_stops_per_100_m']:.2f} times in 100 m")
    for name, s in by_case.items():
        if "inferences_saved" in s:
            lines.append(f"{name:<{width}} saved {s['inferences_saved']:.1%} of the planner's inferences")
    return "\n".join(lines)
