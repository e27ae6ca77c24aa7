"""Robots that drive by a planner which says what a scan does not show, and by one that does not."""

import numpy as np
import pytest

from hybrid_control.navigation.bench.closing import ClosingPlanner, closed_by_map
from hybrid_control.navigation.bench.lesson import camera_of
from hybrid_control.navigation.bench.map_planner import MapPlanner
from hybrid_control.navigation.drive import Navigator, robot_hybrid
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.ground.memory import SeenGround
from hybrid_control.navigation.planner.closed import HIDDEN, HIDDEN_AT, STANDING, STANDING_AT, UNSEEN
from hybrid_control.navigation.planner.timed import PlannerFault, TimedPlanner
from hybrid_control.signals import Pose
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Patch, World, generate

MOUNT = camera_of(JACKAL)


class Heedless(ClosingPlanner):
    """The same plans; nobody asks it what is closed."""

    closes = False


def timed(source, **options):
    return TimedPlanner(source, fault=PlannerFault(image=lambda picture, time: picture.truth), **options)


def drive(kind, world, seed, **options):
    return Navigator(timed(kind(world, seed, MOUNT), **options)).run(world, seed, Rules(duration=25.0))


def test_the_stand_in_closes_what_is_first_in_each_direction():
    world = World(
        "three", Pose(), (5.0, 3.0), (-1.0, -5.0, 6.0, 5.0), np.array([[2.0, 0.0, 0.3]]),
        patches=(Patch("puddle", 1.45, 0.0, 0.4, 2.0), Patch("mat", 0.9, 0.0, 0.2, 0.2, forbidden=False)),
    )  # fmt: skip
    rows = closed_by_map(world, MOUNT, Pose()).rows
    # straight ahead the puddle's edge at 1.25 m, 1.0 m from the foot; the post behind it at 1.7 m is hidden by it
    assert rows[HIDDEN, 36] == pytest.approx(0.9)
    assert rows[HIDDEN_AT, 36] == pytest.approx(1.0, abs=0.01)
    assert rows[STANDING, 36] < 0.1
    assert rows[STANDING_AT, 36] == pytest.approx(1.45, abs=0.02)
    assert (rows[[STANDING, HIDDEN], 0] == UNSEEN).all()  # behind
    assert np.flatnonzero(rows[HIDDEN] != UNSEEN).tolist() == [*range(27, 45)]  # 90 degrees
    assert rows.min(axis=1).tolist() == [UNSEEN, rows[STANDING_AT].min(), UNSEEN, rows[HIDDEN_AT].min()]


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten drives
def test_robots_keep_off_ground_that_no_scan_shows_where_the_planner_closes_it_and_drive_onto_it_where_nobody_asks():
    worlds = [generate("patches", seed) for seed in range(5)]
    with_it, without = ([drive(kind, w, s) for s, w in enumerate(worlds)] for kind in (ClosingPlanner, Heedless))
    assert [e.contacts for e in with_it] == [0] * 5
    assert sum(e.success for e in with_it) >= 4  # one believes by its odometry that it has arrived
    assert [e.success for e in without] == [False] * 5
    assert all(e.contacts for e in without)


def test_a_planner_of_which_nothing_is_to_be_trusted_closes_nothing_and_the_reflex_goes_on_alone():
    world = generate("patches", 1)
    alone = drive(ClosingPlanner, world, 1, trust=0.0)
    assert alone.contacts
    assert set(alone.modes) <= {"STOPPED", "REFLEX_ONLY"}
    some = drive(ClosingPlanner, world, 1, trust=0.4)  # its plans count, what it sees hidden does not
    assert some.contacts
    assert some.modes["HYBRID"] > 0.5
    assert not drive(ClosingPlanner, world, 1, trust=0.8).contacts


def test_the_same_episode_is_the_same_to_the_bit_also_from_a_state_in_its_middle():
    world = generate("patches", 2)

    def hybrid(simulator):
        return robot_hybrid(Navigator(timed(ClosingPlanner(world, 2, MOUNT))), simulator, JACKAL, seed=2)

    with Simulator(world, JACKAL, 2, camera=True) as simulator:
        made, judge = hybrid(simulator)
        scheduler = made.scheduler()
        scheduler.advance(3_000_000_001)
        state = scheduler.snapshot()
        cells = len(made.parts["hidden"].state().memory.seen.cells["closed"])
        assert cells > 20
        scheduler.advance(6_000_000_001)
        went = judge.episode()
        scheduler.restore(state)
        assert len(made.parts["hidden"].state().memory.seen.cells["closed"]) == cells
        scheduler.advance(6_000_000_001)
        np.testing.assert_array_equal(judge.episode().way, went.way)
    with Simulator(world, JACKAL, 2, camera=True) as simulator:
        made, judge = hybrid(simulator)
        made.scheduler().advance(6_000_000_001)
        np.testing.assert_array_equal(judge.episode().way, went.way)


def test_a_hybrid_of_a_planner_that_closes_nothing_has_no_part_for_it():
    world = generate("patches", 0)
    with Simulator(world, JACKAL, 0) as simulator:
        for kind, there in ((lambda *a: MapPlanner(world, 0), False), (Heedless, False), (ClosingPlanner, True)):
            made, _ = robot_hybrid(Navigator(timed(kind(world, 0, MOUNT))), simulator, JACKAL)
            assert ("hidden" in made.parts) == there
            links = {name for name, *_ in made.links}
            assert ("hidden.seen -> reflex.seen" in links) == there
            assert ("planner.rates -> spikes.rates" in links) != there


class Marks:
    """Taught ground of which one place is known."""

    classes = ("tar",)

    def forget_places(self):
        self.seen = SeenGround({"tar": np.array([[1.05, 1.05]])}, {"tar": "avoid"})

    def look(self, image, pose, turning=0.0):
        """Nothing new."""


def test_ground_that_is_taught_and_what_the_planner_saw_hidden_are_in_the_same_scans():
    world = World("one", Pose(), (9.0, 0.0), (-1.0, -5.0, 10.0, 5.0), patches=(Patch("puddle", 1.85, 0.0, 0.8, 0.8),))
    navigator = Navigator(timed(ClosingPlanner(world, 0, MOUNT)), ground=Marks())
    with Simulator(world, JACKAL, 0, camera=True) as simulator:
        hybrid, _ = robot_hybrid(navigator, simulator, JACKAL)
        hybrid.record = ["ground.scan"]
        scheduler = hybrid.scheduler()
        scheduler.advance(500_000_001)
        scan = scheduler.messages["ground", "scan"][-1].value
    degrees, shown = np.degrees(scan.angles()), np.isfinite(scan.ranges)
    assert shown[np.abs(degrees) < 5].all()
    assert 1 <= shown[(degrees > 35) & (degrees < 75)].sum() <= 12  # the one cell
    assert not shown[degrees < -40].any()
