"""The learner node: camera, odometry and labels in; what is seen of the ground out, and scans and plans with it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2
from std_msgs.msg import String

from hybrid_control.bringup.node_parameters import CAMERA_MOUNT
from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.classes import AVOID, read_effects
from hybrid_control.navigation.ground.effects import Effects
from hybrid_control.navigation.ground.features import FeatureMap
from hybrid_control.navigation.ground.learner import GroundLearner
from hybrid_control.navigation.ground.overlay import outside, overlay
from hybrid_control.navigation.planner.contract import DEFAULT_MODEL, FEATURES
from hybrid_control.navigation.reflex.evasion import Outline, outline_of
from hybrid_control.parameters import Value
from hybrid_control.realtime.worker import Worker
from hybrid_control.signals import Odometry
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage
from hybrid_control_ros.node import ManagedNode

_TRACK = 128  # odometry messages that are kept, by which an image finds its own


class LearnerNode(ManagedNode):
    """Looks at the newest image in a thread of its own, which learns as well; scans and plans are changed as they come.

    learner/ground is silent while the camera shows nothing and something is known that must not be missed; the reflex,
    which sees by it, then stops and says so.
    """

    kind = "learner_node"

    def __init__(self, values: Mapping[str, Value] | None = None, **options: object) -> None:
        super().__init__(values, **options)
        self._ground: GroundLearner | None = None
        self._track: deque[Odometry] = deque(maxlen=_TRACK)
        self._images = Worker("learner", self._look_at)
        self._learning = threading.Lock()  # held while a look may change what is known
        self._until = (0, 0)  # ns, to which the newest label holds, and the lesson lasts
        self._newest_ns = self._seen_ns = 0  # stamps of the newest image, and of the newest that showed something
        self._looks = 0
        self._unsaved, self._full = False, ""

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def configure(self) -> None:
        encoder = FeatureMap(self.value("model_file") or DEFAULT_MODEL, self.value("output") or FEATURES)
        ground = GroundLearner(
            encoder,
            CameraMount.of(self.values(CAMERA_MOUNT)),
            read_effects(self.value("effects")),
            reach=self.value("reach"),
            copies=self.value("copies"),
            seed=self.value("seed"),
        )
        ground.warm()
        memory = self.value("memory_file")
        if memory and Path(memory).exists():
            ground.load(memory)
            self.get_logger().info(f"{memory}: knows {', '.join(ground.classes)}")
        self._ground = ground
        self._track.clear()
        self._rates = self.talk(RateVectorMessage, "learner/rates", qos.STREAM)
        self._cloud = self.talk(PointCloud2, "learner/ground", qos.SENSOR)
        self._scans = self.talk(LaserScan, "learner/scan", qos.SENSOR)
        self._plans = self.talk(RateVectorMessage, "learner/plan", qos.STREAM)
        kind = CompressedImage if self.value("compressed") else Image
        self.take(kind, "camera/image_raw", self._images.put, qos.SENSOR, sole=True)
        self.listen(OdometryMessage, "odom", self._on_odometry, qos.SENSOR)
        self.take(LaserScan, "scan", self._on_scan, qos.SENSOR, sole=True)
        self.take(RateVectorMessage, "planner/rates", self._on_plan, qos.SENSOR)
        self.take(String, "learner/label", self._on_label, qos.COMMAND)
        self.serve("learner/undo", self._on_undo)
        self.every(1.0 / self.value("ground_rate"), self._tell)

    def activate(self) -> None:
        assert self._ground is not None
        self._ground.forget_places()
        self._track.clear()
        self._effects = Effects(self.value("slow_speed"))
        self._until = 0, 0
        self._newest_ns = self._seen_ns = self._looks = 0
        self._images.start()

    def deactivate(self) -> None:
        self._images.stop()
        if self._ground is not None:
            self._ground.finish()
            self._save()

    def cleanup(self) -> None:
        self._ground = None

    # -- inputs --------------------------------------------------------------------------------------------------

    def _on_odometry(self, message: OdometryMessage) -> None:
        try:
            self._track.append(convert.odometry(message, self.value("odom_frame")))
        except ValueError as error:
            self.refuse("odom", error)

    @property
    def _place(self) -> Odometry | None:
        """Where the robot is, None where that is not known."""
        odometry = self._track[-1] if self._track else None
        old = odometry is None or self.now_ns() - odometry.stamp_ns > self.value("odometry_timeout") * 1e9
        return None if old else odometry

    @property
    def _outline(self) -> Outline:
        return outline_of({name: self.value(name) for name in ("robot_length", "robot_width", "outline_x")})

    def _on_scan(self, message: LaserScan) -> None:
        """The scan goes on with what is to be avoided in it, to who remembers the way."""
        place, ground = self._place, self._ground
        if place is None or ground is None:
            return
        lidar = self.value("lidar_x"), self.value("lidar_y"), self.value("lidar_yaw")
        scan = overlay(convert.range_scan(message), ground.seen.points(AVOID, place.pose), lidar, self._outline)
        self._scans.publish(convert.scan_message(scan, message.header.frame_id, message.scan_time))

    def _on_plan(self, message: RateVectorMessage) -> None:
        place, ground, plan = self._place, self._ground, convert.rate_vector(message)
        if ground is not None and place is not None:
            fastest = self.value("slow_speed") if self.now_ns() < self._until[1] else math.inf
            plan = self._effects.blended(plan, ground.seen, place, fastest)
        self._plans.publish(convert.rate_vector_message(plan))

    def _on_label(self, message: String) -> None:
        assert self._ground is not None
        self._ground.teach(message.data)
        if message.data:
            lasts = (self.value(name) for name in ("label_lasts", "lesson_pause"))
            told, lesson = (self.now_ns() + round(seconds * 1e9) for seconds in lasts)
            self._until = told, max(told, lesson)

    def _on_undo(self, request: Any, response: Any) -> Any:
        try:
            if self._ground is None:
                raise ValueError("the node is not configured")
            with self._learning:
                label = self._ground.undo()
            self._unsaved = True
            response.success, response.message = True, f"what was learnt of {label!r} is taken back"
        except ValueError as error:
            response.success, response.message = False, str(error)
        return response

    # -- looking -------------------------------------------------------------------------------------------------

    def _look_at(self, message: Image | CompressedImage) -> None:
        begun, now_ns = time.monotonic(), self.now_ns()
        stamp_ns = convert.to_ns(message.header.stamp)
        if self._newest_ns > now_ns:  # the clock was set back, or a simulation began anew
            self._newest_ns = self._seen_ns = 0
        try:
            age = (now_ns - stamp_ns) * 1e-9
            if not self._newest_ns < stamp_ns:
                raise ValueError(f"its stamp is not newer than the last one's, {self._newest_ns * 1e-9:.3f} s")
            if abs(age) > self.value("image_timeout"):
                raise ValueError(f"its stamp is {age:.3f} s old, over image_timeout")
            self._newest_ns = stamp_ns
            self._look(convert.image(message), stamp_ns)
        except ValueError as error:
            self.refuse("camera/image_raw", error)
        if self._unsaved and self._ground is not None and not self._ground.teaching:
            self._save()
        self._images.pause(begun + 1.0 / self.value("rate") - time.monotonic())

    def _look(self, image: np.ndarray, stamp_ns: int) -> None:
        ground, there = self._ground, list(self._track)
        if ground is None or self._place is None or not there:
            return
        # where the robot was when the image was taken: while it turns, a twentieth of a second is some degrees
        place = min(there, key=lambda o: abs(o.stamp_ns - stamp_ns))
        with self._learning:
            ground.look(image, place.pose, place.twist.angular_z)
        self._unsaved |= bool(ground.teaching)
        self._seen_ns, self._looks = stamp_ns, self._looks + 1
        self._rates.publish(convert.rate_vector_message(ground.seen.rates(place.pose, stamp_ns)))

    def _save(self) -> None:
        """Keep what was learnt; where that fails it stays in memory, and is tried again when more was learnt."""
        memory, ground = self.value("memory_file"), self._ground
        if not memory or ground is None or not self._unsaved:
            return
        self._unsaved = False
        try:
            if ground.classes:
                ground.save(memory)
            else:  # all of it was taken back
                Path(memory).unlink(missing_ok=True)
            self._full = ""
        except OSError as error:
            self._full = f"what was learnt is not kept: {error}"
            self.get_logger().error(self._full)

    # -- what is told --------------------------------------------------------------------------------------------

    @property
    def _blind(self) -> bool:
        """Whether something may lie ahead that it knows, and that the camera does not show."""
        watches = self._ground is not None and self._ground.watches
        return watches and self.now_ns() - self._seen_ns > self.value("image_timeout") * 1e9

    def _tell(self) -> None:
        place, ground = self._place, self._ground
        told_until, lesson_until = self._until
        if ground is not None and ground.teaching and self.now_ns() > told_until:
            ground.teach("")
        if ground is not None and self.now_ns() > lesson_until > 0:
            self._until = 0, 0
            ground.finish()
        if not self.active or place is None or ground is None or self._blind:
            return
        middles = outside(ground.seen.points(AVOID, place.pose), self._outline)
        frame, yaw = self.value("base_frame"), place.pose.yaw
        self._cloud.publish(convert.ground_message(place.stamp_ns, frame, middles, yaw))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        ground = self._ground
        if ground is None or not self.active:
            return DiagnosticStatus.OK, "", {}
        values: dict[str, object] = {
            "classes": ", ".join(ground.classes), "learns now": ground.teaching, "looks": self._looks,
            **{f"cells of {label}": len(cells) for label, cells in ground.seen.cells.items()},
        }  # fmt: skip
        if self._full:
            return DiagnosticStatus.WARN, self._full, values
        if self._place is None:
            return DiagnosticStatus.WARN, "waiting for odometry", values
        if self._blind:
            return DiagnosticStatus.WARN, "blind: no image of the ground, so nothing is said of it", values
        return DiagnosticStatus.OK, f"learning {ground.teaching}" if ground.teaching else "looking", values
