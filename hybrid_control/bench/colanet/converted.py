"""CoLaNET behind a spiking encoder: python -m hybrid_control.bench.colanet.converted DIR|ZIP FILE.onnx --to TENSOR.

The encoder is a ReLU network that `learning.conversion` makes spiking; its features are a tensor's values, of the float
network and of the spiking one, read late (the second half of the ticks). Both of the same pictures, in the same folds:
CoLaNET on either, and taught by the float network's features and tested on the spiking one's. The photographs of the
classes that are left out set the conversion's scales and starts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm, trange

from hybrid_control.ann import OnnxModel
from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.colanet.compare import Array, Split, colanet
from hybrid_control.bench.colanet.pictures import COPIES, chosen
from hybrid_control.colanet import PICTURES
from hybrid_control.colanet.pictures import Pictures
from hybrid_control.colanet.scale import Scale
from hybrid_control.colanet.search import folds_of
from hybrid_control.learning.conversion.compare import compare
from hybrid_control.learning.conversion.convert import TICKS, Conversion, convert

MARKS = (16, 32, 64, 128)
KEPT = 128  # photographs of other classes, for scales and starts
PERCENTILE = 99.99
TOGETHER = 64  # images whose maps are in memory at once


def images_of(place: Path, size: tuple[int, ...], white: float) -> tuple[Array, Array]:
    """All pictures (pictures, height, width, 3) with values from 0 to white, and their classes."""
    with Pictures(place) as pictures:
        rows = [pictures.read(p, (size[0], size[1])) for p in tqdm(pictures.pictures, desc="reading")]
        return np.array(rows, np.float32) * (white / 255), np.array([p.label for p in pictures.pictures])


def features_of(conversion: Conversion, images: Array) -> tuple[Array, Array, float]:
    """Of the float network (images, features), of the spiking one after MARKS ticks (images, MARKS, features), and
    seconds of the engine for an image. A map is averaged over its places."""
    (tensor,) = conversion.outputs
    channels = conversion.reader.file.shapes[tensor][1]
    parts: list[tuple[Array, Array, float]] = []
    for start in trange(0, len(images), TOGETHER, desc="encoding"):
        found = compare(conversion, images[start : start + TOGETHER], MARKS)
        wanted, late = found.wanted[tensor], found.late[tensor]
        parts.append(
            (
                wanted.reshape(len(wanted), channels, -1).mean(-1),
                late.reshape(*late.shape[:2], channels, -1).mean(-1),
                found.seconds * len(wanted),
            )
        )
    wanted, late = (np.concatenate(p).astype(np.float32) for p in list(zip(*parts, strict=True))[:2])
    return wanted, late, sum(p[2] for p in parts) / len(images)


def right(learnt: Array, tested: Array, y: Array, folds: int) -> float:
    """The part recognised by CoLaNET that learns features (pictures, features) and is asked for others of the same
    pictures, in the mean over folds; the scale is of what is learnt."""
    fold, parts = folds_of(y, folds), []
    for k in range(folds):
        test = fold == k
        train = np.random.default_rng(k).permutation(np.flatnonzero(~test))
        scale = Scale.learnt(learnt[train])
        split = Split(scale(learnt[train]), y[train], scale(tested[test]), y[test])
        parts.append(colanet(split, PICTURES, COPIES, k, shuffle=True).accuracy)
    return float(np.mean(parts))


def report(ann: Array, late: Array, y: Array, folds: int) -> str:
    """The table of features of the float network and of the spiking one, as `features_of` gives them."""
    alone = right(ann, ann, y, folds)
    lines = ["| ticks | error of the features | taught and tested spiking | taught float, tested spiking |"]
    lines += ["|---|---|---|---|", f"| float | | {100 * alone:.2f} % | |"]
    for i, mark in enumerate(MARKS):
        spiking = late[:, i]
        error = np.sqrt(np.mean((spiking - ann) ** 2) / ann.var())
        both, crossed = right(spiking, spiking, y, folds), right(ann, spiking, y, folds)
        lines.append(f"| {mark} | {100 * error:.1f} % | {100 * both:.2f} % | {100 * crossed:.2f} % |")
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    """Print the table."""
    (shape,) = OnnxModel(arguments.encoder).inputs.values()
    images, labels = images_of(arguments.pictures, shape[:2], arguments.white)
    which, y = chosen(labels, arguments.classes)
    others = np.setdiff1d(np.arange(len(labels)), which)
    if len(others) < KEPT:
        raise ValueError(
            f"{len(others)} pictures of other classes; the conversion needs {KEPT}: give fewer --classes"
        )
    kept = np.random.default_rng(0).permutation(others)[:KEPT]
    cuts: tuple[list[str], list[str]] = ([], [arguments.to])
    conversion = convert(arguments.encoder, images[kept], TICKS, PERCENTILE, cuts=cuts)
    ann, late, seconds = features_of(conversion, images[which])
    print(
        f"{arguments.encoder.name}: {len(y)} pictures of {len(np.unique(y))} classes, {ann.shape[1]} features, "
        f"{seconds:.3f} s for {MARKS[-1]} ticks of a picture\n\n{report(ann, late, y, arguments.folds)}"
    )


if __name__ == "__main__":
    parser = parser_of("colanet.converted", __doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--to", required=True, help="tensor of the features")
    parser.add_argument("--white", type=float, default=1.0, help="the encoder's value of white (%(default)s)")
    parser.add_argument("--classes", type=int, default=64, help="at most (%(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="(%(default)s)")
    run(parser, main)
