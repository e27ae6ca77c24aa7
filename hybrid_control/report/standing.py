"""The beginning of a recording as what was heard of a robot that stands: `hybrid-control mask --file`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.navigation.reflex.body import Standing
from hybrid_control.report.recording import Recording, Topic, read
from hybrid_control.signals import Pose, RangeScan

_LASER, _ODOMETRY = "sensor_msgs/msg/LaserScan", "nav_msgs/msg/Odometry"


def standing(file: Path, scan: str, odom: str, seconds: float) -> Standing:
    """The scans and odometry of an MCAP file, for so many seconds from the first scan on.

    scan, odom: topics, with or without their namespace. ValueError where there is no scan, OSError as usual.
    """
    recording = read(file)
    topic = of_type(recording, scan, _LASER)
    if topic is None or not len(topic):
        known = ", ".join(sorted(name for name, t in recording.topics.items() if t.type == _LASER and len(t)))
        raise ValueError(f"{file}: no scan on {scan!r}; it has {known or 'none on any topic'}")
    heard = Standing()
    begin = topic.received_ns[0]
    end = begin + round(seconds * 1e9)
    for message in _during(topic, begin, end):
        heard.scans.append(scan_of(message))
        heard.frames.add(str(message.header.frame_id))
    moving = of_type(recording, odom, _ODOMETRY)
    heard.poses = [_pose(message) for message in _during(moving, begin, end)] if moving is not None else []
    return heard


def of_type(recording: Recording, name: str, kind: str) -> Topic | None:
    """The topic of that name, with or without its namespace; None where it is of another type, or not there."""
    topic = recording.topics.get(name) or recording.topic(name.strip("/"))
    return topic if topic is not None and topic.type == kind else None


def _during(topic: Topic, begin: int, end: int) -> list[Any]:
    return [topic.decode(i) for i, t in enumerate(topic.received_ns) if begin <= t <= end]


def scan_of(m: Any) -> RangeScan:
    """A scan of its message; ValueError where it is none."""
    stamp = int(m.header.stamp.sec) * 1_000_000_000 + int(m.header.stamp.nanosec)
    ranges = np.asarray(m.ranges, np.float32)
    return RangeScan(stamp, m.angle_min, m.angle_increment, m.range_min, m.range_max, ranges)


def _pose(m: Any) -> Pose:
    q, p = m.pose.pose.orientation, m.pose.pose.position
    yaw = math.atan2(2.0 * (q.w * q.z + q.x * q.y), q.w * q.w + q.x * q.x - q.y * q.y - q.z * q.z)
    return Pose(p.x, p.y, yaw)
