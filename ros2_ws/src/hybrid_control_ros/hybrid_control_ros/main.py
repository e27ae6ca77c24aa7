"""Runs nodes as a program: arguments, parameter files, names, signals and exit status.

A user's mistake is one line and exit status 2. Ctrl-C and SIGTERM stop the robot at once and end the program within
two seconds with status 0, and so does the death of the launch that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from hybrid_control_ros.programs import PROGRAMS, Program

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

    from hybrid_control.parameters import Value
    from hybrid_control_ros.node import ManagedNode

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STARTER = "HYBRID_CONTROL_STARTER"  # in the environment: the process that a program is to end with
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_PATIENCE = 1.2  # seconds that an orderly end may take before it is forced
_DISCOVERY = 0.8  # seconds after which nodes on this machine have been heard of, on one that has time
_LONGEST = 3.0  # times that, on one that has none
_ATTEMPTS = 3  # to get an answer of a node of the same name
# What rclpy declares by itself, and so may stand in every parameter file
_OF_RCLPY = ("use_sim_time", "start_type_description_service")


class Refused(Exception):
    """The program can't start; the message is for the user."""


class Ending:
    """Waits for the first signal that asks the program to end, in a thread of its own.

    Neither a callback that blocks nor a C library that waits can then delay the robot's stop.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.nodes: list[ManagedNode] = []
        self.executor: Executor | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._thread = threading.Thread(target=self._wait, name="signals", daemon=True)
        self._thread.start()
        for number in SIGNALS:
            # a thread that was there before the mask may take a signal: Python then runs this in the main thread
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, number)

    def _wait(self) -> None:
        signal.sigwait(SIGNALS)
        self.requested.set()
        for node in self.nodes:
            node.halt()
        if self.executor is not None:
            self.executor.wake()
        time.sleep(_PATIENCE)
        os._exit(0)


def _end_with_starter() -> None:
    """Have the kernel send SIGTERM when the process that started this one dies, where the environment names one.

    A launch that is killed can't tell its nodes; without this they would drive on with nobody to look after them.
    """
    starter = os.environ.pop(STARTER, "")  # not for what this process starts
    if starter:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if not Path(f"/proc/{starter}").exists():  # it died before it could be watched
            os.kill(os.getpid(), signal.SIGTERM)


def main(words: Sequence[str] | None = None) -> int:
    """Run a program until a signal ends it; the exit status.

    words: the program's name, or a path that ends in it, and arguments; usually those that the process was started
    with, so that one function serves every executable.
    """
    words = list(sys.argv if words is None else words)
    name = Path(words[0]).name if words else ""
    if name not in PROGRAMS:
        print(f"hybrid_control_ros: no program {name!r}; there are {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    return _run(name, words)


def _run(name: str, arguments: list[str]) -> int:
    ending = Ending()
    _end_with_starter()
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.signals import SignalHandlerOptions

    program = PROGRAMS[name]
    nodes: list[ManagedNode] = []
    try:
        try:
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        except RuntimeError as error:
            raise Refused(_one_line(error)) from None
        extra = rclpy.utilities.remove_ros_args(arguments)[1:]
        if extra:
            raise Refused(
                f"unknown argument {extra[0]!r}; parameters go behind --ros-args -p or --params-file"
            )
        values = _prepare(program)
        if ending.requested.is_set():
            return 0
        nodes = program.build(values)
        return _spin(nodes, ending)
    except Refused as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except ExternalShutdownException:
        return 0
    finally:
        for node in nodes:
            node.end()
        if rclpy.ok():
            rclpy.shutdown()
        if ending.requested.is_set():
            # all is released; taking the interpreter down could only take long, or hang
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def _spin(nodes: list[ManagedNode], ending: Ending) -> int:
    from hybrid_control_ros.node import new_executor

    executor = new_executor()
    for node in nodes:
        executor.add_node(node)
    ending.nodes, ending.executor = nodes, executor
    try:
        for node in nodes:
            if node.value("autostart") and not node.start():
                raise Refused(f"{node.get_name()} could not start; the reason stands above")
        while not ending.requested.is_set():
            executor.spin_once(timeout_sec=1.0)
    finally:
        for node in nodes:
            node.halt()
        executor.shutdown(timeout_sec=0.5)
    return 0


def _prepare(program: Program) -> dict[str, dict[str, Value]]:
    """Check names and parameters, and import what is heavy while other nodes are being discovered."""
    import rclpy

    probes: dict[str, Node] = {}
    try:
        for kind in program.nodes:
            # takes the node's name and parameters from the command line as the node itself will
            probes[kind] = rclpy.create_node(
                kind,
                automatically_declare_parameters_from_overrides=True,
                enable_rosout=False,
                start_parameter_services=False,
            )
        begun, worked = time.monotonic(), time.process_time()
        values = {kind: _values(kind, probe) for kind, probe in probes.items()}
        try:
            program.load()
        except ModuleNotFoundError as error:
            raise Refused(f"the Python package {error.name!r} is not installed: pip install {error.name}") from None
        wait = _DISCOVERY * _waited(time.monotonic() - begun, time.process_time() - worked)
        time.sleep(max(0.0, begun + wait - time.monotonic()))
        for probe in probes.values():
            _check_alone(probe)
        return values
    finally:
        for probe in probes.values():
            probe.destroy_node()


def _values(kind: str, probe: Node) -> dict[str, Value]:
    from hybrid_control.bringup.node_parameters import NODES
    from hybrid_control.parameters import ParameterError, check_all

    names = probe.get_parameters_by_prefix("")
    values: Mapping[str, object] = {
        name: probe.get_parameter(name).value
        for name in names
        if name not in _OF_RCLPY and not name.startswith("qos_overrides.")
    }
    if not isinstance(probe.get_parameter("use_sim_time").value, bool):
        raise Refused("use_sim_time must be true or false")
    try:
        return check_all(NODES[kind], values)
    except ParameterError as error:
        raise Refused(str(error)) from None


def _waited(took: float, worked: float) -> float:
    """How many times as long as its work this process took, both in s, within 1 .. _LONGEST: where it had to wait for a
    processor, those who are to be heard of have to as well."""
    return min(max(took / max(worked, 1e-3), 1.0), _LONGEST)


def _check_alone(probe: Node) -> None:
    """Refuse to run beside a living node of the same name.

    The graph alone does not tell: a node that was killed stays in it for many seconds. A living one answers.
    """
    import rclpy
    from lifecycle_msgs.srv import GetState

    own = (probe.get_name(), probe.get_namespace())
    if probe.get_node_names_and_namespaces().count(own) < 2:
        return
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(probe)
    client = probe.create_client(GetState, f"{probe.get_name()}/get_state")
    if client.wait_for_service(timeout_sec=0.5):
        for _ in range(_ATTEMPTS):
            # an answer is lost where the other side has not yet heard of this client
            time.sleep(0.1)
            answer = client.call_async(GetState.Request())
            executor.spin_until_future_complete(answer, timeout_sec=0.5)
            if answer.done():
                raise Refused(
                    f"a node {probe.get_fully_qualified_name()} is already running; "
                    "end it, or give this one another name (-r __node:=...) or namespace (-r __ns:=...)"
                )
    executor.remove_node(probe)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.removeprefix("failed to initialize rcl: ").split(", at /")[0]
