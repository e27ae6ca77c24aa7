"""A conversion as a whole: read, normalised, built, its initial potentials set by data, and run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hybrid_control.learning.conversion.layers import Array, Spikes
from hybrid_control.learning.conversion.onnx_file import OnnxFile
from hybrid_control.learning.conversion.reading import Reader
from hybrid_control.learning.conversion.scales import by_input, scales
from hybrid_control.learning.conversion.spiking import OPTIONS, Builder
from hybrid_control.snn import Engine, Network

TICKS = 64
EXAMPLES = 16  # that the initial potentials are set by
FARTHEST = 4.0  # spikes' worth that a start may lie from 1/2


@dataclass
class Conversion:
    """A network and what it was made of.

    network: the spiking network; run it with `OPTIONS`. outputs: its output of each tensor of the end, the sum of what
    came in so many ticks. scales, shifts: as `Builder` takes them.
    """

    reader: Reader
    scales: dict[str, Array]
    shifts: dict[str, Array] = field(default_factory=dict)
    network: Network = field(init=False)
    outputs: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> None:
        """The network anew, from scales and shifts."""
        built = Builder(self.reader, self.scales, self.shifts)
        self.network, self.outputs = built.network, built.outputs

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the ANN's part that was converted, for one example."""
        return sum(layer.macs for layer in self.reader.layers)

    @property
    def inputs(self) -> dict[str, str]:
        """The network's input of each tensor of the start."""
        return dict(zip(self.reader.file.start, (layer.name for layer in self.reader.layers), strict=False))

    def engine(self) -> Engine:
        """The network on the engine, before its first tick."""
        return Engine.load(self.network, OPTIONS)

    def examples(self, data: Mapping[str, Array], more: Sequence[str] = ()) -> Iterator[dict[str, Array]]:
        """Of each example of data for the file's inputs: the tensors of start and end, and others; batch axes cut."""
        file = self.reader.file
        names = list(dict.fromkeys([*file.start, *file.end, *more]))
        for found in file.values(data, names):
            yield {name: np.asarray(value)[0] for name, value in found.items()}

    def present(self, engine: Engine, tensors: Mapping[str, Array]) -> None:
        """Before the first tick, with currents that stand for one example."""
        engine.reset()
        for tensor, name in self.inputs.items():
            engine.input(name)[...] = tensors[tensor]


def convert(
    path: str | os.PathLike[str],
    data: Mapping[str, Array] | Array,
    ticks: int = TICKS,
    percentile: float = 99.9,
    by: str = "channel",
    cuts: tuple[Sequence[str], Sequence[str]] = ((), ()),
    calibrated: bool = True,
) -> Conversion:
    """An ONNX file as a spiking network that is to be read after `ticks` ticks.

    data: (n, *shape) for each of the file's inputs, or for its one input, of the kind that it will see. percentile, by:
    as `scales` takes them. cuts: tensors to begin and to end at (`OnnxFile`). calibrated: with initial potentials set
    by the first `EXAMPLES` of the data. ConversionError names a node that can't be converted.
    """
    reader = Reader(OnnxFile(path, *cuts))
    data = by_input(reader, data)
    conversion = Conversion(reader, scales(reader, data, percentile, by))
    if calibrated:
        calibrate(conversion, {name: rows[:EXAMPLES] for name, rows in data.items()}, ticks)
    return conversion


def calibrate(conversion: Conversion, data: Mapping[str, Array], ticks: int) -> None:
    """Set each channel's initial potential so that its units fire as often in `ticks` ticks as the ANN's values say.

    What a spiking layer gives too much or too little comes from its first ticks and does not grow with time, so it is
    put right at the start, where it is forgotten as the ticks grow. Layer by layer, each after those before it.
    """
    reader, file = conversion.reader, conversion.reader.file
    populations = [layer for layer in reader.layers if isinstance(layer, Spikes)]
    layers = [p for p in populations if p.times == 1.0 and p.name in conversion.network.nodes]
    examples = list(conversion.examples(data))
    wanted = {layer.name: np.zeros(layer.shape) for layer in layers}
    for found in file.values(data, [layer.tensor for layer in layers]):
        for layer in layers:
            rate = found[layer.tensor].reshape(layer.shape) / conversion.scales[layer.name]
            wanted[layer.name] += ticks * np.minimum(rate, 1.0) / len(examples)
    for layer in layers:
        given = np.zeros(layer.shape)
        engine = Engine.load(Builder(reader, conversion.scales, conversion.shifts, layer).network, OPTIONS)
        for tensors in examples:
            conversion.present(engine, tensors)
            for _ in range(ticks):
                engine.step()
                given += engine.read(layer.name)
        channels = file.shapes[layer.tensor][1]
        gap = (wanted[layer.name] - given / len(examples)).reshape(channels, -1).mean(axis=1)
        shift = -np.repeat(np.clip(gap, -FARTHEST, FARTHEST), layer.size // channels).reshape(layer.shape)
        conversion.shifts[layer.name] = shift
    conversion.build()
