"""Worlds by a generator's name and a seed."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from hybrid_control.geometry.shapes import clearance
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import hidden, moving, tight
from hybrid_control.sim.worlds.grid import geodesic_field
from hybrid_control.sim.worlds.patch import Patch
from hybrid_control.sim.worlds.scatter import scatter
from hybrid_control.sim.worlds.tight import wall
from hybrid_control.sim.worlds.world import World, enlarged, polygon_edges

# Half the diagonal of the robot that the generators are made for, m; worlds are larger for one that is larger.
MADE_FOR = math.hypot(0.254, 0.215)

# Clearance that a generated world guarantees along some path, from the robot's centre: Jackal's half width is
# 0.215 m and its half diagonal 0.333 m, so that it may turn anywhere on that path with 0.1 m to spare.
GUARANTEED_CLEARANCE = 0.43
HIDDEN_ROOM = 0.45  # the same around what a lidar does not show


def passable(
    world: World, robot_radius: float = GUARANTEED_CLEARANCE, detour: float = math.inf, cell: float = 0.1
) -> bool:
    """Whether a disc of robot_radius reaches the goal within the bounds, on at most `detour` times the
    straight way.

    By search on the inflated map, in cells of so many m; on forbidden ground there is no way.
    """
    world = world.as_known()
    x, y = world.goal
    if clearance(x, y, world.cylinders, world.boxes) < robot_radius:
        return False
    solution = geodesic_field(world, robot_radius, resolution=cell, to_start=True)
    reachable = solution.passable(world.start.x, world.start.y)
    return reachable and solution.distance(world.start.x, world.start.y) <= detour * world.straight_distance


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
    circles = on_line + scatter(rng, 32, (1.3, -3.6, 8.7, 3.6), radius, gap, on_line)
    cylinders, boxes = _as_boxes(rng, circles, 0.3)
    return World(
        "default", Pose(), (10.0, 0.0), (-1.5, -4.5, 11.5, 4.5), np.array(cylinders), np.array(boxes)
    )


def _forest(rng: Generator, density: float = 0.45, length: float = 10.0) -> World:
    """Trunks of 0.1 to 0.3 m across at `density` per square metre, at least 0.55 m apart."""
    area = (1.2, -3.5, length - 1.2, 3.5)
    count = round(density * (area[2] - area[0]) * (area[3] - area[1]))
    circles = scatter(rng, count, area, (0.05, 0.15), 0.55)
    return World("forest", Pose(), (length, 0.0), (-1.5, -4.5, length + 1.5, 4.5), np.array(circles))


def _open(rng: Generator, length: float = 10.0) -> World:
    """No obstacle at all."""
    return World("open", Pose(), (length, 0.0), (-1.5, -4.5, length + 1.5, 4.5))


def _corridor(rng: Generator, length: float = 12.0, width: float = 2.4, bends: int = 3) -> World:
    """A corridor with bends, closed behind the start, with things standing along its walls."""
    bend_x = np.linspace(0.0, length, bends + 2)
    x = np.concatenate(([-1.5], bend_x, [length + 1.0]))
    mid = np.concatenate(([0.0], rng.uniform(-1.2, 1.2, bends), [0.0]))
    y = np.concatenate(([0.0], mid, [mid[-1]]))
    boxes = [wall(x[0], y[0] - width / 2, x[0], y[0] + width / 2)]
    boxes.append(wall(x[-1], y[-1] - width / 2, x[-1], y[-1] + width / 2))
    for i in range(len(x) - 1):
        for side in (-1, 1):
            boxes.append(wall(x[i], y[i] + side * width / 2, x[i + 1], y[i + 1] + side * width / 2))
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
        wall(*w)
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
                boxes.append(wall(x, y, x + dx * side, y + dy * side))
                continue
            at = rng.uniform(0.6, side - 0.6 - door)
            boxes.append(wall(x, y, x + dx * at, y + dy * at))
            boxes.append(wall(x + dx * (at + door), y + dy * (at + door), x + dx * side, y + dy * side))
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


def _patches(
    rng: Generator,
    length: float = 10.0,
    forbidden: str = "puddle",
    permitted: str = "mat",
    count: int = 5,
    obstacles: int = 8,
) -> World:
    """Pillars, and `count` patches of ground each that is forbidden and that is not, the first of either on the
    straight line."""
    across = [(rng.uniform(2.5, 4.5), rng.uniform(6.0, 7.5))[:: rng.choice((1, -1))]]
    circles = [(x, rng.uniform(-0.2, 0.2), 0.75) for x in across[0]]
    circles += scatter(rng, 2 * count - 2, (1.5, -3.0, length - 1.5, 3.0), (0.5, 0.9), 0.95, circles)
    pillars = scatter(rng, obstacles, (1.5, -3.0, length - 1.5, 3.0), (0.10, 0.20), 0.95, circles)
    ground = []
    for k, (x, y, r) in enumerate(circles):
        long, wide = (r * rng.uniform(1.1, 1.4, 2)).tolist()  # a corner lies on the circle or just within
        kind, yaw = (forbidden, permitted)[k % 2], rng.uniform(-math.pi / 2, math.pi / 2)
        ground.append(Patch(kind, x, y, long, wide, yaw, forbidden=k % 2 == 0))
    return World(
        "patches", Pose(), (length, 0.0), (-1.5, -4.5, length + 1.5, 4.5),
        np.array(pillars), patches=tuple(ground),
    )  # fmt: skip


def _lesson(rng: Generator, length: float = 12.5, forbidden: str = "puddle", permitted: str = "mat") -> World:
    """A lane to be taught on: a piece of ground that is permitted, one that is not but may be driven on while it is
    taught, and farther on one that may not, with a permitted one beside it."""
    side = float(rng.choice((1.0, -1.0)))
    ground = (
        Patch(permitted, 2.3, 0.0, 1.4, 1.4, forbidden=False),
        Patch(forbidden, 4.8, 0.0, 1.4, 1.4, forbidden=False),
        Patch(forbidden, 9.3, side * rng.uniform(0.0, 0.3), *rng.uniform(1.0, 1.3, 2).tolist()),
        Patch(permitted, 9.3, -side * rng.uniform(1.6, 1.9), 1.2, 1.2, forbidden=False),
    )
    return World("lesson", Pose(), (length, 0.0), (-1.5, -4.5, length + 1.5, 4.5), patches=ground)


def _polygon(rng: Generator, x: float, y: float, radius: float, corners: int) -> list[tuple[float, float]]:
    """A convex polygon with its corners on a circle, none nearer to the next than a third of an even share."""
    turns = np.cumsum(rng.uniform(0.5, 1.5, corners))
    angles = rng.uniform(0.0, 2 * math.pi) + turns * 2 * math.pi / turns[-1]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _arena(rng: Generator, polygons: int = 34, size: float = 20.0, gap: float = 0.5) -> World:
    """A walled square of `size` m with polygons in it, half of them thin, start and goal 10 to 23 m apart.

    gap: m at least between the circles that the polygons lie in; below 0 they overlap.

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
    thin = scatter(rng, polygons // 2, area, (0.8, 1.4), gap, ends)
    thick = scatter(rng, polygons - polygons // 2, area, (0.3, 0.8), gap, ends + thin)
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


def _tight_arena(rng: Generator, polygons: int = 70, size: float = 20.0, gap: float = -0.25) -> World:
    """An arena as full as a robot of 0.36 m gets through."""
    return replace(_arena(rng, polygons, size, gap), name="tight_arena")


@dataclass(frozen=True, slots=True)
class _Kind:
    """make: a draw. Taken is one whose goal a disc of `room` m reaches by `passable`, and of which `also` holds."""

    make: Callable[..., World]
    room: float = GUARANTEED_CLEARANCE
    detour: float = math.inf
    cell: float = 0.1
    also: Callable[[World], bool] = lambda world: True

    def takes(self, world: World) -> bool:
        return self.also(world) and passable(world, self.room, self.detour, self.cell)


def _cluttered(world: World) -> bool:
    return world.between() >= 30 and world.straight_line_blocked()


_GENERATORS: dict[str, _Kind] = {
    "default": _Kind(_default, detour=1.4, also=_cluttered),
    "forest": _Kind(_forest, detour=1.6),
    "corridor": _Kind(_corridor),
    "rooms": _Kind(_rooms),
    "field": _Kind(_field, 0.30),  # as tight as the tightest public BARN worlds
    "crossing": _Kind(moving.crossing),
    "arena": _Kind(_arena),
    "patches": _Kind(_patches, detour=1.5),
    "lesson": _Kind(_lesson, detour=1.5),
    "open": _Kind(_open),
    "fardoor": _Kind(tight.fardoor),
    "spiral": _Kind(tight.spiral, 0.36, cell=0.05),
    "zigzag": _Kind(tight.zigzag, 0.40, cell=0.05),
    "gaps": _Kind(tight.gaps, 0.22, cell=0.05),
    "poles": _Kind(tight.poles, 0.35),
    "pocket": _Kind(tight.pocket),
    "tight_arena": _Kind(_tight_arena, 0.23),
    "stopping": _Kind(moving.stopping),
    "headon": _Kind(moving.headon),
    "chasing": _Kind(moving.chasing),
    "stepping": _Kind(moving.stepping),
    "low": _Kind(hidden.low, HIDDEN_ROOM, detour=1.5),
    "overhangs": _Kind(hidden.overhangs, HIDDEN_ROOM, detour=1.5),
    "glass": _Kind(hidden.glass, HIDDEN_ROOM, detour=1.5),
    "wires": _Kind(hidden.wires, HIDDEN_ROOM, detour=1.5),
    "holes": _Kind(hidden.holes, HIDDEN_ROOM, detour=1.5),
    "forbidden": _Kind(hidden.forbidden, HIDDEN_ROOM, detour=1.5),
}

GENERATORS: tuple[str, ...] = tuple(_GENERATORS)


def option_of(name: str, text: str) -> tuple[str, Any]:
    """The name and value of an option as typed, "density=0.4", for a kind of world: text where the kind takes text.

    ValueError where it is none. Whether the kind knows it, generate() says.
    """
    key, _, value = text.partition("=")
    parameter = inspect.signature(_GENERATORS[name].make).parameters.get(key) if name in _GENERATORS else None
    if parameter is not None and isinstance(parameter.default, str):
        return key, value
    return key, int(value) if re.fullmatch(r"-?\d+", value) else float(value)


def guaranteed(name: str) -> tuple[float, float]:
    """The radius in m of the disc that gets through every world of a kind, and the cells in m by which it was seen."""
    return _GENERATORS[name].room, _GENERATORS[name].cell


def scale_for(length: float, width: float) -> float:
    """How much larger worlds have to be for a robot of so many m than for the one that they are made for; 1 for a
    smaller one."""
    return max(math.hypot(0.5 * length, 0.5 * width) / MADE_FOR, 1.0)


def generate(name: str, seed: int = 0, scale: float = 1.0, **options: Any) -> World:
    """A world of a named kind; the same name, seed and options give the same world, `scale` times as large.

    Kinds and options: default; forest(density=0.45 per m², length=10 m); corridor(length=12, width=2.4 m, bends=3);
    rooms(columns=3, rows=2, side=4 m); field(fill, smoothing); crossing(movers=5, speed=1 m/s, obstacles=12);
    arena(polygons=34, size=20 m, gap=0.5 m); patches(length=10 m, forbidden="puddle", permitted="mat", count=5,
    obstacles=8); open(length=10); fardoor(nearest=2, farthest=20, door=1.3 m); spiral(corridor=0.9 m, turns=2);
    zigzag(baffles=6, gap=1, width=4 m); gaps(width=0.43, more=0.1 m, count=3); poles(count=60, gap=0.75 m);
    pocket(depth=4 m, count=2); tight_arena(polygons=70, size=20, gap=-0.25 m); stopping and headon(movers=4,
    speed=1.5 m/s, obstacles=8); chasing(movers=3, speed=1.5 m/s, obstacles=8); stepping(movers=3, speed=1.5 m/s,
    nearest=0.8, farthest=2.0 m before the robot's nose); and with what a planar lidar does not show, count of it and
    obstacles, pillars, 8 .. 14 and 4 .. 8 as drawn where 0: low(look="", "ground" or "cone"), overhangs,
    glass(opacity="0.15-0.4", thickness=0.02 m), wires, holes, forbidden(looks=2, kinds of forbidden and of permitted
    ground). Each has a path to its goal with the room that `guaranteed` says around the standing obstacles, and what
    may not be driven on, found by search on the inflated map; a draw without one is drawn again.
    ValueError for an unknown name or option, an option that cannot be, or where 200 draws gave no such world.
    """
    if not 0.1 <= scale <= 20.0:
        raise ValueError(f"world {name!r}: a scale of {scale:g}; expected 0.1 .. 20")
    if name not in _GENERATORS:
        raise ValueError(f"unknown world {name!r}; there are {', '.join(GENERATORS)}")
    kind = _GENERATORS[name]
    for attempt in range(200):
        rng = np.random.default_rng([seed, attempt, *name.encode()])
        try:
            world = kind.make(rng, **options)
        except (TypeError, hidden.WrongOption) as error:
            raise ValueError(f"world {name!r}: {error}") from None
        except ValueError:  # start or goal in an obstacle
            continue
        if kind.takes(world):
            return world if scale == 1.0 else enlarged(world, scale)
    raise ValueError(
        f"world {name!r}, seed {seed}, options {options}: 200 draws and none has a way to the goal"
    )
