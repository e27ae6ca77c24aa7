"""Pictures from a folder or a zip, an encoder before the classifier, and the commands that teach and test."""

import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from hybrid_control.ann import ModelError
from hybrid_control.cli import main
from hybrid_control.colanet import CELLS, PICTURES, CoLaNET, load, save
from hybrid_control.colanet.encode import Encoder
from hybrid_control.colanet.pictures import Pictures, decode
from hybrid_control.colanet.recogniser import Recogniser
from hybrid_control.colanet.scale import FARTHEST, HIGH, LOW, Scale, _roots

DATA = Path(os.environ.get("HYBRID_CONTROL_DATA") or Path(__file__).parents[3] / "shared" / "data")
TFLITE = DATA / "seeds" / "mobilenet_v2_1.0_224_quant.tflite"
COLOURS = {"Fruit/Apple/Red": (220, 30, 20), "Fruit/Pear": (60, 200, 40), "Plum": (70, 20, 190)}


def write_encoder(path, kind="uint8", size=(8, 8, 3), outputs=1):
    """Pixels, over 100, as they lie: features (size,)."""
    pixels = helper.make_tensor_value_info(
        "image", TensorProto.UINT8 if kind == "uint8" else TensorProto.FLOAT, (1, *size)
    )
    names = [f"features{i}" if i else "features" for i in range(outputs)]
    nodes = [helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Div", ["float", "hundred"], [name]) for name in names]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, *size)) for name in names]
    constant = helper.make_tensor("hundred", TensorProto.FLOAT, [1], [100.0])
    graph = helper.make_graph(nodes, "encoder", [pixels], values, [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def picture(colour, rng, size=(12, 10)):
    """Bytes of a PNG of nearly one colour."""
    pixels = np.clip(np.array(colour) + rng.normal(0, 20, (*size, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def contents(parts=("",), count=20, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"{part}{label}/{k}.png": picture(colour, rng)
        for part in parts
        for label, colour in COLOURS.items()
        for k in range(count)
    }


def write_folder(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_colanet_class_is_the_folder_of_the_picture_at_any_depth_and_without_the_part(tmp_path):
    files = contents(("train/", "test/"), 2) | {"classes.csv": b"1,2", "train/Plum/notes.txt": b"x"}
    for place in (write_folder(tmp_path / "a", files), write_zip(tmp_path / "a.zip", files)):
        with Pictures(place) as pictures:
            assert {p.label for p in pictures.pictures} == set(COLOURS)
            assert {p.part for p in pictures.pictures} == {"train", "test"}
            assert len(pictures.pictures) == 12
    with Pictures(write_folder(tmp_path / "b", {"x/train/1.png": files["train/Plum/0.png"]})) as pictures:
        assert [(p.part, p.label) for p in pictures.pictures] == [("", "x/train")]


def test_colanet_picture_is_cut_to_the_middle_and_resized(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (255, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    image = decode((tmp_path / "a.bmp").read_bytes(), (5, 5), "a")
    assert image.shape == (5, 5, 3)
    assert (image[:, 2] == (255, 0, 128)).all()
    assert (image[:, 0] != 0).any()  # not the whole picture squeezed


def test_colanet_bad_places_and_pictures_are_refused_in_one_line(tmp_path):
    good = contents(count=1)["Plum/0.png"]
    large = io.BytesIO()
    Image.new("L", (9000, 9000)).save(large, "PNG")
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty").mkdir()
    for place, words in (
        (tmp_path / "nowhere", "no such folder or zip file"),
        (tmp_path / "text.zip", "neither a folder nor a zip file"),
        (tmp_path / "empty", "has no pictures"),
        (write_zip(tmp_path / "top.zip", {"a.png": good}), "a.png: lies in no folder of a class"),
        (write_zip(tmp_path / "part.zip", {"train/a.png": good}), "lies in no folder of a class"),
        (write_zip(tmp_path / "text2.zip", {"x/a.png": b"text"}), "no picture that can be read"),
        (write_zip(tmp_path / "cut.zip", {"x/a.png": good[:100]}), "no picture that can be read"),
        (write_zip(tmp_path / "large.zip", {"x/a.png": large.getvalue()}), "9000 × 9000 pixels; at most"),
        (write_zip(tmp_path / "bomb.zip", {"x/a.png": bytes(65 << 20)}), "more than 67,108,864 bytes"),
    ):
        with pytest.raises(ValueError, match=words) as error, Pictures(place) as pictures:
            pictures.read(pictures.pictures[0], (8, 8))
        assert str(error.value).startswith(str(place))
        assert "\n" not in str(error.value)


def test_colanet_encoder_takes_pixels_or_normalised_values_in_either_layout(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    pixels = Encoder(write_encoder(tmp_path / "a.onnx"))
    assert pixels.size == (8, 8)
    assert pixels.features == 192
    assert np.allclose(pixels(image), image.ravel() / 100)
    floats = Encoder(
        write_encoder(tmp_path / "b.onnx", "float", (3, 8, 8)), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    expected = (np.moveaxis(image, 2, 0) / 127.5 - 1).ravel() / 100
    assert np.allclose(floats(image), np.maximum(expected, 0), atol=1e-6)
    assert pixels.digest != floats.digest


def test_colanet_what_is_no_encoder_is_refused(tmp_path):
    for path, words in (
        (tmp_path / "nowhere.onnx", "no such file"),
        (write_encoder(tmp_path / "a.onnx", size=(8, 8, 4)), "expected an RGB image"),
        (write_encoder(tmp_path / "b.onnx", outputs=2), "name the output .* features, features1"),
    ):
        with pytest.raises(ModelError, match=words):
            Encoder(path)


def test_colanet_tflite_encoder_says_what_it_needs_or_what_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "a.tflite").write_text("no TFLite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ModelError, match=r"pip install '\.\[tflite\]' in the repository"):
        Encoder(tmp_path / "a.tflite")
    monkeypatch.undo()
    pytest.importorskip("ai_edge_litert.interpreter")
    with pytest.raises(ModelError, match="not a TFLite model"):
        Encoder(tmp_path / "a.tflite")
    with pytest.raises(ModelError, match="no such file"):
        Encoder(tmp_path / "b.tflite")


@pytest.mark.skipif(not TFLITE.exists(), reason="the TFLite encoder is not there")
def test_colanet_tflite_encoder_gives_a_tensor_within():
    pytest.importorskip("ai_edge_litert.interpreter")
    encoder = Encoder(TFLITE, output="MobilenetV2/Logits/AvgPool")
    assert (encoder.size, encoder.features) == ((224, 224), 1280)
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    assert encoder(image).max() > 0
    with pytest.raises(ModelError, match="has no tensor 'nothing'"):
        Encoder(TFLITE, output="nothing")


def test_colanet_scale_whitens_and_gives_each_side_of_the_mean_an_input():
    rng = np.random.default_rng(0)
    common = rng.random((2000, 1))
    features = (common + 0.3 * rng.random((2000, 4))).astype(np.float32)
    scale = Scale.learnt(features)
    values = (_roots(features) - scale.mean) @ scale.matrix
    assert values.mean(0) == pytest.approx(np.zeros(4), abs=1e-3)
    assert values.std(0) == pytest.approx(np.ones(4), abs=1e-3)
    inputs = scale(features, CELLS)
    assert inputs.shape == (2000, 8)
    assert inputs.min() == 0
    assert inputs.max() == 1
    assert not (inputs[:, :4] * inputs[:, 4:]).any()
    assert np.allclose(inputs[:, 0], np.clip((values[:, 0] - LOW) / (HIGH - LOW), 0, 1), atol=1e-6)
    assert np.allclose(scale(3 * features, CELLS), inputs, atol=1e-5)  # brightness counts little
    for settings in (CELLS, PICTURES):
        assert np.isfinite(scale(0 * features[0], settings)).all()  # nor does the dark hurt
    assert np.allclose(
        scale(features), np.clip(values, -FARTHEST, FARTHEST), atol=1e-6
    )  # turned, it has signs


def test_colanet_scale_of_nothing_that_differs_is_refused():
    for features, words in (
        (np.ones((5, 3), np.float32), "the same features"),
        (np.ones((1, 3), np.float32), "2 or more"),
        (np.zeros((5, 9000), np.float32), "at most 8192"),
    ):
        with pytest.raises(ValueError, match=words):
            Scale.learnt(features)


def test_colanet_recogniser_comes_back_from_its_file_behind_the_same_encoder_alone(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.random((30, 20), np.float32)
    first = Recogniser.new(features, "abc", copies=2)
    first.learn(features, ["a", "b", "c"] * 10)
    first.save(tmp_path / "a.npz")
    again = Recogniser.load(tmp_path / "a.npz", "abc")
    assert list(first.predict(features)) == list(again.predict(features))
    with pytest.raises(ValueError, match="another encoder"):
        Recogniser.load(tmp_path / "a.npz", "abd")
    code, arrays = {"encoder": np.array("abc")}, first.scale.arrays()
    for extra, words in (
        ({}, "was not taught behind an encoder"),
        (code, "has no scale"),
        (code | arrays | {"matrix": arrays["matrix"][:5]}, "a scale of shapes"),
        (code | arrays | {"mean": arrays["mean"] * np.nan}, "not finite"),
        (code | arrays, "20 inputs for a scale of 20 features"),
    ):
        save(CoLaNET().fit(features, ["a"] * 30), tmp_path / "b.npz", extra)
        with pytest.raises(ValueError, match=words) as error:
            Recogniser.load(tmp_path / "b.npz", "abc")
        assert str(error.value).startswith(f"{tmp_path / 'b.npz'}: ")


@pytest.fixture
def encoder(tmp_path):
    return str(write_encoder(tmp_path / "encoder.onnx"))


def test_colanet_command_teaches_a_zip_and_tests_a_folder(tmp_path, encoder, capsys):
    taught = write_zip(tmp_path / "taught.zip", contents(("train/", "val/")))
    shown = write_folder(tmp_path / "shown", contents(count=10, seed=1))
    network = str(tmp_path / "n.npz")
    assert main(["colanet", "train", str(taught), "--encoder", encoder, "--out", network]) == 0
    assert "120 pictures of 3 classes, each once" in capsys.readouterr().out
    confusion = tmp_path / "c.csv"
    assert main([
        "colanet", "test", str(shown), "--encoder", encoder, "--network", network, "--confusion", str(confusion),
    ]) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "30 of 30 pictures of 3 classes are recognised: 100.00 %" in out
    assert confusion.read_text().splitlines() == [
        "class,taken for,pictures", *(f"{label},{label},10" for label in sorted(COLOURS)),
    ]  # fmt: skip


def test_colanet_command_goes_on_from_what_was_learnt_and_names_what_was_never_taught(
    tmp_path, encoder, capsys
):
    files = contents()
    first = write_folder(tmp_path / "first", {k: v for k, v in files.items() if not k.startswith("Plum")})
    then = write_folder(tmp_path / "then", files)
    network = str(tmp_path / "n.npz")
    assert main(["colanet", "train", str(first), "--encoder", encoder, "--out", network]) == 0
    assert main(["colanet", "test", str(then), "--encoder", encoder, "--network", network]) == 0
    assert "1 of the classes were never taught: Plum" in capsys.readouterr().out
    again = ["colanet", "train", str(then), "--encoder", encoder, "--out", network, "--from", network]
    assert main(again) == 0
    assert "knows 3 classes" in capsys.readouterr().out


def test_colanet_command_leaves_the_part_test_for_testing(tmp_path, encoder, capsys):
    place = write_zip(tmp_path / "a.zip", contents(("train/", "test/"), 12))
    network = str(tmp_path / "n.npz")
    for command, option in (("train", "--out"), ("test", "--network")):
        assert main(["colanet", command, str(place), "--encoder", encoder, option, network]) == 0
        assert "36 " in capsys.readouterr().out.splitlines()[0]


def test_colanet_command_refuses_in_one_line(tmp_path, encoder, capsys):
    place = str(write_zip(tmp_path / "a.zip", contents(count=2)))
    only_test = str(write_zip(tmp_path / "b.zip", contents(("test/",), 1)))
    bad = str(write_zip(tmp_path / "c.zip", {"x/1.png": b"text"}))
    for arguments, words in (
        (["train", str(tmp_path / "none")], "no such folder or zip file"),
        (["train", only_test], "part test alone"),
        (["train", bad], "no picture that can be read"),
        (["train", place, "--out", str(tmp_path / "no" / "n.npz")], "its folder does not exist"),
        (["train", place, "--copies", "0"], "copies 0: expected 1 to 256"),
        (["train", place, "--seed", "-1"], "seed -1"),
        (["train", place, "--from", place], "not a CoLaNET"),
        (["test", place, "--network", str(tmp_path / "none.npz")], "No such file"),
        (["test", place, "--network", place], "not a CoLaNET"),
    ):
        assert main(["colanet", *arguments, "--encoder", encoder]) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hybrid-control: ")]
        assert len(error) == 1
        assert words in error[0]


def test_colanet_encoder_says_what_it_needs_where_it_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    assert main(["colanet", "encoder", str(tmp_path / "a.onnx")]) == 2
    assert "pip install" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()


def test_colanet_commands_write_a_page_and_learn_the_same_with_it(tmp_path, capsys):
    encoder = ["--encoder", str(write_encoder(tmp_path / "encoder.onnx"))]
    place = write_zip(tmp_path / "a.zip", contents(("train/", "test/"), 20))
    known = [tmp_path / "plain.npz", tmp_path / "paged.npz"]
    pages = [tmp_path / "train.html", tmp_path / "test.html"]
    train = ["colanet", "train", str(place), *encoder, "--copies", "3"]
    assert main([*train, "--out", str(known[0])]) == 0
    assert main([*train, "--out", str(known[1]), "--page", str(pages[0])]) == 0
    plain, paged = (load(file)[0].snapshot() for file in known)
    assert np.array_equal(plain.resource, paged.resource)
    assert (
        main(["colanet", "test", str(place), *encoder, "--network", str(known[0]), "--page", str(pages[1])])
        == 0
    )
    assert str(pages[1]) in capsys.readouterr().out
    learnt, tested = (page.read_text() for page in pages)
    assert "<h2>Learning" in learnt
    assert "<h2>Learning" not in tested
    assert "60 pictures that were tested" in tested
    assert "data:image/jpeg" in tested
    nowhere = ["--page", str(tmp_path / "none" / "a.html")]
    assert main([*train, "--out", str(known[0]), *nowhere]) != 0
    assert "--page" in capsys.readouterr().err


def test_colanet_rehearsal_asks_before_it_teaches_and_teaches_nothing():
    rng = np.random.default_rng(0)
    labels = [f"c{k % 3}" for k in range(60)]
    features = (np.eye(3, 8)[np.arange(60) % 3] + 0.1 * rng.random((60, 8))).astype(np.float32)
    recogniser = Recogniser.new(features, "x", copies=3)
    told = recogniser.rehearsed(features, labels, 6)
    assert [learnt for learnt, _ in told] == [0, 10, 20, 30, 40, 50]
    assert set(told[0][1]) == {""}
    assert np.mean(np.array(told[-1][1]) == labels[50:]) > 0.8
    assert len(recogniser.network.classes_) == 0
    recogniser.learn(features[:30], labels[:30])
    before = recogniser.network.snapshot()
    assert "" not in recogniser.rehearsed(features[30:], labels[30:], 3)[0][1]
    assert np.array_equal(recogniser.network.snapshot().resource, before.resource)
