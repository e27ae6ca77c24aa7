"""The closed loop with what is here: as a co-simulation, its plant compiled or in Python; and the engine by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hybrid_control.bench.closed_loop.loops import Loop, NumbaLoop, PythonLoop, Spikes, move, numpy_loop
from hybrid_control.bench.closed_loop.workload import (
    ANN_TICKS,
    DT,
    HIDDEN,
    INPUTS,
    OUTPUTS,
    TAU,
    Ann,
    Arrays,
    ChainPlant,
)
from hybrid_control.cosim import Hybrid
from hybrid_control.cosim.link import LinkOptions
from hybrid_control.cosim.part import Part
from hybrid_control.cosim.parts import AnnPart, plant_part, snn
from hybrid_control.snn import Engine, Network

TICK = 1_000_000  # ns


def network(data: Arrays) -> Network:
    """16 inputs to 256 recurrent LIF neurons to 8."""
    net = Network()
    net.add_input("input", INPUTS)
    for name, size in (("hidden", HIDDEN), ("output", OUTPUTS)):
        net.add_population(name, nir.LIF, size, tau=TAU, r=TAU / DT)
    net.connect("input", "hidden", data["input"])
    net.connect("hidden", "hidden", data["recurrent"])
    net.connect("hidden", "output", data["output"])
    net.add_output("spikes", "output")
    return net


def compiled_plant(data: Arrays) -> Any:
    """The plant as a `cosim.parts.CompiledPlant`."""
    a, b = (np.ascontiguousarray(data[name].T) for name in ("plant_state", "plant_drive"))

    @njit
    def kernel(state, push, x, dt):  # type: ignore[no-untyped-def]
        x[:] = state[:INPUTS]
        move(state[:INPUTS], push, a, b, state[INPUTS:])

    class Compiled:
        inputs: Mapping[str, tuple[int, ...]] = ChainPlant.inputs
        outputs: Mapping[str, tuple[int, ...]] = ChainPlant.outputs

        def __init__(self) -> None:
            self.kernel = kernel

        def start(self, seed: int) -> NDArray[np.float64]:
            return np.zeros(2 * INPUTS)  # at rest, and room for the next state

    return Compiled()


class CosimLoop:
    """The loop as a co-simulation."""

    def __init__(self, data: Arrays, plant: Any, record: bool = False) -> None:
        hybrid = Hybrid()
        self.parts: dict[str, Part] = {
            "plant": plant_part(plant),
            "ann": AnnPart(Ann(data)),
            "snn": snn.load(network(data), dt=DT, taps=("hidden",) if record else ()),
        }
        for name, part in self.parts.items():
            hybrid.add(name, part, DT * ANN_TICKS if name == "ann" else DT)
        hybrid.link("plant", "ann")
        hybrid.link("plant", "snn.input")
        hybrid.link("ann", "snn.input")
        hybrid.link("snn.spikes", "plant", LinkOptions(delay_ns=TICK))
        hybrid.record = ["snn.hidden", "snn.spikes"] if record else []
        self._scheduler, self._record, self._done = hybrid.scheduler(), record, 0

    def run(self, ticks: int) -> Spikes | None:
        """Go on."""
        self._scheduler.advance(self._scheduler.now_ns + ticks * TICK)
        if not self._record:
            return None
        hidden, output = (self._scheduler.recordings["snn", name].rows()[1] for name in ("hidden", "spikes"))
        done, self._done = self._done, len(hidden)
        return hidden[done:] != 0, output[done:] != 0


class EngineNetwork:
    """The engine, called tick by tick."""

    def __init__(self, data: Arrays) -> None:
        self._engine = Engine(network(data), dt=DT)
        self.step = self._engine.step

    def hidden(self) -> Any:
        """Of the last step."""
        return self._engine.read("hidden")


LOOPS: dict[str, Callable[[Arrays, bool], Loop]] = {
    "co-simulation, compiled parts": lambda data, record: CosimLoop(data, compiled_plant(data), record),
    "co-simulation, plant in Python": lambda data, record: CosimLoop(data, ChainPlant(data), record),
    "engine called from Python": lambda data, record: PythonLoop(data, EngineNetwork(data), record),
    "numba, by hand": NumbaLoop,
    "numpy": numpy_loop,
}
