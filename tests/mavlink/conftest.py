"""The autopilot's side of MAVLink by MAVSDK, an independent implementation in C++ (PyPI: mavsdk)."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from ros_graph import graph  # noqa: F401 (a fixture)

try:
    from pymavlink.dialects.v20 import common as mavlink
except ImportError:
    mavlink = None

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


SET_MODE = 176  # MAV_CMD_DO_SET_MODE


def free_port() -> int:
    """A UDP port of this machine that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay:
    """Stands between MAVSDK and us, and has its heartbeats say the kind and mode that MAVSDK itself can't say.

    autopilot, type: of MAV_AUTOPILOT and MAV_TYPE. mode: custom_mode in place of MAVSDK's, None for its own.
    """

    def __init__(self, port: int) -> None:
        self.autopilot, self.type, self.mode = 12, 2, None  # PX4, quadrotor
        self._near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._near.bind(("127.0.0.1", 0))
        self._far.bind(("127.0.0.1", 0))
        self.port, self._to, self._from = self._near.getsockname()[1], ("127.0.0.1", port), None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            for ready in select.select([self._near, self._far], [], [], 0.05)[0]:
                try:
                    data, sender = ready.recvfrom(65536)
                    if ready is self._near:
                        self._from = sender
                        self._far.sendto(self._reworded(data), self._to)
                    elif self._from is not None:
                        self._near.sendto(data, self._from)
                except ConnectionRefusedError:
                    continue

    def _reworded(self, data: bytes) -> bytes:
        codec = mavlink.MAVLink(None)
        out = b""
        for message in codec.parse_buffer(data) or ():
            kind = message.get_type()
            if kind not in ("HEARTBEAT", "AUTOPILOT_VERSION"):
                out += bytes(message.get_msgbuf())
                continue
            if kind == "HEARTBEAT":
                message.autopilot, message.type = self.autopilot, self.type
                message.custom_mode = message.custom_mode if self.mode is None else self.mode
            else:
                message.capabilities |= mavlink.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_LOCAL_NED
                message.flight_sw_version = 1 << 24 | 15 << 16 | 4 << 8
            sender = mavlink.MAVLink(None, message.get_srcSystem(), message.get_srcComponent())
            sender.seq = message.get_seq()
            out += message.pack(sender)
        return out

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._near.close()
        self._far.close()


class MavsdkVehicle:
    """An autopilot of MAVSDK: heartbeat, arming, flight mode, telemetry; it notes the setpoints that it parsed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.relay = Relay(port)
        self.setpoints: list[tuple[float, dict[str, Any]]] = []  # monotonic time of arrival, fields
        self.commands: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Start, or start again."""
        self.sdk = Mavsdk(Configuration.create_with_component_type(ComponentType.AUTOPILOT))
        self.sdk.add_any_connection(f"udpout://127.0.0.1:{self.relay.port}")
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
            command = json.loads(message.fields_json)
            self.commands.append(command)
            if number == SET_MODE and result == 0:
                main, sub = int(command["param2"]), int(command["param3"])
                self.relay.mode = main << 16 | sub << 24 if self.relay.autopilot == 12 else main
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
    made.relay.close()


@pytest.fixture
def pilot(vehicle: MavsdkVehicle) -> Iterator[Autopilot]:
    """Our end, connected to it."""
    from firmware_bridge.mavlink import Autopilot, AutopilotConfig

    with Autopilot(AutopilotConfig(f"udpin:127.0.0.1:{vehicle.port}")) as made:
        assert made.wait_connected(5.0), made.status()
        yield made
