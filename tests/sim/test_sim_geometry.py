import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.shapes import cast_rays, clearance, clearance_map, footprint_distance

NONE3, NONE5 = np.empty((0, 3)), np.empty((0, 5))
LENGTH, WIDTH = 0.508, 0.43


def cylinders(*rows):
    return np.array(rows, dtype=float).reshape(-1, 3)


def boxes(*rows):
    return np.array(rows, dtype=float).reshape(-1, 5)


def test_clearance_of_a_point_is_distance_to_the_surface_and_negative_inside():
    assert clearance(0, 0, cylinders((3, 4, 1)), NONE5) == pytest.approx(4.0)
    assert clearance(3, 4, cylinders((3, 4, 1)), NONE5) == pytest.approx(-1.0)
    box = boxes((2, 0, 2, 1, 0))  # x 1 .. 3, y -0.5 .. 0.5
    assert clearance(0, 0, NONE3, box) == pytest.approx(1.0)
    assert clearance(0, 1.5, NONE3, box) == pytest.approx(math.sqrt(2))  # to the corner (1, 0.5)
    assert clearance(2, 0.1, NONE3, box) == pytest.approx(-0.4)
    assert clearance(0, 0, NONE3, NONE5) == math.inf


def test_footprint_distance_matches_hand_worked_numbers():
    # ahead: 2 - 0.254 - 0.5; beside: 1 - 0.215 - 0.2
    assert footprint_distance(0, 0, 0, LENGTH, WIDTH, cylinders((2, 0, 0.5)), NONE5) == pytest.approx(1.246)
    assert footprint_distance(0, 0, 0, LENGTH, WIDTH, cylinders((0, 1, 0.2)), NONE5) == pytest.approx(0.585)
    # a quarter turn swaps the two
    ahead = footprint_distance(0, 0, math.pi / 2, LENGTH, WIDTH, cylinders((0, 1, 0.2)), NONE5)
    assert ahead == pytest.approx(1 - 0.254 - 0.2)
    # from the corner (0.254, 0.215), 3-4-5: centre at (0.254 + 0.3, 0.215 + 0.4)
    corner = footprint_distance(0, 0, 0, LENGTH, WIDTH, cylinders((0.554, 0.615, 0.1)), NONE5)
    assert corner == pytest.approx(0.4)
    # a square of diagonal 2 on its corner, its near corner at x = 2 - 1
    diamond = boxes((2, 0, math.sqrt(2), math.sqrt(2), math.pi / 4))
    assert footprint_distance(0, 0, 0, LENGTH, WIDTH, NONE3, diamond) == pytest.approx(1 - 0.254)


def test_footprint_distance_is_zero_where_shapes_overlap_even_without_a_corner_inside():
    cross = boxes((0, 0, 4, 0.1, math.pi / 2))  # a long bar right through the body
    assert footprint_distance(0, 0, 0, LENGTH, WIDTH, NONE3, cross) == 0.0
    assert footprint_distance(0, 0, 0, LENGTH, WIDTH, cylinders((0.3, 0, 0.1)), NONE5) == 0.0
    assert footprint_distance(0, 0, 0, LENGTH, WIDTH, NONE3, NONE5) == math.inf


def outline(x, y, length, width, yaw, per_side=200):
    u = np.linspace(-0.5, 0.5, per_side)
    local = np.concatenate(
        [np.column_stack((u * length, np.full(per_side, s * width / 2))) for s in (-1, 1)]
        + [np.column_stack((np.full(per_side, s * length / 2), u * width)) for s in (-1, 1)]
    )
    c, s = math.cos(yaw), math.sin(yaw)
    return local @ np.array([[c, s], [-s, c]]) + (x, y)


angles = st.floats(-math.pi, math.pi)
places = st.floats(-1.5, 1.5)
sizes = st.floats(0.1, 1.0)


@settings(max_examples=60, deadline=None)
@given(places, places, angles, sizes, sizes, angles, sizes, sizes)
def test_distance_between_two_rectangles_equals_that_of_their_sampled_outlines(x, y, yaw, a, b, turn, c, d):
    exact = footprint_distance(0, 0, turn, c, d, NONE3, boxes((x, y, a, b, yaw)))
    one, two = outline(0, 0, c, d, turn), outline(x, y, a, b, yaw)
    sampled = np.sqrt(((one[:, None] - two[None]) ** 2).sum(-1)).min()
    if exact > 0:
        assert exact <= sampled + 1e-9
        assert sampled - exact < 0.01
    else:
        inside_one = min(clearance(px, py, NONE3, boxes((0, 0, c, d, turn))) for px, py in two)
        inside_two = min(clearance(px, py, NONE3, boxes((x, y, a, b, yaw))) for px, py in one)
        assert min(inside_one, inside_two) <= 1e-9 or sampled < 0.01


@settings(max_examples=60, deadline=None)
@given(places, places, st.floats(0.05, 0.6), angles)
def test_distance_to_a_cylinder_equals_that_of_the_sampled_outline(x, y, radius, yaw):
    exact = footprint_distance(0, 0, yaw, LENGTH, WIDTH, cylinders((x, y, radius)), NONE5)
    sampled = np.hypot(*(outline(0, 0, LENGTH, WIDTH, yaw) - (x, y)).T).min() - radius
    if exact > 0:
        assert sampled - 0.005 < exact <= sampled + 1e-9
    else:
        assert sampled < 0.005 or clearance(x, y, NONE3, boxes((0, 0, LENGTH, WIDTH, yaw))) < 0


def test_rays_meet_a_cylinder_and_a_box_where_trigonometry_says():
    beams = np.array([0.0, math.pi / 2, math.pi, math.asin(0.5 / 3) + 0.01, 0.1])
    ranges = cast_rays(0, 0, beams, 10.0, cylinders((3, 0, 0.5)), boxes((0, 2.5, 4, 1, 0)))
    slanted = 3 * math.cos(0.1) - math.sqrt(0.25 - (3 * math.sin(0.1)) ** 2)
    assert ranges == pytest.approx([2.5, 2.0, math.inf, math.inf, slanted])


def test_rays_beyond_the_limit_are_empty_and_those_from_inside_are_zero():
    ahead = np.array([0.0])
    assert cast_rays(0, 0, ahead, 2.0, cylinders((3, 0, 0.5)), NONE5)[0] == math.inf
    assert cast_rays(3, 0, ahead, 2.0, cylinders((3, 0, 0.5)), NONE5)[0] == 0.0
    assert cast_rays(3, 0, ahead, 2.0, NONE3, boxes((3, 0, 1, 1, 0.3)))[0] == 0.0


@settings(max_examples=40, deadline=None)
@given(places, places, sizes, sizes, angles, angles)
def test_a_ray_ends_on_the_surface(x, y, length, width, yaw, beam):
    box = boxes((x, y, length, width, yaw))
    if clearance(-4, 0, NONE3, box) <= 0:
        return
    hit = cast_rays(-4, 0, np.array([beam]), 20.0, NONE3, box)[0]
    if hit < math.inf:
        end = (-4 + hit * math.cos(beam), hit * math.sin(beam))
        assert clearance(*end, NONE3, box) == pytest.approx(0.0, abs=1e-6)


def test_clearance_map_has_the_clearance_of_each_cells_centre():
    world = cylinders((1, 1, 0.5))
    grid = clearance_map(-1.0, -2.0, 0.5, 5, 7, world, NONE5)
    assert grid.shape == (5, 7)
    assert grid[3, 6] == clearance(2.0, -0.5, world, NONE5)


@pytest.mark.parametrize("seed", range(4))
def test_clearance_by_tiles_is_that_of_every_cell_to_every_obstacle_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    cylinders = np.column_stack((rng.uniform(-1, 6, (20, 2)), rng.uniform(0.02, 0.6, 20)))[: seed * 7]
    boxes = np.column_stack((rng.uniform(-1, 6, (30, 2)), rng.uniform(0.01, 3.0, (30, 2)), rng.uniform(-4, 4, 30)))
    found = clearance_map(-0.5, 0.3, 0.1, 47, 61, cylinders, boxes)
    for i in range(47):
        for j in range(61):
            x, y = -0.5 + j * 0.1, 0.3 + i * 0.1
            apart = [clearance(x, y, c[None], boxes[:0]) for c in cylinders]
            apart += [clearance(x, y, cylinders[:0], b[None]) for b in boxes]
            assert found[i, j] == min(apart) == clearance(x, y, cylinders, boxes)
