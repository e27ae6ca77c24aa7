"""A planner of 8 bits says nearly what the float one says, and keeps its contract."""

import numpy as np
import pytest

pytest.importorskip("hybrid_control.sim.mujoco_import")
pytest.importorskip("onnxruntime.quantization")

from hybrid_control.ann import multiply_accumulates
from hybrid_control.cli import main
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.training.closed import int8, scenes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("int8") / "small.onnx"
    int8.quantise(contract.DEFAULT_MODEL, out, scenes.shard(1, 0, 120))
    return out


def test_it_keeps_its_contract_its_metadata_and_its_outputs(made):
    _, info = contract.load(made)
    _, before = contract.load(contract.DEFAULT_MODEL)
    assert (info.version, info.height, info.width) == (before.version, before.height, before.width)
    assert {k: info.metadata[k] for k in before.metadata} == dict(before.metadata)
    assert int8.KEY in info.metadata
    assert [o.name for o in info.extra_outputs] == [o.name for o in before.extra_outputs]
    assert made.stat().st_size < 0.7 * contract.DEFAULT_MODEL.stat().st_size


def test_side_by_side_the_first_differs_from_itself_by_nothing_and_the_other_by_a_few_degrees(made):
    float_, small = int8.compare(contract.DEFAULT_MODEL, made, [scenes.shard(2, 0, 60)])
    assert float(float_.turned.max()) == 0.0
    assert 0.0 < np.degrees(np.median(small.turned)) < 5.0
    macs = multiply_accumulates(contract.DEFAULT_MODEL)
    assert float_.energy == pytest.approx(macs * 4.6e-6)
    assert small.energy == pytest.approx(macs * 0.3e-6)
    lines = int8.table([float_, small]).splitlines()
    assert lines[1].split() == ["bytes", f"{float_.size:,}", f"{small.size:,}"]


def test_one_of_8_bits_is_not_made_again_and_nothing_is_left_behind(made, tmp_path):
    with pytest.raises(ValueError, match="has 8 bits already"):
        int8.quantise(made, tmp_path / "again.onnx", scenes.shard(1, 0, 100))
    assert not list(tmp_path.iterdir())


def test_a_planner_that_closes_nothing_has_nothing_to_be_quantised_alone(tmp_path, make_model):
    with pytest.raises(ValueError, match="closes no directions"):
        int8.quantise(make_model(), tmp_path / "x.onnx", scenes.shard(1, 0, 100), closed_alone=True)


def test_the_command_says_what_a_wrong_number_should_be(capsys, tmp_path):
    arguments = ["planner", "int8", "--planner", str(contract.DEFAULT_MODEL), "--out", str(tmp_path / "x.onnx")]
    assert main([*arguments, "--frames", "7"]) == 2
    assert "--frames 7: expected 100 .. 100000" in capsys.readouterr().err
