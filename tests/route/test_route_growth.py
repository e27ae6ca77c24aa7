"""A grid that grows little by little, a front that begins in parts, and the bench that measures what they cost."""

import json
import math

import numpy as np
import pytest

from hybrid_control.cli import main
from hybrid_control.navigation.bench import route as bench
from hybrid_control.navigation.route.cells import SIDE
from hybrid_control.navigation.route.front import Disc
from hybrid_control.navigation.route.grid import SOON, Grid
from hybrid_control.navigation.route.growth import AT_ONCE, Growth
from hybrid_control.navigation.route.way import FIRST_TOUCH, Found, Way

LIMIT = 0.65


def grown(by, room, towards):
    """The same at once, by the words of the docstring alone."""
    (top, bottom, left, right), (rows, columns) = (b * SIDE for b in by), room.shape
    out = np.full((rows + top + bottom, columns + left + right), LIMIT, np.float32)
    nearest = np.zeros(out.shape, np.uint16)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            if 0 <= i - top < rows and 0 <= j - left < columns:
                out[i, j], nearest[i, j] = room[i - top, j - left], towards[i - top, j - left]
    return out, nearest


@pytest.mark.parametrize("by", [(1, 0, 0, 0), (0, 2, 0, 1), (1, 1, 2, 1), (-1, 2, 0, 0), (2, -1, 1, -2), (0, 0, -2, 3)])
def test_a_growth_that_is_filled_in_parts_while_cells_change_is_the_grid_and_free_room_around_it(by):
    rng = np.random.default_rng(0)
    room = rng.uniform(0.0, LIMIT, (4 * SIDE, 5 * SIDE)).astype(np.float32)
    towards = rng.integers(1, 1 << 16, room.shape).astype(np.uint16)
    growth = Growth(by, room, towards, LIMIT, 1.0)
    for share in np.linspace(0.0, 1.0, 7):
        growth.fill(float(share))
        cells = rng.integers(0, room.size, 40)
        room.ravel()[cells], towards.ravel()[cells] = rng.uniform(0.0, LIMIT, 40), rng.integers(1, 1 << 16, 40)
        growth.follow(cells)
    expected = grown(by, room, towards)
    np.testing.assert_array_equal(growth.room, expected[0])
    np.testing.assert_array_equal(growth.towards, expected[1])
    assert growth.field.shape == growth.room.shape


def test_a_growth_is_complete_when_nothing_is_left_of_the_way_to_the_edge():
    growth = Growth((1, 0, 0, 0), np.zeros((80, 80), np.float32), np.zeros((80, 80), np.uint16), LIMIT, 2.0)
    filled = []
    for left in (2.0, 1.5, 1.0, 1.2, 0.5, 0.0):
        growth.fill_until(left)
        filled.append(growth._filled)
    assert filled == [0, 22, 44, 44, 66, 88]


def test_no_call_fills_more_than_so_many_cells_unless_the_grid_is_left():
    columns = 2000
    zeros = np.zeros((1600, columns))
    growth = Growth((1, 0, 0, 0), zeros.astype(np.float32), zeros.astype(np.uint16), LIMIT, 0.01)
    before, calls = 0, 0
    while growth._filled < growth.room.shape[0]:
        growth.fill_until(-1.0)
        assert (growth._filled - before) * columns <= AT_ONCE + 2 * columns
        before, calls = growth._filled, calls + 1
    assert calls > 10


def scanned(grid, x, y):
    """Enter a scan with one wall, at x = 30 m, beyond which nothing is seen."""
    angles = np.arange(90) * math.tau / 90
    with np.errstate(divide="ignore"):
        ranges = np.where(np.cos(angles) > 0.0, (30.0 - x) / np.cos(angles), np.inf)
    grid.enter(x, y, np.where(ranges <= 5.0, ranges, np.inf), 0.0, math.tau / 90, 0.1, 5.0)
    return grid.clear()


def test_a_grid_that_has_grown_has_the_room_of_one_that_was_as_large_from_the_start():
    one = Grid(0.0, 0.0, 0.1, LIMIT)
    for x in np.arange(0.0, 29.0, 0.5):
        scanned(one, float(x), 0.3 * float(x))
    other = Grid(0.0, 0.0, 0.1, LIMIT)
    scanned(other, 0.0, 0.0)
    other._hold((0.0, 0.0), (one.x0 + 2, one.y0 + 2), (40.0, 20.0), 5.0)
    for x in np.arange(0.0, 29.0, 0.5):
        scanned(other, float(x), 0.3 * float(x))
    i, j = (round((a - b) / 0.1) for a, b in ((one.y0, other.y0), (one.x0, other.x0)))
    rows, columns = (min(n, m - k) for n, m, k in zip(one.shape, other.shape, (i, j), strict=True))
    assert min(i, j) >= 0
    assert rows > 100
    assert columns > 300
    assert (one.clear() < LIMIT).sum() > 100
    np.testing.assert_array_equal(
        one.clear()[:rows, :columns], other.clear()[i : i + rows, j : j + columns]
    )


def test_what_a_grid_grows_to_is_ready_when_a_robot_that_drives_on_needs_it():
    grid = Grid(0.0, 0.0, 0.1, LIMIT)
    shapes, ready = [grid.shape], []
    for x in np.arange(0.0, 60.0, 0.05):
        growth = grid._growth
        scanned(grid, float(min(x, 29.5)), float(max(x - 29.5, 0.0)))
        if grid.shape != shapes[-1]:
            shapes.append(grid.shape)
            ready.append(growth is not None and growth._filled / growth.room.shape[0])
    assert len(ready) > 4
    assert min(ready[1:]) > 0.9  # the first scan needs it at once
    assert SOON > 1.0


@pytest.mark.parametrize("cells", [20 * FIRST_TOUCH, 700, 1_501, 5_000])
def test_a_front_that_begins_in_parts_finds_the_way_that_one_at_once_finds(cells):
    room = np.full((120, 90), LIMIT, np.float32)
    room[60, :70] = 0.0  # a wall
    ends, goal = (4.5, 1.0), (4.0, 40.0)
    ways = [Way(room, (0.0, 0.0, 0.1), goal, Disc(0.2, 0.3, 0.6)) for _ in range(2)]
    assert ways[0].go_on(*ends, cells=10**6) is Found.WAY
    calls = 0
    while ways[1].go_on(*ends, cells=cells) is Found.NOT_YET:
        calls += 1
        assert calls < 1000
    assert calls > 1
    assert ways[1].touched <= cells
    assert ways[1].field().distance(*ends) == pytest.approx(ways[0].field().distance(*ends), rel=1e-12)


def test_a_search_that_ends_with_its_last_cell_says_so_when_it_is_asked_again():
    room = np.full((40, 40), LIMIT, np.float32)
    for cells in range(FIRST_TOUCH + 1, 300):
        way = Way(room, (0.0, 0.0, 0.1), (2.0, 2.0), Disc(0.2, 0.3, 0.6))
        assert Found.WAY in [way.go_on(2.0, 2.5, cells=cells) for _ in range(300)], cells


def test_bench_route_drives_to_the_goal_and_says_what_its_calls_cost(tmp_path, capsys):
    file = tmp_path / "route.json"
    assert main(["bench", "route", "--worlds", "pillars", "--sides", "12", "--json", str(file)]) == 0
    (row,) = json.loads(file.read_text())
    assert row["reached"]
    assert row["obstacles"] == 14  # a tenth to each of 144 square metres
    assert 11.3 * math.sqrt(2) - 1.5 < row["way"] < 25.0
    assert 0.0 < row["p50"] <= row["p99"] <= row["p99.9"] <= row["longest"]
    assert row["ms_a_second"] == pytest.approx(row["ms_a_metre"] * row["way"] / row["seconds"], rel=0.01)
    assert "did not arrive" not in capsys.readouterr().out


def test_the_wall_has_its_door_at_the_far_end_and_nowhere_else():
    _, boxes = bench.wall(20.0, 1)
    from hybrid_control.geometry.shapes import clearance

    along = [clearance(10 + t, 10 - t, np.empty((0, 3)), boxes) for t in np.linspace(-9.9, 9.9, 100)]
    assert max(along[:90]) < 0.0
    assert clearance(19.9, 0.1, np.empty((0, 3)), boxes) > 0.5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sides", "5"], "--sides 5: expected numbers from 10 to 200"),
        (["--sides", "x"], "--sides x: expected numbers"),
        (["--worlds", "moon"], "--worlds: unknown 'moon'; there are pillars, wall"),
        (["--seed", "-1"], "--seed -1: expected 0"),
    ],
)
def test_bench_route_refuses_what_it_cannot_measure_with_one_line(arguments, says, capsys):
    assert main(["bench", "route", *arguments]) != 0
    assert says in capsys.readouterr().err
