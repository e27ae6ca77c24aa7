"""How near a converted network is to its ANN tick by tick, and what both cost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import nir
import numpy as np

from hybrid_control.learning.conversion.convert import Conversion
from hybrid_control.learning.conversion.layers import Array
from hybrid_control.learning.conversion.scales import by_input
from hybrid_control.snn import Engine
from hybrid_control.snn.energy import HOROWITZ_45NM, EnergyConstants

MARKS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass
class Comparison:
    """Means over examples. Lists have an entry for each of `marks`, numbers of ticks.

    error: root mean square of the difference to the ANN, over that of the ANN's values around their mean. agreement:
    share of examples of the same class (the greatest value). Both twice: of the mean of all ticks, and (late) of the
    mean of their second half alone, which leaves out what the first ticks were still wrong about. right: share that is
    right by the second half, where labels were given; ann_right: of the ANN. events: synapses reached by spikes in so
    many ticks; value_macs: multiply-accumulates of what values drive (the input, and what follows a pooling), zeros
    left out; spikes: of all neurons. macs: the ANN's. seconds: the engine's time for an example and all ticks. given,
    late: what the network gave at each mark, by tensor (examples, marks, values); wanted: the ANN (examples, values).
    """

    marks: tuple[int, ...]
    examples: int
    macs: int
    neurons: int
    events: list[float]
    value_macs: list[float]
    spikes: list[float]
    seconds: float
    given: dict[str, Array]
    late: dict[str, Array]
    wanted: dict[str, Array]
    labels: Array | None = None

    def _error(self, given: Mapping[str, Array]) -> list[float]:
        squares = sum(((given[t] - ann[:, None]) ** 2).mean(axis=(0, 2)) for t, ann in self.wanted.items())
        around = sum(float(ann.var()) for ann in self.wanted.values())
        return [float(v) for v in np.sqrt(squares / max(around, 1e-300))]

    def _shares(self, given: Mapping[str, Array], classes: Array) -> list[float]:
        said = next(iter(given.values())).argmax(axis=2)
        return [float(v) for v in (said == classes[:, None]).mean(axis=0)]

    @property
    def _first(self) -> Array:
        return np.asarray(next(iter(self.wanted.values())).argmax(axis=1))

    @property
    def error(self) -> list[float]:
        """Of the mean of all ticks."""
        return self._error(self.given)

    @property
    def late_error(self) -> list[float]:
        """Of the mean of the second half."""
        return self._error(self.late)

    @property
    def agreement(self) -> list[float]:
        """By the mean of all ticks."""
        return self._shares(self.given, self._first)

    @property
    def late_agreement(self) -> list[float]:
        """By the mean of the second half."""
        return self._shares(self.late, self._first)

    @property
    def right(self) -> list[float]:
        """By the mean of the second half; empty without labels."""
        return [] if self.labels is None else self._shares(self.late, self.labels)

    @property
    def ann_right(self) -> float:
        """Of the ANN; NaN without labels."""
        return math.nan if self.labels is None else float((self._first == self.labels).mean())

    def joules(self, mark: int, constants: EnergyConstants = HOROWITZ_45NM) -> tuple[float, float]:
        """Of the ANN, and of the spiking network in so many ticks."""
        at = self.marks.index(mark)
        spiking = self.events[at] * constants.synaptic_event_pj + self.value_macs[at] * constants.mac_pj
        return 1e-12 * self.macs * constants.mac_pj, 1e-12 * spiking


def compare(
    conversion: Conversion,
    data: Mapping[str, Array] | Array,
    marks: Sequence[int] = MARKS,
    labels: Array | None = None,
) -> Comparison:
    """Run both on data for the file's inputs, (n, *shape) each. labels (n,): classes of the first tensor of the end."""
    engine, ends = conversion.engine(), conversion.reader.file.end
    data, marks = by_input(conversion.reader, data), tuple(sorted(set(marks)))
    stops = sorted({*marks, *(mark // 2 for mark in marks)} - {0})
    rows: dict[str, list[Array]] = {tensor: [] for tensor in ends}  # sums at each stop, of each example
    wanted: dict[str, list[Array]] = {tensor: [] for tensor in ends}
    by_spikes, counts, seconds = _by_spikes(engine), np.zeros((len(stops) + 1, 3)), 0.0
    for tensors in conversion.examples(data):
        conversion.present(engine, tensors)
        sums: dict[str, list[Array]] = {t: [np.zeros(tensors[t].size, engine.dtype)] for t in ends}
        for i, (before, stop) in enumerate(zip((0, *stops), stops, strict=False)):
            start = time.perf_counter()
            engine.run(stop - before)
            seconds += time.perf_counter() - start
            counts[i + 1] += _counts(engine, by_spikes)
            for tensor in ends:
                sums[tensor].append(engine.output(conversion.outputs[tensor]).reshape(-1).copy())
        for tensor in ends:
            rows[tensor].append(np.stack(sums[tensor]))
            wanted[tensor].append(tensors[tensor].reshape(-1))
    places = [0, *stops]
    at, half = ([places.index(mark // divisor) for mark in marks] for divisor in (1, 2))
    ticks, late = np.array(marks)[:, None], np.array([mark - mark // 2 for mark in marks])[:, None]
    every = {tensor: np.stack(values) for tensor, values in rows.items()}
    number = len(rows[ends[0]])
    events, macs, spikes = (list(map(float, counts[at, k] / number)) for k in range(3))
    return Comparison(
        marks, number, conversion.macs, sum(engine.node(name).size_out for name in _spiking(engine)),
        events, macs, spikes, seconds / number,
        {tensor: values[:, at] / ticks for tensor, values in every.items()},
        {tensor: (values[:, at] - values[:, half]) / late for tensor, values in every.items()},
        {tensor: np.stack(values) for tensor, values in wanted.items()},
        None if labels is None else np.asarray(labels),
    )  # fmt: skip


def _spiking(engine: Engine) -> list[str]:
    return [name for name in engine.populations if engine.node(name).spiking]


def _by_spikes(engine: Engine) -> dict[str, bool]:
    """Of each projection: whether spikes drive it, and not values."""
    nodes = engine.graph.nodes
    sources: dict[str, list[str]] = {}
    for a, b in engine.graph.edges:
        sources.setdefault(b, []).append(a)

    def spikes(name: str) -> bool:
        node = nodes[name]
        passing = node.nir is None or isinstance(node.nir, (nir.Scale, nir.Flatten))
        return node.spiking or (passing and all(spikes(source) for source in sources.get(name, [])))

    return {name: all(spikes(source) for source in sources.get(name, [])) for name in engine.synapses}


def _counts(engine: Engine, by_spikes: Mapping[str, bool]) -> Array:
    """Events by spikes, multiply-accumulates by values, and spikes since the start.

    A Scale or a pooling is no projection of the engine's; each spike that comes to one is counted as an event.
    """
    counters = engine.counters
    events = sum(count for name, count in counters.events.items() if by_spikes[name])
    macs = sum(count for name, count in counters.events.items() if not by_spikes[name])
    copied = [a for a, b in engine.graph.edges if isinstance(engine.node(b).nir, (nir.Scale, nir.AvgPool2d))]
    events += sum(counters.spikes.get(name, 0) for name in copied)
    return np.array([events, macs, sum(counters.spikes.values())], np.float64)
