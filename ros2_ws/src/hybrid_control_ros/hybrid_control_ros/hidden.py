"""What no scan shows, for the reflex node: planner/directions in, planner/hidden and planner/closed out."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import PointCloud2

from hybrid_control.bringup.node_parameters import CAMERA_MOUNT
from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.ground.hidden import CLOSED, HiddenMemory
from hybrid_control.navigation.ground.trust import Trust, read_trust
from hybrid_control.navigation.ground.watch import Lidar, Watch
from hybrid_control.navigation.planner.closed import ClosedDirections
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.signals import Odometry, RangeScan, SpikeTrain
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, StateVectorMessage
from hybrid_control_ros.node import ManagedNode


class Hidden:
    """Remembers what a planner of contract 2 saw hidden, has the reflex see by it, and weighs what that planner wishes,
    until the node's cleanup.

    It lives with the reflex, and so outlives the planner: when that dies or sees nothing, what was seen stays. While no
    planner says planner/directions, nothing is remembered, said or weighed; with directions_reach 0 it is not asked.
    """

    def __init__(self, node: ManagedNode, reflex: Reflex) -> None:
        self._node, self._reflex = node, reflex
        self._answers = 0
        mount, reach = CameraMount.of(node.values(CAMERA_MOUNT)), node.value("directions_reach")
        memory = HiddenMemory(mount, reach=reach, sure=node.value("directions_threshold"))
        self._watch = Watch(mount, memory, Trust(read_trust(node.value("directions_trust"))))
        if reach > 0.0:
            node.take(StateVectorMessage, "planner/directions", self._on_directions, qos.SENSOR, sole=True)
            self._cloud = node.talk(PointCloud2, "planner/hidden", qos.SENSOR)
            self._rates = node.talk(RateVectorMessage, "planner/closed", qos.STREAM)
            node.every(1.0 / node.value("hidden_rate"), self._tell)

    def begin(self) -> None:
        """Nothing was seen."""
        self._answers = 0
        self._watch.reset()

    def trust(self, value: float | None) -> None:
        """Trust the planner so much from now on; None: as its answers prove right."""
        self._watch.trust.fix(value)

    def moved(self, odometry: Odometry) -> None:
        """The robot's newest place."""
        self._watch.moved(odometry)

    def scanned(self, scan: RangeScan, lidar: Lidar) -> None:
        """The newest scan of the lidar at that place, by which the planner is judged."""
        self._watch.scanned(scan, lidar)

    @property
    def withholds(self) -> bool:
        """Whether nothing that the planner wishes counts."""
        return self._watch.trust.withholds

    def weighed(self, train: SpikeTrain) -> SpikeTrain | None:
        """What of the planner's spikes counts; None where they are withheld."""
        return self._watch.trust.of_spikes(train)

    def _on_directions(self, message: StateVectorMessage) -> None:
        watch, closed = self._watch, ClosedDirections.of(convert.state_vector(message))
        watch.look(closed)
        free = watch.free(closed.stamp_ns)
        self._reflex.put_hidden(watch.cells(), closed.stamp_ns, self._node.now_ns(), free)
        self._answers += 1
        place = watch.place
        if place is not None:
            rates = watch.memory.rates(place.pose, place.stamp_ns)
            self._rates.publish(convert.rate_vector_message(rates))

    def _tell(self) -> None:
        place = self._watch.place
        if self._node.active and self._answers and place is not None:
            cells, frame = self._watch.memory.near(place.pose), self._node.value("odom_frame")
            self._cloud.publish(convert.cells_message(place.stamp_ns, frame, cells))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        """For diagnostics: level, "" or what a person should know, and values."""
        if not self._answers:
            return DiagnosticStatus.OK, "", {}
        trust, cells = self._watch.trust, len(self._watch.memory.seen.cells[CLOSED])
        values: dict[str, object] = {"trust": trust.value, "hidden cells": cells}
        if trust.enters:
            return DiagnosticStatus.OK, "", values
        left = "its plans are withheld" if trust.withholds else "its plans count less"
        said = f"the planner is not trusted, what it sees hidden is not entered and {left}"
        return DiagnosticStatus.WARN, said, values
