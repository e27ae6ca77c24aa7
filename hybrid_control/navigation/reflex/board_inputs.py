"""Spikes such as the reflex sends to a board, for trying a board's network with no robot at work."""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.network import BOARD_INPUTS, SPEED
from hybrid_control.navigation.reflex.percept import sector_directions
from hybrid_control.snn import Network
from hybrid_control.snn.backends.quantise import random_inputs
from hybrid_control.snn.backends.split import channels


def board_inputs(
    network: Network, ticks: int, seed: int = 0, dt: float = 1e-3
) -> dict[str, NDArray[np.float64]]:
    """Spikes for each Input of a network, (ticks, size) of 0 and 1.

    For a network with the inputs of the reflex' board: a heading that turns, an obstacle that comes and goes. For any
    other: `random_inputs`.
    """
    if channels(network, nir.Input) != BOARD_INPUTS:
        return random_inputs(network, ticks, seed, dt)
    rng = np.random.default_rng(seed)
    time = np.arange(ticks)[:, None] * dt
    directions = sector_directions()[None, :]

    def bump(centre: NDArray[np.float64], width: float) -> NDArray[np.float64]:
        return np.exp((np.cos(directions - centre) - 1.0) / width**2)

    heading = 0.8 * np.sin(2 * np.pi * time / 3.0)
    obstacle = 0.4 + 0.6 * np.sin(2 * np.pi * time / 5.0)
    nearness = 0.5 + 0.5 * np.sin(2 * np.pi * time / 2.0)
    rates = {
        "planner": np.hstack([90.0 * bump(heading, 0.3), np.full((ticks, SPEED), 20.0)]),
        "goal": 100.0 + 140.0 * bump(heading * 0.5, 0.7),
        "near": 160.0 * bump(obstacle, 0.2) * np.maximum(nearness - 0.6, 0) / 0.4,
        "mid": 120.0 * bump(obstacle, 0.2) * nearness,
        "far": 80.0 * bump(obstacle, 0.3) * (1 - nearness),
        "approach": 60.0 * bump(obstacle, 0.2) * nearness,
        "arousal": np.full((ticks, 1), 1.0 / dt),
        "stuck_current": np.zeros((ticks, 1)),
    }
    return {
        p.name: (rng.random((ticks, p.size)) < rates[p.name] * dt).astype(np.float64) for p in BOARD_INPUTS
    }
