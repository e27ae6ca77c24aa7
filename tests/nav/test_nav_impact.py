"""How fast a robot was when it met something and how slow it could have been, worked out by hand."""

import math

import numpy as np
import pytest

from hybrid_control.navigation.bench.impact import impact
from hybrid_control.navigation.episode import Sight
from hybrid_control.signals import Pose
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.worlds import Mover, World

WINDOW = 0.01
NOSE = JACKAL.length / 2


def drive(world, until, speed, x0=0.0):
    """Looks at a robot that drives straight on at a speed, and at movers that walk by themselves."""
    seen = []
    for k in range(round(until / WINDOW) + 1):
        t = k * WINDOW
        places = np.array([(*m.at(t), 0.0) for m in world.movers]).reshape(-1, 3)
        seen.append(Sight(t, (x0 + speed * t, 0.0, 0.0), speed, 0.0, places))
    return seen


def world_of(*movers, boxes=()):
    return World("w", Pose(), (50.0, 0.0), (-5.0, -9.0, 60.0, 9.0), boxes=np.array(boxes).reshape(-1, 5), movers=movers)


def test_into_what_stands_no_drive_need_have_gone():
    world = world_of(boxes=[(5.0, 0.0, 2.0, 4.0, 0.0)])
    met = impact(world, JACKAL, drive(world, (4.0 - NOSE) / 0.8, 0.8), 0.035)
    assert met == pytest.approx((0.8, 0.0))


def test_one_who_stands_in_the_open_need_not_have_been_met():
    world = world_of(Mover(0.25, (5.0, 0.0), (5.0, 0.0), 0.0))
    met = impact(world, JACKAL, drive(world, (4.75 - NOSE) / 1.0, 1.0), 0.035)
    assert met == pytest.approx((1.0, 0.0))


def stepping_out(hidden_until, speed, delay):
    """A wall along the way ends 0.3 m beside the outline; somebody behind it comes out across, straight at the way,
    so that they are met in the middle of the nose just as the robot gets there."""
    side = JACKAL.width / 2 + 0.3
    wall = (10.0 - 5.25, side + 0.5, 10.0, 1.0, 0.0)  # from -0.25 to 9.75
    walks = 1.0
    until = (10.0 - 0.25 - NOSE) / speed
    far = walks * until
    mover = Mover(0.25, (10.0, far), (10.0, -far), walks, kind="once")
    world = world_of(mover, boxes=[wall])
    return impact(world, JACKAL, drive(world, until, speed), delay)


def test_the_bound_is_what_braking_leaves_from_when_somebody_could_be_seen():
    met = stepping_out(0.0, 2.0, 0.035)
    assert met.speed == pytest.approx(2.0)
    assert 0.0 <= met.bound < 2.0
    later = stepping_out(0.0, 2.0, 0.235)
    assert later.bound >= met.bound


def test_nothing_could_have_been_done_about_one_who_begins_to_walk_when_it_is_too_late():
    """0.02 m before the nose at 1 m/s: after 0.035 s it is past, with no braking at all."""
    world = world_of(Mover(0.25, (5.0, 0.0), (4.0, 0.0), 1.0, kind="once", trigger=1.0))
    seen = []
    begins = 1.0
    for k in range(int(begins / WINDOW) + 3):
        t = k * WINDOW
        x = 5.0 - 0.25 - NOSE - 0.03 + (t - begins) * 1.0
        began = begins if t >= begins else math.inf
        place = 5.0 - max(t - begins, 0.0)
        seen.append(Sight(t, (x, 0.0, 0.0), 1.0, 0.0, np.array([(place, 0.0, began)])))
    met = impact(world, JACKAL, seen, 0.035)
    assert met == pytest.approx((1.0, 1.0), abs=0.1)


def test_nothing_is_said_of_a_robot_that_touches_nothing():
    world = world_of(Mover(0.25, (5.0, 3.0), (5.0, 3.0), 0.0))
    assert impact(world, JACKAL, drive(world, 1.0, 1.0), 0.035) is None
