"""`hybrid-control bench cosim`: every pattern of a hybrid on the same arm, in one table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.arm.networks import Features
from hybrid_control.bench.arm.patterns import PATTERNS, hybrid_of
from hybrid_control.bench.arm.plant import REACHES, REST, SETTLED, SLOT
from hybrid_control.cosim import Hybrid, run, ternary
from hybrid_control.cosim.efficiency import (
    SRAM_45NM,
    Measures,
    Weights,
    Work,
    efficiency,
    ranking,
    regions,
    share,
)
from hybrid_control.cosim.parts import AnnPart, SnnPart

Array = NDArray[Any]
REFERENCES = Measures(error=0.02, latency=0.05, power=1e-6)
MOVED = 0.002  # m nearer to the target: the first right motion
TRACKED_FROM = REST + REACHES * SLOT + 1.0  # s


@dataclass(frozen=True)
class Row:
    """Of one episode. tracking: RMS m; reaching, latency: mean s over the steps of the target.

    elbow: ms against a stop; macs (the ANN's), snn_macs, events, updates: per simulated second; arithmetic, whole: W.
    """

    tracking: float
    reaching: float
    latency: float
    elbow: float
    macs: float
    snn_macs: float
    events: float
    updates: float
    arithmetic: float
    whole: float


def drive(pattern: str, seed: int, lost: float = 0.0) -> Row:
    """One episode; lost: share of the ANN's runs whose results never arrive."""
    return judge(hybrid_of(pattern, seed, lost))


def judge(hybrid: Hybrid) -> Row:
    """Run a hybrid with the parts arm, and ann or snn or both."""
    results = run(hybrid)
    seconds = hybrid.until_ns * 1e-9
    work = Work.of(seconds, _ann_macs(hybrid, results.runs), _counters(hybrid))
    t, hand, target = results.times("arm.hand"), results["arm.hand"], results["arm.target"]
    error = np.linalg.norm(hand - target, axis=1)
    tracked = error[t >= TRACKED_FROM]
    steps = [REST + i * SLOT for i in range(REACHES)]
    return Row(
        tracking=float(np.sqrt(np.mean(tracked**2))),
        reaching=statistics.fmean(reaching(t, error, at) for at in steps),
        latency=statistics.fmean(first_motion(t, error, at) for at in steps),
        elbow=1e3 * float(results["arm.elbow"].mean()) * seconds,
        macs=work.ann_macs / seconds,
        snn_macs=work.snn_macs / seconds,
        events=work.events / seconds,
        updates=work.updates / seconds,
        arithmetic=work.watts(),
        whole=work.watts(SRAM_45NM),
    )


def _ann_macs(hybrid: Hybrid, runs: Any) -> int:
    part = hybrid.parts.get("ann")
    model = part.model if isinstance(part, AnnPart) else None
    return model.macs * int(runs["ann"]) if isinstance(model, Features) else 0


def _counters(hybrid: Hybrid) -> Any:
    part = hybrid.parts.get("snn")
    return part.backend.counters if isinstance(part, SnnPart) else None


def reaching(t: Array, error: Array, at: float) -> float:
    """Seconds from a step of the target until the hand is within SETTLED and stays; SLOT where it does not."""
    slot = (t >= at - 1e-9) & (t < at + SLOT - 1e-9)
    outside = np.flatnonzero(error[slot] > SETTLED)
    if outside.size == 0:
        return 0.0
    return min(float(t[slot][outside[-1]] - at + (t[1] - t[0])), SLOT)


def first_motion(t: Array, error: Array, at: float) -> float:
    """Seconds from a step of the target until the hand is MOVED nearer to it; SLOT where it never is."""
    slot = (t >= at - 1e-9) & (t < at + SLOT - 1e-9)
    nearer = np.flatnonzero(error[slot] < error[slot][0] - MOVED)
    return float(t[slot][nearer[0]] - at) if nearer.size else SLOT


def measure(
    seeds: Sequence[int],
    weights: Weights,
    progress: Callable[[str], None] | None = None,
    lost: float = 0.0,
) -> dict[str, Any]:
    """All patterns over the seeds, as a dict that JSON can hold: means, and every episode."""
    episodes: dict[str, list[Row]] = {}
    for name in PATTERNS:
        episodes[name] = []
        for seed in seeds:
            episodes[name].append(drive(name, seed, lost))
            if progress is not None:
                progress(name)
    means = {name: _mean(rows) for name, rows in episodes.items()}
    candidates = measures(means)
    for name, mean in means.items():
        mean["efficiency"] = efficiency(candidates[name], REFERENCES, weights)
    grid = ranking(candidates, REFERENCES)
    first = {name: share(corners) for name, corners in regions(candidates, REFERENCES).items()}
    return {
        "seeds": list(seeds),
        "lost": lost,
        "weights": vars(weights),
        "references": vars(REFERENCES),
        "patterns": means,
        "best": {name: first.get(name, 0.0) for name in PATTERNS},
        "ranking": [{"weights": vars(r.weights), "order": r.order, "values": r.values} for r in grid],
        "episodes": {name: [vars(row) for row in rows] for name, rows in episodes.items()},
    }


def measures(means: Mapping[str, Mapping[str, float]]) -> dict[str, Measures]:
    """What Hybrid_Efficiency takes of each pattern's means."""
    return {name: Measures(m["tracking"], m["latency"], m["whole"]) for name, m in means.items()}


def picture(result: Mapping[str, Any]) -> str:
    """The ranking over all weights as SVG."""
    r = result["references"]
    says = f"means over {len(result['seeds'])} seeds, {100 * result['lost']:g} % of the ANN's runs lost"
    return ternary.picture(
        measures(result["patterns"]), REFERENCES, Weights(**result["weights"]),
        notes=(says, f"references {1e3 * r['error']:g} mm, {1e3 * r['latency']:g} ms, {1e6 * r['power']:g} uW"),
    )  # fmt: skip


def _mean(rows: Sequence[Row]) -> dict[str, float]:
    return {key: statistics.fmean(getattr(row, key) for row in rows) for key in vars(rows[0])}


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    w, r = result["weights"], result["references"]
    lines = [
        f"{'':20}{'tracking':>9}{'reaching':>9}{'latency':>8}{'elbow':>7}{'ANN':>8}{'SNN':>8}{'SNN':>8}{'power':>7}"
        f"{'whole':>7}{'Hybrid_':>12}{'best':>6}",
        f"{'':20}{'RMS mm':>9}{'ms':>9}{'ms':>8}{'ms':>7}{'kMAC/s':>8}{'kMAC/s':>8}{'kev/s':>8}{'uW':>7}{'uW':>7}"
        f"{'Efficiency':>12}{'%':>6}",
    ]
    for name, m in result["patterns"].items():
        lines.append(
            f"{name:20}{1e3 * m['tracking']:9.1f}{1e3 * m['reaching']:9.0f}{1e3 * m['latency']:8.0f}{m['elbow']:7.0f}"
            f"{m['macs'] / 1e3:8.0f}{m['snn_macs'] / 1e3:8.0f}{m['events'] / 1e3:8.1f}{1e6 * m['arithmetic']:7.2f}"
            f"{1e6 * m['whole']:7.2f}{m['efficiency']:12.3f}{100 * result['best'][name]:6.0f}"
        )
    lines += [
        f"means over {len(result['seeds'])} seeds, {100 * result['lost']:g} % of the ANN's runs lost",
        "power: arithmetic alone (4.6 pJ a multiply-accumulate, 0.9 pJ an event);",
        "whole: with membrane updates and memory (5 pJ an access), which is what Hybrid_Efficiency takes;",
        f"Hybrid_Efficiency: {w['accuracy']:g} accuracy + {w['latency']:g} latency + {w['power']:g} power, each r / "
        f"(r + m) with r = {1e3 * r['error']:g} mm, {1e3 * r['latency']:g} ms, {1e6 * r['power']:g} uW;",
        "best: for how much of all weights a pattern comes first",
    ]
    return "\n".join([*lines, "", *triangle(result)])


def triangle(result: dict[str, Any]) -> list[str]:
    """Which pattern comes first for which weights, as text: accuracy upwards, latency to the right, power the rest."""
    letters = dict(zip(result["patterns"], "abcdefghijklmnopqrstuvwxyz", strict=False))
    rows: dict[float, list[str]] = {}
    for rank in sorted(result["ranking"], key=lambda r: (-r["weights"]["accuracy"], r["weights"]["latency"])):
        rows.setdefault(rank["weights"]["accuracy"], []).append(letters[rank["order"][0]])
    lines = [f"accuracy {share:3.1f}  {'  '.join(first)}" for share, first in rows.items()]
    scale = "latency       " + " ".join(f"{i / 10:g}".removeprefix("0").rjust(2) for i in range(len(rows)))
    held = sorted({letter for first in rows.values() for letter in first})
    names = ", ".join(f"{letter}: {name}" for name, letter in letters.items() if letter in held)
    return ["the first for each pair of weights (power has the rest):", *lines, scale, names]
