"""Judges a run in Gazebo by the robot's true place and its contact sensor, and where wanted records and reports it.

What Gazebo knows becomes sim/state and sim/world, as the embedded simulator has them, in the odometry's frame.
`hybrid-control up gazebo` and gazebo.launch.py start this beside the nodes.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from hybrid_control_msgs.msg import ReflexStatus, SimState
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from visualization_msgs.msg import MarkerArray

from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.report import make_report
from hybrid_control.signals import Pose
from hybrid_control.sim.gazebo import odometry_origin, truth_topic
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.score import Score
from hybrid_control.sim.worlds import in_frame, load_world, seen_from
from hybrid_control.sim.worlds.files import LOWEST
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import bare_node
from hybrid_control_ros.run.judge import Judge
from hybrid_control_ros.run.recorder import Recorder, message_class
from hybrid_control_ros.run.supervisor import versions
from hybrid_control_ros.run.terminal import Interrupt
from hybrid_control_ros.simulator import MAP, world_message

Say = Callable[[str], None]

CONTACTS = "ros_gz_interfaces/msg/Contacts"
_STILL = 10.0  # s without a new true pose after which Gazebo counts as dead
_PATIENCE = 30.0  # s after which a person is told what is being waited for
_TOLD = 5.0  # s between two lines on how it goes


def touched(contact: Any) -> str | None:
    """What a contact of ros_gz_interfaces says that the robot touches; None for the ground.

    Fortress before 6.5 names nothing: there an obstacle is its number.
    """
    if contact.positions and all(p.z < LOWEST for p in contact.positions):
        return None
    other = contact.collision2
    return str(other.name).rpartition("::")[2] or f"entity {other.id}"


class GazeboJudge:
    """Watches one robot in Gazebo from the first goal that it is told until the run is over."""

    def __init__(self, args: argparse.Namespace, context: Context, say: Say) -> None:
        self._say = say
        self.robot = vehicle(args.robot)
        world = load_world(args.world, args.seed, self.robot.world_scale)
        self._frame = odometry_origin(self.robot, world.start)
        self.world = seen_from(world, self._frame)
        self.judge = Judge(args.duration)
        self.events: list[dict[str, Any]] = []
        self.node = bare_node("judge", context, args.namespace)
        self._mode = int(Mode.INACTIVE)
        self._told_goal = False
        self._begun_ns: int | None = None
        self.seen_at: float | None = None  # monotonic s of the newest true pose
        self._told_at = 0.0
        try:
            contacts = message_class(CONTACTS)
        except LookupError as error:
            contacts = None
            self._say(f"contacts are told by the distance to what stands near, not by the sensor: {error}")
        self._score = Score(self.world, self.robot, feels=contacts is not None)
        listen, talk = self.node.create_subscription, self.node.create_publisher
        listen(PoseStamped, "goal_pose", self._on_goal, qos.COMMAND)
        listen(ReflexStatus, "reflex/status", self._on_status, qos.STREAM)
        listen(OdometryMessage, truth_topic(self.robot), self._on_truth, qos.SENSOR)
        if contacts is not None:
            listen(contacts, "contacts", self._on_contacts, qos.STREAM)
        self._state = talk(SimState, "sim/state", qos.STREAM)
        self._map = talk(MarkerArray, "sim/world", qos.LATCHED)

    @property
    def waiting_for(self) -> str:
        """What has not come yet, "" once the run has begun."""
        if self._begun_ns is not None:
            return ""
        return f"{truth_topic(self.robot)}, over the bridge" if self.seen_at is None else "a goal"

    def over(self) -> bool:
        """Whether the run is over."""
        if self._begun_ns is None:
            return False
        if self.seen_at is not None and time.monotonic() - self.seen_at > _STILL:
            self.judge.ended = "Gazebo stood still"
            return True
        return self.judge.over(self._mode)

    def _on_goal(self, message: PoseStamped) -> None:
        self._told_goal = True

    def _on_status(self, message: ReflexStatus) -> None:
        self._mode = message.mode

    def _on_truth(self, message: OdometryMessage) -> None:
        self.seen_at = time.monotonic()
        if not self._told_goal:
            return
        stamp_ns = convert.to_ns(message.header.stamp)
        if self._begun_ns is None:
            self._begun_ns = stamp_ns
            self._map.publish(world_message(self.world, stamp_ns))
            self._say("the run has begun")
        place, twist = message.pose.pose, message.twist.twist
        pose = in_frame(self._frame, place.position.x, place.position.y, convert.yaw(place.orientation))
        score, judge = self._score, self.judge
        score.see(stamp_ns, pose)
        judge.see(
            (stamp_ns - self._begun_ns) / 1e9,
            score.goal_distance,
            score.minimum_distance,
            len(score.contacts),
            score.path_length,
        )
        for time_ns, obstacle in score.contacts[len(self.events) :]:
            self._note((time_ns - self._begun_ns) / 1e9, f"contact with {obstacle}")
        self._publish(stamp_ns, pose, twist.linear.x, twist.angular.z)
        if self.seen_at - self._told_at > _TOLD:
            self._told_at = self.seen_at
            self._say(f"{judge.t:.1f} s, goal {judge.goal_distance:.2f} m, contacts {judge.contacts}")

    def _on_contacts(self, message: Any) -> None:
        if self._begun_ns is None:
            return
        for contact in message.contacts:
            what = touched(contact)
            if what is not None:
                self._score.touch(convert.to_ns(message.header.stamp), what)

    def _note(self, t: float, text: str) -> None:
        self.events.append({"t": round(t, 3), "text": text})
        self._say(f"{t:.1f} s  {text}")

    def _publish(self, stamp_ns: int, pose: Pose, speed: float, yaw_rate: float) -> None:
        message = SimState()
        message.header.stamp, message.header.frame_id = convert.to_stamp(stamp_ns), MAP
        message.pose.x, message.pose.y, message.pose.theta = pose.x, pose.y, pose.yaw
        message.linear_x, message.angular_z = speed, yaw_rate
        message.goal_distance = self._score.goal_distance
        message.minimum_distance = self._score.minimum_distance
        message.contacts = len(self._score.contacts)
        message.path_length = self._score.path_length
        self._state.publish(message)


def _watch(judge: GazeboJudge, context: Context, interrupt: Interrupt, say: Say) -> None:
    """Until the run is over, or a signal."""
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(judge.node)
    begun, said = time.monotonic(), ""
    while not interrupt.requested and not judge.over():
        executor.spin_once(timeout_sec=0.05)
        missing = judge.waiting_for
        if missing and missing != said and time.monotonic() - begun > _PATIENCE:
            said = missing
            say(f"waiting for {missing}")
    judge.judge.ended = judge.judge.ended or "interrupted"
    executor.shutdown(timeout_sec=0.05)


def _metadata(args: argparse.Namespace, judge: GazeboJudge, started: str, recording: str) -> dict[str, Any]:
    parameters = json.loads(args.parameters.read_text()) if args.parameters else {}
    return {
        "outcome": judge.judge.outcome(),
        "ended_s": judge.judge.t,
        "seed": args.seed,
        "world": args.world,
        "robot": dataclasses.asdict(judge.robot),
        "goal": list(judge.world.goal),
        "started": started,
        "duration_limit_s": args.duration,
        "versions": versions() | {"simulator": f"Gazebo {args.gazebo}" if args.gazebo else "Gazebo"},
        "events": judge.events,
        "recording": recording,
        "parameters": parameters,
    }


def _recorded(args: argparse.Namespace, context: Context, interrupt: Interrupt, say: Say) -> bool:
    """Watch a run, record it into a new folder, report; whether it went well."""
    now = datetime.datetime.now(datetime.timezone.utc)
    world = Path(args.world).stem.replace(":", "-")
    folder = args.out / f"{now.astimezone():%Y%m%d-%H%M%S}-gazebo-{world}-{args.seed}"
    folder.mkdir(parents=True)
    recorder = Recorder(context, folder / "run.mcap")
    recorder.metadata = {"seed": str(args.seed), "world": args.world}
    recorder.start()
    judge = GazeboJudge(args, context, say)
    try:
        _watch(judge, context, interrupt, say)
    finally:
        recorder.end()
    content = _metadata(args, judge, now.isoformat(timespec="seconds"), recorder.note)
    (folder / "run.json").write_text(json.dumps(content, indent=2) + "\n")
    outcome = judge.judge.outcome()
    say(_line(outcome))
    try:
        make_report(folder)
        say(f"report: {folder / 'report.html'}")
    except (ValueError, OSError) as error:
        say(f"no report: {error}")
    return bool(outcome["success"])


def _line(outcome: dict[str, Any]) -> str:
    parts = [
        f"{outcome['text']}, {outcome['time_s']:.1f} s, path {outcome['path_length_m']:.2f} m",
        f"contacts {outcome['contacts']}",
    ]
    nearest = outcome["minimum_distance_m"]
    return ", ".join(parts if nearest is None else [*parts, f"least distance {nearest:.2f} m"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="judge", description="Judges a run in Gazebo.")
    add = parser.add_argument
    add("--world", default="default", help="the world that Gazebo runs")
    add("--seed", type=int, default=0)
    add("--robot", default="jackal")
    add("--namespace", default="")
    add("--gazebo", default="", metavar="RELEASE", help="for the report")
    add("--duration", type=float, default=90.0, help="simulated seconds after which a run is given up")
    add("--out", type=Path, help="folder for a recording and a report; without it a verdict alone")
    add("--parameters", type=Path, metavar="FILE", help="JSON: the nodes' parameters, for the report")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 where the goal was reached without a contact, or nothing was to be recorded, else 1."""
    args = _parser().parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(f"judge: {text}\n")
        sys.stdout.flush()

    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with Interrupt() as interrupt:
            if args.out is not None:
                return 0 if _recorded(args, context, interrupt, say) else 1
            judge = GazeboJudge(args, context, say)
            _watch(judge, context, interrupt, say)
            if not interrupt.requested:
                say(_line(judge.judge.outcome()))
            return 0
    finally:
        rclpy.shutdown(context=context)


if __name__ == "__main__":
    sys.exit(main())
