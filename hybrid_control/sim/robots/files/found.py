"""What a robot's file says, whatever kind of file it is: shapes as extents, wheels, sensors' places and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FAR = 100.0  # m; nothing of a robot is farther away or larger
ALIGNED = 0.9  # cosine from which on an axis counts as one along y, or upright
LEVEL = 0.2  # of its angle to the vertical, up to which an axis is level
ASLANT = (0.3, 0.95)  # of the angle between a mecanum wheel's axis and its rollers', 45 degrees in most
ROLLERS = 3  # from how many on they make a mecanum wheel


@dataclass(frozen=True, slots=True)
class Frame:
    """Where something is in the base: turn (3, 3) and place (3,) m."""

    turn: FloatArray
    place: FloatArray

    def __matmul__(self, other: Frame) -> Frame:
        """A frame of this one, in what this one is in."""
        return Frame(self.turn @ other.turn, self.turn @ other.place + self.place)

    def inverse(self) -> Frame:
        """The frame that this one is in, as seen from it."""
        return Frame(self.turn.T, -self.turn.T @ self.place)

    @property
    def yaw(self) -> float:
        """rad about z of where its x points."""
        return math.atan2(self.turn[1, 0], self.turn[0, 0])

    @property
    def pitch(self) -> float:
        """rad by which its x looks down."""
        return math.asin(min(max(-float(self.turn[2, 0]), -1.0), 1.0))


HERE = Frame(np.eye(3), np.zeros(3))


def frame_of(xyz: FloatArray, rpy: FloatArray) -> Frame:
    """The frame at a place, turned about the fixed axes x, y, z in this order, rad."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy).tolist(), np.sin(rpy).tolist()
    turn = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    return Frame(turn, xyz)


@dataclass(frozen=True, slots=True)
class Extent:
    """The box along the base's axes that holds something: least and greatest x, y, z, (3,) m."""

    low: FloatArray
    high: FloatArray

    @property
    def middle(self) -> FloatArray:
        """(3,) m."""
        return 0.5 * (self.low + self.high)

    @property
    def size(self) -> FloatArray:
        """(3,) m."""
        return self.high - self.low


def joined(extents: list[Extent]) -> Extent:
    """The box that holds them all."""
    return Extent(np.min([e.low for e in extents], axis=0), np.max([e.high for e in extents], axis=0))


def box_extent(size: FloatArray, at: Frame) -> Extent:
    """Of a box with sides (3,) m: half of it along an axis is the sum of its sides' halves along that."""
    half = np.abs(at.turn) @ (0.5 * size)
    return Extent(at.place - half, at.place + half)


def cylinder_extent(radius: float, length: float, at: Frame) -> Extent:
    """Of a cylinder about its z: the disc at either end reaches r sin of its axis's angle to an axis."""
    along = np.abs(at.turn[:, 2])
    half = 0.5 * length * along + radius * np.sqrt(np.maximum(1.0 - along**2, 0.0))
    return Extent(at.place - half, at.place + half)


def capsule_extent(radius: float, length: float, at: Frame) -> Extent:
    """Of a cylinder about its z with half a ball on either end."""
    half = 0.5 * length * np.abs(at.turn[:, 2]) + radius
    return Extent(at.place - half, at.place + half)


def ellipsoid_extent(radii: FloatArray, at: Frame) -> Extent:
    """Of an ellipsoid, or a ball, with radii (3,) m."""
    half = np.sqrt((at.turn**2) @ (radii**2))
    return Extent(at.place - half, at.place + half)


def points_extent(points: FloatArray, at: Frame) -> Extent:
    """Of points (n, 3) m."""
    placed = points @ at.turn.T + at.place
    return Extent(placed.min(axis=0), placed.max(axis=0))


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape that things are touched with; round: it is a ball, as casters are; radius, length: m, its own, 0 for one
    that has none."""

    extent: Extent
    round: bool = False
    radius: float = 0.0
    length: float = 0.0


def wheel_size(touching: list[Solid], seen: list[Solid]) -> tuple[float, float]:
    """Radius and width of a wheel, m: of cylinders and balls their own, else as far as they reach; a width where balls
    stand for it of what is `seen`, 0 for not known."""
    solids = touching or seen
    own = max(s.radius for s in solids)
    if own <= 0.0:
        size = joined([s.extent for s in solids]).size
        own = 0.5 * float(max(size[0], size[2]))
    wide = [s for s in touching if not s.round] or [s for s in seen if not s.round]
    width = max((s.length or float(s.extent.size[1]) for s in wide), default=0.0)
    return own, width


def spans_the_plane(slides: list[FloatArray], turns: list[FloatArray]) -> bool:
    """Whether joints that slide along and turn about these axes, (3,) in the base, let it move in the plane: two level
    ones that cross, and an upright one to turn about."""
    level = [a for a in slides if abs(a[2]) < LEVEL]
    crossing = any(abs(a[0] * b[1] - a[1] * b[0]) > 0.5 for i, a in enumerate(level) for b in level[:i])
    return crossing and any(abs(a[2]) >= ALIGNED for a in turns)


def is_aslant(roller: FloatArray, wheel: FloatArray) -> bool:
    """Whether a roller's axis, (3,), stands to its wheel's as a mecanum wheel's does: neither along it nor across."""
    return ASLANT[0] < abs(float(roller @ wheel)) < ASLANT[1]


def rolling_size(whole: Extent) -> tuple[float, float]:
    """Radius and width, m, of a wheel that rolls on what it carries: as far as all of it reaches."""
    return 0.5 * float(max(whole.size[0], whole.size[2])), float(whole.size[1])


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel in the base: where the middle of its axle is, m; radius, m, and width, m, 0 where not known; mass, kg;
    effort and speed: N m and rad/s that its joint bears at most, 0 for not said; steering: rad to either side that it
    is steered by, 0 for one that is not."""

    name: str
    place: FloatArray
    radius: float
    width: float = 0.0
    mass: float = 0.0
    effort: float = 0.0
    speed: float = 0.0
    steering: float = 0.0


@dataclass(slots=True)
class Found:
    """All that was found, in the base's frame. numbers: fields of a Vehicle that the file itself says, and lidar_turn,
    rad by which the middle of its field of view is turned; unread: meshes that could not be read, and why. sideways:
    what says that it moves in any direction, "" for nothing; planar: whether that moves the base itself, whatever
    wheels there are, and not its wheels."""

    name: str
    mass: float = 0.0
    body: list[Solid] = field(default_factory=list)
    wheels: list[Wheel] = field(default_factory=list)
    frames: dict[str, Frame] = field(default_factory=dict)  # lidar, camera, imu
    numbers: dict[str, float] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    sideways: str = ""
    planar: bool = False

    def moves_sideways(self, why: str, planar: bool = False) -> None:
        """Note what says so; what moves the base itself counts before its wheels."""
        if not self.sideways or (planar and not self.planar):
            self.sideways, self.planar = why, planar
