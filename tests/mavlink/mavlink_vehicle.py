"""A vehicle by pymavlink that is whatever a test says, and notes what it is sent. It flies nowhere."""

from __future__ import annotations

import socket
import threading
import time

from pymavlink.dialects.v20 import common as m

PX4, ARDUPILOT = m.MAV_AUTOPILOT_PX4, m.MAV_AUTOPILOT_ARDUPILOTMEGA
QUAD, ROVER = m.MAV_TYPE_QUADROTOR, m.MAV_TYPE_GROUND_ROVER


class Vehicle:
    """Heartbeats 10 times a second. obeys: whether it does what it accepts. result: of every command."""

    def __init__(self, port: int, system: int = 1, autopilot: int = PX4, kind: int = QUAD, obeys: bool = True):
        self.system, self.autopilot, self.kind, self.obeys = system, autopilot, kind, obeys
        self.result, self.acknowledge_to = m.MAV_RESULT_ACCEPTED, None
        self.mode, self.armed = 0, False
        self.commands: list[tuple[int, float, float, float]] = []
        self.setpoints = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.02)
        self._to = ("127.0.0.1", port)
        self._codec = m.MAVLink(None, srcSystem=system, srcComponent=1)
        self._codec.robust_parsing = True
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def say(self, message) -> None:
        self.socket.sendto(message.pack(self._codec), self._to)
        self._codec.seq = (self._codec.seq + 1) % 256

    def distance(self, now: int, quality: int = 0, low: int = 5, high: int = 800, orientation: int = 25, variance=255):
        self.say(distance_sensor(now, quality, low, high, orientation, variance))

    def _run(self) -> None:
        beat = 0.0
        while not self._end.is_set():
            if time.monotonic() - beat > 0.1:
                beat = time.monotonic()
                base = 1 | (m.MAV_MODE_FLAG_SAFETY_ARMED if self.armed else 0)
                self.say(m.MAVLink_heartbeat_message(self.kind, self.autopilot, base, self.mode, 4, 3))
            try:
                data = self.socket.recv(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            for message in self._codec.parse_buffer(data) or ():
                self._take(message)

    def _take(self, message) -> None:
        if message.get_type() == "SET_POSITION_TARGET_LOCAL_NED":
            self.setpoints += 1
        elif message.get_type() == "COMMAND_LONG" and message.target_system == self.system:
            self.commands.append((message.command, message.param1, message.param2, message.param3))
            to = self.acknowledge_to or (message.get_srcSystem(), message.get_srcComponent())
            self.say(m.MAVLink_command_ack_message(message.command, self.result, 255, 0, *to))
            if not self.obeys or self.result:
                return
            if message.command == m.MAV_CMD_DO_SET_MODE:
                main, sub = int(message.param2), int(message.param3)
                self.mode = main << 16 | sub << 24 if self.autopilot == PX4 else main
            elif message.command == m.MAV_CMD_COMPONENT_ARM_DISARM:
                self.armed = message.param1 == 1.0

    def asked(self, command: int) -> bool:
        return any(number == command for number, *_ in self.commands)

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.socket.close()


def distance_sensor(now, quality=0, low=5, high=800, orientation=25, variance=255):
    """A DISTANCE_SENSOR in cm."""
    return m.MAVLink_distance_sensor_message(
        1, low, high, now, 0, 0, orientation, variance, 0.0, 0.0, [0.0] * 4, quality
    )
