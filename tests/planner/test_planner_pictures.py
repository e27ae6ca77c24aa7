"""What a planner says of pictures is drawn where it says it."""

import math

import numpy as np
import pytest

from hybrid_control.cli import main
from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.planner import contract, images, pictures
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    ClosedDirections,
)
from hybrid_control.signals.headings import HEADINGS, SECTORS

LEVEL = CameraMount(0.0, 0.3, 0.0, math.pi / 2, 0.75)


def test_the_middle_of_a_picture_has_the_cameras_shape():
    wide = np.arange(6 * 12).reshape(6, 12, 1).repeat(3, axis=2).astype(np.uint8)
    part, _ = images.middle(wide, 0.75)
    assert part.shape == (6, 8, 3)
    assert (part == wide[:, 2:10]).all()
    assert images.middle(wide.swapaxes(0, 1), 0.75)[0].shape == (4, 6, 3)  # round(4.5) rows


def test_what_is_closed_lies_where_the_camera_shows_it():
    rows = np.zeros((4, SECTORS), np.float32)
    rows[STANDING_AT], rows[HIDDEN_AT] = 1.0, 1.0
    rows[HIDDEN, 36], rows[HIDDEN_AT, 36] = 0.9, 1.5
    rows[STANDING, 40] = 0.15  # less sure than what is drawn
    rows[STANDING, 0] = 1.0  # behind
    [(kind, across, down, sure)] = pictures.places(ClosedDirections(0, rows), LEVEL)
    assert (kind, sure) == (HIDDEN, pytest.approx(0.9))
    bearing = HEADINGS[36]  # 2.5 degrees to the left: tan 0.0437
    assert across == pytest.approx((1.0 - 0.0437) / 2.0, abs=1e-3)
    # ground 1.5 m away, 0.3 m below: 0.3 / (1.5 cos 2.5 deg) of a half height of 0.75
    assert down == pytest.approx((0.3 / (1.5 * math.cos(bearing)) / 0.75 + 1.0) / 2.0)


def test_the_sheet_has_every_picture_and_says_which_one_is_blind():
    rng = np.random.default_rng(0)
    busy, black = rng.integers(0, 255, (90, 120, 3), np.uint8), np.zeros((60, 80, 3), np.uint8)
    sheet = pictures.look(contract.DEFAULT_MODEL, [("busy", busy), ("black", black)], LEVEL)
    assert sheet.size == (2 * 480, 360 + pictures.CAPTION)
    seen = np.asarray(sheet)
    yellow = (seen == (255, 220, 0)).all(axis=2)
    assert yellow[:360, :480].any()  # it points somewhere
    assert not yellow[:, 480:].any()
    assert not seen[:360, 480:].any()


def test_the_command_reads_files_and_says_which_one_it_cannot(tmp_path, capsys):
    from PIL import Image

    good, bad = tmp_path / "good.png", tmp_path / "bad.jpg"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)).save(good)
    bad.write_bytes(b"no picture")
    assert main(["planner", "look", str(good), "--out", str(tmp_path / "sheet.png")]) == 0
    assert Image.open(tmp_path / "sheet.png").size[0] == 480
    assert main(["planner", "look", str(good), str(bad), "--out", str(tmp_path / "no.png")]) == 2
    assert "bad.jpg" in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()
    assert main(["planner", "look", str(good), "--out", str(tmp_path / "no.gif")]) == 2
    assert "expected a name that ends in .png or .jpg" in capsys.readouterr().err
