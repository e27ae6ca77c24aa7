"""The programs that setup.py installs: which nodes each has in its process, and where these come from."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hybrid_control.parameters import Value
    from hybrid_control_ros.node import ManagedNode


class Program(NamedTuple):
    """nodes: names in `node_parameters`. module, name: of the node's class, or of a function that makes and joins
    several nodes from the parameters of each."""

    nodes: tuple[str, ...]
    module: str
    name: str

    def load(self) -> Any:
        """The class or function. Takes long: it imports what the nodes stand on."""
        return getattr(importlib.import_module(f"hybrid_control_ros.{self.module}"), self.name)

    def build(self, values: Mapping[str, Mapping[str, Value]]) -> list[ManagedNode]:
        """The nodes. values: the parameters of each, by its name in `nodes`."""
        nodes = self.load()(values if len(self.nodes) > 1 else values[self.nodes[0]])
        return nodes if len(self.nodes) > 1 else [nodes]


PROGRAMS = {
    "sim_node": Program(("sim_node",), "simulator", "SimNode"),
    "planner_node": Program(("planner_node",), "planner", "PlannerNode"),
    "rate_to_spike_node": Program(("rate_to_spike_node",), "encoder", "RateToSpikeNode"),
    "learner_node": Program(("learner_node",), "learner", "LearnerNode"),
    "reflex_node": Program(("reflex_node",), "reflex", "ReflexNode"),
    "firmware_bridge_node": Program(("firmware_bridge_node",), "firmware_bridge", "FirmwareBridgeNode"),
    "mavlink_bridge_node": Program(("mavlink_bridge_node",), "mavlink_bridge", "MavlinkBridgeNode"),
    "board_bridge_node": Program(("board_bridge_node",), "board_bridge", "BoardBridgeNode"),
    "replay_node": Program(("replay_node",), "replay", "ReplayNode"),
    "frames_node": Program(("frames_node",), "frames", "FramesNode"),
    "composed_node": Program(("planner_node", "rate_to_spike_node", "reflex_node"), "composed", "build"),
    "reflex_wheels_node": Program(("reflex_node", "firmware_bridge_node"), "reflex_wheels", "build"),
    "reflex_board_node": Program(("reflex_node", "board_bridge_node"), "reflex_board", "build"),
}
