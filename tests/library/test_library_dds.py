"""Nodes of this project speak UDP, whatever the range of their discovery, unless a user has said otherwise."""

from __future__ import annotations

import pytest

from hybrid_control.bringup.dds import PROFILE, without_shared_memory

RANGE, TRANSPORTS = "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTDDS_BUILTIN_TRANSPORTS"
JAZZY = {"ROS_DISTRO": "jazzy"}
ON_THIS_MACHINE = {RANGE: "SYSTEM_DEFAULT", TRANSPORTS: "UDPv4", "FASTRTPS_DEFAULT_PROFILES_FILE": PROFILE}
KILTED = {"ROS_DISTRO": "kilted"}
ON_KILTED = {RANGE: "SYSTEM_DEFAULT", TRANSPORTS: "UDPv4", "FASTDDS_DEFAULT_PROFILES_FILE": PROFILE, **KILTED}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {TRANSPORTS: "UDPv4"}),
        ({RANGE: "SUBNET"}, {RANGE: "SUBNET", TRANSPORTS: "UDPv4"}),
        ({RANGE: "LOCALHOST"}, ON_THIS_MACHINE),
        ({"ROS_LOCALHOST_ONLY": "1"}, ON_THIS_MACHINE),
        ({RANGE: "LOCALHOST", **JAZZY}, {**ON_THIS_MACHINE, **JAZZY}),
        ({RANGE: "LOCALHOST", **KILTED}, ON_KILTED),  # which warns where it meets the older name
        # asked for anew where it was done before
        ({**ON_THIS_MACHINE, RANGE: "LOCALHOST"}, ON_THIS_MACHINE),
        (ON_THIS_MACHINE, ON_THIS_MACHINE),
    ],
)
def test_no_shared_memory_is_used_and_the_range_stays(before, after):
    environment = dict(before)
    without_shared_memory(environment)
    assert environment == after


@pytest.mark.parametrize(
    "chosen",
    [
        {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp", RANGE: "LOCALHOST"},
        {TRANSPORTS: "DEFAULT", RANGE: "LOCALHOST"},
        {TRANSPORTS: "UDPv4", "FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml", RANGE: "LOCALHOST"},
        {TRANSPORTS: "UDPv4", "FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml", RANGE: "LOCALHOST"},
    ],
)
def test_what_a_user_has_chosen_stays(chosen):
    environment = dict(chosen)
    without_shared_memory(environment)
    assert environment == chosen
