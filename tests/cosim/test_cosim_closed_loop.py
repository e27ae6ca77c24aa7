"""The closed loop that is measured beside other tools: the same spikes however it is written."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hybrid_control.bench.closed_loop import figures, loops, measure, ours, workload

TICKS = 10 * workload.ANN_TICKS


@pytest.fixture(scope="module")
def data():
    return workload.arrays()


@pytest.fixture(scope="module")
def reference(data):
    return loops.numpy_loop(data, True).run(TICKS)


def test_cosim_closed_loop_is_lively_and_moves_its_plant(data, reference):
    hidden, output = reference
    assert 10.0 < 1000.0 * hidden.mean() < 100.0
    assert 10.0 < 1000.0 * output.mean() < 200.0
    plant = workload.ChainPlant(data)
    for spikes in output:
        plant.move(spikes)
    assert 0.05 < np.abs(plant.x).max() < 2.0


@pytest.mark.parametrize("name", ours.LOOPS)
def test_cosim_closed_loop_has_the_same_spikes_however_it_is_written(data, reference, name):
    """In two calls, so that going on is tested too."""
    loop = ours.LOOPS[name](data, True)
    first, second = loop.run(4 * workload.ANN_TICKS), loop.run(TICKS - 4 * workload.ANN_TICKS)
    for found, other, expected in zip(first, second, reference, strict=True):
        assert np.array_equal(np.concatenate([found, other]), expected)


def test_cosim_closed_loop_has_sums_that_are_exact_in_float32(data, reference):
    """In any order, then: each term and each sum is a multiple of a power of two, with 24 bits at most."""
    double = {name: values.astype(np.float64) for name, values in data.items()}
    plant, ann = workload.ChainPlant(data), workload.Ann(data)
    last = np.zeros(workload.HIDDEN)
    wish = np.zeros(workload.INPUTS)
    for t, hidden in enumerate(reference[0]):
        x = plant.x
        if t % workload.ANN_TICKS == 0:
            wish = ann.wish(x.astype(np.float32))
            h = np.maximum(double["ann_first"] @ x + double["ann_bias"], 0.0)
            grid = 1 / workload.READING
            assert np.array_equal(wish, np.rint(np.clip(double["ann_second"] @ h, -1.0, 1.0) * grid) / grid)
        most = np.abs(double["input"]) @ np.abs(x + wish) + np.abs(double["recurrent"]) @ last
        assert most.max() < 2.0**24 * workload.READING * workload.WEIGHT
        plant.move(np.zeros(8) if t == 0 else reference[1][t - 1])
        last = hidden.astype(float)


def test_cosim_closed_loop_row_has_ratios_of_medians_and_of_turns():
    row = figures.row("numpy", [20.0, 30.0, 40.0], [2.0, 1.0, 2.0])
    assert row["ratio"] == 15.0
    assert row["p50_us"] == 30.0
    assert row["ratio_p95"] == pytest.approx(29.0)  # of 10, 30, 20


def test_cosim_closed_loop_says_where_spikes_part_and_what_does_not_hold(reference):
    other = reference[0].copy(), reference[1].copy()
    other[0][7, 3] ^= True
    seen = figures.compared(other, reference)
    assert seen["first_difference"] == 7
    assert 0.0 < seen["rates_differ"] < 0.01
    rows = [
        {"name": "numpy", **seen},
        {"name": "Nengo", **seen},
        {"name": "Brian2, long runs", **seen, "rates_differ": 0.5},
    ]
    assert figures.failures({"rows": rows}) == [
        "numpy: other spikes from tick 7 on", "Brian2, long runs: rates differ by 50 %"
    ]  # fmt: skip


@pytest.mark.slow
def test_cosim_closed_loop_leaves_out_with_a_reason_what_is_not_there(monkeypatch):
    """The command in a process of its own for each; only the hand-written loops, so that it takes seconds."""
    monkeypatch.setattr(measure, "LOOPS", dict.fromkeys([figures.REFERENCE, "numba, by hand"]))
    monkeypatch.setattr(measure, "TOOLS", {"NEST, Run(1)": None})
    monkeypatch.setattr(measure, "BLOCK_S", 0.001)
    result = measure.measure(3, workload.ANN_TICKS, Path(sys.executable))
    assert [row["name"] for row in result["rows"]] == [figures.REFERENCE, "numba, by hand"]
    assert all(row["first_difference"] is None for row in result["rows"])
    text = figures.table(result)
    assert "equal" in text
    assert "NEST, Run(1): left out, nest-simulator is not installed" in text
