"""The networks of config/hybrids as files: ANNs as ONNX, SNNs as NIR.

`python -m hybrid_control.bench.arm.files FOLDER` makes them from the code of this room; it needs the package onnx.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.arm.networks import Features, kinematics, policy
from hybrid_control.bench.arm.patterns import FORESIGHT
from hybrid_control.bench.arm.spiking import foresight_network, level_network, servo_network

AGREED, APART = 1.0, 8.0  # (N m)^2: what the fusing ANN takes for agreement; see `fusion`


def write(folder: Path) -> None:
    """Every network, into a folder that is there."""
    _features(folder / "kinematics.onnx", kinematics())
    _features(folder / "policy.onnx", policy())
    _features(folder / "policy_of_now.onnx", policy(ahead=0.0), {"target": 2, "state": 4})
    fusion(folder / "fusion.onnx")
    servo_network(goal="input")[0].save(folder / "servo.nir")
    servo_network(goal="spikes")[0].save(folder / "servo_that_knows.nir")
    servo_network(goal="state", reflex=True)[0].save(folder / "servo_with_reflex.nir")
    foresight_network(FORESIGHT).save(folder / "foresight.nir")
    level_network().save(folder / "level.nir")


def _features(path: Path, model: Features, inputs: dict[str, int] | None = None) -> None:
    """Inputs joined -> Gemm -> tanh -> Gemm -> split into the outputs; inputs: by name, with how many numbers each."""
    from onnx import helper

    inputs = inputs or {model.name: model.inner.shape[1]}
    sizes = {name: shape[0] for name, shape in model.outputs.items()}
    nodes = [
        helper.make_node("Concat", [*inputs], ["x"], axis=1),
        helper.make_node("Gemm", ["x", "W1", "b1"], ["drive"], transB=1),
        helper.make_node("Tanh", ["drive"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "W2", "b2"], ["y"], transB=1),
        helper.make_node("Split", ["y", "sizes"], [*sizes], axis=1),
    ]
    constants = {
        "W1": model.inner * model.scale, "b1": model.bias, "W2": model.outer[:, :-1], "b2": model.outer[:, -1],
        "sizes": np.array([*sizes.values()], np.int64),
    }  # fmt: skip
    _save(path, nodes, inputs, sizes, constants)


def fusion(path: Path) -> None:
    """torque = b + g (a - b), g = sigmoid(AGREED - |a - b|^2 / APART): the less, the farther a is from b."""
    from onnx import helper

    nodes = [
        helper.make_node("Sub", ["a", "b"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["square"]),
        helper.make_node("ReduceSum", ["square", "axis"], ["far"]),
        helper.make_node("Div", ["far", "scale"], ["shares"]),
        helper.make_node("Sub", ["agreed", "shares"], ["sure"]),
        helper.make_node("Sigmoid", ["sure"], ["g"]),
        helper.make_node("Mul", ["g", "apart"], ["part"]),
        helper.make_node("Add", ["b", "part"], ["torque"]),
    ]
    constants = {"axis": np.array([1], np.int64), "scale": np.array([APART]), "agreed": np.array([AGREED])}
    _save(path, nodes, {"a": 2, "b": 2}, {"torque": 2}, constants)


def _save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, int],
    outputs: dict[str, int],
    constants: dict[str, NDArray[Any]],
) -> None:
    """An ONNX file of float64, so that it gives what the code gives; inputs and outputs: by name, numbers in each."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    given, gives = (
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [1, size]) for name, size in side.items()]
        for side in (inputs, outputs)
    )
    kept = [
        numpy_helper.from_array(a if a.dtype == np.int64 else a.astype(np.float64), name)
        for name, a in constants.items()
    ]
    graph = helper.make_graph(nodes, path.stem, given, gives, kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


if __name__ == "__main__":
    parser = parser_of("arm.files", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is written to")
    run(parser, lambda given: write(given.folder))
