"""Tuning: what is maximised, what is written, and a search that goes on where it stopped."""

import argparse
from types import SimpleNamespace

import pytest
import yaml

from hybrid_control.bringup.parameter_files import read_parameters
from hybrid_control.cli import nav as commands
from hybrid_control.cli import tune as tune_command
from hybrid_control.navigation.bench import tune
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.bench.tuned import baseline_settings
from hybrid_control.navigation.bench.workers import Workers
from hybrid_control.navigation.reflex.gains import GAINS


def call(*arguments):
    parser = argparse.ArgumentParser()
    tune_command.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["tune", *map(str, arguments)])
    return args.run(args)


def trial(number, value, **params):
    return SimpleNamespace(number=number, value=value, params=params)


def test_what_is_tuned_are_gains_within_their_limits():
    limits = {p.name: (p.low, p.high) for p in GAINS}
    for name, (low, high) in tune.GAIN_SPACE.items():
        assert limits[name][0] <= low < high <= limits[name][1]


def test_every_baseline_takes_what_is_tuned_of_it():
    for policy, space in tune.SPACES.items():
        first = tune.defaults(policy, Setup(rules="barn"))
        assert set(first) == set(space)
        setup = Setup(rules="barn", level="kinematic").with_values(policy, first)
        Harness(setup).driver(policy)


def test_a_contact_costs_more_than_any_success_is_worth_and_a_near_miss_a_little():
    won = {"score": 0.5, "contact": False, "minimum_distance": 0.2}
    struck = {"score": 0.0, "contact": True, "minimum_distance": 0.06}
    near = {"score": 0.5, "contact": False, "minimum_distance": 0.03}
    open_world = {"score": 0.5, "contact": False, "minimum_distance": None}
    assert tune.value([won, won, open_world]) == 0.5
    assert tune.value([won, struck]) == pytest.approx(-0.25)  # (0.5 + 0 - 1) / 2
    assert tune.value([near]) == pytest.approx(0.45)  # half way to a touch: half of 0.1


def test_the_file_of_gains_is_a_parameter_file_that_says_how_it_was_made(tmp_path):
    file = tmp_path / "g.yaml"
    file.write_text(tune.parameter_file("hybrid", {"goal_gain": 2.0, "clearance": 0.05}, ["made so"]))
    assert file.read_text().startswith("# made so\n")
    assert yaml.safe_load(file.read_text())
    assert read_parameters(file)["reflex_node"]["goal_gain"] == 2.0
    assert commands.reflex_gains(file) == {"goal_gain": 2.0, "clearance": 0.05}


def test_the_gain_that_the_value_follows_matters_most():
    study = SimpleNamespace(
        trials=[trial(i, i * i, a=float(i), b=float(b)) for i, b in enumerate([3, 0, 4, 1, 2])]
        + [trial(9, None)]
    )
    weights = tune.importances(study)
    assert list(weights) == ["a", "b"]
    assert weights["a"] == pytest.approx(1.0)
    # ranks 3 0 4 1 2 against 0 1 2 3 4: covariance sum (3-2)(-2) + (-2)(-1) + 0 + (-1)(1) + 0 = -1, over 10
    assert weights["b"] == pytest.approx(0.1)


def test_a_file_of_baselines_comes_back_and_mistakes_in_it_are_named(tmp_path):
    file = tmp_path / "b.yaml"
    file.write_text(tune.parameter_file("vfh", {"reach": 2.5, "max_speed": 1.0}, ["made so"]))
    assert baseline_settings(file) == {"vfh": {"reach": 2.5, "max_speed": 1.0}}
    for text, reason in (
        ("vfh: {speed: 1}", "no setting 'speed'"),
        ("tank: {}", "'tank' is no baseline"),
        ("vfh: {reach: far}", "'far' is no number"),
        ("[1, 2]", "expected a mapping"),
        ("a: [", "not YAML"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=reason):
            baseline_settings(file)


def test_a_baselines_own_speed_limit_holds():
    (scene,) = load_scenes("open")
    slow = Setup(rules="barn", level="kinematic", settings={"straight": {"max_speed": 0.5}})
    row = Harness(slow).run("straight", scene, 0, 0)
    assert row["success"]
    assert row["path"] / row["time"] < 0.5


def test_rows_of_a_set_are_the_same_from_one_process_and_from_two():
    scenes = load_scenes("open:2")
    setup = Setup(rules="barn", level="kinematic", duration=3.0)
    values = {"max_speed": 1.3}
    tasks = [("straight", i, 0) for i in range(2)]
    with Workers(setup, scenes) as one, Workers(setup, scenes, 2) as two:
        here, there = (sorted(w.rows(tasks, values), key=lambda row: row["index"]) for w in (one, two))
        assert here == there


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--policy", "planner"), "nothing of 'planner'"),
        (("--sampler", "dice"), "unknown sampler"),
        (("--finalists", "0"), "--finalists"),
        (("--duration", "nan"), "--duration"),
        (("--budget", "0"), "--budget"),
        (("--out", "x.json"), "--out"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        call("--out", tmp_path / "g.yaml", *arguments)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_search_writes_its_gains_and_goes_on_where_it_stopped(tmp_path, sampler):
    pytest.importorskip("optuna")
    pytest.importorskip("cmaes")
    asked = ("--worlds", "open:1", "--policy", "reflex", "--rules", "barn", "--out", tmp_path / "g.yaml",
             "--level", "kinematic", "--finalists", 1, "--sampler", sampler)  # fmt: skip
    assert call(*asked, "--budget", 2) == 0
    assert call(*asked, "--budget", 4) == 0
    assert set(commands.reflex_gains(tmp_path / "g.yaml")) <= set(tune.GAIN_SPACE)
    assert (tmp_path / "g.png").stat().st_size > 1000
    text = (tmp_path / "g.yaml").read_text()
    assert text.startswith("# hybrid-control tune")
    assert "4 sets" in text
    with pytest.raises(ValueError, match="other worlds or options"):
        call(*asked, "--budget", 5, "--seed", 9)
