"""Measures how nengo-loihi's emulator keeps up with a tick a millisecond while it runs the reflex.

python -m hybrid_control.bench.loihi_pace --seconds 60
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from tqdm import trange

from firmware_bridge.boards.emulated import EmulatedBoard
from firmware_bridge.boards.udp import UdpBoard
from hybrid_control.navigation.reflex.board_inputs import board_inputs
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.signals import SpikeTrain
from hybrid_control.snn.backends.split import split


def measure(seconds: float) -> list[str]:
    """Send the reflex' typical input a tick at a time for some seconds; what came of it, as lines of text."""
    network = split(build_network()).board
    inputs = board_inputs(network, 10_000)
    with EmulatedBoard("loihi", network) as board:
        assert isinstance(board, UdpBoard)
        x = np.concatenate([inputs[p.name] for p in board.inputs], axis=1)
        began = time.monotonic()
        sent = 0
        for tick in trange(round(seconds * 1000), unit="tick", file=sys.stderr):
            neurons = np.flatnonzero(x[tick % len(x)]).astype(np.uint32)
            board.send(SpikeTrain(0, 1_000_000, board.inputs, neurons, np.zeros_like(neurons)))
            sent += neurons.size
            board.receive()
            time.sleep(max(0.0, began + (tick + 1) * 1e-3 - time.monotonic()))
        took = time.monotonic() - began
        end = time.monotonic() + 1.0
        while time.monotonic() < end:  # until its last word on how it did is here
            board.receive()
            time.sleep(0.005)
        health, status = board.health(), board.status
    assert status is not None
    total = round((took + 1.0) * 1000)
    return [
        f"{took:.1f} s, {sent / took:,.0f} spikes a second to the emulator, {health.received / took:,.0f} from it",
        f"ticks missed: {status.missed} of {total} ({status.missed / total:.2%})",
        f"time of a tick: {status.step_ns * 1e-3:,.0f} µs on average, {status.step_max_ns * 1e-3:,.0f} µs at most",
        f"round trip on the wire: median {health.round_trip * 1e6:,.0f} µs, p99 {health.round_trip_p99 * 1e6:,.0f} µs",
        f"packets lost: {health.loss:.2%}; clocks apart by {health.time_offset * 1e6:,.0f} µs",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (%(default)g)")
    sys.stdout.write("\n".join(measure(parser.parse_args().seconds)) + "\n")
