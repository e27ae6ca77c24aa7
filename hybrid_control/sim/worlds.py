"""Worlds to drive in: a value type, generators by name and seed, and the file of BARN worlds.

A world is planar: upright cylinders and boxes on level ground, a start pose, a goal and bounds.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from hybrid_control.messages import Pose
from hybrid_control.sim.geometry import FloatArray, clearance, footprint_distance

# Clearance that a generated world guarantees along some path, from the robot's centre: Jackal's half width is
# 0.215 m and its half diagonal 0.333 m, so that it may turn anywhere on that path with 0.1 m to spare.
GUARANTEED_CLEARANCE = 0.43
WALL = 0.02  # m, thickness of a polygon's edges


@dataclass(frozen=True, slots=True)
class Mover:
    """An upright cylinder that patrols between two points at constant speed, turning at once at either end.

    radius: m; a, b: (x, y) m; speed: m/s; phase: where in its round trip it is at time 0, 0 .. 1 (0 at a, 0.5
    at b).
    """

    radius: float
    a: tuple[float, float]
    b: tuple[float, float]
    speed: float
    phase: float = 0.0

    def __post_init__(self) -> None:
        values = (self.radius, *self.a, *self.b, self.speed, self.phase)
        if not all(math.isfinite(v) for v in values) or self.radius <= 0 or self.speed < 0:
            raise ValueError(f"mover: {self} must be finite, with radius > 0 and speed >= 0")

    def at(self, time_s: float) -> tuple[float, float]:
        """Its position (x, y) at a time."""
        length = math.dist(self.a, self.b)
        if length == 0:
            return self.a
        trip = (self.phase + time_s * self.speed / (2.0 * length)) % 1.0
        share = 2.0 * trip if trip < 0.5 else 2.0 - 2.0 * trip
        return self.a[0] + share * (self.b[0] - self.a[0]), self.a[1] + share * (self.b[1] - self.a[1])


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


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Obstacles, start and goal.

    goal: (x, y) m; bounds: (xmin, ymin, xmax, ymax) m, what a map or a picture has to show (it is no wall);
    cylinders: (n, 3) x, y, radius; boxes: (n, 5) x, y, length, width, yaw; movers: obstacles that move.
    ValueError where a shape is wrong, a size is not positive, or start or goal lie in an obstacle or out of
    bounds.
    """

    name: str
    start: Pose
    goal: tuple[float, float]
    bounds: tuple[float, float, float, float]
    cylinders: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    boxes: FloatArray = field(default_factory=lambda: np.empty((0, 5)))
    movers: tuple[Mover, ...] = ()

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
        object.__setattr__(self, "cylinders", cylinders)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "goal", (float(self.goal[0]), float(self.goal[1])))

    @property
    def straight_distance(self) -> float:
        """Metres from start to goal as the crow flies."""
        return math.dist((self.start.x, self.start.y), self.goal)

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
    )


def passable(world: World, robot_radius: float = GUARANTEED_CLEARANCE, detour: float = math.inf) -> bool:
    """Whether a disc of robot_radius reaches the goal within the bounds, on at most `detour` times the
    straight way.

    By search on the inflated map, in cells of 0.1 m.
    """
    from hybrid_control.sim.grid import geodesic_field  # grid builds on World

    x, y = world.goal
    if clearance(x, y, world.cylinders, world.boxes) < robot_radius:
        return False
    solution = geodesic_field(world, robot_radius, resolution=0.1)
    reachable = solution.passable(world.start.x, world.start.y)
    return reachable and solution.distance(world.start.x, world.start.y) <= detour * world.straight_distance


def _scatter(
    rng: Generator,
    count: int,
    area: tuple[float, float, float, float],
    radius: tuple[float, float],
    gap: float,
    taken: Sequence[tuple[float, float, float]] = (),
) -> list[tuple[float, float, float]]:
    """Up to count circles in the area, whose edges keep `gap` from each other and from those taken."""
    placed = list(taken)
    for _ in range(200 * count):
        if len(placed) == count + len(taken):
            break
        r = rng.uniform(*radius)
        x, y = rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])
        if all(math.hypot(x - px, y - py) >= r + pr + gap for px, py, pr in placed):
            placed.append((x, y, r))
    return placed[len(taken) :]


def _as_boxes(
    rng: Generator, circles: Sequence[tuple[float, float, float]], share: float
) -> tuple[list, list]:
    """Turns a share of the circles into boxes that fit in them; (cylinders, boxes)."""
    cylinders, boxes = [], []
    for x, y, r in circles:
        if rng.random() < share:
            a = rng.uniform(math.radians(25), math.radians(65))  # corner of the box on the circle
            length, width = 2 * r * math.cos(a), 2 * r * math.sin(a)
            boxes.append((x, y, length, width, rng.uniform(-math.pi / 2, math.pi / 2)))
        else:
            cylinders.append((x, y, r))
    return cylinders, boxes


def _default(rng: Generator) -> World:
    """10 m among 34 pillars and crates that keep 0.7 m apart, at least 2 of them on the straight line."""
    radius, gap = (0.10, 0.20), 0.7
    on_line: list[tuple[float, float, float]] = []
    for x in (rng.uniform(2.0, 4.0), rng.uniform(5.0, 7.5)):
        r = rng.uniform(0.15, 0.20)
        on_line.append((x, rng.uniform(-0.5, 0.5) * r, r))
    circles = on_line + _scatter(rng, 32, (1.3, -3.6, 8.7, 3.6), radius, gap, on_line)
    cylinders, boxes = _as_boxes(rng, circles, 0.3)
    return World(
        "default", Pose(), (10.0, 0.0), (-1.5, -4.5, 11.5, 4.5), np.array(cylinders), np.array(boxes)
    )


def _forest(rng: Generator, density: float = 0.45, length: float = 10.0) -> World:
    """Trunks of 0.1 to 0.3 m across at `density` per square metre, at least 0.55 m apart."""
    area = (1.2, -3.5, length - 1.2, 3.5)
    count = round(density * (area[2] - area[0]) * (area[3] - area[1]))
    circles = _scatter(rng, count, area, (0.05, 0.15), 0.55)
    return World("forest", Pose(), (length, 0.0), (-1.5, -4.5, length + 1.5, 4.5), np.array(circles))


def _open(rng: Generator, length: float = 10.0) -> World:
    """No obstacle at all."""
    return World("open", Pose(), (length, 0.0), (-1.5, -4.5, length + 1.5, 4.5))


def _wall(x1: float, y1: float, x2: float, y2: float, thickness: float = 0.1) -> tuple[float, ...]:
    length = math.hypot(x2 - x1, y2 - y1) + thickness
    return ((x1 + x2) / 2, (y1 + y2) / 2, length, thickness, math.atan2(y2 - y1, x2 - x1))


def _corridor(rng: Generator, length: float = 12.0, width: float = 2.4, bends: int = 3) -> World:
    """A corridor with bends, closed behind the start, with things standing along its walls."""
    bend_x = np.linspace(0.0, length, bends + 2)
    x = np.concatenate(([-1.5], bend_x, [length + 1.0]))
    mid = np.concatenate(([0.0], rng.uniform(-1.2, 1.2, bends), [0.0]))
    y = np.concatenate(([0.0], mid, [mid[-1]]))
    boxes = [_wall(x[0], y[0] - width / 2, x[0], y[0] + width / 2)]
    boxes.append(_wall(x[-1], y[-1] - width / 2, x[-1], y[-1] + width / 2))
    for i in range(len(x) - 1):
        for side in (-1, 1):
            boxes.append(_wall(x[i], y[i] + side * width / 2, x[i + 1], y[i + 1] + side * width / 2))
    cylinders = []
    for px in np.arange(1.5, length - 1.0, 1.4):
        r = rng.uniform(0.10, 0.25)
        side = rng.choice((-1.0, 1.0))
        py = np.interp(px, x, y) + side * (width / 2 - r - rng.uniform(0.0, 0.5))
        cylinders.append((px + rng.uniform(-0.3, 0.3), py, r))
    bounds = (-2.0, float(y.min()) - width, length + 1.5, float(y.max()) + width)
    return World("corridor", Pose(), (length, float(y[-1])), bounds, np.array(cylinders), np.array(boxes))


def _rooms(rng: Generator, columns: int = 3, rows: int = 2, side: float = 4.0) -> World:
    """Rooms with doors, joined as a random tree, so that some are dead ends; one crate or pillar in each."""
    door = 1.3
    cells = [(c, r) for c in range(columns) for r in range(rows)]
    opened: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    reached = [cells[0]]
    while len(reached) < len(cells):
        edges = [
            (a, b)
            for a in reached
            for b in cells
            if b not in reached and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
        ]
        a, b = edges[rng.integers(len(edges))]
        opened.add((min(a, b), max(a, b)))
        reached.append(b)
    width, height = columns * side, rows * side
    boxes = [
        _wall(*w)
        for w in ((0, 0, width, 0), (0, height, width, height), (0, 0, 0, height), (width, 0, width, height))
    ]
    for c, r in cells:
        for other in ((c + 1, r), (c, r + 1)):
            if other not in cells:
                continue
            upright = other[0] > c
            x, y = (c + 1) * side if upright else c * side, r * side if upright else (r + 1) * side
            dx, dy = (0.0, 1.0) if upright else (1.0, 0.0)
            if ((c, r), other) not in opened:
                boxes.append(_wall(x, y, x + dx * side, y + dy * side))
                continue
            at = rng.uniform(0.6, side - 0.6 - door)
            boxes.append(_wall(x, y, x + dx * at, y + dy * at))
            boxes.append(_wall(x + dx * (at + door), y + dy * (at + door), x + dx * side, y + dy * side))
    circles = []
    for c, r in cells[1:-1]:
        x, y = (c + rng.uniform(0.35, 0.65)) * side, (r + rng.uniform(0.35, 0.65)) * side
        circles.append((x, y, rng.uniform(0.15, 0.3)))
    cylinders, crates = _as_boxes(rng, circles, 0.5)
    start = Pose(side / 2, side / 2, rng.uniform(-math.pi, math.pi))
    goal = (width - side / 2, height - side / 2)
    return World(
        "rooms",
        start,
        goal,
        (-0.5, -0.5, width + 0.5, height + 0.5),
        np.array(cylinders),
        np.array(boxes + crates),
    )


def _field(rng: Generator, fill: float | None = None, smoothing: int | None = None) -> World:
    """A field of clumps by cellular automaton, behind a corridor closed at the start, laid out as a BARN
    world is.

    A strip of 30 x 30 cells of 0.15 m is filled at random, `fill` of it (0.15 to 0.30 where none is named),
    then smoothed 2 to 4 times: a cell with more than 5 filled neighbours of 8 is filled, one with fewer than
    2 is cleared. The method is that of Perille et al., "Benchmarking Metric Ground Navigation", SSRR 2020;
    these thresholds give as many filled cells (30 to 180) as the public worlds have.
    """
    cell, n = 0.15, 30
    share = rng.uniform(0.15, 0.30) if fill is None else fill
    grid: Any = rng.random((n, n)) < share
    for _ in range(int(rng.integers(2, 5)) if smoothing is None else smoothing):
        padded = np.pad(grid, 1).astype(np.int64)
        neighbours = sum(padded[i : i + n, j : j + n] for i in range(3) for j in range(3)) - grid
        grid = (neighbours > 5) | (grid & (neighbours >= 2))
    grid[[0, -1], :] = True  # the walls go on along the field
    rows, columns = np.nonzero(grid)
    half = n * cell / 2
    inside = np.column_stack((2.0 + (columns + 0.5) * cell, -half + (rows + 0.5) * cell))
    x, y = np.arange(-2.925, 2.0, cell), np.arange(-half + cell / 2, half, cell)
    sides = [np.column_stack((x, np.full(x.size, side * (half - cell / 2)))) for side in (-1, 1)]
    back = np.column_stack((np.full(y.size, -2.925), y))
    centres = np.concatenate((inside, *sides, back))
    cylinders = np.column_stack((centres, np.full(len(centres), cell / 2)))
    return World("field", Pose(), (10.0, 0.0), (-3.5, -3.5, 11.5, 3.5), cylinders)


def _crossing(rng: Generator, movers: int = 5, speed: float = 1.0, obstacles: int = 12) -> World:
    """Pillars, and `movers` pedestrians who walk across the way at up to `speed` m/s."""
    circles = _scatter(rng, obstacles, (1.5, -3.0, 8.5, 3.0), (0.10, 0.20), 0.9)
    walking = []
    for x in np.linspace(2.0, 8.5, movers):
        lean = rng.uniform(-1.0, 1.0)
        a, b = (float(x - lean), -3.5), (float(x + lean), 3.5)
        walking.append(Mover(0.25, a, b, float(rng.uniform(0.4, 1.0) * speed), float(rng.random())))
    return World(
        "crossing", Pose(), (10.0, 0.0), (-1.5, -4.5, 11.5, 4.5), np.array(circles), movers=tuple(walking)
    )


def polygon_edges(polygon: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """A closed polygon's edges as boxes (x, y, length, WALL, yaw), which overlap at its corners."""
    edges: list[tuple[float, ...]] = []
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        length = math.hypot(x2 - x1, y2 - y1)
        if length > 1e-9:
            edges.append(((x1 + x2) / 2, (y1 + y2) / 2, length + WALL, WALL, math.atan2(y2 - y1, x2 - x1)))
    return edges


def _polygon(rng: Generator, x: float, y: float, radius: float, corners: int) -> list[tuple[float, float]]:
    """A convex polygon with its corners on a circle, none nearer to the next than a third of an even share."""
    turns = np.cumsum(rng.uniform(0.5, 1.5, corners))
    angles = rng.uniform(0.0, 2 * math.pi) + turns * 2 * math.pi / turns[-1]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _arena(rng: Generator, polygons: int = 34, size: float = 20.0) -> World:
    """A walled square of `size` m with polygons in it, half of them thin, start and goal 10 to 23 m apart.

    In the style of the arena in which Tang et al., "Reinforcement co-Learning of Deep and Spiking Neural Networks for
    Energy-Efficient Mapless Navigation", IROS 2020, evaluate.
    """
    if size < 12.0:
        raise ValueError(f"size {size} m, expected 12 or more")
    half, free = size / 2, 0.7
    ends: list[tuple[float, float, float]] = []
    while not ends or not 10.0 <= math.dist(ends[0][:2], ends[1][:2]) <= 23.0:
        ends = [(*rng.uniform(free - half, half - free, 2).tolist(), free) for _ in range(2)]
    area = (1.5 - half, 1.5 - half, half - 1.5, half - 1.5)
    thin = _scatter(rng, polygons // 2, area, (0.8, 1.4), 0.5, ends)
    thick = _scatter(rng, polygons - polygons // 2, area, (0.3, 0.8), 0.5, ends + thin)
    outlines = [[(-half, -half), (half, -half), (half, half), (-half, half)]]
    for x, y, r in thin:
        a, lean = rng.uniform(0.0, math.pi), rng.uniform(0.10, 0.25)  # half of a corner's angle at the middle
        corners = (a - lean, a + lean, a + math.pi - lean, a + math.pi + lean)
        outlines.append([(x + r * math.cos(t), y + r * math.sin(t)) for t in corners])
    for x, y, r in thick:
        outlines.append(_polygon(rng, x, y, r, int(rng.integers(3, 7))))
    if len(outlines) <= polygons:
        raise ValueError(f"{polygons} polygons do not fit")
    boxes = [edge for outline in outlines for edge in polygon_edges(outline)]
    bounds = (-half - 0.5, -half - 0.5, half + 0.5, half + 0.5)
    start = Pose(*ends[0][:2], rng.uniform(-math.pi, math.pi))
    return World("arena", start, ends[1][:2], bounds, boxes=np.array(boxes))


@dataclass(frozen=True, slots=True)
class _Kind:
    make: Callable[..., World]
    accept: Callable[[World], bool]


def _any_way(world: World) -> bool:
    return passable(world)


_GENERATORS: dict[str, _Kind] = {
    "default": _Kind(
        _default, lambda w: w.between() >= 30 and w.straight_line_blocked() and passable(w, detour=1.4)
    ),
    "forest": _Kind(_forest, lambda w: passable(w, detour=1.6)),
    "corridor": _Kind(_corridor, _any_way),
    "rooms": _Kind(_rooms, _any_way),
    "field": _Kind(_field, lambda w: passable(w, 0.30)),  # as tight as the tightest public BARN worlds
    "crossing": _Kind(_crossing, _any_way),
    "arena": _Kind(_arena, _any_way),
    "open": _Kind(_open, lambda w: True),
}

GENERATORS: tuple[str, ...] = tuple(_GENERATORS)


def generate(name: str, seed: int = 0, **options: Any) -> World:
    """A world of a named kind; the same name, seed and options give the same world.

    Kinds and options: default; forest(density=0.45 per m², length=10 m); corridor(length=12, width=2.4 m,
    bends=3);
    rooms(columns=3, rows=2, side=4 m); field(fill, smoothing); crossing(movers=5, speed=1 m/s,
    obstacles=12); arena(polygons=34, size=20 m);
    open(length=10). Each has a path to its goal with GUARANTEED_CLEARANCE (field: 0.3 m) around the standing
    obstacles, found by search on the inflated map; a draw without one is drawn again. ValueError for an
    unknown name or option, or where 200 draws gave no such world.
    """
    if name not in _GENERATORS:
        raise ValueError(f"unknown world {name!r}; there are {', '.join(GENERATORS)}")
    kind = _GENERATORS[name]
    for attempt in range(200):
        rng = np.random.default_rng([seed, attempt, *name.encode()])
        try:
            world = kind.make(rng, **options)
        except TypeError as error:
            raise ValueError(f"world {name!r}: {error}") from None
        except ValueError:  # start or goal in an obstacle
            continue
        if kind.accept(world):
            return world
    raise ValueError(
        f"world {name!r}, seed {seed}, options {options}: 200 draws and none has a way to the goal"
    )


# what numpy and zipfile raise over a file that is not what it says
DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class BarnWorlds:
    """Worlds from a file of BARN worlds, with the lengths of their shortest paths in m for the score."""

    worlds: tuple[World, ...]
    world_ids: tuple[int, ...]
    path_lengths: tuple[float, ...]


def load_barn(path: str | Path) -> BarnWorlds:
    """Reads an npz file of BARN worlds.

    Arrays: centers (n, 2) m and offsets (k + 1,): world i is centers[offsets[i]:offsets[i + 1]]; radius () m;
    path_length (k,) m; start (3,) x, y, yaw; goal (2,); world_id (k,), optional. ValueError names what is
    wrong.
    """
    content = Path(path).read_bytes()
    needed = ("centers", "offsets", "radius", "path_length", "start", "goal")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            missing = [k for k in needed if k not in file]
            if missing:
                raise ValueError(f"no array {', '.join(missing)}")
            data = {k: np.asarray(file[k], dtype=np.float64) for k in needed}
            ids = np.asarray(file["world_id"], dtype=np.int64) if "world_id" in file else None
    except DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: not an npz file of BARN worlds: {reason}") from None
    centers, offsets = data["centers"], data["offsets"].astype(np.int64)
    count = offsets.size - 1
    ids = np.arange(count) if ids is None else ids
    shapes_right = (
        centers.ndim == 2
        and centers.shape[1] == 2
        and offsets.ndim == 1
        and data["radius"].ndim == 0
        and data["path_length"].shape == (count,)
        and data["start"].shape == (3,)
        and data["goal"].shape == (2,)
        and ids.shape == (count,)
    )
    if count < 1 or not shapes_right:
        raise ValueError(f"{path}: arrays of the wrong shape for BARN worlds (see load_barn)")
    if offsets[0] != 0 or offsets[-1] != len(centers) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{path}: offsets must rise from 0 to the number of centers, {len(centers)}")
    start, goal = Pose(*data["start"].tolist()), (float(data["goal"][0]), float(data["goal"][1]))
    worlds = []
    for i in range(count):
        xy = np.unique(centers[offsets[i] : offsets[i + 1]], axis=0)  # the public file names each one twice
        cylinders = np.column_stack((xy, np.full(len(xy), float(data["radius"]))))
        points = np.concatenate((xy, [[start.x, start.y], goal]))
        low, high = points.min(axis=0) - 1.5, points.max(axis=0) + 1.5
        bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        worlds.append(World(f"barn-{ids[i]}", start, goal, bounds, cylinders))
    return BarnWorlds(tuple(worlds), tuple(ids.tolist()), tuple(data["path_length"].tolist()))


def load_world(name: str, seed: int = 0) -> World:
    """A world from what a user types: a generator's name, or a file as world_files.read_world() takes it.

    FILE.npz:ID is one world of a BARN file, FILE.npz, .sdf, .world, .xml or FILE.json:NUMBER the world in that file.
    ValueError for an unknown name, id or file that is none; OSError where the file cannot be read.
    """
    from hybrid_control.sim.world_files import WORLD_FILES, read_world  # which builds on World

    file, colon, index = name.rpartition(":")
    if colon and file.endswith((".npz", ".json")):
        if not index.isdigit() or len(index) > 9:
            raise ValueError(f"{file}: no world {index!r}; expected its number")
        return read_world(file, int(index))
    if name.endswith(WORLD_FILES):
        return read_world(name)
    return generate(name, seed)
