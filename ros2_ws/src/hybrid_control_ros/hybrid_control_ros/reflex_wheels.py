"""Reflex and firmware bridge in one process, so that the compiled loop can write to the firmware's line itself."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_control.parameters import Value
from hybrid_control_ros.firmware_bridge import FirmwareBridgeNode
from hybrid_control_ros.node import ManagedNode
from hybrid_control_ros.reflex import ReflexNode


def build(values: Mapping[str, Mapping[str, Value]]) -> list[ManagedNode]:
    """The two nodes, joined where the bridge's parameter `direct` says so."""
    bridge = values[FirmwareBridgeNode.kind]
    if not bridge["direct"]:
        return [ReflexNode(values[ReflexNode.kind]), FirmwareBridgeNode(bridge)]
    from hybrid_control_ros.direct import DirectPath

    direct = DirectPath()
    return [ReflexNode(values[ReflexNode.kind], direct=direct), FirmwareBridgeNode(bridge, direct=direct)]
