"""The closed loop in other tools, as their users write it; each has one thread and no gradients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.closed_loop.loops import Loop, PythonLoop, Spikes
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

Cell = Callable[[Any], Any]  # currents to spikes


class TorchNetwork:
    """Two layers of cells in torch."""

    def __init__(self, data: Arrays, first: Cell, second: Cell) -> None:
        import torch

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        self._torch, self._first, self._second = torch, first, second
        names = ("input", "recurrent", "output")
        self._into, self._back, self._out = (torch.from_numpy(data[n]).T.contiguous() for n in names)
        self._last = torch.zeros(1, HIDDEN)

    def step(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A tick."""
        row = self._torch.from_numpy(x)[None]
        self._last = self._first(row @ self._into + self._last @ self._back)
        spikes: NDArray[np.float32] = self._second(self._last @ self._out)[0].numpy()
        return spikes

    def hidden(self) -> Any:
        """Of the last step."""
        return self._last[0].numpy()


def torch_loop(data: Arrays, record: bool) -> Loop:
    """The equations in plain torch operations."""
    import torch

    def cell(n: int) -> Cell:
        v = torch.zeros(1, n)

        def run(current: Any) -> Any:
            nonlocal v
            u = (1 - DT / TAU) * v + current
            fired = u > 1
            v = torch.where(fired, 0.0, u)
            return fired.float()

        return run

    return PythonLoop(data, TorchNetwork(data, cell(HIDDEN), cell(OUTPUTS)), record)


def snntorch_loop(data: Arrays, record: bool) -> Loop:
    """Leaky with reset to zero in the same step."""
    import snntorch

    def cell() -> Cell:
        made = snntorch.Leaky(1 - DT / TAU, reset_mechanism="zero", reset_delay=False, init_hidden=False)
        state = made.reset_mem()

        def run(current: Any) -> Any:
            nonlocal state
            spikes, state = made(current, state)
            return spikes

        return run

    return PythonLoop(data, TorchNetwork(data, cell(), cell()), record)


class NengoLoop:
    """Nengo's own loop: nodes for the ANN and the plant. Its LIF finds the time of a spike within a step."""

    def __init__(self, data: Arrays, record: bool) -> None:
        import nengo

        ann, plant, ticks = Ann(data), ChainPlant(data), 0
        wish: NDArray[Any] = np.zeros(INPUTS)

        def move(t: float, spikes: NDArray[np.float64]) -> NDArray[np.float64]:
            x = plant.x
            plant.move(spikes)
            return x

        def think(t: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
            nonlocal wish, ticks
            if ticks % ANN_TICKS == 0:
                wish = ann.wish(x.astype(np.float32))
            ticks += 1
            return wish

        def cells(n: int) -> Any:
            neurons = nengo.LIF(
                tau_rc=TAU, tau_ref=0, min_voltage=-1e9, initial_state={"voltage": nengo.dists.Choice([0])}
            )
            return nengo.Ensemble(n, 1, neuron_type=neurons, gain=np.ones(n), bias=np.zeros(n))

        with nengo.Network() as model:
            body, planner = nengo.Node(move, size_in=OUTPUTS), nengo.Node(think, size_in=INPUTS)
            hidden, output = cells(HIDDEN), cells(OUTPUTS)
            into = TAU / DT * data["input"]  # currents; a spike is 1 / dt
            nengo.Connection(body, planner, synapse=None)
            nengo.Connection(body, hidden.neurons, transform=into, synapse=None)
            nengo.Connection(planner, hidden.neurons, transform=into, synapse=None)
            nengo.Connection(hidden.neurons, hidden.neurons, transform=TAU * data["recurrent"], synapse=0)
            nengo.Connection(hidden.neurons, output.neurons, transform=TAU * data["output"], synapse=None)
            nengo.Connection(output.neurons, body, transform=DT, synapse=0)  # a tick of delay
            self._probes = [nengo.Probe(e.neurons, synapse=None) for e in (hidden, output) if record]
        self._simulator = nengo.Simulator(model, dt=DT, progress_bar=False)

    def run(self, ticks: int) -> Spikes | None:
        """Go on."""
        self._simulator.run_steps(ticks, progress_bar=False)
        if not self._probes:
            return None
        hidden, output = (self._simulator.data[p][-ticks:] > 0 for p in self._probes)
        return hidden, output


class Brian2Loop:
    """Runtime mode: a network_operation each tick has the ANN and the plant, and writes the input.

    C++ standalone never calls a network_operation. each: a `run` for every tick, from Python's own loop. alone: what
    it does once for each run, 0.1 s and more, is left out of the times.
    """

    def __init__(self, data: Arrays, record: bool, each: bool = False, alone: bool = False) -> None:
        import brian2 as b2

        self.began_ns = 0  # of the last run, after what Brian2 does once for each
        b2.prefs.core.default_float_dtype = np.float32
        b2.BrianLogger.suppress_name("method_choice")
        b2.defaultclock.dt = DT * b2.second
        ann, plant, ticks, wish = Ann(data), ChainPlant(data), 0, np.zeros(INPUTS, np.float32)
        model, names = "dv/dt = (current - v)/tau : 1\ncurrent : 1", {"tau": TAU * b2.second}
        cells = [
            b2.NeuronGroup(n, model, threshold="v > 1", reset="v = 0", method="euler", namespace=names)
            for n in (HIDDEN, OUTPUTS)
        ]
        hidden, output = cells
        network, into = b2.Network(*cells), TAU / DT * data["input"]
        for source, name in ((0, "recurrent"), (0, "output")):
            target = hidden if name == "recurrent" else output
            synapses = b2.Synapses(cells[source], target, "w : 1", on_pre="v_post += w")
            synapses.connect()
            # a spike's weight is there before the next step's decay, which takes its share
            synapses.w = data[name].T.ravel() / (1 - DT / TAU)
            network.add(synapses)
        network.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]

        def control() -> None:
            nonlocal ticks, wish
            if alone:
                self.began_ns = self.began_ns or time.process_time_ns()
            fired = np.zeros(OUTPUTS)
            fired[output.spikes] = 1.0
            plant.move(fired) if ticks else None
            x = plant.x.astype(np.float32)
            if ticks % ANN_TICKS == 0:
                wish = ann.wish(x)
            ticks += 1
            hidden.current = into @ (x + wish)

        self._b2, self._network, self._each, self._control = b2, network, each, control
        if not each:
            network.add(b2.NetworkOperation(control, when="start"))
        self._monitors = [b2.SpikeMonitor(c) for c in cells if record]
        network.add(*self._monitors)

    def run(self, ticks: int) -> Spikes | None:
        """Go on."""
        tick, self.began_ns = DT * self._b2.second, 0
        if self._each:
            for _ in range(ticks):
                self._control()
                self._network.run(tick)
        else:  # the second layer is a step late, so what is recorded, once from the start, has one more
            self._network.run((ticks + len(self._monitors[:1])) * tick)
        if not self._monitors:
            return None
        seen = np.zeros((ticks + 1, HIDDEN), bool), np.zeros((ticks + 1, OUTPUTS), bool)
        for spikes, monitor in zip(seen, self._monitors, strict=True):
            spikes[
                np.rint(np.asarray(monitor.t / self._b2.second) / DT).astype(int), np.asarray(monitor.i)
            ] = True
        return seen[0][:-1], seen[1][1:]


class NestLoop:
    """NEST, a `Run` of a tick each from Python's loop; exact integration, and currents that come a tick late."""

    def __init__(self, data: Arrays, record: bool) -> None:
        import nest

        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.ResetKernel()
        nest.set(resolution=1.0, local_num_threads=1)
        neuron = {
            "tau_m": 1e3 * TAU, "C_m": 1e3 * TAU, "E_L": 0.0, "V_reset": 0.0, "V_th": 1.0, "V_m": 0.0, "t_ref": 0.0
        }  # fmt: skip
        self._hidden, self._output = (
            nest.Create("iaf_psc_delta", n, params=neuron) for n in (HIDDEN, OUTPUTS)
        )
        self._currents = nest.Create("dc_generator", INPUTS)
        gain = 1.0 / -np.expm1(-DT / TAU)  # of a step of the voltage
        for source, target, weights in (
            (self._currents, self._hidden, gain * data["input"]),
            (self._hidden, self._hidden, data["recurrent"]),
            (self._hidden, self._output, data["output"]),
        ):
            synapse = {"weight": weights.astype(np.float64), "delay": 1.0}
            nest.Connect(source, target, "all_to_all", synapse)
        self._nest, self._ann, self._plant, self._record = nest, Ann(data), ChainPlant(data), record
        self._fired, self._now = np.zeros(OUTPUTS, bool), 0
        nest.Prepare()

    def run(self, ticks: int) -> Spikes | None:
        """Go on."""
        nest, plant = self._nest, self._plant
        seen = np.zeros((ticks, HIDDEN), bool), np.zeros((ticks, OUTPUTS), bool)
        for t in range(ticks):
            x = plant.x.astype(np.float32)
            if t % ANN_TICKS == 0:
                wish = self._ann.wish(x)
            plant.move(self._fired)
            self._currents.set([{"amplitude": float(value)} for value in x + wish])
            nest.Run(1.0)
            self._now += 1  # ms
            self._fired = np.array(self._output.t_spike) == self._now
            if self._record:
                seen[0][t], seen[1][t] = np.array(self._hidden.t_spike) == self._now, self._fired
        return seen if self._record else None


# name: its distribution, what makes the loop
TOOLS: dict[str, tuple[str, Callable[[Arrays, bool], Loop]]] = {
    "torch": ("torch", torch_loop),
    "snnTorch": ("snntorch", snntorch_loop),
    "Nengo": ("nengo", NengoLoop),
    "Brian2, long runs": ("Brian2", Brian2Loop),
    "Brian2, its ticks alone": ("Brian2", lambda data, record: Brian2Loop(data, record, alone=True)),
    "Brian2, run(1 ms)": ("Brian2", lambda data, record: Brian2Loop(data, record, each=True)),
    "NEST, Run(1)": ("nest-simulator", NestLoop),
}
ANOTHER_UPDATE = (
    "Nengo",
    "Brian2, long runs",
    "Brian2, run(1 ms)",
    "NEST, Run(1)",
)  # of the voltage, or rounding
