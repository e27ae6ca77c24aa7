"""A robot of a MuJoCo model: what MuJoCo makes of it, in a process of its own with limits on time and memory.

    python -m hybrid_control.sim.robots.files.mjcf FILE

writes what was found as JSON on standard output.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.files import in_child, keep_limits, read_xml
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots.files.expand import home, within
from hybrid_control.sim.robots.files.found import (
    ALIGNED,
    FAR,
    ROLLERS,
    Extent,
    FloatArray,
    Found,
    Frame,
    Solid,
    Wheel,
    box_extent,
    capsule_extent,
    cylinder_extent,
    ellipsoid_extent,
    is_aslant,
    joined,
    points_extent,
    rolling_size,
    spans_the_plane,
    wheel_size,
)

MOST_FILES = 64
NAMES = {"lidar": ("lidar", "laser", "scan"), "imu": ("imu",)}  # of sites
LOOKS = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])  # x, y, z of what a camera's frame looks along


def read_mjcf(path: Path) -> Found:
    """What a MuJoCo model says of the robot in it: of its first body that moves freely, or its first body.

    ValueError for a file that is none, or names files outside its folder; OSError where it can't be read.
    """
    _check_files(path)
    said = in_child("hybrid_control.sim.robots.files.mjcf", [str(path)], where=path, seconds=10.0)
    return _from_plain(json.loads(said))


def _check_files(path: Path) -> None:
    """Whatever files it names, and those that these include, must lie in its package or folder."""
    root, base, waiting, seen = home(path), path.resolve().parent, [path], 0
    while waiting:
        here, seen = waiting.pop(), seen + 1
        if seen > MOST_FILES:
            raise ValueError(f"{path}: more than {MOST_FILES} files that include each other")
        elements = list(read_xml(here, "a MuJoCo model").iter())
        folders = {base}
        for compiler in (e for e in elements if e.tag == "compiler"):
            folders |= {base / compiler.get(name, "") for name in ("meshdir", "texturedir", "assetdir")}
        for element in elements:
            if element.tag in ("plugin", "extension"):
                raise ValueError(f"{path}: <{element.tag}>: plugins are not loaded")
            for name in (key for key in element.attrib if key.startswith("file")):
                named = element.get(name, "")
                if not all(within(folder / named, [root]) for folder in folders):
                    outside = f"names {named}, which is outside its folder and is not read"
                    raise ValueError(f"{path}: <{element.tag}> {outside}")
                if element.tag == "include":
                    waiting.append(base / named)


class _Model:
    """A compiled model, and what is asked of it."""

    def __init__(self, path: Path) -> None:
        self.lib: Any = import_mujoco()
        try:
            self.model = self.lib.MjModel.from_xml_path(str(path))
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path}: not a MuJoCo model: {' '.join(str(error).split())[:200]}") from None
        self.data = self.lib.MjData(self.model)
        self.lib.mj_kinematics(self.model, self.data)
        self.lib.mj_camlight(self.model, self.data)
        m = self.model
        free = [m.jnt_bodyid[j] for j in range(m.njnt) if m.jnt_type[j] == self.lib.mjtJoint.mjJNT_FREE]
        bodies = [b for b in range(1, m.nbody) if m.body_mocapid[b] < 0]
        if not bodies:
            raise ValueError(f"{path}: no body in it; expected the robot as a <body> of <worldbody>")
        self.root = int(free[0]) if free else bodies[0]
        self._back = self._frame(self.data.xmat[self.root], self.data.xpos[self.root]).inverse()

    def _frame(self, turn: Any, place: Any) -> Frame:
        return Frame(np.array(turn).reshape(3, 3), np.array(place))

    def frame(self, turn: Any, place: Any) -> Frame:
        """A frame of the world in the robot's base."""
        return self._back @ self._frame(turn, place)

    def name(self, kind: str, i: int) -> str:
        """Of an object, "" where it has none."""
        return self.lib.mj_id2name(self.model, getattr(self.lib.mjtObj, f"mjOBJ_{kind}"), i) or ""

    def above(self, body: int) -> list[int]:
        """The bodies from one up to the root, itself among them; empty for one that is not the robot's."""
        way = []
        while body > 0:
            way.append(body)
            if body == self.root:
                return way
            body = int(self.model.body_parentid[body])
        return []

    def hinges(self, body: int) -> list[tuple[int, FloatArray]]:
        """The hinges of a body, and their axes in the base."""
        return self._joints(body, self.lib.mjtJoint.mjJNT_HINGE)

    def slides(self, body: int) -> list[tuple[int, FloatArray]]:
        """The sliding joints of a body, and their axes in the base."""
        return self._joints(body, self.lib.mjtJoint.mjJNT_SLIDE)

    def _joints(self, body: int, kind: int) -> list[tuple[int, FloatArray]]:
        m, first = self.model, self.model.body_jntadr[body]
        return [
            (j, self._back.turn @ self.data.xaxis[j])
            for j in range(first, first + m.body_jntnum[body])
            if m.jnt_type[j] == kind
        ]

    def below(self, body: int) -> list[int]:
        """The bodies that a body holds."""
        return [b for b in range(1, self.model.nbody) if self.model.body_parentid[b] == body]

    def geoms(self, body: int) -> tuple[list[Solid], list[Solid]]:
        """Of a body's shapes those that touch, and the others."""
        m, first = self.model, self.model.body_geomadr[body]
        touching: tuple[list[Solid], list[Solid]] = [], []
        for geom in range(first, first + m.body_geomnum[body]):
            solid = self.solid(geom)
            if solid is not None:
                touching[0 if m.geom_contype[geom] | m.geom_conaffinity[geom] else 1].append(solid)
        return touching

    def turns_on(self, body: int) -> list[tuple[int, FloatArray]]:
        """Those of a body's hinges that turn without end."""
        return [(joint, axis) for joint, axis in self.hinges(body) if math.isinf(self.ends(joint))]

    def rolls(self, body: int) -> tuple[int, FloatArray] | None:
        """A body's hinge that turns without end about y, and its axis in the base; None where it is no wheel."""
        return next(((j, axis) for j, axis in self.turns_on(body) if abs(axis[1]) >= ALIGNED), None)

    def ends(self, joint: int) -> float:
        """rad to either side that a hinge turns at most; inf for one without end."""
        low, high = self.model.jnt_range[joint].tolist()
        limited = bool(self.model.jnt_limited[joint]) and high - low < 4.0 * math.pi
        return max(abs(low), abs(high)) if limited else math.inf

    def solid(self, geom: int) -> Solid | None:
        """A geom in the base; None for a plane."""
        m, kinds = self.model, self.lib.mjtGeom
        at = self.frame(self.data.geom_xmat[geom], self.data.geom_xpos[geom])
        size, kind = m.geom_size[geom], m.geom_type[geom]
        radius, length = float(size[0]), 2.0 * float(size[1])
        if kind == kinds.mjGEOM_BOX:
            return Solid(box_extent(2.0 * size, at))
        if kind == kinds.mjGEOM_SPHERE:
            return Solid(ellipsoid_extent(np.repeat(size[:1], 3), at), True, radius)
        if kind == kinds.mjGEOM_ELLIPSOID:
            return Solid(ellipsoid_extent(size, at))
        if kind == kinds.mjGEOM_CYLINDER:
            return Solid(cylinder_extent(radius, length, at), False, radius, length)
        if kind == kinds.mjGEOM_CAPSULE:
            return Solid(capsule_extent(radius, length, at), False, radius, length + 2.0 * radius)
        if kind == kinds.mjGEOM_MESH:
            mesh = m.geom_dataid[geom]
            first = m.mesh_vertadr[mesh]
            return Solid(points_extent(m.mesh_vert[first : first + m.mesh_vertnum[mesh]].astype(np.float64), at))
        return None

    def drive(self, joint: int) -> tuple[float, float]:
        """N m and rad/s at most of the velocity actuator of a joint; 0 for not said."""
        m = self.model
        for i in range(m.nu):
            if m.actuator_trntype[i] == self.lib.mjtTrn.mjTRN_JOINT and m.actuator_trnid[i, 0] == joint:
                effort = float(m.actuator_forcerange[i, 1]) if m.actuator_forcelimited[i] else 0.0
                # a velocity servo's bias is its gain, of the joint's speed
                servo = m.actuator_biasprm[i, 2] < 0.0 and m.actuator_biasprm[i, 1] == 0.0
                speed = float(m.actuator_ctrlrange[i, 1]) if servo and m.actuator_ctrllimited[i] else 0.0
                return effort, max(speed, 0.0)
        return 0.0, 0.0


def _read_here(path: Path) -> Found:
    """As `read_mjcf`, within this process."""
    model = _Model(path)
    m = model.model
    name = bytes(m.names).split(b"\0")[0].decode("utf-8", "replace")
    found = Found(name if name and name != "MuJoCo Model" else path.stem)
    found.mass = float(m.body_subtreemass[model.root])
    _planar(found, model)
    for body in range(1, m.nbody):
        if not model.above(body):
            continue
        solids, seen = model.geoms(body)
        if any(np.abs((s.extent.low, s.extent.high)).max() > FAR for s in solids):
            where = f"{path}: body {model.name('BODY', body)!r}"
            raise ValueError(f"{where}: reaches farther than {FAR:g} m; expected metres")
        _body(found, model, body, solids, seen)
    _sensors(found, model)
    return found


def _body(found: Found, model: _Model, body: int, solids: list[Solid], seen: list[Solid]) -> None:
    """Take in a body's shapes, as a wheel's or as the robot's. seen: of those that touch nothing."""
    rolls, parent = model.rolls(body), int(model.model.body_parentid[body])
    rollers = [(b, axis) for b in model.below(body) for _, axis in model.turns_on(b)]
    rolling = [s for b, _ in rollers for s in model.geoms(b)[0]]
    if rolls is None or not solids + rolling:
        if model.rolls(parent) is None or not model.turns_on(body):  # what rolls on a wheel is a part of that
            found.body += solids
        return
    steering = 0.0
    for above in model.above(body)[1:]:
        for joint, axis in model.hinges(above):
            if abs(axis[2]) >= ALIGNED:
                steering = model.ends(joint)
    whole = joined([s.extent for s in solids + rolling])
    radius, width = rolling_size(whole) if rolling else wheel_size(solids, seen)
    name = model.name("BODY", body)
    aslant = [b for b, axis in rollers if is_aslant(axis, rolls[1])]
    if len(aslant) >= ROLLERS:
        found.moves_sideways(f"{len(aslant)} rollers aslant on {name}")
    elif "mecanum" in f"{name} {model.name('JOINT', rolls[0])}".lower():
        found.moves_sideways(f"the name of {name}")
    if math.isinf(steering):  # a caster's, which turns where it will
        reach = np.array((radius, radius, radius))
        found.body.append(Solid(Extent(whole.middle - reach, whole.middle + reach), round=True))
        return
    mass = float(model.model.body_subtreemass[body])
    effort, speed = model.drive(rolls[0])
    found.wheels.append(Wheel(name, whole.middle, radius, width, mass, effort, speed, steering))


def _planar(found: Found, model: _Model) -> None:
    """Note joints from the root on, up to the first body that holds several, that let all the rest move in the plane,
    and the speeds of what drives them."""
    slides: list[tuple[int, FloatArray]] = []
    turns: list[tuple[int, FloatArray]] = []
    held = [model.root]
    while len(held) == 1:
        slides, turns = slides + model.slides(held[0]), turns + model.hinges(held[0])
        held = model.below(held[0])
        if not spans_the_plane([a for _, a in slides], [a for _, a in turns]):
            continue
        found.moves_sideways("joints that slide in the plane and turn", planar=True)
        for number, joints in (("max_speed", slides), ("max_yaw_rate", turns)):
            speeds = [speed for j, _ in joints if (speed := model.drive(j)[1]) > 0.0]
            if speeds:
                found.numbers[number] = min(speeds)
        return


def _sensors(found: Found, model: _Model) -> None:
    m, data = model.model, model.data
    for kind, names in NAMES.items():
        for i in range(m.nsite):
            if model.above(int(m.site_bodyid[i])) and any(n in model.name("SITE", i).lower() for n in names):
                found.frames[kind] = model.frame(data.site_xmat[i], data.site_xpos[i])
                break
    for i in range(m.ncam):
        if model.above(int(m.cam_bodyid[i])):
            seen = model.frame(data.cam_xmat[i], data.cam_xpos[i])
            found.frames["camera"] = Frame(seen.turn @ LOOKS, seen.place)
            across = 2.0 * math.atan(math.tan(0.5 * math.radians(float(m.cam_fovy[i]))) * 4.0 / 3.0)
            found.numbers["camera_hfov"] = across
            return


def _plain(found: Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "mass": found.mass,
        "body": [(*s.extent.low.tolist(), *s.extent.high.tolist(), s.round) for s in found.body],
        "wheels": [
            (w.name, *w.place.tolist(), w.radius, w.width, w.mass, w.effort, w.speed, w.steering) for w in found.wheels
        ],
        "frames": {kind: (f.turn.ravel().tolist(), f.place.tolist()) for kind, f in found.frames.items()},
        "numbers": found.numbers,
        "sideways": found.sideways,
        "planar": found.planar,
    }


def _from_plain(said: dict[str, Any]) -> Found:
    found = Found(said["name"], said["mass"], numbers=said["numbers"])
    found.sideways, found.planar = said["sideways"], said["planar"]
    for *edges, ball in said["body"]:
        found.body.append(Solid(Extent(np.array(edges[:3]), np.array(edges[3:])), bool(ball)))
    for name, x, y, z, *rest in said["wheels"]:
        found.wheels.append(Wheel(name, np.array((x, y, z)), *rest))
    for kind, (turn, place) in said["frames"].items():
        found.frames[kind] = Frame(np.array(turn).reshape(3, 3), np.array(place))
    return found


if __name__ == "__main__":
    keep_limits()
    try:
        sys.stdout.write(json.dumps(_plain(_read_here(Path(sys.argv[1])))))
    except (ValueError, OSError) as refused:
        print(refused, file=sys.stderr)
        sys.exit(1)
