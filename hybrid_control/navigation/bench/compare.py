"""The same worlds at two levels: how far the cheap one may be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_control.navigation.bench.rules import bootstrap

Row = Mapping[str, Any]


def differences(one: Sequence[Row], other: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Of each policy, over the episodes that both runs have (same world, trial and seed).

    both, only_one, only_other, neither: episodes that succeeded so; agreement: share of those with the same outcome;
    contact_one, contact_other: episodes with a contact; time: mean of other less one, s, where both arrived, with its
    95 % bootstrap interval (None without any); score: mean of other less one, with its interval.
    """
    theirs = {(r["policy"], r["index"], r["trial"]): r for r in other}
    pairs: dict[str, list[tuple[Row, Row]]] = {}
    for row in one:
        match = theirs.get((row["policy"], row["index"], row["trial"]))
        if match is not None:
            pairs.setdefault(row["policy"], []).append((row, match))
    result: dict[str, dict[str, Any]] = {}
    for policy, both in pairs.items():
        arrived = [(bool(a["success"]), bool(b["success"])) for a, b in both]
        times = [b["time"] - a["time"] for a, b in both if a["success"] and b["success"]]
        scores = [b["score"] - a["score"] for a, b in both]
        result[policy] = {
            "episodes": len(both),
            "both": arrived.count((True, True)),
            "only_one": arrived.count((True, False)),
            "only_other": arrived.count((False, True)),
            "neither": arrived.count((False, False)),
            "agreement": sum(a == b for a, b in arrived) / len(both),
            "contact_one": sum(bool(a["contact"]) for a, _ in both),
            "contact_other": sum(bool(b["contact"]) for _, b in both),
            "time": (sum(times) / len(times), *bootstrap(times)) if times else None,
            "score": (sum(scores) / len(scores), *bootstrap(scores)),
        }
    return result


def difference_table(found: Mapping[str, Mapping[str, Any]], one: str, other: str) -> str:
    """The differences as text, a line for each policy."""
    lines = [
        f"{other} less {one}, the same worlds and seeds",
        f"{'policy':<11} {'episodes':>8} {'both':>5} {'only ' + one:>14} {'only ' + other:>14} {'neither':>7} "
        f"{'same':>6} {'contacts':>9} {'time s':>23} {'score':>25}",
    ]
    for policy, d in found.items():
        time = "-" if d["time"] is None else "{:+.2f} ({:+.2f} to {:+.2f})".format(*d["time"])
        lines.append(
            f"{policy:<11} {d['episodes']:>8} {d['both']:>5} {d['only_one']:>14} {d['only_other']:>14} "
            f"{d['neither']:>7} {d['agreement']:>6.3f} {d['contact_one']:>4} | {d['contact_other']:<2} {time:>23} "
            + "{:>+7.3f} ({:+.3f} to {:+.3f})".format(*d["score"])
        )
    return "\n".join(lines)
