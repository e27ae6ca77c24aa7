"""Data-based normalisation: what a spike of each unit is worth, from what the ANN's units give on data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hybrid_control.learning.conversion.layers import Array, Spikes
from hybrid_control.learning.conversion.onnx_file import ConversionError
from hybrid_control.learning.conversion.reading import Reader

BINS = 2048
LEAST = 0.01  # of a layer's scale: what a channel that the data hardly move gets


def by_input(reader: Reader, data: Mapping[str, Array] | Array) -> dict[str, Array]:
    """Data by the file's inputs; an array is of its one input.

    ConversionError where they are not (n, *shape) finite numbers for each of them.
    """
    path, inputs = reader.file.path, reader.file.inputs
    if not isinstance(data, Mapping):
        if len(inputs) != 1:
            raise ConversionError(
                f"{path}: data are one array; expected one for each of {', '.join(inputs)}, by name"
            )
        data = {next(iter(inputs)): data}
    if set(data) != set(inputs):
        raise ConversionError(
            f"{path}: data are of {', '.join(sorted(data))}; the file's inputs are {', '.join(inputs)}"
        )
    for name, shape in inputs.items():
        rows = data[name]
        if rows.shape[1:] != shape or not len(rows):
            raise ConversionError(
                f"{path}: data of {name!r} have the shape {rows.shape}; expected (examples, *{shape})"
            )
        if rows.dtype.kind not in "biuf" or not np.isfinite(rows).all():
            raise ConversionError(f"{path}: data of {name!r} are not all finite numbers")
    if len({len(rows) for rows in data.values()}) > 1:
        numbers = ", ".join(f"{len(rows)} of {name}" for name, rows in data.items())
        raise ConversionError(f"{path}: data have {numbers}; expected as many of each")
    return dict(data)


def scales(
    reader: Reader, data: Mapping[str, Array], percentile: float = 99.9, by: str = "channel"
) -> dict[str, Array]:
    """The scale of each population, in its shape: a percentile of what its units give, by channel or by layer.

    percentile: 0 to 100, of all values above 0 of a channel or of the layer. A unit that gives more is cut
    there. Found from a histogram of the values between 0 and the most.
    """
    if not 0 < percentile <= 100:
        raise ConversionError(f"percentile {percentile:g}: expected above 0 and at most 100")
    if by not in ("channel", "layer"):
        raise ConversionError(f"scales by {by!r}; expected channel or layer")
    layers = [layer for layer in reader.layers if isinstance(layer, Spikes)]
    tensors = list(dict.fromkeys(layer.tensor for layer in layers))
    most = {name: np.zeros(reader.file.shapes[name][1]) for name in tensors}
    for found in reader.file.values(data, tensors):
        for name, value in found.items():
            most[name] = np.maximum(most[name], np.abs(value[0]).reshape(len(most[name]), -1).max(axis=1))
    counts = {name: np.zeros((len(limit), BINS), np.int64) for name, limit in most.items()}
    for found in reader.file.values(data, tensors):
        for name, value in found.items():
            _count(counts[name], np.abs(value[0]).reshape(len(most[name]), -1), most[name])
    chosen = {name: _percentile(counts[name], most[name], percentile, by) for name in tensors}
    result = {}
    for layer in layers:
        scale = np.minimum(layer.times * chosen[layer.tensor], layer.cap)
        result[layer.name] = np.repeat(scale, layer.size // len(scale)).reshape(layer.shape)
    return result


def _count(counts: Array, values: Array, most: Array) -> None:
    channel, at = np.nonzero(values > 0)
    bins = np.minimum((values[channel, at] / most[channel] * BINS).astype(np.int64), BINS - 1)
    counts += np.bincount(channel * BINS + bins, minlength=counts.size).reshape(counts.shape)


def _percentile(counts: Array, most: Array, percentile: float, by: str) -> Array:
    """Of each channel: the upper edge of the bin that holds it."""
    channels = len(most)
    edges = most[:, None] * np.arange(1, BINS + 1) / BINS
    if by == "layer":
        order = np.argsort(edges, axis=None)
        edges, counts = edges.reshape(1, -1)[:, order], counts.reshape(1, -1)[:, order]
    share = counts.cumsum(axis=1) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    at = np.minimum((share < percentile / 100).sum(axis=1, keepdims=True), share.shape[1] - 1)
    found = np.take_along_axis(edges, at, axis=1)[:, 0]
    found = np.broadcast_to(found, (channels,))
    top = float(found.max())
    return np.maximum(found, LEAST * top if top > 0 else 1.0)
