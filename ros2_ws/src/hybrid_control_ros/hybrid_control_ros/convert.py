"""ROS messages to hybrid_control's value types and back.

What comes from a message is checked: a message that can't be right raises ValueError with one line that says why.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped, Quaternion, TwistStamped
from geometry_msgs.msg import Twist as TwistMessage
from hybrid_control_msgs.msg import RateVector as RateVectorMessage
from hybrid_control_msgs.msg import ReflexStatus as ReflexStatusMessage
from hybrid_control_msgs.msg import SpikeTrain as SpikeTrainMessage
from hybrid_control_msgs.msg import StateVector as StateVectorMessage
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2, PointField

from hybrid_control.navigation.ground.overlay import corners
from hybrid_control.navigation.sensors.readings import Cloud
from hybrid_control.parameters import ParameterError
from hybrid_control.signals import (
    Goal,
    NoWay,
    Odometry,
    Population,
    Pose,
    RangeScan,
    RateVector,
    SpikeTrain,
    StateVector,
    Twist,
)
from hybrid_control.signals.events import pack_mono

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hybrid_control.navigation.reflex import Status

_SECOND = 1_000_000_000
_GROUND_HEIGHT = 0.3  # m, at which a message shows what lies on the ground, for who looks at the topic
UNMEASURED = 1e9  # a variance from which on drivers mean that they do not measure it


def message_of(module: str, name: str, why: str) -> Any:
    """A message type of a package that need not be there; ParameterError where it is not."""
    try:
        return getattr(__import__(f"{module}.msg", fromlist=[name]), name)
    except ImportError:
        package = module.replace("_", "-")
        raise ParameterError(f"{why} needs {module} (apt install ros-$ROS_DISTRO-{package})") from None


def to_ns(stamp: Time) -> int:
    """A stamp in nanoseconds."""
    return int(stamp.sec) * _SECOND + int(stamp.nanosec)


def to_stamp(ns: int) -> Time:
    """A stamp of nanoseconds, which must fit in 32 bits of seconds."""
    sec, nanosec = divmod(ns, _SECOND)
    return Time(sec=sec, nanosec=nanosec)


def _populations(names: Sequence[str], sizes: Sequence[int], what: str) -> tuple[Population, ...]:
    if len(names) != len(sizes):
        raise ValueError(f"{what}: {len(names)} names and {len(sizes)} sizes of populations")
    if len(set(names)) != len(names):
        raise ValueError(f"{what}: a population's name stands twice in {list(names)}")
    populations, first = [], 0
    for name, size in zip(names, sizes, strict=True):
        populations.append(Population(name, first, int(size)))
        first += int(size)
    return tuple(populations)


def _array(values: NDArray, code: str) -> array:
    """A numpy array as the array.array that messages take without looking at each number."""
    result = array(code)
    result.frombytes(values.tobytes())
    return result


def _head(message: Any, stamp_ns: int, populations: Sequence[Population]) -> None:
    """Stamp and populations of a message of rates, states or spikes."""
    message.header.stamp = to_stamp(stamp_ns)
    message.populations = [p.name for p in populations]
    message.sizes = array("I", [p.size for p in populations])


def rate_vector(message: RateVectorMessage) -> RateVector:
    """The rates of a message."""
    populations = _populations(message.populations, message.sizes, "rates")
    return RateVector(to_ns(message.header.stamp), np.frombuffer(message.rates, np.float32), populations)


def rate_vector_message(rates: RateVector) -> RateVectorMessage:
    """Rates as a message."""
    message = RateVectorMessage()
    _head(message, rates.stamp_ns, rates.populations)
    message.rates = _array(rates.rates, "f")
    return message


def state_vector(message: StateVectorMessage) -> StateVector:
    """The states of a message."""
    populations = _populations(message.populations, message.sizes, "states")
    return StateVector(to_ns(message.header.stamp), np.frombuffer(message.values, np.float32), populations)


def state_vector_message(states: StateVector) -> StateVectorMessage:
    """States as a message."""
    message = StateVectorMessage()
    _head(message, states.stamp_ns, states.populations)
    message.values = _array(states.values, "f")
    return message


def spike_train(message: SpikeTrainMessage) -> SpikeTrain:
    """The spikes of a message."""
    return SpikeTrain(
        to_ns(message.header.stamp),
        int(message.duration_ns),
        _populations(message.populations, message.sizes, "spike train"),
        np.frombuffer(message.neuron, np.uint32),
        np.frombuffer(message.offset_ns, np.uint32),
    )


def spike_train_message(train: SpikeTrain) -> SpikeTrainMessage:
    """Spikes as a message."""
    message = SpikeTrainMessage()
    _head(message, train.stamp_ns, train.populations)
    message.duration_ns = train.duration_ns
    message.neuron = _array(train.neuron, "I")
    message.offset_ns = _array(train.offset_ns, "I")
    return message


def image(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """The picture of a message, (height, width, 3) uint8 RGB. Raises ImageError, a ValueError."""
    from hybrid_control.navigation.planner.images import decode, decode_compressed

    if isinstance(message, CompressedImage):
        return decode_compressed(message.data)
    return decode(message.data, message.encoding, message.height, message.width, message.step)


def depth(message: Image) -> NDArray[np.float32]:
    """The depth image of a message, (height, width) m along the optical axis. Raises ImageError, a ValueError."""
    from hybrid_control.navigation.planner.depths import decode

    size = message.height, message.width
    return decode(message.data, message.encoding, size, message.step, bool(message.is_bigendian))


def depth_message(stamp_ns: int, frame: str, depth: NDArray[np.float32]) -> Image:
    """A depth image, (height, width) m with 0 where it is not known, as a message, as REP 118 has it."""
    height, width = depth.shape
    message = Image(height=height, width=width, encoding="32FC1", is_bigendian=0, step=4 * width)
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), frame
    message.data = _array(np.where(depth > 0.0, depth, np.float32(np.nan)), "B")
    return message


def fill_packet(
    message: Any, stamp_ns: int, frame_id: str, events: NDArray[Any], size: tuple[int, int]
) -> None:
    """Events, (n,) of signals.events.EVENT, in an event_camera_msgs/EventPacket in the encoding `mono`; size: pixels,
    width and height. The events' own clock stays: time_base is of it."""
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), frame_id
    message.width, message.height = size
    message.encoding, message.is_bigendian = "mono", False
    message.time_base = int(events["t"][0]) if events.size else 0
    message.events = array("B", pack_mono(events, message.time_base))


def image_message(stamp_ns: int, frame: str, picture: NDArray[np.uint8]) -> Image:
    """A picture, (height, width, 3) uint8 RGB, as a message."""
    height, width, _ = picture.shape
    message = Image(height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width)
    message.header.stamp = to_stamp(stamp_ns)
    message.header.frame_id = frame
    message.data = _array(picture, "B")
    return message


def range_scan(message: LaserScan) -> RangeScan:
    """The ranges of a message, whose angles must fit their number; an angle_max of 0 counts as not filled in."""
    n = len(message.ranges)
    last = message.angle_min + message.angle_increment * (n - 1)
    slack = 2.0 * abs(message.angle_increment) + 0.02 * abs(last - message.angle_min)
    if n > 1 and message.angle_max != 0.0 and not abs(message.angle_max - last) <= slack:
        raise ValueError(
            f"scan: angle_max {message.angle_max:g} rad does not fit {n} ranges from {message.angle_min:g} rad in "
            f"steps of {message.angle_increment:g}, which end at {last:g}"
        )
    return RangeScan(
        to_ns(message.header.stamp),
        message.angle_min,
        message.angle_increment,
        message.range_min,
        message.range_max,
        np.frombuffer(message.ranges, np.float32),
    )


def cloud(message: PointCloud2) -> Cloud:
    """The points of a message, not yet read."""
    fields = {f.name: (int(f.offset), int(f.datatype)) for f in message.fields}
    return Cloud(
        message.data, fields, message.width, message.height, message.point_step, message.row_step,
        bool(message.is_bigendian),
    )  # fmt: skip


def cloud_message(stamp_ns: int, frame: str, points: NDArray[np.floating]) -> PointCloud2:
    """Points, (n, 3) m, as a message."""
    message = PointCloud2(height=1, width=len(points), is_bigendian=False, point_step=12, is_dense=True)
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), frame
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate("xyz")
    ]
    message.row_step = 12 * len(points)
    message.data = _array(np.ascontiguousarray(points, np.float32), "B")
    return message


def ground_message(stamp_ns: int, frame: str, middles: NDArray[np.float64], yaw: float) -> PointCloud2:
    """Cells of the ground that is to be kept off, as the corners of each: the reflex sees by it as kind `ground`.

    middles: (n, 2) m in the robot's frame `frame`; yaw: rad, of the robot in the odometry's frame.
    """
    points = corners(middles, yaw)
    return cloud_message(stamp_ns, frame, np.column_stack([points, np.full(len(points), _GROUND_HEIGHT)]))


def cells_message(stamp_ns: int, frame: str, middles: NDArray[np.float64]) -> PointCloud2:
    """Cells of the ground that no scan shows, as the middle of each, (n, 2) m in the odometry's frame `frame`."""
    return cloud_message(stamp_ns, frame, np.column_stack([middles, np.full(len(middles), _GROUND_HEIGHT)]))


def cells(message: PointCloud2, frame: str) -> NDArray[np.float64]:
    """The middles of the cells of such a message, (n, 2) m; ValueError where it is in another frame, or not finite."""
    _check_frame(message.header.frame_id, frame, "it")
    middles = cloud(message).xyz()[:, :2].astype(np.float64)
    if not np.isfinite(middles).all():
        raise ValueError("a point of it is not finite")
    return middles


def scan_message(scan: RangeScan, frame: str, scan_time: float = 0.0) -> LaserScan:
    """A scan as a message; scan_time: seconds from one to the next."""
    message = LaserScan()
    message.header.stamp = to_stamp(scan.stamp_ns)
    message.header.frame_id = frame
    message.angle_min = float(scan.angle_min)
    message.angle_max = float(scan.angle_min + scan.angle_increment * max(scan.ranges.size - 1, 0))
    message.angle_increment = float(scan.angle_increment)
    message.range_min = float(scan.range_min)
    message.range_max = float(scan.range_max)
    message.scan_time = scan_time
    message.ranges = _array(scan.ranges, "f")
    return message


def yaw(quaternion: Quaternion) -> float:
    """The turn about z of an orientation, rad. It must be of unit length, to 1 in 100, as ROS asks."""
    x, y, z, w = quaternion.x, quaternion.y, quaternion.z, quaternion.w
    norm = x * x + y * y + z * z + w * w
    if not 0.98 < norm < 1.02:
        raise ValueError(f"orientation ({x:g}, {y:g}, {z:g}, {w:g}) is no unit quaternion")
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def quaternion(angle: float) -> Quaternion:
    """The orientation that is a turn about z, rad."""
    return Quaternion(x=0.0, y=0.0, z=math.sin(angle / 2), w=math.cos(angle / 2))


def _check_frame(found: str, wanted: str, what: str) -> None:
    if found.lstrip("/") != wanted.lstrip("/"):
        raise ValueError(f"{what} is in frame {found!r}, expected {wanted!r}")


def odometry(message: OdometryMessage, frame: str) -> Odometry:
    """The odometry of a message, which must be in the frame named, its twist in another: that of the body.

    ValueError where its variances say that x, y, yaw, the speed ahead or the yaw rate is not measured.
    """
    _check_frame(message.header.frame_id, frame, "odometry")
    if message.child_frame_id.lstrip("/") == frame.lstrip("/"):
        raise ValueError(
            f"odometry: its twist is in frame {frame!r}, expected that of the body (child_frame_id)"
        )
    _check_measured("odometry: pose", message.pose.covariance, {"x": 0, "y": 1, "yaw": 5})
    _check_measured("odometry: twist", message.twist.covariance, {"linear x": 0, "yaw rate": 5})
    stamp_ns = to_ns(message.header.stamp)
    pose, twist = message.pose.pose, message.twist.twist
    return Odometry(
        stamp_ns,
        Pose(pose.position.x, pose.position.y, yaw(pose.orientation)),
        Twist(stamp_ns, twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z),
    )


def _check_measured(what: str, covariance: Sequence[float], rows: Mapping[str, int]) -> None:
    """ValueError for a variance that says "not measured": below 0, not a number, or beyond UNMEASURED.

    covariance: (36,), of x, y, z, roll, pitch, yaw; all 0 where a driver says nothing. rows: by name, which count.
    """
    for name, row in rows.items():
        variance = covariance[7 * row]
        if not 0.0 <= variance < UNMEASURED:
            raise ValueError(f"{what}: a variance of {variance:g} says that {name} is not measured")


def odometry_message(value: Odometry, frame: str, base_frame: str) -> OdometryMessage:
    """Odometry as a message."""
    message = OdometryMessage()
    message.header.stamp = to_stamp(value.stamp_ns)
    message.header.frame_id = frame
    message.child_frame_id = base_frame
    message.pose.pose.position.x = float(value.pose.x)
    message.pose.pose.position.y = float(value.pose.y)
    message.pose.pose.orientation = quaternion(value.pose.yaw)
    _fill(message.twist.twist, value.twist)
    return message


def goal(message: PoseStamped, frame: str) -> Goal:
    """The goal of a message, which must be in the frame named; its orientation does not count."""
    _check_frame(message.header.frame_id, frame, "goal")
    return Goal(to_ns(message.header.stamp), message.pose.position.x, message.pose.position.y)


def goal_message(value: Goal, frame: str) -> PoseStamped:
    """A goal as a message."""
    message = PoseStamped()
    message.header.stamp = to_stamp(value.stamp_ns)
    message.header.frame_id = frame
    message.pose.position.x = float(value.x)
    message.pose.position.y = float(value.y)
    return message


def waypoint(message: PoseStamped, frame: str) -> Goal | NoWay:
    """The point on the way of a message, as `goal`; a position that is not a number says that there is no way."""
    if math.isnan(message.pose.position.x) and math.isnan(message.pose.position.y):
        _check_frame(message.header.frame_id, frame, "waypoint")
        return NoWay(to_ns(message.header.stamp))
    return goal(message, frame)


def waypoint_message(value: Goal | NoWay, frame: str) -> PoseStamped:
    """A point on the way, or that there is none, as a message."""
    if isinstance(value, Goal):
        return goal_message(value, frame)
    message = PoseStamped()
    message.header.stamp = to_stamp(value.stamp_ns)
    message.header.frame_id = frame
    message.pose.position.x = message.pose.position.y = math.nan
    return message


def _fill(message: TwistMessage, value: Twist) -> None:
    message.linear.x = float(value.linear_x)
    message.linear.y = float(value.linear_y)
    message.linear.z = float(value.linear_z)
    message.angular.z = float(value.angular_z)


def twist(message: TwistStamped | TwistMessage, now_ns: int) -> Twist:
    """The velocity of a message; one without a stamp gets now_ns."""
    stamp_ns = now_ns
    if isinstance(message, TwistStamped):
        stamp_ns, message = to_ns(message.header.stamp), message.twist
    return Twist(stamp_ns, message.linear.x, message.linear.y, message.linear.z, message.angular.z)


def twist_message(value: Twist, stamped: bool, frame: str) -> TwistStamped | TwistMessage:
    """A velocity as a message of either type."""
    if not stamped:
        message = TwistMessage()
        _fill(message, value)
        return message
    result = TwistStamped()
    result.header.stamp = to_stamp(value.stamp_ns)
    result.header.frame_id = frame
    _fill(result.twist, value)
    return result


def reflex_status_message(status: Status) -> ReflexStatusMessage:
    """What a reflex says of itself, as a message; `refused`, the header and the loop's timing are the node's."""
    message = ReflexStatusMessage()
    message.mode, message.reason = int(status.mode), status.reason
    for name in (
        "scan_age", "planner_age", "odometry_age", "spikes_per_second", "synaptic_events_per_second", "power_uw",
        "nearest_obstacle", "heading", "guarded", "gains_version", "guard_share",
    ):  # fmt: skip
        setattr(message, name, getattr(status, name))
    _fill(message.wish, status.wish)
    _fill(message.allowed, status.allowed)
    return message


def diagnostic(
    name: str, hardware: str, level: bytes, message: str, values: Mapping[str, object]
) -> DiagnosticStatus:
    """One entry of /diagnostics; floats are shortened to what a person reads."""
    pairs = [
        KeyValue(key=key, value=f"{value:.6g}" if isinstance(value, float) else str(value))
        for key, value in values.items()
    ]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=pairs)
