"""A URDF robot: its links' collision shapes, its wheels, and where its sensors are."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hybrid_control.sim.robots.files.expand import home, package_folder, within
from hybrid_control.sim.robots.files.found import (
    ALIGNED,
    FAR,
    HERE,
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
    frame_of,
    is_aslant,
    joined,
    points_extent,
    rolling_size,
    spans_the_plane,
    wheel_size,
)
from hybrid_control.sim.robots.files.stl import read_stl
from hybrid_control.sim.robots.files.tags import read_plugin, read_sensor

MOST_LINKS = 1000
NAMES = {  # of links, as the field names them
    "lidar": ("base_scan", "lidar", "laser", "scan", "hokuyo", "rplidar", "velodyne"),
    "camera": ("camera",),
    "imu": ("imu",),
}


def _numbers(element: ET.Element, name: str, count: int, default: Sequence[float] | None, where: str) -> np.ndarray:
    """The numbers of an attribute; ValueError where they are not `count` finite ones of a robot's size."""
    text = element.get(name)
    if text is None and default is not None:
        return np.array(default, np.float64)
    words = (text or "").split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.empty(0)
    if values.size != count or not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > 1e6:
        raise ValueError(f'{where}: {name}="{text or ""}"; expected {count} finite numbers')
    return values


def _origin(element: ET.Element, where: str) -> Frame:
    origin = element.find("origin")
    if origin is None:
        return HERE
    xyz = _numbers(origin, "xyz", 3, (0.0, 0.0, 0.0), f"{where}: <origin>")
    if np.abs(xyz).max() > FAR:
        raise ValueError(f"{where}: <origin> lies more than {FAR:g} m away; expected metres")
    return frame_of(xyz, _numbers(origin, "rpy", 3, (0.0, 0.0, 0.0), f"{where}: <origin>"))


class _Joint:
    """A joint: kind, the links that it holds together, where it is in the parent, and its axis there, (3,)."""

    def __init__(self, element: ET.Element, path: Path) -> None:
        self.name = element.get("name", "")
        self.where = f"{path}: joint {self.name!r}"
        self.kind = element.get("type", "")
        self.parent, self.child = (self._link(element, tag) for tag in ("parent", "child"))
        self.at = _origin(element, self.where)
        axis = element.find("axis")
        self.axis = (
            np.array((1.0, 0.0, 0.0)) if axis is None else _numbers(axis, "xyz", 3, None, f"{self.where}: <axis>")
        )
        length = float(np.linalg.norm(self.axis))
        if length < 1e-9 and self.kind not in ("fixed", "floating"):
            raise ValueError(f"{self.where}: an axis of no length; expected a direction such as 0 1 0")
        self.axis = self.axis / max(length, 1e-9)
        limit = element.find("limit")
        self.limits = {} if limit is None else {
            name: float(_numbers(limit, name, 1, (0.0,), f"{self.where}: <limit>")[0])
            for name in ("lower", "upper", "effort", "velocity")
        }  # fmt: skip

    def _link(self, element: ET.Element, tag: str) -> str:
        found = element.find(tag)
        name = "" if found is None else found.get("link", "")
        if not name:
            raise ValueError(f"{self.where}: no <{tag} link=...>; expected the name of a link")
        return name

    @property
    def turns_on(self) -> bool:
        """Whether it turns without end, or nearly so."""
        if self.kind == "revolute":
            return self.limits.get("upper", 0.0) - self.limits.get("lower", 0.0) >= 4.0 * math.pi
        return self.kind == "continuous"


class _Tree:
    """Links and joints of a file, and where each link is in the base."""

    def __init__(self, root: ET.Element, path: Path) -> None:
        self.path = path
        links = root.findall("link")
        if not 0 < len(links) <= MOST_LINKS:
            raise ValueError(f"{path}: {len(links)} links; expected 1 .. {MOST_LINKS}")
        self.links = {link.get("name", ""): link for link in links}
        self.joints: dict[str, _Joint] = {}
        for element in root.findall("joint"):
            joint = _Joint(element, path)
            if joint.parent not in self.links or joint.child not in self.links:
                missing = joint.child if joint.parent in self.links else joint.parent
                raise ValueError(f"{joint.where}: there is no link {missing!r}")
            if joint.child in self.joints:
                raise ValueError(f"{joint.where}: {joint.child!r} is held by {self.joints[joint.child].name!r} already")
            self.joints[joint.child] = joint
        roots = [name for name in self.links if name not in self.joints]
        if len(roots) != 1:
            raise ValueError(f"{path}: {len(roots)} links that no joint holds; expected one, the root")
        self.root = roots[0]
        self.base = next((n for n in self.links if n.split("/")[-1].endswith("base_link")), self.root)
        from_root = {name: self._from_root(name) for name in self.links}
        back = from_root[self.base].inverse()
        self.frames = {name: back @ frame for name, frame in from_root.items()}

    def above(self, link: str) -> Iterator[_Joint]:
        """The joints from a link up to the root."""
        for _ in range(len(self.links)):
            if link not in self.joints:
                return
            yield self.joints[link]
            link = self.joints[link].parent
        raise ValueError(f"{self.path}: link {link!r} hangs on itself")

    def axis(self, link: str) -> FloatArray:
        """The axis of the joint that holds a link, (3,) in the base."""
        axis: FloatArray = self.frames[link].turn @ self.joints[link].axis
        return axis

    def rollers(self, link: str) -> list[str]:
        """The links that turn without end on one, as a mecanum wheel's rollers do."""
        return [name for name, joint in self.joints.items() if joint.parent == link and joint.turns_on]

    def _from_root(self, link: str) -> Frame:
        frame = HERE
        for joint in self.above(link):
            frame = joint.at @ frame
        return frame


def read_urdf(root: ET.Element, path: Path) -> Found:
    """What a URDF says, its <robot> element. ValueError in one line that names the element for what can't be."""
    if root.tag != "robot":
        raise ValueError(f"{path}: <{root.tag}> where <robot> was expected")
    tree = _Tree(root, path)
    found = Found(root.get("name", "") or path.stem)
    _planar(found, tree)
    for name in tree.links:
        _link(found, tree, name)
    for kind, names in NAMES.items():
        link = _named(tree, names)
        if link is not None:
            found.frames[kind] = tree.frames[link]
    for element in root.findall("gazebo"):
        link = element.get("reference", "")
        for sensor in element.findall("sensor"):
            read_sensor(found, sensor, tree.frames.get(link, HERE))
        for plugin in element.findall("plugin"):
            read_plugin(found, plugin)
    return found


def _planar(found: Found, tree: _Tree) -> None:
    """Note joints from the root on, up to the first link that holds several, which let all the rest move in the plane.
    """
    slides: list[FloatArray] = []
    turns: list[FloatArray] = []
    link, held = tree.root, [name for name, joint in tree.joints.items() if joint.parent == tree.root]
    while len(held) == 1:
        link = held[0]
        joint = tree.joints[link]
        if joint.kind == "planar" and abs(tree.axis(link)[2]) >= ALIGNED:
            found.moves_sideways(f"planar joint {joint.name}", planar=True)
        elif joint.kind == "prismatic":
            slides.append(tree.axis(link))
        elif joint.kind in ("continuous", "revolute"):
            turns.append(tree.axis(link))
        if spans_the_plane(slides, turns):
            found.moves_sideways(f"joints that slide and turn, up to {joint.name}", planar=True)
        held = [name for name, below in tree.joints.items() if below.parent == link]


def _named(tree: _Tree, names: Sequence[str]) -> str | None:
    """The link that is named so: wholly, as NAME_link or NAME_frame, or with it somewhere in its name."""
    links = [link for link in tree.links if "optical" not in link]
    for fits in (
        lambda link, name: link == name,
        lambda link, name: link in (f"{name}_link", f"{name}_frame"),
        lambda link, name: name in link.lower(),
    ):
        for name in names:
            for link in links:
                if fits(link, name):
                    return link
    return None


def _link(found: Found, tree: _Tree, name: str) -> None:
    """Take in a link: its mass, and its shapes as a wheel's or as the body's."""
    element, where = tree.links[name], f"{tree.path}: link {name!r}"
    mass_of = element.find("inertial/mass")
    mass = 0.0 if mass_of is None else float(_numbers(mass_of, "value", 1, None, f"{where}: <mass>")[0])
    if mass < 0.0:
        raise ValueError(f"{where}: a mass of {mass:g} kg; expected none below 0")
    found.mass += mass
    joint = tree.joints.get(name)
    solids = list(_solids(found, tree, name, "collision"))
    if joint is None or not _is_wheel(tree, name):
        # what rolls on a wheel is a part of that
        if joint is None or not (joint.turns_on and _is_wheel(tree, joint.parent)):
            found.body += solids
        return
    steering = _steering(tree, joint)
    rollers = tree.rollers(name)
    rolling = [s for roller in rollers for s in _solids(found, tree, roller, "collision")]
    seen = list(_solids(found, tree, name, "visual")) if all(s.round for s in solids) else []
    if not solids + rolling + seen:
        raise ValueError(f"{where}: a wheel without a shape; expected a <collision> with a cylinder")
    whole = joined([s.extent for s in solids + rolling or seen])
    radius, width = rolling_size(whole) if rolling else wheel_size(solids, seen)
    _sideways(found, tree, name, rollers)
    if steering is None:  # of a caster, which turns where it will
        reach = np.array((radius, radius, radius))
        found.body.append(Solid(Extent(whole.middle - reach, whole.middle + reach), round=True))
        return
    effort, speed = joint.limits.get("effort", 0.0), joint.limits.get("velocity", 0.0)
    place = np.array((*tree.frames[name].place[:1], whole.middle[1], tree.frames[name].place[2]))
    found.wheels.append(Wheel(name, place, radius, width, mass, effort, speed, steering))


def _is_wheel(tree: _Tree, name: str) -> bool:
    """Whether a link turns without end about y."""
    return name in tree.joints and tree.joints[name].turns_on and abs(tree.axis(name)[1]) >= ALIGNED


def _sideways(found: Found, tree: _Tree, wheel: str, rollers: Sequence[str]) -> None:
    """Note a mecanum wheel, by its rollers or by its name."""
    aslant = [roller for roller in rollers if is_aslant(tree.axis(roller), tree.axis(wheel))]
    if len(aslant) >= ROLLERS:
        found.moves_sideways(f"{len(aslant)} rollers aslant on {wheel}")
    elif "mecanum" in f"{wheel} {tree.joints[wheel].name}".lower():
        found.moves_sideways(f"the name of {wheel}")


def _steering(tree: _Tree, wheel: _Joint) -> float | None:
    """rad to either side that a wheel is steered by, 0 for not; None for a caster's."""
    for joint in tree.above(wheel.parent):
        upright = abs((tree.frames[joint.child].turn @ joint.axis)[2]) >= ALIGNED
        if upright and joint.turns_on:
            return None
        if upright and joint.kind == "revolute":
            return max(abs(joint.limits.get("lower", 0.0)), abs(joint.limits.get("upper", 0.0)))
    return 0.0


def _solids(found: Found, tree: _Tree, name: str, tag: str) -> Iterator[Solid]:
    for element in tree.links[name].findall(tag):
        where = f"{tree.path}: link {name!r}: <{tag}>"
        at = tree.frames[name] @ _origin(element, where)
        geometry = element.find("geometry")
        shape = None if geometry is None else next(iter(geometry), None)
        if shape is None:
            raise ValueError(f"{where}: no shape in its <geometry>; expected a box, cylinder, sphere or mesh")
        extent = _extent(found, shape, at, where, tree.path)
        if extent is None:
            continue
        if np.abs((extent.low, extent.high)).max() > FAR:
            raise ValueError(f"{where}: reaches farther than {FAR:g} m; expected metres")
        radius, length = (float(shape.get(name, "0")) for name in ("radius", "length"))
        yield Solid(extent, shape.tag == "sphere", radius, length)


def _extent(found: Found, shape: ET.Element, at: Frame, where: str, path: Path) -> Extent | None:
    here = f"{where}: <{shape.tag}>"
    if shape.tag == "mesh":
        return _mesh(found, shape, at, here, path)
    if shape.tag not in ("box", "cylinder", "capsule", "sphere"):
        raise ValueError(f"{here}: unknown shape; expected a box, cylinder, capsule, sphere or mesh")
    if shape.tag == "box":
        sizes = _numbers(shape, "size", 3, None, here)
    else:
        names = ("radius", "length") if shape.tag in ("cylinder", "capsule") else ("radius",)
        sizes = np.concatenate([_numbers(shape, name, 1, None, here) for name in names])
    if (sizes < 0.0).any():
        raise ValueError(f"{here}: a size below 0; expected metres")
    if shape.tag == "box":
        return box_extent(sizes, at)
    if shape.tag == "sphere":
        return ellipsoid_extent(np.repeat(sizes, 3), at)
    if shape.tag == "cylinder":
        return cylinder_extent(float(sizes[0]), float(sizes[1]), at)
    return capsule_extent(float(sizes[0]), float(sizes[1]), at)


def _mesh(found: Found, shape: ET.Element, at: Frame, where: str, path: Path) -> Extent | None:
    """Of a mesh's corners; None, with a note, where its file is not there or is no STL."""
    named = shape.get("filename", "")
    scale = _numbers(shape, "scale", 3, (1.0, 1.0, 1.0), where)
    try:
        return points_extent(read_stl(mesh_file(named, path)) * scale, at)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        found.unread.append(f"{where}: {named}: {reason}")
        return None


def mesh_file(named: str, path: Path) -> Path:
    """Where the mesh of that name is: a package:// of a folder above the robot's file, or a file of its own folder.

    ValueError for one elsewhere.
    """
    for start in ("package://", "model://"):
        if named.startswith(start):
            package, _, rest = named.removeprefix(start).partition("/")
            folder = package_folder(package, path)
            if folder is None:
                raise ValueError(f"no folder {package!r} above the robot's file")
            root, file = folder, folder / rest
            break
    else:
        root = home(path)
        file = path.resolve().parent / named.removeprefix("file://")
    if not within(file, [root.resolve()]):
        raise ValueError("lies outside the robot's folder and is not read")
    if file.suffix.lower() != ".stl":
        raise ValueError("is no STL, the only kind of mesh that is read")
    return file
