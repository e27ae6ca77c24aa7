"""MuJoCo models of strangers as worlds. MuJoCo compiles one in a process of its own, with limits on time and memory.

    python -m hybrid_control.sim.worlds.mjcf FILE START GOAL

writes the world as an .npz file on standard output; START and GOAL are JSON.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from pathlib import Path

from hybrid_control.files import arrays_of, in_child, keep_limits, read_xml
from hybrid_control.signals import Pose
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.worlds.files import LOWEST, bounded, world_of, write_npz
from hybrid_control.sim.worlds.movers import Mover
from hybrid_control.sim.worlds.patch import Patch
from hybrid_control.sim.worlds.thing import Thing
from hybrid_control.sim.worlds.world import World

THING = re.compile(r"thing\d+")  # geoms of things, which <custom> describes


def read_mjcf(path: str | Path, start: Pose | None = None, goal: tuple[float, float] | None = None) -> World:
    """Reads a MuJoCo model whose obstacles are upright cylinders and boxes that do not move by themselves.

    Every geom of a body without joints that touches others counts; a plane, and what lies below 0.05 m, is ground.
    start, goal: where none are given the place of the body "robot" and of the geom "goal_pole", as `world export`
    writes them; bounds and the trips of moving obstacles are read from its <custom> elements, where there are any.
    ValueError for a file that is none or names other files, for another shape, a tilted one, or where start or goal
    are not known; OSError where it cannot be read.
    """
    for element in read_xml(path, "a MuJoCo model").iter():
        if element.tag == "include" or "file" in element.attrib:
            raise ValueError(f"{path}: <{element.tag}> names another file, which is not read")
    given = [None if start is None else (start.x, start.y, start.yaw), goal]
    words = [str(path), *(json.dumps(value) for value in given)]
    return world_of(arrays_of(in_child("hybrid_control.sim.worlds.mjcf", words, where=path, seconds=10.0), path), path)


def _read_here(path: str | Path, start: Pose | None = None, goal: tuple[float, float] | None = None) -> World:
    """As `read_mjcf`, within this process."""
    mujoco = import_mujoco()
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: not a MuJoCo model: {' '.join(str(error).split())[:200]}") from None
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    named, kinds = mujoco.mj_name2id, mujoco.mjtGeom
    plane, cylinder, box = int(kinds.mjGEOM_PLANE), int(kinds.mjGEOM_CYLINDER), int(kinds.mjGEOM_BOX)
    numbers = {}
    for i in range(model.nnumeric):
        at, size = model.numeric_adr[i], model.numeric_size[i]
        key = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_NUMERIC, i)
        numbers[key] = model.numeric_data[at : at + size].tolist()
    movers: list[Mover] = []
    things: list[Thing] = []
    try:
        while len(row := numbers.get(f"mover{len(movers)}", ())):
            movers.append(Mover.of(row))
        while len(row := numbers.get(f"thing{len(things)}", ())):
            things.append(Thing.of(row))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    patches: list[Patch] = []
    while len(row := numbers.get(f"patch{len(patches)}", ())) == 6:
        text = named(model, mujoco.mjtObj.mjOBJ_TEXT, f"patch{len(patches)}")
        begin = model.text_adr[text] if text >= 0 else 0
        kind = bytes(model.text_data)[begin:].split(b"\0")[0].decode("utf-8", "replace") if text >= 0 else ""
        try:
            x, y, length, width, yaw, forbidden = row
            patches.append(Patch(kind, x, y, length, width, yaw, bool(forbidden)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    cylinders: list[tuple[float, ...]] = []
    boxes: list[tuple[float, ...]] = []
    for i in range(model.ngeom):
        body = model.geom_bodyid[i]
        touches = model.geom_contype[i] or model.geom_conaffinity[i]
        moves = model.body_weldid[body] != 0 and model.body_mocapid[body] < 0
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, i) or f"geom {i}"
        if not touches or moves or model.geom_type[i] == plane:
            continue
        if (model.body_mocapid[body] >= 0 and movers) or (things and THING.fullmatch(name)):
            continue
        (x, y, z), axes = data.geom_xpos[i].tolist(), data.geom_xmat[i].reshape(3, 3)
        size = model.geom_size[i].tolist()
        if model.geom_type[i] not in (cylinder, box):
            raise ValueError(f"{path}: {name!r} is neither a cylinder nor a box, and only these are read")
        if abs(axes[2, 2]) < 1 - 1e-6:
            raise ValueError(f"{path}: {name!r} is tilted; only upright cylinders and boxes are read")
        is_box = model.geom_type[i] == box
        if z + size[2 if is_box else 1] <= LOWEST:
            continue
        if is_box:
            yaw = math.atan2(axes[1, 0], axes[0, 0])
            boxes.append((x, y, 2 * size[0], 2 * size[1], yaw))
        else:
            cylinders.append((x, y, size[0]))
    robot = named(model, mujoco.mjtObj.mjOBJ_BODY, "robot")
    if start is None and robot >= 0:
        (x, y, _), axes = data.xpos[robot].tolist(), data.xmat[robot].reshape(3, 3)
        start = Pose(x, y, math.atan2(axes[1, 0], axes[0, 0]))
    pole = named(model, mujoco.mjtObj.mjOBJ_GEOM, "goal_pole")
    if goal is None and pole >= 0:
        gx, gy, _ = data.geom_xpos[pole].tolist()
        goal = (gx, gy)
    if start is None or goal is None:
        raise ValueError(
            f"{path}: no body 'robot' or no geom 'goal_pole' in it, so start and goal must be given"
        )
    read = bounded(Path(path).stem, start, goal, cylinders, boxes)
    bounds = numbers.get("bounds", [])
    edges = (bounds[0], bounds[1], bounds[2], bounds[3]) if len(bounds) == 4 else read.bounds
    more = tuple(movers), tuple(patches), tuple(things)
    return World(read.name, start, goal, edges, read.cylinders, read.boxes, *more)


def _main(path: str, start: str, goal: str) -> None:
    place, aim = json.loads(start), json.loads(goal)
    world = _read_here(path, Pose(*place) if place else None, tuple(aim) if aim else None)
    stream = io.BytesIO()
    write_npz(stream, world)
    sys.stdout.buffer.write(stream.getvalue())


if __name__ == "__main__":
    keep_limits()
    try:
        _main(*sys.argv[1:4])
    except (ValueError, OSError) as refused:
        print(refused, file=sys.stderr)
        sys.exit(1)
