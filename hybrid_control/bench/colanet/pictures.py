"""Photographs behind an encoder: python -m hybrid_control.bench.colanet.pictures DIR|ZIP --encoder FILE.

Cross-validation over all pictures of the first so many classes in alphabetical order that have 12 at least; the scale
is learnt anew in every fold, of its training part alone. The others get the features divided by their 99th percentiles,
whitened, and whitened with what is above and below the mean as two inputs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hybrid_control.bench.colanet.compare import Array, Row, Split, baselines, colanet, mean, table
from hybrid_control.colanet import PICTURES
from hybrid_control.colanet.encode import Encoder
from hybrid_control.colanet.pictures import Pictures
from hybrid_control.colanet.scale import Scale, sides
from hybrid_control.colanet.search import folds_of

LEAST = 12  # pictures of a class
COPIES = 15


def features_of(place: Path, encoder: Encoder) -> tuple[Array, Array]:
    """Features (pictures, features) and classes of all pictures."""
    with Pictures(place) as pictures:
        rows = [encoder(pictures.read(p, encoder.size)) for p in tqdm(pictures.pictures, desc="encoding")]
        return np.array(rows), np.array([p.label for p in pictures.pictures])


def chosen(labels: Array, classes: int) -> tuple[Array, Array]:
    """Which pictures are of the classes that are looked at, and the number of each one's class."""
    names, counts = np.unique(labels, return_counts=True)
    kept = names[counts >= LEAST][:classes]
    which = np.flatnonzero(np.isin(labels, kept))
    return which, np.searchsorted(kept, labels[which])


def split_of(x: Array, y: Array, test: Array, seed: int) -> tuple[Split, Split]:
    """One fold for CoLaNET, whitened, and for the others, divided by percentiles; test: a mask."""
    train = np.random.default_rng(seed).permutation(np.flatnonzero(~test))
    scale = Scale.learnt(x[train])
    percentile = np.quantile(x[train], 0.99, axis=0)
    percentile = np.maximum(percentile, 1e-3 * percentile.max())
    return (
        Split(scale(x[train]), y[train], scale(x[test]), y[test]),
        Split(x[train] / percentile, y[train], x[test] / percentile, y[test]),
    )


def rows_of(x: Array, y: Array, test: Array, seed: int, alone: bool) -> list[Row]:
    """All rows of one fold; test: a mask."""
    whitened, plain = split_of(x, y, test, seed)
    rows = [colanet(whitened, PICTURES, copies, seed, shuffle=True) for copies in (1, COPIES)]
    by_class = np.argsort(whitened.y, kind="stable")
    incremental = Split(whitened.x[by_class], whitened.y[by_class], whitened.test_x, whitened.test_y)
    rows.append(colanet(incremental, PICTURES, COPIES, seed, "CoLaNET, class after class,"))
    if alone:
        return rows
    coded = Split(sides(whitened.x), whitened.y, sides(whitened.test_x), whitened.test_y)
    others = [("", plain), (" (whitened)", whitened), (" (whitened, two inputs)", coded)]
    return rows + [
        Row(r.name + word, r.accuracy, r.learn_ms, r.test_ms) for word, s in others for r in baselines(s, 1.0)
    ]


def options(description: str | None, classes: str) -> argparse.ArgumentParser:
    """What is asked of pictures in folds; classes: help for their number."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--output", help="the encoder's output with the features")
    parser.add_argument("--classes", type=int, default=64, help=classes)
    parser.add_argument("--folds", type=int, default=5, help="(%(default)s)")
    return parser


def main() -> None:
    """Print the table, a mean over the folds."""
    parser = options(__doc__, "at most (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="without scikit-learn's classifiers")
    arguments = parser.parse_args()
    x, labels = features_of(arguments.pictures, Encoder(arguments.encoder, output=arguments.output))
    which, y = chosen(labels, arguments.classes)
    x, fold = x[which], folds_of(y, arguments.folds)
    runs = [rows_of(x, y, fold == k, k, arguments.alone) for k in range(arguments.folds)]
    for k, rows in enumerate(runs):
        print(f"fold {k}: {', '.join(f'{r.name} {100 * r.accuracy:.2f} %' for r in rows)}")
    print(
        f"\n{len(y)} pictures of {len(np.unique(y))} classes, {arguments.folds} folds\n\n{table(mean(runs))}"
    )


if __name__ == "__main__":
    main()
