"""What stands in for ANN and route memory where there are no pictures: an expert that knows the map, with errors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import descend, interpolate, line_free
from hybrid_control.geometry.shapes import FloatArray, cast_rays, clearance
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.states import Plan
from hybrid_control.navigation.planner.training.labels import (
    BRAKING,
    BUMP_PEAK,
    EXPERT_RADIUS,
    FULL_SPEED,
    FULL_SPEED_CLEARANCE,
    GOAL_SLOWDOWN,
    HEADING_SIGMA,
    LEAST_FRACTION,
    LOOKAHEAD,
    RAY_LIMIT,
    SLOW_FRACTION,
    TURN_IN_PLACE,
)
from hybrid_control.navigation.states import Settled
from hybrid_control.signals import Goal, Odometry, Pose, RateVector
from hybrid_control.signals.headings import HEADINGS, wrapped
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.grid import GeodesicField, geodesic_field

MAX_RATE = 200.0  # Hz
ERROR = math.radians(12.0)  # standard deviation of its heading's error
MEMORY = 0.8  # of that error from one plan to the next, so that errors last as a network's do
PATH_AHEAD = 1.5  # m of path whose clearance the speed depends on
PATH_STEP = 0.5  # cells between two points of a path, as in `geometry.eikonal`
SPEEDS: FloatArray = contract.PREFERRED_SPEEDS
SPEED_SIGMA = contract.SPEED_SIGMA

NO_WAY = GeodesicField(
    0.0, 0.0, 0.1, 0.0, (0.0, 0.0), np.full((1, 1), np.inf), np.zeros((1, 1)), np.zeros((1, 1), np.bool_)
)


def seen_by_planner(world: World) -> World:
    """A world for what stands for a camera's planner: with things as boxes. Forbidden ground it does not know."""
    return replace(world, patches=()).as_known()


def way_field(world: World) -> GeodesicField:
    """The way to the goal, around things too, for the largest of a few discs that gets through; `NO_WAY` where none
    does."""
    world = seen_by_planner(world)
    for radius, cell in ((EXPERT_RADIUS, 0.1), (0.34, 0.1), (0.28, 0.1), (0.24, 0.05), (0.22, 0.05)):
        try:
            field = geodesic_field(world, radius, resolution=cell)
        except ValueError:  # the goal is nearer than that to an obstacle
            continue
        if field.passable(world.start.x, world.start.y):
            return field
    return NO_WAY


def frame_of(field: GeodesicField) -> FloatArray:
    """What compiled code has to know of a field beside its cells: (5,) x0, y0, resolution, goal's x, y, in m."""
    return np.array((field.x0, field.y0, field.resolution, *field.goal))


@numba.njit(cache=True, nogil=True)
def in_cells(frame: FloatArray, x: float, y: float) -> tuple[float, float]:
    """A place, m, in cells of a field: u along its columns, v along its rows."""
    return (x - frame[0]) / frame[2], (y - frame[1]) / frame[2]


@numba.njit(cache=True, nogil=True)
def way_ahead(field: FloatArray, frame: FloatArray, x: float, y: float, length: float) -> FloatArray:
    """As `GeodesicField.path`: points down the field, in cells, (k, 2); the place alone where there is no way."""
    u, v = in_cells(frame, x, y)
    distance = interpolate(field, u, v)
    if not math.isfinite(distance):
        here = np.empty((1, 2))
        here[0, 0], here[0, 1] = u, v
        return here
    return descend(field, u, v, min(length, 1.5 * distance + 2.0 * frame[2]) / frame[2])


@numba.njit(cache=True, nogil=True)
def yaw_along(
    path: FloatArray, free: NDArray[np.bool_], frame: FloatArray, x: float, y: float, length: float
) -> float:
    """As `GeodesicField.heading`: the yaw in rad that leads from (x, y) along its path, NaN where there is no way.

    path: of `way_ahead` from there, at least `length` m of it.
    """
    count = min(path.shape[0], int(length / frame[2] / PATH_STEP) + 2)
    if count < 2:
        dx, dy = frame[3] - x, frame[4] - y
        return math.atan2(dy, dx) if math.hypot(dx, dy) < 2.0 * frame[2] else math.nan
    k = count - 1
    while k > 2 and not line_free(free, path[0, 0], path[0, 1], path[k, 0], path[k, 1]):
        k -= 1
    return math.atan2(path[k, 1] - path[0, 1], path[k, 0] - path[0, 0])


@numba.njit(cache=True, nogil=True)
def expert_wish(
    field: FloatArray,
    free: NDArray[np.bool_],
    frame: FloatArray,
    cylinders: FloatArray,
    boxes: FloatArray,
    x: float,
    y: float,
    yaw: float,
) -> tuple[float, float]:
    """Heading in rad, body frame, and share of full speed of `labels.expert_heading` and `expert_speed`.

    Without any way the goal's bearing and half speed.
    """
    path = way_ahead(field, frame, x, y, PATH_AHEAD)
    ahead = yaw_along(path, free, frame, x, y, LOOKAHEAD)
    if math.isnan(ahead):
        return wrapped(math.atan2(frame[4] - y, frame[3] - x) - yaw), 0.5
    heading = math.atan2(math.sin(ahead - yaw), math.cos(ahead - yaw))
    beside = math.inf
    for k in range(path.shape[0]):
        px, py = frame[0] + path[k, 0] * frame[2], frame[1] + path[k, 1] * frame[2]
        beside = clearance(px, py, cylinders, boxes, beside)
    tightness = (beside - EXPERT_RADIUS) / (FULL_SPEED_CLEARANCE - EXPERT_RADIUS)
    by_clearance = SLOW_FRACTION + (1.0 - SLOW_FRACTION) * min(max(tightness, 0.0), 1.0)
    by_turn = 1.0 - abs(heading) / TURN_IN_PLACE
    rays = yaw + np.array((math.radians(-8.0), 0.0, math.radians(8.0)))
    open_way = cast_rays(x, y, rays, RAY_LIMIT, cylinders, boxes).min() - EXPERT_RADIUS
    by_braking = math.sqrt(2.0 * BRAKING * min(max(open_way, 0.0), RAY_LIMIT)) / FULL_SPEED
    by_goal = math.hypot(frame[3] - x, frame[4] - y) / GOAL_SLOWDOWN
    return heading, min(max(min(by_clearance, by_turn, by_braking, by_goal), LEAST_FRACTION), 1.0)


@numba.njit(cache=True, nogil=True)
def planner_rates(heading: float, speed: float, width: float = HEADING_SIGMA) -> NDArray[np.float32]:
    """Rates (80,) in Hz of the heading and speed populations for a wish, as `labels` and `contract` encode it.

    width: of the heading's bump, rad.
    """
    n = HEADINGS.size
    rates = np.empty(n + SPEEDS.size, np.float32)
    total = 0.0
    for i in range(n):
        total += math.exp((math.cos(heading - HEADINGS[i]) - 1.0) / width**2)
    for i in range(n):
        bump = math.exp((math.cos(heading - HEADINGS[i]) - 1.0) / width**2)
        rates[i] = min(bump / total / BUMP_PEAK, 1.0) * MAX_RATE
    for i in range(SPEEDS.size):
        rates[n + i] = MAX_RATE * math.exp(-((speed - SPEEDS[i]) ** 2) / (2.0 * SPEED_SIGMA**2))
    return rates


@numba.njit(cache=True, nogil=True)
def erring(error: float, draw: float) -> float:
    """The heading's error of the next plan, rad, after `error`; draw: of the normal distribution of width ERROR."""
    return MEMORY * error + math.sqrt(1.0 - MEMORY**2) * draw


class Readout(NamedTuple):
    """The planner's last layer, as far as it can be told apart in its rates.

    heading_width: of the heading's bump, rad: HEADING_SIGMA times the square root of the temperature of the softmax
    that gives it. The share of full speed becomes speed_scale times it, plus speed_offset, within 0 .. 1.
    """

    heading_width: float = HEADING_SIGMA
    speed_scale: float = 1.0
    speed_offset: float = 0.0


@numba.njit(cache=True, nogil=True)
def read_out(heading: float, speed: float, readout: Any) -> NDArray[np.float32]:
    """`planner_rates` through a last layer; readout: a Readout, or a record with its numbers."""
    share = min(max(readout.speed_scale * speed + readout.speed_offset, 0.0), 1.0)
    return planner_rates(heading, share, readout.heading_width)


class MapPlanner:
    """Heading and speed of the expert that the planner is trained on, from the true pose, with errors in the heading.

    It knows the whole map, so it never enters a dead end: it says how well the reflex follows a good planner, not how
    good the planner is. Its images are true poses. Without any way to the goal it names the bearing. settled: the
    initial states that its plans bring along; readout: its last layer; led: its heading is that of the goal which it is
    given, where a route memory gives points on the way: by its own it would know more than the robot has seen.
    """

    max_rate = MAX_RATE

    def __init__(
        self,
        world: World,
        seed: int,
        settled: Settled | None = None,
        readout: Readout = Readout(),
        led: bool = False,
    ) -> None:
        self._field = way_field(world)
        self._frame = frame_of(self._field)
        self._frame[3:] = world.goal
        self._obstacles = np.array(world.cylinders), np.array(seen_by_planner(world).boxes)
        self._rng = np.random.default_rng([seed, 31])
        self._error = 0.0
        self._settled, self._readout, self._led = settled, readout, led

    def plan(
        self, image: Pose, odometry: Odometry, goal: Goal, stamp_ns: int, *, states: bool = False
    ) -> RateVector:
        """Rates of the heading and speed populations, as `planner.Planner.plan` gives them."""
        self._error = erring(self._error, float(self._rng.normal(0.0, ERROR)))
        heading, speed = self.wish(image)
        if self._led:
            heading = odometry.pose.to_body(goal.x, goal.y)[1]
        rates = read_out(heading + self._error, speed, self._readout)
        begin = None
        if states and self._settled is not None:
            bearing = odometry.pose.to_body(goal.x, goal.y)[1]
            begin = self._settled(rates[: HEADINGS.size], bearing, stamp_ns)
        return Plan(stamp_ns, rates, contract.POPULATIONS, begin)

    def state(self) -> Any:
        """The error, and what the next ones are drawn from."""
        return self._error, self._rng.bit_generator.state

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._error, self._rng.bit_generator.state = state

    def wish(self, pose: Pose) -> tuple[float, float]:
        """The expert's heading in rad, body frame, and its share of full speed, without errors."""
        field = self._field
        heading, speed = expert_wish(
            field.field, field.free, self._frame, *self._obstacles, pose.x, pose.y, pose.yaw
        )
        return heading, speed
