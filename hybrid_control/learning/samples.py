"""What a network is trained on: inputs over ticks and what should come of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_control.files import MIB, read_npz

Array = NDArray[Any]
Batch = tuple[dict[str, Tensor], Tensor]
"""Inputs by name, each (batch, ticks, *shape), and targets as the loss takes them."""

LIMIT = 4096 * MIB


@dataclass(frozen=True)
class Samples:
    """inputs: by name, (samples, ticks, *shape); targets: as the loss takes them, samples first.

    ValueError where there are none, or not as many of one as of the other.
    """

    inputs: Mapping[str, Array]
    targets: Array

    def __post_init__(self) -> None:
        if not self.inputs or any(values.ndim < 2 for values in self.inputs.values()):
            raise ValueError("inputs must be arrays of shape (samples, ticks, *shape)")
        counts = {len(values) for values in (*self.inputs.values(), self.targets)}
        ticks = {values.shape[1] for values in self.inputs.values()}
        if len(counts) != 1 or len(ticks) != 1 or 0 in counts | ticks:
            raise ValueError(
                f"inputs and targets of {sorted(counts)} samples and {sorted(ticks)} ticks: "
                "they must be as many, and not 0"
            )
        if any(not np.isfinite(values).all() for values in (*self.inputs.values(), self.targets)):
            raise ValueError("inputs or targets hold NaN or infinity")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def ticks(self) -> int:
        """Of each sample."""
        return int(next(iter(self.inputs.values())).shape[1])

    @classmethod
    def load(cls, path: Path, input_names: tuple[str, ...]) -> Samples:
        """From a .npz with `inputs` (or `inputs.NAME` for each of several) and `targets`."""
        arrays = read_npz(path, "a .npz file of inputs and targets", LIMIT)
        single = len(input_names) == 1 and "inputs" in arrays
        names = {"inputs": input_names[0]} if single else {f"inputs.{name}": name for name in input_names}
        if set(arrays) != {*names, "targets"}:
            wanted = sorted({*names, "targets"})
            raise ValueError(f"{path}: holds {sorted(arrays)}; this graph needs {wanted}")
        try:
            return cls({name: arrays[key] for key, name in names.items()}, arrays["targets"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def split(self, share: float) -> tuple[Samples, Samples | None]:
        """The first of them, and the last `share` to be held out; None where that is none."""
        last = round(len(self) * share)
        if last >= len(self):
            raise ValueError(f"{share:g} of {len(self)} samples held out leaves none to train on")
        if not last:
            return self, None
        sides = []
        for part in (slice(None, -last), slice(-last, None)):
            sides.append(Samples({n: v[part] for n, v in self.inputs.items()}, self.targets[part]))
        return sides[0], sides[1]

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """All samples once, in an order that the generator draws, or as they stand."""
        order = (
            torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        )
        for chosen in order.split(size):
            rows = chosen.numpy()
            inputs = {name: torch.from_numpy(values[rows]) for name, values in self.inputs.items()}
            yield inputs, torch.from_numpy(self.targets[rows])

    def digest(self) -> str:
        """A short name for just these numbers."""
        digest = hashlib.sha256()
        for name, values in sorted([*self.inputs.items(), ("", self.targets)]):
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:16]
