"""The command lines of the benches of learning: each says what it wants, and in one line what was wrong."""

import io
import json
import runpy
import sys
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hybrid_control.bench.hand_over import picture

PLAIN = ("conversion.measure", "hand_over.picture", "mackey_glass.report", "arm.files", "steering", "colanet.converted")
WITH_TORCH = (
    "conversion.train", "conversion.peers", "mackey_glass.train", "hand_over.train", "hand_over.measure",
)  # fmt: skip


def start(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.delitem(sys.modules, f"hybrid_control.bench.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"hybrid_control.bench.{name}", run_name="__main__")
    return ended.value.code


def gives_help(name, monkeypatch, capsys):
    assert start(monkeypatch, name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m hybrid_control.bench.{name} [-h]")


@pytest.mark.parametrize("name", PLAIN)
def test_learning_bench_gives_help_and_measures_nothing(name, monkeypatch, capsys):
    gives_help(name, monkeypatch, capsys)


@pytest.mark.train
@pytest.mark.parametrize("name", WITH_TORCH)
def test_learning_bench_with_torch_gives_help_and_trains_nothing(name, monkeypatch, capsys):
    pytest.importorskip("torch")
    gives_help(name, monkeypatch, capsys)


@pytest.mark.parametrize("name", PLAIN)
def test_learning_bench_without_arguments_says_what_is_missing(name, monkeypatch, capsys):
    assert start(monkeypatch, name) == 2
    assert "the following arguments are required" in capsys.readouterr().err


@pytest.fixture
def photographs(tmp_path):
    """Archives: one that is none, and one with three photographs."""
    (tmp_path / "none.zip").write_text("no archive")
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    with zipfile.ZipFile(tmp_path / "few.zip", "w") as archive:
        for name in "abc":
            archive.writestr(f"{name}.png", file.getvalue())
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photographs", "net.onnx", "missing.zip", 32, 1], "No such file or directory: 'missing.zip'"),
        (["photographs", "net.onnx", "none.zip", 32, 1], "File is not a zip file"),
        (["photographs", "net.onnx", "few.zip", 32, 1], "few.zip: 3 photographs; expected more than 128"),
        (["photographs", "net.onnx", "few.zip", 0, 1], "size 0: expected more than 0, 4096 at most"),
        (["photographs", "net.onnx", "few.zip", 32, "nan"], "white nan: expected more than 0"),
        (["photographs", "net.onnx", "few.zip", 32, 1, "--examples", -5], "examples -5: expected more than 0"),
        (["photographs", "net.onnx", "few.zip", "wide", 1], "argument SIZE: invalid int value: 'wide'"),
        (["digits", ".", "errors.svg"], ".: holds no networks; `train` writes them"),
        (["planner", "--worlds", 0], "worlds 0: expected more than 0"),
        (["planer"], "invalid choice: 'planer'"),
    ],
)
def test_learning_bench_of_conversion_says_in_one_line_what_is_wrong(
    arguments, words, photographs, monkeypatch, capsys
):
    monkeypatch.chdir(photographs)
    assert start(monkeypatch, "conversion.measure", *arguments) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("python -m hybrid_control.bench.conversion.measure")
    assert words in last


def test_learning_bench_pictures_say_in_one_line_what_they_cannot_read(tmp_path, monkeypatch, capsys):
    (tmp_path / "numbers.json").write_text("{")
    for name, file in (("hand_over.picture", tmp_path / "numbers.json"), ("mackey_glass.report", tmp_path)):
        assert start(monkeypatch, name, file, tmp_path / "out.svg") == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith(f"python -m hybrid_control.bench.{name}: ")
        assert "\n" not in said


def test_learning_bench_draws_errors_over_a_window_and_curves_of_robustness(tmp_path, monkeypatch, capsys):
    curve = {"0.0": 1.0, "0.5": 2.0, "1.0": 4.0}
    found = {"window": "2x10", "unit": "px", "errors": {"hybrid": {"by_tick": [1, 2]}, "cold": {"by_tick": [9, 9]}}}
    numbers = tmp_path / "numbers.json"
    numbers.write_text(json.dumps(found))
    asked = (numbers, tmp_path / "errors.svg", "--robustness", tmp_path / "curves.svg")
    assert start(monkeypatch, "hand_over.picture", *asked) == 2
    assert "has no curves of robustness; `measure --robustness --json` writes them" in capsys.readouterr().err
    names = ("late, of a window", "dropped", "events", "events, the ANN at every tick")
    numbers.write_text(json.dumps(found | {"robustness": dict.fromkeys(names, curve)}))
    picture.main(numbers, *asked[1::2])
    assert "cold SNN (above)" in asked[1].read_text()
    drawn = ElementTree.fromstring(asked[3].read_text())
    lines = [line.get("points") for line in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    assert len(lines) == 4
    places = np.array([[float(v) for v in point.split(",")] for point in lines[0].split(" ")])
    heights = 180 - places[:, 1]  # px above the axis of a picture 220 high with 40 below it
    np.testing.assert_allclose(heights / heights[0], [1.0, 2.0, 4.0], atol=0.01)
