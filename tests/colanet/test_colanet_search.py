"""The genetic search: its ranges, what decides, that it is resumed, and what `train` takes of it."""

import json
import random
import re
import sys

import numpy as np
import pytest
from test_colanet_pictures import contents, write_encoder, write_zip

from hybrid_control.cli import main
from hybrid_control.colanet import ONE_BY_ONE, PICTURES, Settings, load
from hybrid_control.colanet import search as s

TINY = s.Plan(population=4, generations=2, copies=1, folds=2)


def problem(seed=0, count=40):
    """Features (count, 12) of four classes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.array([f"c{k % 4}" for k in range(count)])
    means = np.random.default_rng(7).gamma(0.5, 1.0, (4, 12))
    values = means[np.arange(count) % 4] * rng.gamma(4.0, 0.25, (count, 12))
    return values.astype(np.float32), labels


def test_colanet_search_genes_reach_the_ends_of_the_published_ranges():
    low, high = s.settings_of((0.0,) * len(s.RANGES)), s.settings_of((1.0,) * len(s.RANGES))
    assert (low.microcolumns, low.dopamine, low.anti_hebbian) == (1, 0.003, pytest.approx(-0.3 * 0.003))
    assert (low.stability, low.w_min, low.w_max, low.n_silent) == (0.0003, -0.003, 0.03, 1)
    assert (low.kappa, low.noise, low.foreign) == (0.001, 0.001, 0)
    assert (high.microcolumns, high.dopamine, high.anti_hebbian) == (30, 1, -1.3)
    assert (high.stability, high.w_min, high.w_max, high.n_silent) == (1, -3, 3, 3000)
    assert (high.kappa, high.noise, high.foreign) == (0.3, 3, 1)


def test_colanet_search_begins_with_the_settings_of_every_day():
    nearest = s.settings_of(s.genes_of(PICTURES))
    for name in ("microcolumns", "tau", "n_silent", "saturation"):
        assert getattr(nearest, name) == getattr(PICTURES, name)
    for name in s.RANGES:
        assert getattr(nearest, name) == pytest.approx(getattr(PICTURES, name), rel=0.01)


def test_colanet_search_learns_the_scale_and_the_classes_without_what_is_tested():
    x, y = problem()
    tasks = s.tasks_of(x, y, TINY)
    assert [len(t.y) + len(t.test_y) for t in tasks] == [40, 40]
    changed = x.copy()
    changed[s.folds_of(y, 2, TINY.seed) == 0] += 1.0
    assert np.array_equal(s.tasks_of(changed, y, TINY)[0].x, tasks[0].x)
    assert not np.array_equal(s.tasks_of(changed, y, TINY)[0].test_x, tasks[0].test_x)


def test_colanet_search_values_the_order_that_is_asked_for():
    x, y = problem()
    values = {}
    for order in s.ORDERS:
        plan = s.Plan(copies=1, folds=2, order=order)
        values[order] = s.value_of(PICTURES, s.tasks_of(x, y, plan), plan)
    assert values["both"] == pytest.approx((values["mixed"] + values["by-class"]) / 2)


def test_colanet_search_finds_the_same_again_and_with_more_jobs_and_leaves_random_numbers_alone(tmp_path):
    pytest.importorskip("deap")
    x, y = problem()
    random.seed(5)
    before = random.getstate()
    one = s.search(x, y, TINY, tmp_path / "a.json")
    assert random.getstate() == before
    assert one == s.search(x, y, TINY, tmp_path / "b.json", jobs=2)
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())
    tasks = s.tasks_of(x, y, TINY)
    assert one.value == s.value_of(one.settings, tasks, TINY)
    assert one.value >= s.value_of(s.settings_of(s.genes_of(PICTURES)), tasks, TINY)


def test_colanet_search_that_was_interrupted_ends_as_it_would_have_and_tries_nothing_twice(
    tmp_path, monkeypatch
):
    pytest.importorskip("deap")
    x, y = problem()
    whole = s.search(x, y, TINY, tmp_path / "whole.json")
    calls, value_of = [], s.value_of

    def counted(*arguments):
        calls.append(arguments[0])
        if len(calls) == 6:
            raise KeyboardInterrupt
        return value_of(*arguments)

    monkeypatch.setattr(s, "value_of", counted)
    with pytest.raises(KeyboardInterrupt):
        s.search(x, y, TINY, tmp_path / "part.json")
    assert len(json.loads((tmp_path / "part.json").read_text())["tried"]) == 5
    told = []
    again = s.search(x, y, TINY, tmp_path / "part.json", progress=lambda *words: told.append(words))
    assert again == whole
    assert len(calls) == whole.tried + 1  # the one that was interrupted
    assert told[-1] == (whole.tried, whole.value)
    assert [file.name for file in tmp_path.iterdir() if "unfinished" in file.name] == []


def test_colanet_search_goes_on_with_more_generations_and_refuses_the_state_of_another(tmp_path):
    pytest.importorskip("deap")
    x, y = problem()
    state = tmp_path / "a.json"
    first = s.search(x, y, s.Plan(4, 0, 1, 2), state)
    assert s.search(x, y, TINY, state).tried > first.tried
    with pytest.raises(ValueError, match="another search"):
        s.search(x + 1, y, TINY, state)
    for text in ("{}", '{"format": "hybrid_control CoLaNET search", "version": 1}', "[", "3"):
        state.write_text(text)
        with pytest.raises(ValueError, match=re.escape(str(state))) as refused:
            s.search(x, y, TINY, state)
        assert "\n" not in str(refused.value)


def test_colanet_search_says_that_it_needs_deap(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deap", None)
    with pytest.raises(ValueError, match=r"pip install '\.\[search\]' in the repository"):
        s.search(*problem(), TINY, tmp_path / "a.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"population": 1}, "population 1"), ({"folds": 1}, "folds 1"), ({"order": "any"}, "order 'any'")],
)
def test_colanet_search_plans_that_cannot_be_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        s.Plan(**changes)


def test_colanet_settings_of_a_file_are_those_that_were_written_and_others_are_refused(tmp_path):
    file = tmp_path / "settings.json"
    s.write_settings(file, s.Found(Settings(microcolumns=3, foreign=0.5), 0.9, 12), {"pictures": 4})
    assert s.read_settings(file) == Settings(microcolumns=3, foreign=0.5)
    good = json.loads(file.read_text())
    for change in ({"version": 2}, {"settings": {"m": 1}}, {"settings": {"tau": "1"}}, {"settings": 3}):
        file.write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=re.escape(str(file))) as refused:
            s.read_settings(file)
        assert "\n" not in str(refused.value)


def test_colanet_search_command_leaves_the_part_test_out_and_train_takes_its_settings(tmp_path, capsys):
    pytest.importorskip("deap")
    encoder = write_encoder(tmp_path / "encoder.onnx")
    files, out = contents(("train/", "test/"), 8), tmp_path / "settings.json"
    place = write_zip(tmp_path / "a.zip", files)
    options = ["--encoder", str(encoder), "--out", str(out), "--population", "3", "--generations", "1"]
    command = ["colanet", "search", str(place), *options, "--copies", "1", "--folds", "2"]
    assert main(command) == 0
    assert "sets; the best recognises" in capsys.readouterr().out
    said = json.loads(out.read_text())
    assert said["pictures"] == 24
    write_zip(place, {name: c for name, c in files.items() if name.startswith("train/")})
    out.unlink()
    assert main(command) == 0  # the same data, though the part test is gone: the state is taken
    assert json.loads(out.read_text()) == said
    known = tmp_path / "known.npz"
    train = ["colanet", "train", str(place), "--encoder", str(encoder), "--out", str(known), "--copies", "2"]
    assert main([*train, "--settings", str(out)]) == 0
    assert load(known)[0].settings == s.read_settings(out)
    assert main([*train, "--settings", "one-by-one"]) == 0
    assert load(known)[0].settings == ONE_BY_ONE
    assert main([*train, "--settings", str(out), "--from", str(known)]) != 0
    assert "--settings" in capsys.readouterr().err
