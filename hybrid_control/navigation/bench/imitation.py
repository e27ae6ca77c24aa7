"""The reflex's weights by surrogate gradients: its ring imitates, where the robot was, the expert that knows the map.

After Ross, Gordon and Bagnell ("A reduction of imitation learning and structured prediction to no-regret online
learning", AISTATS 2011): the places come from episodes that the weights themselves drove. At each of them the network
sees what the reflex feeds it there for LENGTH ms, and the heading whose neuron spikes most in the second half of them
is to be the expert's. Gradients of all synapses become those of the few numbers that shape them (`sides`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.learning.losses import Loss
from hybrid_control.learning.mirror import Mirror
from hybrid_control.navigation.bench.coevolve import Plan, Situation, Step, numbers_of
from hybrid_control.navigation.bench.harness import Harness
from hybrid_control.navigation.bench.map_planner import (
    ERROR,
    expert_wish,
    frame_of,
    planner_rates,
    seen_by_planner,
    way_field,
)
from hybrid_control.navigation.bench.scenes import Scene
from hybrid_control.navigation.bench.sides import basis, shaped
from hybrid_control.navigation.bench.workers import Row
from hybrid_control.navigation.episode import WINDOW_NS
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.context import CHANNELS
from hybrid_control.navigation.reflex.gains import ON_BOARD
from hybrid_control.navigation.reflex.network import GAINED, with_gains
from hybrid_control.navigation.reflex.tick import run_tick
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, Pose, SpikeTrain, Twist
from hybrid_control.signals.coding import encoder
from hybrid_control.signals.headings import HEADINGS
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.snn.options import Options

LENGTH = 120  # ms, ticks: half of it for the ring to settle
TICK_NS = 1_000_000
WINDOW = 20  # ticks through which gradients are followed back: through more of the ring's own excitation they explode
AHEAD = 3.0  # m to the point on the way that stands in for the goal while there is a planner
BATCH, STEPS, RATE = 16, 8, 0.01  # situations in a step, steps in a generation, Adam's rate
MEANS, LITTLE = (0.9, 0.999), 1e-8  # Adam's
HAIR = 1e-3  # what is a synapse at all is asked of the network this far beside the hand-built one
CURRENTS = ("approach_current", "far_current", "goal_current", "mid_current", "near_current")


class Lesson(NamedTuple):
    """What the network sees at a place: currents that stand (5, 72), spikes (LENGTH, 80); and the heading's number."""

    currents: NDArray[np.float32]
    spikes: NDArray[np.uint8]
    heading: int


def lesson(reflex: Reflex, robot: Vehicle, scene: Scene, situation: Situation, seed: int) -> Lesson | None:
    """What a reflex feeds its network in a situation, and the expert's heading there; None where it knows no way.

    reflex: its clock does not matter. The robot stands there at time 0 of the world.
    """
    world, place = scene.world, situation[2:]
    field = way_field(world)
    frame = frame_of(field)
    frame[3:] = world.goal
    if not field.passable(*place[:2]):
        return None
    obstacles = np.array(world.cylinders), np.array(seen_by_planner(world).boxes)
    heading, speed = expert_wish(field.field, field.free, frame, *obstacles, *place)
    simulator = KinematicSimulator(world, robot, seed)
    simulator.plane.state[:3] = place
    goal = Goal(0, *world.goal)
    if situation.planner:
        reach = min(AHEAD, simulator.goal_distance())
        yaw = heading + situation.yaw
        goal = Goal(0, situation.x + reach * math.cos(yaw), situation.y + reach * math.sin(yaw))
    reflex.reset()
    reflex.activate()
    reflex.put_goal(goal)
    reflex.put_odometry(Odometry(0, Pose(*place), Twist(0)), 0)
    reflex.put_scan(simulator.scan(), 0)
    spiking = encoder("poisson", CHANNELS, seed=seed)
    rates = planner_rates(heading + float(np.random.default_rng(seed).normal(0.0, ERROR)), speed)
    spikes = np.zeros((LENGTH, CHANNELS), np.uint8)
    for tick in range(LENGTH):
        now = tick * TICK_NS
        if situation.planner and now % WINDOW_NS == 0:
            train = SpikeTrain(now, WINDOW_NS, PLANNER_POPULATIONS, *spiking.encode(rates, WINDOW_NS))
            reflex.put_planner_spikes(train, now)
        run_tick(reflex.context[0], now)
        spikes[tick] = reflex.engine.input("planner")
    off = np.abs(np.angle(np.exp(1j * (HEADINGS - heading))))
    return Lesson(np.array([reflex.engine.input(name) for name in CURRENTS]), spikes, int(off.argmin()))


class Pupil:
    """The numbers of the weights while they are trained, by Adam, on lessons."""

    def __init__(self, names: Sequence[str], limits: FloatArray, gains: Mapping[str, float]) -> None:
        """names: of numbers; limits: (numbers, 2), the least and the greatest; gains: that the network has."""
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        gain = {projection: gains[name] for name, projection in GAINED.items()}
        beside = with_gains(shaped(dict.fromkeys(names, HAIR)), gains).to_nir()
        plain = with_gains(shaped({}), gains).nodes
        self._added = [{p: gain.get(p, 1.0) * b for p, b in basis()[name].items()} for name in names]
        trained = {projection for added in self._added for projection in added}
        self._plain = {projection: np.asarray(plain[projection].weight) for projection in trained}
        self._mirror = Mirror(beside, Options(), frozen=sorted(set(beside.nodes) - trained))
        self.x, self._limits, self._steps = np.zeros(len(names)), limits, 0
        self._mean, self._square = np.zeros(len(names)), np.zeros(len(names))

    def loss(self, lessons: Sequence[Lesson]) -> torch.Tensor:
        """The loss with the numbers as they are."""
        leaves = self._mirror.numbers.leaves
        for projection, weight in self._plain.items():
            added = sum(
                x * b[projection] for x, b in zip(self.x, self._added, strict=True) if projection in b
            )
            leaves[projection, "weight"].data = torch.from_numpy((weight + added).astype(np.float32))
        count = len(lessons)
        currents = torch.from_numpy(np.stack([one.currents for one in lessons]))
        inputs = {name: currents[:, k, None].expand(count, LENGTH, -1) for k, name in enumerate(CURRENTS)}
        inputs["planner"] = torch.from_numpy(np.stack([one.spikes for one in lessons]))
        inputs["arousal"], inputs["stuck_current"] = (
            torch.ones(count, LENGTH, 1),
            torch.zeros(count, LENGTH, 1),
        )
        state, rings = self._mirror.start(count), []
        for begin in range(0, LENGTH, WINDOW):
            some = {name: values[:, begin : begin + WINDOW] for name, values in inputs.items()}
            (ring,), state = self._mirror(some, state.detached(), [("ring_out", "output")])
            rings.append(ring)
        wanted = torch.tensor([one.heading for one in lessons])
        return Loss("cross_entropy")(torch.cat(rings, 1)[:, LENGTH // 2 :], wanted, 1e-3)

    def step(self, lessons: Sequence[Lesson]) -> float:
        """A step of Adam; returns the loss before it."""
        loss = self.loss(lessons)
        self._mirror.zero_grad()
        torch.autograd.backward(loss)
        gradient = np.zeros(len(self.x))
        for k, added in enumerate(self._added):
            for projection, b in added.items():
                found = self._mirror.numbers.leaves[projection, "weight"].grad
                gradient[k] += 0.0 if found is None else float((found.numpy() * b).sum())
        self._steps += 1
        first, second = MEANS
        self._mean = first * self._mean + (1.0 - first) * gradient
        self._square = second * self._square + (1.0 - second) * gradient**2
        mean, square = self._mean / (1.0 - first**self._steps), self._square / (1.0 - second**self._steps)
        self.x = np.clip(self.x - RATE * mean / (np.sqrt(square) + LITTLE), *self._limits.T)
        return float(loss.detach())


def imitation(plan: Plan, scenes: Sequence[Scene]) -> Step:
    """Generations in which the weights drive, and learn from where that led."""
    numbers = numbers_of("weights", plan.setup)
    reflex = Reflex(Harness(plan.setup).robot.reflex_settings, plan.setup.gains, clock=lambda: 0)
    robot = Harness(plan.setup).robot
    gains = {name: float(reflex.gains[name]) for name in ON_BOARD}
    pupil = Pupil([n.name for n in numbers], np.array([(n.low, n.high) for n in numbers]), gains)
    lessons: list[Lesson] = []

    def step(generation: int, tried: Callable[[int, Mapping[str, float]], Row]) -> dict[str, float]:
        now = {n.name: float(v) for n, v in zip(numbers, pupil.x, strict=True)}
        for k in range(plan.population):
            for place in tried(k, now)["situations"]:
                seed = plan.setup.seed + len(lessons)
                new = lesson(reflex, robot, scenes[place[0]], Situation(*place), seed)
                lessons.extend([new] if new is not None else [])
        rng = np.random.default_rng([plan.setup.seed, generation])
        for _ in range(STEPS if lessons else 0):
            pupil.step([lessons[k] for k in rng.integers(0, len(lessons), BATCH)])
        return {n.name: float(v) for n, v in zip(numbers, pupil.x, strict=True)}

    return step
