"""Obstacles that move: where they are, told by hand; the same in both simulators, in files, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.signals import Pose
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import GENERATORS, Mover, Walk, World, generate, read_world
from hybrid_control.sim.worlds.files import write_npz
from hybrid_control.sim.worlds.movers import KEEP, KINDS

MOVING = ("crossing", "stopping", "headon", "chasing", "stepping")
AWAY = (100.0, 100.0)


def walked(mover, until, robot=AWAY, dt=0.01, radius=0.3):
    walk = Walk((mover,), radius, *robot)
    for k in range(1, round(until / dt) + 1):
        walk.to(k * dt, *robot)
    return tuple(walk.places[0, :2].tolist())


@pytest.mark.parametrize(
    ("time", "x"),
    # 4 m at 1 m/s with a halt of 3 s after 2 m: a round trip of 14 s
    [(0, 0), (1, 1), (2, 2), (4.5, 2), (6, 3), (7, 4), (8, 3), (10, 2), (13, 1), (14, 0)],
)
def test_a_patrol_stands_half_way_for_its_pause_both_ways(time, x):
    mover = Mover(0.25, (0.0, 0.0), (4.0, 0.0), 1.0, pause=3.0)
    assert mover.at(time) == pytest.approx((x, 0.0))
    assert walked(mover, time) == pytest.approx((x, 0.0))


def test_one_who_walks_once_stays_where_the_way_ends():
    mover = Mover(0.25, (0.0, 1.0), (0.0, -2.0), 1.5, kind="once")
    assert walked(mover, 1.0) == pytest.approx((0.0, -0.5))
    assert walked(mover, 2.0) == pytest.approx((0.0, -2.0))
    assert walked(mover, 9.0) == pytest.approx((0.0, -2.0))


def test_one_with_a_trigger_waits_until_the_robot_is_as_near_to_its_way():
    mover = Mover(0.25, (3.0, 2.0), (3.0, -2.0), 1.0, kind="once", trigger=1.0)
    walk = Walk((mover,), 0.3, 0.0, 0.0)
    walk.to(5.0, 1.9, 0.0)  # 1.1 m before the way
    assert walk.places[0].tolist() == [3.0, 2.0, math.inf]
    walk.to(6.0, 2.0, 0.0)
    walk.to(7.5, 2.5, 0.0)
    assert walk.places[0].tolist() == pytest.approx([3.0, 0.5, 6.0])


def test_one_who_chases_stands_before_the_robot_and_goes_no_farther_than_its_leash():
    mover = Mover(0.25, (0.0, 0.0), (2.0, 0.0), 1.0, kind="chase")
    radius = 0.3
    stands = 1.5 - 0.25 - radius - KEEP
    assert walked(mover, 0.5, (1.5, 0.0)) == pytest.approx((0.5, 0.0))
    assert walked(mover, 5.0, (1.5, 0.0)) == pytest.approx((stands, 0.0), abs=1e-6)
    assert walked(mover, 5.0, (0.0, 9.0)) == pytest.approx((0.0, 2.0), abs=1e-6)


@given(
    st.floats(0.0, 3.0), st.floats(0.0, 20.0), st.floats(-4.0, 4.0), st.floats(-4.0, 4.0), st.sampled_from(KINDS)
)  # fmt: skip
def test_nobody_walks_faster_than_they_do(pause, until, x, y, kind):
    mover = Mover(0.25, (0.0, 0.0), (2.0, 1.0), 1.2, kind=kind, pause=pause)
    walk = Walk((mover,), 0.3, x, y)
    last = walk.places[0, :2].copy()
    for k in range(1, 60):
        walk.to(until * k / 60, x, y)
        step = math.dist(last, walk.places[0, :2])
        assert step <= 1.2 * until / 60 + 1e-9
        last = walk.places[0, :2].copy()


@pytest.mark.parametrize("name", MOVING)
def test_both_simulators_have_movers_at_the_same_places(name):
    world = generate(name, 1)
    plane = KinematicSimulator(world, JACKAL)
    with Simulator(world, JACKAL, camera=False) as physics:
        for until in (500_000_000, 2_000_000_000):
            list(plane.advance(until))
            list(physics.advance(until))
            np.testing.assert_allclose(plane.movers[:, :2], physics.movers[:, :2], atol=0.01)


@pytest.mark.parametrize("name", MOVING)
def test_files_keep_what_movers_do(name, tmp_path):
    world = generate(name, 2)
    write_npz(tmp_path / "w.npz", world)
    assert read_world(tmp_path / "w.npz").movers == world.movers
    with Simulator(world, JACKAL, camera=False) as simulator:
        import mujoco

        mujoco.mj_saveLastXML(str(tmp_path / "w.xml"), simulator.mujoco.model)
    read = read_world(tmp_path / "w.xml").movers
    assert [m.kind for m in read] == [m.kind for m in world.movers]
    np.testing.assert_allclose([m.row for m in read], [m.row for m in world.movers], rtol=1e-5)


def test_a_file_from_before_there_were_kinds_is_read_as_patrols(tmp_path):
    world = generate("crossing", 3)
    write_npz(tmp_path / "new.npz", world)
    arrays = dict(np.load(tmp_path / "new.npz"))
    np.savez(tmp_path / "old.npz", **{**arrays, "movers": arrays["movers"][:, :7]})
    assert read_world(tmp_path / "old.npz").movers == world.movers


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=12))
def test_any_row_is_a_mover_or_refused_in_one_line(row):
    said = ""
    try:
        mover = Mover.of(row)
    except ValueError as error:
        said = str(error)
    if not said:
        assert Mover.of(mover.row) == mover
    assert "\n" not in said


@pytest.mark.parametrize(
    ("change", "says"),
    [({"kind": "runs"}, "'runs'"), ({"pause": -1.0}, "0 or more"), ({"trigger": math.nan}, "finite")],
)
def test_a_wrong_mover_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(Mover(0.2, (0.0, 0.0), (1.0, 0.0), 1.0), **change)


def test_gazebo_is_given_no_mover_that_it_cannot_move():
    from hybrid_control.sim.gazebo import RELEASES, world_sdf

    with pytest.raises(ValueError, match=r"mover0: kind 'chase'.*\.npz"):
        world_sdf(generate("chasing", 0), next(iter(RELEASES.values())))


@pytest.mark.parametrize("name", MOVING)
def test_nobody_stands_in_the_robot_where_it_begins_or_waits_at_its_goal(name):
    assert name in GENERATORS
    for seed in range(10):
        world = generate(name, seed)
        walk = Walk(world.movers, 0.35, world.start.x, world.start.y)
        assert np.hypot(*walk.places[:, :2].T).min() > 0.75
        for m in world.movers:
            if m.kind == "chase":
                assert math.dist(m.a, world.goal) - math.dist(m.a, m.b) > 0.99


def test_a_robot_that_is_put_elsewhere_is_seen_there_by_who_waits():
    mover = Mover(0.25, (3.0, 2.0), (3.0, -2.0), 1.0, kind="once", trigger=0.5)
    world = World("w", Pose(), (6.0, 0.0), (-1.0, -3.0, 7.0, 3.0), movers=(mover,))
    with Simulator(world, JACKAL, camera=False) as simulator:
        simulator.step(0.1)
        assert math.isinf(simulator.movers[0, 2])
        simulator.place(Pose(2.6, 0.0))
        simulator.step(0.5)
        assert simulator.movers[0, 1] == pytest.approx(1.5, abs=0.01)
