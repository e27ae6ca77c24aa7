"""The flight modes of PX4 and ArduPilot as MAVLink carries them, in `custom_mode` of the heartbeat.

PX4: main mode in bits 16 to 23, sub mode in bits 24 to 31 (px4_custom_mode.h). ArduPilot: one number, Copter's here
(https://ardupilot.org/copter/docs/parameters.html#fltmode1).
"""

from __future__ import annotations

PX4 = {
    (1, 0): "MANUAL",
    (2, 0): "ALTCTL",
    (3, 0): "POSCTL",
    (4, 1): "AUTO.READY",
    (4, 2): "AUTO.TAKEOFF",
    (4, 3): "AUTO.LOITER",
    (4, 4): "AUTO.MISSION",
    (4, 5): "AUTO.RTL",
    (4, 6): "AUTO.LAND",
    (5, 0): "ACRO",
    (6, 0): "OFFBOARD",
    (7, 0): "STABILIZED",
}
ARDUPILOT = {
    0: "STABILIZE",
    1: "ACRO",
    2: "ALT_HOLD",
    3: "AUTO",
    4: "GUIDED",
    5: "LOITER",
    6: "RTL",
    7: "CIRCLE",
    9: "LAND",
    16: "POSHOLD",
    17: "BRAKE",
    21: "SMART_RTL",
}
KINDS = ("px4", "ardupilot")

# For each kind: the mode that obeys setpoints, the one that stays where it is, the one that lands.
EXTERNAL = {"px4": "OFFBOARD", "ardupilot": "GUIDED"}
HOLD = {"px4": "AUTO.LOITER", "ardupilot": "BRAKE"}
LAND = {"px4": "AUTO.LAND", "ardupilot": "LAND"}


def mode_name(kind: str, custom_mode: int) -> str:
    """The mode's name, or its number where it has none here."""
    if kind == "px4":
        main, sub = (custom_mode >> 16) & 0xFF, (custom_mode >> 24) & 0xFF
        return PX4.get((main, sub), f"{main}.{sub}")
    return ARDUPILOT.get(custom_mode, str(custom_mode))


def mode_numbers(kind: str, name: str) -> tuple[int, int]:
    """Parameters 2 and 3 of MAV_CMD_DO_SET_MODE for a mode; ValueError where the kind has none of that name."""
    if kind == "px4":
        for (main, sub), known in PX4.items():
            if known == name:
                return main, sub
    for number, known in ARDUPILOT.items() if kind == "ardupilot" else ():
        if known == name:
            return number, 0
    known_names = PX4.values() if kind == "px4" else ARDUPILOT.values()
    raise ValueError(f"mode {name!r}: {kind} has {', '.join(known_names)}")
