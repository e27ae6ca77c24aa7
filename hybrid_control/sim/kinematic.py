"""A planar stand-in for the embedded simulator, compiled: no dynamics but the base's ramps, no slip, no pictures.

It has the part of `Simulator` that an episode needs, the same sensors' noise and the same base, and costs little
enough for tuning. What it leaves out (wheel slip, tilt, collisions' forces) `docs/navigation.md` compares.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numba
import numpy as np

from hybrid_control.geometry.shapes import (
    ROUGH,
    FloatArray,
    cast_rays,
    footprint_distance,
    ray_to_box,
    rough_bearing,
    turned,
)
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import STANDING_SPEED, Vehicle, Wheels
from hybrid_control.sim.score import Contact, met_things, outline_gap, walk_among
from hybrid_control.sim.sensors import LidarNoise, Schedule
from hybrid_control.sim.simulator import Event
from hybrid_control.sim.wheels import WheelOdometry, on_circle, ramp, ramp_in_plane, within
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.movers import PX, PY, walk

STEP_NS = 5_000_000

# places in the state
X, Y, YAW, V, W, TARGET_V, TARGET_W, SIDEWAYS, TARGET_SIDEWAYS, PATH, CLOSEST, SINCE, WHEELS = range(13)


@numba.njit(cache=True, nogil=True)
def _covered(
    dx: float, dy: float, radius: float, begin: float, step: float, n: int, limit: float
) -> tuple[int, int]:
    """The beams that a circle at (dx, dy) covers, of n: the first of them, and how many, those beyond n from 0 on."""
    distance = math.sqrt(dx * dx + dy * dy)
    if distance - radius > limit + 1e-6:
        return 0, 0
    if distance <= radius * (1.0 + 1e-6):
        return 0, n
    ratio = radius / distance
    half = ratio * (1.0 + 0.571 * ratio * ratio) + ROUGH  # never less than asin(ratio)
    first = math.floor((rough_bearing(dx, dy) - half - begin) / step) % n
    return first, min(n, math.ceil(2.0 * half / step) + 3)  # a beam more on either side, for the rounding


@numba.njit(cache=True, nogil=True)
def _meet_circle(
    ranges: FloatArray, ux: FloatArray, uy: FloatArray, dx: float, dy: float, radius: float
) -> None:
    """Shorten the ranges of rays, (n,) m, to a circle at (dx, dy) m from where they begin; ux, uy: their directions."""
    outside = dx * dx + dy * dy - radius * radius
    if outside <= 0.0:
        ranges[:] = 0.0
        return
    for b in range(ranges.size):
        along = ux[b] * dx + uy[b] * dy
        root = along * along - outside
        hit = along - math.sqrt(max(root, 0.0))
        ranges[b] = hit if (along > 0.0) & (root >= 0.0) & (hit < ranges[b]) else ranges[b]


@numba.njit(cache=True, nogil=True)
def _meet_box(
    ranges: FloatArray, ux: FloatArray, uy: FloatArray, x: float, y: float, boxes: FloatArray, i: int, turns: FloatArray
) -> None:
    """Shorten the ranges of rays from (x, y), (n,) m, to box i; ux, uy: their directions; turns: of `turned`."""
    c, s = turns[i, 0], turns[i, 1]
    for b in range(ranges.size):
        ranges[b] = min(ranges[b], ray_to_box(x, y, ux[b], uy[b], boxes, i, c, s))


class Beams(NamedTuple):
    """Beams in even steps: their angles in the lidar's frame, (n,) rad, and cosines and sines of these, (n,) each."""

    angles: FloatArray
    cosines: FloatArray
    sines: FloatArray


def beams_of(angles: FloatArray) -> Beams:
    """The Beams at these angles, (n,) rad."""
    return Beams(angles, np.cos(angles), np.sin(angles))


@numba.njit(cache=True, nogil=True)
def sweep(
    x: float, y: float, yaw: float, beams: Beams, limit: float, cylinders: FloatArray, boxes: FloatArray
) -> FloatArray:
    """What `geometry.cast_rays` gives for a lidar at (x, y) that is turned by yaw, but for the last digits.

    Where its beams go once round, they are turned all at once, and an obstacle is tried on those alone that its
    bounding circle covers.
    """
    n, begin = beams.angles.size, yaw + beams.angles[0]
    step = 2.0 * math.pi / n
    if abs((beams.angles[n - 1] - beams.angles[0]) - (n - 1) * step) > 1e-9:
        return cast_rays(x, y, yaw + beams.angles, limit, cylinders, boxes)
    ranges = np.full(n, math.inf)
    c, s = math.cos(yaw), math.sin(yaw)
    ux, uy = c * beams.cosines - s * beams.sines, s * beams.cosines + c * beams.sines
    for i in range(cylinders.shape[0]):
        dx, dy, r = cylinders[i, 0] - x, cylinders[i, 1] - y, cylinders[i, 2]
        first, count = _covered(dx, dy, r, begin, step, n, limit)
        end = min(first + count, n)
        _meet_circle(ranges[first:end], ux[first:end], uy[first:end], dx, dy, r)
        rest = first + count - end
        _meet_circle(ranges[:rest], ux[:rest], uy[:rest], dx, dy, r)
    turns = turned(boxes)
    for i in range(boxes.shape[0]):
        radius = 0.5 * math.sqrt(boxes[i, 2] ** 2 + boxes[i, 3] ** 2)
        first, count = _covered(boxes[i, 0] - x, boxes[i, 1] - y, radius, begin, step, n, limit)
        end = min(first + count, n)
        _meet_box(ranges[first:end], ux[first:end], uy[first:end], x, y, boxes, i, turns)
        rest = first + count - end
        _meet_box(ranges[:rest], ux[:rest], uy[:rest], x, y, boxes, i, turns)
    for b in range(n):
        if ranges[b] > limit:
            ranges[b] = math.inf
    return ranges


@numba.njit(cache=True, nogil=True)
def lidar_at(state: FloatArray, mount: FloatArray) -> tuple[float, float, float]:
    """Where the lidar is in the world, m and rad; mount: (3,) its place and yaw in the body."""
    c, s = math.cos(state[YAW]), math.sin(state[YAW])
    return state[X] + mount[0] * c - mount[1] * s, state[Y] + mount[0] * s + mount[1] * c, state[YAW] + mount[2]


@numba.njit(cache=True, nogil=True)
def roll(state: FloatArray, base: FloatArray, dt: float) -> None:
    """Turn the wheels for dt s as the base moves, without slip: left and right, or four mecanum wheels (Taheri et al.,
    2015, eq. 20) in the order of `WheelOdometry`."""
    left, right = state[V] - state[W] * base[3], state[V] + state[W] * base[3]
    state[WHEELS] += (left - state[SIDEWAYS]) / base[4] * dt
    state[WHEELS + 1] += (right + state[SIDEWAYS]) / base[4] * dt
    if state.size == WHEELS + 4:
        state[WHEELS + 2] += (left + state[SIDEWAYS]) / base[4] * dt
        state[WHEELS + 3] += (right - state[SIDEWAYS]) / base[4] * dt


@numba.njit(cache=True, nogil=True)
def _advance(
    state: FloatArray,
    steps: int,
    time: float,
    dt: float,
    base: FloatArray,
    cylinders: FloatArray,
    movers: FloatArray,
    places: FloatArray,
    boxes: FloatArray,
) -> int:
    """Moves the robot by up to `steps` steps; returns how many were made, fewer where the last one would touch.

    base: (10,) rise, fall, yaw acceleration, wheels' lever, wheel radius, command timeout, length, width, radius of the
    tightest circle, how far the outline's middle lies ahead. movers, places: as `walk` takes them; the last rows of
    cylinders are where they are, and are set here.
    """
    standing = cylinders.shape[0] - movers.shape[0]
    around = math.hypot(0.5 * base[6] + abs(base[9]), 0.5 * base[7])
    for k in range(steps):
        state[SINCE] += dt
        fresh = state[SINCE] <= base[5]
        v = state[TARGET_V] if fresh else 0.0
        if state.size == WHEELS + 4:
            y = state[TARGET_SIDEWAYS] if fresh else 0.0
            state[V], state[SIDEWAYS] = ramp_in_plane(state[V], state[SIDEWAYS], v, y, base[0], base[1], dt)
        else:
            state[V] = ramp(state[V], v, base[0], base[1], dt)
        state[W] = ramp(state[W], state[TARGET_W] if fresh else 0.0, base[2], base[2], dt)
        state[W] = on_circle(state[W], state[V], base[8])
        middle = state[YAW] + 0.5 * state[W] * dt
        c, s = math.cos(middle), math.sin(middle)
        x = state[X] + state[V] * dt * c - state[SIDEWAYS] * dt * s
        y = state[Y] + state[V] * dt * s + state[SIDEWAYS] * dt * c
        yaw = state[YAW] + state[W] * dt
        walk(movers, places, time + (k + 1) * dt, dt, x, y, around)
        for m in range(movers.shape[0]):
            cylinders[standing + m, 0], cylinders[standing + m, 1] = places[m, PX], places[m, PY]
        mx, my = x + base[9] * math.cos(yaw), y + base[9] * math.sin(yaw)
        gap = footprint_distance(mx, my, yaw, base[6], base[7], cylinders, boxes, state[CLOSEST])
        state[CLOSEST] = min(state[CLOSEST], gap)
        if gap <= 0.0:
            return k
        state[PATH] += math.hypot(x - state[X], y - state[Y])
        roll(state, base, dt)
        state[X], state[Y], state[YAW] = x, y, yaw
    return steps


class Plane(NamedTuple):
    """The plane as `_advance` takes it: state (12 + wheels,), base (10,), cylinders (n, 3) with movers last, movers
    (m, 10) and their places (m, 3), boxes (k, 5) with the things that the robot meets last. seen: the boxes, and the
    things that its lidar meets, (l, 5)."""

    state: FloatArray
    base: FloatArray
    cylinders: FloatArray
    movers: FloatArray
    places: FloatArray
    boxes: FloatArray
    seen: FloatArray


def _plane(world: World, robot: Vehicle, wheels: Wheels) -> Plane:
    walking = walk_among(world, robot, world.start)
    base = (
        robot.acceleration, robot.deceleration, robot.yaw_acceleration, wheels.lever, wheels.radius,
        robot.command_timeout, robot.length, robot.width, wheels.turning_radius,
        robot.outline_x,
    )  # fmt: skip
    cylinders = np.concatenate((world.cylinders, walking.circles))
    start = world.start
    boxes = np.concatenate((world.boxes, *met_things(world, robot).values()))
    shown = [t.rectangle for t in world.things if t.seen_by_lidar(robot.lidar_z)]
    seen = np.concatenate((world.boxes, np.array(shown).reshape(-1, 5)))
    state = np.zeros(WHEELS + wheels.number)
    state[[X, Y, YAW]] = (start.x, start.y, start.yaw)
    state[CLOSEST] = outline_gap(world, robot, start)
    state[SINCE] = math.inf
    return Plane(state, np.array(base), cylinders, walking.rows, walking.places, boxes, seen)


class KinematicSimulator:
    """One wheeled robot in one world, in the plane: what `navigation.drive` needs of a simulator.

    seed decides the lidar's noise and the odometry's errors, drawn as in `Simulator`. camera: whether camera readings
    are among the events; there are no pictures, so their value is the true pose, for what stands in for a planner. A
    contact stops time: nothing is modelled beyond it. ValueError where the robot would start in an obstacle, or has no
    wheels.
    """

    def __init__(self, world: World, robot: Vehicle = JACKAL, seed: int = 0, *, camera: bool = False) -> None:
        wheels = robot.wheels
        if wheels is None:
            raise ValueError(f"kinematic simulator: the robot {robot.name!r} has no wheels")
        self.world, self.robot, self._wheels, self.seed = world, robot, wheels, seed
        rates = {"odometry": robot.odometry_rate, "scan": robot.lidar_rate}
        self._schedule = Schedule({**rates, "camera": robot.camera_rate} if camera else rates)
        self.reset()

    def reset(self) -> None:
        """Back to time 0 and the world's start; noise begins anew from the seed."""
        world, robot, seed = self.world, self.robot, self.seed
        self.time_ns = 0
        self.contact_events: list[Contact] = []
        self.plane = _plane(world, robot, self._wheels)
        self._state = self.plane.state
        if self._state[CLOSEST] <= 0:
            raise ValueError(f"world {world.name!r}: a {robot.name} does not fit at the start {world.start}")
        self.lidar = LidarNoise(robot, np.random.default_rng([seed, 11]))
        self.beams = beams_of(self.lidar.angles)
        rng = np.random.default_rng([seed, 13])
        self.odometry = WheelOdometry(self._wheels, robot.odometry_scale_error, world.start, rng)
        self._schedule.reset()

    def state(self) -> Any:
        """All that the future depends on, a copy."""
        return copy.deepcopy(vars(self), {id(kept): kept for kept in (self.world, self.robot)})

    def set_state(self, state: Any) -> None:
        """Go on from a state of this simulator."""
        vars(self).update(copy.deepcopy(state, {id(kept): kept for kept in (self.world, self.robot)}))

    @property
    def movers(self) -> FloatArray:
        """Where the world's movers are, (m, 3) as `Walk` has their places."""
        return self.plane.places.copy()

    @property
    def path_length(self) -> float:
        """Metres driven."""
        return float(self._state[PATH])

    @property
    def closest_approach(self) -> float:
        """Metres from the outline to the nearest obstacle, the least so far."""
        return float(self._state[CLOSEST])

    def apply(self, twist: Twist) -> None:
        """Wished velocity and yaw rate, cut to the robot's limits, held for command_timeout at most."""
        w, y = self.robot.max_yaw_rate, twist.linear_y if self.robot.holonomic else 0.0
        self._state[[TARGET_V, TARGET_SIDEWAYS]] = within(twist.linear_x, y, self.robot.max_speed)
        self._state[TARGET_W] = min(max(twist.angular_z, -w), w)
        self._state[SINCE] = 0.0

    def advance(self, until_ns: int) -> Iterator[Event]:
        """Lets time pass until `until_ns`, yielding each sensor's reading when it is due; after a contact, no more.

        At the same time they come in the order odometry, scan, camera.
        """
        while not self.contact_events:
            kind, due = self._schedule.next()
            self._run_until(min(due, until_ns))
            if due > until_ns or self.contact_events:
                return
            self._schedule.sent(kind)
            yield Event(kind, self.time_ns, self._read(kind))

    def _run_until(self, until_ns: int) -> None:
        steps = (until_ns - self.time_ns) // STEP_NS
        if not steps:
            return
        state, *place, _ = self.plane
        made = _advance(state, steps, self.time_ns * 1e-9, STEP_NS * 1e-9, *place)
        self.time_ns += made * STEP_NS
        if made < steps:
            self._note_contact()

    def _note_contact(self) -> None:
        v, y, w = self._state[[V, SIDEWAYS, W]].tolist()
        standing = math.hypot(v, y) + abs(w) * self.plane.base[3] < STANDING_SPEED
        cylinders = self.plane.cylinders
        gaps = np.hypot(cylinders[:, 0] - self._state[X], cylinders[:, 1] - self._state[Y]) - cylinders[:, 2]
        nearest = int(np.argmin(gaps)) if gaps.size else -1
        fixed = len(self.world.cylinders)
        name = f"mover{nearest - fixed}" if nearest >= fixed else "obstacle"
        if (thing := self._nearest_thing()) is not None:
            name = f"thing{thing}"
        x, y = self._state[[X, Y]].tolist()
        self.contact_events.append(Contact(self.time_ns, name, x, y, bool(standing)))

    def _nearest_thing(self) -> int | None:
        """The number of the thing that is nearer to the outline than any obstacle; None where an obstacle is."""
        outline, boxes = self.robot.footprint(self.pose), np.array(self.world.boxes)
        least, found = footprint_distance(*outline, self.plane.cylinders, boxes), None
        for i, box in met_things(self.world, self.robot).items():
            gap = footprint_distance(*outline, np.empty((0, 3)), box)
            if gap < least:
                least, found = gap, i
        return found

    def _read(self, kind: str) -> object:
        if kind == "scan":
            return self.scan()
        if kind == "odometry":
            return self.odometry.update(self.time_ns, self._state[WHEELS:])
        return self.pose

    def scan(self) -> RangeScan:
        """A sweep of the lidar from where the robot is now."""
        lidar = self.robot.lidar
        x, y, yaw = lidar_at(self._state, np.array((lidar.x, lidar.y, lidar.yaw)))
        reach = self.robot.lidar_range_max + 1.0
        obstacles = (self.plane.cylinders, self.plane.seen)
        return self.lidar.read(self.time_ns, sweep(x, y, yaw, self.beams, reach, *obstacles))

    @property
    def pose(self) -> Pose:
        """The true planar pose."""
        return Pose(*self._state[:V].tolist())

    def truth(self) -> Odometry:
        """True planar pose and body-frame twist."""
        x, y, yaw, v, w = self._state[: W + 1].tolist()
        twist = Twist(self.time_ns, linear_x=v, linear_y=float(self._state[SIDEWAYS]), angular_z=w)
        return Odometry(self.time_ns, Pose(x, y, yaw), twist)

    def goal_distance(self) -> float:
        """Metres from the robot's centre to the goal."""
        return math.dist(self._state[[X, Y]].tolist(), self.world.goal)

    def close(self) -> None:
        """Nothing to free."""
