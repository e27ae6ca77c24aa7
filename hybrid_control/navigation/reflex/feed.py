"""What goes into the spiking network: gains, obstacles, the planner's spikes and the goal, as weights and currents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from hybrid_control.navigation.reflex.context import CHANNELS, F32, OUTPUTS, PLAYOUT, view
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.network import BANDS
from hybrid_control.navigation.reflex.percept import sector_directions
from hybrid_control.navigation.reflex.scan import bring_along
from hybrid_control.navigation.reflex.states import take_up
from hybrid_control.realtime import address_of, read_mailbox
from hybrid_control.signals.headings import SECTORS, wrapped

BACK_OFF_CURRENT = 3.0
CROSSING_LASTS = 0.25  # s for which what crosses the way counts as near: by then scans tell that it moves
NOMINAL_HALF_WIDTH = 0.30  # m, clearance included, for which the network's closing kernels are made

DIRECTIONS = sector_directions().astype(np.float64)
SINES, COSINES = np.sin(DIRECTIONS), np.cos(DIRECTIONS)
NEAR, MID, FAR = (distance for _, distance, _ in BANDS)
NEAR_DRIVE, MID_DRIVE, FAR_DRIVE = (drive for _, _, drive in BANDS)
BEYOND = 0.10  # m behind the robot at the point that it aims at, from where on an obstacle does not close a heading
CENTRED = 0.025  # m by which it may be off the middle of a gap
LEAST_CLEARANCE = 0.02  # m that it keeps in any
BESIDE = 0.5  # m beside the robot in which there is the other side of a gap, if it is one
ROUGHLY = 0.03  # m by which the noise of a scan may make a gap narrower than it is
ENOUGH = 0.05  # m of clearance from which on a gap is not narrow
ONTO, MOST_SKEW = 0.3, 0.7  # m ahead at which the line through a gap is aimed at; rad that it may lie off the aim
NARROWS = 0.8  # m before the robot in which a gap counts
AT_REST = 0.05  # m/s and rad/s
TAYLOR = tuple(1.0 / math.factorial(k) for k in range(14, -1, -1))  # of exp, within 3e-17 for 0.5 and less
SQUARE_TO = math.exp(-2.0)  # the share of a goal neuron square to the bearing
STRAIGHT_BEHIND = 0.01  # sine of the bearing of a goal that counts as on the left, where the robot stands


@njit(cache=True, nogil=True)
def receive(c: Any, now_ns: int) -> None:
    """Take in what has come since the last tick, from mailboxes and from a board."""
    if read_mailbox(c.gains_box, address_of(c.gains)):
        _apply_gains(c)
    scanned = read_mailbox(c.scan_box, address_of(c.scan))
    if scanned:
        c.seen_ns = c.scan.received_ns
        c.guard.near_reach = 0.0
    crossing = read_mailbox(c.crossing_box, address_of(c.crossing))
    crossed = c.crossing.sequence > 0 and now_ns - c.crossing.received_ns <= CROSSING_LASTS * 1e9
    if scanned or (c.scan.sequence > 0 and (crossing or crossed != c.crossed)):
        c.crossed = crossed
        _see(c)
    read_mailbox(c.motion_box, address_of(c.motion))
    if c.scan.value.posed and c.motion.received_ns > c.seen_ns:
        bring_along(c.scan.value, c.motion.value, (c.motion.received_ns - c.seen_ns) * 1e-9)
        c.guard.near_reach = 0.0
        if c.scan.value.posed:
            c.seen_ns = c.motion.received_ns
    read_mailbox(c.vertical_box, address_of(c.vertical))
    read_mailbox(c.directions_box, address_of(c.directions))
    read_mailbox(c.goal_box, address_of(c.goal))
    if read_mailbox(c.train_box, address_of(c.train)):
        _listen(c, 1e-9 / c.dt)
    if c.takes_states and read_mailbox(c.states_box, address_of(c.states)):
        take_up(c, now_ns)
    if c.backend:
        _from_board(c, now_ns)


@njit(cache=True, nogil=True)
def _apply_gains(c: Any) -> None:
    """Write a new set of gains into the network and the guard."""
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
    c.guard.stop_distance, c.guard.deceleration, c.guard.creep = g.stop_distance, g.max_acceleration, g.creep


@njit(cache=True, nogil=True)
def _drive(strength: float, share: float) -> float:
    """Current of an obstacle neuron, in thresholds: none below a share of 0.05, then from threshold upwards."""
    return 1.0 + strength * share if share > 0.05 else 0.0


@njit(cache=True, nogil=True)
def _see(c: Any) -> None:
    """Turn the newest scan, and what crosses the way, into the currents of the obstacle and approach populations."""
    g = c.gains.value
    near = view(c.near_in, SECTORS, F32)
    mid = view(c.mid_in, SECTORS, F32)
    far = view(c.far_in, SECTORS, F32)
    approach = view(c.approach_in, SECTORS, F32)
    # a robot that is to keep more clearance sees everything nearer by as much as it is wider
    clearance, between = _look_for_gap(c)
    scale = NOMINAL_HALF_WIDTH / (c.guard.outline.half_width + clearance)
    first, last = _crossed(c, g.avoidance_distance / scale) if c.crossed else (SECTORS, -1)
    # what lies beyond the point that is aimed at is in nobody's way
    reach = g.avoidance_distance
    if c.goal_known and c.scan.value.moving == 0:  # what moves may come from there
        front = c.guard.outline.half_length + c.guard.outline.middle
        reach = min(reach, (c.goal_distance + front + BEYOND) * scale)
    for i in range(SECTORS):
        r = float(c.scan.value.sectors[i]) * scale
        n = m = f = a = 0.0
        if r < reach:
            n = min(1.0, max(0.0, (MID - r) / (MID - NEAR)))
            m = max(0.0, 1.0 - abs(r - MID) / (MID - NEAR))
            if between and NEAR < r < MID:  # no heading is closed for more than they close
                n, m = 0.0, 1.0
            if r < FAR:
                f = max(0.0, (r - MID) / (FAR - MID))
            else:
                f = (g.avoidance_distance - r) / max(g.avoidance_distance - FAR, 0.1)
        if r < 1.5 * g.avoidance_distance:
            # the inverse of the time to contact
            a = 0.25 * float(c.scan.value.approach[i]) / max(r - NOMINAL_HALF_WIDTH, 0.1)
        if first <= i <= last:
            n = a = 1.0
        near[i] = _drive(NEAR_DRIVE, n)
        mid[i] = _drive(MID_DRIVE, m)
        far[i] = _drive(FAR_DRIVE, f)
        approach[i] = _drive(2.0, min(a, 1.0) if a > 0.075 else 0.0)


@njit(cache=True, nogil=True)
def _look_for_gap(c: Any) -> tuple[float, bool]:
    """The clearance to keep, m, and whether the straight way to the aim leads between two things that the robot fits
    between: less than the gain where it does not fit with as much beside it. How narrow that is and where its middle
    leads through are noted."""
    g, seen, half_width = c.gains.value, c.scan.value, c.guard.outline.half_width
    c.narrow = 0.0
    if not c.goal_known:
        return float(g.clearance), False
    cosine, sine = math.cos(c.goal_bearing), math.sin(c.goal_bearing)
    left = right = half_width + BESIDE
    left_along = right_along = 0.0
    half_length, middle = c.guard.outline.half_length, c.guard.outline.middle
    front, rear = middle + half_length, middle - half_length
    ends = min(c.goal_distance, front + NARROWS)
    for k in range(seen.count):
        x, y = float(seen.points[k, 0]), float(seen.points[k, 1])
        along, beside = cosine * x + sine * y, cosine * y - sine * x
        if rear < along < ends:
            if 0.0 <= beside < left:
                left, left_along = beside, along
            elif 0.0 < -beside < right:
                right, right_along = -beside, along
    room = 0.5 * (left + right) - half_width
    between = max(left, right) < half_width + BESIDE
    if room < -ROUGHLY or not between:
        return float(g.clearance), False  # where it does not fit, whatever is there is to be driven around
    least = max(room - CENTRED, LEAST_CLEARANCE)
    c.narrow = min(max((ENOUGH - least) / (ENOUGH - LEAST_CLEARANCE), 0.0), 1.0)
    c.gap_bearing = wrapped(c.goal_bearing + _through(left, left_along, right, right_along))
    return float(min(least, g.clearance)), True


@njit(cache=True, nogil=True)
def _through(left: float, left_along: float, right: float, right_along: float) -> float:
    """The bearing, off the aim, rad, that leads onto the line through the middle between two things and square to the
    line from one to the other; how far they lie to the left and right of the aim and along it, m."""
    across, along = left + right, right_along - left_along
    skew = min(max(math.atan2(along, across), -MOST_SKEW), MOST_SKEW)  # of the line through, off the aim
    middle_x, middle_y = 0.5 * (left_along + right_along), 0.5 * (left - right)
    c, s = math.cos(skew), math.sin(skew)
    before = -(c * middle_x + s * middle_y)  # where the robot is on that line, from the middle
    x, y = middle_x + (before + ONTO) * c, middle_y + (before + ONTO) * s
    return math.atan2(y, x)


@njit(cache=True, nogil=True)
def _crossed(c: Any, reach: float) -> tuple[int, int]:
    """The first and last sector that something is about to cross: from where it is to straight ahead.

    What the scan does not have within reach (m) does not count: it is far away, or an error.
    """
    first, last, seen = SECTORS, -1, c.scan.value.sectors
    for i in range(SECTORS):
        nearest = min(seen[i - 1], seen[i], seen[(i + 1) % SECTORS])
        if c.crossing.value.sectors[i] and nearest < reach:
            first, last = min(first, i, SECTORS // 2), max(last, i, SECTORS // 2 - 1)
    return first, last


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
def _from_board(c: Any, now_ns: int) -> None:
    """Take the spikes of the board that came since the last tick, and see whether it lives."""
    fresh = read_mailbox(c.board_box, address_of(c.board))
    c.board_on = c.board.sequence > 0 and now_ns - c.board.received_ns <= c.board_timeout * 1e9
    for i in range(OUTPUTS):
        c.board_out[i] = c.board.value.spikes[i] - c.board_seen[i] if fresh and c.board_on else 0.0
        c.board_seen[i] = c.board.value.spikes[i]


@njit(cache=True, nogil=True)
def goal_share(cosine: float) -> float:
    """Current of a goal neuron above its threshold, as a share of the greatest: exp(2 cosine - 2), by the cosine of how
    far it is off.

    exp(cosine / 2) by its Taylor series, to the fourth: a loop over this goes over several neurons at once.
    """
    z, root = 0.5 * cosine, 0.0
    for factor in TAYLOR:
        root = root * z + factor
    square = root * root
    return square * square * SQUARE_TO


@njit(cache=True, nogil=True)
def feed(c: Any) -> None:
    """Set the network's inputs for this tick: the planner's spikes, the goal's bearing, arousal, and being stuck."""
    slot = c.tick % PLAYOUT
    planner = view(c.planner_in, CHANNELS, F32)
    hybrid = c.command.mode == Mode.HYBRID
    for i in range(CHANNELS):
        planner[i] = c.slots[slot, i] if hybrid else 0.0
        c.slots[slot, i] = 0
    goal = view(c.goal_in, SECTORS, F32)
    bearing = c.gap_bearing if c.narrow > 0.0 else c.goal_bearing
    sine, cosine = math.sin(bearing), math.cos(bearing)
    stands = abs(c.command.linear_x) < AT_REST and abs(c.command.angular_z) < AT_REST
    if stands and cosine < 0.0 and abs(sine) < STRAIGHT_BEHIND:
        sine = STRAIGHT_BEHIND  # both ways round are alike, and the ring, pulled to both, would never decide
    if c.driving and c.goal_known:
        for i in range(SECTORS):
            off = cosine * COSINES[i] + sine * SINES[i]  # the cosine of how far the sector lies off the bearing
            goal[i] = 1.0 + 2.0 * goal_share(off)
    else:
        goal[:] = 0.0
    view(c.arousal_in, 1, F32)[0] = 1.0 if c.driving else 0.0
    view(c.stuck_in, 1, F32)[0] = BACK_OFF_CURRENT if c.driving and c.back_off > 0.0 else 0.0
