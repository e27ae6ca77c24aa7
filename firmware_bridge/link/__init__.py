"""The serial link to the motor microcontroller: frames, messages, transports, link. See docs/link.md."""

from firmware_bridge.link.frames import PROTOCOL_VERSION, Frame, FrameDecoder, LinkError, crc16
from firmware_bridge.link.link import FirmwareLink, LinkConfig
from firmware_bridge.link.messages import (
    Capabilities,
    Clear,
    Counters,
    Fault,
    Gains,
    Hello,
    Limits,
    Log,
    Stop,
    Telemetry,
    Velocity,
)
from firmware_bridge.link.transport import Transport, open_transport

__all__ = [
    "PROTOCOL_VERSION",
    "Capabilities",
    "Clear",
    "Counters",
    "Fault",
    "FirmwareLink",
    "Frame",
    "FrameDecoder",
    "Gains",
    "Hello",
    "Limits",
    "LinkConfig",
    "LinkError",
    "Log",
    "Stop",
    "Telemetry",
    "Transport",
    "Velocity",
    "crc16",
    "open_transport",
]
