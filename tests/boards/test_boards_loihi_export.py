"""What `boards export --target loihi` writes, and the board's health over its own process where that is there."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import nir
import numpy as np
import pytest

from firmware_bridge.boards.loihi import LoihiBoard, LoihiConfig
from firmware_bridge.boards.loihi_export import export
from firmware_bridge.boards.registry import board_class
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.snn import Network
from hybrid_control.snn.backends.capabilities import BoardRefusal
from hybrid_control.snn.backends.loihi import loihi_program
from hybrid_control.snn.backends.loihi.form import MAX_COUNT
from hybrid_control.snn.backends.split import split


def test_scripts_integers_and_what_they_import_are_written(tmp_path: Path) -> None:
    network = split(build_network()).board
    written = export(network, tmp_path / "avoid.py")
    assert [p.name for p in written] == [
        "avoid.py",
        "avoid_lava.py",
        "avoid.npz",
        "board_protocol.py",
        "loihi_emulator.py",
        "lava_process.py",
    ]
    assert written[2].read_bytes() == loihi_program(network).to_bytes()
    for script in written:
        if script.suffix == ".py":
            ast.parse(script.read_text())
    text = written[0].read_text()
    assert "never run on a chip" in text
    assert "ring: 72 compartments, decay_u 204, decay_v 410" in text
    assert "blocked_ring: blocked -> ring, 72 synapses" in text
    with np.load(io.BytesIO(written[2].read_bytes()), allow_pickle=False) as file:
        assert json.loads(file["meta"].tobytes())["dt"] == 1e-3


def test_what_can_not_run_is_not_written(tmp_path: Path) -> None:
    net = Network()
    net.add_input("in", 1)
    net.add_population("value", nir.LI, 1, tau=0.01)
    net.connect("in", "value", [[1.0]])
    net.add_output("out", "value")
    with pytest.raises(BoardRefusal, match="gives the value of LI"):
        export(net, tmp_path / "value.py")
    assert list(tmp_path.iterdir()) == []


def test_more_spikes_of_one_input_than_a_core_has_room_for_are_not_sent() -> None:
    board = LoihiBoard(LoihiConfig())
    few = np.array([3, 1, 3, 3, 3])
    np.testing.assert_array_equal(board.admitted(few), few)
    many = board.admitted(np.array([2] * 9 + [0]))
    assert sorted(many.tolist()) == [0] + [2] * MAX_COUNT


def test_loihi_is_among_the_boards_and_says_what_it_lacks(tmp_path: Path) -> None:
    kind = board_class("loihi")
    assert kind is LoihiBoard
    assert not kind.capabilities.on_hardware
    found, line = kind.reachable(LoihiConfig(port=17949, timeout=0.2, python=tmp_path / "none"))
    assert not found
    assert "scripts/loihi.sh makes its environment" in line
