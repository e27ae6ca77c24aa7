"""The robot's own loop as a hybrid: what passes between its parts, lost runs, and snapshots from which it goes on."""

import dataclasses
import json

import numpy as np
import pytest
from mcap.reader import make_reader

from hybrid_control.cli import main
from hybrid_control.cosim import PartError, run
from hybrid_control.cosim.results import results
from hybrid_control.navigation.bench.dwa import Dwa
from hybrid_control.navigation.bench.map_planner import MapPlanner
from hybrid_control.navigation.bench.mppi import Mppi
from hybrid_control.navigation.bench.planner_alone import PlannerAlone
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.drive import Navigator, drive, robot_hybrid
from hybrid_control.navigation.episode import WINDOW_NS, Rules
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.timed import PlannerFault, TimedPlanner
from hybrid_control.navigation.states import read
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.quad import QUAD
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import generate

RULES = Rules(duration=4.0)


@pytest.fixture(scope="module")
def world():
    (scene,) = load_scenes("field:1", 31)
    return scene.world


def planar(world, **fault):
    planner = TimedPlanner(MapPlanner(world, 5), fault=PlannerFault(**fault))
    return Navigator(planner), KinematicSimulator(world, JACKAL, 5, camera=True)


def with_states(world):
    settled = read(contract.DEFAULT_MODEL)
    planner = TimedPlanner(MapPlanner(world, 5, settled))
    driver = Navigator(planner, settings={"planner_states": True})
    return driver, KinematicSimulator(world, JACKAL, 5, camera=True)


def same(one, other):
    assert dataclasses.asdict(one) | {"way": 0} == dataclasses.asdict(other) | {"way": 0}
    np.testing.assert_array_equal(one.way, other.way)


def physics(world):
    return Navigator(TimedPlanner(Planner())), Simulator(world, JACKAL, 5)


def flying(world):
    return Navigator(None, QUAD), Simulator(generate("forest", 2), QUAD, 2, camera=False)


def baseline(driver):
    return lambda world: (driver, KinematicSimulator(world, JACKAL, 5))


def planner_alone(world):
    return PlannerAlone(TimedPlanner(MapPlanner(world, 5))), KinematicSimulator(world, JACKAL, 5, camera=True)


@pytest.mark.parametrize(
    "make", [planar, with_states, physics, flying, baseline(Dwa()), baseline(Mppi()), planner_alone],
    ids=["planar", "states", "physics", "drone", "dwa", "mppi", "planner"],
)  # fmt: skip
def test_cosim_robot_goes_on_from_a_snapshot_to_the_bit(world, make):
    driver, simulator = make(world)
    hybrid, judge = robot_hybrid(driver, simulator, simulator.robot, RULES, seed=5)
    scheduler = hybrid.scheduler()
    scheduler.reset(5)
    scheduler.advance(150 * WINDOW_NS + 1)
    snapshot = scheduler.snapshot()
    episodes = []
    for _ in range(2):
        scheduler.advance(300 * WINDOW_NS + 1)
        episodes.append(judge.episode())
        scheduler.restore(snapshot)
    same(*episodes)
    assert len(episodes[0].way) == 30
    scheduler.reset(5)
    scheduler.advance(300 * WINDOW_NS + 1)
    same(judge.episode(), episodes[0])


def test_cosim_robot_what_passes_between_its_parts_is_recorded(world):
    driver, simulator = planar(world)
    hybrid, _ = robot_hybrid(driver, simulator, JACKAL, RULES, seed=5)
    hybrid.record = ["planner.rates", "spikes.spikes", "guide.waypoint", "reflex.command", "world.scan"]
    scheduler = hybrid.scheduler()
    scheduler.reset(5)
    scheduler.advance(400 * WINDOW_NS + 1)
    messages = results(scheduler, 0.0).messages
    assert len(messages["reflex.command"]) == 400
    assert len(messages["planner.rates"]) == pytest.approx(4 * 15, abs=1)
    for time_ns, rates in messages["planner.rates"]:
        assert time_ns == rates.stamp_ns + 40_000_000  # a latency after the image
    first = messages["spikes.spikes"][0].time_ns
    arrived = messages["planner.rates"][0].time_ns
    assert arrived <= first < arrived + WINDOW_NS
    assert {scan.stamp_ns for _, scan in messages["world.scan"]} == {t for t, _ in messages["world.scan"]}
    assert messages["guide.waypoint"]


def test_cosim_robot_s_planner_says_states_now_and_then_and_the_reflex_takes_them_up(world):
    driver, simulator = with_states(world)
    hybrid, _ = robot_hybrid(driver, simulator, JACKAL, RULES, seed=5)
    hybrid.record = ["planner.states", "planner.rates"]
    scheduler = hybrid.scheduler()
    scheduler.reset(5)
    scheduler.advance(400 * WINDOW_NS + 1)
    messages = results(scheduler, 0.0).messages
    said = [states.stamp_ns for _, states in messages["planner.states"]]
    assert said[0] == messages["planner.rates"][0].value.stamp_ns  # the first plan brings them along
    assert 1 <= len(said) < len(messages["planner.rates"]) / 4
    assert int(driver.reflex.context["states"]["sequence"][0]) == len(said)
    assert driver.reflex.refused == 0


def test_cosim_robot_whose_planner_loses_runs_is_led_by_the_rest_and_by_none_where_all_are_lost(world):
    shares = {}
    for lost in (0.0, 0.5, 1.0):
        episodes = [drive(*planar(world, lost=lost), JACKAL, RULES, 5) for _ in range(2)]
        same(*episodes)
        shares[lost] = episodes[0].modes.get("HYBRID", 0.0)
    assert shares[1.0] == 0.0 < shares[0.5] <= shares[0.0]


def test_cosim_robot_a_sensor_whose_link_is_late_is_as_old_as_that_to_the_reflex(world):
    """A scan that takes longer than a scan may is refused, and says so."""
    driver, simulator = planar(world)
    hybrid, _ = robot_hybrid(driver, simulator, JACKAL, RULES, seed=5)
    i = next(i for i, link in enumerate(hybrid.links) if link[0] == "world.scan -> reflex.scan")
    name, source, target, options = hybrid.links[i]
    hybrid.links[i] = name, source, target, dataclasses.replace(options, delay_ns=2_000_000_000)
    with pytest.raises(PartError, match=r"^reflex: at .*: scan refused: .*"):
        hybrid.scheduler().advance(3_000_000_000)


def test_cosim_robot_s_loop_is_traced_to_a_file_and_a_page(world, tmp_path):
    driver, simulator = planar(world)
    hybrid, _ = robot_hybrid(driver, simulator, JACKAL, RULES, seed=5)
    hybrid.record, hybrid.until_ns = ["reflex.command", "planner.rates"], 100 * WINDOW_NS
    run(hybrid, trace=tmp_path / "run.mcap")
    with (tmp_path / "run.mcap").open("rb") as file:
        messages = [(c.topic, json.loads(m.data)) for _, c, m in make_reader(file).iter_messages()]
    topics = [topic for topic, _ in messages]
    assert topics.count("reflex") == topics.count("reflex.command") + 1 == 100
    commands = [body["value"]["twist"]["linear_x"] for topic, body in messages if topic == "reflex.command"]
    assert 0.1 < max(commands) <= 1.0
    assert main(["cosim", "trace", str(tmp_path / "run.mcap"), "--out", str(tmp_path / "page.html")]) == 0
    assert "reflex" in (tmp_path / "page.html").read_text()
