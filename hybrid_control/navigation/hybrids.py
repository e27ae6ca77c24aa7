"""Hybrid files with the robot's own parts: `navigation: world`, `guide`, `planner`, `spikes` and `reflex`.

They are those of `drive`, and messages pass between them; what they draw follows from the hybrid's seed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from hybrid_control import cosim
from hybrid_control.cosim.makers import MAKERS, Described, Kinds, scene
from hybrid_control.cosim.part import Part
from hybrid_control.navigation.parts import Clock, GuidePart, PlannerPart, ReflexPart, SpikesPart
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.rates import LATENCY, PLANNER_RATE
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.context import CHANNELS
from hybrid_control.navigation.reflex.gains import SETTINGS
from hybrid_control.navigation.route import guide_of
from hybrid_control.navigation.world import SimulatorPart
from hybrid_control.parameters import Value, check_all
from hybrid_control.signals import Goal
from hybrid_control.signals.coding import encoder
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Simulator


class SeededWorld(SimulatorPart):
    """The simulated robot, whose noise is drawn by the seed of the simulation."""

    simulator: Simulator

    def reset(self, seed: int) -> None:
        """Back to time 0."""
        self.simulator.seed = seed
        self.simulator.reset()


class SeededSpikes(SpikesPart):
    """The Poisson encoder, which draws by the seed of the simulation."""

    def reset(self, seed: int) -> None:
        """No rates, no spikes."""
        super().reset(seed)
        self._encoder.restore(encoder("poisson", CHANNELS, seed=seed).snapshot())


def _world(d: Described) -> Part:
    return SeededWorld(Simulator(*scene(d), camera="camera" in d.ports))


def _guide(d: Described) -> Part:
    settings = check_all(SETTINGS, _over(_robot(d).reflex_settings, d, "settings"))
    rate = d.take("rate", PLANNER_RATE)
    if not isinstance(rate, (int, float)) or not 0.0 < rate <= 1000.0:
        raise ValueError(f"rate: {rate!r} must be in 0 .. 1000 Hz, how often the planner looks")
    return GuidePart(_goal(d), guide_of(settings), round(1e9 / rate))


def _planner(d: Described) -> Part:
    file = d.take("model")
    planner = Planner(contract.DEFAULT_MODEL if file is None else d.folder / str(file))
    return PlannerPart(planner, round(LATENCY * 1e9))


def _spikes(d: Described) -> Part:
    return SeededSpikes(encoder("poisson", CHANNELS))


def _reflex(d: Described) -> Part:
    robot, clock = _robot(d), Clock()
    settings, gains = _over(robot.reflex_settings, d, "settings"), _over(robot.reflex_gains, d, "gains")
    return ReflexPart(Reflex(settings, gains, clock=clock), clock, _goal(d))


def _robot(d: Described) -> Vehicle:
    return vehicle(str(d.take("robot", "jackal")))


def _over(own: Mapping[str, Value], d: Described, name: str) -> dict[str, Value]:
    """The robot's own values for its reflex, with those of an option over them."""
    given = d.take(name, {})
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: {given!r}; expected values by name")
    return {**own, **given}


def _goal(d: Described) -> Goal:
    """[x, y] in m, from where the odometry begins."""
    goal = d.take("goal")
    if not isinstance(goal, list) or len(goal) != 2 or not all(isinstance(n, (int, float)) for n in goal):
        raise ValueError(f"goal: {goal!r}; expected [x, y] in m, in the frame of the odometry")
    if not all(map(math.isfinite, goal)):
        raise ValueError(f"goal: {goal} must be finite")
    return Goal(0, *map(float, goal))


_PARTS: dict[str, Callable[[Described], Part]] = {
    "world": _world, "guide": _guide, "planner": _planner, "spikes": _spikes, "reflex": _reflex,
}  # fmt: skip


def _navigation(d: Described) -> Any:
    if d.value not in _PARTS:
        raise ValueError(f"navigation: {d.value!r}; there are {', '.join(_PARTS)}")
    return _PARTS[d.value](d)


KINDS: Kinds = {**MAKERS, "navigation": _navigation}


def load(path: str | os.PathLike[str]) -> cosim.Hybrid:
    """As `cosim.load`, of files that may have parts of the robot's too."""
    return cosim.load(path, KINDS)
