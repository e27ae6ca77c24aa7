"""Parameters: types, ranges, hints, tables; and the command line as a whole."""

import math
from pathlib import Path

import pytest

from hybrid_control.cli import main
from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.parameters import Parameter, ParameterError, check_all, table

SPEED = Parameter("max_speed", 1.0, "m/s", "fastest", 0.0, 5.0, live=True)
SEED = Parameter("seed", 0, "", "seed", 0, 99)
MODE = Parameter("mode", "goal", "", "what to do", choices=("goal", "stop"))
ALL = (SPEED, SEED, MODE)


@pytest.mark.parametrize(("parameter", "value"), [(SPEED, 0.0), (SPEED, 5.0), (SEED, 99), (MODE, "stop")])
def test_what_is_in_range_is_taken(parameter, value):
    assert parameter.check(value) == value


def test_a_whole_number_does_for_a_real_one_but_not_the_other_way_round():
    assert isinstance(SPEED.check(2), float)
    with pytest.raises(ParameterError, match=r"seed: 2.0 is a float, expected int"):
        SEED.check(2.0)
    with pytest.raises(ParameterError, match="seed: True is a bool, expected int"):
        SEED.check(True)


@pytest.mark.parametrize("value", [-0.1, 5.1, math.nan, math.inf])
def test_what_is_out_of_range_is_named_with_range_and_unit(value):
    with pytest.raises(ParameterError, match=r"max_speed: .* is out of range, expected 0 .. 5 m/s"):
        SPEED.check(value)


def test_an_unknown_name_is_answered_with_the_nearest_one_and_the_file():
    with pytest.raises(
        ParameterError, match=r"robot.yaml: unknown parameter 'max_sped'; did you mean 'max_speed'\?"
    ):
        check_all(ALL, {"max_sped": 1.0}, where="robot.yaml")
    with pytest.raises(ParameterError, match="known are max_speed, seed, mode"):
        check_all(ALL, {"zzz": 1.0})


def test_defaults_fill_what_is_not_given():
    assert check_all(ALL, {"mode": "stop"}) == {"max_speed": 1.0, "seed": 0, "mode": "stop"}


def test_the_table_has_a_row_for_each_with_unit_and_range():
    rows = table(ALL).splitlines()
    assert len(rows) == 2 + len(ALL)
    assert rows[2] == "| `max_speed` | 1 | m/s | 0 .. 5 | yes | fastest |"
    assert "goal or stop" in rows[4]


def test_every_command_has_help_and_a_mistake_is_one_line(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    commands = capsys.readouterr().out
    for name in ("sim", "doctor", "params", "snn", "bench", "planner", "train", "firmware"):
        assert f"    {name} " in commands
    assert main(["params", "--node", "nobody"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "unknown node 'nobody', known are" in error
    assert main(["params", "no_such_file.yaml"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_tables_of_all_nodes_are_printed(capsys):
    assert main(["params"]) == 0
    text = capsys.readouterr().out
    for name in ("planner_node", "reflex_node", "planner_gain", "without_planner"):
        assert name in text


def test_readme_and_docs_hold_the_tables_that_the_code_makes(capsys):
    root = Path(__file__).parents[2]
    assert table(GAINS) in (root / "README.md").read_text()
    main(["params"])
    printed = capsys.readouterr().out.strip()
    assert printed in (root / "docs/parameters.md").read_text(), "hybrid-control params makes docs/parameters.md anew"
