"""The tick of the reflex: one compiled function over one record of memory, called by every loop alike.

It receives what is new, aims at the goal, feeds the spiking network, steps it and decodes its spikes into a wished
motion, which geometry then limits. No allocation, no interpreter.
"""

from __future__ import annotations

import math
from typing import Any

from numba import carray, cfunc, njit

from hybrid_control.navigation.reflex.context import CONTEXT, Reason
from hybrid_control.navigation.reflex.coverage import NOTHING_IN_RANGE, SEES
from hybrid_control.navigation.reflex.decode import decode, wish
from hybrid_control.navigation.reflex.feed import feed, receive
from hybrid_control.navigation.reflex.limit import limit, stand
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.percept import pose_after
from hybrid_control.realtime import TICK_OK, address_of, write_mailbox
from hybrid_control.signals.headings import wrapped
from hybrid_control.snn.backends.numba.kernels import OK, step_arena

LONG_AGO = -(2**62)  # ns, of the loop's clock


@njit(cache=True, nogil=True)
def run_tick(c: Any, now_ns: int) -> int:
    """One tick over a CONTEXT record; see the module's first lines. now_ns: the loop's clock."""
    receive(c, now_ns)
    if now_ns < c.ticked_ns:
        _forget_later(c, now_ns)
    c.ticked_ns = now_ns
    aim(c, now_ns)
    feed(c)
    if step_arena(c.arena) != OK:
        c.failed = 1
    decode(c, now_ns)
    if c.driving and not c.failed:
        wish(c)
        limit(c, now_ns)
    else:
        stand(c)
    command = c.command
    command.tick = c.tick
    command.gains_version = c.gains.sequence
    c.tick += 1
    write_mailbox(c.command_box, address_of(command), now_ns, now_ns)
    return TICK_OK


@njit(cache=True, nogil=True)
def _forget_later(c: Any, now_ns: int) -> None:
    """The loop's clock was set back: what came later than now must not be fresh when that time comes again."""
    _forget_if_later(c.scan, now_ns)
    _forget_if_later(c.motion, now_ns)
    _forget_if_later(c.vertical, now_ns)
    _forget_if_later(c.crossing, now_ns)
    _forget_if_later(c.directions, now_ns)
    _forget_if_later(c.train, now_ns)
    _forget_if_later(c.board, now_ns)


@njit(cache=True, nogil=True)
def _forget_if_later(entry: Any, now_ns: int) -> None:
    if entry.received_ns > now_ns:
        entry.received_ns = LONG_AGO


@njit(cache=True, nogil=True)
def aim(c: Any, now_ns: int) -> None:
    """Where the goal is, the motion since the odometry's stamp made good, and what may be done about it."""
    c.goal_distance = c.goal_bearing = 0.0
    there = c.goal.sequence > 0 and not math.isnan(c.goal.value.x)
    c.goal_known = there and c.motion.sequence > 0
    if c.goal_known:
        age = (now_ns - c.motion.received_ns) * 1e-9
        c.goal_known = age <= c.gains.value.odometry_timeout
        x, y, yaw = pose_after(c.motion.value, age)
        dx, dy = c.goal.value.x - x, c.goal.value.y - y
        c.goal_distance = math.hypot(dx, dy)
        c.goal_bearing = wrapped(math.atan2(dy, dx) - yaw)
    command = c.command
    command.mode, command.reason = _mode(c, now_ns)
    c.driving = command.mode == Mode.HYBRID or command.mode == Mode.REFLEX_ONLY
    if command.mode == Mode.INACTIVE:
        command.ticks_driven = command.ticks_limited = 0


@njit(cache=True, nogil=True)
def _mode(c: Any, now_ns: int) -> tuple[Mode, Reason]:
    """What may be done now, and why."""
    g = c.gains.value
    if c.failed:
        return Mode.ERROR, Reason.NETWORK
    if not c.active:
        return Mode.INACTIVE, Reason.NOT_ACTIVE
    if c.backend and not c.board_on and c.stop_without_board:
        return Mode.STOPPED, Reason.BOARD_SILENT
    if c.scan.sequence == 0:
        return Mode.STOPPED, Reason.NO_SCAN
    if now_ns - c.scan.received_ns > g.scan_timeout * 1e9:
        return Mode.STOPPED, Reason.STALE_SCAN
    if c.scan_in_doubt:
        return Mode.STOPPED, Reason.SCAN_IN_DOUBT
    if c.scan.value.verdict == NOTHING_IN_RANGE:
        return Mode.STOPPED, Reason.NOTHING_IN_RANGE
    if c.scan.value.verdict != SEES:
        return Mode.STOPPED, Reason.NOTHING_VALID
    if c.hover_height > 0.0 and (
        c.vertical.sequence == 0 or now_ns - c.vertical.received_ns > g.scan_timeout * 1e9
    ):
        return Mode.STOPPED, Reason.STALE_HEIGHT
    if g.directions_timeout > 0.0 and (
        c.directions.sequence == 0 or now_ns - c.directions.received_ns > g.directions_timeout * 1e9
    ):
        return Mode.STOPPED, Reason.NO_DIRECTIONS
    if c.directions.value.hidden > 0 and now_ns - c.motion.received_ns > g.odometry_timeout * 1e9:
        return Mode.STOPPED, Reason.LOST
    if c.goal.sequence == 0:
        return Mode.STOPPED, Reason.NO_GOAL
    if _arrived(c):
        return Mode.ARRIVED, Reason.AT_GOAL
    if math.isnan(c.goal.value.x):
        return Mode.STOPPED, Reason.NO_WAY
    if c.train.sequence > 0 and now_ns - c.train.received_ns <= g.planner_timeout * 1e9:
        return Mode.HYBRID, Reason.BOARD_REPLACED if c.backend and not c.board_on else Reason.NONE
    if c.stop_without_planner:
        return Mode.STOPPED, Reason.STALE_PLANNER
    if not c.goal_known:
        return Mode.STOPPED, Reason.STALE_ODOMETRY
    return Mode.REFLEX_ONLY, Reason.STALE_PLANNER


@njit(cache=True, nogil=True)
def _arrived(c: Any) -> bool:
    """Whether the goal was reached; points on the way to it then no longer count, but for a new wish."""
    goal = c.goal.value
    if goal.wish > 0 and c.fulfilled == goal.wish:
        return True
    if c.arrived_goal != c.goal.sequence and not (c.goal_known and c.goal_distance < c.goal_tolerance):
        return False
    c.arrived_goal = c.goal.sequence
    if goal.final:
        c.fulfilled = goal.wish
    return True


@cfunc("int64(voidptr, int64)", cache=True)
def tick(context: Any, now_ns: int) -> int:
    """``int64 tick(void* context, int64 now_ns)`` for the loops of `realtime`; context: one CONTEXT record."""
    return run_tick(carray(context, 1, CONTEXT)[0], now_ns)
