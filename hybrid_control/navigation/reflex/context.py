"""The memory of a reflex's tick: one record, its parts, and the mailboxes that it reads and writes.

Everything that loops, tests and the Python side know of the tick's insides has its name here.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.navigation.reflex.guard import GUARD
from hybrid_control.navigation.reflex.network import GAINED, MOTOR, SPEED
from hybrid_control.navigation.reflex.scan import MOTION, SCAN
from hybrid_control.navigation.reflex.states import STATES
from hybrid_control.navigation.reflex.unseen import DIRECTIONS
from hybrid_control.realtime import Mailbox
from hybrid_control.signals.headings import SECTORS
from hybrid_control.snn.backends.numba import kernels

MAX_SPIKES = 2048  # in one planner window; a hundred neurons at 1 kHz for 20 ms
PLAYOUT = 64  # ms of planner spikes that can wait to be delivered
CHANNELS = SECTORS + SPEED
SPIKE_LOG = 1 << 15  # spikes kept for reflex/spikes
BOARD_LOG = 1 << 14  # spikes kept for a board, more than a hundred ticks' worth where all that can fires
OUTPUTS = SECTORS + 4 * MOTOR


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
    NOTHING_VALID = 12
    NOTHING_IN_RANGE = 13
    SCAN_IN_DOUBT = 14
    NO_WAY = 15
    NO_DIRECTIONS = 16
    LOST = 17


TRAIN = np.dtype(
    [("count", np.int64), ("neuron", np.uint16, (MAX_SPIKES,)), ("offset_ns", np.uint32, (MAX_SPIKES,))],
    align=True,
)
VERTICAL = np.dtype([("up", np.float64), ("down", np.float64)], align=True)  # m, inf for nothing in range
# of each sector, whether something comes into the way there, as an event camera sees it
CROSSING = np.dtype([("sectors", np.uint8, (SECTORS,))], align=True)
GOAL = np.dtype(
    [
        ("x", np.float64),  # m, where to go now; nan where there is no way
        ("y", np.float64),
        ("wish", np.int64),  # number of the wish that it belongs to: a goal, told anew
        ("final", np.int64),  # whether it is that goal itself, and no point on the way
    ],
    align=True,
)
BOARD = np.dtype([("spikes", np.int64, (OUTPUTS,))], align=True)  # of each neuron on the board so far
GAIN_SET = np.dtype([(p.name, np.float64) for p in GAINS], align=True)
COMMAND = np.dtype(
    [
        ("linear_x", np.float64),  # m/s and rad/s: what leaves, after the ramp
        ("linear_y", np.float64),
        ("linear_z", np.float64),
        ("angular_z", np.float64),
        ("wish_x", np.float64),  # what the network wished; zero while it does not drive
        ("wish_y", np.float64),
        ("wish_yaw", np.float64),
        ("allowed_x", np.float64),  # what evasion, guard and way out let through of it, or put in its place
        ("allowed_y", np.float64),
        ("allowed_yaw", np.float64),
        ("ticks_driven", np.int64),  # since activation
        ("ticks_limited", np.int64),  # those of them in which wish and allowed differ
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
        "states": STATES,
        "motion": MOTION,
        "vertical": VERTICAL,
        "crossing": CROSSING,
        "directions": DIRECTIONS,
        "goal": GOAL,
        "gains": GAIN_SET,
        "board": BOARD,
        "command": COMMAND,
    }
    return {name: Mailbox(kind) for name, kind in kinds.items()}


_ENTRIES = {name: box.entry_dtype for name, box in mailboxes().items() if name != "command"}

# Inputs of the network, by the name of their address in CONTEXT without its "_in"
INPUTS = {
    "planner": ("planner", CHANNELS),
    "arousal": ("arousal", 1),
    "goal": ("goal_current", SECTORS),
    "near": ("near_current", SECTORS),
    "mid": ("mid_current", SECTORS),
    "far": ("far_current", SECTORS),
    "approach": ("approach_current", SECTORS),
    "stuck": ("stuck_current", 1),
}

CONTEXT = np.dtype(
    [
        # where things are
        *((f"{name}_box", np.int64) for name in (*_ENTRIES, "command")),
        ("arena", np.int64),
        *((f"{name}_in", np.int64) for name in INPUTS),
        *((f"{name}_out", np.int64) for name in ("ring", "left", "right", "forward", "reverse")),
        *((f"{name}_spikes", np.int64) for name in ("approach", "far", "goal", "mid", "near")),
        *((f"{name}_at", np.int64) for name in GAINED),
        *((f"ring_{row}_at", np.int64) for row in ("keep", "take", "threshold")),
        ("ring_rows", np.int64),  # values in each of the ring's coefficient rows: 1, or one per neuron
        # fixed when configured
        ("dt", np.float64),
        ("goal_tolerance", np.float64),
        ("stop_without_planner", np.int64),
        ("hover_height", np.float64),  # m, 0: another keeps the height
        ("vertical_clearance", np.float64),
        ("max_climb", np.float64),
        ("backend", np.int64),  # 0: the network runs here; 1: on a board, and here in its shadow
        ("stop_without_board", np.int64),
        ("board_timeout", np.float64),
        ("takes_states", np.int64),  # whether the planner may set potentials of the network
        # written by the Python side, one word each
        ("active", np.int64),
        ("failed", np.int64),
        ("scan_in_doubt", np.int64),
        # the tick's own
        ("tick", np.int64),
        ("ticked_ns", np.int64),  # the loop's clock at the newest tick
        ("command", COMMAND),
        ("arrived_goal", np.int64),  # sequence of the goal, or of the point on the way, that was reached
        ("fulfilled", np.int64),  # the wish whose goal was reached
        ("goal_distance", np.float64),  # m and rad from where the robot is now, where goal_known
        ("goal_bearing", np.float64),
        ("goal_known", np.int64),
        ("driving", np.int64),  # whether the mode lets the network drive
        ("fastest", np.float64),  # m/s, in this tick
        ("play_end", np.int64),  # tick up to which planner spikes are scheduled
        ("crossed", np.int64),  # whether what crosses the way counts now
        ("held_turn", np.float64),  # rad that the robot has turned since the guard began to hold it
        # how narrow the way between two things is, 0 wide enough, 1 as narrow as can be driven, and what leads through
        ("narrow", np.float64),
        ("gap_bearing", np.float64),  # rad
        ("seen_ns", np.int64),  # the loop's clock at the frame of what the scan saw
        ("guard", GUARD),
        ("stuck", np.float64),
        ("back_off", np.float64),
        # what the evasion gave last, m/s and rad/s, and whether it was another motion than the wish
        ("evaded_x", np.float64),
        ("evaded_yaw", np.float64),
        ("evaded", np.int64),
        # of a base that can't turn on the spot (`turning`)
        ("curvature", np.float64),  # 1/m, of the steering as commanded
        ("leg", np.int64),  # of a turn in legs: 1 ahead, -1 back, 0 for none
        ("side", np.float64),  # to which it turns: 1 left, -1 right
        ("leg_way", np.float64),  # m driven in this leg
        ("turned", np.float64),  # rad turned to that side, in this leg and the one before
        ("vain", np.int64),  # pairs of legs that turned too little
        ("bend", np.float64),  # of the tightest curve, on the way out of where it can't turn
        ("legs_failed", np.int64),  # legs one after another that went nowhere
        ("rates", np.float64, (4,)),  # left, right, forward, reverse, Hz
        ("ring_rates", np.float64, (SECTORS,)),
        ("set_for", np.float64),  # s since the planner set the network's states, as far as it matters
        ("slots", np.uint8, (PLAYOUT, CHANNELS)),
        ("board_on", np.int64),  # whether the board's spikes are what counts in this tick
        ("board_seen", np.int64, (OUTPUTS,)),  # spikes of the board that were taken or let go
        ("board_out", np.float32, (OUTPUTS,)),  # spikes of the board in this tick
        ("board_head", np.int64),
        ("board_time", np.int64, (BOARD_LOG,)),
        ("board_neuron", np.uint16, (BOARD_LOG,)),
        ("spikes", np.int64, (OUTPUTS,)),  # since activation, each neuron
        ("log_head", np.int64),
        ("log_time", np.int64, (SPIKE_LOG,)),
        ("log_neuron", np.uint16, (SPIKE_LOG,)),
        *((name, entry) for name, entry in _ENTRIES.items()),
    ],
    align=True,
)


def offset(name: str) -> int:
    """Bytes from the beginning of a CONTEXT to one of its fields."""
    return int(CONTEXT.fields[name][1])  # type: ignore[index]


F32 = np.float32(0)
view: Any = (
    kernels.values_at
)  # (address, size, value of the type) -> array; numba supplies its first argument
