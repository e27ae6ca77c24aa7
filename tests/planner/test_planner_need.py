"""When the planner is asked, and when its last answer holds."""

import dataclasses
import math

import numpy as np
import pytest

from hybrid_control.navigation.planner.need import PlannerOnNeed
from hybrid_control.navigation.planner.planner import BlindError, Planner
from hybrid_control.signals import Goal, Odometry, Pose, Twist

MS = 1_000_000
HERE = Odometry(0, Pose(1.0, 2.0, 0.3), Twist(0, linear_x=0.5))
GOAL = Goal(0, 6.0, 3.0)


@pytest.fixture(scope="module")
def planner():
    return Planner()


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)


def asked(planner, image, odometry=HERE, goal=GOAL, stamp=50 * MS, second=None, hold=0.25):
    """Whether a second image, 50 ms after the first, was planned on."""
    on_need = PlannerOnNeed(planner, hold)
    first = on_need.plan(image, HERE, GOAL, 0)
    later = on_need.plan(image if second is None else second, odometry, goal, stamp)
    assert later.stamp_ns == stamp
    assert on_need.images == 2
    if on_need.inferences == 1:
        assert np.array_equal(later.rates, first.rates)
    else:
        wanted = planner.plan(image if second is None else second, odometry, goal, stamp)
        assert np.array_equal(later.rates, wanted.rates)
    return on_need.inferences == 2


def moved(x=0.0, yaw=0.0, speed=0.0):
    pose, twist = HERE.pose, HERE.twist
    return dataclasses.replace(
        HERE,
        pose=Pose(pose.x + x, pose.y, pose.yaw + yaw),
        twist=dataclasses.replace(twist, linear_x=twist.linear_x + speed),
    )


def test_planner_on_need_holds_its_rates_while_nothing_changes_and_stamps_them_by_the_newer_image(planner, image):
    assert not asked(planner, image)


@pytest.mark.parametrize(
    "odometry", [moved(x=0.3), moved(yaw=math.radians(5)), moved(speed=0.25), moved(yaw=math.pi)]
)
def test_planner_on_need_is_asked_when_the_robot_has_moved_turned_or_changed_its_speed(planner, image, odometry):
    assert asked(planner, image, odometry)


def test_planner_on_need_is_asked_for_another_image_another_goal_and_after_its_time(planner, image):
    assert asked(planner, image, second=np.roll(image, 40, axis=1))
    assert asked(planner, image, goal=Goal(0, 1.0, 6.0))
    assert asked(planner, image, stamp=260 * MS)
    assert asked(planner, image, stamp=-10 * MS)  # the clock was set back
    assert asked(planner, image, hold=0.0)


def test_planner_on_need_small_steps_add_up(planner, image):
    on_need = PlannerOnNeed(planner, 10.0)
    for k in range(11):
        on_need.plan(image, moved(x=0.05 * k), GOAL, k * MS)
    assert on_need.inferences == 2


def test_planner_on_need_never_holds_over_an_image_that_shows_nothing(planner):
    dark = np.full((120, 160, 3), 3, np.uint8)
    dark[:, ::40] += 20  # little contrast, and near to nothing
    dark[:, 80:] += 6
    on_need = PlannerOnNeed(planner, 1.0)
    on_need.plan(dark, HERE, GOAL, 0)
    with pytest.raises(BlindError):
        on_need.plan(np.zeros_like(dark), HERE, GOAL, 10 * MS)
    with pytest.raises(BlindError):
        on_need.plan(np.zeros_like(dark), HERE, GOAL, 20 * MS)
