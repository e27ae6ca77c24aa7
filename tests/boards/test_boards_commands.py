"""`hybrid-control boards` on the command line."""

from pathlib import Path

import pytest

from hybrid_control.cli import main
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.snn import Network


def test_boards_lists_what_is_reachable_and_that_nothing_was_tried(capsys) -> None:
    assert main(["boards"]) == 0
    text = capsys.readouterr().out
    assert "spinnaker" in text
    assert "loihi" in text
    assert text.count("never tried on hardware") == 2
    assert main(["boards", "list"]) == 0


def test_boards_export_writes_a_script_and_its_numbers(tmp_path: Path, capsys) -> None:
    build_network().save(tmp_path / "a.nir")
    out = tmp_path / "b.py"
    assert (
        main(["boards", "export", "--target", "spinnaker", str(tmp_path / "a.nir"), "--out", str(out)]) == 0
    )
    assert "never run on a board" in capsys.readouterr().out
    assert out.is_file()
    assert out.with_suffix(".npz").is_file()


@pytest.mark.parametrize("target", ["spinnaker", "loihi"])
def test_boards_check_reports_what_quantisation_does(target: str, capsys) -> None:
    assert main(["boards", "check", "--target", target, "--seconds", "0.2"]) == 0
    text = capsys.readouterr().out
    assert "never tried on hardware" in text
    assert "same spikes" in text
    assert "ring" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--target", "spinnaker", "/nowhere.nir"], "nowhere.nir"),
        (["export", "--target", "spinnaker", "--out", "x.txt"], "ends with .py"),
        (["check", "--target", "loihi", "--seconds", "0"], "--seconds 0"),
    ],
)
def test_boards_mistakes_are_one_line(arguments: list[str], words: str, capsys) -> None:
    assert main(["boards", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_boards_export_of_what_a_board_can_not_run_says_why_and_the_nearest_thing(
    tmp_path: Path, capsys
) -> None:
    import nir

    net = Network()
    net.add_input("x", 1)
    net.add_population("n", nir.IF, 1)
    net.connect("x", "n", [[1.0]])
    net.add_output("out", "n")
    net.save(tmp_path / "if.nir")
    assert (
        main(
            [
                "boards",
                "export",
                "--target",
                "spinnaker",
                str(tmp_path / "if.nir"),
                "--out",
                str(tmp_path / "o.py"),
            ]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert "IF" in error
    assert "nearest" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kill-board-at", "5"], "--kill-board-at"),
        (["--backend", "spinnaker", "--composed"], "--backend"),
        (["--backend", "spinnaker", "--real-time-factor", "2"], "--backend"),
    ],
)
def test_boards_sim_refuses_what_can_not_be(arguments: list[str], words: str, capsys) -> None:
    assert main(["sim", *arguments]) == 2
    assert words in capsys.readouterr().err
