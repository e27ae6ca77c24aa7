"""The simulated robot as a part of a co-simulation, and who judges what it does."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hybrid_control.cosim import Message, MessagePart, Port
from hybrid_control.geometry.outline import Outline
from hybrid_control.geometry.shapes import clearance
from hybrid_control.navigation.episode import NOTE_WAY, Episode, Rules, Sight, Simulator
from hybrid_control.navigation.parts import MESSAGES
from hybrid_control.navigation.planner.timed import Picture
from hybrid_control.navigation.stops import FalseStops
from hybrid_control.signals import Odometry

SENSORS = ("scan", "odometry", "vertical", "events", "depth", "camera")


class Truth(NamedTuple):
    """Where the robot is and how it moves, how often it has touched something, and where each mover is, as `Sight` has
    it."""

    odometry: Odometry
    contacts: int
    movers: tuple[tuple[float, ...], ...]


class SimulatorPart(MessagePart):
    """A simulated robot: its run at t lets time pass up to t under the newest command, and gives what its sensors read
    since the run before, each at its own time, and the truth at t."""

    one_thread = True  # its camera draws with OpenGL

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.inputs = {"command": MESSAGES}
        self.outputs = dict.fromkeys((*SENSORS, "truth"), MESSAGES)

    def reset(self, seed: int) -> None:
        """Back to time 0. Its noise is drawn by the seed that the simulator was made with."""
        if self.simulator.time_ns:
            self.simulator.reset()

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """Time passes up to now."""
        simulator = self.simulator
        for _, command in inputs["command"]:
            simulator.apply(command.twist)
        given: dict[str, list[Message]] = {}
        for kind, time_ns, value in simulator.advance(now_ns):
            if kind in self.outputs:
                seen = Picture(value, simulator.pose) if kind == "camera" else value
                given.setdefault(kind, []).append(Message(time_ns, seen))
        movers = tuple(map(tuple, simulator.movers.tolist()))
        truth = Truth(simulator.truth(), len(simulator.contact_events), movers)
        given["truth"] = [Message(now_ns, truth)]
        return given

    def state(self) -> Any:
        """Of the simulator."""
        return self.simulator.state()

    def set_state(self, state: Any) -> None:
        """Of the simulator."""
        self.simulator.set_state(state)


class Judge(MessagePart):
    """Looks at every command and at the truth at its time, and says when an episode is `over`, and how it went."""

    def __init__(self, simulator: Simulator, rules: Rules, outline: Outline) -> None:
        self._simulator, self._rules, self._outline = simulator, rules, outline
        self.inputs = {"command": MESSAGES, "truth": MESSAGES}
        self.outputs: dict[str, Port] = {}
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Nothing was seen."""
        self.over = self._reached = self._touched = False
        self._windows = 0
        self._modes: dict[str, int] = {}
        self._way: list[tuple[float, float, float]] = []
        self._sights: list[Sight] = []
        self._stops = FalseStops(self._simulator.world, self._outline)

    def step(self, now_ns: int, inputs: Mapping[str, Sequence[Message]]) -> Mapping[str, Sequence[Message]]:
        """A look; nothing counts before the first command, nor after the end."""
        commands = inputs["command"]
        if commands and not self.over:
            self._look(now_ns, commands[-1].value.mode, inputs["truth"][-1].value)
        return {}

    def _look(self, now_ns: int, mode: str, truth: Truth) -> None:
        rules, world = self._rules, self._simulator.world
        pose, twist = truth.odometry.pose, truth.odometry.twist
        self._modes[mode] = self._modes.get(mode, 0) + 1
        if self._windows % NOTE_WAY == 0:
            self._way.append((pose.x, pose.y, pose.yaw))
        place, movers = (pose.x, pose.y, pose.yaw), np.array(truth.movers)
        self._stops.look(now_ns * 1e-9, place, math.hypot(twist.linear_x, twist.linear_y), twist.angular_z, movers)
        if world.movers:
            self._sights.append(Sight(now_ns * 1e-9, place, twist.linear_x, twist.angular_z, movers))
        self._windows += 1
        if rules.centre_contact is not None:
            self._touched = clearance(pose.x, pose.y, world.cylinders, world.boxes) < rules.centre_contact
        self._reached = math.dist((pose.x, pose.y), world.goal) < rules.goal_radius
        self.over = self._reached or self._touched or truth.contacts > 0

    def episode(self) -> Episode:
        """How it went up to now."""
        simulator, contacts = self._simulator, self._simulator.contact_events
        return Episode(
            reached=self._reached,
            contacts=max(len(contacts), int(self._touched)),
            time=simulator.time_ns * 1e-9,
            path=simulator.path_length,
            least_distance=simulator.closest_approach,
            modes={name: n / self._windows for name, n in self._modes.items()},
            way=np.array(self._way),
            standing_contacts=sum(c.standing for c in contacts),
            sights=tuple(self._sights),
            false_stops=self._stops.count,
        )

    def state(self) -> Any:
        """What was seen."""
        seen = list(self._way), list(self._sights), copy.deepcopy(self._stops)
        return self.over, self._reached, self._touched, self._windows, dict(self._modes), *seen

    def set_state(self, state: Any) -> None:
        """What was seen."""
        self.over, self._reached, self._touched, self._windows, modes, way, sights, stops = state
        self._modes, self._way, self._sights = dict(modes), list(way), list(sights)
        self._stops = copy.deepcopy(stops)
