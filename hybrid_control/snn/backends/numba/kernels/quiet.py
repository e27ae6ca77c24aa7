"""Ticks in which nothing arrives and nothing fires, many at a time: the populations' updates alone, to the same bits.

For networks of NIR's own spiking neurons in which silence stays silence (`engine.Engine.quiet_ops`).
"""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated, no-any-return"

from __future__ import annotations

from numba import njit

from hybrid_control.snn.backends.numba.kernels.arena import (
    H_TICK,
    HEADER_WORDS,
    I64,
    OP_WORDS,
    U64,
    values_at,
)
from hybrid_control.snn.backends.numba.kernels.neurons import Population
from hybrid_control.snn.neurons.linear import K_LEAK, K_NEW, K_THRESHOLD, K_V, MEMBRANE, SYNAPSE

_FIELDS = {name: 1 + i for i, name in enumerate(Population._fields)}
_SIZE, _COEFFICIENTS, _PITCH = _FIELDS["size"], _FIELDS["coefficients"], _FIELDS["pitch"]
_UNIFORM, _STATES, _STATES_PITCH = _FIELDS["uniform"], _FIELDS["states"], _FIELDS["states_pitch"]
_FIRED = _FIELDS["fired"]
_OLD, _DECAY, _GAIN = (len(MEMBRANE) + SYNAPSE.index(row) for row in ("old", "decay", "gain"))


@njit(cache=True, nogil=True)
def _bytes_of(like):
    """Of a value."""
    return values_at(0, 1, like).itemsize


@njit(cache=True, nogil=True)
def silent(arena, ops):
    """Whether nothing fired in the tick before."""
    for k in range(0, ops.size, 2):
        op = values_at(arena + ops[k], OP_WORDS, I64)
        fired = values_at(arena + op[_FIRED], (op[_SIZE] + 7) // 8, U64)  # eight flags each, 0 after the last neuron
        for i in range(fired.size):
            if fired[i] != 0:
                return False
    return True


@njit(cache=True, nogil=True)
def _membrane(v, c, pitch, uniform):
    """v' = keep v + leak, as the type's step has it for no input; whether one is above its threshold."""
    like, zero = v[0], v.dtype.type(0)
    n, above = v.size, 0
    size = 1 if uniform else n
    keep, leak = values_at(c + K_V * pitch, size, like), values_at(c + K_LEAK * pitch, size, like)
    new, threshold = values_at(c + K_NEW * pitch, size, like), values_at(c + K_THRESHOLD * pitch, size, like)
    if uniform:
        a, b, limit = keep[0], leak[0] + new[0] * zero, threshold[0]
        for i in range(n):
            v[i] = a * v[i] + b
            above += v[i] > limit
    else:
        for i in range(n):
            v[i] = keep[i] * v[i] + (leak[i] + new[i] * zero)
            above += v[i] > threshold[i]
    return above > 0


@njit(cache=True, nogil=True)
def _synapse(v, current, c, pitch, uniform):
    """The same with I' = decay I, v' = keep v + (leak + (old I + new I'))."""
    like, zero = v[0], v.dtype.type(0)
    n, above, step = v.size, 0, 0 if uniform else 1
    size = 1 if uniform else n
    keep, leak = values_at(c + K_V * pitch, size, like), values_at(c + K_LEAK * pitch, size, like)
    new, threshold = values_at(c + K_NEW * pitch, size, like), values_at(c + K_THRESHOLD * pitch, size, like)
    old, decay = values_at(c + _OLD * pitch, size, like), values_at(c + _DECAY * pitch, size, like)
    gain = values_at(c + _GAIN * pitch, size, like)
    for i in range(n):
        j = i * step
        now = decay[j] * current[i] + gain[j] * zero
        v[i] = keep[j] * v[i] + (leak[j] + (old[j] * current[i] + new[j] * now))
        current[i] = now
        above += v[i] > threshold[j]
    return above > 0


@njit(cache=True, nogil=True)
def pass_quietly(arena, ops, most, scratch, like):
    """Up to `most` ticks without input, up to the one in which something fires, which is left to be done.

    ops: of each population the place of its op, and how many variables it has; scratch: address of as many values as
    all of them have. Nothing may have fired in the tick before. Returns how many ticks passed.
    """
    head = values_at(arena, HEADER_WORDS, I64)
    tick = values_at(arena + head[H_TICK], 1, I64)
    item = _bytes_of(like)
    for done in range(most):
        fires, kept = False, scratch
        for k in range(0, ops.size, 2):
            op = values_at(arena + ops[k], OP_WORDS, I64)
            n = op[_SIZE]
            v = values_at(arena + op[_STATES], n, like)
            before = values_at(kept, n, like)
            for i in range(n):
                before[i] = v[i]
            kept += n * item
            if ops[k + 1] == 1:
                fires |= _membrane(v, arena + op[_COEFFICIENTS], op[_PITCH], op[_UNIFORM] != 0)
            else:
                current = values_at(arena + op[_STATES] + op[_STATES_PITCH], n, like)
                before = values_at(kept, n, like)
                for i in range(n):
                    before[i] = current[i]
                kept += n * item
                fires |= _synapse(v, current, arena + op[_COEFFICIENTS], op[_PITCH], op[_UNIFORM] != 0)
        if fires:
            _restore(arena, ops, scratch, like)
            return done
        tick[0] += 1
    return most


@njit(cache=True, nogil=True)
def _restore(arena, ops, scratch, like):
    kept = scratch
    for k in range(0, ops.size, 2):
        op = values_at(arena + ops[k], OP_WORDS, I64)
        for variable in range(ops[k + 1]):
            now = values_at(arena + op[_STATES] + variable * op[_STATES_PITCH], op[_SIZE], like)
            now[:] = values_at(kept, op[_SIZE], like)
            kept += op[_SIZE] * _bytes_of(like)

