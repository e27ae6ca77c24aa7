"""A robot as links, joints and sensors, made from its numbers once: MJCF, URDF and SDF are written from this.

Frames after REP 103 and 105: base_footprint lies on the ground under the middle of the axle (or of the rotors),
base_link straight above it, in the middle of the axle; sensors stand in frames named as their messages name them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Vector = tuple[float, float, float]

FOOTPRINT, BASE = "base_footprint", "base_link"
ODOM, LIDAR, CAMERA, IMU = "odom", "lidar", "camera", "imu"
EVENTS = "event_camera"
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

    A cylinder's axis is z. slippery: it touches the ground, and slides on it without friction; grips: the direction in
    base_link along which alone it does not, as a mecanum wheel's.
    """

    name: str
    kind: str
    size: tuple[float, ...]
    at: Placement = Placement()
    colour: tuple[float, float, float, float] = GREY
    slippery: bool = False
    grips: Vector | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A rigid body. mass: kg, 0 for a mere frame; centre: m, of mass, in the link's frame; inertia: kg m², about that,
    whose principal axes are the link's."""

    name: str
    mass: float = 0.0
    inertia: Vector = (0.0, 0.0, 0.0)
    visuals: tuple[Shape, ...] = ()
    collisions: tuple[Shape, ...] = ()
    centre: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Joint:
    """Holds child to parent: fixed, continuous about an axis of the child's frame, or revolute, within `limits` in rad;
    effort, velocity: the most torque and speed, N m and rad/s."""

    name: str
    kind: str
    parent: str
    child: str
    at: Placement
    axis: Vector = (0.0, 1.0, 0.0)
    effort: float = 0.0
    velocity: float = math.tau * 20
    limits: tuple[float, float] = (0.0, 0.0)


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
