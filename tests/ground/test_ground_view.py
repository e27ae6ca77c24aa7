"""Where on the ground an image's cells look, what is remembered of it, and how it gets into a scan."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.ground.memory import CELL, SIDE, SeenCells, near
from hybrid_control.navigation.ground.overlay import overlay
from hybrid_control.navigation.ground.view import GroundView
from hybrid_control.signals import Pose, RangeScan

LEVEL = CameraMount(0.2, 0.5, 0.0, math.pi / 2, 0.75)


def test_a_level_camera_sees_the_ground_by_the_rule_of_three():
    # at 45 degrees to the right edge and half way down to the lower one: tan = 0.375, so 0.5 / 0.375 m ahead
    x, y = LEVEL.ground(np.array(1.0), np.array(0.75))
    assert x == pytest.approx(0.2 + 0.5 / 0.375)
    assert y == pytest.approx(-0.5 / 0.375)
    assert np.isnan(LEVEL.ground(np.array(0.5), np.array(0.5))).all()  # the horizon
    assert np.isnan(LEVEL.ground(np.array(0.5), np.array(0.1))).all()  # above it


def test_a_pitched_camera_looks_down_by_its_pitch():
    pitched = CameraMount(0.0, 1.0, math.radians(30), math.pi / 2, 1.0)
    x, y = pitched.ground(np.array(0.5), np.array(0.5))
    assert (x, y) == (pytest.approx(1.0 / math.tan(math.radians(30))), pytest.approx(0.0))
    # the lower edge is 45 degrees further down: 75 degrees
    assert pitched.ground(np.array(0.5), np.array(1.0))[0] == pytest.approx(1.0 / math.tan(math.radians(75)))


def test_ground_is_shown_where_the_image_shows_that_ground_and_what_is_behind_the_image_nowhere():
    # 1 m ahead of a level camera half a metre up: tan = 0.5, a third of the image's height (0.75) below the horizon
    assert LEVEL.across(np.array(0.0), np.array(1.0)) == pytest.approx(0.5)
    assert LEVEL.down(np.array(0.0), np.array(1.0)) == pytest.approx(0.5 + 0.5 / 0.75 / 2)
    assert LEVEL.across(np.radians([45.0, -45.0]), np.ones(2)) == pytest.approx([0.0, 1.0])
    assert np.isnan(LEVEL.across(np.array(math.pi), np.array(1.0)))
    pitched = CameraMount(0.1, 0.3, 0.2, 1.4, 0.75)
    across, down = (grid.ravel() for grid in np.meshgrid(np.linspace(0.0, 1.0, 5), np.linspace(0.6, 1.0, 5)))
    x, y = pitched.ground(across, down).T
    bearing, away = np.arctan2(y, x - pitched.x), np.hypot(x - pitched.x, y)
    assert pitched.across(bearing, away) == pytest.approx(across)
    assert pitched.down(bearing, away) == pytest.approx(down)


def test_a_view_holds_the_cells_whose_four_places_are_all_within_reach():
    view = GroundView.of(LEVEL, (12, 16), 2.0)
    assert len(view.rows) == len(view.columns) == len(view.points)
    assert view.rows.min() >= 6  # below the horizon
    assert (np.hypot(view.points[..., 0] - 0.2, view.points[..., 1]) <= 2.0).all()
    everything = {(r, c) for r in range(12) for c in range(16)}
    for row, column in everything - set(zip(view.rows.tolist(), view.columns.tolist(), strict=True)):
        corners = [
            LEVEL.ground(np.array((column + a) / 16), np.array((row + b) / 12))
            for a in (0.25, 0.75)
            for b in (0.25, 0.75)
        ]
        assert not all(math.hypot(x - 0.2, y) <= 2.0 for x, y in corners)


@pytest.mark.parametrize(
    "numbers", [(0, 0, 0, 1, 1), (0, 1, 0, 4, 1), (0, 1, 2, 1, 1), (0, 1, 0, 1, 0), (math.nan, 1, 0, 1, 1)]
)
def test_a_camera_that_cannot_be_is_refused_in_one_line(numbers):
    with pytest.raises(ValueError, match=r"^camera: [^\n]*$"):
        CameraMount(*map(float, numbers))


HERE = np.array([[1.05, 0.05]])
YES, NO = np.array([True]), np.array([False])


def test_two_looks_of_three_make_a_cell_count_and_two_make_it_forgotten():
    cells = SeenCells()
    for seen, counts in ((YES, 0), (NO, 0), (YES, 1), (NO, 0), (YES, 1), (YES, 1), (NO, 1), (NO, 0), (YES, 0)):
        cells.put(HERE, seen, Pose())
        assert len(near(cells.middles(), Pose())) == counts
    cells.put(HERE, YES, Pose())
    assert near(cells.middles(), Pose()) == pytest.approx(np.array([[1.05, 0.05]]))


def test_cells_stay_where_they_are_while_the_robot_moves_and_what_is_out_of_view_is_kept():
    cells = SeenCells()
    for _ in range(2):
        cells.put(HERE, YES, Pose())
    there = Pose(1.0, 1.0, math.pi / 2)
    cells.put(np.array([[2.0, 2.0]]), NO, there)  # another cell
    # (1.05, 0.05) from (1, 1), looking along y: 0.95 m behind, 0.05 m to the right
    assert near(cells.middles(), there) == pytest.approx(np.array([[-0.95, -0.05]]))


def test_of_several_places_in_a_cell_most_decide():
    cells, places = SeenCells(), np.array([[1.01, 0.01], [1.05, 0.05], [1.09, 0.09]])
    for _ in range(2):
        cells.put(places, np.array([True, True, False]), Pose())
    assert len(near(cells.middles(), Pose())) == 1
    for _ in range(2):
        cells.put(places, np.array([True, False, False]), Pose())
    assert len(near(cells.middles(), Pose())) == 0


def test_what_is_far_behind_is_forgotten_and_its_place_is_taken_by_what_is_there():
    cells = SeenCells()
    for _ in range(2):
        cells.put(HERE, YES, Pose())
    far = Pose(SIDE * CELL, 0.0)  # the same place in memory
    assert len(near(cells.middles(), far)) == 0
    cells.put(HERE, YES, far)
    assert len(near(cells.middles(), far)) == 0  # one look alone
    assert len(near(cells.middles(), Pose())) == 0


OUTLINE, LIDAR = Outline(0.25, 0.2), (0.0, 0.0, 0.0)


def scan(n=360, value=np.inf, low=0.1):
    return RangeScan(0, -math.pi, math.tau / n, low, 10.0, np.full(n, value, np.float32))


def test_beams_end_at_the_nearest_cell_that_they_meet_and_none_becomes_longer():
    points = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.5]])
    shown = overlay(scan(value=1.2), points, LIDAR, OUTLINE).ranges
    assert shown[180] == pytest.approx(1.0)
    assert shown[270] == pytest.approx(1.2)  # the lidar's own is nearer
    # a cell of 0.1 m at 1 m covers 2.9 degrees to either side
    assert np.flatnonzero(shown < 1.2).tolist() == [*range(178, 183)]


def test_cells_beside_the_end_of_the_turn_go_into_the_beams_on_both_sides_of_it():
    shown = overlay(scan(), np.array([[-1.0, 0.0]]), LIDAR, OUTLINE).ranges
    assert np.flatnonzero(np.isfinite(shown)).tolist() == [0, 1, 2, 358, 359]


def test_a_lidar_that_is_mounted_elsewhere_and_turned_meets_them_where_they_are():
    shown = overlay(scan(), np.array([[1.0, 1.0]]), (0.5, 0.0, math.pi / 2), OUTLINE).ranges
    bearing = math.atan2(1.0, 0.5) - math.pi / 2
    beam = round((bearing + math.pi) / (math.tau / 360))
    assert shown[beam] == pytest.approx(math.hypot(0.5, 1.0))
    assert not np.isfinite(shown[beam + 20])


def test_a_lidar_that_turns_clockwise_or_sees_an_arc_alone():
    clockwise = RangeScan(0, 1.0, -0.01, 0.1, 10.0, np.full(201, np.inf, np.float32))  # 1 to -1 rad
    shown = overlay(clockwise, np.array([[1.0, 0.0], [-1.0, 0.0]]), LIDAR, OUTLINE).ranges
    found = np.flatnonzero(np.isfinite(shown))
    assert (found.min(), found.max()) == (95, 105)


def test_what_the_robot_stands_on_holds_it_not_and_what_it_cannot_judge_stays():
    at = np.array([[0.2, 0.0], [0.0, 0.24]])
    before = scan()
    assert overlay(before, at, LIDAR, OUTLINE) is before
    ranges = np.full(360, np.nan, np.float32)
    ranges[180] = 0.05  # below range_min
    odd = RangeScan(0, -math.pi, math.tau / 360, 0.1, 10.0, ranges)
    np.testing.assert_array_equal(overlay(odd, np.array([[1.0, 0.0]]), LIDAR, OUTLINE).ranges, ranges)
    none = overlay(before, np.empty((0, 2)), LIDAR, OUTLINE)
    assert none is before
