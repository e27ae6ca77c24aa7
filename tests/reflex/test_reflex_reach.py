"""How far the reflex looks and how fast it goes follow from the robot."""

import math

import numpy as np
import pytest
from lock_step import Bot, lidar, room

from hybrid_control.navigation.reflex import Mode

HALLS = 40  # robots, for 15 s each; `make robots` has more, and docs/safety.md says how many of them were driven
THICKNESS = 0.05  # m, of the boards that stand in them


def met(bot, walls):
    """Whether a wall touches the outline."""
    half_length, half_width = (float(bot.reflex.settings[n]) / 2 for n in ("robot_length", "robot_width"))
    c, s = math.cos(bot.yaw), math.sin(bot.yaw)
    a, b = walls[:, :2] - (bot.x, bot.y), walls[:, 2:] - (bot.x, bot.y)
    share = np.linspace(0.0, 1.0, 241)[:, None, None]
    p = a + share * (b - a)
    x, y = c * p[..., 0] + s * p[..., 1], c * p[..., 1] - s * p[..., 0]
    return bool(((np.abs(x) < half_length) & (np.abs(y) < half_width)).any())


@pytest.mark.parametrize(
    ("length", "width", "speed", "braking"),
    [
        (0.5, 0.43, 2.0, 0.6),
        (0.5, 0.43, 0.5, 0.1),
        (1.2, 0.9, 1.5, 0.5),
        (1.2, 0.9, 3.0, 1.0),
        (0.2, 0.2, 3.0, 0.5),
    ],
)
def test_a_heavy_or_fast_robot_stops_before_the_wall(length, width, speed, braking):
    walls = room(right=12.0)
    # without a planner it drives at half of max_speed
    bot = Bot(
        {"robot_length": length, "robot_width": width},
        {"max_speed": min(2 * speed, 5.0), "max_acceleration": braking},
    )
    hits = []

    def each(b):
        if met(b, walls):
            hits.append(b.v)
        return bool(hits)

    bot.drive(25.0, lidar(walls, high=30.0), each=each)
    assert not hits
    assert bot.fastest > 0.3


def test_a_lidar_that_sees_less_than_the_braking_way_limits_the_speed_and_says_so():
    walls = room(left=-30.0, right=60.0, half=1.8)
    bot = Bot(gains={"max_speed": 3.0, "max_acceleration": 0.5})
    bot.drive(12.0, lidar(walls, high=2.5))
    assert bot.fastest < math.sqrt(2 * 0.5 * 2.5)
    assert "m/s, to stop within the 2.5 m that are seen" in bot.reflex.status().reason
    assert bot.reflex.command().mode is Mode.REFLEX_ONLY


def panel(x, y, dx, dy):
    """A board's four sides, (4, 4) m: what has no thickness no lidar sees from its edge."""
    along = math.hypot(dx, dy)
    u, v = -dy / along * THICKNESS / 2, dx / along * THICKNESS / 2
    corners = [(x - dx - u, y - dy - v), (x + dx - u, y + dy - v), (x + dx + u, y + dy + v), (x - dx + u, y - dy + v)]
    return np.array([(*a, *b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)])


def random_case(seed):
    """A robot, a hall and a lidar that nobody thought of: (bot, scan, period, delay, walls)."""
    rng = np.random.default_rng(seed)
    length, width = np.exp(rng.uniform(math.log(0.2), math.log(2.0), 2)).tolist()
    speed, braking = (math.exp(rng.uniform(math.log(0.1), math.log(most))) for most in (3.0, 5.0))
    reach = rng.uniform(2.0, 30.0)
    right, left, half = rng.uniform(2.0, 15.0), -rng.uniform(2.0, 15.0), rng.uniform(1.5, 10.0)
    walls = [room(left, right, half)]
    for _ in range(rng.integers(0, 8)):
        x, y = rng.uniform(left, right), rng.uniform(-half, half)
        size, turn = rng.uniform(0.2, 2.0), rng.uniform(0, math.pi)
        dx, dy = 0.5 * size * math.cos(turn), 0.5 * size * math.sin(turn)
        if math.hypot(x, y) > 1.8 + size / 2:
            walls.append(panel(x, y, dx, dy))
    walls = np.concatenate(walls)
    bearing = rng.uniform(-math.pi, math.pi)
    bot = Bot(
        {"robot_length": length, "robot_width": width},
        {"max_speed": min(2 * speed, 5.0), "max_acceleration": braking},
        goal=(12 * math.cos(bearing), 12 * math.sin(bearing)),
    )
    scan = lidar(walls, beams=int(rng.choice([360, 720])), high=reach)
    return bot, scan, 1.0 / rng.uniform(5.0, 40.0), rng.uniform(0.0, 0.3), walls


def contact(seed, seconds=15.0):
    """m/s at which a random robot met a wall, NaN for never; and how far it drove."""
    bot, scan, period, delay, walls = random_case(seed)
    hits, way = [], [0.0]

    def each(b):
        way[0] += abs(b.v) * 0.01
        if (abs(b.v) > 0.0 or abs(b.w) > 0.0) and met(b, walls):
            hits.append(b.v)
        return bool(hits)

    bot.drive(seconds, scan, period, delay, each)
    return (hits[0] if hits else math.nan), way[0]


@pytest.mark.slow
def test_forty_random_robots_meet_no_wall_of_random_halls():
    results = np.array([contact(seed) for seed in range(HALLS)])
    assert np.flatnonzero(~np.isnan(results[:, 0])).tolist() == []
    assert (results[:, 1] > 0.3).mean() > 0.5, "and most of them drive"


@pytest.mark.parametrize("seed", [166, 196, 221, 274, 316, 317, 340, 344, 721, 857, 1032, 1150, 1161, 2256, 2813, 2840])
def test_robots_that_met_a_wall_once_do_so_no_more(seed):
    # late scans held as if the robot had stood since, sight that left out their age, braking straight out of a curve,
    # a change of turn that took its time, a turn that came before the speed of its arc
    assert math.isnan(contact(seed)[0])
