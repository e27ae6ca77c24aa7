"""Planner, encoder and reflex in one process, with hand-over in memory; the same topics, parameters and transitions."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_control.parameters import Value
from hybrid_control.signals import SpikeTrain, StateVector
from hybrid_control_ros.encoder import RateToSpikeNode
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.planner import PlannerNode
from hybrid_control_ros.reflex import ReflexNode


def build(values: Mapping[str, Mapping[str, Value]]) -> list[ManagedNode]:
    """The three nodes, wired; the reflex comes first so that it is ready when the others begin."""
    reflex = ReflexNode(values[ReflexNode.kind], listens=False)

    def put_spikes(train: SpikeTrain) -> None:
        try:
            reflex.put_spikes(train)
        except ValueError as error:
            reflex.refuse("planner/spikes", error)

    def put_states(states: StateVector) -> None:
        try:
            reflex.put_states(states)
        except ValueError as error:
            reflex.refuse("planner/state", error)

    encoder = RateToSpikeNode(values[RateToSpikeNode.kind], put_spikes, listens=False)
    takes_states = reflex.value("planner_states")
    planner = PlannerNode(values[PlannerNode.kind], encoder.put_rates, put_states if takes_states else None)
    return [reflex, encoder, planner]
