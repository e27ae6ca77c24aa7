"""A world for Gazebo: physics, light, ground, obstacles, and a beacon at the goal."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_control.signals import Pose
from hybrid_control.sim.description import Placement
from hybrid_control.sim.gazebo.obstacles import add_mover, add_obstacles
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.gazebo.sdf import (
    SDF_VERSION,
    add,
    add_friction,
    add_geometry,
    add_material,
    add_plugin,
    add_pose,
    add_static,
)
from hybrid_control.sim.gazebo.things import GROUND, add_thing
from hybrid_control.sim.model import LOOKS, PATCH_HEIGHT, Appearance, obstacle_looks
from hybrid_control.sim.things import thing_looks
from hybrid_control.sim.urdf import to_string
from hybrid_control.sim.worlds import Patch, World, in_frame
from hybrid_control.sim.worlds.patch import ground_look

SKY, AMBIENT = "0.7 0.82 0.95 1", "0.5 0.5 0.5 1"
BEACON = (1.0, 0.0, 0.9, 1.0)
BEACON_BOTTOM = 0.6  # m; the beacon begins above the lidar's plane, so that no beam meets it


@dataclass(frozen=True, slots=True)
class Physics:
    """How Gazebo steps. step: s of a physics step; real_time_factor: simulated seconds in a second, 0 for as fast as
    it goes; render_engine: ogre2, or ogre where ogre2 finds no OpenGL that suffices."""

    step: float = 0.002
    real_time_factor: float = 1.0
    render_engine: str = "ogre2"

    def __post_init__(self) -> None:
        if not 0.0001 <= self.step <= 0.02:
            raise ValueError(f"physics: a step of {self.step} s; expected 0.0001 .. 0.02 s")
        if not 0 <= self.real_time_factor <= 100:
            raise ValueError(f"physics: a real-time factor of {self.real_time_factor}; expected 0 .. 100")
        if self.render_engine not in ("ogre", "ogre2"):
            raise ValueError(f"physics: render engine {self.render_engine!r}; expected ogre2 or ogre")


def world_name(world: World) -> str:
    """A world's name as Gazebo allows it in its topics and services."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", world.name) or "world"


def world_sdf(
    world: World,
    to: Release,
    physics: Physics | None = None,
    robots: Sequence[tuple[ET.Element, Placement]] = (),
    appearance: Appearance | None = None,
) -> str:
    """A world as an SDF file: ground, light, a beacon at the goal, and all standing obstacles in one static model.

    robots: models with the places at which they stand. Frames named start, goal, bounds_low, bounds_high, and
    mover0_from and mover0_to of each obstacle that moves, carry what SDF has no words for; read_gazebo() reads them.
    """
    physics = physics or Physics()
    root = ET.Element("sdf", version=SDF_VERSION)
    element = add(root, "world", name=world_name(world))
    stepping = add(element, "physics", name="physics", type="ignored")
    add(stepping, "max_step_size", physics.step)
    add(stepping, "real_time_factor", physics.real_time_factor)
    for file, system in (
        ("physics", "Physics"),
        ("user-commands", "UserCommands"),
        ("scene-broadcaster", "SceneBroadcaster"),
        ("imu", "Imu"),
        ("contact", "Contact"),
    ):
        add_plugin(element, to, file, system)
    # cameras see the sky and the light that are said here, the window those of the scene
    drawing = {"render_engine": physics.render_engine, "background_color": SKY, "ambient_light": AMBIENT}
    add_plugin(element, to, "sensors", "Sensors", drawing)
    add(element, "gravity", "0 0 -9.81")
    scene = add(element, "scene")
    add(scene, "ambient", AMBIENT)
    add(scene, "background", SKY)
    add(scene, "shadows", False)
    add(scene, "grid", False)
    light = add(element, "light", name="sun", type="directional")
    add(light, "cast_shadows", False)
    add(light, "pose", "0 0 10 0 0 0")
    add(light, "diffuse", "0.7 0.7 0.7 1")
    add(light, "specular", "0.1 0.1 0.1 1")
    add(light, "direction", "0.3 0.4 -1")

    xmin, ymin, xmax, ymax = world.bounds
    for name, place in (
        ("start", Placement((world.start.x, world.start.y, 0.0), (0.0, 0.0, world.start.yaw))),
        ("goal", Placement((*world.goal, 0.0))),
        ("bounds_low", Placement((xmin, ymin, 0.0))),
        ("bounds_high", Placement((xmax, ymax, 0.0))),
    ):
        add_pose(add(element, "frame", name=name), place)

    _ground(element)
    appearance = appearance or Appearance()
    looks = obstacle_looks(world, appearance)
    standing = len(world.cylinders) + len(world.boxes)
    add_obstacles(element, world, looks[:standing])
    for i, (mover, look) in enumerate(zip(world.movers, looks[standing:], strict=True)):
        add_mover(element, to, i, mover, look, physics.step)
    for i, patch in enumerate(world.patches):
        _patch(element, i, patch)
    for i, (thing, own) in enumerate(zip(world.things, thing_looks(world, appearance.seed, LOOKS), strict=True)):
        add_thing(element, i, thing, own)
    _beacon(element, world)
    for model, at in robots:
        add_pose(model, at)
        element.append(model)
    return to_string(root)


def _ground(world: ET.Element) -> None:
    link = add_static(world, "ground")
    for tag in ("collision", "visual"):
        element = add(link, tag, name=tag)
        add_geometry(element, "plane", (100.0, 100.0))
        if tag == "collision":
            add_friction(element, 1.0)
        else:
            add_material(element, (*GROUND, 1.0))
            add(element, "cast_shadows", False)


def _patch(element: ET.Element, number: int, patch: Patch) -> None:
    """A patch of ground, to be seen and not to be touched; its name says what it is."""
    link = add_static(element, f"patch{number}_{patch.kind}_{'forbidden' if patch.forbidden else 'permitted'}")
    visual = add(link, "visual", name="patch")
    add_pose(visual, Placement((patch.x, patch.y, PATCH_HEIGHT / 2), (0.0, 0.0, patch.yaw)))
    add_geometry(visual, "box", (patch.length, patch.width, PATCH_HEIGHT))
    add_material(visual, (*ground_look(patch.kind).first, 1.0))
    add(visual, "cast_shadows", False)


def _beacon(element: ET.Element, world: World) -> None:
    link = add_static(element, "goal_beacon")
    top = 3.5
    for name, kind, size, z in (
        ("pole", "cylinder", (0.06, top - BEACON_BOTTOM), (top + BEACON_BOTTOM) / 2),
        ("ball", "sphere", (0.3,), top),
    ):
        visual = add(link, "visual", name=name)
        add_pose(visual, Placement((*world.goal, z)))
        add_geometry(visual, kind, size)
        add_material(visual, BEACON, glows=True)
        add(visual, "cast_shadows", False)


def goal_in_odometry(world: World, start: Pose | None = None) -> tuple[float, float]:
    """The goal (x, y) m in the odometry's frame of a robot that starts at the world's start or another pose.

    Gazebo's wheel odometry begins at the origin; the embedded simulator's begins at the robot's true pose.
    """
    at = in_frame(start or world.start, *world.goal)
    return at.x, at.y
