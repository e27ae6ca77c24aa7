"""The parameter `sensors`: which topics the reflex sees by, what they are, where they are mounted, how old they may be.

scan laser; range/left range x=0.2 y=0.15 yaw=0.6 timeout=0.3; depth/image depth x=0.25 z=0.2 low=0.05 high=0.5
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from hybrid_control.navigation.sensors.mounts import Mount
from hybrid_control.parameters import ParameterError

#: Kinds of sources, and what each is in ROS.
KINDS = {
    "laser": "sensor_msgs/LaserScan",
    "points": "sensor_msgs/PointCloud2",
    "depth": "sensor_msgs/Image, with sensor_msgs/CameraInfo beside it",
    "range": "sensor_msgs/Range",
    "events": "event_camera_msgs/EventPacket",
    "ground": "sensor_msgs/PointCloud2",
}
_POSE = ("x", "y", "z", "roll", "pitch", "yaw")
_TOPIC = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
# key: default, low, high
_KEYS: dict[str, dict[str, tuple[float, float, float]]] = {
    "laser": {},
    "points": {"low": (0.05, -5.0, 5.0), "high": (1.0, -5.0, 5.0)},
    "depth": {"low": (0.05, -5.0, 5.0), "high": (1.0, -5.0, 5.0), "max": (5.0, 0.1, 50.0)},
    "range": {},
    "events": {"fov": (1.2, 0.05, 3.1)},
    "ground": {},
}
TIMEOUT = 0.25  # s


@dataclass(frozen=True, eq=False)
class Source:
    """One topic.

    mount: where the sensor is; None to look it up in TF by the message's frame. timeout: s. low, high: the slice of
    heights above the robot's frame that counts, m (points, depth). max: m, what is further is not seen (depth). fov:
    rad across the image (events).
    """

    topic: str
    kind: str
    mount: Mount | None
    timeout: float
    low: float = -math.inf
    high: float = math.inf
    max: float = math.inf
    fov: float = math.nan

    @property
    def ranging(self) -> bool:
        """Whether it tells distances; the reflex stops where one of these is too old."""
        return self.kind != "events"

    @property
    def looking(self) -> bool:
        """Whether what it does not tell of may be free: what is remembered of the ground says nothing of the rest."""
        return self.kind not in ("events", "ground")


def read_sources(text: str) -> tuple[Source, ...]:
    """The sources that a text names. ParameterError with one line for a mistake."""
    sources = [_source(entry.strip()) for entry in text.split(";") if entry.strip()]
    topics = [s.topic for s in sources]
    for topic in topics:
        if topics.count(topic) > 1:
            raise ParameterError(f"sensors: {topic} stands twice")
    if not any(s.looking for s in sources):
        raise ParameterError(
            "sensors: none that tells distances; at least one of laser, points, depth or range is needed"
        )
    return tuple(sources)


def _source(entry: str) -> Source:
    topic, *words = entry.split()
    if not _TOPIC.fullmatch(topic):
        raise ParameterError(
            f"sensors: {topic!r} is no topic; expected entries such as 'scan laser', parted by ';'"
        )
    if not words or words[0] not in KINDS:
        found = f"{words[0]!r} is unknown" if words else "its kind is missing"
        raise ParameterError(f"sensors: {topic}: {found}, expected one of {', '.join(KINDS)}")
    kind = words[0]
    pose = {**dict.fromkeys(_POSE[:3], (0.0, -10.0, 10.0)), **dict.fromkeys(_POSE[3:], (0.0, -6.3, 6.3))}
    known = {
        **(pose if kind != "ground" else {}),
        "timeout": (TIMEOUT, 0.01, 10.0),
        **_KEYS[kind],
    }
    values = {key: default for key, (default, _, _) in known.items()}
    written = set()
    for word in words[1:]:
        key, equals, number = word.partition("=")
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = (
                f"; did you mean {near[0]!r}?" if near else f", expected KEY=NUMBER with {', '.join(known)}"
            )
            raise ParameterError(f"sensors: {topic}: {word!r} is unknown{hint}")
        _, low, high = known[key]
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ParameterError(f"sensors: {topic}: {key}={number}; expected a number, {low:g} .. {high:g}")
        if key in written:
            raise ParameterError(f"sensors: {topic}: {key} stands twice")
        written.add(key)
        values[key] = value
    if "low" in known and not values["low"] < values["high"]:
        raise ParameterError(
            f"sensors: {topic}: low={values['low']:g} must be less than high={values['high']:g}"
        )
    placed = written & set(_POSE) or kind == "ground"  # that is told in the robot's own frame
    mount = Mount.of(*(values.get(key, 0.0) for key in _POSE)) if placed else None
    return Source(topic, kind, mount, values["timeout"], **{key: values[key] for key in _KEYS[kind]})
