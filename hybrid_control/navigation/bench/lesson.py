"""A lesson on the ground, and what it was good for: `hybrid-control bench ground`.

A robot is driven along a lane on which there are two kinds of ground, and is told for some seconds what lies before it.
Then it drives worlds that it never saw, in which one of the kinds is forbidden, taught and untaught.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.drive import GROUND_RATE, Navigator
from hybrid_control.navigation.episode import Episode
from hybrid_control.navigation.ground.classes import AVOID, GROUND
from hybrid_control.navigation.ground.features import FeatureMap
from hybrid_control.navigation.ground.learner import Aim, GroundLearner
from hybrid_control.navigation.ground.memory import in_odometry
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Patch, World, generate

FORBIDDEN, PERMITTED = "puddle", "mat"
SEEDS = 1000  # from which on the worlds are numbered that are driven
SPEED = 0.5  # m/s, in the lesson
STEP_NS = round(1e9 / GROUND_RATE)


@dataclass(frozen=True)
class Lesson:
    """Simulated seconds in which something was taught, by class, and those of the whole drive."""

    labelled: dict[str, float]
    duration: float


def course(forbidden: str = FORBIDDEN, permitted: str = PERMITTED) -> World:
    """The lane: plain ground, then ground of one kind, then of another."""
    patches = (
        Patch(permitted, 2.5, 0.0, 1.8, 1.4, forbidden=False),
        Patch(forbidden, 5.3, 0.0, 1.8, 1.4, forbidden=False),  # in the lesson it may be driven on
    )
    return World("lesson", Pose(), (9.0, 0.0), (-1.0, -4.0, 11.0, 4.0), patches=patches)


def kinds(world: World, pose: Pose, points: NDArray[np.float64]) -> NDArray[Any]:
    """What the ground truly is at points (n, 2) m in the frame of a robot at a pose."""
    x, y = in_odometry(points, pose).T
    found = np.full(len(points), GROUND, "U32")
    for patch in world.patches:
        c, s, dx, dy = math.cos(patch.yaw), math.sin(patch.yaw), x - patch.x, y - patch.y
        within = (np.abs(c * dx + s * dy) < patch.length / 2) & (np.abs(c * dy - s * dx) < patch.width / 2)
        found[within] = patch.kind
    return found


def told(world: World, pose: Pose, aim: Aim) -> str:
    """What somebody beside the robot says of the ground that it aims at; "" while it is of several kinds."""
    x, y = np.meshgrid(np.linspace(aim.near, aim.far, 5), (-aim.aside, 0.0, aim.aside))
    there = set(kinds(world, pose, np.column_stack([x.ravel(), y.ravel()])).tolist())
    return str(there.pop()) if len(there) == 1 else ""


def camera_of(robot: Vehicle) -> CameraMount:
    """A robot's camera, as it is said to be mounted."""
    return CameraMount.of(robot.camera_settings)


def learner(robot: Vehicle = JACKAL, seed: int = 0) -> GroundLearner:
    """One that knows nothing yet, and would avoid FORBIDDEN."""
    return GroundLearner(
        FeatureMap(contract.DEFAULT_MODEL), camera_of(robot), {FORBIDDEN: AVOID}, seed=seed
    )


def teach(pupil: GroundLearner, world: World, robot: Vehicle = JACKAL, seed: int = 0) -> Lesson:
    """Drive straight along the lane, and tell what lies in its aim."""
    labelled: dict[str, float] = {}
    with Simulator(world, robot, seed) as simulator:
        ends = max(patch.x for patch in world.patches) + 1.4
        now = 0
        while simulator.pose.x < ends:
            now += STEP_NS
            simulator.apply(Twist(0, SPEED, 0.0))
            for _ in simulator.advance(now):
                simulator.apply(Twist(0, SPEED, 0.0))
            label = told(world, simulator.pose, pupil.aim)
            pupil.teach(label)
            pupil.look(simulator.camera(), simulator.odometry().pose)
            if label:
                labelled[label] = labelled.get(label, 0.0) + STEP_NS * 1e-9
    pupil.finish()
    return Lesson(labelled, now * 1e-9)


def drives(
    ground: GroundLearner | None,
    worlds: Sequence[World],
    robot: Vehicle = JACKAL,
    done: Callable[[Episode], object] = lambda episode: None,
) -> list[Episode]:
    """The hybrid in each of the worlds, with what was taught or without."""
    navigator = Navigator(TimedPlanner(Planner(contract.DEFAULT_MODEL)), robot, ground=ground)
    episodes = []
    for seed, world in enumerate(worlds):
        episodes.append(navigator.run(world, seed=seed))
        done(episodes[-1])
    return episodes


def unseen(count: int, forbidden: str = FORBIDDEN, permitted: str = PERMITTED) -> list[World]:
    """Worlds of the same kinds of ground, laid out otherwise."""
    return [
        generate("patches", SEEDS + k, forbidden=forbidden, permitted=permitted) for k in range(count)
    ]
