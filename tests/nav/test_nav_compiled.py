"""The compiled episode of the kinematic level against the same episode stepped by its parts."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.bench.compiled import CompiledRunner
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.map_planner import MapPlanner, frame_of, way_ahead, way_field, yaw_along
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.drive import Navigator, drive
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.timed import PlannerFault, TimedPlanner
from hybrid_control.navigation.planner.training.labels import expert_heading, expert_speed
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.states import read
from hybrid_control.signals import Pose
from hybrid_control.sim.kinematic import KinematicSimulator, beams_of, sweep
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.worlds import generate

GAINS = {"max_speed": 1.5, "goal_gain": 2.0, "avoidance_gain": 0.8}


@pytest.fixture(scope="module")
def pair():
    """The compiled runner and the stepped driver, with the same gains."""
    world = load_scenes("open")[0].world
    runner = CompiledRunner(Reflex(None, GAINS, clock=lambda: 0), JACKAL, planner=True, route=False)
    planner = TimedPlanner(MapPlanner(world, 0))
    stepped = Navigator(planner, JACKAL, gains=GAINS, memory=False)
    return runner, stepped


def both(pair, world, seed, rules, **more):
    runner, stepped = pair
    one = runner.run(world, way_field(world), seed, rules, **more)
    simulator = KinematicSimulator(world, JACKAL, seed, camera=True)
    stepped.planner.source = MapPlanner(world, seed)
    half = 0.5 * simulator.goal_distance()
    dead = []

    def dies(seen, time):
        dead.extend([True] if math.dist((seen.truth.x, seen.truth.y), world.goal) <= half else [])
        return None if dead else seen.image

    stepped.planner.fault = PlannerFault(image=dies if more.get("planner_dies_half_way") else None)
    other = drive(stepped, simulator, JACKAL, rules, seed)
    return one, other, runner.reflex.status(), stepped.reflex.status()


@pytest.mark.parametrize(
    ("worlds", "seed"), [("field:1-1", 7), ("crossing:2", 7), ("rooms:1", 3), ("corridor:1", 1)]
)
def test_the_compiled_episode_is_the_stepped_one_to_the_bit(pair, worlds, seed):
    for scene in load_scenes(worlds, seed):
        one, other, mine, theirs = both(pair, scene.world, 5, Rules(duration=15.0, goal_radius=1.0))
        np.testing.assert_array_equal(one.way, other.way)
        assert (one.reached, one.contacts, one.standing_contacts) == (
            other.reached, other.contacts, other.standing_contacts
        )  # fmt: skip
        assert (one.time, one.path, one.least_distance) == (other.time, other.path, other.least_distance)
        assert one.modes == other.modes
        assert mine.spikes_per_second == theirs.spikes_per_second
        assert mine.synaptic_events_per_second == theirs.synaptic_events_per_second


def test_so_it_is_where_the_planner_dies_and_where_the_centre_counts(pair):
    (scene,) = load_scenes("forest:1", 2)
    rules = Rules(duration=8.0, goal_radius=0.5, centre_contact=0.4)
    one, other, _, _ = both(pair, scene.world, 9, rules, planner_dies_half_way=True)
    np.testing.assert_array_equal(one.way, other.way)
    assert one.modes == other.modes
    assert one.contacts == other.contacts
    assert one.modes["REFLEX_ONLY"] > 0.1


@pytest.mark.parametrize("policy", ["reflex", "memoryless"])
def test_without_route_memory_a_row_of_the_kinematic_level_is_that_of_the_planar_one(policy):
    (scene,) = load_scenes("field:1", 31)
    levels = [Harness(Setup(level=level, seed=31, duration=4.0)) for level in ("kinematic", "planar")]
    one, other = (harness.run(policy, scene, 0, 0) for harness in levels)
    assert other.pop("false_stops") >= 0  # which nobody looks for at the kinematic level
    assert one == other


def test_initial_states_are_taken_up_in_the_compiled_episode_as_in_the_stepped_one():
    """Not to the bit: the stepped one reads the direction of its plans off their rates."""
    settled, on = read(contract.DEFAULT_MODEL), {"planner_states": True}
    (scene,) = load_scenes("field:1", 7)
    reflex = Reflex(on, GAINS, clock=lambda: 0)
    runner = CompiledRunner(reflex, JACKAL, planner=True, route=False, settled=settled)
    planner = TimedPlanner(MapPlanner(scene.world, 5, settled))
    stepped = Navigator(planner, JACKAL, settings=on, gains=GAINS, memory=False)
    rules = Rules(duration=6.0, goal_radius=1.0)
    one = runner.run(scene.world, way_field(scene.world), 5, rules)
    other = drive(stepped, KinematicSimulator(scene.world, JACKAL, 5, camera=True), JACKAL, rules, 5)
    taken = [int(r.context["states"]["sequence"][0]) for r in (reflex, stepped.reflex)]
    assert 0 < taken[0] <= 2 * taken[1]
    assert 0 < taken[1] <= 2 * taken[0]
    assert one.contacts == other.contacts == 0
    assert one.path == pytest.approx(other.path, rel=0.3)


def test_an_episode_does_not_depend_on_the_one_before_it():
    scenes = load_scenes("field:2", 3)
    setup = Setup(level="kinematic", rules="barn", gains=GAINS)
    for policy in ("hybrid", "memoryless", "reflex"):
        harness = Harness(setup)
        harness.run(policy, scenes[0], 0, 0)
        assert harness.run(policy, scenes[1], 1, 0) == Harness(setup).run(policy, scenes[1], 1, 0)


def test_gains_that_are_changed_between_episodes_are_those_of_a_new_harness():
    (scene,) = load_scenes("forest:1", 2)
    harness = Harness(Setup(level="kinematic", rules="barn", gains={"avoidance_gain": 0.6, "max_speed": 0.7}))
    harness.run("hybrid", scene, 0, 0)
    harness.set_values("hybrid", GAINS)
    new = Harness(Setup(level="kinematic", rules="barn", gains=GAINS))
    assert harness.run("hybrid", scene, 0, 0) == new.run("hybrid", scene, 0, 0)


@pytest.mark.parametrize("name", ["field", "rooms", "crossing", "default"])
def test_a_sweep_is_what_casting_every_ray_at_every_obstacle_gives(name):
    world = generate(name, 3)
    cylinders, boxes = np.array(world.cylinders), np.array(world.boxes)
    rng = np.random.default_rng(0)
    beams = -math.pi + 2.0 * math.pi / 360 * np.arange(360)
    for _ in range(50):
        x, y, yaw = rng.uniform((-1.0, -4.0, -20.0), (11.0, 4.0, 20.0))
        limit = rng.uniform(1.0, 12.0)
        expected = cast_rays(x, y, yaw + beams, limit, cylinders, boxes)
        found = sweep(x, y, yaw, beams_of(beams), limit, cylinders, boxes)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_the_stand_in_wishes_what_the_expert_wishes():
    world = generate("rooms", 3)
    field = way_field(world)
    frame = frame_of(field)
    planner = MapPlanner(world, 0)
    rng = np.random.default_rng(1)
    tried = 0
    while tried < 20:
        x, y, yaw = rng.uniform((0.0, -3.0, -3.0), (10.0, 3.0, 3.0))
        pose = Pose(x, y, yaw)
        heading = expert_heading(field, pose)
        if not field.passable(x, y) or math.isnan(heading):
            continue
        tried += 1
        path = way_ahead(field.field, frame, x, y, 1.5)
        ahead = yaw_along(path, field.free, frame, x, y, 1.2)
        assert math.cos(ahead - yaw - heading) == pytest.approx(1.0, abs=1e-12)
        mine, speed = planner.wish(pose)
        assert mine == pytest.approx(heading, abs=1e-9)
        assert speed == pytest.approx(expert_speed(field, world, pose, heading), abs=1e-9)


@pytest.mark.parametrize("worlds", ["gaps:3", "spiral:3"])
def test_the_stand_in_for_the_memory_knows_ways_as_tight_as_the_memory_and_goes_round_the_wall_at_the_goal(worlds):
    harness = Harness(Setup(level="kinematic", seed=23))
    rows = [harness.run("hybrid", scene, k, 0) for k, scene in enumerate(load_scenes(worlds, 23))]
    assert [row["success"] for row in rows] == [True] * 3
    assert max(row["time"] for row in rows) < 45.0


def test_pictures_cannot_fail_where_there_are_none():
    with pytest.raises(ValueError, match="needs pictures"):
        Setup(level="kinematic", fault="black")
