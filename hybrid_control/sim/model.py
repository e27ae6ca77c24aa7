"""A world and a robot as a MuJoCo model (MJCF), with the looks that the camera sees, varied by seed."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from hybrid_control.sim.robot import RobotModel
from hybrid_control.sim.worlds import World

# geom groups: what the lidar's rays meet and what the camera draws
GROUND, OBSTACLE, ROBOT, MARKER = 0, 1, 2, 3


def import_mujoco() -> Any:
    """MuJoCo, imported when it is first needed and told to draw off screen without a display.

    ValueError with the way to get it where it is missing or finds no GL.
    """
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    try:
        import mujoco
    except ModuleNotFoundError as error:
        if error.name != "mujoco":
            raise
        raise ValueError("MuJoCo is not installed: pip install 'hybrid-control[sim]'") from None
    return mujoco


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a world looks. The seed decides the colours; `vary` lets light, textures and camera differ as well.

    camera_shift: m, camera_tilt: rad, camera_zoom: relative; the camera's pose and field of view are drawn
    within plus and minus these where `vary` is set. obstacle_height: m, drawn for each obstacle.
    """

    seed: int = 0
    vary: bool = False
    camera_shift: float = 0.03
    camera_tilt: float = 0.05
    camera_zoom: float = 0.05
    obstacle_height: tuple[float, float] = (0.6, 1.2)

    def __post_init__(self) -> None:
        low, high = self.obstacle_height
        if not 0 < low <= high:
            raise ValueError(f"appearance: obstacle_height {self.obstacle_height} must be 0 < low <= high")


def _numbers(*values: float) -> str:
    return " ".join(f"{float(v):.9g}" for v in values)


def _add(parent: ET.Element, tag: str, **attributes: str | float | tuple[float, ...]) -> ET.Element:
    text = {}
    for key, value in attributes.items():
        if isinstance(value, str):
            text[key.rstrip("_")] = value
        else:
            text[key.rstrip("_")] = _numbers(*value) if isinstance(value, tuple) else _numbers(value)
    return ET.SubElement(parent, tag, text)


def _colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.95) -> tuple[float, float, float]:
    r, g, b = rng.uniform(low, high, 3).tolist()
    return r, g, b


def _looks(root: ET.Element, asset: ET.Element, world: World, appearance: Appearance) -> list[str]:
    """Sky, ground, light and obstacles' materials; the names of the latter."""
    rng = np.random.default_rng([appearance.seed, 1])
    worldbody = root.find("worldbody")
    assert worldbody is not None
    visual = _add(root, "visual")
    # Shadows and multisampling cost most of the time of a frame that is drawn in software.
    _add(visual, "quality", shadowsize="0", offsamples="0")
    _add(visual, "map", znear=0.01, zfar=60.0)
    if appearance.vary:
        ambient, diffuse = rng.uniform(0.15, 0.6), rng.uniform(0.3, 0.9)
        sun = (rng.uniform(-1, 1), rng.uniform(-1, 1), -rng.uniform(0.4, 1.5))
        sky, horizon = _colour(rng, 0.3, 1.0), _colour(rng, 0.4, 1.0)
        ground = [_colour(rng), _colour(rng)]
        ground_kind, repeat = str(rng.choice(("checker", "flat", "gradient"))), rng.uniform(0.3, 2.5)
    else:
        ambient, diffuse, sun = 0.4, 0.6, (0.3, 0.4, -1.0)
        sky, horizon = (0.35, 0.55, 0.85), (0.85, 0.92, 1.0)
        ground = [(0.52, 0.50, 0.46), (0.60, 0.58, 0.54)]
        ground_kind, repeat = "checker", 1.0
    _add(visual, "headlight", ambient=(ambient,) * 3, diffuse=(0.15,) * 3, specular=(0.0,) * 3)
    _add(
        worldbody,
        "light",
        directional="true",
        castshadow="false",
        pos=(0.0, 0.0, 5.0),
        dir=sun,
        diffuse=(diffuse,) * 3,
        specular=(0.05,) * 3,
    )
    _add(
        asset,
        "texture",
        name="sky",
        type="skybox",
        builtin="gradient",
        rgb1=sky,
        rgb2=horizon,
        width="64",
        height="384",
    )
    _add(
        asset,
        "texture",
        name="ground",
        type="2d",
        builtin=ground_kind,
        rgb1=ground[0],
        rgb2=ground[1],
        mark="random",
        markrgb=_colour(rng),
        random=float(rng.uniform(0.0, 0.03)),
        width="128",
        height="128",
    )
    _add(
        asset,
        "material",
        name="ground",
        texture="ground",
        texrepeat=(repeat, repeat),
        texuniform="true",
        specular=0.0,
        reflectance=0.0,
    )
    names = []
    for i in range(8):
        kind = ("flat", "gradient", "checker", "flat")[i % 4]
        texture = "cube" if kind == "gradient" else "2d"
        _add(
            asset,
            "texture",
            name=f"look{i}",
            type=texture,
            builtin=kind,
            rgb1=_colour(rng),
            rgb2=_colour(rng),
            mark="random" if i % 2 else "none",
            markrgb=_colour(rng),
            random=0.02,
            width="32",
            height="32",
        )
        _add(asset, "material", name=f"look{i}", texture=f"look{i}", specular=0.1, shininess=0.1)
        names.append(f"look{i}")
    return names


def _obstacles(worldbody: ET.Element, world: World, appearance: Appearance, looks: list[str]) -> None:
    rng = np.random.default_rng([appearance.seed, 2])
    # Obstacles touch the robot's body alone (bit 2); wheels and ground have bit 1.
    common = {"group": str(OBSTACLE), "contype": "2", "conaffinity": "0"}

    def look() -> dict[str, str]:
        tint = rng.uniform(0.5, 1.0, 3)
        return {"material": str(rng.choice(looks)), "rgba": _numbers(*tint, 1.0)}

    low, high = appearance.obstacle_height
    for i, (x, y, radius) in enumerate(world.cylinders):
        half = rng.uniform(low, high) / 2
        _add(
            worldbody,
            "geom",
            name=f"cylinder{i}",
            type="cylinder",
            size=(radius, half),
            pos=(x, y, half),
            **common,
            **look(),
        )
    for i, (x, y, length, width, yaw) in enumerate(world.boxes):
        half = rng.uniform(low, high) / 2
        _add(
            worldbody,
            "geom",
            name=f"box{i}",
            type="box",
            size=(length / 2, width / 2, half),
            pos=(x, y, half),
            euler=(0.0, 0.0, yaw),
            **common,
            **look(),
        )
    for i, mover in enumerate(world.movers):
        body = _add(worldbody, "body", name=f"mover{i}", mocap="true", pos=(*mover.at(0.0), 0.0))
        _add(
            body,
            "geom",
            name=f"mover{i}",
            type="cylinder",
            size=(mover.radius, 0.8),
            pos=(0.0, 0.0, 0.8),
            **common,
            **look(),
        )


def _rover(root: ET.Element, robot: RobotModel, world: World, appearance: Appearance) -> None:
    worldbody = root.find("worldbody")
    assert worldbody is not None
    rng = np.random.default_rng([appearance.seed, 3])
    start, radius = world.start, robot.wheel_radius
    half_yaw = start.yaw / 2
    body = _add(
        worldbody,
        "body",
        name="robot",
        pos=(start.x, start.y, radius),
        quat=(math.cos(half_yaw), 0.0, 0.0, math.sin(half_yaw)),
    )
    _add(body, "freejoint", name="robot")
    # The body's frame lies on the axle, one wheel radius over the ground. A homogeneous box with its mass
    # low.
    wheel_mass = 0.5
    mass, sides = robot.mass - 2 * wheel_mass, (robot.length, robot.width, robot.height)
    moments = tuple(mass / 12 * (sum(s * s for s in sides) - side * side) for side in sides)
    _add(body, "inertial", pos=(0.0, 0.0, 0.0), mass=mass, diaginertia=moments)
    bottom = 0.04  # clear of the ground
    half_height = (robot.height - bottom) / 2
    _add(
        body,
        "geom",
        name="footprint",
        type="box",
        size=(robot.length / 2, robot.width / 2, half_height),
        pos=(0.0, 0.0, bottom + half_height - radius),
        group=str(ROBOT),
        contype="0",
        conaffinity="2",
        condim="3",
        friction=(0.4, 0.005, 0.0001),
        rgba=(0.95, 0.75, 0.1, 1.0),
    )
    # Casters without friction before and behind, softer than the wheels, so that these carry the robot.
    caster = 0.03
    for name, side in (("front", 1.0), ("rear", -1.0)):
        _add(
            body,
            "geom",
            name=f"{name}_caster",
            type="sphere",
            size=caster,
            group=str(ROBOT),
            pos=(side * (robot.length / 2 - caster), 0.0, caster - radius),
            contype="0",
            conaffinity="1",
            condim="1",
            friction=(0.0, 0.0, 0.0),
            priority="1",
            solref=(0.06, 1.0),
            rgba=(0.2, 0.2, 0.2, 1.0),
        )
    actuator = _add(root, "actuator")
    for name, side in (("left", 1.0), ("right", -1.0)):
        wheel = _add(body, "body", name=f"{name}_wheel", pos=(0.0, side * robot.track / 2, 0.0))
        _add(
            wheel,
            "joint",
            name=f"{name}_wheel",
            type="hinge",
            axis=(0.0, 1.0, 0.0),
            armature=0.01,
            damping=0.01,
        )
        # A sphere meets the ground in one point under the wheel's middle: no scrubbing, and the track is
        # exact.
        _add(
            wheel,
            "geom",
            name=f"{name}_wheel",
            type="sphere",
            size=radius,
            mass=wheel_mass,
            group="4",
            contype="0",
            conaffinity="1",
            condim="3",
            friction=(1.0, 0.005, 0.0001),
        )
        _add(
            wheel,
            "geom",
            name=f"{name}_rim",
            type="cylinder",
            size=(radius, 0.02),
            mass=0.0,
            group=str(ROBOT),
            euler=(math.pi / 2, 0.0, 0.0),
            contype="0",
            conaffinity="0",
            rgba=(0.1, 0.1, 0.1, 1.0),
        )
        _add(
            actuator,
            "velocity",
            name=f"{name}_wheel",
            joint=f"{name}_wheel",
            kv=10.0,
            forcerange=(-20.0, 20.0),
        )
    _add(body, "site", name="lidar", pos=(0.0, 0.0, robot.lidar_z - radius), group="4", size=0.01)
    _add(body, "site", name="imu", group="4", size=0.01)
    x, z, pitch, hfov = robot.camera_x, robot.camera_z, robot.camera_pitch, robot.camera_hfov
    y = 0.0
    if appearance.vary:
        x, y, z = (v + rng.uniform(-1, 1) * appearance.camera_shift for v in (x, y, z))
        pitch += rng.uniform(-1, 1) * appearance.camera_tilt
        hfov *= 1.0 + rng.uniform(-1, 1) * appearance.camera_zoom
    fovy = 2.0 * math.atan(math.tan(hfov / 2) * robot.camera_height / robot.camera_width)
    # A MuJoCo camera looks along -z with y up: its x axis is the body's -y, its y axis the body's z, pitched.
    _add(
        body,
        "camera",
        name="camera",
        pos=(x, y, z - radius),
        fovy=math.degrees(fovy),
        xyaxes=(0.0, -1.0, 0.0, math.sin(pitch), 0.0, math.cos(pitch)),
    )
    sensor = _add(root, "sensor")
    _add(sensor, "gyro", name="gyro", site="imu")
    _add(sensor, "accelerometer", name="accelerometer", site="imu")


def build_mjcf(world: World, robot: RobotModel, appearance: Appearance, timestep: float) -> str:
    """The MJCF text of a world with a robot at its start; timestep in s."""
    root = ET.Element("mujoco", model=world.name)
    _add(root, "compiler", angle="radian", autolimits="true")
    _add(root, "option", timestep=timestep, integrator="implicitfast", cone="elliptic")
    asset = _add(root, "asset")
    worldbody = _add(root, "worldbody")
    looks = _looks(root, asset, world, appearance)
    _add(
        worldbody,
        "geom",
        name="ground",
        type="plane",
        size=(40.0, 40.0, 1.0),
        material="ground",
        group=str(GROUND),
        contype="1",
        conaffinity="0",
        friction=(1.0, 0.005, 0.0001),
    )
    _obstacles(worldbody, world, appearance, looks)
    _add(
        worldbody,
        "geom",
        name="goal",
        type="cylinder",
        size=(0.12, 1.0),
        pos=(*world.goal, 1.0),
        contype="0",
        conaffinity="0",
        group=str(MARKER),
        rgba=(1.0, 0.0, 0.9, 1.0),
    )
    _rover(root, robot, world, appearance)
    return ET.tostring(root, encoding="unicode")
