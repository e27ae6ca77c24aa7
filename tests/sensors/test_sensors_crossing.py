"""What comes into the way, from events of edges that were moved by hand."""

import math

import numpy as np
import pytest

from hybrid_control.navigation.sensors.crossing import Crossing
from hybrid_control.navigation.sensors.eye import Eye
from hybrid_control.signals.headings import SECTORS, sectors_of
from hybrid_control.sim.events import EventCamera, EventPixels

WIDTH, HEIGHT, FOV, MS = 128, 96, math.radians(90.0), 1_000_000
FOCAL = WIDTH / 2 / math.tan(FOV / 2)
CLEAN = EventPixels(mismatch=0.0, leak_rate=0.0, noise_rate=0.0)


def frame(bearing):
    """A bright bar 12 pixels wide whose middle is seen at a bearing, rad; pixels half covered are half bright."""
    middle = (WIDTH - 1) / 2 - FOCAL * math.tan(bearing)
    covered = np.clip(6.5 - np.abs(np.arange(WIDTH) - middle), 0.0, 1.0)
    return np.tile(0.2 + 0.6 * covered, (HEIGHT, 1))


def watch(eye, bearing_at, seconds=0.1, speed=0.6, turn=0.0):
    """Let a bar go by, at 250 frames/s; what the eye says at the end."""
    camera = EventCamera(WIDTH, HEIGHT, CLEAN)
    for k in range(round(seconds * 250) + 1):
        events = camera.put(frame(bearing_at(k / 250)), k * 4 * MS)
        eye.put(events, k * 4 * MS, speed, turn)
    return eye.sectors() if isinstance(eye, Crossing) else eye.crossing()


def crossing():
    return Crossing(WIDTH, HEIGHT, FOV)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_crossing_what_goes_inward_is_told_in_the_sector_in_which_it_is(side):
    seen = watch(crossing(), lambda t: side * (0.6 - 2.0 * t))
    at = int(sectors_of(np.array([side * 0.4]))[0])
    assert seen[at]
    # its half width is 0.1 rad, and a sector's neighbours tell with it
    assert np.flatnonzero(seen).min() >= at - 4
    assert np.flatnonzero(seen).max() <= at + 4


@pytest.mark.parametrize(
    ("bearing", "motion"),
    [
        (lambda t: 0.3 + 1.0 * t, {}),  # goes outward, as what stands does
        (lambda t: 0.4, {}),  # is still in the image: straight at it, slowly, or away
        (lambda t: 0.6 - 0.3 * t, {}),  # slower than what odometry and flow may be off by
        (lambda t: 0.6 - 2.0 * t, {"speed": 0.2}),  # a robot that hardly drives has no outward flow to tell it from
        (lambda t: 0.6 - 2.0 * t, {"turn": 0.5}),
        (lambda t: 0.6 - 0.25 * t, {"turn": 0.25}),  # the robot's own turn
    ],
)
def test_crossing_nothing_is_told_of_what_stands_or_cannot_be_told(bearing, motion):
    assert not watch(crossing(), bearing, **motion).any()


def test_crossing_is_forgotten_once_nothing_goes_inward():
    one = crossing()
    assert watch(one, lambda t: 0.6 - 2.0 * t).any()
    nothing = np.empty(0, [("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("on", np.uint8)])
    for k in range(26, 60):
        one.put(nothing, k * 4 * MS, 0.6, 0.0)
    assert not one.sectors().any()


def test_crossing_camera_that_looks_aside_tells_of_nothing_and_one_that_is_tilted_does():
    for axis, tells in (((1.0, 0.0, 0.0), True), ((0.0, 1.0, 0.0), False), ((0.98, 0.0, -0.199), True)):
        eye = Eye((WIDTH, HEIGHT), FOV, axis)
        assert watch(eye, lambda t: 0.6 - 2.0 * t).any() == tells
        assert eye.rates().shape == (SECTORS,)
