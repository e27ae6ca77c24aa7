"""The autopilot's side of MAVLink by MAVSDK, an independent implementation in C++ (PyPI: mavsdk)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from ros_graph import graph  # noqa: F401 (a fixture)

if TYPE_CHECKING:
    from firmware_bridge.mavlink import Autopilot

try:
    from mavsdk.component_type import ComponentType
    from mavsdk.mavsdk import Configuration, Mavsdk
    from mavsdk.plugins.action_server.action_server import ActionServer, AllowableFlightModes
    from mavsdk.plugins.mavlink_direct_server.mavlink_direct_server import MavlinkDirectServer, MavlinkMessage
    from mavsdk.plugins.telemetry_server.telemetry_server import TelemetryServer
except ImportError as error:
    MISSING: str | None = f"MAVSDK is not installed: pip install mavsdk ({error})"
else:
    MISSING = None


def free_port() -> int:
    """A UDP port of this machine that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MavsdkVehicle:
    """An autopilot of MAVSDK: heartbeat, arming, flight mode, telemetry; it notes the setpoints that it parsed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.setpoints: list[tuple[float, dict[str, Any]]] = []  # monotonic time of arrival, fields
        self.commands: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Start, or start again."""
        self.sdk = Mavsdk(Configuration.create_with_component_type(ComponentType.AUTOPILOT))
        self.sdk.add_any_connection(f"udpout://127.0.0.1:{self.port}")
        component = self.sdk.server_component()
        self.action = ActionServer(component)
        self.telemetry = TelemetryServer(component)
        self.direct = MavlinkDirectServer(component)
        self.action.set_armable(True, True)
        self.action.set_disarmable(True, True)
        self.action.set_allowable_flight_modes(AllowableFlightModes(*(True,) * 7))
        self.direct.subscribe_message("SET_POSITION_TARGET_LOCAL_NED", self._on_setpoint)

    def _on_setpoint(self, message: Any, _: Any) -> None:
        with self._lock:
            self.setpoints.append((time.monotonic(), json.loads(message.fields_json)))

    def take_command(self, number: int, result: int = 0) -> None:
        """Answer a command by itself, in place of MAVSDK: with a MAV_RESULT."""

        self.action.destroy()  # it would answer as well

        def answer(message: Any, _: Any) -> None:
            self.commands.append(json.loads(message.fields_json))
            fields = {"command": number, "result": result, "progress": 255, "result_param2": 0}
            self.say("COMMAND_ACK", message.system_id, message.component_id, **fields)

        self.direct.subscribe_command(number, answer)

    def say(self, name: str, system: int = 0, component: int = 0, **fields: Any) -> None:
        """Send a message by its name and fields."""
        text = json.dumps(fields)
        if name == "COMMAND_ACK":
            text = json.dumps({**fields, "target_system": system, "target_component": component})
        self.direct.send_message(MavlinkMessage(name, 1, 1, system, component, text))

    def newest(self) -> dict[str, Any]:
        """The fields of the newest setpoint."""
        with self._lock:
            return self.setpoints[-1][1]

    def count(self) -> int:
        """Setpoints so far."""
        with self._lock:
            return len(self.setpoints)

    def end(self) -> None:
        """Vanish without a word."""
        self.sdk.destroy()


@pytest.fixture
def vehicle() -> Iterator[MavsdkVehicle]:
    """An autopilot, disarmed and on the ground."""
    if MISSING is not None:
        pytest.skip(MISSING)
    made = MavsdkVehicle(free_port())
    yield made
    made.end()


@pytest.fixture
def pilot(vehicle: MavsdkVehicle) -> Iterator[Autopilot]:
    """Our end, connected to it."""
    from firmware_bridge.mavlink import Autopilot, AutopilotConfig

    with Autopilot(AutopilotConfig(f"udpin:127.0.0.1:{vehicle.port}")) as made:
        assert made.wait_connected(5.0), made.status()
        yield made
