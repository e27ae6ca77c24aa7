"""Trains spiking forecasters of many sizes at every offset, and judges and counts their forecasts.

`python -m hybrid_control.bench.mackey_glass.train OUT [PAST]` takes a quarter of an hour on one core and needs torch.
It writes OUT/series.npy, spiking.json and, of the first offset, forecaster.nir. PAST: what the series was before it
began; 1.1 is the other series on which sizes and rates were chosen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.mackey_glass.forecaster import Course, Learner, counted, forecast
from hybrid_control.bench.mackey_glass.series import OFFSETS, PAST, constant, cut, interval, series, smape
from hybrid_control.snn.nir import files

Array = NDArray[np.float64]

SIZES = {1: (50, 100, 200, 500, 1000, 2000), 2: (100, 200, 500, 1000, 2000, 4000)}
"""Neurons in all, by dendrites."""
KEPT = (2, 2000, OFFSETS[0])  # the size and offset of which a file is written


def _trained(values: Array, dendrites: int, out: Path) -> Iterator[list[dict[str, Any]]]:
    """A row of each size with so many dendrites, after each offset."""
    rows: list[dict[str, Any]] = [
        {"dendrites": dendrites, "neurons": n, "errors": [], "metrics": []} for n in SIZES[dendrites]
    ]
    for offset in tqdm(OFFSETS, desc=f"offsets, {dendrites} dendrites"):
        learned, truth = cut(values, offset)
        learner = Learner(learned, Course(dendrites))
        synapses = learner.dendrites()
        for row in rows:
            network = learner.read_out(synapses, row["neurons"])
            found = forecast(network, learned)
            row["errors"].append(smape(found, truth))
            if np.isfinite(found).all():
                row["metrics"].append(counted(network, learned, found, learner.course.taps).named())
            if (dendrites, row["neurons"], offset) == KEPT:
                files.write(out / "forecaster.nir", network.to_nir())
        yield rows


def main(out: Path, past: float) -> None:
    """All sizes on all offsets; what there is so far is written after each."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    values = series(past=past)
    np.save(out / "series.npy", values)
    done: list[dict[str, Any]] = []
    for dendrites in SIZES:
        rows: list[dict[str, Any]] = []
        for rows in _trained(values, dendrites, out):
            result = {"constant": constant(values), "spiking": done + rows}
            (out / "spiking.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        done += rows
        for row in rows:
            mean, half = interval(row["errors"])
            print(
                f"{dendrites} dendrites, {row['neurons']} neurons: sMAPE {mean:.2f} ± {half:.2f}", flush=True
            )


if __name__ == "__main__":
    parser = parser_of("mackey_glass.train", __doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder, is made")
    parser.add_argument("past", type=float, nargs="?", default=PAST, metavar="PAST", help="(%(default)s)")
    run(parser, lambda given: main(given.out, given.past))
