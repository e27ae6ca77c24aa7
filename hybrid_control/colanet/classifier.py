"""The classifier: one CoLaNET or an ensemble of copies of it, with the methods that users of scikit-learn know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.colanet import kernel, state
from hybrid_control.colanet.settings import ACTIVATIONS, Settings

Label = int | str
COPIES = 256  # at most
INPUTS = 1 << 16  # at most
CLASSES = 4096  # at most
SYNAPSES = 1 << 28  # of all copies together: 2 GiB


@dataclass(frozen=True)
class Snapshot:
    """What a classifier had learnt at one moment; arrays are copies of their own."""

    labels: tuple[Label, ...]
    samples: int
    resource: state.Floats
    stability: state.Floats
    free: state.Floats


class CoLaNET:
    """A classifier that learns by local plasticity, each sample once, and takes up new classes at any time.

    settings: of every copy. copies: networks that differ in their noise and, with `settings.turns`, in how they see a
    sample; their spikes are added up. seed: of both; the same seed and samples give the same weights to the bit. Inputs
    are numbers of 0 and more, with `settings.turns` of any sign; from `settings.saturation` on an input fires at every
    tick. Labels are whole numbers or text, all of one kind.

    ValueError says in one line what is wrong with a sample; nothing is learnt of a call that is refused.
    """

    def __init__(self, settings: Settings = ACTIVATIONS, *, copies: int = 1, seed: int = 0) -> None:
        if not 1 <= copies <= COPIES:
            raise ValueError(f"copies {copies}: expected 1 to {COPIES}")
        if not 0 <= seed < 1 << 63:
            raise ValueError(f"seed {seed}: expected a whole number of 0 or more, of 63 bits")
        self.settings, self.copies, self.seed = settings, copies, seed
        self.n_features_in_ = 0
        self.samples = 0  # learnt so far
        self._columns: dict[Label, int] = {}

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels in the order of their columns, which is that in which they came."""
        return np.array(list(self._columns))

    def learn(self, x: ArrayLike, label: Label) -> None:
        """One sample (inputs,) of a class, known or new."""
        self.partial_fit(np.asarray(x)[None], [label])

    def partial_fit(
        self,
        X: ArrayLike,
        y: Sequence[Label] | NDArray[Any],
        classes: Sequence[Label] | None = None,
        *,
        shuffle: bool = False,
    ) -> CoLaNET:
        """Samples (samples, inputs) with their labels, in their order, each once; classes: any that will come.

        shuffle: each copy takes every 256 of them in an order of its own, which makes the copies differ more.
        """
        rows = self._checked(X)
        labels = [self.checked_label(label) for label in y]
        if len(labels) != len(rows):
            raise ValueError(f"{len(labels)} labels for {len(rows)} samples")
        self._grow(
            rows.shape[1], [*(self.checked_label(c) for c in (() if classes is None else classes)), *labels]
        )
        columns = np.array([self._columns[label] for label in labels], np.int32)
        for start in range(0, len(rows), state.BATCH):
            part = slice(start, start + state.BATCH)
            X_part, y_part = rows[part], columns[part]
            orders = self._orders(len(X_part), shuffle)
            kernel.learn(
                self._weights, X_part, y_part, orders, self.samples, self._batch, self._numbers, self._scratch
            )
            self.samples += len(X_part)
        return self

    def _orders(self, samples: int, shuffle: bool) -> state.Ints:
        """In which each copy takes the samples of a batch: (copies, samples)."""
        orders = np.tile(np.arange(samples, dtype=np.int32), (self.copies, 1))
        if shuffle:
            np.random.default_rng((self.seed, self.samples)).permuted(orders, axis=1, out=orders)
        return orders

    def fit(self, X: ArrayLike, y: Sequence[Label] | NDArray[Any], *, shuffle: bool = False) -> CoLaNET:
        """Forget everything, then `partial_fit`: one pass."""
        fresh = CoLaNET(self.settings, copies=self.copies, seed=self.seed).partial_fit(X, y, shuffle=shuffle)
        self.__dict__.update(fresh.__dict__)
        return self

    def decision_function(self, X: ArrayLike) -> state.Floats:
        """Spikes of each class's OUT, all copies together: (samples, classes)."""
        return self._decided(X)[0]

    def predict(self, X: ArrayLike) -> Any:
        """The labels of samples (samples, inputs), or the label of one sample (inputs,).

        The class whose OUT fired most. Where several did, or none, that of them whose neurons came nearest to their
        thresholds, or farthest above: the published rule leaves this open.
        """
        single = np.ndim(X) == 1
        labels = self._said(*self._decided(np.asarray(X)[None] if single else X))
        return labels[0].item() if single else labels

    def _said(self, out: state.Floats, near: state.Floats) -> NDArray[Any]:
        best = np.where(out == out.max(1, keepdims=True), near, -np.inf).argmax(1)
        return self.classes_[best]

    def score(self, X: ArrayLike, y: Sequence[Label] | NDArray[Any], *, spoken: bool = False) -> float:
        """The part of the samples whose label `predict` says; spoken: where no OUT fired counts as wrong."""
        out, near = self._decided(X)
        labels = np.asarray(y)
        if labels.shape != (len(out),):
            raise ValueError(f"labels of shape {labels.shape} for {len(out)} samples")
        right = self._said(out, near) == labels
        return float(np.mean(right & (out.max(1) > 0) if spoken else right))

    def snapshot(self) -> Snapshot:
        """What has been learnt, to go back to."""
        w = self._learnt()
        return Snapshot(
            tuple(self._columns), self.samples, w.resource.copy(), w.stability.copy(), w.free.copy()
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this classifier, or of one with the same settings and copies."""
        neurons = len(snapshot.labels) * self.settings.microcolumns
        if snapshot.resource.shape[:2] != (self.copies, neurons):
            raise ValueError(
                f"a snapshot of {snapshot.resource.shape[:2]} copies and neurons; expected {(self.copies, neurons)}"
            )
        self._columns = {label: column for column, label in enumerate(snapshot.labels)}
        self.samples = snapshot.samples
        self._prepare(snapshot.resource.shape[2] // state.inputs_of(self.settings, 1))
        for name in ("resource", "stability", "free"):
            getattr(self._weights, name)[:] = getattr(snapshot, name)
        kernel.weigh_copies(self._weights, self._numbers)

    def _learnt(self) -> kernel.Weights:
        if not self._columns:
            raise ValueError("nothing has been learnt yet: learn, partial_fit or fit come first")
        return self._weights

    def _decided(self, X: ArrayLike) -> tuple[state.Floats, state.Floats]:
        weights = self._learnt()
        rows = self._checked(X)
        out, near = (np.zeros((len(rows), len(self._columns)), np.float32) for _ in range(2))
        for start in range(0, len(rows), state.BATCH):
            part = slice(start, start + state.BATCH)
            kernel.decide(
                weights, rows[part], out[part], near[part], self._batch, self._numbers, self._scratch
            )
        return out, near

    def _checked(self, X: ArrayLike) -> state.Floats:
        """Samples as the kernel takes them."""
        try:
            with np.errstate(over="ignore"):
                rows = np.ascontiguousarray(X, np.float32)
        except (TypeError, ValueError):
            raise ValueError("inputs: expected numbers, as many for every sample") from None
        if rows.ndim != 2 or not 1 <= rows.shape[1] <= INPUTS:
            raise ValueError(f"inputs of shape {rows.shape}: expected (samples, 1 to {INPUTS} inputs)")
        if self.n_features_in_ and rows.shape[1] != self.n_features_in_:
            raise ValueError(f"{rows.shape[1]} inputs: this classifier has learnt with {self.n_features_in_}")
        if not np.isfinite(rows).all():
            sample, place = np.argwhere(~np.isfinite(rows))[0]
            raise ValueError(
                f"input {place} of sample {sample} is {rows[sample, place]}: expected a finite number"
            )
        if not self.settings.turns and rows.size and rows.min() < 0:
            sample, place = np.argwhere(rows < 0)[0]
            raise ValueError(
                f"input {place} of sample {sample} is {rows[sample, place]:g}: expected 0 or more"
            )
        return rows

    def checked_label(self, label: Any) -> Label:
        """A label as it is kept. ValueError where it is neither a whole number nor text."""
        value = label.item() if isinstance(label, np.generic) else label
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"label {value!r}: expected a whole number or text")
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"label {value}: expected a whole number of 64 bits")
        if isinstance(value, str) and (not value or value.endswith("\0")):
            raise ValueError(f"label {value!r}: expected text that does not end in NUL")
        return value

    def _grow(self, inputs: int, labels: list[Label]) -> None:
        """A column for each label that has none."""
        columns = self._columns.copy()
        for label in labels:
            columns.setdefault(label, len(columns))
        kinds = {type(label).__name__ for label in columns}
        if len(kinds) > 1:
            raise ValueError("labels of two kinds, int and str: expected one kind")
        if len(columns) == len(self._columns):
            return
        neurons = self.copies * len(columns) * self.settings.microcolumns
        synapses = neurons * state.inputs_of(self.settings, inputs)
        if len(columns) > CLASSES or synapses > SYNAPSES:
            raise ValueError(
                f"{len(columns)} classes of {inputs} inputs make {synapses:,} synapses; "
                f"at most {CLASSES} classes and {SYNAPSES:,} synapses"
            )
        old = self._weights if self._columns else None
        self._columns = columns
        self._prepare(inputs)
        if old is not None:
            neurons = old.resource.shape[1]
            self._weights.weight[:, :, :neurons] = old.weight
            for name in ("resource", "positive", "stability", "free"):
                getattr(self._weights, name)[:, :neurons] = getattr(old, name)

    def _prepare(self, values: int) -> None:
        """Weights of neurons that have learnt nothing, for the columns that there are."""
        neurons, inputs = (
            len(self._columns) * self.settings.microcolumns,
            state.inputs_of(self.settings, values),
        )
        self._numbers = state.numbers_of(self.settings, inputs, self.seed)
        if self.n_features_in_ != values:
            self._batch = state.new_batch(self.settings, self.copies, values, self.seed)
        self.n_features_in_, self._scratch = values, state.new_scratch(neurons)
        self._weights = state.new_weights(self.settings, self.copies, inputs, neurons)
