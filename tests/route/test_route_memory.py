"""The route memory: what it makes of scans, how it grows, and where it leads."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hybrid_control.geometry.eikonal import march
from hybrid_control.geometry.outline import Outline
from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.bench.map_planner import MapPlanner
from hybrid_control.navigation.drive import Navigator, drive
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.ground.overlay import overlay
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.guard import SLIM_MARGIN
from hybrid_control.navigation.route import Guide
from hybrid_control.navigation.route.cells import BLOCK, HIT, MOST, SIDE, SURE, Cells
from hybrid_control.navigation.route.front import Disc, cost_of
from hybrid_control.navigation.route.grid import FARTHEST, Grid, Rays, see
from hybrid_control.navigation.route.guide import EXPLORE_NS, PASSES_NS, PERIOD_NS
from hybrid_control.navigation.route.memory import (
    AHEAD,
    LOOKAHEAD,
    NEAREST,
    SLIM_AFTER,
    SLIM_FOR,
    RouteMemory,
    disc,
)
from hybrid_control.navigation.route.room import renew
from hybrid_control.navigation.route.way import Found, Way, farthest_in_sight
from hybrid_control.signals import Goal, NoWay, Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.worlds import World, generate

NO_CYLINDERS = np.empty((0, 3))
GOAL = Goal(0, 8.0, 0.0)
CELL = 0.1
# a pocket that is open to the left, across the straight way: its back at x = 3, its sides at y = -1.5 and 1.5
POCKET = np.array([[3.0, 0.0, 0.1, 3.0, 0.0], [2.0, 1.5, 2.0, 0.1, 0.0], [2.0, -1.5, 2.0, 0.1, 0.0]])
CLOSED = np.array([[2, 0, 0.2, 4, 0], [-2, 0, 0.2, 4, 0], [0, 2, 4, 0.2, 0], [0, -2, 4, 0.2, 0]], float)


def scan_from(pose, boxes, stamp=0, beams=360):
    angles = -math.pi + 2 * math.pi / beams * np.arange(beams)
    ranges = cast_rays(pose.x, pose.y, pose.yaw + angles, 10.0, NO_CYLINDERS, boxes)
    return RangeScan(stamp, -math.pi, 2 * math.pi / beams, 0.05, 10.0, ranges.astype(np.float32))


def odometry(pose, stamp=0, linear=0.0, angular=0.0):
    return Odometry(stamp, pose, Twist(stamp, linear_x=linear, angular_z=angular))


def cells_of(counts):
    """Cells (rows, columns) with these counts, all of their blocks in use."""
    rows, columns = (-(-n // SIDE) for n in counts.shape)
    whole = np.zeros((rows * SIDE, columns * SIDE), np.int8)
    whole[: counts.shape[0], : counts.shape[1]] = counts
    table = np.arange(1, rows * columns + 1, dtype=np.int32).reshape(rows, columns)
    blocks = whole.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2).reshape(-1)
    counts = np.concatenate((np.zeros(BLOCK, np.int8), blocks))
    return Cells(table, counts, np.zeros((counts.size, 6), np.float32))


def counts_of(cells):
    rows, columns = cells.table.shape
    blocks = cells.counts.reshape(-1, SIDE, SIDE)[cells.table]
    return blocks.swapaxes(1, 2).reshape(rows * SIDE, columns * SIDE)


def rays(ranges, begin, step, u=5.5, v=5.5):
    angles = begin + step * np.arange(len(ranges))
    directions = np.column_stack((np.cos(angles), np.sin(angles)))
    return Rays(u, v, np.array(ranges) / CELL, directions, begin, step, 0.5, 50.0)


NOTHING = rays([], 0.0, 0.01)


def room_by(counts):
    """The room of every cell, at most 0.65 m, as the grid measures it."""
    room, towards = np.full(counts.shape, 0.65, np.float32), np.zeros(counts.shape, np.uint16)
    renew(cells_of(counts), room, towards, CELL, 0.65, np.flatnonzero(counts))
    return room


def room_of(counts, limit, cell=CELL):
    """The room of every cell by looking at every occupied one, m; each is occupied in its middle."""
    i, j = np.nonzero(counts)
    p, q = np.indices(counts.shape)
    away = np.hypot(p[..., None] - i, q[..., None] - j).min(axis=-1, initial=math.inf)
    return np.minimum(away * cell, limit).astype(np.float32)


def remembered(boxes, at=Pose(), goal=GOAL, **robot):
    memory = RouteMemory(at, goal, **robot)
    memory.remember(scan_from(at, boxes), odometry(at))
    return memory


# -- the grid ---------------------------------------------------------------------------------------------


def test_a_ray_fills_the_cell_at_its_end_and_clears_those_before_it():
    counts = np.zeros((16, 24), np.int8)
    counts[5, 8] = HIT
    cells = cells_of(counts)
    changed = see(cells, np.ones(1, np.int64), rays([1.0], 0.0, 0.01), NOTHING)
    after = counts_of(cells)
    assert after[5, 15] == HIT  # 0.55 + 1.0 m
    assert after[5, 8] == HIT - 1
    assert after.sum() == 2 * HIT - 1
    assert sorted(changed) == [5 * 24 + 8, 5 * 24 + 15]  # one became free, one occupied
    for _ in range(10):
        changed = see(cells, np.ones(1, np.int64), rays([1.0], 0.0, 0.01), NOTHING)
    after = counts_of(cells)
    assert after[5, 15] == MOST
    assert after[5, 8] == 0
    assert changed.size == 0


def test_rays_that_met_nothing_clear_and_rays_out_of_the_grid_are_harmless():
    cells = cells_of(np.full((16, 16), HIT))
    see(cells, np.ones(1, np.int64), rays([np.inf, 0.0], 0.0, 1.0), NOTHING)
    after = counts_of(cells)
    assert (after[5, 5:] == HIT - 1).all()
    assert after.sum() == 256 * HIT - 11


@pytest.mark.parametrize(
    ("begin", "step", "beams"),
    [(-math.pi, math.tau / 360, 360), (0.7, -0.02, 90), (2.9, 0.013, 200)],
)
def test_a_cell_is_cleared_by_each_ray_that_passes_through_it(begin, step, beams):
    # by walking along every ray, a cell's length at a time
    rng = np.random.default_rng(beams)
    ranges = np.where(rng.random(beams) < 0.1, np.inf, rng.uniform(0.02, 6.0, beams))
    counts = np.full((96, 96), 60, np.int8)
    cells = cells_of(counts)
    scan = rays(ranges, begin, step, 40.3, 51.8)
    see(cells, np.ones(1, np.int64), scan, NOTHING)
    expected = counts.astype(int)
    hit = set()
    for r, (c, s) in zip(scan.ranges, scan.directions, strict=True):
        if 0.5 <= r <= 50.0:
            hit.add((math.floor(51.8 + r * s), math.floor(40.3 + r * c)))
    for r, (c, s) in zip(scan.ranges, scan.directions, strict=True):
        passed = {(math.floor(51.8 + m * s), math.floor(40.3 + m * c)) for m in range(int(min(r, 50.0)))}
        for i, j in passed - hit if r >= 0.5 else ():
            if 0 <= i < 96 and 0 <= j < 96:
                expected[i, j] = max(0, expected[i, j] - 1)
    for i, j in hit:
        if 0 <= i < 96 and 0 <= j < 96:
            expected[i, j] = MOST
    walked, after = expected < counts, counts_of(cells)
    np.testing.assert_array_equal(after[walked], expected[walked])
    # one that no ray passes may lie between two that go on
    assert ((expected - after)[~walked] <= 1).all()
    assert ((expected - after)[~walked] >= 0).all()


def test_room_is_counted_from_the_mean_of_the_readings_in_a_cell_or_from_its_middle():
    counts = np.zeros((16, 16), np.int8)
    counts[4, 4] = HIT
    cells = cells_of(counts)
    room, towards = np.full((16, 16), 0.35, np.float32), np.zeros((16, 16), np.uint16)
    changed = np.array([4 * 16 + 4])
    renew(cells, room, towards, CELL, 0.35, changed)
    assert room[4, 4] == 0.0
    assert room[4, 6] == pytest.approx(0.2)
    assert room[3, 5] == pytest.approx(math.sqrt(2) * 0.1)
    assert room[0, 0] == pytest.approx(0.35)
    cells.surfaces[BLOCK + 4 * SIDE + 4, :3] = 2.0, 2 * 0.08, 2 * 0.05  # two readings, 0.03 m beyond the middle
    where, was = renew(cells, room, towards, CELL, 0.35, changed)
    assert room[4, 6] == pytest.approx(0.17)
    assert room[4, 2] == pytest.approx(0.23)
    assert dict(zip(where.tolist(), was.tolist(), strict=True))[4 * 16 + 6] == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(4))
def test_room_kept_up_to_date_is_that_by_looking_at_every_occupied_cell(seed):
    rng = np.random.default_rng(seed)
    shape = (64, 80)
    cells = cells_of(np.zeros(shape, np.int8))
    room, towards = np.full(shape, 0.65, np.float32), np.zeros(shape, np.uint16)
    counts = np.zeros(shape, np.int8)
    for _ in range(40):
        before = room.copy()
        counts[rng.random(shape) < 0.02] = 0
        i, j, long, wide = rng.integers(64), rng.integers(80), *rng.integers(1, 9, 2)
        counts[i : i + long, j : j + wide] = rng.choice((0, MOST))
        changed = np.flatnonzero(counts != counts_of(cells))
        cells.counts[:] = cells_of(counts).counts
        where, was = renew(cells, room, towards, CELL, 0.65, changed)
        np.testing.assert_allclose(room, room_of(counts, 0.65), atol=0.2 * CELL)  # what neighbours do not know of
        assert (room == room_of(counts, 0.65)).mean() > 0.999
        first = dict(zip(where[::-1].tolist(), was[::-1].tolist(), strict=True))
        assert all(first[k] == pytest.approx(before.flat[k]) for k in np.flatnonzero(room != before))


def test_the_grid_grows_to_what_is_seen_and_keeps_what_it_had():
    grid = Grid(0.0, 0.0, CELL, 0.7)
    grid.enter(0.0, 0.0, np.array([2.0]), 0.0, 0.1, 0.05, 5.0)
    before = np.argwhere(grid.counts()) * CELL + (grid.y0, grid.x0)
    shape = grid.shape
    grid.enter(-9.0, 7.0, np.array([4.0]), math.pi / 2, 0.1, 0.05, 5.0)
    assert grid.shape[0] > shape[0]
    assert grid.shape[1] > shape[1]
    after = np.argwhere(grid.counts()) * CELL + (grid.y0, grid.x0)
    assert len(after) == 2
    assert min(np.hypot(*(after - before[0]).T)) == pytest.approx(0.0, abs=1e-9)
    assert (after[-1] + CELL / 2) == pytest.approx((11.0, -9.0), abs=0.051)
    np.testing.assert_array_equal(grid.clear(), room_of(grid.counts(), 0.7))


def test_a_grid_that_grows_forgets_what_is_far_from_the_robot():
    grid = Grid(0.0, 0.0, 0.5, 0.7)
    for x in np.arange(0.0, 400.0, 4.0):
        grid.enter(x, 0.3 * x, np.array([2.0]), 1.0, 0.1, 0.05, 5.0)
    rows, columns = grid.shape
    assert columns * 0.5 <= 2.0 * FARTHEST + 60.0
    assert rows * 0.5 <= 2.0 * FARTHEST
    assert grid.x0 <= 396.0 <= grid.x0 + 0.5 * columns
    kept = np.count_nonzero(grid.counts())
    assert 20 < kept < 100
    assert np.count_nonzero(grid.cells.counts) == kept  # nothing is held that the grid no longer shows
    assert grid._used[0] == np.count_nonzero(grid.cells.table) + 1


# -- the way ----------------------------------------------------------------------------------------------

ROBOT = Disc(0.215, 0.30, 0.60)


def test_a_metre_costs_the_more_the_less_room_there_is():
    assert [cost_of(room, *ROBOT) for room in (0.6, 0.45, 0.30, 0.215)] == pytest.approx(
        [1.0, 2.0, 3.0, 15.0]
    )
    assert cost_of(0.2, *ROBOT) == math.inf


def fields(seed):
    """Rooms of random blocks, and a place and a goal in each."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((120, 160), np.int8)
    for _ in range(30):  # blocks of 2 to 8 cells
        i, j = rng.integers(counts.shape[0]), rng.integers(counts.shape[1])
        counts[i : i + rng.integers(2, 9), j : j + rng.integers(2, 9)] = MOST
    return room_by(counts), rng.uniform((0.5, 0.5), (15.5, 11.5)), rng.uniform((0.5, 0.5), (15.5, 11.5))


def test_a_front_towards_the_robot_gives_the_distances_that_the_whole_field_gives():
    compared = 0
    for seed in range(40):
        room, goal, place = fields(seed)
        if room[tuple((goal[::-1] / CELL).astype(int))] < ROBOT.least:
            continue
        if room[tuple((place[::-1] / CELL).astype(int))] < ROBOT.least:
            continue
        way = Way(room, (0.0, 0.0, CELL), tuple(goal), ROBOT)
        assert way.go_on(*place, cells=10**6) is not Found.NOT_YET
        cost = np.array([[cost_of(float(r), *ROBOT) for r in row] for row in room])
        whole = np.full(room.shape, math.inf)
        whole[round(goal[1] / CELL - 0.5), round(goal[0] / CELL - 0.5)] = 0.0
        march(whole, cost, CELL, (0, 120, 0, 160))
        i, j = (int(w) for w in place[::-1] / CELL)
        assert math.isfinite(whole[i, j]) == (way.found is Found.WAY)
        if way.found is Found.WAY:
            assert way.field().field[i, j] == pytest.approx(whole[i, j], rel=0.05, abs=0.1)
            compared += 1
    assert compared > 20


def test_a_front_in_parts_ends_as_one_that_goes_at_once():
    room, goal, place = fields(3)
    at_once, in_parts = (Way(room, (0.0, 0.0, CELL), tuple(goal), ROBOT) for _ in range(2))
    at_once.go_on(*place, cells=10**6)
    parts = 0
    while in_parts.go_on(*place, cells=500) is Found.NOT_YET:
        assert in_parts.touched <= 500
        parts += 1
    assert parts > 2
    assert in_parts.found is at_once.found is Found.WAY
    np.testing.assert_array_equal(in_parts.field().field, at_once.field().field)


def changed_room(counts, rng):
    """The room after a block came and some went: with what `Way.touch` is told."""
    before = room_by(counts)
    i, j = rng.integers(counts.shape[0]), rng.integers(counts.shape[1])
    counts[i : i + rng.integers(2, 20), j : j + rng.integers(2, 20)] = rng.choice((0, MOST))
    after = room_by(counts)
    where = np.flatnonzero(after != before)
    return after, where, before.flat[where]


@pytest.mark.parametrize("goal", [(14.0, 9.0), (40.0, 3.0), (-3.0, -9.0)])
@pytest.mark.parametrize("most", [10**6, 700])
@pytest.mark.parametrize("seed", range(3))
def test_a_way_that_is_kept_while_things_come_and_go_is_the_one_that_is_sought_anew(goal, most, seed):
    rng = np.random.default_rng(seed)
    counts = np.zeros((104, 152), np.int8)
    room = room_by(counts)
    kept = Way(room, (0.0, 0.0, CELL), goal, ROBOT)
    place, found = np.array((2.0, 2.0)), []
    for k in range(60):
        now, where, was = changed_room(counts, rng)
        room[:] = now
        kept.touch(where, was)
        place = np.clip(place + rng.uniform(-0.5, 0.6, 2), 0.1, 9.9)
        kept.go_on(*place, cells=most)
        if k % 6 or room[tuple((place[::-1] / CELL).astype(int))] < ROBOT.least:
            continue
        while kept.go_on(*place, cells=most) is Found.NOT_YET:
            assert kept.touched <= most
        anew = Way(room, (0.0, 0.0, CELL), goal, ROBOT)
        assert anew.go_on(*place, cells=10**6) is kept.found
        if kept.found is Found.WAY:
            ways = [way.field().distance(*place) for way in (kept, anew)]
            assert ways[0] == pytest.approx(ways[1], rel=0.05)
            found.append(ways[0])
    assert len(found) >= 3


def test_what_changes_off_the_way_costs_next_to_nothing():
    counts = np.zeros((104, 400), np.int8)
    room = room_by(counts)
    way = Way(room, (0.0, 0.0, CELL), (38.0, 5.0), ROBOT)
    assert way.go_on(2.0, 5.0, cells=10**6) is Found.WAY
    whole = way.touched
    assert way.go_on(2.3, 5.0) is Found.WAY
    assert way.touched == 0  # nothing changed, and the robot is on the way
    counts[45:55, 30] = MOST  # a metre before the robot: what lies between it and the goal stays
    before, room[:] = room.copy(), room_by(counts)
    where = np.flatnonzero(room != before)
    way.touch(where, before.flat[where])
    assert way.go_on(2.3, 5.0) is Found.WAY
    assert 0 < way.touched < 0.2 * whole


@pytest.mark.parametrize("goal", [(400.0, 30.0), (-900.0, 5.0), (3.0, -77.0), (8.0, 500.0)])
def test_a_goal_beyond_the_grid_lies_as_far_as_it_is_where_nothing_is_known(goal):
    room = np.full((100, 150), 0.65, np.float32)
    way = Way(room, (0.0, 0.0, CELL), goal, ROBOT)
    assert way.go_on(6.05, 4.05, cells=10**6) is Found.WAY
    assert way.field().distance(6.05, 4.05) == pytest.approx(math.dist(goal, (6.05, 4.05)), rel=0.005)
    yaw = way.field().heading(6.05, 4.05, 2.0)
    assert yaw == pytest.approx(math.atan2(goal[1] - 4.05, goal[0] - 6.05), abs=0.12)


def test_the_farthest_point_in_sight_does_not_cut_a_corner():
    counts = np.zeros((64, 64), np.int8)
    counts[:30, 30] = MOST  # a wall up to y = 3 m at x = 3 m
    room = room_by(counts)
    path = np.array([(10.0, 20.0 + k) for k in range(16)] + [(10.0 + k, 36.0) for k in range(1, 40)])
    k = farthest_in_sight(path, room, ROBOT)
    assert 15 <= k < 40  # round the bend, but not yet past the wall's end
    u, v = path[k]
    assert (
        min(math.hypot(10 + (u - 10) * t - 30, 20 + (v - 20) * t - 29) for t in np.linspace(0, 1, 50)) >= 5.0
    )


# -- the memory -------------------------------------------------------------------------------------------


def test_in_the_open_it_points_at_the_goal_and_near_the_goal_it_is_the_goal():
    memory = remembered(np.empty((0, 6)))
    point = memory.point(Pose(), 5)
    assert (point.x, point.y) == (pytest.approx(AHEAD, abs=0.1), pytest.approx(0.0, abs=0.1))
    assert not memory.blocked
    place = Pose(7.5, 0.0, 0.0)
    near = remembered(np.empty((0, 6)), place).point(place, 5)
    assert (near.x, near.y) == pytest.approx((GOAL.x, GOAL.y), abs=0.05)


def test_out_of_a_pocket_it_points_back():
    inside = Pose(2.0, 0.0, 0.0)
    assert remembered(POCKET, inside).point(inside, 0).x < inside.x


def test_a_goal_close_by_behind_a_wall_is_not_pointed_at():
    wall = np.array([[0.8, 0.0, 0.1, 3.0, 0.0]])
    memory = remembered(wall, goal=Goal(0, 1.4, 0.0))
    assert math.hypot(1.4, 0.0) < LOOKAHEAD
    point = memory.point(Pose(), 0)
    assert abs(math.atan2(point.y, point.x)) > math.radians(40)


def test_a_point_is_never_so_near_that_the_robot_would_stop_at_it():
    inside = Pose(2.0, 0.0, 0.0)
    memory = remembered(POCKET, inside)
    for yaw in np.arange(-3.0, 3.0, 0.5):
        point = memory.point(Pose(2.0, 0.0, float(yaw)), 0)
        assert math.hypot(point.x - 2.0, point.y) >= NEAREST - 0.01


@pytest.mark.parametrize(("half_width", "passes"), [(0.215, True), (0.45, False)])
def test_the_room_that_a_way_asks_for_follows_from_the_robot(half_width, passes):
    # a closed room with a gap of 0.6 m
    walls = np.array([[2, 1.25, 0.2, 1.9, 0], [2, -1.25, 0.2, 1.9, 0], *CLOSED[1:]])
    memory = remembered(walls, half_width=half_width)
    assert (memory.point(Pose(), 0) is not None) == passes
    assert memory.blocked != passes
    assert disc(half_width).least == half_width + SLIM_MARGIN  # what the guard lets through, it may ask for


def gap_of(room):
    """A closed room with a gap in its right wall, which a robot 0.43 m wide has `room` m beside it in."""
    edge = 0.215 + room
    return np.array([[2, 1.0 + edge / 2, 0.2, 2.0 - edge, 0], [2, -1.0 - edge / 2, 0.2, 2.0 - edge, 0], *CLOSED[1:]])


@pytest.mark.parametrize(("room", "passes"), [(0.075, True), (0.05, True), (-0.08, False)])
def test_a_gap_that_is_remembered_some_cm_too_narrow_leads_on_where_nothing_else_does(room, passes):
    memory = remembered(gap_of(room))
    memory._disc = memory._disc._replace(least=0.215 + 0.10)  # as if what stands there were remembered thicker
    assert memory.point(Pose(), 0) is None
    assert memory.blocked  # it may be for a moment
    memory.point(Pose(), SLIM_AFTER)
    assert (memory.point(Pose(), SLIM_AFTER + 1) is not None) == passes
    assert memory.blocked != passes
    for late in (0, 1):
        memory.point(Pose(), SLIM_AFTER + SLIM_FOR + late)
    assert memory._disc == disc(0.215)  # and then as before


def test_a_gap_without_the_guards_room_is_no_way_where_another_leads_on():
    narrow = gap_of(0.05)
    memory = remembered(narrow[[0, 1, 3, 4]])  # the left wall is gone
    memory._disc = memory._disc._replace(least=0.215 + 0.10)
    for stamp in (0, SLIM_AFTER, 2 * SLIM_AFTER):
        assert memory.point(Pose(), stamp).x < 0.0


@pytest.mark.parametrize("x", [-0.1, 0.0, 0.1])
@pytest.mark.parametrize("y", [0.08, 0.1, 0.12, 0.14])
def test_the_point_lies_where_the_robot_fits_though_it_stands_close_to_a_corner(x, y):
    walls = np.array([[0.0, -0.4, 4.0, 0.2, 0.0], [0.9, 0.7, 1.6, 0.8, 0.0], [-1.2, 0.7, 1.0, 0.8, 0.0]])
    memory = remembered(walls, Pose(x, y, 0.0), goal=Goal(0, 3.0, 0.0))
    point = memory.point(Pose(x, y, 0.0), 0)
    grid = memory.grid
    i, j = math.floor((point.y - grid.y0) / grid.cell), math.floor((point.x - grid.x0) / grid.cell)
    assert grid.clear()[i, j] >= 0.215


def test_where_there_is_no_way_it_says_so():
    memory = remembered(CLOSED)
    assert memory.point(Pose(), 0) is None
    assert memory.blocked


def test_a_scan_later_than_the_odometry_is_entered_where_the_robot_was_by_then():
    memory = RouteMemory(Pose(), GOAL)
    wall = np.array([[3.0, 0.0, 0.2, 1.0, 0.0]])
    # 20 ms at 5 m/s: the robot stood at x = 0.1 when it scanned
    memory.remember(scan_from(Pose(0.1, 0.0, 0.0), wall, 20_000_000), odometry(Pose(), 0, linear=5.0))
    grid = memory.grid
    columns = np.flatnonzero((grid.counts() > 0).any(axis=0)) * grid.cell + grid.x0
    assert columns.min() == pytest.approx(2.9, abs=grid.cell)
    assert columns.max() <= 2.95


# -- the guide --------------------------------------------------------------------------------------------


def guided(boxes, explores=False):
    guide = Guide(explores=explores)
    guide.put_goal(GOAL)
    guide.put_odometry(odometry(Pose()))
    guide.put_scan(scan_from(Pose(), boxes))
    return guide


def test_the_guide_says_that_there_is_no_way_and_a_way_that_opens_is_found():
    guide = guided(CLOSED)
    assert guide.point(0) == NoWay(0)
    assert guide.blocked
    for k in range(1, 8):  # one wall is gone
        guide.put_scan(scan_from(Pose(), CLOSED[1:], k * 25_000_000))
    point = guide.point(PERIOD_NS)
    assert isinstance(point, Goal)
    assert point.x > 0.0
    assert not guide.blocked


def test_what_bars_the_way_for_a_moment_is_no_want_of_one():
    guide = guided(np.empty((0, 5)))
    first = guide.point(0)
    assert isinstance(first, Goal)
    guide.put_scan(scan_from(Pose(), CLOSED, PERIOD_NS))
    for k in range(1, PASSES_NS // PERIOD_NS):
        point = guide.point(k * PERIOD_NS)
        assert point == Goal(k * PERIOD_NS, first.x, first.y), k
    assert guide.point(PASSES_NS) == NoWay(PASSES_NS)


def test_where_somebody_walked_far_away_nothing_is_left_though_no_ray_passes_every_cell():
    guide = guided(np.empty((0, 5)))
    for k in range(1, 12):
        stamp = k * 50_000_000
        guide.put_odometry(odometry(Pose(), stamp))
        person = np.array([(4.2, 0.2 * k - 1.0, 0.4, 0.4, 0.3)])
        guide.put_scan(scan_from(Pose(), person, stamp))
    assert (guide.memory.grid.counts() >= SURE).any()
    for k in range(12, 24):
        stamp = k * 50_000_000
        guide.put_odometry(odometry(Pose(), stamp))
        guide.put_scan(scan_from(Pose(), np.empty((0, 5)), stamp))
    assert not (guide.memory.grid.counts() >= SURE).any()


def test_between_two_rays_that_go_on_a_cell_is_cleared_and_beside_one_that_ends_not():
    counts = np.zeros((16, 64), np.int8)
    counts[5, 45] = HIT  # 4 m away, 0.02 rad from either ray: 8 cm
    for ends, left in ((5.0, HIT - 1), (4.05, HIT)):
        cells = cells_of(counts)
        see(cells, np.ones(1, np.int64), rays([5.0, ends], -0.02, 0.04, u=5.5, v=5.5), NOTHING)
        assert counts_of(cells)[5, 45] == left


def test_somebody_who_follows_the_robot_does_not_hold_its_place():
    """A wall lies along the way, and somebody walks 1 m behind all the time; odometry is right."""
    wall = np.array([(5.0, 3.0, 14.0, 0.1, 0.0)])
    memory = RouteMemory(Pose(), GOAL)
    for k in range(80):
        stamp, pose = k * 100_000_000, Pose(0.02 * k, 0.0)
        person = np.array([(pose.x - 1.0, 0.0, 0.5, 0.5, 0.2)])
        scan = scan_from(pose, np.concatenate((wall, person)), stamp)
        memory.remember(scan, odometry(pose, stamp, linear=0.2))
    assert math.hypot(memory.correction.x, memory.correction.y) < 0.05


def test_what_a_camera_saw_in_a_scan_bars_the_way_and_says_nothing_of_where_the_robot_is():
    # nothing stands in sight, and odometry is right
    block = np.array([(x, y) for x in np.arange(1.55, 2.5, 0.1) for y in np.arange(0.55, 1.5, 0.1)])
    told, untold = RouteMemory(Pose(), GOAL), RouteMemory(Pose(), GOAL)
    for k in range(60):
        stamp, pose = k * 100_000_000, Pose(0.05 * k)
        scan, where = scan_from(pose, np.empty((0, 5)), stamp), odometry(pose, stamp, linear=0.5)
        shown = overlay(scan, block - (pose.x, 0.0), (0.0, 0.0, 0.0), Outline(0.254, 0.215))
        told.remember(shown, where)
        untold.remember(replace(shown, given=None), where)
    assert (told.grid.counts() >= SURE).sum() > 10
    assert told.place(pose) == pose
    assert abs(untold.place(pose).yaw) > 0.01


def test_a_guide_that_explores_forgets_what_it_saw_and_looks_again_but_not_all_the_time():
    guide = guided(CLOSED, explores=True)
    assert guide.point(0) == NoWay(0)
    assert isinstance(guide.point(PERIOD_NS), Goal)  # nothing is known
    guide.put_scan(scan_from(Pose(), CLOSED, PERIOD_NS))
    later = PERIOD_NS + PASSES_NS
    assert guide.point(later) == NoWay(later)
    assert guide.point(later + PERIOD_NS) == NoWay(later + PERIOD_NS)
    assert isinstance(guide.point(EXPLORE_NS + PERIOD_NS), NoWay)
    assert isinstance(guide.point(EXPLORE_NS + 2 * PERIOD_NS), Goal)


# -- drives -----------------------------------------------------------------------------------------------


def drives(world, duration=60.0, seed=1, **gains):
    planner = TimedPlanner(MapPlanner(world, seed, led=True))
    driver, simulator = Navigator(planner, gains=gains), KinematicSimulator(world, seed=seed, camera=True)
    return drive(driver, simulator, driver.robot, Rules(duration=duration, max_speed=2.0), seed=seed)


def test_the_reflex_with_a_memory_gets_out_of_a_pocket_and_without_one_does_not():
    world = World("pocket", Pose(), (8.0, 0.0), (-3.0, -5.0, 10.0, 5.0), boxes=POCKET)
    for remembers in (True, False):
        driver = Navigator(None, memory=remembers, gains={"max_speed": 2.0})
        simulator = KinematicSimulator(world, seed=1)
        episode = drive(driver, simulator, driver.robot, Rules(duration=40.0), seed=1)
        assert episode.contacts == 0
        assert episode.reached == remembers


def test_the_robot_stops_where_there_is_no_way():
    world = World("closed", Pose(), (8.0, 0.0), (-3.0, -5.0, 10.0, 5.0), boxes=CLOSED)
    episode = drives(world, duration=5.0)
    assert episode.contacts == 0
    assert episode.modes["STOPPED"] > 0.9
    assert episode.path < 0.5


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("zigzag", "spiral", "pocket")]


@pytest.mark.parametrize("kind", ["fardoor", "gaps", *SLOW])
def test_a_way_that_is_far_from_the_line_or_as_narrow_as_the_robot_and_10_cm_is_driven(kind):
    episode = drives(generate(kind, 1), duration=160.0, max_speed=2.0)
    assert episode.reached
    assert episode.contacts == 0


def test_no_way_stops_the_reflex_for_as_long_as_a_point_lasts():
    reflex = Reflex({"open_space": True}, clock=lambda: 0)
    reflex.put_goal(GOAL)
    reflex.put_waypoint(NoWay(0), 0)
    assert math.isnan(reflex._boxes["goal"].read()["value"]["x"])
    reflex.put_waypoint(Goal(1, 1.0, 2.0), 1)
    assert reflex._boxes["goal"].read()["value"]["x"] == 1.0
