"""The closed loop that is measured: arrays for all tools, and its ANN and its plant in numpy.

A chain of eight masses is pushed by eight LIF neurons; their positions and velocities, with a wish of the ANN's every
33 ms added, are the input of 256 recurrent LIF neurons that drive the eight. Weights and readings are multiples of
powers of two, so that every sum of products is exact in float32 whatever its order: a tool with the same update of the
voltage has the same spikes for ever, and one that differs differs by its equations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DT = 1e-3  # s, of the network and the plant
TAU = 20e-3  # s
DECAY = float(np.float32(1.0 - DT / TAU))
ANN_TICKS = 33  # between two runs of the ANN
INPUTS, HIDDEN, OUTPUTS, ANN_HIDDEN = 16, 256, 8, 64
READING, WEIGHT, ANN_WEIGHT = 2.0**-11, 2.0**-7, 2.0**-3  # grids: sums of products have 24 bits at most
Arrays = dict[str, NDArray[Any]]


def _on(grid: float, values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.rint(values / grid) * grid)


def arrays(seed: int = 0) -> Arrays:
    """Weights as float32, rows of what they lead to: v' = DECAY v + weights @ x; the plant's matrices as float64."""
    rng = np.random.default_rng(seed)
    stiffness, damping, push, dt = 400.0, 12.0, 3000.0, DT  # 1/s^2, 1/s, 1/s^2 a spike
    chain = stiffness * (3.0 * np.eye(OUTPUTS) - np.eye(OUTPUTS, k=1) - np.eye(OUTPUTS, k=-1))
    # velocity in units of 1 / sqrt(stiffness); semi-implicit Euler: velocity first, positions with the new one
    scale = np.sqrt(stiffness)
    velocity = np.hstack([-dt * chain / scale, (1.0 - dt * damping) * np.eye(OUTPUTS)])
    position = np.hstack([np.eye(OUTPUTS), np.zeros((OUTPUTS, OUTPUTS))]) + dt * scale * velocity
    drive = dt * push / scale * np.eye(OUTPUTS) * np.where(np.arange(OUTPUTS) % 2, -1.0, 1.0)
    return {
        "input": _on(WEIGHT, rng.normal(0.0, 0.03, (HIDDEN, INPUTS))).astype(np.float32),
        "recurrent": _on(2.0**-8, rng.normal(0.0, 0.05, (HIDDEN, HIDDEN))).astype(np.float32),
        "output": _on(2.0**-8, rng.normal(0.01, 0.05, (OUTPUTS, HIDDEN))).astype(np.float32),
        "ann_first": _on(ANN_WEIGHT, rng.normal(0.0, 0.5, (ANN_HIDDEN, INPUTS))).astype(np.float32),
        "ann_bias": _on(ANN_WEIGHT, rng.normal(0.5, 0.5, ANN_HIDDEN)).astype(np.float32),
        "ann_second": _on(ANN_WEIGHT, rng.normal(0.0, 0.25, (INPUTS, ANN_HIDDEN))).astype(np.float32),
        "plant_state": _on(2.0**-12, np.vstack([position, velocity])),
        "plant_drive": _on(2.0**-12, np.vstack([dt * scale * drive, drive])),
    }


class Ann:
    """16 readings to 16 wishes: one hidden layer of rectifiers, wishes within -1 .. 1; about 10 us."""

    def __init__(self, data: Arrays) -> None:
        self._first, self._bias, self._second = (data[f"ann_{name}"] for name in ("first", "bias", "second"))

    inputs: Mapping[str, tuple[int, ...]] = {"x": (INPUTS,)}
    outputs: Mapping[str, tuple[int, ...]] = {"wish": (INPUTS,)}

    def wish(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(16,) to (16,)."""
        hidden = np.maximum(self._first @ x + self._bias, np.float32(0.0))
        wish = np.clip(self._second @ hidden, -1.0, 1.0)
        return np.rint(wish * np.float32(1 / READING)) * np.float32(READING)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """As `cosim.parts.AnnPart` calls it."""
        return {"wish": self.wish(inputs["x"].astype(np.float32))}


class ChainPlant:
    """Eight masses in a row, joined to each other and to walls by springs; what a spike does is push one."""

    inputs: Mapping[str, tuple[int, ...]] = {"push": (OUTPUTS,)}
    outputs: Mapping[str, tuple[int, ...]] = {"x": (INPUTS,)}

    def __init__(self, data: Arrays) -> None:
        self._a, self._b = data["plant_state"], data["plant_drive"]
        self.x = np.zeros(INPUTS)  # positions and velocities, on the grid that its sensors resolve

    def reset(self, seed: int) -> None:
        """At rest."""
        self.x = np.zeros(INPUTS)

    def move(self, push: NDArray[Any]) -> None:
        """One tick on, spikes (8,)."""
        self.x = np.rint((self._a @ self.x + self._b @ push) * (1 / READING)) * READING

    def step(self, dt: float, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """As `cosim.parts.PlantPart` calls it: what is measured now, then a tick on."""
        x = self.x
        self.move(inputs["push"])
        return {"x": x}
