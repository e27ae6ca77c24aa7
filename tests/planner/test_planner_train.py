"""Training, export and resumption, with torch; a few steps on a few frames."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from hybrid_control.navigation.ground.features import FeatureMap  # noqa: E402
from hybrid_control.navigation.planner.planner import Planner  # noqa: E402
from hybrid_control.navigation.planner.training import (  # noqa: E402
    dataset,
    evaluation,
    labels,
    network,
    train,
)
from hybrid_control.navigation.planner.training.dataset import Plan, Samples  # noqa: E402
from hybrid_control.navigation.planner.training.train import Settings, TrainingError  # noqa: E402
from hybrid_control.signals import Goal, Odometry, Pose, Twist  # noqa: E402
from hybrid_control.sim.camera import GraphicsError  # noqa: E402
from hybrid_control.sim.simulator import Simulator  # noqa: E402
from hybrid_control.sim.worlds import generate  # noqa: E402

pytestmark = pytest.mark.train


def samples(n=300):
    rng = np.random.default_rng(0)
    bearing = rng.uniform(-math.pi, math.pi, n).astype(np.float32)
    return Samples(
        image=rng.integers(0, 256, (n, dataset.HEIGHT, dataset.WIDTH, 3), dtype=np.uint8),
        goal=np.stack([rng.uniform(1, 9, n).astype(np.float32), bearing], axis=1),
        velocity=rng.normal(size=(n, 2)).astype(np.float32),
        heading=bearing,
        speed=rng.uniform(0, 1, n).astype(np.float32),
        ranges=rng.uniform(0.3, 6, (n, labels.RAY_ANGLES.size)).astype(np.float32),
        scan=rng.uniform(0.3, 10, (n, 72)).astype(np.float32),
        kind=np.zeros(n, np.int64),
        world=np.arange(n),
    )


def settings(tmp_path, **changes):
    return replace(Settings(tmp_path, Plan(2, 4, 0), epochs=2, jobs=1), **changes)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = weights(train.fit(samples(), settings(whole)))

    save = train._save

    def stop_after_first(settings, epoch, *state):
        save(settings, epoch, *state)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_save", stop_after_first)
    with pytest.raises(KeyboardInterrupt):
        train.fit(samples(), settings(parts))
    monkeypatch.setattr(train, "_save", save)
    resumed = weights(train.fit(samples(), settings(parts, resume=True)))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    train.fit(samples(64), settings(tmp_path, epochs=1))
    with pytest.raises(TrainingError, match="--resume goes on with it"):
        train.fit(samples(64), settings(tmp_path, epochs=1))
    with pytest.raises(TrainingError, match="choose another --out"):
        train.fit(samples(64), settings(tmp_path, resume=True))
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train.fit(samples(64), settings(tmp_path, epochs=1, resume=True))


def test_what_is_exported_answers_as_torch_does_and_says_nothing_of_this_machine(tmp_path):
    path = tmp_path / "planner.onnx"
    torch.manual_seed(0)
    model = network.Network().eval()
    train.export(model, path, settings(tmp_path))
    content = path.read_bytes()
    assert len(content) <= train.LARGEST_FILE
    for trace in (b"/work", b"/home", b"/root", b"site-packages", b".py"):
        assert trace not in content
    planner = Planner(path)
    image = np.random.default_rng(3).integers(0, 256, (dataset.HEIGHT, dataset.WIDTH, 3), dtype=np.uint8)
    answer = planner.plan(image, Odometry(0, Pose(), Twist(0, 0.4, angular_z=0.2)), Goal(0, 3.0, 1.5), 0)
    with torch.no_grad():
        heading, speed, features = network.Rates(model)(
            torch.from_numpy(image[None]),
            network.goal_tensor(torch.tensor([[math.hypot(3.0, 1.5), math.atan2(1.5, 3.0)]])),
            torch.tensor([[0.4, 0.2]]),
            torch.zeros(1, 72),  # none known
        )
    assert answer.of("heading") == pytest.approx(heading[0].numpy(), abs=0.05)
    assert answer.of("speed") == pytest.approx(speed[0].numpy(), abs=0.05)
    cells = np.moveaxis(FeatureMap(path)(image), 2, 0)
    assert cells == pytest.approx(features[0].numpy(), abs=1e-3)
    assert cells.shape == (32, 15, 20)


def test_heading_rates_add_up_to_those_of_one_full_bump():
    with torch.no_grad():
        goal = network.goal_tensor(torch.tensor([[2.0, 0.3]]))
        image = torch.randint(0, 256, (1, dataset.HEIGHT, dataset.WIDTH, 3), dtype=torch.uint8)
        heading, *_ = network.Rates(network.Network().eval())(image, goal, torch.zeros(1, 2), torch.ones(1, 72))
    assert heading.sum().item() == pytest.approx(network.MAX_RATE / labels.BUMP_PEAK, rel=1e-4)


def test_a_mirrored_sample_is_the_same_scene_with_left_and_right_changed():
    given = samples(4)
    before = {k: torch.from_numpy(getattr(given, k)) for k in evaluation.ARRAYS}
    after = network.mirror(before)
    assert (after["image"][:, :, 0] == before["image"][:, :, -1]).all()
    assert torch.equal(after["goal"], before["goal"] * torch.tensor([1.0, -1.0]))
    assert torch.equal(after["velocity"], before["velocity"] * torch.tensor([1.0, -1.0]))
    assert torch.equal(after["heading"], -before["heading"])
    assert torch.equal(after["speed"], before["speed"])
    for name in ("ranges", "scan"):
        assert torch.equal(after[name][:, 0], before[name][:, -1])


def test_a_robots_scan_has_noise_and_gaps_and_is_now_and_then_missing():
    scan = torch.full((4000, 72), 2.0)
    told = network.told(scan, torch.Generator().manual_seed(0))
    none = (told == 0).all(dim=1)
    assert none.float().mean().item() == pytest.approx(network.NO_SCAN, abs=0.03)
    kept = told[~none]
    assert (kept == 0).float().mean().item() == pytest.approx(network.LOST, abs=0.003)
    assert kept[kept > 0].std().item() == pytest.approx(0.01, abs=0.001)


def test_columns_on_the_left_are_read_for_directions_to_the_left():
    # 16.5 degrees to the left: pixel 40 * (1 - tan) - 0.5 = 27.65, of 4 pixels a column 6.9
    weights = network.column_weights(np.radians([0.0, 16.5, -16.5, 60.0]))
    columns = np.arange(20) @ weights.numpy()
    assert columns[:3] == pytest.approx([9.875, 6.91, 12.84], abs=0.01)
    assert weights[:, 3].sum() == 0.0
    assert weights[:, :3].sum(dim=0).tolist() == pytest.approx([1, 1, 1])


def test_the_whole_way_from_worlds_to_a_planner_and_its_card(tmp_path):
    try:
        with Simulator(generate("open")) as simulator:
            simulator.camera()
    except GraphicsError as error:
        pytest.skip(str(error))
    path = train.train_planner(settings(tmp_path, epochs=1))
    Planner(path)
    card = (tmp_path / "planner.md").read_text(encoding="utf-8")
    assert "--worlds 2 --frames 4 --epochs 1 --seed 0 --jobs 1" in card
    assert "| straight to the goal, no network |" in card
    again = train.train_planner(settings(tmp_path, epochs=1, resume=True))
    assert again.read_bytes() == path.read_bytes()
