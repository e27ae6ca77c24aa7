"""CoLaNET beside what else classifies the same inputs: accuracy, and time per sample learnt and tested.

The others come from scikit-learn, which only these measurements need: pip install '.[baselines]' in the repository.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.colanet import CoLaNET, Settings
from hybrid_control.colanet.rules import spike_train
from hybrid_control.colanet.settings import INPUT_TICKS

Array = NDArray[Any]


@dataclass(frozen=True)
class Split:
    """What is classified, (samples, inputs), and labels, to learn from in this order and to test on.

    Below 0 is nothing, but where settings turn it.
    """

    x: Array
    y: Array
    test_x: Array
    test_y: Array


@dataclass(frozen=True)
class Row:
    """One way to classify: the part of the test samples that it gets right, and milliseconds per sample."""

    name: str
    accuracy: float
    learn_ms: float
    test_ms: float


def measured(name: str, learn: Callable[[], Any], split: Split, test_x: Array | None = None) -> Row:
    """A row of what `learn` gives, which has `predict`; test_x: in the place of the split's."""
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solvers that stop before they are done
        model = learn()
    learnt = time.perf_counter()
    said = model.predict(split.test_x if test_x is None else test_x)
    end = time.perf_counter()
    accuracy = float(np.mean(said == split.test_y))
    return Row(
        name, accuracy, 1e3 * (learnt - begin) / len(split.y), 1e3 * (end - learnt) / len(split.test_y)
    )


def colanet(
    split: Split, settings: Settings, copies: int, seed: int = 0, name: str = "CoLaNET", shuffle: bool = False
) -> Row:
    """One pass of an ensemble."""
    warm = CoLaNET(settings, copies=copies).partial_fit(split.x[:2], split.y[:2])
    warm.predict(split.x[:2])  # compiled before the clock runs
    network = CoLaNET(settings, copies=copies, seed=seed)
    return measured(
        f"{name} ×{copies}", lambda: network.partial_fit(split.x, split.y, shuffle=shuffle), split
    )


def counts(x: Array, saturation: float) -> Array:
    """Spikes of each input in one sample, from 0 to 1: what CoLaNET gets to see."""
    table = np.array(
        [spike_train(v, 2520.0, INPUT_TICKS).bit_count() for v in range(2521)], np.float32
    )  # 2,520 is what all of 1..10 divide
    return table[np.rint(np.minimum(x / saturation, 1.0) * 2520).astype(int)] / INPUT_TICKS


def baselines(split: Split, saturation: float, linear: bool = False) -> list[Row]:
    """The others, on inputs divided by the saturation; on their spike counts where none is below 0. linear: logistic
    regression alone."""
    try:
        from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier
        from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    except ImportError as error:
        raise ValueError(
            f"baselines need scikit-learn ({error}): pip install '.[baselines]' in the repository"
        ) from None
    s = Split(split.x / saturation, split.y, split.test_x / saturation, split.test_y)
    classes = np.unique(s.y)
    rows = [measured("logistic regression", lambda: LogisticRegression(max_iter=200).fit(s.x, s.y), s)]
    if linear:
        return rows
    if min(split.x.min(), split.test_x.min()) >= 0:
        spikes, test_spikes = counts(split.x, saturation), counts(split.test_x, saturation)
        rows.append(
            measured(
                "logistic regression on spike counts",
                lambda: LogisticRegression(max_iter=200).fit(spikes, s.y), s, test_spikes,
            )
        )  # fmt: skip
    return [
        *rows,
        measured("nearest centroid", lambda: NearestCentroid().fit(s.x, s.y), s),
        measured("5 nearest neighbours", lambda: KNeighborsClassifier(5).fit(s.x, s.y), s),
        measured("perceptron, one pass", lambda: Perceptron(random_state=0).partial_fit(s.x, s.y, classes), s),
        measured(
            "logistic SGD, one pass",
            lambda: SGDClassifier(loss="log_loss", random_state=0).partial_fit(s.x, s.y, classes), s,
        ),
    ]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    lines = ["| | right | ms to learn one | ms to test one |", "|---|---|---|---|"]
    lines += [f"| {r.name} | {100 * r.accuracy:.2f} % | {r.learn_ms:.3f} | {r.test_ms:.3f} |" for r in rows]
    return "\n".join(lines)


def mean(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Row by row the mean over runs."""
    return [
        Row(
            rows[0].name,
            *(float(np.mean([getattr(r, f) for r in rows])) for f in ("accuracy", "learn_ms", "test_ms")),
        )
        for rows in zip(*runs, strict=True)
    ]
