"""A ROS graph of its own for each test: a free domain on loopback, a context, a tester node, processes to clean up."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_control.bringup.dds import without_shared_memory

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "ros2_ws" / "src" / "hybrid_control_ros"
# the nodes of the tree are tested, not those that were installed last
sys.path.insert(0, str(SOURCE))

# each worker of pytest-xdist goes round its own domains, so that none meets what the test before it left behind
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_DOMAINS = itertools.cycle(range(1 + _WORKER, 102, _WORKERS))


@contextlib.contextmanager
def own_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that nobody else on this machine uses while the context lasts."""
    from hybrid_control_ros.run.processes import private_domain

    for domain in itertools.islice(_DOMAINS, 101):
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(private_domain(domain))
            except ValueError:  # another test session holds it
                continue
            yield domain
            return
    raise RuntimeError("every ROS domain of this machine is in use")


def takes_signals(pid: int) -> bool:
    """Whether a process has begun to handle SIGTERM itself, which Python alone does not."""
    caught = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:")
    )
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


class Process:
    """A node as a program of its own, with what it said."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait(self, timeout: float = 30.0) -> int:
        """The exit status, within the time."""
        status = self.popen.wait(timeout)
        self._reader.join(2.0)
        return status

    def interrupt(self, kind: int = signal.SIGINT) -> tuple[int, float]:
        """Exit status and seconds that it took to end."""
        begun = time.monotonic()
        self.popen.send_signal(kind)
        return self.wait(), time.monotonic() - begun

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


class Graph:
    """What a test does with ROS."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.domain = domain
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.tester = rclpy.create_node("tester", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.tester)
        self._nodes: list[Any] = []
        self._processes: list[Process] = []
        self._clients: dict[tuple[type, str], Any] = {}
        self._failure: BaseException | None = None
        self._spinner = threading.Thread(target=self._spin, daemon=True)
        self._spinner.start()

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException, ShutdownException

        try:
            self._executor.spin()
        except (ExternalShutdownException, ShutdownException):
            pass
        except BaseException as error:
            self._failure = error

    def add(self, kind: type, **values: Any) -> Any:
        """A node in this process, spinning; its parameters by name."""
        use_sim_time = values.pop("use_sim_time", False)
        more = values.pop("options", {})
        from rclpy.parameter import Parameter

        overrides = [Parameter("use_sim_time", value=use_sim_time)]
        return self.adopt(kind(values, context=self.context, parameter_overrides=overrides, **more))

    def adopt(self, node: Any) -> Any:
        """Let a node of this graph's context spin."""
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def start(self, kind: type, **values: Any) -> Any:
        """As add, configured and active."""
        node = self.add(kind, **values)
        assert node.start()
        return node

    def remove(self, node: Any) -> None:
        self._executor.remove_node(node)
        self._nodes.remove(node)
        node.end()

    def run(self, node: str, *ros_arguments: str) -> Process:
        """A node, or a module such as run.gazebo_ranges, in a process of its own."""
        program = [f"hybrid_control_ros.{node}"] if "." in node else ["hybrid_control_ros", node]
        arguments = [sys.executable, "-m", *program]
        if ros_arguments:
            arguments += ["--ros-args", *ros_arguments]
        environment = dict(
            os.environ,
            ROS_DOMAIN_ID=str(self.domain),
            PYTHONPATH=os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")])),
        )
        popen = subprocess.Popen(
            arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )
        process = Process(popen)
        self._processes.append(process)
        return process

    def collect(self, kind: type, topic: str, profile: Any = None) -> list[Any]:
        """A list that grows by each message; its arrival (monotonic seconds) is put on as `arrival`."""
        from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data

        if topic == "/rosout":  # a line may be said once, and before this is known to who says it
            profile = profile or QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)

        messages: list[Any] = []

        def put(message: Any) -> None:
            messages.append(Arrived(message, time.monotonic()))

        self.tester.create_subscription(kind, topic, put, profile or qos_profile_sensor_data)
        return messages

    def publisher(self, kind: type, topic: str, profile: Any = 10) -> Any:
        return self.tester.create_publisher(kind, topic, profile)

    def repeat(self, publisher: Any, message: Callable[[], Any], rate: float = 50.0) -> Any:
        """Publish again and again until the timer that is returned is cancelled."""
        return self.tester.create_timer(1.0 / rate, lambda: publisher.publish(message()))

    def until(self, condition: Callable[[], Any], timeout: float = 30.0, what: str = "") -> Any:
        """Wait for something to become true; what it became."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._failure is not None:
                raise AssertionError("a callback failed") from self._failure
            value = condition()
            if value:
                return value
            time.sleep(0.005)
        said = "\n".join(p.output for p in self._processes)
        raise AssertionError(f"not within {timeout} s: {what or condition}\n{said}")

    def call(self, kind: type, name: str, request: Any, timeout: float = 30.0) -> Any:
        """Ask a service."""
        if (kind, name) not in self._clients:
            client = self.tester.create_client(kind, name)
            self.until(client.service_is_ready, timeout, f"service {name}")
            # the server may not yet know where to answer: rmw_fastrtps drops its answer then
            time.sleep(0.2)
            self._clients[kind, name] = client
        answer = self._clients[kind, name].call_async(request)
        self.until(answer.done, timeout, f"an answer of {name}")
        return answer.result()

    def transition(self, node: str, name: str) -> bool:
        """configure, activate, deactivate, cleanup or shutdown; whether it went well."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition = (
            Transition(label=name)
            if name == "shutdown"
            else Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}"))
        )
        return bool(self.call(ChangeState, f"{node}/change_state", request).success)

    def state(self, node: str) -> str:
        from lifecycle_msgs.srv import GetState

        return str(self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label)

    def set(self, node: str, **values: Any) -> Any:
        """Set parameters as one set; the result with successful and reason."""
        from rcl_interfaces.srv import SetParametersAtomically
        from rclpy.parameter import Parameter

        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        return self.call(SetParametersAtomically, f"{node}/set_parameters_atomically", request).result

    def get(self, node: str, name: str) -> Any:
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        answer = self.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=[name]))
        return parameter_value_to_python(answer.values[0])

    def now(self) -> Any:
        return self.tester.get_clock().now().to_msg()

    def close(self) -> None:
        for process in self._processes:
            if process.popen.poll() is None:
                process.kill()
        for node in list(self._nodes):
            self.remove(node)
        self._executor.shutdown(timeout_sec=2.0)
        self._spinner.join(2.0)
        self.tester.destroy_node()
        self.context.try_shutdown()


class Arrived:
    """A message and when it came."""

    def __init__(self, message: Any, arrival: float) -> None:
        self.message = message
        self.arrival = arrival

    def __getattr__(self, name: str) -> Any:
        return getattr(self.message, name)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    without_shared_memory(os.environ)
    with own_domain() as domain:
        graph = Graph(domain)
        try:
            yield graph
        finally:
            graph.close()
