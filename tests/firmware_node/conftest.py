"""A ROS domain of its own with an executor, and the firmware on its emulated chip, for the tests of the bridge node."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.firmware.build import BuildError, build_emulator, build_firmware, check_tools
from firmware_bridge.firmware.emulator import Emulator

# the nodes of the tree are tested, not those that were installed last
sys.path.insert(0, str(Path(__file__).parents[2] / "ros2_ws" / "src" / "hybrid_control_ros"))


class Bench:
    """Nodes under test, a tester node, and a thread that spins them."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.tester = rclpy.create_node("bench", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.tester)
        self._nodes: list[Any] = []
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException, ShutdownException

        with contextlib.suppress(ExternalShutdownException, ShutdownException):
            self._executor.spin()

    def start(self, kind: type, options: dict[str, Any] | None = None, **values: Any) -> Any:
        """A node, configured and active; its parameters by name."""
        node = kind(values, context=self.context, **(options or {}))
        self._nodes.append(node)
        self._executor.add_node(node)
        assert node.start()
        return node

    def collect(self, kind: type, topic: str) -> list[Any]:
        """A list that grows by each message."""
        from rclpy.qos import qos_profile_sensor_data

        messages: list[Any] = []
        self.tester.create_subscription(kind, topic, messages.append, qos_profile_sensor_data)
        return messages

    def repeat(self, publisher: Any, message: Callable[[], Any]) -> Any:
        """Publish 50 times a second until the timer that is returned is cancelled."""
        return self.tester.create_timer(0.02, lambda: publisher.publish(message()))

    def until(self, condition: Callable[[], Any], timeout: float = 15.0) -> Any:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.005)
        raise AssertionError(f"not within {timeout} s")

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(2.0)
        for node in self._nodes:
            node.end()
        self.tester.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    from hybrid_control_ros.run.processes import private_domain

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with private_domain() as domain:
        bench = Bench(domain)
        try:
            yield bench
        finally:
            bench.close()


@pytest.fixture(scope="session")
def built_firmware(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The emulator's program and the firmware's ELF."""
    out = tmp_path_factory.mktemp("firmware_node")
    try:
        check_tools()
        return build_emulator(out), build_firmware(out).elf
    except BuildError as error:
        pytest.skip(f"no toolchain: {error}")


@pytest.fixture
def emulated(built_firmware: tuple[Path, Path], tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(*built_firmware, link=tmp_path / "port") as emulator:
        yield emulator
