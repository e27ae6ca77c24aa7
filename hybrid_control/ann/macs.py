"""Counts the multiply-accumulates of one inference of an ONNX file, with onnxruntime alone.

Of the file only what is needed is read: nodes and the shapes of initializers, by protobuf's wire format
(https://protobuf.dev/programming-guides/encoding; field numbers of onnx.proto3). Shapes of what lies between are those
of a run on zeros, for which every such tensor is made an output.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from hybrid_control.ann.model import OnnxModel
from hybrid_control.ann.session import ORT_ERRORS, ModelError

GRAPH, NODE, INITIALIZER, OUTPUT, NAME = 7, 1, 5, 12, 1
NODE_INPUT, NODE_OUTPUT, NODE_TYPE = 1, 2, 4
DIMS, TENSOR_NAME = 1, 8
COUNTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    output: str


def multiply_accumulates(
    path: str | os.PathLike[str], sizes: Mapping[str, Sequence[int]] | None = None, prefix: str = ""
) -> int:
    """Of one inference of one example: those of its Conv, Gemm and MatMul nodes, biases not counted.

    A product gives each number of its output by as many as the inner axis is long; a convolution by as many as a
    filter has weights. sizes: as `OnnxModel` takes them. prefix: of the names of the outputs of the nodes that count,
    all where "". Subgraphs (If, Loop) and other node types are not counted.
    ModelError where the file can't be run, or a shape is not known.
    """
    model = OnnxModel(path, sizes=sizes)
    content = Path(path).read_bytes()
    graph = b"".join(
        value for field, value in _fields(content) if field == GRAPH and isinstance(value, bytes)
    )
    nodes, shapes = [], {}
    for field, value in _fields(graph):
        if field == NODE and isinstance(value, bytes):
            nodes.append(_node(value))
        elif field == INITIALIZER and isinstance(value, bytes):
            name, shape = _initializer(value)
            shapes[name] = shape
    nodes = [node for node in nodes if node.kind in COUNTED and node.output.startswith(prefix)]
    between = {name for node in nodes for name in (*node.inputs[:2], node.output)} - set(shapes)
    shapes.update(_shapes(content, sorted(between), model, str(path)))
    return sum(_macs(node, shapes) for node in nodes)


def _macs(node: _Node, shapes: Mapping[str, tuple[int, ...]]) -> int:
    first, second, out = (shapes[name] for name in (*node.inputs[:2], node.output))
    if node.kind == "Conv":
        inner = math.prod(second[1:])
    elif node.kind == "MatMul":
        inner = first[-1]
    else:  # Gemm, transposed or not: (rows, inner) x (inner, columns)
        inner = math.prod(second) // out[-1]
    return math.prod(out) * inner


def _shapes(content: bytes, names: Sequence[str], model: OnnxModel, path: str) -> dict[str, tuple[int, ...]]:
    """Of tensors between the nodes, by a run on zeros. Messages joined end to end are one merged message."""
    given = set(model.inputs)
    wanted = [name for name in names if name not in given and name not in model.outputs]
    extra = b"".join(_message(OUTPUT, _message(NAME, name.encode())) for name in wanted)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(
            content + _message(GRAPH, extra), options, providers=["CPUExecutionProvider"]
        )
        feed = {name: np.asarray(value) for name, value in model.feed().items()}
        outputs = [name for name in names if name not in given]
        results = session.run(outputs, feed) if outputs else []
    except ORT_ERRORS as error:
        raise ModelError(f"{path}: {' '.join(str(error).split())[:300]}") from None
    return {
        **{name: value.shape for name, value in feed.items()},
        **{name: np.shape(value) for name, value in zip(outputs, results, strict=True)},
    }


def _node(content: bytes) -> _Node:
    inputs, output, kind = [], "", ""
    for field, value in _fields(content):
        if isinstance(value, bytes):
            if field == NODE_INPUT:
                inputs.append(value.decode())
            elif field == NODE_OUTPUT and not output:
                output = value.decode()
            elif field == NODE_TYPE:
                kind = value.decode()
    return _Node(kind, tuple(inputs), output)


def _initializer(content: bytes) -> tuple[str, tuple[int, ...]]:
    name, shape = "", []
    for field, value in _fields(content):
        if field == TENSOR_NAME and isinstance(value, bytes):
            name = value.decode()
        elif field == DIMS and isinstance(value, int):
            shape.append(value)
        elif field == DIMS and isinstance(value, bytes):  # packed
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                shape.append(number)
    return name, tuple(shape)


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message: whole numbers, or bytes of what has a length."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(content, at)
            yield key >> 3, content[at : at + size]
            at += size
        else:
            at += 8 if kind == 1 else 4


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(field: int, content: bytes) -> bytes:
    """A field of a message that has a length."""
    size, head = len(content), bytearray([field << 3 | 2])
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content
