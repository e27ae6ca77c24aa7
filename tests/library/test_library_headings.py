"""The table of headings: the sector of a bearing is the one whose middle is nearest, compiled and with numpy alike."""

import math

import numpy as np

from hybrid_control.signals.headings import HEADINGS, SECTORS, sector_of, sectors_of


def test_headings_are_the_middles_of_five_degrees_each():
    assert np.degrees(HEADINGS).round(9).tolist() == [-177.5 + 5 * i for i in range(SECTORS)]


def test_every_bearing_is_in_the_sector_of_the_nearest_heading():
    bearings = np.linspace(-math.pi, math.pi, 1009)[1:-1]
    apart = np.abs(bearings[:, None] - HEADINGS)
    sectors = sectors_of(bearings)
    assert (apart[np.arange(bearings.size), sectors] <= math.radians(2.5) + 1e-12).all()
    assert [sector_of(b) for b in bearings] == sectors.tolist()


def test_straight_behind_is_one_sector_from_either_side():
    assert sector_of(-math.pi) == 0
    assert sector_of(math.pi) == sectors_of(np.array([math.pi]))[0] == 0
