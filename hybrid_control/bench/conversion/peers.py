"""SpikingJelly's converter on the same networks and images as `measure digits`.

`python -m hybrid_control.bench.conversion.peers NETS` needs torch and spikingjelly 2.0. Its RateCodingRecipe takes the
99.9 % of each channel as ours does by default, resets softly, and reads the mean of all ticks of the last layer's
currents; so its neurons start at 0, and nothing is set by data but the scales.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.ann2snn import FXConverter, RateCodingRecipe
from torch.utils.data import DataLoader, TensorDataset

from hybrid_control.bench.conversion.train import NETWORKS

MARKS = (8, 16, 32, 64, 128)
BATCH = 50


def converted(path: Path, calibration: torch.Tensor) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The float network that `train` wrote beside its ONNX file, and what SpikingJelly makes of it."""
    model = NETWORKS[path.stem.split("_")[1]](calibration.shape[1])
    model.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
    model.eval()
    loader = DataLoader(TensorDataset(calibration, torch.zeros(len(calibration))), batch_size=BATCH)
    return model, FXConverter(RateCodingRecipe(loader, mode="99.9%"))(model).eval()


def main(folder: Path, examples: int = 500) -> None:
    """Error, class and share that is right, as `compare` says them."""
    torch.set_num_threads(1)
    for path in sorted(folder.glob("*_*.npz")):
        with np.load(path) as file:
            calibration, x, y = (file[key] for key in ("calibration", "test_x", "test_y"))
        x, y = x[:examples], y[:examples]
        ann, snn = converted(path, torch.tensor(calibration[:128]))
        wanted, given = [], {mark: [] for mark in MARKS}
        with torch.no_grad():
            for part in torch.tensor(x).split(BATCH):
                wanted.append(ann(part))
                functional.reset_net(snn)
                total = torch.zeros_like(wanted[-1])
                for tick in range(1, MARKS[-1] + 1):
                    total += snn(part)
                    if tick in given:
                        given[tick].append(total / tick)
        answer = torch.cat(wanted)
        for mark in MARKS:
            got = torch.cat(given[mark])
            error = float(((got - answer) ** 2).mean().sqrt() / answer.std())
            same = float((got.argmax(1) == answer.argmax(1)).float().mean())
            right = float((got.argmax(1).numpy() == y).mean())
            print(f"{path.stem} {mark:4d} ticks: {100 * error:.2f} % {100 * same:.1f} % {100 * right:.1f} %", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
