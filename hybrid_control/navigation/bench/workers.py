"""Where the benchmark's episodes run: in this process, in several of this machine, or on a cluster."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

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


class Crew(Protocol):
    """What runs episodes of one set-up, as a context; it and what it compiled stay from one call to the next."""

    def rows(self, tasks: Sequence[Task], values: Values | None = None) -> Iterator[Row]:
        """The episodes as they end; values: of the policy from here on, in place of those before.

        OSError where a worker was lost.
        """

    def __enter__(self) -> Crew: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
        try:
            for future in as_completed([self._pool.submit(_work, task, values) for task in tasks]):
                yield future.result()
        except BrokenProcessPool:
            raise OSError("a process that ran episodes was lost; was there too little memory?") from None

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

    def crew(self, setup: Setup, scenes: Sequence[Scene]) -> Crew:
        """Who runs episodes of a set-up in these worlds. ValueError where there is no such cluster."""
        if self.backend == "ray":
            return _Ray(setup, scenes, self.address)
        if self.backend == "dask":
            return _Dask(setup, scenes, self.address)
        return Workers(setup, scenes, self.jobs)

    def rows(self, setup: Setup, scenes: Sequence[Scene], tasks: Sequence[Task]) -> Iterator[Row]:
        """The episodes as they end. ValueError where there is no such cluster."""
        if tasks:
            with self.crew(setup, scenes) as crew:
                yield from crew.rows(tasks)


_harnesses: dict[str, Harness] = {}  # of a cluster's worker process, by what they were made for


def far_episode(
    key: str, setup: Setup, scenes: Sequence[Scene], task: Task, values: Values | None = None
) -> Row:
    """One episode on a cluster's worker, which keeps its harness from one to the next of the same run."""
    if key not in _harnesses:
        _harnesses.clear()
        _harnesses[key] = Harness(setup)
    return _episode(_harnesses[key], scenes, task, values)


class _Ray:
    """Every episode a task of one CPU on the Ray cluster at an address ("auto": this machine's, or RAY_ADDRESS)."""

    def __init__(self, setup: Setup, scenes: Sequence[Scene], address: str) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise ValueError("Ray is not installed: pip install ray") from None
        self._ray, self._mine = ray, not ray.is_initialized()
        if self._mine:
            try:
                ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError) as error:
                raise ValueError(f"--backend ray: no cluster at {address or 'auto'!r} ({error})") from None
        self._episode = ray.remote(num_cpus=1)(far_episode)
        self._shared = _key(setup, scenes), ray.put(setup), ray.put(scenes)

    def rows(self, tasks: Sequence[Task], values: Values | None = None) -> Iterator[Row]:
        running = [self._episode.remote(*self._shared, task, values) for task in tasks]
        try:
            while running:
                done, running = self._ray.wait(running)
                yield from self._ray.get(done)
        except self._ray.exceptions.WorkerCrashedError:
            raise OSError("a worker of the Ray cluster was lost; was there too little memory?") from None

    def __enter__(self) -> _Ray:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            self._ray.shutdown()


class _Dask:
    """Every episode a task on the Dask cluster whose scheduler has this address."""

    def __init__(self, setup: Setup, scenes: Sequence[Scene], address: str) -> None:
        try:
            import distributed
        except ModuleNotFoundError as error:
            if error.name not in ("dask", "distributed"):
                raise
            raise ValueError("Dask is not installed: pip install 'dask[distributed]'") from None
        if not address:
            raise ValueError(
                "--backend dask: --address of the scheduler is missing, such as tcp://10.0.0.1:8786"
            )
        try:
            self._client = distributed.Client(address, timeout=10)
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(f"--backend dask: no scheduler at {address!r} ({error})") from None
        self._dask = distributed
        self._shared = (
            _key(setup, scenes),
            *self._client.scatter([setup, list(scenes)], broadcast=True, hash=False),
        )

    def rows(self, tasks: Sequence[Task], values: Values | None = None) -> Iterator[Row]:
        # pure=False: a result of an earlier run with the same arguments is not taken for this one
        running = [
            self._client.submit(far_episode, *self._shared, task, values, pure=False) for task in tasks
        ]
        try:
            for future in self._dask.as_completed(running):
                yield future.result()
        except self._dask.scheduler.KilledWorker:
            raise OSError("workers of the Dask cluster were lost; was there too little memory?") from None

    def __enter__(self) -> _Dask:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _key(setup: Setup, scenes: Sequence[Scene]) -> str:
    return hashlib.sha256((repr(setup) + world_digest(scenes)).encode()).hexdigest()
