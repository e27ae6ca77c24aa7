"""The simulator node: the embedded simulator behind the topics of a robot."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point, TwistStamped, Vector3
from geometry_msgs.msg import Twist as TwistMessage
from hybrid_control_msgs.msg import SimState
from nav_msgs.msg import Odometry as OdometryMessage
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import Image, Imu, LaserScan, Range
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from hybrid_control.parameters import ParameterError, Value
from hybrid_control.signals import Twist
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.robots.vehicle import EventSensor, Vehicle
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World, load_world
from hybrid_control.sim.worlds.patch import ground_look
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.vertical import range_message

MAP, BASE, LIDAR, CAMERA, IMU, EVENTS = "map", "base_link", "lidar", "camera", "imu", "event_camera"
_WHEEL_SPEEDS = struct.Struct("=2d")  # rad/s, left and right
Size = tuple[float, float, float]
_STEP_NS = 5_000_000  # simulated time between two looks at cmd_vel
_VIEW_NS = 33_000_000  # simulated time between two pictures in the viewer
_LATE_NS = 50_000_000  # lateness beyond which time is dropped instead of caught up with


class SensorTopics:
    """The topics of a simulated robot's sensors, and what is wrong with them in a test.

    odom_frame: of odom, empty where somebody else says where the robot is. faults: of "camera" and "scan", by name.
    """

    def __init__(self, node: ManagedNode, robot: Vehicle, odom_frame: str, faults: dict[str, str]) -> None:
        self.faults = faults
        self._robot, self._odom_frame = robot, odom_frame
        self._frame: Image | None = None  # the newest
        topics = {"scan": LaserScan, "camera/image_raw": Image, "imu": Imu}
        if node.value("depth"):
            topics["camera/depth/image_raw"] = Image
        if robot.vertical is not None:
            topics |= {"range/up": Range, "range/down": Range}
        if robot.event_camera is not None:
            self._packet = convert.message_of("event_camera_msgs", "EventPacket", "event_camera: true")
            topics["events"] = self._packet
        if odom_frame:
            topics["odom"] = OdometryMessage
        self._topics = {topic: node.talk(kind, topic, qos.SENSOR) for topic, kind in topics.items()}

    def begin(self) -> None:
        """A new run: no frame was sent yet."""
        self._frame = None

    def publish(self, kind: str, stamp_ns: int, value: Any) -> None:
        """A sensor's reading, under the name of its kind of event."""
        getattr(self, f"_{kind}")(stamp_ns, value)

    def _scan(self, stamp_ns: int, scan: Any) -> None:
        fault = self.faults["scan"]
        if fault == "silent":
            return
        message = convert.scan_message(scan, LIDAR, 1.0 / self._robot.lidar_rate)
        message.header.stamp = convert.to_stamp(stamp_ns)
        if fault == "nan":
            message.ranges = array("f", [math.nan]) * len(message.ranges)
        self._topics["scan"].publish(message)

    def _camera(self, stamp_ns: int, picture: Any) -> None:
        fault = self.faults["camera"]
        if fault == "silent":
            return
        message = convert.image_message(stamp_ns, CAMERA, picture)
        if fault in ("black", "white"):
            message.data = array("B", bytes([0 if fault == "black" else 255])) * len(message.data)
        elif fault == "size":
            message.data = message.data[: len(message.data) // 2]
        elif fault == "nan":  # as a depth camera that sees nothing
            message.encoding, message.step = "32FC1", 4 * message.width
            message.data = array("B", array("f", [math.nan]).tobytes()) * (message.width * message.height)
        elif fault == "freeze" and self._frame is not None:
            message = self._frame
        self._frame = message
        self._topics["camera/image_raw"].publish(message)

    def _depth(self, stamp_ns: int, depth: Any) -> None:
        self._topics["camera/depth/image_raw"].publish(convert.depth_message(stamp_ns, CAMERA, depth))

    def _vertical(self, stamp_ns: int, ranges: Any) -> None:
        assert self._robot.vertical is not None
        for side, distance in (("up", ranges.up), ("down", ranges.down)):
            message = range_message(stamp_ns, side, distance, 0.02, self._robot.vertical.range_max)
            self._topics[f"range/{side}"].publish(message)

    def _events(self, stamp_ns: int, events: Any) -> None:
        eye = self._robot.event_camera
        assert eye is not None
        message = self._packet()
        convert.fill_packet(message, stamp_ns, EVENTS, events, (eye.width, eye.height))
        self._topics["events"].publish(message)

    def _imu(self, stamp_ns: int, reading: Any) -> None:
        message = Imu()
        message.header.stamp = convert.to_stamp(stamp_ns)
        message.header.frame_id = IMU
        message.orientation_covariance[0] = -1.0  # no orientation is measured
        message.angular_velocity = _vector(reading.angular_velocity)
        message.linear_acceleration = _vector(reading.linear_acceleration)
        self._topics["imu"].publish(message)

    def _odometry(self, stamp_ns: int, odometry: Any) -> None:
        if self._odom_frame:
            # its own stamp is simulated time
            message = convert.odometry_message(odometry, self._odom_frame, BASE)
            message.header.stamp = convert.to_stamp(stamp_ns)
            self._topics["odom"].publish(message)


class Pace:
    """Holds simulated time to a factor of the monotonic clock's, 0 for as fast as it goes.

    Where the machine is too slow, simulated time falls behind; it never hurries to catch up by more than 50 ms.
    time_ns: simulated so far; dropped_ns: of the monotonic clock, fallen behind.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self.time_ns = self.dropped_ns = 0
        self._begun_ns = time.monotonic_ns()
        self._reported = (time.monotonic(), 0)

    def begin(self) -> None:
        """Simulated time begins now."""
        self._begun_ns = time.monotonic_ns()

    def wait(self, until_ns: int) -> None:
        """Wait until a simulated time is due."""
        if self._factor <= 0.0:
            return
        late = time.monotonic_ns() - (self._begun_ns + self.dropped_ns + round(until_ns / self._factor))
        if late < 0:
            time.sleep(-late * 1e-9)
        elif late > _LATE_NS:
            self.dropped_ns += late

    def report(self) -> dict[str, object]:
        """How time went since the last report."""
        now, simulated = time.monotonic(), self.time_ns
        before, simulated_before = self._reported
        self._reported = now, simulated
        factor = (simulated - simulated_before) * 1e-9 / (now - before) if now > before else 0.0
        return {
            "simulated [s]": simulated * 1e-9,
            "real-time factor": factor,
            "fallen behind [s]": self.dropped_ns * 1e-9,
        }


class SimNode(ManagedNode):
    """Runs a Simulator in a thread of its own, paced by the monotonic clock."""

    kind = "sim_node"

    def __init__(self, values: Mapping[str, Value] | None = None, **options: object) -> None:
        super().__init__(values, **options)
        self._world: World | None = None
        self._thread: threading.Thread | None = None
        self._ending = False
        self._command: Twist | None = None
        self._wheels: socket.socket | None = None
        self._error: str | None = None
        self._faults = {"camera": "", "scan": ""}
        self._pace = Pace(0.0)

    def configure(self) -> None:
        factor = self.value("real_time_factor")
        if self.value("stamps") == "ros" and factor != 1.0:
            raise ParameterError(f"real_time_factor: {factor:g} needs stamps 'simulated'; for 'ros' it must be 1")
        if self.get_parameter("use_sim_time").value:
            raise ParameterError("use_sim_time: must be false, the simulator makes the time")
        self._robot = vehicle(self.value("robot"))
        self._world = load_world(self.value("world"), self.value("seed"), self._robot.world_scale)
        if self.value("event_camera"):
            self._robot = replace(self._robot, event_camera=EventSensor())
        has = 0 if self._robot.wheels is None else self._robot.wheels.number
        if self.value("wheel_port") and has != 2:
            raise ParameterError(f"wheel_port: the robot {self._robot.name!r} has {has or 'no'} wheels; it must be 0")
        self._faults |= {"camera": self.value("camera_fault"), "scan": self.value("scan_fault")}
        # a world that does not suit the robot is refused here, and not when it is to drive
        self._new_simulator().close()
        self._clock_topic = self.talk(ClockMessage, "/clock", qos.CLOCK)
        odom_frame = "" if self.value("wheel_port") else self.value("odom_frame")
        self._sensors = SensorTopics(self, self._robot, odom_frame, self._faults)
        if self.value("wheel_port"):
            self._wheels = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._wheels.setblocking(False)
            self._wheels.bind(("127.0.0.1", self.value("wheel_port")))
        else:
            kind = TwistStamped if self.value("stamped_cmd_vel") else TwistMessage
            self.listen(kind, "cmd_vel", self._on_command, qos.COMMAND)
        self._state = self.talk(SimState, "sim/state", qos.STREAM)
        self._map = self.talk(MarkerArray, "sim/world", qos.LATCHED)

    def activate(self) -> None:
        self._ending = False
        self._error = None
        self._command = None
        self._sensors.begin()
        self._pace = Pace(self.value("real_time_factor"))
        assert self._world is not None
        self._map.publish(world_message(self._world, self.now_ns()))
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        self._ending = True
        if self._thread is not None:
            self._thread.join(1.0)
            self._thread = None

    def cleanup(self) -> None:
        self._world = None
        if self._wheels is not None:
            self._wheels.close()
            self._wheels = None

    def change(self, changes: Mapping[str, Value]) -> None:
        for name, value in changes.items():
            self._faults[name.removesuffix("_fault")] = str(value)

    def _new_simulator(self) -> Simulator:
        assert self._world is not None
        looks = {"camera": self.value("camera"), "depth": self.value("depth")}
        return Simulator(self._world, self._robot, self.value("seed"), **looks)

    def _on_command(self, message: TwistStamped | TwistMessage) -> None:
        try:
            self._command = convert.twist(message, self.now_ns())
        except ValueError as error:
            self.refuse("cmd_vel", error)

    # -- the simulator's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._new_simulator() as simulator:
                if self.value("viewer"):
                    with simulator.viewer() as viewer:
                        self._drive(simulator, viewer)
                else:
                    self._drive(simulator, None)
        except (ValueError, OSError) as error:
            self._error = str(error)
            self.get_logger().error(f"the simulation has ended: {error}")

    def _drive(self, simulator: Simulator, viewer: Any) -> None:
        clock_period = round(1e9 / self.value("clock_rate"))
        step = min(_STEP_NS, clock_period)
        if self.value("camera"):
            simulator.camera()  # the first picture takes long, so it is drawn before time begins
        if self._robot.event_camera is not None:
            simulator.events()
        ros_ns = self.now_ns() if self.value("stamps") == "ros" else None
        self._pace.begin()
        next_clock, next_view = clock_period, 0
        until = 0
        while not self._ending:
            until += step
            self._pace.wait(until)
            command, self._command = self._command, None
            if command is not None:
                simulator.apply(command)
            if self._wheels is not None:
                self._turn_wheels(simulator, self._wheels)
            # a stamp is the time at which it was so on the clock that the other nodes go by
            offset = 0 if ros_ns is None else ros_ns + self._pace.dropped_ns
            for event in simulator.advance(until):
                self._sensors.publish(event.kind, event.time_ns + offset, event.value)
                if event.kind == "odometry":
                    self._publish_state(simulator, event.time_ns + offset)
                if self._ending:
                    return
            self._pace.time_ns = simulator.time_ns
            if until >= next_clock:
                next_clock += clock_period
                self._clock_topic.publish(ClockMessage(clock=convert.to_stamp(simulator.time_ns + offset)))
            if viewer is not None and until >= next_view:
                next_view += _VIEW_NS
                if viewer.is_running():
                    viewer.sync()
                else:
                    self.get_logger().info("the viewer was closed; the simulation goes on without it")
                    viewer = None

    def _turn_wheels(self, simulator: Simulator, wheels: socket.socket) -> None:
        """Turn the wheels as fast as the newest datagram says; those of the emulated firmware, see emulator.c."""
        newest = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                newest = wheels.recv(64)
        if newest:
            try:
                simulator.set_wheel_speeds(*_WHEEL_SPEEDS.unpack(newest))
            except (struct.error, ValueError) as error:
                self.refuse("wheel speeds", error)

    def _publish_state(self, simulator: Simulator, stamp_ns: int) -> None:
        truth = simulator.truth()
        message = SimState()
        message.header.stamp = convert.to_stamp(stamp_ns)
        message.header.frame_id = MAP
        message.pose.x, message.pose.y, message.pose.theta = truth.pose.x, truth.pose.y, truth.pose.yaw
        message.linear_x = truth.twist.linear_x
        message.angular_z = truth.twist.angular_z
        message.goal_distance = simulator.goal_distance()
        message.minimum_distance = simulator.minimum_distance()
        message.contacts = simulator.contacts
        message.path_length = simulator.path_length
        self._state.publish(message)

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        values = self._pace.report()
        faults = [f"{name} {fault}" for name, fault in self._faults.items() if fault]
        if self._error is not None:
            return DiagnosticStatus.ERROR, self._error, values
        if faults:
            return DiagnosticStatus.WARN, "fault for a test: " + ", ".join(faults), values
        return DiagnosticStatus.OK, "", values


def _vector(values: tuple[float, float, float]) -> Vector3:
    x, y, z = values
    return Vector3(x=x, y=y, z=z)


def world_message(world: World, stamp_ns: int, height: float = 0.5) -> MarkerArray:
    """A world as markers: patches, things, obstacles, boxes, movers (where they begin), start, goal and bounds."""
    markers: list[Marker] = []

    def add(name: str, kind: int, x: float, y: float, yaw: float, size: Size, colour: ColorRGBA) -> Marker:
        marker = Marker(ns=name, id=len(markers), type=kind, action=Marker.ADD, color=colour)
        marker.header.frame_id = MAP
        marker.header.stamp = convert.to_stamp(stamp_ns)
        marker.pose.position = Point(x=float(x), y=float(y), z=size[2] / 2)
        marker.pose.orientation = convert.quaternion(float(yaw))
        marker.scale = _vector((float(size[0]), float(size[1]), float(size[2])))
        markers.append(marker)
        return marker

    pink = ColorRGBA(r=0.8, g=0.4, b=0.4, a=1.0)
    blue = ColorRGBA(r=0.2, g=0.4, b=0.9, a=1.0)
    grey = ColorRGBA(r=0.5, g=0.5, b=0.55, a=1.0)
    green = ColorRGBA(r=0.1, g=0.7, b=0.3, a=0.6)
    orange = ColorRGBA(r=0.95, g=0.55, b=0.15, a=0.8)
    for patch in world.patches:
        r, g, b = ground_look(patch.kind).first
        size = patch.length, patch.width, 0.005
        look = ColorRGBA(r=r, g=g, b=b, a=0.9)
        add("patches", Marker.CUBE, patch.x, patch.y, patch.yaw, size, look).text = patch.kind
    for thing in world.things:
        size = thing.length, thing.width, thing.top - thing.bottom
        marker = add("things", Marker.CUBE, thing.x, thing.y, thing.yaw, size, orange)
        marker.pose.position.z, marker.text = (thing.bottom + thing.top) / 2, thing.kind
    for x, y, radius in world.cylinders:
        add("obstacles", Marker.CYLINDER, x, y, 0.0, (2 * radius, 2 * radius, height), grey)
    for x, y, length, width, angle in world.boxes:
        add("boxes", Marker.CUBE, x, y, angle, (length, width, height), grey)
    for mover in world.movers:
        x, y = mover.at(0.0)
        add("movers", Marker.CYLINDER, x, y, 0.0, (2 * mover.radius, 2 * mover.radius, height), pink)
    start = world.start
    add("start", Marker.ARROW, start.x, start.y, start.yaw, (0.5, 0.08, 0.08), blue)
    add("goal", Marker.CYLINDER, *world.goal, 0.0, (0.5, 0.5, 0.02), green)
    x0, y0, x1, y1 = world.bounds
    outline = add("bounds", Marker.LINE_STRIP, 0.0, 0.0, 0.0, (0.02, 0.0, 0.0), grey)
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
    outline.points = [Point(x=float(x), y=float(y), z=0.0) for x, y in corners]
    return MarkerArray(markers=markers)


def build(values: Mapping[str, Mapping[str, Value]]) -> list[ManagedNode]:
    """The node of this program."""
    return [SimNode(values[SimNode.kind])]
