"""Spike for spike against nengo-loihi's emulator, in its own process behind the board protocol.

Skipped without build/loihi (scripts/loihi.sh makes it).
"""

import json
import os
import subprocess
from pathlib import Path

import nir
import numpy as np
import pytest

from firmware_bridge.boards.emulated import EmulatedBoard
from firmware_bridge.boards.loihi import EMULATOR, environment
from hybrid_control.navigation.reflex.board_inputs import board_inputs
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.signals import SpikeTrain
from hybrid_control.snn import Network
from hybrid_control.snn.backends.loihi import LoihiEngine, loihi_program
from hybrid_control.snn.backends.split import split

pytestmark = pytest.mark.peers
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def python() -> Path:
    try:
        return environment()
    except ValueError as error:
        pytest.skip(str(error))


def same_spikes(net: Network, ticks: int, seed: int) -> int:
    """Run a network behind the wire and in compiled integers; returns the number of output spikes."""
    inputs = board_inputs(net, ticks, seed)
    engine = LoihiEngine(loihi_program(net))
    total = 0
    with EmulatedBoard("loihi", net, stepped=True) as board:
        x = np.concatenate([inputs[p.name] for p in board.inputs], axis=1)
        for t in range(ticks):
            neurons = np.flatnonzero(x[t])
            board.send(SpikeTrain(0, 1_000_000, board.inputs, neurons, np.zeros(neurons.size)))
            got = np.sort(board.receive().neuron)
            want = np.flatnonzero(engine.step(x[t].astype(np.int64)))
            np.testing.assert_array_equal(got, want, err_msg=f"tick {t}")
            total += want.size
        assert board.health().loss == 0
    assert engine.overflows == 0
    return total


def test_the_reflex_spikes_the_same_for_three_seconds() -> None:
    assert same_spikes(split(build_network()).board, 3000, 0) > 5000


@pytest.mark.parametrize("seed", range(5))
def test_random_networks_spike_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = Network()
    sizes = {"a": 20, "b": 30, "c": 10}
    net.add_input("in", 40)
    net.add_population(
        "a", nir.LIF, 20, tau=rng.uniform(0.002, 0.05, 20), v_threshold=rng.uniform(0.5, 2, 20)
    )
    net.add_population(
        "b", nir.CubaLIF, 30, tau_syn=rng.uniform(0.002, 0.05, 30), tau_mem=rng.uniform(0.002, 0.05, 30)
    )
    net.add_population("c", nir.IF, 10, r=1000.0, v_threshold=rng.uniform(0.5, 2, 10))
    net.connect("in", "a", rng.normal(2.0, 3.0, (20, 40)))
    for source, target in (("a", "b"), ("b", "b"), ("b", "c"), ("c", "a")):
        net.connect(source, target, rng.normal(0.5, 3.0, (sizes[target], sizes[source])), delay=1e-3)
    for name in sizes:
        net.add_output(f"{name}_out", name)
    assert same_spikes(net, 500, seed) > 100


def test_the_committed_vectors_are_what_it_gives(python: Path) -> None:
    done = subprocess.run(
        [str(python), str(ROOT / "tests" / "peers" / "record_loihi_vectors.py")],
        env={**os.environ, "PYTHONPATH": str(EMULATOR.parent)},
        capture_output=True,
        check=True,
        timeout=100,
    )
    committed = json.loads((ROOT / "tests" / "boards" / "loihi_vectors.json").read_text())
    assert json.loads(done.stdout) == committed
