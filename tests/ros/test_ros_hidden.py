"""The planner node with a planner of contract 2: what no scan shows is said and entered, as far as it is trusted."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, StateVectorMessage
from hybrid_control_ros.planner import PlannerNode
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.parameter import Parameter
from ros_models import write_model
from sensor_msgs.msg import Image, LaserScan, PointCloud2

from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    UNSEEN,
    ClosedDirections,
)
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.sim.robots.jackal import JACKAL

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
IN_VIEW = np.abs(HEADINGS) < np.pi / 4
LEFT, RIGHT = IN_VIEW & (HEADINGS > 0.1), IN_VIEW & (HEADINGS < -0.1)


@pytest.fixture(scope="module")
def closing(tmp_path_factory):
    """A model that sees a kerb 1 m before the camera's foot on its right, and a post as far on its left."""
    rows = np.zeros((4, SECTORS))
    rows[[STANDING_AT, HIDDEN_AT]] = 4.0
    rows[np.ix_([STANDING, HIDDEN], ~IN_VIEW)] = UNSEEN
    rows[HIDDEN, RIGHT], rows[HIDDEN_AT, RIGHT] = 0.9, 1.0
    rows[STANDING, LEFT], rows[STANDING_AT, LEFT] = 0.9, 1.0
    path = tmp_path_factory.mktemp("closing") / "closing.onnx"
    write_model(path, closed=rows)
    return path


class Bench:
    """A planner node before which a robot stands still, that is told all it listens to."""

    def __init__(self, graph, model, **values):
        self.graph = graph
        self.node = graph.add(PlannerNode, model_file=str(model), rate=100.0, **JACKAL.camera_settings, **values)
        self.rates = graph.collect(RateVectorMessage, "planner/rates", qos.STREAM)
        self.closed = graph.collect(RateVectorMessage, "planner/closed", qos.STREAM)
        self.hidden = graph.collect(PointCloud2, "planner/hidden", qos.SENSOR)
        self.directions = graph.collect(StateVectorMessage, "planner/directions", qos.STREAM)
        assert self.node.start()
        self.camera = graph.publisher(Image, "camera/image_raw")
        self.odom = graph.publisher(OdometryMessage, "odom")
        self.lidar = graph.publisher(LaserScan, "scan")
        for publisher in (self.camera, self.odom):
            graph.until(lambda p=publisher: p.get_subscription_count() == 1)

    def goal(self):
        publisher = self.graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
        self.graph.until(publisher.get_subscription_count)
        publisher.publish(convert.goal_message(Goal(self.node.now_ns(), 5.0, 0.0), "odom"))
        self.graph.until(lambda: self.node._goal is not None)

    def stand(self):
        now = self.node.now_ns()
        before = self.node._odometry
        self.odom.publish(convert.odometry_message(Odometry(now, Pose(), Twist(now)), "odom", "base_link"))
        self.graph.until(lambda: self.node._odometry is not before)

    def scan(self, ranges):
        """A scan from the robot's centre; ranges: m, a number or by angle (360,)."""
        ranges = np.broadcast_to(np.asarray(ranges, np.float32), 360)
        scan = RangeScan(self.node.now_ns(), -np.pi, np.pi / 180, 0.05, 10.0, ranges)
        self.lidar.publish(convert.scan_message(scan, "lidar"))

    def look(self, times=1, picture=PICTURE, ranges=None):
        """So many images, each with odometry and a scan of its time, and until each was looked at or refused."""
        for _ in range(times):
            self.stand()
            if ranges is not None:
                scans = len(self.node._hidden._watch._scans)
                self.scan(ranges)
                self.graph.until(lambda n=scans: len(self.node._hidden._watch._scans) > n)
            planned, refused = self.node._tally._done, self.node.refused["camera/image_raw"]
            self.camera.publish(convert.image_message(self.node.now_ns(), "camera", picture))
            self.graph.until(
                lambda p=planned, r=refused: self.node._tally._done > p or self.node.refused["camera/image_raw"] > r
            )

    def said(self):
        """Points of a planner/hidden that is said from now on, (n, 3)."""
        count = len(self.hidden)
        self.stand()
        self.graph.until(lambda: len(self.hidden) > count)
        return convert.cloud(self.hidden[-1].message).xyz()

    def is_silent(self, seconds=0.3):
        self.stand()
        time.sleep(0.1)  # for what was on its way
        count = len(self.hidden)
        self.stand()
        time.sleep(seconds)
        return len(self.hidden) == count


def post():
    """What the scan would show if what the model says stands on its left did: 1 m from the foot."""
    angles = np.radians(np.arange(360) - 180.0)
    foot = JACKAL.camera_x
    # the circle of 1 m about the foot, seen from the centre
    away = foot * np.cos(angles) + np.sqrt(1.0 - (foot * np.sin(angles)) ** 2)
    bearing = np.arctan2(away * np.sin(angles), away * np.cos(angles) - foot)
    return np.where((bearing > 0.1) & (bearing < np.pi / 4), away, np.inf)


def test_ros_planner_says_what_it_saw_hidden_by_the_second_look_goal_or_not(graph, closing):
    bench = Bench(graph, closing)
    assert bench.is_silent()  # nothing was looked at yet
    bench.look()
    assert len(bench.said()) == 0
    bench.look()
    points = bench.said()
    assert len(points) > 40
    assert bench.hidden[-1].message.header.frame_id == "base_link"
    assert (points[:, 1] < 0.2).all()  # on the right; a cell is taken for 0.1 m wider on each side
    away = np.hypot(points[:, 0] - JACKAL.camera_x, points[:, 1])
    assert 0.7 < away.min() < away.max() < 1.4
    told = convert.rate_vector(bench.closed[-1].message)
    assert [(p.name, p.size) for p in told.populations] == [("closed", 72)]
    assert (told.of("closed") > 0).any()
    assert not bench.rates  # there is no goal
    bench.goal()
    bench.look()
    graph.until(lambda: bench.rates)
    assert convert.rate_vector(bench.rates[-1].message).rates.sum() == 360.0


def test_ros_planner_says_of_each_image_what_its_model_said_is_closed(graph, closing):
    bench = Bench(graph, closing)
    bench.look(2, ranges=np.inf)  # whatever a scan says of it
    graph.until(lambda: len(bench.directions) == 2)
    said = [ClosedDirections.of(convert.state_vector(m.message)) for m in bench.directions]
    assert (said[1].rows[HIDDEN][RIGHT] == np.float32(0.9)).all()
    assert (said[1].rows[STANDING_AT][LEFT] == 1.0).all()
    assert (said[1].seen == IN_VIEW).all()
    assert 0 < said[0].stamp_ns < said[1].stamp_ns == bench.node._newest_ns


def test_ros_planner_is_silent_about_the_hidden_while_its_camera_shows_nothing_and_keeps_it_in_mind(graph, closing):
    bench = Bench(graph, closing, image_timeout=0.4)
    bench.look(3)
    assert len(bench.said()) > 40
    for _ in range(6):
        bench.look(picture=np.zeros_like(PICTURE))
        bench.is_silent(0.1)
    assert bench.is_silent()
    assert bench.node.report()[2]["blind"]
    bench.look()
    assert len(bench.said()) > 40


def test_ros_planner_whose_answers_the_scan_refutes_is_withheld_and_what_it_saw_stays(graph, closing):
    bench = Bench(graph, closing)
    bench.goal()
    bench.look(4, ranges=post())
    level, message, values = bench.node._hidden.report()
    assert (level, message, values["trust"]) == (DiagnosticStatus.OK, "", 1.0)
    assert values["hidden cells"] > 10
    kerb = len(bench.said())
    assert kerb > 40
    graph.until(lambda: len(bench.rates) == 4)
    trust = bench.node._hidden._watch.trust
    while trust.value >= 0.25:
        bench.look(ranges=np.inf)  # nothing stands there
    plans = [convert.rate_vector(m.message).rates.sum() / 360.0 for m in bench.rates]
    assert all(0.25 <= share <= 1.0 for share in plans)
    count = len(plans)
    bench.look(2, ranges=np.inf)
    assert len(bench.rates) == count
    level, message, values = bench.node._hidden.report()
    assert (level, message[:11]) == (DiagnosticStatus.WARN, "not trusted")
    assert values["trust"] < 0.25
    assert len(bench.said()) == kerb
    # told by hand it counts at once
    assert bench.node.set_parameters([Parameter("trust", value="0.5")])[0].successful
    bench.look(ranges=np.inf)
    graph.until(lambda: len(bench.rates) > count)
    assert convert.rate_vector(bench.rates[-1].message).rates.sum() == pytest.approx(180.0)
    refused = bench.node.set_parameters([Parameter("trust", value="much")])[0]
    assert not refused.successful
    assert "expected adaptive" in refused.reason


def test_ros_planner_enters_what_it_saw_hidden_into_the_memory_of_the_way(graph, closing, monkeypatch):
    bench = Bench(graph, closing)
    entered = []
    put = bench.node._guide.put_scan
    monkeypatch.setattr(bench.node._guide, "put_scan", lambda scan: (entered.append(scan), put(scan)))
    bench.goal()
    bench.look(3, ranges=np.full(360, 5.0))
    bench.stand()
    bench.scan(5.0)
    graph.until(lambda: entered and entered[-1].ranges.min() < 4.0)
    shown = entered[-1].ranges
    assert shown[150] == pytest.approx(1.2, abs=0.15)  # 30 degrees to the right
    assert shown[210] == pytest.approx(5.0)


def test_ros_planner_of_contract_1_says_and_takes_nothing_of_it(graph, model_file):
    bench = Bench(graph, model_file, route_memory=False)
    for topic in ("planner/hidden", "planner/closed", "planner/directions"):
        assert bench.node.count_publishers(topic) == 0
    assert bench.node.count_subscribers("scan") == 0
    bench.stand()
    bench.camera.publish(convert.image_message(bench.node.now_ns(), "camera", PICTURE))
    time.sleep(0.3)
    assert bench.node._tally._done == 0  # it has no goal, and nothing to look for
    assert "trust" not in bench.node.report()[2]


def test_ros_planner_of_contract_2_takes_scans_also_without_route_memory(graph, closing):
    bench = Bench(graph, closing, route_memory=False)
    graph.until(lambda: bench.lidar.get_subscription_count() == 1)
    bench.look(2, ranges=post())
    assert len(bench.said()) > 40


def test_ros_planner_with_a_trust_that_is_none_does_not_begin(graph, closing):
    node = graph.add(PlannerNode, model_file=str(closing), trust="often")
    assert not node.start()
