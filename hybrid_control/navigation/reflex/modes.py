"""What the reflex can be doing. The one home of the modes: ReflexStatus.msg has the same numbers, held by a test."""

from __future__ import annotations

import enum


class Mode(enum.IntEnum):
    """What the reflex is doing; the numbers are those of ReflexStatus.msg."""

    INACTIVE = 0  # commands are not flowing
    HYBRID = 1  # planner and sensors fresh
    REFLEX_ONLY = 2  # the planner is stale or refused
    STOPPED = 3  # a sensor is stale or refused, or the parameters say to stop without a planner
    ARRIVED = 4  # the goal is reached
    ERROR = 5  # the loop hangs, or died

    @property
    def words(self) -> str:
        """For a person, such as "reflex only"."""
        return self.name.lower().replace("_", " ")


def name_of(number: int) -> str:
    """The name of a mode by its number, which may come from a file and be none of ours."""
    return Mode(number).name if 0 <= number < len(Mode) else f"mode {number}"
