"""Programs in the ROS graph of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ros_graph import SOURCE, Process, graph  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(graph: Any) -> Callable[..., Any]:  # noqa: F811
    """Starts a Python program in the graph's domain, with the tree's nodes."""

    def start(*words: str, **variables: str) -> Any:
        environment = dict(
            os.environ,
            ROS_DOMAIN_ID=str(graph.domain),
            PYTHONPATH=os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")])),
            **variables,
        )
        popen = subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=ROOT,
        )  # fmt: skip
        process = Process(popen)
        graph._processes.append(process)
        return process

    return start
