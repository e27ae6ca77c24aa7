"""A planner with weights and activations of 8 bits, and what that costs: error, time, energy, beside the float one.

The work is onnxruntime's static quantisation: QDQ, weights int8 by channel, activations uint8 by the least and greatest
that frames like those of the training bring.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from hybrid_control.ann import multiply_accumulates
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.closed import HIDDEN, UNSEEN
from hybrid_control.navigation.planner.training.closed import evaluation
from hybrid_control.navigation.planner.training.closed.scenes import Frames
from hybrid_control.snn.energy import HOROWITZ_45NM

PREFIX = "closed_"  # of the names of what belongs to the network of closed directions
QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "Relu", "Resize", "Clip")
KEY, WHOLE, CLOSED_ALONE = "hybrid_control.planner.int8", "all of it", "closed directions alone"
MAC_PJ = 0.3  # 8-bit multiplication 0.2 pJ and 32-bit addition 0.1 pJ, of 45 nm: M. Horowitz, ISSCC 2014
GOALS = (evaluation.AHEAD, (6.0, 0.8, 0.6), (6.0, 0.8, -0.6))
TIMED = 300  # inferences


def feeds(frames: Frames, info: contract.ModelInfo) -> Iterator[dict[str, NDArray[Any]]]:
    """The frames as a planner is given them, the goal ahead, to the left and to the right by turns."""
    return (evaluation.feed(frames, i, info, GOALS[i % 3]) for i in range(len(frames)))


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Iterator[dict[str, NDArray[Any]]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next frame, None after the last."""
        return next(self._feeds, None)


def quantise(planner: Path, out: Path, frames: Frames, closed_alone: bool = False) -> None:
    """Write `planner` with 8 bits as `out`, whole or not at all; frames: to take the ranges of activations from.

    closed_alone: the network of closed directions alone, so that headings and speeds stay as they are. ValueError where
    it has none, or 8 bits already, or where `out` does not keep its contract.
    """
    _, info = contract.load(planner)
    if KEY in info.metadata:
        raise ValueError(f"{planner}: has 8 bits already")
    graph = onnx.load(planner).graph
    convolved = {output for node in graph.node if node.op_type == "Conv" for output in node.output}
    nodes = [
        node.name for node in graph.node  # of what is cut ReLU6 alone, whose range is the convolution's then
        if node.op_type in QUANTISED and (node.op_type != "Clip" or node.input[0] in convolved)
    ]  # fmt: skip
    if closed_alone:
        nodes = [name for name in nodes if name.startswith(PREFIX)]
        if not nodes:
            raise ValueError(f"{planner}: keeps contract {info.version}, which closes no directions; 2 is wanted")
    unfinished = out.with_suffix(".tmp")
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it advises to prepare the model, which the export did
    try:
        quantize_static(
            planner, unfinished, _Reader(feeds(frames, info)),
            quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, op_types_to_quantize=list(QUANTISED), nodes_to_quantize=nodes,
        )  # fmt: skip
        model = onnx.load(unfinished)
        kept = {p.key: p.value for p in model.metadata_props} | dict(info.metadata)
        helper.set_model_props(model, kept | {KEY: CLOSED_ALONE if closed_alone else WHOLE})
        onnx.save(model, unfinished)
        contract.load(unfinished)
        unfinished.replace(out)
    finally:
        quiet.setLevel(level)
        unfinished.unlink(missing_ok=True)


@dataclass(frozen=True)
class Measured:
    """A file on the same frames as others. size: bytes; seen: of `evaluation.rows`, empty for contract 1; turned: (n,)
    rad, by which its headings differ from the first file's; sureness: by which its sureness of what is hidden does,
    mean; median, late: ms an inference, the second the 99th percentile; energy: uJ an inference, multiply-accumulates
    alone.
    """

    path: Path
    size: int
    seen: Sequence[tuple[str, int, dict[float, tuple[float, float]]]]
    turned: NDArray[np.float64]
    sureness: float
    median: float
    late: float
    energy: float


def compare(float_: Path, int8: Path, frames: Iterable[Frames]) -> list[Measured]:
    """A file and the one of 8 bits that was made of it; they are timed by turns, so that what else runs slows both."""
    paths, shards = (float_, int8), list(frames)
    loaded = [contract.load(path) for path in paths]
    times: list[list[float]] = [[], []]
    headings: list[list[float]] = [[], []]
    sure: list[list[NDArray[Any]]] = [[], []]
    for feed in (feed for shard in shards for feed in feeds(shard, loaded[0][1])):
        for k, (session, info) in enumerate(loaded):
            begun = time.perf_counter()
            said = contract.infer(session, info, feed)
            times[k].append(1e3 * (time.perf_counter() - begun))
            headings[k].append(contract.decode_heading(said.heading))
            if said.closed is not None:
                sure[k].append(said.closed[HIDDEN])
    macs, closing = multiply_accumulates(float_), multiply_accumulates(float_, prefix=PREFIX)
    measured = []
    for k, (path, (_, info)) in enumerate(zip(paths, loaded, strict=True)):
        turned = np.angle(np.exp(1j * (np.array(headings[k]) - np.array(headings[0]))))
        sureness = 0.0
        if sure[k] and sure[0]:
            one, other = np.stack(sure[k]), np.stack(sure[0])
            sureness = float(np.abs(one - other)[other != UNSEEN].mean())
        median, late = np.percentile(times[k][-TIMED:], (50, 99))
        seen = evaluation.rows(evaluation.look(path, shards)) if info.version > 1 else []
        small = {WHOLE: macs, CLOSED_ALONE: closing}.get(info.metadata.get(KEY, ""), 0)
        energy = 1e-6 * (small * MAC_PJ + (macs - small) * HOROWITZ_45NM.mac_pj)
        measured.append(
            Measured(path, path.stat().st_size, seen, np.abs(turned), sureness, float(median), float(late), energy)
        )
    return measured


def table(measured: Sequence[Measured]) -> str:
    """The two side by side, as text."""
    lines = [f"{'':28s}" + "".join(f"{name:>14s}" for name in ("float", "int8"))]

    def row(name: str, *cells: str) -> None:
        lines.append(f"{name:28s}" + "".join(f"{cell:>14s}" for cell in cells))

    row("bytes", *(f"{m.size:,}" for m in measured))
    row("inference, median, ms", *(f"{m.median:.2f}" for m in measured))
    row("inference, 99 %, ms", *(f"{m.late:.2f}" for m in measured))
    row("multiply-accumulates, uJ", *(f"{m.energy:.0f}" for m in measured))
    row("heading turned, mean, deg", *(f"{np.degrees(m.turned.mean()):.2f}" for m in measured))
    row("heading turned, 95 %, deg", *(f"{np.degrees(np.percentile(m.turned, 95)):.2f}" for m in measured))
    row("sureness, mean difference", *(f"{m.sureness:.4f}" for m in measured))
    for rows in zip(*(m.seen for m in measured), strict=True):
        for alarm in evaluation.ALARMS:
            row(f"{rows[0][0]}, {alarm:.0%}"[:28], *(f"{shares[alarm][0]:.0%}" for _, _, shares in rows))
    return "\n".join(lines) + "\n"
