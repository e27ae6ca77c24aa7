"""The arm before the event camera: what it is said to do, it does, and bins hold just the events that came."""

import numpy as np
import pytest

from hybrid_control.bench.hand_over import arm
from hybrid_control.bench.hand_over.sequences import SIZE, STEP, Sequences

PACE = arm.Pace((100.0, 140.0), (0.05, 0.15), 0.03)
STEPS = 120


@pytest.fixture(scope="module")
def made():
    return made_again()


def made_again():
    return Sequences.of(arm.sequence(3, STEPS, PACE, seed) for seed in range(4))


def test_learning_arm_is_the_same_for_a_seed_and_another_for_another(made):
    again = made_again()
    for name in ("truth", "events", "pointer"):
        np.testing.assert_array_equal(getattr(made, name), getattr(again, name))
    assert not np.array_equal(made.truth[0], made.truth[1])


@pytest.mark.parametrize("links", [2, 3, 4])
def test_learning_arm_keeps_its_links_and_moves_as_fast_as_it_is_said(links):
    fastest = []
    for seed in range(12):
        base, joints = arm.motion(links, STEPS, PACE, np.random.default_rng(seed))
        chain = np.concatenate([np.broadcast_to(base, (STEPS + 1, 1, 2)), joints], axis=1)
        lengths = np.linalg.norm(np.diff(chain, axis=1), axis=-1)
        np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), rtol=1e-9)
        assert arm.LENGTH[0] <= lengths[0].sum() <= arm.LENGTH[1]
        fastest.append(np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() / STEP)
    assert 95.0 < np.median(fastest) < 145.0


def test_learning_arm_stands_still_for_as_long_as_it_is_said():
    pace = arm.Pace((100.0, 140.0), (0.05, 0.05), 0.01)
    stood = []
    for seed in range(40):
        _, joints = arm.motion(2, 200, pace, np.random.default_rng(seed))
        still = (np.linalg.norm(np.diff(joints, axis=0), axis=-1) < 1e-9).all(axis=1)
        stood.append(int(still.sum()))
    assert set(stood) <= set(range(52))
    assert sum(count > 0 for count in stood) == pytest.approx(40 * arm.STOPS, abs=8)


def test_learning_arm_bins_hold_every_event_of_their_time_once(made):
    chosen, begins = np.array([2, 0]), np.array([10, 50])
    bins = made.bins(chosen, begins, 5, 8)
    assert bins.shape == (2, 5, 2, SIZE, SIZE)
    for row, (k, begin) in enumerate(zip(chosen, begins, strict=True)):
        mine = made.events[made.pointer[k] : made.pointer[k + 1]]
        wanted = np.zeros_like(bins[row])
        for step, on, y, x in mine:
            if begin <= step < begin + 40:
                wanted[(int(step) - begin) // 8, on, y, x] += 1
        np.testing.assert_array_equal(bins[row], wanted)
    # all of a sequence, in one bin
    whole = made.bins(np.arange(4), np.zeros(4, np.int64), 1, STEPS)
    np.testing.assert_array_equal(whole.sum(axis=(1, 2, 3, 4)), np.diff(made.pointer))


def test_learning_arm_truth_is_where_the_joints_are_when_a_bin_ends(made):
    truth = made.after(np.array([1]), np.array([20]), 3, 10)
    np.testing.assert_array_equal(truth[0], made.truth[1, [29, 39, 49]])


def test_learning_arm_events_come_where_it_moves(made):
    """Within a pixel or two of a link at that time, but for noise, some 1.1 events a pixel and second."""
    events, joints = made.events[: made.pointer[1]], made.truth[0]
    base, _ = arm.motion(3, STEPS, PACE, np.random.default_rng([0, 3]))
    near = 0
    for step, _, y, x in events:
        a = np.concatenate([[base], joints[int(step)][:-1]])
        b = joints[int(step)]
        along = np.clip(((np.array([x, y]) - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)[:, None]
        near += np.linalg.norm(np.array([x, y]) - a - along * (b - a), axis=1).min() < 5.0
    noise = 1.1 * SIZE**2 * STEPS * STEP
    assert len(events) - near < 1.3 * noise
    assert near > len(events) / 3


def test_learning_arm_comes_back_from_its_file(made, tmp_path):
    made.save(tmp_path / "arm.npz")
    back = Sequences.load(tmp_path / "arm.npz")
    np.testing.assert_array_equal(back.events, made.events)
    np.testing.assert_array_equal(back.truth, made.truth)
