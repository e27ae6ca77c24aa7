"""Where the benchmark's episodes run: in this process, in several of this machine, or on a cluster."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import Scene, world_digest

BACKENDS = ("processes", "ray", "dask")
Task = tuple[str, int, int]  # policy, world's index, trial
Values = Mapping[str, float]  # of a policy's gains or settings
Row = dict[str, Any]

_worker: tuple[Harness, Sequence[Scene]]


def _episode(harness: Harness, scenes: Sequence[Scene], task: Task, values: Values | None = None) -> Row:
    policy, index, trial = task
    if values is not None:
        harness.set_values(policy, values)
    return harness.run(policy, scenes[index], index, trial)


def _start(setup: Setup, scenes: Sequence[Scene]) -> None:
    global _worker
    _worker = Harness(setup), scenes


def _work(task: Task, values: Values | None) -> Row:
    return _episode(*_worker, task, values)


class Workers:
    """Processes of this machine that run episodes of one set-up; they and what they compiled stay. jobs: how many, 1
    for this process alone."""

    def __init__(self, setup: Setup, scenes: Sequence[Scene], jobs: int = 1) -> None:
        self._scenes = scenes
        self._harness = Harness(setup)
        self._pool: ProcessPoolExecutor | None = None
        if jobs > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(jobs, context, _start, (setup, scenes))

    def rows(self, tasks: Iterable[Task], values: Values | None = None) -> Iterator[Row]:
        """The episodes as they end; values: of the policy from here on, in place of those before."""
        if self._pool is None:
            for task in tasks:
                yield _episode(self._harness, self._scenes, task, values)
            return
        for future in as_completed([self._pool.submit(_work, task, values) for task in tasks]):
            yield future.result()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Machines:
    """What runs the episodes: jobs processes of this machine, or all of a cluster (backend "ray" or "dask") at an
    address. ValueError for an unknown backend."""

    jobs: int = 1
    backend: str = "processes"
    address: str = ""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"--backend: unknown backend {self.backend!r}; there are {', '.join(BACKENDS)}")

    def rows(self, setup: Setup, scenes: Sequence[Scene], tasks: Sequence[Task]) -> Iterator[Row]:
        """The episodes as they end. ValueError where there is no such cluster."""
        if self.backend == "ray" and tasks:
            yield from _on_ray(setup, scenes, tasks, self.address)
        elif self.backend == "dask" and tasks:
            yield from _on_dask(setup, scenes, tasks, self.address)
        else:
            with Workers(setup, scenes, self.jobs) as workers:
                yield from workers.rows(tasks)


_harnesses: dict[str, Harness] = {}  # of a cluster's worker process, by what they were made for


def far_episode(key: str, setup: Setup, scenes: Sequence[Scene], task: Task) -> Row:
    """One episode on a cluster's worker, which keeps its harness from one to the next of the same run."""
    if key not in _harnesses:
        _harnesses.clear()
        _harnesses[key] = Harness(setup)
    return _episode(_harnesses[key], scenes, task)


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
