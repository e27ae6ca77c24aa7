"""MAVLink to a flight controller (PX4, ArduPilot): velocity setpoints out, state in. See docs/drone.md."""

from firmware_bridge.mavlink.autopilot import (
    Autopilot,
    AutopilotConfig,
    AutopilotState,
    AutopilotStatus,
    MavlinkError,
    Setpoint,
)

__all__ = ["Autopilot", "AutopilotConfig", "AutopilotState", "AutopilotStatus", "MavlinkError", "Setpoint"]
