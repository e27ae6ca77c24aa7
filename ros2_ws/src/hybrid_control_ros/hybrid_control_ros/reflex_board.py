"""Reflex and board bridge in one process, so that spikes go from mailbox to wire with no message between."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_control.parameters import Value
from hybrid_control_ros.board_bridge import BoardBridgeNode
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.reflex import ReflexNode


def build(values: Mapping[str, Mapping[str, Value]]) -> list[ManagedNode]:
    """The two nodes, or the reflex alone where its backend is numba."""
    reflex = ReflexNode(values[ReflexNode.kind], board_topics=False)
    if values[ReflexNode.kind]["backend"] == "numba":
        return [reflex]
    return [reflex, BoardBridgeNode(values[BoardBridgeNode.kind], reflex=reflex)]
