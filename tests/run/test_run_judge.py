"""When a run is over and how it went, told to the judge step by step."""

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")

from hybrid_control_ros.run.judge import Judge

from hybrid_control.navigation.reflex.modes import Mode

HYBRID, ARRIVED = Mode.HYBRID, Mode.ARRIVED


def drive(judge, mode, *states):
    """Show (t, goal distance, contacts) one after another until the run is over; whether it is."""
    for t, distance, contacts in states:
        judge.see(t, distance, 0.3, contacts, t)
        if judge.over(mode):
            return True
    return False


def test_judge_calls_it_reached_within_half_a_metre_and_lets_the_robot_come_to_rest():
    judge = Judge(60.0)
    assert not drive(judge, HYBRID, (8.0, 1.0, 0), (9.0, 0.5, 0), (10.9, 0.2, 0))
    assert drive(judge, HYBRID, (11.0, 0.2, 0))
    outcome = judge.outcome()
    assert (outcome["success"], outcome["result"], outcome["time_s"]) == (True, "reached", 9.0)


def test_judge_ends_soon_after_arrival_at_the_goal():
    judge = Judge(60.0)
    assert not drive(judge, ARRIVED, (9.0, 0.4, 0))
    assert drive(judge, ARRIVED, (9.4, 0.3, 0))


def test_judge_calls_a_contact_a_failure_even_after_the_goal_was_reached():
    judge = Judge(60.0)
    assert drive(judge, HYBRID, (8.0, 0.4, 0), (8.5, 0.3, 1), (9.0, 0.3, 1))
    outcome = judge.outcome()
    assert (outcome["success"], outcome["result"], outcome["contacts"]) == (False, "contact", 1)
    assert "after 8.5 s" in outcome["text"]


def test_judge_ends_a_run_whose_robot_believes_wrongly_that_it_has_arrived():
    judge = Judge(60.0)
    assert not drive(judge, ARRIVED, (20.0, 1.2, 0), (22.9, 1.2, 0))
    assert drive(judge, ARRIVED, (23.0, 1.2, 0))
    outcome = judge.outcome()
    assert (outcome["success"], outcome["result"]) == (False, "short")
    assert "1.20 m from the goal" in outcome["text"]


def test_judge_gives_up_after_the_duration():
    judge = Judge(10.0)
    assert not drive(judge, HYBRID, (9.9, 4.0, 0))
    assert drive(judge, HYBRID, (10.0, 4.0, 0))
    assert judge.outcome()["result"] == "timeout"


def test_judge_keeps_the_least_distance_of_the_whole_run():
    judge = Judge(10.0)
    for t, gap in ((0.0, 0.5), (1.0, 0.1), (2.0, 0.4)):
        judge.see(t, 5.0, gap, 0, t)
    assert judge.outcome()["minimum_distance_m"] == 0.1
