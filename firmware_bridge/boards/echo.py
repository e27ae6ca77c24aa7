"""Measures the way to a board and back by probes: a spike on one of a few channels that the board's network echoes.

Where a wire has neither a clock nor a sign of life of its own, as EIEIO, this is how latency, loss and time offset are
known all the time, and that a board whose network is silent is not dead.
"""

from __future__ import annotations

import math
from collections import deque

import nir
import numpy as np

from hybrid_control.snn import Network

CHANNELS = 8
INPUT, RELAY, OUTPUT = "echo", "echo_relay", "echo_out"
_KEPT = 1000  # probes


def with_echo(network: Network) -> Network:
    """The network with an Input `echo` of CHANNELS, whose spikes come back on the Output `echo_out` one tick later."""
    net = Network.from_nir(network.to_nir())
    net.add_input(INPUT, CHANNELS)
    net.add_population(RELAY, nir.LIF, CHANNELS, tau=1e-3)
    net.connect(INPUT, RELAY, 4.0 * np.eye(CHANNELS))
    net.add_output(OUTPUT, RELAY)
    return net


class Probes:
    """What became of the newest probes. Times are ns of the host's monotonic clock, but the board's own are s.

    sent_ns: when the newest was sent, 0 before the first. A probe that has not come back when its channel is due again
    is lost.
    """

    def __init__(self) -> None:
        self.sent_ns = 0
        self._sent: list[int | None] = [None] * CHANNELS
        self._next = 0
        self._ways: deque[float] = deque(maxlen=_KEPT)  # s there and back, NaN for lost
        self._offsets: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # way, offset

    def send(self, now_ns: int) -> int:
        """The channel to send a probe on now."""
        channel = self._next
        if self._sent[channel] is not None:
            self._ways.append(math.nan)
        self._sent[channel] = self.sent_ns = now_ns
        self._next = (channel + 1) % CHANNELS
        return channel

    def back(self, channel: int, now_ns: int, board_time: float = math.nan) -> None:
        """A probe came back; board_time: the board's time stamp on it."""
        sent = self._sent[channel]
        if sent is None:
            return
        self._sent[channel] = None
        way = (now_ns - sent) * 1e-9
        self._ways.append(way)
        if not math.isnan(board_time):
            self._offsets.append((way, board_time - (sent + now_ns) * 0.5e-9))

    def forget(self) -> None:
        """The board began anew: what is on its way will not come back."""
        self._sent = [None] * CHANNELS
        self._offsets.clear()

    @property
    def ways(self) -> tuple[float, float]:
        """Median and 99th percentile of the way there and back, s; NaN before the first."""
        ways = np.array(self._ways)
        ways = ways[np.isfinite(ways)]
        if not ways.size:
            return math.nan, math.nan
        return float(np.median(ways)), float(np.quantile(ways, 0.99))

    @property
    def offset(self) -> float:
        """The board's clock minus the host's, s, by the fastest of the newest probes; NaN where none had a time."""
        return min(self._offsets)[1] if self._offsets else math.nan

    @property
    def loss(self) -> float:
        """Share of the newest probes that were lost; 0 before the first."""
        return float(np.mean(np.isnan(np.array(self._ways)))) if self._ways else 0.0
