"""Many episodes: on several processes or a cluster, with a bar, resumed where an interrupted run left off.

Beside the output lies a file of JSON lines: what the run was asked for, then a row for every finished episode.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import Scene

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


def _here(setup: Setup, scenes: Sequence[Scene], tasks: Sequence[Task], jobs: int) -> Iterator[Row]:
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


_harnesses: dict[str, Harness] = {}  # of a cluster's worker process, by what they were made for


def far_episode(key: str, setup: Setup, scenes: Sequence[Scene], task: Task) -> Row:
    """One episode on a cluster's worker, which keeps its harness from one to the next of the same run."""
    if key not in _harnesses:
        _harnesses.clear()
        _harnesses[key] = Harness(setup)
    policy, index, trial = task
    return _harnesses[key].run(policy, scenes[index], index, trial)


def _on_ray(setup: Setup, scenes: Sequence[Scene], tasks: Sequence[Task], address: str) -> Iterator[Row]:
    """Every episode a task of one CPU on the Ray cluster at an address ("auto": this machine's, or RAY_ADDRESS)."""
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ValueError("Ray is not installed: pip install ray") from None
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"--backend ray: no cluster at {address or 'auto'!r} ({error})") from None
    try:
        key = _key(setup, scenes)
        episode = ray.remote(num_cpus=1)(far_episode)
        the_setup, the_scenes = ray.put(setup), ray.put(scenes)
        running = [episode.remote(key, the_setup, the_scenes, task) for task in tasks]
        while running:
            done, running = ray.wait(running)
            yield from ray.get(done)
    finally:
        if mine:
            ray.shutdown()


def _on_dask(setup: Setup, scenes: Sequence[Scene], tasks: Sequence[Task], address: str) -> Iterator[Row]:
    """Every episode a task on the Dask cluster whose scheduler has this address."""
    try:
        from distributed import Client
        from distributed import as_completed as finished
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise ValueError("Dask is not installed: pip install 'dask[distributed]'") from None
    if not address:
        raise ValueError("--backend dask: --address of the scheduler is missing, such as tcp://10.0.0.1:8786")
    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise ValueError(f"--backend dask: no scheduler at {address!r} ({error})") from None
    with client:
        shared = client.scatter([setup, list(scenes)], broadcast=True, hash=False)
        key = _key(setup, scenes)
        # pure=False: a result of an earlier run with the same arguments is not taken for this one
        running = [client.submit(far_episode, key, *shared, task, pure=False) for task in tasks]
        for future in finished(running):
            yield future.result()


def _key(setup: Setup, scenes: Sequence[Scene]) -> str:
    return hashlib.sha256((repr(setup) + world_digest(scenes)).encode()).hexdigest()


BACKENDS = ("processes", "ray", "dask")


def run(
    setup: Setup,
    scenes: Sequence[Scene],
    policies: Sequence[str],
    trials: int,
    jobs: int = 1,
    journal: Journal | None = None,
    progress: bool = True,
    backend: str = "processes",
    address: str = "",
) -> list[Row]:
    """Every policy in every world, `trials` times; rows by policy, world and trial, wherever they were run.

    journal: its episodes are not run again, and the others are added to it. jobs: processes of this machine; of a
    cluster (backend "ray" or "dask", at `address`) all that it has are used. ValueError where there is none.
    """
    if backend not in BACKENDS:
        raise ValueError(f"--backend: unknown backend {backend!r}; there are {', '.join(BACKENDS)}")
    tasks = [(p, i, t) for p in policies for i in range(len(scenes)) for t in range(trials)]
    done: dict[Task, Row] = dict(journal.rows) if journal is not None else {}
    missing = [task for task in tasks if task not in done]
    with tqdm(
        total=len(tasks), initial=len(tasks) - len(missing), unit="episode", disable=not progress
    ) as bar:
        good = sum(done[t]["success"] for t in tasks if t in done)
        if backend == "ray" and missing:
            rows = _on_ray(setup, scenes, missing, address)
        elif backend == "dask" and missing:
            rows = _on_dask(setup, scenes, missing, address)
        else:
            rows = _here(setup, scenes, missing, jobs)
        for row in rows:
            done[(row["policy"], row["index"], row["trial"])] = row
            if journal is not None:
                journal.add(row)
            good += row["success"]
            bar.update()
            bar.set_postfix(success=f"{good}/{bar.n}")
    return [done[task] for task in tasks]
