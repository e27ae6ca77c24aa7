import math

import numpy as np
import pytest

from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import World, generate
from hybrid_control.sim.worlds.grid import geodesic_field


def world(cylinders=(), boxes=(), goal=(8.0, 0.0)):
    return World("test", Pose(), goal, (-2.0, -5.0, 10.0, 5.0), np.array(cylinders), np.array(boxes))


def test_distance_and_heading_in_an_empty_world_are_those_of_the_straight_line():
    field = geodesic_field(world(), 0.3, 0.05)
    for x, y in ((0.0, 0.0), (1.0, 3.0), (-1.5, -4.5), (9.0, 4.0), (7.9, 0.05)):
        assert field.distance(x, y) == pytest.approx(math.dist((x, y), (8.0, 0.0)), rel=0.01)
        straight = math.atan2(-y, 8.0 - x)
        assert math.remainder(field.heading(x, y) - straight, 2 * math.pi) == pytest.approx(0.0, abs=0.05)


def test_way_around_a_wall_goes_by_its_inflated_end():
    # A wall on x = 4 from y = -5 to y = 1, closed below by the bounds; the robot is a point of radius 0.3.
    field = geodesic_field(world(boxes=[(4.0, -2.0, 0.1, 6.0, 0.0)]), 0.3, 0.05)
    # The shortest way from (0, 0) touches the circle of 0.3 m around the corners (3.95, 1) and (4.05, 1).
    corner = math.dist((0, 0), (3.95, 1.0))
    tangent = math.sqrt(corner**2 - 0.3**2)
    turn = 2 * (math.atan2(1.0, 3.95) + math.asin(0.3 / corner))
    exact = 2 * tangent + 0.1 + 0.3 * turn  # symmetric about x = 4: start and goal are 4 m from it
    assert field.distance(0.0, 0.0) == pytest.approx(exact, rel=0.01)
    # and sets out along the tangent
    assert field.heading(0.0, 0.0, lookahead=2.0) == pytest.approx(turn / 2, abs=0.05)
    path = field.path(0.0, 0.0)
    assert math.dist(path[-1], (8.0, 0.0)) < 0.15
    assert np.hypot(*np.diff(path, axis=0).T).sum() == pytest.approx(exact, rel=0.02)


def test_lookahead_never_points_through_an_obstacle():
    field = geodesic_field(world(boxes=[(4.0, -2.0, 0.1, 6.0, 0.0)]), 0.3, 0.05)
    heading = field.heading(3.5, 0.0, lookahead=3.0)
    for step in np.arange(0.05, 1.0, 0.05):  # up along the wall until its end
        assert field.passable(3.5 + step * math.cos(heading), step * math.sin(heading))


def test_closed_goal_is_unreachable_and_says_so():
    ring = [(8.0, 1.5, 3.1, 0.1, 0), (8.0, -1.5, 3.1, 0.1, 0), (6.5, 0, 0.1, 3.1, 0), (9.5, 0, 0.1, 3.1, 0)]
    field = geodesic_field(world(boxes=ring), 0.3, 0.05)
    assert field.distance(0.0, 0.0) == math.inf
    assert math.isnan(field.heading(0.0, 0.0))
    assert not field.passable(0.0, 0.0)
    assert field.passable(8.5, 0.5)
    assert len(field.path(0.0, 0.0)) == 1


def test_robot_closer_to_an_obstacle_than_its_radius_is_led_out():
    field = geodesic_field(world(cylinders=[(4.0, 0.0, 0.5)]), 0.4, 0.05)
    x, y = 4.0, 0.6  # 0.1 m from the surface
    assert not field.passable(x, y)
    assert math.isfinite(field.distance(x, y))
    heading = field.heading(x, y, lookahead=0.3)
    assert math.sin(heading) > 0  # away from the cylinder's centre
    assert field.distance(x, y + 0.4) < field.distance(x, y)


def test_at_the_goal_distance_is_zero_and_heading_defined():
    field = geodesic_field(world(), 0.3, 0.05)
    assert field.distance(8.0, 0.0) == pytest.approx(0.0, abs=0.05)
    assert math.isfinite(field.heading(7.98, 0.0))


def test_outside_the_bounds_there_is_no_way():
    field = geodesic_field(world(), 0.3, 0.05)
    assert field.distance(50.0, 0.0) == math.inf
    assert not field.passable(50.0, 0.0)


def test_following_the_field_reaches_the_goal_without_touching():
    for name in ("default", "rooms", "field"):
        scene = generate(name, 4)
        field = geodesic_field(scene, 0.3, 0.05)
        x, y = scene.start.x, scene.start.y
        for _ in range(2000):
            if math.dist((x, y), scene.goal) < 0.2:
                break
            heading = field.heading(x, y, lookahead=0.6)
            x, y = x + 0.03 * math.cos(heading), y + 0.03 * math.sin(heading)
            row, column = round((y - field.y0) / 0.05), round((x - field.x0) / 0.05)
            assert field.clear[row, column] > 0.2
        assert math.dist((x, y), scene.goal) < 0.2


@pytest.mark.parametrize(("radius", "resolution"), [(0.3, 0.0), (0.3, -1.0), (-0.1, 0.05), (0.3, math.nan)])
def test_impossible_resolution_or_radius_is_refused(radius, resolution):
    with pytest.raises(ValueError, match="geodesic field"):
        geodesic_field(world(), radius, resolution)


def test_goal_too_near_an_obstacle_is_refused():
    with pytest.raises(ValueError, match="within"):
        geodesic_field(world(cylinders=[(8.0, 0.5, 0.3)]), 0.3, 0.05)


@pytest.mark.parametrize("kind", ["default", "rooms", "spiral", "pocket"])
@pytest.mark.parametrize("radius", [0.22, 0.35, 0.43])
def test_a_field_as_far_as_the_start_has_the_start_s_distance_to_the_bit(kind, radius):
    for seed in range(5):
        drawn = generate(kind, seed)
        try:
            whole = geodesic_field(drawn, radius, 0.1)
        except ValueError:  # the goal is nearer than that to an obstacle
            continue
        part, at = geodesic_field(drawn, radius, 0.1, to_start=True), (drawn.start.x, drawn.start.y)
        assert part.distance(*at) == whole.distance(*at)
        assert part.passable(*at) == whole.passable(*at)
