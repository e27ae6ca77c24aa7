"""A trial on the floor over real topics: the embedded simulator as the robot, and a person at a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

import hybrid_control_ros.simulator
from geometry_msgs.msg import TwistStamped
from hybrid_control_ros import convert, qos
from hybrid_control_ros.simulator import SimNode
from hybrid_control_ros.trial import Names, TrialFloor, terminal_signals
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import LaserScan

from hybrid_control.cli import main
from hybrid_control.navigation.identify.trial import Trial, Wish
from hybrid_control.navigation.reflex.gains import SETTINGS
from hybrid_control.parameters import check_all
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.worlds import World

NAMES = Names("scan", "odom", "cmd_vel", "", "base_link", "odom", True)
JACKAL = {"robot_length": 0.508, "robot_width": 0.43}


def trial(speed=0.6, yaw_rate=3.0, braking=2.0):
    """One straight drive and one turn."""
    wish = Wish(speed=speed, yaw_rate=yaw_rate, braking=braking, least_way=0.8, shares=(1.0,))
    return Trial(wish, check_all(SETTINGS, JACKAL))


def never():
    return False


def is_zero(message):
    return message.twist.linear.x == message.twist.angular.z == 0.0


@pytest.fixture
def robot(graph, monkeypatch):
    """The simulated robot on a floor of 20 m with walls; its commands as they were heard."""
    walls = [(x, 0.0, 0.1, 20.0, 0.0) for x in (-9.0, 9.0)]
    floor = World("floor", Pose(), (5.0, 0.0), (-10.0, -10.0, 10.0, 10.0), boxes=np.array(walls))
    monkeypatch.setattr(hybrid_control_ros.simulator, "load_world", lambda *asked: floor)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    heard = graph.collect(TwistStamped, "cmd_vel", qos.COMMAND)
    graph.start(SimNode, world="open", camera=False)
    return heard


class Fake:
    """Scans and odometry of a robot that is where and as fast as the test says."""

    def __init__(self, graph):
        self.near = False
        self.speed = 0.0
        self.commands = []
        odoms, scans = (
            graph.publisher(k, t, qos.SENSOR) for k, t in ((OdometryMessage, "odom"), (LaserScan, "scan"))
        )
        graph.tester.create_subscription(TwistStamped, "cmd_vel", self._hear, qos.COMMAND)
        self.odometry = graph.repeat(odoms, self._odometry, 50.0)
        graph.repeat(scans, self._scan, 20.0)

    def _hear(self, message):
        self.commands.append((time.monotonic(), message))
        self.speed = message.twist.linear.x

    def _odometry(self):
        stamp = time.time_ns()
        return convert.odometry_message(
            Odometry(stamp, Pose(), Twist(stamp, self.speed)), "odom", "base_link"
        )

    def _scan(self):
        ranges = np.full(360, 5.0, np.float32)
        if self.near:
            ranges[170:190] = 0.5
        return convert.scan_message(
            RangeScan(time.time_ns(), -np.pi, np.pi / 180, 0.05, 10.0, ranges), "lidar"
        )


def test_ros_trial_finds_the_simulated_robots_numbers_and_ends_with_zero(graph, robot):
    one = trial()
    with TrialFloor(NAMES) as floor:
        floor.drive(one, never)
    assert not one.fault
    found = one.result
    assert found.speed.median == pytest.approx(0.6, rel=0.05)
    assert found.yaw_rate.median == pytest.approx(3.0, rel=0.05)
    assert 1.5 < found.acceleration.median < 6.0  # 3 in simulated time, on a machine that others use too
    assert 2.0 < found.braking.median < 6.0  # 4
    assert 0.0 <= found.delay.high < 0.25
    assert found.scan_rate.median == pytest.approx(40.0, rel=0.2)
    assert max(m.twist.linear.x for m in robot) == 0.6
    assert all(is_zero(m) for m in robot[-10:])


def test_ros_trial_without_consent_sends_nothing_and_with_a_key_stops_and_writes_nothing(
    graph, robot, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "mine.yaml"
    answers = [
        *(
            "robot_length=0.508",
            "robot_width=0.43",
            "max_speed=0.6",
            "max_yaw_rate=1.5",
            "drive=differential",
        ),
        *(
            "controller=none",
            "braking=2",
            "lidar_x=0",
            "lidar_yaw=0",
            "no_echo=infinite",
            "scan=scan",
            "odom=odom",
        ),
        *("cmd_vel=cmd_vel", "camera=camera", "compressed=no", "scan_frame=", "base_frame=base_link"),
        *("odom_frame=odom", "stamped_cmd_vel=yes"),
    ]
    command = ["new-robot", str(file), "--measure", "floor", "--yes"]
    command += [word for answer in answers for word in ("--set", answer)]
    keyboard, slave = pty.openpty()
    with os.fdopen(slave, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        os.write(keyboard, b"yes\n")
        assert main(command) == 2
        said = capsys.readouterr()
        assert "THE ROBOT WILL MOVE: 5 times straight ahead, up to 1.0 m at up to 0.6 m/s" in said.out
        assert "'yes' is not 'drive'; nothing was sent, nothing was written" in said.err
        assert not robot
        assert not graph.tester.get_publishers_info_by_topic("cmd_vel")

        def hit_a_key():
            graph.until(lambda: any(m.twist.linear.x > 0.0 for m in robot))
            os.write(keyboard, b" ")

        os.write(keyboard, b"drive\n")
        hand = threading.Thread(target=hit_a_key)
        hand.start()
        assert main(command) == 2
        hand.join()
    assert "stopped by hand" in capsys.readouterr().err
    assert len(robot) > 20
    assert all(is_zero(m) for m in robot[-20:])
    assert not list(tmp_path.iterdir())
    os.close(keyboard)


def test_ros_trial_stops_with_the_next_command_after_a_scan_that_shows_something_near(graph, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    fake, one = Fake(graph), trial()

    def each():
        fake.near = fake.near or fake.speed > 0.0

    with TrialFloor(NAMES) as floor:
        floor.drive(one, never, each)
    assert "something came into its way, 0.24 m before its nose" in one.fault  # 0.5 m on the outermost beam
    moved = [k for k, (_, m) in enumerate(fake.commands) if m.twist.linear.x > 0.0]
    assert moved
    assert moved[-1] - moved[0] < 20  # a scan comes every 50 ms, a command every 20
    assert len(fake.commands) - moved[-1] > 20
    assert all(is_zero(m) for _, m in fake.commands[moved[-1] + 1 :])


def test_ros_trial_stops_when_odometry_falls_silent_or_anything_fails(graph, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    fake, one = Fake(graph), trial()

    def silence():
        if fake.speed > 0.0:
            fake.odometry.cancel()

    with TrialFloor(NAMES) as floor:
        floor.drive(one, never, silence)
        assert one.fault.startswith("odometry: silent for 0.5")
        assert all(is_zero(m) for _, m in fake.commands[-20:])
        fake.odometry.reset()

        def breaks():
            if fake.speed > 0.0:
                raise RuntimeError("a bug")

        sent, two = len(fake.commands), trial()
        with pytest.raises(RuntimeError, match="a bug"):
            floor.drive(two, never, breaks)
    assert two.fault == "broken off"
    after = [m for _, m in fake.commands[sent:]]
    assert any(m.twist.linear.x > 0.0 for m in after)
    assert all(is_zero(m) for m in after[-20:])


def refuses(floor, says, within=20.0):
    """Wait until the floor's check says so: who else is there is discovered little by little."""
    message, end = "", time.monotonic() + within
    while not re.search(says, message):
        assert time.monotonic() < end, message
        try:
            floor.check(0.5)
        except ValueError as error:
            message = str(error)


def test_ros_trial_says_what_is_missing_before_anybody_is_asked(graph, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    with TrialFloor(Names("scan", "odom", "cmd_vel", "", "base_link", "map", True)) as floor:
        with pytest.raises(
            ValueError, match=r"^odom: nothing that could be read; expected the robot's driver"
        ):
            floor.check(0.3)
        fake = Fake(graph)
        refuses(floor, r"^odom: nothing .*; the newest: odometry is in frame 'odom', expected 'map'$")
    other = graph.publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    with TrialFloor(Names("scan", "odom", "cmd_vel", "", "base_link", "odom", False)) as floor:
        refuses(floor, r"^cmd_vel: /tester may command already; end it first")
        graph.tester.destroy_publisher(other)
        refuses(floor, r"^cmd_vel: is listened to as TwistStamped; expected .*, as Twist$")
    assert not fake.commands


def test_ros_trial_ends_when_somebody_else_begins_to_command(graph, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    fake, one, others = Fake(graph), trial(), []

    def each():
        if fake.speed > 0.0 and not others:
            others.append(graph.publisher(TwistStamped, "cmd_vel", qos.COMMAND))

    with TrialFloor(NAMES) as floor:
        floor.drive(one, never, each)
    assert one.fault.startswith("cmd_vel: somebody else may command too")
    assert all(is_zero(m) for _, m in fake.commands[-20:])


@pytest.mark.parametrize("kind", [signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP])
def test_ros_trial_is_stopped_by_a_terminal_that_goes_away_or_suspends_it_and_not_ended_in_the_middle(kind):
    with terminal_signals() as caught:
        os.kill(os.getpid(), kind)
        time.sleep(0.01)
        assert caught == [kind]
