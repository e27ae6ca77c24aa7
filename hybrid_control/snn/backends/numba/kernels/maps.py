"""Maps without weights of single synapses: elementwise ones, delays, convolution and pooling."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from collections import namedtuple

import numpy as np

from hybrid_control.snn.backends.numba.kernels.arena import I32, I64, kernel, values_at

Add = namedtuple("Add", "size x out zero clear")


@kernel(Add)
def _add(base, q, tick, like):
    """out += x."""
    x, dst = values_at(base + q.x, q.size, like), values_at(base + q.out, q.size, like)
    if q.zero:
        dst[:] = 0
    for i in range(q.size):
        dst[i] += x[i]
    if q.clear:
        x[:] = 0


Constant = namedtuple("Constant", "size values out")


@kernel(Constant)
def _constant(base, q, tick, like):
    """out += values."""
    values, dst = values_at(base + q.values, q.size, like), values_at(base + q.out, q.size, like)
    for i in range(q.size):
        dst[i] += values[i]


Scale = namedtuple("Scale", "size x factors gain out zero clear")


@kernel(Scale)
def _scale(base, q, tick, like):
    """out += (gain * factors) * x."""
    x, dst = values_at(base + q.x, q.size, like), values_at(base + q.out, q.size, like)
    factors, gain = values_at(base + q.factors, q.size, like), values_at(base + q.gain, 1, like)[0]
    if q.zero:
        dst[:] = 0
    for i in range(q.size):
        dst[i] += (gain * factors[i]) * x[i]
    if q.clear:
        x[:] = 0


Threshold = namedtuple("Threshold", "size x levels out clear counter")


@kernel(Threshold)
def _threshold(base, q, tick, like):
    """out = 1 where x > levels, else 0; the ones are counted."""
    x, dst = values_at(base + q.x, q.size, like), values_at(base + q.out, q.size, like)
    levels = values_at(base + q.levels, q.size, like)
    m = 0
    for i in range(q.size):
        above = x[i] > levels[i]
        dst[i] = above
        m += above
    values_at(base + q.counter, 1, I64)[0] += m
    if q.clear:
        x[:] = 0


DelayRead = namedtuple("DelayRead", "size ring length steps out")


@kernel(DelayRead)
def _delay_read(base, q, tick, like):
    """out[i] = ring[(tick - steps[i]) mod length][i]."""
    n = q.size
    ring, steps = values_at(base + q.ring, n * q.length, like), values_at(base + q.steps, n, I64)
    dst = values_at(base + q.out, n, like)
    for i in range(n):
        dst[i] = ring[((tick - steps[i]) % q.length) * n + i]


DelayWrite = namedtuple("DelayWrite", "size ring length x clear")


@kernel(DelayWrite)
def _delay_write(base, q, tick, like):
    """ring[tick mod length] = x."""
    n = q.size
    ring, x = values_at(base + q.ring, n * q.length, like), values_at(base + q.x, n, like)
    first = (tick % q.length) * n
    for i in range(n):
        ring[first + i] = x[i]
    if q.clear:
        x[:] = 0


Convolve = namedtuple(
    "Convolve",
    "x listed weights out zero clear gain fan events channels rows columns out_channels out_rows "
    "out_columns kernel_rows kernel_columns down right top left spread_rows spread_columns groups",
)


@kernel(Convolve)
def _convolve(base, q, tick, like):
    """Convolution (correlation, as in torch): from the list of active inputs, or over all of them.

    listed: the active ones; 0: all are taken. fan: to how many outputs each input leads. down: stride. top:
    padding. spread_rows: dilation.
    """
    channels, rows, columns = q.channels, q.rows, q.columns
    out_channels, out_rows, out_columns = q.out_channels, q.out_rows, q.out_columns
    kernel_rows, kernel_columns, down, right = q.kernel_rows, q.kernel_columns, q.down, q.right
    top, left, spread_rows, spread_columns = q.top, q.left, q.spread_rows, q.spread_columns
    n = channels * rows * columns
    x = values_at(base + q.x, n, like)
    dst = values_at(base + q.out, out_channels * out_rows * out_columns, like)
    per_group = channels // q.groups
    out_per_group = out_channels // q.groups
    w = values_at(base + q.weights, out_channels * per_group * kernel_rows * kernel_columns, like)
    gain = values_at(base + q.gain, 1, like)[0]
    fan = values_at(base + q.fan, n, I32)
    plane, window = out_rows * out_columns, kernel_rows * kernel_columns
    events = 0
    if q.zero:
        dst[:] = 0
    if q.listed == 0:
        for o in range(out_channels):
            group = o // out_per_group
            for c in range(per_group):
                for a in range(kernel_rows):
                    for b in range(kernel_columns):
                        weight = w[(o * per_group + c) * window + a * kernel_columns + b]
                        for y in range(out_rows):
                            row = y * down - top + a * spread_rows
                            if row < 0 or row >= rows:
                                continue
                            source = ((group * per_group + c) * rows + row) * columns
                            target = o * plane + y * out_columns
                            shift = b * spread_columns - left
                            # the first and last output column whose input lies inside
                            lo = max(0, -(shift // right))
                            hi = min(out_columns, (columns - 1 - shift) // right + 1)
                            for z in range(lo, hi):
                                dst[target + z] += (gain * x[source + z * right + shift]) * weight
        for i in range(n):
            if x[i] != 0:
                events += fan[i]
    else:
        count = values_at(base + q.listed, 1, I64)[0]
        active = values_at(base + q.listed + 8, n, I32)
        for k in range(count):
            i = np.int64(active[k])
            value = gain * x[i]
            events += fan[i]
            channel = i // (rows * columns)
            row, column = (i // columns) % rows, i % columns
            group, c = channel // per_group, channel % per_group
            first, last = group * out_per_group, (group + 1) * out_per_group
            for a in range(kernel_rows):
                y = row + top - a * spread_rows
                if y < 0 or y % down != 0 or y // down >= out_rows:
                    continue
                for b in range(kernel_columns):
                    z = column + left - b * spread_columns
                    if z < 0 or z % right != 0 or z // right >= out_columns:
                        continue
                    target = (y // down) * out_columns + z // right
                    tap = c * window + a * kernel_columns + b
                    for o in range(first, last):
                        dst[o * plane + target] += value * w[o * per_group * window + tap]
    values_at(base + q.events, 1, I64)[0] += events
    if q.clear:
        x[:] = 0


Pool = namedtuple(
    "Pool",
    "x factor out zero clear channels rows columns out_rows out_columns kernel_rows kernel_columns "
    "down right top left",
)


@kernel(Pool)
def _pool(base, q, tick, like):
    """Sum over windows times a factor: 1, or one over the window's size with the padding counted in."""
    channels, rows, columns = q.channels, q.rows, q.columns
    out_rows, out_columns = q.out_rows, q.out_columns
    kernel_rows, kernel_columns = q.kernel_rows, q.kernel_columns
    down, right, top, left = q.down, q.right, q.top, q.left
    x = values_at(base + q.x, channels * rows * columns, like)
    dst = values_at(base + q.out, channels * out_rows * out_columns, like)
    factor = values_at(base + q.factor, 1, like)[0]
    if q.zero:
        dst[:] = 0
    for c in range(channels):
        for y in range(out_rows):
            for z in range(out_columns):
                total = x.dtype.type(0)
                for row in range(max(0, y * down - top), min(rows, y * down - top + kernel_rows)):
                    for column in range(
                        max(0, z * right - left), min(columns, z * right - left + kernel_columns)
                    ):
                        total += x[(c * rows + row) * columns + column]
                dst[(c * out_rows + y) * out_columns + z] += factor * total
    if q.clear:
        x[:] = 0
