"""What a lidar sees of its own robot is learnt from a robot that stands, or refused in a line that says why not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hybrid_control.navigation.reflex.body import Standing, body_mask, covered, learn_mask, picture
from hybrid_control.navigation.reflex.returns import read_mask
from hybrid_control.signals import Pose, RangeScan

POSTS = ((2.75, 0.45), (-2.75, 0.45))  # rad and m of posts 0.2 rad wide


def scan(change=None, beams=360, first=-math.pi, step=None, low=0.05):
    """One turn, 3 m all around but for the posts; change: of ranges and angles."""
    step = 2 * math.pi / beams if step is None else step
    angles = first + step * np.arange(beams)
    ranges = np.full(beams, 3.0)
    for bearing, distance in POSTS:
        ranges[np.abs(np.angle(np.exp(1j * (angles - bearing)))) < 0.1] = distance
    if change is not None:
        ranges = change(ranges, angles)
    return RangeScan(0, first, step, low, 12.0, ranges.astype(np.float32))


def standing(scans, frames=("lidar",), poses=()):
    return Standing(list(scans), set(frames), list(poses))


def masks(mask, bearing, distance):
    """Whether a reading is taken for the robot's own."""
    return any((bearing - low) % math.tau <= high - low and distance < r for low, high, r in read_mask(mask))


def test_body_of_a_robot_is_what_most_scans_see_near_and_its_mask_reaches_a_little_further():
    rng = np.random.default_rng(0)
    passing = [scan(lambda r, a: np.where(np.abs(a) < 0.2, 0.3, r)) for _ in range(3)]  # a hand, now and then
    noisy = [scan(lambda r, a: r + rng.normal(0, 0.01, r.size)) for _ in range(7)]
    mask = body_mask(standing(noisy + passing), 0.6, 0.5)
    for bearing, distance in POSTS:
        assert masks(mask, bearing, distance)
        assert not masks(mask, bearing, 0.7)
        assert not masks(mask, bearing * 0.9, distance)
    assert not masks(mask, 0.0, 0.3)
    assert covered(mask) == pytest.approx(2 * 0.25 / math.tau, abs=0.01)


def test_body_across_the_rear_is_one_part_that_can_be_read_again():
    def behind(r, a):
        return np.where(np.abs(a) > 3.0, 0.4, 3.0)

    mask = body_mask(standing([scan(behind)] * 5), 0.6, 0.5)
    assert len(read_mask(mask)) == 1
    assert masks(mask, math.pi, 0.4)
    assert masks(mask, -3.05, 0.4)
    assert not masks(mask, 2.9, 0.4)


@pytest.mark.parametrize("segments", [2, 6, 12])
def test_body_is_learnt_of_a_turn_that_comes_in_segments_as_of_a_whole_one(segments):
    beams = 360 // segments
    step = math.tau / 360
    parts = [scan(beams=beams, first=-math.pi + step * beams * k, step=step) for k in range(segments)] * 5
    assert body_mask(standing(parts), 0.6, 0.5) == body_mask(standing([scan()] * 5), 0.6, 0.5)


def test_body_is_learnt_of_a_driver_whose_turns_have_more_beams_or_fewer():
    scans = [scan(beams=n) for n in (358, 360, 361, 359, 362)]
    mask = body_mask(standing(scans), 0.6, 0.5)
    assert all(masks(mask, bearing, distance) for bearing, distance in POSTS)
    assert not masks(mask, 0.0, 0.4)


def test_zeros_of_a_driver_that_says_so_for_nothing_are_no_body():
    zeros = [scan(lambda r, a: np.where(np.abs(a) < 1.0, 0.0, r), low=0.0)] * 5
    assert not masks(body_mask(standing(zeros), 0.6, 0.5), 0.0, 0.0)


def test_robot_that_does_not_see_itself_has_an_empty_mask():
    assert body_mask(standing([scan(lambda r, a: np.full(r.size, 3.0))] * 5), 0.6, 0.5) == ""


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        (standing([]), "0 scans; expected 5 at least"),
        (standing([scan()] * 4), "4 scans; expected 5 at least"),
        (standing([scan()] * 5, ("low", "top")), r"scans of 2 frames \(low, top\); expected those of one lidar"),
        (standing([scan()] * 5, poses=[Pose(), Pose(0.1)]), r"the robot moved by 0\.10 m and 0\.00 rad meanwhile"),
        (standing([scan()] * 5, poses=[Pose(yaw=3.1), Pose(yaw=-3.1)]), r"moved by 0\.00 m and 0\.08 rad meanwhile"),
        (standing([scan(lambda r, a: r * 0)] * 5), "no beam of any scan has a range; expected a lidar that is"),
        (standing([scan(lambda r, a: r * 0 + 0.3)] * 5), r"100 % of all bearings see something nearer than 0\.6 m"),
        (
            standing([scan(lambda r, a: np.where(a > -1.0, 0.3, 3.0))] * 5),
            "the reflex drives with 50 % masked at most; expected a robot with nothing near it",
        ),
    ],
)  # fmt: skip
def test_what_nothing_is_to_be_learnt_from_is_refused_in_one_line(heard, why):
    with pytest.raises(ValueError, match=rf"^body_mask: .*{why}") as refused:
        body_mask(heard, 0.6, 0.5)
    assert "\n" not in str(refused.value)


def test_picture_shows_posts_behind_and_a_box_ahead_as_it_is_seen_from_above():
    near = scan(lambda r, a: np.where(np.abs(a) < 0.2, 1.0, r))
    head, *rows = picture(near, learn_mask([near] * 5)).split("\n")
    assert "ahead is up" in head
    middle = next(k for k, row in enumerate(rows) if "L" in row)
    assert all("#" not in row for row in rows[: middle + 1])
    assert any("o" in row for row in rows[:middle])
    columns = sorted({k for row in rows[middle:] for k, c in enumerate(row) if c == "#"})
    assert columns[0] < rows[middle].index("L") < columns[-1]
    assert "o" not in "".join(rows[middle:])
