import dataclasses
import math

import numpy as np
import pytest

from hybrid_control.navigation.drive import Navigator
from hybrid_control.navigation.episode import Rules
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.robots.quad import GRAVITY, QUAD
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World, generate

EXACT = dataclasses.replace(QUAD, odometry_scale_error=0.0, gyro_drift=0.0, vertical_noise=0.0)


def simulator(world=None, robot=EXACT):
    return Simulator(world or generate("open", 0), robot, camera=False)


def hold(sim, seconds, **speeds):
    for _ in range(round(seconds / 0.05)):
        sim.apply(Twist(0, **speeds))
        sim.step(0.05)


def test_it_hovers_with_a_quarter_of_its_weight_on_each_rotor():
    sim = simulator()
    sim.step(2.0)
    assert sim.height == pytest.approx(QUAD.hover_height, abs=0.01)
    assert math.dist((sim.truth().pose.x, sim.truth().pose.y), (0, 0)) < 0.01
    np.testing.assert_allclose(sim.mujoco.data.ctrl, QUAD.mass * GRAVITY / 4, rtol=0.01)


@pytest.mark.parametrize(
    ("name", "speed"),
    [("linear_x", 1.0), ("linear_x", -0.6), ("linear_y", 0.8), ("linear_z", 0.4), ("angular_z", 1.0)],
)
def test_each_part_of_a_command_is_what_it_does(name, speed):
    sim = simulator()
    hold(sim, 4.0, **{name: speed})
    twist = sim.truth().twist
    for part in ("linear_x", "linear_y", "linear_z", "angular_z"):
        assert getattr(twist, part) == pytest.approx(speed if part == name else 0.0, abs=0.06)


def test_a_turn_keeps_the_command_in_the_bodys_frame():
    sim = simulator()
    hold(sim, 2.0, angular_z=1.0)
    hold(sim, 3.0, linear_y=0.5)
    twist = sim.truth().twist
    assert twist.linear_y == pytest.approx(0.5, abs=0.06)
    assert twist.linear_x == pytest.approx(0.0, abs=0.06)


def test_without_commands_it_stops_and_hovers():
    sim = simulator()
    hold(sim, 3.0, linear_x=1.0)
    sim.step(QUAD.command_timeout + 3.0)
    assert abs(sim.truth().twist.linear_x) < 0.05
    assert sim.height == pytest.approx(QUAD.hover_height, abs=0.1)


def test_limits_hold_whatever_is_asked():
    sim = simulator()
    hold(sim, 5.0, linear_x=30.0, linear_y=40.0, linear_z=9.0)
    twist = sim.truth().twist
    assert math.hypot(twist.linear_x, twist.linear_y) < 1.1 * QUAD.max_speed
    assert twist.linear_z < 1.1 * QUAD.max_climb
    with pytest.raises(ValueError, match="finite"):
        sim.apply(Twist(0, math.nan))


def test_a_rotor_cannot_pull_more_than_its_most_thrust():
    sim = simulator(robot=dataclasses.replace(EXACT, mass=3.0))  # 29 N of weight, 26 N of thrust
    hold(sim, 1.0)
    assert sim.height < QUAD.hover_height - 0.2
    assert sim.mujoco.data.ctrl.max() <= QUAD.rotor_thrust + 1e-9


def test_ranges_up_and_down_see_the_ground_and_nothing_in_the_sky():
    sim = simulator()
    sim.step(0.1)
    ranges = sim.vertical()
    assert ranges.down == pytest.approx(sim.height, abs=1e-3)
    assert ranges.up == math.inf


def test_a_lidar_that_tilts_sees_the_ground():
    robot = dataclasses.replace(EXACT, lidar_noise=0.0, lidar_dropout=0.0)
    sim = simulator(robot=robot)
    assert not np.isfinite(sim.scan().ranges).any()
    tilt = 0.2
    sim.mujoco.data.qpos[3:7] = (math.cos(tilt / 2), 0.0, math.sin(tilt / 2), 0.0)  # nose down
    sim.mujoco.library.mj_forward(sim.mujoco.model, sim.mujoco.data)
    scan = sim.scan()
    ahead = int(np.argmin(np.abs(scan.angles())))
    # from lidar_z over the middle, along a beam that sinks by the tilt
    height = QUAD.hover_height + QUAD.lidar_z * math.cos(tilt)
    assert scan.ranges[ahead] == pytest.approx(height / math.sin(tilt), rel=1e-4)
    assert scan.ranges[0] == math.inf  # and behind it looks up


def test_the_ground_and_a_trunk_are_contacts():
    world = World("post", Pose(), (5.0, 0.0), (-1, -2, 6, 2), np.array([[1.0, 0.0, 0.1]]))
    sim = simulator(world)
    hold(sim, 2.0, linear_x=1.0)
    assert [c.obstacle for c in sim.contact_events][:1] == ["cylinder0"]
    low = simulator()
    hold(low, 3.0, linear_z=-1.0)
    assert low.contact_events[0].obstacle == "ground"


def test_odometry_drifts_and_the_exact_one_does_not():
    exact, real = simulator(), simulator(robot=dataclasses.replace(EXACT, odometry_scale_error=0.05))
    for sim in (exact, real):
        hold(sim, 4.0, linear_x=1.0, angular_z=0.3)
    at, truth = exact.odometry().pose, exact.truth().pose
    assert math.dist((at.x, at.y), (truth.x, truth.y)) < 0.05
    at, truth = real.odometry().pose, real.truth().pose
    assert math.dist((at.x, at.y), (truth.x, truth.y)) > 0.01


def test_trunks_lower_than_it_flies_are_refused():
    with pytest.raises(ValueError, match="stand lower than the drone flies"):
        Simulator(generate("forest", 0), QUAD, camera=False, appearance=Appearance())


def test_robots_are_found_by_name():
    assert vehicle("quad") is QUAD
    with pytest.raises(ValueError, match="unknown robot 'blimp'; there are burger, car, jackal, mecanum, quad"):
        vehicle("blimp")


def test_the_reflex_alone_flies_a_forest_and_does_so_again_to_the_bit():
    world = generate("forest", seed=2)
    drone = Navigator(None, QUAD, memory=False)
    first, second = (drone.run(world, 2, Rules(duration=40.0)) for _ in range(2))
    assert first.success
    assert (first.time, first.path, first.least_distance) == (second.time, second.path, second.least_distance)
    np.testing.assert_array_equal(first.way, second.way)
