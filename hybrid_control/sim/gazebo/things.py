"""A world's things for Gazebo: each is a static model, whose name says what it is.

What Gazebo cannot show: a hole, as its ground is one plane; a dark plate marks its mouth, and nothing falls in. Of a
world's pane and wire its window, cameras and robots know like of anything; a lidar looks through them that has
LIDAR_MASK, as those of our robots do, from sdformat 12.5 on; an older one warns, and meets them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hybrid_control.sim.description import Placement
from hybrid_control.sim.gazebo.obstacles import PALETTE
from hybrid_control.sim.gazebo.sdf import add, add_geometry, add_material, add_pose, add_static
from hybrid_control.sim.model import PATCH_HEIGHT
from hybrid_control.sim.things import WHITE, ThingLook, bands
from hybrid_control.sim.worlds import Thing

GROUND = (0.55, 0.53, 0.49)  # the ground's colour
THROUGH = 1 << 2  # bit of visibility of what a lidar looks through; Gazebo itself uses the two below
LIDAR_MASK = (1 << 32) - 1 - THROUGH


def add_thing(element: ET.Element, number: int, thing: Thing, look: ThingLook) -> None:
    """A thing. read_gazebo() reads it by the name and the first visual, which of a hole lies below the ground."""
    link = add_static(element, f"thing{number}_{thing.kind}" + (f"_{thing.look}" if thing.look else ""))
    if thing.kind in ("low", "overhang", "pane"):
        collision = add(link, "collision", name=f"thing{number}")  # as the contact sensor tells it
        _shape(collision, thing)
    colour = look.colour
    if look.material == "ground":
        red, green, blue = GROUND
    elif look.material:
        red, green, blue = PALETTE[int(look.material.removeprefix("look")) % len(PALETTE)]
    else:
        red = green = blue = 1.0
    paint = (red * colour[0], green * colour[1], blue * colour[2])
    _visual(link, "thing", thing, paint, thing.opacity, thing.kind in ("pane", "wire"))
    if thing.kind == "hole":
        x, y, length, width, yaw = thing.rectangle
        mouth = Thing("low", x, y, length, width, yaw, 0.0, PATCH_HEIGHT)
        _visual(link, "mouth", mouth, (0.3 * red, 0.3 * green, 0.3 * blue))
    elif thing.look == "cone":
        for k, band in enumerate(bands(thing)):
            _visual(link, f"band{k}", band, WHITE, thing.opacity, thing.kind in ("pane", "wire"))


def _shape(parent: ET.Element, thing: Thing) -> None:
    add_pose(parent, Placement((thing.x, thing.y, (thing.bottom + thing.top) / 2), (0.0, 0.0, thing.yaw)))
    add_geometry(parent, "box", (thing.length, thing.width, thing.top - thing.bottom))


def _visual(
    link: ET.Element,
    name: str,
    thing: Thing,
    colour: tuple[float, float, float],
    opacity: float = 1.0,
    through: bool = False,
) -> None:
    visual = add(link, "visual", name=name)
    _shape(visual, thing)
    add_material(visual, (*colour, 1.0))
    if opacity < 1.0:
        add(visual, "transparency", 1.0 - opacity)
    if through:
        add(visual, "visibility_flags", THROUGH)
    add(visual, "cast_shadows", False)
