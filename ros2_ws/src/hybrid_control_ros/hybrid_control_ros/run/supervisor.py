"""Starts the nodes of a run as processes, watches them to the end, and sees to it that nothing stays behind."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import math
import os
import platform
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from hybrid_control_msgs.msg import ReflexStatus, SimState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions

import hybrid_control
from hybrid_control.bringup.dds import without_shared_memory
from hybrid_control.bringup.graph import OURS, Graph, Program, build, command
from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.bringup.options import Fault, RunOptions, When
from hybrid_control.bringup.parameter_files import read_yaml, to_yaml
from hybrid_control.navigation.reflex.gains import ON_BOARD
from hybrid_control.parameters import Value
from hybrid_control.report.run import MODES
from hybrid_control.sim.robots import RobotModel, vehicle
from hybrid_control.sim.worlds import load_world
from hybrid_control_ros import convert, qos
from hybrid_control_ros.run.judge import Judge
from hybrid_control_ros.run.manager import ACTIVE, INACTIVE, Steered
from hybrid_control_ros.run.processes import Children, private_domain
from hybrid_control_ros.run.recorder import Recorder

_START_TIMEOUT = 150.0  # s until every node must be active; numba may have to compile the reflex first
_SLOW_START = 10.0  # s after which a person is told what is being waited for
_STILL = 10.0  # s without a new ground truth after which the simulator counts as dead
_MOURN = 3.0  # s for which a run goes on without its reflex
SIM, REFLEX, FIRMWARE, BOARD = "sim_node", "reflex_node", "firmware_bridge_node", "board_bridge_node"
_TICK = 0.02  # s between two looks at everything
END = 1.3  # s that the programs may take to end when a person wants it; a node of ours takes 1.2 at most
_ORDERLY_END = 3.0  # s that they may take otherwise


class StartError(ValueError):
    """The system could not be started. The message is for the user."""


class Interrupt:
    """Turns SIGINT and SIGTERM into a flag while the context lasts, and into a KeyboardInterrupt within `raising`."""

    def __init__(self) -> None:
        self.requested = False
        self._raises = False

    def __enter__(self) -> Interrupt:
        self._before = {s: signal.signal(s, self._set) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """For work that takes long and can be broken off."""
        self._raises = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def _set(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._raises:
            raise KeyboardInterrupt


class Display:
    """The live status: one line in place on a terminal, one line every few seconds elsewhere."""

    def __init__(self, period: float = 5.0) -> None:
        self._tty = sys.stdout.isatty()
        self._period = 0.1 if self._tty else period
        self._shown = 0.0
        self._open = False

    def status(self, text: Callable[[], str]) -> None:
        """Show the status if it is time to."""
        now = time.monotonic()
        if now - self._shown < self._period:
            return
        self._shown = now
        if self._tty:
            width = shutil.get_terminal_size().columns
            sys.stdout.write("\r\x1b[K" + text()[: width - 1])
            self._open = True
        else:
            sys.stdout.write(text() + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """A line that stays."""
        sys.stdout.write(("\r\x1b[K" if self._open else "") + text + "\n")
        sys.stdout.flush()
        self._open = False


def versions() -> dict[str, str]:
    """Versions of what took part."""
    found = {
        "hybrid_control": hybrid_control.__version__,
        "python": platform.python_version(),
        "ros": os.environ.get("ROS_DISTRO", "unknown"),
    }
    for package in ("numpy", "numba", "onnxruntime", "mujoco"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    found["machine"] = f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores"
    return found


def describe(options: RunOptions, seed: int, file: Path) -> Graph:
    """What a run runs: the graph `sim` that `hybrid-control up` and the launch files start as well.

    file: is written, a parameter file with what the options say of every node.
    """
    values = {name: dict(options.parameters[name]) for name in NODES}
    if options.backend != "numba":
        values[REFLEX]["backend"] = options.backend
    if options.without_board:
        values[REFLEX]["without_board"] = options.without_board
    file.write_text(to_yaml(values, "What the run was asked for."), encoding="utf-8")
    given = {
        "params_file": str(file),
        "world": options.world,
        "robot": options.robot,
        "seed": str(seed),
        "real_time_factor": repr(options.real_time_factor),
        "use_sim_time": str(options.real_time_factor != 1.0).lower(),
        "viewer": str(options.viewer).lower(),
        "composed": str(options.composed).lower(),
        "model_file": str(options.model or ""),
        "network_file": str(options.network or ""),
    }
    return build("sim", given)


class Run:
    """One run, from nothing to a folder with its recording and its outcome."""

    def __init__(
        self, options: RunOptions, seed: int, folder: Path, interrupt: Interrupt, display: Display
    ) -> None:
        self._options, self._seed, self._folder = options, seed, folder
        self._interrupt, self._display = interrupt, display
        self._world = load_world(options.world, seed)
        self._robot = vehicle(options.robot)
        self._parameters: dict[str, dict[str, Value]] = {}
        self._programs: list[Program] = []
        self._steered: dict[str, Steered] = {}
        self._firmware: dict[str, Any] | None = None
        self._board_command: list[str] = []
        self._simulated = options.real_time_factor != 1.0
        self._judge = Judge(options.duration)
        self._events: list[dict[str, Any]] = []
        self._faults = list(options.faults)
        self._restore: list[tuple[float, Fault]] = []
        self._kill = options.kill_planner
        self._kill_board = options.kill_board
        self._rates: deque[tuple[float, int]] = deque()
        self._begun_ns: int | None = None
        self._first_distance = self._world.straight_distance
        self._status: ReflexStatus | None = None
        self._recording_note = ""
        self._created = time.monotonic()
        self._startup: float | None = None  # s from nothing to the first ground truth
        self._give_up = 0.0
        self._said_slow = False

    def drive(self) -> dict[str, Any]:
        """Start everything, watch it to the end, stop everything; the outcome. StartError where it did not start."""
        self._folder.mkdir(parents=True, exist_ok=False)
        file = (self._folder / "params.yaml").resolve()
        with self._interrupt.raising():
            graph = describe(self._options, self._seed, file)
            self._programs = list(graph.programs)
            self._parameters = {name: dict(values) for name, values in read_yaml(file).items()}
            self._parameters |= {name: dict(graph.values(name)) for name in graph.managed}
            if self._options.firmware:
                self._build_firmware()
            if self._options.backend != "numba":
                self._prepare_board()
        file.write_text(to_yaml(self._parameters, "What every node of the run had."), encoding="utf-8")
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        with private_domain(self._options.domain) as domain:
            # the own participant goes by the same environment
            os.environ.update(ROS_DOMAIN_ID=str(domain), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
            without_shared_memory(os.environ)
            environment = {"RCUTILS_COLORIZED_OUTPUT": "0", "PYTHONUNBUFFERED": "1"}
            with Children(self._folder, environment) as children:
                self._start_processes(children, graph, file)
                context = Context()
                rclpy.init(context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
                try:
                    self._display.line(f"{self._folder}: seed {self._seed}, ROS_DOMAIN_ID={domain}")
                    self._with_ros(context, children)
                finally:
                    rclpy.shutdown(context=context)
        outcome = self._judge.outcome()
        self._write_metadata(outcome, started)
        return outcome

    # -- the firmware --------------------------------------------------------------------------------------------

    def _build_firmware(self) -> None:
        """Build firmware and emulator into the run's folder, and tell base and bridge where they meet."""
        from firmware_bridge.firmware.build import build_emulator, build_firmware

        image = build_firmware(self._folder / "firmware")
        build_emulator(self._folder / "firmware")
        self._firmware = {
            "file": "firmware/firmware.elf",
            "sha256": hashlib.sha256(image.elf.read_bytes()).hexdigest(),
            "flash_bytes": image.flash,
            "ram_bytes": image.ram,
            "chip": "ATmega328P emulated by simavr",
        }
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self._parameters[SIM]["wheel_port"] = free.getsockname()[1]
        assert isinstance(self._robot, RobotModel)
        self._programs.insert(-1, Program(FIRMWARE, OURS, FIRMWARE, managed=(FIRMWARE,)))
        start = self._world.start
        self._parameters[FIRMWARE] |= {
            "driver": "link",
            "port": str((self._folder / "firmware.pty").resolve()),
            "kinematics": "differential",
            "wheel_radius": self._robot.wheel_radius,
            "track": self._robot.track,
            "max_speed": self._robot.max_speed,
            "max_yaw_rate": self._robot.max_yaw_rate,
            "acceleration": self._robot.deceleration,
            "yaw_acceleration": self._robot.yaw_acceleration,
            "initial_x": start.x,
            "initial_y": start.y,
            "initial_yaw": start.yaw,
        }

    # -- the board -----------------------------------------------------------------------------------------------

    def _prepare_board(self) -> None:
        """Write the board's network into the run's folder, and tell its emulator and the bridge where they meet."""
        from firmware_bridge.boards.emulated import emulated_config, emulator_command
        from firmware_bridge.boards.registry import format_config
        from firmware_bridge.boards.split import split
        from hybrid_control.navigation.reflex.network import build_network, with_gains
        from hybrid_control.snn import Network

        backend, reflex = self._options.backend, self._parameters[REFLEX]
        file = str(reflex["network_file"])
        network = Network.load(Path(file)) if file else build_network()
        gains = {name: float(reflex[name]) for name in ON_BOARD}
        split(with_gains(network, gains)).board.save(self._folder / "board.nir")
        config = emulated_config(backend)
        self._board_command = emulator_command(backend, (self._folder / "board.nir").resolve(), config)
        self._programs = [
            dataclasses.replace(p, executable="reflex_board_node", managed=(REFLEX, BOARD))
            if p.name == REFLEX
            else p
            for p in self._programs
        ]
        self._parameters[BOARD] |= {
            "backend": backend,
            "connection": format_config(config),
            "network_file": file,
            **gains,
        }

    # -- starting ------------------------------------------------------------------------------------------------

    def _start_processes(self, children: Children, graph: Graph, file: Path) -> None:
        if self._options.firmware:
            emulate = ["firmware", "emulate", "--out", str(self._folder / "firmware")]
            emulate += ["--link", str(self._parameters[FIRMWARE]["port"])]
            emulate += ["--wheels", str(self._parameters[SIM]["wheel_port"])]
            children.start("firmware", "hybrid_control.cli", emulate)
        if self._board_command:
            children.run("board", self._board_command)
        for program in self._programs:
            # all parameters stand in one file, which is kept with the run
            words = command(dataclasses.replace(program, nodes={}, files=(str(file),)), graph, self._folder)
            children.run(program.name, [*words, "--disable-external-lib-logs"])

    def _with_ros(self, context: Context, children: Children) -> None:
        node = Node(
            "run_supervisor",
            context=context,
            enable_rosout=False,
            start_parameter_services=False,
            use_global_arguments=False,
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        recorder = Recorder(context, self._folder / "run.mcap")
        recorder.metadata = {"seed": str(self._seed), "world": self._options.world}
        recorder.start()
        try:
            goal = node.create_publisher(PoseStamped, "/goal_pose", qos.COMMAND)
            self._bring_up(node, executor, children, recorder, goal)
            self._watch(node, executor, children, recorder, goal)
        finally:
            # a person who waits is not kept waiting by a machine that is busy
            children.end(END if self._interrupt.requested else _ORDERLY_END)
            recorder.end()
            self._recording_note = recorder.note
            executor.shutdown()
            node.destroy_node()

    def _transit(
        self, executor: SingleThreadedExecutor, children: Children, names: list[str], target: int
    ) -> None:
        """Take several nodes to a state at once; StartError where one of them refuses or dies."""
        waiting = [self._steered[name] for name in names]
        for steered in waiting:
            steered.target = target
        while not all(steered.there for steered in waiting):
            if self._interrupt.requested:
                return
            executor.spin_once(timeout_sec=_TICK)
            for child in children.all.values():
                if not child.alive:
                    raise StartError(f"{child.last_words() or child.end_text()} (log: {child.log})")
            for steered in waiting:
                steered.poll()
                if steered.refused:
                    child = children.all[self._program_of(steered.name)]
                    raise StartError(
                        f"{steered.name}: {child.last_words() or 'refused to start'} (log: {child.log})"
                    )
            late = ", ".join(s.name for s in waiting if not s.there)
            if not self._said_slow and time.monotonic() > self._give_up - _START_TIMEOUT + _SLOW_START:
                self._said_slow = True
                self._display.line(f"waiting for {late}; where numba has to compile first it takes a minute")
            if time.monotonic() > self._give_up:
                raise StartError(
                    f"{late} did not start within {_START_TIMEOUT:g} s; the logs are in {self._folder}"
                )

    def _program_of(self, node: str) -> str:
        return next(p.name for p in self._programs if node in p.managed)

    def _bring_up(
        self, node: Node, executor: SingleThreadedExecutor, children: Children, recorder: Recorder, goal: Any
    ) -> None:
        """Configure all at once, activate what steers, tell it the goal, and let the simulation begin last."""
        self._give_up = time.monotonic() + _START_TIMEOUT
        steering = [name for program in self._programs for name in program.managed if name != SIM]
        self._steered = {name: Steered(node, name, "") for name in (*steering, SIM)}
        for steered in self._steered.values():
            steered.started()
        self._transit(executor, children, [*steering, SIM], INACTIVE)
        self._transit(executor, children, steering, ACTIVE)
        patience = time.monotonic() + 2.0
        needed = ("/sim/state", "/reflex/status", "/cmd_vel")
        while time.monotonic() < patience and not self._interrupt.requested:
            if goal.get_subscription_count() >= 2 and all(recorder.knows(t) for t in needed):
                break
            time.sleep(_TICK)
        if self._options.firmware:
            self._await_firmware(children, recorder)
        if self._board_command:
            self._await_board(children)
        goal.publish(self._goal_message())
        self._transit(executor, children, [SIM], ACTIVE)

    def _await_firmware(self, children: Children, recorder: Recorder) -> None:
        """Wait until the firmware's encoders are read, so that nothing drives before its wheels can."""
        while not recorder.counts.get("/odom", 0) and not self._interrupt.requested:
            child = children.all["firmware"]
            if not child.alive or time.monotonic() > self._give_up:
                raise StartError(f"{child.last_words() or child.end_text()} (log: {child.log})")
            time.sleep(_TICK)

    def _await_board(self, children: Children) -> None:
        """Wait until the emulator has been started by its bridge, so that a run does not begin without it."""
        log = children.all[REFLEX].log
        while not self._interrupt.requested and log is not None and b": started" not in log.read_bytes():
            child = children.all["board"]
            if not child.alive or time.monotonic() > self._give_up:
                raise StartError(f"{child.last_words() or child.end_text()} (log: {child.log})")
            time.sleep(_TICK)

    def _goal_message(self) -> PoseStamped:
        message = PoseStamped()
        message.header.frame_id = str(self._parameters[REFLEX]["odom_frame"])
        message.header.stamp = convert.to_stamp(0 if self._simulated else time.time_ns())
        message.pose.position.x, message.pose.position.y = self._world.goal
        message.pose.orientation.w = 1.0
        return message

    # -- watching ------------------------------------------------------------------------------------------------

    def _watch(
        self, node: Node, executor: SingleThreadedExecutor, children: Children, recorder: Recorder, goal: Any
    ) -> None:
        judge = self._judge
        parameters = AsyncParameterClient(node, "/sim_node") if self._faults else None
        goal_at = state_at = time.monotonic()
        states = 0
        said_recording = False
        mourned: float | None = None
        if self._firmware is not None:
            self._note(f"wheels are driven by the motor firmware on an {self._firmware['chip']}")
        if self._board_command:
            self._note(f"the reflex's network runs on an emulated board ({self._options.backend})")
        while not self._interrupt.requested:
            now = time.monotonic()
            if parameters is not None:
                executor.spin_once(timeout_sec=_TICK)
            else:
                time.sleep(_TICK)
            if now - goal_at > 1.0:
                goal_at = now
                goal.publish(self._goal_message())
            if recorder.counts.get("/sim/state", 0) != states:
                states, state_at = recorder.counts["/sim/state"], now
                self._see(recorder)
            if now - state_at > _STILL:
                judge.ended = "simulator stood still"
                return
            for child in children.all.values():
                if not child.alive and not child.ended:
                    child.ended = True
                    # one that was killed had no time to say why
                    words = child.last_words() if (child.process.returncode or 0) > 0 else ""
                    self._note(f"{child.end_text()}{': ' + words if words else ''}")
            if not children.all[SIM].alive:
                judge.ended = "simulator ended"
                return
            needed = {"reflex": children.all.get("composed_node") or children.all[REFLEX]}
            needed |= {n: children.all[n] for n in ("firmware", FIRMWARE) if n in children.all}
            dead = [name for name, child in needed.items() if not child.alive]
            mourned = mourned or now if dead else None
            if mourned is not None and now - mourned > _MOURN:
                judge.ended = f"{dead[0]} ended"
                return
            if recorder.note and not said_recording:
                said_recording = True
                self._note(f"{recorder.note}; driving goes on")
            if parameters is not None:
                self._inject(parameters)
            if self._kill_board is not None and self._due(self._kill_board):
                self._kill_board = None
                children.all["board"].process.kill()
            if self._kill is not None and self._due(self._kill):
                self._kill = None
                children.all["planner_node"].process.kill()
            self._count_rates(now, recorder)
            if judge.over(self._status.mode if self._status is not None else 0):
                return
            if self._begun_ns is not None:
                self._display.status(self._status_text)
        judge.ended = "interrupted"

    def _see(self, recorder: Recorder) -> None:
        state = deserialize_message(recorder.newest["/sim/state"], SimState)
        stamp = convert.to_ns(state.header.stamp)
        if self._begun_ns is None:
            self._begun_ns = stamp
            self._startup = time.monotonic() - self._created
        self._judge.see(
            (stamp - self._begun_ns) / 1e9,
            state.goal_distance,
            state.minimum_distance,
            state.contacts,
            state.path_length,
        )
        status = recorder.newest.get("/reflex/status")
        if status is not None:
            self._status = deserialize_message(status, ReflexStatus)

    def _note(self, text: str) -> None:
        self._events.append({"t": round(self._judge.t, 3), "text": text})
        self._display.line(f"{self._judge.t:6.1f} s  {text}")

    def _count_rates(self, now: float, recorder: Recorder) -> None:
        self._rates.append((now, recorder.counts.get("/planner/rates", 0)))
        while now - self._rates[0][0] > 2.0:
            self._rates.popleft()

    def _status_text(self) -> str:
        j, s = self._judge, self._status
        (begin, before), (end, count) = self._rates[0], self._rates[-1]
        planner = (count - before) / (end - begin) / self._pace() if end - begin > 0.2 else 0.0
        if s is None:
            return f"{j.t:5.1f} s │ waiting for the reflex"
        mode = MODES[s.mode] if s.mode < len(MODES) else str(s.mode)
        share = 100.0 * s.missed / max(1, s.ticks + s.missed)
        nearest = f"{s.nearest_obstacle:4.2f} m" if math.isfinite(s.nearest_obstacle) else "none"
        parts = [
            f"{j.t:5.1f} s",
            f"{mode:<11}",
            f"goal {j.goal_distance:5.2f} m",
            f"nearest {nearest:>6}",
            f"planner {planner:4.1f} Hz",
            f"reflex {s.rate / self._pace():4.0f} Hz",
            f"missed {s.missed} ({share:.2g} %)",
        ]
        if s.reason and s.mode != ReflexStatus.HYBRID:
            parts.append(s.reason)
        return " │ ".join(parts)

    def _pace(self) -> float:
        return self._options.real_time_factor or 1.0

    # -- faults for tests ----------------------------------------------------------------------------------------

    def _due(self, when: When) -> bool:
        if when.seconds is not None:
            return self._judge.t >= when.seconds
        assert when.share is not None
        return self._judge.goal_distance <= (1.0 - when.share) * self._first_distance

    def _inject(self, parameters: AsyncParameterClient) -> None:
        for fault in [f for f in self._faults if self._due(f.when)]:
            self._faults.remove(fault)
            parameters.set_parameters([RosParameter(f"{fault.sensor}_fault", value=fault.kind)])
            self._note(f"fault: {fault.sensor} {fault.kind}")
            if fault.seconds is not None:
                self._restore.append((self._judge.t + fault.seconds, fault))
        for at, fault in list(self._restore):
            if self._judge.t >= at:
                self._restore.remove((at, fault))
                parameters.set_parameters([RosParameter(f"{fault.sensor}_fault", value="")])
                self._note(f"fault ended: {fault.sensor} {fault.kind}")

    # -- afterwards ----------------------------------------------------------------------------------------------

    def _firmware_version(self) -> dict[str, str]:
        """What the report says of the firmware that was in the loop, {} where there was none."""
        if self._firmware is None:
            return {}
        return {"motor firmware in the loop": f"{self._firmware['sha256'][:12]} on {self._firmware['chip']}"}

    def _write_metadata(self, outcome: dict[str, Any], started: str) -> None:
        content = {
            "outcome": outcome,
            "ended_s": self._judge.t,
            "seed": self._seed,
            "world": self._options.world,
            "robot": dataclasses.asdict(self._robot),
            "goal": list(self._world.goal),
            "started": started,
            "startup_s": self._startup,
            "duration_limit_s": self._options.duration,
            "real_time_factor": self._options.real_time_factor,
            "composed": self._options.composed,
            "firmware": self._firmware,
            "backend": self._options.backend,
            "versions": versions() | self._firmware_version(),
            "events": self._events,
            "recording": self._recording_note,
            "parameters": self._parameters,
        }
        try:
            (self._folder / "run.json").write_text(json.dumps(content, indent=2) + "\n")
        except OSError as error:
            self._display.line(f"run.json was not written: {error.strerror or error}")


def drive(
    options: RunOptions, seed: int, folder: Path, interrupt: Interrupt, display: Display
) -> dict[str, Any]:
    """One run into a new folder; its outcome. Raises ValueError where the system could not be started."""
    return Run(options, seed, folder, interrupt, display).drive()
