"""The learner node: taught by labels, it tells the reflex where ground is to be kept off, and is silent when blind."""

from __future__ import annotations

import errno
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage
from hybrid_control_ros.learner import LearnerNode
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import Image, LaserScan, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import Trigger

from hybrid_control.signals import PLANNER_POPULATIONS, Odometry, Pose, RangeScan, RateVector, Twist
from hybrid_control.sim.robots.jackal import JACKAL

RED, GREY = (170, 40, 30), (130, 126, 118)


def picture(colour, seed=0):
    """Sky above, ground of a colour below, with noise."""
    image = np.full((120, 160, 3), (130, 170, 220), np.float64)
    image[54:] = colour
    return np.clip(image + np.random.default_rng(seed).normal(0, 6, image.shape), 0, 255).astype(np.uint8)


class Bench:
    """A learner with a camera, odometry, a lidar and a planner in front of it."""

    def __init__(self, graph, **values):
        self.graph, self.seed = graph, 0
        quick = {"copies": 3, "label_lasts": 0.5, "lesson_pause": 0.5, "rate": 100.0}
        values = {"effects": "puddle=avoid", **quick, **values}
        self.node = graph.add(LearnerNode, **JACKAL.camera_settings, **values)
        assert self.node.start()
        self.ground = graph.collect(PointCloud2, "learner/ground", qos.SENSOR)
        self.rates = graph.collect(RateVectorMessage, "learner/rates", qos.STREAM)
        self.plans = graph.collect(RateVectorMessage, "learner/plan", qos.STREAM)
        self.scans = graph.collect(LaserScan, "learner/scan", qos.SENSOR)
        self.camera = graph.publisher(Image, "camera/image_raw")
        self.odom = graph.publisher(OdometryMessage, "odom")
        self.lidar = graph.publisher(LaserScan, "scan")
        self.planner = graph.publisher(RateVectorMessage, "planner/rates", qos.STREAM)
        self.label = graph.publisher(String, "learner/label", qos.COMMAND)
        for publisher in (self.camera, self.odom, self.lidar, self.planner, self.label):
            graph.until(lambda p=publisher: p.get_subscription_count() == 1)

    def stand(self):
        now = self.node.now_ns()
        self.odom.publish(convert.odometry_message(Odometry(now, Pose(), Twist(now)), "odom", "base_link"))

    def show(self, image):
        """One image, and until it was looked at or refused."""
        self.stand()
        self.graph.until(lambda: self.node._place is not None)
        looks, refused = self.node._looks, self.node.refused["camera/image_raw"]
        self.camera.publish(convert.image_message(self.node.now_ns(), "camera", image))
        self.graph.until(
            lambda: self.node._looks > looks or self.node.refused["camera/image_raw"] > refused
        )

    def teach(self, label, colour, images=12):
        for _ in range(images):
            self.label.publish(String(data=label))
            self.seed += 1
            self.show(picture(colour, self.seed))

    def taught(self):
        self.teach("ground", GREY)
        self.teach("puddle", RED)
        self.graph.until(lambda: self.node._until == (0, 0))
        return self

    def kept_off(self):
        """Points of the newest learner/ground, (n, 3)."""
        count = len(self.ground)
        self.stand()
        self.graph.until(lambda: len(self.ground) > count)
        return convert.cloud(self.ground[-1].message).xyz()


def test_ros_learner_is_taught_by_labels_and_then_says_where_what_it_keeps_off_lies(graph):
    bench = Bench(graph)
    bench.stand()
    assert len(bench.kept_off()) == 0  # said, though nothing is known: the reflex waits for it
    bench.taught()
    assert bench.node._ground.classes == ("ground", "puddle")
    for seed in range(3):
        bench.show(picture(RED, 100 + seed))
    points = bench.kept_off()
    assert len(points) > 40
    assert (points[:, 0] > 0.25).all()  # none within the outline
    said = convert.rate_vector(bench.rates[-1].message)
    assert [p.name for p in said.populations] == ["puddle"]
    assert said.rates.max() > 100.0
    ranges = np.full(360, 5.0, np.float32)
    scan = RangeScan(bench.node.now_ns(), -np.pi, np.pi / 180, 0.1, 10.0, ranges)
    bench.stand()
    bench.lidar.publish(convert.scan_message(scan, "lidar"))
    graph.until(lambda: bench.scans)
    shown = np.array(bench.scans[-1].message.ranges)
    assert shown[180] < 1.0
    assert shown[0] == 5.0
    heading = np.ones(80, np.float32)
    bench.stand()
    plan = RateVector(7, heading, PLANNER_POPULATIONS)
    bench.planner.publish(convert.rate_vector_message(plan))
    graph.until(lambda: bench.plans)
    went = convert.rate_vector(bench.plans[-1].message)
    assert went.stamp_ns == 7
    assert went.of("heading")[36] == 0.0
    assert went.of("heading")[0] == 1.0


def test_ros_learner_gives_a_new_class_no_effect_before_the_lesson_is_over(graph):
    bench = Bench(graph, lesson_pause=30.0)
    bench.teach("ground", GREY)
    bench.teach("puddle", RED)
    assert len(bench.kept_off()) == 0
    assert not bench.node._ground.watches


def test_ros_learner_falls_silent_while_blind_once_it_knows_what_to_keep_off_and_forgets_nothing(graph):
    bench = Bench(graph, image_timeout=0.3)
    bench.show(np.zeros((120, 160, 3), np.uint8))
    assert bench.node.refused["camera/image_raw"] == 1
    bench.kept_off()  # nothing is known that could be missed
    bench.taught()
    for seed in range(3):
        bench.show(picture(RED, 100 + seed))
    before = len(bench.kept_off())
    for _ in range(4):
        bench.show(np.zeros((120, 160, 3), np.uint8))
        time.sleep(0.15)
    count = len(bench.ground)
    for _ in range(5):
        bench.stand()
        time.sleep(0.05)
    assert len(bench.ground) == count
    assert "blind" in bench.node.report()[1]
    bench.show(picture(RED, 200))
    assert len(bench.kept_off()) == before


def test_ros_learner_refuses_a_bad_label_and_takes_a_wrong_one_back(graph):
    bench = Bench(graph).taught()
    bench.label.publish(String(data="Not a name"))
    graph.until(lambda: bench.node.refused["learner/label"] == 1)
    assert bench.node._ground.classes == ("ground", "puddle")
    bench.teach("mud", GREY)
    assert bench.node._ground.classes == ("ground", "puddle", "mud")
    client = graph.tester.create_client(Trigger, "learner/undo")
    graph.until(client.service_is_ready)
    for success, said in ((True, "'mud' is taken back"), (False, "nothing was taught since")):
        future = client.call_async(Trigger.Request())
        graph.until(future.done)
        assert future.result().success is success
        assert said in future.result().message
        assert bench.node._ground.classes == ("ground", "puddle")


def test_ros_learner_keeps_what_it_learnt_in_its_file_and_a_full_disk_costs_nothing(graph, tmp_path, monkeypatch):
    file = tmp_path / "memory.npz"
    bench = Bench(graph, memory_file=str(file)).taught()
    bench.show(picture(GREY, 300))
    graph.until(file.exists)
    again = graph.add(LearnerNode, effects="puddle=avoid", memory_file=str(file), copies=3, **JACKAL.camera_settings)
    assert again.start()
    assert again._ground.classes == ("ground", "puddle")
    before = file.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    monkeypatch.setattr("numpy.savez_compressed", full)
    bench.teach("tar", (25, 25, 30))
    graph.until(lambda: bench.node._ground.teaching == "")
    bench.show(picture(GREY, 301))
    graph.until(lambda: "is not kept" in bench.node.report()[1])
    assert file.read_bytes() == before
    assert bench.node._ground.classes == ("ground", "puddle", "tar")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"effects": "puddle=flee"}, "effect 'flee' is unknown; expected avoid, approach, slow, ignore"),
        ({"effects": "puddle"}, "expected CLASS=EFFECT"),
        ({"output": "rates"}, "has no output 'rates' (features, rows, columns)"),
        ({"camera_pitch": -1.2}, "sees no ground within 2 m"),
    ],
)
def test_ros_learner_does_not_start_with_what_cannot_be_and_says_why(graph, values, said, capfd):
    node = graph.add(LearnerNode, **{**JACKAL.camera_settings, **values})
    assert not node.start()
    assert said in capfd.readouterr().err
