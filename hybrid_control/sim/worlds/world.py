"""What a world is: upright cylinders and boxes on level ground, a start pose, a goal and bounds, in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from hybrid_control.geometry.shapes import FloatArray, cast_rays, clearance, footprint_distance
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds.movers import Mover
from hybrid_control.sim.worlds.patch import Patch
from hybrid_control.sim.worlds.thing import Thing

WALL = 0.02  # m, thickness of a polygon's edges


def _rows(values: ArrayLike, columns: int, name: str) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.size == 0:
        array = array.reshape(0, columns)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"world: {name} of shape {array.shape}, expected (n, {columns})")
    if not np.isfinite(array).all():
        raise ValueError(f"world: {name} must be finite")
    array.flags.writeable = False
    return array


def _rectangles(parts: Sequence[Patch | Thing]) -> FloatArray:
    """Where patches or things lie, (n, 5) as boxes."""
    return np.array([part.rectangle for part in parts], dtype=np.float64).reshape(-1, 5)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Obstacles, start and goal.

    goal: (x, y) m; bounds: (xmin, ymin, xmax, ymax) m, what a map or a picture has to show (it is no wall);
    cylinders: (n, 3) x, y, radius; boxes: (n, 5) x, y, length, width, yaw; movers: obstacles that move; patches:
    pieces of ground that look unlike the rest; things: what a planar lidar does not show, or not as it is. ValueError
    where a shape is wrong, a size is not positive, or start or goal lie in an obstacle, on forbidden ground, on a thing
    or out of bounds.
    """

    name: str
    start: Pose
    goal: tuple[float, float]
    bounds: tuple[float, float, float, float]
    cylinders: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    boxes: FloatArray = field(default_factory=lambda: np.empty((0, 5)))
    movers: tuple[Mover, ...] = ()
    patches: tuple[Patch, ...] = ()
    things: tuple[Thing, ...] = ()

    def __post_init__(self) -> None:
        cylinders = _rows(self.cylinders, 3, "cylinders")
        boxes = _rows(self.boxes, 5, "boxes")
        if (cylinders[:, 2] <= 0).any() or (boxes[:, 2:4] <= 0).any():
            raise ValueError("world: every radius, length and width must be > 0")
        xmin, ymin, xmax, ymax = self.bounds
        if not all(math.isfinite(v) for v in (*self.bounds, *self.goal)):
            raise ValueError(f"world: bounds {self.bounds} and goal {self.goal} must be finite")
        for what, (x, y) in (("start", (self.start.x, self.start.y)), ("goal", self.goal)):
            if not (xmin <= x <= xmax and ymin <= y <= ymax):
                raise ValueError(f"world: the {what} ({x:g}, {y:g}) lies outside the bounds {self.bounds}")
            if clearance(x, y, cylinders, boxes) <= 0:
                raise ValueError(f"world: the {what} ({x:g}, {y:g}) lies in an obstacle")
            for rectangles, where in ((self.forbidden, "forbidden ground"), (_rectangles(self.things), "a thing")):
                if clearance(x, y, np.empty((0, 3)), rectangles) <= 0:
                    raise ValueError(f"world: the {what} ({x:g}, {y:g}) lies on {where}")
        object.__setattr__(self, "cylinders", cylinders)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "goal", (float(self.goal[0]), float(self.goal[1])))

    @property
    def forbidden(self) -> FloatArray:
        """The patches that may not be driven on, (n, 5) as boxes."""
        return _rectangles([p for p in self.patches if p.forbidden])

    @property
    def closed(self) -> FloatArray:
        """All that may not be driven on and is no obstacle, forbidden ground and things, (n, 5) as boxes."""
        return np.concatenate((self.forbidden, _rectangles(self.things)))

    def as_known(self) -> World:
        """The same for one who knows what may not be driven on: forbidden ground and things as boxes."""
        closed = self.closed
        if not len(closed):
            return self
        return replace(self, boxes=np.concatenate((self.boxes, closed)), patches=(), things=())

    def as_it_begins(self) -> World:
        """The same with those who walk as they stand at time 0, as cylinders."""
        people = np.array([(*mover.at(0.0), mover.radius) for mover in self.movers]).reshape(-1, 3)
        return replace(self, movers=(), cylinders=np.concatenate((self.cylinders, people)))

    @property
    def straight_distance(self) -> float:
        """Metres from start to goal as the crow flies."""
        return math.dist((self.start.x, self.start.y), self.goal)

    def ranges(self, x: float, y: float, angles: FloatArray, limit: float) -> FloatArray:
        """m from a point along each ray (n,) rad of the world to the first standing obstacle, inf beyond limit."""
        return cast_rays(x, y, angles, limit, self.cylinders, self.boxes)

    def between(self) -> int:
        """Standing obstacles whose centre projects onto the line from start to goal."""
        x0, y0 = self.start.x, self.start.y
        dx, dy = self.goal[0] - x0, self.goal[1] - y0
        centres = np.concatenate((self.cylinders[:, :2], self.boxes[:, :2]))
        along = ((centres[:, 0] - x0) * dx + (centres[:, 1] - y0) * dy) / (dx * dx + dy * dy)
        return int(((along > 0) & (along < 1)).sum())

    def straight_line_blocked(self) -> bool:
        """Whether an obstacle stands on the line from start to goal."""
        x0, y0 = self.start.x, self.start.y
        dx, dy = self.goal[0] - x0, self.goal[1] - y0
        length = math.hypot(dx, dy)
        gap = footprint_distance(
            x0 + dx / 2, y0 + dy / 2, math.atan2(dy, dx), length, 0.0, self.cylinders, self.boxes
        )
        return gap == 0.0


def in_frame(frame: Pose, x: float, y: float, yaw: float = 0.0) -> Pose:
    """A pose of the world in the frame of another one."""
    c, s, dx, dy = math.cos(frame.yaw), math.sin(frame.yaw), x - frame.x, y - frame.y
    return Pose(c * dx + s * dy, c * dy - s * dx, yaw - frame.yaw)


def seen_from(world: World, frame: Pose) -> World:
    """The same world in the frame of a pose in it. Its bounds hold those of before."""

    def place(x: float, y: float) -> tuple[float, float]:
        at = in_frame(frame, x, y)
        return at.x, at.y

    xmin, ymin, xmax, ymax = world.bounds
    xs, ys = zip(*(place(x, y) for x in (xmin, xmax) for y in (ymin, ymax)), strict=True)
    rounding = 1e-9  # m; a start that lay on the edge must not lie beyond it
    start = world.start
    return World(
        world.name,
        in_frame(frame, start.x, start.y, start.yaw),
        place(*world.goal),
        (min(xs) - rounding, min(ys) - rounding, max(xs) + rounding, max(ys) + rounding),
        np.array([(*place(x, y), radius) for x, y, radius in world.cylinders.tolist()]),
        np.array([(*place(x, y), a, b, yaw - frame.yaw) for x, y, a, b, yaw in world.boxes.tolist()]),
        tuple(replace(m, a=place(*m.a), b=place(*m.b)) for m in world.movers),
        tuple(
            replace(p, x=at[0], y=at[1], yaw=p.yaw - frame.yaw)
            for p in world.patches
            for at in [place(p.x, p.y)]
        ),
        tuple(
            replace(t, x=at[0], y=at[1], yaw=t.yaw - frame.yaw)
            for t in world.things
            for at in [place(t.x, t.y)]
        ),
    )


def enlarged(world: World, scale: float) -> World:
    """The same world, everything in it `scale` times as large and as far away; what moves is as fast as before, and
    what has a height is as high."""

    def place(at: tuple[float, float]) -> tuple[float, float]:
        return at[0] * scale, at[1] * scale

    xmin, ymin, xmax, ymax = world.bounds
    return World(
        world.name,
        Pose(*place((world.start.x, world.start.y)), world.start.yaw),
        place(world.goal),
        (xmin * scale, ymin * scale, xmax * scale, ymax * scale),
        world.cylinders * scale,
        world.boxes * (scale, scale, scale, scale, 1.0),
        tuple(
            replace(m, radius=m.radius * scale, a=place(m.a), b=place(m.b), trigger=m.trigger * scale)
            for m in world.movers
        ),
        tuple(
            replace(p, x=p.x * scale, y=p.y * scale, length=p.length * scale, width=p.width * scale)
            for p in world.patches
        ),
        tuple(
            replace(t, x=t.x * scale, y=t.y * scale, length=t.length * scale, width=t.width * scale)
            for t in world.things
        ),
    )


def polygon_edges(polygon: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """A closed polygon's edges as boxes (x, y, length, WALL, yaw), which overlap at its corners."""
    edges: list[tuple[float, ...]] = []
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        length = math.hypot(x2 - x1, y2 - y1)
        if length > 1e-9:
            edges.append(((x1 + x2) / 2, (y1 + y2) / 2, length + WALL, WALL, math.atan2(y2 - y1, x2 - x1)))
    return edges
