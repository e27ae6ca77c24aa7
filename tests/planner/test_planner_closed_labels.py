"""What a camera should say of a scene: by hand, on level ground, with a camera 0.3 m high that looks level."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.planner.training.closed import labels
from hybrid_control.navigation.planner.training.closed.labels import FARTHEST, FREE, HIDDEN, STANDING
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import Patch, Thing, World

LEVEL = CameraMount(0.25, 0.3, 0.0, math.pi / 2, 0.75)  # sees ground from 0.4 m on: 0.3 / (tan 45 * 0.75)
HERE = Pose(0.0, 0.0, 0.0)
MIDDLE = 20  # the column just right of the middle


def world(**parts):
    return World("made", Pose(-3.0, -3.0), (3.0, 3.0), (-4.0, -4.0, 4.0, 4.0), **parts)


def low(x, y=0.0, length=0.2, width=1.0):
    return Thing("low", x, y, length, width, 0.0, 0.0, 0.1)


def seen(scene, robot=HERE, camera=LEVEL):
    return labels.closing(scene, robot, camera, lidar_z=0.3)


def test_an_empty_world_is_free_everywhere():
    closed = seen(world())
    assert (closed.kind == FREE).all()
    assert (closed.away == FARTHEST).all()
    assert (closed.which == -1).all()


def test_a_kerb_is_hidden_and_its_distance_counts_from_the_cameras_foot():
    closed = seen(world(things=(low(1.45),)))  # its front edge at x = 1.35, 1.1 m before the camera
    assert closed.kind[MIDDLE] == HIDDEN
    assert closed.away[MIDDLE] == pytest.approx(1.1 / math.cos(math.atan(1 / 40)), abs=1e-9)
    assert closed.which[MIDDLE] == 0
    assert closed.kind[0] == FREE  # 44 degrees to the left it has ended


def test_what_stands_before_it_hides_it_and_is_no_hidden_thing():
    closed = seen(world(things=(low(1.45),), boxes=np.array([[1.0, 0.0, 0.1, 2.0, 0.0]])))
    assert closed.kind[MIDDLE] == STANDING
    assert closed.away[MIDDLE] == pytest.approx(0.7, abs=1e-3)
    assert closed.which[MIDDLE] == -1


def test_what_the_lidars_plane_meets_is_standing_and_what_it_passes_is_hidden():
    tall, slab = Thing("low", 1.0, 0.0, 0.2, 1.0, 0.0, 0.0, 0.5), Thing("overhang", 1.0, 0.0, 0.2, 1.0, 0.0, 0.31, 0.4)
    assert seen(world(things=(tall,))).kind[MIDDLE] == STANDING
    assert seen(world(things=(slab,))).kind[MIDDLE] == HIDDEN


def test_a_kerb_that_lies_nearer_than_the_ground_that_is_seen_is_not_seen():
    assert seen(world(things=(low(0.45, length=0.1),))).kind[MIDDLE] == FREE  # 0.15 to 0.25 m before the camera
    reaching = seen(world(things=(low(0.6, length=0.4),)))  # from 0.15 to 0.55 m: seen where the ground begins
    assert (reaching.kind[MIDDLE], reaching.away[MIDDLE]) == (HIDDEN, pytest.approx(0.4, abs=1e-3))


def test_forbidden_ground_comes_after_the_things_and_permitted_ground_is_free():
    patches = (Patch("mat", 1.0, 0.0, 0.5, 1.0, forbidden=False), Patch("grass", 2.0, 0.0, 0.5, 1.0))
    closed = seen(world(things=(low(3.0),), patches=patches))
    assert (closed.kind[MIDDLE], closed.which[MIDDLE]) == (HIDDEN, 1)
    assert closed.away[MIDDLE] == pytest.approx(1.5, abs=1e-3)


def test_the_robots_pose_turns_and_moves_what_is_seen():
    scene = world(things=(low(0.0, 1.5, length=1.0, width=0.2),))
    closed = seen(scene, Pose(0.0, -0.25, math.pi / 2))  # the camera at (0, 0) looks along y
    assert closed.kind[MIDDLE] == HIDDEN
    assert closed.away[MIDDLE] == pytest.approx(1.4, abs=2e-3)


def test_rows_by_hand():
    # level: ground d away is 0.3 / d below the axis; half the image's height stands for 0.75
    away = np.full(labels.COLUMNS, 0.6)
    row = labels.rows_of(away, LEVEL)[MIDDLE]
    pixel = (0.3 / (0.6 * math.cos(math.atan(1 / 40))) / 0.75 + 1.0) * 60
    assert row == pytest.approx((pixel - labels.SKY) / 2, abs=1e-9)
    near = labels.rows_of(np.full(labels.COLUMNS, 0.05), LEVEL)
    assert near == pytest.approx(np.full(labels.COLUMNS, labels.ROWS - 1e-3))


@pytest.mark.parametrize("pitch", [-0.1, 0.0, 0.2])
def test_the_ground_that_a_place_of_the_image_shows_is_shown_there(pitch):
    camera = CameraMount(0.25, 0.3, pitch, math.pi / 2, 0.75)
    down = np.array([0.8, 0.9, 1.0])
    away = camera.away(np.full(3, 0.5), down)
    assert camera.down(np.zeros(3), away) == pytest.approx(down)
