"""What a planner of contract 2 saw hidden as a part of the robot's hybrid: before all that use scans, and after it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_control.cosim import Message, MessagePart
from hybrid_control.navigation.ground.watch import Watch
from hybrid_control.navigation.parts import MESSAGES, in_order


class HiddenPart(MessagePart):
    """Scans with what the planner saw hidden in them, and its plans, and the states that come with them, as far as it
    is trusted.

    watch: its memory and trust, which begin anew with each episode.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.inputs = dict.fromkeys(("odometry", "scan", "rates", "states"), MESSAGES)
        self.outputs = dict.fromkeys(("scan", "rates", "states"), MESSAGES)
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
                watch.scanned(value)
                place = watch.place
                scans.append(Message(time_ns, value if place is None else watch.laid(value, place.pose)))
        plans = [Message(time_ns, watch.plan(rates)) for time_ns, rates in inputs.get("rates", ())]
        plans = [plan for plan in plans if plan.value is not None]
        states = inputs.get("states", ()) if plans else ()
        return {"scan": scans, "rates": plans, "states": states}

    def state(self) -> Any:
        """What was seen, and how right the planner was."""
        return copy.deepcopy(self._watch)

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._watch = copy.deepcopy(state)
