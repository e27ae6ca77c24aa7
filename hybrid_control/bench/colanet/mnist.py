"""MNIST's pixels in one pass: python -m hybrid_control.bench.colanet.mnist FILE.npz.

The file has train_x (60000, 28, 28), train_y, test_x and test_y, uint8. The test set decides nothing: what differs from
the published settings was chosen on 10,000 of the training pictures (--validate shows them).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from hybrid_control.bench.colanet.compare import Split, baselines, colanet, table
from hybrid_control.colanet import MNIST
from hybrid_control.files import MIB, read_npz

#: The published set, but for less noise and a threshold that grows more with the weights.
TUNED = replace(MNIST, noise=0.5, kappa=0.3)
HELD = 10_000  # training pictures that --validate tests on


def split_of(path: str, validate: bool) -> Split:
    """MNIST in an order of its own; validate: the last HELD training pictures in the place of the test set."""
    arrays = read_npz(path, "MNIST", 64 * MIB)
    x, test_x = (
        arrays[name].reshape(len(arrays[name]), -1).astype(np.float32) for name in ("train_x", "test_x")
    )
    y, test_y = arrays["train_y"].astype(np.int64), arrays["test_y"].astype(np.int64)
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], y[order]
    return Split(x[:-HELD], y[:-HELD], x[-HELD:], y[-HELD:]) if validate else Split(x, y, test_x, test_y)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--validate", action="store_true", help="test on a part of the training set")
    parser.add_argument("--alone", action="store_true", help="without scikit-learn's classifiers")
    arguments = parser.parse_args()
    split = split_of(arguments.file, arguments.validate)
    rows = [
        colanet(split, settings, copies, name=name)
        for name, settings in (("published settings", MNIST), ("settings chosen here", TUNED))
        for copies in (1, 15)
    ]
    print(table(rows + ([] if arguments.alone else baselines(split, MNIST.saturation))))


if __name__ == "__main__":
    main()
