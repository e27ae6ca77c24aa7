"""Puts the nodes of a graph in an order of evaluation, and says which edges deliver a tick late."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

import nir

from hybrid_control.snn.neurons import NEURON_PARAMETERS
from hybrid_control.snn.nir.files import Edge, Node


def schedule(
    nodes: Mapping[str, Node], edges: Sequence[Edge], starters: frozenset[str]
) -> tuple[list[str], frozenset[Edge]]:
    """The order of evaluation within a tick, and the edges that deliver one tick late.

    A cycle is entered at its node nearest to an Input (by number of edges, then neurons first, then by name),
    and the edges that lead back to that node are late; so on inside what remains. Edges into `starters`
    (delays of at least a tick) bind nothing: their output is known when the tick begins.
    """
    binding = [e for e in edges if e[1] not in starters]
    distance = _distances(nodes, edges)

    def rank(name: str) -> tuple[float, bool, str]:
        return distance[name], type(nodes[name].nir) not in NEURON_PARAMETERS, name

    late: set[Edge] = set()
    stack = [list(nodes)]
    while stack:
        group = stack.pop()
        for component in _components(group, [e for e in binding if e not in late]):
            inside = [e for e in binding if e not in late and e[0] in component and e[1] in component]
            if inside:
                entry = min(component, key=rank)
                late |= {e for e in inside if e[1] == entry}
                stack.append(sorted(component))
    for edge in sorted(late):  # keep only those without which there is a cycle
        rest = [e for e in binding if e not in late]
        if not _reaches(edge[1], edge[0], rest):
            late.discard(edge)
    after: dict[str, list[str]] = {name: [] for name in nodes}
    open_inputs = dict.fromkeys(nodes, 0)
    for a, b in binding:
        if (a, b) not in late:
            after[a].append(b)
            open_inputs[b] += 1
    ready = [rank(name) for name in nodes if not open_inputs[name]]
    heapq.heapify(ready)
    order = []
    while ready:
        name = heapq.heappop(ready)[2]
        order.append(name)
        for b in after[name]:
            open_inputs[b] -= 1
            if not open_inputs[b]:
                heapq.heappush(ready, rank(b))
    return order, frozenset(late)


def _distances(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> dict[str, float]:
    distance = dict.fromkeys(nodes, math.inf)
    wave = [name for name, node in nodes.items() if isinstance(node.nir, nir.Input)]
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        after[a].append(b)
    steps = 0
    while wave:
        for name in wave:
            distance[name] = steps
        steps += 1
        wave = sorted({b for a in wave for b in after[a] if distance[b] == math.inf})
    return distance


def _reaches(start: str, goal: str, edges: Sequence[Edge]) -> bool:
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    seen, stack = {start}, [start]
    while stack:
        name = stack.pop()
        if name == goal:
            return True
        fresh = [b for b in after.get(name, []) if b not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return False


def _components(group: Sequence[str], edges: Sequence[Edge]) -> list[set[str]]:
    """Strongly connected components of the part of the graph that `group` spans (Kosaraju's algorithm)."""
    members = set(group)
    forward: dict[str, list[str]] = {name: [] for name in group}
    backward: dict[str, list[str]] = {name: [] for name in group}
    for a, b in edges:
        if a in members and b in members:
            forward[a].append(b)
            backward[b].append(a)
    finished: list[str] = []
    seen: set[str] = set()
    for root in group:
        stack = [(root, iter(forward[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            name, rest = stack[-1]
            following = next((b for b in rest if b not in seen), None)
            if following is None:
                finished.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(forward[following])))
    components = []
    taken: set[str] = set()
    for root in reversed(finished):
        if root in taken:
            continue
        component, pending = {root}, [root]
        taken.add(root)
        while pending:
            fresh = [a for a in backward[pending.pop()] if a not in taken]
            taken.update(fresh)
            component.update(fresh)
            pending.extend(fresh)
        components.append(component)
    return components
