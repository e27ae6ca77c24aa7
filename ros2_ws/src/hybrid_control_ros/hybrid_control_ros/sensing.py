"""What the reflex sees by: one lidar, or what the parameter `sensors` names, as points in the robot's frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2, Range

from hybrid_control.navigation.reflex.evasion import outline_of
from hybrid_control.navigation.reflex.gains import SETTINGS
from hybrid_control.navigation.reflex.returns import Returns
from hybrid_control.navigation.sensors import Frames, Fused, Fusion, Mount, Source, readings, views, warm
from hybrid_control.navigation.sensors.events import EventDecoder
from hybrid_control.navigation.sensors.eye import Eye
from hybrid_control.signals import RangeScan
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import message_of
from hybrid_control_ros.node import ManagedNode

Show = Callable[[RangeScan, tuple[float, float, float]], None]


class Lidar:
    """Listens to one lidar, on the topic scan, until the node's cleanup.

    put: takes each scan; its ValueError counts as a refusal. show: as of `Sensing`.
    """

    topics = ("scan",)

    def __init__(self, node: ManagedNode, put: Callable[[RangeScan], None], show: Show) -> None:
        self._node, self._put, self._show, self._frame = node, put, show, ""
        self._returns = Returns(node.values(SETTINGS))
        self._mount = node.value("lidar_x"), node.value("lidar_y"), node.value("lidar_yaw")
        node.take(LaserScan, "scan", self._on_scan, qos.SENSOR, sole=True)

    def reset(self) -> None:
        """Forget which frame scans come in, where the parameter scan_frame does not say."""
        self._frame = self._node.value("scan_frame")

    def moved(self, speed: float, turn: float) -> None:
        """How the robot moves does not matter to it."""

    def missing(self, now_ns: int) -> list[str]:
        """The reflex itself says that there is no scan."""
        return []

    def report(self, now_ns: int) -> dict[str, object]:
        """The reflex itself says how old the scan is."""
        return {}

    def _on_scan(self, message: LaserScan) -> None:
        frame = message.header.frame_id
        if self._frame and frame != self._frame:
            raise ValueError(f"it is in frame {frame!r}, expected {self._frame!r}")
        scan = convert.range_scan(message)
        self._put(scan)
        self._frame = frame
        self._show(self._returns.echoes(scan), self._mount)


class Sensing:
    """Listens to sources until the node's cleanup.

    put: takes what all sources see together, each time that one of them has spoken; its ValueError counts as a refusal.
    cross: takes the sectors in which an event camera sees something come into the way, and the stamp, ns. show: takes
    each scan of the first laser among the sources, and where that is: x and y in m, yaw in rad. horizon: m, as for
    `Fusion.fuse`.
    """

    def __init__(
        self,
        node: ManagedNode,
        sources: tuple[Source, ...],
        base_frame: str,
        horizon: Callable[[], float],
        put: Callable[[Fused, int], None],
        cross: Callable[[NDArray[np.bool_], int], None],
        show: Show,
    ) -> None:
        self._node, self._base, self._horizon, self._put = node, base_frame, horizon, put
        self._cross, self._show, self._motion = cross, show, (0.0, 0.0)
        self._shown = next((s.topic for s in sources if s.kind == "laser"), "")
        warm()
        self.topics = tuple(s.topic for s in sources)
        settings = node.values(SETTINGS)
        self._returns = Returns(settings)
        self.fusion = Fusion(sources, outline_of(settings), open_space=bool(settings["open_space"]))
        self._frames = Frames()
        self._mounts: dict[tuple[str, str], Mount] = {}
        self._cameras: dict[str, tuple[float, float, float, float]] = {}
        self._eyes: dict[str, tuple[EventDecoder, Eye]] = {}
        if any(s.mount is None for s in sources):
            self._listen_to_frames([s.topic for s in sources if s.mount is None])
        for source in sources:
            self._listen(source)

    def reset(self) -> None:
        """Forget every reading; frames stay."""
        self.fusion.reset()
        self._eyes.clear()

    def moved(self, speed: float, turn: float) -> None:
        """How the robot moves, by odometry: m/s and rad/s."""
        self._motion = speed, turn

    def missing(self, now_ns: int) -> list[str]:
        """The sources that it can't do without and whose newest reading is too old, or that have none."""
        return self.fusion.missing(now_ns)

    def report(self, now_ns: int) -> dict[str, object]:
        """For diagnostics."""
        missing = self.missing(now_ns)
        values: dict[str, object] = {f"{t} age [s]": age for t, age in self.fusion.ages(now_ns).items()}
        return values | ({"sensors missing": ", ".join(missing)} if missing else {})

    def _listen_to_frames(self, topics: list[str]) -> None:
        why = f"sensors: {', '.join(topics)} without x, y, z, roll, pitch or yaw is looked up in TF, which"
        kind = message_of("tf2_msgs", "TFMessage", why)
        self._node.listen(kind, "/tf", self._on_frames, qos.TF)
        self._node.listen(kind, "/tf_static", self._on_frames, qos.TF_STATIC)

    def _on_frames(self, message: Any) -> None:
        for each in message.transforms:
            t, q = each.transform.translation, each.transform.rotation
            try:
                mount = Mount.of_quaternion((t.x, t.y, t.z), q.x, q.y, q.z, q.w)
            except ValueError as error:
                self._node.refuse(f"tf of {each.child_frame_id}", error)
                continue
            self._frames.put(each.header.frame_id, each.child_frame_id, mount)
        self._mounts.clear()

    def _listen(self, source: Source) -> None:
        kinds: dict[str, tuple[Any, Callable[[Source, Any], None]]] = {
            "laser": (LaserScan, self._on_laser),
            "points": (PointCloud2, self._on_cloud),
            "depth": (Image, self._on_depth),
            "range": (Range, self._on_range),
            "ground": (PointCloud2, self._on_ground),
        }
        if source.kind == "events":
            kinds["events"] = (
                message_of("event_camera_msgs", "EventPacket", f"sensors: {source.topic}"),
                self._on_events,
            )
        kind, take = kinds[source.kind]
        self._node.take(kind, source.topic, lambda m: self._receive(source, m, take), qos.SENSOR, sole=True)
        if source.kind == "depth":
            parts = source.topic.rsplit("/", 1)
            info = "/".join([*parts[:-1], "camera_info"])
            self._node.listen(CameraInfo, info, lambda m: self._on_info(source, m), qos.SENSOR)

    def _receive(self, source: Source, message: Any, take: Callable[[Source, Any], None]) -> None:
        take(source, message)
        now = self._node.now_ns()
        fused = self.fusion.fuse(now, self._horizon())
        if fused is not None:
            self._put(fused, now)

    def _mount(self, source: Source, frame: str) -> Mount:
        """Of the message's frame; of a camera's body where it was given by hand."""
        if source.mount is not None:
            return source.mount
        key = (source.topic, frame)
        if key not in self._mounts:
            self._mounts[key] = self._frames.mount(frame, self._base)
        return self._mounts[key]

    def _points(self, source: Source, message: Any, points: readings.Points, view: views.View) -> None:
        stamp = convert.to_ns(message.header.stamp)
        self.fusion.put_points(source.topic, points, stamp, self._node.now_ns(), view)

    def _on_laser(self, source: Source, message: LaserScan) -> None:
        mount = self._mount(source, message.header.frame_id)
        scan = self._returns.echoes(convert.range_scan(message))
        self._points(source, message, readings.laser_points(scan, mount), views.laser_view(scan, mount))
        if source.topic == self._shown and mount.upright:
            self._show(scan, (float(mount.offset[0]), float(mount.offset[1]), mount.yaw))

    def _on_range(self, source: Source, message: Range) -> None:
        mount = self._mount(source, message.header.frame_id)
        points = readings.range_points(
            message.range, message.min_range, message.max_range, message.field_of_view, mount
        )
        view = views.range_view(message.max_range, message.field_of_view, mount)
        self._points(source, message, points, view)

    def _on_cloud(self, source: Source, message: PointCloud2) -> None:
        mount = self._mount(source, message.header.frame_id)
        xyz = convert.cloud(message).xyz()
        points = readings.seen_points(xyz, mount, source.low, source.high)
        self._points(source, message, points, views.cloud_view(xyz, mount))

    def _on_ground(self, source: Source, message: PointCloud2) -> None:
        if message.header.frame_id.lstrip("/") != self._base.lstrip("/"):
            raise ValueError(f"it is in frame {message.header.frame_id!r}, expected {self._base!r}")
        points = convert.cloud(message).xyz()[:, :2].astype(np.float32)
        if not np.isfinite(points).all():
            raise ValueError("a point of it is not finite")
        self.fusion.put_points(source.topic, points, convert.to_ns(message.header.stamp), self._node.now_ns())

    def _on_info(self, source: Source, message: CameraInfo) -> None:
        k = message.k
        self._cameras[source.topic] = (float(k[0]), float(k[4]), float(k[2]), float(k[5]))

    def _on_depth(self, source: Source, message: Image) -> None:
        if source.topic not in self._cameras:
            raise ValueError("no camera_info beside it yet, which says how the camera sees")
        mount = self._mount(source, message.header.frame_id)
        # TF tells of the optical frame, which the image is in; by hand the camera's body is given
        mount = mount.optical() if source.mount is not None else mount
        image = readings.DepthImage(
            message.data, message.encoding, message.width, message.height, message.step, bool(message.is_bigendian)
        )
        camera = self._cameras[source.topic]
        points = readings.depth_points(image, camera, mount, source.low, source.high, source.max)
        self._points(source, message, points, views.depth_view(image.metres(), camera, mount, source.max))

    def _on_events(self, source: Source, message: Any) -> None:
        if source.topic not in self._eyes:
            mount = self._mount(source, message.header.frame_id)
            # by TF the frame is the optical one: its z looks ahead
            axis = mount.rotation[:, 0 if source.mount is not None else 2]
            size = message.width, message.height
            self._eyes[source.topic] = EventDecoder(), Eye(size, source.fov, axis.tolist())
        decoder, eye = self._eyes[source.topic]
        if (message.width, message.height) != eye.size:
            raise ValueError(f"a picture of {message.width} x {message.height}, before of another size")
        events = decoder.decode(
            message.encoding, np.frombuffer(message.events, np.uint8).tobytes(), message.width, message.height,
            message.time_base, message.is_bigendian,
        )  # fmt: skip
        stamp = convert.to_ns(message.header.stamp)
        eye.put(events, stamp, *self._motion)
        self.fusion.put_rates(source.topic, eye.rates(), stamp, self._node.now_ns())
        crossing = eye.crossing()
        if crossing.any():
            self._cross(crossing, stamp)
