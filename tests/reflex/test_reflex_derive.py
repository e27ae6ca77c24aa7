"""Parameters that follow from a robot: worked out by hand, monotonic, and with them no robot drives into a wall."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lock_step import Bot, Car, lidar, room, touches

from hybrid_control.navigation.derive import Measures, derived, reasoned
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.parameters import ParameterError, check_all

ROVER = Measures(
    length=0.6,
    width=0.4,
    max_speed=1.0,
    max_yaw_rate=2.0,
    braking=2.5,
    delay=0.2,
    lidar_rate=10.0,
    odometry_rate=50.0,
)
ROBOTS = st.builds(
    Measures,
    length=st.floats(0.15, 1.5),
    width=st.floats(0.15, 1.0),
    max_speed=st.floats(0.1, 2.0),
    max_yaw_rate=st.floats(0.3, 4.0),
    braking=st.floats(0.6, 5.0),
    delay=st.floats(0.0, 0.3),
    lidar_rate=st.floats(5.0, 40.0),
    odometry_rate=st.floats(10.0, 100.0),
)


def test_the_values_of_a_rover_are_those_worked_out_by_hand():
    found = derived(ROVER)
    assert found["max_acceleration"] == 2.0  # 0.8 of 2.5 m/s²
    assert found["max_speed"] == 1.0
    # w 0.3 + w² / 16 = pi / 4 has the root 8 (sqrt(0.09 + 0.19635) - 0.3) = 1.88
    assert found["max_yaw_rate"] == 1.88
    # braking way 1 / (2 · 2) = 0.25; late 0.2 - 0.1 + 1/50 = 0.12; corner sqrt(0.6² + 0.4²) / 2 - 0.3 = 0.0606
    assert found["stop_distance"] == 0.23  # 0.04 + max(0.0606, 0.12 + 0.25 · 0.25)
    assert found["clearance"] == 0.16  # 0.04 + 0.3 · 1.88 · 0.2 = 0.1528
    # 0.3 + 0.23 + (0.2 + 0.1 + 0.1) + 0.25 + pi / 2 / 1.88 = 2.0155, times 0.3 / (0.2 + 0.16)
    assert found["avoidance_distance"] == 1.68
    assert (found["scan_timeout"], found["odometry_timeout"]) == (
        0.5,
        0.25,
    )  # 5 / 10; 5 / 50 is less than 0.25
    assert (found["robot_length"], found["robot_width"], found["holonomic"]) == (0.6, 0.4, False)
    assert found["min_turning_radius"] == 0.0
    assert "response_time" not in found


def test_a_car_has_no_corner_to_turn_and_needs_its_circle_to_give_way():
    """A quarter of a circle of 1 m is as long as what it turns in: 1.571 m instead of 0.836."""
    found = derived(replace(ROVER, turning_radius=1.0, max_yaw_rate=1.0))
    assert found["min_turning_radius"] == 1.0
    assert found["stop_distance"] == 0.23
    assert found["max_yaw_rate"] == 1.0
    # clearance 0.04 + 0.3 · 1 · 0.2 = 0.1; way 0.3 + 0.23 + 0.4 + 0.25 + 1.571 = 2.751, times 0.3 / 0.3
    assert found["clearance"] == 0.1
    assert found["avoidance_distance"] == 2.76


def test_a_robot_whose_middle_lies_ahead_of_base_link_turns_its_front_farther():
    """Front at 0.3 + 0.1 m, corner at sqrt(0.4² + 0.2²) = 0.4472: 0.0472 m to turn away, less than it needs to stop."""
    found = derived(replace(ROVER, middle=0.1))
    assert found["stop_distance"] == 0.23
    assert found["clearance"] == 0.2  # 0.04 + 0.4 · 1.88 · 0.2 = 0.1904
    # 0.4 + 0.23 + 0.4 + 0.25 + pi / 2 / 1.88 = 2.1155, times 0.3 / 0.4
    assert found["avoidance_distance"] == 1.59
    # behind: front at 0.2, and its end swings as far: 0.2472 m to turn away
    assert derived(replace(ROVER, middle=-0.1))["stop_distance"] == 0.29


def test_a_base_that_turns_sluggishly_is_asked_for_less():
    """0.8 of 2.5 rad/s² are 2; w 0.3 + w² / 4 = pi / 4 has the root 2 (sqrt(0.09 + pi / 4) - 0.3) = 1.27."""
    found = derived(replace(ROVER, yaw_acceleration=2.5))
    assert found["max_yaw_acceleration"] == 2.0
    assert found["max_yaw_rate"] == 1.27
    assert derived(replace(ROVER, yaw_acceleration=20.0))["max_yaw_acceleration"] == 8.0


def test_one_that_moves_sideways_goes_on_for_its_delay_and_while_it_brakes():
    # 0.2 s, and the 0.25 m in which it brakes at 2 m/s² from 1 m/s
    assert derived(replace(ROVER, holonomic=True))["response_time"] == 0.45


def test_one_that_moves_sideways_drives_no_faster_than_it_can_follow():
    """0.8 of 0.5 m/s² are 0.4: within 2 s, 0.2 of them delay, it follows up to 2 · 0.4 · 1.8 = 1.44 m/s."""
    weak = replace(ROVER, holonomic=True, max_speed=1.6, braking=0.5)
    assert derived(weak)["max_speed"] == 1.44
    assert derived(weak)["response_time"] == 2.0
    assert "faster it would go on too long" in reasoned(weak)["max_speed"].reason
    assert derived(replace(weak, holonomic=False))["max_speed"] == 1.6


def test_the_lower_of_braking_and_acceleration_is_counted_on():
    assert derived(replace(ROVER, acceleration=1.0))["max_acceleration"] == 0.8


@settings(max_examples=100, deadline=None)
@given(ROBOTS, st.booleans())
def test_every_value_is_in_its_range_and_has_a_reason(robot, sideways):
    robot = replace(robot, holonomic=sideways)
    check_all((*SETTINGS, *GAINS), derived(robot))
    assert all(each.reason for each in reasoned(robot).values())


@settings(max_examples=60, deadline=None)
@given(ROBOTS, st.floats(1.0, 2.0))
def test_a_robot_that_brakes_less_or_answers_later_looks_no_less_far_and_is_no_bolder(robot, worse):
    here = derived(robot)
    for other in (replace(robot, braking=robot.braking / worse), replace(robot, delay=robot.delay * worse)):
        there = derived(other)
        assert there["stop_distance"] >= here["stop_distance"]
        assert there["max_acceleration"] <= here["max_acceleration"]
        assert there["max_yaw_rate"] <= here["max_yaw_rate"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"length": 0.0}, "length: 0 can't be; expected more than 0"),
        ({"braking": -1.0}, "braking: -1 can't be"),
        ({"delay": math.nan}, "delay: nan can't be; expected 0 or more"),
        ({"lidar_rate": math.inf}, "lidar_rate: inf can't be"),
    ],
)
def test_a_robot_that_can_not_be_is_refused_by_name(wrong, why):
    with pytest.raises(ValueError, match=f"^{why}"):
        replace(ROVER, **wrong)


def test_a_robot_that_hardly_brakes_is_refused_with_what_is_expected():
    with pytest.raises(
        ParameterError, match=r"^max_acceleration: 0.08 is out of range, expected 0.1 .. 20 m/s²$"
    ):
        derived(replace(ROVER, braking=0.1))


class Late(Bot):
    """A base that obeys `delay` s late."""

    delay = 0.0

    def follow(self, command):
        self.waiting = [*getattr(self, "waiting", []), (self.t, command)]
        due = [c for when, c in self.waiting if when <= self.t - self.delay * 1e9]
        self.waiting = [(when, c) for when, c in self.waiting if when > self.t - self.delay * 1e9 - 2e7]
        if due:
            super().follow(due[-1])


class LateCar(Late, Car):
    """The same of a car."""


def random_robot(seed):
    """Of random size and speed, with 0.3 to 0.7 s of delay and scans of 5 to 40 Hz; every fourth is a car."""
    rng = np.random.default_rng(seed)
    car, speed, radius = seed % 4 == 3, rng.uniform(0.8, 2.0), 0.4 / math.tan(0.5)
    robot = Measures(
        length=rng.uniform(0.2, 1.0), width=rng.uniform(0.2, 0.8), max_speed=speed,
        max_yaw_rate=speed / radius if car else rng.uniform(0.5, 2.5), braking=rng.uniform(1.0, 4.0),
        delay=rng.uniform(0.3, 0.7), lidar_rate=rng.uniform(5.0, 40.0), odometry_rate=50.0,
        turning_radius=radius if car else 0.0,
    )  # fmt: skip
    return robot, rng.uniform(-0.5, 0.5)


def touched(robot, yaw, found):
    """Whether a robot with these values that is sent through a wall touches it, and the fastest that it was, m/s."""
    chosen = {p.name: found[p.name] for p in SETTINGS if p.name in found}
    gains = {p.name: found[p.name] for p in GAINS if p.name in found}
    gains["max_speed"] = 2.0 * robot.max_speed  # without a planner it drives at half of that
    kind = LateCar if robot.turning_radius else Late
    bot = kind(settings=chosen, gains=gains, braking=robot.braking, goal=(50.0, 0.0))
    bot.delay, bot.yaw = robot.delay, yaw
    walls, hits = room(right=7.0, half=3.0), []

    def each(b):
        hits.extend([b.v] if touches(b, walls) else [])
        return bool(hits)

    bot.drive(12.0, lidar(walls), period=1.0 / robot.lidar_rate, each=each)
    return bool(hits), bot.fastest


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(k, marks=pytest.mark.slow) for k in range(6, 100))]
)
def test_a_robot_that_is_driven_at_a_wall_with_its_own_values_does_not_touch_it(seed):
    robot, yaw = random_robot(seed)
    hit, fastest = touched(robot, yaw, derived(robot))
    assert not hit
    assert fastest > 0.4


def test_with_values_in_which_its_delay_is_left_out_it_would():
    robot, yaw = random_robot(37)
    assert touched(robot, yaw, derived(replace(robot, delay=0.0)))[0]
    assert not touched(robot, yaw, derived(robot))[0]
