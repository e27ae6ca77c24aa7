"""An episode of the hybrid or the reflex at the kinematic level as one compiled loop, for tuning.

World, base, lidar, odometry, stand-in planner, encoder and the reflex's own tick, at its full rate of simulated time,
in the order and with the arithmetic of `drive` with a `Navigator` over a `KinematicSimulator`: the same seed gives
the same row from both, which a test holds. Only with a route memory do they differ: here it knows the map.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.eikonal import GeodesicField
from hybrid_control.geometry.shapes import FloatArray, clearance
from hybrid_control.learning.initial_states import potentials_of
from hybrid_control.navigation.bench.map_planner import (
    ERROR,
    Readout,
    erring,
    expert_wish,
    frame_of,
    in_cells,
    read_out,
    way_ahead,
)
from hybrid_control.navigation.episode import NOTE_WAY, WINDOW_NS, Episode, Rules, Sight
from hybrid_control.navigation.planner.rates import LATENCY, PENDING, PLANNER_RATE, RATES_TIMEOUT
from hybrid_control.navigation.planner.states import TURN
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex import context as t
from hybrid_control.navigation.reflex.evasion import ROBOT, robot_of
from hybrid_control.navigation.reflex.ground import mark_passed
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.percept import SWEEP
from hybrid_control.navigation.reflex.scan import new_view, take_scan
from hybrid_control.navigation.reflex.states import STATES, fill
from hybrid_control.navigation.reflex.tick import run_tick
from hybrid_control.navigation.route.guide import PERIOD_NS
from hybrid_control.navigation.route.memory import AHEAD, LOOKAHEAD, NEAREST, disc
from hybrid_control.navigation.route.way import point_ahead, room_on
from hybrid_control.navigation.states import POPULATIONS, Settled
from hybrid_control.navigation.states import channels as drives
from hybrid_control.realtime import address_of, write_mailbox
from hybrid_control.signals import StateVector
from hybrid_control.signals.coding import encoder
from hybrid_control.signals.coding.kernels import encode
from hybrid_control.signals.headings import SECTORS, wrapped
from hybrid_control.sim.kinematic import (
    SIDEWAYS,
    SINCE,
    STEP_NS,
    TARGET_SIDEWAYS,
    TARGET_V,
    TARGET_W,
    WHEELS,
    YAW,
    Beams,
    KinematicSimulator,
    Plane,
    V,
    W,
    X,
    Y,
    _advance,
    lidar_at,
    sweep,
)
from hybrid_control.sim.robots.vehicle import STANDING_SPEED, Vehicle
from hybrid_control.sim.sensors import noisy_ranges
from hybrid_control.sim.wheels import reckon, within
from hybrid_control.sim.worlds import World

RATES_LAST_NS = round(RATES_TIMEOUT * 1e9)
MODES = len(Mode)
KEYS = 4096  # spikes of one window

RUN = np.dtype(
    [
        ("windows", np.int64),
        ("tick_ns", np.int64),
        ("scan_period", np.float64),  # ns, as the other two
        ("odometry_period", np.float64),
        ("camera_period", np.float64),
        ("planner_period_ns", np.int64),
        ("planner_latency_ns", np.int64),
        ("waypoint_lasts_ns", np.int64),  # without a next one
        ("planner", np.int64),  # whether there is one
        ("states", np.int64),  # whether its plans bring initial states along
        ("route", np.int64),  # whether points on the way stand in for the goal
        ("disc", np.float64, (3,)),  # of `route.memory`, m
        *((name, np.float64) for name in Readout._fields),
        ("planner_dies_within", np.float64),  # m from the goal, -1 for never
        ("goal_radius", np.float64),
        ("centre_contact", np.float64),  # m, -1 for none
        ("lever", np.float64),  # of `Wheels`, m
        ("lidar_noise", np.float64),
        ("lidar_dropout", np.float64),
        ("range_min", np.float64),
        ("range_max", np.float64),
        ("sweep", SWEEP),  # as the reflex has its scans described
        ("lidar", np.float64, (3,)),  # where it truly is in the body, m and rad
        ("robot", ROBOT),
        ("odometry", np.float64, (6,)),  # of `WheelOdometry.numbers`, as many as there are
        ("max_speed", np.float64),
        ("max_yaw_rate", np.float64),
        # how it ended
        ("time_ns", np.int64),
        ("reached", np.int64),
        ("touched", np.int64),
        ("contact", np.int64),
        ("standing", np.int64),
        ("made", np.int64),
        ("modes", np.int64, (MODES,)),
    ],
    align=True,
)


class Mail(NamedTuple):
    """Records of the values in the reflex's mailboxes, and of what earlier scans leave."""

    scan: Any
    train: Any
    motion: Any
    goal: Any
    view: Any


class Log(NamedTuple):
    """What is noted of an episode: the way, (n, 3) x, y, yaw; where something moves, at the end of each window, x, y,
    yaw, speed and turn, and the movers' places, (windows, 5 + 3 m)."""

    way: FloatArray
    sights: FloatArray


class Start(NamedTuple):
    """The planner's initial states: the record of the mailbox, and the map that they come of (`RingMap`)."""

    record: Any
    drive: FloatArray
    compete: FloatArray
    answer: FloatArray


class Way(NamedTuple):
    """The way to the goal: distances in cells, which of them are free, `frame_of` both, and how much room each has."""

    field: FloatArray
    free: NDArray[np.bool_]
    frame: FloatArray
    clear: NDArray[Any]


@numba.njit(cache=True, nogil=True)
def _scan(run: Any, rng: Any, distances: FloatArray) -> NDArray[np.float32]:
    """As `LidarNoise.read`."""
    noise = rng.normal(0.0, run.lidar_noise, distances.size)
    lost = rng.random(distances.size)
    return noisy_ranges(distances, noise, lost, run.lidar_dropout, run.range_min, run.range_max)


@numba.njit(cache=True, nogil=True)
def _reckon(run: Any, motion: Any, counts: FloatArray, state: FloatArray, dt: float) -> None:
    """As `WheelOdometry.update`."""
    numbers = run.odometry[: counts.size + 2]
    forward, left, dx, dy, turn = reckon(state[WHEELS:], counts, numbers, motion.yaw)
    motion.x += dx
    motion.y += dy
    motion.yaw += turn
    motion.linear_x = forward / dt
    motion.linear_y = left / dt
    motion.angular_z = turn / dt


@numba.njit(cache=True, nogil=True)
def _aim(run: Any, to_goal: Way, state: FloatArray, motion: Any, goal: Any) -> None:
    """Set the goal to the point that a route memory which knows map and place would give, in the odometry's frame."""
    frame, x, y = to_goal.frame, state[X], state[Y]
    dx, dy = frame[3] - x, frame[4] - y
    (u0, v0), (u1, v1) = in_cells(frame, x, y), in_cells(frame, frame[3], frame[4])
    if math.hypot(dx, dy) >= LOOKAHEAD or room_on(to_goal.clear, u0, v0, u1, v1) <= 0.0:
        path = way_ahead(to_goal.field, frame, x, y, AHEAD)
        if path.shape[0] > 1:
            disc = (run.disc[0], run.disc[1], run.disc[2])
            u, v = point_ahead(path, to_goal.clear, disc, NEAREST / frame[2])
            dx, dy = (u - path[0, 0]) * frame[2], (v - path[0, 1]) * frame[2]
    length, bearing = math.hypot(dx, dy), math.atan2(dy, dx) - state[YAW] + motion.yaw
    goal.x = motion.x + length * math.cos(bearing)
    goal.y = motion.y + length * math.sin(bearing)
    goal.final = 0


@numba.njit(cache=True, nogil=True)
def _episode(
    run: Any,
    c: Any,
    mail: Mail,
    plane: Plane,
    beams: Beams,
    to_goal: Way,
    channels: Any,
    rngs: Any,
    start: Start,
    log: Log,
) -> int:
    """Drives until the goal, a contact or the end; fills `run` and `log`. Returns how many points the way has.

    c: the reflex's context; channels: the encoder's state; rngs: of the lidar and of the planner; start: of initial
    states, where run.states has them.
    """
    way, sights = log
    scan, train, motion, goal, view = mail
    state, base, cylinders, movers, places, boxes, seen = plane
    field, free, frame, _ = to_goal
    lidar_rng, planner_rng = rngs
    window_ns, keys = WINDOW_NS, np.empty(KEYS, np.uint64)
    sideways = state.size == WHEELS + 4
    fixed = cylinders.shape[0] - movers.shape[0]
    standing_cylinders = cylinders[:fixed].copy()
    counts = np.zeros(state.size - WHEELS)
    pending, pending_ns = np.empty((PENDING, t.CHANNELS), np.float32), np.zeros(PENDING, np.int64)
    first_pending = last_pending = 0
    pending_states = np.zeros((PENDING, 2 * SECTORS), np.float32)
    said, direction = np.zeros(PENDING, np.bool_), math.nan
    rates, rates_ns = np.zeros(t.CHANNELS, np.float32), -1
    sent_scan = sent_odometry = sent_camera = 0
    scan_ns = odometry_ns = 0
    now = next_plan = next_route = 0
    next_tick = -1
    error = 0.0
    alive = run.planner != 0
    aim_until = -1
    seen_odometry = False
    contact = False
    points = 0
    for window in range(run.windows):
        until = (window + 1) * window_ns
        while not contact:
            odometry_due = round((sent_odometry + 1) * run.odometry_period)
            scan_due = round((sent_scan + 1) * run.scan_period)
            camera_due = round((sent_camera + 1) * run.camera_period) if run.planner else until + 1
            due = min(odometry_due, scan_due, camera_due)
            steps = (min(due, until) - now) // STEP_NS
            made = _advance(state, steps, now * 1e-9, STEP_NS * 1e-9, base, cylinders, movers, places, boxes)
            now += made * STEP_NS
            contact = made < steps
            if due > until or contact:
                break
            if odometry_due == due:
                sent_odometry += 1
                _reckon(run, motion, counts, state, (now - odometry_ns) * 1e-9)
                odometry_ns, seen_odometry = now, True
                if 0 <= aim_until < now:
                    aim_until = -1
                    goal.x, goal.y, goal.final = frame[3], frame[4], 1
                    write_mailbox(c.goal_box, address_of(goal), now, now)
                write_mailbox(c.motion_box, address_of(motion), now, now)
                if run.route and alive and now >= next_route:
                    next_route = now + PERIOD_NS
                    aim_until = now + run.waypoint_lasts_ns
                    _aim(run, to_goal, state, motion, goal)
                    write_mailbox(c.goal_box, address_of(goal), now, now)
            elif scan_due == due:
                sent_scan += 1
                at = lidar_at(state, run.lidar)
                distances = sweep(at[0], at[1], at[2], beams, run.range_max + 1.0, cylinders, seen)
                ranges = _scan(run, lidar_rng, distances)
                run.sweep.interval = (now - scan_ns) * 1e-9 if sent_scan > 1 else 0.0
                run.sweep.motion_age = (now - odometry_ns) * 1e-9 if seen_odometry else -1.0
                if take_scan(view, ranges, run.sweep, motion, run.robot, scan):
                    mark_passed(view.watched, ranges, run.range_min)
                scan_ns = now
                write_mailbox(c.scan_box, address_of(scan), now, now)
            else:
                sent_camera += 1
                left = math.hypot(frame[3] - state[X], frame[4] - state[Y])
                if now >= next_plan and seen_odometry:
                    alive = alive and left > run.planner_dies_within
                    if alive:
                        next_plan = now + run.planner_period_ns - run.planner_period_ns // 2
                        error = erring(error, planner_rng.normal(0.0, ERROR))
                        heading, speed = expert_wish(
                            field, free, frame, standing_cylinders, boxes, state[X], state[Y], state[YAW]
                        )
                        pending[last_pending % PENDING] = read_out(heading + error, speed, run)
                        pending_ns[last_pending % PENDING] = now
                        turned = not abs(wrapped(heading + error + motion.yaw - direction)) < TURN
                        said[last_pending % PENDING] = run.states != 0 and turned
                        if said[last_pending % PENDING]:
                            direction = heading + error + motion.yaw
                            bearing = math.atan2(goal.y - motion.y, goal.x - motion.x) - motion.yaw
                            inputs = drives(pending[last_pending % PENDING].astype(np.float64), bearing)
                            pending_states[last_pending % PENDING] = potentials_of(
                                inputs, start.drive, start.compete, start.answer
                            ).ravel()
                        last_pending += 1

        while first_pending < last_pending:
            stamp = pending_ns[first_pending % PENDING]
            if until < stamp + run.planner_latency_ns:
                break
            rates[:] = pending[first_pending % PENDING]
            rates_ns = stamp
            if said[first_pending % PENDING] and until - stamp <= run.waypoint_lasts_ns:
                start.record.values[: 2 * SECTORS] = pending_states[first_pending % PENDING]
                write_mailbox(c.states_box, address_of(start.record), stamp, stamp)
            first_pending += 1
        if rates_ns >= 0 and until - rates_ns > RATES_LAST_NS:
            rates_ns = -1
        if rates_ns >= 0:
            count = min(encode(channels, rates, window_ns, keys), min(KEYS, t.MAX_SPIKES))
            train.count = count
            for k in range(count):
                train.neuron[k] = keys[k] & np.uint64(0xFFFFFFFF)
                train.offset_ns[k] = keys[k] >> np.uint64(32)
            write_mailbox(c.train_box, address_of(train), until, until)
        if next_tick < 0:
            next_tick = until // run.tick_ns
        while next_tick * run.tick_ns <= until:
            run_tick(c, next_tick * run.tick_ns)
            next_tick += 1
        run.modes[c.command.mode] += 1
        y = c.command.linear_y if sideways else 0.0
        state[TARGET_V], state[TARGET_SIDEWAYS] = within(c.command.linear_x, y, run.max_speed)
        state[TARGET_W] = min(max(c.command.angular_z, -run.max_yaw_rate), run.max_yaw_rate)
        state[SINCE] = 0.0

        if window % NOTE_WAY == 0:
            way[points, 0], way[points, 1], way[points, 2] = state[X], state[Y], state[YAW]
            points += 1
        if movers.shape[0] > 0:
            sights[window, :5], sights[window, 5:] = state[X : W + 1], places.ravel()
        run.made = window + 1
        if run.centre_contact >= 0.0:
            run.touched = clearance(state[X], state[Y], standing_cylinders, boxes) < run.centre_contact
        run.reached = math.hypot(frame[3] - state[X], frame[4] - state[Y]) < run.goal_radius
        if run.reached or run.touched or contact:
            break
    run.contact = contact
    speed = math.hypot(state[V], state[SIDEWAYS])
    run.standing = contact and speed + abs(state[W]) * run.lever < STANDING_SPEED
    run.time_ns = now
    return points


class CompiledRunner:
    """Runs whole episodes of one reflex over the kinematic world, one after another.

    reflex: with its settings and gains; its clock does not matter. planner: whether the stand-in of the ANN drives it;
    route: whether a stand-in of the route memory does, as long as the planner lives. The goal's place and the way to
    it come from `way_field`. settled: the initial states that plans bring along, if any. readout: the planner's last
    layer, which may be another one from the next episode on.
    """

    def __init__(
        self, reflex: Reflex, robot: Vehicle, *, planner: bool, route: bool, settled: Settled | None = None,
        readout: Readout = Readout(),
    ) -> None:  # fmt: skip
        self.reflex, self.robot, self.readout = reflex, robot, readout
        self.planner, self.route, self._settled = planner, route, settled

    def run(
        self,
        world: World,
        field: GeodesicField,
        seed: int,
        rules: Rules,
        *,
        planner_delay: float = 0.0,
        planner_dies_half_way: bool = False,
    ) -> Episode:
        """One episode; field: the world's `way_field`; planner_delay: s more from image to rates.

        ValueError where the robot would start in an obstacle.
        """
        reflex = self.reflex
        simulator = KinematicSimulator(world, self.robot, seed)
        run = self._numbers(simulator, rules)
        run["planner_latency_ns"] = round((LATENCY + planner_delay) * 1e9)
        half = 0.5 * simulator.goal_distance()
        run["planner_dies_within"] = half if planner_dies_half_way else -1.0
        reflex.reset()
        reflex.activate()
        motion, goal, view = np.zeros(1, t.MOTION), np.zeros(1, t.GOAL), new_view()
        motion["x"], motion["y"], motion["yaw"] = world.start.x, world.start.y, world.start.yaw
        (goal["x"], goal["y"]), goal["final"] = world.goal, 1
        write_mailbox(int(reflex.context["goal_box"][0]), goal.ctypes.data, 0, 0)
        frame = frame_of(field)
        frame[3:] = world.goal
        windows, moving = int(run["windows"][0]), len(world.movers)
        way: FloatArray = np.empty((windows // NOTE_WAY + 1, 3))
        sights: FloatArray = np.empty((windows if moving else 0, 5 + 3 * moving))
        points = _episode(
            run[0],
            reflex.context[0],
            Mail(np.zeros(1, t.SCAN)[0], np.zeros(1, t.TRAIN)[0], motion[0], goal[0], view[0]),
            simulator.plane,
            simulator.beams,
            Way(field.field, field.free, frame, field.clear),
            encoder("poisson", t.CHANNELS, seed=seed).state,
            (simulator.lidar.rng, np.random.default_rng([seed, 31])),
            self._start(),
            Log(way, sights),
        )
        made = int(run["made"][0])
        looks = made if run["contact"][0] else 0  # nobody asks for them of a drive without a contact
        return Episode(
            reached=bool(run["reached"][0]),
            contacts=max(int(run["contact"][0]), int(run["touched"][0])),
            time=int(run["time_ns"][0]) * 1e-9,
            path=simulator.path_length,
            least_distance=simulator.closest_approach,
            modes={mode.name: int(n) / made for mode, n in zip(Mode, run["modes"][0], strict=True) if n},
            way=way[:points],
            standing_contacts=int(run["standing"][0]),
            sights=tuple(
                Sight((k + 1) * WINDOW_NS * 1e-9, (x, y, yaw), speed, turn, np.reshape(places, (moving, 3)))
                for k, (x, y, yaw, speed, turn, *places) in enumerate(sights[:looks].tolist())
            ),
        )

    def _start(self) -> Start:
        """Where initial states go, and what they come of; zeros where there are none."""
        record, nothing = np.zeros(1, STATES), np.zeros(SECTORS)
        if self._settled is None:
            return Start(record[0], np.zeros((2, SECTORS)), nothing, nothing)
        fill(record[0], StateVector(0, np.zeros(2 * SECTORS, np.float32), POPULATIONS), self.reflex.engine)
        ring = self._settled.ring
        return Start(record[0], ring.drive, ring.compete, ring.answer)

    def _numbers(self, simulator: KinematicSimulator, rules: Rules) -> Any:
        """The numbers of an episode, (1,) of RUN."""
        robot, gains, settings = self.robot, self.reflex.gains, self.reflex.settings
        run = np.zeros(1, RUN)
        run["windows"] = round(rules.duration * 1e9 / WINDOW_NS)
        run["tick_ns"] = round(1e9 / self.reflex.rate)
        run["scan_period"], run["odometry_period"], run["camera_period"] = (
            1e9 / rate for rate in (robot.lidar_rate, robot.odometry_rate, robot.camera_rate)
        )
        for name, value in self.readout._asdict().items():
            run[name] = value
        run["planner_period_ns"] = round(1e9 / PLANNER_RATE)
        run["waypoint_lasts_ns"] = round(float(gains["planner_timeout"]) * 1e9)
        run["planner"], run["route"] = self.planner, self.route
        run["disc"] = disc(0.5 * float(settings["robot_width"]))
        run["states"] = self._settled is not None
        run["goal_radius"] = rules.goal_radius
        run["centre_contact"] = -1.0 if rules.centre_contact is None else rules.centre_contact
        run["lever"] = simulator.plane.base[3]
        run["lidar_noise"], run["lidar_dropout"] = robot.lidar_noise, robot.lidar_dropout
        run["range_min"], run["range_max"] = robot.lidar_range_min, robot.lidar_range_max
        run["sweep"] = (
            simulator.lidar.first, simulator.lidar.increment, robot.lidar_range_min, robot.lidar_range_max,
            settings["lidar_x"], settings["lidar_y"], settings["lidar_yaw"], 0.0, -1.0,
        )  # fmt: skip
        run["lidar"] = robot.lidar_x, robot.lidar_y, robot.lidar_yaw
        run["robot"] = robot_of(settings, gains)
        numbers = simulator.odometry.numbers
        run["odometry"][0, : numbers.size] = numbers
        run["max_speed"], run["max_yaw_rate"] = robot.max_speed, robot.max_yaw_rate
        return run
