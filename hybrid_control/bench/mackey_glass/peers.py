"""NeuroBench's echo state network and LSTM on the series that `train` wrote, judged by NeuroBench itself.

`python -m hybrid_control.bench.mackey_glass.peers OUT [LSTM] [ESN]` runs in an environment that has neurobench 2.3 and
torch, with this repository and the folder examples/mackey_glass of NeuroBench's on PYTHONPATH: both networks, their
hyperparameters and the course of training are its scripts'. The 30 LSTMs are trained together, by the same steps; one
by one it takes two hours.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from neurobench.benchmarks import Benchmark
from neurobench.datasets.mackey_glass import MackeyGlass
from neurobench.metrics.static import ConnectionSparsity, Footprint
from neurobench.metrics.workload import SMAPE, ActivationSparsity, SynapticOperations
from neurobench.models import TorchModel
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.mackey_glass.series import OFFSETS, PER_LYAPUNOV

WARMUP = round(0.6 * PER_LYAPUNOV)  # points that esn_benchmark.py leaves out
COUNTED = 2  # offsets of which its operations are counted: it takes most of the time and they differ by 1e-4
LOOKBACK, HIDDEN, EPOCHS, RATE, DECAY = 50, 40, 200, 0.005, 0.001  # lstm_benchmark.py's defaults


def _data(series: Path, offset: int) -> tuple[Subset[Any], Subset[Any]]:
    """NeuroBench's data set at an offset: what is learned from, and what is forecast."""
    data = MackeyGlass(str(series), start_offset=offset, bin_window=1)
    return Subset(data, data.ind_train), Subset(data, data.ind_test)


def _judged(network: nn.Module, test: Subset[Any], counted: bool = True) -> dict[str, Any]:
    """NeuroBench's metrics; counted: its operations too."""
    workload = [SMAPE, ActivationSparsity, *([SynapticOperations] if counted else [])]
    loader = DataLoader(test, batch_size=len(test), shuffle=False)
    metrics = [[Footprint, ConnectionSparsity], workload]
    found = dict(Benchmark(TorchModel(network), loader, [], [], metrics).run(quiet=True))
    return {**found, "SynapticOperations": dict(found["SynapticOperations"])} if counted else found


def echo_state(series: Path) -> Iterator[dict[str, Any]]:
    """As esn_benchmark.py for tau 17."""
    script = importlib.import_module("echo_state_network")
    make, folder = script.EchoStateNetwork, Path(str(script.__file__)).parent
    with (folder / "model_data" / "echo_state_network_hyperparameters.csv").open() as file:
        found = next(row for row in csv.DictReader(file) if row["tau"] == "17")
    for seed, offset in enumerate(OFFSETS):
        train, test = _data(series, offset)
        scales = torch.tensor([float(found[f"scale_{of}"]) for of in ("bias", "input")], dtype=torch.float64)
        rest = {
            key: float(found[key]) for key in ("connect_prob", "spectral_radius", "leakage", "ridge_param")
        }
        network = make(1, int(found["reservoir_size"]), input_scale=scales, seed_id=seed, **rest)
        x, y = train[:]
        network.fit(x, y[WARMUP:], WARMUP)
        yield _judged(network, test, seed < COUNTED)


class _Together:
    """The LSTMs of all offsets, each parameter with the offsets in front, and what they learn from."""

    def __init__(self, networks: list[nn.Module], data: list[tuple[Tensor, Tensor]]) -> None:
        self.networks = networks
        names = [name for name, _ in networks[0].named_parameters()]
        self.parameters = {
            name: torch.stack([dict(n.named_parameters())[name].detach() for n in networks]).requires_grad_()
            for name in names
        }
        x = torch.stack([inputs.reshape(-1) for inputs, _ in data])
        self.windows = functional.pad(x, (LOOKBACK - 1, 0)).unfold(
            1, LOOKBACK, 1
        )  # offsets, points, lookback
        self.targets = torch.stack([targets.reshape(-1) for _, targets in data])

    def losses(self) -> Tensor:
        """Mean square error of each offset over all points, as LSTMModel.forward goes through them."""
        p = self.parameters
        seen = functional.layer_norm(self.windows, (LOOKBACK,))
        seen = seen * p["layer_norm.weight"][:, None] + p["layer_norm.bias"][:, None]
        bias = p["rnns.0.bias_ih"] + p["rnns.0.bias_hh"]
        driven = seen @ p["rnns.0.weight_ih"].mT + bias[:, None]
        back = p["rnns.0.weight_hh"].mT
        h = c = torch.zeros(len(driven), HIDDEN, dtype=torch.float64)
        hidden = []
        for now in driven.unbind(1):
            i, f, g, o = (now + torch.bmm(h[:, None], back)[:, 0]).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            hidden.append(h)
        given = torch.stack(hidden, 1).relu() @ p["fc.weight"].mT + p["fc.bias"][:, None]
        return (given[:, :, 0] - self.targets).square().mean(1)

    def train(self, epochs: int = EPOCHS) -> None:
        """Adam, which treats each number by itself, so that together is as alone."""
        optimiser = torch.optim.Adam(list(self.parameters.values()), RATE, weight_decay=DECAY)
        for _ in range(epochs):
            optimiser.zero_grad()
            self.losses().sum().backward()
            optimiser.step()
        with torch.no_grad():
            for k, network in enumerate(self.networks):
                for name, parameter in network.named_parameters():
                    parameter.copy_(self.parameters[name][k])


def _alone(network: nn.Module, x: Tensor, y: Tensor, epochs: int) -> None:
    """The loop of lstm_benchmark.py."""
    optimiser = torch.optim.Adam(network.parameters(), RATE, weight_decay=DECAY)
    for _ in range(epochs):
        loss = functional.mse_loss(network(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def lstm(series: Path) -> Iterator[dict[str, Any]]:
    """As lstm_benchmark.py. AssertionError where training together and alone differ after three epochs."""
    make = importlib.import_module("lstm_model").LSTMModel

    def fresh(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        network: nn.Module = make(LOOKBACK, HIDDEN, 1, 1, mode="single_step")
        return network

    sets = [_data(series, offset) for offset in OFFSETS]
    data = [train[:] for train, _ in sets]
    few = [fresh(0), fresh(1)]
    _Together(few, data[:2]).train(3)
    alone = fresh(1)
    x, y = data[1]
    _alone(alone, x, y, 3)
    for a, b in zip(alone.parameters(), few[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
    networks = [fresh(seed) for seed in range(len(OFFSETS))]
    _Together(networks, data).train()
    for network, (x, _), (_, test) in zip(networks, data, sets, strict=True):
        with torch.no_grad():
            network(x)  # its state after what was learned from
        network.mode = "autonomous"
        yield _judged(network, test)


NETWORKS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {"LSTM": lstm, "ESN": echo_state}


def main(out: Path, names: Sequence[str]) -> None:
    """Those named on all offsets, to OUT/peers.json, beside what is there."""
    for name in names:
        if name not in NETWORKS:
            raise ValueError(f"{name}: expected {' or '.join(NETWORKS)}")
    torch.set_num_threads(1)
    path = out / "peers.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in names:
        rows[name] = []
        for row in NETWORKS[name](out / "series.npy"):
            rows[name].append(row)
            print(f"{name}, offset {OFFSETS[len(rows[name]) - 1]}: sMAPE {row['SMAPE']:.2f}", flush=True)
            path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = parser_of("mackey_glass.peers", __doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that `train` filled")
    parser.add_argument("names", nargs="*", metavar="|".join(NETWORKS), help="(both)")
    run(parser, lambda given: main(given.out, given.names or list(NETWORKS)))
