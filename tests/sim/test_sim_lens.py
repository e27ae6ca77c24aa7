"""What a lens does to frames, by cases that can be worked out in the head."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from hybrid_control.sim.lens import Lens, blurred, dirtied, exposed_by, noisy, rolled, squeezed, zoomed

FAULTS = ("exposure", "white_balance", "noise", "blur", "rolling", "jpeg", "dirt")


def grey(level, height=4, width=12):
    return np.full((height, width, 3), level, np.uint8)


def bar(at, height=3, width=12):
    """A column of 240 on black."""
    frame = grey(0, height, width)
    frame[:, at] = 240
    return frame


def only(name, value):
    return replace(Lens.clean, **{name: value})


def test_gain_offset_and_gamma_are_those_of_the_formula():
    assert exposed_by(grey(100), np.ones(3), 0.0, 1.0).max() == 100
    # 100 · 2 + 10 = 210 of red, 100 + 10 of green, 100 / 2 + 10 of blue
    assert exposed_by(grey(100), np.array((2.0, 1.0, 0.5)), 10.0, 1.0)[0, 0].tolist() == [210, 110, 60]
    assert exposed_by(grey(200), np.full(3, 2.0), 0.0, 1.0).max() == 255
    # 255 · (51 / 255)² = 255 / 25
    assert exposed_by(grey(51), np.ones(3), 0.0, 2.0).max() == 10
    assert exposed_by(grey(5), np.ones(3), -20.0, 1.0).max() == 0


def test_a_turn_to_the_left_smears_to_the_right_over_as_many_pixels_and_keeps_the_light():
    # over 3 pixels: what was at 5 is a quarter each of 5, 6, 7 and 8
    assert blurred(bar(5), 3.0)[0, :, 0].tolist() == [0] * 5 + [60] * 4 + [0] * 3
    assert blurred(bar(5), -3.0)[0, :, 0].tolist() == [0] * 2 + [60] * 4 + [0] * 6
    frame = grey(70)
    np.testing.assert_array_equal(blurred(frame, 7.0), frame)
    assert blurred(frame, 0.4) is frame
    # many pixels are added up another way: the mean of 10, at both sides
    wide = bar(20, width=40)
    assert blurred(wide, 9.0)[0, :, 0].tolist() == [0] * 20 + [24] * 10 + [0] * 10
    assert blurred(wide, -9.0)[0, :, 0].tolist() == [0] * 11 + [24] * 10 + [0] * 19


def test_rolling_lines_lean_to_where_the_picture_goes():
    leaning = rolled(bar(5), 2.0)
    assert [int(np.argmax(row[:, 0])) for row in leaning] == [5, 6, 7]
    assert [int(np.argmax(row[:, 0])) for row in rolled(bar(5), -2.0)] == [5, 4, 3]
    assert rolled(bar(0), 100.0)[2].min() == 240  # the edge goes on


def test_driving_ahead_blurs_outwards_and_leaves_the_middle():
    frame = bar(10, height=21, width=21)
    np.testing.assert_array_equal(zoomed(frame, 0.1), frame)
    frame = bar(18, height=21, width=21)
    # after a tenth of the way what was 8 from the middle is 8 / 0.9 from it: both are half as bright
    assert zoomed(frame, 0.1)[0, :, 0].tolist() == [0] * 18 + [120, 120, 0]


def test_noise_has_its_deviation_and_two_and_a_half_times_that_in_the_dark():
    bright = noisy(grey(150, 100, 100), 4.0).astype(float)
    assert bright.mean() == pytest.approx(150.0, abs=0.2)
    assert bright.std() == pytest.approx(4.0, abs=0.15)
    dark = noisy(grey(64, 100, 100), 4.0).astype(float)  # half-way to GREY: 1.75 times
    assert dark.std() == pytest.approx(7.0, abs=0.2)
    assert noisy(grey(0, 100, 100), 4.0).astype(float).mean() == pytest.approx(10.0 / math.sqrt(math.tau), abs=0.3)
    assert (noisy(grey(150), 4.0, 0) != noisy(grey(150), 4.0, 5000)).any()


def test_dirt_shows_the_pictures_mean_darkly_in_few_places():
    out = dirtied(grey(200, 60, 80), 1, 3, 1.0)
    assert out.min() == pytest.approx(120, abs=1)  # 0.6 of 200
    assert out.max() == 200
    assert 0.002 < (out < 190).mean() < 0.5


def test_jpeg_of_low_quality_is_farther_from_the_frame():
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 1), np.uint8).repeat(3, axis=2)
    far = [np.abs(squeezed(frame, q).astype(int) - frame).mean() for q in (30, 95)]
    assert far[0] > 2 * far[1]


def test_a_clean_lens_gives_the_same_frame_as_a_new_one():
    frame = bar(3)
    out = Lens.clean(frame, np.random.default_rng(0), turn=5.0, speed=1.0)
    np.testing.assert_array_equal(out, frame)
    assert out is not frame


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_comes_by_its_probability_alone(name):
    lens, frame = only(name, (0.3, 0.8)), np.random.default_rng(0).integers(40, 200, (48, 64, 3), np.uint8)
    lens = replace(lens, noise=(0.3, 8.0)) if name == "noise" else lens
    rng = np.random.default_rng(1)
    changed = [bool((lens(frame, rng, turn=2.0, speed=0.5) != frame).any()) for _ in range(400)]
    assert 0.2 < np.mean(changed) < 0.4


def test_blur_and_rolling_follow_the_turn():
    """90 degrees of view: the middle of 160 pixels goes by at 80 pixels for 1 rad."""
    frame = bar(80, 3, 160)
    for name in ("blur", "rolling"):
        lens = only(name, (1.0, 0.1))
        assert (lens(frame, np.random.default_rng(0), turn=0.0) == frame).all()
        out = [lens(frame, np.random.default_rng(k), turn=1.0)[2, :, 0] for k in range(50)]
        farthest = max(int(np.flatnonzero(row)[-1]) for row in out)
        assert 85 <= farthest <= 88  # 80 · 1 rad/s · 0.1 s


def test_the_same_generator_gives_the_same_frame_and_every_frame_takes_as_many_draws():
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(20):
        np.testing.assert_array_equal(Lens()(frame, one, 1.0, 0.3), Lens()(frame, other, 1.0, 0.3))
    Lens.clean(frame, other)
    Lens.night(frame, one, 2.0)
    assert one.random() == other.random()


def test_night_is_darker_and_noisier():
    frame = grey(160, 60, 80)
    day, night = ([lens(frame, np.random.default_rng(k)).astype(float) for k in range(60)] for lens in
                  (Lens(), Lens.night))  # fmt: skip
    assert np.mean(night) < 0.6 * np.mean(day)
    assert np.mean([f.std() for f in night]) > 1.5 * np.mean([f.std() for f in day])


def test_impossible_lenses_are_refused_in_one_line():
    for make, words in (
        (lambda: Lens(noise=(1.1, 3.0)), "noise (1.1, 3.0): expected 0 <= probability <= 1"),
        (lambda: Lens(blur=(0.5, -1.0)), "blur (0.5, -1.0)"),
        (lambda: Lens(dirt=(0.5, 1.5)), "dirt 1.5 and jpeg 1 must be at most 1"),
        (lambda: Lens(dim=0.0), "dim 0"),
    ):
        with pytest.raises(ValueError) as error:
            make()
        assert words in str(error.value)


def test_a_frame_of_160_by_120_takes_little_time():
    frame, rng = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8), np.random.default_rng(1)
    lens = Lens()
    lens(frame, rng)
    begin = time.process_time()
    for _ in range(300):
        lens(frame, rng, 1.0, 0.5)
    assert (time.process_time() - begin) / 300 < 3e-3  # it takes 0.6 ms
