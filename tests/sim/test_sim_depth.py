"""Depths of the simulated camera, by hand, and what a stereo camera makes of them."""

import math
import os

import numpy as np
import pytest

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.bench.map_planner import planner_rates
from hybrid_control.navigation.drive import Navigator
from hybrid_control.navigation.episode import Rules
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.signals import PLANNER_POPULATIONS, Pose, RateVector
from hybrid_control.sim.depth import StereoDepth
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Thing, World

import_mujoco()  # chooses how to draw
with_gl = pytest.mark.skipif(os.environ["MUJOCO_GL"] == "disable", reason="no library for off-screen GL here")

MOUNT = CameraMount.of(JACKAL.camera_settings)
FOCAL = 80.0  # pixels, of 160 columns over 90 degrees
PERFECT = StereoDepth(error=0.0, step=1e-6, lost=0.0, lost_at_edges=0.0, lost_in_glass=0.0)


def world(*things, boxes=()):
    boxes = np.array(boxes).reshape(-1, 5)
    return World("depth", Pose(), (-3.0, 5.0), (-6.0, -6.0, 9.0, 6.0), boxes=boxes, things=things)


def true_depth(scene):
    with Simulator(scene) as sim:
        sim.camera()
        return sim._eye("camera", 160, 120).depth()


def measured(true, stereo, seed=0, glass=None):
    glass = np.zeros(true.shape, bool) if glass is None else glass
    return stereo(true.astype(np.float32), glass, FOCAL, np.random.default_rng(seed))


def flat(depth, shape=(120, 160)):
    return np.full(shape, depth, np.float32)


@with_gl
def test_a_face_one_metre_ahead_is_one_metre_away_along_the_axis_not_along_the_ray():
    # the box's face at x = 1.25, the camera at 0.25; it looks 0.08 rad down, so the axis meets the face 1 / cos on
    depth = true_depth(world(boxes=[(1.75, 0.0, 1.0, 5.0, 0.0)]))
    row = int(60 - 80 * math.tan(0.08))  # that looks level: of 1 m ahead cos 0.08 is along the axis
    assert depth[row, [5, 80, 155]] == pytest.approx([math.cos(0.08)] * 3, rel=2e-3)  # where the ray is 1.4 m long, too
    assert depth[60, 80] == pytest.approx(1.0 / math.cos(0.08), rel=1e-3)


@with_gl
def test_the_ground_is_as_far_as_the_cameras_mount_says():
    depth = true_depth(world())
    rows = np.array([70, 90, 110, 119])
    for column in (10, 80, 150):
        ground = MOUNT.ground(np.full(4, (column + 0.5) / 160), (rows + 0.5) / 120)
        ahead, sinks = ground[:, 0] - MOUNT.x, -MOUNT.z
        along = ahead * math.cos(MOUNT.pitch) - sinks * math.sin(MOUNT.pitch)  # of the axis (cos, -sin)
        assert depth[rows, column] == pytest.approx(along, rel=1e-3)


@with_gl
def test_glass_is_looked_through_with_gaps_and_a_hole_is_deeper_than_the_ground():
    pane = Thing("pane", 1.5, 0.0, 0.02, 1.0, 0.0, 0.0, 1.0, opacity=0.3)
    wall = (2.75, 0.0, 1.0, 6.0, 0.0)  # its face 2 m before the camera
    with Simulator(world(pane, boxes=[wall]), seed=1) as sim:
        depth = sim.depth()
        behind = depth[45:60, 70:90]
        assert np.median(behind[behind > 0]) == pytest.approx(2.0, abs=0.02)
        assert 0.15 < (behind == 0.0).mean() < 0.45
        assert (depth[45:60, 5:20] == 0.0).mean() < 0.06  # beside the pane
        assert (sim.mujoco.model.geom("thing0").rgba[3]) == pytest.approx(0.3)
    hole = Thing("hole", 1.5, 0.0, 0.6, 1.0, 0.0, -0.2, 0.0)
    with_it, without = true_depth(world(hole)), true_depth(world())
    row = int(MOUNT.down(np.zeros(1), np.array([1.1]))[0] * 120)  # 1.1 m from the foot: in the hole
    assert with_it[row, 80] > 1.1 * without[row, 80]


@with_gl
def test_depths_are_drawn_where_they_are_asked_for_before_the_image_of_the_same_time_and_by_the_seed():
    def events(**options):
        with Simulator(world(boxes=[(2.0, 0.0, 0.5, 0.5, 0.3)]), **options) as sim:
            return [e for e in sim.advance(200_000_000) if e.kind in ("depth", "camera")]

    assert [e.kind for e in events()] == ["camera"] * 3
    one, same, other = events(depth=True, seed=1), events(depth=True, seed=1), events(depth=True, seed=2)
    assert [e.kind for e in one] == ["depth", "camera"] * 3
    assert [e.time_ns for e in one[::2]] == [e.time_ns for e in one[1::2]]
    assert (one[0].value == same[0].value).all()
    assert (one[0].value != other[0].value).any()
    assert one[0].value.dtype == np.float32
    assert one[0].value.shape == (120, 160)


class Looker:
    """Plans straight on, and keeps the depth images that it was given. depths: whether it asks for them."""

    max_rate = 100.0

    def __init__(self, depths):
        self.depths, self.given = depths, []

    def plan(self, image, odometry, goal, stamp_ns, *, states=False, **more):
        self.given.append(more.get("depth"))
        return RateVector(stamp_ns, planner_rates(0.0, 1.0), PLANNER_POPULATIONS)


@with_gl
def test_a_driving_planner_is_given_depths_where_it_asks_for_them():
    scene, rules = world(boxes=[(2.0, 0.0, 0.5, 0.5, 0.3)]), Rules(duration=0.5)
    asks, does_not = Looker(True), Looker(False)
    for source in (asks, does_not):
        Navigator(TimedPlanner(source), memory=False).run(scene, 0, rules)
    assert len(asks.given) == len(does_not.given) >= 5
    assert all(depth.shape == (120, 160) for depth in asks.given)
    assert does_not.given == [None] * len(does_not.given)


@pytest.mark.parametrize("depth", [0.5, 1.0, 2.0, 4.0])
def test_the_error_grows_with_the_square_of_the_depth(depth):
    stereo = StereoDepth(lost=0.0)
    seen = measured(flat(depth, (400, 400)), stereo)
    known = seen[seen > 0.0]
    # depth² · 0.1 pixels / (424 pixels · 0.05 m): 4.7 mm at 1 m, 75 mm at 4 m; and the step of 1/32 pixel
    wanted = depth**2 * math.hypot(0.1, 1 / 32 / math.sqrt(12)) / 21.2
    assert known.std() == pytest.approx(wanted, rel=0.05)
    assert known.mean() == pytest.approx(depth, abs=0.1 * wanted + 0.01 * depth)


def test_nothing_is_measured_nearer_or_farther_than_it_can_and_a_share_is_lost_anywhere():
    stereo = StereoDepth(error=0.0)
    assert (measured(flat(0.15), stereo) == 0.0).all()
    assert (measured(flat(7.0), stereo) == 0.0).all()
    lost = (measured(flat(2.0, (400, 400)), stereo)[:, 10:] == 0.0).mean()
    assert lost == pytest.approx(0.01, abs=0.003)
    through = measured(flat(2.0, (400, 400)), stereo, glass=np.ones((400, 400), bool))
    assert (through[:, 10:] == 0.0).mean() == pytest.approx(0.3, abs=0.02)


def test_what_one_imager_sees_alone_is_a_shadow_to_the_left_of_what_is_near():
    # 80 pixels · 0.05 m: 4 pixels of disparity at 1 m and 1 at 4 m. In the other's picture the post of 20 .. 24 is at
    # 16 .. 20, and so are the wall's pixels 17 .. 21; the first of them lies at the post's very edge and is still seen
    true = flat(4.0, (8, 40))
    true[:, 20:25] = 1.0
    seen = measured(true, PERFECT)
    assert np.flatnonzero(seen[0] == 0.0).tolist() == [0, 18, 19]  # 0: out of the other's picture
    assert seen[0, 20:25] == pytest.approx([1.0] * 5, rel=1e-3)
    edges = measured(true, StereoDepth(error=0.0, lost=0.0, lost_at_edges=1.0))
    assert np.flatnonzero(edges[0] == 0.0).tolist() == [0, 18, 19, 20, 24, 25]
