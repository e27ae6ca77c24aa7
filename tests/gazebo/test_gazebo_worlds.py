"""Worlds written as SDF, MJCF and npz come back the same; files that are none are refused in one line."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybrid_control.cli import main
from hybrid_control.signals import Pose
from hybrid_control.sim import gazebo
from hybrid_control.sim.model import Appearance, build_mjcf
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.quad import QUAD
from hybrid_control.sim.worlds import Mover, Thing, World, generate, load_world, read_world
from hybrid_control.sim.worlds.files import read_npz, write_npz
from hybrid_control.sim.worlds.mjcf import read_mjcf
from hybrid_control.sim.worlds.thing import KINDS, LOOKS


def same(read, world, exact=False, movers=1e-6):
    """The same obstacles whatever their order, start, goal and bounds; numbers in XML have nine digits.

    movers: tolerance of theirs; in SDF a trip takes whole milliseconds, which changes the speed a little.
    """
    tolerance = 0.0 if exact else 1e-6
    for name in ("cylinders", "boxes"):
        found, expected = getattr(read, name), getattr(world, name)
        np.testing.assert_allclose(
            np.unique(found, axis=0), np.unique(expected, axis=0), atol=tolerance, rtol=0
        )
    for name in ("goal", "bounds"):
        np.testing.assert_allclose(getattr(read, name), getattr(world, name), atol=tolerance, rtol=0)
    a, b = read.start, world.start
    np.testing.assert_allclose((a.x, a.y, a.yaw), (b.x, b.y, b.yaw), atol=tolerance, rtol=0)
    for found, expected in zip(read.movers, world.movers, strict=True):
        np.testing.assert_allclose(
            (found.radius, *found.a, *found.b, found.speed, found.phase),
            (expected.radius, *expected.a, *expected.b, expected.speed, expected.phase),
            atol=movers,
        )
    for found, expected in zip(read.things, world.things, strict=True):
        np.testing.assert_allclose(found.row, expected.row, atol=tolerance, rtol=0)


def barn_file(tmp_path):
    rng = np.random.default_rng(0)
    file = tmp_path / "barn.npz"
    centers = rng.uniform((-2, 3), (2, 8), (40, 2))
    np.savez(
        file, centers=np.concatenate((centers, centers)), offsets=np.array([0, 80]), radius=0.075,
        path_length=np.array([11.0]), start=np.array([-2.25, -3.0, 1.57]), goal=np.array([-2.25, 13.0]),
        world_id=np.array([6]),
    )  # fmt: skip
    return f"{file}:6"


def arena_file(tmp_path):
    file = tmp_path / "arena.json"
    outer = [[-1, -1], [6, -1], [6, 5], [-1, 5]]
    inner = [[2, 1], [3, 1.5], [2.5, 3]]
    content = {"polygons": [outer, inner], "starts": [[0, 0, 0.5], [0, 1, 0]], "goals": [[5, 4], [5, 3]]}
    file.write_text(json.dumps(content))
    return f"{file}:1"


def gazebo_file(tmp_path):
    file = tmp_path / "made.sdf"
    file.write_text(gazebo.world_sdf(generate("rooms", 5), gazebo.IONIC))
    return str(file)


SOURCES = {
    "default": lambda _: "default",
    "corridor": lambda _: "corridor",
    "rooms": lambda _: "rooms",
    "crossing": lambda _: "crossing",
    "open": lambda _: "open",
    "barn": barn_file,
    "polygons": arena_file,
    "gazebo": gazebo_file,
}


@pytest.mark.parametrize("kind", ["sdf", "mjcf", "npz"])
@pytest.mark.parametrize("source", list(SOURCES))
def test_a_world_that_is_exported_and_read_is_the_same_world(source, kind, tmp_path, capsys):
    name = SOURCES[source](tmp_path)
    file = tmp_path / f"out{'.xml' if kind == 'mjcf' else '.' + kind}"
    status = main(["world", "export", name, "--format", kind, "--out", str(file), "--seed", "3"])
    assert status == 0, capsys.readouterr().err
    world, read = load_world(name, 3), load_world(str(file))
    assert len(world.cylinders) + len(world.boxes) > 0 or source == "open"
    same(read, world, exact=kind == "npz", movers=1e-3 if kind == "sdf" else 1e-6)
    if kind == "npz":
        assert read.name == world.name


@pytest.mark.parametrize("robot", ["jackal", "quad", "none"])
@pytest.mark.parametrize("release", list(gazebo.RELEASES))
def test_the_robot_that_stands_in_the_file_is_no_obstacle(release, robot, tmp_path):
    file = tmp_path / "w.sdf"
    line = ["world", "export", "forest", "--gazebo", release, "--robot", robot, "--out", str(file)]
    assert main(line) == 0
    text = file.read_text()
    assert ('<model name="jackal">' in text, '<model name="quad">' in text) == (
        robot == "jackal",
        robot == "quad",
    )
    same(read_world(file), generate("forest", 0))


def test_physics_are_arguments_of_the_export(tmp_path):
    file = tmp_path / "w.sdf"
    line = [
        "world",
        "export",
        "open",
        "--physics-step",
        "0.005",
        "--real-time-factor",
        "0",
        "--out",
        str(file),
    ]
    assert main([*line, "--render-engine", "ogre"]) == 0
    text = file.read_text()
    for element in ("<max_step_size>0.005<", "<real_time_factor>0<", "<render_engine>ogre<"):
        assert element in text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (["nowhere"], "unknown world 'nowhere'"),
        (["absent.npz"], "No such file"),
        (["absent.npz:3"], "No such file"),
        (["absent.npz:x"], "no world 'x'; expected its number"),
        (["default", "--gazebo", "classic"], "unknown Gazebo release 'classic'"),
        (["default", "--robot", "horse"], "unknown robot 'horse'"),
        (["default", "--physics-step", "1"], "a step of 1.0 s"),
        (["default", "--format", "mjcf", "--robot", "none"], "always holds the robot"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(line, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["world", "export", *line]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


numbers = st.floats(-50, 50, allow_nan=False).map(lambda v: round(v, 3))
sizes = st.floats(0.02, 0.4).map(lambda v: round(v, 3))
cylinders = st.lists(st.tuples(numbers, numbers, sizes), max_size=8)
boxes = st.lists(st.tuples(numbers, numbers, sizes, sizes, st.floats(-1.5, 1.5)), max_size=8)
heights = st.floats(0.01, 2.0).map(lambda v: round(v, 3))


@st.composite
def things(draw):
    kind, look = draw(st.sampled_from(KINDS)), draw(st.sampled_from(LOOKS))
    low, high = draw(heights), draw(heights)
    bottom, top = (-high, 0.0) if kind == "hole" else (low, round(low + high, 3))
    opacity = round(draw(st.floats(0.05, 0.5)), 3) if kind == "pane" else 1.0
    place = draw(numbers), draw(numbers), draw(sizes), draw(sizes), draw(st.floats(-1.5, 1.5))
    return Thing(kind, *place, bottom, top, look, opacity)


START, GOAL = Pose(-60.0, 60.0, 1.0), (60.0, -60.0)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(cylinders, boxes, st.lists(things(), max_size=8))
@example([], [(0.0, 0.0, 0.25, 0.25, 2.2e-309)], [])
def test_any_world_comes_back_from_sdf_mjcf_and_npz(tmp_path_factory, round_things, square_things, hidden):
    movers = (Mover(0.2, (1.0, 2.0), (3.0, -4.0), 0.7, 0.25),)
    bounds = (-70.0, -70.0, 70.0, 70.0)
    standing = np.array(round_things), np.array(square_things)
    moving = World("some", START, GOAL, bounds, *standing, movers, things=tuple(hidden))
    folder = tmp_path_factory.mktemp("worlds")
    (folder / "w.sdf").write_text(gazebo.world_sdf(moving, gazebo.FORTRESS))
    (folder / "w.xml").write_text(build_mjcf(moving, JACKAL, Appearance(1), 0.002))
    write_npz(folder / "w.npz", moving)
    same(read_world(folder / "w.sdf"), moving, movers=1e-3)
    same(read_world(folder / "w.xml"), moving)
    same(read_world(folder / "w.npz"), moving, exact=True)


def test_a_mujoco_model_of_others_needs_a_start_and_a_goal(tmp_path):
    file = tmp_path / "other.xml"
    file.write_text(
        '<mujoco><worldbody><geom type="plane" size="5 5 1"/>'
        '<body pos="1 2 0.5" euler="0 0 90"><geom type="box" size="0.3 0.1 0.5"/></body>'
        '<geom type="cylinder" size="0.2 0.5" pos="3 0 0.5"/>'
        '<geom type="sphere" size="0.2" pos="9 9 1" contype="0" conaffinity="0"/></worldbody></mujoco>'
    )
    with pytest.raises(ValueError, match="start and goal must be given"):
        read_world(file)
    world = read_mjcf(file, Pose(), (5.0, 0.0))
    np.testing.assert_allclose(world.cylinders, [[3.0, 0.0, 0.2]])
    np.testing.assert_allclose(world.boxes, [[1.0, 2.0, 0.6, 0.2, np.pi / 2]], atol=1e-7)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("w.xml", "<mujoco><worldbody>", "not a MuJoCo model"),
        (
            "w.xml",
            '<mujoco><worldbody><geom type="sphere" size="1"/></worldbody></mujoco>',
            "neither a cylinder nor",
        ),
        (
            "w.xml",
            '<mujoco><worldbody><geom type="box" size="1 1 1" euler="30 0 0"/></worldbody></mujoco>',
            "is tilted",
        ),
        ("w.npz", "no zip", "not an npz file of a world"),
        ("w.txt", "", "unknown ending"),
        ("w.json", '{"polygons": [], "starts": [[0, 0, 0]], "goals": [[1, 1]]}', "no start number 4"),
    ],
)
def test_files_that_are_no_worlds_are_refused(name, content, reason, tmp_path):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ValueError, match=reason) as refusal:
        read_world(file, 4 if name == "w.json" else None)
    assert "\n" not in str(refusal.value)


def test_an_index_after_a_file_of_one_world_is_refused(tmp_path):
    (tmp_path / "w.sdf").write_text("")
    with pytest.raises(ValueError, match="2 after a file that holds one world"):
        read_world(tmp_path / "w.sdf", 2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 3000), st.binary(min_size=1, max_size=40))
def test_damaged_npz_files_are_refused_or_read_as_a_world(tmp_path_factory, place, junk):
    folder = tmp_path_factory.mktemp("npz")
    write_npz(folder / "w.npz", generate("default", 0))
    content = (folder / "w.npz").read_bytes()
    at = place % len(content)
    (folder / "w.npz").write_bytes(content[:at] + junk + content[at + len(junk) :])
    said = ""
    try:
        read_npz(folder / "w.npz")
    except ValueError as error:
        said = str(error)
    assert "\n" not in said


def test_a_quadrotor_stands_on_the_ground_in_the_file():
    at = gazebo.standing(QUAD, Pose(1.0, 2.0, 0.5))
    assert at.xyz == (1.0, 2.0, pytest.approx(QUAD.height / 2, abs=0.01))
    assert gazebo.standing(JACKAL, Pose(1.0, 2.0, 0.5)).xyz == (1.0, 2.0, 0.0)
