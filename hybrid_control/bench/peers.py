"""Runs the workloads of `bench snn` in other SNN tools; called by it in the interpreter where they are installed.

``python -m hybrid_control.bench.peers WORKLOADS.npz RESULT.npz STEPS SPARSE_STEPS`` measures every tool that can be
imported, and leaves out what cannot. Each of them gets one thread, no gradients and its own fastest documented way.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.bench.workloads import DT, TAU, Arrays

Step = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # inputs to spikes of the 256 and of the 8


def stepwise(data: Arrays, step: Step, steps: int) -> Arrays:
    """Times of single steps in ns, and the spikes of all of them."""
    x = list(data["x"][np.arange(steps) % len(data["x"])])
    times, hidden, output = (
        np.empty(steps, np.int64),
        np.zeros((steps, 256), bool),
        np.zeros((steps, 8), bool),
    )
    for t, row in enumerate(x):
        begin = time.perf_counter_ns()
        h, o = step(row)
        times[t] = time.perf_counter_ns() - begin
        hidden[t], output[t] = h, o
    return {"times_ns": times, "hidden": hidden, "output": output}


def _weights(data: Arrays, gain: float = 1.0) -> Any:
    import torch

    torch.set_num_threads(1)
    return [gain * torch.from_numpy(data[name]).T.contiguous() for name in ("input", "recurrent", "output")]


def _recurrent(cells: tuple[Callable[[Any], Any], Callable[[Any], Any]], weights: Any) -> Step:
    """A step from two layers' functions of current to spikes."""
    import torch

    first, second = cells
    into, back, out = weights
    last = torch.zeros(1, 256)

    @torch.inference_mode()
    def step(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal last
        last = first(torch.from_numpy(row)[None] @ into + last @ back)
        return last[0].numpy(), second(last @ out)[0].numpy()

    return step


def torch_ops(data: Arrays) -> Step:
    """The equations in plain torch operations."""
    import torch

    def cell(n: int) -> Callable[[Any], Any]:
        v = torch.zeros(1, n)

        def run(current: Any) -> Any:
            nonlocal v
            u = (1 - DT / TAU) * v + current
            fired = u > 1
            v = torch.where(fired, 0.0, u)
            return fired.float()

        return run

    return _recurrent((cell(256), cell(8)), _weights(data))


def snntorch(data: Arrays) -> Step:
    """Leaky with reset to zero in the same step."""
    import snntorch as snn

    def cell() -> Callable[[Any], Any]:
        cell = snn.Leaky(1 - DT / TAU, reset_mechanism="zero", reset_delay=False)
        return lambda current: cell(current)[0]

    return _recurrent((cell(), cell()), _weights(data))


def norse(data: Arrays) -> Step:
    """lif_box_feed_forward_step with reset to a value."""
    import torch
    from norse.torch.functional import lif_box

    def cell(n: int) -> Callable[[Any], Any]:
        parameters = lif_box.LIFBoxParameters(torch.tensor(1 / TAU), method="heaviside")
        state = lif_box.LIFBoxFeedForwardState(torch.zeros(1, n))

        def run(current: Any) -> Any:
            nonlocal state
            spikes, state = lif_box.lif_box_feed_forward_step(current, state, parameters, DT)
            return spikes

        return run

    return _recurrent((cell(256), cell(8)), _weights(data, TAU / DT))


def sinabs(data: Arrays) -> Step:
    """LIF layers, one time step a call; exponential decay."""
    import torch
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import LIF

    def cell() -> Callable[[Any], Any]:
        cell = LIF(torch.tensor(TAU / DT), spike_fn=SingleSpike, reset_fn=MembraneReset())
        return lambda current: cell(current[:, None])[:, 0]

    return _recurrent((cell(), cell()), _weights(data, TAU / DT))


def rockpool(data: Arrays) -> Step:
    """LIFNeuronTorch, one time step a call; exponential decay, reset by subtraction."""
    import torch
    from rockpool.nn.modules.torch import LIFNeuronTorch

    def cell(n: int) -> Callable[[Any], Any]:
        cell = LIFNeuronTorch(
            (n,),
            tau_mem=torch.full((n,), TAU),
            bias=torch.zeros(n),
            max_spikes_per_dt=torch.tensor(1.0),
            dt=DT,
        )
        return lambda current: cell(current[:, None])[0][:, 0]

    return _recurrent((cell(256), cell(8)), _weights(data, float(-np.expm1(-DT / TAU)) * TAU / DT))


def nengo(data: Arrays) -> Step:
    """Nengo's LIF, which finds the time of a spike within its step: the same work, another scheme."""
    import nengo as tool

    held = np.zeros(64)
    zero = tool.dists.Choice([0])

    def cells(n: int) -> Any:
        neurons = tool.LIF(tau_rc=TAU, tau_ref=0, min_voltage=-1e9, initial_state={"voltage": zero})
        return tool.Ensemble(n, 1, neuron_type=neurons, gain=np.ones(n), bias=np.zeros(n))

    with tool.Network() as model:
        node, hidden, output = tool.Node(lambda t: held, size_out=64), cells(256), cells(8)
        per_spike = TAU / DT
        tool.Connection(node, hidden.neurons, transform=per_spike * data["input"], synapse=None)
        tool.Connection(hidden.neurons, hidden.neurons, transform=TAU * data["recurrent"], synapse=0)
        tool.Connection(hidden.neurons, output.neurons, transform=TAU * data["output"], synapse=None)
    simulator = tool.Simulator(model, dt=DT, progress_bar=False)
    spikes = [simulator.signals[simulator.model.sig[e.neurons]["out"]] for e in (hidden, output)]

    def step(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        held[:] = row
        simulator.step()
        return spikes[0] > 0, spikes[1] > 0

    return step


# name: (module to look for, its distribution, the function, the engine's options that match its scheme)
STEPWISE: dict[str, tuple[str, str, Callable[[Arrays], Step], dict[str, str] | None]] = {
    "torch": ("torch", "torch", torch_ops, {}),
    "snntorch": ("snntorch", "snntorch", snntorch, {}),
    "norse": ("norse", "norse", norse, {}),
    "sinabs": ("sinabs", "sinabs", sinabs, {"scheme": "exponential"}),
    "rockpool": ("rockpool", "rockpool", rockpool, {"scheme": "exponential", "reset": "subtract"}),
    "nengo": ("nengo", "nengo", nengo, None),
}


def brian2_sparse(data: Arrays, steps: int, check: int) -> Arrays:
    """Brian2 in C++ standalone: ns per step of each of five runs, and the spikes of the first `check` steps.

    The speed is that of float32, as the engine's. Neurons that rest just above threshold turn a rounding into another
    spike time and that into other spikes, so what is compared is float64.
    """
    import brian2 as b2

    n, arrays = data["start"].size, {}
    for what, length in (("speed", steps), ("check", check)):
        folder = tempfile.mkdtemp()
        b2.prefs.core.default_float_dtype = np.float32 if what == "speed" else np.float64
        b2.device.reinit()
        b2.device.activate()
        b2.set_device("cpp_standalone", build_on_run=False)
        b2.start_scope()
        b2.defaultclock.dt = DT * b2.second
        cells = b2.NeuronGroup(
            n,
            "dv/dt = (leak - v)/tau : 1",
            threshold="v > 1",
            reset="v = 0",
            method="euler",
            namespace={"leak": float(data["leak"]), "tau": TAU * b2.second},
        )
        cells.v = data["start"]
        # a spike's weight is added to the voltage before the next step's decay, so it is divided by that decay
        synapses = b2.Synapses(cells, cells, "w : 1", on_pre="v_post += w")
        synapses.connect(i=data["pre"], j=data["post"])
        synapses.w = data["weight"] / (1 - DT / TAU)
        parts = [cells, synapses]
        monitor = b2.SpikeMonitor(cells)
        if what == "check":
            parts.append(monitor)
        network = b2.Network(*parts)
        network.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]
        network.run(length * DT * b2.second)
        b2.device.build(directory=folder, compile=True, run=False)
        times = []
        for _ in range(5 if what == "speed" else 1):
            b2.device.run(folder, with_output=False, run_args=[])
            times.append(b2.device._last_run_time / length * 1e9)
        if what == "speed":
            arrays["times_ns"] = np.array(times)
        else:
            spikes = np.zeros((length, n), bool)
            spikes[np.rint(np.asarray(monitor.t / b2.second) / DT).astype(int), np.asarray(monitor.i)] = True
            arrays["hidden"] = spikes
        shutil.rmtree(folder, ignore_errors=True)
    return arrays


def main(arguments: list[str]) -> int:
    """Measure all tools; the result is an npz of arrays named tool/what, and of JSON notes."""
    source, target, steps, sparse_steps = (
        Path(arguments[0]),
        Path(arguments[1]),
        int(arguments[2]),
        int(arguments[3]),
    )
    with np.load(source, allow_pickle=False) as stored:
        data = {name: stored[name] for name in stored.files}
    small = {name.removeprefix("reflex/"): v for name, v in data.items() if name.startswith("reflex/")}
    large = {name.removeprefix("large/"): v for name, v in data.items() if name.startswith("large/")}
    arrays: Arrays = {}
    notes: dict[str, Any] = {"python": sys.version.split()[0], "numpy": np.__version__, "tools": {}}
    for name, (module, distribution, make, options) in STEPWISE.items():
        if importlib.util.find_spec(module) is None:
            continue
        step = make(small)
        stepwise(small, step, 50)
        result = stepwise(small, make(small), steps)
        arrays |= {f"{name}/{what}": values for what, values in result.items()}
        version = importlib.metadata.version(distribution)
        notes["tools"][name] = {"version": version, "workload": "reflex", "options": options}
    if importlib.util.find_spec("brian2") is not None and shutil.which("g++") is not None:
        result = brian2_sparse(large, sparse_steps, 100)
        arrays |= {f"brian2/{what}": values for what, values in result.items()}
        notes["tools"]["brian2"] = {
            "version": importlib.metadata.version("Brian2"),
            "workload": "large",
            "options": {"dtype": "float64"},
        }
    np.savez(target, notes=np.array(json.dumps(notes)), **arrays)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
