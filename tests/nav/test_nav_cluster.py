"""The same rows from a cluster as from this process: real local clusters of Ray and Dask, where they are installed."""

import pytest

from hybrid_control.navigation.bench.harness import Setup
from hybrid_control.navigation.bench.runner import Journal, run
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.bench.workers import Machines

SETUP = Setup(level="kinematic", rules="barn", duration=4.0)
POLICIES = ["reflex", "vfh"]


@pytest.fixture(scope="module")
def here():
    scenes = load_scenes("forest:2")
    return scenes, run(SETUP, scenes, POLICIES, 1, progress=False)


def test_ray_gives_the_same_rows(here, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install ray)")
    scenes, rows = here
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        journal = Journal(tmp_path / "o.jsonl", {})
        assert run(SETUP, scenes, POLICIES, 1, Machines(backend="ray"), journal, progress=False) == rows
        assert len(Journal(tmp_path / "o.jsonl", {}).rows) == len(rows)
    finally:
        ray.shutdown()


def test_dask_gives_the_same_rows(here):
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed (pip install dask[distributed])"
    )
    scenes, rows = here
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert run(SETUP, scenes, POLICIES, 1, Machines(backend="dask", address=address), progress=False) == rows


def test_what_is_missing_is_named(here):
    scenes, _ = here
    with pytest.raises(ValueError, match="unknown backend"):
        run(SETUP, scenes, POLICIES, 1, Machines(backend="slurm"), progress=False)
    with pytest.raises(ValueError, match=r"not installed|scheduler is missing"):
        run(SETUP, scenes, POLICIES, 1, Machines(backend="dask"), progress=False)
