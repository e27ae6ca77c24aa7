"""Pictures of 64 classes of objects, drawn by the embedded simulator: 4 forms × 4 markings × 4 colours.

An object is put together from MuJoCo's primitives and stands in one of the simulator's worlds, among walls and other
things; a robot's camera sees it. Everything follows from the seed.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import Pose
from hybrid_control.sim.camera import Camera
from hybrid_control.sim.mjcf import SCENERY, mjcf_text
from hybrid_control.sim.model import Appearance, build_mjcf
from hybrid_control.sim.mujoco_import import MuJoCo, import_mujoco
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.worlds import World

Picture = NDArray[np.uint8]

SIZE = 224  # pixels of a picture's side; each looks at 2 × 2 points
ROBOT = replace(
    JACKAL,
    camera_width=2 * SIZE,
    camera_height=2 * SIZE,
    camera_hfov=0.7,
    camera_z=0.3,
    camera_pitch=0.0,
)
# What makes it hard or easy, fixed by logistic regression on the pictures of seed 0.
HEIGHT = (0.55, 0.65)  # m, of an object
DISTANCE = (2.3, 2.9)  # of an object from the camera, in its heights
IN_VIEW = 0.32  # rad to either side of the camera's axis within which all of the object stands
BEHIND = 0.5  # m from the object to what stands behind it
#: Of an object's colour, which differs a little each time: in hue to either side of its class's, saturation and value.
HUE, SATURATION, VALUE = 0.02, (0.75, 0.95), (0.65, 0.95)
MUTED = 0.1  # of the colour that the simulator draws for ground, sky and other things; the rest of it is grey
LAMP = 0.4  # diffuse light from where the camera is, in the place of the simulator's 0.15


class Part(NamedTuple):
    """A primitive: MuJoCo's type, size and place, in heights of the object, which looks along x; euler in rad."""

    shape: str
    size: tuple[float, ...]
    at: tuple[float, float, float]
    euler: tuple[float, float, float] = (0.0, 0.0, 0.0)


def _wheel(x: float, y: float) -> Part:
    return Part("cylinder", (0.14, 0.05), (x, y, 0.14), (math.pi / 2, 0.0, 0.0))


#: The two bottles have the same parts in other proportions.
FORMS = {
    "armchair": (
        Part("box", (0.38, 0.36, 0.20), (0.0, 0.0, 0.24)),
        Part("box", (0.09, 0.46, 0.48), (-0.38, 0.0, 0.52)),
        Part("box", (0.38, 0.09, 0.29), (0.0, 0.38, 0.33)),
        Part("box", (0.38, 0.09, 0.29), (0.0, -0.38, 0.33)),
    ),
    "trolley": (
        Part("box", (0.46, 0.30, 0.22), (0.0, 0.0, 0.46)),
        *(_wheel(x, y) for x, y in product((-0.3, 0.3), (-0.3, 0.3))),
        Part("box", (0.03, 0.03, 0.22), (-0.43, 0.25, 0.78)),
        Part("box", (0.03, 0.03, 0.22), (-0.43, -0.25, 0.78)),
        Part("box", (0.04, 0.30, 0.04), (-0.43, 0.0, 0.96)),
    ),
    "tall bottle": (
        Part("cylinder", (0.20, 0.32), (0.0, 0.0, 0.32)),
        Part("ellipsoid", (0.20, 0.20, 0.14), (0.0, 0.0, 0.64)),
        Part("cylinder", (0.07, 0.15), (0.0, 0.0, 0.80)),
        Part("cylinder", (0.10, 0.04), (0.0, 0.0, 0.96)),
    ),
    "squat bottle": (
        Part("cylinder", (0.38, 0.26), (0.0, 0.0, 0.26)),
        Part("ellipsoid", (0.38, 0.38, 0.22), (0.0, 0.0, 0.52)),
        Part("cylinder", (0.15, 0.14), (0.0, 0.0, 0.78)),
        Part("cylinder", (0.21, 0.05), (0.0, 0.0, 0.95)),
    ),
}
#: Attributes of MuJoCo's texture, which goes REPEAT times around each part and up.
MARKINGS = {
    "plain": {"builtin": "flat"},
    "checked": {"builtin": "checker"},
    "gridded": {"builtin": "flat", "mark": "edge"},
    "speckled": {"builtin": "flat", "mark": "random", "random": "0.1"},
}
REPEAT = 2
#: Hues from 0 to 1.
COLOURS = {"red": 0.0, "yellow": 0.15, "green": 0.34, "blue": 0.62}


class Kind(NamedTuple):
    """A class of objects: keys of FORMS, MARKINGS and COLOURS."""

    form: str
    marking: str
    colour: str


KINDS = tuple(Kind(*names) for names in product(FORMS, MARKINGS, COLOURS))


@dataclass(frozen=True)
class Scene:
    """All of a picture but the object's class.

    world: with what stands around, the robot at its start; place: of the object, of `height` m; paint: its colour's
    difference in hue from that of its class, its saturation and its value; mark: value of its marking's grey.
    """

    world: World
    appearance: Appearance
    place: Pose
    height: float
    paint: tuple[float, float, float]
    mark: float


def scene_of(*seed: int) -> Scene:
    """A scene drawn by seeds: where the object stands and what it stands among, in which light."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(*HEIGHT)
    distance = height * rng.uniform(*DISTANCE)
    half = math.atan2(0.6 * height, distance)  # rad, of the object's width
    bearing = rng.uniform(-1.0, 1.0) * (IN_VIEW - half)
    eye = ROBOT.camera_x
    place = Pose(
        eye + distance * math.cos(bearing), distance * math.sin(bearing), rng.uniform(-math.pi, math.pi)
    )
    cylinders, boxes = [], []
    for _ in range(int(rng.integers(2, 7))):
        radius, away, side = rng.uniform(0.08, 0.35), rng.uniform(1.2, 6.0), rng.uniform(-0.7, 0.7)
        hidden = abs(side - bearing) < half + math.asin(radius / away)
        if hidden and away - radius < distance + 0.6 * height + BEHIND:
            continue
        x, y = eye + away * math.cos(side), away * math.sin(side)
        if rng.random() < 0.5:
            cylinders.append((x, y, radius))
        else:
            boxes.append((x, y, 1.4 * radius, rng.uniform(0.7, 1.4) * radius, rng.uniform(0.0, math.pi)))
    if rng.random() < 0.6:
        away = distance + 0.6 * height + BEHIND + rng.uniform(0.5, 3.0)
        boxes.append((eye + away, rng.uniform(-1.0, 1.0), 0.1, rng.uniform(2.0, 9.0), rng.uniform(-0.2, 0.2)))
    world = World(
        "objects", Pose(), (-8.0, 0.0), (-10.0, -10.0, 12.0, 10.0), np.array(cylinders), np.array(boxes)
    )
    seen = int(rng.integers(1 << 31))
    appearance = Appearance(seen, True, camera_tilt=0.02, camera_zoom=0.03, obstacle_height=(0.4, 1.6))
    paint = (rng.uniform(-HUE, HUE), rng.uniform(*SATURATION), rng.uniform(*VALUE))
    return Scene(world, appearance, place, height, paint, rng.uniform(0.85, 1.0))


def _add(model: ElementTree.Element, kind: Kind, scene: Scene) -> None:
    """Adds the object to a model."""
    shift, saturation, value = scene.paint
    colour = mjcf_text(*colorsys.hsv_to_rgb((COLOURS[kind.colour] + shift) % 1.0, saturation, value))
    mark = mjcf_text(scene.mark, scene.mark, scene.mark)
    asset, world = (_child(model, name) for name in ("asset", "worldbody"))
    texture = {"name": "object", "type": "2d", "width": "16", "height": "16", "rgb1": colour, "rgb2": mark}
    ElementTree.SubElement(asset, "texture", texture | MARKINGS[kind.marking], markrgb=mark)
    ElementTree.SubElement(
        asset, "material", name="object", texture="object", texrepeat=mjcf_text(REPEAT, REPEAT), specular="0.1",
        shininess="0.1",
    )  # fmt: skip
    x, y, yaw = scene.place.x, scene.place.y, scene.place.yaw
    body = ElementTree.SubElement(world, "body", pos=mjcf_text(x, y, 0.0), euler=mjcf_text(0.0, 0.0, yaw))
    for part in FORMS[kind.form]:
        ElementTree.SubElement(
            body, "geom", type=part.shape, size=mjcf_text(*(scene.height * s for s in part.size)),
            pos=mjcf_text(*(scene.height * p for p in part.at)), euler=mjcf_text(*part.euler),
            material="object", group=str(SCENERY), contype="0", conaffinity="0",
        )  # fmt: skip


def _mute(model: ElementTree.Element) -> None:
    """Leaves MUTED of their colour to a model's textures."""
    for texture in model.iter("texture"):
        for name in ("rgb1", "rgb2", "markrgb"):
            if name in texture.attrib:
                colour = np.array(texture.attrib[name].split(), np.float64)
                texture.set(name, mjcf_text(*(colour.mean() + MUTED * (colour - colour.mean()))))


def _child(model: ElementTree.Element, name: str) -> Any:
    return model.find(name)


def drawn(kind: Kind | None, scene: Scene) -> Picture:
    """A picture (SIZE, SIZE, 3), uint8, RGB, of a scene with an object of a class; None: without.

    GraphicsError where there is no off-screen GL.
    """
    tree = ElementTree.fromstring(build_mjcf(scene.world, ROBOT, scene.appearance, 0.002))
    _child(tree, "visual/quality").set("numstacks", "12")  # or an ellipsoid would be two cones
    _child(tree, "visual/headlight").set("diffuse", mjcf_text(LAMP, LAMP, LAMP))
    _mute(tree)
    if kind is not None:
        _add(tree, kind, scene)
    library = import_mujoco()
    model = library.MjModel.from_xml_string(ElementTree.tostring(tree, encoding="unicode"))
    data = library.MjData(model)
    library.mj_forward(model, data)
    camera = Camera(MuJoCo(library, model, data), "camera", 2 * SIZE, 2 * SIZE)
    try:
        frame = camera.frame()
    finally:
        camera.close()
    sums = frame.astype(np.uint16)
    sums = sums[::2] + sums[1::2]
    sums = sums[:, ::2] + sums[:, 1::2]
    return ((sums + 2) // 4).astype(np.uint8)
