"""Drives of the embedded simulator written as MCAP, without ROS, and the true pose at each frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace as Fields

import numpy as np
import report_synthetic as synthetic

from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World

STEP = 20_000_000  # ns, between two commands


@dataclass
class Driven:
    """Where a recording lies, and where the robot truly was at each frame; touched_at: s of its contacts."""

    file: Path
    truth: list[Pose] = field(default_factory=list)
    touched_at: list[float] = field(default_factory=list)


def record(
    folder: Path,
    world: World,
    commands: Iterable[tuple[float, float, float]],
    *,
    camera: bool = False,
    leave_out: Iterable[str] = (),
    bump: Callable[[Simulator], bool] | None = None,
) -> Driven:
    """Drive (s, m/s, rad/s) one after another. camera: whether pictures are drawn; grey ones otherwise. leave_out:
    topics, or run.json, that are not written. bump: what /bumper says, where it is to be recorded."""
    run, driven, without = synthetic.SyntheticRun(folder), Driven(folder / "run.mcap"), set(leave_out)

    def put(topic: str, kind: str, message: Fields, at: int) -> None:
        if topic not in without:
            run.put(f"/{topic}", kind, message, at)

    with Simulator(world, seed=1, camera=True) as simulator:
        if not camera:
            simulator.camera = lambda: np.full((120, 160, 3), 128, np.uint8)  # type: ignore[method-assign]
        for seconds, speed, turn in commands:
            for _ in range(round(seconds * 1e9 / STEP)):
                now = synthetic.START + simulator.time_ns
                simulator.apply(Twist(simulator.time_ns, speed, angular_z=turn))
                twist = Fields(header=synthetic.header(now), twist=synthetic.twist(speed, turn))
                put("cmd_vel", "geometry_msgs/msg/TwistStamped", twist, now)
                for event in simulator.advance(simulator.time_ns + STEP):
                    _event(put, simulator, driven, event)
                if bump is not None:
                    at = synthetic.START + simulator.time_ns
                    put("bumper", "std_msgs/msg/Bool", Fields(data=bool(bump(simulator))), at)
        driven.touched_at = [contact.time_ns * 1e-9 for contact in simulator.contact_events]
    run.close()
    if "run.json" not in without:
        (folder / "run.json").write_text(json.dumps({"robot": asdict(JACKAL)}))
    return driven


def _event(put: Callable[..., None], simulator: Simulator, driven: Driven, event) -> None:
    at = synthetic.START + event.time_ns
    if event.kind == "odometry":
        pose, twist = event.value.pose, event.value.twist
        message = Fields(
            header=synthetic.header(at), child_frame_id="base_link",
            pose=Fields(pose=synthetic.pose(pose.x, pose.y, pose.yaw), covariance=[0.0] * 36),
            twist=Fields(twist=synthetic.twist(twist.linear_x, twist.angular_z), covariance=[0.0] * 36),
        )  # fmt: skip
        put("odom", "nav_msgs/msg/Odometry", message, at)
        state = synthetic.state(at, simulator.pose.x, simulator.pose.y, contacts=simulator.contacts)
        put("sim/state", "hybrid_control_msgs/msg/SimState", state, at)
    elif event.kind == "scan":
        scan = event.value
        message = Fields(
            header=synthetic.header(at, "lidar"), angle_min=scan.angle_min, angle_increment=scan.angle_increment,
            angle_max=scan.angle_min + scan.angle_increment * (len(scan.ranges) - 1), time_increment=0.0,
            scan_time=0.025, range_min=scan.range_min, range_max=scan.range_max, ranges=scan.ranges.tolist(),
            intensities=[],
        )  # fmt: skip
        put("scan", "sensor_msgs/msg/LaserScan", message, at)
    elif event.kind == "camera":
        height, width = event.value.shape[:2]
        message = Fields(
            header=synthetic.header(at, "camera"), height=height, width=width, encoding="rgb8", is_bigendian=0,
            step=3 * width, data=event.value.tobytes(),
        )  # fmt: skip
        put("camera/image_raw", "sensor_msgs/msg/Image", message, at)
        driven.truth.append(simulator.pose)
