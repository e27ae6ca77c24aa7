import math

import numpy as np
import pytest

from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.wheels import ramp
from hybrid_control.sim.worlds import Mover, World, generate
from hybrid_control.sim.worlds.grid import geodesic_field

BOUNDS = (-10.0, -10.0, 20.0, 10.0)


def world(cylinders=(), boxes=(), start=Pose(), movers=()):
    return World("test", start, (15.0, 0.0), BOUNDS, np.array(cylinders), np.array(boxes), tuple(movers))


def drive(sim, linear_x, angular_z, seconds):
    for _ in range(round(seconds / 0.1)):
        sim.apply(Twist(0, linear_x=linear_x, angular_z=angular_z))
        sim.step(0.1)


def test_straight_drive_covers_speed_times_time_less_the_ramp():
    sim = Simulator(world(), camera=False)
    drive(sim, 1.0, 0.0, 4.0)
    # 1 m/s for 4 s, less 1/2 v²/a = 1/6 m of ramp at 3 m/s²
    truth = sim.truth()
    assert truth.pose.x == pytest.approx(4.0 - 1.0 / 6.0, rel=0.01)
    assert truth.pose.y == pytest.approx(0.0, abs=0.005)
    assert truth.twist.linear_x == pytest.approx(1.0, rel=0.01)
    assert sim.path_length == pytest.approx(truth.pose.x, rel=0.005)
    assert sim.goal_distance() == pytest.approx(15.0 - truth.pose.x, abs=0.01)
    assert sim.time_ns == 4_000_000_000


def test_robot_turns_on_the_spot_at_the_rate_commanded():
    sim = Simulator(world(), camera=False)
    drive(sim, 0.0, 1.0, 1.0)
    before = sim.truth().pose.yaw
    drive(sim, 0.0, 1.0, 1.5)
    assert sim.truth().pose.yaw - before == pytest.approx(1.5, rel=0.01)
    assert np.hypot(sim.truth().pose.x, sim.truth().pose.y) < 0.01


def test_arc_has_the_radius_speed_over_turn_rate():
    sim = Simulator(world(), camera=False)
    drive(sim, 1.0, 0.5, 1.0)
    points = []
    for _ in range(60):
        drive(sim, 1.0, 0.5, 0.1)
        points.append((sim.truth().pose.x, sim.truth().pose.y))
    xy = np.array(points)
    # the circle x² + y² + ax + by + c = 0 by least squares
    a, b, c = np.linalg.lstsq(np.column_stack((xy, np.ones(len(xy)))), -(xy**2).sum(axis=1))[0]
    assert math.sqrt(a * a / 4 + b * b / 4 - c) == pytest.approx(2.0, rel=0.02)


def test_speed_ramps_at_the_robots_acceleration_and_deceleration():
    sim = Simulator(world(), camera=False)
    sim.apply(Twist(0, linear_x=2.0, angular_z=0.0))
    sim.step(0.2)
    assert sim.truth().twist.linear_x == pytest.approx(0.2 * JACKAL.acceleration, abs=0.06)
    drive(sim, 2.0, 0.0, 1.0)
    assert sim.truth().twist.linear_x == pytest.approx(2.0, rel=0.01)
    sim.apply(Twist(0, linear_x=0.0, angular_z=0.0))
    sim.step(0.2)
    assert sim.truth().twist.linear_x == pytest.approx(2.0 - 0.2 * JACKAL.deceleration, abs=0.08)


def test_ramp_takes_the_steps_worked_out_by_hand():
    assert ramp(0.0, 2.0, 3.0, 4.0, 0.1) == pytest.approx(0.3)
    assert ramp(1.9, 2.0, 3.0, 4.0, 0.1) == pytest.approx(2.0)
    assert ramp(2.0, 0.0, 3.0, 4.0, 0.1) == pytest.approx(1.6)
    assert ramp(-2.0, -1.0, 3.0, 4.0, 0.1) == pytest.approx(-1.6)
    assert ramp(1.0, -2.0, 3.0, 4.0, 0.1) == pytest.approx(0.6)  # turning round is braking first


def test_commands_are_cut_to_the_robots_limits():
    sim = Simulator(world(), camera=False)
    drive(sim, 50.0, 0.0, 2.0)
    assert sim.truth().twist.linear_x == pytest.approx(JACKAL.max_speed, rel=0.02)
    drive(sim, 0.0, -50.0, 2.0)
    assert sim.truth().twist.angular_z == pytest.approx(-JACKAL.max_yaw_rate, rel=0.02)


def test_base_stops_by_itself_without_a_fresh_command():
    sim = Simulator(world(), camera=False)
    drive(sim, 1.0, 0.0, 1.0)
    sim.apply(Twist(0, linear_x=1.0, angular_z=0.0))
    sim.step(0.25)
    assert sim.truth().twist.linear_x == pytest.approx(1.0, rel=0.02)
    sim.step(1.0 / JACKAL.deceleration + 0.1)
    assert abs(sim.truth().twist.linear_x) < 0.01
    at = sim.truth().pose.x
    sim.step(1.0)
    assert sim.truth().pose.x == pytest.approx(at, abs=0.002)


def test_wheel_speeds_drive_the_wheels_directly_and_time_out_too():
    sim = Simulator(world(), camera=False)
    for _ in range(10):
        sim.set_wheel_speeds(5.0, 5.0)
        sim.step(0.1)
    angles, speeds = sim.locomotion.wheel_states()
    assert speeds == pytest.approx([5.0, 5.0], rel=0.02)
    assert angles == pytest.approx([5.0, 5.0], rel=0.1)
    assert sim.truth().twist.linear_x == pytest.approx(5.0 * JACKAL.wheel_radius, rel=0.02)
    sim.step(1.0)
    assert sim.locomotion.wheel_states()[1] == pytest.approx([0.0, 0.0], abs=0.01)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_commands_that_are_not_finite_are_refused_and_change_nothing(bad):
    sim = Simulator(world(), camera=False)
    for command in (lambda v, w: sim.apply(Twist(0, linear_x=v, angular_z=w)), sim.set_wheel_speeds):
        with pytest.raises(ValueError, match="must be finite"):
            command(bad, 0.0)
        with pytest.raises(ValueError, match="must be finite"):
            command(0.5, bad)
    sim.step(0.5)
    assert abs(sim.truth().twist.linear_x) < 0.001


def test_driving_into_a_cylinder_is_one_contact_and_the_robot_stays_out_of_it():
    sim = Simulator(world(cylinders=[(2.0, 0.0, 0.2)]), camera=False)
    drive(sim, 0.5, 0.0, 5.0)
    assert sim.contacts == 1
    contact = sim.contact_events[0]
    assert contact.obstacle == "cylinder0"
    assert not contact.standing
    # the front touches where 2 - 0.2 - 0.254 m are covered
    assert contact.x == pytest.approx(2.0 - 0.2 - 0.254, abs=0.01)
    assert sim.truth().pose.x < contact.x + 0.02
    assert sim.minimum_distance() < 0.005
    assert sim.closest_approach < 0.005


def test_touching_backing_off_and_touching_again_are_two_contacts():
    sim = Simulator(world(boxes=[(1.0, 0.0, 0.2, 2.0, 0.0)]), camera=False)
    drive(sim, 0.5, 0.0, 2.5)
    drive(sim, -0.5, 0.0, 1.0)
    assert sim.contacts == 1
    drive(sim, 0.5, 0.0, 2.0)
    assert sim.contacts == 2
    assert {c.obstacle for c in sim.contact_events} == {"box0"}


def test_passing_at_a_clearance_is_no_contact_and_the_closest_approach_is_that_clearance():
    sim = Simulator(world(cylinders=[(2.0, 0.5, 0.2)], boxes=[(3.5, -1.0, 1.0, 1.0, 0.0)]), camera=False)
    drive(sim, 1.0, 0.0, 5.5)
    assert sim.truth().pose.x > 5.0
    assert sim.contacts == 0
    # beside the cylinder 0.5 - 0.215 - 0.2 m, beside the box 0.5 - 0.215 m
    assert sim.closest_approach == pytest.approx(0.085, abs=0.005)


def test_minimum_distance_equals_the_hand_worked_number():
    sim = Simulator(world(cylinders=[(2.0, 0.0, 0.5)]), camera=False)
    assert sim.minimum_distance() == pytest.approx(2.0 - 0.254 - 0.5)
    sim.place(Pose(2.0, 3.0, math.pi / 2))
    assert sim.minimum_distance() == pytest.approx(3.0 - 0.254 - 0.5)
    assert Simulator(world(), camera=False).minimum_distance() == math.inf


def test_mover_that_runs_into_a_standing_robot_is_a_contact_while_standing():
    walker = Mover(0.25, (0.0, 3.0), (0.0, -3.0), 1.0)
    sim = Simulator(world(movers=[walker]), camera=False)
    assert sim.minimum_distance() == pytest.approx(3.0 - 0.25 - 0.215)
    sim.step(2.0)
    assert sim.minimum_distance() == pytest.approx(1.0 - 0.25 - 0.215, abs=0.003)
    assert sim.contacts == 0
    sim.step(0.7)
    assert [(c.obstacle, c.standing) for c in sim.contact_events] == [("mover0", True)]


def test_odometry_drifts_but_stays_within_a_few_percent():
    errors = []
    for seed in range(6):
        sim = Simulator(world(), seed=seed, camera=False)
        for _ in range(8):
            drive(sim, 1.0, 0.6, 0.6)
            drive(sim, 1.0, -0.6, 0.6)
        truth, believed = sim.truth().pose, sim.odometry().pose
        errors.append(math.dist((truth.x, truth.y), (believed.x, believed.y)) / sim.path_length)
        assert sim.odometry().twist.linear_x == pytest.approx(1.0, rel=0.03)
    assert min(errors) > 1e-4
    assert 0.002 < max(errors) < 0.05
    assert len(set(errors)) == len(errors)


def test_odometry_begins_at_the_true_start():
    sim = Simulator(world(start=Pose(1.0, 2.0, 0.5)), camera=False)
    assert sim.odometry().pose == Pose(1.0, 2.0, 0.5)
    assert sim.odometry().stamp_ns == 0
    sim.step(0.5)
    assert sim.odometry().pose.x == pytest.approx(1.0, abs=0.001)


def test_same_seed_gives_the_same_run_to_the_bit_and_another_seed_does_not():
    def run(seed):
        sim = Simulator(generate("crossing", 2), seed=seed, camera=False)
        out = []
        for tick in range(60):
            sim.apply(Twist(0, linear_x=0.8, angular_z=math.sin(tick / 5)))
            for event in sim.advance(sim.time_ns + 50_000_000):
                if event.kind == "scan":
                    out.append(event.value.ranges.astype(np.float64))
                elif event.kind == "odometry":
                    out.append(np.array([event.value.pose.x, event.value.pose.y, event.value.pose.yaw]))
                else:
                    out.append(np.array(event.value.angular_velocity + event.value.linear_acceleration))
        return np.concatenate(out), sim.truth().pose, sim.contact_events

    one, again, other = run(5), run(5), run(6)
    assert np.array_equal(one[0], again[0])
    assert one[1:] == again[1:]
    assert not np.array_equal(one[0], other[0])
    assert one[1] == other[1]  # noise of sensors does not move the robot


def test_reset_starts_the_same_run_again():
    sim = Simulator(generate("default", 1), seed=3, camera=False)
    drive(sim, 0.5, 0.3, 1.0)
    first = sim.scan().ranges, sim.truth(), sim.odometry()
    sim.reset()
    assert (sim.time_ns, sim.contacts, sim.path_length) == (0, 0, 0.0)
    drive(sim, 0.5, 0.3, 1.0)
    assert np.array_equal(sim.scan().ranges, first[0])
    assert (sim.truth(), sim.odometry()) == first[1:]


def test_readings_come_at_their_rates_in_order_of_time_however_the_time_is_cut():
    def stamps(step_ns):
        sim = Simulator(world(), camera=False)
        out = []
        while sim.time_ns < 1_000_000_000:
            out += [(e.kind, e.time_ns) for e in sim.advance(sim.time_ns + step_ns)]
        return out

    coarse, fine = stamps(100_000_000), stamps(10_000_000)
    assert coarse == fine
    assert [t for _, t in coarse] == sorted(t for _, t in coarse)
    counts = {kind: sum(k == kind for k, _ in coarse) for kind, _ in coarse}
    assert counts == {"odometry": 50, "imu": 100, "scan": 40}


def test_steps_shorter_than_a_physics_step_add_up():
    sim = Simulator(world(), camera=False, timestep=0.002)
    for _ in range(1000):
        sim.step(0.001)
    assert sim.time_ns == 1_000_000_000
    with pytest.raises(ValueError, match="impossible"):
        sim.step(-1.0)
    with pytest.raises(ValueError, match="impossible"):
        sim.step(math.nan)


def test_start_in_an_obstacle_and_impossible_timestep_are_refused():
    with pytest.raises(ValueError, match="does not fit at the start"):
        Simulator(world(cylinders=[(0.3, 0.0, 0.1)]), camera=False)
    for timestep in (0.0, 0.1, -0.002):
        with pytest.raises(ValueError, match="timestep"):
            Simulator(world(), camera=False, timestep=timestep)


@pytest.mark.parametrize(
    ("name", "radius"), [("default", 0.35), ("corridor", 0.35), ("rooms", 0.35), ("field", 0.28)]
)
def test_robot_that_follows_the_distance_field_arrives_without_a_contact(name, radius):
    scene = generate(name, 2)
    sim, field = Simulator(scene, camera=False), geodesic_field(scene, radius)
    while sim.goal_distance() > 0.4 and sim.time_ns < 30_000_000_000:
        pose = sim.truth().pose
        turn = math.remainder(field.heading(pose.x, pose.y, 0.6) - pose.yaw, 2 * math.pi)
        sim.apply(Twist(0, linear_x=max(0.0, math.cos(turn)) ** 2, angular_z=3.0 * turn))
        sim.step(0.05)
    assert sim.goal_distance() < 0.4
    assert sim.contacts == 0
    assert sim.path_length == pytest.approx(field.distance(scene.start.x, scene.start.y), abs=1.0)
