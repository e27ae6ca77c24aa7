"""The time to the first right command: what is counted, and that initial states at least halve it."""

import math

import numpy as np
import pytest

from hybrid_control.bench.settle_nodes import headings_of
from hybrid_control.cli import main
from hybrid_control.navigation.bench.settle import AFTER, BEFORE, Blocks, Wish, first_plan, right_after, trial
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.states import BUMP, read


def test_settle_right_is_the_first_heading_from_which_it_stays_within_ten_degrees_of_where_it_ends():
    headings = np.full(1200, math.radians(40.0))
    headings[:300] = math.nan
    headings[300:500] = math.radians(80.0)
    headings[350:400] = math.radians(40.0)  # it does not stay there for long enough
    headings[500:] += np.resize([-0.1, 0.1], 700)
    ms, end = right_after(headings)
    assert ms == 501
    assert end == pytest.approx(math.radians(40.0))


def test_settle_a_ring_that_stays_silent_or_never_settles_is_never_right():
    assert np.isnan(right_after(np.full(1200, math.nan))).all()
    assert math.isnan(right_after(np.linspace(0.0, 60.0, 1200))[0])


def test_settle_counts_from_the_first_plan_that_knows_of_the_wish():
    assert first_plan([(40, 0.5), (107, -0.48 + math.tau), (173, -0.5)], Wish(0.0, -0.5, BUMP)) == 107
    with pytest.raises(ValueError, match="none of 1 plans leads -29 degrees off"):
        first_plan([(40, 0.5)], Wish(0.0, -0.5, BUMP))


@pytest.mark.parametrize("states", [False, True])
def test_settle_headings_are_put_together_again_from_spikes_as_the_reflex_has_them(states):
    blocks = Blocks(read(contract.DEFAULT_MODEL) if states else None)
    blocks.begin(3, 0)
    blocks.reflex.activate()
    blocks.tell(0.3)
    blocks.run(BEFORE, Wish(0.3, 0.5, BUMP))
    begin, were_set = blocks.now, []
    put = blocks.reflex.put_states
    blocks.reflex.put_states = lambda given, now: (were_set.append(now), put(given, now))
    headings = blocks.run(AFTER, Wish(0.3, -0.5, BUMP))
    train = blocks.reflex.spikes(blocks.now, blocks.now)
    found = headings_of(train.stamp_ns + train.offset_ns.astype(np.int64) - 1, train.neuron, begin, AFTER, were_set)
    assert len(were_set) == states
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * headings), atol=1e-3)


@pytest.mark.parametrize("case", ["new plan", "new goal", "activation, round"])
def test_settle_initial_states_at_least_halve_the_time_from_a_plan_and_from_what_it_came_of(case):
    settled = read(contract.DEFAULT_MODEL)
    for since, most in (("plan_ms", 50.0), ("event_ms", 120.0)):
        without, told = (
            np.median([trial(blocks, case, k)[since] for k in range(11)])
            for blocks in (Blocks(None), Blocks(settled))
        )
        assert told < most
        assert told < 0.5 * without


def test_settle_prints_a_table_and_writes_every_trial(tmp_path, capsys):
    file = tmp_path / "settle.json"
    assert main(["bench", "settle", "--trials", "1", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "new plan" in out
    assert "activation, round" in out
    assert file.read_text().count("plan_ms") == 10
