"""Classes that come one after another: python -m hybrid_control.bench.colanet.one_by_one DIR|ZIP --encoder FILE.

No picture is seen twice and none is kept. First, cross-validated: all classes one after another, beside the same
pictures in mixed order, and a linear head by SGD, which forgets. Then few shots, as NeuroBench's task goes: base
classes, 10 sessions of new ones with few pictures each, and after each session a test of all classes so far; there the
scale of the features is learnt of the base classes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from tqdm import trange

from hybrid_control.bench.colanet.compare import Array, Row, Split, colanet, mean, measured, table
from hybrid_control.bench.colanet.pictures import COPIES, chosen, features_of, options
from hybrid_control.colanet import ONE_BY_ONE, PICTURES, CoLaNET
from hybrid_control.colanet.encode import Encoder
from hybrid_control.colanet.scale import Scale, sides
from hybrid_control.colanet.search import folds_of

SETTINGS = {"PICTURES": PICTURES, "ONE_BY_ONE": ONE_BY_ONE}
SESSIONS, SHOTS = 10, 5


class Head:
    """A linear head by logistic SGD, which is told all classes beforehand.

    It gets what lies above and below the mean as two inputs, of which it learns far better than of values with a sign.
    """

    def __init__(self, classes: Array) -> None:
        try:
            from sklearn.linear_model import SGDClassifier
        except ImportError as error:
            raise ValueError(
                f"the linear head needs scikit-learn ({error}): pip install '.[baselines]' in the repository"
            ) from None
        self._classes, self._model = classes, SGDClassifier(loss="log_loss", random_state=0)

    def partial_fit(self, x: Array, y: Array) -> Head:
        """Samples, one pass in their order."""
        self._model.shuffle = False
        self._model.partial_fit(sides(x), y, self._classes)
        return self

    def predict(self, x: Array) -> Any:
        """Their classes."""
        return self._model.predict(sides(x))


class Centroids:
    """The nearest of the classes' means, which forgets nothing as it is all that it knows."""

    def __init__(self) -> None:
        self.means: dict[Any, Array] = {}

    def partial_fit(self, x: Array, y: Array) -> Centroids:
        """All samples of the classes among them."""
        self.means |= {label: x[y == label].mean(0) for label in np.unique(y)}
        return self

    def predict(self, x: Array) -> Any:
        """Their classes."""
        means = np.array(list(self.means.values()))
        distance = (means**2).sum(1) - 2 * x @ means.T
        return np.array(list(self.means))[distance.argmin(1)]


def orders(x: Array, y: Array, test: Array, seed: int) -> list[Row]:
    """All rows of one fold, of both settings and of the linear head; test: a mask."""
    train = np.random.default_rng(seed).permutation(np.flatnonzero(~test))
    scale = Scale.learnt(x[train])
    mixed = Split(scale(x[train]), y[train], scale(x[test]), y[test])
    which = np.argsort(mixed.y, kind="stable")
    by_class = Split(mixed.x[which], mixed.y[which], mixed.test_x, mixed.test_y)
    rows = []
    for word, split in (("mixed", mixed), ("by class", by_class)):
        rows += [
            colanet(split, settings, COPIES, seed, f"CoLaNET, {name}, {word}", shuffle=split is mixed)
            for name, settings in SETTINGS.items()
        ]
        head = Head(np.unique(y))
        rows.append(measured(f"linear head, SGD, {word}", partial(head.partial_fit, split.x, split.y), split))
    return rows


def accuracy(learner: Any, x: Array, y: Array) -> float:
    """The part whose class a learner says."""
    return float(np.mean(learner.predict(x) == y))


def sessions(
    x: Array,
    y: Array,
    test: Array,
    seed: int,
    sizes: tuple[int, int],
    judge: Callable[[Any, Array, Array], float] = accuracy,
) -> dict[str, list[float]]:
    """Of each learner what `judge` says of it after the base classes and after each session.

    sizes: base classes, and new ones of a session. Which classes these are is drawn by the seed.
    """
    base, new = sizes
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(y))
    groups = [names[:base], *(names[base + k * new : base + (k + 1) * new] for k in range(SESSIONS))]
    parts = []
    for k, group in enumerate(groups):
        members = rng.permutation(np.flatnonzero(np.isin(y, group) & ~test))
        shots = [members[y[members] == label][:SHOTS] for label in group]
        parts.append(np.concatenate(shots) if k else members)
    scale = Scale.learnt(x[parts[0]])
    learners: dict[str, Callable[[], Any]] = {
        f"CoLaNET, {name} ×{COPIES}": partial(CoLaNET, settings, copies=COPIES, seed=seed)
        for name, settings in SETTINGS.items()
    }
    learners |= {"linear head, SGD": partial(Head, names), "nearest centroid": Centroids}
    reached: dict[str, list[float]] = {}
    for name, make in learners.items():
        learner, reached[name] = make(), []
        for k, part in enumerate(parts):
            learner.partial_fit(scale(x[part]), y[part])
            asked = test & np.isin(y, np.concatenate(groups[: k + 1]))
            reached[name].append(judge(learner, scale(x[asked]), y[asked]))
    return reached


def sizes_of(count: int) -> tuple[int, int]:
    """Base classes of so many, and new ones of a session, none where there are too few."""
    new = count // (2 * SESSIONS)
    return count - SESSIONS * new, new


def sessions_table(runs: list[dict[str, list[float]]]) -> str:
    """Session by session the mean over runs, and the mean of all sessions, as NeuroBench gives them."""
    lines = [
        f"| | base | {' | '.join(map(str, range(1, SESSIONS + 1)))} | mean |",
        "|---" * (SESSIONS + 3) + "|",
    ]
    for name in runs[0]:
        values = 100 * np.mean([run[name] for run in runs], axis=0)
        lines.append(f"| {name} | {' | '.join(f'{v:.1f}' for v in values)} | {values.mean():.1f} |")
    return "\n".join(lines)


def report(x: Array, labels: Array, classes: int, folds: int) -> str:
    """Both tables for features (pictures, features) and their classes."""
    which, y = chosen(labels, classes)
    first, fold = x[which], folds_of(y, folds)
    text = table(mean([orders(first, y, fold == k, k) for k in trange(folds, desc="orders")]))
    which, y = chosen(labels, len(labels))
    x, fold, sizes = x[which], folds_of(y, folds), sizes_of(len(np.unique(y)))
    if not sizes[1]:
        return f"{text}\n\n{sizes[0]} classes are too few for {SESSIONS} sessions"
    runs = [sessions(x, y, fold == k, k, sizes) for k in trange(folds, desc="sessions")]
    about = (
        f"{sizes[0]} base classes, then {SESSIONS} sessions of {sizes[1]} new ones with {SHOTS} pictures each"
    )
    return f"{text}\n\n{about}\n\n{sessions_table(runs)}"


def main() -> None:
    """Print the tables, means over the folds."""
    arguments = options(__doc__, "one after another, at most (%(default)s)").parse_args()
    x, labels = features_of(arguments.pictures, Encoder(arguments.encoder, output=arguments.output))
    print(report(x, labels, arguments.classes, arguments.folds))


if __name__ == "__main__":
    main()
