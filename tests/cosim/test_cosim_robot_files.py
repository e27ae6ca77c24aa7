"""The hybrids in config/hybrids/robot, and the robot's own parts in a file."""

from pathlib import Path

import numpy as np
import pytest

from hybrid_control import cosim
from hybrid_control.bench.steering import steering_network
from hybrid_control.cli import main
from hybrid_control.cosim import HybridError, run
from hybrid_control.cosim.results import results
from hybrid_control.cosim.scheduler import seed_of
from hybrid_control.navigation.drive import Navigator, robot_hybrid
from hybrid_control.navigation.hybrids import load
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import generate
from hybrid_control.snn import Network

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "hybrids" / "robot"
FILE = FOLDER / "robot.hybrid.yaml"
UNTIL = 1_500_000_000


def test_cosim_the_robots_hybrid_from_a_file_does_what_drive_does_to_the_bit():
    file = load(FILE)
    file.until_ns = UNTIL
    simulator = Simulator(generate("default", 3), JACKAL, seed_of(3, "world"))
    own, judge = robot_hybrid(
        Navigator(TimedPlanner(Planner())), simulator, JACKAL, seed=seed_of(3, "spikes")
    )
    own.record, own.until_ns, own.seed = ["world.truth", "reflex.command"], UNTIL, 3
    from_file, from_code = run(file).messages, run(own).messages
    assert len(from_code["reflex.command"]) == 149
    assert from_file["reflex.command"] == from_code["reflex.command"]
    assert from_file["world.truth"] == from_code["world.truth"]
    assert judge.episode().path > 0.5
    assert judge.episode().modes["HYBRID"] > 0.9


def test_cosim_the_robots_hybrid_from_a_file_goes_on_from_a_snapshot_to_the_bit_and_follows_its_seed():
    file, commands = load(FILE), []
    scheduler = file.scheduler()
    scheduler.reset(file.seed)
    scheduler.advance(500_000_001)
    snapshot = scheduler.snapshot()
    for seed in (None, None, file.seed, file.seed + 1):
        if seed is None:
            scheduler.restore(snapshot)
        else:
            scheduler.reset(seed)
        scheduler.advance(900_000_001)
        commands.append(results(scheduler, 0.0).messages["reflex.command"][-40:])
    assert commands[0] == commands[1] == commands[2]
    assert commands[0] != commands[3]


def test_cosim_example_steering_brings_the_robot_to_the_goal_and_touches_nothing():
    given = run(load(FOLDER / "steering.hybrid.yaml"))
    arrived = np.flatnonzero(given["robot.done"][:, 0])[0]
    assert given["robot.contacts"][arrived, 0] == 0.0
    assert np.hypot(*(given["robot.pose"][arrived, :2] - [10.0, 0.0])) < 0.5
    assert given["snn.near"].sum() > 10_000


def test_cosim_example_steering_has_the_network_that_the_code_makes():
    kept, made = Network.load(FOLDER / "steering.nir"), steering_network()
    assert sorted(kept.edges) == sorted(made.edges)
    for name, node in made.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray):
                assert np.allclose(value, getattr(kept.nodes[name], field), atol=1e-12), (name, field)


@pytest.mark.parametrize(("change", "says"), [
    (("navigation: guide", "navigation: guard"), "guide: navigation: 'guard'; there are world, guide, planner"),
    (("guide, goal: [10, 0]", "guide, goal: 10"), r"guide: goal: 10; expected \[x, y\] in m"),
    (("reflex, goal: [10, 0],", "reflex,"), r"reflex: goal: None; expected \[x, y\] in m"),
    (("guide, goal", "guide, rate: 0, goal"), "guide: rate: 0 must be in 0 .. 1000 Hz"),
    (("reflex, goal", "reflex, gains: 3, goal"), "reflex: gains: 3; expected values by name"),
    (("reflex, goal", "reflex, gains: {sped: 3}, goal"), "reflex: .*sped"),
    (("reflex, goal", "reflex, robot: jakcal, goal"), "reflex: unknown robot 'jakcal'; there are burger, car, jackal"),
    (("planner, latency", "planner, model: none.onnx, latency"), "planner: .*none.onnx: no such file"),
    (("spikes, period", "spikes, code: x, period"), "spikes: unknown 'code' for a part of the kind navigation"),
    (("- world.scan -> guide.scan", "- world.truth -> robot.scan"), "no part 'robot'"),
])  # fmt: skip
def test_cosim_what_is_wrong_with_the_robots_parts_is_one_line_that_names_file_and_part(tmp_path, capsys, change, says):
    text = FILE.read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "a.hybrid.yaml").write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(HybridError, match=says) as error:
        load(tmp_path / "a.hybrid.yaml")
    assert "\n" not in str(error.value)
    assert main(["cosim", "check", str(tmp_path / "a.hybrid.yaml")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_cosim_by_itself_knows_nothing_of_navigation():
    with pytest.raises(HybridError, match=r"world: expected one kind of ann, snn.* there is none"):
        cosim.load(FILE)


def test_cosim_check_prints_what_a_robot_takes_and_gives(capsys):
    assert main(["cosim", "check", str(FOLDER / "steering.hybrid.yaml")]) == 0
    out = capsys.readouterr().out
    assert "robot    every 10 ms: command values 2 => scan values 360, odometry values 3, velocity values 2" in out
    assert "camera values 60x80x3" in out
    assert main(["cosim", "check", str(FILE)]) == 0
    assert "reflex   every 10 ms: scan messages, odometry messages" in capsys.readouterr().out


def test_cosim_a_robot_can_be_debugged_step_by_step_and_back(capsys):
    commands = "until 50 ms; until robot.velocity > 0.1; show robot; back 30 ms; show robot"
    assert main(["cosim", "debug", str(FOLDER / "steering.hybrid.yaml"), "--commands", commands]) == 0
    assert "robot: " in capsys.readouterr().out


def test_docs_list_every_hybrid_of_the_robot():
    page = (ROOT / "docs" / "cosim.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.hybrid.yaml"):
        assert f"(../config/hybrids/robot/{path.name})" in page
