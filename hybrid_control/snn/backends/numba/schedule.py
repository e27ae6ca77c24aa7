"""Puts the nodes of a graph in an order of evaluation, and says which edges deliver a tick late."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import nir
import numpy as np

from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.nir.graph import Edge, FlatGraph, Node
from hybrid_control.snn.nir.sparse import SparseLinear
from hybrid_control.snn.options import Options

Action = Literal["take", "push", "add", "put"]

MAX_DELAY_LINE = 1 << 28  # values that one delay may have to keep
MAPS = (nir.Linear, nir.Affine, nir.Scale, nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d, SparseLinear)


def delays(node: Node) -> bool:
    """Whether a node has a delay of its own."""
    return isinstance(node.nir, nir.Delay) or (
        isinstance(node.nir, SparseLinear) and node.nir.delay is not None
    )


class Schedule:
    """The nodes in their order of evaluation, and who leads to whom.

    starters: delays of at least a tick, whose output is known when the tick begins. late: the edges that deliver
    one tick late; with a `recurrent_delay` of more, a delay stands in each of them instead: `lengthened`, and whom
    each delays.
    """

    def __init__(self, flat: FlatGraph, options: Options) -> None:
        self.dt = options.dt
        self.nodes, self.edges = dict(flat.nodes), list(flat.edges)
        self.lengthened: dict[str, str] = {}
        self._order()
        if options.recurrent_delay > 1 and self.late:
            self._lengthen(options.recurrent_delay)
            self._order()
        self.sources: dict[str, list[str]] = {name: [] for name in self.nodes}
        self.targets: dict[str, list[str]] = {name: [] for name in self.nodes}
        for a, b in self.edges:
            self.sources[b].append(a)
            self.targets[a].append(b)

    def _order(self) -> None:
        self.starters = frozenset(
            name for name, node in self.nodes.items() if delays(node) and self.steps(name).min(initial=1) >= 1
        )
        self.order, self.late = schedule(self.nodes, self.edges, self.starters)

    def _lengthen(self, ticks: int) -> None:
        """Put a delay of so many ticks into every edge that would be late."""
        for a, b in sorted(self.late):
            name, shape = f"{a}->{b}", self.nodes[a].shape_out
            self.nodes[name] = Node(name, nir.Delay(np.full(shape, ticks * self.dt)), shape, shape)
            self.edges.remove((a, b))
            self.edges += [(a, name), (name, b)]
            self.lengthened[name] = a

    @property
    def recurrent(self) -> set[str]:
        """The sources of the edges that close a cycle."""
        return {a for a, _ in self.late} | set(self.lengthened.values())

    def actions(self) -> Iterator[tuple[Action, str]]:
        """What is done in a tick, in this order, and with which node.

        take: what arrives from a delay. put: what a delay takes. add: any other node's own work. push: what a node
        gives goes to the targets that gather from several.
        """
        delayed = [name for name in self.order if name in self.starters]
        yield from (("take", name) for name in delayed)
        yield from (("push", name) for name in delayed)
        for name in self.order:
            if name in self.starters:
                continue
            if delays(self.nodes[name]):
                yield "put", name
                yield "take", name
            elif not isinstance(self.nodes[name].nir, nir.Input):
                yield "add", name
            yield "push", name
        yield from (("put", name) for name in delayed)

    def steps(self, name: str) -> np.ndarray:
        """Delays in whole ticks: of each neuron for a Delay, of each synapse for a SparseLinear."""
        node = self.nodes[name]
        assert isinstance(node.nir, (nir.Delay, SparseLinear))
        seconds = np.asarray(node.nir.delay, dtype=np.float64)
        steps = np.minimum(np.round(seconds / self.dt), MAX_DELAY_LINE).astype(np.int64)
        return steps if isinstance(node.nir, SparseLinear) else node.spread(steps)

    def fused(self, name: str) -> bool:
        """Whether a map adds straight to what its only target takes."""
        targets = self.targets[name]
        return isinstance(self.nodes[name].nir, MAPS) and len(targets) == 1 and not self.passes(targets[0])

    def passes(self, name: str) -> bool:
        """Whether a node gives what it takes."""
        return self.nodes[name].nir is None or isinstance(self.nodes[name].nir, (nir.Output, nir.Flatten))

    def pulls(self, name: str) -> bool:
        """Whether a node reads the one node before it in place."""
        sources = self.sources[name]
        return len(sources) == 1 and not self.fused(sources[0])

    def sparse(self, name: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether most of what a node gives is zero: spikes, inputs, and what keeps zero zero."""
        node = self.nodes[name]
        if node.spiking or isinstance(node.nir, (nir.Input, nir.Threshold)) or name in seen:
            return True
        if self.passes(name) or isinstance(node.nir, (nir.Delay, nir.Scale, nir.SumPool2d, nir.AvgPool2d)):
            return all(self.sparse(source, seen | {name}) for source in self.sources[name])
        return False


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
        return distance[name], model_of(nodes[name].nir) is None, name

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
