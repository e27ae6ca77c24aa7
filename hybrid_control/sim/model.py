"""A world and a robot as a MuJoCo model (MJCF), with the looks that the camera sees, varied by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.sim.lens import Lens
from hybrid_control.sim.mjcf import HIDDEN, OBSTACLE, SCENERY, mjcf_text
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.textures import KINDS, SIZE, Surface, surfaces, texture
from hybrid_control.sim.things import ground_mesh, thing_looks, things_mjcf
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.patch import ground_look

LOOKS = 8  # different materials in one world
PATCH_HEIGHT = 0.004  # m, of a patch above the ground that it hides
SHADOW_PIXELS = 1024  # of the picture of what the sun meets, along a side
GROUNDS = ("checker", "flat", "gradient")  # patterns of the ground
NEAREST, FARTHEST = 0.01, 100.0  # m from a camera, within which it draws
EXTENT = 10.0  # m, of which MuJoCo has those as shares; it would take the world's own size


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a world looks. The seed decides the colours; `vary` lets light, textures and camera differ as well.

    camera_shift: m, camera_tilt: rad, camera_zoom: relative; the camera's pose and field of view are drawn
    within plus and minus these where `vary` is set. obstacle_height: m, drawn for each obstacle. ground: one of
    GROUNDS, where `vary` would draw one; "": that. textures: grounds, patches and obstacles look like materials, drawn
    by the seed, that `paint` puts into a compiled model; ground may then be one of textures.KINDS. shadows: whether the
    sun casts them. lens: what becomes of the camera's frames.
    """

    seed: int = 0
    vary: bool = False
    camera_shift: float = 0.03
    camera_tilt: float = 0.05
    camera_zoom: float = 0.05
    obstacle_height: tuple[float, float] = Vehicle.obstacle_height
    ground: str = ""
    textures: bool = False
    shadows: bool = False
    lens: Lens = Lens.clean

    def __post_init__(self) -> None:
        low, high = self.obstacle_height
        if not 0 < low <= high:
            raise ValueError(f"appearance: obstacle_height {self.obstacle_height} must be 0 < low <= high")
        grounds = tuple(KINDS) if self.textures else GROUNDS
        if self.ground not in ("", *grounds):
            raise ValueError(f"appearance: ground {self.ground!r}; there are {', '.join(grounds)}")


def _colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.95) -> str:
    return mjcf_text(*rng.uniform(low, high, 3))


def made_of(world: World, appearance: Appearance) -> dict[str, Surface]:
    """What the textures of a world's model are made of, by their names; nothing where it has plain ones."""
    if not appearance.textures:
        return {}
    return surfaces(appearance.seed, appearance.ground, [patch.kind for patch in world.patches], LOOKS)


def paint(model: Any, world: World, appearance: Appearance | None) -> None:
    """Draws the textures of a world into its compiled model, before a camera is made of it.

    They are no part of MJCF, which has patterns of the same size in their place.
    """
    for name, surface in made_of(world, appearance or Appearance()).items():
        place = model.texture(name).id
        begin, drawn = int(model.tex_adr[place]), texture(surface.kind, surface.seed)
        shape = model.tex_height[place], model.tex_width[place], model.tex_nchannel[place]
        if tuple(map(int, shape)) != drawn.shape:
            raise ValueError(f"model: the texture {name!r} is no {drawn.shape} picture")
        model.tex_data[begin : begin + drawn.size] = drawn.ravel()


def _looks(appearance: Appearance, made: Mapping[str, Surface], world: World) -> tuple[str, str, str, float]:
    """MJCF of drawing quality, light, and textures with materials: (visual, worldbody, asset) elements; and how often
    the ground's texture is repeated in 2 m."""
    rng = np.random.default_rng([appearance.seed, 1])
    if appearance.vary:
        ambient, diffuse = rng.uniform(0.15, 0.6), rng.uniform(0.3, 0.9)
        sun = mjcf_text(rng.uniform(-1, 1), rng.uniform(-1, 1), -rng.uniform(0.4, 1.5))
        zenith, horizon = _colour(rng, 0.3, 1.0), _colour(rng, 0.4, 1.0)
        ground, other, marks = _colour(rng), _colour(rng), _colour(rng)
        kind, repeat = str(rng.choice(GROUNDS)), rng.uniform(0.3, 2.5)
        kind = appearance.ground if appearance.ground in GROUNDS else kind
    else:
        ambient, diffuse, sun = 0.4, 0.6, "0.3 0.4 -1"
        zenith, horizon = "0.35 0.55 0.85", "0.85 0.92 1"
        ground, other, marks = "0.52 0.50 0.46", "0.60 0.58 0.54", "0.4 0.4 0.38"
        kind, repeat = "checker", 1.0
    if made:
        repeat = 2.0 / made["ground"].size
    xmin, ymin, xmax, ymax = world.bounds
    shadows, middle = "", "0 0 5"
    if appearance.shadows:  # within the world's bounds
        shadows = f'shadowclip="{mjcf_text(math.hypot(xmax - xmin, ymax - ymin) / 2 / EXTENT)}"'
        middle = mjcf_text((xmin + xmax) / 2, (ymin + ymax) / 2, 5.0)
    # Shadows, multisampling and finely cut cylinders would take most of a frame that is drawn in software.
    visual = f"""
        <quality shadowsize="{SHADOW_PIXELS if shadows else 0}" offsamples="0" numslices="16" numstacks="2"
          numquads="1"/>
        <map znear="{mjcf_text(NEAREST / EXTENT)}" zfar="{mjcf_text(FARTHEST / EXTENT)}" {shadows}/>
        <headlight ambient="{mjcf_text(ambient, ambient, ambient)}" diffuse="0.15 0.15 0.15" specular="0 0 0"/>"""
    light = f"""
        <light directional="true" castshadow="{"true" if shadows else "false"}" pos="{middle}" dir="{sun}"
          specular="0.05 0.05 0.05" diffuse="{mjcf_text(diffuse, diffuse, diffuse)}"/>"""
    asset = f"""
        <texture name="sky" type="skybox" builtin="gradient" rgb1="{zenith}" rgb2="{horizon}" width="64"
          height="384"/>
        <texture name="ground" type="2d" builtin="{kind}" rgb1="{ground}" rgb2="{other}" width="128"
          height="128" mark="random" markrgb="{marks}" random="0.01"/>
        <material name="ground" texture="ground" texrepeat="{mjcf_text(repeat, repeat)}" texuniform="true"
          specular="0"/>"""
    for i in range(LOOKS):
        kind = ("flat", "gradient", "checker", "flat")[i % 4]
        cube, size = kind == "gradient" and not made, SIZE if made else 32
        asset += f"""
        <texture name="look{i}" type="{"cube" if cube else "2d"}" builtin="{kind}" width="{size}"
          height="{size}" rgb1="{_colour(rng)}" rgb2="{_colour(rng)}" mark="{"random" if i % 2 else "none"}"
          markrgb="{_colour(rng)}" random="0.02"/>
        <material name="look{i}" texture="look{i}" specular="0.1" shininess="0.1"/>"""
    return visual, light, asset, repeat


@dataclass(frozen=True, slots=True)
class Look:
    """How an obstacle looks: height in m, a tint (red, green, blue), and the number of its material below LOOKS."""

    height: float
    tint: tuple[float, float, float]
    material: int


def obstacle_looks(world: World, appearance: Appearance) -> list[Look]:
    """The looks of a world's cylinders, boxes and movers (1.6 m high), in this order, drawn by the seed."""
    rng = np.random.default_rng([appearance.seed, 2])
    looks = []
    standing = len(world.cylinders) + len(world.boxes)
    for i in range(standing + len(world.movers)):
        height = rng.uniform(*appearance.obstacle_height) if i < standing else 1.6
        red, green, blue = rng.uniform(0.5, 1.0, 3).tolist()
        looks.append(Look(float(height), (red, green, blue), int(rng.integers(LOOKS))))
    return looks


def _obstacles(world: World, appearance: Appearance) -> str:
    """MJCF of all that can be run into. It touches the robot's footprint (bit 2), not its wheels (bit 1)."""
    looks = iter(obstacle_looks(world, appearance))

    def common(look: Look) -> str:
        material = f'material="look{look.material}" rgba="{mjcf_text(*look.tint, 1.0)}"'
        return f'group="{OBSTACLE}" contype="2" conaffinity="0" {material}'

    lines = []
    for i, (x, y, radius) in enumerate(world.cylinders):
        look = next(looks)
        half = look.height / 2
        shape = f'type="cylinder" size="{mjcf_text(radius, half)}" pos="{mjcf_text(x, y, half)}"'
        lines.append(f'<geom name="cylinder{i}" {shape} {common(look)}/>')
    for i, (x, y, length, width, yaw) in enumerate(world.boxes):
        look = next(looks)
        half = look.height / 2
        shape = f'type="box" size="{mjcf_text(length / 2, width / 2, half)}" pos="{mjcf_text(x, y, half)}"'
        lines.append(f'<geom name="box{i}" {shape} euler="{mjcf_text(0, 0, yaw)}" {common(look)}/>')
    for i, mover in enumerate(world.movers):
        look = next(looks)
        half = look.height / 2
        shape = f'type="cylinder" size="{mjcf_text(mover.radius, half)}" pos="{mjcf_text(0, 0, half)}"'
        lines.append(f'<body mocap="true" pos="{mjcf_text(*mover.at(0.0), 0.0)}">')
        lines.append(f'<geom name="mover{i}" {shape} {common(look)}/></body>')
    return "\n".join(lines)


def _patches(world: World, appearance: Appearance, made: Mapping[str, Surface]) -> tuple[str, str]:
    """MJCF of patches of ground and of their materials: (worldbody, asset). They lie too low to touch anything."""
    rng = np.random.default_rng([appearance.seed, 4])
    lines = asset = ""
    for kind in sorted({patch.kind for patch in world.patches}):
        look = ground_look(kind)
        light = rng.uniform(0.8, 1.2) if appearance.vary else 1.0
        first, second = (
            mjcf_text(*np.clip(np.array(colour) * light, 0, 1)) for colour in (look.first, look.second)
        )
        pixels = SIZE if made else 32
        dense = mjcf_text(2.0 / made[f"patch_{kind}"].size) if made else "4"
        opacity = mjcf_text(made[f"patch_{kind}"].opacity if made else 1.0)
        asset += f"""
        <texture name="patch_{kind}" type="2d" builtin="{look.pattern}" rgb1="{first}" rgb2="{second}" width="{pixels}"
          height="{pixels}"/>
        <material name="patch_{kind}" texture="patch_{kind}" texrepeat="{dense} {dense}" texuniform="true"
          specular="0" rgba="1 1 1 {opacity}"/>"""
    for i, patch in enumerate(world.patches):
        size = mjcf_text(patch.length / 2, patch.width / 2, PATCH_HEIGHT / 2)
        place = f'pos="{mjcf_text(patch.x, patch.y, PATCH_HEIGHT / 2)}" euler="{mjcf_text(0, 0, patch.yaw)}"'
        lines += f"""
        <geom name="patch{i}" type="box" size="{size}" {place} group="{SCENERY}" contype="0" conaffinity="0"
          material="patch_{patch.kind}"/>"""
    return lines, asset


def _cameras(robot: Vehicle, appearance: Appearance) -> str:
    """MJCF of a robot's camera and, where it has one, of its event camera, in its body."""
    rng = np.random.default_rng([appearance.seed, 3])
    shift, (tilt, zoom) = rng.uniform(-1, 1, 3) * appearance.vary, rng.uniform(-1, 1, 2) * appearance.vary
    place = np.array((robot.camera_x, 0.0, robot.camera_z)) + shift * appearance.camera_shift
    pitch = robot.camera_pitch + tilt * appearance.camera_tilt
    hfov = robot.camera_hfov * (1.0 + zoom * appearance.camera_zoom)
    place[2] -= robot.mount_height
    cameras = _camera("camera", place, pitch, hfov, robot.camera_height / robot.camera_width)
    eye = robot.event_camera
    if eye is not None:
        place = np.array((eye.x, 0.0, eye.z - robot.mount_height))
        cameras += _camera("event_camera", place, eye.pitch, eye.hfov, eye.height / eye.width)
    return cameras


def _camera(name: str, place: FloatArray, pitch: float, hfov: float, aspect: float) -> str:
    """MJCF of a camera at (x, y, z) m in the body; pitch, hfov: rad; aspect: height by width."""
    fovy = 2.0 * math.atan(math.tan(hfov / 2) * aspect)
    # A MuJoCo camera looks along its -z axis, y up: its x axis is the body's -y, its y axis the pitched z.
    axes = mjcf_text(0, -1, 0, math.sin(pitch), 0, math.cos(pitch))
    return f'<camera name="{name}" pos="{mjcf_text(*place)}" xyaxes="{axes}" fovy="{math.degrees(fovy):.9g}"/>'


def build_mjcf(world: World, robot: Vehicle, appearance: Appearance | None, timestep: float) -> str:
    """The MJCF text of a world with a robot at its start; timestep in s; appearance: the robot's own where None.

    ValueError where an obstacle could be so low that the robot does not meet it.
    """
    appearance = appearance or Appearance(obstacle_height=robot.obstacle_height)
    robot.check_obstacles(appearance.obstacle_height[0])
    body, actuators = robot.mjcf(world.start, _cameras(robot, appearance))
    made = made_of(world, appearance)
    visual, light, asset, repeat = _looks(appearance, made, world)
    around, mesh = ground_mesh(world, repeat)
    things = things_mjcf(world, thing_looks(world, appearance.seed, LOOKS))
    patches, materials = _patches(world, appearance, made)
    gx, gy = world.goal
    facts: dict[str, tuple[float, ...]] = {"bounds": world.bounds}
    for i, m in enumerate(world.movers):
        facts[f"mover{i}"] = m.row
    for i, p in enumerate(world.patches):
        facts[f"patch{i}"] = (*p.rectangle, float(p.forbidden))
    for i, t in enumerate(world.things):
        facts[f"thing{i}"] = t.row
    custom = "".join(f'<text name="patch{i}" data="{p.kind}"/>' for i, p in enumerate(world.patches))
    custom += "".join(
        f'<numeric name="{name}" data="{mjcf_text(*values)}"/>' for name, values in facts.items()
    )
    beacon = f'group="{SCENERY}" contype="0" conaffinity="0" rgba="1 0 0.9 1"'
    return f"""<mujoco>
      <compiler angle="radian" autolimits="true"/>
      <option timestep="{timestep}" integrator="implicitfast" cone="elliptic" density="{robot.air_density}"/>
      <statistic extent="{EXTENT}"/>
      <visual>{visual}
      </visual>
      <asset>{asset}{materials}{mesh}
      </asset>
      <worldbody>{light}
        <geom name="ground" type="plane" size="40 40 1" material="ground" contype="1" conaffinity="0"
          group="{HIDDEN if mesh else SCENERY}" friction="1 0.005 0.0001"/>{around}
        <geom name="goal_pole" type="cylinder" size="0.06 1.75" pos="{mjcf_text(gx, gy, 1.75)}" {beacon}/>
        <geom name="goal_ball" type="sphere" size="0.3" pos="{mjcf_text(gx, gy, 3.5)}" {beacon}/>
        {_obstacles(world, appearance)}{patches}{things}
        {body}
      </worldbody>
      <actuator>{actuators}
      </actuator>
      <custom>{custom}</custom>
      <sensor>
        <gyro site="imu"/>
        <accelerometer site="imu"/>
      </sensor>
    </mujoco>"""
