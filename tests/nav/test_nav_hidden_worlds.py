"""The bench drives worlds with what a lidar does not show, as they are typed."""

import json

import pytest

from hybrid_control.cli import main
from hybrid_control.navigation.bench.map_planner import MapPlanner, way_field
from hybrid_control.navigation.bench.scenes import load_scenes, shortest_path, world_digest
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import Thing, World, generate


def test_options_with_words_are_read_where_a_kind_of_world_takes_words():
    scenes = load_scenes("low,look=ground:3")
    assert [s.world.name for s in scenes] == [f"low,look=ground-{k}" for k in range(3)]
    assert {t.look for s in scenes for t in s.world.things} == {"ground"}
    panes = load_scenes("glass,opacity=0.2-0.25,count=9:2-3")
    assert all(0.2 <= t.opacity <= 0.25 for s in panes for t in s.world.things)
    assert load_scenes("patches,forbidden=grass")[0].world.patches[0].kind == "grass"
    for spec, words in (
        ("low,look=zebra:3", "world 'low': look 'zebra', expected one of"),
        ("low,count=many", "'count=many' is no option such as density=0.4"),
        ("forest,look=ground", "'look=ground' is no option such as density=0.4"),
    ):
        with pytest.raises(ValueError) as error:
            load_scenes(spec)
        assert words in str(error.value)


def test_shortest_ways_go_around_things_and_worlds_differ_by_them():
    world = World("w", Pose(), (6.0, 0.0), (-2.0, -4.0, 8.0, 4.0), things=(
        Thing("pane", 3.0, 0.0, 0.02, 4.0, 0.0, 0.0, 1.0, opacity=0.3),
    ))  # fmt: skip
    assert shortest_path(world) > 7.2  # 2 · hypot(3, 2)
    scene, again, other = (load_scenes(f"low{options}")[0] for options in ("", "", ",look=cone"))
    assert world_digest([scene]) == world_digest([again]) != world_digest([other])


def test_what_stands_for_a_planner_leads_around_things():
    world = generate("glass", 0)
    assert way_field(world).passable(0.0, 0.0)
    near = world.things[0].x - 0.8
    heading, _ = MapPlanner(world, 0).wish(Pose(near, 0.0))
    assert abs(heading) > 0.5


@pytest.mark.parametrize("level", ["kinematic", "planar"])
def test_without_a_camera_things_are_touched_and_who_knows_them_gets_there(level, tmp_path):
    line = ["bench", "nav", "--worlds", "low,look=ground:2", "--policy", "straight,planner", "--level", level]
    assert main([*line, "--json", str(tmp_path / "o.json"), "--no-pictures"]) == 0
    rows = json.loads((tmp_path / "o.json").read_text())["episodes"]
    assert all(row["contact"] for row in rows if row["policy"] == "straight")
    assert any(row["success"] for row in rows if row["policy"] == "planner")
