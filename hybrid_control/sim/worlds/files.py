"""Worlds from and to files: Gazebo's .world and .sdf, MuJoCo's MJCF, polygon arenas in JSON, and our own .npz."""

from __future__ import annotations

import contextlib
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hybrid_control import files
from hybrid_control.files import read_json, read_xml
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds.movers import Mover
from hybrid_control.sim.worlds.patch import KIND, Patch
from hybrid_control.sim.worlds.thing import KINDS, LOOKS, ROW, Thing
from hybrid_control.sim.worlds.world import World, polygon_edges

# Where the BARN challenge starts and ends in its .world files, which do not say so themselves.
BARN_START = Pose(-2.25, 3.0, 1.57)
BARN_GOAL = (-2.25, 13.0)

MARGIN = 1.5  # m around everything in the world, for its bounds
LOWEST = 0.05  # m; what ends below, a ground plane or a mark on it, is no obstacle

PATCHES = re.compile(rf"patch\d+_({KIND.pattern})_(forbidden|permitted)")
THINGS = re.compile(rf"thing\d+_({'|'.join(KINDS)})(?:_({'|'.join(LOOKS[1:])}))?")

# Frames of an SDF world that say what its models cannot
FRAMES = re.compile(r"start|goal|bounds_(low|high)|mover\d+_(from|to)")


def _numbers(
    element: ET.Element | None, count: int, where: str, default: Sequence[float] | None = None
) -> list[float]:
    """The numbers in an element's text; the default where there is no element or no text."""
    text = (element.text or "").split() if element is not None else []
    if not text and default is not None:
        return list(default)
    try:
        values = [float(t) for t in text]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{where}: {' '.join(text)!r}, expected {count} finite numbers")
    return values


Placed = tuple[float, float, float, float]  # x, y, z, yaw


def _pose(element: ET.Element, where: str) -> Placed:
    """The pose of an element in the frame of the one it stands in."""
    found = element.find("pose")
    if found is not None and found.get("relative_to"):
        raise ValueError(
            f"{where}: a pose relative to {found.get('relative_to')!r}; only nested poses are read"
        )
    x, y, z, roll, pitch, yaw = _numbers(found, 6, f"{where}: pose", (0.0,) * 6)
    if abs(math.sin(roll)) > 1e-3 or abs(math.sin(pitch)) > 1e-3:
        raise ValueError(
            f"{where}: tilted by {roll:g}, {pitch:g} rad; only upright cylinders and boxes are read"
        )
    return x, y, z, yaw


def _within(outer: Placed, inner: Placed) -> Placed:
    """A pose in the outer pose's frame, in the frame that the outer one stands in."""
    c, s = math.cos(outer[3]), math.sin(outer[3])
    x, y, z, yaw = inner
    return outer[0] + c * x - s * y, outer[1] + s * x + c * y, outer[2] + z, outer[3] + yaw


def read_gazebo(
    path: str | Path, start: Pose | None = None, goal: tuple[float, float] | None = None
) -> World:
    """Reads a Gazebo .world or .sdf file whose obstacles are upright cylinders and boxes.

    Every collision of every model counts, whether static or not, but for models with joints, which are robots;
    `<state>` of a saved world takes precedence over a model's own pose, as in Gazebo. A plane, and what lies below
    0.05 m, is ground. start, goal: where none are given those of the frames with these names, as `world export` writes
    them, or else those of the BARN challenge. ValueError for a file that is none, for another shape (spheres, meshes,
    heightmaps), for `<include>`, and for obstacles that are tilted; OSError where it cannot be read.
    """
    root = read_xml(path)
    world = root if root.tag == "world" else root.find("world")
    if root.tag not in ("sdf", "gazebo", "world") or world is None:
        raise ValueError(f"{path}: no <world> in it (its root is <{root.tag}>)")
    if (include := world.find(".//include")) is not None:
        uri = include.findtext("uri", "?")
        raise ValueError(f"{path}: <include> of {uri!r}: models from other files are not read")
    state = {
        str(m.get("name")): _pose(m, f"{path}: state of {m.get('name')!r}")
        for m in world.findall("state/model")
    }
    frames = {
        str(f.get("name")): _pose(f, f"{path}: frame {f.get('name')!r}")
        for f in world.findall("frame")
        if FRAMES.fullmatch(str(f.get("name")))
    }
    cylinders: list[tuple[float, ...]] = []
    boxes: list[tuple[float, ...]] = []
    things: list[Thing] = []
    for model in world.findall("model"):
        name = str(model.get("name"))
        if model.find("joint") is not None or f"{name}_from" in frames:
            continue
        if (thing := _thing(model, f"{path}: model {name!r}")) is not None:
            things.append(thing)
            continue
        placed = state.get(name) or _pose(model, f"{path}: model {name!r}")
        for link in model.findall("link"):
            link_pose = _within(placed, _pose(link, f"{path}: model {name!r}"))
            for collision in link.findall("collision"):
                pose = _within(link_pose, _pose(collision, f"{path}: model {name!r}"))
                _add(collision, pose, f"{path}: model {name!r}", cylinders, boxes)
    if start is None and "start" in frames:
        x, y, _, yaw = frames["start"]
        start = Pose(x, y, yaw)
    if goal is None and "goal" in frames:
        goal = frames["goal"][:2]
    read = bounded(Path(path).stem, start or BARN_START, goal or BARN_GOAL, cylinders, boxes)
    read = replace(read, patches=tuple(_patches(world, path)), things=tuple(things))
    if "bounds_low" not in frames or "bounds_high" not in frames:
        return read
    bounds = (*frames["bounds_low"][:2], *frames["bounds_high"][:2])
    movers = tuple(
        _mover(model, frames, f"{path}: model {model.get('name')!r}")
        for model in world.findall("model")
        if f"{model.get('name')}_from" in frames
    )
    return replace(read, name=str(world.get("name")), bounds=bounds, movers=movers)


def _patches(world: ET.Element, path: str | Path) -> Iterator[Patch]:
    """The patches of ground, as `world export` writes them: by the names of their models."""
    for model in world.findall("model"):
        named = PATCHES.fullmatch(str(model.get("name")))
        visual = model.find("link/visual")
        if named is None or visual is None:
            continue
        where = f"{path}: model {model.get('name')!r}"
        length, width, _ = _numbers(visual.find("geometry/box/size"), 3, f"{where}: size")
        x, y, _, yaw = _within(_pose(model, where), _pose(visual, where))
        yield Patch(named[1], x, y, length, width, yaw, named[2] == "forbidden")


def _thing(model: ET.Element, where: str) -> Thing | None:
    """The thing that a model is, as `world export` writes it: by its name and its first visual; None of another."""
    named, visual = THINGS.fullmatch(str(model.get("name"))), model.find("link/visual")
    if named is None or visual is None:
        return None
    length, width, height = _numbers(visual.find("geometry/box/size"), 3, f"{where}: size")
    (clear,) = _numbers(visual.find("transparency"), 1, f"{where}: transparency", (0.0,))
    x, y, z, yaw = _within(_pose(model, where), _pose(visual, where))
    bottom, top = (round(z + side * height / 2, 9) + 0.0 for side in (-1, 1))
    try:
        return Thing(named[1], x, y, length, width, yaw, bottom, top, named[2] or "", round(1.0 - clear, 9))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _mover(model: ET.Element, frames: dict[str, Placed], where: str) -> Mover:
    """A moving obstacle as `world export` writes it: its ends are frames, its pose and velocity those at time 0."""
    name = model.get("name")
    (ax, ay), (bx, by) = frames[f"{name}_from"][:2], frames.get(f"{name}_to", frames[f"{name}_from"])[:2]
    (radius,) = _numbers(model.find("link/collision/geometry/cylinder/radius"), 1, f"{where}: radius")
    (velocity,) = _numbers(model.find("plugin/initial_velocity"), 1, f"{where}: initial_velocity", (0.0,))
    x, y, _, _ = _pose(model, where)
    length = math.dist((ax, ay), (bx, by))
    share = min(math.dist((ax, ay), (x, y)) / length, 1.0) if length else 0.0
    return Mover(radius, (ax, ay), (bx, by), abs(velocity), share / 2 if velocity >= 0 else 1 - share / 2)


def _add(
    collision: ET.Element,
    pose: Placed,
    where: str,
    cylinders: list[tuple[float, ...]],
    boxes: list[tuple[float, ...]],
) -> None:
    geometry = collision.find("geometry")
    shape = next(iter(geometry), None) if geometry is not None else None
    x, y, z, yaw = pose
    if shape is None or shape.tag == "plane":
        return
    if shape.tag == "cylinder":
        (radius,) = _numbers(shape.find("radius"), 1, f"{where}: radius")
        (length,) = _numbers(shape.find("length"), 1, f"{where}: length")
        if z + length / 2 > LOWEST:
            cylinders.append((x, y, radius))
    elif shape.tag == "box":
        size = _numbers(shape.find("size"), 3, f"{where}: size")
        if z + size[2] / 2 > LOWEST:
            boxes.append((x, y, size[0], size[1], yaw))
    else:
        raise ValueError(f"{where}: a <{shape.tag}>; only cylinders and boxes are read")


def bounded(
    name: str,
    start: Pose,
    goal: tuple[float, float],
    cylinders: Sequence[tuple[float, ...]],
    boxes: Sequence[tuple[float, ...]],
) -> World:
    """A world whose bounds lie MARGIN around all that is in it; obstacles given twice are kept once."""
    round_things = np.unique(np.array(cylinders, dtype=np.float64).reshape(-1, 3), axis=0)
    square_things = np.unique(np.array(boxes, dtype=np.float64).reshape(-1, 5), axis=0)
    half = 0.5 * np.hypot(square_things[:, 2], square_things[:, 3])
    points = np.concatenate(
        (
            np.array([[start.x, start.y], goal]),
            round_things[:, :2] - round_things[:, 2:],
            round_things[:, :2] + round_things[:, 2:],
            square_things[:, :2] - half[:, None],
            square_things[:, :2] + half[:, None],
        )
    )
    low, high = points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN
    bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return World(name, start, goal, bounds, round_things, square_things)


def read_arena(path: str | Path) -> list[World]:
    """Reads a polygon arena, one world for each start and its goal.

    JSON: {"polygons": [[[x, y], ...], ...], "starts": [[x, y, yaw], ...], "goals": [[x, y], ...]}; the first polygon
    may be the outer wall. Edges become boxes of WALL thickness: a polygon is hollow, but nothing gets in. As many
    goals as starts. ValueError names what is wrong, also a start or goal within a polygon; OSError where the file
    cannot be read.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object with polygons, starts and goals")
    polygons = [
        _rows(p, 2, f"{path}: polygon {i}") for i, p in enumerate(_list(content, "polygons", str(path)))
    ]
    starts = _rows(_list(content, "starts", str(path)), 3, f"{path}: starts")
    goals = _rows(_list(content, "goals", str(path)), 2, f"{path}: goals")
    if len(starts) != len(goals) or not starts:
        raise ValueError(
            f"{path}: {len(starts)} starts and {len(goals)} goals; expected as many, at least one"
        )
    for i, polygon in enumerate(polygons):
        if len(polygon) < 3:
            raise ValueError(f"{path}: polygon {i} has {len(polygon)} corners, expected 3 or more")
    boxes = [edge for polygon in polygons for edge in polygon_edges(polygon)]
    worlds = []
    for k, (start, goal) in enumerate(zip(starts, goals, strict=True)):
        for i, polygon in enumerate(polygons):
            within = [_inside(polygon, p[0], p[1]) for p in (start, goal)]
            if (i > 0 and any(within)) or within[0] != within[1]:
                raise ValueError(f"{path}: start {start} or goal {goal} (number {k}) lies in polygon {i}")
        name = f"{Path(path).stem}-{k}"
        worlds.append(bounded(name, Pose(*start), (goal[0], goal[1]), [], boxes))
    return worlds


def _list(content: dict[str, Any], key: str, where: str) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{where}: {key!r} must be a list")
    return value


def _rows(rows: Any, columns: int, where: str) -> list[list[float]]:
    if not isinstance(rows, list):
        raise ValueError(f"{where}: expected a list of points")
    out = []
    for row in rows:
        good = isinstance(row, list) and len(row) == columns
        if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in row):
            raise ValueError(f"{where}: {str(row)[:60]}, expected {columns} numbers")
        if not all(abs(v) < 1e6 for v in row):
            raise ValueError(f"{where}: {row}, expected finite metres and radians")
        out.append([float(v) for v in row])
    return out


def _inside(polygon: Sequence[Sequence[float]], x: float, y: float) -> bool:
    """Whether a point lies in a polygon: an odd number of edges cross the ray to its right."""
    odd = False
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            odd = not odd
    return odd


def write_npz(file: str | Path | BinaryIO, world: World) -> None:
    """Writes a world as an .npz file of arrays, exactly.

    name (), start (3,) x, y, yaw, goal (2,), bounds (4,), cylinders (n, 3), boxes (n, 5), movers (n, 10) rows of Mover,
    patches (n, 6): x, y, length, width, yaw, forbidden, with patch_kinds (n,), and things (n, 10) rows of Thing, each
    as in World. OSError where the file cannot be written.
    """
    movers = [m.row for m in world.movers]
    with open(file, "wb") if isinstance(file, str | Path) else contextlib.nullcontext(file) as stream:
        np.savez_compressed(
            stream,
            name=np.array(world.name),
            start=np.array((world.start.x, world.start.y, world.start.yaw)),
            goal=np.array(world.goal),
            bounds=np.array(world.bounds),
            cylinders=world.cylinders,
            boxes=world.boxes,
            movers=np.array(movers, dtype=np.float64).reshape(-1, 10),
            patches=np.array([(*p.rectangle, p.forbidden) for p in world.patches], np.float64).reshape(-1, 6),
            patch_kinds=np.array([p.kind for p in world.patches], dtype="U32"),
            things=np.array([t.row for t in world.things], dtype=np.float64).reshape(-1, ROW),
        )


_SHAPES: dict[str, tuple[int | None, ...]] = {
    "start": (3,), "goal": (2,), "bounds": (4,), "cylinders": (None, 3), "boxes": (None, 5), "movers": (None, None),
    "patches": (None, 6), "things": (None, ROW),
}  # fmt: skip


def read_npz(path: str | Path) -> World:
    """Reads a world that write_npz() wrote; ValueError names what is wrong, OSError where it cannot be read."""
    return world_of(files.read_npz(path, "an npz file of a world"), path)


def world_of(arrays: Mapping[str, NDArray[Any]], where: str | Path) -> World:
    """The world that write_npz() wrote as these arrays; `where` begins what a ValueError says."""
    # files of before there were patches and things have none
    none = {"patches": np.empty((0, 6)), "patch_kinds": np.empty(0, "U1"), "things": np.empty((0, ROW))}
    arrays = {**none, **arrays}
    missing = [key for key in ("name", *_SHAPES) if key not in arrays]
    if missing:
        raise ValueError(f"{where}: not an npz file of a world: no array {', '.join(missing)}")
    for key, shape in _SHAPES.items():
        found = arrays[key].shape
        if len(found) != len(shape) or shape[-1] not in (None, found[-1]) or arrays[key].dtype.kind not in "biuf":
            expected = ", ".join("n" if n is None else str(n) for n in shape)
            raise ValueError(f"{where}: {key} of shape {found}, expected numbers of shape ({expected})")
    kinds = arrays["patch_kinds"]
    if kinds.shape != arrays["patches"].shape[:1] or kinds.dtype.kind != "U":
        raise ValueError(
            f"{where}: patch_kinds of {kinds.dtype} {kinds.shape}, expected text of shape {arrays['patches'].shape[:1]}"
        )
    data = {key: arrays[key].astype(np.float64) for key in _SHAPES}
    (gx, gy), (low_x, low_y, high_x, high_y) = data["goal"].tolist(), data["bounds"].tolist()
    try:
        movers = [Mover.of(row) for row in data["movers"].tolist()]
        return World(
            str(arrays["name"]),
            Pose(*data["start"].tolist()),
            (gx, gy),
            (low_x, low_y, high_x, high_y),
            data["cylinders"],
            data["boxes"],
            tuple(movers),
            tuple(
                Patch(kind, x, y, length, width, yaw, bool(forbidden))
                for kind, (x, y, length, width, yaw, forbidden) in zip(
                    kinds.tolist(), data["patches"].tolist(), strict=True
                )
            ),
            tuple(Thing.of(row) for row in data["things"].tolist()),
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
