"""Couples two files: an ANN that runs at a low rate and an SNN that runs at a high one, with an interface between."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.ann import OnnxModel
from hybrid_control.cosim.hybrid import Hybrid, HybridError
from hybrid_control.cosim.parts import AnnPart, ArraySource, DecoderPart, EncoderPart, FunctionPart
from hybrid_control.cosim.parts.snn import load
from hybrid_control.cosim.results import Results, results
from hybrid_control.cosim.trace import TraceWriter
from hybrid_control.snn.nir.files import read

DEFAULTS: dict[str, Any] = {
    "ann_period": "33 ms",
    "ann_latency": "0 ms",
    "snn_period": "1 ms",
    "encoder": "poisson",
    "max_rate": 100.0,
    "decoder": "exponential",
    "tau": 0.05,
    "seed": 0,
}
STRETCH = 64  # between two signs of progress, how many of the longest periods


class HybridCoSimulator:
    """An ONNX file whose output drives a NIR file through spikes, one after the other in time (sequential).

    ann_model: the ONNX file, with one input and one output; snn_model: the NIR file, whose one input has as many
    neurons as the ANN's output has values. interface_config: over `DEFAULTS`: periods, the latency of the ANN, the
    encoder (poisson, regular, latency, phase), max_rate: Hz that stands for 1 at the ANN's output (below 0 is silence),
    the decoder (exponential with tau in s, window, ...), seed. ValueError or OSError, which name the file.

    It is a `Hybrid` of the parts input, ann, rates, encoder, snn and decoder; `hybrid` may be added to.
    """

    def __init__(
        self,
        ann_model: str | os.PathLike[str],
        snn_model: str | os.PathLike[str],
        interface_config: Mapping[str, Any] | None = None,
    ) -> None:
        config = {**DEFAULTS, **(interface_config or {})}
        unknown = sorted(set(config) - set(DEFAULTS))
        if unknown:
            raise ValueError(f"interface_config: unknown {unknown[0]!r}; there are {', '.join(DEFAULTS)}")
        self._config = config
        model = OnnxModel(ann_model)
        self._input, shape = _only(model.inputs, f"{model.path}: inputs")
        self._output, given = _only(model.outputs, f"{model.path}: outputs")
        self._shape, size = shape, int(np.prod(given))
        hybrid = self.hybrid = Hybrid(seed=int(config["seed"]))
        hybrid.add("ann", AnnPart(model), config["ann_period"], config["ann_latency"])
        period, tick = config["ann_period"], config["snn_period"]
        most = float(config["max_rate"])
        hybrid.add("rates", FunctionPart(_Rates(most), {"values": (size,)}, {"rates": (size,)}), period)
        options = {} if config["encoder"] in ("poisson", "regular") else {"max_rate": most}
        hybrid.add("encoder", EncoderPart(config["encoder"], size, **options), tick)
        dt = hybrid.clocks["encoder"].period_ns * 1e-9
        snn = load(read(Path(snn_model)), dt=dt)
        entry, port = _only(
            {n: p for n, p in snn.inputs.items() if p.kind != "states"}, f"{snn_model}: inputs"
        )
        if port.size != size:
            raise HybridError(
                f"{snn_model}: input {entry} has {port.size} neurons, and {model.path} gives {size} values"
            )
        exit_, port = _only(snn.outputs, f"{snn_model}: outputs")
        hybrid.add("snn", snn, tick)
        hybrid.link(f"ann.{self._output}", "rates.values")
        hybrid.link("rates.rates", "encoder.rates")
        hybrid.link("encoder.spikes", f"snn.{entry}")
        hybrid.record = [f"ann.{self._output}", f"snn.{exit_}"]
        if port.kind == "spikes":
            options = {"tau": float(config["tau"])} if config["decoder"] == "exponential" else {}
            hybrid.add("decoder", DecoderPart(config["decoder"], port.size, **options), tick)
            hybrid.link(f"snn.{exit_}", "decoder.spikes")
            hybrid.record.append("decoder.rates")

    def simulate(
        self,
        input_data: ArrayLike,
        simulation_time: float,
        progress: Callable[[float], None] | None = None,
        *,
        trace: str | os.PathLike[str] | None = None,
    ) -> Results:
        """Run it from the start.

        input_data: (n, *the ANN's input shape), row k for the ANN's run k, the last row from then on; or one such
        input without the first axis. simulation_time: s. progress, trace: as `run` takes them.
        """
        rows = np.asarray(input_data)
        if rows.shape == self._shape:
            rows = rows[None]
        if rows.shape[1:] != self._shape:
            raise ValueError(
                f"input_data: shape {rows.shape}, expected (n, {', '.join(map(str, self._shape))})"
            )
        hybrid = self.hybrid
        if "input" not in hybrid.parts:
            hybrid.add("input", ArraySource(rows), self._config["ann_period"])
            hybrid.link("input.out", f"ann.{self._input}")
        hybrid.parts["input"] = ArraySource(rows)
        hybrid.until_ns = round(simulation_time * 1e9)
        return run(hybrid, progress, trace=trace)


class _Rates:
    """What an ANN gives, as rates in Hz."""

    def __init__(self, most: float) -> None:
        self._most = most

    def __call__(self, values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        return {"rates": np.maximum(values, 0.0) * self._most}


def _only(named: Mapping[str, Any], what: str) -> tuple[str, Any]:
    if len(named) != 1:
        raise HybridError(
            f"{what}: {', '.join(named) or 'none'}; with more than one, describe a hybrid in a file"
        )
    return next(iter(named.items()))


def run(
    hybrid: Hybrid,
    progress: Callable[[float], None] | None = None,
    *,
    trace: str | os.PathLike[str] | None = None,
    keep: bool = True,
) -> Results:
    """Run a hybrid from 0 to its `until_ns`. PartError where a part fails; HybridError where it can't be run.

    progress: called with the share that is done. trace: an MCAP file that is written while it runs, and holds what ran
    until a failure. keep: whether the results have what was recorded; without, memory does not grow with time.
    """
    scheduler = hybrid.scheduler(keep=keep)
    begun = time.perf_counter()
    writer = None
    try:
        scheduler.reset(hybrid.seed)
        if trace is not None:
            writer = TraceWriter(Path(trace), hybrid, scheduler)
            scheduler.observe(writer)
        stretch = STRETCH * max(clock.period_ns for clock in hybrid.clocks.values())
        now = 0
        while now < hybrid.until_ns:
            now = min(now + stretch, hybrid.until_ns)
            scheduler.advance(now)
            if progress is not None:
                progress(now / hybrid.until_ns)
        if writer is not None:
            writer.close()
    except BaseException as error:
        if writer is not None:
            writer.close(error)
        raise
    finally:
        scheduler.close()
    return results(scheduler, time.perf_counter() - begun)
