"""Situations of the field that no sensor's habit makes: a goal straight behind, a lidar off the middle that says 0."""

import math

import numpy as np
import pytest
from lock_step import Bot, lidar, room

from hybrid_control.navigation.reflex import Mode

HALL = room(left=-6.0, right=6.0, half=4.0)
CORRIDOR = np.array([(-10.0, y, 30.0, y) for y in (-4.0, 4.0)])


@pytest.mark.parametrize("noise", [0.0, 0.01], ids=["exact", "noisy"])
@pytest.mark.parametrize("goal", [(-3.0, 0.0), (-3.0, 0.3), (-3.0, -1e-9)])
def test_a_goal_straight_behind_is_turned_to_from_an_odometry_of_zeros(goal, noise):
    rng = np.random.default_rng(0)
    bot = Bot(goal=goal)
    scan = lidar(HALL, change=lambda r, a: r + rng.normal(0, noise, r.size))
    bot.drive(20.0, scan, each=lambda b: b.reflex.command().mode is Mode.ARRIVED)
    assert bot.reflex.command().mode is Mode.ARRIVED, bot.reflex.status()
    assert math.hypot(bot.x - goal[0], bot.y - goal[1]) < 0.3
    assert bot.slowest > -0.02, "it turns, and does not back off to it"


def zeros_for_none(r, a):
    return np.where(np.isinf(r), 0.0, r)


@pytest.mark.parametrize("mount_x", [0.0, 0.15, -0.064])
def test_zeros_of_a_lidar_off_the_middle_are_no_obstacle_that_it_backs_off_from_and_no_free_way(mount_x):
    bot = Bot({"lidar_x": mount_x}, goal=(8.0, 0.0))
    bot.drive(6.0, lidar(CORRIDOR, low=0.0, high=100.0, mount_x=mount_x, change=zeros_for_none))
    assert bot.slowest > -1e-3
    assert 0.05 < bot.fastest <= 0.101, "what gives nothing valid is crept into"


@pytest.mark.parametrize("mount_x", [0.0, 0.15, -0.064])
def test_zeros_of_a_driver_that_says_so_for_nothing_are_a_free_way_to_the_goal(mount_x):
    bot = Bot({"lidar_x": mount_x, "no_echo": "zero"}, goal=(3.0, 0.0))
    scan = lidar(CORRIDOR, low=0.0, high=100.0, mount_x=mount_x, change=zeros_for_none)
    bot.drive(20.0, scan, each=lambda b: b.reflex.command().mode is Mode.ARRIVED)
    assert bot.reflex.command().mode is Mode.ARRIVED, bot.reflex.status()
    assert bot.x == pytest.approx(3.0, abs=0.3)
    assert bot.slowest > -1e-3
