"""Small networks for the tests: an ONNX file and a NIR file."""

import nir
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def planner(path, inputs=4, outputs=16, seed=0):
    """sigmoid(x W), (1, inputs) to (1, outputs); returns W."""
    weights = np.random.default_rng(seed).normal(size=(inputs, outputs)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["image", "W"], ["h"]), helper.make_node("Sigmoid", ["h"], ["out"])],
        "planner",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(weights, "W")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return weights


def reflex(path, inputs=16, neurons=8, seed=1):
    """Input, affine, LIF, output; returns the graph."""
    rng = np.random.default_rng(seed)
    graph = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([inputs])}),
            "fc": nir.Affine(rng.normal(size=(neurons, inputs)) + 0.5, np.zeros(neurons)),
            "lif": nir.LIF(np.full(neurons, 0.02), np.full(neurons, 20.0), np.zeros(neurons), np.ones(neurons)),
            "output": nir.Output({"output": np.array([neurons])}),
        },
        [("input", "fc"), ("fc", "lif"), ("lif", "output")],
    )
    nir.write(str(path), graph)
    return graph
