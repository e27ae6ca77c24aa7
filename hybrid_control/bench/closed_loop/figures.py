"""What `bench closed-loop` prints of its measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_control.bench.closed_loop.loops import Spikes
from hybrid_control.bench.closed_loop.tools import ANOTHER_UPDATE

REFERENCE = "co-simulation, compiled parts"
BLOCK_S = 0.05  # of a turn
RATE_BOUND = 0.1  # by how much of ours a tool's mean rate may differ where its equations do


def row(name: str, us: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    """Percentiles of blocks in us a tick, and how many times ours that is: of medians, and of each repetition."""
    ratios = np.array(us) / np.array(ours[: len(us)])
    result = {"name": name, "ratio": float(np.median(us) / np.median(ours))}
    result |= {f"p{p}_us": float(np.percentile(us, p)) for p in (5, 50, 95)}
    return result | {f"ratio_p{p}": float(np.percentile(ratios, p)) for p in (5, 95)}


def compared(seen: Spikes, ours: Spikes) -> dict[str, Any]:
    """The first tick whose spikes differ (None: none does), and by what share the mean rates do."""
    differ = np.flatnonzero((seen[0] != ours[0]).any(axis=1) | (seen[1] != ours[1]).any(axis=1))
    rates = [abs(float(a.mean()) / float(b.mean()) - 1.0) for a, b in zip(seen, ours, strict=True)]
    return {
        "first_difference": int(differ[0]) if differ.size else None,
        "rates_differ": max(rates),
        "hidden_hz": float(seen[0].mean()) * 1000.0,
        "output_hz": float(seen[1].mean()) * 1000.0,
    }


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    m = result["machine"]
    lines = [
        f"{m['processor']}, {m['cores']} cores, load {m['load_average']}; Python {m['python']}, numba {m['numba']}",
        "",
        f"{'us a tick':32}{'p50':>9}{'p5':>9}{'p95':>9}{'times ours':>12}{'p5':>8}{'p95':>8}{'Hz':>7}{'Hz':>7}  spikes",
    ]
    for r in result["rows"]:
        name = r["name"] if not r["version"] else f"{r['name']} ({r['version']})"
        digits = 2 if r["p50_us"] < 1000 else 0
        line = f"{name:32}" + "".join(f"{r[f'p{p}_us']:9.{digits}f}" for p in (50, 5, 95))
        line += f"{r['ratio']:12.1f}{r['ratio_p5']:8.1f}{r['ratio_p95']:8.1f}"
        if "hidden_hz" in r:
            first = r["first_difference"]
            same = (
                "equal"
                if first is None
                else f"part at tick {first}, rates within {100 * r['rates_differ']:.1f} %"
            )
            line += f"{r['hidden_hz']:7.1f}{r['output_hz']:7.1f}  {same}"
        lines.append(line)
    lines += [f"{name}: left out, {why}" for name, why in result["missing"].items()]
    if result["missing"]:
        lines.append(
            "scripts/peers.sh installs the other tools in build/peers, or --peers-python names an interpreter"
        )
    return "\n".join([
        *lines,
        f"p50, p5, p95: of {result['repeats']} blocks of about {1000 * BLOCK_S:.0f} ms that take turns; times ours: to "
        f"{REFERENCE},",
        "of medians, and percentiles over turns. Hz: of the 256, and of the 8. spikes: of the first "
        f"{result['ticks']} ticks.",
        "Times are of the processor: what else runs counts less. Brian2: runtime mode, a network_operation each tick,",
        "runs of 990 ticks; its ticks alone leave out what it does once for each run",
    ])  # fmt: skip


def failures(result: dict[str, Any]) -> list[str]:
    """What does not hold: equal spikes where the equations are the same, else rates."""
    wrong = []
    for r in result["rows"]:
        if r["name"] not in ANOTHER_UPDATE and r.get("first_difference") is not None:
            wrong.append(f"{r['name']}: other spikes from tick {r['first_difference']} on")
        elif r.get("rates_differ", 0.0) > RATE_BOUND:
            wrong.append(f"{r['name']}: rates differ by {100 * r['rates_differ']:.0f} %")
    return wrong
