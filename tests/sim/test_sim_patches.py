"""Patches of ground: a camera sees them and a lidar does not, forbidden ones count when driven on, files keep them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.gazebo.releases import FORTRESS
from hybrid_control.sim.gazebo.world import world_sdf
from hybrid_control.sim.model import build_mjcf
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.score import Score
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Patch, World, generate, passable, read_world, seen_from
from hybrid_control.sim.worlds.files import write_npz
from hybrid_control.sim.worlds.patch import ground_look

PUDDLE, MAT = Patch("puddle", 2.0, 0.0, 1.0, 1.0), Patch("mat", 4.0, 0.0, 0.8, 1.2, 0.3, forbidden=False)
WORLD = World("wet", Pose(), (6.0, 0.0), (-2.0, -3.0, 8.0, 3.0), patches=(PUDDLE, MAT))


def test_driving_onto_forbidden_ground_is_a_contact_and_onto_permitted_ground_is_none():
    with Simulator(WORLD, camera=False) as sim:
        for _ in range(450):
            sim.apply(Twist(0, linear_x=1.0, angular_z=0.0))
            sim.step(0.01)
        assert sim.pose.x > 3.6
        assert [contact.obstacle for contact in sim.contact_events] == ["patch0"]
        # the outline reaches 0.254 m ahead of the middle, the puddle begins at 1.5 m
        assert sim.contact_events[0].x == pytest.approx(1.5 - JACKAL.length / 2, abs=0.02)
        assert sim.minimum_distance() == math.inf


def test_a_turned_patch_counts_where_its_edge_is():
    world = replace(WORLD, patches=(Patch("puddle", 2.0, 0.0, 1.0, 1.0, math.pi / 4),))
    score, corner = Score(world, JACKAL), 2.0 - math.sqrt(0.5) - JACKAL.length / 2
    assert score.see(0, Pose(corner - 0.01, 0.0)) == []
    assert score.see(1, Pose(corner + 0.01, 0.0)) == ["patch0"]
    assert score.see(2, Pose(corner + 0.02, 0.0)) == []  # the same contact


def test_the_lidar_does_not_see_patches_and_wheels_do_not_feel_them():
    ways = []
    for world in (WORLD, replace(WORLD, patches=())):
        with Simulator(world, camera=False) as sim:
            scans = [e.value.ranges for e in sim.advance(500_000_000) if e.kind == "scan"]
            sim.apply(Twist(0, linear_x=1.0, angular_z=0.0))
            sim.step(0.4)
            ways.append((np.stack(scans), sim.pose))
    np.testing.assert_array_equal(ways[0][0], ways[1][0])
    assert ways[0][1] == ways[1][1]


def test_the_camera_sees_a_patch_in_the_colour_of_its_kind():
    with Simulator(WORLD, replace(JACKAL, camera_width=96, camera_height=72)) as sim:
        with_it = sim.camera().astype(np.float64)
    with Simulator(replace(WORLD, patches=()), replace(JACKAL, camera_width=96, camera_height=72)) as sim:
        without = sim.camera().astype(np.float64)
    changed = np.abs(with_it - without).sum(-1) > 30.0
    assert 0.02 < changed.mean() < 0.5
    assert changed[: 72 // 3].sum() == 0  # nothing above the horizon
    look = ground_look("puddle")
    wanted = np.array(look.first) + np.array(look.second)
    near = with_it[changed][-200:].mean(0)  # the nearest rows are the puddle
    assert np.corrcoef(near, wanted)[0, 1] > 0.9


@pytest.mark.parametrize("ending", [".npz", ".sdf", ".xml"])
def test_files_keep_patches(tmp_path, ending):
    path = tmp_path / f"wet{ending}"
    if ending == ".npz":
        write_npz(path, WORLD)
    elif ending == ".sdf":
        path.write_text(world_sdf(WORLD, FORTRESS))
    else:
        path.write_text(build_mjcf(WORLD, JACKAL, None, 0.002))
    read = read_world(path)
    assert [(p.kind, p.forbidden) for p in read.patches] == [("puddle", True), ("mat", False)]
    for got, patch in zip(read.patches, WORLD.patches, strict=True):
        assert got.rectangle == pytest.approx(patch.rectangle, abs=1e-6)
    assert len(read.boxes) == 0


def test_an_npz_file_of_before_there_were_patches_is_read(tmp_path):
    write_npz(tmp_path / "new.npz", WORLD)
    with np.load(tmp_path / "new.npz") as arrays:
        np.savez(tmp_path / "old.npz", **{k: v for k, v in arrays.items() if not k.startswith("patch")})
    assert read_world(tmp_path / "old.npz").patches == ()


def test_bad_patches_are_refused_in_one_line(tmp_path):
    for make, words in (
        (lambda: Patch("Puddle!", 0, 0, 1, 1), "kind 'Puddle!' must be a small letter"),
        (lambda: Patch("puddle", 0, 0, 0, 1), "length and width > 0"),
        (lambda: Patch("puddle", math.nan, 0, 1, 1), "must be finite"),
        (lambda: replace(WORLD, patches=(replace(PUDDLE, x=0.2),)), "the start (0, 0) lies on forbidden ground"),
        (lambda: replace(WORLD, goal=(2.0, 0.1)), "the goal (2, 0.1) lies on forbidden ground"),
    ):
        with pytest.raises(ValueError) as error:
            make()
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    write_npz(tmp_path / "a.npz", WORLD)
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "b.npz", **{**arrays, "patch_kinds": np.array(["puddle"])})
    with pytest.raises(ValueError, match=r"b.npz: patch_kinds of <U6 \(1,\), expected text of shape \(2,\)"):
        read_world(tmp_path / "b.npz")


def test_patches_move_with_the_frame_that_a_world_is_seen_from():
    seen = seen_from(WORLD, Pose(1.0, 0.0, math.pi / 2))
    assert seen.patches[0].rectangle == pytest.approx((0.0, -1.0, 1.0, 1.0, -math.pi / 2))
    assert seen.patches[1].forbidden is False


@pytest.mark.parametrize("seed", range(8))
def test_generated_patches_block_the_straight_way_and_leave_another(seed):
    world = generate("patches", seed)
    assert {p.kind for p in world.patches} == {"puddle", "mat"}
    assert {p.kind for p in world.patches if p.forbidden} == {"puddle"}
    straight = Score(world, JACKAL)
    touched = {name for x in np.linspace(0.0, 10.0, 400) for name in straight.see(int(x * 1e9), Pose(x, 0.0))}
    assert touched >= {"patch0"}
    assert passable(world)
    assert not np.isin(world.forbidden[:, 0], [p.x for p in world.patches if not p.forbidden]).any()


def test_there_is_no_way_over_forbidden_ground():
    wall = replace(WORLD, patches=(Patch("puddle", 3.0, 0.0, 1.0, 6.0),))
    assert not passable(wall)
    assert passable(replace(wall, patches=(replace(wall.patches[0], forbidden=False),)))
