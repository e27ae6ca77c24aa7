"""Many episodes of policies in worlds, with a bar, resumed where an interrupted run left off.

Beside the output lies a file of JSON lines: what the run was asked for, then a row for every finished episode.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from hybrid_control.navigation.bench.harness import Setup
from hybrid_control.navigation.bench.scenes import Scene
from hybrid_control.navigation.bench.workers import Machines, Row, Task


def task_of(row: Row) -> Task:
    """Policy, world's index and trial of an episode's row."""
    return str(row["policy"]), int(row["index"]), int(row["trial"])


class Journal:
    """The file of JSON lines beside the output.

    asked: what decides the rows. ValueError where the file was made for something else, or is no such file. What an
    interruption cut off at its end is dropped.
    """

    def __init__(self, path: Path, asked: Row) -> None:
        self.path = path
        self.rows: dict[Task, Row] = {}
        header = json.dumps(asked, sort_keys=True)
        kept = [header]
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        if lines and lines[0].rstrip("\n") != header:
            raise ValueError(f"{path}: begun with other worlds or options; delete it, or name another --json")
        for number, line in enumerate(lines[1:], 2):
            try:
                row = json.loads(line) if line.endswith("\n") else None
                task = task_of(row) if row is not None else None
            except (ValueError, KeyError, TypeError):
                raise ValueError(
                    f"{path}: line {number} is no episode; delete the file to begin anew"
                ) from None
            if task is not None and row is not None:
                self.rows[task] = row
                kept.append(line.rstrip("\n"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def add(self, row: Row) -> None:
        """Write a finished episode down at once."""
        self.rows[task_of(row)] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def run(
    setup: Setup,
    scenes: Sequence[Scene],
    policies: Sequence[str],
    trials: int = 1,
    machines: Machines | None = None,
    journal: Journal | None = None,
    progress: bool = True,
) -> list[Row]:
    """Every policy in every world, `trials` times; rows by policy, world and trial, wherever they were run.

    machines: this process where None. journal: its episodes are not run again, and the others are added to it.
    """
    tasks = [(p, i, t) for p in policies for i in range(len(scenes)) for t in range(trials)]
    done: dict[Task, Row] = dict(journal.rows) if journal is not None else {}
    missing = [task for task in tasks if task not in done]
    finished = len(tasks) - len(missing)
    with tqdm(total=len(tasks), initial=finished, unit="episode", disable=not progress) as bar:
        good = sum(done[t]["success"] for t in tasks if t in done)
        for row in (machines or Machines()).rows(setup, scenes, missing):
            done[task_of(row)] = row
            if journal is not None:
                journal.add(row)
            good += row["success"]
            bar.update()
            bar.set_postfix(success=f"{good}/{bar.n}")
    return [done[task] for task in tasks]
