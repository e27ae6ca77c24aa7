"""What a board makes of a network, as `boards check` reports it."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hybrid_control.navigation.reflex.board_inputs import board_inputs
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.snn import AdaptiveLIF, Engine, Network
from hybrid_control.snn.backends.capabilities import BoardRefusal
from hybrid_control.snn.backends.loihi.engine import LoihiEngine
from hybrid_control.snn.backends.quantise import (
    compare,
    compare_spikes,
    integer_spikes,
    overlap,
    parameter_errors,
    quantise,
    report,
)
from hybrid_control.snn.backends.split import split


@pytest.fixture(scope="module")
def board() -> Network:
    return split(build_network()).board


def _pair(weight: float, tau: float, threshold: float, delay: float | None) -> Network:
    net = Network()
    net.add_input("in", 2)
    net.add_population("cell", nir.LIF, 2, tau=tau, v_threshold=threshold)
    net.connect("in", "cell", [[weight, 0.0], [0.0, 4.0]], "way", delay=delay)
    net.add_output("out", "cell")
    return net


def test_errors_are_shares_worked_out_by_hand() -> None:
    errors = parameter_errors(_pair(2.0, 0.010, 1.0, None), _pair(2.2, 0.011, 0.98, 3e-3), 1e-3)
    found = {e.what: e for e in errors}
    # 0.2 of the largest weight, 4; the mean over the two weights that are not zero
    assert (found["weights"].worst, found["weights"].mean) == (pytest.approx(0.05), pytest.approx(0.025))
    assert found["weights"].where == "way"
    assert found["time constants"].worst == pytest.approx(0.1)
    assert found["thresholds"].worst == pytest.approx(0.02)
    assert found["delays"].worst == pytest.approx(3.0)


def test_errors_of_parameters_in_other_units_are_taken_without_the_factor() -> None:
    errors = parameter_errors(_pair(2.0, 0.01, 1.0, None), _pair(2.0, 0.01, 10.0, None), 1e-3, scaled=True)
    assert max(e.worst for e in errors) == pytest.approx(0.0)


def test_overlap_counts_spikes_with_a_partner_near_by() -> None:
    a, b = np.zeros((100, 1), bool), np.zeros((100, 1), bool)
    a[[10, 30, 50, 70]] = True
    b[[12, 30, 60]] = True
    # 10 and 12, 30 and 30 are within 5 ticks; 50, 60 and 70 have none: 4 of 7
    assert overlap(a, b) == pytest.approx(4 / 7)
    assert overlap(a, a) == 1.0
    assert overlap(a, np.zeros_like(a)) == 0.0


def test_a_comparison_of_spikes_worked_out_by_hand() -> None:
    before, after = np.zeros((1000, 2)), np.zeros((1000, 2))
    before[::100, 0] = 1  # 10 and 0 Hz
    after[1::100, 0] = 1
    after[500:504, 1] = 1  # 10 and 4 Hz, each of the first a tick late
    (made,) = compare_spikes({"cell": before}, {"cell": after}, 1000).populations
    assert made.rate == (pytest.approx(5.0), pytest.approx(7.0))
    assert made.rate_error == pytest.approx(2.0)
    assert made.overlap == pytest.approx(20 / 24)


def test_a_network_compared_with_itself_differs_nowhere(board: Network) -> None:
    made = compare(board, board, board_inputs(board, 300), 300)
    assert made.first is None
    assert made.rate_error == 0.0
    assert {p.overlap for p in made.populations} == {1.0}


def test_board_inputs_of_the_reflex_drive_its_ring_and_are_the_same_for_a_seed(board: Network) -> None:
    inputs = board_inputs(board, 500, 4)
    again = board_inputs(board, 500, 4)
    assert all(np.array_equal(inputs[n], again[n]) for n in inputs)
    assert inputs["planner"].shape == (500, 80)
    rates = {p.name: p.rate[0] for p in compare(board, board, inputs, 500).populations}
    assert rates["ring"] > 3
    assert rates["forward"] > 50


def test_what_loihi_does_to_the_reflex_is_as_documented(board: Network) -> None:
    made = quantise(board, "loihi")
    assert made.program is not None
    errors = {e.what: e for e in made.errors}
    # 80 -> 20 ms is off by 3/4, 5 -> 20 ms by 3; the others are 0: docs/boards.md
    assert errors["filters"].worst == pytest.approx(3.0)
    assert errors["time constants"].worst < 0.002
    assert errors["thresholds"].worst < 0.001
    assert errors["weights"].mean < 0.005
    assert errors["delays"].worst == 1.0
    ticks = 1500
    inputs = board_inputs(board, ticks)
    whole = compare(board, made.network, inputs, ticks)
    assert whole.rate_error < 0.2
    exact = integer_spikes(made.program, inputs, ticks)
    assert exact["ring"].shape == (ticks, 72)
    again = compare_spikes(exact, integer_spikes(made.program, inputs, ticks), ticks)
    assert again.first is None


def test_rounding_of_u_and_v_is_a_small_part_of_it(board: Network) -> None:
    made = quantise(board, "loihi")
    assert made.program is not None
    ticks = 2000
    inputs = board_inputs(board, ticks)
    exact = integer_spikes(made.program, inputs, ticks)
    engine = Engine(made.network, dtype=np.float64)
    ran = engine.run({n: inputs[n] for n in engine.input_names}, record=list(exact))
    rounded = compare_spikes({n: ran[n]["spikes"] for n in exact}, exact, ticks)
    assert rounded.first is None or rounded.first > 20
    assert rounded.rate_error < 0.05


@pytest.mark.parametrize("target", ["loihi", "spinnaker"])
def test_a_report_says_what_changes_and_that_no_board_was_there(board: Network, target: str) -> None:
    text = report(board, target, board_inputs(board, 200))
    assert "never tried on hardware" in text
    for word in (
        "ring",
        "weights",
        "time constants",
        "thresholds",
        "delays",
        "first spike that only one has",
    ):
        assert word in text


def test_given_inputs_are_used_as_they_are(board: Network) -> None:
    inputs = {n: np.zeros_like(x) for n, x in board_inputs(board, 50).items()}
    assert "first spike that only one has: none of 50" in report(board, "loihi", inputs)


def test_a_network_that_no_board_runs_is_refused_and_so_is_a_board_that_there_is_not() -> None:
    net = _pair(1.0, 0.01, 1.0, None)
    with pytest.raises(ValueError, match="no board 'truenorth'; there are spinnaker, loihi"):
        quantise(net, "truenorth")
    net.add_population("ada", AdaptiveLIF, 2, tau=0.01)
    with pytest.raises(BoardRefusal, match="nearest that it can run"):
        quantise(net, "loihi")


def test_any_network_gets_spikes_at_every_input() -> None:
    net = _pair(3.0, 0.01, 1.0, None)
    inputs = board_inputs(net, 2000, 1)
    assert set(inputs) == {"in"}
    assert (inputs["in"].sum(axis=0) > 5).all()
    program = quantise(net, "loihi").program
    assert program is not None
    assert LoihiEngine(program).program.inputs[0].size == 2
