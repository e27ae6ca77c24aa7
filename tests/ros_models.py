"""ONNX models made by hand, for tests of the planner node."""

from pathlib import Path
from typing import Any


def write_model(
    path: Path, heading_neurons: int = 72, states: tuple[str, ...] = (), closed: Any = None, depth: bool = False
) -> None:
    """A planner that always says the same; closed: (4, 72), which directions are, for one of contract 2. depth: it also
    takes depth images, and heading neuron 0 says their mean in m."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    heading = np.zeros((1, heading_neurons), np.float32)
    heading[0, 38:43] = (20, 60, 100, 60, 20)
    speed = np.zeros((1, 8), np.float32)
    speed[0, 7] = 100
    potentials = numpy_helper.from_array(np.full((1, 72), 0.25, np.float32))
    told = {} if closed is None else {"closed": np.asarray(closed, np.float32)[None]}
    unknown = [numpy_helper.from_array(np.zeros((1, 24, 32), np.float32), "depth")] if depth else []
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [("Identity", ["always"], "heading", {})]
    if depth:
        steps = [
            ("ReduceMean", ["depth"], "mean", {"axes": [1, 2], "keepdims": 0}),
            ("Reshape", ["mean", "one"], "first", {}),
            ("Pad", ["first", "behind"], "told", {}),
            ("Add", ["always", "told"], "heading", {}),
        ]
        shapes = {"one": [1, 1], "behind": [0, 0, 0, heading_neurons - 1]}
        unknown += [numpy_helper.from_array(np.array(v, np.int64), name) for name, v in shapes.items()]
    graph = helper.make_graph(
        [
            *(
                helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
                for name, value in told.items()
            ),
            *(helper.make_node("Constant", [], [name], value=potentials) for name in states),
            helper.make_node("Constant", [], ["always"], value=numpy_helper.from_array(heading)),
            *(helper.make_node(kind, sources, [to], **more) for kind, sources, to, more in steps),
            helper.make_node("Constant", [], ["speed"], value=numpy_helper.from_array(speed)),
        ],
        "constant",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 24, 32, 3)),
            helper.make_tensor_value_info("goal", TensorProto.FLOAT, (1, 3)),
            helper.make_tensor_value_info("velocity", TensorProto.FLOAT, (1, 2)),
            *(helper.make_tensor_value_info(one.name, TensorProto.FLOAT, one.dims) for one in unknown[:1]),
        ],
        [
            helper.make_tensor_value_info("heading", TensorProto.FLOAT, heading.shape),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, speed.shape),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 72)) for name in states),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4, 72)) for name in told),
        ],
        unknown,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(
        model,
        {
            "hybrid_control.planner.contract": "1" if closed is None else "2",
            "hybrid_control.planner.max_rate_hz": "100",
            "hybrid_control.planner.goal_cap_m": "5",
        },
    )
    onnx.save(model, path)
