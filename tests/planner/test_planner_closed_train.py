"""The network of closed directions: what its answers mean, its training, and the file that comes of it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from made_up_frames import MOUNT, frames, learn_these  # noqa: E402

from hybrid_control.navigation.planner import contract  # noqa: E402
from hybrid_control.navigation.planner.training.closed import evaluation, export, labels, scenes, start, train  # noqa: E402
from hybrid_control.navigation.planner.training.closed.hindsight import UNKNOWN  # noqa: E402
from hybrid_control.navigation.planner.training.closed.labels import COLUMNS, FREE, HIDDEN, ROWS, STANDING  # noqa: E402
from hybrid_control.navigation.planner.training.closed.network import (  # noqa: E402
    Closed,
    Network,
    agreeing,
    heights,
    nearness,
    recorded_loss,
    target_shares,
)
from hybrid_control.navigation.planner.training.closed.train import Settings, TrainingError  # noqa: E402

pytestmark = pytest.mark.train
CAMERA = torch.tensor([[0.28, 0.08, math.pi / 2]])


def taught(kind, away):
    """The shares that the network is taught where all columns are closed by one kind, so far away."""
    rows = labels.rows_of(np.full(COLUMNS, away), MOUNT).astype(np.float32)
    kinds = torch.full((1, COLUMNS), kind, dtype=torch.int8)
    return target_shares(kinds, torch.from_numpy(rows)[None], 0.5)


@pytest.mark.parametrize("kind", [FREE, STANDING, HIDDEN])
def test_what_is_taught_of_a_column_adds_up_to_one_and_to_its_kind(kind):
    shares = taught(kind, 1.0)
    assert shares.shape == (1, 1 + 2 * ROWS, COLUMNS)
    parts = [shares[:, :1], shares[:, 1 : 1 + ROWS], shares[:, 1 + ROWS :]]
    for number, part in enumerate(parts):
        assert part.sum(dim=1) == pytest.approx(np.full((1, COLUMNS), float(number == kind)), abs=1e-5)


@pytest.mark.parametrize("away", [0.4, 0.7, 1.0, 1.5])
def test_an_answer_that_is_as_it_was_taught_names_the_distance(away):
    confidence, at = Closed(Network()).columns(taught(HIDDEN, away), CAMERA)
    assert confidence[0, 1].numpy() == pytest.approx(np.ones(COLUMNS), abs=0.1)
    assert confidence[0, 0].numpy() == pytest.approx(np.zeros(COLUMNS), abs=1e-5)
    middle = at[0, 1, COLUMNS // 4 : -COLUMNS // 4].numpy()  # at the image's edge the pitch bends the columns
    assert middle == pytest.approx(np.full(middle.shape, away), rel=0.08)


def test_what_is_farther_than_the_reach_closes_nothing():
    confidence, _ = Closed(Network()).columns(taught(HIDDEN, 3.5), CAMERA)
    assert confidence.max() < 0.1


def test_a_heading_has_the_surest_of_its_columns_and_what_is_out_of_view_is_unseen():
    confidence, away = torch.zeros(1, 2, COLUMNS), torch.full((1, 2, COLUMNS), 2.0)
    confidence[0, 1, 19], away[0, 1, 19] = 0.8, 0.9  # 1.4 degrees to the left: heading 36
    rows = Closed(Network()).sectors(confidence, away, CAMERA)[0].numpy()
    assert (rows[2, 36], rows[3, 36]) == (pytest.approx(0.8), pytest.approx(0.9, rel=1e-3))
    assert rows[2, 35] == 0.0
    assert (np.flatnonzero(rows[2] >= 0.0) == np.arange(27, 45)).all()  # 45 degrees to either side
    assert (rows[0] == -1.0).sum() == 54
    assert ((rows >= 0.0) | (rows == -1.0)).all()


def test_nearness_is_that_of_the_ground_straight_ahead():
    near = nearness(CAMERA, ROWS)[0].numpy()
    down = (labels.SKY + 2.0 * (np.arange(ROWS) + 0.5)) / labels.HEIGHT
    away = MOUNT.away(np.full(ROWS, 0.5), down)
    assert near[np.isnan(away)] == pytest.approx(0.0)
    below = ~np.isnan(away)
    assert near[below] == pytest.approx(1.0 / away[below], rel=1e-4)


def known(kind=UNKNOWN, row=0.0, free_row=float(ROWS), n=1):
    """A recorded frame of which the same is known in all columns."""
    return [torch.full((n, COLUMNS), value, dtype=of) for value, of in
            ((kind, torch.int8), (row, torch.float32), (free_row, torch.float32))]  # fmt: skip


def answers(kind, row=20.0, free_row=float(ROWS)):
    """Whether free, and which rows of what stands and of what is hidden, agree with what is known of a column."""
    agree = agreeing(*known(kind, row, free_row))[0, :, 0].numpy()
    return bool(agree[0]), np.flatnonzero(agree[1 : 1 + ROWS]).tolist(), np.flatnonzero(agree[1 + ROWS :]).tolist()


def test_with_what_is_known_of_a_column_those_answers_agree_that_can_be_so():
    every = list(range(ROWS))
    assert answers(UNKNOWN) == (True, every, every)
    # free up to row 20, 2 rows more or less: what closes it shows in rows 0 to 21, whose middles are at 21.5 at most
    assert answers(FREE, 20.0, 20.0) == (True, every[:22], every[:22])
    assert answers(HIDDEN, 20.0, 20.0) == (True, every[:22], every[:22])  # of one of them more is known
    # something stands in row 20; nearer, in higher rows, something may be hidden that the scan does not show
    assert answers(STANDING, 20.0) == (False, every[18:22], every[18:])
    assert answers(STANDING, 20.0, 30.0) == (False, every[18:22], every[18:32])  # but not where it drove


def test_columns_of_which_nothing_is_known_have_no_influence():
    logits = torch.randn(2, 1 + 2 * ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
    kind, row, free_row = known(n=2)
    kind[:, 5:9], row[:, 5:9], free_row[:, 5:9] = FREE, 20.0, 20.0
    kind[:, 20:24], row[:, 20:24], free_row[:, 20:24] = STANDING, 12.0, 30.0
    kind[0, 10:14], row[0, 10:14], free_row[0, 10:14] = HIDDEN, 22.0, 24.0
    unknown = kind == UNKNOWN

    def learnt(logits, row, free_row):
        seen = logits.clone().requires_grad_()
        loss = recorded_loss(seen, kind, row, free_row)
        loss.backward()
        return loss.item(), seen.grad

    loss, gradient = learnt(logits, row, free_row)
    assert (gradient.transpose(1, 2)[unknown] == 0.0).all()
    assert (gradient.transpose(1, 2)[~unknown].abs().sum(dim=1) > 0.0).all()
    others = torch.where(unknown, 33.0, row), torch.where(unknown, 3.0, free_row)
    assert learnt(logits, *others)[0] == loss
    assert torch.equal(learnt(logits, *others)[1], gradient)
    changed = torch.where(unknown[:, None], torch.randn(logits.shape) * 9.0, logits)  # whatever is answered there
    assert learnt(changed, row, free_row)[0] == pytest.approx(loss, abs=1e-6)
    assert torch.allclose(learnt(changed, row, free_row)[1], gradient, atol=1e-7)


def test_nothing_known_at_all_is_a_loss_of_nothing():
    logits = torch.randn(1, 1 + 2 * ROWS, COLUMNS).requires_grad_()
    loss = recorded_loss(logits, *known())
    loss.backward()
    assert loss.item() == 0.0
    assert (logits.grad == 0.0).all()


def test_one_column_that_is_closed_where_it_bumped_is_enough():
    kind, row, free_row = known()
    kind[0, 10:20], row[0, 10:20], free_row[0, 10:20] = HIDDEN, 20.5, 20.5
    sure = torch.zeros(1, 1 + 2 * ROWS, COLUMNS)
    sure[0, 0] = 30.0  # all free
    none = recorded_loss(sure, kind, row, free_row).item()
    sure[0, 0, 12], sure[0, 1 + ROWS + 20, 12] = 0.0, 30.0
    one = recorded_loss(sure, kind, row, free_row).item()
    sure[0, 1 + ROWS + 20, 12], sure[0, 1 + ROWS + 8, 12] = 0.0, 30.0  # at another place
    elsewhere = recorded_loss(sure, kind, row, free_row).item()
    assert one == pytest.approx(0.0, abs=1e-3)
    assert min(none, elsewhere) > 5.0
def test_heights_are_those_above_the_ground_whatever_the_row_and_nothing_where_no_depth_is_known():
    down = (np.arange(labels.HEIGHT) + 0.5) / labels.HEIGHT
    places = np.array([MOUNT.ground(np.full(labels.HEIGHT, 0.5), down)[:, 0] - MOUNT.x])
    ground = places * math.cos(MOUNT.pitch) + MOUNT.z * math.sin(MOUNT.pitch)  # along the axis
    near = np.nan_to_num(ground * 0.75, nan=0.0)  # what lies a quarter of the camera's height above it
    depth = torch.from_numpy(np.repeat(near[..., None], labels.WIDTH, axis=2).astype(np.float32))
    high, inverse, known = heights(depth, CAMERA)[0, :, :, 7].numpy()
    seen = known == 1.0
    assert seen.sum() == 33  # rows of two pixels below the horizon
    assert 0.1 * high[seen] == pytest.approx(0.07, abs=1e-4)
    assert inverse[-1] == pytest.approx(np.mean(1.0 / near[0, -2:]), rel=1e-4)
    assert (high[known == 0.0] == 0.0).all()
    assert (inverse[known == 0.0] == 0.0).all()
    assert (heights(torch.zeros_like(depth), CAMERA) == 0.0).all()
    holed = depth.clone()
    holed[:, ::2] = 0.0
    holed[:, :, 1::2] = 0.0  # one pixel of four is left
    few = heights(holed, CAMERA)[0, :, :, 7].numpy()
    assert few[2, -1] == 0.25
    assert 0.1 * few[0, -1] == pytest.approx(0.07, abs=1e-4)


def with_depth(n, seed):
    """The same, where the depth image alone tells what stands or is hidden."""
    told = frames(n, seed)
    depth = np.full(told.image.shape[:3], 3000, np.int16)
    depth[told.kind[:, 0] == HIDDEN, 80:90] = 500
    depth[told.kind[:, 0] == STANDING, 30:90] = 1000
    return replace(told, image=np.random.default_rng(seed).integers(100, 140, told.image.shape, np.uint8), depth=depth)


@pytest.fixture
def small(monkeypatch):
    """Shards of 64 made-up frames, drawn here."""
    learn_these(monkeypatch, train)
    return Settings(examples=16 * 64, jobs=1, device="cpu")


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(small, tmp_path, monkeypatch):
    whole = train.fit(small, torch.device("cpu"), tmp_path / "whole", False)
    save = train._save

    def stop(*args):
        save(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_save", stop)
    with pytest.raises(KeyboardInterrupt):
        train.fit(small, torch.device("cpu"), tmp_path / "parts", False)
    monkeypatch.setattr(train, "_save", save)
    resumed = train.fit(small, torch.device("cpu"), tmp_path / "parts", True)
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_with_depth_images_it_learns_from_them_goes_on_and_says_something_without_them(small, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "drawn", lambda seed, numbers, *_: (with_depth(64, n) for n in numbers))
    asked, cpu = replace(small, depth=True), torch.device("cpu")
    network = train.fit(asked, cpu, tmp_path, False)
    assert network.depth
    assert train.fit(asked, cpu, tmp_path, True).depth  # from its checkpoint, with nothing left to learn
    with pytest.raises(TrainingError, match=r"made with .*'depth': 1.* not with"):
        train.fit(small, cpu, tmp_path, True)
    path = tmp_path / "planner.onnx"
    export.export(Closed(network), contract.DEFAULT_MODEL, path, {})
    _, info = contract.load(path)
    assert info.depths
    assert path.stat().st_size <= export.LARGEST_FILE
    seen, alone = (evaluation.look(path, [with_depth(64, 99)], depth) for depth in (True, False))
    assert (seen.said != alone.said).any()
    assert np.isfinite(alone.said).all()


def test_of_a_share_of_the_frames_the_depth_is_not_known_and_shards_without_any_go_along():
    mixed = [with_depth(64 * 40, 1), frames(64 * 10, 2)]
    batches = list(train._batches(mixed, np.random.default_rng(0), torch.device("cpu")))
    known = torch.cat([batch["depth"].amax(dim=(1, 2)) > 0.0 for batch in batches]).float().mean()
    assert known == pytest.approx(0.8 * (1.0 - train.BLIND), abs=0.03)
    assert batches[0]["depth"].max() == pytest.approx(3.0)  # m
    plain = next(iter(train._batches([frames(64)], np.random.default_rng(0), torch.device("cpu"))))
    assert "depth" not in plain


def test_a_checkpoint_of_something_else_is_refused(small, tmp_path):
    cpu = torch.device("cpu")
    train.fit(small, cpu, tmp_path, False)
    with pytest.raises(TrainingError, match="--resume goes on with it"):
        train.fit(small, cpu, tmp_path, False)
    with pytest.raises(TrainingError, match="choose another --out"):
        train.fit(Settings(examples=16 * 64, seed=2, jobs=1), cpu, tmp_path, True)
    (tmp_path / "closed.pt").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train.fit(small, cpu, tmp_path, True)
    begun = Settings(examples=16 * 64, jobs=1, start=tmp_path / "closed.pt")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train.fit(begun, cpu, tmp_path / "other", False)
    torch.save({"settings": {}, "shards": 1, "parts": [{}, {"weight": torch.zeros(1)}]}, begun.start)
    with pytest.raises(TrainingError, match="not a checkpoint of this network"):
        train.fit(begun, cpu, tmp_path / "other", False)
    with pytest.raises(OSError, match="nowhere"):
        train.fit(Settings(examples=16 * 64, start=tmp_path / "nowhere.pt"), cpu, tmp_path / "other", False)


def test_a_training_begins_with_the_averaged_weights_of_another(small, tmp_path, monkeypatch):
    cpu = torch.device("cpu")
    few = Settings(examples=8 * 64, jobs=1, device="cpu")
    before = train.fit(few, cpu, tmp_path / "first", False)
    monkeypatch.setattr(train, "LEARNING_RATE", 0.0)
    begun = Settings(examples=8 * 64, jobs=1, device="cpu", start=tmp_path / "first" / "closed.pt")
    after = train.fit(begun, cpu, tmp_path / "second", False)
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)  # the average is rounded


def test_a_training_begins_with_a_file_that_ships_and_says_what_it_says(tmp_path):
    frames = scenes.shard(3, 0, 40)
    session, info = contract.load(contract.named("closed"))
    for depth in (False, True):
        network = Network(depth)
        start.from_planner(contract.named("closed"), network, frames)
        said = [contract.infer(session, info, evaluation.feed(frames, i, info)).closed[0] for i in range(40)]
        unknown = torch.zeros(40, 120, 160) if depth else None
        with torch.no_grad():
            closed = Closed(network.eval())(torch.from_numpy(frames.image), torch.from_numpy(frames.camera), unknown)
        assert np.abs(closed[:, 0].numpy() - said).mean() < 0.01  # 8 bits and floats
        network.train()  # by the statistics of a batch it says about the same
        with torch.no_grad():
            again = Closed(network)(torch.from_numpy(frames.image), torch.from_numpy(frames.camera), unknown)
        assert (again[:, 0] - closed[:, 0]).abs().mean() < 0.02


def test_a_file_whose_closed_directions_are_others_is_no_start():
    with pytest.raises(ValueError, match="its closed directions are not those of `train closed`"):
        start.from_planner(contract.DEFAULT_MODEL, Network(), scenes.shard(3, 0, 1))


def test_weights_without_depths_say_the_same_in_a_network_that_takes_them():
    plain, deep = Network(), Network(depth=True)
    start.fill(deep, plain.state_dict())
    image = torch.randint(0, 256, (2, 120, 160, 3), dtype=torch.uint8)
    camera = CAMERA.repeat(2, 1)
    depth = torch.rand(2, 120, 160) * 3.0
    assert torch.allclose(plain.eval()(image, camera), deep.eval()(image, camera, depth), atol=1e-4)


def test_without_a_depth_image_its_confidence_is_raised_to_another_power():
    network = Network(depth=True).eval()
    image = torch.randint(0, 256, (2, 120, 160, 3), dtype=torch.uint8)
    depth = torch.stack([torch.zeros(120, 160), torch.ones(120, 160)])
    camera = CAMERA.repeat(2, 1)
    with torch.no_grad():
        one = Closed(network)(image, camera, depth)[:, 2].clamp(min=0.0)
        other = Closed(network, power=2.0, blind=3.0)(image, camera, depth)[:, 2].clamp(min=0.0)
    assert torch.allclose(other[0], one[0] ** 3, atol=1e-5)
    assert torch.allclose(other[1], one[1] ** 2, atol=1e-5)


def test_the_file_keeps_contract_2_and_what_the_planner_said_before(tmp_path):
    base, path = contract.DEFAULT_MODEL, tmp_path / "planner.onnx"
    export.export(Closed(Network()), base, path, {"made.by": "a test"})
    session, info = contract.load(path)
    assert (info.version, info.height, info.width, info.metadata["made.by"]) == (2, 120, 160, "a test")
    assert contract.CAMERA in info.optional
    assert path.stat().st_size <= export.LARGEST_FILE
    before, known = contract.load(base)
    assert [p.name for p in info.states] == [p.name for p in known.states]
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
    small = coarse.repeat(4, axis=0).repeat(4, axis=1)
    feed = {"goal": np.array([[3.0, 0.6, 0.8]], np.float32), "velocity": np.zeros((1, 2), np.float32)}
    one = contract.infer(before, known, {"image": small[None], **feed})
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    two = contract.infer(session, info, {"image": large[None], **feed})
    assert two.heading == pytest.approx(one.heading, abs=12.0)  # a picture that is made smaller is blurred
    assert contract.decode_heading(two.heading) == pytest.approx(contract.decode_heading(one.heading), abs=0.1)
    with pytest.raises(ValueError, match="a file of contract 1 is wanted"):
        export.export(Closed(Network()), path, tmp_path / "again.onnx", {})
    assert not list(tmp_path.glob("*.tmp"))


def test_thresholds_and_shares_by_hand(tmp_path: Path):
    said = np.full((10, 72), 0.1, np.float32)
    true = np.full((10, 72), np.inf, np.float32)
    what = np.full((10, 72), -1, np.int8)
    said[:, :27], said[:, 45:] = -1.0, -1.0
    true[0, 36], what[0, 36], said[0, 36] = 0.8, 0, 0.9
    true[1, 36], what[1, 36], said[1, 36] = 0.5, 7, 0.05
    at = np.full((10, 72), 0.9, np.float32)
    seen = evaluation.Seen(said, at, true, what, said, true)
    assert evaluation.free(seen).sum() == 10 * 18 - 2 * 3  # a hidden thing takes its neighbours along
    rows = {name: (count, shares[0.01]) for name, count, shares in evaluation.rows(seen)}
    assert rows["low"] == (1, (1.0, 1.0))
    assert rows["hole"] == (1, (0.0, 0.0))
    assert rows["all"] == (2, (0.5, 0.5))
    assert evaluation.frames_with_alarm(seen, 0.01) == 0.0
    assert evaluation.at_half(seen) == {"wrong": 0.0, "right": 0.5}


def test_the_confidence_in_what_is_hidden_is_raised_to_its_power_and_its_order_stays():
    network, image = Network().eval(), torch.randint(0, 256, (1, 120, 160, 3), dtype=torch.uint8)
    with torch.no_grad():
        plain, raised = Closed(network)(image, CAMERA)[0], Closed(network, 3.0)(image, CAMERA)[0]
    seen = plain[2] >= 0.0
    assert raised[2, seen].numpy() == pytest.approx(plain[2, seen].numpy() ** 3, rel=0.3)
    assert (raised[2, ~seen] == -1.0).all()
