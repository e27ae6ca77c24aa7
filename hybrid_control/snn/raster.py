"""Draws rasters of spikes; needs matplotlib, which comes with the extra `sim`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def draw_raster(trains: Mapping[str, NDArray[np.floating]], dt: float, path: str | Path) -> None:
    """Write an image with a panel for each train: a mark for each spike, time in s against neuron.

    trains: by name, (steps, neurons...), not 0 where there is a spike. dt: seconds of a tick. ValueError where
    matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("drawing needs matplotlib: pip install '.[sim]' in the repository") from error
    figure = Figure(figsize=(9, 1 + 2.2 * len(trains)), layout="constrained")
    panels = figure.subplots(len(trains), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (name, values) in zip(panels, trains.items(), strict=True):
        flat = values.reshape(values.shape[0], math.prod(values.shape[1:]))
        step, neuron = np.nonzero(flat)
        panel.plot(step * dt, neuron, "|", markersize=3, color="black")
        panel.set(ylabel=name, xlim=(0, max(flat.shape[0], 1) * dt), ylim=(-0.5, flat.shape[1] - 0.5))
    panels[-1].set_xlabel("time in s")
    figure.savefig(path, dpi=150)
