"""What a planner is told of a depth image: one way of saying "not known", the model's size, and none where none belongs
to the image."""

import math
import struct

import numpy as np
import pytest

from hybrid_control.cosim import Message
from hybrid_control.navigation.parts import GuidePart, PlannerPart
from hybrid_control.navigation.planner import contract, depths
from hybrid_control.navigation.planner.contract import ContractError, PlannerError
from hybrid_control.navigation.planner.images import ImageError
from hybrid_control.navigation.planner.need import PlannerOnNeed
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.timed import Picture, TimedPlanner
from hybrid_control.signals import Goal, Odometry, Pose, Twist

METADATA = {contract.KEY_VERSION: "2", contract.KEY_MAX_RATE: "2000", contract.KEY_GOAL_CAP: "10"}
IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
HERE, AHEAD = Odometry(0, Pose(), Twist(0)), Goal(0, 3.0, 0.0)


@pytest.fixture
def file(make_model):
    """A model of 12 x 16 pixels whose heading neuron 8 says the sum of its depths."""
    closed = np.zeros((1, 4, 72), np.float32)
    unknown = np.zeros((1, 12, 16), np.float32)
    return make_model(metadata=METADATA, closed=closed, optional={"depth": unknown})


def sum_of(planner, depth):
    return float(planner.plan(IMAGE, HERE, AHEAD, 0, depth=depth).of("heading")[8])


def test_what_is_not_a_distance_is_unknown():
    seen = np.array([[1.0, np.nan, np.inf, -np.inf, -1.0, 0.0, 7.5, 0.3]])
    assert depths.told(seen, (1, 8)).tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 7.5, pytest.approx(0.3)]]
    assert depths.told(seen, (1, 8)).dtype == np.float32


def test_of_each_pixel_the_one_in_its_middle_counts_and_nothing_lies_between_an_edge_and_what_is_behind_it():
    step = np.ones((6, 12))
    step[:, 6:] = 3.0
    assert depths.told(step, (2, 4)).tolist() == [[1.0, 1.0, 3.0, 3.0]] * 2
    rows = np.repeat(np.arange(1.0, 7.0)[:, None], 12, axis=1)
    assert depths.told(rows, (2, 4))[:, 0].tolist() == [2.0, 5.0]  # the middles of 1 2 3 and of 4 5 6
    assert depths.told(rows, (12, 24))[:, 0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


def test_of_a_depth_image_of_another_shape_the_middle_counts_as_of_the_image():
    wide = np.arange(1.0, 17.0)[None].repeat(9, 0)  # 16 : 9
    assert depths.told(wide, (3, 4))[0].tolist() == [4.0, 7.0, 10.0, 13.0]  # the middles of 3 to 14


@pytest.mark.parametrize("wrong", [np.ones((2, 2), np.uint16), np.ones((2, 2, 1)), np.ones((0, 2)), [[1.0]]])
def test_anything_but_an_image_of_floats_is_refused(wrong, file):
    with pytest.raises(ImageError, match="an array of floats"):
        depths.told(wrong, (2, 2))
    with pytest.raises(PlannerError, match="an array of floats"):
        Planner(file).plan(IMAGE, HERE, AHEAD, 0, depth=wrong)


def test_metres_and_millimetres_of_either_byte_order_with_padded_rows_are_read():
    padded = struct.pack("<2f", 1.5, math.nan) + b"pad!" + struct.pack("<2f", 0.25, 4.0) + b"pad!"
    assert depths.decode(padded, "32FC1", (2, 2), 12) == pytest.approx(
        np.array([[1.5, np.nan], [0.25, 4.0]]), nan_ok=True
    )
    for order in "<>":
        data = struct.pack(f"{order}4H", 1500, 0, 250, 65535)
        said = depths.decode(data, "16UC1", (2, 2), 4, bigendian=order == ">")
        assert said == pytest.approx(np.array([[1.5, 0.0], [0.25, 65.535]]))


@pytest.mark.parametrize(
    ("data", "encoding", "step", "message"),
    [
        (bytes(16), "rgb8", 8, "depth encoding 'rgb8' is not known; known: 32FC1, 16UC1"),
        (bytes(16), "32FC1", 4, "depth step 4: 2 pixels of 32FC1 take 8 bytes a row"),
        (bytes(15), "32FC1", 8, "depth has 15 bytes; 2 rows of step 8 take 16"),
    ],
)
def test_a_wrong_encoding_or_size_is_one_line(data, encoding, step, message):
    with pytest.raises(ImageError, match=message):
        depths.decode(data, encoding, (2, 2), step)
    with pytest.raises(ImageError, match="each side must be"):
        depths.decode(data, "32FC1", (0, 2), 8)


def test_a_planner_gets_its_depths_and_without_any_all_is_unknown(file):
    planner = Planner(file)
    assert (planner.depths, planner.info.depths) == (True, True)
    before = sum_of(planner, None)
    assert sum_of(planner, np.ones((24, 32))) == pytest.approx(before + 12 * 16)
    assert sum_of(planner, np.full((24, 32), np.nan)) == pytest.approx(before)
    assert TimedPlanner(planner).depths
    on_need = PlannerOnNeed(planner, 0.3)
    assert on_need.depths
    assert sum_of(on_need, np.ones((24, 32))) == pytest.approx(before + 12 * 16)


def test_a_planner_that_does_not_ask_for_depths_works_with_them_as_without(make_model):
    planner = Planner(make_model())
    assert not planner.depths
    given, alone = (planner.plan(IMAGE, HERE, AHEAD, 0, depth=depth) for depth in (np.ones((2, 2)), None))
    assert (given.rates == alone.rates).all()


def test_depths_must_be_of_the_images_size(make_model):
    closed = np.zeros((1, 4, 72), np.float32)
    path = make_model(metadata=METADATA, closed=closed, optional={"depth": np.zeros((1, 6, 8), np.float32)})
    with pytest.raises(ContractError, match=r"input depth float \(1, 6, 8\); contract 2 wants depth .* 12, 16"):
        contract.load(path)


def test_in_the_drive_a_depth_image_belongs_to_an_image_for_a_tenth_of_a_second(file):
    planner = Planner(file)
    guide, part = GuidePart(AHEAD, None), PlannerPart(planner, 0)

    def said(time_ms, *depth):
        """Heading neuron 8 for an image at a time, and depth images that came in its window."""
        now = time_ms * 1_000_000
        inputs = dict.fromkeys(guide.inputs, ())
        inputs["odometry"] = [Message(now, HERE)]
        inputs["camera"] = [Message(now, Picture(IMAGE, Pose()))]
        inputs["depth"] = [Message(now, one) for one in depth]
        (rates,) = part.step(now, {"view": guide.step(now, inputs)["view"]})["rates"]
        return float(rates.value.of("heading")[8])

    unknown, seen = sum_of(planner, None), np.ones((12, 16), np.float32)
    assert said(10) == pytest.approx(unknown)
    assert said(60, seen) == pytest.approx(unknown + 192)
    assert said(160) == pytest.approx(unknown + 192)  # it has fallen silent
    assert said(170) == pytest.approx(unknown)
    guide.set_state(guide.state())
    assert said(300, 2 * seen) == pytest.approx(unknown + 384)
