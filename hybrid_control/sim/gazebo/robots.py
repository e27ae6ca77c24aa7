"""The <model> of a rover or a quadrotor: links, joints, sensors and the plugins that move it."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from hybrid_control.signals import Pose
from hybrid_control.sim.description import (
    BASE,
    CAMERA,
    FOOTPRINT,
    IMU,
    LIDAR,
    ODOM,
    Description,
    Link,
    Placement,
    describe,
    sensor_frames,
)
from hybrid_control.sim.gazebo.bridge import GROUND_TRUTH, VERTICAL, topic_prefix
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.gazebo.sdf import (
    add,
    add_friction,
    add_geometry,
    add_material,
    add_noise,
    add_plugin,
    add_pose,
)
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.quadrotor import OBSTACLE_HEIGHT
from hybrid_control.sim.robots import QuadModel, RobotModel, Vehicle
from hybrid_control.sim.urdf import text

CASTER_GAP = (
    0.003  # m; casters on the ground would take load off the wheels, which then slip when it brakes and turns
)
VERTICAL_LEAST = 0.08  # m, least range up and down: beyond the drone's own body


def _links(model: ET.Element, description: Description, friction: float) -> None:
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
        add(inertial, "mass", link.mass)
        inertia = add(inertial, "inertia")
        for tag, moment in zip(("ixx", "iyy", "izz"), link.inertia, strict=True):
            add(inertia, tag, moment)
        for tag in ("ixy", "ixz", "iyz"):
            add(inertia, tag, 0.0)
        _solids(element, link, friction)
    for joint in description.joints:
        if joint.kind == "fixed":
            continue
        element = add(model, "joint", name=joint.name, type="revolute")
        add(element, "parent", joint.parent)
        add(element, "child", joint.child)
        axis = add(element, "axis")
        add(axis, "xyz", text(joint.axis))
        limit = add(axis, "limit")
        add(limit, "lower", -1e16)  # a wheel turns without end
        add(limit, "upper", 1e16)
        add(limit, "effort", joint.effort)


def _solids(element: ET.Element, link: Link, friction: float) -> None:
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
    frames = sensor_frames(robot)
    sensor = _sensor(base, to, LIDAR, "gpu_lidar", frames[LIDAR], lidar_rate, f"{prefix}scan")
    last = math.pi - math.tau / robot.lidar_beams  # the last beam itself
    reach = (robot.lidar_range_min, robot.lidar_range_max)
    _beams(sensor, robot.lidar_beams, (-math.pi, last), reach, robot.lidar_noise)

    if isinstance(robot, QuadModel):
        _vertical(base, robot, to, prefix)

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


def _vertical(base: ET.Element, robot: QuadModel, to: Release, prefix: str) -> None:
    """The ranges down and up, in this order: a lidar of two beams that stands on its side.

    What its body is in does not count: it ends nearer than the least range.
    """
    on_its_side = Placement(rpy=(math.pi / 2, 0.0, 0.0))
    topic = f"{prefix}{VERTICAL.topic}"
    sensor = _sensor(base, to, "range_vertical", "gpu_lidar", on_its_side, robot.vertical_rate, topic)
    reach = (VERTICAL_LEAST, robot.vertical_range_max)
    _beams(sensor, 2, (-math.pi / 2, math.pi / 2), reach, robot.vertical_noise)


def _model(
    robot: Vehicle, to: Release, namespace: str, name: str, lidar_rate: float
) -> tuple[ET.Element, str]:
    """A model with links, joints and sensors, and what stands before its topics."""
    prefix = topic_prefix(namespace)
    model = ET.Element("model", name=name or namespace.strip("/").replace("/", "_") or robot.name)
    _links(model, describe(robot), friction=1.0)
    base = next(link for link in model.findall("link") if link.get("name") == BASE)
    _sensors(base, robot, to, prefix, lidar_rate)
    return model, prefix


def rover_model(
    robot: RobotModel, to: Release, namespace: str = "", name: str = "", lidar_rate: float = 20.0
) -> ET.Element:
    """The <model> of a rover: differential drive, lidar, camera, IMU, wheel odometry, joint states, contact sensor, and
    for the score its true place.

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
        # for speed and yaw rate alike, the only limits that Fortress before 6.5 knows; those below take precedence
        "max_acceleration": robot.yaw_acceleration,
        "min_acceleration": -robot.yaw_acceleration,
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
    add_plugin(model, to, "diff-drive", "DiffDrive", drive)
    states = {"topic": f"{prefix}joint_states", "joint_name": wheels}
    add_plugin(model, to, "joint-state-publisher", "JointStatePublisher", states)
    truth = f"{prefix}{GROUND_TRUTH.topic}"
    _add_place(model, to, robot, "world", FOOTPRINT, truth, f"{truth}/tf", dimensions=2)
    return model


def _add_place(
    model: ET.Element,
    to: Release,
    robot: Vehicle,
    frame: str,
    base: str,
    topic: str,
    tf: str,
    dimensions: int,
) -> None:
    """Gazebo tells the model's place in the world, as an odometry that does not drift."""
    place = {
        "odom_frame": frame,
        "robot_base_frame": base,
        "odom_topic": topic,
        "tf_topic": tf,
        "odom_publish_frequency": robot.odometry_rate,
        "dimensions": dimensions,
    }
    add_plugin(model, to, "odometry-publisher", "OdometryPublisher", place)


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
        add_plugin(model, to, "multicopter-motor-model", "MulticopterMotorModel", motor)
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
    add_plugin(model, to, "multicopter-control", "MulticopterVelocityControl", control)
    rotors = add(model.findall("plugin")[-1], "rotorConfiguration")
    for i in range(4):
        rotor = add(rotors, "rotor")
        add(rotor, "jointName", f"rotor{i}_joint")
        add(rotor, "forceConstant", constant)
        add(rotor, "momentConstant", robot.rotor_torque)
        add(rotor, "direction", 1 if i % 2 else -1)
    _add_place(model, to, robot, ODOM, BASE, f"{prefix}odom", f"{prefix}tf", dimensions=3)
    return model


def standing(robot: Vehicle, at: Pose) -> Placement:
    """Where a robot's model lies in the world when the robot stands on the ground there, a hair above it."""
    height = robot.height / 2 + 0.002 if isinstance(robot, QuadModel) else 0.0
    return Placement((at.x, at.y, height), (0.0, 0.0, at.yaw))


def odometry_origin(robot: Vehicle, start: Pose) -> Pose:
    """Where in the world the odometry of a robot that starts there is zero.

    A rover counts the turns of its wheels from where it starts; a drone's odometry is its place in the world.
    """
    return Pose() if isinstance(robot, QuadModel) else start


def truth_topic(robot: Vehicle) -> str:
    """Topic of the robot's true place in the world, for the score alone."""
    return "odom" if isinstance(robot, QuadModel) else GROUND_TRUTH.topic


def looks(robot: Vehicle, seed: int = 0) -> Appearance:
    """How the obstacles of a robot's world look: a drone flies round them, not over them."""
    return (
        Appearance(seed, obstacle_height=OBSTACLE_HEIGHT)
        if isinstance(robot, QuadModel)
        else Appearance(seed)
    )


def robot_model(
    robot: Vehicle, to: Release, namespace: str = "", name: str = "", lidar_rate: float = 20.0
) -> ET.Element:
    """The <model> of a rover or a quadrotor; ValueError for what is neither."""
    if isinstance(robot, RobotModel):
        return rover_model(robot, to, namespace, name, lidar_rate)
    if isinstance(robot, QuadModel):
        return quadrotor_model(robot, to, namespace, name, lidar_rate)
    raise ValueError(f"robot {robot.name!r}: a {type(robot).__name__} has no model for Gazebo")
