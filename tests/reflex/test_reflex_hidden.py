"""What no scan shows is laid into what a scan saw, and the robot keeps off it, with a planner or without."""

import math

import numpy as np
import pytest
from lock_step import Bot, lidar, room

from hybrid_control.navigation.ground.overlay import corners
from hybrid_control.navigation.reflex import InputRefused, Mode, Reflex
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist
from hybrid_control.signals.headings import sector_of

NOW = 10**9
WALLS = room()


def cells(*middles):
    """Cells with these middles, m in the odometry's frame."""
    return corners(np.array(middles, np.float64).reshape(-1, 2), 0.0).reshape(-1, 4, 2)


def seen(hidden, pose=Pose(), speed=0.0, distance=4.0, now=NOW):
    """The SCAN of a robot at a pose that has something all around it."""
    reflex = Reflex(clock=lambda: now)
    reflex.put_odometry(Odometry(now, pose, Twist(now, speed)), now)
    reflex.put_hidden(hidden, now, now)
    ranges = np.full(360, distance, np.float32)
    reflex.put_scan(RangeScan(now, -math.pi, math.tau / 360, 0.05, 10.0, ranges), now)
    return reflex._boxes["scan"].read()["value"], reflex


def points(scan):
    return scan["points"][: scan["count"]].astype(np.float64)


def test_reflex_a_hidden_cell_is_its_four_corners_in_the_body_frame():
    # 1 m to the left of a robot at (2, 3) that looks along y: a cell's corners lie 0.15 m off its middle
    scan, _ = seen(cells((1.0, 3.0)), Pose(2.0, 3.0, math.pi / 2))
    found = points(scan)
    assert sorted(map(tuple, found.round(4).tolist())) == [(-0.15, 0.85), (-0.15, 1.15), (0.15, 0.85), (0.15, 1.15)]
    assert scan["sectors"].min() == pytest.approx(math.hypot(0.15, 0.85), abs=1e-5)
    assert scan["sectors"][sector_of(0.0)] == pytest.approx(4.0)


def test_reflex_what_a_scan_saw_nearer_stays_and_what_lies_farther_in_the_same_bearing_gives_way():
    scan, _ = seen(cells((1.5, 0.0)), distance=1.0)
    assert scan["sectors"].max() == pytest.approx(1.0)
    scan, _ = seen(cells((1.5, 0.0)), distance=2.0)
    bearings = np.arctan2(*points(scan).T[::-1]) + math.pi
    assert (np.diff((bearings / math.tau * 512).astype(int)) > 0).all()  # one in each, in order
    assert np.hypot(*points(scan).T).min() == pytest.approx(math.hypot(1.35, 0.15))


def test_reflex_cells_on_which_the_robot_stands_do_not_count_and_those_beside_it_do():
    # 0.508 x 0.43 m
    scan, _ = seen(cells((0.0, 0.0), (0.27, 0.0), (0.0, 0.25)))
    assert scan["count"] == 0
    scan, _ = seen(cells((0.35, 0.0)))
    assert len(points(scan)) == 2  # the corners before it; the others lie within the outline
    assert points(scan)[:, 0].min() == pytest.approx(0.5)


def test_reflex_far_cells_say_nothing():
    scan, _ = seen(cells((7.0, 0.0)), distance=9.0)
    assert scan["count"] == 0
    assert scan["sectors"][sector_of(0.0)] == pytest.approx(9.0)


def test_reflex_a_hidden_cell_comes_nearer_as_fast_as_the_robot_drives_at_it():
    scan, _ = seen(cells((1.05, 0.2)), speed=0.8)
    bearing = math.atan2(0.05, 0.9)  # of a corner
    assert scan["approach"][sector_of(bearing)] == pytest.approx(0.8 * math.cos(bearing), rel=0.01)
    assert scan["approach"][sector_of(math.pi / 2)] == 0.0
    assert seen(cells((-2.0, 0.0)), speed=0.8)[0]["approach"].max() == 0.0


def test_reflex_many_cells_leave_the_nearest_of_each_bearing():
    everywhere = [(x / 10, y / 10) for x in range(-25, 26) for y in range(-25, 26)]
    scan, _ = seen(cells(*everywhere), distance=1.0)
    assert 360 < scan["count"] <= 512
    assert scan["sectors"].max() <= 1.0


def test_reflex_hidden_cells_also_lie_in_what_several_sensors_see():
    reflex = Reflex(clock=lambda: NOW)
    reflex.put_odometry(Odometry(NOW, Pose(), Twist(NOW)), NOW)
    reflex.put_hidden(cells((1.0, 0.0)), NOW, NOW)
    none, far = np.zeros(72, np.float32), np.full(72, 3.0, np.float32)
    before = np.array([[2.0, 0.0]], np.float32)
    reflex.put_points(before, far, none, np.zeros(72, np.int8), 5.0, (NOW, NOW + 10**9), NOW)
    scan = reflex._boxes["scan"].read()["value"]
    assert scan["count"] == 5
    assert scan["sectors"].min() == pytest.approx(math.hypot(0.85, 0.15), abs=1e-5)


def modes_of(gains=None, odometry_until=10.0, said_until=10.0, hidden=cells((2.0, 2.0))):
    """What a reflex with a goal says in 3 s, by tenths, while its scans go on: (mode, reason)."""
    now = [NOW]
    reflex = Reflex(gains=gains, clock=lambda: now[0])
    loop, found = SteppedLoop(reflex.tick, reflex.context, reflex.rate), []
    reflex.activate()
    reflex.put_odometry(Odometry(NOW, Pose(), Twist(NOW)), NOW)
    reflex.put_goal(Goal(NOW, 9.0, 0.0))
    for k in range(30):
        now[0] = t = NOW + k * 10**8
        if k and k / 10 < odometry_until:
            reflex.put_odometry(Odometry(t, Pose(), Twist(t)), t)
        if k / 10 < said_until:
            reflex.put_hidden(hidden, t, t)
        reflex.put_scan(RangeScan(t, -math.pi, math.tau / 360, 0.05, 10.0, np.full(360, 4.0, np.float32)), t)
        loop.advance(t)
        status = reflex.status()
        found.append((status.mode, status.reason))
    return found


def test_reflex_drives_on_without_directions_unless_it_is_told_how_long_it_may():
    assert {mode for mode, _ in modes_of(said_until=1.0)[1:]} == {Mode.REFLEX_ONLY}
    found = modes_of({"directions_timeout": 0.5}, said_until=1.0)
    assert [mode for mode, _ in found[1:14]] == [Mode.REFLEX_ONLY] * 13
    assert [mode for mode, _ in found[16:]] == [Mode.STOPPED] * 14
    assert found[-1][1].startswith("no fresh directions from the planner")
    assert modes_of({"directions_timeout": 0.5}, said_until=0.0)[-1] == found[-1]


def test_reflex_stops_while_it_is_not_known_where_the_hidden_lies():
    found = modes_of({"planner_timeout": 5.0}, odometry_until=1.0)
    assert found[-1][0] == Mode.STOPPED
    assert "where the hidden things lie" in found[-1][1]
    nothing = modes_of({"planner_timeout": 5.0}, odometry_until=1.0, hidden=cells())
    assert "hidden" not in nothing[-1][1]


def test_reflex_refuses_cells_by_an_answer_that_is_too_old():
    reflex = Reflex(clock=lambda: NOW)
    with pytest.raises(InputRefused, match=r"directions refused: its stamp is 0\.600 s old, planner_timeout is 0\.5 s"):
        reflex.put_hidden(cells((1.0, 0.0)), NOW - 600_000_000, NOW)


def test_reflex_state_holds_the_hidden_cells():
    _, reflex = seen(cells((1.0, 0.0)))
    state = reflex.state()
    reflex.reset()
    assert not len(reflex._sight.hidden)
    reflex.set_state(state)
    np.testing.assert_array_equal(reflex._sight.hidden, cells((1.0, 0.0)))


def test_reflex_alone_drives_around_a_hidden_kerb_that_no_scan_shows():
    kerb = cells(*((3.05, y / 10) for y in np.arange(-7.5, 8.0)))
    bot = Bot(goal=(6.0, 0.0))
    bot.reflex.put_hidden(kerb, bot.t, bot.t)

    def touched(bot):
        c, s = math.cos(bot.yaw), math.sin(bot.yaw)
        x, y = (kerb.mean(axis=1) - (bot.x, bot.y)).T
        ahead, aside = np.abs(c * x + s * y), np.abs(c * y - s * x)
        assert not ((ahead < 0.254 + 0.05) & (aside < 0.215 + 0.05)).any()
        return bot.reflex.status().mode == Mode.ARRIVED

    bot.drive(40.0, lidar(WALLS), each=touched)
    assert bot.reflex.status().mode == Mode.ARRIVED
