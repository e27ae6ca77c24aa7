import argparse
import importlib.util

import pytest

from hybrid_control.cli.train import add_commands
from hybrid_control.navigation.planner import contract


def run(*words):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args([str(w) for w in words])
    return arguments.run(arguments)


def test_info_shows_what_a_model_is(make_model, capsys):
    assert run("planner", "info", make_model()) == 0
    shown = capsys.readouterr().out
    for line in ("keeps contract 1", "input     image uint8 (1, 12, 16, 3)", "rates     0 .. 200 Hz"):
        assert line in shown


def test_info_names_the_breach(make_model):
    with pytest.raises(contract.ContractError, match="input 'goal' is missing"):
        run("planner", "info", make_model(goal=None))


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
def test_training_without_torch_says_what_to_install(tmp_path):
    with pytest.raises(ValueError, match="torch is not installed: pip install"):
        run("train", "planner", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_training_refuses_an_impossible_plan(tmp_path):
    with pytest.raises(ValueError, match="must be 1 or more"):
        run("train", "planner", "--out", tmp_path / "out", "--worlds", 0)
    assert not (tmp_path / "out").exists()
