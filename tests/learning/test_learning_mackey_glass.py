"""The Mackey-Glass bench: the series against what can be worked out, and a small forecaster from end to end."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hybrid_control.bench.mackey_glass.forecaster import (  # noqa: E402
    OPTIONS,
    Course,
    Learner,
    counted,
    forecast,
)
from hybrid_control.bench.mackey_glass.report import load, picture  # noqa: E402
from hybrid_control.bench.mackey_glass.series import (  # noqa: E402
    FORECAST,
    LEARNED,
    OFFSETS,
    PAST,
    POINTS,
    constant,
    cut,
    interval,
    series,
    smape,
)
from hybrid_control.snn import Engine  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def values():
    return series()


def test_the_series_begins_where_a_constant_past_leads_to(values):
    # until t = 17 the drive is constant, so x goes exponentially to drive / 0.1
    rest = 0.2 * PAST / (1 + PAST**10) / 0.1
    assert values[0] == pytest.approx(rest + (PAST - rest) * np.exp(-1.7), abs=1e-11)
    assert len(values) == POINTS


def test_finer_steps_give_the_same_series_until_chaos_parts_them(values):
    apart = np.abs(series(751, per_lyapunov=150) - values[:751])
    assert apart.max() < 1e-8


def test_what_is_learned_ends_with_the_first_input_of_the_forecast(values):
    learned, truth = cut(values, OFFSETS[-1])
    assert (len(learned), len(truth)) == (LEARNED + 1, FORECAST)
    assert learned[-1] == values[OFFSETS[-1] + LEARNED]
    assert truth[0] == values[OFFSETS[-1] + LEARNED + 1]
    assert truth[-1] == values[-1]


def test_smape_is_neurobenchs():
    # |1 - 3| / (1 + 3) = 1/2 and 0: mean 1/4, times 200
    assert smape(np.array([1.0, 2.0]), np.array([3.0, 2.0])) == 50.0
    assert smape(np.array([np.nan, 2.0]), np.array([3.0, 2.0])) == 200.0


def test_an_interval_is_two_standard_errors():
    assert interval([1.0, 3.0]) == (2.0, pytest.approx(1.96 * np.sqrt(2) / np.sqrt(2)))


def test_a_small_forecaster_learns_through_the_mirror_and_forecasts_in_the_engine(values):
    learned, truth = cut(values, 0)
    course = Course(dendrites=1, neurons=100, steps=5)
    learner = Learner(learned, course)
    synapses = learner.dendrites()
    assert np.abs(synapses - np.eye(course.taps)[synapses.argmax()]).max() > 1e-3  # it was trained
    network = learner.read_out(synapses, 200)
    step = Engine.load(network, OPTIONS).run(np.concatenate([learned, truth])[:-1, None])[LEARNED:, 0]
    assert np.std(step - truth) < 0.005  # of a series whose spread is 0.23
    found = forecast(network, learned)
    np.testing.assert_allclose(found[:5], truth[:5], atol=0.02)
    metrics = counted(network, learned, found, course.taps)  # the mirror gives the same forecast
    assert metrics.dense == 200 + 2 * course.taps + 200
    assert metrics.effective_macs <= 200 + 2 * course.taps
    assert 0 < metrics.effective_acs < 200


def test_table_and_picture_show_every_network(tmp_path, values):
    operations = {"Effective_MACs": 1000.0, "Effective_ACs": 100.0}
    row = {"SynapticOperations": operations, "ActivationSparsity": 0.5, "Footprint": 4000}
    spiking = [{"dendrites": 1, "neurons": n, "errors": [10.0, 12.0], "metrics": [row]} for n in (50, 1000)]
    found = {"constant": constant(values), "spiking": spiking}
    (tmp_path / "spiking.json").write_text(json.dumps(found))
    (tmp_path / "peers.json").write_text(json.dumps({"LSTM": [{**row, "SMAPE": 9.0}, {**row, "SMAPE": 7.0}]}))
    mean, points = load(tmp_path)
    assert mean == pytest.approx(21.7, abs=0.1)
    assert points[0].line() == "| 1 dendrite, 50 | 11.0 ± 2.0 | 1,000 | 100 | 4.69 | 50 % | 4 kB |"
    drawn = picture(mean, points)
    assert drawn.count("<circle") == 3
    assert "LSTM" in drawn
