"""README's tables of topics, and how what nodes have is held against them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

README = Path(__file__).parents[2] / "README.md"
RELIABLE, LATCHED = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL


class Topic(NamedTuple):
    """One row. types: those that the row names. quality: the word of its last column."""

    types: set[str]
    quality: str

    @property
    def reliable(self) -> bool:
        return self.latched or self.quality.startswith(("stream", "command", "reliable"))

    @property
    def latched(self) -> bool:
        return self.quality.startswith("latched")

    def offered(self, profile: Any) -> bool:
        """Whether a publisher's profile is as the row says, as far as the graph tells."""
        return (profile.reliability == RELIABLE, profile.durability == LATCHED) == (
            self.reliable,
            self.latched,
        )

    def heard(self, profile: Any) -> bool:
        """Whether a subscription's profile asks for no more than the row offers."""
        return (self.reliable or profile.reliability != RELIABLE) and (
            self.latched or profile.durability != LATCHED
        )


def tables() -> tuple[dict[str, Topic], dict[str, Topic]]:
    """The topics of the default graph, and those that other robots have besides, by name."""
    section = README.read_text().split("## Topics")[1].split("\n## ")[0]
    found = []
    for block in re.split(r"\n\s*\n", section):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()
            if line.startswith("| `")
        ]
        if rows:
            found.append(
                {
                    name: Topic(set(re.findall(r"[a-z0-9_]+_msgs/\w+", row[1])), row[5])
                    for row in rows
                    for name in re.findall(r"`([^`]+)`", row[0])
                }
            )
    default, others = found
    return default, others
