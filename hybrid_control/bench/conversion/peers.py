"""Other tools' converters on the networks and images of `measure digits`.

`python -m hybrid_control.bench.conversion.peers NETS` runs in the environment of scripts/peers.sh, with this repository
on PYTHONPATH. sinabs puts neurons in the place of ReLUs and takes no data; they may fire several times a tick.
SpikingJelly, where it is installed, normalises by the 99.9 % of each channel and starts at half the threshold. Both are
read by the mean of all ticks of the last layer, as their examples do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.conversion.files import networks_in
from hybrid_control.bench.conversion.train import NETWORKS

MARKS = (8, 16, 32, 64)
BATCH = 50
Run = Callable[[Tensor], Iterator[Tensor]]
"""Images to what the network gives in each tick."""


def sinabs(model: nn.Module, data: Tensor) -> Run:
    """sinabs.from_torch with its defaults."""
    from sinabs.from_torch import from_model

    snn = from_model(model, batch_size=BATCH).spiking_model.eval()

    def run(images: Tensor) -> Iterator[Tensor]:
        for module in snn.modules():
            if hasattr(module, "reset_states"):
                module.reset_states()
        while True:
            yield snn(images)

    return run


def spikingjelly(model: nn.Module, data: Tensor) -> Run:
    """SpikingJelly 2.0's recipe for rates."""
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.ann2snn import FXConverter, RateCodingRecipe

    loader = DataLoader(TensorDataset(data, torch.zeros(len(data))), batch_size=BATCH)
    recipe = RateCodingRecipe(loader, mode="99.9%", channel_wise=True, half_threshold=True)
    snn = FXConverter(recipe).convert(model).eval()

    def run(images: Tensor) -> Iterator[Tensor]:
        functional.reset_net(snn)
        while True:
            yield snn(images)

    return run


def _compare(model: nn.Module, run: Run, x: Tensor, y: Tensor) -> Iterator[str]:
    """Error, same class and share that is right after each of `MARKS`, as `compare` says them."""
    wanted: list[Tensor] = []
    given: dict[int, list[Tensor]] = {mark: [] for mark in MARKS}
    for part in x.split(BATCH):
        wanted.append(model(part))
        total = torch.zeros_like(wanted[-1])
        for tick, out in zip(range(1, MARKS[-1] + 1), run(part), strict=False):
            total += out
            if tick in given:
                given[tick].append(total / tick)
    answer = torch.cat(wanted)
    for mark in MARKS:
        got = torch.cat(given[mark])
        error = float(((got - answer) ** 2).mean().sqrt() / answer.std())
        same = float((got.argmax(1) == answer.argmax(1)).float().mean())
        right = float((got.argmax(1) == y).float().mean())
        yield f"{mark:4d} ticks: error {100 * error:.2f} %, same {100 * same:.1f} %, right {100 * right:.1f} %"


@torch.no_grad()
def main(folder: Path, examples: int = 400) -> None:
    """Each network by each tool; `examples`: a multiple of `BATCH`."""
    torch.set_num_threads(1)
    for path in networks_in(folder):
        with np.load(path) as file:
            data, x, y = (torch.tensor(file[key]) for key in ("calibration", "test_x", "test_y"))
        model = NETWORKS[path.stem.split("_")[1]](data.shape[1])
        model.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
        model.eval()
        for tool in (sinabs, spikingjelly):
            try:
                run = tool(model, data[:128])
            except ImportError as error:
                print(f"{path.stem}, {tool.__name__}: {error}", flush=True)
                continue
            for line in _compare(model, run, x[:examples], y[:examples]):
                print(f"{path.stem}, {tool.__name__}, {line}", flush=True)


if __name__ == "__main__":
    parser = parser_of("conversion.peers", __doc__)
    parser.add_argument("nets", type=Path, metavar="NETS", help="the folder that `train` filled")
    run(parser, lambda given: main(given.nets))
