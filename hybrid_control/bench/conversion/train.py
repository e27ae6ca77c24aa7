"""Trains the small networks that are converted: a residual and a depthwise CNN on MNIST or on photographs of signs.

`python -m hybrid_control.bench.conversion.train FOLDER OUT` trains all four on one core in a few minutes and writes
each as an ONNX file, beside an npz file of its test images and of those that a conversion may look at. FOLDER holds
mnist_uint8.npz and sign_digits.tar. Needs torch, as `train` does.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.bench.arguments import parser_of, run

Data = dict[str, NDArray[Any]]
SIGN_SIZE = 32  # pixels of a side
CALIBRATION = 512  # images of the training set that a conversion may look at


def _norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.relu = _norm(inputs, outputs, 3, stride), nn.ReLU()
        self.second, self.last = _norm(outputs, outputs, 3), nn.ReLU()
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else _norm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.relu(self.first(x))) + self.short(x))


def _depthwise(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _norm(inputs, inputs, 3, stride, groups=inputs), nn.ReLU(), _norm(inputs, outputs, 1), nn.ReLU()
    )


def residual(channels: int) -> nn.Sequential:
    """Eight layers with weights, three residual blocks, for images with so many channels and ten classes."""
    return nn.Sequential(
        _norm(channels, 16, 3, 2), nn.ReLU(),
        _Residual(16, 16, 1), _Residual(16, 32, 2), _Residual(32, 32, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def depthwise(channels: int) -> nn.Sequential:
    """Depthwise and pointwise convolutions in turn, four of each, after MobileNet."""
    return nn.Sequential(
        _norm(channels, 16, 3, 2), nn.ReLU(),
        _depthwise(16, 32, 1), _depthwise(32, 64, 2), _depthwise(64, 64, 1), _depthwise(64, 64, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NETWORKS = {"residual": residual, "depthwise": depthwise}


def mnist(folder: Path) -> Data:
    """Images (n, 1, 28, 28) from 0 to 1 and their digits."""
    with np.load(folder / "mnist_uint8.npz") as file:
        return {
            key: file[key][:, None].astype(np.float32) / 255
            if key.endswith("x")
            else file[key].astype(np.int64)
            for key in ("train_x", "train_y", "test_x", "test_y")
        }


def signs(folder: Path) -> Data:
    """Photographs (n, 3, 32, 32) from 0 to 1 and their digits; every fifth is of the test."""
    images, digits = [], []
    with tarfile.open(folder / "sign_digits.tar") as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            content = tar.extractfile(member) if member.name.lower().endswith((".jpg", ".jpeg")) else None
            if content is not None:
                image = Image.open(io.BytesIO(content.read())).convert("RGB").resize((SIGN_SIZE, SIGN_SIZE))
                images.append(np.asarray(image, np.float32).transpose(2, 0, 1) / 255)
                digits.append(int(Path(member.name).parent.name))
    x, y = np.stack(images), np.array(digits, np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    test, rest = order[::5], np.setdiff1d(order, order[::5])
    rest = np.random.default_rng(1).permutation(rest)
    return {"train_x": x[rest], "train_y": y[rest], "test_x": x[test], "test_y": y[test]}


def _moved(x: Tensor, generator: torch.Generator, reach: int, mirror: bool) -> Tensor:
    """Images shifted by up to `reach` pixels, each batch by one shift; half of the batches mirrored."""
    down, right = (int(v) for v in torch.randint(-reach, reach + 1, (2,), generator=generator))
    x = torch.roll(x, (down, right), (2, 3))
    return x.flip(3) if mirror and torch.rand(1, generator=generator) < 0.5 else x


def fit(model: nn.Module, data: Data, epochs: int, mirror: bool) -> float:
    """Train by Adam with a rate that falls as a cosine; the share of the test that is right."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.tensor(data["train_x"]), torch.tensor(data["train_y"])
    batch = 128 if len(x) > 10_000 else 32
    steps = epochs * (len(x) // batch)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for part in order[: len(x) // batch * batch].split(batch):
            loss = functional.cross_entropy(model(_moved(x[part], generator, 2, mirror)), y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        answers = torch.cat([model(part) for part in torch.tensor(data["test_x"]).split(500)])
    return float((answers.argmax(1).numpy() == data["test_y"]).mean())


def _export(model: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    program = torch.onnx.export(
        model,
        (torch.zeros(1, *shape),),
        input_names=["image"],
        output_names=["classes"],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path)
    torch.save(model.state_dict(), path.with_suffix(".pt"))


def main(folder: Path, out: Path) -> None:
    """Train all four."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for name, load, epochs in (("mnist", mnist, 3), ("signs", signs, 40)):
        data = load(folder)
        shape = data["train_x"].shape[1:]
        for kind, make in NETWORKS.items():
            torch.manual_seed(0)
            model = make(shape[0])
            right = fit(model, data, epochs, mirror=name == "signs")
            path = out / f"{name}_{kind}.onnx"
            _export(model, shape, path)
            np.savez_compressed(
                path.with_suffix(".npz"),
                calibration=data["train_x"][:CALIBRATION], test_x=data["test_x"], test_y=data["test_y"],
            )  # fmt: skip
            print(f"{path}: {100 * right:.2f} % of the test right", flush=True)


if __name__ == "__main__":
    parser = parser_of("conversion.train", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with mnist_uint8.npz and sign_digits.tar")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder, is made")
    run(parser, lambda given: main(given.folder, given.out))
