"""What is taught of the ground as a part of the robot's hybrid: before all that use scans, and after the planner."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_control.cosim import Message, MessagePart
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.ground.classes import AVOID
from hybrid_control.navigation.ground.effects import Effects
from hybrid_control.navigation.ground.learner import GroundLearner
from hybrid_control.navigation.ground.overlay import overlay
from hybrid_control.navigation.parts import MESSAGES, in_order
from hybrid_control.navigation.planner.planner import BlindError
from hybrid_control.signals import Odometry


class GroundPart(MessagePart):
    """Scans with what is to be avoided on the ground in them, and plans with what the ground does to them.

    learner: as it was taught; period_ns: between two looks; lidar: x and y in m and yaw in rad of the range sensor in
    the body; outline: the robot's.
    """

    def __init__(
        self,
        learner: GroundLearner,
        period_ns: int,
        lidar: tuple[float, float, float],
        outline: Outline,
    ) -> None:
        self._learner, self._period_ns = learner, period_ns
        self._lidar, self._outline = lidar, outline
        self.inputs = dict.fromkeys(("camera", "odometry", "scan", "rates"), MESSAGES)
        self.outputs = {"scan": MESSAGES, "rates": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Nothing was seen; what was taught is kept."""
        self._learner.forget_places()
        self._odometry: Odometry | None = None
        self._effects = Effects()
        self._next_ns = 0

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Scans and plans, with their own times."""
        scans: list[Message] = []
        for time_ns, _, kind, value in in_order(inputs):
            if kind == "odometry":
                self._odometry = value
            elif self._odometry is None:
                if kind == "scan":
                    scans.append(Message(time_ns, value))
            elif kind == "scan":
                points = self._learner.seen.points(AVOID, self._odometry.pose)
                scans.append(Message(time_ns, overlay(value, points, self._lidar, self._outline)))
            elif time_ns >= self._next_ns:
                self._next_ns = time_ns + self._period_ns - self._period_ns // 4
                with contextlib.suppress(BlindError):
                    self._learner.look(value.image, self._odometry.pose)
        plans = inputs.get("rates", ())
        if self._odometry is not None:
            seen, odometry = self._learner.seen, self._odometry
            plans = [Message(t, self._effects.blended(rates, seen, odometry)) for t, rates in plans]
        return {"scan": scans, "rates": plans}

    def state(self) -> Any:
        """What was seen and taught."""
        return copy.deepcopy((self._learner, self._odometry, self._effects, self._next_ns))

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._learner, self._odometry, self._effects, self._next_ns = copy.deepcopy(state)
