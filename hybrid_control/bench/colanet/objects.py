"""64 classes of objects drawn by the simulator: python -m hybrid_control.bench.colanet.objects --encoder FILE.

Each picture is another scene (`scenes`). Folds, scale and what is compared are those of `pictures`, and classes one
after another, too. --linear shows logistic regression alone: by it, on the pictures of seed 0, the difficulty was
fixed before CoLaNET saw one.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm, trange

from hybrid_control.bench.colanet import scenes
from hybrid_control.bench.colanet.compare import Array, Row, baselines
from hybrid_control.bench.colanet.one_by_one import orders
from hybrid_control.bench.colanet.pictures import rows_of, split_of
from hybrid_control.colanet.encode import Encoder
from hybrid_control.colanet.search import folds_of
from hybrid_control.files import digest, read_npz

FOLDS, STUDENT = 5, 2.776  # 97.5 % quantile of Student's distribution for so many folds
LINEAR = "logistic regression"


def drawn(seed: int, kind: int, number: int) -> scenes.Picture:
    """A picture of a class by its number in KINDS; each has a scene of its own."""
    return scenes.drawn(scenes.KINDS[kind], scenes.scene_of(seed, kind, number))


def features_of(encoder: Encoder, seed: int, each: int) -> Array:
    """Features (KINDS × each, features) of so many pictures of every class, class after class."""
    if encoder.size != (scenes.SIZE, scenes.SIZE):
        raise ValueError(f"the encoder takes {encoder.size} pixels; these pictures have {(scenes.SIZE,) * 2}")
    kinds = trange(len(scenes.KINDS), desc="drawing and encoding")
    return np.array([encoder(drawn(seed, kind, number)) for kind in kinds for number in range(each)])


def cached(arguments: argparse.Namespace) -> Array:
    """The features, kept in the folder `out` where one is named; anew where the encoder or the pictures changed."""
    encoder, output, seed, each = arguments.encoder, arguments.output, arguments.seed, arguments.each
    first = b"".join(drawn(seed, kind, 0).tobytes() for kind in range(len(scenes.KINDS)))
    asked = repr((digest(encoder), output, seed, each)).encode()
    name = f"features-{hashlib.blake2b(asked + first, digest_size=8).hexdigest()}.npz"
    file = None if arguments.out is None else arguments.out / name
    if file is not None and file.exists():
        return read_npz(file, "features of objects")["features"]
    features = features_of(Encoder(encoder, output=output), seed, each)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, features=features)
    return features


def fold_rows(x: Array, y: Array, test: Array, seed: int, linear: bool) -> list[Row]:
    """All rows of one fold; test: a mask; linear: of logistic regression alone."""
    if linear:
        whitened, plain = split_of(x, y, test, seed)
        others = ("", plain), (" (whitened)", whitened)
        return [replace(r, name=r.name + word) for word, s in others for r in baselines(s, 1.0, linear=True)]
    return rows_of(x, y, test, seed, False) + orders(x, y, test, seed)


def interval(values: Array) -> str:
    """Mean and half of its 95 % interval over FOLDS, in %."""
    half = STUDENT * np.std(values, ddof=1) / FOLDS**0.5
    return f"{100 * np.mean(values):.2f} ± {100 * half:.2f}"


def table(runs: Sequence[Sequence[Row]]) -> str:
    """Row by row what is right, and how far above logistic regression in the same fold, as Markdown."""
    lines = [f"| | right, % | above {LINEAR} | ms to learn one | ms to test one |", "|---|---|---|---|---|"]
    linear = np.array([next(row.accuracy for row in rows if row.name == LINEAR) for rows in runs])
    for rows in zip(*runs, strict=True):
        right = np.array([row.accuracy for row in rows])
        learn, test = (np.mean([getattr(row, field) for row in rows]) for field in ("learn_ms", "test_ms"))
        lines.append(
            f"| {rows[0].name} | {interval(right)} | {interval(right - linear)} | {learn:.3f} | {test:.3f} |"
        )
    return "\n".join(lines)


def sheet(seed: int, side: int, tiles: int) -> Image.Image:
    """A picture of each class, `tiles` in a row, each with `side` pixels, in 256 colours."""
    rows = len(scenes.KINDS) // tiles
    whole = Image.new("RGB", (tiles * side, rows * side))
    for kind in range(len(scenes.KINDS)):
        tile = Image.fromarray(drawn(seed, kind, 0)).resize((side, side), Image.Resampling.BOX)
        whole.paste(tile, (kind % tiles * side, kind // tiles * side))
    return whole.quantize(256, dither=Image.Dither.NONE)


def main() -> None:
    """Print the table, a mean over the folds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--output", help="the encoder's output with the features")
    parser.add_argument("--out", type=Path, help="folder in which the features are kept")
    parser.add_argument("--each", type=int, default=120, help="pictures of a class (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the scenes (%(default)s)")
    parser.add_argument("--linear", action="store_true", help="logistic regression alone")
    parser.add_argument("--sheet", type=Path, help="write a PNG file with a picture of each class")
    arguments = parser.parse_args()
    if arguments.sheet is not None:
        sheet(arguments.seed, 96, 8).save(arguments.sheet, optimize=True)
    x = cached(arguments)
    y = np.repeat(np.arange(len(scenes.KINDS)), arguments.each)
    fold = folds_of(y, FOLDS)
    runs = [
        fold_rows(x, y, fold == k, k, arguments.linear)
        for k in tqdm(range(FOLDS), desc="learning and testing")
    ]
    print(f"{len(y)} pictures of {len(scenes.KINDS)} classes, {FOLDS} folds\n\n{table(runs)}")


if __name__ == "__main__":
    main()
