"""The network of closed directions put beside a planner's own: one file that keeps contract 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.depths import UNKNOWN
from hybrid_control.navigation.planner.training.closed.int8 import PREFIX
from hybrid_control.navigation.planner.training.closed.labels import HEIGHT, WIDTH
from hybrid_control.navigation.planner.training.closed.network import Closed
from hybrid_control.sim.robots.jackal import JACKAL

OPSET = 18
LARGEST_FILE = 3_000_000  # bytes
TYPICAL = np.array([[JACKAL.camera_z, JACKAL.camera_pitch, JACKAL.camera_hfov]], np.float32)
"""The camera that a file takes where nobody names one."""


def export(model: Closed, planner: Path, out: Path, metadata: dict[str, str]) -> None:
    """Write `planner`, a file of contract 1, with the model beside it. ValueError where the two do not go together,
    the file is too large, or onnxruntime does not say what torch says."""
    base = onnx.load(planner)
    _, info = contract.load(planner)
    if info.version != 1:
        raise ValueError(f"{planner}: keeps contract {info.version}; a file of contract 1 is wanted")
    model = model.eval()
    image = torch.randint(0, 256, (1, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    told = {contract.CAMERA.name: TYPICAL}
    if model.network.depth:
        told[contract.DEPTH.name] = np.full((1, HEIGHT, WIDTH), UNKNOWN, np.float32)
    program = torch.onnx.export(
        model, (image, *map(torch.from_numpy, told.values())), input_names=["image", *told],
        output_names=[contract.CLOSED.name], opset_version=OPSET, dynamo=True, verbose=False,
    )  # fmt: skip
    assert program is not None
    joined = _joined(base, program.model_proto, (info.height, info.width), told)
    kept = {p.key: p.value for p in base.metadata_props}
    helper.set_model_props(joined, kept | {contract.KEY_VERSION: "2"} | metadata)
    onnx.checker.check_model(joined, full_check=True)
    content = joined.SerializeToString()
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{out}: {len(content)} bytes; a planner may have {LARGEST_FILE}")
    unfinished = out.with_suffix(".tmp")
    unfinished.write_bytes(content)
    session, info = contract.load(unfinished)
    feed = {"image": image.numpy(), "goal": np.array([[3.0, 1.0, 0.0]], np.float32),
            "velocity": np.zeros((1, 2), np.float32)}  # fmt: skip
    # as where nobody says, and with all that is seen 1 m away, where it takes depths
    for trial in (told, {name: value + (name == contract.DEPTH.name) for name, value in told.items()}):
        said = contract.infer(session, info, feed | trial).closed
        with torch.no_grad():
            wanted = model(image, *map(torch.from_numpy, trial.values())).numpy()[0]
        assert said is not None
        if (worst := float(np.abs(said - wanted).max())) > 1e-2:
            unfinished.unlink()
            raise ValueError(f"{out}: onnxruntime and torch differ by {worst:.3g}")
    unfinished.replace(out)


def _joined(
    base: onnx.ModelProto, more: onnx.ModelProto, size: tuple[int, int], told: Mapping[str, NDArray]
) -> onnx.ModelProto:
    """One model of both, which see the same image; the base sees it at its own size. told: by name, what else the other
    takes, with what it is where nobody says."""
    graph = base.graph
    for node in graph.node:  # what the base saw is now made of the larger image
        node.input[:] = ["image_small" if name == "image" else name for name in node.input]
    _rename(more.graph, {"image", *told})
    graph.input.remove(next(i for i in graph.input if i.name == "image"))
    graph.input.insert(0, helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3]))
    for name, value in told.items():
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
        graph.initializer.append(numpy_helper.from_array(value, name))
    smaller = _smaller(graph, size)
    graph.initializer.extend(more.graph.initializer)
    nodes = [*smaller, *graph.node, *more.graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.output.extend(more.graph.output)
    del graph.value_info[:]
    domains = {o.domain: o.version for o in [*base.opset_import, *more.opset_import]}
    if any(domains[o.domain] != o.version for o in [*base.opset_import, *more.opset_import]):
        raise ValueError(f"the planner is of opset {base.opset_import[0].version}; {OPSET} is wanted")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in domains.items()])
    model.ir_version = max(base.ir_version, more.ir_version)
    return model


def _smaller(graph: onnx.GraphProto, size: tuple[int, int]) -> list[onnx.NodeProto]:
    """Nodes that make "image_small" of "image", as `images.resize` does: a triangle filter as wide as the step."""
    graph.initializer.append(numpy_helper.from_array(np.array([1, 3, *size], np.int64), "small_size"))

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    return [
        node("Cast", ["image"], "small_floats", to=TensorProto.FLOAT),
        node("Transpose", ["small_floats"], "small_planes", perm=[0, 3, 1, 2]),
        node("Resize", ["small_planes", "", "", "small_size"], "small_resized", mode="linear", antialias=1,
             coordinate_transformation_mode="half_pixel"),
        node("Round", ["small_resized"], "small_whole"),
        node("Transpose", ["small_whole"], "small_rows", perm=[0, 2, 3, 1]),
        node("Cast", ["small_rows"], "image_small", to=TensorProto.UINT8),
    ]  # fmt: skip


def _rename(graph: onnx.GraphProto, inputs: Collection[str]) -> None:
    """Names of its own for all but what goes in and comes out."""
    kept = {"", *inputs, *(o.name for o in graph.output)}

    def named(name: str) -> str:
        return name if name in kept else PREFIX + name

    for node in graph.node:
        node.input[:] = [named(name) for name in node.input]
        node.output[:] = [named(name) for name in node.output]
        node.name, node.doc_string = PREFIX + node.name, ""
        del node.metadata_props[:]
    for tensor in graph.initializer:
        tensor.name, tensor.doc_string = named(tensor.name), ""
