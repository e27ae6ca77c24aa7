"""The tick of the reflex: one compiled function over one record of memory, called by every loop alike.

It reads the newest scan, planner spikes, odometry, goal and gains, steps the spiking network, decodes the motor
populations, lets the outline guard have the last word, and leaves a command. No allocation, no interpreter.
"""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np
from numba import carray, cfunc, njit

from hybrid_control.navigation.reflex import holonomic
from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.navigation.reflex.guard import guard
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.movers import SPEEDS, TURNS, evade
from hybrid_control.navigation.reflex.network import BANDS, BOARD_INPUTS, MOTOR, SPEED
from hybrid_control.navigation.reflex.percept import MAX_POINTS, sector_directions
from hybrid_control.realtime import TICK_OK, Mailbox, address_of, read_mailbox, write_mailbox
from hybrid_control.realtime.compiled import store_release
from hybrid_control.signals.headings import SECTORS
from hybrid_control.snn.backends.numba import kernels
from hybrid_control.snn.backends.numba.kernels import OK, step_arena

MAX_SPIKES = 2048  # in one planner window; a hundred neurons at 1 kHz for 20 ms
PLAYOUT = 64  # ms of planner spikes that can wait to be delivered
CHANNELS = SECTORS + SPEED
SPIKE_LOG = 1 << 15  # spikes kept for reflex/spikes
BOARD_LOG = 1 << 14  # spikes kept for a board, more than a hundred ticks' worth where all that can fires
OUTPUTS = SECTORS + 4 * MOTOR

MOTOR_TIME_CONSTANT = 0.040  # s, of the filter that turns motor spikes into a rate
MOTOR_RATE = 250.0  # Hz, rate of a motor population that stands for full speed
MAX_YAW_ACCELERATION = 8.0  # rad/s², steepest change of yaw rate commanded
GUARD_MARGIN = 0.04  # m, what the outline guard keeps for the noise of the scan
STUCK_AFTER = 0.6  # s of being held by the guard, after which the robot backs off
BACK_OFF = 0.8  # s
BACK_OFF_CURRENT = 3.0
NOMINAL_HALF_WIDTH = 0.30  # m, clearance included, for which the network's closing kernels are made


class Reason(enum.IntEnum):
    """Why the mode is what it is."""

    NONE = 0
    NOT_ACTIVE = 1
    NO_SCAN = 2
    STALE_SCAN = 3
    NO_GOAL = 4
    STALE_ODOMETRY = 5
    STALE_PLANNER = 6
    AT_GOAL = 7
    NETWORK = 8
    BOARD_SILENT = 9
    BOARD_REPLACED = 10
    STALE_HEIGHT = 11


INACTIVE, HYBRID, REFLEX_ONLY, STOPPED, ARRIVED, ERROR = (int(m) for m in Mode)
(
    R_NONE,
    R_NOT_ACTIVE,
    R_NO_SCAN,
    R_STALE_SCAN,
    R_NO_GOAL,
    R_STALE_ODOMETRY,
    R_STALE_PLANNER,
    R_AT_GOAL,
    R_NETWORK,
    R_BOARD_SILENT,
    R_BOARD_REPLACED,
    R_STALE_HEIGHT,
) = (int(r) for r in Reason)

SCAN = np.dtype(
    [
        ("count", np.int64),
        ("points", np.float32, (MAX_POINTS, 2)),
        ("sectors", np.float32, (SECTORS,)),
        ("approach", np.float32, (SECTORS,)),
        ("moving", np.int64),  # things that move nearby; the rest only where there are some
        ("fastest", np.float64),  # ends of the table of motions, m/s and rad/s
        ("fastest_turn", np.float64),
        ("times", np.float32, (SPEEDS, TURNS)),  # s that each stays clear of what moves
    ],
    align=True,
)
TRAIN = np.dtype(
    [("count", np.int64), ("neuron", np.uint16, (MAX_SPIKES,)), ("offset_ns", np.uint32, (MAX_SPIKES,))],
    align=True,
)
MOTION = np.dtype(
    [(n, np.float64) for n in ("x", "y", "yaw", "linear_x", "linear_y", "angular_z")], align=True
)
VERTICAL = np.dtype([("up", np.float64), ("down", np.float64)], align=True)  # m, inf for nothing in range
GOAL = np.dtype([("x", np.float64), ("y", np.float64)], align=True)
BOARD = np.dtype([("spikes", np.int64, (OUTPUTS,))], align=True)  # of each neuron on the board so far
GAIN_SET = np.dtype([(p.name, np.float64) for p in GAINS], align=True)
COMMAND = np.dtype(
    [
        ("linear_x", np.float64),
        ("linear_y", np.float64),
        ("linear_z", np.float64),
        ("angular_z", np.float64),
        ("heading", np.float64),  # rad, NaN where the ring is silent
        ("mode", np.int64),
        ("reason", np.int64),
        ("tick", np.int64),
        ("guarded", np.int64),
        ("gains_version", np.int64),
    ],
    align=True,
)


def mailboxes() -> dict[str, Mailbox]:
    """The reflex's mailboxes by the name of their entry in CONTEXT."""
    kinds = {
        "scan": SCAN,
        "train": TRAIN,
        "motion": MOTION,
        "vertical": VERTICAL,
        "goal": GOAL,
        "gains": GAIN_SET,
        "board": BOARD,
        "command": COMMAND,
    }
    return {name: Mailbox(kind) for name, kind in kinds.items()}


_ENTRIES = {name: box.entry_dtype for name, box in mailboxes().items() if name != "command"}

CONTEXT = np.dtype(
    [
        # where things are
        *((f"{name}_box", np.int64) for name in (*_ENTRIES, "command")),
        ("arena", np.int64),
        *(
            (f"{name}_in", np.int64)
            for name in ("planner", "arousal", "goal", "near", "mid", "far", "approach", "stuck")
        ),
        *((f"{name}_out", np.int64) for name in ("ring", "left", "right", "forward", "reverse")),
        *((f"{name}_spikes", np.int64) for name in ("approach", "far", "goal", "mid", "near")),
        *(
            (f"{name}_at", np.int64)
            for name in (
                "planner_gain",
                "goal_gain",
                "avoidance_gain",
                "approach_gain",
                "excitation_gain",
                "inhibition_gain",
            )
        ),
        *((f"ring_{row}_at", np.int64) for row in ("keep", "take", "threshold")),
        ("ring_rows", np.int64),  # values in each of the ring's coefficient rows: 1, or one per neuron
        # fixed when configured
        ("dt", np.float64),
        ("half_length", np.float64),
        ("half_width", np.float64),
        ("goal_tolerance", np.float64),
        ("stop_without_planner", np.int64),
        ("holonomic", np.int64),  # 1: moves in any direction
        ("response", np.float64),  # s, the rest only where it does
        ("hover_height", np.float64),  # m, 0: another keeps the height
        ("vertical_clearance", np.float64),
        ("max_climb", np.float64),
        ("backend", np.int64),  # 0: the network runs here; 1: on a board, and here in its shadow
        ("stop_without_board", np.int64),
        ("board_timeout", np.float64),
        # written by the Python side, one word each
        ("active", np.int64),
        ("failed", np.int64),
        # the tick's own
        ("tick", np.int64),
        ("command", COMMAND),
        ("arrived_goal", np.int64),  # sequence of the goal that was reached
        ("next_slot", np.int64),
        ("play_end", np.int64),  # tick up to which planner spikes are scheduled
        ("stuck", np.float64),
        ("back_off", np.float64),
        ("rates", np.float64, (4,)),  # left, right, forward, reverse, Hz
        ("ring_rates", np.float64, (SECTORS,)),
        ("slots", np.uint8, (PLAYOUT, CHANNELS)),
        ("board_on", np.int64),  # whether the board's spikes are what counts in this tick
        ("board_seen", np.int64, (OUTPUTS,)),  # spikes of the board that were taken or let go
        ("board_out", np.float32, (OUTPUTS,)),  # spikes of the board in this tick
        ("board_head", np.int64),
        ("board_time", np.int64, (BOARD_LOG,)),
        ("board_channel", np.uint16, (BOARD_LOG,)),
        ("spikes", np.int64, (OUTPUTS,)),  # since activation, each neuron
        ("log_head", np.int64),
        ("log_time", np.int64, (SPIKE_LOG,)),
        ("log_neuron", np.uint16, (SPIKE_LOG,)),
        *((name, entry) for name, entry in _ENTRIES.items()),
    ],
    align=True,
)
_LOG_HEAD = CONTEXT.fields["log_head"][1]  # type: ignore[index]
_BOARD_HEAD = CONTEXT.fields["board_head"][1]  # type: ignore[index]
_BOARD_OUT = CONTEXT.fields["board_out"][1]  # type: ignore[index]
(_APPROACH, _AROUSAL, _FAR, _GOAL, _MID, _NEAR, _PLANNER, _STUCK) = (p.first for p in BOARD_INPUTS)

F32 = np.float32(0)
view: Any = (
    kernels.values_at
)  # (address, size, value of the type) -> array; numba supplies its first argument
DIRECTIONS = sector_directions().astype(np.float64)
SINES, COSINES = np.sin(DIRECTIONS), np.cos(DIRECTIONS)
NEAR, MID, FAR = (distance for _, distance, _ in BANDS)
NEAR_DRIVE, MID_DRIVE, FAR_DRIVE = (drive for _, _, drive in BANDS)


@njit(cache=True, nogil=True)
def _apply_gains(c: Any) -> None:
    """Write a new set of gains into the network."""
    g = c.gains.value
    view(c.planner_gain_at, 1, F32)[0] = g.planner_gain
    view(c.goal_gain_at, 1, F32)[0] = g.goal_gain
    view(c.avoidance_gain_at, 1, F32)[0] = g.avoidance_gain
    view(c.approach_gain_at, 1, F32)[0] = g.approach_gain
    view(c.excitation_gain_at, 1, F32)[0] = g.excitation_gain
    view(c.inhibition_gain_at, 1, F32)[0] = g.inhibition_gain
    # forward Euler: v' = (1 - dt / tau) v + dt / tau I
    view(c.ring_keep_at, c.ring_rows, F32)[:] = 1.0 - c.dt / g.time_constant
    view(c.ring_take_at, c.ring_rows, F32)[:] = c.dt / g.time_constant
    view(c.ring_threshold_at, c.ring_rows, F32)[:] = g.threshold


@njit(cache=True, nogil=True)
def _drive(strength: float, share: float) -> float:
    """Current of an obstacle neuron, in thresholds: none below a share of 0.05, then from threshold upwards."""
    return 1.0 + strength * share if share > 0.05 else 0.0


@njit(cache=True, nogil=True)
def _see(c: Any) -> None:
    """Turn the newest scan into the currents of the obstacle and approach populations."""
    g = c.gains.value
    near = view(c.near_in, SECTORS, F32)
    mid = view(c.mid_in, SECTORS, F32)
    far = view(c.far_in, SECTORS, F32)
    approach = view(c.approach_in, SECTORS, F32)
    # a robot that is to keep more clearance sees everything nearer by as much as it is wider
    scale = NOMINAL_HALF_WIDTH / (c.half_width + g.clearance)
    for i in range(SECTORS):
        r = float(c.scan.value.sectors[i]) * scale
        n = m = f = a = 0.0
        if r < g.avoidance_distance:
            n = min(1.0, max(0.0, (MID - r) / (MID - NEAR)))
            m = max(0.0, 1.0 - abs(r - MID) / (MID - NEAR))
            if r < FAR:
                f = max(0.0, (r - MID) / (FAR - MID))
            else:
                f = (g.avoidance_distance - r) / max(g.avoidance_distance - FAR, 0.1)
        if r < 1.5 * g.avoidance_distance:
            # the inverse of the time to contact
            a = 0.25 * float(c.scan.value.approach[i]) / max(r - NOMINAL_HALF_WIDTH, 0.1)
        near[i] = _drive(NEAR_DRIVE, n)
        mid[i] = _drive(MID_DRIVE, m)
        far[i] = _drive(FAR_DRIVE, f)
        approach[i] = _drive(2.0, min(a, 1.0) if a > 0.075 else 0.0)


@njit(cache=True, nogil=True)
def _listen(c: Any, ticks_per_ns: float) -> None:
    """Schedule the spikes of a planner window that just came: each at its offset after now."""
    now = c.tick
    # windows come one after another, but not exactly: one that is early waits for the one before it
    begin = max(now, c.play_end)
    if begin - now > PLAYOUT // 2:
        begin = now
    last = begin
    for k in range(c.train.value.count):
        at = begin + int(c.train.value.offset_ns[k] * ticks_per_ns)
        at = min(at, now + PLAYOUT - 1)
        slot = at % PLAYOUT
        neuron = c.train.value.neuron[k]
        if c.slots[slot, neuron] < 255:
            c.slots[slot, neuron] += 1
        last = max(last, at)
    c.play_end = last


@njit(cache=True, nogil=True)
def _decode(c: Any, address: int, population: int, first: int, now_ns: int) -> None:
    """Count, log and low-pass the spikes of one motor population."""
    spikes = view(address, MOTOR, F32)
    count = 0
    for i in range(MOTOR):
        if spikes[i] != 0.0:
            count += int(spikes[i])
            _log(c, first + i, now_ns)
    rate = count / (MOTOR * c.dt)
    c.rates[population] += (rate - c.rates[population]) * min(1.0, c.dt / MOTOR_TIME_CONSTANT)


@njit(cache=True, nogil=True)
def _log(c: Any, neuron: int, now_ns: int) -> None:
    head = c.log_head
    c.log_time[head % SPIKE_LOG] = now_ns
    c.log_neuron[head % SPIKE_LOG] = neuron
    c.spikes[neuron] += 1
    store_release(address_of(c) + _LOG_HEAD, head + 1)


@njit(cache=True, nogil=True)
def _from_board(c: Any, now_ns: int) -> None:
    """Take the spikes of the board that came since the last tick, and see whether it lives."""
    fresh = read_mailbox(c.board_box, address_of(c.board))
    c.board_on = c.board.sequence > 0 and abs(now_ns - c.board.received_ns) <= c.board_timeout * 1e9
    for i in range(OUTPUTS):
        c.board_out[i] = c.board.value.spikes[i] - c.board_seen[i] if fresh and c.board_on else 0.0
        c.board_seen[i] = c.board.value.spikes[i]


@njit(cache=True, nogil=True)
def _put_out(c: Any, first: int, address: int, size: int, now_ns: int) -> None:
    """Note the values at an address as so many spikes for the board, each."""
    values = view(address, size, F32)
    for i in range(size):
        for _ in range(int(values[i])):
            c.board_time[c.board_head % BOARD_LOG] = now_ns
            c.board_channel[c.board_head % BOARD_LOG] = first + i
            store_release(address_of(c) + _BOARD_HEAD, c.board_head + 1)


@njit(cache=True, nogil=True)
def _to_board(c: Any, now_ns: int) -> None:
    """Note this tick's spikes of all that leads to the board, in the order of BOARD_INPUTS."""
    _put_out(c, _APPROACH, c.approach_spikes, SECTORS, now_ns)
    _put_out(c, _AROUSAL, c.arousal_in, 1, now_ns)
    _put_out(c, _FAR, c.far_spikes, SECTORS, now_ns)
    _put_out(c, _GOAL, c.goal_spikes, SECTORS, now_ns)
    _put_out(c, _MID, c.mid_spikes, SECTORS, now_ns)
    _put_out(c, _NEAR, c.near_spikes, SECTORS, now_ns)
    _put_out(c, _PLANNER, c.planner_in, CHANNELS, now_ns)
    _put_out(c, _STUCK, c.stuck_in, 1, now_ns)


@njit(cache=True, nogil=True)
def _mode(c: Any, now_ns: int, distance: float, bearing_known: bool) -> tuple[int, int]:
    """What may be done now, and why."""
    g = c.gains.value
    if c.failed:
        return ERROR, R_NETWORK
    if not c.active:
        return INACTIVE, R_NOT_ACTIVE
    if c.backend and not c.board_on and c.stop_without_board:
        return STOPPED, R_BOARD_SILENT
    if c.scan.sequence == 0:
        return STOPPED, R_NO_SCAN
    # abs: after a simulated clock was set back, what came before it is not fresh until that time comes again
    if abs(now_ns - c.scan.received_ns) > g.scan_timeout * 1e9:
        return STOPPED, R_STALE_SCAN
    if c.hover_height > 0.0 and (
        c.vertical.sequence == 0 or abs(now_ns - c.vertical.received_ns) > g.scan_timeout * 1e9
    ):
        return STOPPED, R_STALE_HEIGHT
    if c.goal.sequence == 0:
        return STOPPED, R_NO_GOAL
    if c.arrived_goal == c.goal.sequence or (bearing_known and distance < c.goal_tolerance):
        c.arrived_goal = c.goal.sequence
        return ARRIVED, R_AT_GOAL
    if c.train.sequence > 0 and abs(now_ns - c.train.received_ns) <= g.planner_timeout * 1e9:
        return HYBRID, R_NONE
    if c.stop_without_planner:
        return STOPPED, R_STALE_PLANNER
    if not bearing_known:
        return STOPPED, R_STALE_ODOMETRY
    return REFLEX_ONLY, R_STALE_PLANNER


@njit(cache=True, nogil=True)
def _towards(value: float, target: float, up: float, down: float) -> float:
    """Move a speed to its target: away from zero by at most `up`, towards zero by at most `down`."""
    if abs(target) <= abs(value) or target * value < 0.0:
        return max(target, value - down) if value > 0.0 else min(target, value + down)
    return min(target, value + up) if target > value else max(target, value - up)


@njit(cache=True, nogil=True)
def _way_out(c: Any, age: float, fastest: float) -> tuple[float, float]:
    """The first of a few slow motions that the guard lets pass whole: back, back in a turn, ahead in a turn, a turn."""
    g = c.gains.value
    slow = min(0.2, fastest)
    turn = min(0.5, g.max_yaw_rate)
    for linear in (-slow, 0.5 * slow, 0.0):
        for angular in (0.0, turn, -turn):
            v, w, changed = guard(
                c.scan.value.points,
                c.scan.value.count,
                linear,
                angular,
                age,
                g.max_acceleration,
                c.half_length,
                c.half_width,
                GUARD_MARGIN,
                GUARD_MARGIN,
            )
            if not changed:
                return v, w
    return 0.0, 0.0


@njit(cache=True, nogil=True)
def _any_direction(
    c: Any, linear: float, angular: float, age: float, fastest: float, now_ns: int
) -> tuple[float, float, float, bool]:
    """The guarded command of a holonomic vehicle: (x, y m/s, rad/s, whether it was changed).

    What turns it also pushes it sideways: left and right are speed along y, forward and reverse along x.
    """
    g = c.gains.value
    lateral = g.lateral_gain * (c.rates[0] - c.rates[1]) / MOTOR_RATE
    lateral = min(max(lateral, -1.0), 1.0) * fastest
    if c.back_off > 0.0:
        lateral = 0.0
    speed = math.hypot(linear, lateral)
    if speed > fastest:
        linear *= fastest / speed
        lateral *= fastest / speed
    moving_x, moving_y, moving_yaw = (
        c.motion.value.linear_x,
        c.motion.value.linear_y,
        c.motion.value.angular_z,
    )
    if c.motion.sequence == 0 or abs(now_ns - c.motion.received_ns) > g.odometry_timeout * 1e9:
        moving_x, moving_y, moving_yaw = c.command.linear_x, c.command.linear_y, c.command.angular_z
    x, y, turn, changed = holonomic.guard(
        c.scan.value.points, c.scan.value.count, linear, lateral, angular, moving_x, moving_y, moving_yaw, age,
        c.response, g.max_acceleration, c.half_length, c.half_width, GUARD_MARGIN, g.stop_distance,
    )  # fmt: skip
    if c.back_off > 0.0 and changed and max(abs(x), abs(y)) < 0.02:
        x, y = holonomic.way_out(
            c.scan.value.points, c.scan.value.count, fastest, age, c.response, g.max_acceleration,
            c.half_length, c.half_width, GUARD_MARGIN,
        )  # fmt: skip
    return x, y, turn, changed


@njit(cache=True, nogil=True)
def run_tick(c: Any, now_ns: int) -> int:
    """One tick over a CONTEXT record; see the module's first lines. now_ns: the loop's clock."""
    g = c.gains.value
    if read_mailbox(c.gains_box, address_of(c.gains)):
        _apply_gains(c)
    if read_mailbox(c.scan_box, address_of(c.scan)):
        _see(c)
    read_mailbox(c.motion_box, address_of(c.motion))
    read_mailbox(c.vertical_box, address_of(c.vertical))
    read_mailbox(c.goal_box, address_of(c.goal))
    if read_mailbox(c.train_box, address_of(c.train)):
        _listen(c, 1e-9 / c.dt)
    if c.backend:
        _from_board(c, now_ns)

    # where the goal is, the motion since the odometry's stamp made good
    distance = 0.0
    bearing = 0.0
    known = c.goal.sequence > 0 and c.motion.sequence > 0
    if known:
        age = (now_ns - c.motion.received_ns) * 1e-9
        known = abs(age) <= g.odometry_timeout
        m = c.motion.value
        yaw = m.yaw + m.angular_z * age
        dx = c.goal.value.x - m.x - m.linear_x * age * math.cos(yaw)
        dy = c.goal.value.y - m.y - m.linear_x * age * math.sin(yaw)
        if c.holonomic:
            dx += m.linear_y * age * math.sin(yaw)
            dy -= m.linear_y * age * math.cos(yaw)
        distance = math.hypot(dx, dy)
        bearing = math.atan2(dy, dx) - yaw
    mode, reason = _mode(c, now_ns, distance, known)
    driving = mode in (HYBRID, REFLEX_ONLY)

    # what the network is given
    slot = c.tick % PLAYOUT
    planner = view(c.planner_in, CHANNELS, F32)
    goal = view(c.goal_in, SECTORS, F32)
    for i in range(CHANNELS):
        planner[i] = c.slots[slot, i] if mode == HYBRID else 0.0
        c.slots[slot, i] = 0
    sine, cosine = math.sin(bearing), math.cos(bearing)
    for i in range(SECTORS):
        off = cosine * COSINES[i] + sine * SINES[i]  # the cosine of how far the sector lies off the bearing
        goal[i] = 1.0 + 2.0 * math.exp(2.0 * (off - 1.0)) if driving and known else 0.0
    view(c.arousal_in, 1, F32)[0] = 1.0 if driving else 0.0
    view(c.stuck_in, 1, F32)[0] = BACK_OFF_CURRENT if driving and c.back_off > 0.0 else 0.0

    if step_arena(c.arena) != OK:
        c.failed = 1

    # what it says, or the board in its place
    ring_at, left_at, right_at, forward_at, reverse_at = (
        c.ring_out, c.left_out, c.right_out, c.forward_out, c.reverse_out,
    )  # fmt: skip
    if c.backend:
        _to_board(c, now_ns)
        if c.board_on:
            ring_at = address_of(c) + _BOARD_OUT
            left_at = ring_at + 4 * SECTORS
            right_at, forward_at, reverse_at = left_at + 4 * MOTOR, left_at + 8 * MOTOR, left_at + 12 * MOTOR
        elif reason == R_NONE:
            reason = R_BOARD_REPLACED
    ring = view(ring_at, SECTORS, F32)
    keep = 1.0 - min(1.0, c.dt / MOTOR_TIME_CONSTANT)
    x = y = 0.0
    for i in range(SECTORS):
        c.ring_rates[i] *= keep
        if ring[i] != 0.0:
            c.ring_rates[i] += ring[i] * (1.0 - keep) / c.dt
            _log(c, i, now_ns)
        x += c.ring_rates[i] * COSINES[i]
        y += c.ring_rates[i] * SINES[i]
    _decode(c, left_at, 0, SECTORS, now_ns)
    _decode(c, right_at, 1, SECTORS + MOTOR, now_ns)
    _decode(c, forward_at, 2, SECTORS + 2 * MOTOR, now_ns)
    _decode(c, reverse_at, 3, SECTORS + 3 * MOTOR, now_ns)

    command = c.command
    guarded = False
    if driving and not c.failed:
        fastest = g.max_speed
        if mode == REFLEX_ONLY:
            fastest *= 0.5
        if known:
            fastest = min(fastest, 0.15 + distance)
        ahead = 0.0 if c.back_off > 0.0 else c.rates[2]  # backing off, the forward population has no say
        linear = g.speed_gain * (ahead - c.rates[3]) / MOTOR_RATE
        angular = g.turn_gain * (c.rates[0] - c.rates[1]) / MOTOR_RATE
        linear = min(max(linear, -0.3), 1.0) * fastest
        angular = min(max(angular, -1.0), 1.0) * g.max_yaw_rate
        age = max(now_ns - c.scan.received_ns, 0) * 1e-9
        lateral = vertical = 0.0
        if c.holonomic:
            linear, lateral, angular, guarded = _any_direction(c, linear, angular, age, fastest, now_ns)
            if c.hover_height > 0.0:
                v = c.vertical.value
                vertical = holonomic.climb(v.up, v.down, c.hover_height, c.vertical_clearance, c.max_climb)
        else:
            seen = c.scan.value
            if seen.moving > 0:
                linear, angular, _ = evade(seen.times, linear, angular, seen.fastest, seen.fastest_turn)
            linear, angular, guarded = guard(
                c.scan.value.points, c.scan.value.count, linear, angular, age, g.max_acceleration,
                c.half_length, c.half_width, GUARD_MARGIN, g.stop_distance,
            )  # fmt: skip
            if c.back_off > 0.0 and guarded and abs(linear) < 0.02 and abs(angular) < 0.1:
                linear, angular = _way_out(c, age, fastest)
        held = guarded and max(abs(linear), abs(lateral)) < 0.02 and abs(angular) < 0.1
        c.stuck = min(STUCK_AFTER, c.stuck + c.dt) if held else max(0.0, c.stuck - c.dt)
        c.back_off = max(0.0, c.back_off - c.dt)
        if c.stuck >= STUCK_AFTER:
            c.stuck = 0.0
            c.back_off = BACK_OFF
        slew = g.max_acceleration * c.dt
        command.linear_x = _towards(command.linear_x, linear, slew, 3.0 * slew)
        command.linear_y = _towards(command.linear_y, lateral, slew, 3.0 * slew)
        command.linear_z = _towards(command.linear_z, vertical, slew, 3.0 * slew)
        turn = MAX_YAW_ACCELERATION * c.dt
        command.angular_z = _towards(command.angular_z, angular, turn, 3.0 * turn)
    else:
        command.linear_x = 0.0
        command.linear_y = 0.0
        command.linear_z = 0.0
        command.angular_z = 0.0
        c.stuck = 0.0
        c.back_off = 0.0
    command.heading = math.atan2(y, x) if x * x + y * y > 1.0 else math.nan
    command.mode = mode
    command.reason = reason
    command.guarded = guarded
    command.tick = c.tick
    command.gains_version = c.gains.sequence
    c.tick += 1
    write_mailbox(c.command_box, address_of(command), now_ns, now_ns)
    return TICK_OK


@cfunc("int64(voidptr, int64)", cache=True)
def tick(context: Any, now_ns: int) -> int:
    """``int64 tick(void* context, int64 now_ns)`` for the loops of `realtime`; context: one CONTEXT record."""
    return run_tick(carray(context, 1, CONTEXT)[0], now_ns)
