import math
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.contract import PlannerError
from hybrid_control.navigation.planner.planner import MIN_CONTRAST, BlindError, Planner
from hybrid_control.signals import Goal, Odometry, Pose, Twist

F32 = TensorProto.FLOAT


def image(height=24, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def odometry(x=0.0, y=0.0, yaw=0.0, v=0.0, w=0.0):
    return Odometry(0, Pose(x, y, yaw), Twist(0, linear_x=v, angular_z=w))


def told(planner, odometry, goal):
    """What an echo_model was given: distance, cosine, sine, speed, yaw rate."""
    return planner.plan(image(), odometry, goal, 0).of("heading")[:5] - 5.0


def test_the_goal_is_told_in_the_body_frame(make_model):
    planner = Planner(make_model())
    # at (1, 2), looking along +y: (1, 5) is 3 m straight ahead; (-1, 2) is 2 m to the left; (1, 0) 2 m behind
    at = odometry(1.0, 2.0, math.pi / 2, v=0.4, w=-0.3)
    assert told(planner, at, Goal(0, 1.0, 5.0)) == pytest.approx([3, 1, 0, 0.4, -0.3], abs=1e-5)
    assert told(planner, at, Goal(0, -1.0, 2.0)) == pytest.approx([2, 0, 1, 0.4, -0.3], abs=1e-5)
    assert told(planner, at, Goal(0, 1.0, 0.0)) == pytest.approx([2, -1, 0, 0.4, -0.3], abs=1e-5)


def test_the_distance_is_cut_at_the_models_cap(make_model):
    planner = Planner(make_model())
    assert told(planner, odometry(), Goal(0, 300.0, 400.0)) == pytest.approx([10, 0.6, 0.8, 0, 0], abs=1e-5)


def test_an_image_of_another_size_reaches_the_model_with_its_colours(make_model):
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:120] = (200, 40, 0)  # half of each colour's mean is what the model says
    rates = Planner(make_model()).plan(picture, odometry(), Goal(0, 1, 0), 0).of("heading")
    assert rates[5:8] == pytest.approx([50, 10, 0], abs=0.5)


def test_a_wide_image_tells_the_same_distances_as_its_middle_from_a_camera_of_that_view():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (120, 200, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    view = 2 * math.atan(400 / 320)  # of which the middle 320 of 400 columns show a right angle
    file, asked = contract.named("closed"), (odometry(), Goal(0, 3.0, 0.0), 0)
    alone = Planner(file, camera=(0.28, 0.08, math.pi / 2)).plan(wide[:, 40:360], *asked)
    of_all = Planner(file, camera=(0.28, 0.08, view)).plan(wide, *asked)
    assert alone.closed is not None
    assert of_all.closed is not None
    assert np.allclose(alone.closed.rows, of_all.closed.rows, atol=0.02)


def test_the_answer_carries_stamp_populations_and_nothing_else(make_model):
    answer = Planner(make_model()).plan(image(), odometry(), Goal(0, 1, 0), 123)
    assert answer.stamp_ns == 123
    assert answer.populations == contract.POPULATIONS
    assert answer.of("heading").shape == (72,)
    assert answer.of("speed") == pytest.approx(contract.encode_speed(0.5, 200.0))


@pytest.mark.parametrize("level", [0, 255, 90])
def test_an_even_image_is_refused_as_blind(make_model, level):
    planner = Planner(make_model())
    with pytest.raises(BlindError, match=r"blind: the image's contrast is 0\.00") as caught:
        planner.plan(np.full((120, 160, 3), level, np.uint8), odometry(), Goal(0, 1, 0), 0)
    assert "\n" not in str(caught.value)


def test_the_noise_of_a_covered_lens_is_still_blind(make_model):
    dark = np.random.default_rng(0).integers(0, 6, (120, 160, 3), dtype=np.uint8)
    with pytest.raises(BlindError):
        Planner(make_model()).plan(dark, odometry(), Goal(0, 1, 0), 0)


def test_the_threshold_of_blindness_is_the_callers(make_model):
    faint = np.full((24, 32, 3), 100, np.uint8)
    faint[:, :16] += 2  # contrast 1
    assert MIN_CONTRAST > 1.0
    with pytest.raises(BlindError):
        Planner(make_model()).plan(faint, odometry(), Goal(0, 1, 0), 0)
    Planner(make_model(), min_contrast=0.5).plan(faint, odometry(), Goal(0, 1, 0), 0)
    for wrong in (-1.0, 128.0, math.nan):
        with pytest.raises(PlannerError, match="min_contrast"):
            Planner(make_model(), min_contrast=wrong)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (image().astype(np.float32), r"image is float32 \(24, 32, 3\)"),
        (np.full((24, 32, 3), np.nan), r"image is float64"),
        (image()[:, :, 0], r"image is uint8 \(24, 32\)"),
        (np.zeros((24, 32, 4), np.uint8), r"image is uint8 \(24, 32, 4\)"),
        (np.zeros((0, 32, 3), np.uint8), "has no pixels"),
        ([[1, 2, 3]], "image is list"),
        (None, "image is NoneType"),
    ],
)
def test_what_is_no_colour_image_is_refused_in_one_line(make_model, picture, message):
    with pytest.raises(PlannerError, match=message) as caught:
        Planner(make_model()).plan(picture, odometry(), Goal(0, 1, 0), 0)
    assert "\n" not in str(caught.value)


def test_an_answer_outside_the_contract_is_never_passed_on(make_model):
    # rates over (distance - 7): infinite at 7 m, which none of the test images of the check at load has
    planner = Planner(make_model(divide_by=7.0))
    planner.plan(image(), odometry(), Goal(0, 8.0, 0.0), 0)
    with pytest.raises(PlannerError, match="output 'heading' is not finite"):
        planner.plan(image(), odometry(), Goal(0, 7.0, 0.0), 0)
    with pytest.raises(PlannerError, match=r"output 'heading' spans .* outside 0 .. 200 Hz"):
        planner.plan(image(), odometry(), Goal(0, 7.00001, 0.0), 0)


def test_the_same_arguments_give_the_same_rates_bit_for_bit():
    planner, again = Planner(), Planner()
    first = planner.plan(image(), odometry(v=0.3), Goal(0, 4, 2), 0).rates
    planner.plan(image(seed=9), odometry(), Goal(0, -4, 2), 0)
    assert (planner.plan(image(), odometry(v=0.3), Goal(0, 4, 2), 0).rates == first).all()
    assert (again.plan(image(), odometry(v=0.3), Goal(0, 4, 2), 0).rates == first).all()


def test_optional_inputs_may_be_left_out_or_given(make_model):
    planner = Planner(make_model(optional={"grid": np.full((1, 2, 2), 1.0, np.float32)}))
    arguments = (image(), odometry(), Goal(0, 1, 0), 0)
    assert planner.plan(*arguments).of("heading")[8] == pytest.approx(4.0)
    given = {"grid": np.full((1, 2, 2), 3.0, np.float32)}
    assert planner.plan(*arguments, given).of("heading")[8] == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("map", np.zeros((1, 2, 2), np.float32), "no optional input 'map'; it has: grid"),
        ("grid", np.zeros((1, 2, 2)), r"'grid' is float64; the model wants grid float \(1, 2, 2\)"),
        ("grid", np.zeros((1, 4), np.float32), r"'grid' has shape \(1, 4\); the model wants"),
        ("grid", np.full((1, 2, 2), np.nan, np.float32), "'grid' is not finite"),
    ],
)
def test_a_wrong_optional_input_is_refused(make_model, name, value, message):
    planner = Planner(make_model(optional={"grid": np.ones((1, 2, 2), np.float32)}))
    with pytest.raises(PlannerError, match=message):
        planner.plan(image(), odometry(), Goal(0, 1, 0), 0, {name: value})


def test_the_model_that_ships_keeps_the_contract_and_is_small():
    info = Planner().info
    assert (info.version, info.max_rate) == (1, 200.0)
    assert contract.DEFAULT_MODEL.stat().st_size <= 2_000_000
    assert "hybrid-control train planner" in info.metadata["hybrid_control.planner.command"]
    assert "/" not in info.metadata["hybrid_control.planner.trained_by"]


def landscape():
    """Sky over ground and nothing else."""
    picture = np.empty((120, 160, 3), np.uint8)
    picture[:52] = (140, 180, 230)
    picture[52:] = (120, 115, 105)
    return picture


@pytest.mark.parametrize("bearing", [-120, -60, -30, -10, 0, 10, 30, 60, 120])
def test_in_the_open_the_model_that_ships_heads_for_the_goal(bearing):
    goal = Goal(0, 6 * math.cos(math.radians(bearing)), 6 * math.sin(math.radians(bearing)))
    rates = Planner().plan(landscape(), odometry(v=0.5), goal, 0)
    assert math.degrees(contract.decode_heading(rates.of("heading"))) == pytest.approx(bearing, abs=20)


def test_a_planner_that_ships_is_found_by_its_name_and_any_other_by_its_path(tmp_path, monkeypatch):
    assert contract.named("") == contract.named("planner") == contract.DEFAULT_MODEL
    assert contract.named("mine.onnx") == Path("mine.onnx")
    assert contract.named("no-such-name") == Path("no-such-name")  # and is then said not to be there
    monkeypatch.chdir(tmp_path)
    assert contract.named("./planner") == Path("planner")


def test_the_planner_that_also_closes_directions_ships_beside_it_with_the_same_headings():
    file = contract.named("closed")
    assert file.stat().st_size <= 3_000_000
    both, plain = Planner(file), Planner()
    assert (both.info.version, both.closes) == (2, True)
    coarse = np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1)  # 120 x 160, of which 60 x 80 is the same made smaller
    goal = Goal(0, 4.0, 1.0)
    one, other = (p.plan(picture, odometry(), goal, 0) for p in (plain, both))
    assert other.of("heading") == pytest.approx(one.of("heading"), abs=4.0)
    assert other.of("speed") == pytest.approx(one.of("speed"), abs=4.0)
    seen = other.closed.seen
    assert 14 <= seen.sum() <= 18  # of 90 degrees
    assert one.closed is None
