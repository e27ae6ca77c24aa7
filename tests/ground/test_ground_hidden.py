"""What a planner saw hidden: which cells it closes, which it frees, and what stays though it is out of view."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.hidden import CLOSED, HiddenMemory
from hybrid_control.navigation.ground.memory import MAX_RATE
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    UNSEEN,
    ClosedDirections,
)
from hybrid_control.signals import Pose
from hybrid_control.signals.headings import HEADINGS, SECTORS

# it sees the ground from 0.5 / 0.75 = 0.667 m before its foot on, which is 0.2 m ahead of the robot's centre
LEVEL = CameraMount(0.2, 0.5, 0.0, math.pi / 2, 0.75)


def answer(hidden=0.0, hidden_at=3.0, standing=0.0, standing_at=3.0, stamp_ns=0, where=None):
    """The same for all headings within 45 degrees of straight ahead; where: those in which it differs from free."""
    rows = np.zeros((4, SECTORS))
    rows[[STANDING_AT, HIDDEN_AT]] = 3.0
    chosen = np.ones(SECTORS, bool) if where is None else where
    for row, value in ((STANDING, standing), (STANDING_AT, standing_at), (HIDDEN, hidden), (HIDDEN_AT, hidden_at)):
        rows[row, chosen] = value
    rows[np.ix_([STANDING, HIDDEN], np.abs(HEADINGS) > math.pi / 4)] = UNSEEN
    return ClosedDirections(stamp_ns, rows)


KERB = answer(hidden=0.9, hidden_at=1.0)
FREE = answer()


def looked(*answers, pose=Pose(), memory=None):
    memory = memory or HiddenMemory(LEVEL)
    for each in answers:
        memory.look(each, pose)
    return memory


def ahead(memory, pose=Pose()):
    """x of the closed cells right before the robot, sorted."""
    points = memory.points(pose)
    return sorted(points[np.abs(points[:, 1]) < 0.09, 0].round(6).tolist())


def test_a_level_camera_sees_the_ground_from_a_line_across_its_way_on():
    headings = np.array([0.0, math.pi / 4, math.pi / 2, math.pi])
    near = LEVEL.nearest(headings)
    assert near[:2] == pytest.approx([0.5 / 0.75, 0.5 / 0.75 * math.sqrt(2)])
    assert np.isinf(near[2:]).all()
    x, y = LEVEL.ground(np.array(0.2), np.array(1.0))  # any place on the image's lower edge
    heading = math.atan2(y, x - 0.2)
    assert LEVEL.nearest(np.array([heading]))[0] == pytest.approx(math.hypot(x - 0.2, y))
    assert np.isinf(CameraMount(0.0, 0.5, -1.0, 1.0, 0.75).nearest(headings)).all()  # sees the sky alone
    assert CameraMount(0.0, 0.5, 1.5, 1.0, 0.75).nearest(headings)[0] == 0.0  # sees its own foot


def test_the_first_15_cm_behind_an_edge_are_closed_by_the_second_look_and_the_ground_before_it_and_behind_it_is_not():
    # places every 5 cm: 1.025, 1.075 and 1.125 m from the foot, so x = 1.225 .. 1.325: the cells 1.2 .. 1.3 .. 1.4
    assert ahead(looked(KERB)) == []
    memory = looked(KERB, KERB)
    assert ahead(memory) == [1.25, 1.25, 1.35, 1.35]  # on either side of y = 0
    away = np.hypot(memory.points(Pose())[:, 0] - 0.2, memory.points(Pose())[:, 1])
    assert away.min() > 1.0 - 0.08  # half a cell's diagonal
    assert away.max() < 1.15 + 0.08
    bearing = np.arctan2(memory.points(Pose())[:, 1], memory.points(Pose())[:, 0] - 0.2)
    assert np.abs(bearing).max() < math.pi / 4 + 0.08
    assert len(np.unique(np.floor(bearing / math.radians(5)))) >= 18  # no gap among the 18 sectors that it sees


def test_an_edge_in_one_heading_closes_as_much_as_its_sector_is_wide():
    one = np.arange(SECTORS) == SECTORS // 2  # 0 .. 5 degrees to the left
    memory = looked(*2 * [answer(hidden=0.9, hidden_at=1.5, where=one)])
    assert {tuple(p) for p in memory.points(Pose()).round(6).tolist()} == {
        (x, y) for x in (1.75, 1.85) for y in (0.05, 0.15)
    }  # 1.525 .. 1.625 m at 0.8 .. 4.2 degrees: y = 0.02 .. 0.12; free ground in the same cells does not outvote it


def test_a_cell_is_closed_while_its_looks_weigh_5_and_more_by_hand():
    memory = HiddenMemory(LEVEL)
    # 3, 2.5, 5.5, 8.5, then 9 at most; from there nine looks see it free, the last of which brings it to 4.5
    for each, closed in ((KERB, 0), (FREE, 0), (KERB, 1), (KERB, 1), (KERB, 1), *8 * [(FREE, 1)], (FREE, 0), (KERB, 1)):
        memory.look(each, Pose())
        assert (len(ahead(memory)) > 0) == closed


def test_ground_that_was_seen_free_for_long_is_closed_by_two_looks_and_not_by_one():
    memory = looked(*30 * [FREE])  # -1 at least
    assert ahead(looked(KERB, memory=memory)) == []  # 2
    assert ahead(looked(KERB, memory=memory)) == [1.25, 1.25, 1.35, 1.35]  # 5
    assert ahead(looked(FREE, memory=memory)) == []


def test_of_what_is_seen_in_every_third_look_alone_all_stays_closed():
    memory = looked(*4 * [KERB, FREE, FREE])
    for each in 20 * [KERB, FREE, FREE]:
        looked(each, memory=memory)
        assert ahead(memory) == [1.25, 1.25, 1.35, 1.35]


@pytest.mark.parametrize(("sure", "looks"), [(0.5, 2), (0.49, 5), (0.35, 5)])
def test_what_it_is_in_doubt_of_is_never_freed_and_is_closed_by_the_fifth_look_not_by_the_second(sure, looks):
    doubt = answer(hidden=sure, hidden_at=1.0)
    assert ahead(looked(*(looks - 1) * [doubt])) == []
    assert ahead(looked(*looks * [doubt])) == [1.25, 1.25, 1.35, 1.35]
    assert ahead(looked(KERB, KERB, doubt, doubt, doubt)) == [1.25, 1.25, 1.35, 1.35]
    assert ahead(looked(KERB, KERB, *3 * [answer(hidden=0.34, hidden_at=1.0)])) == []


def test_a_threshold_that_is_lower_closes_what_it_is_less_sure_of():
    doubt = answer(hidden=0.15, hidden_at=1.0)
    assert ahead(looked(doubt, doubt, memory=HiddenMemory(LEVEL, sure=0.1))) == [1.25, 1.25, 1.35, 1.35]


def test_what_is_under_the_bumper_is_out_of_view_and_stays_until_it_is_seen_free_again():
    memory = looked(KERB, KERB)
    on = Pose(0.8, 0.0)  # the cells lie 0.25 and 0.35 m before the camera's foot, and it sees from 0.667 m on
    looked(*5 * [FREE], pose=on, memory=memory)
    assert ahead(memory, on) == pytest.approx([0.45, 0.45, 0.55, 0.55])
    looked(*3 * [FREE], pose=Pose(), memory=memory)
    assert ahead(memory) == []


def test_behind_what_stands_nothing_is_closed_and_nothing_is_free():
    before = answer(standing=0.5, standing_at=0.9, hidden=0.5, hidden_at=1.0)
    assert ahead(looked(before, before)) == []
    behind = answer(standing=0.5, standing_at=1.1, hidden=0.5, hidden_at=1.0)
    assert ahead(looked(behind, behind)) == [1.25, 1.25, 1.35, 1.35]
    memory = looked(KERB, KERB, *3 * [answer(standing=0.9, standing_at=0.9)])
    assert ahead(memory) == [1.25, 1.25, 1.35, 1.35]  # it may still be there
    looked(*3 * [answer(standing=0.9, standing_at=1.5)], memory=memory)
    assert ahead(memory) == []


def test_beyond_its_reach_and_where_it_does_not_see_nothing_is_said():
    far = answer(hidden=0.9, hidden_at=2.0)
    assert len(looked(far, far).points(Pose())) == 0
    assert len(looked(far, far, memory=HiddenMemory(LEVEL, reach=2.5)).points(Pose())) > 0
    blind = ClosedDirections(0, np.full((4, SECTORS), UNSEEN))
    assert ahead(looked(KERB, KERB, blind, blind, blind)) == [1.25, 1.25, 1.35, 1.35]


def test_what_hangs_nearer_than_the_ground_in_view_is_closed():
    near = answer(hidden=0.9, hidden_at=0.4)
    assert ahead(looked(near, near)) == [0.65, 0.65, 0.75, 0.75]


def test_cells_lie_where_the_robot_was_when_the_image_was_taken():
    there = Pose(2.0, 1.0, math.pi / 2)
    memory = looked(KERB, KERB, pose=there)
    points = memory.points(Pose())
    assert points[:, 1].min() > 1.0
    middle = points[np.abs(points[:, 0] - 2.0) < 0.09]
    assert sorted(set(middle[:, 1].round(6))) == [2.25, 2.35]
    assert len(memory.points(there)) == len(points)


def test_a_population_of_72_headings_says_where_it_is_closed():
    assert looked().rates(Pose(), 7).rates.tolist() == [0.0] * SECTORS
    said = looked(KERB, KERB).rates(Pose(), 7)
    assert (said.stamp_ns, [(p.name, p.size) for p in said.populations]) == (7, [(CLOSED, SECTORS)])
    closed = said.of(CLOSED)
    assert (closed[33:39] > 0.7 * MAX_RATE).all()
    assert (closed[np.abs(HEADINGS) > 1.2] == 0).all()


def test_what_counted_in_the_second_before_the_trust_fell_is_kept_whatever_was_said_since():
    second = 1_000_000_000

    def at(each, time):
        return ClosedDirections(round(time * second), each.rows)

    memory = looked(at(KERB, 0.0), at(KERB, 0.1), at(FREE, 0.2), at(FREE, 0.3), at(FREE, 0.4))
    assert ahead(memory) == []
    memory.keep()
    assert ahead(memory) == [1.25, 1.25, 1.35, 1.35]
    looked(*(at(FREE, 2.0 + k / 10) for k in range(9)), memory=memory)  # trusted again: it is seen free as ever
    assert ahead(memory) == []
    memory = looked(at(KERB, 0.0), at(KERB, 0.1), *(at(FREE, t / 10) for t in range(2, 16)))
    memory.keep()
    assert ahead(memory) == []  # it has been free for longer


def free_at(memory, x, y, pose=Pose()):
    ground = memory.free(pose, 7)
    assert ground.stamp_ns == 7
    i, j = math.floor((x - ground.x) / ground.cell), math.floor((y - ground.y) / ground.cell)
    return bool(ground.free[i, j])


def test_free_is_what_was_seen_free_and_neither_what_is_closed_or_doubted_nor_what_was_not_seen():
    memory = looked(FREE, FREE)
    assert free_at(memory, 1.55, 0.05)
    assert free_at(memory, 1.25, 0.75)
    assert not free_at(memory, 0.55, 0.05)  # nearer than the camera sees, 0.2 + 0.667 m
    assert not free_at(memory, 1.25, 1.45)  # beside its view
    assert not free_at(memory, -1.0, 0.0)
    assert not free_at(memory, 2.45, 0.05)
    assert free_at(looked(KERB), 1.05, 0.05)
    assert not free_at(looked(KERB), 1.25, 0.05)
    assert not free_at(looked(KERB), 1.65, 0.05)
    assert not free_at(looked(answer(hidden=0.4, hidden_at=1.0)), 1.25, 0.05)
    assert memory.free(Pose(), 0).nearest == pytest.approx(0.2 + 0.5 / 0.75 + 0.1)


def test_free_ground_stays_where_it_was_seen_while_the_robot_drives_on_and_turns():
    memory = looked(FREE, pose=Pose(3.0, -2.0, math.pi / 2))
    for pose in (Pose(3.0, -2.0, math.pi / 2), Pose(2.2, -1.1, -3.0)):
        assert free_at(memory, 3.05, -0.45, pose)
        assert not free_at(memory, 3.05, -3.5, pose)
    assert not free_at(memory, 13.05, -0.45, Pose(12.0, -1.0, 0.0))
