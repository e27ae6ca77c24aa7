"""The <model> of a robot: links, joints, sensors and the plugins that move it."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from hybrid_control.signals import Pose
from hybrid_control.sim.description import BASE, CAMERA, IMU, LIDAR, Description, Link, Placement
from hybrid_control.sim.gazebo.bridge import GROUND_TRUTH, VERTICAL, model_name, topic_prefix
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.gazebo.sdf import (
    add,
    add_friction,
    add_geometry,
    add_grip,
    add_material,
    add_noise,
    add_plugin,
    add_pose,
)
from hybrid_control.sim.gazebo.things import LIDAR_MASK
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.robots.vehicle import Vehicle, VerticalSensor
from hybrid_control.sim.urdf import text

# m; casters on the ground would take load off the wheels, which then slip when it brakes and turns
CASTER_GAP = 0.003
VERTICAL_LEAST = 0.08  # m, least range up and down: beyond the drone's own body


def _links(model: ET.Element, description: Description, friction: float, to: Release) -> None:
    """The links that have mass, and the joints between them; the model's frame is the root link's."""
    for link in description.links:
        if not link.mass:
            continue
        element = add(model, "link", name=link.name)
        if link is not description.links[0]:
            joint = description.joint_to(link.name)
            parent = joint.parent if description.link(joint.parent).mass else ""
            add_pose(element, joint.at, parent)
        inertial = add(element, "inertial")
        add_pose(inertial, Placement(link.centre))
        add(inertial, "mass", link.mass)
        inertia = add(inertial, "inertia")
        for tag, moment in zip(("ixx", "iyy", "izz"), link.inertia, strict=True):
            add(inertia, tag, moment)
        for tag in ("ixy", "ixz", "iyz"):
            add(inertia, tag, 0.0)
        _solids(element, link, friction, to)
    for joint in description.joints:
        if joint.kind == "fixed":
            continue
        element = add(model, "joint", name=joint.name, type="revolute")
        add(element, "parent", joint.parent)
        add(element, "child", joint.child)
        axis = add(element, "axis")
        add(axis, "xyz", text(joint.axis))
        limit = add(axis, "limit")
        lower, upper = joint.limits if joint.kind == "revolute" else (-1e16, 1e16)  # a wheel turns without end
        add(limit, "lower", lower)
        add(limit, "upper", upper)
        add(limit, "effort", joint.effort)


def _solids(element: ET.Element, link: Link, friction: float, to: Release) -> None:
    for shape in link.visuals:
        visual = add(element, "visual", name=f"{shape.name}_visual")
        add_pose(visual, shape.at)
        add_geometry(visual, shape.kind, shape.size)
        add_material(visual, shape.colour)
        add(visual, "cast_shadows", False)
    for shape in link.collisions:
        collision = add(element, "collision", name=shape.name)
        x, y, z = shape.at.xyz
        add_pose(collision, Placement((x, y, z + CASTER_GAP), shape.at.rpy) if shape.slippery else shape.at)
        add_geometry(collision, shape.kind, shape.size)
        if shape.grips is not None:
            add_grip(collision, friction, shape.grips, BASE, to)
        else:
            add_friction(collision, 0.0 if shape.slippery else friction)


def _sensor(
    link: ET.Element, to: Release, name: str, kind: str, at: Placement, rate: float, topic: str
) -> ET.Element:
    sensor = add(link, "sensor", name=name, type=kind)
    add_pose(sensor, at)
    add(sensor, "always_on", True)
    add(sensor, "update_rate", rate)
    add(sensor, "topic", topic)
    add(sensor, to.frame, name)
    return sensor


def _sensors(base: ET.Element, robot: Vehicle, to: Release, prefix: str, lidar_rate: float) -> None:
    """Lidar, camera, IMU and contact sensor of a robot, in its base."""
    if not 0 < lidar_rate <= 100:
        raise ValueError(f"lidar: a rate of {lidar_rate} Hz; expected 0 .. 100")
    frames = robot.sensor_frames()
    sensor = _sensor(base, to, LIDAR, "gpu_lidar", frames[LIDAR], lidar_rate, f"{prefix}scan")
    first, step = robot.beams
    last = first + step * (robot.lidar_beams - 1)  # the last beam itself
    reach = (robot.lidar_range_min, robot.lidar_range_max)
    _beams(sensor, robot.lidar_beams, (first, last), reach, robot.lidar_noise)

    if robot.vertical is not None:
        _vertical(base, robot.vertical, to, prefix)

    topic = f"{prefix}camera/image_raw"
    camera = add(_sensor(base, to, CAMERA, "camera", frames[CAMERA], robot.camera_rate, topic), "camera")
    add(camera, "camera_info_topic", f"{prefix}camera/camera_info")
    add(camera, "horizontal_fov", robot.camera_hfov)
    image = add(camera, "image")
    add(image, "width", robot.camera_width)
    add(image, "height", robot.camera_height)
    add(image, "format", "R8G8B8")
    clip = add(camera, "clip")
    add(clip, "near", 0.01)
    add(clip, "far", 60.0)

    imu = add(_sensor(base, to, IMU, "imu", frames[IMU], robot.imu_rate, f"{prefix}imu"), "imu")
    for quantity, stddev, bias in (
        ("angular_velocity", robot.gyro_noise, robot.gyro_bias),
        ("linear_acceleration", robot.accelerometer_noise, robot.accelerometer_bias),
    ):
        element = add(imu, quantity)
        for axis in ("x", "y", "z"):
            add_noise(add(element, axis), stddev, bias)

    sensor = add(base, "sensor", name="contact", type="contact")
    add(sensor, "always_on", True)
    add(sensor, "update_rate", 100.0)
    contact = add(sensor, "contact")
    add(contact, "collision", "footprint")
    add(contact, "topic", f"{prefix}contacts")


def _beams(
    sensor: ET.Element, count: int, angles: tuple[float, float], reach: tuple[float, float], stddev: float
) -> None:
    """A lidar's beams: how many from the first to the last angle in rad, how far and how well they see in m."""
    lidar = add(sensor, "lidar")
    add(lidar, "visibility_mask", LIDAR_MASK)
    horizontal = add(add(lidar, "scan"), "horizontal")
    add(horizontal, "samples", count)
    add(horizontal, "resolution", 1)
    add(horizontal, "min_angle", angles[0])
    add(horizontal, "max_angle", angles[1])
    limits = add(lidar, "range")
    add(limits, "min", reach[0])
    add(limits, "max", reach[1])
    noise = add(lidar, "noise")
    add(noise, "type", "gaussian")
    add(noise, "mean", 0.0)
    add(noise, "stddev", stddev)


def _vertical(base: ET.Element, ranges: VerticalSensor, to: Release, prefix: str) -> None:
    """The ranges down and up, in this order: a lidar of two beams that stands on its side.

    What its body is in does not count: it ends nearer than the least range.
    """
    on_its_side = Placement(rpy=(math.pi / 2, 0.0, 0.0))
    topic = f"{prefix}{VERTICAL.topic}"
    sensor = _sensor(base, to, "range_vertical", "gpu_lidar", on_its_side, ranges.rate, topic)
    reach = (VERTICAL_LEAST, ranges.range_max)
    _beams(sensor, 2, (-math.pi / 2, math.pi / 2), reach, ranges.noise)


def robot_model(
    robot: Vehicle, to: Release, namespace: str = "", lidar_rate: float = 20.0
) -> ET.Element:
    """The <model> of a robot: links, joints, sensors, and what moves it and tells where it is.

    namespace: before the robot's topics in Gazebo, so that several robots have their own. lidar_rate: Hz; the
    embedded simulator's 40 Hz of 360 beams are much for software rendering. Its frame is the root link's. ValueError
    for an impossible namespace or rate.
    """
    prefix = topic_prefix(namespace)
    name = model_name(robot, namespace)
    model = ET.Element("model", name=name)
    _links(model, robot.describe(), friction=1.0, to=to)
    base = next(link for link in model.findall("link") if link.get("name") == BASE)
    _sensors(base, robot, to, prefix, lidar_rate)
    for plugin in robot.gazebo_plugins(prefix, name):
        add_plugin(model, to, *plugin)
    return model


def urdf_elements(robot: Vehicle, to: Release) -> list[ET.Element]:
    """The <gazebo> elements that make a robot's URDF one that Gazebo drives: its sensors, and what moves it."""
    sensors = ET.Element("gazebo", reference=BASE)
    _sensors(sensors, robot, to, "", min(robot.lidar_rate, 100.0))
    moves = ET.Element("gazebo")
    for plugin in robot.gazebo_plugins("", robot.name):
        add_plugin(moves, to, *plugin)
    return [sensors, moves]


def standing(robot: Vehicle, at: Pose) -> Placement:
    """Where a robot's model lies in the world when the robot stands on the ground there."""
    return Placement((at.x, at.y, robot.standing_height), (0.0, 0.0, at.yaw))


def odometry_origin(robot: Vehicle, start: Pose) -> Pose:
    """Where in the world the odometry of a robot that starts there is zero.

    A rover counts the turns of its wheels from where it starts; a drone's odometry is its place in the world.
    """
    return Pose() if robot.flies else start


def truth_topic(robot: Vehicle) -> str:
    """Topic of the robot's true place in the world, for the score alone."""
    return "odom" if robot.flies else GROUND_TRUTH.topic


def looks(robot: Vehicle, seed: int = 0) -> Appearance:
    """How the obstacles of a robot's world look."""
    return Appearance(seed, obstacle_height=robot.obstacle_height)
