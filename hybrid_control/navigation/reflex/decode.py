"""What comes out of the spiking network: spikes into rates, logs and a heading, and of the rates a wished motion."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from hybrid_control.navigation.reflex.context import BOARD_LOG, CHANNELS, F32, SPIKE_LOG, offset, view
from hybrid_control.navigation.reflex.feed import COSINES, SINES
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.navigation.reflex.network import BOARD_INPUTS, MOTOR
from hybrid_control.navigation.reflex.turning import as_arc
from hybrid_control.realtime import address_of
from hybrid_control.realtime.compiled import store_release
from hybrid_control.signals.headings import SECTORS

MOTOR_TIME_CONSTANT = 0.040  # s, of the filter that turns motor spikes into a rate
LEAST_TIME_CONSTANT = 0.006  # s, of the same filter when the network has just been set to another state
MOTOR_RATE = 250.0  # Hz, rate of a motor population that stands for full speed

_LOG_HEAD, _BOARD_HEAD, _BOARD_OUT = offset("log_head"), offset("board_head"), offset("board_out")
(_APPROACH, _AROUSAL, _FAR, _GOAL, _MID, _NEAR, _PLANNER, _STUCK) = (p.first for p in BOARD_INPUTS)


@njit(cache=True, nogil=True)
def time_constant(set_for: float) -> float:
    """s, of the filter so many s after the network's states were set: what it said before is soon forgotten."""
    return min(max(set_for, LEAST_TIME_CONSTANT), MOTOR_TIME_CONSTANT)


@njit(cache=True, nogil=True)
def decode(c: Any, now_ns: int) -> None:
    """Take the spikes of ring and motors, of the network here or of the board in its place, into rates and heading."""
    ring_at, left_at, right_at, forward_at, reverse_at = (
        c.ring_out, c.left_out, c.right_out, c.forward_out, c.reverse_out,
    )  # fmt: skip
    if c.backend:
        _to_board(c, now_ns)
        if c.board_on:
            ring_at = address_of(c) + _BOARD_OUT
            left_at = ring_at + 4 * SECTORS
            right_at, forward_at, reverse_at = left_at + 4 * MOTOR, left_at + 8 * MOTOR, left_at + 12 * MOTOR
    ring = view(ring_at, SECTORS, F32)
    constant = time_constant(c.set_for) if c.takes_states else MOTOR_TIME_CONSTANT
    c.set_for = min(c.set_for + c.dt, MOTOR_TIME_CONSTANT)
    share = min(1.0, c.dt / constant)  # of this tick in the rates
    keep = 1.0 - share
    x = y = 0.0
    for i in range(SECTORS):
        c.ring_rates[i] *= keep
        if ring[i] != 0.0:
            c.ring_rates[i] += ring[i] * (1.0 - keep) / c.dt
            _log(c, i, now_ns)
        x += c.ring_rates[i] * COSINES[i]
        y += c.ring_rates[i] * SINES[i]
    c.command.heading = math.atan2(y, x) if x * x + y * y > 1.0 else math.nan
    _motor_rate(c, left_at, 0, share, now_ns)
    _motor_rate(c, right_at, 1, share, now_ns)
    _motor_rate(c, forward_at, 2, share, now_ns)
    _motor_rate(c, reverse_at, 3, share, now_ns)


@njit(cache=True, nogil=True)
def _motor_rate(c: Any, address: int, population: int, share: float, now_ns: int) -> None:
    """Count, log and low-pass the spikes of one motor population; share: of this tick in the rate."""
    spikes = view(address, MOTOR, F32)
    first = SECTORS + population * MOTOR
    count = some = 0
    for i in range(MOTOR):
        count += int(spikes[i])
        some += spikes[i] != 0.0
    for i in range(MOTOR if some else 0):
        if spikes[i] != 0.0:
            _log(c, first + i, now_ns)
    rate = count / (MOTOR * c.dt)
    c.rates[population] += (rate - c.rates[population]) * share


@njit(cache=True, nogil=True)
def _log(c: Any, neuron: int, now_ns: int) -> None:
    head = c.log_head
    c.log_time[head % SPIKE_LOG] = now_ns
    c.log_neuron[head % SPIKE_LOG] = neuron
    c.spikes[neuron] += 1
    store_release(address_of(c) + _LOG_HEAD, head + 1)


@njit(cache=True, nogil=True)
def _put_out(c: Any, first: int, address: int, size: int, now_ns: int) -> None:
    """Note the values at an address as so many spikes for the board, each."""
    values = view(address, size, F32)
    for i in range(size):
        for _ in range(int(values[i])):
            c.board_time[c.board_head % BOARD_LOG] = now_ns
            c.board_neuron[c.board_head % BOARD_LOG] = first + i
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
def wish(c: Any) -> None:
    """Read the motion that the network wishes off the rates of its motors; what turns a drone pushes it aside too."""
    g, command = c.gains.value, c.command
    fastest = g.max_speed
    if command.mode == Mode.REFLEX_ONLY:
        fastest *= 0.5
    if c.goal_known:
        way = c.goal_distance
        if not c.goal.value.final:  # a point on the way is turned at, not stopped at
            way = max(way, math.sqrt(g.max_acceleration * way))
        fastest = min(fastest, 0.15 + way)
    backing = c.back_off > 0.0
    ahead = 0.0 if backing else c.rates[2]  # backing off, the forward population has no say
    linear = g.speed_gain * (ahead - c.rates[3]) / MOTOR_RATE
    linear = min(max(linear, -0.3), 1.0) * fastest
    lateral = 0.0
    if c.guard.holonomic:
        if not backing:
            lateral = g.lateral_gain * (c.rates[0] - c.rates[1]) / MOTOR_RATE
            lateral = min(max(lateral, -1.0), 1.0) * fastest
        speed = math.hypot(linear, lateral)
        if speed > fastest:
            linear *= fastest / speed
            lateral *= fastest / speed
    angular = g.turn_gain * (c.rates[0] - c.rates[1]) / MOTOR_RATE
    angular = min(max(angular, -1.0), 1.0) * g.max_yaw_rate
    if c.guard.radius > 0.0:
        linear, angular = as_arc(linear, angular, fastest, c.guard.radius)
    c.fastest = fastest
    command.wish_x, command.wish_y, command.wish_yaw = linear, lateral, angular
