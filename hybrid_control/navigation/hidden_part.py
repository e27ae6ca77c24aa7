"""What a planner of contract 2 saw hidden as a part of the robot's hybrid: before all that use scans, and after it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_control.cosim import Message, MessagePart
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.ground.overlay import overlay
from hybrid_control.navigation.ground.watch import Lidar, Watch
from hybrid_control.navigation.parts import MESSAGES, Seen, in_order
from hybrid_control.navigation.planner.states import Plan


class HiddenPart(MessagePart):
    """Scans with what the planner saw hidden in them, and its plans, and the states that come with them, as far as it
    is trusted.

    watch: its memory and trust, which begin anew with each episode; lidar: where the range sensor is; outline: the
    robot's.
    """

    def __init__(self, watch: Watch, lidar: Lidar, outline: Outline) -> None:
        self._watch, self._lidar, self._outline = watch, lidar, outline
        self.inputs = dict.fromkeys(("odometry", "scan", "rates", "states"), MESSAGES)
        self.outputs = dict.fromkeys(("scan", "rates", "states", "seen"), MESSAGES)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Nothing was seen."""
        self._watch.reset()

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Scans, plans and states, with their own times. A plan counts from the next run on in the scans."""
        watch = self._watch
        scans: list[Message] = []
        for time_ns, _, kind, value in in_order(inputs):
            if kind == "odometry":
                watch.moved(value)
            else:
                watch.scanned(value, self._lidar)
                place = watch.place
                if place is not None:
                    value = overlay(value, watch.memory.points(place.pose), self._lidar, self._outline)
                scans.append(Message(time_ns, value))
        plans: list[Message] = []
        seen: list[Message] = []
        for time_ns, rates in inputs.get("rates", ()):
            if isinstance(rates, Plan) and rates.closed is not None:
                watch.look(rates.closed)
                stamp_ns = rates.closed.stamp_ns
                seen.append(Message(time_ns, Seen(stamp_ns, watch.cells(), watch.free(stamp_ns))))
            counts = watch.trust.of(rates)
            if counts is not None:
                plans.append(Message(time_ns, counts))
        states = inputs.get("states", ()) if plans else ()
        return {"scan": scans, "rates": plans, "states": states, "seen": seen}

    def state(self) -> Any:
        """What was seen, and how right the planner was."""
        return copy.deepcopy(self._watch)

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._watch = copy.deepcopy(state)
