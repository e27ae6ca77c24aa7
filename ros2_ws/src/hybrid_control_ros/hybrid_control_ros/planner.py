"""The planner node: camera, scan, odometry and goal in, planner/rates and planner/waypoint out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CompressedImage, Image, LaserScan

from hybrid_control.navigation.planner.contract import DEFAULT_MODEL
from hybrid_control.navigation.planner.planner import BlindError, Planner
from hybrid_control.navigation.route import Guide
from hybrid_control.navigation.route.memory import warm
from hybrid_control.parameters import Value
from hybrid_control.signals import Goal, Odometry, RateVector
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage
from hybrid_control_ros.node import ManagedNode

_WAIT = 0.1  # seconds after which the thread looks whether it is to end


class PlannerNode(ManagedNode):
    """Plans on the newest image, in a thread of its own, never on a queue of old ones.

    With route_memory another thread enters the newest scan into a memory of the way, and the points on the way that
    come of it go to the reflex and stand in for the goal here.
    hand_over: gets each RateVector in memory, in the planner's thread.
    """

    kind = "planner_node"

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        hand_over: Callable[[RateVector], None] | None = None,
        **options: object,
    ) -> None:
        super().__init__(values, **options)
        self._hand_over = hand_over
        self._planner: Planner | None = None
        self._odometry: Odometry | None = None
        self._goal: Goal | None = None
        self._aim: Goal | None = None
        self._scan: LaserScan | None = None
        self._scan_frame = ""
        self._guide_thread: threading.Thread | None = None
        self._image: Image | CompressedImage | None = None
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._done = 0
        self._blind = False
        self._seconds: deque[float] = deque(maxlen=200)
        self._reported = (time.monotonic(), 0)

    def configure(self) -> None:
        self._planner = Planner(
            self.value("model_file") or DEFAULT_MODEL, min_contrast=self.value("min_contrast")
        )
        self._odometry = self._goal = self._aim = None
        self._rates = self.talk(RateVectorMessage, "planner/rates", qos.STREAM)
        kind = CompressedImage if self.value("compressed") else Image
        self.listen(kind, "camera/image_raw", self._on_image, qos.SENSOR)
        self.listen(OdometryMessage, "odom", self._on_odometry, qos.SENSOR)
        self.listen(PoseStamped, "goal_pose", self._on_goal, qos.COMMAND)
        if self.value("route_memory"):
            warm()
            self._waypoints = self.talk(PoseStamped, "planner/waypoint", qos.COMMAND)
            self.listen(LaserScan, "scan", self._on_scan, qos.SENSOR)

    def activate(self) -> None:
        self._ending = False
        self._image = self._scan = self._aim = None
        self._scan_frame = ""
        self._done, self._blind = 0, False
        self._seconds.clear()
        self._reported = (time.monotonic(), 0)
        self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
        self._thread.start()
        if self.value("route_memory"):
            self._guide_thread = threading.Thread(target=self._guide, name="route", daemon=True)
            self._guide_thread.start()

    def deactivate(self) -> None:
        with self._arrived:
            self._ending = True
            self._arrived.notify_all()
        for thread in (self._thread, self._guide_thread):
            if thread is not None:
                thread.join(1.0)
        self._thread = self._guide_thread = None

    def cleanup(self) -> None:
        self._planner = None

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self.active:
            with self._arrived:
                self._image = message
                self._arrived.notify_all()

    def _on_odometry(self, message: OdometryMessage) -> None:
        try:
            self._odometry = convert.odometry(message, self.value("odom_frame"))
        except ValueError as error:
            self.refuse("odom", error)

    def _on_goal(self, message: PoseStamped) -> None:
        try:
            goal = convert.goal(message, self.value("odom_frame"))
        except ValueError as error:
            self.refuse("goal_pose", error)
            return
        if self._goal is None or (goal.x, goal.y) != (self._goal.x, self._goal.y):
            self._aim = None
        self._goal = goal

    def _on_scan(self, message: LaserScan) -> None:
        if self.active:
            with self._arrived:
                self._scan = message
                self._arrived.notify_all()

    def _guide(self) -> None:
        """Enter the newest scan into the memory, and tell the next point on the way when it is due."""
        guide = Guide(self.value("lidar_x"), self.value("lidar_yaw"))
        odometry_timeout = round(self.value("odometry_timeout") * 1e9)
        while True:
            with self._arrived:
                while self._scan is None and not self._ending:
                    self._arrived.wait(_WAIT)
                message, self._scan = self._scan, None
            if message is None or self._ending:
                return
            odometry, goal = self._odometry, self._goal
            try:
                if self._scan_frame and message.header.frame_id != self._scan_frame:
                    raise ValueError(f"it is in frame {message.header.frame_id!r}, expected {self._scan_frame!r}")
                self._scan_frame = message.header.frame_id
                scan = convert.range_scan(message)
            except ValueError as error:
                self.refuse("scan", error)
                continue
            if odometry is None or goal is None or abs(scan.stamp_ns - odometry.stamp_ns) > odometry_timeout:
                continue
            guide.put_goal(goal)
            guide.put_odometry(odometry)
            guide.put_scan(scan)
            point = guide.point(self.now_ns())
            if point is not None and goal is self._goal and not self._ending:
                self._aim = point
                self._waypoints.publish(convert.goal_message(point, self.value("odom_frame")))

    def _work(self) -> None:
        period = 1.0 / self.value("rate")
        image_timeout = round(self.value("image_timeout") * 1e9)
        odometry_timeout = round(self.value("odometry_timeout") * 1e9)
        newest_ns = 0
        while True:
            with self._arrived:
                while self._image is None and not self._ending:
                    self._arrived.wait(_WAIT)
                message, self._image = self._image, None
            if message is None or self._ending:
                return
            begun = time.monotonic()
            stamp_ns, now_ns = convert.to_ns(message.header.stamp), self.now_ns()
            if newest_ns > now_ns:  # the clock was set back, or a simulation began anew
                newest_ns = 0
            try:
                if not newest_ns < stamp_ns:
                    raise ValueError(f"its stamp is not newer than the last one's, {newest_ns * 1e-9:.3f} s")
                age_ns = now_ns - stamp_ns
                if abs(age_ns) > image_timeout:
                    raise ValueError(f"its stamp is {age_ns * 1e-9:.3f} s old, over image_timeout")
                newest_ns = stamp_ns
                self._plan(convert.image(message), stamp_ns, now_ns, odometry_timeout)
            except ValueError as error:
                self._blind = isinstance(error, BlindError)
                self.refuse("camera/image_raw", error)
            with self._arrived:
                self._arrived.wait_for(lambda: self._ending, max(0.0, begun + period - time.monotonic()))

    def _plan(self, image: np.ndarray, stamp_ns: int, now_ns: int, odometry_timeout: int) -> None:
        odometry, goal, planner = self._odometry, self._aim or self._goal, self._planner
        if (
            goal is None
            or odometry is None
            or planner is None
            or now_ns - odometry.stamp_ns > odometry_timeout
        ):
            return
        begun = time.monotonic()
        rates = planner.plan(image, odometry, goal, stamp_ns)
        self._seconds.append(time.monotonic() - begun)
        self._blind = False
        self._done += 1
        if self._ending:
            return
        if self._hand_over is not None:
            self._hand_over(rates)
        self._rates.publish(convert.rate_vector_message(rates))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        now, done = time.monotonic(), self._done
        before, done_before = self._reported
        self._reported = now, done
        rate = (done - done_before) / (now - before) if now > before else 0.0
        values: dict[str, object] = {"rate [Hz]": rate, "planned": done, "blind": self._blind}
        if self._seconds:
            p50, p99 = np.percentile(list(self._seconds), (50, 99)) * 1e3
            values |= {"inference p50 [ms]": float(p50), "inference p99 [ms]": float(p99)}
        if not self.active:
            return DiagnosticStatus.OK, "", values
        if self._blind:
            return DiagnosticStatus.WARN, "blind: the image shows nothing", values
        if self._goal is None:
            return DiagnosticStatus.OK, "waiting for a goal", values
        if self._odometry is None:
            return DiagnosticStatus.WARN, "waiting for odometry", values
        if done == done_before:
            return DiagnosticStatus.WARN, "no image that could be planned on in the last second", values
        return DiagnosticStatus.OK, "planning", values
