"""The ROS graph of tests/ros, and robots that `hybrid-control up` starts."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "ros"))
_spec = importlib.util.spec_from_file_location("launch_ros_graph", ROOT / "tests" / "ros" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ros = importlib.util.module_from_spec(_spec)
sys.modules["launch_ros_graph"] = ros
_spec.loader.exec_module(ros)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with ros.own_domain() as domain:
        graph = ros.Graph(domain)
        try:
            yield graph
        finally:
            graph.close()


@pytest.fixture
def command(graph: Any) -> Callable[..., Any]:
    """Starts a Python program in the graph's domain, with the tree's nodes."""

    def start(*words: str) -> Any:
        environment = dict(
            os.environ,
            ROS_DOMAIN_ID=str(graph.domain),
            PYTHONPATH=os.pathsep.join(filter(None, [str(ros.SOURCE), os.environ.get("PYTHONPATH", "")])),
        )
        popen = subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=ROOT,
        )  # fmt: skip
        process = ros.Process(popen)
        graph._processes.append(process)
        return process

    return start
