"""Where a way ends that cannot end at the goal, as something stands on it."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.route.memory import AT, NEAREST, RouteMemory
from hybrid_control.navigation.route.way import BESIDE, aim
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist

FRAME = 0.0, 0.0, 0.1
LEAST = 0.3


def looked_at(boxes, goal, at=Pose()):
    """A memory of a robot that looked at boxes (n, 5) three times."""
    memory = RouteMemory(at, goal)
    angles = -math.pi + np.arange(720) * math.tau / 720
    ranges = cast_rays(at.x, at.y, at.yaw + angles, 12.0, np.empty((0, 3)), np.array(boxes)).astype(np.float32)
    for k in range(3):
        scan = RangeScan(k, -math.pi, math.tau / 720, 0.1, 12.0, ranges)
        memory.remember(scan, Odometry(k, at, Twist(k, 0.0, 0.0)))
    return memory


def room(rows=20, columns=20):
    return np.full((rows, columns), 1.0, np.float32)


def test_a_way_ends_at_the_goal_where_the_robot_fits_there_or_where_the_grid_does_not_reach():
    assert aim(room(), FRAME, LEAST, (1.0, 1.0), (0.5, 0.5)) == (1.0, 1.0)
    assert aim(room() * 0.0, FRAME, LEAST, (5.0, 1.0), (0.5, 0.5)) == (5.0, 1.0)
    assert aim(room() * 0.0, FRAME, LEAST, (-0.01, 1.0), (0.5, 0.5)) == (-0.01, 1.0)


def test_a_way_ends_in_the_middle_of_the_nearest_cell_with_room_where_the_goals_has_none():
    clear = room()
    clear[10, 8:12] = 0.2  # of the goal's row; the rows beside it are free
    clear[9, 8:12] = 0.2
    goal = 1.05, 1.05
    assert aim(clear, FRAME, LEAST, goal, goal) == pytest.approx((1.05, 1.15))
    clear[:, :] = 0.2
    clear[10, 14] = 0.3
    assert aim(clear, FRAME, LEAST, goal, goal) == pytest.approx((1.45, 1.05))
    clear[10, 14], clear[10, 16] = 0.2, 1.0  # 0.6 m off
    assert aim(clear, FRAME, LEAST, goal, goal) == goal


def test_it_keeps_to_the_end_that_it_had_as_long_as_that_has_room():
    clear = room()
    clear[10, 10] = 0.0
    goal, before = (1.05, 1.05), (1.25, 1.05)
    assert aim(clear, FRAME, LEAST, goal, before) == before
    clear[10, 12] = 0.0
    assert aim(clear, FRAME, LEAST, goal, before) != before


def test_a_robot_is_led_beside_a_post_that_stands_on_its_goal_and_there_is_no_nearer_way():
    goal = Goal(0, 3.0, 0.0)
    post = [[3.055, 0.0, 0.1, 0.1, 0.0]]  # it sees its face, at x = 3.005, in the cell of the goal
    memory = looked_at(post, goal)
    point = memory.point(Pose(), 5)
    assert not memory.blocked
    assert NEAREST <= math.hypot(point.x, point.y) < 3.2  # on the way round it, for behind it nothing was seen
    end = memory._way.goal
    assert math.dist(end, (goal.x, goal.y)) <= BESIDE
    assert math.dist(end, (3.005, 0.0)) >= 0.235 - 0.02  # of the face that it saw; less half a cell
    assert memory.point(Pose(*end), 6) is None
    assert memory.blocked
    assert memory.point(Pose(end[0] - 2 * AT, end[1]), 7) is not None
    assert not memory.blocked
