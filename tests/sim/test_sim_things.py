"""Things that a planar lidar does not show: what meets them and what sees them, and that files keep them."""

import math
import os
from dataclasses import replace

import numpy as np
import pytest

from hybrid_control.geometry.shapes import clearance
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.gazebo.releases import FORTRESS
from hybrid_control.sim.gazebo.things import LIDAR_MASK, THROUGH
from hybrid_control.sim.gazebo.world import world_sdf
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.model import build_mjcf
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.quad import QUAD
from hybrid_control.sim.score import Score, outline_gap
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.things import area, corners, ground_pieces
from hybrid_control.sim.worlds import Patch, Thing, World, passable, read_world, seen_from
from hybrid_control.sim.worlds.files import write_npz
from hybrid_control.sim.worlds.thing import KINDS
from hybrid_control.sim.worlds.world import enlarged

KERB = Thing("low", 2.0, 0.0, 0.4, 1.0, 0.0, 0.0, 0.1)
CRATE = Thing("low", 2.0, 0.0, 0.4, 1.0, 0.0, 0.0, 0.5)
TABLE = Thing("overhang", 2.0, 0.0, 0.8, 1.0, 0.0, 0.32, 0.36)
BOARD = Thing("overhang", 2.0, 0.0, 0.4, 1.0, 0.0, 0.1, 0.8)
PANE = Thing("pane", 2.0, 0.0, 0.02, 1.0, 0.0, 0.0, 1.0, opacity=0.3)
WIRE = Thing("wire", 2.0, 0.0, 0.015, 1.0, 0.0, 0.2, 0.215)
HOLE = Thing("hole", 2.0, 0.0, 0.8, 1.0, 0.3, -0.3, 0.0)
ALL = (
    replace(KERB, x=1.0, look="ground"), replace(KERB, x=1.5, y=2.0, yaw=0.4, look="cone"), TABLE,
    replace(PANE, x=3.0), replace(WIRE, x=3.5), replace(HOLE, x=4.5),
)  # fmt: skip

import_mujoco()  # chooses how to draw
with_gl = pytest.mark.skipif(os.environ["MUJOCO_GL"] == "disable", reason="no library for off-screen GL here")


def world(*things, **more):
    return World("things", Pose(), (6.0, 0.0), (-2.0, -3.0, 8.0, 3.0), things=things, **more)


def ahead(ranges):
    """The beams within 10 degrees of straight ahead of a Jackal's 360."""
    return ranges[170:190]


def driven(scene, robot=JACKAL):
    with Simulator(scene, robot, camera=False) as sim:
        for _ in range(300):
            sim.apply(Twist(0, linear_x=1.0, angular_z=0.0))
            sim.step(0.01)
            if sim.contact_events:
                break
        return sim.contact_events, sim.closest_approach


def test_a_lidar_meets_what_is_low_or_hangs_where_its_height_reaches_and_never_glass_wires_or_holes():
    assert [t.seen_by_lidar(0.3) for t in (KERB, CRATE, TABLE, BOARD, PANE, WIRE, HOLE)] == [
        False, True, False, True, False, False, False,
    ]  # fmt: skip
    assert TABLE.seen_by_lidar(0.34)


def test_a_robot_meets_all_that_begins_below_its_top_and_every_hole():
    # a Jackal is 0.25 m high, its lidar ends at 0.34 m, its camera at 0.31 m
    assert JACKAL.top == pytest.approx(0.34)
    assert replace(JACKAL, lidar_z=0.2, camera_z=0.3).top == pytest.approx(0.33)
    assert replace(JACKAL, lidar_z=0.1, camera_z=0.1).top == pytest.approx(0.25)
    assert all(JACKAL.meets(t) for t in (KERB, CRATE, TABLE, BOARD, PANE, WIRE, HOLE))
    assert not JACKAL.meets(replace(TABLE, bottom=0.35))


def test_a_drone_flies_over_kerbs_and_holes_and_meets_what_is_as_high_as_it_hovers():
    assert QUAD.hover_height == 0.8
    assert [QUAD.meets(t) for t in (KERB, TABLE, HOLE, WIRE, PANE, BOARD)] == [False] * 4 + [True, True]


@pytest.mark.parametrize("thing", [KERB, CRATE, TABLE, BOARD, PANE, WIRE, HOLE])
def test_driving_onto_a_thing_is_a_contact_where_it_begins(thing):
    thing = replace(thing, yaw=0.0)
    contacts, closest = driven(world(thing))
    assert [c.obstacle for c in contacts] == ["thing0"]
    begins = thing.x - thing.length / 2 - JACKAL.length / 2
    assert contacts[0].x == pytest.approx(begins, abs=0.02)
    assert closest == pytest.approx(0.0, abs=0.02)


def test_under_a_table_that_is_high_enough_a_robot_drives_without_a_contact():
    assert driven(world(replace(TABLE, bottom=0.36, top=0.4))) == ([], math.inf)


def test_things_count_in_the_gap_to_the_outline_and_patches_do_not():
    scene = world(KERB, patches=(Patch("puddle", 1.0, 0.0, 0.4, 0.4),))
    assert outline_gap(scene, JACKAL, Pose()) == pytest.approx(1.8 - JACKAL.length / 2)
    assert outline_gap(replace(scene, things=()), JACKAL, Pose()) == math.inf


def test_where_nothing_feels_a_robot_held_just_before_a_thing_touches_it_and_no_other_obstacle():
    score = Score(world(KERB), JACKAL, feels=False)
    assert score.see(0, Pose(1.8 - JACKAL.length / 2 - 0.01, 0.0)) == []
    assert score.see(1, Pose(1.8 - JACKAL.length / 2 - 0.002, 0.0)) == ["thing0"]


@pytest.mark.parametrize("thing", [KERB, CRATE, TABLE, BOARD, PANE, WIRE, HOLE])
def test_both_simulators_lidars_show_a_thing_or_do_not(thing):
    with Simulator(world(thing), camera=False) as sim:
        in_mujoco = ahead(sim.scan().ranges)
    in_plane = ahead(KinematicSimulator(world(thing)).scan().ranges)
    for ranges in (in_mujoco, in_plane):
        met = ranges[np.isfinite(ranges)]
        assert (len(met) > 10) == thing.seen_by_lidar(JACKAL.lidar_z)
        if len(met):
            assert met.min() == pytest.approx(thing.x - thing.length / 2, abs=0.05)


@pytest.mark.parametrize("thing", [KERB, PANE, HOLE])
def test_in_the_plane_a_thing_is_a_contact_by_its_name_and_ends_the_drive(thing):
    thing = replace(thing, yaw=0.0)
    scene = world(replace(KERB, x=-1.5, yaw=1.0), thing, cylinders=np.array(((1.0, 2.0, 0.2),)))
    sim = KinematicSimulator(scene)
    for k in range(300):
        sim.apply(Twist(0, linear_x=1.0))
        for _ in sim.advance(10_000_000 * (k + 1)):
            pass
    assert [c.obstacle for c in sim.contact_events] == ["thing1"]
    assert sim.pose.x == pytest.approx(thing.x - thing.length / 2 - JACKAL.length / 2, abs=0.02)
    assert sim.closest_approach == 0.0


def test_one_who_knows_a_world_has_boxes_in_place_of_things_and_forbidden_ground():
    scene = world(KERB, HOLE, patches=(Patch("puddle", 4.0, 0.0, 1.0, 1.0),))
    known = scene.as_known()
    assert (known.patches, known.things) == ((), ())
    np.testing.assert_array_equal(known.boxes, scene.closed)
    np.testing.assert_array_equal(scene.closed, [(4.0, 0.0, 1.0, 1.0, 0.0), KERB.rectangle, HOLE.rectangle])
    np.testing.assert_array_equal(scene.forbidden, [(4.0, 0.0, 1.0, 1.0, 0.0)])
    assert not passable(world(replace(PANE, width=6.0)))
    assert world(patches=(Patch("mat", 4.0, 0.0, 1.0, 1.0, forbidden=False),)).as_known().patches


def test_things_move_with_the_frame_and_grow_in_the_plane_alone():
    seen = seen_from(world(KERB), Pose(1.0, 0.0, math.pi / 2)).things[0]
    assert seen.rectangle == pytest.approx((0.0, -1.0, 0.4, 1.0, -math.pi / 2))
    assert (seen.bottom, seen.top) == (0.0, 0.1)
    large = enlarged(world(PANE), 2.0).things[0]
    assert large == replace(PANE, x=4.0, length=0.04, width=2.0)


@pytest.mark.parametrize("ending", [".npz", ".sdf", ".xml"])
def test_files_keep_things(tmp_path, ending):
    path, scene = tmp_path / f"w{ending}", world(*ALL, boxes=np.array(((5.0, 2.0, 0.3, 0.3, 0.2),)))
    if ending == ".npz":
        write_npz(path, scene)
    elif ending == ".sdf":
        path.write_text(world_sdf(scene, FORTRESS))
    else:
        path.write_text(build_mjcf(scene, JACKAL, None, 0.002))
    read = read_world(path)
    assert {t.kind for t in ALL} == set(KINDS)
    assert [(t.kind, t.look) for t in read.things] == [(t.kind, t.look) for t in ALL]
    for got, thing in zip(read.things, ALL, strict=True):
        assert got.row == pytest.approx(thing.row, abs=1e-6)
    assert len(read.boxes) == 1


def test_an_npz_file_of_before_there_were_things_is_read(tmp_path):
    write_npz(tmp_path / "new.npz", world(*ALL))
    with np.load(tmp_path / "new.npz") as arrays:
        np.savez(tmp_path / "old.npz", **{k: v for k, v in arrays.items() if k != "things"})
    assert read_world(tmp_path / "old.npz").things == ()


def test_gazebos_lidar_looks_through_panes_and_wires_alone():
    models = world_sdf(world(*ALL), FORTRESS).split("<model name=")
    through = [m.split('"')[1] for m in models if f"<visibility_flags>{THROUGH}<" in m]
    assert through == ["thing3_pane", "thing4_wire"]
    assert LIDAR_MASK & THROUGH == 0
    assert LIDAR_MASK & 0x0FFFFFFF  # what a visual has that says nothing
    solid = [m.split('"')[1] for m in models if "<collision" in m and m.startswith('"thing')]
    assert solid == ["thing0_low_ground", "thing1_low_cone", "thing2_overhang", "thing3_pane"]


def test_bad_things_are_refused_in_one_line(tmp_path):
    for make, words in (
        (lambda: replace(KERB, kind="ramp"), "kind 'ramp', expected one of low, overhang, pane, wire, hole"),
        (lambda: replace(KERB, look="zebra"), "look 'zebra', expected one of '', 'ground', 'cone'"),
        (lambda: replace(KERB, length=0.0), "length and width > 0"),
        (lambda: replace(KERB, x=math.nan), "must be finite"),
        (lambda: replace(KERB, top=0.0), "must have 0 <= bottom < top"),
        (lambda: replace(KERB, bottom=-0.1), "must have 0 <= bottom < top"),
        (lambda: replace(HOLE, bottom=0.0), "must have a bottom < 0 and its top at 0"),
        (lambda: replace(HOLE, top=0.1), "must have a bottom < 0 and its top at 0"),
        (lambda: replace(PANE, opacity=1.0), "an opacity of 0.05 .. 0.5"),
        (lambda: replace(KERB, opacity=1.1), "an opacity of 0 .. 1"),
        (lambda: Thing.of((1.0, 2.0)), "are not 10 numbers"),
        (lambda: Thing.of((9.0, *KERB.row[1:])), "the first a kind's place below 5"),
        (lambda: world(replace(KERB, x=0.1)), "the start (0, 0) lies on a thing"),
        (lambda: world(replace(TABLE, x=6.0)), "the goal (6, 0) lies on a thing"),
    ):
        with pytest.raises(ValueError) as error:
            make()
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    write_npz(tmp_path / "a.npz", world(KERB))
    with np.load(tmp_path / "a.npz") as arrays:
        kinds = arrays["things"].copy()
        kinds[0, 0] = math.nan
        np.savez(tmp_path / "b.npz", **{**arrays, "things": kinds})
    with pytest.raises(ValueError, match=r"b.npz: thing: .* are not 10 numbers"):
        read_world(tmp_path / "b.npz")
    text = world_sdf(world(PANE), FORTRESS).replace("<transparency>0.7", "<transparency>0.1")
    (tmp_path / "c.sdf").write_text(text)
    with pytest.raises(ValueError, match=r"c.sdf: model 'thing0_pane': thing: .* an opacity of 0.05 .. 0.5"):
        read_world(tmp_path / "c.sdf")


def test_a_robot_does_not_start_where_it_would_touch_a_thing():
    with pytest.raises(ValueError, match="does not fit at the start"):
        Simulator(world(replace(KERB, x=0.4)), camera=False)
    with pytest.raises(ValueError, match="does not fit at the start"):
        KinematicSimulator(world(replace(KERB, x=0.4)))


# -- the ground around holes ----------------------------------------------------------------------------------------


def test_ground_is_cut_around_holes_even_where_they_overlap():
    rng = np.random.default_rng(0)
    holes = [
        replace(HOLE, x=x, y=y, yaw=yaw) for x, y, yaw in rng.uniform((-3, -3, -2), (3, 3, 2), (12, 3)).tolist()
    ]
    pieces = ground_pieces(holes)
    places = rng.uniform(-4, 4, (1000, 2))
    for x, y in places.tolist():
        in_hole = clearance(x, y, np.empty((0, 3)), np.array([h.rectangle for h in holes])) <= 0
        covered = sum(_within(piece, x, y) for piece in pieces)
        assert covered == (not in_hole)
    one = ground_pieces(holes[:1])
    assert sum(map(area, one)) == pytest.approx(80.0 * 80.0 - area(corners(holes[0])))
    assert area(corners(HOLE)) == pytest.approx(0.8)


def _within(piece, x, y):
    after = np.roll(piece, -1, axis=0) - piece
    return bool((after[:, 0] * (y - piece[:, 1]) - after[:, 1] * (x - piece[:, 0]) > -1e-9).all())


@with_gl
def test_ground_around_a_hole_looks_as_the_whole_one_does():
    far = replace(HOLE, x=-20.0, y=0.0)  # behind the camera
    with Simulator(world()) as sim:
        whole = sim.camera().astype(int)
    with Simulator(replace(world(far), bounds=(-30.0, -3.0, 8.0, 3.0))) as sim:
        around = sim.camera().astype(int)
    assert np.abs(whole - around).mean() < 0.05
    assert (np.abs(whole - around).max(axis=2) > 8).mean() < 0.002


@with_gl
@pytest.mark.parametrize(
    "thing", [KERB, replace(KERB, look="ground"), replace(KERB, look="cone"), BOARD, TABLE, PANE, WIRE, HOLE]
)
def test_the_camera_sees_each_kind(thing):
    thing = replace(thing, x=1.2)
    with Simulator(world()) as sim:
        without = sim.camera().astype(int)
    with Simulator(world(thing)) as sim:
        seen = sim.camera().astype(int)
    changed = np.abs(seen - without).max(axis=2) > 10
    assert changed.sum() > 30
    rows = np.flatnonzero(changed.any(axis=1))
    assert (rows > 50).all() or thing.top > 0.3  # the horizon lies at row 52
    if thing.kind == "hole":
        assert (seen[changed].mean(axis=0) < 0.7 * without[changed].mean(axis=0)).all()
    if thing.kind == "pane":  # what is behind it shines through
        assert np.abs(seen - without).max() < 0.6 * 255


def test_looks_of_obstacles_do_not_change_where_things_are_added():
    cylinders = np.array(((4.0, 1.0, 0.2),))
    plain, more = (build_mjcf(w, JACKAL, None, 0.002) for w in (
        world(cylinders=cylinders), world(KERB, WIRE, cylinders=cylinders)
    ))  # fmt: skip
    line = next(part for part in plain.splitlines() if 'name="cylinder0"' in part)
    assert line.strip() in more
