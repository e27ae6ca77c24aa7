from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import PoseStamped, Quaternion, TwistStamped
from geometry_msgs.msg import Twist as TwistMessage
from hybrid_control_msgs.msg import ReflexStatus
from hybrid_control_ros import convert
from nav_msgs.msg import Odometry as OdometryMessage
from PIL import Image as Picture
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, LaserScan
from std_msgs.msg import Header

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.sensors.events import EventDecoder
from hybrid_control.signals import (
    Goal,
    Odometry,
    Pose,
    RangeScan,
    RateVector,
    SpikeTrain,
    StateVector,
    Twist,
    layout,
)
from hybrid_control.signals.events import EVENT

finite = st.floats(-1e6, 1e6)
stamps = st.integers(0, 2**31 * 10**9 - 1)
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def accepted(conversion, message):
    """What a message becomes, or None where it was refused, as it must be: in one line."""
    with contextlib.suppress(ValueError):
        return conversion(message)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        conversion(message)
    return None


def populations(counts):
    return layout(**{f"p{i}": n for i, n in enumerate(counts)})


@given(stamps)
def test_ros_stamps_keep_every_nanosecond(ns):
    assert convert.to_ns(over_the_wire(convert.to_stamp(ns))) == ns


@given(sizes, stamps, st.data())
def test_ros_rates_come_back_as_they_were(counts, stamp, data):
    n = sum(counts)
    values = data.draw(st.lists(st.floats(0, 1000, width=32), min_size=n, max_size=n))
    rates = RateVector(stamp, values, populations(counts))
    back = convert.rate_vector(over_the_wire(convert.rate_vector_message(rates)))
    assert back.stamp_ns == stamp
    assert back.populations == rates.populations
    np.testing.assert_array_equal(back.rates, rates.rates)


@given(sizes, stamps, st.data())
def test_ros_states_come_back_as_they_were(counts, stamp, data):
    n = sum(counts)
    values = data.draw(st.lists(st.floats(-1000, 1000, width=32), min_size=n, max_size=n))
    states = StateVector(stamp, values, populations(counts))
    back = convert.state_vector(over_the_wire(convert.state_vector_message(states)))
    assert (back.stamp_ns, back.populations) == (stamp, states.populations)
    np.testing.assert_array_equal(back.values, states.values)


@given(sizes, stamps, st.integers(1, 2**32 - 1), st.data())
def test_ros_spikes_come_back_as_they_were(counts, stamp, duration, data):
    neuron = data.draw(st.lists(st.integers(0, sum(counts) - 1), max_size=50))
    offset = sorted(
        data.draw(st.lists(st.integers(0, duration - 1), min_size=len(neuron), max_size=len(neuron)))
    )
    train = SpikeTrain(stamp, duration, populations(counts), neuron, offset)
    back = convert.spike_train(over_the_wire(convert.spike_train_message(train)))
    assert (back.stamp_ns, back.duration_ns, back.populations) == (stamp, duration, train.populations)
    np.testing.assert_array_equal(back.neuron, train.neuron)
    np.testing.assert_array_equal(back.offset_ns, train.offset_ns)


@given(
    st.lists(st.text(max_size=3), max_size=4),
    st.lists(st.integers(0, 2**32 - 1), max_size=4),
    st.lists(st.floats(width=32), max_size=20),
)
def test_ros_rates_of_any_message_are_valid_or_refused_in_one_line(names, sizes, rates):
    message = convert.RateVectorMessage(populations=names, sizes=sizes, rates=rates)
    vector = accepted(convert.rate_vector, message)
    if vector is not None:
        assert sum(sizes) == len(vector.rates) == len(rates)
        assert all(r >= 0 for r in rates)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 2**32 - 1), max_size=3),
    st.lists(st.integers(0, 2**32 - 1), max_size=8),
    st.lists(st.integers(0, 2**32 - 1), max_size=8),
)
def test_ros_spikes_of_any_message_are_valid_or_refused_in_one_line(duration, sizes, neuron, offset):
    message = convert.SpikeTrainMessage(
        duration_ns=duration,
        populations=[f"p{i}" for i in range(len(sizes))],
        sizes=sizes,
        neuron=neuron,
        offset_ns=offset,
    )
    train = accepted(convert.spike_train, message)
    if train is not None:
        assert all(n < sum(sizes) for n in neuron)
        assert offset == sorted(offset) == train.offset_ns.tolist()


def test_ros_population_named_twice_is_refused():
    message = convert.RateVectorMessage(populations=["a", "a"], sizes=[1, 1], rates=[1.0, 2.0])
    with pytest.raises(ValueError, match="stands twice"):
        convert.rate_vector(message)


@given(st.floats(-math.pi, math.pi))
def test_ros_yaw_of_a_turn_about_z_is_that_turn(angle):
    assert math.isclose(convert.yaw(convert.quaternion(angle)), angle, abs_tol=1e-12)


def test_ros_yaw_of_known_orientations():
    # a quarter turn to the left; upside down but looking ahead (half a turn about x)
    assert convert.yaw(Quaternion(z=math.sqrt(0.5), w=math.sqrt(0.5))) == pytest.approx(math.pi / 2)
    assert convert.yaw(Quaternion(x=1.0, w=0.0)) == pytest.approx(0.0)


@pytest.mark.parametrize(
    "values",
    [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0), (math.nan, 0.0, 0.0, 1.0), (0.0, math.inf, 0.0, 1.0)],
)
def test_ros_orientation_that_is_no_unit_quaternion_is_refused(values):
    x, y, z, w = values
    with pytest.raises(ValueError, match="no unit quaternion"):
        convert.yaw(Quaternion(x=x, y=y, z=z, w=w))


@given(stamps, finite, finite, st.floats(-3.1, 3.1), finite, finite)
def test_ros_odometry_comes_back_as_it_was(stamp, x, y, yaw, v, w):
    value = Odometry(stamp, Pose(x, y, yaw), Twist(stamp, linear_x=v, angular_z=w))
    back = convert.odometry(over_the_wire(convert.odometry_message(value, "odom", "base_link")), "odom")
    assert back.pose.yaw == pytest.approx(yaw, abs=1e-9)
    assert (back.stamp_ns, back.pose.x, back.pose.y, back.twist) == (stamp, x, y, value.twist)


def test_ros_frames_are_checked_and_a_leading_slash_does_not_count():
    message = OdometryMessage()
    message.header.frame_id = "/odom"
    convert.odometry(message, "odom")
    with pytest.raises(ValueError, match="odometry is in frame '/odom', expected 'map'"):
        convert.odometry(message, "map")
    goal = PoseStamped()
    goal.header.frame_id = "map"
    with pytest.raises(ValueError, match="goal is in frame 'map', expected 'odom'"):
        convert.goal(goal, "odom")


@pytest.mark.parametrize("variance", [-1.0, math.nan, math.inf, 1.7976931348623157e308, 1e9])
@pytest.mark.parametrize(
    ("part", "row", "name"),
    [("pose", 0, "x"), ("pose", 1, "y"), ("pose", 5, "yaw"), ("twist", 0, "linear x"), ("twist", 5, "yaw rate")],
)
def test_ros_odometry_that_says_it_does_not_measure_is_refused(variance, part, row, name):
    message = OdometryMessage()
    message.header.frame_id = "odom"
    getattr(message, part).covariance[7 * row] = variance
    with pytest.raises(ValueError, match=f"odometry: {part}: a variance of .* says that {name} is not measured"):
        convert.odometry(message, "odom")


def test_ros_odometry_with_drivers_usual_variances_is_taken():
    message = OdometryMessage()
    message.header.frame_id, message.child_frame_id = "odom", "base_footprint"
    for row, variance in enumerate((0.1, 0.1, 1.7e308, 1.7e308, 1.7e308, 0.05)):  # height, roll, pitch: not measured
        message.pose.covariance[7 * row] = message.twist.covariance[7 * row] = variance
    convert.odometry(message, "odom")


def test_ros_odometry_whose_twist_is_in_the_frame_of_its_pose_is_refused():
    message = OdometryMessage()
    message.header.frame_id, message.child_frame_id = "odom", "/odom"
    with pytest.raises(ValueError, match="odometry: its twist is in frame 'odom', expected that of the body"):
        convert.odometry(message, "odom")


def test_ros_goal_that_is_not_finite_is_refused():
    goal = convert.goal_message(Goal(5, 1.0, 2.0), "odom")
    assert convert.goal(goal, "odom") == Goal(5, 1.0, 2.0)
    goal.pose.position.x = math.nan
    with pytest.raises(ValueError, match="finite"):
        convert.goal(goal, "odom")


@given(stamps, finite, finite)
def test_ros_twist_comes_back_as_it_was_in_both_types(stamp, v, w):
    value = Twist(stamp, linear_x=v, angular_z=w)
    stamped = convert.twist_message(value, True, "base_link")
    assert isinstance(stamped, TwistStamped)
    assert stamped.header.frame_id == "base_link"
    assert convert.twist(over_the_wire(stamped), 0) == value
    plain = convert.twist_message(value, False, "base_link")
    assert isinstance(plain, TwistMessage)
    assert convert.twist(over_the_wire(plain), stamp) == value


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_ros_twist_that_is_not_finite_is_refused(bad):
    message = TwistMessage()
    message.linear.x = bad
    with pytest.raises(ValueError, match="finite"):
        convert.twist(message, 0)


def test_ros_scan_comes_back_with_what_is_no_reading():
    scan = RangeScan(7, -1.0, 0.25, 0.125, 8.0, [1.0, math.inf, 0.0, 2.5])
    message = convert.scan_message(scan, "lidar", 0.05)
    assert message.angle_max == pytest.approx(-0.25)
    back = convert.range_scan(over_the_wire(message))
    assert (back.stamp_ns, back.angle_min, back.angle_increment) == (7, -1.0, 0.25)
    assert (back.range_min, back.range_max) == (0.125, 8.0)
    np.testing.assert_array_equal(back.ranges, scan.ranges)


@given(*(st.floats(width=32) for _ in range(4)), st.lists(st.floats(width=32), max_size=10))
def test_ros_scan_of_any_message_is_a_scan_or_refused_in_one_line(start, step, low, high, ranges):
    message = LaserScan(angle_min=start, angle_increment=step, range_min=low, range_max=high, ranges=ranges)
    scan = accepted(convert.range_scan, message)
    if scan is not None:
        assert 0 <= scan.range_min < scan.range_max
        assert scan.ranges.size == len(ranges)


PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_ros_picture_comes_back_as_it_was():
    message = over_the_wire(convert.image_message(9, "camera", PICTURE))
    assert (message.encoding, message.step, convert.to_ns(message.header.stamp)) == ("rgb8", 9, 9)
    np.testing.assert_array_equal(convert.image(message), PICTURE)


def test_ros_picture_of_each_encoding_is_the_same_picture():
    blue_first = Image(height=2, width=3, encoding="bgr8", step=9, data=PICTURE[:, :, ::-1].tobytes())
    np.testing.assert_array_equal(convert.image(blue_first), PICTURE)
    grey = Image(height=2, width=3, encoding="mono8", step=4, data=bytes([1, 2, 3, 99, 4, 5, 6, 99]))
    np.testing.assert_array_equal(convert.image(grey)[:, :, 1], [[1, 2, 3], [4, 5, 6]])
    file = io.BytesIO()
    Picture.fromarray(PICTURE).save(file, "PNG")
    packed = CompressedImage(format="png", data=file.getvalue())
    np.testing.assert_array_equal(convert.image(over_the_wire(packed)), PICTURE)


@given(
    st.sampled_from(["rgb8", "bgr8", "mono8", "32FC1", ""]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 40),
    st.binary(max_size=200),
)
def test_ros_picture_of_any_message_is_a_picture_or_refused_in_one_line(encoding, height, width, step, data):
    message = Image(height=height, width=width, encoding=encoding, step=step, data=data)
    picture = accepted(convert.image, message)
    if picture is not None:
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8


@given(st.binary(max_size=300))
def test_ros_compressed_picture_of_any_bytes_is_a_picture_or_refused_in_one_line(data):
    accepted(convert.image, CompressedImage(data=data))


def test_ros_reflex_status_has_the_modes_of_the_reflex_by_name_and_number():
    constants = {name: getattr(ReflexStatus, name) for name in dir(ReflexStatus) if name.isupper()}
    assert {name: n for name, n in constants.items() if isinstance(n, int)} == {m.name: int(m) for m in Mode}


def test_ros_status_of_a_reflex_carries_what_was_wished_and_what_was_allowed():
    status = dataclasses.replace(
        Reflex().status(),
        wish=Twist(0, 0.5, angular_z=-0.25), allowed=Twist(0, 0.0, 0.125, angular_z=-0.5), guard_share=0.75,
    )  # fmt: skip
    message = over_the_wire(convert.reflex_status_message(status))
    assert (message.wish.linear.x, message.wish.angular.z) == (0.5, -0.25)
    assert (message.allowed.linear.x, message.allowed.linear.y, message.allowed.angular.z) == (0.0, 0.125, -0.5)
    assert message.guard_share == 0.75
    assert (message.mode, message.reason) == (int(status.mode), status.reason)


def test_ros_convert_events_that_fill_a_packet_are_those_that_the_reflex_decodes():
    events = np.array([(5_000_000_123, 3, 4, 1), (5_000_000_123, 63, 47, 0), (5_004_000_000, 0, 0, 1)], EVENT)
    for sent in (events, events[:0]):
        packet = SimpleNamespace(header=Header())  # event_camera_msgs need not be here
        convert.fill_packet(packet, 7_000_000_000, "event_camera", sent, (64, 48))
        assert (packet.width, packet.height, packet.encoding) == (64, 48, "mono")
        assert convert.to_ns(packet.header.stamp) == 7_000_000_000
        data = np.frombuffer(packet.events, np.uint8).tobytes()
        decoded = EventDecoder().decode(packet.encoding, data, 64, 48, packet.time_base, packet.is_bigendian)
        assert np.array_equal(decoded, sent)
