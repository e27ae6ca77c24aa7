"""Populations: any neuron type's step, over all its neurons."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

from collections import namedtuple
from typing import Any

from hybrid_control.snn.backends.numba.kernels.arena import (
    KERNELS,
    U8,
    gather,
    part,
    scatter,
    values_at,
)
from hybrid_control.snn.backends.numba.kernels.spikes import emit, silence
from hybrid_control.snn.neurons import NeuronModel

Population = namedtuple(
    "Population",
    "size x clear coefficients pitch uniform setting states states_pitch fired listed out counter",
)


def add_population_kernel(model: NeuronModel) -> None:
    """Make the neuron type's step a kernel, where it is not one yet."""
    if model.step not in KERNELS:
        KERNELS[model.step] = Population, _kernel(model)


def _kernel(model: NeuronModel) -> Any:
    """Every neuron's step on its input and its state, with coefficients of its own or, where `uniform`, of all.

    pitch: bytes from one row of coefficients to the next. states_pitch: from one variable to the next.
    listed: 0 where they do not spike.
    """
    step = part(model.step)
    rows, variables = len(model.rows), len(model.variables)

    @part
    def population(base, q, tick, like):
        n, states, pitch = q.size, base + q.states, q.states_pitch
        x = values_at(base + q.x, n, like)
        fired, some = values_at(base + q.fired, n, U8), False
        coefficients = base + q.coefficients
        if q.uniform:
            c = gather(coefficients, q.pitch, rows, 0, like)
            for i in range(n):
                spike, state = step(x[i], gather(states, pitch, variables, i, like), c, q.setting)
                fired[i] = spike
                some |= spike
                scatter(states, pitch, i, state, like)
        else:
            for i in range(n):
                c = gather(coefficients, q.pitch, rows, i, like)
                spike, state = step(x[i], gather(states, pitch, variables, i, like), c, q.setting)
                fired[i] = spike
                some |= spike
                scatter(states, pitch, i, state, like)
        if q.clear:
            x[:] = 0
        if q.listed:
            silence(base, n, q.out, q.listed, like)
            if some:
                emit(base, n, q.fired, q.out, q.listed, q.counter, like)

    return population
