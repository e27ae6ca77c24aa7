"""The headers and habits of real drivers: accepted, they drive to the goal and stop at a wall. No sensor was here."""

import math

import numpy as np
import pytest
from lock_step import Bot, lidar, room

from hybrid_control.navigation.reflex import Mode
from hybrid_control.navigation.reflex.body import learn_mask
from hybrid_control.navigation.reflex.returns import read_mask
from hybrid_control.parameters import ParameterError

NAN, INF = math.nan, math.inf


def instead(value):
    """What a driver that gives `value` for no echo makes of the ranges."""
    return lambda r, a: np.where(np.isinf(r), value, r)


def holes(value, share=0.06):
    """A share of the beams lost on dark surfaces, others each time."""
    rng = np.random.default_rng(5)
    return lambda r, a: np.where(np.isinf(r) | (rng.random(r.size) < share), value, r)


def own_body(r, a):
    """A lidar low in the robot, which sees a post of it at its left rear and a plate right behind."""
    r = np.where(np.abs(a - 2.5) < 0.06, 0.22, r)
    return np.where(np.abs(a) > 3.0, 0.18, r)


DEGREE = math.radians(1)
# name: beams, first rad, step rad, range_min, range_max, period s, lag s of the stamp, what it does to ranges, settings
DRIVERS = {
    "RPLIDAR A1, 5.5 Hz, stamped at its start": (360, -math.pi, None, 0.15, 12.0, 0.18, 0.18, None, {}),
    "RPLIDAR S2, 3,200 beams": (3200, -math.pi, None, 0.05, 40.0, 0.1, 0.1, None, {}),
    "LDS-01, 5 Hz, 0 for none": (360, 0.0, None, 0.12, 3.5, 0.2, 0.2, holes(0.0), {"no_echo": "zero"}),
    "LD08 / LDS-02, NaN for none": (250, 0.0, None, 0.02, 8.0, 0.1, 0.1, holes(NAN), {"no_echo": "invalid"}),
    "YDLidar X4, 0 for none": (729, -math.pi, 0.0087, 0.1, 10.0, 0.14, 0.14, holes(0.0), {"no_echo": "zero"}),
    "Hokuyo URG-04LX, NaN or 0": (
        726,
        -2.2689,
        0.00614,
        0.02,
        5.6,
        0.1,
        0.0,
        holes(NAN),
        {"no_echo": "invalid or zero"},
    ),
    "Hokuyo UST-10LX, beyond its limit": (
        1081,
        -2.3562,
        0.00436,
        0.02,
        30.0,
        0.025,
        0.0,
        instead(65.533),
        {},
    ),
    "SICK TiM, 270 degrees": (811, -2.3562, 0.00582, 0.05, 10.0, 0.067, 0.0, None, {}),
    "Velodyne by pointcloud_to_laserscan": (361, -math.pi, DEGREE, 0.0, INF, 0.1, 0.0, None, {}),
    "Ouster, float32's largest range_max": (1024, -math.pi, None, 0.3, 3.4e38, 0.1, 0.05, None, {}),
    "RealSense by depthimage_to_laserscan": (640, -0.74, 0.00231, 0.45, 10.0, 0.033, 0.03, holes(NAN), {}),
    "two lidars merged, 8,000 beams": (8000, -math.pi, None, 0.0, 25.0, 0.05, 0.05, holes(INF, 0.02), {}),
    "turned over, clockwise": (360, math.pi, -DEGREE, 0.1, 12.0, 0.1, 0.0, None, {}),
    "one that sees the robot's body": (360, -math.pi, None, 0.05, 12.0, 0.1, 0.0, own_body, {}),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_real_drivers_scans_are_driven_by(driver):
    beams, first, step, low, high, period, lag, change, settings = DRIVERS[driver]
    seen = min(high, 30.0)
    walls = room(left=-3.0, right=6.0, half=2.0)

    def scans(walls):
        scan = lidar(walls, beams, first, step, low, high, lag, change=change)
        held = []

        def late(bot):  # published at the end of the turn whose beginning it is stamped with
            held.append(scan(bot))
            return held[-1]

        return late

    gains = {"max_speed": 0.5, "max_acceleration": 1.0}
    bot = Bot(settings, gains, goal=(3.0, 0.0))
    bot.drive(25.0, scans(walls), period, each=lambda b: b.reflex.command().mode is Mode.ARRIVED)
    assert bot.reflex.refused == 0
    assert bot.reflex.command().mode is Mode.ARRIVED, bot.reflex.status()
    assert seen > 0
    bot = Bot(settings, gains, goal=(9.0, 0.0))
    nose = []
    bot.drive(20.0, scans(walls), period, each=lambda b: nose.append(b.corners()[:, 0].max()))
    assert 4.0 < max(nose) < 6.0


def test_more_beams_than_any_lidar_has_are_refused():
    with pytest.raises(ValueError, match=r"20000 beams, expected 1 .. 16384"):
        Bot().drive(0.1, lidar(room(), beams=20000))


def test_a_mask_is_learnt_of_a_robot_that_stands_and_hides_its_posts():
    post = lidar(room(), change=lambda r, a: np.where(np.abs(np.abs(a) - 2.75) < 0.1, 0.45, r))
    bot = Bot()
    mask = learn_mask([post(bot) for _ in range(5)])
    parts = read_mask(mask)
    assert [round(p[2], 2) for p in parts] == [0.5, 0.5]
    assert parts[1][0] < 2.66
    assert parts[1][1] > 2.84
    bot = Bot({"body_mask": mask})
    bot.drive(2.0, post)
    assert bot.reflex.status().nearest_obstacle > 3.0
    assert bot.v > 0.3


@pytest.mark.parametrize("text", ["2..1:0.3", "1..2", "a..b:c", "1..2:-1", "1..2:nan", "9..10:1"])
def test_a_mask_that_cannot_be_is_refused_in_one_line(text):
    with pytest.raises(ParameterError, match=r"body_mask: .* expected LOW..HIGH:RANGE"):
        Bot({"body_mask": text})
