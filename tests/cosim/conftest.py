"""A folder with a hybrid, its networks and its frames."""

import numpy as np
import pytest
from files import planner, reflex


@pytest.fixture
def folder(tmp_path, request):
    """With the hybrid that the test's module has as FILE, as a.hybrid.yaml."""
    planner(tmp_path / "planner.onnx")
    reflex(tmp_path / "reflex.nir")
    np.save(tmp_path / "frames.npy", np.random.default_rng(2).normal(size=(7, 4)))
    (tmp_path / "a.hybrid.yaml").write_text(request.module.FILE)
    return tmp_path
