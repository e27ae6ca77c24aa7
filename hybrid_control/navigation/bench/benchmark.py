"""A run of the benchmark: policies in worlds, at levels of simulation and under faults, as rows, summary and tables."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_control.navigation.bench.compare import difference_table, differences
from hybrid_control.navigation.bench.costs import cost_table, costs
from hybrid_control.navigation.bench.harness import Setup, setup_dict
from hybrid_control.navigation.bench.policies import POLICIES
from hybrid_control.navigation.bench.runner import Journal, run
from hybrid_control.navigation.bench.scenes import Scene, world_digest
from hybrid_control.navigation.bench.summary import failures, kind_of, summaries, table
from hybrid_control.navigation.bench.workers import Machines
from hybrid_control.navigation.planner.contract import DEFAULT_MODEL
from hybrid_control.sim.robots import is_name, vehicle

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run. worlds: as the user named them; setup: of every episode but for its level and fault."""

    worlds: str
    scenes: Sequence[Scene]
    policies: Sequence[str]
    levels: Sequence[str]
    faults: Sequence[str]
    setup: Setup
    trials: int
    machines: Machines
    costs: bool

    def setups(self) -> list[Setup]:
        """One for each level and fault. ValueError where a fault means nothing at a level."""
        return [
            dataclasses.replace(self.setup, level=level, fault=fault)
            for level in self.levels
            for fault in self.faults
        ]


def benchmark(request: Request, out: Path) -> dict[str, Any]:
    """What was asked, a summary of each case and of each kind of world, differences between levels, costs, and a row of
    every episode.

    out: a file name, beside which journals lie from which an interrupted run goes on.
    """
    setups = request.setups()
    model = hashlib.sha256(Path(request.setup.model or DEFAULT_MODEL).read_bytes()).hexdigest()[:16]
    common = {"worlds": request.worlds, "digest": world_digest(request.scenes), "model_digest": model}
    if not is_name(request.setup.robot):  # of a file its numbers decide, as they are now
        common["robot_digest"] = hashlib.sha256(repr(vehicle(request.setup.robot)).encode()).hexdigest()[:16]
    rows: list[dict[str, Any]] = []
    for setup in setups:
        part = "" if len(setups) == 1 else f".{setup.level}-{setup.fault}"
        journal = Journal(out.with_suffix(f"{part}.jsonl"), {**setup_dict(setup), **common})
        # a fault of the planner befalls nobody who has none
        driven = [p for p in request.policies if setup.fault == "none" or POLICIES[p].planner]
        some = run(setup, request.scenes, driven, request.trials, request.machines, journal)
        rows += [{**row, "level": setup.level, "fault": setup.fault} for row in some]
    content: dict[str, Any] = {
        "asked": {
            **setup_dict(setups[0]), **common,
            "level": list(request.levels), "fault": list(request.faults), "trials": request.trials,
        },
    }  # fmt: skip
    content["summary"] = summaries(rows, lambda row: case(content, row))
    if 1 < len({kind_of(row) for row in rows}) < len({row["world"] for row in rows}):
        content["kinds"] = summaries(rows, lambda row: _kind(content, row))
    first, *others = (_plain(content, rows, level) for level in request.levels)
    for level, other in zip(request.levels[1:], others, strict=True):
        content[f"{level} less {request.levels[0]}"] = differences(first, other)
    if request.costs:
        setup = dataclasses.replace(setups[0], fault="none")
        content["costs"] = costs(setup, request.scenes[0], request.policies)
    content["episodes"] = rows
    return content


def _plain(content: Mapping[str, Any], rows: Sequence[dict[str, Any]], level: str) -> list[dict[str, Any]]:
    """The rows of a level under the first of the faults."""
    return [r for r in rows if r["level"] == level and r["fault"] == content["asked"]["fault"][0]]


def case(content: Mapping[str, Any], row: Row) -> str:
    """What a row counts to: its policy, with its level and fault where there are several."""
    several = [name for name in ("level", "fault") if len(content["asked"][name]) > 1]
    return " ".join([row["policy"], *(row[name] for name in several)])


def _kind(content: Mapping[str, Any], row: Row) -> str:
    """The kind of its world, and what else it counts to where there are several."""
    several = len(content["summary"]) > 1
    return f"{kind_of(row)} {case(content, row)}" if several else kind_of(row)


def tables(content: Mapping[str, Any]) -> list[str]:
    """The content as text: summary, differences between levels, costs."""
    result = [table(content["summary"])]
    if "kinds" in content:
        result.append(table(content["kinds"], "worlds"))
    failed = failures(content["episodes"], lambda row: case(content, row))
    if failed:
        result.append(failed)
    one, *others = content["asked"]["level"]
    result += [difference_table(content[f"{other} less {one}"], one, other) for other in others]
    if "costs" in content:
        by_policy = summaries(_plain(content, content["episodes"], one))
        result.append(cost_table(content["costs"], by_policy))
    return result
