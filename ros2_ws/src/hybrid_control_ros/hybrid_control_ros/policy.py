"""What each node of ours that runs publishes, hears, serves and asks for: `hybrid-control policy`."""

from __future__ import annotations

import time

import rclpy

from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.bringup.policy import Profile
from hybrid_control_ros.parameters import find_nodes

_SETTLE = 2.0  # s in which what nodes have is heard of


def profiles(namespace: str | None = None) -> list[Profile]:
    """A profile of every node of ours in the graph. namespace: only nodes in it; None for any. ValueError for none."""
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node("hybrid_control_policy", context=context, enable_rosout=False)
        try:
            found = find_nodes(node, namespace, [*NODES, "bringup_manager"])
            time.sleep(_SETTLE)
            looks = (
                node.get_publisher_names_and_types_by_node,
                node.get_subscriber_names_and_types_by_node,
                node.get_service_names_and_types_by_node,
                node.get_client_names_and_types_by_node,
            )
            result = []
            for name, full in found.items():
                space = full.rsplit("/", 1)[0] or "/"
                result.append(Profile(name, space, *(tuple(n for n, _ in look(name, space)) for look in looks)))
            return result
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()
