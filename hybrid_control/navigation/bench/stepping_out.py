"""`hybrid-control bench stepping-out`: how much earlier a robot with an event camera brakes for somebody who steps out.

The same drives with and without an event camera, which tells of it between scans: past a gap in a wall, out of which
somebody steps when the robot's nose is 1 m before it; past the same gap with nobody in it; and through `default` worlds
in which nothing moves. A plan straight to the goal takes the planner's place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.map_planner import planner_rates
from hybrid_control.navigation.drive import Navigator, robot_hybrid
from hybrid_control.navigation.episode import WINDOW_NS, Rules
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, Pose, RateVector
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import EventSensor
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Mover, World, generate

FIRST = 100  # seed by default; the thresholds of `sensors.crossing` were chosen on others
SCAN_RATE = 20.0  # Hz
AHEAD = 1.0  # m before the robot's nose at which somebody steps out
BRAKED = 0.1  # m/s by which the command must fall
STANDS = 0.05  # m/s
WINDOW = WINDOW_NS * 1e-9
BEFORE, SINCE = (
    0.4,
    0.6,
)  # s before and after stepping out that are looked at: who comes is seen through the gap


def gap_in_a_wall(seed: int, steps_out: float | None) -> tuple[World, float]:
    """A wall beside the way to the goal with a gap in it, and x in m of its middle.

    steps_out: s at which somebody's edge comes out of it; None for nobody.
    """
    rng = np.random.default_rng([seed, 41])
    x, side = 2.3 + rng.uniform(0.0, 0.5), rng.choice((-1.0, 1.0))
    speed, radius, face = rng.uniform(1.0, 1.8), rng.uniform(0.15, 0.25), rng.uniform(0.65, 0.8)
    half, thickness = radius + 0.12, 0.3
    walls = [
        (0.5 * (a + b), side * (face + thickness / 2), b - a, thickness, 0.0)
        for a, b in ((0.6, x - half), (x + half, x + 2.5))
    ]
    back = (x, side * (face + 1.6), 3.0, 0.1, 0.0)
    clutter = [(x + 1.6, -side * 1.3), (x + 3.0, -side * 0.9), (1.0, -side * 1.2)]
    boxes = np.array([*walls, back, *((u, v, 0.3, 0.3, 0.3) for u, v in clutter)])
    movers: tuple[Mover, ...] = ()
    if steps_out is not None:
        a, b = (x, side * (face + 1.2)), (x, -side * 3.0)
        begins = steps_out - (1.2 - radius) / speed
        movers = (Mover(radius, a, b, speed, (-begins * speed / (2.0 * math.dist(a, b))) % 1.0),)
    return World("gap", Pose(), (8.0, 0.0), (-3.0, -4.0, 10.0, 4.0), boxes=boxes, movers=movers), x


class _Straight:
    """Plans straight to the goal at full speed, whatever the image shows."""

    max_rate = 100.0

    def plan(
        self, image: Any, odometry: Odometry, goal: Goal, stamp_ns: int, *, states: bool = False
    ) -> RateVector:
        """Rates of heading and speed."""
        pose = odometry.pose
        bearing = math.atan2(goal.y - pose.y, goal.x - pose.x) - pose.yaw
        return RateVector(stamp_ns, planner_rates(bearing, 1.0), PLANNER_POPULATIONS)


class Drive(NamedTuple):
    """Speeds commanded and x, (n,) m/s and m at each end of a window, how often an obstacle was touched, and in how
    many windows what events told of counted."""

    speeds: FloatArray
    x: FloatArray
    contacts: int
    told: int

    def reaches(self, x: float) -> float:
        """s at which the robot's nose is there."""
        return float(np.argmax(self.x + JACKAL.length / 2 >= x) + 1) * WINDOW

    def brakes(self, since: float) -> float:
        """s after `since` at which the command has fallen by BRAKED, negative for before; NaN where it does not within
        SINCE."""
        before, at, last = (round(t / WINDOW) for t in (since - BEFORE, since, since + SINCE))
        fallen = np.flatnonzero(self.speeds[before:last] < self.speeds[:at].max() - BRAKED)
        return float(fallen[0] + before - at) * WINDOW if fallen.size else math.nan

    @property
    def stops(self) -> int:
        """How often the robot was told to stand or back off after it had been driving."""
        stands = self.speeds < STANDS
        return int((stands[1:] & ~stands[:-1]).sum())


def drive(world: World, seed: int, seconds: float, eye: EventSensor | None) -> Drive:
    """Drive a world for so long, with or without an event camera."""
    robot = replace(JACKAL, lidar_rate=SCAN_RATE, event_camera=eye)
    driver = Navigator(TimedPlanner(_Straight()), robot, memory=False)
    rows = []
    with Simulator(world, robot, seed) as simulator:
        hybrid, judge = robot_hybrid(driver, simulator, robot, Rules(duration=seconds), seed)
        scheduler = hybrid.scheduler()
        for now in range(WINDOW_NS, hybrid.until_ns + 1, WINDOW_NS):
            scheduler.advance(now + 1)
            crossed = int(driver.reflex.context["crossed"][0])
            rows.append((driver.reflex.command().twist.linear_x, simulator.pose.x, crossed))
            if judge.over:
                break
        speeds, x, told = np.array(rows).T
        return Drive(speeds, x, len(simulator.contact_events), int(told.sum()))


class Pair(NamedTuple):
    """The same with an event camera and without: s after somebody stepped out until the robot brakes, NaN where it does
    not within SINCE, and contacts."""

    brakes: tuple[float, float]
    contacts: tuple[int, int]

    @property
    def gain(self) -> float:
        """s by which it brakes earlier with one, at least: who does not within SINCE may after it."""
        early, late = (SINCE if math.isnan(t) else t for t in self.brakes)
        return late - early


def stepping_out(seed: int) -> Pair:
    """Drive past the gap: with nobody, to know when the robot is 1 m before it, then with somebody."""
    nobody, x = gap_in_a_wall(seed, None)
    at = drive(nobody, seed, 4.0, None).reaches(x - AHEAD)
    somebody, _ = gap_in_a_wall(seed, at)
    early, late = (drive(somebody, seed, at + 1.5, eye) for eye in (EventSensor(), None))
    return Pair((early.brakes(at), late.brakes(at)), (early.contacts, late.contacts))


def report(seeds: Sequence[int], say: Callable[[str], None]) -> None:
    """Drive all, and say what came of each and of all."""
    pairs = []
    for seed in seeds:
        pairs.append(pair := stepping_out(seed))
        (early, late), (touched, touched_without) = pair
        say(f"{seed}: brakes after {early:.2f} s with, {late:.2f} s without; contacts {touched}, {touched_without}")
    ms = 1e3 * np.array([pair.gain for pair in pairs])
    never = np.isnan([pair.brakes for pair in pairs]).sum(0)
    contacts = np.sum([pair.contacts for pair in pairs], 0)
    say(
        f"brakes {ms.mean():.0f} ms earlier in the mean (median {np.median(ms):.0f}, {ms.min():.0f} .. {ms.max():.0f})"
    )
    say(f"of {len(ms)} not within {SINCE} s: {never[0]} with, {never[1]} without")
    say(f"contacts: {contacts[0]} with, {contacts[1]} without")
    for name, seconds in (("gap", 4.0), ("default", 8.0)):
        stops, told = np.zeros(2, int), 0
        for seed in seeds:
            world = gap_in_a_wall(seed, None)[0] if name == "gap" else generate("default", seed)
            drives = [drive(world, seed, seconds, eye) for eye in (EventSensor(), None)]
            stops += [d.stops for d in drives]
            told += drives[0].told
        say(f"{name}, nothing moves: {stops[0]} stops with, {stops[1]} without; windows with something told: {told}")
