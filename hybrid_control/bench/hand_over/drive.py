"""A robot that drives among obstacles with an event camera: what the camera says, how the robot moves, and how soon it
would be at what is straight ahead.

World, looks and commands are drawn by seed; the commands change as hard as the robot follows, within a sequence too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.hand_over.sequences import SIZE, STEP, Sequence, rows
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import EventSensor
from hybrid_control.sim.score import outline_gap
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.generators import generate

Array = NDArray[Any]

KINDS = ("default", "corridor", "forest", "field", "rooms", "arena")
STARTS = 5  # sequences of a world
FRAME = 5  # steps of a frame: at TURNS an edge goes on by 0.5 px in the middle and by 1 px at the rim
EYE = EventSensor(width=SIZE, height=SIZE, rate=1.0 / (FRAME * STEP))
ROBOT = replace(JACKAL, event_camera=EYE)
BEFORE = 400  # steps that it drives before the camera looks
AHEAD = np.radians(np.arange(-3.0, 4.0))  # rad, where something is straight ahead
REACH = 4.0  # m from the camera, beyond which nothing is near
PATH = np.radians(np.arange(-60.0, 61.0, 6.0))  # rad, in which it looks whether it has to brake
BESIDE, KEEPS = 0.28, 0.15  # m to either side that it needs, and that it stays off
CHANGES = (0.06, 0.25)  # s for which a command holds
SLOWEST, TURNS = 0.3, 3.0  # m/s and rad/s, of commands: the slowest that is no stop, the fastest turn
APART = 0.1  # m of a start from everything
GROUND = "checker"  # a ground without a pattern tells no speed


def approach(world: World, pose: Pose, speed: float) -> float:
    """1/s: forward speed (m/s) by the distance from the camera to the nearest thing straight ahead; 0 for none near."""
    distance = float(_from_camera(world, pose, AHEAD).min())
    return speed / distance if 0.0 < distance <= REACH else 0.0


def _from_camera(world: World, pose: Pose, angles: Array) -> Array:
    """m to what is met in these directions from straight ahead, inf for nothing within REACH."""
    x, y = pose.x + EYE.x * math.cos(pose.yaw), pose.y + EYE.x * math.sin(pose.yaw)
    return world.ranges(x, y, pose.yaw + angles, REACH)


@dataclass
class Driver:
    """Commands at random: speeds and turns, brakings and stops; slower only where it would run into something."""

    draw: np.random.Generator
    left: int = 0  # steps for which the command still holds
    speed: float = 0.0
    turn: float = 0.0
    safe: float = 0.0

    def command(self, world: World, pose: Pose) -> Twist:
        """What it wants in the next step."""
        if self.left == 0:
            draw = self.draw
            self.left = round(draw.uniform(*CHANGES) / STEP)
            kind = draw.random()
            self.speed = 0.0 if kind < 0.25 else draw.uniform(SLOWEST, ROBOT.max_speed)
            self.turn = 0.0 if kind < 0.12 or draw.random() < 0.2 else draw.uniform(-TURNS, TURNS)
        if self.left % FRAME == 0:
            self.safe = self._safe(world, pose)
        self.left -= 1
        return Twist(0, linear_x=min(self.speed, self.safe), angular_z=self.turn)

    def _safe(self, world: World, pose: Pose) -> float:
        """m/s from which it comes to a stand before what lies in its way."""
        ranges = np.minimum(_from_camera(world, pose, PATH), REACH)
        in_way = np.abs(ranges * np.sin(PATH)) < BESIDE
        room = float((ranges * np.cos(PATH))[in_way].min(initial=REACH)) - KEEPS
        return math.sqrt(2.0 * ROBOT.deceleration * max(room, 0.0))


def _truth(simulator: Simulator) -> tuple[float, float, float]:
    now = simulator.truth()
    speed = now.twist.linear_x
    return speed, now.twist.angular_z, approach(simulator.world, now.pose, speed)


def drive(simulator: Simulator, start: Pose, steps: int, draw: np.random.Generator) -> Sequence | None:
    """A sequence from a start on; None where the robot touched something. truth: m/s, rad/s, 1/s (`approach`)."""
    simulator.reset(start)
    driver = Driver(draw)
    truth, said = np.empty((steps, 3), np.float32), [np.empty((0, 4), np.uint16)]
    for step in range(-BEFORE, steps):
        if step == 0:
            simulator.events()
            begin = simulator.time_ns
        simulator.apply(driver.command(simulator.world, simulator.pose))
        simulator.step(STEP)
        if simulator.contacts:
            return None
        if step >= 0:
            truth[step] = _truth(simulator)
            if (step + 1) % FRAME == 0 or step + 1 == steps:
                events = simulator.events()
                said.append(rows(events, (events["t"] - begin - 1) // round(STEP * 1e9)))
    return Sequence(truth, np.concatenate(said))


def start(world: World, draw: np.random.Generator) -> Pose:
    """Somewhere in a world where the robot stands free, with something before it."""
    xmin, ymin, xmax, ymax = world.bounds
    while True:
        pose = Pose(draw.uniform(xmin, xmax), draw.uniform(ymin, ymax), draw.uniform(-math.pi, math.pi))
        if approach(world, pose, 1.0) > 0.0 and outline_gap(world, ROBOT, pose) > APART:
            return pose


def sequences(worlds: range, steps: int) -> Iterator[Sequence]:
    """STARTS of each world, by the worlds' seeds."""
    for seed in worlds:
        world, draw = generate(KINDS[seed % len(KINDS)], seed), np.random.default_rng([seed, 21])
        looks = Appearance(seed, vary=True, ground=GROUND)
        with Simulator(world, ROBOT, seed, camera=False, timestep=STEP, appearance=looks) as simulator:
            made = 0
            while made < STARTS:
                sequence = drive(simulator, start(world, draw), steps, draw)
                if sequence is not None:
                    made += 1
                    yield sequence
