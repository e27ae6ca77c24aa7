"""A trial drive: it finds a base's numbers, and stops at once for whatever is not as it must be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from identify_base import FAR, Base, settings, sweep, trial

from hybrid_control.navigation.identify.simulated import drive
from hybrid_control.navigation.identify.trial import SILENCE, Trial, Wish
from hybrid_control.navigation.reflex.gains import SETTINGS
from hybrid_control.parameters import check_all
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control.sim.robots import vehicle


def moving(sent):
    return [(when, t) for when, t in sent if t.linear_x or t.angular_z]


def test_a_trial_finds_delay_acceleration_and_braking_of_a_base():
    one = trial(shares=(0.5, 1.0, 1.0))
    base = Base(delay=0.2, rise=0.8, fall=1.5, turn=3.0).drive(one)
    assert one.done
    assert not one.fault
    found = one.result
    assert found.speed.median == pytest.approx(0.5, rel=0.01)
    assert found.acceleration.median == pytest.approx(0.8, rel=0.05)
    assert found.braking.median == pytest.approx(1.5, rel=0.05)
    assert found.delay.median == pytest.approx(0.2, abs=0.015)
    assert found.yaw_rate.median == pytest.approx(1.0, rel=0.01)
    assert found.yaw_acceleration.median == pytest.approx(3.0, rel=0.1)
    assert (found.odometry_rate.median, found.scan_rate.median) == pytest.approx((50.0, 20.0))
    assert found.braking.repeats == 2
    # slowly first, there and back, and at the end it stands
    speeds = [t.linear_x for _, t in moving(base.sent) if t.linear_x]
    assert speeds[0] == pytest.approx(0.25)
    assert max(speeds) == 0.5
    assert math.hypot(base.x, base.y) < 1.5
    assert base.sent[-1][1].linear_x == base.sent[-1][1].angular_z == 0.0


@pytest.mark.parametrize(
    ("name", "numbers"), [("jackal", {}), ("car", {}), ("jackal", {"acceleration": 0.8, "deceleration": 0.6})]
)
def test_a_trial_in_the_simulator_finds_the_numbers_of_the_robots_description(name, numbers):
    robot = replace(vehicle(name), **numbers)
    wish = Wish(speed=0.6, yaw_rate=0.75, braking=0.5, turning_radius=robot.wheels.turning_radius, shares=(1.0,))
    one = Trial(wish, check_all(SETTINGS, robot.reflex_settings))
    drive(one, robot)
    assert not one.fault
    found = one.result
    assert found.speed.median == pytest.approx(0.6, rel=0.02)
    assert found.acceleration.median == pytest.approx(robot.acceleration, rel=0.05)
    assert found.braking.median == pytest.approx(robot.deceleration, rel=0.05)
    assert found.yaw_rate.median == pytest.approx(0.75, rel=0.03)
    assert found.delay.median < 0.03  # commands and odometry go by 10 ms there
    assert found.delay.high < (0.1 if robot.wheels.turning_radius else 0.03)  # steering takes its time
    assert found.scan_rate.median == pytest.approx(40.0, rel=0.05)
    assert found.odometry_rate.median == pytest.approx(50.0, rel=0.05)


def test_something_that_comes_nearer_than_it_can_stop_stops_it_with_the_very_next_command():
    """0.5 m/s, counted on 1 m/s² and 0.3 s: 0.15 + 0.125 m to stop, and 0.15 + 0.08 m kept; 0.45 m is too near."""

    def scan(base, stamp):
        ranges = np.full(360, FAR, np.float32)
        if base.v > 0.45:
            ranges[178:183] = 0.65  # 0.45 m before the nose
        return sweep(stamp, ranges)

    one, base = trial(), Base(scan=scan)
    base.drive(one)
    assert "something came into its way, 0.45 m before its nose; it stopped" in one.fault
    assert base.sent[-2][1].linear_x == 0.5
    assert base.sent[-1][1] == Twist(base.t)
    with pytest.raises(ValueError, match="something came into its way"):
        one.result  # noqa: B018
    # and it stays so
    for _ in range(200):
        base.t += 10_000_000
        one.put_odometry(Base.reading(base, base.t), base.t)
        one.put_scan(sweep(base.t), base.t)
        assert one.command(base.t) == Twist(base.t)


def test_something_farther_than_it_needs_to_stop_does_not_stop_it():
    def scan(base, stamp):
        ranges = np.full(360, FAR, np.float32)
        if base.v > 0.45 and base.x < 0.5:
            ranges[178:183] = 1.0
        return sweep(stamp, ranges)

    one = trial()
    Base(scan=scan).drive(one)
    assert one.done


def test_a_post_in_the_circle_that_it_turns_in_stops_the_turn():
    def scan(base, stamp):
        ranges = np.full(360, FAR, np.float32)
        if base.w > 0.9:
            ranges[240] = 0.27  # 60 degrees to the left: its corner comes by, its side does not
        return sweep(stamp, ranges)

    one = trial()
    base = Base(scan=scan).drive(one)
    assert "rad/s: something came into its way" in one.fault
    assert base.sent[-2][1].angular_z == 1.0
    assert base.sent[-1][1] == Twist(base.t)


@pytest.mark.parametrize("silent", ["odometry", "scan"])
def test_a_sensor_that_falls_silent_stops_it_within_the_time_for_that(silent):
    heard = {}

    def until_fast(read):
        def reading(base, stamp):
            if base.v < 0.4 and "last" not in heard:
                return read(base, stamp)
            heard.setdefault("last", base.seconds)
            return None

        return reading

    sources = {"odometry": Base.reading, "scan": lambda base, stamp: sweep(stamp)}
    one, base = trial(speed=0.5), Base(**{silent: until_fast(sources[silent])})
    base.drive(one)
    assert base.sent[-1][1] == Twist(base.t)
    assert base.seconds - heard["last"] <= SILENCE + 0.02
    if silent == "odometry":
        assert one.fault.startswith("odometry: silent for 0.5")
    else:  # as it ages the way that it may need grows; here nothing is near
        assert one.fault.startswith("scan: silent for 0.5")


def test_nothing_moves_before_both_sensors_were_heard_and_never_without():
    one, base = trial(), Base(odometry=lambda base, stamp: None)
    base.drive(one)
    assert one.fault == "odometry: nothing came in 10 s"
    assert not moving(base.sent)


def test_stamps_of_another_clock_are_refused_before_anything_moves():
    one = trial()
    base = Base(odometry=lambda base, stamp: base.reading(stamp - 3 * 10**9)).drive(one)
    assert one.fault.startswith("odometry: its stamp is 3 s old; expected 1 s at most: set the clocks")
    assert not moving(base.sent)


def test_a_base_that_drives_the_other_way_or_not_at_all_or_too_fast_is_stopped():
    def flipped(base, stamp):
        return Odometry(stamp, Pose(-base.x), Twist(stamp, -base.v))

    one = trial()
    base = Base(odometry=flipped).drive(one)
    assert "the other way round: motors, encoders or wheels are swapped" in one.fault
    assert base.x < 0.1

    one = trial()
    Base(odometry=lambda base, stamp: Odometry(stamp, Pose(), Twist(stamp))).drive(one)
    assert "nothing moved in 2 s; is its emergency stop in" in one.fault

    one = trial()
    Base(odometry=lambda base, stamp: Odometry(stamp, Pose(base.x), Twist(stamp, 2.0 * base.v))).drive(one)
    assert "faster than was commanded" in one.fault


def test_a_way_that_is_not_free_is_refused_with_how_much_is_there_before_anything_moves():
    def scan(base, stamp):
        ranges = np.full(360, FAR, np.float32)
        ranges[175:186] = 1.0
        return sweep(stamp, ranges)

    one, base = trial(), Base(scan=scan)
    base.drive(one)
    assert "1.00 m at 0.50 m/s: its way is not free, only 0.80 m are; make room" in one.fault
    assert not moving(base.sent)


@pytest.mark.parametrize(
    ("scan", "why"),
    [
        (
            lambda base, stamp: sweep(stamp, math.inf),
            "nothing in range anywhere, as one of a covered lidar does",
        ),
        (lambda base, stamp: sweep(stamp, math.nan), "nothing in range anywhere"),
        (lambda base, stamp: sweep(stamp, first=-0.2, beams=23), "the lidar does not see all of the way"),
        (
            lambda base, stamp: sweep(stamp, np.r_[[FAR] * 180, [math.nan] * 12, [FAR] * 168]),
            "does not see all",
        ),
    ],
    ids=["covered", "dead", "narrow", "a dead sector ahead"],
)
def test_what_the_lidar_does_not_show_is_not_driven_on(scan, why):
    one, base = trial(), Base(scan=scan)
    base.drive(one)
    assert why in one.fault
    assert not moving(base.sent)


def test_a_lidar_that_looks_back_is_turned_by_its_mount():
    """What stands behind the robot is before a lidar that is turned by half a turn."""
    ahead_in_scan = np.full(360, FAR, np.float32)
    ahead_in_scan[175:186] = 0.7
    one = trial(lidar_yaw=3.1416)
    Base(scan=lambda base, stamp: sweep(stamp, ahead_in_scan)).drive(one, seconds=3.0)
    assert not one.fault


def test_a_lidar_beside_the_middle_and_an_outline_off_base_link_are_where_they_are():
    """base_link on the rear axle: the nose is 0.2 + 0.15 m ahead, the lidar 0.25 m ahead and 0.1 m to the left."""
    ranges = np.full(360, FAR, np.float32)
    ranges[180] = 0.5  # at x 0.75, y 0.1: 0.4 m before the nose
    places = {"outline_x": 0.15, "lidar_x": 0.25, "lidar_y": 0.1}
    one = trial(**places)
    Base(scan=lambda base, stamp: sweep(stamp, ranges)).drive(one, seconds=3.0)
    assert "its way is not free, only 0.40 m are" in one.fault
    # 0.3 m to the left of the lidar it is beside the way: 0.4 m, of which the outline and its margin take 0.23
    ranges[180], ranges[240] = FAR, 0.3 / np.sin(np.pi / 3)
    two = trial(**places)
    Base(scan=lambda base, stamp: sweep(stamp, ranges)).drive(two, seconds=3.0)
    assert not two.fault


def test_braking_that_is_worse_than_was_said_is_counted_on_from_then_on():
    one = trial(shares=(0.5, 1.0))
    before = one.space
    Base(fall=0.5).drive(one)
    assert one.done
    assert one.wish.braking == pytest.approx(0.5, rel=0.1)
    assert one.space > before


def test_a_trial_that_would_need_a_hall_is_refused_at_once():
    with pytest.raises(
        ValueError, match=r"^a trial at 5 m/s with braking of 0.5 m/s² would need 56 m, expected 20 m"
    ):
        Trial(Wish(speed=5.0, yaw_rate=1.0, braking=0.5), settings())


def test_a_stop_by_hand_is_kept_and_the_first_reason_stays():
    one = trial()
    one.stop("stopped by hand")
    one.stop("something else")
    assert one.fault == "stopped by hand"
    assert one.command(10**15) == Twist(10**15)


def test_a_lidar_that_sees_less_far_than_it_may_need_to_stop_is_refused():
    """1.5 m/s, counted on 1 m/s² and 0.3 s: 1.575 m to stop."""

    def scan(base, stamp):
        return replace(sweep(stamp, 1.4), range_max=1.5)

    one, base = trial(speed=1.5), Base(scan=scan)
    base.drive(one)
    assert "the lidar sees 1.5 m, and it may need 1.6 m to stop: say a lower max_speed" in one.fault
    assert not moving(base.sent)
