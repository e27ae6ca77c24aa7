"""From the nodes of an ONNX file to layers: what can be converted, how, and what can't."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnxruntime as ort

from hybrid_control.learning.conversion.layers import (
    Array,
    Average,
    Conv,
    Dense,
    Given,
    Layer,
    Shape,
    Spikes,
    Sum,
    Synapses,
    unrolled,
)
from hybrid_control.learning.conversion.onnx_file import ConversionError, OnnxFile, OnnxNode

MOVES = (
    "Reshape", "Flatten", "Slice", "Concat", "Transpose", "Squeeze", "Unsqueeze", "Pad", "Gather", "Split", "Identity",
    "Dropout", "Expand", "Cast",
)  # fmt: skip
SYNAPSES_LIMIT = 50_000_000  # of one map that is written synapse by synapse
NEIGHBOURS = (
    "Conv, Gemm, MatMul, BatchNormalization, Relu, Clip from 0, pooling, Add, Sub and what moves values"
)
HINTS = {
    "Softmax": "it needs all classes at once: end before it with --to",
    "Sigmoid": "a ReLU in its place, or end before it with --to",
    "Tanh": "a ReLU in its place",
    "LeakyRelu": "a ReLU in its place, and train it anew",
    "HardSwish": "ReLU6 in its place, and train it anew",
    "Mul": "a product of two values is no sum of spikes: a factor that stands, or end before it with --to",
    "Div": "a quotient of two values is no sum of spikes: a divisor that stands, or begin after it with --from",
}


class Reader:
    """The layers of a file, in order of evaluation; ends: the layer that gives each tensor of its end, in any shape."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        self.layers: list[Layer] = []
        self._numbers: dict[str, Array] = {}
        self._makers = {name: node for node in file.nodes for name in node.outputs}
        self._users = Counter(name for node in file.nodes for name in node.inputs)
        self._users.update(file.end)
        for tensor in file.start:
            shape = self._shape(tensor, f"{file.path}: {tensor!r}")
            self._numbers[tensor] = self._add(
                Given(self.free_name(tensor), shape, self._next, "input", tensor=tensor)
            )
        for node in file.nodes:
            try:
                self._node(node)
            except ConversionError as error:
                raise ConversionError(f"{file.path}: {error}") from None
        self.ends: dict[str, Layer] = {}
        for name in file.end:
            self.ends[name] = self._layer(self._numbers[name], f"{name}_end")

    # what there is

    @property
    def _next(self) -> int:
        return self.layers[-1].first + self.layers[-1].size if self.layers else 0

    def _add(self, layer: Layer) -> Array:
        self.layers.append(layer)
        return layer.numbers

    def free_name(self, wanted: str) -> str:
        """A name for a node that no layer has; what other files may not take in names is replaced."""
        last = wanted.split(";")[-1]  # of the names that an exporter has joined
        name = "".join(c if c.isalnum() or c in "_-" else "_" for c in last).strip("_") or "node"
        taken = {layer.name for layer in self.layers}
        return next(n for n in (name, *(f"{name}_{i}" for i in range(2, 1 << 20))) if n not in taken)

    def _shape(self, tensor: str, what: str) -> Shape:
        shape = self.file.shapes[tensor]
        if len(shape) < 2 or shape[0] != 1:
            raise ConversionError(
                f"{what}: a tensor of shape {shape}; expected a batch axis of 1 before the rest"
            )
        return tuple(int(n) for n in shape[1:])

    def whole(self, numbers: Array) -> Layer | None:
        """The layer whose values these are, all and in order, whatever the shape; None where there is none."""
        flat = numbers.reshape(-1)
        layer = self.of(int(flat[0])) if flat[0] >= 0 else None
        if layer is None or layer.size != flat.size or not np.array_equal(flat, layer.numbers.reshape(-1)):
            return None
        return layer

    def of(self, number: int) -> Layer:
        """The layer that a value belongs to."""
        firsts = [layer.first for layer in self.layers]
        return self.layers[int(np.searchsorted(firsts, number, side="right")) - 1]

    def _layer(self, numbers: Array, name: str) -> Layer:
        """The layer that gives all these values, in any shape; where none does, synapses that copy them in one row."""
        return self.whole(numbers) or self._copied(numbers, name)

    def _copied(self, numbers: Array, name: str) -> Layer:
        flat = numbers.reshape(-1)
        post = np.flatnonzero(flat >= 0)
        self._add(
            Synapses(
                self.free_name(name), (flat.size,), self._next, "moved",
                pre=flat[post], post=post, weight=np.ones(post.size), bias=np.zeros(flat.size),
            )
        )  # fmt: skip
        return self.layers[-1]

    def _standing(self, value: Array, name: str) -> Array:
        """Numbers of a constant: of a layer that gives it in every tick, or -1 where it is 0."""
        if not value.any():
            return np.full(value.shape, -1, np.int64)
        bias = np.array(value, np.float64).reshape(-1)
        numbers = self._add(Synapses(self.free_name(name), (bias.size,), self._next, "constant", bias=bias))
        return numbers.reshape(value.shape)

    # nodes

    def _node(self, node: OnnxNode) -> None:
        fixed = [name in self.file.constants or not name for name in node.inputs]
        if node.kind in MOVES:
            self._move(node)
            return
        shape = self._shape(node.outputs[0], str(node))
        handler: Callable[[OnnxNode, Shape], Array] | None = None
        if node.kind in ("Conv", "Gemm", "MatMul") and not all(fixed[1:]):
            raise ConversionError(f"{node}: its weights are no constants; expected weights that stand")
        factors = {"Neg": True, "BatchNormalization": all(fixed[1:])}
        if node.kind in ("Add", "Sub") and not any(fixed):
            handler = self._sum
        elif factors.get(node.kind, node.kind in ("Add", "Sub", "Mul", "Div") and any(fixed)):
            handler = self._affine
        else:
            handler = {
                "Conv": self._conv, "Gemm": self._gemm, "MatMul": self._matmul, "Relu": self._relu, "Clip": self._clip,
                "AveragePool": self._pool, "GlobalAveragePool": self._pool, "ReduceMean": self._mean,
                "MaxPool": self._max_pool,
            }.get(node.kind)  # fmt: skip
        if handler is None:
            hint = HINTS.get(node.kind, f"converted are {NEIGHBOURS}")
            raise ConversionError(f"{node} cannot be converted: {hint}")
        self._numbers[node.outputs[0]] = handler(node, shape).reshape(1, *shape)

    def _own(self, tensor: str) -> bool:
        """Whether a tensor has one user alone, and so has what was only moved to make it."""
        maker = self._makers.get(tensor)
        moved = maker.inputs if maker is not None and maker.kind in MOVES else ()
        return self._users[tensor] == 1 and all(self._own(name) for name in moved if name in self._numbers)

    def _constant(self, node: OnnxNode, place: int) -> Array:
        return np.asarray(self.file.constants[node.inputs[place]], np.float64)

    def _move(self, node: OnnxNode) -> None:
        """Reshape and its like: the same move on the numbers, done by onnxruntime."""
        from onnx import TensorProto, helper

        feed = {}
        for name in node.inputs:
            if name in self._numbers:
                feed[name] = self._numbers[name]
            elif name:
                value = np.asarray(self.file.constants[name])
                beside = node.kind in ("Concat", "Pad") and value.dtype.kind == "f"
                feed[name] = self._standing(value, name) if beside else value
        if node.kind == "Cast":
            self._numbers[node.outputs[0]] = feed[node.inputs[0]]
            return
        inputs = list(node.inputs)
        if node.kind == "Pad" and "pads" not in node.attributes and (len(inputs) < 3 or not inputs[2]):
            inputs[2:3] = ["beyond"]
            feed["beyond"] = np.array(-1, np.int64)
        types = {np.dtype(np.int64): TensorProto.INT64, np.dtype(np.int32): TensorProto.INT32}
        outputs = [
            name for name in node.outputs if name and (name == node.outputs[0] or node.kind == "Split")
        ]
        graph = helper.make_graph(
            [helper.make_node(node.kind, inputs, outputs, **node.attributes)],
            "move",
            [
                helper.make_tensor_value_info(n, types.get(v.dtype, TensorProto.BOOL), v.shape)
                for n, v in feed.items()
            ],
            [helper.make_tensor_value_info(n, TensorProto.INT64, None) for n in outputs],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.file.opset)], ir_version=8
        )
        try:
            session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            results = session.run(outputs, feed)
        except Exception as error:  # of onnxruntime, whatever it is
            raise ConversionError(
                f"{node} cannot be converted ({' '.join(str(error).split())[:120]})"
            ) from None
        self._numbers.update(zip(outputs, (np.asarray(r) for r in results), strict=True))

    def _conv(self, node: OnnxNode, shape: Shape) -> Array:
        weight = self._constant(node, 1)
        size = weight.ndim - 2
        if size not in (1, 2):
            raise ConversionError(f"{node}: a convolution over {size} directions; 1 or 2 can be converted")
        numbers, a = self._numbers[node.inputs[0]], node.attributes
        biased = len(node.inputs) > 2 and node.inputs[2]
        conv = Conv(
            self.free_name(node.name), shape, self._next, node.kind, math.prod(shape) * math.prod(weight.shape[1:]),
            weight=weight, bias=self._constant(node, 2) if biased else np.zeros(shape[0]),
            stride=tuple(a.get("strides", (1,) * size)), dilation=tuple(a.get("dilations", (1,) * size)),
            groups=int(a.get("group", 1)),
        )  # fmt: skip
        conv.padding = node.padding(numbers.shape[2:], weight.shape[2:], conv.stride, conv.dilation)
        layer = self.whole(numbers)
        if layer is not None and layer.shape == numbers.shape[1:]:
            conv.source = layer
            return self._add(conv)
        return self._unrolled(numbers, conv, node)

    def _bounded(self, node: str, synapses: int) -> None:
        if synapses > SYNAPSES_LIMIT:
            raise ConversionError(
                f"{node}: {synapses:,} synapses one by one, for it takes what others have moved; at most "
                f"{SYNAPSES_LIMIT:,} are written: cut with --from after what moves it"
            )

    def _unrolled(self, numbers: Array, conv: Conv, node: OnnxNode) -> Array:
        """A convolution over values that were moved, synapse by synapse."""
        self._bounded(str(node), conv.size * math.prod(conv.weight.shape[1:]))
        bias = np.repeat(conv.bias, math.prod(conv.shape[1:]))
        return self._synapses(conv, *unrolled(numbers, conv), bias=bias)

    def _synapses(self, like: Layer, pre: Array, post: Array, weight: Array, bias: Array) -> Array:
        return self._add(
            Synapses(like.name, (like.size,), like.first, like.from_node, like.macs, pre, post, weight, bias)
        )

    def _gemm(self, node: OnnxNode, shape: Shape) -> Array:
        a = node.attributes
        if a.get("transA", 0):
            raise ConversionError(f"{node}: transA turns the batch; expected a dense layer")
        weight = self._constant(node, 1) * float(a.get("alpha", 1.0))
        bias = np.zeros(shape)
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = np.broadcast_to(self._constant(node, 2) * float(a.get("beta", 1.0)), (1, *shape))[0]
        return self._dense(node, shape, weight if a.get("transB", 0) else weight.T, bias)

    def _matmul(self, node: OnnxNode, shape: Shape) -> Array:
        if node.inputs[0] in self.file.constants or self._constant(node, 1).ndim != 2:
            raise ConversionError(f"{node}: expected what comes in first, and then a matrix that stands")
        return self._dense(node, shape, self._constant(node, 1).T, np.zeros(shape))

    def _dense(self, node: OnnxNode, shape: Shape, weight: Array, bias: Array) -> Array:
        """Of the last axis; what was moved goes synapse by synapse."""
        numbers = self._numbers[node.inputs[0]]
        name, first, macs = self.free_name(node.name), self._next, math.prod(shape) * weight.shape[1]
        layer, rows = self.whole(numbers), math.prod(shape[:-1])
        if layer is not None and (rows == 1 or layer.shape == numbers.shape[1:]):
            if rows > 1:
                weight = np.array(np.broadcast_to(weight, (*shape[:-1], *weight.shape)))
            elif len(shape) > 1:
                raise ConversionError(f"{node}: gives {shape}; expected one row of values")
            return self._add(Dense(name, shape, first, node.kind, macs, layer, weight, np.array(bias)))
        self._bounded(str(node), macs)
        flat = np.repeat(numbers.reshape(rows, 1, -1), shape[-1], axis=1)
        every = np.broadcast_to(weight, flat.shape)
        keep = (flat >= 0) & (every != 0)
        post = np.broadcast_to(np.arange(math.prod(shape)).reshape(rows, -1, 1), flat.shape)[keep]
        like = Layer(name, shape, first, node.kind, macs)
        return self._synapses(like, flat[keep], post, every[keep], bias=np.reshape(bias, -1))

    def _affine(self, node: OnnxNode, shape: Shape) -> Array:
        """gain x + offset with constants: into the layer before where that is its own, else a layer of its own."""
        at = next(i for i, name in enumerate(node.inputs) if name not in self.file.constants)
        numbers = self._numbers[node.inputs[at]]
        gain, offset = self._gain_offset(node, at, shape)
        layer = self.whole(numbers)
        own = self._own(node.inputs[at])
        channels = shape[0] if len(shape) > 1 else shape[-1]
        per_channel = _by_channel(gain, shape), _by_channel(offset, shape)
        if own and isinstance(layer, Synapses) and numbers.shape[1:] == shape:
            layer.scale(*(np.broadcast_to(value, (1, *shape)).reshape(-1) for value in (gain, offset)))
            return numbers
        if own and isinstance(layer, (Conv, Dense)) and layer.shape == shape:
            if isinstance(layer, Dense):
                layer.scale(np.broadcast_to(gain, (1, *shape))[0], np.broadcast_to(offset, (1, *shape))[0])
                return numbers
            if per_channel[0] is not None and per_channel[1] is not None:
                layer.scale(per_channel[0], per_channel[1])
                return numbers
        if per_channel[0] is None or per_channel[1] is None or numbers.shape[1:] != shape:
            raise ConversionError(
                f"{node}: its constants differ within a channel; expected one number a channel"
            )
        source = self._layer(numbers, f"{node.name}_in")
        name, first = self.free_name(node.name), self._next
        if len(shape) == 1 or source.shape != shape:
            every = np.arange(source.size)
            return self._add(
                Synapses(
                    name, (source.size,), first, node.kind, source.size, pre=source.first + every, post=every,
                    weight=np.repeat(per_channel[0], source.size // channels),
                    bias=np.repeat(per_channel[1], source.size // channels),
                )
            )  # fmt: skip
        size = len(shape) - 1
        return self._add(
            Conv(
                name, shape, first, node.kind, source.size, source, per_channel[0].reshape(-1, 1, *[1] * size),
                per_channel[1], (1,) * size, ((0, 0),) * size, (1,) * size, channels,
            )
        )  # fmt: skip

    def _gain_offset(self, node: OnnxNode, at: int, shape: Shape) -> tuple[Array, Array]:
        if node.kind == "BatchNormalization":
            gamma, beta, mean, variance = (self._constant(node, i) for i in range(1, 5))
            gain = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
            wide = (-1, *[1] * (len(shape) - 1))
            return gain.reshape(wide), (beta - mean * gain).reshape(wide)
        if node.kind == "Neg":
            return np.array(-1.0), np.array(0.0)
        other = self._constant(node, 1 - at)
        if node.kind == "Div" and at == 1:
            raise ConversionError(f"{node} cannot be converted: {HINTS['Div']}")
        one, zero = np.array(1.0), np.array(0.0)
        return {
            "Add": (one, other),
            "Sub": (one, -other) if at == 0 else (-one, other),
            "Mul": (other, zero),
            "Div": (1.0 / other if node.kind == "Div" else one, zero),
        }[node.kind]

    def _sum(self, node: OnnxNode, shape: Shape) -> Array:
        terms = []
        for i, name in enumerate(node.inputs):
            numbers = np.array(np.broadcast_to(self._numbers[name], (1, *shape)))
            terms.append((numbers, -1 if node.kind == "Sub" and i else 1))
        return self._add_up(terms, shape, node)

    def _add_up(self, terms: list[tuple[Array, int]], shape: Shape, node: OnnxNode) -> Array:
        whole = [self.whole(numbers) for numbers, _ in terms]
        common = {layer.shape if layer is not None else None for layer in whole}
        inner = (common.pop() if len(common) == 1 else None) or (math.prod(shape),)
        layers = [
            (
                layer if layer is not None and layer.shape == inner else self._copied(n, f"{node.name}_in"),
                sign,
            )
            for layer, (n, sign) in zip(whole, terms, strict=True)
        ]
        return self._add(Sum(self.free_name(node.name), inner, self._next, node.kind, terms=layers))

    def _relu(self, node: OnnxNode, shape: Shape, cap: float = math.inf) -> Array:
        numbers = self._numbers[node.inputs[0]]
        source = self._layer(numbers, f"{node.name}_in")
        return self._add(
            Spikes(
                self.free_name(node.name),
                source.shape,
                self._next,
                node.kind,
                0,
                source,
                cap,
                node.outputs[0],
            )
        )

    def _clip(self, node: OnnxNode, shape: Shape) -> Array:
        limits = []
        for i, key, none in ((1, "min", -math.inf), (2, "max", math.inf)):
            given = len(node.inputs) > i and node.inputs[i]
            limits.append(float(self._constant(node, i)) if given else float(node.attributes.get(key, none)))
        if limits[0] != 0.0:
            raise ConversionError(
                f"{node}: clips from {limits[0]:g}; expected a Clip from 0, as a rate is, or a Relu"
            )
        return self._relu(node, shape, limits[1])

    def _pool(self, node: OnnxNode, shape: Shape) -> Array:
        numbers, a = self._numbers[node.inputs[0]], node.attributes
        inner = numbers.shape[2:]
        size = len(inner)
        kernel = inner if node.kind == "GlobalAveragePool" else tuple(a["kernel_shape"])
        stride = tuple(a.get("strides", (1,) * size))
        if a.get("ceil_mode", 0) or set(a.get("dilations", (1,))) != {1}:
            raise ConversionError(
                f"{node}: ceil_mode and dilations of a pooling cannot be converted; leave them out"
            )
        padding = node.padding(inner, kernel, stride, (1,) * size)
        if np.any(padding) and not a.get("count_include_pad", 0):
            raise ConversionError(
                f"{node}: means without the padding; expected count_include_pad=1 or no padding"
            )
        layer = self.whole(numbers)
        if layer is not None and layer.shape == numbers.shape[1:] and size == 2 and not np.any(padding):
            name = self.free_name(node.name)
            return self._add(Average(name, shape, self._next, node.kind, 0, layer, tuple(kernel), stride))
        weight = np.full((shape[0], 1, *kernel), 1.0 / math.prod(kernel))
        conv = Conv(
            self.free_name(node.name), shape, self._next, node.kind, weight=weight, bias=np.zeros(shape[0]),
            stride=stride, padding=padding, dilation=(1,) * size, groups=shape[0],
        )  # fmt: skip
        return self._unrolled(numbers, conv, node)

    def _mean(self, node: OnnxNode, shape: Shape) -> Array:
        """ReduceMean over all that follows the channels."""
        numbers = self._numbers[node.inputs[0]]
        axes = node.attributes.get("axes") or self._constant(node, 1).astype(int).reshape(-1)
        if sorted(int(i) % numbers.ndim for i in axes) != list(range(2, numbers.ndim)):
            raise ConversionError(
                f"{node}: a mean over axes {list(axes)}; expected all axes after the channels"
            )
        pool = OnnxNode(node.name, "GlobalAveragePool", node.inputs, node.outputs, {})
        return self._pool(pool, (numbers.shape[1], *[1] * (numbers.ndim - 2)))

    def _max_pool(self, node: OnnxNode, shape: Shape) -> Array:
        """By units that give by how much each value of a window is above the most of those before it.

        m_1 = x_1, r_i = relu(x_{i+1} - m_i), m_{i+1} = m_i + r_i: exact, for as many populations as a window has
        values but one.
        """
        numbers, a = self._numbers[node.inputs[0]], node.attributes
        size, kernel = numbers.ndim - 2, tuple(a["kernel_shape"])
        stride = tuple(a.get("strides", (1,) * size))
        dilation = tuple(a.get("dilations", (1,) * size))
        if a.get("ceil_mode", 0) or len(node.outputs) > 1:
            raise ConversionError(
                f"{node}: ceil_mode and indices of a pooling cannot be converted; leave them out"
            )
        padding = node.padding(numbers.shape[2:], kernel, stride, dilation)
        layer = self.whole(numbers)
        if np.any(padding) and not isinstance(layer, Spikes):
            raise ConversionError(
                f"{node}: padding around values below 0; expected a Relu before it, or no padding"
            )
        times = (
            1.0 if isinstance(layer, Spikes) else 2.0
        )  # two values, one of them below 0, may be so far apart
        taps = list(np.ndindex(*kernel))
        stages: list[Layer] = []

        def picked(weights: dict[tuple[int, ...], float], label: str) -> Layer:
            weight = np.zeros((shape[0], 1, *kernel))
            for tap, value in weights.items():
                np.moveaxis(weight[:, 0], 0, -1)[tap] = value
            conv = Conv(
                self.free_name(f"{node.name}_{label}"), shape, self._next, node.kind, 0, None, weight,
                np.zeros(shape[0]), stride, padding, dilation, shape[0],
            )  # fmt: skip
            if layer is None or layer.shape != numbers.shape[1:]:
                self._unrolled(numbers, conv, node)
            else:
                conv.source = layer
                self._add(conv)
            return self.layers[-1]

        for i, tap in enumerate(taps[1:]):
            above = picked({tap: 1.0, taps[0]: -1.0}, f"above{i}")
            if stages:
                terms = [(above, 1), *((stage, -1) for stage in stages)]
                self._add(
                    Sum(
                        self.free_name(f"{node.name}_rest{i}"),
                        above.shape,
                        self._next,
                        node.kind,
                        terms=terms,
                    )
                )
                above = self.layers[-1]
            name = self.free_name(f"{node.name}_unit{i}")
            self._add(
                Spikes(name, above.shape, self._next, node.kind, 0, above, math.inf, node.inputs[0], times)
            )
            stages.append(self.layers[-1])
        first = picked({taps[0]: 1.0}, "first")
        terms = [(first, 1), *((stage, 1) for stage in stages)]
        return self._add(Sum(self.free_name(node.name), first.shape, self._next, node.kind, terms=terms))


def _by_channel(value: Array, shape: Shape) -> Array | None:
    """A constant as one number for each channel of a tensor (1, *shape); None where it differs within one."""
    value = np.asarray(value, np.float64)
    wide = value.reshape((1,) * (len(shape) + 1 - value.ndim) + value.shape)
    if wide.size not in (1, wide.shape[1]):
        return None
    return np.array(np.broadcast_to(wide.reshape(-1), (shape[0],)))
