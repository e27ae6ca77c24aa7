"""What a drive says afterwards of what its camera saw: by hand, a robot 0.5 m long and 0.4 m wide that drives straight
ahead at 0.5 m/s, with a camera 0.3 m high at its nose that looks level and sees ground from 0.4 m on."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.planner.training.closed.hindsight import (
    UNKNOWN,
    Drive,
    Robot,
    held_up,
    label,
    stretches,
)
from hybrid_control.navigation.planner.training.closed.labels import FREE, HIDDEN, STANDING
from hybrid_control.navigation.planner.training.closed.recorded import labelled, recorded
from hybrid_control.signals import Pose, RangeScan

ROBOT = Robot(CameraMount(0.25, 0.3, 0.0, math.pi / 2, 0.75), Pose(), Outline(0.25, 0.2))
MIDDLE = 20  # the column just right of the middle
GREY = np.full((120, 160, 3), 128, np.uint8)


def drive(seconds=6.0, *, speed=None, wall=math.inf, bumps=(), moved=None):
    """Odometry every 0.02 s, scans and frames every 0.1 s. speed: m/s of a time; wall: m from where it begins to a wall
    across its way, which the scans show; moved: what becomes of the poses (n, 3)."""
    t = np.arange(0.0, seconds, 0.02)
    v = np.array([0.5 if speed is None else speed(s) for s in t])
    pose = np.column_stack([np.concatenate(([0.0], np.cumsum(v * 0.02)[:-1])), 0.0 * t, 0.0 * t])
    pose = pose if moved is None else moved(pose)
    seen = np.arange(0.0, seconds - 0.05, 0.1)
    scans = [scan(wall - np.interp(s, t, pose[:, 0])) for s in seen]
    return Drive("a.mcap", ROBOT, t, pose, v, seen, scans, seen, lambda number: GREY, np.array(bumps, float))


def scan(ahead):
    """360 beams; a wall so far ahead, as wide as it is far."""
    angles = -math.pi + np.arange(360) * math.tau / 360
    with np.errstate(divide="ignore"):
        ranges = np.where(np.abs(angles) < math.pi / 4, ahead / np.cos(angles), np.inf)
    return RangeScan(0, -math.pi, math.tau / 360, 0.05, 10.0, ranges.astype(np.float32))


def of(made, at=0.0, trusted=3.0):
    stretch = next(s for s in stretches(made) if made.t[s.first] <= at < made.t[s.last])
    return label(made, at, stretch, trusted)


def just_short_of(away):
    """Ground must lie 0.03 m within the outline, and is looked at each 0.05 m."""
    return pytest.approx(away - 0.04, abs=0.04)


def test_ground_that_was_driven_over_later_is_free_up_to_where_the_nose_came():
    known = of(drive(3.0))  # 2.98 s: the nose is at 0.25 + 1.49, the camera at 0.25
    assert known.kind[MIDDLE] == FREE
    assert known.away[MIDDLE] == just_short_of(1.49)
    assert known.free[MIDDLE] == known.away[MIDDLE]


def test_ground_beside_the_way_is_not_known():
    known = of(drive(3.0))
    # a column shows ground from 0.4 m ahead on, 0.4 tan(b) to the side; within the outline are 0.17 m of it: tan(b) is
    # 0.425 of 1 at most, of 20 columns to each side 8
    assert np.flatnonzero(known.kind == FREE).tolist() == list(range(12, 28))
    assert (known.kind[[0, 39]] == UNKNOWN).all()
    assert (known.free[known.kind == UNKNOWN] == 0.0).all()


def test_odometry_is_believed_so_far_and_a_turn_counts_as_a_way():
    assert of(drive(6.0), trusted=1.0).away[MIDDLE] == just_short_of(1.0)
    turned = drive(6.0, moved=lambda pose: pose + [0.0, 0.0, 0.5] * (pose[:, :1] > 0.5))  # 0.5 rad at 0.5 m
    # the turn is 0.5 of the outline's 0.32 m: 0.16 m of the way
    way = turned.way
    assert way[-1] == pytest.approx(turned.pose[-1, 0] + 0.5 * math.hypot(0.25, 0.2), abs=1e-6)


def test_what_it_bumped_into_is_hidden_where_its_nose_was_and_the_ground_before_it_free():
    known = of(drive(3.0, bumps=[2.4]))  # the nose at 0.25 + 1.2: 1.2 m before the camera
    hidden = np.flatnonzero(known.kind == HIDDEN)
    # 0.25 m to either side at 1.2 m: tan(b) = 0.208 of 1, of 20 columns on each side four
    assert hidden.tolist() == list(range(16, 24))
    assert known.away[hidden] == pytest.approx(1.2 / np.cos(ROBOT.camera.bearings((hidden + 0.5) / 40)), abs=0.02)
    assert (known.free[hidden] <= known.away[hidden]).all()
    assert known.free[MIDDLE] == just_short_of(1.2)


def test_where_it_bumped_into_what_the_scan_shows_it_stands():
    known = of(drive(3.0, bumps=[2.4], wall=1.45))
    assert not (known.kind == HIDDEN).any()
    assert known.kind[MIDDLE] == STANDING
    assert known.away[MIDDLE] == pytest.approx(1.2, abs=0.03)


def test_a_wall_behind_what_it_bumped_into_changes_nothing():
    known = of(drive(3.0, bumps=[2.4], wall=2.5))
    assert (known.kind == HIDDEN).sum() == 8
    assert known.kind[0] == STANDING
    assert known.free[0] == 0.0


def test_a_bump_farther_than_odometry_is_believed_says_nothing():
    assert not (of(drive(4.0, bumps=[3.0]), trusted=1.0).kind == HIDDEN).any()


def test_a_bump_of_which_a_part_is_out_of_view_says_nothing():
    # 0.3 m before it the camera sees 0.3 m to either side, but ground from 0.4 m on
    assert not (of(drive(3.0, bumps=[2.4]), at=1.8).kind == HIDDEN).any()
    assert (of(drive(3.0, bumps=[2.4]), at=1.4).kind == HIDDEN).any()


def test_after_a_bump_nothing_counts_until_it_drives_the_other_way():
    backs_off = drive(8.0, speed=lambda t: 0.5 if t < 4.0 or t > 6.0 else -0.5, bumps=[2.4])
    found = stretches(backs_off)
    ends = [(backs_off.t[s.first].round(2), backs_off.t[s.last].round(2), s.bump is not None) for s in found]
    assert ends == [(0.0, 2.38, True), (4.0, 7.98, False)]
    assert stretches(drive(4.0, bumps=[2.4]))[-1].last < 120  # it never does: its wheels slip


def test_over_a_jump_and_a_gap_of_odometry_nothing_is_carried():
    jumps = drive(4.0, moved=lambda pose: pose + [1.0, 0.0, 0.0] * (pose[:, :1] > 1.0))
    assert [s.bump for s in stretches(jumps)] == [None, None]
    assert of(jumps).away[MIDDLE] == just_short_of(1.0)


def test_a_bump_while_it_turns_on_the_spot_ends_a_stretch_and_hides_nothing():
    found = stretches(drive(4.0, speed=lambda t: 0.5 if t < 1.0 else 0.0, bumps=[2.0]))
    assert [s.bump for s in found] == [None]


def test_frames_without_a_scan_of_their_time_are_not_labelled():
    made = drive(3.0)
    late = replace(made, scan_t=made.scan_t + 0.5)
    assert of(late) is None


def test_frames_are_taken_by_the_way_and_damaged_pictures_are_left_out():
    made = drive(6.0, speed=lambda t: 0.0 if t < 2.0 else 0.5)
    frames = labelled([made], 3.0)
    # 2 m, one each 0.1 m; of the last 0.5 m the ground that is seen is not reached
    assert len(frames) == pytest.approx(15, abs=1)
    assert len(recorded(frames)) == len(frames)
    damaged = replace(made, picture=lambda number: GREY if number % 2 else None)
    assert 0 < len(recorded(labelled([damaged], 3.0))) < len(frames)
    with pytest.raises(ValueError, match="no picture of the recordings can be read"):
        recorded(labelled([replace(made, picture=lambda number: None)], 3.0))
    with pytest.raises(ValueError, match=r"a\.mcap: no frame of which anything is known"):
        labelled([drive(3.0, speed=lambda t: 0.0)], 3.0)


def test_a_stop_is_one_that_was_not_commanded_and_lasts():
    t = np.arange(0.0, 4.0, 0.02)
    stops = np.where(t < 2.0, 0.5, 0.0)
    on = np.full(t.size, 0.5)
    assert held_up(t, stops, t, on) == pytest.approx([2.0], abs=0.021)
    assert len(held_up(t, stops, t, stops)) == 0  # it was told to
    assert len(held_up(t, np.where((t > 2.0) & (t < 2.4), 0.0, 0.5), t, on)) == 0  # it drove on
    assert len(held_up(t, np.zeros(t.size), t, on)) == 0  # it never drove
    assert len(held_up(t, stops, t[t < 1.9], on[t < 1.9])) <= 1
    assert len(held_up(t, stops, t[:0], on[:0])) == 0
    assert held_up(t, -stops, t, -on) == pytest.approx([2.0], abs=0.021)


ROW = {"camera_x": 0.2, "camera_z": 0.3, "camera_pitch": 0.1, "camera_hfov": 1.5, "camera_aspect": 0.75, "length": 0.5,
       "width": 0.4}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"camera_aspect": 9 / 16}, "camera_aspect 0.5625: the network takes images of 0.75, which 4:3 has"),
        ({"camera_z": -1.0}, "camera: z -1.0"),
        ({"width": "wide"}, "must be numbers"),
        ({"length": math.nan}, "a robot nan m long"),
        ({"camera_z": None}, "must be numbers"),
    ],
)
def test_a_robot_that_can_not_be_is_refused_in_a_line(wrong, line):
    assert Robot.of(ROW).outline == Outline(0.25, 0.2)
    with pytest.raises(ValueError, match=line):
        Robot.of(ROW | wrong)
    with pytest.raises(ValueError, match="a robot without camera_pitch, width"):
        Robot.of({name: value for name, value in ROW.items() if name not in ("camera_pitch", "width")})
