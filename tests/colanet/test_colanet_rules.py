"""Each rule of CoLaNET against numbers worked out by hand."""

import numpy as np
import pytest

from hybrid_control.colanet import rules
from hybrid_control.colanet.settings import ACTIVATIONS, MNIST, Settings

F = np.float32


def near(value):
    return pytest.approx(value, rel=1e-6, abs=1e-7)


def test_colanet_weight_goes_from_w_min_to_w_max_as_the_resource_grows():
    low, high = F(-1), F(3)  # a span of 4
    assert rules.weight_of(F(-5), low, high) == -1  # what is below 0 is as 0
    assert rules.weight_of(F(0), low, high) == -1
    assert rules.weight_of(F(4), low, high) == 1  # -1 + 4 · 4 / 8
    assert rules.weight_of(F(12), low, high) == 2  # -1 + 4 · 12 / 16
    assert rules.weight_of(F(1e9), low, high) == near(3)


@pytest.mark.parametrize("settings", [MNIST, ACTIVATIONS])
def test_colanet_starts_at_weight_0(settings):
    start = rules.start_resource(settings.w_min, settings.w_max)
    assert rules.weight_of(F(start), F(settings.w_min), F(settings.w_max)) == near(0)
    assert rules.start_resource(-1, 3) == near(4 / 3)  # 1 · 4 / 3


def test_colanet_gating_counts_to_0_and_opens_from_minus_1():
    assert rules.moved(rules.OPEN) == rules.OPEN
    assert [rules.moved(a) for a in (-10, -2, -1, 0, 1, 3)] == [-9, -1, rules.OPEN, 0, 0, 2]


def test_colanet_gating_by_10_closes_for_10_ticks():
    activity, closed = -10, 0
    while activity <= 0:
        closed, activity = closed + 1, rules.moved(activity)
    assert closed == 10


def test_colanet_stable_neuron_learns_half_as_much_per_unit_of_stability():
    assert [rules.plasticity(F(s)) for s in (-3, 0, 1, 2, 3)] == [1, 1, 0.5, 0.25, 0.125]


def test_colanet_anti_hebbian_rule_takes_d_h():
    assert rules.anti_hebbian(F(-0.5), F(0)) == -0.5
    assert rules.anti_hebbian(F(-0.5), F(2)) == -0.125


def test_colanet_dopamine_gives_the_reward_but_never_punishes_what_was_forced():
    assert rules.dopamine(F(0.5), F(1), False) == 0.25
    assert rules.dopamine(F(0.5), F(1), True) == 0.25
    assert rules.dopamine(F(-0.5), F(1), False) == -0.25
    assert rules.dopamine(F(-0.5), F(1), True) == 0
    assert rules.dopamine(F(0), F(1), True) == 0


def test_colanet_foreign_columns_get_back_what_does_not_stay_of_the_anti_hebbian_rule():
    assert rules.returned(F(-0.5), F(0), F(0.25)) == 0.375
    assert rules.returned(F(-0.5), F(1), F(0.0)) == 0.25
    assert rules.returned(F(-0.5), F(1), F(1.0)) == 0


def test_colanet_tight_spike_sequence_has_intervals_of_isi_max_at_most_and_ends_by_force():
    assert [rules.continues(interval, 10, False) for interval in (1, 10, 11)] == [True, True, False]
    assert not rules.continues(3, 10, True)


def test_colanet_stability_falls_at_the_start_of_a_sequence_to_0_at_least():
    assert rules.stability_at_start(F(1), F(0.5), F(-0.5)) == 0.75
    assert rules.stability_at_start(F(0.125), F(0.5), F(-0.5)) == 0


def test_colanet_stability_after_an_unforced_reward_by_two_factors():
    # r R = 0.25; isi_max 10
    for since, factor in ((10, 2), (5, 1.5), (0, 1), (15, 1.5), (40, -1), (100, -1)):
        assert rules.stability_at_reward(F(1), F(0.25), False, since, 10) == near(1 + 0.25 * factor)


def test_colanet_stability_after_an_unforced_reward_by_three_factors():
    assert rules.stability_at_reward(F(1), F(0.25), False, 5, 0) == 0.5
    assert rules.stability_at_reward(F(0.25), F(0.25), False, 5, 0) == 0


def test_colanet_stability_falls_after_force_and_after_punishment():
    assert rules.stability_at_reward(F(1), F(0.25), True, 5, 10) == 0.75
    assert rules.stability_at_reward(F(1), F(-0.25), False, 5, 10) == 0.75
    assert rules.stability_at_reward(F(0.125), F(0.25), True, 5, 10) == 0


def test_colanet_renormalisation_shares_what_is_free_with_the_silent_ones():
    assert rules.renormalisation(F(6), 10, 2) == 0.5
    assert rules.renormalisation(F(-6), 10, 2) == -0.5
    assert rules.renormalisation(F(1), 3, 1) == 0.25
    assert rules.renormalisation(F(0.999), 3, 1) == 0


def test_colanet_noise_is_uniform_and_independent_of_tick_and_neuron():
    key = rules.key_of(3, 1, 7)
    values = np.array(
        [[rules.uniform(key, np.uint32(t), np.uint32(n)) for n in range(300)] for t in range(15)]
    )
    assert 0 <= values.min() < 0.01
    assert 0.99 < values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.std() == pytest.approx(12**-0.5, abs=0.02)
    for other in (values[1:, :] * values[:-1, :], values[:, 1:] * values[:, :-1]):
        assert other.mean() == pytest.approx(0.25, abs=0.02)
    assert len({int(rules.key_of(*k)) for k in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}) == 4


def ticks_of(train):
    return [k for k in range(10) if train >> k & 1]


def test_colanet_rate_code_fires_each_time_that_a_whole_has_come_together():
    for value, ticks in (
        (0.0, []), (0.09, []), (0.1, [9]), (0.25, [3, 7]), (1 / 3, [2, 5, 8]), (0.5, [1, 3, 5, 7, 9]),
        (0.7, [1, 2, 4, 5, 7, 8, 9]), (1.0, list(range(10))), (99.0, list(range(10))),
    ):  # fmt: skip
        assert ticks_of(rules.spike_train(value * 255, 255.0, 10)) == ticks


def test_colanet_rate_code_has_at_most_32_spike_trains():
    trains = {rules.spike_train(value, 1.0, 10) for value in np.linspace(0, 1, 20_001)}
    assert len(trains - {0}) == 32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("microcolumns", 0), ("microcolumns", 2.0), ("tau", 0.5), ("tau", float("nan")), ("w_min", 0.1), ("w_max", 0.0),
        ("anti_hebbian", 0.1), ("saturation", 0.0), ("winners", "two"), ("stability_rule", "none"), ("noise", "1"),
        ("foreign", 1.1), ("foreign", -0.1), ("turns", 17), ("turns", 1.0), ("low", 1.8), ("high", 0.0),
    ],
)  # fmt: skip
def test_colanet_settings_that_cannot_be_are_named(name, value):
    with pytest.raises(ValueError, match=f"^{name} .*expected"):
        Settings(**{name: value})


def test_colanet_pair_is_turned_by_an_eighth_and_keeps_its_length():
    assert rules.turned(F(3), F(1)) == near((4 / 2**0.5, 2 / 2**0.5))


def test_colanet_published_settings_turn_nothing():
    assert MNIST.turns == ACTIVATIONS.turns == 0
