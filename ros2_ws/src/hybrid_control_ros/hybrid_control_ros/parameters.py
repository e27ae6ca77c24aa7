"""Reads the parameters of nodes that run, over their parameter services: `hybrid-control params save`."""

from __future__ import annotations

import time
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME

_LISTEN = 3.5  # seconds in which every participant has been heard: one that was missed speaks again after 3
_ATTEMPTS = 3  # an answer is lost where the other side has not yet heard of this client


def running(
    namespace: str | None = None, only: str | None = None, patience: float = 2 * _LISTEN
) -> dict[str, dict[str, Any]]:
    """The values of every parameter of each node of ours that runs, by the node's name without its namespace.

    namespace: only nodes in it; None for any. only: this one alone. patience: seconds to wait for the first one.
    ValueError where there is none, two of a name, or one that does not answer.
    """
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node("hybrid_control_params", context=context, enable_rosout=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            found = find_nodes(node, namespace, [only] if only else list(NODES), patience)
            return {name: _ask(node, executor, name, full) for name, full in found.items()}
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        context.try_shutdown()


def find_nodes(
    node: Node, namespace: str | None, wanted: list[str], patience: float = 2 * _LISTEN
) -> dict[str, str]:
    """Names of the nodes of ours in the graph: with namespace, by that without."""
    begun = time.monotonic()
    seen: set[tuple[str, str]] = set()
    while time.monotonic() < begun + (min(patience, _LISTEN) if seen else patience):
        time.sleep(0.05)
        seen |= {
            (name, space)
            for name, space in node.get_node_names_and_namespaces()
            if name in wanted and namespace in (None, space)
        }
        if namespace is not None and {name for name, _ in seen} == set(wanted):
            break
    if not seen:
        which = "no node of hybrid_control" if len(wanted) > 1 else f"no {wanted[0]}"
        where = "" if namespace is None else f" in namespace {namespace}"
        raise ValueError(
            f"{which} runs{where} in ROS domain {node.context.get_domain_id()}; "
            "nodes are found where ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE are as theirs"
        )
    found: dict[str, str] = {}
    for name, space in sorted(seen, key=lambda pair: (wanted.index(pair[0]), pair[1])):
        full = f"{space.rstrip('/')}/{name}"
        if name in found:
            raise ValueError(f"both {found[name]} and {full} run; say which with --namespace")
        found[name] = full
    return found


def _ask(node: Node, executor: SingleThreadedExecutor, name: str, full: str) -> dict[str, Any]:
    names = [p.name for p in (USE_SIM_TIME, *NODES[name])]
    client = node.create_client(GetParameters, f"{full}/get_parameters")
    try:
        for _ in range(_ATTEMPTS):
            if not client.wait_for_service(timeout_sec=1.0):
                continue
            time.sleep(0.1)
            future = client.call_async(GetParameters.Request(names=names))
            executor.spin_until_future_complete(future, timeout_sec=1.0)
            if future.done():
                values = [parameter_value_to_python(value) for value in future.result().values]
                if len(values) != len(names):
                    raise ValueError(
                        f"{full} lacks parameters that this version has: it is of another version"
                    )
                return dict(zip(names, values, strict=True))
    finally:
        node.destroy_client(client)
    raise ValueError(f"{full} does not answer; end it, or wait until it has gone from the graph")
