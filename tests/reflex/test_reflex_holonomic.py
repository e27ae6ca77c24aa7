import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lock_step import Sideways, lidar, post, room, touches

from hybrid_control.geometry.outline import displacement, outline_distance
from hybrid_control.navigation.reflex import Mode, Reflex
from hybrid_control.navigation.reflex.guard import GUARD, guard, way_out
from hybrid_control.navigation.reflex.limit import climb
from hybrid_control.navigation.reflex.scan import SCAN
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist, VerticalRanges

HALF = 0.2


def records(points, moving=(0.0, 0.0, 0.0), response=0.5):
    """A scan of these points, and the guard of a square drone that moves."""
    scan, record = np.zeros(1, SCAN)[0], np.zeros(1, GUARD)[0]
    scan["count"] = len(points)
    scan["points"][: len(points)] = np.array(points, np.float32).reshape(-1, 2)
    drift = [v * response for v in moving]
    record["outline"], record["yaw_acceleration"] = (HALF, HALF, 0.04, 0.0), 8.0
    record["holonomic"], record["stop_distance"], record["deceleration"] = 1, 0.15, 2.0
    record["response"] = response
    record["drift_x"], record["drift_y"], record["drift_yaw"] = drift
    return scan, record


def ask(points, x, y, turn=0.0, moving=(0.0, 0.0, 0.0), response=0.5):
    scan, record = records(points, moving, response)
    return guard(scan, x, y, turn, record)


def way_out_of(points):
    scan, record = records(points)
    return way_out(scan, 1.0, 2.0, record)


def test_a_quarter_turn_while_it_goes_ahead_ends_ahead_and_to_the_left():
    # v/w (sin, 1 - cos) of a quarter turn: (1, 1) for v = w = 1
    x, y, yaw = displacement(1.0, 0.0, 1.0, math.pi / 2)
    assert (x, y, yaw) == pytest.approx((1.0, 1.0, math.pi / 2))
    # the same motion sideways is turned by a quarter: (-1, 1)
    assert displacement(0.0, 1.0, 1.0, math.pi / 2)[:2] == pytest.approx((-1.0, 1.0))
    assert displacement(0.3, -0.2, 0.0, 2.0) == pytest.approx((0.6, -0.4, 0.0))


def test_free_space_changes_nothing():
    assert ask([(5.0, 0.0)], 1.0, 0.5, 0.3) == (1.0, 0.5, 0.3, False)


def test_each_direction_is_stopped_by_what_lies_in_it_and_by_nothing_else():
    for x, y in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        wall = [
            (x * 0.26 + t * y, y * 0.26 + t * x) for t in np.linspace(-1, 1, 81)
        ]  # across the way, 6 cm off
        vx, vy, _, changed = ask(wall, 0.5 * x, 0.5 * y)
        assert changed
        assert vx * x + vy * y < 0.05
        assert ask(wall, -0.5 * x, -0.5 * y) == (-0.5 * x, -0.5 * y, 0.0, False)


def test_it_slides_along_a_wall_that_it_is_sent_into_aslant():
    wall = [(0.27, t) for t in np.linspace(-1.5, 1.5, 121)]
    vx, vy, _, changed = ask(wall, 0.3, 0.5)
    assert changed
    assert vy > 0.2
    assert vx <= 0.06


def test_the_way_that_it_drifts_counts():
    post = [(0.55, 0.0)]
    assert not ask(post, 0.2, 0.0)[3]
    vx, _, _, changed = ask(post, 0.2, 0.0, moving=(1.0, 0.0, 0.0))
    assert changed
    assert vx < 0.2
    # and the turn that goes on: a corner of the square outline would come round to a post beside it
    beside = [(0.16, 0.255)]
    assert not ask(beside, 0.0, -0.01)[3]
    assert ask(beside, 0.05, 0.0, moving=(0.0, 0.0, 1.5))[3]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=30),
    st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2),
)  # fmt: skip
def test_no_answer_is_faster_than_the_command(points, x, y, mx, my, turn, mturn):
    vx, vy, w, _ = ask(points, x, y, turn, (mx, my, mturn))
    assert math.hypot(vx, vy) <= math.hypot(x, y) + 1e-9
    assert abs(w) <= abs(turn)


def test_a_way_out_is_free_and_backwards_first():
    assert way_out_of([]) == pytest.approx((-0.2, 0.0, 0.0))
    behind = np.array([(-0.25, t) for t in np.linspace(-0.3, 0.3, 31)], np.float32)
    x, y, _ = way_out_of(behind)
    after = [(p - x * 0.3, q - y * 0.3) for p, q in behind]
    assert min(outline_distance(p, q, HALF, HALF) for p, q in after) >= 0.04
    assert (x, y) != (0.0, 0.0)


def test_height_is_kept_between_ground_and_ceiling():
    inf = math.inf
    assert climb(inf, 0.8, 1.0, 0.35, 0.5) == pytest.approx(0.2)
    assert climb(inf, 1.5, 1.0, 0.35, 0.5) == -0.5
    assert climb(inf, inf, 1.0, 0.35, 0.5) == -0.5
    assert climb(0.45, 0.8, 1.0, 0.35, 0.5) == pytest.approx(0.1)  # a ceiling 0.45 m above
    assert climb(0.2, 0.8, 1.0, 0.35, 0.5) == pytest.approx(-0.15)  # too near: down
    assert climb(0.2, 0.2, 1.0, 0.35, 0.5) == 0.0  # no room for both
    assert climb(inf, 0.1, 0.2, 0.35, 0.5) == pytest.approx(0.25)  # the clearance before the height


class Rig:
    """A reflex of a drone, in steps of 10 ms, told what the test says."""

    def __init__(self, **settings):
        self.now = 0
        values = {"holonomic": True, "hover_height": 1.0, "robot_length": 0.4, "robot_width": 0.4}
        values["open_space"] = True
        self.reflex = Reflex({**values, **settings}, clock=lambda: self.now)
        self.loop = SteppedLoop(self.reflex.tick, self.reflex.context, self.reflex.rate)
        self.reflex.activate()
        self.reflex.put_goal(Goal(0, 10.0, 0.0))

    def run(self, seconds, ranges=None, vertical=(math.inf, 1.0)):
        beams = np.full(360, np.inf, np.float32) if ranges is None else ranges
        for _ in range(round(seconds / 0.01)):
            self.now += 10_000_000
            scan = RangeScan(self.now, -math.pi, 2 * math.pi / 360, 0.05, 10.0, beams)
            self.reflex.put_scan(scan, self.now)
            self.reflex.put_odometry(Odometry(self.now, Pose(), Twist(self.now)), self.now)
            if vertical is not None:
                self.reflex.put_vertical(VerticalRanges(self.now, *vertical), self.now)
            self.loop.advance(self.now)
        return self.reflex.command()


def test_what_stands_on_one_side_pushes_it_to_the_other():
    beams = np.full(360, np.inf, np.float32)
    beams[180:215] = 1.0  # ahead and to the left
    rig = Rig()
    command = rig.run(1.0, beams)
    assert command.twist.linear_y < -0.05
    assert command.twist.angular_z < 0.0


def test_lateral_gain_is_how_strongly():
    beams = np.full(360, np.inf, np.float32)
    beams[180:215] = 1.0
    speeds = []
    for gain in (0.0, 0.3, 1.0):
        rig = Rig()
        rig.reflex.set_gains({"lateral_gain": gain})
        speeds.append(abs(rig.run(1.0, beams).twist.linear_y))
    assert speeds[0] == 0.0
    assert speeds[0] < speeds[1] < speeds[2]


def test_it_climbs_to_its_height_and_stops_where_it_cannot_tell():
    rig = Rig()
    assert rig.run(0.5, vertical=(math.inf, 0.6)).twist.linear_z == pytest.approx(0.4, abs=0.01)
    command = rig.run(0.8, vertical=None)
    assert command.mode == Mode.STOPPED
    assert "hover_height" in rig.reflex.status().reason
    twist = command.twist
    assert (twist.linear_x, twist.linear_y, twist.linear_z, twist.angular_z) == (0.0, 0.0, 0.0, 0.0)


def test_without_a_hover_height_the_autopilot_keeps_it():
    rig = Rig(hover_height=0.0)
    command = rig.run(0.8, vertical=None)
    assert command.mode == Mode.REFLEX_ONLY
    assert command.twist.linear_z == 0.0
    assert command.twist.linear_x > 0.1


def test_a_ground_robot_never_moves_sideways():
    rig = Rig(holonomic=False)
    beams = np.full(360, np.inf, np.float32)
    beams[180:215] = 1.0
    command = rig.run(1.0, beams, vertical=None)
    assert command.mode == Mode.REFLEX_ONLY
    assert (command.twist.linear_y, command.twist.linear_z) == (0.0, 0.0)


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (-0.1, 1.0), (1.0, -math.inf)])
def test_ranges_that_cant_be_are_refused(bad):
    with pytest.raises(ValueError, match="vertical ranges: "):
        VerticalRanges(0, *bad)


# -- on the ground, among posts ----------------------------------------------------------------------------------------


def random_field(seed):
    """A base that moves sideways, a hall with posts and a goal beyond them: (bot, walls)."""
    rng = np.random.default_rng(2000 + seed)
    length, width = rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.7)
    right, half = rng.uniform(7, 11), rng.uniform(2, 4)
    places = []
    for _ in range(300):
        place = rng.uniform(1.5, right - 2), rng.uniform(-half, half)
        if len(places) < 10 and all(math.dist(place, p) > math.hypot(length, width) + 0.7 for p in places):
            places.append(place)
    speed = rng.uniform(0.4, 1.2)
    bot = Sideways(
        {"robot_length": length, "robot_width": width, "max_yaw_acceleration": 4.0,
         "response_time": 0.1 + 0.5 * speed / 2.0},
        gains={"max_speed": speed, "max_acceleration": 1.0, "max_yaw_rate": 1.2},
        braking=2.0,
        goal=(right - 1.3, rng.uniform(1 - half, half - 1)),
    )  # fmt: skip
    bot.yaw = rng.uniform(-math.pi, math.pi)
    return bot, np.concatenate([room(-3, right, half), *(post(*p, rng.uniform(0.05, 0.3)) for p in places)])


def crosses(seed):
    """Whether it touched a wall while it drove through a random field, and whether it arrived; the bot."""
    bot, walls = random_field(seed)
    met = []

    def each(b):
        if math.hypot(b.v, b.u) > 0.0 and touches(b, walls):
            met.append((b.v, b.u))
        return bool(met) or b.reflex.command().mode is Mode.ARRIVED

    bot.drive(60.0, lidar(walls), delay=0.03, each=each)
    return met, bot.reflex.command().mode is Mode.ARRIVED, bot


@pytest.mark.parametrize("seed", range(3))
def test_a_base_that_moves_sideways_crosses_a_field_of_posts_and_touches_none(seed):
    met, arrived, bot = crosses(seed)
    assert not met
    assert arrived
    assert bot.most > 0.05


@pytest.mark.slow
def test_thirty_random_bases_that_move_sideways_touch_nothing():
    ends = [crosses(seed)[:2] for seed in range(30)]
    assert not [seed for seed, (met, _) in enumerate(ends) if met]
    assert sum(arrived for _, arrived in ends) >= 28
