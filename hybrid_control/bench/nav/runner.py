"""Many episodes: on several processes, with a bar, resumed where an interrupted run left off.

Beside the output lies a file of JSON lines: what the run was asked for, then a row for every finished episode.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hybrid_control.bench.nav.harness import Harness, Setup
from hybrid_control.bench.nav.scenes import Scene

Task = tuple[str, int, int]  # policy, world's index, trial
Row = dict[str, Any]

_worker: tuple[Harness, Sequence[Scene]]


def _start(setup: Setup, scenes: Sequence[Scene]) -> None:
    global _worker
    _worker = Harness(setup), scenes


def _episode(task: Task) -> Row:
    harness, scenes = _worker
    policy, index, trial = task
    return harness.run(policy, scenes[index], index, trial)


def world_digest(scenes: Sequence[Scene]) -> str:
    """A short digest of the worlds, so that a run is not resumed on others of the same name."""
    digest = hashlib.sha256()
    for scene in scenes:
        world = scene.world
        for part in (world.cylinders, world.boxes):
            digest.update(part.tobytes())
        digest.update(repr((world.name, world.start, world.goal, world.movers, scene.path_length)).encode())
    return digest.hexdigest()[:16]


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
                task = (str(row["policy"]), int(row["index"]), int(row["trial"])) if row is not None else None
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
        self.rows[(row["policy"], row["index"], row["trial"])] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _rows(setup: Setup, scenes: Sequence[Scene], tasks: Sequence[Task], jobs: int) -> Iterator[Row]:
    if jobs == 1:
        harness = Harness(setup)
        for policy, index, trial in tasks:
            yield harness.run(policy, scenes[index], index, trial)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start, (setup, scenes)) as pool:
        futures = [pool.submit(_episode, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run(
    setup: Setup,
    scenes: Sequence[Scene],
    policies: Sequence[str],
    trials: int,
    jobs: int = 1,
    journal: Journal | None = None,
    progress: bool = True,
) -> list[Row]:
    """Every policy in every world, `trials` times; rows by policy, world and trial, whatever the number of jobs.

    journal: its episodes are not run again, and the others are added to it.
    """
    tasks = [(p, i, t) for p in policies for i in range(len(scenes)) for t in range(trials)]
    done: dict[Task, Row] = dict(journal.rows) if journal is not None else {}
    missing = [task for task in tasks if task not in done]
    with tqdm(
        total=len(tasks), initial=len(tasks) - len(missing), unit="episode", disable=not progress
    ) as bar:
        good = sum(done[t]["success"] for t in tasks if t in done)
        for row in _rows(setup, scenes, missing, jobs):
            done[(row["policy"], row["index"], row["trial"])] = row
            if journal is not None:
                journal.add(row)
            good += row["success"]
            bar.update()
            bar.set_postfix(success=f"{good}/{bar.n}")
    return [done[task] for task in tasks]
