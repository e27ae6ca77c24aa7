"""The planner node: camera, depth, scan, odometry and goal in, planner/rates, planner/state and planner/waypoint out;
of a planner of contract 2 also planner/directions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2

from hybrid_control.bringup.node_parameters import MOUNTS
from hybrid_control.navigation.ground.memory import near
from hybrid_control.navigation.ground.overlay import FloatArray, overlay
from hybrid_control.navigation.planner.contract import named
from hybrid_control.navigation.planner.need import PlannerOnNeed
from hybrid_control.navigation.planner.planner import BlindError, Planner
from hybrid_control.navigation.planner.states import NewDirection, Plan
from hybrid_control.navigation.reflex.evasion import outline_of
from hybrid_control.navigation.route import Guide, guide_of
from hybrid_control.navigation.route.memory import warm
from hybrid_control.parameters import Value
from hybrid_control.realtime.worker import Worker
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, RateVector, StateVector
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, StateVectorMessage
from hybrid_control_ros.node import ManagedNode


@dataclass
class Shown:
    """What is shown beside images: the frame that scans come in, the hidden cells that the reflex remembers, (n, 2) m
    in the odometry's frame, the newest scan, with those in it, and the newest depth image in m, with its stamp in ns.
    """

    frame: str = ""
    hidden: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    scan: RangeScan | None = None
    depth: tuple[int, np.ndarray] | None = None

    def scan_at(self, now_ns: int, seconds: float) -> RangeScan | None:
        """The newest scan, if it is no older than that."""
        scan = self.scan
        return scan if scan is not None and abs(now_ns - scan.stamp_ns) <= seconds * 1e9 else None

    def depth_at(self, stamp_ns: int, seconds: float) -> np.ndarray | None:
        """The newest depth image, if its stamp is no further than that from an image's."""
        depth = self.depth
        return depth[1] if depth is not None and abs(stamp_ns - depth[0]) <= seconds * 1e9 else None


class Tally:
    """How often something was done, how long it took, and whether it could not be for want of anything to see."""

    def __init__(self) -> None:
        self.blind = False
        self._done = 0
        self._seconds: deque[float] = deque(maxlen=200)
        self._reported = (time.monotonic(), 0)

    def add(self, seconds: float) -> None:
        """It was done once more."""
        self._seconds.append(seconds)
        self._done += 1
        self.blind = False

    def report(self) -> tuple[dict[str, object], int]:
        """Values for diagnostics, and how often it was done since the last report."""
        now, done = time.monotonic(), self._done
        (before, done_before), self._reported = self._reported, (now, done)
        rate = (done - done_before) / (now - before) if now > before else 0.0
        values: dict[str, object] = {"rate [Hz]": rate, "planned": done, "blind": self.blind}
        if self._seconds:
            p50, p99 = np.percentile(list(self._seconds), (50, 99)) * 1e3
            values |= {"inference p50 [ms]": float(p50), "inference p99 [ms]": float(p99)}
        return values, done - done_before


class States:
    """Says the initial states of plans in a new direction, where the model has any and somebody takes them.

    hand_over: gets each StateVector in memory, in the planner's thread.
    """

    def __init__(self, hand_over: Callable[[StateVector], None] | None) -> None:
        self._hand_over = hand_over
        self._topic: Any = None  # where the model has no states, there is no topic
        self._turned = NewDirection()
        self.errand = self._said_for = 0  # which of those that the reflex was sent on; and for which states were said

    def open(self, node: ManagedNode, has_states: bool) -> None:
        """Until the node's cleanup."""
        self._topic = node.talk(StateVectorMessage, "planner/state", qos.STREAM) if has_states else None

    def begin(self) -> None:
        """The states of the next plan that begins from now on are said; from any thread."""
        self.errand += 1

    @property
    def wanted(self) -> bool:
        """Whether anybody takes them."""
        return self._topic is not None and (
            self._hand_over is not None or self._topic.get_subscription_count() > 0
        )

    def say(self, plan: RateVector, yaw: float, errand: int) -> None:
        """Those of a plan, if its direction is new. yaw: rad, by odometry; errand: what it was when the plan began."""
        if errand != self.errand:
            return  # the reflex was sent elsewhere meanwhile
        if errand != self._said_for:
            self._turned.reset()
            self._said_for = errand
        states = self._turned.states(plan, yaw)
        if states is None:
            return
        if self._hand_over is not None:
            self._hand_over(states)
        if self._topic is not None and self._topic.get_subscription_count():
            self._topic.publish(convert.state_vector_message(states))


class PlannerNode(ManagedNode):
    """Plans on the newest image, in a thread of its own, never on a queue of old ones.

    With route_memory another thread enters the newest scan into a memory of the way, and the points on the way that
    come of it go to the reflex and stand in for the goal here.
    hand_over, hand_over_states: get each RateVector, and the states of a plan in a new direction, in memory, in the
    planner's thread.
    """

    kind = "planner_node"

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        hand_over: Callable[[RateVector], None] | None = None,
        hand_over_states: Callable[[StateVector], None] | None = None,
        **options: object,
    ) -> None:
        super().__init__(values, **options)
        self._hand_over = hand_over
        self._states = States(hand_over_states)
        self._planner: PlannerOnNeed | None = None
        self._odometry: Odometry | None = None
        self._goal: Goal | None = None
        self._aim: Goal | None = None
        self._shown = Shown()
        self._images = Worker("planner", self._plan_on)
        self._scans = Worker("route", self._enter)
        self._guide: Guide | None = None
        self._newest_ns = 0  # stamp of the newest image
        self._tally = Tally()

    def configure(self) -> None:
        planner = Planner(
            named(self.value("model_file")),
            min_contrast=self.value("min_contrast"),
            camera=(self.value("camera_z"), self.value("camera_pitch"), self.value("camera_hfov")),
            lidar=Pose(self.value("lidar_x"), self.value("lidar_y"), self.value("lidar_yaw")),
        )
        self._planner = PlannerOnNeed(planner, self.value("hold"))
        self._odometry = self._goal = self._aim = None
        self._rates = self.talk(RateVectorMessage, "planner/rates", qos.STREAM)
        self._states.open(self, bool(planner.info.states))
        if planner.closes:
            self._directions = self.talk(StateVectorMessage, "planner/directions", qos.STREAM)
        kind = CompressedImage if self.value("compressed") else Image
        self.take(kind, "camera/image_raw", self._images.put, qos.SENSOR, sole=True)
        self.listen(OdometryMessage, "odom", self._on_odometry, qos.SENSOR)
        self.listen(PoseStamped, "goal_pose", self._on_goal, qos.COMMAND)
        # the reflex's goal, also for a planner that was not there when it was told
        self.listen(PoseStamped, "reflex/goal", self._on_reflex_goal, qos.LATCHED)
        if planner.depths:
            self.take(Image, "camera/depth/image_raw", self._on_depth, qos.SENSOR, sole=True)
        if self.value("route_memory"):
            warm()
            self._waypoints = self.talk(PoseStamped, "planner/waypoint", qos.COMMAND)
            self.take(LaserScan, self.value("route_scan"), self._scans.put, qos.SENSOR, sole=True)
            if planner.closes:
                self.take(PointCloud2, "planner/hidden", self._on_hidden, qos.SENSOR, sole=True)

    def activate(self) -> None:
        self._aim = None
        self._shown = Shown()
        self._newest_ns = 0
        self._tally = Tally()
        self._states.begin()
        self._images.start()
        if self.value("route_memory"):
            settings = {n: self.value(n) for n in ("lidar_x", "lidar_y", "lidar_yaw", "robot_width")}
            self._guide = guide_of(settings, self.value("no_way") == "explore")
            self._scans.start()

    def deactivate(self) -> None:
        self._images.stop()
        self._scans.stop()

    def cleanup(self) -> None:
        self._planner = None

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

    def _on_reflex_goal(self, message: PoseStamped) -> None:
        """The reflex was sent somewhere else, or begins anew: it has not settled on anything yet."""
        self._on_goal(message)
        self._states.begin()

    def _enter(self, message: LaserScan) -> None:
        """Enter a scan into the memory, and send the next point on the way when it is due."""
        odometry, goal, guide = self._odometry, self._goal, self._guide
        assert guide is not None
        try:
            before = self._shown.frame
            if before and message.header.frame_id != before:
                raise ValueError(f"it is in frame {message.header.frame_id!r}, expected {before!r}")
            self._shown.frame = message.header.frame_id
            scan = convert.range_scan(message)
        except ValueError as error:
            self.refuse(self.value("route_scan"), error)
            return
        if (
            odometry is None
            or goal is None
            or abs(scan.stamp_ns - odometry.stamp_ns) > self._odometry_timeout()
        ):
            return
        if len(self._shown.hidden):
            lidar = self.value("lidar_x"), self.value("lidar_y"), self.value("lidar_yaw")
            cells = near(self._shown.hidden, odometry.pose)
            scan = overlay(scan, cells, lidar, outline_of(self.values(MOUNTS)))
        self._shown.scan = scan
        guide.put_goal(goal)
        guide.put_odometry(odometry)
        guide.put_scan(scan)
        point = guide.point(self.now_ns())
        if point is not None and goal is self._goal and not self._scans.ending:
            if isinstance(point, Goal):
                self._aim = point
            self._waypoints.publish(convert.waypoint_message(point, self.value("odom_frame")))

    def _odometry_timeout(self) -> int:
        return round(self.value("odometry_timeout") * 1e9)

    def _plan_on(self, message: Image | CompressedImage) -> None:
        begun = time.monotonic()
        stamp_ns, now_ns = convert.to_ns(message.header.stamp), self.now_ns()
        if self._newest_ns > now_ns:  # the clock was set back, or a simulation began anew
            self._newest_ns = 0
        try:
            if not self._newest_ns < stamp_ns:
                raise ValueError(
                    f"its stamp is not newer than the last one's, {self._newest_ns * 1e-9:.3f} s"
                )
            age = (now_ns - stamp_ns) * 1e-9
            if abs(age) > self.value("image_timeout"):
                raise ValueError(f"its stamp is {age:.3f} s old, over image_timeout")
            self._newest_ns = stamp_ns
            self._plan(convert.image(message), stamp_ns, now_ns)
        except ValueError as error:
            self._tally.blind = isinstance(error, BlindError)
            self.refuse("camera/image_raw", error)
        self._images.pause(begun + 1.0 / self.value("rate") - time.monotonic())

    def _plan(self, image: np.ndarray, stamp_ns: int, now_ns: int) -> None:
        errand = self._states.errand  # read before the goal and counted after it, so that it is no newer than the goal
        odometry, goal, planner = self._odometry, self._aim or self._goal, self._planner
        if (
            odometry is None
            or planner is None
            or (goal is None and not planner.closes)  # one that says what is closed looks also without any
            or now_ns - odometry.stamp_ns > self._odometry_timeout()
        ):
            return
        begun = time.monotonic()
        wanted = self._states.wanted and goal is not None
        aim = goal or Goal(stamp_ns, odometry.pose.x, odometry.pose.y)
        scan = self._shown.scan_at(now_ns, self.value("image_timeout"))
        depth = self._shown.depth_at(stamp_ns, self.value("depth_timeout"))
        rates = planner.plan(image, odometry, aim, stamp_ns, states=wanted, scan=scan, depth=depth)
        self._tally.add(time.monotonic() - begun)
        if self._images.ending:
            return
        if isinstance(rates, Plan) and rates.closed is not None:
            self._directions.publish(convert.state_vector_message(rates.closed.states()))
        if goal is None:
            return
        if self._hand_over is not None:
            self._hand_over(rates)
        self._rates.publish(convert.rate_vector_message(rates))
        if wanted:
            self._states.say(rates, odometry.pose.yaw, errand)

    def _on_depth(self, message: Image) -> None:
        self._shown.depth = convert.to_ns(message.header.stamp), convert.depth(message)

    def _on_hidden(self, message: PointCloud2) -> None:
        self._shown.hidden = convert.cells(message, self.value("odom_frame"))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        values, new = self._tally.report()
        if self._planner is not None:
            values["inferences"] = self._planner.inferences
        if not self.active:
            return DiagnosticStatus.OK, "", values
        if self._tally.blind:
            return DiagnosticStatus.WARN, "blind: the image shows nothing", values
        if self._goal is None:
            return DiagnosticStatus.OK, "waiting for a goal", values
        if self._odometry is None:
            return DiagnosticStatus.WARN, "waiting for odometry", values
        if not new:
            return DiagnosticStatus.WARN, "no image that could be planned on in the last second", values
        return DiagnosticStatus.OK, "planning", values
