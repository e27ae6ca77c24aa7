"""The embedded simulator as parts of a hybrid file: a robot as a plant, and a camera that is carried along a way."""

import numpy as np
import pytest

from hybrid_control.cli import main
from hybrid_control.cosim import HybridError, PartError, load, run
from hybrid_control.cosim.results import results
from hybrid_control.cosim.scheduler import seed_of
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World, generate
from hybrid_control.sim.worlds.files import write_npz

FILE = """
hybrid: 1
seed: 5
until: 0.6 s
parts:
  driver: {source: [[0.8, 0.4]], period: 20 ms}
  robot: {plant: sim, world: default, seed: 3, level: physics, period: 20 ms}
links:
  - driver -> robot.command
record: [robot.pose, robot.scan, robot.odometry, robot.velocity, robot.goal, robot.bearing, robot.done]
"""
SEEN = FILE.replace("record: [", "record: [robot.camera, ")
CARRIED = """
hybrid: 1
until: 0.2 s
parts:
  view:
    {source: sim, world: crossing, seed: 3, camera: [40, 30], path: [[0.05, 0, 0, 3], [0.15, 1, 2, -3]], period: 50 ms}
record: [view.out]
"""


@pytest.fixture
def hybrid(tmp_path):
    def of(text, *changes):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "a.hybrid.yaml").write_text(text)
        return load(tmp_path / "a.hybrid.yaml")

    return of


def equal(one, other):
    assert one.series.keys() == other.series.keys()
    for name in one.series:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("level", ["physics", "kinematic"])
def test_cosim_sim_a_robot_in_a_file_does_what_the_simulator_does(hybrid, level):
    given = run(hybrid(FILE, ("physics", level)))
    kind = Simulator if level == "physics" else KinematicSimulator
    simulator = kind(generate("default", 3), JACKAL, seed_of(5, "robot"), camera=False)
    scan, odometry = simulator.scan(), simulator.truth()
    for k in range(30):
        pose = simulator.pose
        assert given["robot.pose"][k].tolist() == [pose.x, pose.y, pose.yaw]
        assert given["robot.scan"][k].tolist() == np.minimum(scan.ranges, 10.0).tolist()
        believed, twist = odometry.pose, odometry.twist
        assert given["robot.odometry"][k].tolist() == [believed.x, believed.y, believed.yaw]
        assert given["robot.velocity"][k].tolist() == [twist.linear_x, twist.angular_z]
        simulator.apply(Twist(0, linear_x=0.8, angular_z=0.4))
        for event in simulator.advance((k + 1) * 20_000_000):
            scan = event.value if event.kind == "scan" else scan
            odometry = event.value if event.kind == "odometry" else odometry
    assert given["robot.pose"][-1, 0] > 0.25
    distance, *direction = given["robot.goal"][-1]
    bearing = given["robot.bearing"][-1, 0]
    assert direction == pytest.approx([np.cos(bearing), np.sin(bearing)])
    x, y, yaw = given["robot.odometry"][-1]
    assert [x + distance * np.cos(yaw + bearing), y + distance * np.sin(yaw + bearing)] == pytest.approx([10.0, 0.0])


def test_cosim_sim_a_robot_stands_where_nothing_is_linked_to_its_command_and_does_what_a_link_begins_with(hybrid):
    still = run(hybrid(FILE, ("  - driver -> robot.command\n", "")))
    assert np.abs(still["robot.pose"]).max() < 1e-3
    late = ("- driver -> robot.command", "- {from: driver, to: robot.command, delay: 1 s, initial: 0.5}")
    moved = run(hybrid(FILE, late))
    assert moved["robot.pose"][-1, 0] > 0.2
    assert moved["robot.pose"][-1, 2] > 0.1


@pytest.mark.parametrize("text", [SEEN, FILE.replace("physics", "kinematic")], ids=["physics", "kinematic"])
def test_cosim_sim_the_same_file_and_seed_give_the_same_bits_and_so_does_a_snapshot(hybrid, text):
    first = run(hybrid(text))
    equal(first, run(hybrid(text)))
    made = hybrid(text)
    scheduler = made.scheduler()
    scheduler.reset(5)
    scheduler.advance(200_000_001)
    snapshot = scheduler.snapshot()
    for _ in range(2):
        scheduler.advance(made.until_ns)
        after = results(scheduler, 0.0)
        for name in made.recorded:
            np.testing.assert_array_equal(after[name][-19:], first[name][-19:], err_msg=name)
        scheduler.restore(snapshot)


def test_cosim_sim_a_hybrid_of_another_seed_has_other_noise_in_the_same_world(hybrid):
    one, other = run(hybrid(FILE)), run(hybrid(FILE, ("seed: 5", "seed: 6")))
    met = one["robot.scan"][0] < 10.0
    difference = np.abs(one["robot.scan"][0] - other["robot.scan"][0])[met]
    assert 0.0 < np.median(difference) < 0.05
    elsewhere = run(hybrid(FILE, ("seed: 3", "seed: 4")))
    assert np.median(np.abs(one["robot.scan"][0] - elsewhere["robot.scan"][0])[met]) > 0.05


def test_cosim_sim_the_camera_is_there_where_it_is_named_and_has_its_own_rate(hybrid):
    assert "camera" not in hybrid(FILE).parts["robot"].outputs
    images = run(hybrid(SEEN, ("seed: 3,", "seed: 3, camera: [80, 60],")))["robot.camera"]
    assert images.shape == (30, 60, 80, 3)
    assert images.max() > 200.0
    assert (images == images.astype(np.uint8)).all()
    drawn = 1 + (np.abs(np.diff(images, axis=0)).max(axis=(1, 2, 3)) > 0).sum()
    assert drawn == 1 + 8  # at 0 and then 15 Hz; that of 0.6 s would be the ninth


def test_cosim_sim_a_contact_is_counted_and_ends_the_way_as_the_goal_does(hybrid, tmp_path):
    near = ("{plant: sim, world: default, seed: 3, level: physics", "{plant: sim, world: near.npz, level: kinematic")
    made = (near, ("until: 0.6 s", "until: 4 s"), ("0.4]", "0.0]"), ("record: [", "record: [robot.contacts, "))
    world = World("near", Pose(), (1.5, 0.0), (-1, -1, 3, 1), np.array([[2.5, 0.0, 0.2]]))
    write_npz(tmp_path / "near.npz", world)
    given = run(hybrid(FILE, *made))
    arrived = np.flatnonzero(given["robot.done"][:, 0])[0]
    assert given["robot.pose"][arrived, 0] == pytest.approx(1.0, abs=0.03)
    assert given["robot.contacts"][[arrived, -1], 0].tolist() == [0.0, 1.0]
    assert given["robot.pose"][-1, 0] == pytest.approx(2.3 - JACKAL.length / 2, abs=0.01)


def test_cosim_sim_a_drone_takes_four_numbers_and_has_ranges_up_and_down(hybrid):
    fly = ("world: default, seed: 3", "world: forest, robot: quad")
    given = run(hybrid(FILE, fly, ("0.8, 0.4", "0.8, 0.0, 0.3, 0.4"), ("record: [", "record: [robot.vertical, ")))
    up, down = given["robot.vertical"][-1]
    assert up > down > given["robot.vertical"][0, 1]
    assert given["robot.velocity"].shape == (30, 4)


@pytest.mark.parametrize("level", ["physics", "kinematic"])
def test_cosim_sim_a_mecanum_base_takes_three_numbers_and_goes_sideways(hybrid, level):
    aside = ("world: default, seed: 3", "world: open, robot: mecanum")
    given = run(hybrid(FILE, aside, ("0.8, 0.4", "0.0, 0.5, 0.0"), ("physics", level)))
    # 0.5 m/s for 0.6 s, less 0.0625 m of ramp, seen a period before the end
    x, y, _ = given["robot.pose"][-1] - given["robot.pose"][0]
    assert (x, y) == pytest.approx((0.0, 0.5 * 0.58 - 0.0625), abs=0.01)
    assert given["robot.velocity"][-1] == pytest.approx([0.0, 0.5, 0.0], abs=0.02)


def test_cosim_sim_a_carried_camera_sees_what_the_robot_would_see_there(hybrid):
    given = run(hybrid(CARRIED))
    views = {0: (0, 0, 0, 3.0), 1: (50, 0, 0, 3.0), 2: (100, 0.5, 1.0, np.pi), 3: (150, 1.0, 2.0, -3.0)}
    robot = hybrid(CARRIED).parts["view"]._simulator.robot
    assert (robot.camera_width, robot.camera_height) == (40, 30)
    with Simulator(generate("crossing", 3), robot) as simulator:
        for k, (ms, x, y, yaw) in views.items():
            simulator.time_ns = ms * 1_000_000
            simulator.place(Pose(x, y, yaw))
            assert np.abs(simulator.camera().astype(float) - given["view.out"][k]).mean() < 0.5
    assert np.abs(given["view.out"][2] - given["view.out"][1]).mean() > 2.0


def test_cosim_sim_parts_that_draw_stay_in_one_thread(hybrid):
    late = ("period: 20 ms}\nlinks", "period: 20 ms, latency: 10 ms, beside: true}\nlinks")
    equal(run(hybrid(SEEN)), run(hybrid(SEEN, late)))


@pytest.mark.parametrize(("change", "says"), [
    (("world: default", "world: defualt"), "robot: unknown world 'defualt'; there are default"),
    (("world: default", "world: none.npz"), "robot: .*none.npz: No such file"),
    (("level: physics", "robot: jakcal"), "robot: unknown robot 'jakcal'; there are burger, car, jackal"),
    (("level: physics", "level: planar"), "robot: level: 'planar'; there are physics and kinematic"),
    (("level: physics", "levle: physics"), "robot: unknown 'levle' for a part of the kind plant"),
    (("level: physics", "camera: [80, 6000]"), r"robot: camera: \[80, 6000\]; expected \[width, height\]"),
    (("level: physics", "goal_cap: ten"), "robot: goal_cap: 'ten' must be a number of m above 0"),
    (("seed: 3", "seed: x"), "robot: seed: 'x' must be a whole number"),
    (("[robot.pose", "[robot.camera"), None),
    (("3, level: physics, period: 20 ms", "3, period: 3 ms"), "robot: period: 3 ms; expected a multiple of the simu"),
    (("[[0.8, 0.4]]", "[[0.8, 0.4, 0.0]]"), r"shape \(3,\), and values of shape \(2,\) are taken"),
    (("level: physics", "robot: quad, level: kinematic"), "robot: kinematic simulator: the robot 'quad' has no wheels"),
])  # fmt: skip
def test_cosim_sim_what_a_robot_cannot_be_is_one_line_that_names_file_and_part(hybrid, tmp_path, capsys, change, says):
    if says is None:
        change, says = (change[0], f"{change[1]}, robot.pose"), "robot: camera: the level kinematic has no pictures"
        text = FILE.replace("level: physics", "level: kinematic")
    else:
        text = FILE
    with pytest.raises((HybridError, OSError), match=says) as error:
        hybrid(text, change).scheduler()
    assert "\n" not in str(error.value)
    assert main(["cosim", "check", str(tmp_path / "a.hybrid.yaml")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(("path", "says"), [
    ("[0, 1, 2]", r"view: path: expected rows of 4 numbers, \[time in s"),
    ("here", "view: path: expected rows of 4 numbers"),
    ("[[1, 0, 0, 0], [1, 2, 0, 0]]", "view: path: each row's time must be later"),
])  # fmt: skip
def test_cosim_sim_a_way_that_is_none_is_refused(hybrid, path, says):
    with pytest.raises(HybridError, match=says):
        hybrid(CARRIED, ("[[0.05, 0, 0, 3], [0.15, 1, 2, -3]]", path))


def test_cosim_sim_a_command_that_is_no_number_ends_it_with_the_part_and_the_time(hybrid):
    with pytest.raises(PartError, match=r"driver: .*0 ns"):
        run(hybrid(FILE, ("[[0.8, 0.4]]", "[[0.8, .nan]]")))
