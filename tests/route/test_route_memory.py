"""The route memory: what it makes of scans, and where it leads."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.drive import Navigator, drive
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.route import memory
from hybrid_control.navigation.route.memory import (
    AHEAD,
    CELL,
    HIT,
    LOOKAHEAD,
    MOST,
    RADII,
    WIDE,
    RouteMemory,
    clearances,
    see,
)
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.worlds import World

NO_CYLINDERS = np.empty((0, 3))
GOAL = Goal(0, 8.0, 0.0)
# a pocket that is open to the left, across the straight way: its back at x = 3, its sides at y = -1.5 and 1.5
POCKET = np.array([[3.0, 0.0, 0.1, 3.0, 0.0], [2.0, 1.5, 2.0, 0.1, 0.0], [2.0, -1.5, 2.0, 0.1, 0.0]])


def scan_from(pose, boxes, stamp=0, beams=360):
    angles = -math.pi + 2 * math.pi / beams * np.arange(beams)
    ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, 10.0, NO_CYLINDERS, boxes)
    return RangeScan(stamp, -math.pi, 2 * math.pi / beams, 0.05, 10.0, ranges.astype(np.float32))


def no_surfaces(grid):
    return np.zeros((*grid.shape, 6))


def odometry(pose, stamp=0, linear=0.0, angular=0.0):
    return Odometry(stamp, pose, Twist(stamp, linear_x=linear, angular_z=angular))


def test_a_ray_fills_the_cell_at_its_end_and_clears_those_before_it():
    grid = np.zeros((10, 20), np.int16)
    grid[5, 8] = HIT
    see(grid, no_surfaces(grid), 0.0, 0.0, 0.55, 0.55, np.array([1.0]), np.array([0.0]), 0.05, 5.0)
    assert grid[5, 15] == HIT  # 0.55 + 1.0 m
    assert grid[5, 8] == HIT - 1
    assert grid.sum() == 2 * HIT - 1
    for _ in range(10):
        see(grid, no_surfaces(grid), 0.0, 0.0, 0.55, 0.55, np.array([1.0]), np.array([0.0]), 0.05, 5.0)
    assert grid[5, 15] == MOST
    assert grid[5, 8] == 0


def test_rays_that_met_nothing_clear_and_rays_out_of_the_grid_are_harmless():
    grid = np.full((10, 10), HIT, np.int16)
    see(
        grid,
        no_surfaces(grid),
        0.0,
        0.0,
        0.55,
        0.55,
        np.array([np.inf, 0.0]),
        np.array([0.0, 1.0]),
        0.05,
        5.0,
    )
    assert (grid[5, 5:] == HIT - 1).all()
    assert grid.sum() == 100 * HIT - 5


def test_clearances_are_distances_between_cells():
    grid = np.zeros((9, 9), np.int16)
    grid[4, 4] = HIT
    clear = clearances(grid, 0.35)
    assert clear[4, 4] == 0.0
    assert clear[4, 6] == pytest.approx(2 * CELL)
    assert clear[3, 5] == pytest.approx(math.sqrt(2) * CELL)
    assert clear[0, 0] == 0.35


def test_in_the_open_it_points_at_the_goal_and_near_the_goal_it_is_the_goal():
    memory = RouteMemory(Pose(), GOAL)
    memory.remember(scan_from(Pose(), np.empty((0, 6))), odometry(Pose()))
    point = memory.point(Pose(), 5)
    assert (point.x, point.y) == (pytest.approx(AHEAD, abs=0.05), pytest.approx(0.0, abs=0.1))
    near = memory.point(Pose(7.5, 0.0, 0.0), 5)
    assert (near.x, near.y) == (GOAL.x, GOAL.y)


def test_out_of_a_pocket_it_points_back():
    memory = RouteMemory(Pose(), GOAL)
    inside = Pose(2.0, 0.0, 0.0)
    memory.remember(scan_from(inside, POCKET), odometry(inside))
    point = memory.point(inside, 0)
    assert point.x < inside.x


@pytest.mark.slow
def test_what_is_solved_around_the_robot_gives_the_heading_that_the_whole_field_gives():
    rng = np.random.default_rng(4)
    compared = 0
    for _ in range(40):
        route = RouteMemory(Pose(), Goal(0, 12.0, 4.0))
        for _ in range(30):  # blocks of 2 to 8 cells
            i, j = rng.integers(route.grid.shape[0]), rng.integers(route.grid.shape[1])
            route.grid[i : i + rng.integers(2, 9), j : j + rng.integers(2, 9)] = MOST
        clear = clearances(route.grid, WIDE + CELL)
        for _ in range(10):
            place = Pose(rng.uniform(-3.0, 12.0), rng.uniform(-3.0, 7.0))
            near = route._solve(clear, RADII[0], place)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(memory, "AROUND", 1000)
                whole = route._solve(clear, RADII[0], place)
            headings = [f.heading(place.x, place.y, LOOKAHEAD) for f in (near, whole)]
            assert headings[0] == headings[1] or all(map(math.isnan, headings))
            compared += not math.isnan(headings[0])
    assert compared > 200


def test_where_there_is_no_way_it_is_the_goal():
    memory = RouteMemory(Pose(), GOAL)
    closed = np.array([[2, 0, 0.2, 4, 0], [-2, 0, 0.2, 4, 0], [0, 2, 4, 0.2, 0], [0, -2, 4, 0.2, 0]], float)
    memory.remember(scan_from(Pose(), closed), odometry(Pose()))
    point = memory.point(Pose(), 0)
    assert (point.x, point.y) == pytest.approx((GOAL.x, GOAL.y), abs=0.05)


def test_a_scan_later_than_the_odometry_is_entered_where_the_robot_was_by_then():
    memory = RouteMemory(Pose(), GOAL)
    wall = np.array([[3.0, 0.0, 0.2, 1.0, 0.0]])
    # 20 ms at 5 m/s: the robot stood at x = 0.1 when it scanned
    memory.remember(scan_from(Pose(0.1, 0.0, 0.0), wall, 20_000_000), odometry(Pose(), 0, linear=5.0))
    columns = np.flatnonzero((memory.grid > 0).any(axis=0)) * CELL + memory.x0
    assert columns.min() == pytest.approx(2.9, abs=CELL)
    assert columns.max() <= 2.95


def test_the_reflex_with_a_memory_gets_out_of_a_pocket_and_without_one_does_not():
    world = World("pocket", Pose(), (8.0, 0.0), (-3.0, -5.0, 10.0, 5.0), boxes=POCKET)
    for remembers in (True, False):
        driver = Navigator(None, memory=remembers, gains={"max_speed": 2.0})
        simulator = KinematicSimulator(world, seed=1)
        episode = drive(driver, simulator, driver.robot, Rules(duration=40.0), seed=1)
        assert episode.contacts == 0
        assert episode.reached == remembers
