"""Faults that are injected while the reflex node drives: the documented mode, zero in time, recovery by itself.

Scans that are wrong are in test_ros_reflex.py, a full disk in tests/run; docs/reflex.md has the table.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import numba
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert, qos
from hybrid_control_ros.reflex import ReflexNode
from reflex_bench import World, scan
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import LaserScan

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.tick import tick as reflex_tick
from hybrid_control.realtime import address_of, monotonic_ns, sleep_until
from hybrid_control.realtime.compiled import call_tick, load_acquire, store_release

MS = 1_000_000
HYBRID, STOPPED, ERROR = ReflexStatus.HYBRID, ReflexStatus.STOPPED, ReflexStatus.ERROR
BYTES = np.dtype([("first", np.uint8)])
SLEEP, SPIN, FAIL = 1, 2, 3
# what the next tick is to do, for how many ns, and when it began to
ORDER = np.zeros(3, np.int64)
WHERE, TICK = int(ORDER.ctypes.data), int(reflex_tick.address)


@numba.cfunc("int64(voidptr, int64)")
def tick_with_faults(context, now_ns):
    """The reflex's tick, which hangs or fails where it is ordered to."""
    order = load_acquire(WHERE)
    if order:
        store_release(WHERE, 0)
        begun = monotonic_ns()
        store_release(WHERE + 16, begun)
        until = begun + load_acquire(WHERE + 8)
        if order == SLEEP:
            sleep_until(until)
        elif order == SPIN:
            while monotonic_ns() < until:
                pass
        else:
            return 0
    return call_tick(TICK, address_of(numba.carray(context, 1, BYTES)[0]), now_ns)


class Sent:
    """What a node sends to the motors, noted where it is sent: (monotonic ns, is it zero)."""

    def __init__(self, node):
        self.commands = []
        publish = node._commands.publish

        def note(twist):
            publish(twist)
            self.commands.append((time.monotonic_ns(), twist.linear_x == twist.angular_z == 0.0))

        node._commands.publish = note

    def between(self, begin_ns, end_ns):
        return [zero for at, zero in list(self.commands) if begin_ns <= at < end_ns]


@pytest.fixture
def driving(graph):
    """A node that drives: (node, world, sent)."""
    node = graph.add(ReflexNode)
    world = World(graph)
    assert node.start()
    sent = Sent(node)
    world.begin()
    world.until_mode(HYBRID)
    graph.until(lambda: world.commands and world.speed() > 0.1)
    yield node, world, sent
    world.end()


@pytest.fixture
def faulty_tick(monkeypatch):
    """Every reflex made from now on gets the tick that takes orders."""
    monkeypatch.setattr(Reflex, "tick_address", tick_with_faults.address)


def ticks_of(node):
    return int(node._loop.control["ticks"])


def order(kind, milliseconds=0):
    """Let the next tick hang or fail."""
    ORDER[1], ORDER[2] = milliseconds * MS, 0
    ORDER[0] = kind


def test_ros_fault_no_command_that_moves_is_older_than_the_limit_though_the_watchdog_starves_with_the_loop(
    faulty_tick, graph
):
    # a watchdog that waits a second is as good as one that gets no core
    node = graph.add(ReflexNode, watchdog_timeout=1.0)
    world = World(graph)
    assert node.start()
    world.begin()
    for _ in range(3):
        graph.until(lambda: world.mode == HYBRID and world.speed() > 0.1)
        statuses = len(world.status)
        order(SLEEP, 700)
        graph.until(lambda: ORDER[2])
        hung_s, hung_wall_ns = ORDER[2] * 1e-9, time.time_ns() - (time.monotonic_ns() - int(ORDER[2]))
        time.sleep(0.6)
        sent = [c for c in list(world.commands) if hung_s < c.arrival < hung_s + 0.6]
        moving = [c for c in sent if c.twist.linear.x or c.twist.angular.z]
        zero = [c for c in sent if not (c.twist.linear.x or c.twist.angular.z)]
        assert zero, "the stop is sent by a thread that needs no tick"
        assert all(c.arrival <= hung_s + 0.1 + 0.03 for c in moving)
        # stamped with the tick that made it, never anew
        stamps = [convert.to_ns(c.header.stamp) for c in moving]
        assert all(stamp <= hung_wall_ns + 2 * MS for stamp in stamps)
        errors = [s for s in world.status[statuses:] if s.mode == ERROR]
        assert errors
        assert errors[0].reason.startswith("no tick for 1")
    world.until_mode(HYBRID)
    graph.until(lambda: world.speed() > 0.1)
    world.end()


def test_ros_fault_cmd_vel_bears_the_time_of_the_tick_that_made_it(graph, driving):
    node, world, _ = driving
    node.put_spikes = lambda train: None
    stamps = []
    for _ in range(100):
        newest = world.commands[-1]
        made_ns = time.time_ns() - (time.monotonic_ns() - node._reflex.command().twist.stamp_ns)
        stamps.append(made_ns - convert.to_ns(newest.header.stamp))
        time.sleep(0.005)
    # within a period of command_rate, what a busy machine takes for it, and never after the newest tick
    assert sorted(stamps)[50] < 30 * MS
    assert min(stamps) > -5 * MS


@pytest.mark.parametrize("kind", [SLEEP, SPIN], ids=["sleeps", "spins"])
def test_ros_fault_tick_that_hangs_zero_within_bound_error_told_at_once_and_recovery(
    faulty_tick, graph, driving, kind
):
    node, world, sent = driving
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", qos.STREAM)
    late = []
    for hang_ms in (60, 200, 200):  # a busy machine may hold up any thread once
        graph.until(lambda: world.mode == HYBRID and world.speed() > 0.1)
        statuses, told, before = len(world.status), len(diagnostics), node._pace.hangs
        ORDER[1] = hang_ms * MS
        ORDER[0] = kind
        graph.until(lambda n=before: node._pace.hangs > n)
        begun, until = int(ORDER[2]), int(ORDER[2]) + hang_ms * MS
        graph.until(lambda u=until: time.monotonic_ns() > u)
        zeros = lambda b=begun: [at for at, zero in list(sent.commands) if at > b and zero]  # noqa: E731
        first = graph.until(zeros)[0]
        late.append((first - begun) / MS)
        assert all(sent.between(first, until)), "nothing but zero until the loop ticks again"
        graph.until(lambda n=statuses: any(s.mode == ERROR for s in world.status[n:]))
        error = next(s for s in world.status[statuses:] if s.mode == ERROR)
        assert error.reason.startswith("the loop has stood still for ")
        graph.until(lambda n=told: any(d.status[0].level == b"\x02" for d in diagnostics[n:]))
        spoken = next(d.status[0] for d in diagnostics[told:] if d.status[0].level == b"\x02")
        assert spoken.message == f"error: {error.reason}"
        world.until_mode(HYBRID)
    assert min(late) >= 20
    assert min(late) < 50


def test_ros_fault_tick_that_fails_ends_the_loop_zero_and_error_until_activated_anew(
    faulty_tick, graph, driving
):
    _, world, sent = driving
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", qos.STREAM)
    ORDER[0] = FAIL
    world.until_mode(ERROR)
    assert world.status[-1].reason == "the loop has died; the node must be deactivated and activated"
    begun = time.monotonic_ns()
    time.sleep(0.2)
    commands = sent.between(begun, time.monotonic_ns())
    assert commands
    assert all(commands)
    graph.until(lambda: any(m.status[0].level == b"\x02" for m in diagnostics))
    assert graph.transition("reflex_node", "deactivate")
    assert graph.transition("reflex_node", "activate")
    world.until_mode(HYBRID)


def test_ros_fault_callback_that_blocks_for_a_second_zero_after_the_scan_timeout_and_recovery(graph, driving):
    node, world, sent = driving
    blocked = []

    def block():
        if not blocked:
            blocked.append(time.monotonic_ns())
            time.sleep(1.0)
            blocked.append(time.monotonic_ns())

    ticks = ticks_of(node)
    timer = node.create_timer(0.01, block)
    graph.until(lambda: len(blocked) == 2)
    node.destroy_timer(timer)
    begun, ended = blocked
    assert ticks_of(node) > ticks
    commands = sent.between(begun + 600 * MS, ended)
    assert len(commands) > 10, "commands are sent from another thread"
    assert all(commands)
    world.until_mode(HYBRID)
    graph.until(lambda: world.speed() > 0.1)


def test_ros_fault_storm_of_garbage_collections_commands_go_on(graph, driving):
    node, world, sent = driving
    ticks, begun = ticks_of(node), time.monotonic_ns()
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        for _ in range(2000):
            cycle = []
            cycle.append(cycle)
        gc.collect()
    assert ticks_of(node) > ticks
    # each collection keeps all of Python waiting, the tick not
    assert len(sent.between(begun, time.monotonic_ns())) >= 3
    world.until_mode(HYBRID)
    graph.until(lambda: world.speed() > 0.1)


def test_ros_fault_clock_that_jumps_apart_from_the_sensors_stops_until_they_agree(graph, driving):
    node, world, sent = driving
    system = node.now_ns
    for jump_s in (10, -10):
        refused, ticks = node.refused["scan"], ticks_of(node)
        node.now_ns = lambda s=jump_s: system() + s * 1_000_000_000
        world.until_mode(STOPPED)
        assert node.refused["scan"] > refused
        begun = time.monotonic_ns()
        time.sleep(0.1)
        assert ticks_of(node) > ticks, "the loop goes by the monotonic clock"
        commands = sent.between(begun + 20 * MS, time.monotonic_ns())
        assert commands
        assert all(commands)
        node.now_ns = system
        world.until_mode(HYBRID)
        graph.until(lambda: world.speed() > 0.1)


@pytest.mark.parametrize("jump_s", [10, -10])
def test_ros_fault_clock_that_jumps_with_the_sensors_is_driven_through(graph, driving, jump_s):
    node, world, _ = driving
    system = node.now_ns
    world.clock_offset_ns = jump_s * 1_000_000_000
    node.now_ns = lambda: system() + jump_s * 1_000_000_000
    stamp = lambda: node._reflex._inputs.last_stamp["scan"]  # noqa: E731
    graph.until(lambda: abs(stamp() - node.now_ns()) < 1_000_000_000)
    world.until_mode(HYBRID)
    graph.until(lambda: world.speed() > 0.1)


FLOOD = """
import time
import rclpy
from hybrid_control.signals import SpikeTrain, layout
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import SpikeTrainMessage

rclpy.init()
node = rclpy.create_node("flood")
publisher = node.create_publisher(SpikeTrainMessage, "planner/spikes", qos.STREAM)
train = SpikeTrain(1, 10_000_000, layout(heading=72, speed=8), [35, 36, 79] * 20, [0] * 60)
message = convert.spike_train_message(train)
while publisher.get_subscription_count() < 1:
    time.sleep(0.01)
print("begins", flush=True)
begun, sent = time.monotonic(), 0
while time.monotonic() < begun + 2.0:
    message.header.stamp = convert.to_stamp(time.time_ns())
    publisher.publish(message)
    sent += 1
    time.sleep(max(0.0, begun + sent * 1e-4 - time.monotonic()))
print(sent, flush=True)
"""


def test_ros_fault_planner_that_floods_keeps_neither_scan_nor_commands_out(graph, driving):
    node, world, sent = driving
    scans = lambda: int(node._reflex._boxes["scan"].read()["sequence"])  # noqa: E731
    refused = node.refused["planner/spikes"]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = dict(os.environ, ROS_DOMAIN_ID=str(graph.domain), PYTHONPATH=paths)
    with subprocess.Popen(
        [sys.executable, "-c", FLOOD], env=environment, stdout=subprocess.PIPE, text=True
    ) as flood:
        assert flood.stdout.readline() == "begins\n"
        seen, statuses, begun = scans(), len(world.status), time.monotonic_ns()
        assert int(flood.stdout.readline()) > 1000
        modes = {s.mode for s in world.status[statuses:]}
        assert scans() > seen + 10
        assert len(sent.between(begun, time.monotonic_ns())) > 20
    assert flood.returncode == 0
    assert HYBRID in modes
    assert ERROR not in modes
    assert node.refused["planner/spikes"] > refused
    world.until_mode(HYBRID)
    graph.until(lambda: world.speed() > 0.1)


def test_ros_fault_simulated_clock_that_stands_still_stops_and_says_so_until_it_goes_on(graph):
    node = graph.add(ReflexNode, use_sim_time=True)
    commands = graph.collect(TwistStamped, "cmd_vel", qos.COMMAND)
    status = graph.collect(ReflexStatus, "reflex/status", qos.STREAM)
    clock = graph.publisher(Clock, "/clock", 10)
    assert node.start()
    graph.until(lambda: clock.get_subscription_count() >= 2)
    for k in range(30):
        clock.publish(Clock(clock=convert.to_stamp(10_000 * MS + k * 20 * MS)))
        time.sleep(0.02)
    graph.until(lambda: any(s.mode == ERROR and s.reason.startswith("/clock stands still") for s in status))
    count = len(commands)
    assert graph.until(lambda: commands)[-1].twist.linear.x == 0.0
    clock.publish(Clock(clock=convert.to_stamp(10_700 * MS)))
    graph.until(lambda: len(commands) > count and not node._fault)


def test_ros_fault_sensors_before_the_first_clock_are_neither_refused_nor_taken(graph):
    """As a simulation that began before the node does it: its stamps can be judged from the first /clock on."""
    node = graph.add(ReflexNode, use_sim_time=True)
    scans = graph.publisher(LaserScan, "scan")
    clock = graph.publisher(Clock, "/clock", 10)
    assert node.start()
    graph.until(lambda: scans.get_subscription_count() == 1 and clock.get_subscription_count() >= 2)
    for k in range(10):
        scans.publish(scan(4_800 * MS + k * 10 * MS, frame="base_link"))
        time.sleep(0.02)
    assert not node.refused
    assert node._reflex._boxes["scan"].read()["sequence"] == 0
    clock.publish(Clock(clock=convert.to_stamp(5_000 * MS)))
    graph.until(lambda: node.now_ns() == 5_000 * MS)
    scans.publish(scan(5_000 * MS, frame="base_link"))
    graph.until(lambda: node._reflex._boxes["scan"].read()["sequence"] == 1)
    scans.publish(scan(1_000 * MS, frame="base_link"))
    graph.until(lambda: node.refused["scan"] == 1)


def test_ros_fault_simulated_clock_that_jumps_leaves_out_the_commands_that_it_made_too_old(graph):
    node = graph.add(ReflexNode, use_sim_time=True)
    commands = graph.collect(TwistStamped, "cmd_vel", qos.STREAM)
    clock = graph.publisher(Clock, "/clock", 10)
    assert node.start()
    graph.until(lambda: clock.get_subscription_count() >= 2)
    for now_ns in (10_000 * MS, 10_900 * MS):
        clock.publish(Clock(clock=convert.to_stamp(now_ns)))
        graph.until(lambda n=now_ns: any(convert.to_ns(c.header.stamp) == n for c in commands))
    stamps = [convert.to_ns(c.header.stamp) for c in commands]
    assert not [stamp for stamp in stamps if 10_000 * MS < stamp < 10_800 * MS]
