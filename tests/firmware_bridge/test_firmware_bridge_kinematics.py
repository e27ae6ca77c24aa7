"""Kinematics, limits and odometry against sums that can be done in the head."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.kinematics import (
    Ackermann,
    BodyLimits,
    BodyVelocity,
    Differential,
    Mecanum,
    limit_velocity,
    limit_wheels,
    skid_steer,
    slip,
)
from firmware_bridge.odometry import WheelOdometry, integrate
from firmware_bridge.wheels import unwrap
from hybrid_control.signals import Pose

small = st.floats(-3, 3)
velocities = st.builds(BodyVelocity, small, small, small)
DIFFERENTIAL = Differential(radius=1.0, track=2.0)
MECANUM = Mecanum(radius=1.0, wheelbase=1.0, track=1.0)
ACKERMANN = Ackermann(radius=1.0, wheelbase=1.0, track=1.0, max_steering=math.pi / 4)


def test_differential_with_sizes_of_one() -> None:
    # 1 m/s and 1 rad/s at 1 m from the middle: left 1 - 1, right 1 + 1
    assert DIFFERENTIAL.to_wheels(BodyVelocity(1, 0, 1)).speeds == (0, 2)
    assert DIFFERENTIAL.to_wheels(BodyVelocity(0, 5, 0)).speeds == (0, 0)
    assert DIFFERENTIAL.to_body((0, 2)) == BodyVelocity(1, 0, 1)


def test_skid_steering_turns_as_if_its_track_were_wider() -> None:
    base = skid_steer(radius=0.5, track=1.0, slip=2.0)
    # yaw 1 rad/s: sides at 1 * 1.0 * 2.0 / 2 = 1 m/s, 2 rad/s
    assert base.to_wheels(BodyVelocity(0, 0, 1)).speeds == (-2, 2, -2, 2)
    assert base.to_body((-2, 2, -2, 2)) == BodyVelocity(0, 0, 1)
    assert len(base.wheels) == 4


def test_mecanum_with_sizes_of_one() -> None:
    assert MECANUM.to_wheels(BodyVelocity(1, 0, 0)).speeds == (1, 1, 1, 1)
    assert MECANUM.to_wheels(BodyVelocity(0, 1, 0)).speeds == (-1, 1, 1, -1)  # to the left
    assert MECANUM.to_wheels(BodyVelocity(0, 0, 1)).speeds == (-1, 1, -1, 1)


def test_ackermann_on_a_circle_of_two_metres() -> None:
    command = ACKERMANN.to_wheels(BodyVelocity(1, 0, 0.5))
    # curvature 1/2: the left wheel runs on 1.5 m, the right on 2.5 m radius
    assert command.speeds == pytest.approx((0.75, 1.25))
    assert command.steering == pytest.approx((math.atan(1 / 1.5), math.atan(1 / 2.5)))
    assert ACKERMANN.to_body(command.speeds) == pytest.approx((1, 0, 0.5))
    assert ACKERMANN.to_body(command.speeds, command.steering) == pytest.approx((1, 0, 0.5))


def test_ackermann_cannot_turn_on_the_spot_nor_tighter_than_its_steering() -> None:
    assert ACKERMANN.to_wheels(BodyVelocity(0, 0, 1)).speeds == (0, 0)
    tight = ACKERMANN.to_wheels(BodyVelocity(1, 0, 9))
    assert ACKERMANN.to_body(tight.speeds) == pytest.approx((1, 0, 1))  # tan(45 deg) / 1 m
    assert ACKERMANN.to_wheels(BodyVelocity(-1, 0, 0.5)).steering[0] < 0  # backing off to the left steers right


@given(velocities)
def test_there_and_back_is_what_the_base_can_do(v: BodyVelocity) -> None:
    assert DIFFERENTIAL.to_body(DIFFERENTIAL.to_wheels(v).speeds) == pytest.approx((v.x, 0, v.yaw), abs=1e-9)
    assert MECANUM.to_body(MECANUM.to_wheels(v).speeds) == pytest.approx(v, abs=1e-9)


@pytest.mark.parametrize("base", [DIFFERENTIAL, MECANUM, ACKERMANN])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_velocity_that_is_not_finite_is_refused(base, bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        base.to_wheels(BodyVelocity(0, 0, bad))
    with pytest.raises(ValueError, match="wheel speeds for"):
        base.to_body((1.0,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Differential(0.0, 1.0),
        lambda: Differential(1.0, math.nan),
        lambda: Differential(1.0, 1.0, slip=0.5),
        lambda: Mecanum(1.0, -1.0, 1.0),
        lambda: Ackermann(1.0, 1.0, 1.0, 2.0),
        lambda: Ackermann(1.0, 1.0, 1.0, 1.5),
        lambda: BodyLimits(speed=0.0),
        lambda: WheelOdometry(DIFFERENTIAL, 0.0),
    ],
)
def test_geometry_that_is_none_is_refused(make) -> None:
    with pytest.raises(ValueError):
        make()


def test_too_fast_is_scaled_so_that_the_curvature_stays() -> None:
    limited = limit_velocity(BodyVelocity(4, 0, 2), BodyVelocity(), BodyLimits(speed=1), 1.0)
    assert limited == BodyVelocity(1, 0, 0.5)
    assert limit_velocity(BodyVelocity(4, 0, 2), BodyVelocity(), BodyLimits(yaw_rate=1), 1.0) == BodyVelocity(2, 0, 1)


def test_acceleration_is_limited_in_every_direction() -> None:
    limits = BodyLimits(acceleration=5, yaw_acceleration=2)
    # 5 m/s² for 0.1 s along (3, 4) / 5; 2 rad/s² for 0.1 s
    assert limit_velocity(BodyVelocity(3, 4, 1), BodyVelocity(), limits, 0.1) == pytest.approx((0.3, 0.4, 0.2))
    assert limit_velocity(BodyVelocity(), BodyVelocity(1, 0, 1), limits, 0.1) == pytest.approx((0.5, 0, 0.8))


def test_a_curve_is_driven_no_faster_than_the_tyres_hold() -> None:
    # 4 m/s at 2 rad/s need 8 m/s² sideways; 2 m/s² hold: half of both
    assert limit_velocity(BodyVelocity(4, 0, 2), BodyVelocity(4, 0, 2), BodyLimits(grip=2), 10.0) == pytest.approx(
        (2, 0, 1)
    )


@given(velocities, velocities, st.floats(0.001, 0.1))
def test_limits_hold_and_are_reached_in_the_end(wanted: BodyVelocity, previous: BodyVelocity, dt: float) -> None:
    limits = BodyLimits(speed=2, yaw_rate=1, acceleration=3, yaw_acceleration=4, grip=5)
    one = limit_velocity(wanted, previous, limits, dt)
    assert math.hypot(one.x - previous.x, one.y - previous.y) <= 3 * dt + 1e-9
    assert abs(one.yaw - previous.yaw) <= 4 * dt + 1e-9
    v = previous
    for _ in range(500):
        v = limit_velocity(wanted, v, limits, 0.02)
    assert math.hypot(v.x, v.y) <= 2 + 1e-9
    assert abs(v.yaw) <= 1 + 1e-9
    cross = v.x * wanted.yaw - v.yaw * wanted.x
    assert cross == pytest.approx(0, abs=1e-6)  # the curvature that was wished for


def test_wheels_are_scaled_together() -> None:
    assert limit_wheels((4.0, -2.0), 2.0) == (2.0, -1.0)
    assert limit_wheels((1.0, -2.0), 2.0) == (1.0, -2.0)


def test_a_spinning_wheel_shows_as_slip() -> None:
    assert slip(MECANUM, MECANUM.to_wheels(BodyVelocity(1, 0.5, -0.2)).speeds) == pytest.approx(0, abs=1e-12)
    # one of four wheels 4 rad/s too fast: the fit takes 3 of it, 1 in each wheel is left
    assert slip(MECANUM, (5, 1, 1, 1)) == pytest.approx(1)
    assert slip(DIFFERENTIAL, (5, 1)) == 0


def test_a_quarter_circle_ends_where_it_must() -> None:
    pose = integrate(Pose(), BodyVelocity(math.pi / 2, 0, math.pi / 2))  # radius 1 to the left
    assert (pose.x, pose.y, pose.yaw) == pytest.approx((1, 1, math.pi / 2))


@given(velocities, st.integers(2, 50))
def test_an_arc_does_not_depend_on_how_often_it_is_sampled(motion: BodyVelocity, n: int) -> None:
    whole = integrate(Pose(1, 2, 0.5), motion)
    parts = Pose(1, 2, 0.5)
    for _ in range(n):
        parts = integrate(parts, BodyVelocity(*(v / n for v in motion)))
    assert (parts.x, parts.y) == pytest.approx((whole.x, whole.y), abs=1e-9)
    assert math.remainder(parts.yaw - whole.yaw, math.tau) == pytest.approx(0, abs=1e-9)


def test_odometry_of_wheels_with_sizes_of_one() -> None:
    odometry = WheelOdometry(DIFFERENTIAL)
    odometry.update((5.0, 7.0), 0.1)
    assert odometry.update((6.0, 8.0), 0.5) == Pose(1, 0, 0)
    assert odometry.velocity == BodyVelocity(2, 0, 0)
    pose = odometry.update((6.0 - math.pi / 2, 8.0 + math.pi / 2), 1.0)  # half a turn of pi on the spot
    assert (pose.x, pose.y, abs(pose.yaw)) == pytest.approx((1, 0, math.pi / 2))


def test_a_jump_of_the_encoders_is_left_out() -> None:
    odometry = WheelOdometry(DIFFERENTIAL, max_wheel_speed=20.0)
    odometry.update((0.0, 0.0), 0.1)
    odometry.update((1e6, 0.0), 0.1)
    assert (odometry.pose, odometry.jumps) == (Pose(), 1)
    odometry.update((1e6 + 1, 1.0), 0.1)
    assert odometry.pose == Pose(1, 0, 0)


@pytest.mark.parametrize(
    ("positions", "dt"), [((math.nan, 0.0), 0.1), ((0.0, 0.0), 0.0), ((0.0, 0.0), math.nan)]
)
def test_odometry_refuses_what_is_no_reading(positions: tuple[float, float], dt: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        WheelOdometry(DIFFERENTIAL).update(positions, dt)


@given(st.lists(st.integers(-(2**30), 2**30), max_size=20))
def test_a_count_goes_on_over_the_wrap_of_its_counter(steps: list[int]) -> None:
    true = count = 0
    for s in steps:
        true += s
        raw = (true + 2**31) % 2**32 - 2**31
        count = unwrap(count, raw)
        assert count == true


def test_wrap_of_sixteen_bits() -> None:
    assert unwrap(32767, -32768, 16) == 32768
    assert unwrap(-32768, 32767, 16) == -32769
