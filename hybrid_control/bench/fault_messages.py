"""What wires say when they lie, and what strangers publish. A maker draws one variant by a random generator."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

if TYPE_CHECKING:
    from hybrid_control.bench.fault_wires import Change, Wires

Make = Callable[[Generator], "tuple[Change, str]"]
MakeStray = Callable[["Wires", Generator], "tuple[Callable[[], None], str, float]"]

_HEADINGS, _SPEEDS = 72, 8
_NS = 1_000_000_000


def shifted(stamp: Any, seconds: float) -> Any:
    """A stamp so many seconds later, not before 0."""
    ns = max(0, stamp.sec * _NS + stamp.nanosec + round(seconds * _NS))
    result = copy.copy(stamp)
    result.sec, result.nanosec = ns // _NS, ns % _NS
    return result


def cut(_: Generator) -> tuple[Change, str]:
    """Nothing comes."""
    return lambda m: [], ""


def _all_ranges(value: float) -> Change:
    def change(m: Any) -> list[Any]:
        m.ranges = array("f", [value]) * len(m.ranges)
        return [m]

    return change


def scan_nan(_: Generator) -> tuple[Change, str]:
    """Ranges that are not numbers."""
    return _all_ranges(math.nan), ""


def scan_zero(_: Generator) -> tuple[Change, str]:
    """Ranges of 0."""
    return _all_ranges(0.0), ""


def scan_increment(_: Generator) -> tuple[Change, str]:
    """All beams in one direction."""

    def change(m: Any) -> list[Any]:
        m.angle_increment = 0.0
        return [m]

    return change, ""


def scan_frame(_: Generator) -> tuple[Change, str]:
    """Another sensor's frame."""

    def change(m: Any) -> list[Any]:
        m.header.frame_id = "elsewhere"
        return [m]

    return change, ""


def scan_empty(_: Generator) -> tuple[Change, str]:
    """A message with nothing in it."""

    def change(m: Any) -> list[Any]:
        m.ranges = array("f")
        m.intensities = array("f")
        return [m]

    return change, ""


def stamp_far(random: Generator) -> tuple[Change, str]:
    """Stamps of another time."""
    seconds = float(random.choice((-1000.0, -10.0, -1.0, 1.0, 10.0, 1e9)))

    def change(m: Any) -> list[Any]:
        m.header.stamp = shifted(m.header.stamp, seconds)
        return [m]

    return change, f"by {seconds:+g} s"


def odometry_jump(random: Generator) -> tuple[Change, str]:
    """The robot is said to be elsewhere."""
    dx, dy = (float(v) for v in random.uniform(-5, 5, 2))

    def change(m: Any) -> list[Any]:
        m.pose.pose.position.x += dx
        m.pose.pose.position.y += dy
        return [m]

    return change, f"by ({dx:.1f}, {dy:.1f}) m"


def odometry_nan(random: Generator) -> tuple[Change, str]:
    """The robot is nowhere."""
    place = bool(random.random() < 0.5)

    def change(m: Any) -> list[Any]:
        if place:
            m.pose.pose.position.x = math.nan
        else:
            m.pose.pose.orientation.w = m.pose.pose.orientation.z = 0.0
        return [m]

    return change, "x" if place else "a quaternion of zeros"


def image_black(random: Generator) -> tuple[Change, str]:
    """One colour."""
    level = int(random.choice((0, 255)))

    def change(m: Any) -> list[Any]:
        m.data = array("B", bytes([level])) * len(m.data)
        return [m]

    return change, "black" if level == 0 else "white"


def image_size(random: Generator) -> tuple[Change, str]:
    """More or fewer pixels than are there."""
    variant = str(random.choice(("half the data", "width of 0", "huge", "unknown encoding")))

    def change(m: Any) -> list[Any]:
        if variant == "half the data":
            m.data = m.data[: len(m.data) // 2]
        elif variant == "width of 0":
            m.width = m.step = 0
        elif variant == "huge":
            m.width, m.height = 2**31, 2**31
        else:
            m.encoding = "no such"
        return [m]

    return change, variant


def _clock(seconds: float) -> tuple[Change, str]:
    def change(m: Any) -> list[Any]:
        m.clock = shifted(m.clock, seconds)
        return [m]

    return change, f"by {seconds:+.1f} s"


def clock_back(random: Generator) -> tuple[Change, str]:
    """It was earlier."""
    return _clock(-float(random.uniform(1.0, 20.0)))


def clock_ahead(random: Generator) -> tuple[Change, str]:
    """It is later."""
    return _clock(float(random.choice((1.0, 10.0, 1e6))))


# -- strangers ------------------------------------------------------------------------------------------------------


def _scan(wires: Wires, ranges: list[float]) -> Any:
    from sensor_msgs.msg import LaserScan

    scan = LaserScan(
        angle_min=-math.pi, angle_max=math.pi, angle_increment=math.tau / max(1, len(ranges)), range_min=0.05,
        range_max=10.0, ranges=array("f", ranges),
    )  # fmt: skip
    scan.header.frame_id = "lidar"
    return scan


def second_scan(wires: Wires, _: Generator) -> tuple[Callable[[], None], str, float]:
    """A lidar that sees no obstacle, at the true one's rate."""
    scan = _scan(wires, [9.9] * 360)

    def publish() -> None:
        scan.header.stamp = wires.stamp()
        wires.strangers["scan"].publish(scan)

    return publish, "", 40.0


def scan_flood(wires: Wires, random: Generator) -> tuple[Callable[[], None], str, float]:
    """Scans that can't be."""
    variants: tuple[list[float], ...] = ([math.nan] * 360, [], [-1.0] * 360, [math.inf] * 7)
    scans = [_scan(wires, ranges) for ranges in variants]
    sent = [0]

    def publish() -> None:
        scan = scans[sent[0] % len(scans)]
        sent[0] += 1
        scan.header.stamp = wires.stamp()
        wires.strangers["scan"].publish(scan)

    return publish, "", 1000.0


def rates(wires: Wires, random: Generator) -> tuple[Callable[[], None], str, float]:
    """Rates that are none."""
    from hybrid_control_msgs.msg import RateVector

    size = _HEADINGS + _SPEEDS
    variant = str(random.choice(("too few", "too many", "negative", "NaN", "1e30 Hz", "another population")))
    values = {
        "too few": [1.0] * 3, "too many": [1.0] * 5000, "negative": [-1.0] * size, "NaN": [math.nan] * size,
        "1e30 Hz": [1e30] * size,
    }.get(variant, [1.0] * size)  # fmt: skip
    message = RateVector(
        populations=["heading", "speed"], sizes=[_HEADINGS, _SPEEDS], rates=array("f", values)
    )
    if variant == "another population":
        message.populations = ["mood", "speed"]

    def publish() -> None:
        message.header.stamp = wires.stamp()
        wires.strangers["rates"].publish(message)

    return publish, variant, 50.0


def _train(neurons: list[int], offsets: list[int]) -> Any:
    from hybrid_control_msgs.msg import SpikeTrain

    return SpikeTrain(
        duration_ns=10_000_000, populations=["heading", "speed"], sizes=[_HEADINGS, _SPEEDS],
        neuron=array("I", neurons), offset_ns=array("I", offsets),
    )  # fmt: skip


def spikes(wires: Wires, random: Generator) -> tuple[Callable[[], None], str, float]:
    """Spikes that are none."""
    variant = str(
        random.choice(("no such neuron", "backwards", "after the window", "no size", "unequal lists"))
    )
    train = {
        "no such neuron": _train([5000], [0]),
        "backwards": _train([1, 2], [9, 3]),
        "after the window": _train([1], [2**31]),
        "unequal lists": _train([1, 2, 3], [0]),
    }.get(variant, _train([1], [0]))
    if variant == "no size":
        train.sizes = array("I", [0, 0])

    def publish() -> None:
        train.header.stamp = wires.stamp()
        wires.strangers["spikes"].publish(train)

    return publish, variant, 100.0


def spike_flood(wires: Wires, random: Generator) -> tuple[Callable[[], None], str, float]:
    """Sixty spikes in every message, for a heading that nobody wished."""
    heading = int(random.integers(_HEADINGS))
    train = _train([heading] * 60, [0] * 60)

    def publish() -> None:
        train.header.stamp = wires.stamp()
        wires.strangers["spikes"].publish(train)

    return publish, f"heading {heading}", 1000.0


def goals(wires: Wires, random: Generator) -> tuple[Callable[[], None], str, float]:
    """Goals nowhere."""
    from geometry_msgs.msg import PoseStamped

    variant = str(random.choice(("NaN", "infinite", "unknown frame", "a quaternion of zeros")))
    goal = PoseStamped()
    goal.header.frame_id = "no_such_frame" if variant == "unknown frame" else "odom"
    goal.pose.position.x = {"NaN": math.nan, "infinite": math.inf}.get(variant, 1.0)
    goal.pose.orientation.w = 0.0 if variant == "a quaternion of zeros" else 1.0

    def publish() -> None:
        goal.header.stamp = wires.stamp()
        wires.strangers["goal"].publish(goal)

    return publish, variant, 20.0
