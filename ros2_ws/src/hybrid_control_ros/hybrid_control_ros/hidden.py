"""What a planner of contract 2 saw hidden, for the planner node: planner/hidden, planner/closed and
planner/directions out."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import LaserScan, PointCloud2

from hybrid_control.bringup.node_parameters import CAMERA_MOUNT, MOUNTS
from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.hidden import CLOSED, HiddenMemory
from hybrid_control.navigation.ground.trust import LEAST, Trust, read_trust
from hybrid_control.navigation.ground.watch import Watch
from hybrid_control.navigation.planner.states import Plan
from hybrid_control.navigation.reflex.evasion import outline_of
from hybrid_control.parameters import Value
from hybrid_control.signals import Odometry, RangeScan, RateVector
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, StateVectorMessage
from hybrid_control_ros.node import ManagedNode


class Hidden:
    """Remembers what the planner saw that a scan does not show, says it, and weighs the planner.

    Of a planner of contract 1 nothing is remembered, said or weighed. planner/hidden is silent while the camera shows
    nothing, or the robot's place is not known: the reflex, which sees by it, then stops and says so.
    """

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self._watch: Watch | None = None
        self._seen_ns = 0  # stamp of the newest image that was planned on

    @property
    def watches(self) -> bool:
        """Whether the planner says which directions are closed, so that it has to look, goal or not."""
        return self._watch is not None

    def open(self, closes: bool) -> None:
        """Until the node's cleanup. closes: whether the planner says which directions are closed."""
        node = self._node
        self._watch = None
        if not closes:
            return
        mount, settings = CameraMount.of(node.values(CAMERA_MOUNT)), node.values(MOUNTS)
        memory = HiddenMemory(mount, reach=node.value("reach"), sure=node.value("threshold"))
        trust = Trust(read_trust(node.value("trust")))
        lidar = node.value("lidar_x"), node.value("lidar_y"), node.value("lidar_yaw")
        self._watch = Watch(mount, lidar, outline_of(settings), memory, trust)
        self._cloud = node.talk(PointCloud2, "planner/hidden", qos.SENSOR)
        self._rates = node.talk(RateVectorMessage, "planner/closed", qos.STREAM)
        self._said = node.talk(StateVectorMessage, "planner/directions", qos.STREAM)
        # as the lidar gave it: what is taught of the ground is not in it
        node.take(LaserScan, "scan", self._on_scan, qos.SENSOR, sole=True)
        node.every(1.0 / node.value("hidden_rate"), self._tell)

    def begin(self) -> None:
        """Nothing was seen."""
        self._seen_ns = 0
        if self._watch is not None:
            self._watch.reset()

    def close(self) -> None:
        """What was loaded is forgotten."""
        self._watch = None

    def change(self, changes: Mapping[str, Value]) -> None:
        """A new trust; ParameterError where it is none."""
        if "trust" in changes:
            fixed = read_trust(str(changes["trust"]))
            if self._watch is not None:
                self._watch.trust.fix(fixed)

    def moved(self, odometry: Odometry) -> None:
        """The robot's newest place."""
        if self._watch is not None:
            self._watch.moved(odometry)

    def plan(self, rates: RateVector) -> RateVector | None:
        """What of a plan counts, None where it is withheld; from the planner's thread."""
        watch = self._watch
        if watch is None:
            return rates
        if isinstance(rates, Plan) and rates.closed is not None:
            self._said.publish(convert.state_vector_message(rates.closed.states()))
        counts = watch.plan(rates)
        self._seen_ns = rates.stamp_ns
        place = watch.place
        if place is not None:
            said = watch.memory.rates(place.pose, place.stamp_ns)
            self._rates.publish(convert.rate_vector_message(said))
        return counts

    def laid(self, scan: RangeScan, odometry: Odometry) -> RangeScan:
        """A scan with what is hidden in it."""
        return scan if self._watch is None else self._watch.laid(scan, odometry.pose)

    def _on_scan(self, message: LaserScan) -> None:
        if self._watch is not None:
            self._watch.scanned(convert.range_scan(message))

    def _tell(self) -> None:
        node, watch = self._node, self._watch
        place, now_ns = None if watch is None else watch.place, node.now_ns()
        if (
            not node.active
            or watch is None
            or place is None
            or now_ns - place.stamp_ns > node.value("odometry_timeout") * 1e9
            or now_ns - self._seen_ns > node.value("image_timeout") * 1e9
        ):
            return
        frame, pose = node.value("base_frame"), place.pose
        self._cloud.publish(convert.ground_message(place.stamp_ns, frame, watch.outlying(pose), pose.yaw))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        """For diagnostics: level, "" or what a person should know, and values."""
        watch = self._watch
        if watch is None:
            return DiagnosticStatus.OK, "", {}
        trust, cells = watch.trust, len(watch.memory.seen.cells[CLOSED])
        values: dict[str, object] = {"trust": trust.value, "hidden cells": cells}
        if not trust.enters:
            left = "its plans are withheld" if trust.value < LEAST else "its plans count less"
            return DiagnosticStatus.WARN, f"not trusted, what it sees hidden is not entered and {left}", values
        if not self._cloud.get_subscription_count():
            return DiagnosticStatus.WARN, "nobody sees by planner/hidden: name it in the reflex's sensors", values
        return DiagnosticStatus.OK, "", values
