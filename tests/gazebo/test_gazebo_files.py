"""SDF for each release of Gazebo: valid for libsdformat, plugins and parameters as the release's source has them,
bridged topics of the types that the nodes on the other side use."""

import ctypes
import ctypes.util
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from hybrid_control.signals import Pose
from hybrid_control.sim import gazebo
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.quad import QUAD
from hybrid_control.sim.worlds import generate

HERE = Path(__file__).parent
PLUGINS = json.loads((HERE / "gazebo_plugins.json").read_text())
PAIRS = json.loads((HERE / "ros_gz_bridge_pairs.json").read_text())
RELEASES = list(gazebo.RELEASES.values())
each_release = pytest.mark.parametrize("to", RELEASES, ids=lambda r: r.name)


def sdformat() -> ctypes.CDLL:
    """libsdformat, whatever version is there; its C entry points are those behind `gz sdf`. From 15 on it has none."""
    for major in range(14, 11, -1):
        name = ctypes.util.find_library(f"sdformat{major}")
        if name is not None:
            return ctypes.CDLL(name)
    pytest.skip("libsdformat is not installed: apt-get install libsdformat12-12 (Debian 12, Ubuntu 22.04)")


def both(to):
    """A world with a rover and a quadrotor in namespaces of their own."""
    world = generate("default", 1)
    robots = [
        (gazebo.robot_model(JACKAL, to, "one"), gazebo.standing(JACKAL, world.start)),
        (gazebo.robot_model(QUAD, to, "two"), gazebo.standing(QUAD, Pose(0.0, 1.0, 0.5))),
    ]
    return gazebo.world_sdf(world, to, robots=robots)


@each_release
def test_worlds_and_robots_are_valid_for_a_real_parser(to, tmp_path, capfd):
    parser = sdformat()
    for name, text in (
        ("world", both(to)),
        ("crossing", gazebo.world_sdf(generate("crossing", 1), to)),
        ("rover", gazebo.model_sdf(gazebo.robot_model(JACKAL, to))),
        ("quadrotor", gazebo.model_sdf(gazebo.robot_model(QUAD, to))),
    ):
        file = tmp_path / f"{name}.sdf"
        file.write_text(text)
        assert parser.cmdCheck(str(file).encode()) == 0, capfd.readouterr().err
    # the parser does refuse what is wrong
    wrong = tmp_path / "wrong.sdf"
    wrong.write_text(both(to).replace("<child>left_wheel</child>", "<child>nothing</child>"))
    assert parser.cmdCheck(str(wrong).encode()) != 0
    capfd.readouterr()


@each_release
def test_every_plugin_and_parameter_exists_in_the_release(to):
    known = PLUGINS[to.name]["plugins"]
    crossing = ET.fromstring(gazebo.world_sdf(generate("crossing", 1), to))
    plugins = [*ET.fromstring(both(to)).iter("plugin"), *crossing.iter("plugin")]
    # world: 6; rover: 3; quadrotor: 4 rotors, control, odometry; once more the world: 6; each of 5 that move: 4
    assert len(plugins) == 15 + 6 + 20
    for plugin in plugins:
        file, name = plugin.get("filename"), plugin.get("name")
        assert file in known
        assert name in known[file]["classes"], f"{file} has no {name}"
        for element in plugin.iter():
            if element is not plugin:
                assert element.tag in known[file]["parameters"], f"{name} reads no <{element.tag}>"


@each_release
def test_every_bridged_pair_of_types_is_one_that_ros_gz_bridge_converts(to):
    for robot in (JACKAL, QUAD):
        for stamped in (True, False):
            for entry in gazebo.bridge_entries(to, robot, "robot", stamped_cmd_vel=stamped):
                package, _, gz = str(entry["gz_type_name"]).rpartition(".")
                assert package == to.messages
                assert f"{entry['ros_type_name']} {gz}" in PAIRS[to.name]["pairs"]


@each_release
def test_every_bridged_topic_is_one_that_the_model_has(to):
    for robot, more in ((JACKAL, set()), (QUAD, {"/a_b/cmd_vel"})):
        model = gazebo.robot_model(robot, to, "a/b")
        named = {"/clock", *more}
        tags = ("topic", "odom_topic", "tf_topic", "camera_info_topic")
        named |= {e.text for tag in tags for e in model.iter(tag)}
        named.discard("/a/b/ground_truth/tf")  # nobody needs it
        entries = gazebo.bridge_entries(to, robot, "a/b")
        assert {e["gz_topic_name"] for e in entries} == named
        assert all(
            e["gz_topic_name"] in ("/clock", f"/a/b/{e['ros_topic_name']}", "/a_b/cmd_vel") for e in entries
        )
    control = gazebo.robot_model(QUAD, to, "a/b")
    plugin = next(p for p in control.findall("plugin") if str(p.get("name")).endswith("VelocityControl"))
    assert f"/{plugin.findtext('robotNamespace')}/{plugin.findtext('commandSubTopic')}" == "/a_b/cmd_vel"


def test_the_bridge_file_says_what_the_entries_say():
    entries = gazebo.bridge_entries(gazebo.FORTRESS, JACKAL)
    assert yaml.safe_load(gazebo.bridge_yaml(entries)) == entries


def test_only_one_of_two_bridges_carries_the_clock(tmp_path):
    world = generate("open")
    session = gazebo.prepare(
        tmp_path, world, gazebo.HARMONIC, starts={"r1": world.start, "r2": Pose(0.0, 2.0, 1.0)}
    )
    bridges = [yaml.safe_load(robot.bridge_file.read_text()) for robot in session.robots]
    topics = [{e["gz_topic_name"] for e in bridge} for bridge in bridges]
    assert topics[0] & topics[1] == set()
    assert ["/clock" in t for t in topics] == [True, False]
    assert [r.name for r in session.robots] == ["r1", "r2"]
    # 10 m ahead of r1; seen from r2, which stands 2 m to the left and looks 1 rad to the left
    assert session.robots[0].goal == pytest.approx((10.0, 0.0))
    x, y = session.robots[1].goal
    assert (x, y) == pytest.approx((10 * 0.5403023 - 2 * 0.8414710, -10 * 0.8414710 - 2 * 0.5403023))
    spawn = session.robots[1].spawn_arguments(session.world_name)
    assert dict(zip(spawn[::2], spawn[1::2], strict=True)) == {
        "-world": "open", "-file": str(tmp_path / "r2.sdf"), "-name": "r2", "-x": "0", "-y": "2", "-z": "0", "-Y": "1",
    }  # fmt: skip
    assert session.command()[:2] == ["gz", "sim"]
    assert session.command()[-1] == str(session.world_file)


def test_a_drone_flies_to_the_goal_in_the_world_frame(tmp_path):
    world = generate("open")
    robot = gazebo.prepare(tmp_path, world, gazebo.FORTRESS, QUAD, {"": Pose(1.0, 2.0, 3.0)}).robots[0]
    assert robot.goal == world.goal
    assert robot.place.xyz[2] > QUAD.height / 2


def test_what_moves_meets_robots_and_nothing_else():
    root = ET.fromstring(gazebo.world_sdf(generate("crossing", 1), gazebo.FORTRESS))
    masks = {
        model.get("name"): {
            int(c.findtext("surface/contact/collide_bitmask", "65535")) for c in model.iter("collision")
        }
        for model in root.iter("model")
    }
    movers = [masks[f"mover{i}"].pop() for i in range(5)]
    assert all(mask & 65535 for mask in movers)
    for i, mask in enumerate(movers):
        assert not any(mask & other for other in (*masks["obstacles"], *movers[:i]))


def test_what_moves_turns_first_when_the_embedded_simulators_does():
    world = generate("crossing", 1)
    root = ET.fromstring(gazebo.world_sdf(world, gazebo.FORTRESS, gazebo.Physics(0.005)))
    for i, mover in enumerate(world.movers):
        model = next(m for m in root.iter("model") if m.get("name") == f"mover{i}")
        first = model.find("plugin/input[@topic='/clock']")
        sec, nsec = (int(match.text) for match in first.findall("match"))
        # the clock goes in steps of 5 ms, so only a multiple of them is ever seen
        assert nsec % 5_000_000 == 0
        at = sec + nsec * 1e-9
        ends = [math.dist(mover.at(at), end) for end in (mover.a, mover.b)]
        assert min(ends) < 0.01
        end = (f"/mover{i}/from", f"/mover{i}/to")[ends.index(min(ends))]
        plugin = next(p for p in model.findall("plugin") if first in list(p))
        assert end in [o.get("topic") for o in plugin.findall("output")]


@each_release
def test_all_standing_obstacles_are_in_one_model_and_one_link(to):
    world = generate("field", 2)
    root = ET.fromstring(gazebo.world_sdf(world, to))
    models = {m.get("name"): m for m in root.iter("model")}
    assert set(models) == {"ground", "obstacles", "goal_beacon"}
    (link,) = models["obstacles"].findall("link")
    assert len(link.findall("collision")) == len(world.cylinders)
    # what is drawn, a darker foot and the rest, is what is touched
    visuals = {v.get("name"): v for v in link.findall("visual")}
    assert len(visuals) == 2 * len(world.cylinders)
    for collision in link.findall("collision"):
        foot, rest = (visuals[f"{collision.get('name')}_{part}"] for part in ("foot", "visual"))
        lengths = [float(e.findtext("geometry/cylinder/length")) for e in (foot, rest, collision)]
        assert lengths[0] + lengths[1] == pytest.approx(lengths[2])
        radii = {e.findtext("geometry/cylinder/radius") for e in (foot, rest, collision)}
        assert len(radii) == 1
    assert all(m.findtext("static") == "true" for m in models.values())


def test_no_beam_meets_the_goals_beacon_and_nothing_touches_it():
    model = next(
        m for m in ET.fromstring(both(gazebo.FORTRESS)).iter("model") if m.get("name") == "goal_beacon"
    )
    assert not list(model.iter("collision"))
    for visual in model.iter("visual"):
        z = float(visual.findtext("pose").split()[2])
        lengths = [float(e.text) for tag in ("length", "radius") for e in visual.iter(tag)]
        half = lengths[0] / 2 if visual.get("name") == "pole" else lengths[0]
        assert z - half > JACKAL.lidar_z + 0.2


def test_what_moves_is_drawn_in_two_colours_too_and_as_high_as_it_is_felt():
    root = ET.fromstring(gazebo.world_sdf(generate("crossing", 1), gazebo.FORTRESS))
    model = next(m for m in root.iter("model") if m.get("name") == "mover2")
    foot, rest = model.findall("link/visual")
    (collision,) = model.iter("collision")
    assert foot.findtext("material/diffuse") != rest.findtext("material/diffuse")
    spans = []
    for solid in (foot, rest, collision):
        z, length = (
            float(v)
            for v in (solid.findtext("pose", "0 0 0").split()[2], solid.findtext("geometry/cylinder/length"))
        )
        spans.append((z - length / 2, z + length / 2))
    assert spans[0][1] == pytest.approx(spans[1][0])
    assert (spans[0][0], spans[1][1]) == pytest.approx(spans[2])


def test_the_rover_tells_its_true_place_for_the_score_alone():
    model = gazebo.robot_model(JACKAL, gazebo.HARMONIC, "r1")
    (plugin,) = (p for p in model.findall("plugin") if str(p.get("name")).endswith("OdometryPublisher"))
    assert plugin.findtext("odom_topic") == "/r1/ground_truth"
    assert plugin.findtext("odom_frame") == "world"
    assert gazebo.truth_topic(JACKAL) == "ground_truth"
    # a drone's odometry is its place in the world
    assert gazebo.truth_topic(QUAD) == "odom"
    start = Pose(1.0, 2.0, 3.0)
    assert gazebo.odometry_origin(QUAD, start) == Pose()
    assert gazebo.odometry_origin(JACKAL, start) == start


def test_a_drones_two_beams_look_down_and_up_past_its_own_body():
    model = gazebo.robot_model(QUAD, gazebo.FORTRESS)
    sensor = next(e for e in model.iter("sensor") if e.findtext("topic") == "/range/vertical")
    # turned by a quarter about x, so that its y is up: -90 degrees is down
    assert [float(v) for v in sensor.findtext("pose").split()] == pytest.approx([0, 0, 0, math.pi / 2, 0, 0])
    scan = sensor.find("lidar/scan/horizontal")
    assert scan.findtext("samples") == "2"
    assert float(scan.findtext("min_angle")) == pytest.approx(-math.pi / 2)
    assert float(scan.findtext("max_angle")) == pytest.approx(math.pi / 2)
    assert float(sensor.findtext("lidar/range/min")) > QUAD.height / 2
    assert "/range/vertical" not in {
        e.text for e in gazebo.robot_model(JACKAL, gazebo.FORTRESS).iter("topic")
    }


def test_a_drone_flies_round_the_obstacles_of_its_world_and_not_over_them(tmp_path):
    world = generate("forest", 1)
    heights = []
    for robot in (JACKAL, QUAD):
        session = gazebo.prepare(tmp_path / robot.name, world, gazebo.IONIC, robot)
        root = ET.fromstring(session.world_file.read_text())
        (obstacles,) = (m for m in root.iter("model") if m.get("name") == "obstacles")
        heights.append([float(c.findtext("geometry/cylinder/length")) for c in obstacles.iter("collision")])
    assert max(heights[0]) < 1.3
    assert min(heights[1]) > 3 * QUAD.hover_height


def test_physics_are_as_asked():
    world = generate("open")
    root = ET.fromstring(gazebo.world_sdf(world, gazebo.IONIC, gazebo.Physics(0.004, 0.5, "ogre")))
    assert float(root.findtext("world/physics/max_step_size")) == 0.004
    assert float(root.findtext("world/physics/real_time_factor")) == 0.5
    assert root.findtext("world/plugin/render_engine") == "ogre"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: gazebo.Physics(step=0.5), "a step of 0.5 s"),
        (lambda: gazebo.Physics(real_time_factor=-1), "real-time factor of -1"),
        (lambda: gazebo.Physics(render_engine="vulkan"), "'vulkan'; expected ogre2 or ogre"),
        (lambda: gazebo.release("garden"), "'garden'; there are fortress, harmonic, ionic"),
        (lambda: gazebo.robot_model(JACKAL, gazebo.IONIC, "two words"), "namespace 'two words'"),
        (lambda: gazebo.robot_model(JACKAL, gazebo.IONIC, lidar_rate=0), "a rate of 0 Hz"),
    ],
)
def test_what_is_impossible_is_refused_in_one_line(call, reason):
    with pytest.raises(ValueError, match=reason) as refusal:
        call()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "expected"), [("jazzy", "harmonic"), ("Kilted", "ionic"), ("fortress", "fortress")]
)
def test_a_release_is_known_by_its_name_or_its_ros(name, expected):
    assert gazebo.release(name).name == expected
