"""The spiking network of config/hybrids/robot/steering.hybrid.yaml: a wish, and reflexes that keep off what is near.

    heading (72 spikes) ──► wish (72) ───────┐ towards where the planner's neurons point
    scan (360, m) ──► near (360) ────────────┴► command (2): m/s, rad/s; it slows, and turns away from what is near

A beam's neuron in `near` fires where its range is below 1 m, the faster the nearer (v -> 4 - 3 range, threshold 1): a
vehicle after Braitenberg (Vehicles, 1984). `python -m hybrid_control.bench.steering FILE.nir` makes it.
"""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.snn import Network, one_to_one

BEAMS = 360  # of the lidar, the first points backwards


def steering_network() -> Network:
    """For the jackal's lidar and the planner's headings, in ticks of 1 ms."""
    net = Network()
    net.add_input("heading", SECTORS)
    net.add_input("scan", BEAMS)
    net.add_population("wish", nir.LIF, SECTORS, tau=0.010)
    net.connect("heading", "wish", one_to_one(12.0))  # each spike is passed on
    net.add_population("near", nir.LIF, BEAMS, tau=0.010, r=-3.0, v_leak=4.0)
    net.edge("scan", "near")
    net.add_population("command", nir.LI, 2, tau=0.050)
    net.connect("wish", "command", _towards(HEADINGS.astype(np.float64)))
    net.connect("near", "command", _away(np.linspace(-np.pi, np.pi, BEAMS, endpoint=False)))
    net.add_output("out", "command")
    return net


def _towards(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (2, n): ahead the faster, and a turn up to 60 degrees."""
    ahead, turn = np.maximum(np.cos(angles), 0.0) ** 2, np.clip(angles / np.radians(60.0), -1.0, 1.0)
    return np.stack((1.4 * ahead, 1.6 * turn))


def _away(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (2, n): what is within 40 degrees of ahead slows, what is ahead of the axle turns to the other side."""
    slow = -0.10 * (np.abs(angles) < np.radians(40.0))
    turn = -0.12 * np.sign(angles) * np.maximum(np.cos(angles), 0.0)
    return np.stack((slow, turn))


if __name__ == "__main__":
    parser = parser_of("steering", __doc__)
    parser.add_argument("file", metavar="FILE.nir", help="is written")
    run(parser, lambda given: steering_network().save(given.file))
