"""Plastic projections: the op that changes the weights of one, and the values of its rule."""

from __future__ import annotations

import math

import nir
import numpy as np

from hybrid_control.snn.backends.numba.kernels.arena import Ref
from hybrid_control.snn.backends.numba.kernels.plasticity import Stdp
from hybrid_control.snn.backends.numba.kernels.spikes import Scan
from hybrid_control.snn.backends.numba.projections import Projections, starts
from hybrid_control.snn.backends.numba.schedule import Schedule
from hybrid_control.snn.plasticity import STDP, RewardSTDP


def add_learning(projections: Projections, name: str, rule: STDP) -> Ref:
    """The op that changes a projection's weights, after everything that fires; returns where its rule's values are."""
    wiring, memory, schedule = projections.wiring, projections.memory, projections.wiring.schedule
    lists = projections.projections[name].lists if name in projections.projections else None
    if lists is None:
        raise ValueError(
            f"plasticity: {name!r} is no projection with weights; there are {sorted(projections.projections)}"
        )
    source, target = _populations(schedule, name)
    before, after, node = wiring.value(source), wiring.value(target), schedule.nodes[name]
    listed = before.listed
    if listed is None:
        listed = memory.list(f"{name}.pre", node.size_in)
        memory.op(Scan(node.size_in, before.out, listed))
    assert after.listed is not None
    by_target, synapses = np.argsort(lists.post, kind="stable"), lists.pre.size
    place = memory.parameters(np.array(_rule(rule, schedule.dt), memory.dtype))
    three = isinstance(rule, RewardSTDP)
    memory.op(
        Stdp(
            pre=node.size_in,
            post=node.size_out,
            synapses=synapses,
            rule=place,
            before=memory.state(f"{name}.before", np.zeros(node.size_in, memory.dtype)),
            after=memory.state(f"{name}.after", np.zeros(node.size_out, memory.dtype)),
            pointer=lists.pointer,
            columns=lists.columns,
            weights=projections.projections[name].weights,
            by_target=memory.parameters(starts(lists.post[by_target], node.size_out)),
            sources=memory.parameters(lists.pre[by_target].astype(np.uint32)),
            places=memory.parameters(by_target.astype(np.int64)),
            pre_listed=listed,
            post_listed=after.listed,
            eligibility=memory.state(f"{name}.eligibility", np.zeros(synapses, memory.dtype)) if three else 0,
        )
    )
    return place


def _populations(schedule: Schedule, name: str) -> tuple[str, str]:
    """The one node that a plastic projection comes from, and the population that it leads to."""
    if len(schedule.sources[name]) != 1:
        raise ValueError(
            f"plasticity of {name!r}: it must come from one population, not {schedule.sources[name]}"
        )
    target = name
    while not schedule.nodes[target].spiking:
        following = schedule.targets[target]
        if len(following) != 1 or not (target == name or isinstance(schedule.nodes[target].nir, nir.Delay)):
            raise ValueError(f"plasticity of {name!r}: it must lead to one spiking population")
        target = following[0]
    return schedule.sources[name][0], target


def _rule(rule: STDP, dt: float) -> list[float]:
    """The values of a rule, in the order of `kernels.plasticity`; it learns, and there is no reward yet."""
    numbers = [math.exp(-dt / rule.tau_plus), math.exp(-dt / rule.tau_minus), rule.a_plus, rule.a_minus]
    numbers += [rule.w_min, rule.w_max]
    numbers += [math.exp(-dt / rule.tau_e), rule.rate * dt] if isinstance(rule, RewardSTDP) else [0.0, 0.0]
    return [*numbers, 1.0, 0.0]
