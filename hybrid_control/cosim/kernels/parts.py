"""What the parts do between two meetings, compiled: functions of a part's block (`records`), int64 (int64 block).

Each returns 0, or 1 + the run that failed. They are compiled, or loaded, when a part first asks for their address.
"""

# numba types these functions; mypy cannot see into its intrinsics
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cfunc, njit

from hybrid_control.cosim.kernels.records import B_COUNT, B_DATA, B_FIRST, B_PERIOD, B_PORTS, records_at
from hybrid_control.signals.coding import kernels as codes
from hybrid_control.snn.backends.numba.kernels import step_arena, values_at
from hybrid_control.snn.backends.numba.kernels.arena import H_INPUT, H_ITEM, HEADER_WORDS
from hybrid_control.snn.backends.numba.kernels.quiet import pass_quietly, silent

_WORD, _NUMBER, _SINGLE, _INDEX = np.int64(0), np.float64(0), np.float32(0), np.uint32(0)
TRACES, CYCLES, WINDOWS = 0, 1, 2  # decoders


def spiking(block):
    """A tick a run. data: arena; inputs, taps, ports that are inputs or take states; quiet ops: address, numbers;
    scratch for them; ticks that they passed; then each input's size, each tap's place and size."""
    head = values_at(block, B_PORTS, _WORD)
    data = values_at(head[B_DATA], 8, _WORD)
    arena, inputs, taps, all_inputs = data[0], data[1], data[2], data[3]
    more = values_at(head[B_DATA] + 64, inputs + 2 * taps, _WORD)
    ports = values_at(block + B_PORTS * 8, 2 * (all_inputs + taps), _WORD)
    engine = values_at(arena, HEADER_WORDS, _WORD)
    single = engine[H_ITEM] == 4
    ops = values_at(data[4], data[5], _WORD)
    quiet = ops.size > 0 and head[B_COUNT] > 1 and silent(arena, ops)
    r, count, moving = 0, head[B_COUNT], 1
    while r < count:
        if quiet:
            most = _without_input(ports, more, inputs, r, count)
            if most > 0:
                if single:
                    passed = pass_quietly(arena, ops, most, data[6], _SINGLE)
                else:
                    passed = pass_quietly(arena, ops, most, data[6], _NUMBER)
                for t in range(taps):
                    q = 2 * (all_inputs + t)
                    values_at(ports[q] + r * ports[q + 1], passed * more[inputs + 2 * t + 1], _NUMBER)[:] = 0.0
                data[7] += passed
                r, moving = r + passed, 1
                if r == count:
                    break
        if moving:
            moving = 0
            at = arena + engine[H_INPUT]
            for p in range(inputs):
                row, size = values_at(ports[2 * p] + r * ports[2 * p + 1], more[p], _NUMBER), more[p]
                moving |= ports[2 * p + 1]
                if single:
                    x = values_at(at, size, _SINGLE)
                    for i in range(size):
                        x[i] = row[i]
                    at += size * 4
                else:
                    y = values_at(at, size, _NUMBER)
                    for i in range(size):
                        y[i] = row[i]
                    at += size * 8
        if step_arena(arena) != 0:
            return r + 1
        for t in range(taps):
            place, size = more[inputs + 2 * t], more[inputs + 2 * t + 1]
            q = 2 * (all_inputs + t)
            out = values_at(ports[q] + r * ports[q + 1], size, _NUMBER)
            if single:
                xs = values_at(arena + place, size, _SINGLE)
                for i in range(size):
                    out[i] = xs[i]
            else:
                ys = values_at(arena + place, size, _NUMBER)
                for i in range(size):
                    out[i] = ys[i]
        r += 1
        quiet = ops.size > 0 and r < count and silent(arena, ops)
    return 0


@njit(cache=True, nogil=True)
def _without_input(ports, sizes, inputs, first, count):
    """How many of the runs from the first on see no input, one after the other."""
    for r in range(first, count):
        for p in range(inputs):
            row = values_at(ports[2 * p] + r * ports[2 * p + 1], sizes[p], _NUMBER)
            for i in range(sizes[p]):
                if row[i] != 0.0:
                    return r - first
    return count - first


_ENCODER = codes.ENCODER_CHANNEL
_TRACE, _CYCLE = codes.TRACE_CHANNEL, codes.CYCLE_CHANNEL


def encoding(block):
    """Counts of each run. data: state, channels, as many float32."""
    head = values_at(block, B_PORTS + 4, _WORD)
    data = values_at(head[B_DATA], 3, _WORD)
    state, rates = records_at(data[0], data[1], _ENCODER), values_at(data[2], data[1], _SINGLE)
    fresh = 1
    for r in range(head[B_COUNT]):
        if fresh:
            fresh = head[B_PORTS + 1]
            row = values_at(head[B_PORTS] + r * fresh, rates.size, _NUMBER)
            for i in range(rates.size):
                if not 0.0 <= row[i] <= codes.MAX_RATE:
                    return r + 1
                rates[i] = row[i]
        counts = values_at(head[B_PORTS + 2] + r * head[B_PORTS + 3], rates.size, _NUMBER)
        codes.encode_counts(state, rates, head[B_PERIOD], counts)
    return 0


def decoding(block):
    """Rates at each run, of spikes that count as fired in the last ns before it. data: state, channels, kind, columns
    of a window's state, as many float32 as there are channels."""
    head = values_at(block, B_PORTS + 4, _WORD)
    data = values_at(head[B_DATA], 5, _WORD)
    size, kind, period = data[1], data[2], head[B_PERIOD]
    rates = values_at(data[4], size, _SINGLE)
    room = 0
    neurons = np.empty(0, np.uint32)
    offsets = np.empty(0, np.uint32)
    for r in range(head[B_COUNT]):
        row = values_at(head[B_PORTS] + r * head[B_PORTS + 1], size, _NUMBER)
        total = 0
        for i in range(size):
            total += int(row[i])
        if total > room:
            room = 2 * total
            neurons, offsets = np.empty(room, np.uint32), np.full(room, period - 1, np.uint32)
        n = 0
        for i in range(size):
            for _ in range(int(row[i])):
                neurons[n] = i
                n += 1
        if kind == TRACES:
            codes.decode_traces(records_at(data[0], size, _TRACE), neurons[:n], offsets[:n], period, rates)
        elif kind == CYCLES:
            codes.decode_cycles(records_at(data[0], size, _CYCLE), neurons[:n], offsets[:n], period, rates)
        else:
            windows = values_at(data[0], size * data[3], _WORD).reshape(size, data[3])
            codes.decode_windows(windows, neurons[:n], offsets[:n], period, rates)
        out = values_at(head[B_PORTS + 2] + r * head[B_PORTS + 3], size, _NUMBER)
        for i in range(size):
            out[i] = rates[i]
    return 0


def tuned(block):
    """Spikes and rates of a population tuned to one value. data: state, neurons, float32 and their preferred values,
    sigma, peak and period. Ports: value; spikes, rates."""
    head = values_at(block, B_PORTS + 6, _WORD)
    data = values_at(head[B_DATA], 5, _WORD)
    size = data[1]
    state, rates = records_at(data[0], size, _ENCODER), values_at(data[2], size, _SINGLE)
    preferred, shape = values_at(data[3], size, _NUMBER), values_at(data[4], 3, _NUMBER)
    for r in range(head[B_COUNT]):
        value = values_at(head[B_PORTS] + r * head[B_PORTS + 1], 1, _NUMBER)[0]
        codes.gaussian_rates(value, preferred, shape[0], shape[1], shape[2], rates)
        counts = values_at(head[B_PORTS + 2] + r * head[B_PORTS + 3], size, _NUMBER)
        codes.encode_counts(state, rates, head[B_PERIOD], counts)
        out = values_at(head[B_PORTS + 4] + r * head[B_PORTS + 5], size, _NUMBER)
        for i in range(size):
            out[i] = rates[i]
    return 0


def vector(block):
    """The value that a population's rates stand for, the last one where they are silent. data: the value, neurons,
    preferred values, period. Ports: rates; value."""
    head = values_at(block, B_PORTS + 4, _WORD)
    data = values_at(head[B_DATA], 4, _WORD)
    last, period = values_at(data[0], 1, _NUMBER), values_at(data[3], 1, _NUMBER)[0]
    preferred = values_at(data[2], data[1], _NUMBER)
    for r in range(head[B_COUNT]):
        rates = values_at(head[B_PORTS] + r * head[B_PORTS + 1], data[1], _NUMBER)
        value = codes.population_vector(rates, preferred, period)
        if value == value:
            last[0] = value
        values_at(head[B_PORTS + 2] + r * head[B_PORTS + 3], 1, _NUMBER)[0] = last[0]
    return 0


def framed(block):
    """Counts of the last runs, the newest first. data: the frame, runs, numbers in a run. Ports: spikes; frame."""
    head = values_at(block, B_PORTS + 4, _WORD)
    data = values_at(head[B_DATA], 3, _WORD)
    bins, size = data[1], data[2]
    frame = values_at(data[0], bins * size, _NUMBER)
    for r in range(head[B_COUNT]):
        row = values_at(head[B_PORTS] + r * head[B_PORTS + 1], size, _NUMBER)
        for i in range((bins - 1) * size - 1, -1, -1):
            frame[i + size] = frame[i]
        for i in range(size):
            frame[i] = row[i]
        out = values_at(head[B_PORTS + 2] + r * head[B_PORTS + 3], bins * size, _NUMBER)
        for i in range(frame.size):
            out[i] = frame[i]
    return 0


def recorded(block):
    """A row a run. data: rows, how many, numbers in a row, whether it begins anew."""
    head = values_at(block, B_PORTS + 2, _WORD)
    data = values_at(head[B_DATA], 4, _WORD)
    first, size = head[B_FIRST] // head[B_PERIOD], data[2]
    for r in range(head[B_COUNT]):
        k = (first + r) % data[1] if data[3] else min(first + r, data[1] - 1)
        out = values_at(head[B_PORTS] + r * head[B_PORTS + 1], size, _NUMBER)
        row = values_at(data[0] + k * size * 8, size, _NUMBER)
        for i in range(size):
            out[i] = row[i]
    return 0


def weighted(block):
    """A sum of the ports by weights. data: how many, numbers in a row, weights (float64)."""
    head = values_at(block, B_PORTS, _WORD)
    data = values_at(head[B_DATA], 3, _WORD)
    n, size = data[0], data[1]
    weights = values_at(data[2], n, _NUMBER)
    ports = values_at(block + B_PORTS * 8, 2 * n + 2, _WORD)
    for r in range(head[B_COUNT]):
        out = values_at(ports[2 * n] + r * ports[2 * n + 1], size, _NUMBER)
        out[:] = 0.0
        for p in range(n):
            row = values_at(ports[2 * p] + r * ports[2 * p + 1], size, _NUMBER)
            for i in range(size):
                out[i] += weights[p] * row[i]
    return 0


def gated(block):
    """g a + (1 - g) b; ports a, b and g, which is clipped to 0 .. 1. data: numbers in a row."""
    head = values_at(block, B_PORTS + 8, _WORD)
    size = values_at(head[B_DATA], 1, _WORD)[0]
    ports = head[B_PORTS:]
    for r in range(head[B_COUNT]):
        a = values_at(ports[0] + r * ports[1], size, _NUMBER)
        b = values_at(ports[2] + r * ports[3], size, _NUMBER)
        gate = min(max(values_at(ports[4] + r * ports[5], 1, _NUMBER)[0], 0.0), 1.0)
        out = values_at(ports[6] + r * ports[7], size, _NUMBER)
        for i in range(size):
            out[i] = gate * a[i] + (1.0 - gate) * b[i]
    return 0


@cache
def address_of(function: Callable[[int], int]) -> int:
    """The C function of one of those above."""
    return int(cfunc("int64(int64)", cache=True)(function).address)  # type: ignore[arg-type]


@cache
def plant_function(kernel: Any) -> Any:
    """A C function for a compiled plant: kernel(state, inputs, outputs, dt), float64 arrays of one axis, ports joined.

    data: state, numbers of state, ports that it takes, and gives; addresses of room for all inputs, for all outputs,
    and how many numbers each has; then the numbers of each port.
    """

    def stepping(block):
        head = values_at(block, B_PORTS, _WORD)
        data = values_at(head[B_DATA], 8, _WORD)
        inputs, outputs, dt = data[2], data[3], head[B_PERIOD] * 1e-9
        ports = values_at(block + B_PORTS * 8, 2 * (inputs + outputs), _WORD)
        sizes = values_at(head[B_DATA] + 64, inputs + outputs, _WORD)
        state, given = values_at(data[0], data[1], _NUMBER), values_at(data[4], data[6], _NUMBER)
        gives = values_at(data[5], data[7], _NUMBER)
        for r in range(head[B_COUNT]):
            at = 0
            for p in range(inputs):
                row = values_at(ports[2 * p] + r * ports[2 * p + 1], sizes[p], _NUMBER)
                for i in range(sizes[p]):
                    given[at + i] = row[i]
                at += sizes[p]
            kernel(state, given, gives, dt)
            at = 0
            for p in range(inputs, inputs + outputs):
                row = values_at(ports[2 * p] + r * ports[2 * p + 1], sizes[p], _NUMBER)
                for i in range(sizes[p]):
                    row[i] = gives[at + i]
                at += sizes[p]
        return 0

    return cfunc("int64(int64)")(stepping)
