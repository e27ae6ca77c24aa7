"""What stands in for a planner of contract 2: it knows where the map is closed, as far as its camera looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.bench.map_planner import MapPlanner
from hybrid_control.navigation.planner.closed import HIDDEN, STANDING, UNSEEN, ClosedDirections
from hybrid_control.navigation.planner.states import Plan
from hybrid_control.signals import Goal, Odometry, Pose
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.sim.worlds import World

SURE = 0.9  # confidence in what closes a direction, by the map
SIGHT = 4.0  # m from the camera's foot, up to which it says so


def closed_by_map(world: World, mount: CameraMount, pose: Pose, stamp_ns: int = 0) -> ClosedDirections:
    """What a camera at a pose of the world's frame would see closed: what stands, and what is known of the map besides
    (`World.as_known`), which no scan shows."""
    known, rows = world.as_known(), np.zeros((4, SECTORS))
    hidden = known.cylinders[len(world.cylinders) :], known.boxes[len(world.boxes) :]
    x, y = pose.x + mount.x * np.cos(pose.yaw), pose.y + mount.x * np.sin(pose.yaw)
    kinds = (world.cylinders, world.boxes), hidden
    away = [cast_rays(x, y, pose.yaw + HEADINGS, SIGHT, *what) for what in kinds]
    first = np.argmin(away, axis=0)
    for kind, there in enumerate(away):
        rows[2 * kind + 1] = np.minimum(there, SIGHT)
        rows[2 * kind] = np.where((first == kind) & np.isfinite(there), SURE, (1.0 - SURE) / 4)
    aside = np.abs(HEADINGS) > mount.hfov / 2
    for kind in (STANDING, HIDDEN):
        rows[kind, aside] = UNSEEN
    return ClosedDirections(stamp_ns, rows.astype(np.float32))


class ClosingPlanner(MapPlanner):
    """Drives to the goal or to the points on the way that it is given, with no thought of what a scan does not show,
    and says which directions are closed. Its images are true poses."""

    closes = True

    def __init__(self, world: World, seed: int, mount: CameraMount) -> None:
        super().__init__(replace(world, patches=()), seed, led=True)
        self._world, self._mount = world, mount

    def plan(
        self, image: Pose, odometry: Odometry, goal: Goal, stamp_ns: int, *, states: bool = False
    ) -> Plan:
        """Rates as `MapPlanner`'s, and what is closed."""
        rates = super().plan(image, odometry, goal, stamp_ns, states=states)
        begin = rates.states if isinstance(rates, Plan) else None
        closed = closed_by_map(self._world, self._mount, image, stamp_ns)
        return Plan(stamp_ns, rates.rates, rates.populations, begin, closed)
