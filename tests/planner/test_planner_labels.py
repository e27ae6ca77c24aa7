"""The expert and the figures of merit, against worlds whose answers can be worked out by hand."""

import math

import numpy as np
import pytest

from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.training import dataset, evaluation, labels
from hybrid_control.navigation.planner.training.dataset import DatasetError, Plan, Samples
from hybrid_control.signals import Pose
from hybrid_control.sim.camera import GraphicsError
from hybrid_control.sim.worlds import World, generate
from hybrid_control.sim.worlds.grid import geodesic_field

BOUNDS = (-3.0, -6.0, 13.0, 6.0)


def world(cylinders=(), boxes=()):
    return World(
        "default",
        Pose(),
        (10.0, 0.0),
        BOUNDS,
        np.array(cylinders).reshape(-1, 3),
        np.array(boxes).reshape(-1, 5),
    )


def test_the_bump_of_the_expert_is_a_distribution_around_its_heading():
    headings = np.radians([-179.0, -60.0, 0.0, 33.0])
    bumps = labels.heading_bump(headings)
    assert bumps.sum(axis=1) == pytest.approx(np.ones(4))
    for bump, heading in zip(bumps, headings, strict=True):
        assert contract.decode_heading(bump) == pytest.approx(heading, abs=0.02)
    # 10 degrees off (one sigma) it is exp(-1/2) of the peak, to the von Mises' second order
    bump = labels.heading_bump(float(contract.HEADINGS[40]))
    assert bump[42] / bump[40] == pytest.approx(math.exp(-0.5), rel=0.01)
    assert bump[40] == pytest.approx(labels.BUMP_PEAK)


@pytest.mark.parametrize("yaw", [-170, -90, 0, 35, 90])
def test_in_the_open_the_expert_heads_straight_for_the_goal(yaw):
    field = geodesic_field(world(), labels.EXPERT_RADIUS)
    heading = labels.expert_heading(field, Pose(2.0, 1.0, math.radians(yaw)))
    expected = labels.wrap(math.atan2(-1.0, 8.0) - math.radians(yaw))
    assert math.degrees(labels.wrap(heading - expected)) == pytest.approx(0, abs=3)


@pytest.mark.parametrize("side", [1, -1])
def test_the_expert_goes_around_a_wall_on_its_open_side(side):
    # a wall across the way from y = -1 to far out on the left (side 1) or mirrored: the way is on the other side
    wall = world(boxes=[(1.5, side * 2.0, 0.2, 6.0, 0.0)])
    heading = labels.expert_heading(geodesic_field(wall, labels.EXPERT_RADIUS), Pose())
    assert side * heading < -math.radians(30)


def test_full_speed_in_the_open_and_little_when_facing_away():
    field = geodesic_field(world(), labels.EXPERT_RADIUS)
    assert labels.expert_speed(field, world(), Pose(), 0.0) == pytest.approx(1.0)
    assert labels.expert_speed(field, world(), Pose(), 0.6) == pytest.approx(0.5)
    assert labels.expert_speed(field, world(), Pose(), math.pi) == labels.LEAST_FRACTION
    assert labels.expert_speed(field, world(), Pose(9.25, 0.0), 0.0) == pytest.approx(
        0.5
    )  # 0.75 m before the goal


def test_the_expert_brakes_for_what_stands_ahead_and_slows_between_walls():
    # the pillar's front is 0.92 m ahead: 0.5 m to brake in at 2 m/s^2, so from 1.414 of 2 m/s at most
    pillar = world([(1.42, 0.0, 0.5)])
    speed = labels.expert_speed(geodesic_field(pillar, labels.EXPERT_RADIUS), pillar, Pose(), 0.0)
    assert labels.LEAST_FRACTION < speed <= math.sqrt(2 * 2 * 0.5) / 2 + 1e-6
    # walls 0.635 m to either side: half way between EXPERT_RADIUS and FULL_SPEED_CLEARANCE, so half way 0.3 .. 1
    walls = world(boxes=[(5.0, s * 0.685, 14.0, 0.1, 0.0) for s in (1, -1)])
    speed = labels.expert_speed(geodesic_field(walls, labels.EXPERT_RADIUS), walls, Pose(1.0, 0.0), 0.0)
    assert speed == pytest.approx(0.65, abs=0.05)


def test_ranges_run_from_right_to_left():
    left = labels.ranges_ahead(world([(2.0, 2.0, 0.5)]), Pose())  # 45 degrees to the left
    assert labels.RAY_ANGLES[-1] == pytest.approx(math.pi / 4)
    assert left[-1] == pytest.approx(math.hypot(2, 2) - 0.5)
    assert (left[:24] == labels.RAY_LIMIT).all()
    turned = labels.ranges_ahead(world([(2.0, 2.0, 0.5)]), Pose(0.0, 0.0, math.pi / 4))  # now straight ahead
    assert turned[16] == pytest.approx(math.hypot(2, 2) - 0.5)


def samples(ranges, **values):
    n = len(ranges)
    given = {
        "image": np.zeros((n, 60, 80, 3), np.uint8), "goal": np.zeros((n, 2), np.float32),
        "velocity": np.zeros((n, 2), np.float32), "heading": np.zeros(n, np.float32),
        "speed": np.zeros(n, np.float32), "ranges": np.asarray(ranges, np.float32),
            "scan": np.ones((n, 72), np.float32),
        "kind": np.zeros(n, np.int64), "world": np.arange(n),
    }  # fmt: skip
    return Samples(**(given | values))


def test_blocked_means_an_obstacle_within_a_metre_along_and_a_third_beside():
    clear = np.full(33, labels.RAY_LIMIT)
    wall = 0.8 / np.cos(labels.RAY_ANGLES)  # a wall across, 0.8 m ahead
    pillar = clear.copy()
    pillar[30] = 0.7  # at 39 degrees to the left: beside the way ahead (0.44 m), on the way there
    assert evaluation.free_ahead(samples([clear, wall, pillar]), np.zeros(3)).tolist() == [True, False, True]
    assert evaluation.free_ahead(samples([pillar, pillar]), np.radians([39.0, -39.0])).tolist() == [
        False,
        True,
    ]
    assert evaluation.free_ahead(samples([wall]), np.array([math.pi / 2])).tolist() == [True]  # not covered


def test_straight_to_the_goal_is_judged_by_its_own_error():
    # expert 40 degrees left of a goal that is straight ahead in one frame of two
    given = samples(np.full((2, 33), 6.0), heading=np.radians([0.0, 40.0]).astype(np.float32))
    given.image[:] = np.random.default_rng(0).integers(0, 256, given.image.shape)
    report = evaluation.evaluate(contract.DEFAULT_MODEL, given)
    assert report["straight_mean"] == pytest.approx(20.0, abs=1e-3)
    assert report["straight_around_mean"] == pytest.approx(40.0, abs=1e-3)
    assert report["straight_within_15"] == report["around_share"] == 0.5
    assert report["model_blocked"] == 0.0


def test_shards_cover_every_world_once_and_test_worlds_come_on_top():
    plan = Plan(worlds=23, frames=4, seed=0)
    numbers = {
        part: [n for p, i in plan.shards() if p == part for n in plan.worlds_of(p, i)]
        for part in ("train", "test")
    }
    assert numbers == {"train": list(range(23)), "test": [0, 1]}


@pytest.mark.parametrize("wrong", [{"worlds": 0}, {"frames": 0}, {"seed": -1}])
def test_an_impossible_plan_is_refused(wrong):
    with pytest.raises(DatasetError, match="must be 1 or more"):
        Plan(**({"worlds": 1, "frames": 1, "seed": 0} | wrong))


def test_data_of_another_plan_and_missing_data_are_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text('{"version": 1, "worlds": 9, "frames": 9, "seed": 9}')
    with pytest.raises(DatasetError, match="--resume goes on with them"):
        dataset.build(tmp_path, Plan(1, 1, 0), 1, resume=False)
    with pytest.raises(DatasetError, match="choose another --out"):
        dataset.build(tmp_path, Plan(1, 1, 0), 1, resume=True)
    with pytest.raises(DatasetError, match="no shards"):
        dataset.load(tmp_path, "train")


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(5)
    try:
        return list(dataset.draw(generate("default", 3), 6, rng))
    except GraphicsError as error:
        pytest.skip(str(error))


def test_drawn_samples_are_whole_and_repeat_with_their_seed(drawn):
    assert len(drawn) == 6
    for row in drawn:
        assert row["image"].shape == (60, 80, 3)
        assert row["image"].std() > 0
        assert math.isfinite(row["heading"])
        assert labels.LEAST_FRACTION <= row["speed"] <= 1.0
    again = list(dataset.draw(generate("default", 3), 2, np.random.default_rng(5)))
    for row, same in zip(drawn, again, strict=False):
        assert all((row[k] == same[k]).all() for k in row)


def turn(side):
    """The heading of the model that ships, with the goal straight ahead, 8 m off, and a way on one side only."""
    from hybrid_control.navigation.planner.planner import Planner
    from hybrid_control.signals import Goal, Odometry, Twist
    from hybrid_control.sim.simulator import Simulator

    wall = world(boxes=[(1.6, side * 1.3, 0.3, 3.4, 0.0), (1.6, side * 1.8, 0.2, 4.0, 0.0)])
    with Simulator(wall, seed=0) as simulator:
        try:
            picture = simulator.camera()
        except GraphicsError as error:
            pytest.skip(str(error))
    rates = Planner().plan(picture, Odometry(0, Pose(), Twist(0, 0.3)), Goal(0, 8.0, 0.0), 0)
    return math.degrees(contract.decode_heading(rates.of("heading")))


def test_the_model_that_ships_sees_on_which_side_the_way_is():
    assert turn(side=1) < -10  # the wall reaches far to the left, so it goes right
    assert turn(side=-1) > 10
