"""What of a network is trained: weights, time constants, thresholds, initial states, each free or frozen."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import nir
import numpy as np
import torch
from nir.ir.node import NIRNode
from numpy.typing import NDArray
from torch import Tensor, nn

from hybrid_control.snn.neurons import model_of
from hybrid_control.snn.neurons.model import parameters_of
from hybrid_control.snn.nir.checks import is_time_constant
from hybrid_control.snn.nir.graph import FlatGraph, Node
from hybrid_control.snn.options import Options

Array = NDArray[Any]
Key = tuple[str, str]
"""A node, and the name of its parameter; or of its variable, for an initial state."""

GROUPS = ("weights", "tau", "threshold", "initial")
INITIAL = "initial_state"
"""Where a graph's metadata keeps trained initial states: by node and variable, "ring.voltage"."""
STARTING = ("voltage", "current", "recovery")  # variables whose initial values can be trained
LEAST = 0.01  # of the distance from reset to threshold at the start, below which it is not trained


def _group(node: Node, key: str) -> str | None:
    """The group that a parameter belongs to; None where it is never trained."""
    if model_of(node.nir) is not None:
        if is_time_constant(key):
            return "tau"
        return "threshold" if key == "v_threshold" else None
    return {"weight": "weights", "bias": "weights", "scale": "weights", "threshold": "threshold"}.get(key)


def _tied(values: Array) -> Array:
    """A population's numbers (channels, *space) as one for each channel, (channels, 1, ...), where they are that."""
    first = values[(slice(None), *[slice(1)] * (values.ndim - 1))] if values.ndim > 1 else values
    return first if values.ndim > 1 and bool((values == first).all()) else values


class Parameters(nn.Module):
    """The numbers of a flat graph, those that are free as torch parameters.

    free: names of `GROUPS`. frozen: nodes of which nothing is trained. Weights that are 0 in a matrix are no synapses
    and stay so; a number of neurons that is the same throughout a channel, or given once for all, stays one. Time
    constants are trained as their logarithm and stay positive, under forward Euler not below a tick; a threshold stays
    above its reset. They stay on the CPU, where they are small and exact; `to` says on which device they are used.
    """

    def __init__(
        self, graph: FlatGraph, options: Options, free: Collection[str], frozen: Collection[str] = ()
    ) -> None:
        super().__init__()
        for names, known in ((free, GROUPS), (frozen, tuple(graph.nodes))):
            unknown = sorted(set(names) - set(known))
            if unknown:
                raise ValueError(f"{unknown[0]!r} must be one of {sorted(known)}")
        self.graph, self.options = graph, options
        self.dtype = torch.float32 if np.dtype(options.dtype) == np.float32 else torch.float64
        self.device = torch.device("cpu")
        self.leaves: dict[Key, nn.Parameter] = {}
        self._given: dict[Key, Array] = {}
        self._masks: dict[Key, Tensor] = {}
        for name, node in sorted(graph.nodes.items()):
            self._add_node(node, () if name in frozen else free)
        self._list = nn.ParameterList(self.leaves.values())  # so that torch knows of them

    def _add_node(self, node: Node, free: Collection[str]) -> None:
        model, name = model_of(node.nir), node.name
        if node.nir is None:
            return
        if model is not None:
            values = parameters_of(node.nir, model)
            start = model.start(values, self.options)
            for variable in model.variables:
                first = node.spread(np.asarray(start.get(variable, 0.0), dtype=np.float64))
                self._given[name, variable] = first
                if "initial" in free and variable in STARTING:
                    self._free((name, variable), torch.from_numpy(first).to(self.dtype))
        else:
            known = ("weight", "bias", "scale", "threshold")
            values = {key: np.asarray(getattr(node.nir, key)) for key in known if hasattr(node.nir, key)}
        for key, value in values.items():
            self._given[name, key] = value
            group = _group(node, key)
            if group is None or group not in free:
                continue
            if group == "tau":
                self._free((name, key), torch.zeros(_tied(value).shape, dtype=torch.float64))
            elif model is not None:
                self._free((name, key), torch.from_numpy(_tied(value).copy()))
            else:
                self._free((name, key), torch.from_numpy(np.array(value)).to(self.dtype))
                if key == "weight" and isinstance(node.nir, (nir.Linear, nir.Affine)) and not value.all():
                    self._masks[name, key] = torch.from_numpy(value != 0)

    def _free(self, key: Key, value: Tensor) -> None:
        self.leaves[key] = nn.Parameter(value)

    def _apply(self, fn: Any, recurse: bool = True) -> Parameters:
        """What `to`, `cuda` and their like call."""
        self.device = fn(torch.empty(0, dtype=self.dtype)).device
        return self

    # what they are now

    def brought(self, values: Tensor) -> Tensor:
        """Values in the network's type, to where they are used."""
        return values.to(self.device, self.dtype)

    def tracked(self, name: str) -> dict[str, Tensor]:
        """The free parameters of a population in float64, with their gradients."""
        mine = [place for place in self.leaves if place[0] == name and place[1] not in STARTING]
        return {place[1]: self._value(place) for place in mine}

    def _value(self, key: Key) -> Tensor:
        leaf: Tensor = self.leaves[key]
        if is_time_constant(key[1]):
            return torch.from_numpy(np.asarray(self._given[key], dtype=np.float64)) * torch.exp(leaf)
        return leaf.expand(self._given[key].shape)

    def exact(self, name: str, key: str) -> Array:
        """A parameter's values as the graph would hold them."""
        place = name, key
        if place not in self.leaves:
            return self._given[place]
        leaf = self.leaves[place].detach().numpy()
        if is_time_constant(key):
            return np.asarray(self._given[place] * np.exp(leaf), dtype=np.float64)
        if place in self._masks:
            return np.where(self._masks[place], leaf, 0)
        return np.array(np.broadcast_to(leaf, self._given[place].shape))

    def values(self, name: str, key: str) -> Tensor:
        """A map's weights, or a variable's initial values, in the network's type."""
        place = name, key
        if place in self.leaves:
            leaf: Tensor = self.leaves[place]
            return self.brought(torch.where(self._masks[place], leaf, 0.0) if place in self._masks else leaf)
        return self.brought(torch.from_numpy(np.array(self._given[place])))

    def has(self, name: str, key: str) -> bool:
        """Whether a node has such a parameter."""
        return (name, key) in self._given

    # while they are trained

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring what an optimiser's step left outside back to where it may be."""
        for (name, key), leaf in self.leaves.items():
            given = np.asarray(self._given[name, key], dtype=np.float64)
            given = _tied(given) if leaf.shape != given.shape else given
            if is_time_constant(key) and self.options.scheme == "euler":
                leaf.clamp_(min=torch.from_numpy(np.minimum(0.0, np.log(self.options.dt / given))))
            elif key == "v_threshold" and self.has(name, "v_reset"):
                reset = np.broadcast_to(self._given[name, "v_reset"], self._given[name, key].shape)
                least = reset + LEAST * np.maximum(self._given[name, key] - reset, 0.0)
                # of a channel that has one threshold, the largest that one of its neurons asks for
                shared = tuple(k for k in range(least.ndim) if leaf.shape[k] != least.shape[k])
                leaf.clamp_(min=torch.from_numpy(np.asarray(least.max(axis=shared, keepdims=True))))

    def named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The free ones, as "node.parameter"."""
        for (name, key), leaf in self.leaves.items():
            yield f"{name}.{key}", leaf

    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Take the values that `named` gave. ValueError where they are not of this network."""
        mine = dict(self.named())
        if mine.keys() != values.keys() or any(mine[k].shape != values[k].shape for k in mine):
            raise ValueError("parameters of another network")
        with torch.no_grad():
            for name, leaf in mine.items():
                leaf.copy_(values[name])

    # the graph that comes out

    def written(self, graph: nir.NIRGraph) -> nir.NIRGraph:
        """The graph (the one that was flattened) with the values as they are now; what is frozen stays to the bit.

        Initial states are in its metadata, which `starting` reads.
        """
        new = self._written(graph, "")
        initial = {
            f"{name}.{key}": self.exact(name, key).reshape(self.graph.nodes[name].shape_out)
            for name, key in self.leaves
            if key in STARTING
        }
        if initial:
            new.metadata = {**new.metadata, INITIAL: initial}
        return new

    def _written(self, graph: nir.NIRGraph, prefix: str) -> nir.NIRGraph:
        nodes: dict[str, NIRNode] = {}
        for name, node in graph.nodes.items():
            nodes[name] = node
            if isinstance(node, nir.NIRGraph):
                nodes[name] = self._written(node, f"{prefix}{name}.")
                continue
            for owner, key in self.leaves:
                if owner == prefix + name and key not in STARTING:
                    nodes[name] = copy.copy(nodes[name])
                    setattr(nodes[name], key, self.exact(owner, key).astype(np.float64))
        return nir.NIRGraph(nodes, list(graph.edges), dict(graph.metadata), type_check=False)


def starting(graph: nir.NIRGraph) -> dict[str, Array]:
    """Trained initial states in a graph's metadata, as `Backend.set_state` takes them; empty where there are none."""
    found = graph.metadata.get(INITIAL, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"metadata {INITIAL!r} must hold arrays by name, not a {type(found).__name__}")
    return {str(name): np.asarray(values) for name, values in found.items()}
