"""What the tests of the nodes share: a ROS graph for each test, and a planner that says always the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from ros_graph import graph  # noqa: F401 (a fixture)
from ros_models import write_model


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planner that keeps the contract and always says the same: ahead to the left, at full speed."""
    path = tmp_path_factory.mktemp("model") / "constant.onnx"
    write_model(path)
    return path
