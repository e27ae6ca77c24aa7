"""How a run goes in a simulator that is not ours, told from true poses and touches."""

import math

import numpy as np
import pytest

from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.score import Score
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Mover, World, generate, in_frame, seen_from

MS = 1_000_000
EMPTY = World("empty", Pose(), (5.0, 0.0), (-10.0, -10.0, 10.0, 10.0))


def test_score_counts_a_touch_of_the_same_obstacle_within_0_2_s_once():
    score = Score(EMPTY, JACKAL)
    for at_ms, what in ((0, "box0"), (2, "box0"), (4, "box1"), (200, "box0"), (400, "box0"), (601, "box0")):
        score.touch(at_ms * MS, what)
    assert score.contacts == [(0, "box0"), (4 * MS, "box1"), (601 * MS, "box0")]


def test_score_without_a_contact_sensor_goes_by_the_gap_and_with_one_by_the_sensor_alone():
    # the outline reaches 0.254 m ahead, the pillar begins at 1 m
    world = World("pillar", Pose(), (5.0, 0.0), (-1.0, -1.0, 6.0, 1.0), np.array([(1.2, 0.0, 0.2)]))
    feels, reckons = Score(world, JACKAL), Score(world, JACKAL, feels=False)
    for i, x in enumerate((0.0, 0.7, 0.745, 0.745, 0.5)):
        feels.see(i * 20 * MS, Pose(x, 0.0))
        reckons.see(i * 20 * MS, Pose(x, 0.0))
        reckons.touch(i * 20 * MS, "nothing that is said counts here")
    assert feels.contacts == []
    assert reckons.contacts == [(40 * MS, "an obstacle")]
    assert reckons.minimum_distance == pytest.approx(0.246)
    assert reckons.path_length == pytest.approx(0.745 + 0.245)
    assert reckons.goal_distance == pytest.approx(4.5)


def test_score_says_of_the_embedded_simulator_what_it_says_of_itself():
    world = generate("crossing", 2)
    score = Score(world, JACKAL)
    with Simulator(world, seed=2, camera=False) as sim:
        score.see(0, sim.truth().pose)
        for i in range(150):
            sim.apply(Twist(0, linear_x=0.8, angular_z=0.4 * math.sin(i / 20)))
            sim.step(0.01)
            score.see(sim.time_ns, sim.truth().pose)
            assert score.goal_distance == sim.goal_distance()
            assert score.minimum_distance == sim.minimum_distance()
        assert score.path_length == pytest.approx(sim.path_length, rel=1e-3)


@pytest.mark.parametrize("name", ["default", "rooms", "crossing"])
def test_a_world_in_another_frame_is_the_same_world(name):
    world = generate(name, 3)
    frame = Pose(1.5, -2.0, 0.7)
    seen = seen_from(world, frame)
    here = Score(world, JACKAL)
    there = Score(seen, JACKAL)
    rng = np.random.default_rng(0)
    for i in range(20):
        x, y, yaw = (float(v) for v in rng.uniform(-3, 8, 3))
        here.see(i * 100 * MS, Pose(x, y, yaw))
        there.see(i * 100 * MS, in_frame(frame, x, y, yaw))
        assert there.goal_distance == pytest.approx(here.goal_distance)
        assert there.minimum_distance == pytest.approx(here.minimum_distance, abs=1e-9)
    assert there.path_length == pytest.approx(here.path_length)


def test_a_world_seen_from_its_start_begins_at_zero():
    # to the left by 2 m, looking left: what was ahead is now to the right
    mover = Mover(0.2, (1.0, 2.0), (1.0, 4.0), 1.0)
    start = Pose(0.0, 2.0, math.pi / 2)
    world = World("turned", start, (3.0, 2.0), (-1.0, 2.0, 4.0, 5.0), movers=(mover,))
    seen = seen_from(world, world.start)
    assert (seen.start.x, seen.start.y, seen.start.yaw) == (0.0, 0.0, 0.0)
    assert seen.goal == pytest.approx((0.0, -3.0))
    assert seen.movers[0].a == pytest.approx((0.0, -1.0))
    assert seen.movers[0].b == pytest.approx((2.0, -1.0))
    assert seen.bounds == pytest.approx((0.0, -4.0, 3.0, 1.0), abs=1e-6)
