"""Facts become lines that say what is wrong and what would be right, once they last."""

from __future__ import annotations

import pytest

from hybrid_control.navigation import hints
from hybrid_control.navigation.hints import Endpoint, Lasting, Way
from hybrid_control.signals import Goal

TWIST, STAMPED = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"


def test_hint_of_another_type_names_both_sides_and_the_parameter():
    me = Endpoint("/reflex", STAMPED)
    (line,) = hints.mismatches("/cmd_vel", me, [Endpoint("/base", TWIST), Endpoint("/log", STAMPED)], True)
    assert line == (
        f"/cmd_vel: /base hears {TWIST}, this node sends {STAMPED}: "
        "set stamped_cmd_vel so that both have the same type"
    )
    (line,) = hints.mismatches("/scan", Endpoint("/reflex", "a/msg/A"), [Endpoint("/lidar", "b/msg/B")], False)
    assert line == "/scan: /lidar sends b/msg/B, this node hears a/msg/A: give both the same type"


@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize(
    ("offered", "asked", "words"),
    [
        ((False, False), (True, False), "/a sends best effort and /b asks for reliable, so nothing is received"),
        ((True, False), (True, True), "/a sends volatile and /b asks for transient local, so nothing is received"),
        ((True, True), (False, False), ""),
        ((True, False), (False, False), ""),
    ],
)
def test_hint_of_a_quality_of_service_that_does_not_fit_from_either_side(sends, offered, asked, words):
    sender, hearer = Endpoint("/a", TWIST, *offered), Endpoint("/b", TWIST, *asked)
    me, other = (sender, hearer) if sends else (hearer, sender)
    lines = hints.mismatches("/goal_pose", me, [other], sends)
    assert [line for line in lines if words in line] if words else not lines


def test_hint_of_two_who_rule_one_topic():
    assert hints.rivals("/cmd_vel", ["reflex_node"]) == hints.rivals("/cmd_vel", []) == []
    assert "2 publishers (joystick, reflex_node)" in hints.rivals("/cmd_vel", ["reflex_node", "joystick"])[0]


def test_hint_of_simulated_time_that_nobody_tells_or_two_do():
    assert hints.clock_hints(["sim"]) == []
    assert "nobody publishes /clock" in hints.clock_hints([])[0]
    assert "2 publishers (bag, sim)" in hints.clock_hints(["sim", "bag"])[0]


def test_hint_is_said_once_it_lasts_and_no_longer_than_it_holds():
    lasting = Lasting()
    assert lasting.see(["a"], 0.0) == []
    assert lasting.see(["a", "b"], 1.0) == []
    assert lasting.see(["a", "b", "a"], 2.5) == ["a"]
    assert lasting.see(["b"], 3.5) == ["b"]
    assert lasting.see([], 4.0) == []
    assert lasting.see(["b"], 9.0) == []


def test_hint_of_a_twin_waits_until_dds_has_forgotten_a_process_that_was_killed():
    (line,) = hints.rivals("/cmd_vel", ["reflex_node", "reflex_node"])
    lasting = Lasting()
    assert lasting.see([line], 0.0) == lasting.see([line], 20.0) == []
    assert lasting.see([line], 25.0) == [line]


def test_no_progress_is_said_after_ten_seconds_of_driving_and_not_before():
    way = Way()
    way.aim(Goal(0, 5.0, 0.0))
    assert way.progress(True, 0.0) == ""  # no odometry yet
    way.moved(0.0, 0.0)
    assert way.progress(True, 1.0) == ""
    way.moved(0.05, 0.0)
    assert way.progress(True, 10.9) == ""
    assert way.progress(True, 11.0) == "not 0.1 m nearer to the goal for 10 s"
    way.moved(0.2, 0.0)
    assert way.progress(True, 12.0) == ""
    # a robot that stands for a reason that is said is no such case
    assert way.progress(False, 30.0) == ""
    assert way.progress(True, 31.0) == ""
    # nor does another goal begin with the time of the one before
    way.aim(Goal(0, 9.0, 0.0))
    assert way.progress(True, 60.0) == ""


def test_robot_that_creeps_makes_progress():
    way = Way()
    way.aim(Goal(0, 5.0, 0.0))
    for second in range(100):
        way.moved(0.011 * second, 0.0)
        assert way.progress(True, float(second)) == ""


def test_goal_that_comes_again_leaves_the_time_without_progress_as_it_was():
    way = Way()
    way.moved(0.0, 0.0)
    for second in range(11):
        way.aim(Goal(second, 5.0, 0.0))
        said = way.progress(True, float(second))
    assert said
