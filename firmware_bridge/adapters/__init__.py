"""Other makers' motor controllers behind the same interface (firmware_bridge.wheels). See docs/firmware.md."""

from firmware_bridge.adapters.arduino_text import ArduinoText, ArduinoTextConfig
from firmware_bridge.adapters.dynamixel import Dynamixel, DynamixelConfig
from firmware_bridge.adapters.odrive import Odrive, OdriveConfig
from firmware_bridge.adapters.vesc import Vesc, VescConfig

__all__ = [
    "ArduinoText",
    "ArduinoTextConfig",
    "Dynamixel",
    "DynamixelConfig",
    "Odrive",
    "OdriveConfig",
    "Vesc",
    "VescConfig",
]
