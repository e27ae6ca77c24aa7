"""A recorded run as a drive to learn closed directions from: `hybrid-control train closed --recordings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner.images import ImageError, decode, decode_compressed
from hybrid_control.navigation.planner.training.closed.hindsight import Drive, Robot, held_up
from hybrid_control.report.recording import Recording, RecordingError, Topic, read
from hybrid_control.report.run import Clock, FloatArray, clock_of, read_metadata, stamp_ns, yaw_of
from hybrid_control.report.standing import scan_of

_ODOMETRY, _LASER = "nav_msgs/msg/Odometry", "sensor_msgs/msg/LaserScan"
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_COMMANDS = ("geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/Twist")
_BOOL, _STATE = "std_msgs/msg/Bool", "hybrid_control_msgs/msg/SimState"


def driven(file: Path, robot: Mapping[str, Any] | None = None, bump: str = "") -> Drive:
    """Read a recorded run: camera, scan and odometry, and when the robot bumped into something.

    robot: as `hindsight.Robot.of` has it; None for what run.json beside the file says. bump: a topic of std_msgs/Bool
    that is true while a bumper is pressed, or a sensor at the outline's edge sees the ground end; without one, contacts
    of the simulator count, or else that it came to stand although cmd_vel went on. RecordingError says what is missing;
    OSError as ever.
    """
    recording = read(file)
    machine = robot if robot is not None else read_metadata(file.parent).get("robot")
    try:
        return _drive(str(file), recording, _robot(machine), bump)
    except RecordingError as error:
        raise RecordingError(f"{file}: {error}") from None
    except (AttributeError, TypeError, ValueError, OverflowError) as error:  # a message that is not what its type says
        raise RecordingError(f"{file}: a message that can't be read: {' '.join(str(error).split())}") from None


def _robot(robot: Any) -> Robot:
    if not isinstance(robot, Mapping):
        raise RecordingError(
            "where its camera is mounted is not known: no run.json with a robot lies beside it; --params "
            "FILE.yaml says it (camera_x and its like of planner_node, robot_length and robot_width of reflex_node)"
        )
    width, height = robot.get("camera_width"), robot.get("camera_height")
    if isinstance(width, int) and isinstance(height, int) and width > 0:
        robot = {"camera_aspect": height / width, **robot}
    try:
        return Robot.of(robot)
    except ValueError as error:
        raise RecordingError(str(error)) from None


def _drive(name: str, recording: Recording, robot: Robot, bump: str) -> Drive:
    odometry = _wanted(recording, "odom", (_ODOMETRY,))
    scans = _wanted(recording, "scan", (_LASER,))
    images = _wanted(recording, "camera/image_raw", _IMAGES)
    clock = clock_of(recording, stamp_ns(odometry.decode(0)))

    def seconds(message: Any) -> float:
        return (stamp_ns(message) - clock.start_ns) / 1e9

    table = np.array([(seconds(m), *_place(m.pose.pose), m.twist.twist.linear.x) for m in odometry], float)
    table = _rising(table[np.isfinite(table).all(axis=1)])
    if len(table) < 2:
        raise RecordingError(f"{odometry.name}: odometry of fewer than two times")
    table[:, 3] = np.unwrap(table[:, 3])
    t, speed = table[:, 0], table[:, 4]
    when, source = _bumps(recording, clock, bump)
    if when is None:
        when, source = _stops(recording, clock, t, speed), "cmd_vel, and odometry that stood"
    if when is None:
        raise RecordingError(
            "nothing says when the robot bumped into something: neither cmd_vel nor sim/state; --bump names a "
            "topic of std_msgs/Bool"
        )
    swept = sorted(((seconds(m), scan_of(m)) for m in scans), key=lambda pair: pair[0])
    shown = sorted((seconds(m), k) for k, m in enumerate(images))
    return Drive(
        name=name, robot=robot, t=t, pose=table[:, 1:4], speed=speed,
        scan_t=np.array([s for s, _ in swept]), scans=[scan for _, scan in swept],
        frame_t=np.array([s for s, _ in shown]), picture=_pictures(images, [k for _, k in shown]),
        bumps=when, source=source,
    )  # fmt: skip


def _wanted(recording: Recording, name: str, kinds: tuple[str, ...]) -> Topic:
    """The topic of that name, or the only one of its types, with something on it."""
    topic = recording.topic(name)
    of_kind = [t for t in recording.topics.values() if t.type in kinds and len(t)]
    if topic is not None and topic in of_kind:
        return topic
    if len(of_kind) == 1:
        return of_kind[0]
    there = ", ".join(sorted(t.name for t in of_kind)) or "none of that type"
    raise RecordingError(f"no {name} of {' or '.join(kinds)}; it has {there}")


def _place(pose: Any) -> tuple[float, float, float]:
    return pose.position.x, pose.position.y, yaw_of(pose.orientation)


def _rising(table: FloatArray) -> FloatArray:
    """Rows by their first column, one of each time."""
    return table[np.unique(table[:, 0], return_index=True)[1]]


def _bumps(recording: Recording, clock: Clock, name: str) -> tuple[FloatArray | None, str]:
    """When something happened, s, and what said so; None where nothing says it."""
    if name:
        topic = recording.topics.get(name) or recording.topic(name.strip("/"))
        if topic is None or topic.type != _BOOL:
            known = ", ".join(sorted(t.name for t in recording.topics.values() if t.type == _BOOL))
            raise RecordingError(f"no {name!r} of {_BOOL}; it has {known or 'none'}")
        pressed = np.array([bool(m.data) for m in topic], int)
        return clock.at(topic.received)[np.diff(pressed, prepend=0) > 0], topic.name
    topic = recording.topic("sim/state")
    if topic is None or topic.type != _STATE or not len(topic):
        return None, ""
    rows = np.array([((stamp_ns(m) - clock.start_ns) / 1e9, m.contacts) for m in topic], float)
    return rows[np.diff(rows[:, 1], prepend=0.0) > 0, 0], topic.name


def _stops(recording: Recording, clock: Clock, t: FloatArray, speed: FloatArray) -> FloatArray | None:
    topic = recording.topic("cmd_vel")
    if topic is None or topic.type not in _COMMANDS or not len(topic):
        return None
    if topic.type == _COMMANDS[0]:
        rows = [((stamp_ns(m) - clock.start_ns) / 1e9, m.twist.linear.x) for m in topic]
    else:
        rows = list(zip(clock.at(topic.received).tolist(), (m.linear.x for m in topic), strict=True))
    table = _rising(np.array(rows, float))
    return held_up(t, speed, table[:, 0], table[:, 1])


def _pictures(topic: Topic, order: list[int]) -> Callable[[int], NDArray[np.uint8] | None]:
    def picture(number: int) -> NDArray[np.uint8] | None:
        try:
            m = topic.decode(order[number])
            if topic.type == _IMAGES[0]:
                return decode(bytes(m.data), m.encoding, m.height, m.width, m.step)
            return decode_compressed(bytes(m.data))
        except (ImageError, RecordingError, AttributeError, TypeError):  # damaged, or not what its type says
            return None

    return picture
