"""What is attached to a run: what watches it, what is put between its nodes, and what disturbs it for a test.

A new one is a class here; the run itself knows none of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import socket
import time
from collections import deque
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from hybrid_control_msgs.msg import ReflexStatus, SimState
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from hybrid_control.bringup.graph import OURS, Program
from hybrid_control.bringup.options import Fault, RunOptions, When
from hybrid_control.navigation.bench.lesson import told
from hybrid_control.navigation.ground.learner import Aim
from hybrid_control.navigation.reflex.gains import ON_BOARD
from hybrid_control.navigation.reflex.modes import Mode, name_of
from hybrid_control.signals import Pose
from hybrid_control_ros import convert, qos
from hybrid_control_ros.run.plan import PLANNER, REFLEX, SIM, Plan
from hybrid_control_ros.run.processes import python
from hybrid_control_ros.run.session import TICK, Session

FIRMWARE, BOARD = "firmware_bridge_node", "board_bridge_node"
_STILL = 10.0  # s without a new ground truth after which the simulator counts as dead
_MOURN = 3.0  # s for which a run goes on without its reflex
_STANDING = 3.0  # s for which the reflex must stand for a reason before that is an event
_MATCHING = 2.0  # s that the recorder and the goal's readers may take to be matched


class Attachment:
    """One thing that is attached to a run. Each method has a moment of the run, and most of them nothing to do."""

    def prepare(self, plan: Plan) -> None:
        """Change what is started. ValueError or OSError where it can't be."""

    def wait(self, session: Session) -> None:
        """Nodes are active, the simulation has not begun: wait for what must be there by then."""

    def tick(self, session: Session) -> None:
        """Look at everything once; the run is over where the judge's `ended` is set."""

    def describe(self, content: dict[str, Any]) -> None:
        """Add to what the run's folder says of the run."""


class Truth(Attachment):
    """Shows the judge the simulator's ground truth, and sends the goal while it is young."""

    def __init__(self) -> None:
        self._created = time.monotonic()
        self._startup: float | None = None  # s from nothing to the first ground truth
        self._states = 0
        self._state_at = self._goal_at = math.inf

    def wait(self, session: Session) -> None:
        needed = ("/sim/state", "/reflex/status", "/cmd_vel")
        patience = time.monotonic() + _MATCHING
        while time.monotonic() < patience and not session.interrupt.requested:
            if session.goal.get_subscription_count() >= 2 and all(map(session.recorder.knows, needed)):
                break
            time.sleep(TICK)

    def tick(self, session: Session) -> None:
        now = time.monotonic()
        if self._state_at == math.inf:
            self._state_at = self._goal_at = now
        if now - self._goal_at > 1.0:
            self._goal_at = now
            session.send_goal()
        states = session.recorder.counts.get("/sim/state", 0)
        if states != self._states:
            self._states, self._state_at = states, now
            self._see(session)
        if now - self._state_at > _STILL:
            session.judge.ended = "simulator stood still"

    def _see(self, session: Session) -> None:
        newest = session.recorder.newest
        state = deserialize_message(newest["/sim/state"], SimState)
        stamp_ns = convert.to_ns(state.header.stamp)
        if session.begun_ns is None:
            session.begun_ns = stamp_ns
            self._startup = time.monotonic() - self._created
        session.judge.see(
            (stamp_ns - session.begun_ns) / 1e9,
            state.goal_distance,
            state.minimum_distance,
            state.contacts,
            state.path_length,
        )
        if "/reflex/status" in newest:
            session.status = deserialize_message(newest["/reflex/status"], ReflexStatus)

    def describe(self, content: dict[str, Any]) -> None:
        content["startup_s"] = self._startup


class Deaths(Attachment):
    """Says which process has ended, and ends the run a while after one that it needs."""

    def __init__(self) -> None:
        self._since: float | None = None

    def tick(self, session: Session) -> None:
        children = session.children.all
        for child in children.values():
            if not child.alive and not child.ended:
                child.ended = True
                # one that was killed had no time to say why
                words = child.last_words() if (child.process.returncode or 0) > 0 else ""
                session.note(f"{child.end_text()}{': ' + words if words else ''}")
        if not children[SIM].alive:
            session.judge.ended = "simulator ended"
            return
        dead = [name for name, child in session.plan.needed.items() if not children[child].alive]
        now = time.monotonic()
        self._since = (self._since or now) if dead else None
        if self._since is not None and now - self._since > _MOURN:
            session.judge.ended = f"{dead[0]} ended"


class Recording(Attachment):
    """Says once that the recording has stopped."""

    def __init__(self) -> None:
        self._note = ""

    def tick(self, session: Session) -> None:
        if session.recorder.note and not self._note:
            self._note = session.recorder.note
            session.note(f"{self._note}; driving goes on")


class Waits(Attachment):
    """Says once of each thing that is waited for, so that it stands in the report too: what nodes hint at, and why the
    reflex has stood still for a while."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._looked = 0
        self._standing: tuple[str, float] = ("", 0.0)  # for which reason, and since when

    def tick(self, session: Session) -> None:
        count = session.recorder.counts.get("/diagnostics", 0)
        if count != self._looked:
            self._looked = count
            for status in deserialize_message(session.recorder.newest["/diagnostics"], DiagnosticArray).status:
                for pair in status.values:
                    if pair.key.startswith("hint "):
                        self._say(session, f"{status.name}: {pair.value}")
        status = session.status
        if status is None or status.mode not in (Mode.STOPPED, Mode.ERROR):
            self._standing = "", 0.0
            return
        kind = re.sub(r"[0-9.]+", "#", status.reason)  # the same reason with another number is the same
        if kind != self._standing[0]:
            self._standing = kind, session.judge.t
        elif session.judge.t - self._standing[1] > _STANDING and kind not in self._said:
            self._said.add(kind)
            session.note(f"{name_of(status.mode)}: {status.reason}")

    def _say(self, session: Session, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            session.note(line)


class StatusLine(Attachment):
    """How it goes, for a person who looks on."""

    def __init__(self) -> None:
        self._rates: deque[tuple[float, int]] = deque()

    def tick(self, session: Session) -> None:
        now = time.monotonic()
        self._rates.append((now, session.recorder.counts.get("/planner/rates", 0)))
        while now - self._rates[0][0] > 2.0:
            self._rates.popleft()
        if session.begun_ns is not None:
            session.display.status(lambda: self._text(session))

    def _text(self, session: Session) -> str:
        j, s = session.judge, session.status
        if s is None:
            return f"{j.t:5.1f} s │ waiting for the reflex"
        pace = session.plan.options.real_time_factor or 1.0
        (begin, before), (end, count) = self._rates[0], self._rates[-1]
        planner = (count - before) / (end - begin) / pace if end - begin > 0.2 else 0.0
        share = 100.0 * s.missed / max(1, s.ticks + s.missed)
        nearest = f"{s.nearest_obstacle:4.2f} m" if math.isfinite(s.nearest_obstacle) else "none"
        parts = [
            f"{j.t:5.1f} s",
            f"{name_of(s.mode):<11}",
            f"goal {j.goal_distance:5.2f} m",
            f"nearest {nearest:>6}",
            f"planner {planner:4.1f} Hz",
            f"reflex {s.rate / pace:4.0f} Hz",
            f"missed {s.missed} ({share:.2g} %)",
        ]
        if s.reason and s.mode != Mode.HYBRID:
            parts.append(s.reason)
        return " │ ".join(parts)


class Firmware(Attachment):
    """The motor firmware on an emulated chip, and its bridge, between reflex and wheels."""

    def __init__(self) -> None:
        self._image: dict[str, Any] = {}

    def prepare(self, plan: Plan) -> None:
        """Build firmware and emulator into the run's folder, and have base and bridge meet there."""
        from firmware_bridge.firmware.build import build_emulator, build_firmware

        image = build_firmware(plan.folder / "firmware")
        build_emulator(plan.folder / "firmware")
        self._image = {
            "file": "firmware/firmware.elf",
            "sha256": hashlib.sha256(image.elf.read_bytes()).hexdigest(),
            "flash_bytes": image.flash,
            "ram_bytes": image.ram,
            "chip": "ATmega328P emulated by simavr",
        }
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            wheel_port = free.getsockname()[1]
        port = str((plan.folder / "firmware.pty").resolve())
        emulate = ["firmware", "emulate", "--out", str(plan.folder / "firmware")]
        plan.beside["firmware"] = python("hybrid_control", *emulate, "--link", port, "--wheels", str(wheel_port))
        plan.programs.insert(-1, Program(FIRMWARE, OURS, FIRMWARE, managed=(FIRMWARE,)))
        plan.needed |= {"firmware": "firmware", FIRMWARE: FIRMWARE}
        robot, start = plan.robot, plan.world.start
        wheels = robot.wheels
        assert wheels is not None
        plan.parameters[SIM]["wheel_port"] = wheel_port
        plan.parameters[FIRMWARE] |= {
            "driver": "link",
            "port": port,
            "kinematics": "differential",
            "wheel_radius": wheels.radius,
            "track": wheels.track,
            "max_speed": robot.max_speed,
            "max_yaw_rate": robot.max_yaw_rate,
            "acceleration": robot.deceleration,
            "yaw_acceleration": robot.yaw_acceleration,
            "initial_x": start.x,
            "initial_y": start.y,
            "initial_yaw": start.yaw,
        }

    def wait(self, session: Session) -> None:
        """Until the firmware's encoders are read, so that nothing drives before its wheels can."""
        counts = session.recorder.counts
        session.wait_for(lambda: counts.get("/odom", 0) > 0, session.children.all["firmware"])
        session.note(f"wheels are driven by the motor firmware on an {self._image['chip']}")

    def describe(self, content: dict[str, Any]) -> None:
        content["firmware"] = self._image
        version = f"{self._image['sha256'][:12]} on {self._image['chip']}"
        content["versions"]["motor firmware in the loop"] = version


class Board(Attachment):
    """A neuromorphic board's emulator that runs the reflex's network, and its bridge."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def prepare(self, plan: Plan) -> None:
        """Write the board's network into the run's folder, and have emulator and bridge meet."""
        from firmware_bridge.boards.split import split

        from firmware_bridge.boards.emulated import emulated_config, emulator_command
        from firmware_bridge.boards.registry import format_config
        from hybrid_control.navigation.reflex.network import build_network, with_gains
        from hybrid_control.snn import Network

        reflex = plan.parameters[REFLEX]
        file = str(reflex["network_file"])
        network = Network.load(Path(file)) if file else build_network()
        gains = {name: float(reflex[name]) for name in ON_BOARD}
        split(with_gains(network, gains)).board.save(plan.folder / "board.nir")
        config = emulated_config(self._backend)
        plan.beside["board"] = emulator_command(
            self._backend, (plan.folder / "board.nir").resolve(), config
        )
        i = next(i for i, program in enumerate(plan.programs) if program.name == REFLEX)
        plan.programs[i] = dataclasses.replace(
            plan.programs[i], executable="reflex_board_node", managed=(REFLEX, BOARD)
        )
        plan.parameters[BOARD] |= {
            "backend": self._backend,
            "connection": format_config(config),
            "network_file": file,
            **gains,
        }

    def wait(self, session: Session) -> None:
        """Until the emulator has been started by its bridge, so that a run does not begin without it."""
        log = session.children.all[REFLEX].log
        assert log is not None
        session.wait_for(lambda: b": started" in log.read_bytes(), session.children.all["board"])
        session.note(f"the reflex's network runs on an emulated board ({self._backend})")


class Teacher(Attachment):
    """Somebody beside the robot, who says by the ground truth what lies before it: of each piece of ground for a
    quarter of so many seconds, so that some are left for the ordinary ground that comes after the rest."""

    def __init__(self, seconds: float) -> None:
        self._left, self._share = seconds, seconds / 4
        self._there, self._label = "", ""  # what lies before it, and what is said of it
        self._since = self._at = self._said_at = 0.0
        self._told: dict[str, float] = {}
        self._topic: Any = None

    def wait(self, session: Session) -> None:
        self._topic = session.node.create_publisher(String, "/learner/label", qos.COMMAND)

    def tick(self, session: Session) -> None:
        t, passed = session.judge.t, session.judge.t - self._at
        self._at = t
        if self._label:
            self._left -= passed
            self._told[self._label] = self._told.get(self._label, 0.0) + passed
        if "/sim/state" not in session.recorder.newest or (self._left <= 0 and not self._label):
            return
        state = deserialize_message(session.recorder.newest["/sim/state"], SimState)
        there = told(session.plan.world, Pose(state.pose.x, state.pose.y, state.pose.theta), Aim())
        if there != self._there:
            self._there, self._since = there, t
        label = there if self._left > 0 and t - self._since < self._share else ""
        if label != self._label or (label and t - self._said_at > 0.5):
            self._said_at = t
            self._topic.publish(String(data=label))
        if label != self._label and label:
            session.note(f"taught: {label}")
        if self._left <= 0:
            seconds = ", ".join(f"{name} {length:.1f} s" for name, length in self._told.items())
            session.note(f"nothing more is taught: {seconds}")
        self._label = label

    def describe(self, content: dict[str, Any]) -> None:
        content["taught_s"] = {name: round(length, 2) for name, length in self._told.items()}


def _due(when: When, session: Session) -> bool:
    """Whether a moment of the run has come."""
    if when.seconds is not None:
        return session.judge.t >= when.seconds
    assert when.share is not None
    return session.judge.goal_distance <= (1.0 - when.share) * session.plan.world.straight_distance


class Kill(Attachment):
    """A test: kills a process of the run at a moment."""

    def __init__(self, child: str, when: When) -> None:
        self._child, self._when = child, when
        self._done = False

    def tick(self, session: Session) -> None:
        if not self._done and _due(self._when, session):
            self._done = True
            session.children.all[self._child].process.kill()


class Faults(Attachment):
    """A test: sensors that show something wrong from a moment on, for a while or to the end."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._waiting = list(faults)
        self._lasting: list[tuple[float, Fault]] = []  # with the s at which each ends
        self._client: AsyncParameterClient | None = None

    def wait(self, session: Session) -> None:
        self._client = AsyncParameterClient(session.node, f"/{SIM}")

    def tick(self, session: Session) -> None:
        session.executor.spin_once(timeout_sec=0.0)
        t = session.judge.t
        for fault in [f for f in self._waiting if _due(f.when, session)]:
            self._waiting.remove(fault)
            self._show(fault.sensor, fault.kind)
            session.note(f"fault: {fault.sensor} {fault.kind}")
            if fault.seconds is not None:
                self._lasting.append((t + fault.seconds, fault))
        for end, fault in [lasting for lasting in self._lasting if t >= lasting[0]]:
            self._lasting.remove((end, fault))
            self._show(fault.sensor, "")
            session.note(f"fault ended: {fault.sensor} {fault.kind}")

    def _show(self, sensor: str, kind: str) -> None:
        assert self._client is not None
        self._client.set_parameters([RosParameter(f"{sensor}_fault", value=kind)])


def attachments(options: RunOptions) -> list[Attachment]:
    """What the options attach to a run, in the order in which it acts."""
    parts: list[Attachment] = [Truth(), Deaths(), Recording(), Waits()]
    if options.firmware:
        parts.append(Firmware())
    if options.backend != "numba":
        parts.append(Board(options.backend))
    if options.teach:
        parts.append(Teacher(options.teach))
    if options.faults:
        parts.append(Faults(options.faults))
    if options.kill_board is not None:
        parts.append(Kill("board", options.kill_board))
    if options.kill_planner is not None:
        parts.append(Kill(PLANNER, options.kill_planner))
    return [*parts, StatusLine()]
