"""A robot as links, joints and sensors, made from its numbers once: MJCF, URDF and SDF are written from this.

Frames after REP 103 and 105: base_footprint lies on the ground under the middle of the axle (or of the rotors),
base_link straight above it, in the middle of the axle; sensors stand in frames named as their messages name them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid_control.sim.robots import QuadModel, RobotModel, Vehicle

Vector = tuple[float, float, float]

FOOTPRINT, BASE = "base_footprint", "base_link"
ODOM, LIDAR, CAMERA, IMU = "odom", "lidar", "camera", "imu"
RANGE_UP, RANGE_DOWN = "range_up", "range_down"
OPTICAL = "camera_optical"  # the camera's frame as image geometry has it: z ahead, x to the right

YELLOW = (0.95, 0.75, 0.1, 1.0)
BLACK = (0.1, 0.1, 0.1, 1.0)
GREY = (0.2, 0.2, 0.2, 1.0)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame lies in its parent's: m, and rad about the fixed axes x, y, z in this order."""

    xyz: Vector = (0.0, 0.0, 0.0)
    rpy: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """A solid in its link's frame. kind and size in m: box (x, y, z), cylinder (radius, length), sphere (radius,).

    A cylinder's axis is z. slippery: it touches the ground, and slides on it without friction.
    """

    name: str
    kind: str
    size: tuple[float, ...]
    at: Placement = Placement()
    colour: tuple[float, float, float, float] = GREY
    slippery: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A rigid body. mass: kg, 0 for a mere frame; inertia: kg m², about the link's frame, whose axes are principal."""

    name: str
    mass: float = 0.0
    inertia: Vector = (0.0, 0.0, 0.0)
    visuals: tuple[Shape, ...] = ()
    collisions: tuple[Shape, ...] = ()


@dataclass(frozen=True, slots=True)
class Joint:
    """Holds child to parent: fixed, or continuous about an axis of the child's frame, with most torque in N m."""

    name: str
    kind: str
    parent: str
    child: str
    at: Placement
    axis: Vector = (0.0, 1.0, 0.0)
    effort: float = 0.0


@dataclass(frozen=True, slots=True)
class Description:
    """A robot: its first link is the root; joints come in an order in which every parent is known."""

    name: str
    links: tuple[Link, ...]
    joints: tuple[Joint, ...]

    def link(self, name: str) -> Link:
        """The link of that name; KeyError where there is none."""
        for link in self.links:
            if link.name == name:
                return link
        raise KeyError(f"{self.name} has no link {name!r}")

    def joint_to(self, child: str) -> Joint:
        """The joint that holds a link; KeyError where there is none."""
        for joint in self.joints:
            if joint.child == child:
                return joint
        raise KeyError(f"{self.name} has no joint that holds {child!r}")

    @property
    def mass(self) -> float:
        """Of all links, kg."""
        return sum(link.mass for link in self.links)


def box_inertia(mass: float, x: float, y: float, z: float) -> Vector:
    """Principal moments of a solid box about its middle, kg m²: m/12 (b² + c²) about a."""
    return mass / 12 * (y * y + z * z), mass / 12 * (x * x + z * z), mass / 12 * (x * x + y * y)


def ball_inertia(mass: float, radius: float) -> Vector:
    """Principal moments of a solid sphere, kg m²: 2/5 m r²."""
    moment = 0.4 * mass * radius * radius
    return moment, moment, moment


def rover(robot: RobotModel) -> Description:
    """A differential-drive rover.

    The footprint, a box of the whole outline clear of the ground, is what touches obstacles. Wheels are balls to the
    ground: they meet it in one point under the wheel's middle, so that nothing scrubs and the track is exact. Two
    casters without friction keep the body level. The centre of mass is in the middle of the axle.
    """
    r, caster = robot.wheel_radius, robot.caster_radius
    body = robot.mass - 2 * robot.wheel_mass
    half = (robot.height - robot.ground_clearance) / 2
    hull = Shape(
        "footprint",
        "box",
        (robot.length, robot.width, 2 * half),
        Placement((0.0, 0.0, robot.ground_clearance + half - r)),
        YELLOW,
    )
    casters = tuple(
        Shape(
            name,
            "sphere",
            (caster,),
            Placement((side * (robot.length / 2 - caster), 0.0, caster - r)),
            slippery=True,
        )
        for name, side in (("front_caster", 1), ("rear_caster", -1))
    )
    inertia = box_inertia(body, robot.length, robot.width, robot.height)
    links = [
        Link(FOOTPRINT),
        Link(BASE, body, inertia, (hull, *casters), (hull, *casters)),
    ]
    joints = [Joint("base_joint", "fixed", FOOTPRINT, BASE, Placement((0.0, 0.0, r)))]
    sideways = Placement(rpy=(math.pi / 2, 0.0, 0.0))
    for side, sign in (("left", 1), ("right", -1)):
        ball = Shape(f"{side}_wheel", "sphere", (r,))
        tyre = Shape(f"{side}_wheel", "cylinder", (r, robot.wheel_width), sideways, BLACK)
        wheel_inertia = ball_inertia(robot.wheel_mass, r)
        links.append(Link(f"{side}_wheel", robot.wheel_mass, wheel_inertia, (tyre,), (ball,)))
        at = Placement((0.0, sign * robot.track / 2, 0.0))
        joints.append(
            Joint(f"{side}_wheel_joint", "continuous", BASE, f"{side}_wheel", at, effort=robot.wheel_effort)
        )
    _sense(links, joints, sensor_frames(robot))
    return Description(robot.name, tuple(links), tuple(joints))


def quadrotor(robot: QuadModel) -> Description:
    """A quadrotor; its root is base_link, in the middle of the four rotors.

    The first rotor is the front left one, the others follow counter-clockwise from above. A body of half the outline
    hangs between thin rotors; the footprint, the whole outline, is what touches things.
    """
    body = robot.mass - 4 * robot.rotor_mass
    hull = Shape("footprint", "box", (robot.length, robot.width, robot.height), colour=YELLOW)
    core = Shape("body", "box", (robot.length / 2, robot.width / 2, robot.height / 2), colour=YELLOW)
    inertia = box_inertia(body, robot.length, robot.width, robot.height)
    links = [Link(BASE, body, inertia, (core,), (hull,))]
    joints: list[Joint] = []
    r, m = robot.rotor_radius, robot.rotor_mass
    corners = ((1, 1), (-1, 1), (-1, -1), (1, -1))
    for i, (ahead, left) in enumerate(corners):
        disc = Shape(f"rotor{i}", "cylinder", (r, 0.005), colour=BLACK)
        links.append(Link(f"rotor{i}", m, (m * r * r / 4, m * r * r / 4, m * r * r / 2), (disc,)))
        at = Placement((ahead * robot.rotor_x, left * robot.rotor_y, 0.0))
        joints.append(
            Joint(f"rotor{i}_joint", "continuous", BASE, f"rotor{i}", at, (0.0, 0.0, 1.0), effort=1.0)
        )
    frames = {
        **sensor_frames(robot),
        RANGE_UP: Placement((0.0, 0.0, robot.height / 2), (0.0, -math.pi / 2, 0.0)),
        RANGE_DOWN: Placement((0.0, 0.0, -robot.height / 2), (0.0, math.pi / 2, 0.0)),
    }
    _sense(links, joints, frames)
    return Description(robot.name, tuple(links), tuple(joints))


def describe(robot: Vehicle) -> Description:
    """The description of a rover or quadrotor; ValueError for what is neither."""
    if isinstance(robot, RobotModel):
        return rover(robot)
    if isinstance(robot, QuadModel):
        return quadrotor(robot)
    raise ValueError(f"robot {robot.name!r}: a {type(robot).__name__} has no description")


def _sense(links: list[Link], joints: list[Joint], frames: dict[str, Placement]) -> None:
    """Adds the sensors' frames, which have no mass, and the camera's optical frame."""
    for frame, at in frames.items():
        links.append(Link(frame))
        joints.append(Joint(f"{frame}_joint", "fixed", BASE, frame, at))
    links.append(Link(OPTICAL))
    optical = Placement(rpy=(-math.pi / 2, 0.0, -math.pi / 2))
    joints.append(Joint(f"{OPTICAL}_joint", "fixed", CAMERA, OPTICAL, optical))


def sensor_frames(robot: Vehicle) -> dict[str, Placement]:
    """Where lidar, camera (looking along its x) and IMU stand in base_link."""
    floor = robot.wheel_radius if isinstance(robot, RobotModel) else 0.0
    return {
        LIDAR: Placement((0.0, 0.0, robot.lidar_z - floor)),
        CAMERA: Placement((robot.camera_x, 0.0, robot.camera_z - floor), (0.0, robot.camera_pitch, 0.0)),
        IMU: Placement(),
    }
