"""What the reflex says of itself: its newest command, and a status with what has happened since the last one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_control.navigation.reflex.context import Reason
from hybrid_control.navigation.reflex.guard import fastest_within
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.signals import Twist
from hybrid_control.snn import Engine
from hybrid_control.snn.energy import LOIHI, estimate

REASONS = {
    Reason.NONE: "planner and sensors are fresh",
    Reason.NOT_ACTIVE: "not active",
    Reason.NO_SCAN: "no scan yet",
    Reason.STALE_SCAN: "the newest scan is too old",
    Reason.SCAN_IN_DOUBT: "what the range sensors say is contradicted",
    Reason.NO_GOAL: "no goal yet",
    Reason.NO_WAY: "no way leads to the goal, by all that was seen",
    Reason.STALE_ODOMETRY: "no planner, and no odometry to know the goal's bearing by",
    Reason.STALE_PLANNER: "no fresh spikes from the planner",
    Reason.NO_DIRECTIONS: "no fresh directions from the planner, which say what no scan shows (directions_timeout)",
    Reason.LOST: "no fresh odometry, by which it is known where the hidden things lie that are remembered",
    Reason.AT_GOAL: "at the goal",
    Reason.NETWORK: "the network failed",
    Reason.STALE_HEIGHT: "no fresh ranges up and down, and hover_height is to be kept",
    Reason.NOTHING_VALID: "the range sensors see nothing in {percent:.0f} % of their directions: covered, dead, or set "
    "up wrongly (no_echo, max_unknown)?",
    Reason.NOTHING_IN_RANGE: "nothing is in range in any direction: is the sensor covered or dead? Set open_space "
    "where there really is nothing",
    Reason.BOARD_SILENT: "the board is silent",
    Reason.BOARD_REPLACED: "the board is silent, its network runs here",
}


@dataclass(frozen=True, slots=True)
class Command:
    """What the reflex wants of the motors, and in which mode."""

    twist: Twist
    mode: Mode
    tick: int


@dataclass(frozen=True, slots=True)
class Status:
    """What the reflex is doing; the fields of ReflexStatus.msg but for the loop's timing."""

    mode: Mode
    reason: str
    tick: int
    scan_age: float  # s, NaN where none was received; as the two that follow
    planner_age: float
    odometry_age: float
    refused: int
    spikes_per_second: float
    synaptic_events_per_second: float
    power_uw: float  # estimated with the constants of `snn.energy.LOIHI`
    nearest_obstacle: float  # m from the outline, inf for none in range
    heading: float  # rad, NaN where the ring is silent
    guarded: bool
    gains_version: int
    wish: Twist  # the newest tick's, of the network; zero where it does not drive
    allowed: Twist  # what was let through of it, before the ramp
    guard_share: (
        float  # of the ticks that drove since the last status, those in which they differ; NaN for none
    )


def reason_of(context: Any, command: Any, scan: Any, max_speed: float) -> str:
    """Why the mode is what it is, and what limits the speed beside the gains. context: a CONTEXT, (1,); command, scan:
    the newest COMMAND and SCAN; max_speed: m/s."""
    reason = REASONS[Reason(int(command["reason"]))].format(percent=100.0 * float(scan["unknown"]))
    guard = context["guard"][0]
    if guard["deceleration"] == 0.0:  # no tick so far
        return reason
    if context["legs_failed"][0] >= 2:
        reason += "; held: the guard lets through no arc, ahead or back"
    fastest = fastest_within(float(scan["sight"]), float(guard["scan_age"]), guard)
    if fastest < max_speed:
        reason += f"; at most {fastest:.2f} m/s, to stop within the {float(scan['sight']):g} m that are seen"
    return reason


class Meter:
    """Sums since the beginning as rates and shares since the last reading."""

    def __init__(self) -> None:
        self._before = np.zeros(6)

    def read(self, engine: Engine, command: Any, least_span: float) -> tuple[float, float, float, float]:
        """Spikes a second, synaptic events a second, power in W, and the share of ticks that were limited."""
        counters = engine.counters
        sums = np.array(
            [
                counters.seconds,
                sum(counters.spikes.values()),
                sum(counters.events.values()),
                estimate(counters, LOIHI).joules,
                command["ticks_driven"],
                command["ticks_limited"],
            ]
        )
        if sums[4] < self._before[4]:  # active anew
            self._before[4:] = 0.0
        seconds, spikes, events, joules, driven, limited = (sums - self._before).tolist()
        self._before = sums
        span = max(seconds, least_span)
        return spikes / span, events / span, joules / span, limited / driven if driven else math.nan
