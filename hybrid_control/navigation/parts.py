"""The robot's planner and reflex as parts of a co-simulation: guide, planner, spikes and reflex, fed by messages.

Each is the one that the ROS nodes run, with ports in place of topics. All run at the ends of windows, on what came in
the window (`episode.WINDOW_NS`), in the order of its times; at the same time odometry comes before the point on the way
that follows from it, then scan, vertical ranges and image. At 0 no time has passed, and nothing is done. What they draw
follows from the seed of the episode that they are made for, not from their name.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from hybrid_control.cosim import Message, Port, Runs
from hybrid_control.navigation.planner.planner import BlindError
from hybrid_control.navigation.planner.rates import HeldRates
from hybrid_control.navigation.planner.timed import PlannerFault, Plans
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.route import Guide
from hybrid_control.realtime import SteppedLoop
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, SpikeTrain, Twist
from hybrid_control.signals.coding import Encoder

MESSAGES = Port("messages", ())
_RANKS = {kind: rank for rank, kind in enumerate(("odometry", "waypoint", "scan", "vertical", "camera"))}
_time_and_rank = itemgetter(0, 1)


class Command(NamedTuple):
    """What the robot is to do from now on, and the name of the mode that its driver is in."""

    twist: Twist
    mode: str


class View(NamedTuple):
    """What the planner is asked: an image, where the robot believed to be, and where it is to go."""

    image: Any
    odometry: Odometry
    aim: Goal


def in_order(inputs: Mapping[str, Any], run: int) -> list[tuple[int, int, str, Any]]:
    """What came for a run at its ports of messages, by time: (time in ns, rank of the kind, kind, value)."""
    found = [
        (time_ns, _RANKS[kind], kind, value)
        for kind, rows in inputs.items()
        if kind in _RANKS
        for time_ns, value in rows[run]
    ]
    if len(found) > 1:
        found.sort(key=_time_and_rank)
    return found


class GuidePart:
    """Points on the way for reflex and planner, and what the planner is to look at, at its rate.

    guide: the route memory that leads to the goal while the planner lives, where there is one. look_ns: between two
    looks of the planner; fault: what befalls it.
    """

    def __init__(
        self, goal: Goal, guide: Guide | None, look_ns: int = 0, fault: PlannerFault | None = None
    ) -> None:
        self._goal, self._period_ns = goal, look_ns
        self._start = guide, fault or PlannerFault()
        self.inputs = {"scan": MESSAGES, "odometry": MESSAGES, "camera": MESSAGES}
        self.outputs = {"waypoint": MESSAGES, "view": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Nothing is known of the way but the goal, and nothing has befallen the planner."""
        self._guide, self._fault = copy.deepcopy(self._start)
        if self._guide is not None:
            self._guide.put_goal(self._goal)
        self._aim, self._next_ns = self._goal, 0
        self._odometry: Odometry | None = None

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Points and views, with the times of the readings that they follow from."""
        points: list[list[Message]] = [[] for _ in runs.begins]
        views: list[list[Message]] = [[] for _ in runs.begins]
        for i in range(runs.count):
            for time_ns, _, kind, value in in_order(inputs, i):
                if kind == "odometry":
                    self._odometry = value
                    point = self._point(time_ns)
                    if point is not None:
                        self._aim = point
                        points[i].append(Message(time_ns, point))
                elif kind == "scan":
                    if self._guide is not None:
                        self._guide.put_scan(value)
                elif self._odometry is not None and time_ns >= self._next_ns:
                    image = self._look(value, time_ns)
                    if image is not None:
                        views[i].append(Message(time_ns, View(image, self._odometry, self._aim)))
        return {"waypoint": points, "view": views}

    def _point(self, time_ns: int) -> Goal | None:
        if self._guide is None or not self._fault.alive(time_ns):
            return None
        assert self._odometry is not None
        self._guide.put_odometry(self._odometry)
        return self._guide.point(time_ns)

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
        return copy.deepcopy((self._guide, self._fault, self._aim, self._next_ns, self._odometry))

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._guide, self._fault, self._aim, self._next_ns, self._odometry = copy.deepcopy(state)


class PlannerPart:
    """The ANN: a plan for each view. An image that shows nothing gives none."""

    def __init__(self, source: Plans, latency_ns: int) -> None:
        self._source, self._latency_ns = source, latency_ns
        self.inputs, self.outputs = {"view": MESSAGES}, {"rates": MESSAGES}
        self._start = self.state()

    def reset(self, seed: int) -> None:
        """As it was made."""
        self.set_state(self._start)

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rates, stamped with their image's time, and there a latency after it."""
        rows: list[list[Message]] = [[] for _ in runs.begins]
        for i in range(runs.count):
            for time_ns, (image, odometry, aim) in inputs["view"][i]:
                with contextlib.suppress(BlindError):
                    rates = self._source.plan(image, odometry, aim, time_ns)
                    rows[i].append(Message(time_ns + self._latency_ns, rates))
        return {"rates": rows}

    def state(self) -> Any:
        """Of a stand-in that has one."""
        state = getattr(self._source, "state", None)
        return state() if state is not None else None

    def set_state(self, state: Any) -> None:
        """Of a stand-in that has one."""
        if state is not None:
            self._source.set_state(state)  # type: ignore[attr-defined]


class SpikesPart:
    """The encoder: at the end of each window the rates that hold then, as spikes of the window that follows."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.inputs, self.outputs = {"rates": MESSAGES}, {"spikes": MESSAGES}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """No rates, no spikes."""
        self._encoder.reset()
        self._held = HeldRates()

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A window of spikes, while there are rates that hold."""
        rows: list[tuple[Message, ...]] = []
        for i, now in enumerate(runs.begins):
            for _, rates in inputs["rates"][i]:
                self._held.put(rates, rates.stamp_ns)
            held = self._held.at(now)
            if held is None:
                rows.append(())
            else:
                spikes = self._encoder.encode(held.rates, runs.period_ns)
                rows.append((Message(now, SpikeTrain(now, runs.period_ns, PLANNER_POPULATIONS, *spikes)),))
        return {"spikes": rows}

    def state(self) -> Any:
        """Of the encoder, and the rates that hold."""
        return self._encoder.snapshot(), copy.deepcopy(self._held)

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._encoder.restore(state[0])
        self._held = copy.deepcopy(state[1])


class ReflexPart:
    """The SNN: readings, points on the way and spikes in, its ticks up to now, and the command that holds from now on.

    reflex: whose clock reads `now_ns` of this part's `clock`; exchange: called with the time in ns after each tick, to
    move spikes between the reflex and a board.
    """

    def __init__(
        self, reflex: Reflex, clock: Clock, goal: Goal, exchange: Callable[[int], None] | None = None
    ) -> None:
        self._reflex, self._clock, self._goal, self._exchange = reflex, clock, goal, exchange
        self.inputs = dict.fromkeys(("scan", "odometry", "vertical", "waypoint", "spikes"), MESSAGES)
        self.outputs = {"command": MESSAGES}

    def reset(self, seed: int) -> None:
        """As new, gains kept; active, with the goal."""
        self._clock.now_ns = 0
        self._reflex.reset()
        self.loop = SteppedLoop(self._reflex.tick, self._reflex.context, self._reflex.rate)
        self._reflex.activate()
        self._reflex.put_goal(self._goal)

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A command a run."""
        rows: list[tuple[Message, ...]] = []
        for i, now in enumerate(runs.begins):
            self._receive(inputs, i)
            if now == 0:
                rows.append(())
                continue
            self._clock.now_ns = now
            if "spikes" in inputs:
                for _, train in inputs["spikes"][i]:
                    self._reflex.put_planner_spikes(train, now)
            self.tick(now, runs.period_ns)
            command = self._reflex.command()
            rows.append((Message(now, Command(command.twist, command.mode.name)),))
        return {"command": rows}

    def _receive(self, inputs: Mapping[str, Any], run: int) -> None:
        reflex, clock = self._reflex, self._clock
        for time_ns, _, kind, value in in_order(inputs, run):
            clock.now_ns = max(clock.now_ns, time_ns)
            if kind == "scan":
                reflex.put_scan(value, time_ns)
            elif kind == "odometry":
                reflex.put_odometry(value, time_ns)
            elif kind == "waypoint":
                reflex.put_waypoint(value, time_ns)
            else:
                reflex.put_vertical(value, time_ns)

    def tick(self, now: int, window_ns: int) -> None:
        """Run the ticks up to now, with an exchange with the board after each where there is one."""
        if self._exchange is None:
            self.loop.advance(now)
            return
        period = self.loop.period_ns
        for tick_ns in range(now - window_ns + period, now + 1, period):
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
