"""The hybrids in config/hybrids: each does what its pattern is for, and is what the code of bench/arm makes."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hybrid_control.ann import OnnxModel
from hybrid_control.bench.arm import files, networks
from hybrid_control.bench.arm.patterns import hybrid_of
from hybrid_control.bench.arm.plant import DURATION, NOISE, Arm, Task, hand
from hybrid_control.cli import main
from hybrid_control.cosim import Runs, load, run
from hybrid_control.cosim.parts import FunctionPart, plant_part
from hybrid_control.cosim.scheduler import Loss
from hybrid_control.snn import Network

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "hybrids"
FILES = sorted(path.name.removesuffix(".hybrid.yaml") for path in FOLDER.glob("*.hybrid.yaml"))
OF_THE_BENCHMARK = {
    "sequential": "ANN -> SNN", "filtered": "SNN -> ANN", "weighted": "parallel, weighted",
    "gated": "parallel, gated", "hierarchical": "hierarchical",
}  # fmt: skip


def example(name):
    return load(FOLDER / f"{name}.hybrid.yaml")


@cache
def result(name):
    return run(example(name))


def error(results, ms):
    """Mean distance of the hand from the target in the 50 ms before a time, m."""
    rows = slice(ms - 50, ms)
    return np.linalg.norm(results["arm.hand"][rows] - results["arm.target"][rows], axis=1).mean()


@pytest.mark.parametrize("name", FILES)
def test_cosim_an_example_brings_the_hand_to_the_target(name):
    jump = np.linalg.norm(result(name)["arm.target"][499] - result(name)["arm.target"][500])
    assert jump > 0.12
    assert error(result(name), 1500) < (0.05 if name == "filtered" else 0.01)


@pytest.mark.parametrize("name", OF_THE_BENCHMARK)
def test_cosim_an_example_moves_the_arm_as_the_pattern_in_python_does(name):
    hybrid, file = hybrid_of(OF_THE_BENCHMARK[name], 3), example(name)
    hybrid.until_ns = file.until_ns
    for part in {"ann", "snn"} & set(hybrid.parts):  # fitted anew, they differ with the machine's linear algebra
        hybrid.parts[part] = file.parts[part]
    if name == "filtered":  # in Python a part joins what the file's ANN takes by two names
        ann = file.parts["ann"]
        shapes = {port: p.shape for port, p in ann.outputs.items()}
        hybrid.parts["ann"] = FunctionPart(
            lambda senses: ann.model({"target": senses[:2], "state": senses[2:]}), {"senses": (6,)}, shapes
        )
    assert np.allclose(run(hybrid)["arm.hand"], result(name)["arm.hand"], rtol=0.0, atol=1e-9)


def test_cosim_examples_in_parallel_stand_on_both():
    for name in ("weighted", "gated", "fused"):
        r, out = result(name), "fuse.torque" if name == "fused" else "fuse.out"
        ann = np.repeat(r["ann.torque"], 33, axis=0)[: 1500 - 10]  # each arrives 10 ms later, and holds for 33
        low, high = np.minimum(ann, r["snn.out"][10:]), np.maximum(ann, r["snn.out"][10:])
        fused = r[out][10:]
        assert ((low - 1e-6 <= fused) & (fused <= high + 1e-6)).all()
        assert np.abs(fused - r["snn.out"][10:]).max() > 0.5
        assert np.abs(fused - ann).max() > 0.5


def test_cosim_example_hierarchical_goes_on_without_its_ann_less_exactly():
    alone = example("hierarchical")
    alone.losses["ann"] = Loss(1.0)
    results = run(alone)
    assert (results["snn.setpoint.voltage"] == 0.0).all()
    assert 3 * error(result("hierarchical"), 1500) < error(results, 1500) < 0.15


def test_cosim_example_of_two_levels_sets_the_fast_one_without_a_jump():
    two, one = result("two_levels"), result("hierarchical")
    steps = {r: np.abs(np.diff(results["snn.setpoint.voltage"][300:], axis=0)).max() for r, results in
             (("two", two), ("one", one))}  # fmt: skip
    assert np.ptp(two["ann.offset"][4:], axis=0).max() > 0.1
    assert steps["two"] < 0.3 * steps["one"]


def test_cosim_example_files_are_what_the_code_makes(tmp_path):
    pytest.importorskip("onnx")
    files.write(tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(p.name for p in FOLDER.iterdir() if p.suffix in (".onnx", ".nir"))
    senses = networks.situations(50, 77)
    for name in made:
        if name.endswith(".nir"):
            new, old = Network.load(tmp_path / name), Network.load(FOLDER / name)
            assert sorted(new.edges) == sorted(old.edges)
            for key, node in new.nodes.items():
                for field, value in vars(node).items():
                    if isinstance(value, np.ndarray):
                        # least squares: other processors round otherwise
                        assert np.allclose(value, getattr(old.nodes[key], field), rtol=1e-6, atol=1e-6), (name, key)
            continue
        new, old = OnnxModel(tmp_path / name), OnnxModel(FOLDER / name)
        for row in senses:
            given = {"senses": row, "target": row[:2], "state": row[2:], "a": row[:2], "b": row[2:4]}
            given = {key: given[key] for key in new.inputs}
            for key, value in new(given).items():
                assert np.allclose(value, old(given)[key], atol=1e-4)


def test_cosim_example_models_give_what_their_features_give():
    model, senses = OnnxModel(FOLDER / "policy.onnx"), networks.situations(20, 78)
    wanted = networks.policy().many(senses)
    for row, y in zip(senses, wanted, strict=True):
        given = model({"senses": row})
        assert np.allclose([*given["torque"], *given["confidence"]], y, atol=1e-6)


def test_cosim_example_runs_as_a_user_types_it(capsys):
    assert main(["cosim", "run", str(FOLDER / "sequential.hybrid.yaml")]) == 0
    out = capsys.readouterr().out
    assert "ann: 46 runs" in out
    assert "1.5 s simulated in" in out
    assert main(["cosim", "check", str(FOLDER / "two_levels.hybrid.yaml")]) == 0


def test_docs_list_every_example():
    page = (ROOT / "docs" / "cosim.md").read_text(encoding="utf-8")
    assert len(FILES) == 7
    for name in FILES:
        assert f"(../config/hybrids/{name}.hybrid.yaml)" in page


def test_cosim_arm_gives_at_each_time_what_its_task_its_state_and_its_noise_say():
    task, part = Task.of(5), plant_part(Arm(Task.of(5)))
    part.reset(7)
    noise = NOISE * np.random.default_rng(7).standard_normal((8500, 4))
    assert DURATION == 8.5
    for k in range(0, 8500, 50):
        state = part.state()[1:5]
        rows = part.run(Runs(k * 1_000_000, 1_000_000, 50), {"torque": np.tile([6.0, 2.0], (50, 1))})
        target = task.target(np.array([k * 0.001]))[0]
        assert np.allclose(rows["target"][0], target, atol=1e-12)
        assert np.allclose(rows["senses"][0], [*target, *(state + noise[k])], atol=1e-12)
        assert np.allclose(rows["hand"][0], hand(state[:2]), atol=1e-12)
        assert rows["elbow"][0] == (not 0.15 <= state[1] <= 2.75)
