"""How near a converted network is to its ANN tick by tick, and what both cost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    share of examples of the same class (the greatest value). right: share that is right, where labels were given;
    ann_right: of the ANN. events: synapses reached by spikes in so many ticks; value_macs: multiply-accumulates of
    what values drive (the input, and what follows a pooling), zeros left out; spikes: of all neurons. macs: the ANN's.
    seconds: the engine's time for an example and all ticks. given: for each example what the network gave at each
    mark, by tensor (examples, marks, values).
    """

    marks: tuple[int, ...]
    examples: int
    macs: int
    neurons: int
    error: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    ann_right: float = math.nan
    events: list[float] = field(default_factory=list)
    value_macs: list[float] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)
    seconds: float = 0.0
    given: dict[str, Array] = field(default_factory=dict)

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
    engine, file = conversion.engine(), conversion.reader.file
    data, marks = by_input(conversion.reader, data), tuple(sorted(set(marks)))
    given: dict[str, list[Array]] = {tensor: [] for tensor in file.end}
    wanted: dict[str, list[Array]] = {tensor: [] for tensor in file.end}
    by_spikes, counts, seconds = _by_spikes(engine), np.zeros((len(marks), 3)), 0.0
    for tensors in conversion.examples(data):
        conversion.present(engine, tensors)
        rows: dict[str, list[Array]] = {tensor: [] for tensor in file.end}
        for i, (before, mark) in enumerate(zip((0, *marks), marks, strict=False)):
            start = time.perf_counter()
            engine.run(mark - before)
            seconds += time.perf_counter() - start
            counts[i] += _counts(engine, by_spikes)
            for tensor in file.end:
                rows[tensor].append(engine.output(conversion.outputs[tensor]).reshape(-1) / mark)
        for tensor in file.end:
            given[tensor].append(np.stack(rows[tensor]))
            wanted[tensor].append(tensors[tensor].reshape(-1))
    number = len(given[file.end[0]])
    result = Comparison(
        marks, number, conversion.macs, sum(engine.node(n).size_out for n in _spiking(engine))
    )
    result.given = {tensor: np.stack(rows) for tensor, rows in given.items()}
    result.events, result.value_macs, result.spikes = (
        list(map(float, counts[:, k] / number)) for k in range(3)
    )
    result.seconds = seconds / number
    ann = {tensor: np.stack(rows) for tensor, rows in wanted.items()}
    squares = sum(((result.given[t] - ann[t][:, None]) ** 2).mean(axis=(0, 2)) for t in file.end)
    around = sum(float(ann[t].var()) for t in file.end)
    result.error = [float(v) for v in np.sqrt(squares / max(around, 1e-300))]
    said, first = result.given[file.end[0]].argmax(axis=2), ann[file.end[0]].argmax(axis=1)
    result.agreement = [float(v) for v in (said == first[:, None]).mean(axis=0)]
    if labels is not None:
        result.right = [float(v) for v in (said == np.asarray(labels)[:, None]).mean(axis=0)]
        result.ann_right = float((first == labels).mean())
    return result


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
