"""An ONNX file as plain nodes between two cuts, with every constant, every shape, and what its tensors hold on data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from hybrid_control.ann import ORT_ERRORS, ModelError, OnnxModel

Array = NDArray[Any]
_PASSES = ("Transpose", "Cast", "Identity")  # of an input before anything else, left to who gives it
_TELLS = ("Softmax", "LogSoftmax", "Sigmoid", "Identity")  # at the very end; the order of the classes stays


class ConversionError(ValueError):
    """A network that can't become a spiking one as it is; the message names the node and says what could be done."""


@dataclass(frozen=True)
class OnnxNode:
    """One node: its name (its first output where the file has none), type, tensors and attributes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.kind})"

    def padding(
        self, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> tuple[tuple[int, int], ...]:
        """Of a convolution or pooling over `size`: (before, after) in each direction."""
        directions = len(size)
        auto = self.attributes.get("auto_pad", b"NOTSET")
        auto = auto.decode() if isinstance(auto, bytes) else auto
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            found = []
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
                total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
                less, more = total // 2, total - total // 2
                found.append((less, more) if auto == "SAME_UPPER" else (more, less))
            return tuple(found)
        pads = [0] * 2 * directions
        if auto == "NOTSET":
            pads = list(self.attributes.get("pads", pads))
        return tuple((int(pads[i]), int(pads[directions + i])) for i in range(directions))


class OnnxFile:
    """The nodes of a file from `start` to `end`, tensors by name, in order of evaluation.

    By default `start` are the file's inputs, each after a Transpose or Cast of its own, and `end` its outputs, each
    before a Softmax or Sigmoid. shapes: of every tensor of one example, with the batch axis. constants: tensors that no
    input changes. ConversionError for a cut that is not there; ModelError where onnxruntime can't run the file.
    """

    def __init__(
        self, path: str | os.PathLike[str], start: Sequence[str] = (), end: Sequence[str] = ()
    ) -> None:
        try:
            import onnx
        except ImportError:
            raise ConversionError("onnx is not installed; python -m pip install onnx") from None
        self.path, self._model = str(path), OnnxModel(path)
        proto = onnx.load(str(path))
        nodes = [_node(node, onnx.helper.get_attribute_value) for node in proto.graph.node]
        initial = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        self.opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
        made = {name for node in nodes for name in node.outputs if name}
        del proto.graph.output[:]
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(made))
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        )  # every tensor as it stands
        try:
            self._session = ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        except ORT_ERRORS as error:
            raise ModelError(f"{self.path}: {' '.join(str(error).split())[:300]}") from None
        names = sorted(made | set(self._model.inputs))
        values = self._values(None, names)
        self.shapes = {name: np.shape(value) for name, value in (values | initial).items()}
        changing = _reached(nodes, set(self._model.inputs))
        self.constants = initial | {name: value for name, value in values.items() if name not in changing}
        self.start = self._cut(start, made) or [_passed(name, nodes) for name in self._model.inputs]
        self.end = self._cut(end, made) or [_told(name, nodes) for name in self._model.outputs]
        self.left = () if end else tuple(name for name in self._model.outputs if name not in self.end)
        self.nodes = _between(nodes, self.start, self.end, set(self.constants))
        lost = [name for name in self.end if name not in _reached(self.nodes, set(self.start))]
        if lost:
            raise ConversionError(f"{self.path}: {lost[0]!r} does not follow from {', '.join(self.start)}")

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """The file's own inputs and their shapes, without the batch."""
        return self._model.inputs

    def _cut(self, names: Sequence[str], made: set[str]) -> list[str]:
        known = made | set(self._model.inputs)
        for name in names:
            if name not in known:
                raise ConversionError(f"{self.path}: there is no tensor {name!r} to cut at")
        return list(names)

    def _values(self, example: Mapping[str, Array] | None, names: Sequence[str]) -> dict[str, Array]:
        feed = self._model.feed(example)
        asked = [name for name in names if name not in feed]
        try:
            results = self._session.run(asked, feed) if asked else []
        except ORT_ERRORS as error:
            raise ModelError(f"{self.path}: {' '.join(str(error).split())[:300]}") from None
        found = dict(zip(asked, (np.asarray(r) for r in results), strict=True))
        return {name: found[name] if name in found else feed[name] for name in names}

    def values(self, data: Mapping[str, Array], names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """What the tensors `names` hold for each example of `data`, by input (n, *shape), with the batch axis."""
        for i in range(len(next(iter(data.values())))):
            yield self._values({name: rows[i] for name, rows in data.items()}, names)


def _node(node: Any, value_of: Any) -> OnnxNode:
    attributes = {a.name: value_of(a) for a in node.attribute}
    return OnnxNode(
        node.name or node.output[0], node.op_type, tuple(node.input), tuple(node.output), attributes
    )


def _reached(nodes: Sequence[OnnxNode], start: set[str]) -> set[str]:
    """All tensors that those of `start` change, themselves among them; nodes are in order of evaluation."""
    reached = set(start)
    for node in nodes:
        if reached & set(node.inputs):
            reached |= set(node.outputs)
    return reached


def _between(
    nodes: Sequence[OnnxNode], start: Sequence[str], end: Sequence[str], constants: set[str]
) -> list[OnnxNode]:
    """What is needed for `end` where `start` and the constants are there."""
    needed, kept = set(end) - set(start), []
    for node in reversed(nodes):
        if needed & set(node.outputs) and not set(node.outputs) <= constants:
            kept.append(node)
            needed |= set(node.inputs) - set(start)
    return kept[::-1]


def _passed(name: str, nodes: Sequence[OnnxNode]) -> str:
    users = [node for node in nodes if name in node.inputs]
    while len(users) == 1 and users[0].kind in _PASSES:
        name = users[0].outputs[0]
        users = [node for node in nodes if name in node.inputs]
    return name


def _told(name: str, nodes: Sequence[OnnxNode]) -> str:
    makers = {out: node for node in nodes for out in node.outputs}
    while name in makers and makers[name].kind in _TELLS:
        name = makers[name].inputs[0]
    return name
