"""The example of docs/board_protocol.md, taken out of the page and run: Brian2 as a board.

Needs an environment with Brian2: that which runs this, or build/peers (scripts/peers.sh makes it).
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import nir
import numpy as np
import pytest

from firmware_bridge.boards.processes import board_protocol
from firmware_bridge.boards.udp import UdpBoard, UdpConfig
from hybrid_control.signals import SpikeTrain
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends.capabilities import BoardRefusal

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
TICKS = 15


def example() -> str:
    page = (ROOT / "docs" / "board_protocol.md").read_text()
    return next(c for c in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "brian2" in c)


def brian2_python() -> str:
    there = ROOT / "build" / "peers" / "bin" / "python"
    if find_spec("brian2"):
        return sys.executable
    if not there.exists():
        pytest.skip("no Brian2: scripts/peers.sh installs it in build/peers")
    return str(there)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    python = brian2_python()
    script = tmp_path / "brian2_board.py"
    script.write_text(example())
    process = subprocess.Popen(
        [python, str(script), "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(board_protocol.__file__).parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield int(process.stdout.readline().split()[-1])
    process.kill()
    process.wait()


def network(late: bool) -> Network:
    """A LIF and a CubaLIF population in a ring; late: each projection with a tick of delay."""
    rng = np.random.default_rng(0)
    net = Network()
    net.add_input("x", 6)
    net.add_input("y", 2)
    net.add_population("a", nir.LIF, 8, tau=rng.uniform(0.005, 0.03, 8))
    net.add_population(
        "b", nir.CubaLIF, 5, tau_syn=0.005, tau_mem=rng.uniform(0.005, 0.03, 5), w_in=2.0, r=1.5
    )
    delay = 1e-3 if late else None
    net.connect("x", "a", rng.normal(5, 4, (8, 6)), delay=delay)
    net.connect("y", "a", rng.normal(3, 3, (8, 2)), delay=delay)
    net.connect("a", "b", rng.normal(3, 4, (5, 8)), delay=delay)
    net.connect("b", "a", rng.normal(0, 4, (8, 5)), delay=delay)
    net.add_output("a_out", "a")
    net.add_output("b_out", "b")
    return net


def test_the_example_has_at_most_50_lines() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 50


def test_brian2_behind_the_protocol_spikes_as_the_numba_engine(port: int) -> None:
    engine = Engine(network(late=True), dtype=np.float64)
    rng = np.random.default_rng(1)
    total = 0
    with UdpBoard(UdpConfig(port=port, stepped=True, timeout=60, tick_timeout=60)) as board:
        board.load(network(late=False))
        board.start()
        for _ in range(TICKS):
            counts = (rng.random(8) < 0.3) * rng.integers(1, 3, 8)
            neurons = np.repeat(np.arange(8), counts)
            board.send(SpikeTrain(0, 1_000_000, board.inputs, neurons, np.zeros(neurons.size)))
            out = engine.step({"x": counts[:6], "y": counts[6:]})
            want = np.flatnonzero(np.concatenate([out[p.name] for p in board.outputs]))
            np.testing.assert_array_equal(np.sort(board.receive().neuron), want)
            total += want.size
    assert total > 20


def test_what_the_example_can_not_run_it_refuses_in_words(port: int) -> None:
    with (
        UdpBoard(UdpConfig(port=port, stepped=True, timeout=60)) as board,
        pytest.raises(BoardRefusal, match="is a Delay; this board has LIF, CubaLIF and Linear"),
    ):
        board.load(network(late=True))
