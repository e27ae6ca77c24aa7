"""Gazebo worlds and polygon arenas as worlds, against files written by hand; damaged files are refused in one line."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.shapes import clearance
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import load_scenes, shortest_path, usual_rules
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import generate
from hybrid_control.sim.worlds.files import read_arena, read_gazebo, write_npz
from hybrid_control.sim.worlds.world import WALL, polygon_edges

WORLD = """<?xml version='1.0'?>
<sdf version='1.6'><world name='w'>
 <model name='ground_plane'><static>1</static><link name='l'><collision name='c'>
  <geometry><plane><normal>0 0 1</normal></plane></geometry></collision></link></model>
 <model name='post'><pose>-2 5 0.5 0 0 0</pose><link name='l'><pose>0.5 0 0 0 0 0</pose>
  <collision name='c'><geometry><cylinder><radius>0.075</radius><length>1</length></cylinder></geometry></collision>
  <visual name='v'><geometry><sphere><radius>3</radius></sphere></geometry></visual></link></model>
 <model name='crate'><pose>0 8 0.5 0 0 1.5707963</pose><link name='l'><collision name='c'><pose>1 0 0 0 0 0</pose>
  <geometry><box><size>0.6 0.4 1</size></box></geometry></collision></link></model>
 <model name='moved'><pose>50 50 0.5 0 0 0</pose><link name='l'><collision name='c'>
  <geometry><cylinder><radius>0.1</radius><length>1</length></cylinder></geometry></collision></link></model>
 <state world_name='w'><model name='moved'><pose>-3 9 0.5 0 0 0</pose></model></state>
</world></sdf>"""


def write(tmp_path, text, name="w.world"):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_a_gazebo_world_has_its_posts_and_crates_where_the_poses_put_them(tmp_path):
    world = read_gazebo(write(tmp_path, WORLD))
    # the post stands at -2 + 0.5; the saved state moves 'moved'; the crate's 1 m along its x is 1 m along y
    np.testing.assert_allclose(world.cylinders, [[-3.0, 9.0, 0.1], [-1.5, 5.0, 0.075]])
    np.testing.assert_allclose(world.boxes, [[0.0, 9.0, 0.6, 0.4, math.pi / 2]], atol=1e-6)
    assert (world.start, world.goal) == (Pose(-2.25, 3.0, 1.57), (-2.25, 13.0))
    other = read_gazebo(write(tmp_path, WORLD), Pose(1.0, 1.0, 0.0), (1.0, 5.0))
    assert (other.start.x, other.goal) == (1.0, (1.0, 5.0))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not xml", "XML"),
        ("<sdf></sdf>", "no <world>"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><sdf/>", "entities"),
        (WORLD.replace("<cylinder>", "<capsule>").replace("</cylinder>", "</capsule>"), "<capsule>"),
        (WORLD.replace("<radius>0.075</radius>", "<radius>wide</radius>"), "radius"),
        (WORLD.replace("<radius>0.075</radius>", "<radius>-1</radius>"), "> 0"),
        (WORLD.replace("0 0 1.5707963", "0 0.3 0"), "tilted"),
        (WORLD.replace("0 8 0.5 0 0 1.5707963", "0 8 0.5"), "6 finite numbers"),
        (WORLD.replace("<state", "<include><uri>model://sun2</uri></include><state"), "model://sun2"),
    ],
)
def test_a_gazebo_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, text, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read_gazebo(write(tmp_path, text))
    assert "\n" not in str(error.value)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(WORLD)))
def test_any_bytes_in_a_gazebo_file_give_a_world_or_a_value_error(tmp_path_factory, junk, place):
    file = tmp_path_factory.mktemp("w") / "w.world"
    file.write_bytes(WORLD[:place].encode() + junk + WORLD[place + len(junk) :].encode())
    try:
        read_gazebo(file)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_edges_of_a_square_are_boxes_along_its_sides():
    edges = polygon_edges([[0, 0], [2, 0], [2, 2], [0, 2]])
    assert edges[0] == pytest.approx((1.0, 0.0, 2.0 + WALL, WALL, 0.0))
    assert edges[1] == pytest.approx((2.0, 1.0, 2.0 + WALL, WALL, math.pi / 2))
    assert len(edges) == 4


ARENA = {
    "polygons": [[[0, 0], [20, 0], [20, 20], [0, 20]], [[9, 9], [11, 9], [10, 11]]],
    "starts": [[2, 2, 0.5], [2, 18, 0]],
    "goals": [[18, 18], [18, 2]],
}


def test_an_arena_gives_a_world_for_each_start(tmp_path):
    one, two = read_arena(write(tmp_path, json.dumps(ARENA), "a.json"))
    assert (one.start, one.goal, two.start.y) == (Pose(2, 2, 0.5), (18.0, 18.0), 18.0)
    assert len(one.boxes) == 7
    # 1 m below the triangle's lower edge and 2 m from the left wall
    assert clearance(10.0, 8.0, one.cylinders, one.boxes) == pytest.approx(1.0 - WALL / 2)
    assert clearance(2.0, 10.0, one.cylinders, one.boxes) == pytest.approx(2.0 - WALL / 2)
    scenes = load_scenes(f"{tmp_path / 'a.json'}:1")
    assert scenes[0].world.name == "a-1"
    assert scenes[0].path_length > two.straight_distance


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"polygons": 3}, "polygons"),
        ({"polygons": [[[0, 0], [1, 1]]]}, "corners"),
        ({"polygons": [[[0, 0], [1, "a"], [3, 3]]]}, "2 numbers"),
        ({"starts": []}, "starts"),
        ({"starts": [[10, 9.5, 0], [2, 18, 0]]}, "polygon 1"),
        ({"goals": [[30, 30], [18, 2]]}, "polygon 0"),
        ({"goals": [[18, float("nan")], [18, 2]]}, "finite"),
    ],
)
def test_an_arena_with_a_mistake_is_refused_in_one_line(tmp_path, change, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read_arena(write(tmp_path, json.dumps({**ARENA, **change}), "a.json"))
    assert "\n" not in str(error.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda c: st.lists(c, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(json_values, json_values, json_values)
def test_any_json_gives_an_arena_or_a_value_error(tmp_path_factory, polygons, starts, goals):
    file = tmp_path_factory.mktemp("a") / "a.json"
    file.write_text(json.dumps({"polygons": polygons, "starts": starts, "goals": goals}))
    try:
        read_arena(file)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_generated_worlds_follow_from_spec_and_seed():
    one, two = load_scenes("forest,density=0.3:2", seed=1), load_scenes("forest,density=0.3:1-1", seed=1)
    assert [s.world.name for s in one] == ["forest,density=0.3-0", "forest,density=0.3-1"]
    np.testing.assert_array_equal(one[1].world.cylinders, two[0].world.cylinders)
    assert not np.array_equal(
        one[0].world.cylinders, load_scenes("forest,density=0.3", seed=2)[0].world.cylinders
    )


def test_the_shortest_path_of_an_open_world_is_straight():
    assert shortest_path(load_scenes("open")[0].world) == pytest.approx(10.0, abs=0.02)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("nowhere", "neither a file"),
        ("forest,density=much", "no option"),
        ("forest,depth=3", "depth"),
        ("forest:0", "expected 1"),
        ("forest:5-2", "backwards"),
        ("forest:1,1", "twice"),
        ("forest:x", "no number"),
    ],
)
def test_worlds_that_are_none_are_refused(spec, reason):
    with pytest.raises(ValueError, match=reason):
        load_scenes(spec)


@pytest.mark.parametrize(
    ("worlds", "rules"),
    [
        ("some/worlds.npz", "barn"), ("worlds.npz:0,6,30-48", "barn"), ("a.world", "barn"), ("b.sdf", "barn"),
        ("arena.json:0-9", "arena"), ("arena,polygons=20:5", "arena"), ("field:10", "default"), ("forest", "default"),
        ("worlds.npz+a.sdf", "barn"), ("worlds.npz+field:3", "default"),
    ],
)  # fmt: skip
def test_worlds_are_judged_by_their_own_rules_where_none_are_named(worlds, rules):
    assert usual_rules(worlds) == rules


def test_a_world_that_was_exported_is_driven_in_and_has_no_numbers(tmp_path):
    world = generate("gaps", 3)
    write_npz(tmp_path / "mine.npz", world)
    (scene,) = load_scenes(str(tmp_path / "mine.npz"))
    assert scene.world.name == world.name
    np.testing.assert_array_equal(scene.world.boxes, world.boxes)
    assert scene.path_length >= world.straight_distance
    with pytest.raises(ValueError, match="holds one world"):
        load_scenes(f"{tmp_path / 'mine.npz'}:0")


@pytest.mark.slow
def test_an_episode_is_the_same_alone_and_among_others():
    harness = Harness(Setup(rules="barn", level="kinematic"))
    among, alone = load_scenes("field:3"), load_scenes("field:2-2")
    assert among[2].world.name == alone[0].world.name
    rows = [harness.run("reflex", among[2], 2, 0), harness.run("reflex", alone[0], 0, 0)]
    assert {k: v for k, v in rows[0].items() if k != "index"} == {k: v for k, v in rows[1].items() if k != "index"}
