"""Gazebo's releases: what differs between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """What differs between Gazebo's releases.

    command: how the simulator is started; plugin, system: patterns of a plugin's file and class; messages: package of
    its messages; frame: element of a sensor that names the frame of its messages; ros: the ROS 2 release that it is
    paired with.
    """

    name: str
    major: int
    ros: str
    command: tuple[str, ...]
    plugin: str
    system: str
    messages: str
    frame: str

    @property
    def expressed_in(self) -> tuple[str, str]:
        """Attribute that names the frame of a direction, and its XML namespace."""
        space = "ignition" if self.major < 7 else "gz"
        return f"{space}:expressed_in", f"xmlns:{space}"


FORTRESS = Release(
    "fortress", 6, "humble", ("ign", "gazebo"),
    "ignition-gazebo-{}-system", "ignition::gazebo::systems::{}", "ignition.msgs", "ignition_frame_id",
)  # fmt: skip
HARMONIC = Release(
    "harmonic",
    8,
    "jazzy",
    ("gz", "sim"),
    "gz-sim-{}-system",
    "gz::sim::systems::{}",
    "gz.msgs",
    "gz_frame_id",
)
IONIC = Release(
    "ionic", 9, "kilted", ("gz", "sim"), "gz-sim-{}-system", "gz::sim::systems::{}", "gz.msgs", "gz_frame_id"
)
RELEASES: dict[str, Release] = {release.name: release for release in (FORTRESS, HARMONIC, IONIC)}


def release(name: str) -> Release:
    """A release by name, or by the ROS 2 release that it goes with; ValueError for another."""
    for candidate in RELEASES.values():
        if name.lower() in (candidate.name, candidate.ros):
            return candidate
    raise ValueError(f"unknown Gazebo release {name!r}; there are {', '.join(RELEASES)}")
