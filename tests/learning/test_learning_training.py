"""Training by surrogate gradients: it learns, it resumes to the bit, and the engine does what was trained."""

import json
import re
from dataclasses import replace

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hybrid_control.cli import main  # noqa: E402
from hybrid_control.learning import training  # noqa: E402
from hybrid_control.learning.losses import LOSSES, Loss  # noqa: E402
from hybrid_control.learning.mirror import Mirror  # noqa: E402
from hybrid_control.learning.samples import Samples  # noqa: E402
from hybrid_control.learning.training import Settings, Task, TrainingError, fit  # noqa: E402
from hybrid_control.snn import Engine, Network  # noqa: E402

pytestmark = pytest.mark.train

TICKS, CELLS = 30, 12


def movement(count, seed=0):
    """A spot that runs around a ring of cells one way or the other, or stands; 3 classes, cells fire with noise."""
    rng = np.random.default_rng(seed)
    way = rng.integers(0, 3, count)
    begin = rng.uniform(0, CELLS, count)
    at = begin[:, None] + (way[:, None] - 1) * 0.25 * np.arange(TICKS)
    distance = np.abs((np.arange(CELLS) - at[..., None] + CELLS / 2) % CELLS - CELLS / 2)
    spikes = rng.random((count, TICKS, CELLS)) < 0.9 * (distance < 0.7) + 0.02
    return Samples({"in": spikes.astype(np.float32)}, way)


def watcher(seed=0, hidden=24, classes=3):
    """Cells to spiking neurons that lead to each other, to three that count."""
    rng = np.random.default_rng(seed)
    net = Network()
    net.add_input("in", CELLS)
    net.add_population("hidden", nir.LIF, hidden, tau=rng.uniform(5e-3, 20e-3, hidden), v_threshold=0.5)
    net.add_population("classes", nir.LIF, classes, tau=20e-3, v_threshold=0.5)
    net.connect("in", "hidden", rng.normal(0, 2.0, (hidden, CELLS)))
    mask = rng.random((hidden, hidden)) < 0.3
    net.connect("hidden", "hidden", rng.normal(0, 0.5, (hidden, hidden)) * mask)
    net.connect("hidden", "classes", rng.normal(0, 0.7, (classes, hidden)))
    net.add_output("out", "classes")
    return net


def task(samples=None, loss="cross_entropy", free=("weights", "tau"), readout=None):
    samples = movement(24) if samples is None else samples
    return Task(Mirror(watcher(), free=free), samples, Loss(loss), readout)


FEW = Settings(epochs=3, batch=8)


def test_a_network_learns_which_way_a_spot_moves_and_the_engine_then_tells(tmp_path):
    rows = fit(task(movement(192)), Settings(epochs=25, rate=0.05), tmp_path)
    assert rows[-1]["loss"] < 0.1 * rows[0]["loss"]
    assert rows[-1]["accuracy"] > 0.9
    fresh = movement(200, seed=9)
    engine = Engine(Network.load(tmp_path / "trained.nir"))
    counts = engine.run(fresh.inputs["in"]).sum(1)
    assert np.mean(counts.argmax(1) == fresh.targets) > 0.85
    before = Engine(watcher()).run(fresh.inputs["in"]).sum(1)
    assert np.mean(before.argmax(1) == fresh.targets) < 0.6


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = replace(FEW, window=11, held_out=0.25)
    expected = fit(task(), settings, whole)
    save = training._save

    def stop_after_first(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop_after_first)
    with pytest.raises(KeyboardInterrupt):
        fit(task(), settings, parts)
    monkeypatch.setattr(training, "_save", save)
    assert fit(task(), settings, parts, resume=True) == expected
    assert "held_out_accuracy" in expected[-1]
    for name in ("trained.nir", "history.json"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_another_seed_gives_another_network(tmp_path):
    fit(task(), FEW, tmp_path / "a")
    fit(task(), replace(FEW, seed=1), tmp_path / "b")
    assert (tmp_path / "a/trained.nir").read_bytes() != (tmp_path / "b/trained.nir").read_bytes()


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    one = replace(FEW, epochs=1)
    fit(task(), one, tmp_path)
    with pytest.raises(TrainingError, match="--resume goes on with it"):
        fit(task(), one, tmp_path)
    with pytest.raises(TrainingError, match=r"made with rate 0\.01, not 0\.5; choose another folder"):
        fit(task(), replace(one, rate=0.5), tmp_path, resume=True)
    with pytest.raises(TrainingError, match="made with free"):
        fit(task(free=("weights",)), one, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="made with data"):
        fit(task(movement(24, 5)), one, tmp_path, resume=True)
    assert len(fit(task(), FEW, tmp_path, resume=True)) == 3  # more epochs are no other training
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        fit(task(), one, tmp_path, resume=True)


def targets(loss, count):
    rng = np.random.default_rng(0)
    return {
        "cross_entropy": rng.integers(0, 3, count),
        "mse_rate": rng.uniform(0, 100, (count, 3)),
        "mse_voltage": rng.uniform(0, 0.4, (count, TICKS, 3)),
        "van_rossum": rng.random((count, TICKS, 3)) < 0.1,
    }[loss]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_becomes_smaller(loss):
    samples = Samples(movement(16).inputs, targets(loss, 16))
    readout = "classes" if loss == "mse_voltage" else None
    rows = fit(task(samples, loss, readout=readout), Settings(epochs=12, batch=16, rate=0.02))
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]


def test_the_van_rossum_distance_of_one_spike_too_many_is_half():
    given, wanted = torch.zeros(1, 2000, 1), torch.zeros(1, 2000, 1)
    given[0, 100] = 1.0
    assert float(Loss("van_rossum", 20e-3)(given, wanted, 1e-4)) == pytest.approx(0.5, rel=0.01)
    assert float(Loss("van_rossum")(given, given, 1e-4)) == 0.0


def test_a_task_may_draw_its_batches():
    def draw(epoch, generator):
        for _ in range(2):
            yield {"in": torch.rand(4, 10, CELLS, generator=generator).round()}, torch.randint(0, 3, (4,))

    rows = fit(Task(Mirror(watcher()), draw, Loss("cross_entropy")), replace(FEW, epochs=2))
    assert [row["epoch"] for row in rows] == [1, 2]


def test_a_loss_that_is_no_number_ends_the_training_and_says_so():
    samples = Samples(movement(8).inputs, np.full((8, 3), 1e30))
    with pytest.raises(TrainingError, match="the loss is inf: take a smaller rate"):
        fit(task(samples, "mse_rate"), FEW)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Settings(epochs=0), "epochs must be 1 or more, not 0"),
        (lambda: Settings(rate=-1.0), "rate must be a positive number"),
        (lambda: Settings(held_out=1.0), "held_out must be a share"),
        (lambda: fit(task(), Settings(held_out=0.99)), "leaves none to train on"),
        (lambda: Loss("hinge"), "loss 'hinge' must be one of"),
        (lambda: Loss("van_rossum", 0.0), "must be a positive time"),
        (lambda: task(Samples(movement(4).inputs, np.full(4, 3))), "must lie in 0 .. 2, for 3 outputs"),
        (lambda: task(Samples(movement(4).inputs, np.zeros(4))), "must be whole numbers"),
        (
            lambda: task(Samples(movement(4).inputs, np.zeros(4)), "mse_rate"),
            "numbers of shape .'samples', 3.",
        ),
        (lambda: task(free=()), "nothing in the graph is free"),
        (lambda: task(readout="nobody"), "there is no node 'nobody'"),
        (lambda: Samples({"in": np.zeros((2, 3, 1))}, np.zeros(1)), r"\[1, 2\] samples"),
        (lambda: Samples({"in": np.full((2, 3, 1), np.nan)}, np.zeros(2)), "NaN"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, what):
    with pytest.raises(ValueError, match=what) as caught:
        make()
    assert "\n" not in str(caught.value)


def files(folder):
    samples = movement(24)
    watcher().save(folder / "net.nir")
    np.savez(folder / "data.npz", inputs=samples.inputs["in"], targets=samples.targets)
    return [
        str(folder / "net.nir"),
        "--data",
        str(folder / "data.npz"),
        "--batch",
        "8",
        "--out",
        str(folder / "o"),
    ]


def test_train_snn_writes_a_graph_curves_and_a_page_and_goes_on_where_it_was(tmp_path, capsys):
    arguments = [
        "train",
        "snn",
        *files(tmp_path),
        "--free",
        "weights,tau,threshold,initial",
        "--held-out",
        "0.25",
    ]
    assert main([*arguments, "--epochs", "2"]) == 0
    assert main([*arguments, "--epochs", "3"]) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    assert main([*arguments, "--epochs", "3", "--resume"]) == 0
    out = tmp_path / "o"
    assert len(json.loads((out / "history.json").read_text())) == 3
    Engine(Network.load(out / "trained.nir"))
    page = (out / "training.html").read_text()
    assert "Training of net.nir" in page
    assert page.count("<polyline") >= 5
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing to load from elsewhere


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        (["--free", "weight"], "'weight' must be one of"),
        (["--surrogate", "box"], "surrogate 'box' must be one of"),
        (["--loss", "mse_rate"], "targets of mse_rate must be"),
        (["--dt", "0"], "dt must be a positive time"),
        (["--data", "none.npz"], "none.npz"),
    ],
)
def test_train_snn_says_in_one_line_what_is_wrong(tmp_path, capsys, extra, what):
    assert main(["train", "snn", *files(tmp_path), *extra]) == 2
    error = capsys.readouterr().err
    assert what in error
    assert error.count("\n") == 1
