"""The robot's planner and reflex as parts of a co-simulation: guide, planner, spikes and reflex, fed by messages.

Each is the one that the ROS nodes run, with ports in place of topics. All run at the ends of windows, on what came in
the window (`episode.WINDOW_NS`), in the order of its times; at the same time odometry comes before the point on the way
that follows from it, then scan, vertical ranges, depth and image. At 0 no time has passed, and nothing is done. What
they draw follows from the seed of the episode that they are made for, not from their name.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim import Message, MessagePart, Port
from hybrid_control.navigation.episode import WINDOW_NS
from hybrid_control.navigation.planner import depths
from hybrid_control.navigation.planner.planner import BlindError
from hybrid_control.navigation.planner.rates import HeldRates
from hybrid_control.navigation.planner.states import NewDirection
from hybrid_control.navigation.planner.timed import PlannerFault, Plans
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.inputs import InputRefused
from hybrid_control.navigation.route import Guide
from hybrid_control.navigation.sensors.crossing import Crossing
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import (
    PLANNER_POPULATIONS,
    FreeGround,
    Goal,
    NoWay,
    Odometry,
    RangeScan,
    SpikeTrain,
    Twist,
)
from hybrid_control.signals.coding import Encoder
from hybrid_control.sim.robots.vehicle import EventSensor

MESSAGES = Port("messages", ())
_ORDER = ("odometry", "waypoint", "scan", "vertical", "events", "crossing", "depth", "camera")
_RANKS = {kind: rank for rank, kind in enumerate(_ORDER)}
_time_and_rank = itemgetter(0, 1)


class Command(NamedTuple):
    """What the robot is to do from now on, and the name of the mode that its driver is in."""

    twist: Twist
    mode: str


class Seen(NamedTuple):
    """What a planner saw up to an image of that stamp: the corners of hidden cells, (n, 4, 2) m, and free ground."""

    stamp_ns: int
    cells: NDArray[np.float64]
    free: FreeGround | None


class View(NamedTuple):
    """What the planner is asked: an image, where the robot believed to be, where it is to go, the newest scan, and the
    depth image that belongs to the image, where there is one."""

    image: Any
    odometry: Odometry
    aim: Goal
    scan: RangeScan | None = None
    depth: Any = None


def in_order(inputs: Mapping[str, Sequence[Message]]) -> list[tuple[int, int, str, Any]]:
    """What came for a run, by time: (time in ns, rank of the kind, kind, value); no spikes."""
    found = []
    for kind, messages in inputs.items():
        if messages and kind in _RANKS:
            rank = _RANKS[kind]
            for time_ns, value in messages:
                found.append((time_ns, rank, kind, value))
    if len(found) > 1:
        found.sort(key=_time_and_rank)
    return found


class GuidePart(MessagePart):
    """Points on the way for reflex and planner, and what the planner is to look at, at its rate.

    guide: the route memory that leads to the goal while the planner lives, where there is one. look_ns: between two
    looks of the planner; fault: what befalls it.
    """

    def __init__(
        self, goal: Goal, guide: Guide | None, look_ns: int = 0, fault: PlannerFault | None = None
    ) -> None:
        self._goal, self._period_ns = goal, look_ns
        self._start = guide, fault or PlannerFault()
        self.inputs = dict.fromkeys(("scan", "odometry", "depth", "camera"), MESSAGES)
        self.outputs = {"waypoint": MESSAGES, "view": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Nothing is known of the way but the goal, and nothing has befallen the planner."""
        self._guide, self._fault = copy.deepcopy(self._start)
        if self._guide is not None:
            self._guide.put_goal(self._goal)
        self._aim, self._next_ns = self._goal, 0
        self._odometry: Odometry | None = None
        self._scan: RangeScan | None = None
        self._depth: Message | None = None

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Points and views, with the times of the readings that they follow from."""
        given: dict[str, list[Message]] = {}
        for time_ns, _, kind, value in in_order(inputs):
            if kind == "odometry":
                self._odometry = value
                point = self._point(time_ns)
                if point is not None:
                    if isinstance(point, Goal):
                        self._aim = point
                    given.setdefault("waypoint", []).append(Message(time_ns, point))
            elif kind == "scan":
                self._scan = value
                if self._guide is not None:
                    self._guide.put_scan(value)
            elif kind == "depth":
                self._depth = Message(time_ns, value)
            elif self._odometry is not None and time_ns >= self._next_ns:
                image = self._look(value, time_ns)
                if image is not None:
                    view = View(image, self._odometry, self._aim, self._scan, self._depth_at(time_ns))
                    given.setdefault("view", []).append(Message(time_ns, view))
        return given

    def _point(self, time_ns: int) -> Goal | NoWay | None:
        if self._guide is None or not self._fault.alive(time_ns):
            return None
        assert self._odometry is not None
        self._guide.put_odometry(self._odometry)
        return self._guide.point(time_ns)

    def _depth_at(self, time_ns: int) -> Any:
        """The depth image that belongs to an image; None where there is none so near in time."""
        newest = self._depth
        return newest.value if newest is not None and time_ns - newest.time_ns <= depths.AGE * 1e9 else None

    def _look(self, picture: Any, time_ns: int) -> Any:
        """The image to plan on; None where the planner sees none."""
        fault = self._fault
        image = picture.image if fault.image is None else fault.image(picture, time_ns * 1e-9)
        if image is None or not fault.alive(time_ns):
            return None
        self._next_ns = time_ns + self._period_ns - self._period_ns // 2
        return image

    def state(self) -> Any:
        """What is known, and what has befallen the planner."""
        known = self._guide, self._fault, self._aim, self._next_ns, self._odometry, self._scan, self._depth
        return copy.deepcopy(known)

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._guide, self._fault, self._aim, self._next_ns, self._odometry, self._scan, self._depth = copy.deepcopy(
            state
        )


class PlannerPart(MessagePart):
    """The ANN: a plan for each view. An image that shows nothing gives none.

    states: whether it also gives the initial states of plans in a new direction. What the source takes besides, scans
    and depth images, it gets.
    """

    def __init__(self, source: Plans, latency_ns: int, states: bool = False) -> None:
        self._source, self._latency_ns = source, latency_ns
        self._turned = NewDirection() if states else None
        self.inputs, self.outputs = {"view": MESSAGES}, {"rates": MESSAGES}
        if states:
            self.outputs["states"] = MESSAGES
        self._start = self.state()

    def reset(self, seed: int) -> None:
        """As it was made."""
        self.set_state(self._start)

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Rates, stamped with their image's time, and there a latency after it."""
        given: dict[str, list[Message]] = {}
        turned = self._turned
        more: dict[str, Any] = {"states": True} if turned is not None else {}
        for time_ns, (image, odometry, aim, scan, depth) in inputs["view"]:
            if getattr(self._source, "scans", False):
                more["scan"] = scan
            if getattr(self._source, "depths", False):
                more["depth"] = depth
            with contextlib.suppress(BlindError):
                rates = self._source.plan(image, odometry, aim, time_ns, **more)
                given.setdefault("rates", []).append(Message(time_ns + self._latency_ns, rates))
                states = turned.states(rates, odometry.pose.yaw) if turned is not None else None
                if states is not None:
                    given.setdefault("states", []).append(Message(time_ns + self._latency_ns, states))
        return given

    def state(self) -> Any:
        """Of a stand-in that has one, and the direction whose states were said last."""
        state = getattr(self._source, "state", None)
        turned = self._turned.state() if self._turned is not None else None
        return state() if state is not None else None, turned

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        of_source, turned = state
        if of_source is not None:
            self._source.set_state(of_source)  # type: ignore[attr-defined]
        if self._turned is not None:
            self._turned.set_state(turned)


class SpikesPart(MessagePart):
    """The encoder: at the end of each window the rates that hold then, as spikes of the window that follows."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.inputs, self.outputs = {"rates": MESSAGES}, {"spikes": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """No rates, no spikes."""
        self._encoder.reset()
        self._held = HeldRates()

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """A window of spikes, while there are rates that hold."""
        for _, rates in inputs["rates"]:
            self._held.put(rates, rates.stamp_ns)
        held = self._held.at(now_ns)
        if held is None:
            return {}
        spikes = self._encoder.encode(held.rates, WINDOW_NS)
        train = SpikeTrain(now_ns, WINDOW_NS, PLANNER_POPULATIONS, *spikes)
        return {"spikes": (Message(now_ns, train),)}

    def state(self) -> Any:
        """Of the encoder, and the rates that hold."""
        return self._encoder.snapshot(), copy.deepcopy(self._held)

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._encoder.restore(state[0])
        self._held = copy.deepcopy(state[1])


class EventsPart(MessagePart):
    """What comes into the way, by the event camera's packets: the sectors, a message for each that shows some."""

    def __init__(self, eye: EventSensor) -> None:
        self._eye = eye
        self.inputs, self.outputs = {"events": MESSAGES, "odometry": MESSAGES}, {"crossing": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Nothing was seen."""
        eye = self._eye
        self._crossing = Crossing(eye.width, eye.height, eye.hfov, eye.pitch)
        self._speed = self._turn = 0.0

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Sectors, with the time of their packet."""
        seen: list[Message] = []
        for time_ns, _, kind, value in in_order(inputs):
            if kind == "odometry":
                self._speed, self._turn = value.twist.linear_x, value.twist.angular_z
                continue
            self._crossing.put(value, time_ns, self._speed, self._turn)
            sectors = self._crossing.sectors()
            if sectors.any():
                seen.append(Message(time_ns, sectors))
        return {"crossing": seen}

    def state(self) -> Any:
        """What was seen."""
        return copy.deepcopy((self._crossing, self._speed, self._turn))

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._crossing, self._speed, self._turn = copy.deepcopy(state)


class ReflexPart(MessagePart):
    """The SNN: readings, points on the way and spikes in, its ticks up to now, and the command that holds from now on.

    reflex: whose clock reads `now_ns` of this part's `clock`; exchange: called with the time in ns after each tick, to
    move spikes between the reflex and a board.
    """

    def __init__(
        self, reflex: Reflex, clock: Clock, goal: Goal, exchange: Callable[[int], None] | None = None
    ) -> None:
        self._reflex, self._clock, self._goal, self._exchange = reflex, clock, goal, exchange
        kinds = ("scan", "odometry", "vertical", "crossing", "waypoint", "spikes", "states", "seen")
        self.inputs = dict.fromkeys(kinds, MESSAGES)
        self.outputs = {"command": MESSAGES}

    def reset(self, seed: int) -> None:
        """As new, gains kept; active, with the goal."""
        self._clock.now_ns = 0
        self._reflex.reset()
        self.loop = SteppedLoop(self._reflex.tick, self._reflex.context, self._reflex.rate)
        self._reflex.activate()
        self._reflex.put_goal(self._goal)

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """A command, once time has passed."""
        reflex, clock = self._reflex, self._clock
        for time_ns, _, kind, value in in_order(inputs):
            clock.now_ns = max(clock.now_ns, time_ns)
            if kind == "scan":
                reflex.put_scan(value, time_ns)
            elif kind == "odometry":
                reflex.put_odometry(value, time_ns)
            elif kind == "waypoint":
                reflex.put_waypoint(value, time_ns)
            elif kind == "crossing":
                reflex.put_crossing(value, time_ns, time_ns)
            else:
                reflex.put_vertical(value, time_ns)
        if now_ns == 0:
            return {}
        clock.now_ns = now_ns
        for _, states in inputs.get("states", ()):
            with contextlib.suppress(InputRefused):  # too late, such as those of a planner that lags
                reflex.put_states(states, now_ns)
        for _, seen in inputs.get("seen", ()):
            with contextlib.suppress(InputRefused):
                reflex.put_hidden(seen.cells, seen.stamp_ns, now_ns, seen.free)
        for _, train in inputs.get("spikes", ()):
            reflex.put_planner_spikes(train, now_ns)
        self.tick(now_ns)
        command = reflex.command()
        return {"command": (Message(now_ns, Command(command.twist, command.mode.name)),)}

    def tick(self, now_ns: int) -> None:
        """Run the ticks up to now, with an exchange with the board after each where there is one."""
        if self._exchange is None:
            self.loop.advance(now_ns)
            return
        period = self.loop.period_ns
        for tick_ns in range(now_ns - WINDOW_NS + period, now_ns + 1, period):
            self._clock.now_ns = tick_ns
            self.loop.advance(tick_ns)
            self._exchange(tick_ns)

    def state(self) -> Any:
        """Of the reflex, and the time."""
        return self._clock.now_ns, self._reflex.state(), self.loop.state()

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._clock.now_ns, reflex, loop = state
        self._reflex.set_state(reflex)
        self.loop.set_state(loop)


class Clock:
    """The time of a reflex in lock step."""

    now_ns = 0

    def __call__(self) -> int:
        """In ns."""
        return self.now_ns
