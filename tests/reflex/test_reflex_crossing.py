"""What an event camera sees come into the way brakes the robot, and nothing else does."""

import numpy as np
import pytest
from test_reflex_tick import MS, Rig

from hybrid_control.navigation.reflex import InputRefused
from hybrid_control.navigation.reflex.feed import CROSSING_LASTS
from hybrid_control.signals.headings import SECTORS, sectors_of

LEFT = int(sectors_of(np.array([0.5]))[0])


def driving(posts):
    rig = Rig(posts=posts)
    assert rig.run(1.0).twist.linear_x > 0.5
    return rig


def cross(rig, sector=LEFT):
    sectors = np.zeros(SECTORS, np.bool_)
    sectors[sector] = True
    rig.reflex.put_crossing(sectors, rig.now, rig.now)


@pytest.mark.parametrize("distance", [0.8, 1.2])
def test_reflex_brakes_within_100_ms_for_what_crosses_and_the_scan_has_near(distance):
    rig, other = driving([(0.5, distance, 0.1)]), driving([(0.5, distance, 0.1)])
    cross(rig)
    assert rig.run(0.1).twist.linear_x < other.run(0.1).twist.linear_x - 0.05


def test_reflex_drives_on_where_the_scan_has_nothing_there():
    rig, other = driving([]), driving([])
    cross(rig)
    assert rig.run(0.2).twist == other.run(0.2).twist


def test_reflex_forgets_what_crosses_after_a_while():
    rig = driving([(0.5, 1.2, 0.1)])
    other = driving([(0.5, 1.2, 0.1)])
    cross(rig)
    assert rig.run(CROSSING_LASTS).twist.linear_x < other.run(CROSSING_LASTS).twist.linear_x - 0.05
    assert rig.run(1.5).twist.linear_x == pytest.approx(other.run(1.5).twist.linear_x, abs=0.1)


def test_reflex_refuses_what_crossed_long_ago():
    rig = driving([])
    with pytest.raises(InputRefused, match="crossing"):
        rig.reflex.put_crossing(np.ones(SECTORS, np.bool_), rig.now - 600 * MS, rig.now)
