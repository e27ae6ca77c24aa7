"""A made-up run, written as MCAP by mcap-ros2-support: numbers that can be worked out by hand.

The robot drives straight ahead from (0, 0) at 1 m/s for ten seconds, the state is sent every 0.1 s, one pillar of
0.2 m radius stands at (5, 1). System time runs `OFFSET` ahead of ROS time, at the same rate.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace as Fields
from typing import Any

import numpy as np
from mcap_ros2.writer import Writer

START = 1_700_000_005_000_000_000  # ns, ROS time (which is system time) of the first state
_LINE = "=" * 80
_MSG = Path(__file__).parents[2] / "ros2_ws/src/hybrid_control_msgs/msg"

_COMMON = {
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "builtin_interfaces/Duration": "int32 sec\nuint32 nanosec",
    "geometry_msgs/Pose2D": "float64 x\nfloat64 y\nfloat64 theta",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
    "geometry_msgs/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation",
    "geometry_msgs/Twist": "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular",
    "geometry_msgs/PoseWithCovariance": "geometry_msgs/Pose pose\nfloat64[36] covariance",
    "geometry_msgs/TwistWithCovariance": "geometry_msgs/Twist twist\nfloat64[36] covariance",
    "std_msgs/ColorRGBA": "float32 r\nfloat32 g\nfloat32 b\nfloat32 a",
    "visualization_msgs/Marker": "std_msgs/Header header\nstring ns\nint32 id\nint32 type\nint32 action\n"
    "geometry_msgs/Pose pose\ngeometry_msgs/Vector3 scale\nstd_msgs/ColorRGBA color",
    "sensor_msgs/PointField": "string name\nuint32 offset\nuint8 datatype\nuint32 count",
}
_TOP = {
    "hybrid_control_msgs/msg/SimState": (_MSG / "SimState.msg").read_text(),
    "hybrid_control_msgs/msg/ReflexStatus": (_MSG / "ReflexStatus.msg").read_text(),
    "hybrid_control_msgs/msg/RateVector": (_MSG / "RateVector.msg").read_text(),
    "hybrid_control_msgs/msg/StateVector": (_MSG / "StateVector.msg").read_text(),
    "hybrid_control_msgs/msg/SpikeTrain": (_MSG / "SpikeTrain.msg").read_text(),
    "geometry_msgs/msg/TwistStamped": "std_msgs/Header header\ngeometry_msgs/Twist twist",
    "geometry_msgs/msg/PoseStamped": "std_msgs/Header header\ngeometry_msgs/Pose pose",
    "nav_msgs/msg/Odometry": "std_msgs/Header header\nstring child_frame_id\n"
    "geometry_msgs/PoseWithCovariance pose\ngeometry_msgs/TwistWithCovariance twist",
    "sensor_msgs/msg/LaserScan": "std_msgs/Header header\nfloat32 angle_min\nfloat32 angle_max\n"
    "float32 angle_increment\nfloat32 time_increment\nfloat32 scan_time\nfloat32 range_min\nfloat32 range_max\n"
    "float32[] ranges\nfloat32[] intensities",
    "sensor_msgs/msg/Image": "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n"
    "uint8 is_bigendian\nuint32 step\nuint8[] data",
    "std_msgs/msg/String": "string data",
    "sensor_msgs/msg/PointCloud2": "std_msgs/Header header\nuint32 height\nuint32 width\n"
    "sensor_msgs/PointField[] fields\nbool is_bigendian\nuint32 point_step\nuint32 row_step\nuint8[] data\n"
    "bool is_dense",
    "rosgraph_msgs/msg/Clock": "builtin_interfaces/Time clock",
    "visualization_msgs/msg/MarkerArray": "visualization_msgs/Marker[] markers",
}


def definition(kind: str) -> str:
    """The full text of a definition with everything that it stands on."""
    rest = "".join(f"\n{_LINE}\nMSG: {name}\n{text}" for name, text in _COMMON.items())
    return _TOP[kind] + rest


def time(ns: int) -> Fields:
    return Fields(sec=ns // 10**9, nanosec=ns % 10**9)


def header(ns: int, frame: str = "odom") -> Fields:
    return Fields(stamp=time(ns), frame_id=frame)


def vector(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Fields:
    return Fields(x=x, y=y, z=z)


def pose(x: float, y: float, yaw: float = 0.0) -> Fields:
    return Fields(
        position=vector(x, y), orientation=Fields(x=0.0, y=0.0, z=np.sin(yaw / 2), w=np.cos(yaw / 2))
    )


def twist(v: float, w: float) -> Fields:
    return Fields(linear=vector(v), angular=vector(z=w))


class SyntheticRun:
    """Writes messages by ROS time; each is received `delay_ns` after it was sent."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stream = (folder / "run.mcap").open("wb")
        self._writer = Writer(self._stream, chunk_size=64 * 1024)
        self._schemas: dict[str, Any] = {}

    def put(self, topic: str, kind: str, message: Fields, sent_ns: int, delay_ns: int = 0) -> None:
        if kind not in self._schemas:
            self._schemas[kind] = self._writer.register_msgdef(kind, definition(kind))
        self._writer.write_message(
            topic,
            self._schemas[kind],
            message,
            log_time=sent_ns + delay_ns,
            publish_time=sent_ns,
        )

    def close(self) -> None:
        self._writer.finish()
        self._stream.close()


def state(ns: int, x: float, y: float, **changes: Any) -> Fields:
    values = {
        "header": header(ns, "world"), "pose": Fields(x=x, y=y, theta=0.0), "linear_x": 1.0, "angular_z": 0.0,
        "goal_distance": float(np.hypot(10 - x, y)),
        "minimum_distance": float(np.hypot(5 - x, 1 - y)) - 0.2 - 0.3, "contacts": 0, "path_length": x,
    }  # fmt: skip
    return Fields(**(values | changes))


def status(ns: int, **changes: Any) -> Fields:
    values = {
        "header": header(ns), "mode": 1, "reason": "all fresh", "rate": 1000.0, "ticks": 0, "missed": 0,
        "lateness_us": [10.0, 20.0, 30.0, 40.0], "tick_cost_us": [4.0, 5.0, 6.0, 7.0], "scan_age": 0.02,
        "planner_age": 0.05, "odometry_age": 0.01, "refused": 0, "spikes_per_second": 2000.0,
        "synaptic_events_per_second": 50_000.0, "power_uw": 3.0, "nearest_obstacle": 1.0, "heading": 0.1,
        "guarded": False, "wish": twist(1.0, 0.0), "allowed": twist(1.0, 0.0), "guard_share": 0.0, "gains_version": 1,
    }  # fmt: skip
    return Fields(**(values | changes))


def straight_run(folder: Path, *, seed: int = 7) -> Path:
    """The run of this module's description, with everything on time; run.json beside it."""
    run = SyntheticRun(folder)
    millisecond = 1_000_000
    rng = np.random.default_rng(0)
    kind = "hybrid_control_msgs/msg/"
    run.put(
        "/goal_pose", "geometry_msgs/msg/PoseStamped", Fields(header=header(START), pose=pose(10, 0)), START
    )
    marker = Fields(
        header=header(START), ns="world", id=0, type=3, action=0, pose=pose(5, 1), scale=vector(0.4, 0.4, 1.0),
        color=Fields(r=1.0, g=0.0, b=0.0, a=1.0),
    )  # fmt: skip
    run.put("/sim/world", "visualization_msgs/msg/MarkerArray", Fields(markers=[marker]), START)
    populations = {"populations": ["heading", "speed"], "sizes": [72, 8]}
    for i in range(1001):  # every 10 ms
        now = START + i * 10 * millisecond
        x = i * 0.01
        run.put("/clock", "rosgraph_msgs/msg/Clock", Fields(clock=time(now)), now)
        # a command every 10 ms, 2 ms after the tick
        sent = now + 2 * millisecond
        run.put(
            "/cmd_vel",
            "geometry_msgs/msg/TwistStamped",
            Fields(header=header(sent), twist=twist(1.0, 0.0)),
            sent,
        )
        neuron = np.sort(rng.integers(0, 80, 12)).tolist()
        train = Fields(
            header=header(now), duration_ns=10 * millisecond, neuron=neuron, offset_ns=[0] * 12, **populations
        )
        run.put("/planner/spikes", kind + "SpikeTrain", train, now)
        ring = Fields(
            header=header(now), duration_ns=10 * millisecond, populations=["ring", "left", "right", "forward"],
            sizes=[72, 8, 8, 8], neuron=[35, 36, 90], offset_ns=[0, 1000, 2000],
        )  # fmt: skip
        run.put("/reflex/spikes", kind + "SpikeTrain", ring, now)
        if i % 10 == 0:
            run.put("/sim/state", kind + "SimState", state(now, x, 0.0), now)
            # 10 ticks missed at each status after the first
            counted = Fields(ticks=100 * (i // 10), missed=i // 10)
            run.put("/reflex/status", kind + "ReflexStatus", status(now, **vars(counted)), now)
            odometry = Fields(
                header=header(now), child_frame_id="base_link",
                pose=Fields(pose=pose(x, 0.01 * x), covariance=[0.0] * 36),
                twist=Fields(twist=twist(1.0, 0.0), covariance=[0.0] * 36),
            )  # fmt: skip
            run.put("/odom", "nav_msgs/msg/Odometry", odometry, now)
            # rates of the image stamped now are received 30 ms later
            rates = [0.0] * 80
            rates[35] = rates[36] = 50.0
            run.put(
                "/planner/rates", kind + "RateVector", Fields(header=header(now), rates=rates, **populations),
                now + 29 * millisecond, delay_ns=millisecond,
            )  # fmt: skip
            pixels = np.zeros((12, 16, 3), np.uint8)
            pixels[:, :, 0] = i // 10
            image = Fields(
                header=header(now, "camera"), height=12, width=16, encoding="rgb8", is_bigendian=0, step=48,
                data=pixels.tobytes(),
            )  # fmt: skip
            run.put("/camera/image_raw", "sensor_msgs/msg/Image", image, now)
        if i % 5 == 0:
            # sent 1 ms after the tick with the tick's stamp, received at once: the next command carries 2 ms
            scan = Fields(
                header=header(now, "lidar"), angle_min=-3.14, angle_max=3.14, angle_increment=0.0175,
                time_increment=0.0, scan_time=0.05, range_min=0.05, range_max=10.0, ranges=[2.0] * 360, intensities=[],
            )  # fmt: skip
            run.put("/scan", "sensor_msgs/msg/LaserScan", scan, now + millisecond)
    run.close()
    metadata = {
        "seed": seed, "world": "straight", "versions": {"hybrid_control": "0.1.0"},
        "parameters": {"reflex_node": {"stop_distance": 0.15, "avoidance_gain": 1.0}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(metadata))
    return folder
