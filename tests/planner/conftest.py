"""ONNX planners built by hand: one that keeps the contract, and any way of breaking it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hybrid_control.navigation.planner import contract

METADATA = {contract.KEY_VERSION: "1", contract.KEY_MAX_RATE: "200", contract.KEY_GOAL_CAP: "10"}


def echo_model(
    path: Path,
    *,
    image: tuple[int, list[Any]] | None = (TensorProto.UINT8, [1, 12, 16, 3]),
    goal: tuple[int, list[Any]] | None = (TensorProto.FLOAT, [1, 3]),
    heading: tuple[str, list[Any]] = ("heading", [1, 72]),
    speed: tuple[str, list[Any]] = ("speed", [1, 8]),
    metadata: dict[str, str] | None = None,
    required: list[tuple[str, int, list[int]]] | None = None,
    optional: dict[str, np.ndarray] | None = None,
    scale: float = 1.0,
    offset: float = 5.0,
    divide_by: float | None = None,
    cast: int = TensorProto.FLOAT,
    states: dict[str, np.ndarray] | None = None,
    closed: np.ndarray | None = None,
) -> Path:
    """A model that answers with what it is given.

    Heading neurons 0 .. 4 say goal and velocity, each plus `offset`; 5 .. 7 half the mean red, green and blue; the
    others are silent. The speed population says 0.5. scale multiplies the heading's rates. divide_by: they are
    divided by |distance - divide_by|, which makes them infinite there. Optional inputs are added to the heading
    neurons from 8 on, each as its sum. states: further outputs, constant; closed: the
    output of that name, constant, (1, 4, 72).
    """
    nodes, inputs, initializers = [], [], []

    def constant(name: str, value: np.ndarray) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, sources: list[str], target: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, sources, [target], **attributes))
        return target

    parts = []
    if goal is not None:
        inputs.append(helper.make_tensor_value_info("goal", *goal))
        source = (
            "goal" if goal[0] == TensorProto.FLOAT else node("Cast", ["goal"], "goal_f", to=TensorProto.FLOAT)
        )
        parts.append(source)
    inputs.append(helper.make_tensor_value_info("velocity", TensorProto.FLOAT, [1, 2]))
    parts.append("velocity")
    told = node(
        "Add", [node("Concat", parts, "told", axis=1), constant("offset", np.float32(offset))], "told_5"
    )
    row = [told]
    if image is not None:
        inputs.append(helper.make_tensor_value_info("image", *image))
        floats = node("Cast", ["image"], "image_f", to=TensorProto.FLOAT)
        mean = node(
            "ReduceMean", [floats, constant("axes", np.array([0, 1, 2], np.int64))], "mean", keepdims=0
        )
        flat = node("Reshape", [mean, constant("colours", np.array([1, -1], np.int64))], "mean_row")
        row.append(node("Mul", [flat, constant("half", np.float32(0.5))], "colour"))
    width = (3 if goal is not None else 0) + 2 + (3 if image is not None else 0)
    for name, value in (optional or {}).items():
        initializers.append(numpy_helper.from_array(value, name))
        inputs.append(helper.make_tensor_value_info(name, initializers[-1].data_type, list(value.shape)))
        flat = node("Reshape", [name, constant(f"{name}_shape", np.array([1, -1], np.int64))], f"{name}_flat")
        axes = constant(f"{name}_axes", np.array([1], np.int64))
        row.append(node("ReduceSum", [flat, axes], f"{name}_sum", keepdims=1))
        width += 1
    for name, kind, shape in required or []:
        inputs.append(helper.make_tensor_value_info(name, kind, shape))
    row.append(constant("rest", np.zeros((1, heading[1][-1] - width), np.float32)))
    last = node("Mul", [node("Concat", row, "all", axis=1), constant("scale", np.float32(scale))], "scaled")
    if divide_by is not None:
        axes = constant("slice_axes", np.array([1], np.int64))
        begin, end = constant("zero", np.array([0], np.int64)), constant("one", np.array([1], np.int64))
        distance = node("Slice", ["goal", begin, end, axes], "distance")
        gap = node("Abs", [node("Sub", [distance, constant("by", np.float32(divide_by))], "signed")], "gap")
        last = node("Div", [last, gap], "divided")
    node("Cast", [last], heading[0], to=cast)
    code = contract.encode_speed(0.5, 200.0)[None]
    node("Identity", [constant("code", np.resize(code, speed[1]))], speed[0])
    outputs = [
        helper.make_tensor_value_info(heading[0], cast, heading[1]),
        helper.make_tensor_value_info(speed[0], TensorProto.FLOAT, speed[1]),
    ]
    for name, value in ((states or {}) | ({} if closed is None else {"closed": closed})).items():
        node("Identity", [constant(f"{name}_value", value)], name)
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        outputs.append(helper.make_tensor_value_info(name, kind, list(value.shape)))
    graph = helper.make_graph(nodes, "echo", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, METADATA if metadata is None else metadata)
    onnx.save(model, path)
    return path


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes an echo_model into the test's folder; its arguments say what is to be wrong with it."""

    def make(**changes: Any) -> Path:
        return echo_model(tmp_path / "model.onnx", **changes)

    return make
