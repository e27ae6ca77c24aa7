from __future__ import annotations

import signal
import threading
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from geometry_msgs.msg import Twist as TwistMessage
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import SpikeTrainMessage
from hybrid_control_ros.reflex import ReflexNode
from nav_msgs.msg import Odometry as OdometryMessage
from reflex_bench import World, odometry, scan, spikes
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import LaserScan

from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.signals import Goal

NODE = "reflex_node"
HYBRID, REFLEX_ONLY, STOPPED, ERROR = (
    ReflexStatus.HYBRID, ReflexStatus.REFLEX_ONLY, ReflexStatus.STOPPED, ReflexStatus.ERROR,
)  # fmt: skip


@pytest.fixture
def drive(graph):
    """A reflex node that drives: (node, world)."""
    worlds = []

    def begin(**values):
        node = graph.add(ReflexNode, **values)
        world = World(graph)
        worlds.append(world)
        assert node.start()
        world.begin()
        graph.until(lambda: node.count_subscribers("cmd_vel") == 1)
        return node, world

    yield begin
    for world in worlds:
        world.end()


def stays_zero(world, seconds=0.2):
    begun = time.monotonic()
    time.sleep(seconds)
    sent = [c.twist for c in world.commands if c.arrival > begun + 0.02]
    return bool(sent) and all(t.linear.x == t.angular.z == 0.0 for t in sent)


def test_ros_reflex_drives_on_scan_and_planner_spikes_and_tells_how_it_does(graph, drive):
    _, world = drive()
    trains = graph.collect(SpikeTrainMessage, "reflex/spikes", qos.STREAM)
    world.until_mode(HYBRID)
    graph.until(lambda: world.speed() > 0.1)
    graph.until(lambda: trains)
    status = world.status[-1]
    assert status.ticks > 0
    assert status.rate > 0
    assert 0 < status.lateness_us[0] <= status.lateness_us[1] <= status.lateness_us[3]
    assert 0 < status.tick_cost_us[0] <= status.tick_cost_us[3]
    assert 0 <= status.scan_age < 0.25
    assert 0 <= status.planner_age < 0.5
    assert 0 <= status.odometry_age < 0.5
    assert status.gains_version >= 1
    assert status.nearest_obstacle == pytest.approx(2.5 - 0.508 / 2, abs=0.2)
    command = world.commands[-1]
    assert command.header.frame_id == "base_link"
    assert abs(time.time_ns() - convert.to_ns(command.header.stamp)) < 1e9
    train = convert.spike_train(trains[-1].message)
    assert {p.name for p in train.populations} >= {"ring", "left", "right", "forward"}
    assert train.neuron.size > 0


def test_ros_reflex_sends_zero_until_there_is_a_scan(graph, drive):
    _, world = drive()
    world.sending.discard("scan")
    world.until_mode(STOPPED)
    assert graph.transition(NODE, "deactivate")
    assert graph.transition(NODE, "activate")
    world.until_mode(STOPPED)
    assert stays_zero(world)
    assert "scan" in world.status[-1].reason
    world.sending.add("scan")
    world.until_mode(HYBRID)


def zeros(world, begun):
    """The commands to stand whose stamps are after a time, ns."""
    return [
        c for c in world.commands
        if convert.to_ns(c.header.stamp) > begun and c.twist.linear.x == c.twist.angular.z == 0.0
    ]  # fmt: skip


def test_ros_reflex_stops_within_50_ms_of_the_scan_timeout_and_goes_on_with_the_scan(graph, drive):
    node, world = drive()
    late = []
    for _ in range(3):  # a busy machine may hold up any thread once
        world.until_mode(HYBRID)
        graph.until(lambda: world.speed() > 0.1)
        world.sending.discard("scan")
        begun = time.time_ns()
        last = lambda: node._reflex._inputs.last_stamp["scan"]  # noqa: E731
        world.until_mode(STOPPED)
        graph.until(lambda begun=begun: zeros(world, begun))  # the status may be heard before the command
        zero = zeros(world, begun)[0]
        late.append((convert.to_ns(zero.header.stamp) - last()) * 1e-9 - 0.5)
        assert stays_zero(world)
        world.sending.add("scan")
    assert min(late) < 0.05
    world.until_mode(HYBRID)


def test_ros_reflex_goes_on_alone_without_the_planner(graph, drive):
    _, world = drive()
    world.until_mode(HYBRID)
    world.sending.discard("planner/spikes")
    world.until_mode(REFLEX_ONLY)
    graph.until(lambda: world.speed() > 0.05)
    world.sending.add("planner/spikes")
    world.until_mode(HYBRID)


def test_ros_reflex_stops_without_the_planner_where_it_is_told_to(graph, drive):
    _, world = drive(without_planner="stop")
    world.until_mode(HYBRID)
    world.sending.discard("planner/spikes")
    world.until_mode(STOPPED)
    graph.until(lambda: world.speed() == 0.0)
    assert stays_zero(world)


BLIND_SCANS = {"nan": float("nan"), "negative": -1.0, "zero": 0.0, "infinity": float("inf")}


@pytest.mark.parametrize("fault", BLIND_SCANS)
def test_ros_reflex_stops_for_a_lidar_that_sees_nothing_says_so_and_recovers(graph, drive, fault):
    _, world = drive()
    world.until_mode(HYBRID)
    world.sending.discard("scan")
    publisher = world.publishers["scan"]

    def stopped():
        publisher.publish(_with(scan(time.time_ns()), ranges=[BLIND_SCANS[fault]] * 360))
        return world.status[-1].mode == STOPPED and "covered" in world.status[-1].reason

    graph.until(stopped)
    world.sending.add("scan")
    world.until_mode(HYBRID)


WRONG_SCANS = {
    "angle_max": lambda now: _with(scan(now), angle_max=1.0),
    "no angle between": lambda now: _with(scan(now), angle_increment=0.0, angle_max=0.0),
    "no beams": lambda now: _with(scan(now), ranges=[]),
    "twice the beams": lambda now: scan(now, beams=720),
    "wrong frame": lambda now: scan(now, frame="somewhere"),
    "old": lambda now: scan(now - 2_000_000_000),
    "future": lambda now: scan(now + 2_000_000_000),
    "no angles": lambda now: _with(scan(now), angle_increment=float("nan")),
}


def _with(message, **fields):
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize("fault", WRONG_SCANS)
def test_ros_reflex_refuses_a_scan_that_is_wrong_stops_and_recovers(graph, drive, fault):
    node, world = drive()
    world.until_mode(HYBRID)
    world.sending.discard("scan")
    before = node.refused["scan"]
    publisher = world.publishers["scan"]

    def stopped():
        publisher.publish(WRONG_SCANS[fault](time.time_ns()))
        time.sleep(0.02)
        return world.mode == STOPPED

    graph.until(stopped)
    assert node.refused["scan"] > before
    assert world.status[-1].refused > 0
    graph.until(lambda: world.speed() == 0.0)
    world.sending.add("scan")
    world.until_mode(HYBRID)


def test_ros_reflex_takes_each_gain_while_it_drives_and_refuses_what_is_out_of_range(graph, drive):
    node, world = drive()
    world.until_mode(HYBRID)
    version = world.status[-1].gains_version
    gains = GAINS
    for p in gains:
        value = 0.5 * (p.default + p.low)
        assert graph.set(NODE, **{p.name: value}).successful
        assert node._reflex.gains[p.name] == pytest.approx(value)
        answer = graph.set(NODE, **{p.name: p.high + 1.0})
        assert not answer.successful
        assert p.name in answer.reason
        assert "out of range" in answer.reason
        assert graph.set(NODE, **{p.name: p.default}).successful
    graph.until(lambda: world.status[-1].gains_version == version + 2 * len(gains))


def test_ros_reflex_takes_a_set_of_gains_whole_or_not_at_all(graph, drive):
    node, world = drive()
    world.until_mode(HYBRID)
    version = world.status[-1].gains_version
    assert graph.set(NODE, max_speed=0.3, max_yaw_rate=0.5, turn_gain=0.7).successful
    graph.until(lambda: world.status[-1].gains_version == version + 1)
    before = node._reflex.gains
    answer = graph.set(NODE, max_speed=0.6, stop_distance=-1.0)
    assert not answer.successful
    assert "stop_distance" in answer.reason
    assert node._reflex.gains == before
    assert graph.get(NODE, "max_speed") == 0.3
    assert not graph.set(NODE, rate=500.0).successful
    graph.until(lambda: 0.05 < world.speed() <= 0.3 + 1e-6)


def test_ros_reflex_sends_zero_on_deactivation_and_then_nothing(graph, drive):
    _, world = drive()
    graph.until(lambda: world.commands and world.speed() > 0.1)
    assert graph.transition(NODE, "deactivate")
    time.sleep(0.1)
    assert world.speed() == world.commands[-1].twist.angular.z == 0.0
    count = len(world.commands)
    time.sleep(0.2)
    assert len(world.commands) == count
    assert graph.transition(NODE, "activate")
    world.until_mode(HYBRID)


def test_ros_reflex_goes_through_its_lifecycle_twice_and_leaves_no_thread_or_topic(graph):
    node = graph.add(ReflexNode)

    def topics():
        return {name for name, _ in node.get_publisher_names_and_types_by_node(NODE, "/")}

    before, threads = topics(), threading.active_count()
    for _ in range(2):
        for name in ("configure", "activate", "deactivate", "cleanup"):
            assert graph.transition(NODE, name)
            if name == "activate":
                assert topics() - before == {
                    "/cmd_vel", "/planner/closed", "/planner/hidden", "/reflex/goal", "/reflex/spikes", "/reflex/status"
                }
        assert topics() == before
        assert threading.active_count() == threads
    assert graph.transition(NODE, "shutdown")
    assert graph.state(NODE) == "finalized"


def test_ros_reflex_speaks_twist_where_it_is_told_to(graph):
    node = graph.add(ReflexNode, stamped_cmd_vel=False)
    commands = graph.collect(TwistMessage, "cmd_vel", qos.COMMAND)
    assert node.start()
    graph.until(lambda: len(commands) > 10)
    assert commands[-1].linear.x == 0.0


DIAGNOSED = {
    "mode", "reason", "rate [Hz]", "ticks", "missed", "hangs", "state", "gains version",
    *(f"lateness {p} [us]" for p in ("p50", "p99", "p99.9", "max")),
    *(f"tick cost {p} [us]" for p in ("p50", "p99", "p99.9", "max")),
    "scan age [s]", "planner age [s]", "odometry age [s]", "nearest obstacle [m]",
    "spikes [1/s]", "synaptic events [1/s]", "power, estimated [uW]",
}  # fmt: skip


def test_ros_reflex_tells_diagnostics_all_that_its_status_says(graph, drive):
    _, world = drive()
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    graph.until(lambda: world.mode == HYBRID and world.speed() > 0.1)
    begun = len(diagnostics)
    graph.until(lambda: len(diagnostics) >= begun + 2)
    (said,) = diagnostics[-1].status
    values = {v.key: v.value for v in said.values}
    assert set(values) >= DIAGNOSED
    assert said.message.startswith("hybrid") or said.message.endswith("of the ticks were missed")
    assert values["mode"] == "hybrid"
    assert 0 < float(values["lateness p50 [us]"]) <= float(values["lateness max [us]"])
    assert 0 < float(values["tick cost p50 [us]"]) <= float(values["tick cost max [us]"])
    assert 0 < float(values["rate [Hz]"]) < 1100
    assert float(values["spikes [1/s]"]) > 0
    assert float(values["power, estimated [uW]"]) > 0
    assert int(values["gains version"]) >= 1


def lock_step(graph, name):
    """Half a simulated second, in which all that is sent has arrived before the clock goes on; its commands."""
    node = graph.add(ReflexNode, use_sim_time=True, options={"namespace": name})
    assert node.start()
    commands = graph.collect(TwistStamped, f"{name}/cmd_vel", qos.COMMAND)
    clock = graph.publisher(Clock, "/clock", 10)
    scans, odoms = (
        graph.publisher(LaserScan, f"{name}/scan"),
        graph.publisher(OdometryMessage, f"{name}/odom"),
    )
    trains = graph.publisher(SpikeTrainMessage, f"{name}/planner/spikes")
    goals = graph.publisher(PoseStamped, f"{name}/goal_pose", qos.COMMAND)
    for publisher in (clock, scans, odoms, trains, goals):
        graph.until(lambda p=publisher: p.get_subscription_count() >= 1)
    graph.until(lambda: node.count_subscribers("cmd_vel") == 1)
    rng = np.random.default_rng(1)

    def reached(now):
        return commands and convert.to_ns(commands[-1].header.stamp) == now and node.now_ns() == now

    def arrived(expected):
        return all(node._reflex._boxes[box].read()["sequence"] == n for box, n in expected.items())

    for k in range(1, 51):
        now = k * 10_000_000
        clock.publish(Clock(clock=convert.to_stamp(now)))
        graph.until(partial(reached, now))
        trains.publish(convert.spike_train_message(spikes(now, rng)))
        expected = {"train": k}
        if k == 1:
            goals.publish(convert.goal_message(Goal(now, 9.0, 0.0), "odom"))
            expected["goal"] = 1
        if k % 2:
            scans.publish(scan(now, distance=2.5 - 0.01 * k))
            odoms.publish(odometry(now))
            expected |= {"scan": (k + 1) // 2, "motion": (k + 1) // 2}
        graph.until(partial(arrived, expected))
    ticks = node._loop.ticks
    graph.remove(node)
    graph.tester.destroy_publisher(clock)
    return ticks, [(convert.to_ns(c.header.stamp), c.twist.linear.x, c.twist.angular.z) for c in commands]


def test_ros_reflex_in_simulated_time_steps_with_the_clock_and_repeats_to_the_bit(graph):
    ticks, commands = lock_step(graph, "one")
    assert ticks == 491  # at 10, 11, ... 500 ms
    assert [c[0] for c in commands] == [k * 10_000_000 for k in range(1, 51)]
    assert max(c[1] for c in commands) > 0.1
    assert lock_step(graph, "two") == (ticks, commands)


def test_ros_reflex_program_leaves_the_robot_stopped_when_it_is_told_to_end(graph):
    kinds = (signal.SIGINT, signal.SIGTERM)
    worlds = [World(graph, prefix=f"{kind.name}/") for kind in kinds]
    processes = [graph.run(NODE, "-p", "autostart:=true", "-r", f"__ns:=/{kind.name}") for kind in kinds]
    try:
        for kind, world, process in zip(kinds, worlds, processes, strict=True):
            world.begin()
            graph.until(lambda w=world: w.commands and w.speed() > 0.1, 20)
            status, seconds = process.interrupt(kind)
            time.sleep(0.1)
            assert status == 0
            assert seconds < 2.0
            assert world.speed() == world.commands[-1].twist.angular.z == 0.0
            assert "Traceback" not in process.output
    finally:
        for world in worlds:
            world.end()
