"""What arms of a search come to in worlds that decided nothing, beside the hand-built robot in the same episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_control.navigation.bench.coevolve import ALIVE, DEAD, progress
from hybrid_control.navigation.bench.rules import bootstrap, wilson
from hybrid_control.navigation.bench.workers import Row

HAND_BUILT, ALL = "hand-built", "all"
Entry = dict[str, Any]


def kind_of(world: str) -> str:
    """The generator of a world, with its options, of the world's name."""
    return world.rpartition("-")[0]


def _mean(values: Sequence[float]) -> dict[str, float]:
    low, high = bootstrap(values)
    return {"mean": math.fsum(values) / len(values), "low": low, "high": high}


def compare(rows: Mapping[str, Sequence[Row]], path_lengths: Sequence[float]) -> list[Entry]:
    """An entry for each kind of world, and ALL of them, with the planner and without, and each case.

    rows: by case, HAND_BUILT among them, in one order. success: {count, share, low, high}, 95 % Wilson interval;
    contacts: a count; progress: {mean, low, high} in m/s along the shortest path, 0 where it did not arrive; gain: the
    same of the difference from HAND_BUILT in the same world with the same noise, 95 % bootstrap intervals.
    """
    made = {c: [progress(r, path_lengths[r["index"]]) for r in some] for c, some in rows.items()}
    entries = []
    kinds = [kind_of(r["world"]) for r in rows[HAND_BUILT]]
    for kind in dict.fromkeys([*kinds, ALL]):
        for policy in (ALIVE, DEAD):
            places = [
                k for k, r in enumerate(rows[HAND_BUILT]) if r["policy"] == policy and kind in (kinds[k], ALL)
            ]
            for case, some in rows.items():
                won = sum(bool(some[k]["success"]) for k in places)
                low, high = wilson(won, len(places))
                entries.append(
                    {
                        "kind": kind,
                        "planner": policy == ALIVE,
                        "case": case,
                        "episodes": len(places),
                        "success": {"count": won, "share": won / len(places), "low": low, "high": high},
                        "contacts": sum(bool(some[k]["contact"]) for k in places),
                        "progress": _mean([made[case][k] for k in places]),
                        "gain": _mean([made[case][k] - made[HAND_BUILT][k] for k in places]),
                    }
                )
    return entries


def better(entries: Sequence[Entry], case: str) -> bool:
    """Whether a case is better than HAND_BUILT in every kind of world, with the planner and without.

    Better: the interval of its gain lies above 0, and it has no more contacts.
    """
    contacts = {(e["kind"], e["planner"]): e["contacts"] for e in entries if e["case"] == HAND_BUILT}
    mine = [e for e in entries if e["case"] == case]
    return bool(mine) and all(
        e["gain"]["low"] > 0.0 and e["contacts"] <= contacts[e["kind"], e["planner"]] for e in mine
    )


def table(entries: Sequence[Entry]) -> str:
    """The entries as text, a line each."""
    width = max(len(e["kind"]) for e in entries)
    lines = [
        f"{'worlds':<{width}} planner {'case':<10} {'success':>9} contacts {'progress m/s':<23} less hand-built"
    ]
    for e in entries:
        interval, gain = e["progress"], e["gain"]
        lines.append(
            f"{e['kind']:<{width}} {'alive' if e['planner'] else 'dead':<7} {e['case']:<10} "
            f"{e['success']['count']:>4} / {e['episodes']:<3}{e['contacts']:>7}  "
            f"{interval['mean']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})  "
            f"{gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
        )
    return "\n".join(lines)
