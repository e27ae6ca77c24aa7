"""Whole episodes in simulated time with the real simulator, planner, encoder and reflex."""

import numpy as np
import pytest

from hybrid_control.navigation.drive import Navigator
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.timed import PlannerFault, TimedPlanner
from hybrid_control.sim.worlds import generate


@pytest.fixture(scope="module")
def hybrid():
    return Navigator(TimedPlanner(Planner()))


def test_the_robot_reaches_its_goal_through_the_default_world(hybrid):
    episode = hybrid.run(generate("default", 0), seed=0)
    assert episode.success
    assert episode.modes["HYBRID"] > 0.9
    assert episode.least_distance > 0.02


def test_the_same_seed_gives_the_same_episode_to_the_bit(hybrid):
    one, other = (hybrid.run(generate("default", 1), 5, Rules(duration=4.0)) for _ in range(2))
    np.testing.assert_array_equal(one.way, other.way)
    assert hybrid.run(generate("default", 1), 6, Rules(duration=4.0)).way.tobytes() != one.way.tobytes()


def test_with_the_planner_dead_the_reflex_goes_on_without_a_contact(hybrid):
    hybrid.planner.fault = PlannerFault(dies_at=4.0)
    episode = hybrid.run(generate("default", 2), 2, Rules(duration=40.0))
    assert episode.contacts == 0
    assert episode.modes["REFLEX_ONLY"] > 0.2


@pytest.mark.parametrize("level", [0, 255])
def test_black_or_white_images_cause_no_contact_and_the_mode_says_so(hybrid, level):
    hybrid.planner.fault = PlannerFault(
        image=lambda seen, t: np.full_like(seen.image, level) if t > 3 else seen.image
    )
    blind = hybrid.run(generate("default", 3), 3, Rules(duration=15.0))
    assert blind.contacts == 0
    assert blind.modes["REFLEX_ONLY"] > 0.3


def test_the_reflex_alone_needs_no_planner():
    episode = Navigator(None).run(generate("open", 0), seed=0)
    assert episode.success
    assert "HYBRID" not in episode.modes


def test_without_a_planner_it_stays_where_it_is_if_told_so():
    driver = Navigator(None, settings={"without_planner": "stop"})
    episode = driver.run(generate("open", 0), rules=Rules(duration=2.0))
    assert episode.path < 0.01
