"""Radius and track of 1 m and 2 m, so that a wheel turns by the speed of its side."""

import pytest

from firmware_bridge.drive import Drive
from firmware_bridge.kinematics import BodyLimits, BodyVelocity, Differential


@pytest.fixture
def drive():
    return Drive(
        Differential(1.0, 2.0), BodyLimits(10.0, 10.0, 2.0, 4.0), max_wheel_speed=3.0, timeout=0.25
    )


def test_drive_ramps_to_the_newest_command_and_to_zero_once_it_is_stale(drive):
    drive.put(BodyVelocity(0.3), 100.0)
    assert drive.step(100.05).speeds == pytest.approx((0.2, 0.2))  # 2 m/s² for 0.1 s, the longest step
    assert drive.step(100.1).speeds == pytest.approx((0.3, 0.3))
    assert drive.step(100.2).speeds == pytest.approx((0.3, 0.3))
    assert not drive.stale
    assert drive.step(100.3).speeds == pytest.approx((0.1, 0.1))
    assert drive.stale
    assert drive.step(100.4).speeds == pytest.approx((0.0, 0.0))


def test_drive_counts_the_time_that_a_command_was_on_its_way_to_its_age(drive):
    drive.put(BodyVelocity(0.1), 100.0, age=0.2)
    assert drive.step(100.04).speeds == pytest.approx((0.1, 0.1))
    assert not drive.stale
    drive.step(100.06)
    assert drive.stale
    drive.put(BodyVelocity(0.1), 100.1)  # one without a stamp counts from its arrival
    drive.step(100.34)
    assert not drive.stale


def test_drive_lets_a_command_of_just_now_stand(drive):
    drive.put(BodyVelocity(1.0), 100.0)
    assert drive.step(100.0) is not None
    assert drive.step(100.0005) is None
    assert drive.step(100.002).speeds[0] == pytest.approx(0.204)


def test_drive_begins_from_rest_where_the_wheels_were_not_reached(drive):
    drive.put(BodyVelocity(1.0), 100.0)
    drive.step(100.0)
    drive.rest()
    assert drive.step(100.1).speeds[0] == pytest.approx(0.2)
    drive.reset()
    assert drive.step(100.2).speeds == (0.0, 0.0)
