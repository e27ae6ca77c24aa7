"""Generated worlds with what a planar lidar does not show: it lies across the straight way, and there is another."""

import time

import numpy as np
import pytest

from hybrid_control.geometry.shapes import footprint_distance
from hybrid_control.signals import Pose
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.score import Score
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import generate, guaranteed, passable
from hybrid_control.sim.worlds.patch import FORBIDDEN, PERMITTED

KINDS = {"low": "low", "overhangs": "overhang", "glass": "pane", "wires": "wire", "holes": "hole"}
NAMES = (*KINDS, "forbidden")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_who_drives_straight_touches_what_is_hidden_and_nothing_else(name, seed):
    world = generate(name, seed)
    score = Score(world, JACKAL)
    touched = [what for k, x in enumerate(np.linspace(0.0, 10.0, 1000)) for what in score.see(k, Pose(x, 0.0))]
    assert touched
    assert all(what.startswith("patch" if name == "forbidden" else "thing") for what in touched)
    none = np.empty((0, 5))
    across = footprint_distance(5.0, 0.0, 0.0, 10.0, 1e-6, np.empty((0, 3)), world.closed)
    assert across == 0.0  # however slim it is
    # no pillar stands so near to the straight way that it would turn a lidar's robot off it
    assert footprint_distance(5.0, 0.0, 0.0, 10.0, JACKAL.width, world.cylinders, none) > 0.4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_there_is_as_much_hidden_and_as_much_room_as_is_said(name, seed):
    world = generate(name, seed)
    assert 8 <= len(world.things) + len(world.patches) <= 14
    assert 4 <= len(world.cylinders) <= 8
    assert len(world.boxes) == 0
    assert world.straight_distance == 10.0
    assert 6.0 <= world.bounds[3] - world.bounds[1] <= 8.0
    assert guaranteed(name)[0] == 0.45
    assert passable(world, 0.45, detour=1.5)
    if name == "forbidden":
        kinds = [{p.kind for p in world.patches if p.forbidden == f} for f in (True, False)]
        assert kinds[0] <= set(FORBIDDEN)
        assert kinds[1] <= set(PERMITTED)
        return
    assert {t.kind for t in world.things} == {KINDS[name]}
    assert all(JACKAL.meets(t) for t in world.things)
    assert not any(t.seen_by_lidar(JACKAL.lidar_z) for t in world.things)


@pytest.mark.parametrize("name", NAMES)
def test_a_world_follows_its_seed_and_is_drawn_in_a_fifth_of_a_second(name):
    one, again, other = (generate(name, seed) for seed in (1, 1, 2))
    assert (one.things, one.patches) == (again.things, again.patches)
    assert (one.things, one.patches) != (other.things, other.patches)
    begin = time.process_time()
    for seed in range(10):
        generate(name, seed)
    assert (time.process_time() - begin) / 10 < 0.2


@pytest.mark.parametrize("name", KINDS)
def test_no_lidar_shows_what_is_hidden_in_either_simulator(name):
    world = generate(name, 3, obstacles=4)
    with Simulator(world, camera=False) as sim:
        scans = [sim.scan().ranges, KinematicSimulator(world).scan().ranges]
    pillars = np.hypot(*world.cylinders[:, :2].T) - world.cylinders[:, 2]
    for ranges in scans:
        met = ranges[np.isfinite(ranges)]
        assert len(met) > 2
        assert met.min() > pillars.min() - 0.06


def test_measures_are_those_that_the_names_promise():
    for seed in range(5):
        for thing in generate("low", seed).things:
            assert 0.03 <= thing.top <= 0.12
            assert 0.1 <= min(thing.length, thing.width) <= max(thing.length, thing.width) <= 0.6
        assert all(t.width == 0.015 for t in generate("wires", seed).things)
        assert all(-0.4 <= t.bottom <= -0.08 for t in generate("holes", seed).things)


def test_options_are_those_of_the_things():
    assert {t.look for t in generate("low", 0, look="ground").things} == {"ground"}
    assert {t.look for t in generate("low", 0, look="cone").things} == {"cone"}
    assert all(0.2 <= t.opacity <= 0.25 for t in generate("glass", 0, opacity="0.2-0.25").things)
    assert {t.opacity for t in generate("glass", 0, opacity=0.3).things} == {0.3}
    assert len(generate("low", 0, count=9).things) == 9
    assert len(generate("low", 0, obstacles=5).cylinders) == 5
    assert len({p.kind for p in generate("forbidden", 0, looks=1).patches}) == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("low", {"look": "zebra"}, "look 'zebra', expected one of '', 'ground', 'cone'"),
        ("glass", {"opacity": "0.2-0.9"}, "opacity '0.2-0.9', expected such as 0.2-0.4, within 0.05 .. 0.5"),
        ("glass", {"opacity": "clear"}, "opacity 'clear', expected such as"),
        ("holes", {"count": -1}, "-1 of them, expected 0"),
        ("forbidden", {"looks": 9}, "looks 9, expected 1 .. 4"),
        ("wires", {"look": "ground"}, "unexpected keyword argument 'look'"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(name, options, words):
    with pytest.raises(ValueError) as error:
        generate(name, 0, **options)
    assert str(error.value).startswith(f"world {name!r}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_for_a_larger_robot_they_are_farther_apart_and_as_high():
    robot = vehicle("transport")
    small, large = generate("low", 1), generate("low", 1, robot.world_scale)
    assert large.things[0].x == pytest.approx(small.things[0].x * robot.world_scale)
    assert [t.top for t in large.things] == [t.top for t in small.things]
    Simulator(large, robot, camera=False)


def test_any_world_with_holes_is_a_model():
    for seed in range(12):
        Simulator(generate("holes", seed, count=14), camera=False)
