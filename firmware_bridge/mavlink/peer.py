"""Who is at the other end of a MAVLink connection, by its own words, and whether it is the vehicle that was set."""

from __future__ import annotations

from collections import deque
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

_AUTOPILOTS = {"px4": mavlink.MAV_AUTOPILOT_PX4, "ardupilot": mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA}
_TYPES = {
    mavlink.MAV_TYPE_QUADROTOR, mavlink.MAV_TYPE_COAXIAL, mavlink.MAV_TYPE_HELICOPTER, mavlink.MAV_TYPE_HEXAROTOR,
    mavlink.MAV_TYPE_OCTOROTOR, mavlink.MAV_TYPE_TRICOPTER, mavlink.MAV_TYPE_DODECAROTOR,
}  # fmt: skip
_MOST_NOTICES = 16


class Peer:
    """The vehicle of one system id. autopilot: px4 or ardupilot.

    error: one line why what was heard is not it, "" otherwise. kind, version: as it says, "" before it did.
    """

    def __init__(self, autopilot: str, system_id: int) -> None:
        self._autopilot = autopilot
        self.address = (system_id, mavlink.MAV_COMP_ID_AUTOPILOT1)
        self._said: set[object] = set()
        self.notices: deque[str] = deque(maxlen=_MOST_NOTICES)
        self.forget()

    def forget(self) -> None:
        """Nobody is there."""
        self.error = self.kind = self.version = ""
        self.takes_velocities = True  # until it says that it does not

    def accept(self, heartbeat: Any) -> bool:
        """Whether a heartbeat from our address is of the vehicle that was set; else `error` says what it is."""
        self.kind = f"{_name('MAV_AUTOPILOT', heartbeat.autopilot)} {_name('MAV_TYPE', heartbeat.type)}"
        who = f"vehicle {self.address[0]} is of kind {self.kind}"
        self.error = ""
        if heartbeat.autopilot != _AUTOPILOTS[self._autopilot]:
            self.error = f"{who}, but autopilot is set to {self._autopilot}"
        elif heartbeat.type not in _TYPES:
            self.error = f"{who}; only multirotors and helicopters are steered"
        return not self.error

    def learn(self, version: Any) -> None:
        """An AUTOPILOT_VERSION."""
        number = version.flight_sw_version
        self.version = f"{number >> 24}.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}" if number else ""
        needed = mavlink.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_LOCAL_NED
        self.takes_velocities = bool(version.capabilities & needed)

    def notice(self, message: Any) -> None:
        """A message of somebody else: another vehicle is told of once, and is an error while ours is not heard."""
        system, component = message.get_srcSystem(), message.get_srcComponent()
        if message.get_type() != "HEARTBEAT" or component != mavlink.MAV_COMP_ID_AUTOPILOT1:
            return
        kind = f"{_name('MAV_AUTOPILOT', message.autopilot)} {_name('MAV_TYPE', message.type)}"
        line = f"vehicle {system} ({kind}) is heard, but system_id is set to {self.address[0]}"
        if not self.kind:
            self.error = line
        self.say_once(system, line)

    def say_once(self, about: object, line: str) -> None:
        """A line for the log, once about each, and about few of them."""
        if about not in self._said and len(self._said) < _MOST_NOTICES:
            self._said.add(about)
            self.notices.append(line)


def _name(enum: str, value: int) -> str:
    """An entry of one of MAVLink's enums in lower case, or its number."""
    entry = mavlink.enums[enum].get(value)
    return entry.name.removeprefix(enum + "_").replace("ARDUPILOTMEGA", "ARDUPILOT").lower() if entry else str(value)
