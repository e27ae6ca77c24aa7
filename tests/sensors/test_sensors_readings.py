"""Mounts, sources and readings against numbers worked out by hand, and against whatever bytes may come."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.reflex.guard import KNOWN
from hybrid_control.navigation.sensors import Frames, Fusion, MissingTransform, Mount, read_sources
from hybrid_control.navigation.sensors.readings import (
    Cloud,
    DepthImage,
    cloud_points,
    depth_points,
    laser_points,
    nearest_of_each_bearing,
    range_points,
    seen_points,
)
from hybrid_control.navigation.sensors.views import cloud_view, laser_view
from hybrid_control.parameters import ParameterError
from hybrid_control.signals import RangeScan

HERE = Mount.of()


def test_sensors_mount_turns_about_fixed_axes_in_urdfs_order():
    # roll a quarter: y goes up; then yaw a quarter: x goes left
    mount = Mount.of(x=1.0, roll=math.pi / 2, yaw=math.pi / 2)
    assert mount.rotation @ [1, 0, 0] + mount.offset == pytest.approx([1, 1, 0])
    assert mount.rotation @ [0, 1, 0] + mount.offset == pytest.approx([1, 0, 1])
    assert Mount.of(yaw=0.7).yaw == pytest.approx(0.7)


def test_sensors_mount_of_a_quaternion_is_that_of_its_angles():
    half = math.pi / 6
    mount = Mount.of_quaternion((1.0, 2.0, 3.0), 0.0, math.sin(half), 0.0, math.cos(half))
    assert mount.rotation == pytest.approx(Mount.of(pitch=math.pi / 3).rotation)
    with pytest.raises(ValueError, match="is none"):
        Mount.of_quaternion((0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.5)


def test_sensors_optical_frame_looks_ahead_with_x_right_and_y_down():
    mount = Mount.of(x=0.2).optical()
    assert mount.rotation @ [0, 0, 2] + mount.offset == pytest.approx([2.2, 0, 0])
    assert mount.rotation @ [1, 0, 0] == pytest.approx([0, -1, 0])
    assert mount.rotation @ [0, 1, 0] == pytest.approx([0, 0, -1])


def test_sensors_frames_are_followed_through_the_tree():
    frames = Frames()
    frames.put("base_link", "mast", Mount.of(z=1.0, yaw=math.pi / 2))
    frames.put("mast", "/lidar", Mount.of(x=0.5))
    frames.put("base_link", "camera", Mount.of(x=0.2))
    assert frames.mount("lidar", "base_link").offset == pytest.approx([0, 0.5, 1])
    assert frames.mount("camera", "lidar").offset == pytest.approx([-0.5, -0.2, -1])
    assert frames.mount("lidar", "lidar").offset == pytest.approx([0, 0, 0])


def test_sensors_missing_transform_is_a_clear_line():
    frames = Frames()
    frames.put("map", "odom", HERE)
    with pytest.raises(MissingTransform) as missing:
        frames.mount("lidar", "base_link")
    text = str(missing.value)
    assert (
        "no transform from 'lidar' to 'base_link' on /tf and /tf_static: nobody tells of 'lidar' or 'base_link'"
        in text
    )
    assert "robot_state_publisher" in text
    assert "\n" not in text
    frames.put("base_link", "camera", HERE)
    with pytest.raises(MissingTransform, match="they are in different trees"):
        frames.mount("camera", "odom")
    frames.put("a", "b", HERE)
    frames.put("b", "a", HERE)  # a loop, as a faulty robot may tell
    with pytest.raises(MissingTransform):
        frames.mount("a", "base_link")


def test_sensors_sources_are_read_with_their_places_and_timeouts():
    front, left, depth, events = read_sources(
        "scan laser; range/left range x=0.2 y=0.15 yaw=0.5 timeout=0.4;"
        "depth/image depth low=0.1 high=0.4 ; ev events fov=1"
    )
    assert (front.kind, front.mount, front.timeout) == ("laser", None, 0.25)
    assert left.mount is not None
    assert left.mount.offset == pytest.approx([0.2, 0.15, 0.0])
    assert left.timeout == 0.4
    assert (depth.low, depth.high, depth.max) == (0.1, 0.4, 5.0)
    assert events.fov == 1.0
    assert not events.ranging


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "none that tells distances"),
        ("ev events", "none that tells distances"),
        ("scan", "scan: its kind is missing"),
        ("scan lidar", "scan: 'lidar' is unknown, expected one of laser"),
        ("7scan laser", "'7scan' is no topic"),
        ("scan laser yav=1", "'yav=1' is unknown; did you mean 'yaw'?"),
        ("scan laser yaw=9", "yaw=9; expected a number, -6.3 .. 6.3"),
        ("scan laser x=nan", "x=nan; expected a number"),
        ("scan laser x=0 x=1", "x stands twice"),
        ("scan laser; scan laser", "scan stands twice"),
        ("c points low=1 high=0.5", "low=1 must be less than high=0.5"),
        ("scan laser fov=1", "'fov=1' is unknown"),
    ],
)
def test_sensors_sources_with_a_mistake_are_refused_in_one_line(text, said):
    with pytest.raises(ParameterError) as error:
        read_sources(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(max_size=60))
def test_sensors_any_text_is_sources_or_refused(text):
    said = "sensors: "
    try:
        read_sources(text)
    except ParameterError as error:
        said = str(error)
    assert said.startswith("sensors: ")


def test_sensors_laser_on_a_mast_that_looks_back():
    scan = RangeScan(0, -math.pi / 2, math.pi / 2, 0.1, 8.0, np.array([1.0, 2.0, 9.0], np.float32))
    points = laser_points(scan, Mount.of(x=-0.3, yaw=math.pi))
    # to the right at 1 m is the robot's left, ahead at 2 m is its back, and 9 m is beyond
    assert sorted(points.tolist()) == [
        pytest.approx([-2.3, 0.0], abs=1e-6),
        pytest.approx([-0.3, 1.0], abs=1e-6),
    ]


def test_sensors_laser_reads_minus_infinity_as_the_least_range_and_nan_as_none():
    one = lambda r: RangeScan(0, 0.0, 0.1, 0.2, 8.0, np.array([r], np.float32))  # noqa: E731
    assert laser_points(one(-math.inf), HERE) == pytest.approx(np.array([[0.2, 0.0]]))
    assert laser_points(one(math.inf), HERE).shape == (0, 2)
    for bad in (math.nan, -1.0):
        assert laser_points(one(bad), HERE).shape == (0, 2)
        assert not laser_view(one(bad) if math.isnan(bad) else one(math.nan), HERE).seen.any()


def test_sensors_sonar_stands_for_the_whole_arc_of_its_cone():
    points = range_points(1.0, 0.02, 4.0, 0.5, Mount.of(x=0.2, yaw=math.pi / 2))
    assert len(points) == 9
    assert np.hypot(points[:, 0] - 0.2, points[:, 1]) == pytest.approx(np.ones(9))
    angles = np.arctan2(points[:, 1], points[:, 0] - 0.2)
    assert (angles.min(), angles.max()) == pytest.approx((math.pi / 2 - 0.25, math.pi / 2 + 0.25))
    assert range_points(math.inf, 0.02, 4.0, 0.5, HERE).shape == (0, 2)
    assert range_points(5.0, 0.02, 4.0, 0.5, HERE).shape == (0, 2)
    assert range_points(0.0, 0.02, 4.0, 0.0, HERE) == pytest.approx(np.array([[0.02, 0.0]]))
    for wrong in (
        (math.nan, 0.0, 4.0, 0.5),
        (-1.0, 0.0, 4.0, 0.5),
        (1.0, 4.0, 4.0, 0.5),
        (1.0, 0.0, 4.0, 7.0),
    ):
        with pytest.raises(ValueError):
            range_points(*wrong, HERE)


FIELDS = {"x": (0, 7), "y": (4, 7), "z": (8, 7)}


def cloud(points, order="<"):
    return np.array([(*p, 0.0) for p in points], order + "f4").tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
def test_sensors_cloud_becomes_the_slice_between_two_heights(order):
    data = cloud(
        [(2, 0, 0.3), (1, 0, 0.3), (1, 1, 5.0), (0, 1, -0.5), (math.nan, 0, 0.3), (0, -3, 0.1)], order
    )
    points = cloud_points(Cloud(data, FIELDS, 3, 2, 16, 48, order == ">"), Mount.of(z=0.2), 0.25, 1.0)
    # the nearer of the two ahead, and the one to the right; one is too high, one too low
    assert points == pytest.approx(np.array([[0, -3], [1, 0]]))


@pytest.mark.parametrize("x", [0.0, 0.15, 0.4])
def test_sensors_cloud_s_points_at_the_sensor_itself_are_no_obstacle_and_no_view_there(x):
    wall = [(1.0, y, 0.0) for y in np.linspace(-0.2, 0.2, 9)]
    mount = Mount.of(x=x, z=0.3)
    good, none = (Cloud(cloud(p), FIELDS, len(p), 1, 16, 16 * len(p), False).xyz() for p in (wall, [(0, 0, 0)] * 40))
    both = np.concatenate([none, good, none])
    assert seen_points(both, mount, 0.1, 0.5) == pytest.approx(seen_points(good, mount, 0.1, 0.5))
    assert cloud_view(both, mount).seen.tolist() == cloud_view(good, mount).seen.tolist()
    assert not cloud_view(none, mount).seen.any()
    fusion = Fusion(read_sources("points points z=0.3"), Outline(0.25, 0.2))
    fusion.put_points("points", seen_points(none, mount), 1, 1, cloud_view(none, mount))
    fused = fusion.fuse(1, 1.0)
    assert fused is None or not (fused.states == KNOWN).any(), "a cloud of none shows nothing"


def test_sensors_cloud_that_contradicts_itself_is_refused():
    data = cloud([(1, 0, 0)])
    for change, said in (
        ({"fields": {"x": (0, 7), "y": (4, 7)}}, "no field 'z'"),
        ({"fields": {**FIELDS, "z": (8, 2)}}, "of type 2"),
        ({"fields": {**FIELDS, "z": (14, 7)}}, "at byte 14 in points of 16 bytes"),
        ({"width": 2}, "16 bytes in rows of 16 for 2 x 1"),
        ({"width": 10**5, "height": 10**5}, "at most"),
    ):
        good = {
            "fields": FIELDS,
            "width": 1,
            "height": 1,
            "point_step": 16,
            "row_step": 16,
            "big_endian": False,
        }
        with pytest.raises(ValueError, match=said):
            cloud_points(Cloud(data, **{**good, **change}), HERE, -1, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200),
    st.tuples(*[st.integers(0, 40)] * 4),
    st.integers(-4, 40),
    st.integers(0, 9),
    st.booleans(),
)
def test_sensors_cloud_of_any_bytes_is_points_or_refused(data, sizes, offset, kind, big):
    width, height, point_step, row_step = sizes
    said, points = "", np.empty((0, 2))
    try:
        fields = {**FIELDS, "y": (offset, kind)}
        points = cloud_points(Cloud(data, fields, width, height, point_step, row_step, big), HERE, -1, 1)
    except ValueError as error:
        said = str(error)
    assert "\n" not in said
    assert np.isfinite(points).all()


def test_sensors_depth_image_becomes_the_nearest_of_each_column():
    # 3 x 2 pixels, focal length 2, middle (1, 0.5): rows look 0.25 up and 0.25 down for each metre
    depth = np.array([[4000, 2000, 0], [1000, 65535, 0]], np.uint16)
    camera = Mount.of(x=0.1, z=0.5).optical()
    image = DepthImage(depth.tobytes(), "16UC1", 3, 2, 6, False)
    points = depth_points(image, (2.0, 2.0, 1.0, 0.5), camera, 0.0, 1.0, 10.0)
    # left column: 1 m ahead in the lower row at height 0.25, half a metre to the left; the upper row is at height 1.5;
    # middle: 2 m ahead at height 1.0; right: nothing
    assert sorted(points.tolist()) == [pytest.approx([1.1, 0.5]), pytest.approx([2.1, 0.0])]
    metres = np.where(depth == 0, np.nan, depth / 1000).astype(">f4")
    image = DepthImage(metres.tobytes(), "32FC1", 3, 2, 12, True)
    again = depth_points(image, (2.0, 2.0, 1.0, 0.5), camera, 0.0, 1.0, 10.0)
    assert again == pytest.approx(points, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["16UC1", "32FC1", "rgb8"]), st.tuples(*[st.integers(0, 12)] * 2),
    st.integers(0, 60), st.booleans(), st.tuples(*[st.floats(allow_nan=True)] * 4),
)  # fmt: skip
def test_sensors_depth_of_any_bytes_is_points_or_refused(data, encoding, size, step, big, intrinsics):
    said, points = "", np.empty((0, 2))
    try:
        points = depth_points(
            DepthImage(data, encoding, *size, step, big), intrinsics, HERE.optical(), -1.0, 1.0, 5.0
        )
    except ValueError as error:
        said = str(error)
    assert "\n" not in said
    assert points.shape[0] <= size[0]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(-50, 50, width=32)] * 2), max_size=80))
def test_sensors_nearest_of_each_bearing_keeps_the_nearest_and_nothing_new(pairs):
    points = np.array(pairs, np.float32).reshape(-1, 2)
    kept = nearest_of_each_bearing(points)
    assert {tuple(p) for p in kept.tolist()} <= {tuple(p) for p in points.tolist()}
    if len(points):
        assert np.hypot(*kept.T).min() == pytest.approx(np.hypot(*points.T).min())
