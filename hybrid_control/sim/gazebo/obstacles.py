"""Obstacles of a world for Gazebo: all that stands, in one model, and what moves, on rails."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from hybrid_control.sim.description import Placement, ball_inertia
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.gazebo.sdf import add, add_geometry, add_material, add_plugin, add_pose, add_static
from hybrid_control.sim.model import Look
from hybrid_control.sim.urdf import text
from hybrid_control.sim.worlds import Mover, World

# One colour for each of the embedded simulator's materials; tinted for each obstacle
PALETTE = (
    (0.85, 0.30, 0.25),
    (0.30, 0.55, 0.85),
    (0.90, 0.75, 0.30),
    (0.35, 0.65, 0.35),
    (0.60, 0.45, 0.75),
    (0.80, 0.55, 0.35),
    (0.45, 0.45, 0.50),
    (0.30, 0.70, 0.70),
)
FOOT = 0.26  # m; up to here an obstacle is darker: just below the rover's camera, so that it is seen from close by
MOVER_MASS = 1000.0  # kg; a robot that it runs into does not turn it aside
MOVER_GAP = 0.03  # m to the ground, on which it would otherwise rub
RAIL_MARGIN = 2.0  # m


def add_obstacles(element: ET.Element, world: World, looks: Sequence[Look]) -> None:
    """All that stands, in one model: hundreds of models cost Gazebo memory and time that one does not."""
    if not looks:
        return
    link = add_static(element, "obstacles")
    solids: list[tuple[str, str, tuple[float, ...], Placement]] = []
    for i, (x, y, radius) in enumerate(world.cylinders.tolist()):
        solids.append((f"cylinder{i}", "cylinder", (radius,), Placement((x, y, 0.0))))
    for i, (x, y, length, width, yaw) in enumerate(world.boxes.tolist()):
        solids.append((f"box{i}", "box", (length, width), Placement((x, y, 0.0), (0.0, 0.0, yaw))))
    for (name, kind, size, at), look in zip(solids, looks, strict=True):
        x, y, _ = at.xyz
        collision = add(link, "collision", name=name)
        add_pose(collision, Placement((x, y, look.height / 2), at.rpy))
        add_geometry(collision, kind, (*size, look.height))
        if world.movers:
            _meets(collision, 1)
        _add_looks(link, name, kind, size, at, (0.0, look.height), look)


def _add_looks(
    link: ET.Element,
    name: str,
    kind: str,
    size: Sequence[float],
    at: Placement,
    span: tuple[float, float],
    look: Look,
) -> None:
    """What is drawn of an obstacle from the lower to the upper end of its span. at: of the ground below it.

    It has two colours: a camera close to one of a single colour would see nothing at all.
    """
    x, y, ground = at.xyz
    for part, low, high, shade in (("foot", span[0], FOOT, 0.5), ("visual", FOOT, span[1], 1.0)):
        visual = add(link, "visual", name=f"{name}_{part}")
        add_pose(visual, Placement((x, y, ground + (low + high) / 2), at.rpy))
        add_geometry(visual, kind, (*size, high - low))
        add_material(visual, _colour(look, shade))
        add(visual, "cast_shadows", False)


def _meets(collision: ET.Element, mask: int) -> None:
    """Lets a solid meet only those that share a bit with it; a robot has all 16."""
    add(add(add(collision, "surface"), "contact"), "collide_bitmask", mask)


def _colour(look: Look, shade: float = 1.0) -> tuple[float, float, float, float]:
    hue = PALETTE[look.material % len(PALETTE)]
    red, green, blue = (shade * c * t for c, t in zip(hue, look.tint, strict=True))
    return red, green, blue, 1.0


def add_mover(element: ET.Element, to: Release, number: int, mover: Mover, look: Look, step: float) -> None:
    """An obstacle that walks to and fro: it slides on a rail whose velocity turns round each time the trip is over.

    Gazebo has no such obstacle. The clock triggers the first turn, and each turn the next one, a trip later. It meets
    robots and goes through everything else, as in the embedded simulator. The rail is longer than the way: a joint
    that reaches its end would stick there. ValueError for a mover that does more than walk to and fro.
    """
    name = f"mover{number}"
    if mover.kind != "patrol" or mover.trigger or mover.pause:
        raise ValueError(
            f"{name}: kind {mover.kind!r}, trigger {mover.trigger:g} m, pause {mover.pause:g} s; in Gazebo movers walk "
            "to and fro without a halt alone: export as .npz or .xml"
        )
    length = math.dist(mover.a, mover.b)
    trip_ms = round(length / mover.speed * 1e3) if mover.speed > 0 else 0
    x, y = mover.at(0.0)
    model = add(element, "model", name=name)
    add_pose(model, Placement((x, y, look.height / 2)))
    link = add(model, "link", name="link")
    inertial = add(link, "inertial")
    add(inertial, "mass", MOVER_MASS)
    inertia = add(inertial, "inertia")
    for tag, moment in zip(("ixx", "iyy", "izz"), ball_inertia(MOVER_MASS, 1.0), strict=True):
        add(inertia, tag, moment)
    collision = add(link, "collision", name=name)
    add_geometry(collision, "cylinder", (mover.radius, look.height - 2 * MOVER_GAP))
    _meets(collision, 2 << number % 15)
    span = (MOVER_GAP, look.height - MOVER_GAP)
    ground = Placement((0.0, 0.0, -look.height / 2))
    _add_looks(link, name, "cylinder", (mover.radius,), ground, span, look)
    for frame, (px, py) in ((f"{name}_from", mover.a), (f"{name}_to", mover.b)):
        add_pose(add(element, "frame", name=frame), Placement((px, py, 0.0)))

    (ax, ay), (bx, by) = mover.a, mover.b
    done = math.dist(mover.a, (x, y))
    rail = add(model, "joint", name="rail", type="prismatic" if length else "fixed")
    add(rail, "parent", "world")
    add(rail, "child", "link")
    if not length or not trip_ms:
        return
    axis = add(rail, "axis")
    add(axis, "xyz", text(((bx - ax) / length, (by - ay) / length, 0.0)))
    limit = add(axis, "limit")
    add(limit, "lower", -done - RAIL_MARGIN)
    add(limit, "upper", length - done + RAIL_MARGIN)
    away = mover.phase % 1.0 < 0.5  # from a to b
    speed = length / trip_ms * 1e3
    control = {
        "joint_name": "rail",
        "initial_velocity": speed if away else -speed,
        "topic": f"/{name}/velocity",
    }
    add_plugin(model, to, "joint-controller", "JointController", control)

    def turn(
        delay_ms: int, topic: str, kind: str, matches: Mapping[str, int], end: str, speed: float
    ) -> None:
        """When the message comes, and the delay is over: announce the end that is reached, and go back from it."""
        plugin = ET.SubElement(
            model,
            "plugin",
            filename=to.plugin.format("triggered-publisher"),
            name=to.system.format("TriggeredPublisher"),
        )
        heard = add(plugin, "input", type=f"{to.messages}.{kind}", topic=topic)
        for field, value in matches.items():
            add(heard, "match", value, field=field)
        if delay_ms:
            add(plugin, "delay_ms", delay_ms)
        add(plugin, "output", type=f"{to.messages}.Empty", topic=f"/{name}/{end}")
        velocity = f"data: {text((speed,))}"
        add(plugin, "output", velocity, type=f"{to.messages}.Double", topic=f"/{name}/velocity")

    left = (0.5 if away else 1.0) - mover.phase % 1.0  # of the round trip, to the first turn
    step_ns = round(step * 1e9)
    first_ns = max(1, round(left * 2 * trip_ms * 1e6 / step_ns)) * step_ns
    seconds, nanoseconds = divmod(first_ns, 1_000_000_000)
    when = {"sim.sec": seconds, "sim.nsec": nanoseconds}
    turn(0, "/clock", "Clock", when, "to" if away else "from", -speed if away else speed)
    turn(trip_ms, f"/{name}/to", "Empty", {}, "from", speed)
    turn(trip_ms, f"/{name}/from", "Empty", {}, "to", -speed)
