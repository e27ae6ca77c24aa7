"""CoLaNET: the compiled kernel is the equations to the bit; the classifier's methods; files."""

import json
import os
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from plain_colanet import Plain

from hybrid_control.colanet import ACTIVATIONS, MNIST, CoLaNET, Settings, kernel, load, save, state

# of few inputs, so that what is fired by a hundred of the published sets is fired by a dozen
SMALL = Settings(
    microcolumns=3, tau=3.0, t_dopamine=10, dopamine=0.4, anti_hebbian=-0.35, stability=0.3, w_min=-1.0, w_max=2.5,
    n_silent=5, kappa=0.12, noise=2.0, saturation=1.0,
)  # fmt: skip


def samples(count, inputs=14, classes=3, seed=0, spread=0.15):
    """Noisy copies of a pattern per class; values are fortieths, so that spike trains are known exactly."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(99).random((classes, inputs))
    labels = rng.integers(0, classes, count)
    values = np.clip(means[labels] + spread * rng.standard_normal((count, inputs)), 0, 1.2)
    return np.rint(values * 40).astype(int), labels


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"winners": "all"}, {"stability_rule": "three-factor"}, {"tau": 5.0, "t_dopamine": 3, "isi_max": 1},
        {"w_max": 6.0, "isi_max": 2}, {"tau": 1.0, "w_max": 20.0, "kappa": 0.01},
        {"noise": 9.0, "winners": "all", "isi_max": 3},
        {"foreign": 0.25}, {"foreign": 0.0, "isi_max": 1, "winners": "all"},
    ],
)  # fmt: skip
def test_colanet_kernel_is_the_equations_to_the_bit(changes):
    settings = replace(SMALL, **changes)
    values, labels = samples(60)
    network = CoLaNET(settings, copies=2, seed=5).partial_fit(np.zeros((0, 14)), [], classes=[0, 1, 2])
    plain = Plain(settings, 14, 3, 2, 5)
    for row, label in zip(values, labels, strict=True):
        network.learn(row / 40, int(label))
        plain.learn([min(Fraction(int(v), 40), Fraction(1)) for v in row], int(label))
    now = network.snapshot()
    for copy, columns in enumerate(plain.copies):
        neurons = [neuron for column in columns for neuron in column]
        assert np.array_equal(now.resource[copy], [n.W for n in neurons])
        assert np.array_equal(now.stability[copy], [n.s for n in neurons])
        assert np.array_equal(now.free[copy], [n.free for n in neurons])
    assert now.resource.std() > 0.1
    fresh, _ = samples(20, seed=1)
    expected = [plain.decide([min(Fraction(int(v), 40), Fraction(1)) for v in row]) for row in fresh]
    assert np.array_equal(network.decision_function(fresh / 40), expected)
    assert np.max(expected) > 0


@pytest.mark.parametrize("inputs", [14, 15])
def test_colanet_copies_that_turn_their_values_are_the_equations_to_the_bit(inputs):
    settings = replace(SMALL, turns=3, low=0.1, high=1.5, saturation=2.0)
    values, labels = samples(50, inputs)
    values = ((values - 20) / 15).astype(np.float32)
    network = CoLaNET(settings, copies=3, seed=5).partial_fit(values[:0], [], classes=[0, 1, 2])
    plain = Plain(settings, inputs, 3, 3, 5)
    for row, label in zip(values, labels, strict=True):
        network.learn(row, int(label))
        plain.learn(row, int(label))
    now = network.snapshot()
    assert now.resource.shape == (3, 9, 2 * inputs)
    for copy, columns in enumerate(plain.copies):
        neurons = [neuron for column in columns for neuron in column]
        assert np.array_equal(now.resource[copy], [n.W for n in neurons])
        assert np.array_equal(now.stability[copy], [n.s for n in neurons])
    assert now.resource.std() > 0.1
    expected = [plain.decide(row) for row in values[:20]]
    assert np.array_equal(network.decision_function(values[:20]), expected)
    assert np.max(expected) > 0


def test_colanet_turns_keep_lengths_and_mix_2_to_the_turns_values_in_each():
    batch = state.new_batch(replace(SMALL, turns=3), 2, 64, 7)
    numbers = state.numbers_of(replace(SMALL, turns=3, low=0.0, high=1.0), 128, 7)
    mixed = []
    for copy in range(2):
        rows = []
        for place in range(64):
            kernel.see(np.eye(64, dtype=np.float32)[place], copy, 0, numbers, batch)
            rows.append(batch.values.copy())
        assert np.allclose(np.array(rows) @ np.array(rows).T, np.eye(64), atol=1e-6)
        mixes = (np.array(rows) != 0).sum(0)  # less than 8 where two met before
        assert mixes.max() == 8
        assert mixes.mean() > 7
        mixed.append(rows)
    assert not np.array_equal(*mixed)


def test_colanet_that_turns_takes_values_below_0_and_comes_back_from_its_file_and_snapshot(tmp_path):
    values, labels = samples(150)
    values = (values - 20) / 15
    network = CoLaNET(replace(SMALL, turns=4), copies=3, seed=2).fit(values, labels)
    save(network, tmp_path / "a.npz")
    other, _ = load(tmp_path / "a.npz")
    assert (other.settings, other.n_features_in_) == (network.settings, 14)
    assert np.array_equal(other.decision_function(values), network.decision_function(values))
    fresh = CoLaNET(network.settings, copies=3, seed=2)
    fresh.restore(network.snapshot())
    assert np.array_equal(fresh.decision_function(values), network.decision_function(values))
    whole = CoLaNET(network.settings, copies=3, seed=2)
    for part in (labels < 2, labels == 2):  # a class that comes later
        whole.partial_fit(values[part], labels[part])
    assert whole.score(values, labels) > 0.9


def learnt(count=300, copies=3, seed=0, **changes):
    values, labels = samples(count)
    return CoLaNET(replace(SMALL, **changes), copies=copies, seed=seed).fit(values, labels * 10)


@pytest.fixture(scope="module")
def network():
    values, labels = samples(400)
    return CoLaNET(SMALL, copies=5).fit(values / 40, [f"class {label}" for label in labels])


def test_colanet_learns_in_one_pass(network):
    values, labels = samples(300, seed=1)
    assert network.score(values / 40, [f"class {label}" for label in labels]) > 0.9
    assert network.predict(values[0] / 40) == f"class {labels[0]}"
    assert isinstance(network.predict(values[0] / 40), str)
    out = network.decision_function(values / 40)
    assert out.shape == (300, 3)
    assert np.array_equal(out, np.rint(out))


def test_colanet_same_seed_gives_the_same_bits_however_the_samples_are_handed_over():
    values, labels = samples(100)
    whole = CoLaNET(SMALL, copies=2, seed=4).fit(values / 40, labels)
    single = CoLaNET(SMALL, copies=2, seed=4)
    for row, label in zip(values, labels, strict=True):
        single.learn(row / 40, int(label))
    other = CoLaNET(SMALL, copies=2, seed=5).fit(values / 40, labels)
    assert list(single.classes_) == list(whole.classes_)
    assert np.array_equal(whole.snapshot().resource, single.snapshot().resource)
    assert not np.array_equal(whole.snapshot().resource, other.snapshot().resource)
    copies = whole.snapshot().resource
    assert not np.array_equal(copies[0], copies[1])


def test_colanet_shuffled_copies_each_learn_every_sample_once_in_an_order_of_their_own():
    values, labels = samples(300)
    quiet = replace(SMALL, noise=0.0)  # nothing else makes the copies differ
    same = CoLaNET(quiet, copies=2).fit(values / 40, labels).snapshot().resource
    assert np.array_equal(same[0], same[1])
    own = [CoLaNET(quiet, copies=2, seed=3).fit(values / 40, labels, shuffle=True) for _ in range(2)]
    resource = own[0].snapshot().resource
    assert not np.array_equal(resource[0], resource[1])
    assert np.array_equal(resource, own[1].snapshot().resource)
    for order in own[0]._orders(256, True):
        assert np.array_equal(np.sort(order), np.arange(256))


def test_colanet_prediction_changes_nothing_and_is_the_same_twice(network):
    before = network.snapshot()
    values, _ = samples(50, seed=2)
    first = network.decision_function(values / 40)
    assert np.array_equal(first, network.decision_function(values / 40))
    assert np.array_equal(first[::-1], network.decision_function(values[::-1] / 40))
    assert np.array_equal(before.resource, network.snapshot().resource)


def test_colanet_new_class_comes_at_any_time_and_leaves_what_was_learnt():
    values, labels = samples(400, classes=4)
    known = labels < 3
    network = CoLaNET(SMALL, copies=3).fit(values[known] / 40, labels[known])
    before, classes = network.snapshot(), list(network.classes_)
    fresh, truth = samples(200, classes=4, seed=1)
    network.partial_fit(values[labels == 3][:20] / 40, labels[labels == 3][:20])
    assert list(network.classes_) == [*classes, 3]
    assert network.score(fresh[truth == 3] / 40, truth[truth == 3]) > 0.9
    network.partial_fit(values[200:] / 40, labels[200:])
    assert network.score(fresh / 40, truth) > 0.85
    network.restore(before)
    assert list(network.classes_) == classes
    assert np.array_equal(network.snapshot().resource, before.resource)


def test_colanet_goes_on_from_a_snapshot_and_from_a_file_as_if_it_had_never_stopped(tmp_path):
    values, labels = samples(200)
    network = CoLaNET(SMALL, copies=2).fit(values[:100] / 40, labels[:100])
    moment = network.snapshot()
    save(network, tmp_path / "a.npz", {"scale": np.arange(14.0)})
    other, extra = load(tmp_path / "a.npz")
    assert np.array_equal(extra["scale"], np.arange(14.0))
    assert (other.settings, other.copies, other.seed) == (SMALL, 2, 0)
    results = []
    for one in (network, other):
        one.partial_fit(values[100:] / 40, labels[100:])
        results.append((one.snapshot().resource, one.decision_function(values / 40)))
    network.restore(moment)
    network.partial_fit(values[100:] / 40, labels[100:])
    results.append((network.snapshot().resource, network.decision_function(values / 40)))
    for result in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(result, results[0], strict=True))


X = np.full((2, 14), 0.5)


@pytest.mark.parametrize(
    ("rows", "labels", "words"),
    [
        (X[:, :5], [0, 1], "5 inputs: this classifier has learnt with 14"),
        (X[0], [0], "inputs of shape"),
        (np.where(np.arange(14) == 3, np.nan, X), [0, 1], "input 3 of sample 0 is nan"),
        (np.where(np.arange(14) == 3, -0.25, X), [0, 1], "input 3 of sample 0 is -0.25: expected 0 or more"),
        (np.full((1, 14), 1e300), [0], "inf: expected a finite number"),
        ([["a"] * 14], [0], "expected numbers"),
        ([[1.0], [1.0, 2.0]], [0, 1], "as many for every sample"),
        (X, [0], "1 labels for 2 samples"),
        (X, [0, 1.5], "label 1.5: expected a whole number or text"),
        (X, [True, False], "label True"),
        (X, [0, "a"], "labels of two kinds"),
        (X, [0, 1 << 70], "of 64 bits"),
    ],
)
def test_colanet_bad_samples_are_refused_in_one_line_and_nothing_is_learnt(rows, labels, words):
    values, truth = samples(20)
    network = CoLaNET(SMALL).fit(values / 40, truth)
    before = network.snapshot()
    with pytest.raises(ValueError, match=words) as error:
        network.partial_fit(rows, labels)
    assert "\n" not in str(error.value)
    after = network.snapshot()
    assert before.labels == after.labels
    assert np.array_equal(before.resource, after.resource)


def test_colanet_answer_without_a_spike_counts_as_none_where_only_spoken_ones_count():
    values, labels = samples(200)
    silent = CoLaNET(replace(SMALL, kappa=50.0), copies=3).fit(values / 40, labels)
    assert not silent.decision_function(values / 40).any()
    assert silent.score(values / 40, labels, spoken=True) == 0 < silent.score(values / 40, labels)


def test_colanet_that_has_learnt_nothing_says_so():
    for call in (lambda: CoLaNET().predict(X), lambda: CoLaNET().snapshot()):
        with pytest.raises(ValueError, match="nothing has been learnt yet"):
            call()


def test_colanet_too_many_synapses_are_refused_before_they_are_made():
    with pytest.raises(ValueError, match="at most"):
        CoLaNET(ACTIVATIONS, copies=256).partial_fit(np.zeros((2, 60_000)), [0, 1], classes=range(1000))


def head_of(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def spoil(change):
    def spoilt(arrays):
        head = json.loads(str(arrays["head"]))
        change(head)
        return arrays | {"head": np.array(json.dumps(head))}

    return spoilt


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda a: {k: v for k, v in a.items() if k != "free"},
        lambda a: a | {"resource": a["resource"][:, :-1]},
        lambda a: a | {"resource": a["resource"].astype(np.float64)},
        lambda a: a | {"stability": np.full_like(a["stability"], np.nan)},
        lambda a: a | {"head": np.array("{}")},
        lambda a: a | {"head": np.array("[" * 5000)},
        lambda a: a | {"head": np.zeros(3)},
        spoil(lambda h: h.update(version=2)),
        spoil(lambda h: h.update(copies=0)),
        spoil(lambda h: h.update(copies=10**6)),
        spoil(lambda h: h.update(seed="x")),
        spoil(lambda h: h.update(samples=-1)),
        spoil(lambda h: h.update(labels=[0, 0, 1])),
        spoil(lambda h: h.update(labels=[0, "a", 1])),
        spoil(lambda h: h.update(labels=7)),
        spoil(lambda h: h.update(labels=[[], 1, 2])),
        spoil(lambda h: h["settings"].update(tau=0)),
        spoil(lambda h: h["settings"].update(tau="x")),
        spoil(lambda h: h["settings"].update(strange=1)),
        spoil(lambda h: h.update(settings=None)),
    ],
)
def test_colanet_foreign_files_are_refused_in_one_line(tmp_path, network, spoilt):
    save(network, tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **spoilt(head_of(tmp_path / "a.npz")))
    with pytest.raises(ValueError, match=r"b\.npz: not a CoLaNET: ") as error:
        load(tmp_path / "b.npz")
    assert "\n" not in str(error.value)


def refusal(path):
    try:
        load(path)
    except ValueError as error:
        return str(error)
    return None


def test_colanet_damaged_file_is_refused_or_read_whole_wherever_it_is_cut_or_changed(tmp_path, network):
    save(network, tmp_path / "a.npz")
    content = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        place = int(rng.integers(len(content)))
        bad = content[:place] if rng.random() < 0.5 else content[:place] + b"\xff\x00" + content[place + 2 :]
        (tmp_path / "b.npz").write_bytes(bad)
        said = refusal(tmp_path / "b.npz")
        assert said is None or (said.startswith(f"{tmp_path / 'b.npz'}: ") and "\n" not in said)


def test_colanet_file_is_written_whole_or_not_at_all(tmp_path, network, monkeypatch):
    save(network, tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(learnt(), tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]


def test_colanet_published_sets_are_those_of_the_papers():
    assert (MNIST.microcolumns, MNIST.dopamine, MNIST.anti_hebbian, MNIST.saturation) == (
        20,
        0.18,
        -0.177,
        255,
    )
    assert (ACTIVATIONS.microcolumns, ACTIVATIONS.t_dopamine, ACTIVATIONS.w_max) == (7, 15, 1.714)


def test_colanet_column_keeps_what_it_has_learnt_while_others_learn_where_foreign_is_0():
    values, labels = samples(400, classes=2, spread=0.1)
    first, other = (values[labels == k] / 40 for k in (0, 1))
    changes = {}
    for foreign in (0.0, 0.3, 1.0):
        network = CoLaNET(replace(SMALL, foreign=foreign), copies=3).partial_fit(first, [0] * len(first))
        before = network.snapshot().resource
        network.partial_fit(other, [1] * len(other))
        after = network.snapshot().resource[:, : before.shape[1]]
        changes[foreign] = float(np.abs(after - before).max())
    assert changes[0.0] < 1e-4
    assert 0.01 < changes[0.3] < changes[1.0]
