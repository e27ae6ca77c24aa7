"""A planner of contract 2 says what no scan shows; the reflex remembers it, keeps off it and outlives that planner."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, StateVectorMessage
from hybrid_control_ros.planner import PlannerNode
from hybrid_control_ros.reflex import ReflexNode
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.parameter import Parameter
from reflex_bench import World
from ros_models import write_model
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, LaserScan, PointCloud2

from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.ground.memory import CELL, near
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    UNSEEN,
    ClosedDirections,
)
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, StateVector, Twist, layout
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.sim.robots.jackal import JACKAL

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
IN_VIEW = np.abs(HEADINGS) < np.pi / 4
LEFT, RIGHT = IN_VIEW & (HEADINGS > 0.1), IN_VIEW & (HEADINGS < -0.1)
HYBRID, ALONE, STOPPED = ReflexStatus.HYBRID, ReflexStatus.REFLEX_ONLY, ReflexStatus.STOPPED
MS = 1_000_000
ALL = ("scan", "odom", "goal_pose", "planner/spikes", "planner/directions")


def kerb(post=False):
    """Rows of a planner that sees a kerb 1 m before the camera's foot on its right, and a post as far on its left."""
    rows = np.zeros((4, SECTORS), np.float32)
    rows[[STANDING_AT, HIDDEN_AT]] = 4.0
    rows[np.ix_([STANDING, HIDDEN], ~IN_VIEW)] = UNSEEN
    rows[HIDDEN, RIGHT], rows[HIDDEN_AT, RIGHT] = 0.9, 1.0
    if post:
        rows[STANDING, LEFT], rows[STANDING_AT, LEFT] = 0.9, 1.0
    return rows


@pytest.fixture(scope="module")
def closing(tmp_path_factory):
    """A model that says so of every image."""
    path = tmp_path_factory.mktemp("closing") / "closing.onnx"
    write_model(path, closed=kerb())
    return path


# -- the planner -----------------------------------------------------------------------------------------------------


class Pictures:
    """A planner node before which a robot stands still, that is told all it listens to."""

    def __init__(self, graph, model, **values):
        self.graph = graph
        self.node = graph.start(PlannerNode, model_file=str(model), rate=100.0, **values)
        self.directions = graph.collect(StateVectorMessage, "planner/directions", qos.STREAM)
        self.rates = graph.collect(RateVectorMessage, "planner/rates", qos.STREAM)
        self.camera = graph.publisher(Image, "camera/image_raw")
        self.odom = graph.publisher(OdometryMessage, "odom")
        for publisher in (self.camera, self.odom):
            graph.until(lambda p=publisher: p.get_subscription_count() == 1)

    def goal(self):
        publisher = self.graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
        self.graph.until(publisher.get_subscription_count)
        publisher.publish(convert.goal_message(Goal(self.node.now_ns(), 5.0, 0.0), "odom"))
        self.graph.until(lambda: self.node._goal is not None)

    def stand(self):
        now, before = self.node.now_ns(), self.node._odometry
        self.odom.publish(convert.odometry_message(Odometry(now, Pose(), Twist(now)), "odom", "base_link"))
        self.graph.until(lambda: self.node._odometry is not before)

    def look(self):
        self.stand()
        planned = self.node._tally._done
        self.camera.publish(convert.image_message(self.node.now_ns(), "camera", PICTURE))
        self.graph.until(lambda: self.node._tally._done > planned)


def test_ros_planner_says_of_each_image_what_its_model_said_is_closed_goal_or_not(graph, closing):
    bench = Pictures(graph, closing)
    bench.look()
    bench.look()
    graph.until(lambda: len(bench.directions) == 2)
    said = [ClosedDirections.of(convert.state_vector(m.message)) for m in bench.directions]
    assert (said[1].rows == kerb()).all()
    assert 0 < said[0].stamp_ns < said[1].stamp_ns == bench.node._newest_ns
    assert not bench.rates  # there is no goal
    bench.goal()
    bench.look()
    graph.until(lambda: bench.rates)
    assert convert.rate_vector(bench.rates[-1].message).rates.sum() == 360.0


def test_ros_planner_enters_what_the_reflex_remembers_into_the_memory_of_the_way(graph, closing, monkeypatch):
    bench = Pictures(graph, closing)
    entered = []
    put = bench.node._guide.put_scan
    monkeypatch.setattr(bench.node._guide, "put_scan", lambda scan: (entered.append(scan), put(scan)))
    lidar, hidden = graph.publisher(LaserScan, "scan"), graph.publisher(PointCloud2, "planner/hidden", qos.SENSOR)
    for publisher in (lidar, hidden):
        graph.until(lambda p=publisher: p.get_subscription_count() == 1)
    bench.goal()
    bench.stand()
    now = bench.node.now_ns()
    hidden.publish(convert.cells_message(now, "base_link", np.array([[2.05, 0.05]])))
    graph.until(lambda: bench.node.refused["planner/hidden"] == 1)
    hidden.publish(convert.cells_message(now, "odom", np.array([[1.05, 0.05]])))
    graph.until(lambda: len(bench.node._shown.hidden))

    def goes_in():
        bench.stand()
        step = np.pi / 180
        scan = RangeScan(bench.node.now_ns(), -np.pi, step, 0.05, 10.0, np.full(360, 5.0, np.float32))
        lidar.publish(convert.scan_message(scan, "lidar"))
        time.sleep(0.05)
        return entered

    graph.until(goes_in)
    assert entered[-1].ranges[183] == pytest.approx(1.05, abs=0.05)
    assert entered[-1].ranges[0] == pytest.approx(5.0)


def test_ros_planner_of_contract_1_says_and_takes_nothing_of_it(graph, model_file):
    bench = Pictures(graph, model_file)
    assert bench.node.count_publishers("planner/directions") == bench.node.count_subscribers("planner/hidden") == 0
    bench.stand()
    bench.camera.publish(convert.image_message(bench.node.now_ns(), "camera", PICTURE))
    time.sleep(0.3)
    assert bench.node._tally._done == 0  # it has no goal, and nothing to look for


# -- the reflex ------------------------------------------------------------------------------------------------------


class Bench(World):
    """A reflex node between walls 2.5 m away, and a planner that answers from when it is told to."""

    def __init__(self, graph, hears=ALL, **values):
        super().__init__(graph, hears=hears)
        self.node = graph.start(ReflexNode, **JACKAL.camera_settings, **values)
        self.hidden = graph.collect(PointCloud2, "planner/hidden", qos.SENSOR)
        self.closed = graph.collect(RateVectorMessage, "planner/closed", qos.STREAM)
        self.begin()

    @property
    def reason(self):
        return self.status[-1].reason if self.status else ""

    def said(self):
        """The cells of a planner/hidden that is said from now on, (n, 2)."""
        count = len(self.hidden)
        self.graph.until(lambda: len(self.hidden) > count)
        return convert.cells(self.hidden[-1].message, "odom")

    def sees(self, near):
        """Wait until the reflex sees something less than 1 m from the outline, or nothing."""
        self.graph.until(lambda: self.status and (self.status[-1].nearest_obstacle < 1.0) == near)


@pytest.fixture
def bench(graph):
    made = []

    def make(**values):
        made.append(Bench(graph, **values))
        return made[0]

    yield make
    for one in made:
        one.end()


@pytest.mark.parametrize("sensors", ["scan laser", "scan laser x=0.0 timeout=0.5"])
def test_ros_reflex_sees_by_what_a_planner_saw_hidden_and_says_it(bench, graph, sensors):
    b = bench(sensors=sensors)
    b.until_mode(HYBRID)
    b.sees(False)
    assert not b.hidden
    assert "trust" not in b.node.report()[2]
    b.rows = kerb()
    b.sees(True)
    cells = b.said()
    assert len(cells) > 10
    assert (cells[:, 1] < 0.1).all()  # on the right
    away = np.hypot(cells[:, 0] - JACKAL.camera_x, cells[:, 1])
    assert 0.9 < away.min() < away.max() < 1.3
    told = convert.rate_vector(b.closed[-1].message)
    assert [(p.name, p.size) for p in told.populations] == [("closed", 72)]
    assert (told.of("closed") > 0).any()
    _, said, values = b.node.report()  # its level tells of late ticks, too
    assert "not trusted" not in said
    assert (values["trust"], values["hidden cells"]) == (1.0, len(cells))
    b.until_mode(HYBRID)


def test_ros_reflex_drives_on_without_its_planner_and_keeps_in_mind_what_it_saw_hidden(bench, graph):
    b = bench()
    b.rows = kerb()
    b.sees(True)
    cells = b.said()
    b.sending -= {"planner/spikes", "planner/directions"}
    b.until_mode(ALONE)
    time.sleep(1.0)
    assert len(b.said()) == len(cells)
    assert b.status[-1].nearest_obstacle < 1.0
    newest = b.commands[-1].twist
    assert abs(newest.linear.x) + abs(newest.angular.z) > 0.05
    assert b.mode == ALONE


def test_ros_reflex_stops_and_says_why_where_it_is_to_have_directions_and_has_none(bench, graph):
    b = bench(directions_timeout=0.5)
    b.until_mode(STOPPED)
    graph.until(lambda: "no fresh directions from the planner" in b.reason)
    b.rows = kerb()
    b.until_mode(HYBRID)
    b.sending -= {"planner/directions"}  # as of a camera that shows nothing, or of a planner of contract 1
    b.until_mode(STOPPED)
    assert "no fresh directions from the planner" in b.reason
    graph.until(lambda: b.speed() == 0.0)
    assert b.node.set_parameters([Parameter("directions_timeout", value=0.0)])[0].successful
    b.until_mode(HYBRID)
    b.sees(True)


def test_ros_reflex_stops_where_it_does_not_know_where_the_hidden_lies(bench, graph):
    b = bench()
    b.rows = kerb()
    b.sees(True)
    b.sending -= {"odom", "planner/directions"}
    b.until_mode(STOPPED)
    assert "where the hidden things lie" in b.reason
    b.sending |= {"odom"}
    b.until_mode(HYBRID)


def test_ros_reflex_weighs_a_planner_that_the_scan_refutes_and_what_that_saw_stays(bench, graph, monkeypatch):
    b = bench()
    taken = []
    put = b.node._reflex.put_planner_spikes
    monkeypatch.setattr(
        b.node._reflex, "put_planner_spikes", lambda train, now: (taken.append(train), put(train, now))
    )

    def let_through():
        """Spikes a window, of the next hundred."""
        count = len(taken)
        graph.until(lambda: len(taken) >= count + 100)
        return np.mean([train.neuron.size for train in taken[count : count + 100]])

    b.rows = kerb()
    b.sees(True)
    cells = b.said()
    all_of_them = let_through()
    b.rows = kerb(post=True)  # where the scan shows walls 2.5 m away
    b.until_mode(ALONE)
    assert "they are withheld" in b.reason
    level, message, values = b.node.report()
    assert level == DiagnosticStatus.WARN
    assert "not trusted" in message
    assert values["trust"] < 0.25
    assert {tuple(c) for c in cells.tolist()} <= {tuple(c) for c in b.said().tolist()}
    # told by hand it counts at once
    assert b.node.set_parameters([Parameter("directions_trust", value="0.5")])[0].successful
    b.until_mode(HYBRID)
    assert let_through() == pytest.approx(all_of_them / 2, rel=0.2)
    refused = b.node.set_parameters([Parameter("directions_trust", value="much")])[0]
    assert not refused.successful
    assert "expected adaptive" in refused.reason


def test_ros_reflex_with_a_planner_of_contract_1_says_and_remembers_nothing(bench, graph):
    b = bench(hears=ALL[:4])
    b.until_mode(HYBRID)
    time.sleep(0.5)
    assert not b.hidden
    assert not b.closed
    assert "trust" not in b.node.report()[2]


def test_ros_reflex_of_what_flies_does_not_listen(graph):
    node = graph.start(ReflexNode, directions_reach=0.0)
    for topic in ("planner/hidden", "planner/closed"):
        assert node.count_publishers(topic) == 0
    assert node.count_subscribers("planner/directions") == 0


def test_ros_reflex_refuses_what_are_no_directions(bench, graph):
    b = bench(hears=ALL[:4])
    directions = graph.publisher(StateVectorMessage, "planner/directions", qos.STREAM)
    graph.until(lambda: directions.get_subscription_count() == 1)
    ring = StateVector(time.time_ns(), np.zeros(72, np.float32), layout(ring=72))
    directions.publish(convert.state_vector_message(ring))
    graph.until(lambda: b.node.refused["planner/directions"] == 1)
    old = ClosedDirections(time.time_ns() - 2_000_000_000, kerb()).states()
    directions.publish(convert.state_vector_message(old))
    graph.until(lambda: b.node.refused["planner/directions"] == 2)
    b.until_mode(HYBRID)


def test_ros_reflex_with_a_trust_that_is_none_does_not_begin(graph):
    assert not graph.add(ReflexNode, directions_trust="often").start()


# -- both ------------------------------------------------------------------------------------------------------------


class Field:
    """A robot that drives as its reflex says, in a room with walls 6 m away and in simulated time, which waits for the
    reflex; its camera always shows the same."""

    def __init__(self, graph, node):
        self.graph, self.node = graph, node
        self.now, self.pose, self.way = 10_000 * MS, Pose(), []
        self._commands = graph.collect(TwistStamped, "cmd_vel", qos.STREAM)
        self._clock = graph.publisher(Clock, "/clock", 10)
        self._lidar, self._odom = graph.publisher(LaserScan, "scan"), graph.publisher(OdometryMessage, "odom")
        self.camera = graph.publisher(Image, "camera/image_raw")
        graph.until(lambda: self._clock.get_subscription_count() >= 2)
        for publisher in (self._lidar, self._odom):
            graph.until(publisher.get_subscription_count)

    def step(self):
        """20 ms."""
        self.now += 20 * MS
        self._clock.publish(Clock(clock=convert.to_stamp(self.now)))
        self.graph.until(lambda: self._commands and convert.to_ns(self._commands[-1].header.stamp) == self.now)
        told, at = self._commands[-1].twist, self.pose
        yaw, way = at.yaw + 0.02 * told.angular.z, 0.02 * told.linear.x
        self.pose = Pose(at.x + way * np.cos(yaw), at.y + way * np.sin(yaw), yaw)
        self.way.append(self.pose)
        odometry = Odometry(self.now, self.pose, Twist(self.now, told.linear.x, 0.0, 0.0, told.angular.z))
        self._odom.publish(convert.odometry_message(odometry, "odom", "base_link"))
        bearings = -np.pi + np.pi / 180 * np.arange(360) + yaw
        across = [
            np.where(d > 0.0, 6.0 - p, 6.0 + p) / np.maximum(np.abs(d), 1e-9)
            for p, d in ((self.pose.x, np.cos(bearings)), (self.pose.y, np.sin(bearings)))
        ]
        ranges = np.minimum(*across).astype(np.float32)
        scan = RangeScan(self.now, -np.pi, np.pi / 180, 0.05, 20.0, ranges)
        self._lidar.publish(convert.scan_message(scan, "lidar"))
        stamps = self.node._reflex._inputs.last_stamp
        self.graph.until(lambda: stamps.get("scan") == stamps.get("odometry") == self.now)

    def show(self):
        """What the camera sees now."""
        self.camera.publish(convert.image_message(self.now, "camera", PICTURE))


def test_ros_robot_whose_planner_was_killed_drives_to_its_goal_around_what_that_saw_hidden(graph, closing):
    node = graph.start(ReflexNode, use_sim_time=True, max_speed=0.5, **JACKAL.camera_settings)
    hidden = graph.collect(PointCloud2, "planner/hidden", qos.SENSOR)
    directions = graph.collect(StateVectorMessage, "planner/directions", qos.STREAM)
    status = graph.collect(ReflexStatus, "reflex/status", qos.STREAM)
    goal = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
    names = {"use_sim_time": "true", "autostart": "true", "model_file": closing, "route_memory": "false"}
    planner = graph.run("planner_node", *(word for n, v in names.items() for word in ("-p", f"{n}:={v}")))
    field = Field(graph, node)
    graph.until(field.camera.get_subscription_count, 60)
    given_up = time.monotonic() + 30.0
    while not (hidden and hidden[-1].message.width > 10):
        field.step()
        field.show()
        count, patient = len(directions), time.monotonic() + 0.3
        while len(directions) == count and time.monotonic() < patient:
            time.sleep(0.005)
        assert time.monotonic() < given_up, (len(directions), len(hidden), planner.output)
    planner.popen.send_signal(signal.SIGKILL)
    planner.wait()
    cells = node._hidden._watch.memory.near(Pose())
    # behind the kerb, as seen from where it was seen
    goal.publish(convert.goal_message(Goal(field.now, 2.5, -1.2), "odom"))
    for _ in range(2000):
        field.step()
        if status and status[-1].mode == ReflexStatus.ARRIVED:
            break
    assert status[-1].mode == ReflexStatus.ARRIVED, status[-1].reason
    assert ALONE in {s.mode for s in status}
    assert HYBRID not in {s.mode for s in status}
    outline = Outline(JACKAL.length / 2, JACKAL.width / 2)
    for pose in field.way:
        x, y = near(cells, pose).T
        assert not outline.holds(x, y, CELL / 2).any()
    np.testing.assert_array_equal(node._hidden._watch.memory.near(field.pose), cells)
