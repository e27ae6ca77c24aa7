"""Worlds and robots for Gazebo (SDF), and the topics that ros_gz_bridge carries, for each release from one source.

Nothing here imports ROS or Gazebo: it makes files and command lines. docs/gazebo.md says how they are used.
"""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_control.messages import Pose
from hybrid_control.sim.description import (
    BASE,
    CAMERA,
    IMU,
    LIDAR,
    ODOM,
    Description,
    Link,
    Placement,
    ball_inertia,
    describe,
    sensor_frames,
)
from hybrid_control.sim.model import Appearance, Look, obstacle_looks
from hybrid_control.sim.robot import JACKAL, QuadModel, RobotModel, Vehicle
from hybrid_control.sim.urdf import text, to_string, urdf
from hybrid_control.sim.worlds import Mover, World

SDF_VERSION = "1.9"  # the newest that Fortress reads


@dataclass(frozen=True, slots=True)
class Release:
    """What differs between Gazebo's releases.

    command: how the simulator is started; plugin, system: patterns of a plugin's file and class; messages: package of
    its messages; frame: element of a sensor that names the frame of its messages; ros: the ROS 2 release that it is
    paired with.
    """

    name: str
    major: int
    ros: str
    command: tuple[str, ...]
    plugin: str
    system: str
    messages: str
    frame: str


FORTRESS = Release(
    "fortress", 6, "humble", ("ign", "gazebo"),
    "ignition-gazebo-{}-system", "ignition::gazebo::systems::{}", "ignition.msgs", "ignition_frame_id",
)  # fmt: skip
HARMONIC = Release(
    "harmonic",
    8,
    "jazzy",
    ("gz", "sim"),
    "gz-sim-{}-system",
    "gz::sim::systems::{}",
    "gz.msgs",
    "gz_frame_id",
)
IONIC = Release(
    "ionic", 9, "kilted", ("gz", "sim"), "gz-sim-{}-system", "gz::sim::systems::{}", "gz.msgs", "gz_frame_id"
)
RELEASES: dict[str, Release] = {release.name: release for release in (FORTRESS, HARMONIC, IONIC)}


def release(name: str) -> Release:
    """A release by name, or by the ROS 2 release that it goes with; ValueError for another."""
    for candidate in RELEASES.values():
        if name.lower() in (candidate.name, candidate.ros):
            return candidate
    raise ValueError(f"unknown Gazebo release {name!r}; there are {', '.join(RELEASES)}")


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


# -- small pieces of SDF -------------------------------------------------------------------------------------------


def _add(parent: ET.Element, tag: str, value: object = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    if isinstance(value, bool):
        element.text = "true" if value else "false"
    elif isinstance(value, float | np.floating):
        element.text = text((float(value),))
    elif value is not None:
        element.text = str(value)
    return element


def _pose(parent: ET.Element, at: Placement, relative_to: str = "") -> None:
    attributes = {"relative_to": relative_to} if relative_to else {}
    if attributes or any(at.xyz) or any(at.rpy):
        _add(parent, "pose", text((*at.xyz, *at.rpy)), **attributes)


def _geometry(parent: ET.Element, kind: str, size: Sequence[float]) -> None:
    shape = _add(_add(parent, "geometry"), kind)
    if kind == "box":
        _add(shape, "size", text(size))
    elif kind == "plane":
        _add(shape, "normal", "0 0 1")
        _add(shape, "size", text(size))
    else:
        _add(shape, "radius", size[0])
        if kind == "cylinder":
            _add(shape, "length", size[1])


def _material(visual: ET.Element, colour: Sequence[float], glows: bool = False) -> None:
    material = _add(visual, "material")
    _add(material, "ambient", text(colour))
    _add(material, "diffuse", text(colour))
    _add(material, "specular", "0.05 0.05 0.05 1")
    if glows:
        _add(material, "emissive", text(colour))


def _friction(collision: ET.Element, mu: float) -> None:
    ode = _add(_add(_add(collision, "surface"), "friction"), "ode")
    _add(ode, "mu", mu)
    _add(ode, "mu2", mu)


def _plugin(
    parent: ET.Element, to: Release, file: str, system: str, parameters: Mapping[str, object] | None = None
) -> None:
    plugin = _add(parent, "plugin", filename=to.plugin.format(file), name=to.system.format(system))
    for name, value in (parameters or {}).items():
        for one in value if isinstance(value, list | tuple) else (value,):
            _add(plugin, name, one)


def _noise(parent: ET.Element, stddev: float, bias: float = 0.0) -> None:
    noise = _add(parent, "noise", type="gaussian")
    _add(noise, "mean", 0.0)
    _add(noise, "stddev", stddev)
    if bias:
        _add(noise, "bias_mean", 0.0)
        _add(noise, "bias_stddev", bias)


def _links(model: ET.Element, description: Description, friction: float) -> None:
    """The links that have mass, and the joints between them; the model's frame is the root link's."""
    for link in description.links:
        if not link.mass:
            continue
        element = _add(model, "link", name=link.name)
        if link is not description.links[0]:
            joint = description.joint_to(link.name)
            parent = joint.parent if description.link(joint.parent).mass else ""
            _pose(element, joint.at, parent)
        inertial = _add(element, "inertial")
        _add(inertial, "mass", link.mass)
        inertia = _add(inertial, "inertia")
        for tag, moment in zip(("ixx", "iyy", "izz"), link.inertia, strict=True):
            _add(inertia, tag, moment)
        for tag in ("ixy", "ixz", "iyz"):
            _add(inertia, tag, 0.0)
        _solids(element, link, friction)
    for joint in description.joints:
        if joint.kind == "fixed":
            continue
        element = _add(model, "joint", name=joint.name, type="revolute")
        _add(element, "parent", joint.parent)
        _add(element, "child", joint.child)
        axis = _add(element, "axis")
        _add(axis, "xyz", text(joint.axis))
        limit = _add(axis, "limit")
        _add(limit, "lower", -1e16)  # a wheel turns without end
        _add(limit, "upper", 1e16)
        _add(limit, "effort", joint.effort)


def _solids(element: ET.Element, link: Link, friction: float) -> None:
    for shape in link.visuals:
        visual = _add(element, "visual", name=f"{shape.name}_visual")
        _pose(visual, shape.at)
        _geometry(visual, shape.kind, shape.size)
        _material(visual, shape.colour)
        _add(visual, "cast_shadows", False)
    for shape in link.collisions:
        collision = _add(element, "collision", name=shape.name)
        _pose(collision, shape.at)
        _geometry(collision, shape.kind, shape.size)
        _friction(collision, 0.0 if shape.slippery else friction)


def _sensor(
    link: ET.Element, to: Release, name: str, kind: str, at: Placement, rate: float, topic: str
) -> ET.Element:
    sensor = _add(link, "sensor", name=name, type=kind)
    _pose(sensor, at)
    _add(sensor, "always_on", True)
    _add(sensor, "update_rate", rate)
    _add(sensor, "topic", topic)
    _add(sensor, to.frame, name)
    return sensor


# -- robots --------------------------------------------------------------------------------------------------------

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")


def _prefix(namespace: str) -> str:
    """What stands before a robot's topics in Gazebo: "/" or "/NAMESPACE/"."""
    bare = namespace.strip("/")
    if bare and not NAME.fullmatch(bare):
        raise ValueError(f"namespace {namespace!r}: expected names of letters, digits and _ between slashes")
    return f"/{bare}/" if bare else "/"


def _sensors(base: ET.Element, robot: Vehicle, to: Release, prefix: str, lidar_rate: float) -> None:
    """Lidar, camera, IMU and contact sensor of a robot, in its base."""
    if not 0 < lidar_rate <= 100:
        raise ValueError(f"lidar: a rate of {lidar_rate} Hz; expected 0 .. 100")
    frames = sensor_frames(robot)
    sensor = _sensor(base, to, LIDAR, "gpu_lidar", frames[LIDAR], lidar_rate, f"{prefix}scan")
    lidar = _add(sensor, "lidar")
    horizontal = _add(_add(lidar, "scan"), "horizontal")
    _add(horizontal, "samples", robot.lidar_beams)
    _add(horizontal, "resolution", 1)
    _add(horizontal, "min_angle", -math.pi)
    _add(horizontal, "max_angle", math.pi - math.tau / robot.lidar_beams)  # the last beam itself
    reach = _add(lidar, "range")
    _add(reach, "min", robot.lidar_range_min)
    _add(reach, "max", robot.lidar_range_max)
    noise = _add(lidar, "noise")
    _add(noise, "type", "gaussian")
    _add(noise, "mean", 0.0)
    _add(noise, "stddev", robot.lidar_noise)

    topic = f"{prefix}camera/image_raw"
    camera = _add(_sensor(base, to, CAMERA, "camera", frames[CAMERA], robot.camera_rate, topic), "camera")
    _add(camera, "camera_info_topic", f"{prefix}camera/camera_info")
    _add(camera, "horizontal_fov", robot.camera_hfov)
    image = _add(camera, "image")
    _add(image, "width", robot.camera_width)
    _add(image, "height", robot.camera_height)
    _add(image, "format", "R8G8B8")
    clip = _add(camera, "clip")
    _add(clip, "near", 0.01)
    _add(clip, "far", 60.0)

    imu = _add(_sensor(base, to, IMU, "imu", frames[IMU], robot.imu_rate, f"{prefix}imu"), "imu")
    for quantity, stddev, bias in (
        ("angular_velocity", robot.gyro_noise, robot.gyro_bias),
        ("linear_acceleration", robot.accelerometer_noise, robot.accelerometer_bias),
    ):
        element = _add(imu, quantity)
        for axis in ("x", "y", "z"):
            _noise(_add(element, axis), stddev, bias)

    sensor = _add(base, "sensor", name="contact", type="contact")
    _add(sensor, "always_on", True)
    _add(sensor, "update_rate", 100.0)
    contact = _add(sensor, "contact")
    _add(contact, "collision", "footprint")
    _add(contact, "topic", f"{prefix}contacts")


def _model(
    robot: Vehicle, to: Release, namespace: str, name: str, lidar_rate: float
) -> tuple[ET.Element, str]:
    """A model with links, joints and sensors, and what stands before its topics."""
    prefix = _prefix(namespace)
    model = ET.Element("model", name=name or namespace.strip("/").replace("/", "_") or robot.name)
    _links(model, describe(robot), friction=1.0)
    base = next(link for link in model.findall("link") if link.get("name") == BASE)
    _sensors(base, robot, to, prefix, lidar_rate)
    return model, prefix


def rover_model(
    robot: RobotModel, to: Release, namespace: str = "", name: str = "", lidar_rate: float = 20.0
) -> ET.Element:
    """The <model> of a rover: differential drive, lidar, camera, IMU, wheel odometry, joint states, contact sensor.

    namespace: before the robot's topics in Gazebo, so that several robots have their own; name: of the model, for
    none the namespace or else the robot's. lidar_rate: Hz; the embedded simulator's 40 Hz of 360 beams are much for
    software rendering. Its frame is base_footprint. ValueError for an impossible namespace or rate.
    """
    model, prefix = _model(robot, to, namespace, name, lidar_rate)
    wheels = ["left_wheel_joint", "right_wheel_joint"]
    drive = {
        "left_joint": wheels[0],
        "right_joint": wheels[1],
        "wheel_separation": robot.track,
        "wheel_radius": robot.wheel_radius,
        "max_linear_velocity": robot.max_speed,
        "min_linear_velocity": -robot.max_speed,
        "max_angular_velocity": robot.max_yaw_rate,
        "min_angular_velocity": -robot.max_yaw_rate,
        "max_linear_acceleration": robot.acceleration,
        "min_linear_acceleration": -robot.deceleration,
        "max_angular_acceleration": robot.yaw_acceleration,
        "min_angular_acceleration": -robot.yaw_acceleration,
        "odom_publish_frequency": robot.odometry_rate,
        "topic": f"{prefix}cmd_vel",
        "odom_topic": f"{prefix}odom",
        "tf_topic": f"{prefix}tf",
        "frame_id": ODOM,
        "child_frame_id": BASE,
    }
    _plugin(model, to, "diff-drive", "DiffDrive", drive)
    states = {"topic": f"{prefix}joint_states", "joint_name": wheels}
    _plugin(model, to, "joint-state-publisher", "JointStatePublisher", states)
    return model


ROTOR_SPEED = 800.0  # rad/s at full thrust; the model's joints turn ten times slower
ATTITUDE = (57.0, 12.0)  # 1/s², 1/s: about 7.5 rad/s, damped by 0.8, for roll and pitch
YAW = (1.5, 5.0)


def quadrotor_model(
    robot: QuadModel, to: Release, namespace: str = "", name: str = "", lidar_rate: float = 20.0
) -> ET.Element:
    """The <model> of a quadrotor that flies velocities in its body frame: rotors, controller, sensors, odometry.

    Arguments as for rover_model(). Its frame is base_link, half its height above the ground when it stands. Gazebo's
    controller listens below the model's name: to NAME/cmd_vel.
    """
    model, prefix = _model(robot, to, namespace, name, lidar_rate)
    own = str(model.get("name"))
    base = next(link for link in describe(robot).links if link.name == BASE)
    constant = robot.rotor_thrust / ROTOR_SPEED**2  # thrust = constant · speed²
    for i in range(4):
        motor = {
            "robotNamespace": own,
            "jointName": f"rotor{i}_joint",
            "linkName": f"rotor{i}",
            "turningDirection": "ccw" if i % 2 else "cw",
            "timeConstantUp": robot.rotor_time_constant,
            "timeConstantDown": robot.rotor_time_constant,
            "maxRotVelocity": ROTOR_SPEED,
            "motorConstant": constant,
            "momentConstant": robot.rotor_torque,
            "commandSubTopic": "command/motor_speed",
            "motorNumber": i,
            "rotorDragCoefficient": 8e-5,
            "rollingMomentCoefficient": 1e-6,
            "rotorVelocitySlowdownSim": 10.0,
            "motorType": "velocity",
        }
        _plugin(model, to, "multicopter-motor-model", "MulticopterMotorModel", motor)
    ixx, iyy, izz = base.inertia
    control = {
        "robotNamespace": own,
        "commandSubTopic": "cmd_vel",
        "enableSubTopic": "enable",
        "comLinkName": BASE,
        "velocityGain": "2.7 2.7 2.7",
        "attitudeGain": text((ATTITUDE[0] * ixx, ATTITUDE[0] * iyy, YAW[0] * izz)),
        "angularRateGain": text((ATTITUDE[1] * ixx, ATTITUDE[1] * iyy, YAW[1] * izz)),
        "maximumLinearAcceleration": text((robot.acceleration,) * 3),
        "maximumLinearVelocity": text((robot.max_speed, robot.max_speed, robot.max_climb)),
        "maximumAngularVelocity": text((robot.max_yaw_rate,) * 3),
    }
    _plugin(model, to, "multicopter-control", "MulticopterVelocityControl", control)
    rotors = _add(model.findall("plugin")[-1], "rotorConfiguration")
    for i in range(4):
        rotor = _add(rotors, "rotor")
        _add(rotor, "jointName", f"rotor{i}_joint")
        _add(rotor, "forceConstant", constant)
        _add(rotor, "momentConstant", robot.rotor_torque)
        _add(rotor, "direction", 1 if i % 2 else -1)
    odometry = {
        "odom_frame": ODOM,
        "robot_base_frame": BASE,
        "odom_topic": f"{prefix}odom",
        "tf_topic": f"{prefix}tf",
        "odom_publish_frequency": robot.odometry_rate,
        "dimensions": 3,
    }
    _plugin(model, to, "odometry-publisher", "OdometryPublisher", odometry)
    return model


def standing(robot: Vehicle, at: Pose) -> Placement:
    """Where a robot's model lies in the world when the robot stands on the ground there, a hair above it."""
    height = robot.height / 2 + 0.002 if isinstance(robot, QuadModel) else 0.0
    return Placement((at.x, at.y, height), (0.0, 0.0, at.yaw))


def robot_model(
    robot: Vehicle, to: Release, namespace: str = "", name: str = "", lidar_rate: float = 20.0
) -> ET.Element:
    """The <model> of a rover or a quadrotor; ValueError for what is neither."""
    if isinstance(robot, RobotModel):
        return rover_model(robot, to, namespace, name, lidar_rate)
    if isinstance(robot, QuadModel):
        return quadrotor_model(robot, to, namespace, name, lidar_rate)
    raise ValueError(f"robot {robot.name!r}: a {type(robot).__name__} has no model for Gazebo")


def model_sdf(model: ET.Element) -> str:
    """An SDF file of one model, to be spawned."""
    root = ET.Element("sdf", version=SDF_VERSION)
    root.append(model)
    return to_string(root)


# -- worlds --------------------------------------------------------------------------------------------------------

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
SKY, AMBIENT = "0.7 0.82 0.95 1", "0.5 0.5 0.5 1"
BEACON = (1.0, 0.0, 0.9, 1.0)
FOOT = 0.26  # m; up to here an obstacle is darker: just below the rover's camera, so that it is seen from close by
MOVER_MASS = 1000.0  # kg; a robot that it runs into does not turn it aside
MOVER_GAP = 0.03  # m to the ground, on which it would otherwise rub
RAIL_MARGIN = 2.0  # m
BEACON_BOTTOM = 0.6  # m; the beacon begins above the lidar's plane, so that no beam meets it


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
    element = _add(root, "world", name=world_name(world))
    stepping = _add(element, "physics", name="physics", type="ignored")
    _add(stepping, "max_step_size", physics.step)
    _add(stepping, "real_time_factor", physics.real_time_factor)
    for file, system in (
        ("physics", "Physics"),
        ("user-commands", "UserCommands"),
        ("scene-broadcaster", "SceneBroadcaster"),
        ("imu", "Imu"),
        ("contact", "Contact"),
    ):
        _plugin(element, to, file, system)
    # cameras see the sky and the light that are said here, the window those of the scene
    drawing = {"render_engine": physics.render_engine, "background_color": SKY, "ambient_light": AMBIENT}
    _plugin(element, to, "sensors", "Sensors", drawing)
    _add(element, "gravity", "0 0 -9.81")
    scene = _add(element, "scene")
    _add(scene, "ambient", AMBIENT)
    _add(scene, "background", SKY)
    _add(scene, "shadows", False)
    _add(scene, "grid", False)
    light = _add(element, "light", name="sun", type="directional")
    _add(light, "cast_shadows", False)
    _add(light, "pose", "0 0 10 0 0 0")
    _add(light, "diffuse", "0.7 0.7 0.7 1")
    _add(light, "specular", "0.1 0.1 0.1 1")
    _add(light, "direction", "0.3 0.4 -1")

    xmin, ymin, xmax, ymax = world.bounds
    for name, place in (
        ("start", Placement((world.start.x, world.start.y, 0.0), (0.0, 0.0, world.start.yaw))),
        ("goal", Placement((*world.goal, 0.0))),
        ("bounds_low", Placement((xmin, ymin, 0.0))),
        ("bounds_high", Placement((xmax, ymax, 0.0))),
    ):
        _pose(_add(element, "frame", name=name), place)

    _ground(element)
    looks = obstacle_looks(world, appearance or Appearance())
    standing = len(world.cylinders) + len(world.boxes)
    _obstacles(element, world, looks[:standing])
    for i, (mover, look) in enumerate(zip(world.movers, looks[standing:], strict=True)):
        _mover(element, to, i, mover, look, physics.step)
    _beacon(element, world)
    for model, at in robots:
        _pose(model, at)
        element.append(model)
    return to_string(root)


def _static(world: ET.Element, name: str) -> ET.Element:
    model = _add(world, "model", name=name)
    _add(model, "static", True)
    return _add(model, "link", name="link")


def _ground(world: ET.Element) -> None:
    link = _static(world, "ground")
    for tag in ("collision", "visual"):
        element = _add(link, tag, name=tag)
        _geometry(element, "plane", (100.0, 100.0))
        if tag == "collision":
            _friction(element, 1.0)
        else:
            _material(element, (0.55, 0.53, 0.49, 1.0))
            _add(element, "cast_shadows", False)


def _obstacles(element: ET.Element, world: World, looks: Sequence[Look]) -> None:
    """All that stands, in one model: hundreds of models cost Gazebo memory and time that one does not."""
    if not looks:
        return
    link = _static(element, "obstacles")
    solids: list[tuple[str, str, tuple[float, ...], Placement]] = []
    for i, (x, y, radius) in enumerate(world.cylinders.tolist()):
        solids.append((f"cylinder{i}", "cylinder", (radius,), Placement((x, y, 0.0))))
    for i, (x, y, length, width, yaw) in enumerate(world.boxes.tolist()):
        solids.append((f"box{i}", "box", (length, width), Placement((x, y, 0.0), (0.0, 0.0, yaw))))
    for (name, kind, size, at), look in zip(solids, looks, strict=True):
        x, y, _ = at.xyz
        collision = _add(link, "collision", name=name)
        _pose(collision, Placement((x, y, look.height / 2), at.rpy))
        _geometry(collision, kind, (*size, look.height))
        if world.movers:
            _meets(collision, 1)
        # two colours: a camera close to one of a single colour would see nothing at all
        for part, low, high, shade in (("foot", 0.0, FOOT, 0.5), ("visual", FOOT, look.height, 1.0)):
            visual = _add(link, "visual", name=f"{name}_{part}")
            _pose(visual, Placement((x, y, (low + high) / 2), at.rpy))
            _geometry(visual, kind, (*size, high - low))
            _material(visual, _colour(look, shade))
            _add(visual, "cast_shadows", False)


def _meets(collision: ET.Element, mask: int) -> None:
    """Lets a solid meet only those that share a bit with it; a robot has all 16."""
    _add(_add(_add(collision, "surface"), "contact"), "collide_bitmask", mask)


def _colour(look: Look, shade: float = 1.0) -> tuple[float, float, float, float]:
    hue = PALETTE[look.material % len(PALETTE)]
    red, green, blue = (shade * c * t for c, t in zip(hue, look.tint, strict=True))
    return red, green, blue, 1.0


def _mover(element: ET.Element, to: Release, number: int, mover: Mover, look: Look, step: float) -> None:
    """An obstacle that walks to and fro: it slides on a rail whose velocity turns round each time the trip is over.

    Gazebo has no such obstacle. The clock triggers the first turn, and each turn the next one, a trip later. It meets
    robots and goes through everything else, as in the embedded simulator. The rail is longer than the way: a joint
    that reaches its end would stick there.
    """
    name = f"mover{number}"
    length = math.dist(mover.a, mover.b)
    trip_ms = round(length / mover.speed * 1e3) if mover.speed > 0 else 0
    x, y = mover.at(0.0)
    model = _add(element, "model", name=name)
    _pose(model, Placement((x, y, look.height / 2)))
    link = _add(model, "link", name="link")
    inertial = _add(link, "inertial")
    _add(inertial, "mass", MOVER_MASS)
    inertia = _add(inertial, "inertia")
    for tag, moment in zip(("ixx", "iyy", "izz"), ball_inertia(MOVER_MASS, 1.0), strict=True):
        _add(inertia, tag, moment)
    for tag in ("collision", "visual"):
        solid = _add(link, tag, name=name if tag == "collision" else f"{name}_visual")
        _geometry(solid, "cylinder", (mover.radius, look.height - 2 * MOVER_GAP))
        if tag == "visual":
            _material(solid, _colour(look))
            _add(solid, "cast_shadows", False)
        else:
            _meets(solid, 2 << number % 15)
    for frame, (px, py) in ((f"{name}_from", mover.a), (f"{name}_to", mover.b)):
        _pose(_add(element, "frame", name=frame), Placement((px, py, 0.0)))

    (ax, ay), (bx, by) = mover.a, mover.b
    done = math.dist(mover.a, (x, y))
    rail = _add(model, "joint", name="rail", type="prismatic" if length else "fixed")
    _add(rail, "parent", "world")
    _add(rail, "child", "link")
    if not length or not trip_ms:
        return
    axis = _add(rail, "axis")
    _add(axis, "xyz", text(((bx - ax) / length, (by - ay) / length, 0.0)))
    limit = _add(axis, "limit")
    _add(limit, "lower", -done - RAIL_MARGIN)
    _add(limit, "upper", length - done + RAIL_MARGIN)
    away = mover.phase % 1.0 < 0.5  # from a to b
    speed = length / trip_ms * 1e3
    control = {
        "joint_name": "rail",
        "initial_velocity": speed if away else -speed,
        "topic": f"/{name}/velocity",
    }
    _plugin(model, to, "joint-controller", "JointController", control)

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
        heard = _add(plugin, "input", type=f"{to.messages}.{kind}", topic=topic)
        for field, value in matches.items():
            _add(heard, "match", value, field=field)
        if delay_ms:
            _add(plugin, "delay_ms", delay_ms)
        _add(plugin, "output", type=f"{to.messages}.Empty", topic=f"/{name}/{end}")
        velocity = f"data: {text((speed,))}"
        _add(plugin, "output", velocity, type=f"{to.messages}.Double", topic=f"/{name}/velocity")

    left = (0.5 if away else 1.0) - mover.phase % 1.0  # of the round trip, to the first turn
    step_ns = round(step * 1e9)
    first_ns = max(1, round(left * 2 * trip_ms * 1e6 / step_ns)) * step_ns
    seconds, nanoseconds = divmod(first_ns, 1_000_000_000)
    when = {"sim.sec": seconds, "sim.nsec": nanoseconds}
    turn(0, "/clock", "Clock", when, "to" if away else "from", -speed if away else speed)
    turn(trip_ms, f"/{name}/to", "Empty", {}, "from", speed)
    turn(trip_ms, f"/{name}/from", "Empty", {}, "to", -speed)


def _beacon(element: ET.Element, world: World) -> None:
    link = _static(element, "goal_beacon")
    top = 3.5
    for name, kind, size, z in (
        ("pole", "cylinder", (0.06, top - BEACON_BOTTOM), (top + BEACON_BOTTOM) / 2),
        ("ball", "sphere", (0.3,), top),
    ):
        visual = _add(link, "visual", name=name)
        _pose(visual, Placement((*world.goal, z)))
        _geometry(visual, kind, size)
        _material(visual, BEACON, glows=True)
        _add(visual, "cast_shadows", False)


def goal_in_odometry(world: World, start: Pose | None = None) -> tuple[float, float]:
    """The goal (x, y) m in the odometry's frame of a robot that starts at the world's start or another pose.

    Gazebo's wheel odometry begins at the origin; the embedded simulator's begins at the robot's true pose.
    """
    start = start or world.start
    dx, dy = world.goal[0] - start.x, world.goal[1] - start.y
    c, s = math.cos(start.yaw), math.sin(start.yaw)
    return c * dx + s * dy, -s * dx + c * dy


# -- topics --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bridged:
    """A topic that ros_gz_bridge carries. topic: relative, the same on both sides; ros: message type of ROS; gz:
    message of Gazebo, without its package; to_ros: from Gazebo to ROS, or the other way."""

    topic: str
    ros: str
    gz: str
    to_ros: bool = True


ROVER_TOPICS = (
    Bridged("cmd_vel", "geometry_msgs/msg/TwistStamped", "Twist", to_ros=False),
    Bridged("scan", "sensor_msgs/msg/LaserScan", "LaserScan"),
    Bridged("camera/image_raw", "sensor_msgs/msg/Image", "Image"),
    Bridged("camera/camera_info", "sensor_msgs/msg/CameraInfo", "CameraInfo"),
    Bridged("imu", "sensor_msgs/msg/Imu", "IMU"),
    Bridged("odom", "nav_msgs/msg/Odometry", "Odometry"),
    Bridged("tf", "tf2_msgs/msg/TFMessage", "Pose_V"),
    Bridged("joint_states", "sensor_msgs/msg/JointState", "Model"),
    Bridged("contacts", "ros_gz_interfaces/msg/Contacts", "Contacts"),
)
QUADROTOR_TOPICS = tuple(t for t in ROVER_TOPICS if t.topic != "joint_states")
CLOCK = Bridged("clock", "rosgraph_msgs/msg/Clock", "Clock")


def bridge_entries(
    to: Release,
    namespace: str = "",
    topics: Sequence[Bridged] = ROVER_TOPICS,
    clock: bool = True,
    stamped_cmd_vel: bool = True,
    commands: str = "",
) -> list[dict[str, object]]:
    """What stands in a ros_gz_bridge configuration file for one robot.

    ROS names are relative: the bridge's own namespace moves them; Gazebo's carry the namespace. The clock is one for
    all robots, so only one bridge may carry it. stamped_cmd_vel: as the reflex's parameter. commands: the model's name,
    where Gazebo listens for commands below it, as for a quadrotor.
    """
    prefix = _prefix(namespace)
    entries: list[dict[str, object]] = []
    for bridged in (CLOCK, *topics) if clock else topics:
        is_clock = bridged is CLOCK
        ros = bridged.ros
        gz = "/clock" if is_clock else f"{prefix}{bridged.topic}"
        if bridged.topic == "cmd_vel":
            ros = bridged.ros if stamped_cmd_vel else "geometry_msgs/msg/Twist"
            gz = f"/{commands}/cmd_vel" if commands else gz
        entries.append(
            {
                "ros_topic_name": "/clock" if is_clock else bridged.topic,
                "gz_topic_name": gz,
                "ros_type_name": ros,
                "gz_type_name": f"{to.messages}.{bridged.gz}",
                "subscriber_queue": 1,
                "publisher_queue": 1 if is_clock else 5,
                "direction": "GZ_TO_ROS" if bridged.to_ros else "ROS_TO_GZ",
            }
        )
    return entries


def bridge_yaml(entries: Sequence[Mapping[str, object]]) -> str:
    """A configuration file of ros_gz_bridge, for its parameter config_file."""
    lines = []
    for entry in entries:
        for i, (key, value) in enumerate(entry.items()):
            lines.append(
                f"{'- ' if i == 0 else '  '}{key}: {value if isinstance(value, int) else json.dumps(value)}"
            )
    return "\n".join(lines) + "\n"


def server_command(to: Release, world_file: str, gui: bool = False, verbosity: int = 2) -> list[str]:
    """The command that starts Gazebo on a world file, running at once; without a window it draws off screen."""
    shown = [] if gui else ["-s", "--headless-rendering"]
    return [*to.command, *shown, "-r", "-v", str(verbosity), world_file]


def sensor_frame_aliases(robot: Vehicle, name: str) -> dict[str, Placement]:
    """Frames NAME/base_link/SENSOR and their places in base_link.

    Fortress with ign-sensors before 6.4, as Ubuntu 22.04 itself packages it, names these in its messages, whatever the
    model asks for; later ones say SENSOR. Static transforms make both known.
    """
    return {f"{name}/{BASE}/{frame}": at for frame, at in sensor_frames(robot).items()}


# -- a session: the files that one start of Gazebo needs -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawned:
    """A robot of a session.

    pose, place: of robot and model in the world; goal: (x, y) m in its odometry's frame; model_file: SDF to spawn;
    bridge_file: configuration of its ros_gz_bridge, which runs in the robot's namespace; urdf: its description.
    """

    name: str
    namespace: str
    pose: Pose
    place: Placement
    goal: tuple[float, float]
    model_file: Path
    bridge_file: Path
    urdf: str

    def spawn_arguments(self, world: str) -> list[str]:
        """Arguments of `ros2 run ros_gz_sim create` that put it into the running world of that name."""
        x, y, z = self.place.xyz
        place = {"x": x, "y": y, "z": z, "Y": self.pose.yaw}
        numbers = [part for key, value in place.items() for part in (f"-{key}", f"{value:.9g}")]
        return ["-world", world, "-file", str(self.model_file), "-name", self.name, *numbers]


@dataclass(frozen=True, slots=True)
class Session:
    """What one start of Gazebo needs: the world's name and file, the command that starts it, and the robots."""

    release: Release
    world_name: str
    world_file: Path
    command: tuple[str, ...]
    robots: tuple[Spawned, ...]


def prepare(
    folder: Path,
    world: World,
    to: Release,
    robot: Vehicle = JACKAL,
    starts: Mapping[str, Pose] | None = None,
    physics: Physics | None = None,
    *,
    gui: bool = False,
    lidar_rate: float = 20.0,
    stamped_cmd_vel: bool = True,
) -> Session:
    """Writes the files for Gazebo into a folder, which is made where it is missing.

    starts: a pose for each robot by its namespace ("" for none); for None one robot without a namespace at the
    world's start. The first robot's bridge carries the clock. ValueError where something is impossible, OSError where
    the folder cannot be written.
    """
    starts = {"": world.start} if starts is None else starts
    folder.mkdir(parents=True, exist_ok=True)
    world_file = folder / "world.sdf"
    content = world_sdf(world, to, physics)
    world_file.write_text(content, encoding="utf-8")
    robots = []
    for i, (namespace, pose) in enumerate(starts.items()):
        model = robot_model(robot, to, namespace, lidar_rate=lidar_rate)
        name = str(model.get("name"))
        flies = isinstance(robot, QuadModel)
        model_file, bridge_file = folder / f"{name}.sdf", folder / f"{name}_bridge.yaml"
        model_file.write_text(model_sdf(model), encoding="utf-8")
        entries = bridge_entries(
            to,
            namespace,
            QUADROTOR_TOPICS if flies else ROVER_TOPICS,
            clock=i == 0,
            stamped_cmd_vel=stamped_cmd_vel,
            commands=name if flies else "",
        )
        bridge_file.write_text(bridge_yaml(entries), encoding="utf-8")
        # a drone's odometry in Gazebo is its place in the world
        goal = world.goal if flies else goal_in_odometry(world, pose)
        place, description = standing(robot, pose), urdf(describe(robot))
        robots.append(
            Spawned(name, namespace.strip("/"), pose, place, goal, model_file, bridge_file, description)
        )
    command = server_command(to, str(world_file), gui)
    return Session(to, world_name(world), world_file, tuple(command), tuple(robots))
