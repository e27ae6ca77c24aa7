"""Keeps Fast DDS, the middleware of ROS 2, from its shared memory, which a peer that dies can make others wait on.

A process that is killed while it makes a segment leaves it half made, and whoever opens it later spins in C++ until
the end of time, with Python's lock held: no callback, no command, no Ctrl-C. A planner that is killed must not do that
to a reflex, so what this project starts speaks UDP. Other nodes of the robot may use what they like: the two sides
agree on UDP by themselves.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

# A range of LOCALHOST brings shared memory with it, whatever else is said; this profile says the same without.
PROFILE = str(Path(__file__).with_name("dds_this_machine.xml"))

_RANGE, _OLD_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"
_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
_PROFILES, _OLD_PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
_OLD = ("humble", "iron", "jazzy")  # releases that know the older name alone; Kilted warns of it
_FAST_DDS = ("", "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")


def without_shared_memory(environment: MutableMapping[str, str]) -> None:
    """Have nodes that start with this environment speak UDP alone; to be called before rclpy.init.

    What a user has chosen stays: another middleware, FASTDDS_BUILTIN_TRANSPORTS (DEFAULT brings shared memory back) or
    a profile file.
    """
    if environment.get("RMW_IMPLEMENTATION", "") not in _FAST_DDS:
        return
    if environment.setdefault(_TRANSPORTS, "UDPv4") != "UDPv4":
        return
    if any(environment.get(name, PROFILE) != PROFILE for name in (_PROFILES, _OLD_PROFILES)):
        return
    if environment.get(_RANGE) == "LOCALHOST" or environment.get(_OLD_RANGE) == "1":
        environment.pop(_OLD_RANGE, None)
        environment[_RANGE] = "SYSTEM_DEFAULT"
        environment[_OLD_PROFILES if environment.get("ROS_DISTRO", "jazzy") in _OLD else _PROFILES] = PROFILE
