"""Layers as a spiking network: every ReLU unit an integrate-and-fire neuron whose rate says its value.

A unit with the scale s adds x / s a tick to its potential, fires above 1/2 and then falls by 1; it starts at 0, which
is half of what a spike takes away. That is a threshold of 1 with a start at 1/2, written so that it fits into a NIR
file: v_threshold = 1/2, v_reset = -1/2, `reset="subtract"`. A spike is worth s to those that it leads to, so s times
the mean of T ticks is the unit's value, to s / T and what its own inputs lack. An input is a current that stands; an
output is the sum of what came since the start (an I), which divided by the ticks is the ANN's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import nir
import numpy as np

from hybrid_control.learning.conversion.layers import (
    Array,
    Average,
    Conv,
    Dense,
    Given,
    Layer,
    Spikes,
    Sum,
    Synapses,
    Weighted,
)
from hybrid_control.learning.conversion.onnx_file import ConversionError
from hybrid_control.learning.conversion.reading import Reader
from hybrid_control.snn import Network, Options, SparseLinear

DT = 1e-3
OPTIONS = Options(dt=DT, reset="subtract")
"""What the network has to be run with."""


class Builder:
    """The network of a reader's layers. outputs: the network's output of each tensor of the end.

    scales: of each population, in its shape or one that spreads over it. shifts: how far its start is below 1/2. last:
    the layer after which it stops, without outputs; None for all.
    """

    def __init__(
        self,
        reader: Reader,
        scales: Mapping[str, Array],
        shifts: Mapping[str, Array] | None = None,
        last: Layer | None = None,
    ) -> None:
        self.reader, self.network = reader, Network()
        self._values = {name: np.asarray(scale, np.float64) for name, scale in scales.items()}
        self._shifts = dict(shifts or {})
        self._parts: dict[str, list[str]] = {}
        self.outputs: dict[str, str] = {}
        self._users = Counter(
            source.name for layer in reader.layers for source in _sources(layer, reader)
        ) + Counter(layer.name for layer in reader.ends.values())
        until = last if last is not None else reader.layers[-1]
        for layer in reader.layers[: reader.layers.index(until) + 1]:
            if self._users[layer.name] or isinstance(layer, Given):
                self._layer(layer)
        for tensor, layer in reader.ends.items() if last is None else ():
            self._end(tensor, layer)
        self.network.metadata.update({"reset": "subtract", "dt": str(DT)})

    def value(self, layer: Layer) -> Array:
        """What 1 of each value of a layer is worth in the ANN, in the layer's shape."""
        if isinstance(layer, Spikes):
            return np.array(np.broadcast_to(self._values[layer.name], layer.shape))
        if isinstance(layer, Average):
            assert layer.source is not None
            channels = self.value(layer.source).reshape(layer.shape[0], -1)[:, :1]
            return np.array(np.broadcast_to(channels[:, :, None], layer.shape))
        return np.ones(layer.shape)

    def _layer(self, layer: Layer) -> None:
        net, name = self.network, layer.name
        if isinstance(layer, Given):
            net.add_input(name, layer.shape)
        elif isinstance(layer, Conv):
            self._conv(layer)
        elif isinstance(layer, Dense):
            source = layer.source
            assert source is not None
            rows = layer.weight.ndim > 2
            worth = self.value(source) if rows else self.value(source).reshape(-1)
            net.add(name, nir.Affine(_single(layer.weight * worth[..., None, :]), _single(layer.bias)))
            net.edge(self._node(source) if rows else self._flat(source), name)
        elif isinstance(layer, Average):
            assert layer.source is not None
            kernel, stride, none = (np.array(v) for v in (layer.kernel, layer.stride, (0, 0)))
            net.add(name, nir.AvgPool2d(kernel_size=kernel, stride=stride, padding=none))
            net.edge(self._node(layer.source), name)
        elif isinstance(layer, Synapses):
            self._copies(layer)
        elif isinstance(layer, Sum):
            if not self._straight(layer):
                self._relay(layer)
        elif isinstance(layer, Spikes):
            assert layer.source is not None
            shift, r = np.asarray(self._shifts.get(name, 0.0)), 1.0 / (DT * self.value(layer))
            net.add_population(name, nir.IF, layer.shape, r=r, v_threshold=0.5 + shift, v_reset=shift - 0.5)
            self._into(layer.source, name)

    def _conv(self, layer: Conv) -> None:
        source = layer.source
        assert source is not None
        worth = self.value(source).reshape(source.shape[0], -1)[:, 0]
        per_group = layer.weight.shape[1]
        group = np.arange(layer.weight.shape[0]) // (layer.weight.shape[0] // layer.groups)
        inputs = group[:, None] * per_group + np.arange(per_group)
        weight = layer.weight * worth[inputs].reshape(*inputs.shape, *[1] * (layer.weight.ndim - 2))
        # NIR pads both sides alike: where they differ, zeros in the kernel make up for it
        around = [(0, 0), (0, 0)]
        for (before, after), dilation in zip(layer.padding, layer.dilation, strict=True):
            more, rest = divmod(abs(after - before), dilation)
            if rest:
                raise ConversionError(
                    f"{self.reader.file.path}: node {layer.name!r} ({layer.from_node}): padding {before} and {after} "
                    f"beside a dilation of {dilation}; expected a difference of whole dilations"
                )
            around.append((more, 0) if after > before else (0, more))
        weight = _single(np.pad(weight, around))
        padding = [max(pair) for pair in layer.padding]
        bias, common = _single(layer.bias), {"groups": layer.groups}
        node: nir.Conv1d | nir.Conv2d
        if weight.ndim == 3:
            node = nir.Conv1d(
                input_shape=source.shape[1], weight=weight, bias=bias,
                stride=layer.stride[0], padding=padding[0], dilation=layer.dilation[0], **common,
            )  # fmt: skip
        else:
            node = nir.Conv2d(
                input_shape=source.shape[1:], weight=weight, bias=bias, stride=tuple(layer.stride),
                padding=tuple(padding), dilation=tuple(layer.dilation), **common,
            )  # fmt: skip
        self.network.add(layer.name, node)
        self.network.edge(self._node(source), layer.name)

    def _relay(self, layer: Layer) -> None:
        """A node of the layer's name that adds up what makes it."""
        self.network.add(layer.name, nir.Scale(np.ones((1,) * len(layer.shape), np.float32)))
        self._into(layer, layer.name)

    def _node(self, layer: Layer) -> str:
        """The name of the one node that gives a layer's values in its shape."""
        if layer.name not in self.network.nodes:
            self._relay(layer)
        return layer.name

    def _flat(self, layer: Layer) -> str:
        """The name of what gives a layer's values in one row."""
        name = f"{layer.name}_flat"
        if len(layer.shape) == 1:
            return self._node(layer)
        if name not in self.network.nodes:
            shape = np.array(layer.shape)
            self.network.add(name, nir.Flatten(input_type={"input": shape}, start_dim=0, end_dim=-1))
            self.network.edge(self._node(layer), name)
        return name

    def _copies(self, layer: Synapses) -> None:
        """Synapses: a node for each layer that they come from, and one for the bias, added up by who takes them."""
        net = self.network
        parts = []
        for source in _sources(layer, self.reader):
            mine = (layer.pre >= source.first) & (layer.pre < source.first + source.size)
            pre, worth = layer.pre[mine] - source.first, self.value(source).reshape(-1)
            weight = _single(layer.weight[mine] * worth[pre])
            node = SparseLinear(np.array([layer.size, source.size]), pre, layer.post[mine], weight)
            parts.append(net.add(f"{layer.name}_of_{source.name}", node))
            net.edge(self._flat(source), parts[-1])
        if layer.bias.any():
            zero = np.zeros((layer.size, 1), np.float32)
            parts.append(net.add(f"{layer.name}_bias", nir.Affine(zero, _single(layer.bias))))
        self._parts[layer.name] = parts

    def _straight(self, layer: Layer) -> bool:
        """Whether the terms of a sum lead straight to the one population that takes it."""
        populations = [p for p in self.reader.layers if isinstance(p, Spikes) and p.source is layer]
        return self._users[layer.name] == len(populations) == 1

    def _into(self, layer: Layer, target: str) -> None:
        """What a layer is worth, added to what `target` takes."""
        if isinstance(layer, Sum) and (target == layer.name or self._straight(layer)):
            for term, sign in layer.terms:
                self._term(term, sign, target)
        else:
            self._term(layer, 1, target)

    def _term(self, layer: Layer, sign: int, target: str) -> None:
        worth = sign * self.value(layer)
        for source in self._parts.get(layer.name, [layer.name]):
            last = source
            if (worth != 1.0).any():
                flat = worth.reshape(worth.shape[0], -1)
                if worth.ndim > 1 and (flat == flat[:, :1]).all():
                    worth = flat[:, 0].reshape(-1, *[1] * (worth.ndim - 1))
                last = self.network.add(f"{source}_to_{target}", nir.Scale(_single(worth)))
                self.network.edge(source, last)
            self.network.edge(last, target)

    def _end(self, tensor: str, layer: Layer) -> None:
        name = self.reader.free_name(f"{tensor}_sum")
        self.network.add_population(name, nir.I, layer.shape, r=1.0 / DT)
        self._term(layer, 1, name)
        self.outputs[tensor] = self.reader.free_name(f"{tensor}_out")
        self.network.add_output(self.outputs[tensor], name)


def _single(values: Array) -> Array:
    return np.asarray(values, np.float32)


def _sources(layer: Layer, reader: Reader) -> list[Layer]:
    """The layers that one takes from."""
    if isinstance(layer, (Weighted, Average, Spikes)):
        return [] if layer.source is None else [layer.source]
    if isinstance(layer, Sum):
        return [term for term, _ in layer.terms]
    if isinstance(layer, Synapses):
        return [
            at for at in reader.layers if ((layer.pre >= at.first) & (layer.pre < at.first + at.size)).any()
        ]
    return []
