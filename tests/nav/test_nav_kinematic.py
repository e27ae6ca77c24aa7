"""The kinematic simulator against hand-worked motion and against the physics."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import ROUGH, rough_bearing
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.kinematic import KinematicSimulator, _covered
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Mover, World, generate

BOUNDS = (-20.0, -20.0, 20.0, 20.0)


def empty(**things):
    return World("w", Pose(), (10.0, 0.0), BOUNDS, **things)


def drive(simulator, linear, angular, seconds):
    events = []
    for k in range(round(seconds * 100)):
        simulator.apply(Twist(0, linear_x=linear, angular_z=angular))
        events += simulator.advance(round((k + 1) * 1e7))
    return events


def test_the_beams_that_are_tried_are_never_fewer_than_those_that_an_obstacle_covers():
    turns = np.linspace(-math.pi, math.pi, 20_001)
    rough = np.array([rough_bearing(math.cos(t), math.sin(t)) for t in turns])
    assert np.abs((rough - turns + math.pi) % (2 * math.pi) - math.pi).max() < 0.5 * ROUGH
    for ratio in np.linspace(1e-4, 1.0, 500):
        first, count = _covered(1.0 / ratio, 0.0, 1.0, -math.pi, math.pi / 180, 360, math.inf)
        degrees = math.degrees(math.asin(ratio))
        assert first <= math.floor(180.0 - degrees)
        assert count == 360 or first + count >= math.ceil(180.0 + degrees)


def test_it_accelerates_and_brakes_at_the_bases_rates():
    simulator = KinematicSimulator(empty())
    drive(simulator, 1.5, 0.0, 2.0)
    # 1.5 m/s at 3 m/s² takes 0.5 s and 0.375 m, the other 1.5 s make 2.25 m
    assert simulator.truth().pose.x == pytest.approx(0.375 + 2.25, abs=0.01)
    assert simulator.truth().twist.linear_x == 1.5
    assert simulator.path_length == pytest.approx(simulator.truth().pose.x)
    list(simulator.advance(5_000_000_000))
    # the last command came at 1.99 s; 0.25 s after it the base brakes at 4 m/s²: 0.24 s more, then 1.5² / 8 m
    assert simulator.truth().twist.linear_x == 0.0
    assert simulator.truth().pose.x == pytest.approx(2.625 + 0.24 * 1.5 + 1.5**2 / 8, abs=0.01)


def test_it_drives_circles():
    simulator = KinematicSimulator(empty())
    drive(simulator, 1.0, 1.0, 4.0)
    before = simulator.truth().pose
    for k in range(round(math.pi * 100)):
        simulator.apply(Twist(0, linear_x=1.0, angular_z=1.0))
        list(simulator.advance(4_000_000_000 + (k + 1) * 10_000_000))
    after = simulator.truth().pose
    assert math.dist((before.x, before.y), (after.x, after.y)) == pytest.approx(2.0, abs=0.01)


def test_a_contact_is_noted_once_and_ends_the_events():
    simulator = KinematicSimulator(empty(cylinders=np.array([[2.0, 0.0, 0.1]])))
    events = drive(simulator, 1.0, 0.0, 4.0)
    (contact,) = simulator.contact_events
    assert not contact.standing
    assert simulator.truth().pose.x == pytest.approx(2.0 - 0.1 - JACKAL.length / 2, abs=0.006)
    assert events[-1].time_ns <= contact.time_ns
    assert simulator.closest_approach == 0.0


def test_a_mover_that_comes_to_a_standing_robot_is_a_standing_contact():
    mover = Mover(0.25, (2.0, 0.0), (-2.0, 0.0), 1.0)
    simulator = KinematicSimulator(empty(movers=(mover,)))
    list(simulator.advance(4_000_000_000))
    (contact,) = simulator.contact_events
    assert contact.standing
    assert contact.obstacle == "mover0"
    # it has to come from x = 2 to 0.25 + 0.254
    assert contact.time_ns * 1e-9 == pytest.approx(2.0 - 0.504, abs=0.011)


def test_its_scans_and_odometry_are_those_of_the_physics_where_the_robot_stands():
    world = generate("forest", 3)
    with Simulator(world, seed=4, camera=False) as physics:
        reference = [e for e in physics.advance(100_000_000) if e.kind != "imu"]
    events = list(KinematicSimulator(world, seed=4).advance(100_000_000))
    assert [e.kind for e in events] == [e.kind for e in reference]
    assert all(abs(e.time_ns - r.time_ns) <= 2_000_000 for e, r in zip(events, reference, strict=True))
    for one, other in zip(events, reference, strict=True):
        if one.kind == "scan":
            both = np.isfinite(one.value.ranges) & np.isfinite(other.value.ranges)
            assert both.sum() > 40
            # beams that graze an edge may differ
            assert np.median(np.abs(one.value.ranges[both] - other.value.ranges[both])) < 1e-3


def test_it_ends_near_where_the_physics_ends():
    world = generate("open", 0)
    kinematic = KinematicSimulator(world)
    drive(kinematic, 1.0, 0.4, 3.0)
    with Simulator(world, camera=False) as physics:
        drive(physics, 1.0, 0.4, 3.0)
        there = physics.truth().pose
    here = kinematic.truth().pose
    assert math.dist((here.x, here.y), (there.x, there.y)) < 0.1
    assert here.yaw == pytest.approx(there.yaw, abs=0.06)


def test_a_start_in_an_obstacle_and_commands_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        KinematicSimulator(empty(cylinders=np.array([[0.3, 0.0, 0.1]])))
    with pytest.raises(ValueError, match="finite"):
        KinematicSimulator(empty()).apply(Twist(0, math.nan))
