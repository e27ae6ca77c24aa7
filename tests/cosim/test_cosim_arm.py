"""The arm: its dynamics against closed forms, and every pattern of ANN and SNN that moves it."""

import json
import math
from functools import cache

import numpy as np
import pytest

from hybrid_control.bench.arm import networks, plant
from hybrid_control.bench.arm.measure import drive, first_motion, reaching
from hybrid_control.bench.arm.patterns import PATTERNS, hybrid_of
from hybrid_control.bench.arm.spiking import DT, firing, servo
from hybrid_control.cli import main
from hybrid_control.cosim import run
from hybrid_control.cosim.clock import synchronisation

FREE = np.array([-1e9, 1e9, 0.0, 0.0])  # an elbow without stops


def swing(state, body, seconds, dt=0.001):
    states = [np.asarray(state, float)]
    for _ in range(round(seconds / dt)):
        states.append(plant.advance(states[-1], np.zeros(2), body.constants, dt, 1, FREE))
    return np.array(states)


def test_cosim_arm_keeps_its_energy_where_nothing_damps_it():
    body = plant.Body(load=0.2, damping=0.0)
    energies = [plant.energy(s, body) for s in swing([0.3, 1.2, 2.0, -3.0], body, 3.0)[::50]]
    assert energies[0] > 3.0  # J, with joints that turn at up to 15 and 42 rad/s
    assert np.ptp(energies) < 2e-6


def test_cosim_arm_swings_in_its_two_modes_at_the_frequencies_of_the_linear_equations():
    body = plant.Body(damping=0.0)
    down = np.array([-math.pi / 2, 0.0])
    a, b, c, g1, g2, _ = body.constants
    # about hanging straight down M q'' = -K q, with K of the potential -g1 cos d1 - g2 cos (d1 + d2)
    K = np.array([[g1 + g2, g2], [g2, g2]])
    M = np.array([[a + b + 2 * c, b + c], [b + c, b]])
    assert np.allclose(M, plant.inertia(down, body))
    squares, modes = np.linalg.eig(np.linalg.solve(M, K))
    for square, mode in zip(squares, modes.T, strict=True):
        way = swing([*(down + 0.002 * mode), 0.0, 0.0], body, 3.0)[:, :2] - down
        t = np.arange(len(way)) * 0.001
        assert np.allclose(way, 0.002 * np.outer(np.cos(math.sqrt(square) * t), mode), atol=2e-6)


def test_cosim_arm_stands_still_under_the_torques_that_hold_it():
    body = plant.Body(load=0.1)
    q = np.array([0.3, 1.1])
    state = plant.advance(np.array([*q, 0, 0]), plant.weight(q, body), body.constants, 0.5, 500, FREE)
    assert np.allclose(state, [*q, 0, 0], atol=1e-12)


def test_cosim_arm_acceleration_is_that_of_the_equations_of_motion():
    body, q, v = plant.Body(load=0.1), np.array([0.4, 1.3]), np.array([1.0, -2.0])
    torque = np.array([3.0, -1.0])
    after = plant.advance(np.array([*q, *v]), torque, body.constants, 1e-6, 1, FREE)
    found = (after[2:] - v) / 1e-6
    forces = torque - plant.coriolis(q, v, body) - plant.weight(q, body) - body.damping * v
    assert np.allclose(plant.inertia(q, body) @ found, forces, atol=1e-3)


def test_cosim_arm_angles_are_where_the_hand_is():
    x = networks.places(500, 9)
    assert np.allclose(plant.hand(plant.angles(x)), x)


def test_cosim_arm_reaching_and_first_motion_by_hand():
    t = np.arange(1000) * 0.001
    error = np.where(t < 0.1, 0.3, 0.3 - (t - 0.1))  # moves from 0.1 s on, 1 m/s, through the target
    error = np.maximum(error, 0.0)
    assert first_motion(t, error, 0.0) == pytest.approx(0.103, abs=0.0011)
    assert reaching(t, error, 0.0) == pytest.approx(0.38, abs=0.0011)
    assert reaching(t, np.full(1000, 0.1), 0.0) == 1.0
    assert first_motion(t, np.full(1000, 0.1), 0.0) == 1.0


def test_cosim_arm_neurons_fire_at_the_rates_that_they_are_read_by():
    part = servo(goal="linear")
    backend = part.backend
    wanted, into = backend.node("wanted").nir, backend.node("torque_drive").nir
    A, b = networks.linear_angles()
    place = np.array([0.35, 0.1])
    senses = np.array([*place, *(A @ place + b), 0.0, 0.0])  # at the target: what is wanted holds the arm
    torque = np.asarray(wanted.weight) @ senses + wanted.bias
    spikes, read, ticks = np.zeros(len(into.bias)), np.zeros(2), 4000
    for _ in range(ticks):
        backend.step(senses)
        spikes += backend.spikes("torque_neurons")
        read += backend.voltage("torque")
    expected = firing(np.asarray(into.weight) @ torque + into.bias)
    assert expected.max() > 50.0
    assert np.abs(spikes / (ticks * DT) - expected).max() < 0.05 * expected.max()
    assert np.allclose(read / ticks, torque, atol=0.02 * plant.TORQUE[0])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_cosim_arm_a_pattern_gives_the_same_bits_for_a_seed_and_its_parts_meet_every_165_ms(pattern):
    hybrid = hybrid_of(pattern, 3)
    if "ann" in hybrid.parts:
        assert synchronisation(c.period_ns for c in hybrid.clocks.values()) == 165_000_000
    again = hybrid_of(pattern, 3)
    hybrid.until_ns = again.until_ns = 1_500_000_000
    first, second = run(hybrid), run(again)
    assert np.array_equal(first["arm.hand"], second["arm.hand"])
    assert first["arm.hand"].shape == (1500, 2)
    assert np.linalg.norm(first["arm.hand"] - first["arm.target"], axis=1)[400:500].max() < 0.15


@cache
def row(pattern, seed):
    return drive(pattern, seed)


def tracking(pattern):
    return np.mean([row(pattern, seed).tracking for seed in (1, 2)])


def test_cosim_arm_an_ann_before_the_servo_tracks_better_than_the_ann_and_better_than_the_servo_alone():
    assert tracking("ANN -> SNN") < 0.7 * min(tracking("ANN alone"), tracking("SNN alone, affine"))


def test_cosim_arm_an_snn_that_knows_it_all_tracks_as_well_and_costs_more():
    assert tracking("SNN alone") < tracking("ANN -> SNN")
    assert row("SNN alone", 1).whole > 2.0 * row("ANN -> SNN", 1).whole


def test_cosim_arm_the_hierarchy_moves_before_the_ann_has_said_anything():
    # sensor 5 ms + 1 ms, then the SNN; the ANN's period and latency are 43 ms
    assert row("hierarchical", 1).latency < 0.025 < row("ANN -> SNN", 1).latency
    assert tracking("hierarchical") < tracking("ANN -> SNN")


def test_cosim_arm_without_the_ann_the_hierarchy_is_its_servo():
    lost, affine = drive("hierarchical", 1, lost=1.0), row("SNN alone, affine", 1)
    assert lost.tracking == pytest.approx(affine.tracking, rel=0.1)
    assert lost.latency == pytest.approx(affine.latency, abs=0.002)


def test_cosim_arm_command_prints_a_row_for_each_pattern(tmp_path, capsys, monkeypatch):
    for name in set(PATTERNS) - {"SNN alone, affine", "hierarchical"}:  # two are enough
        monkeypatch.delitem(PATTERNS, name)
    file = tmp_path / "out.json"
    drawn = tmp_path / "out.svg"
    options = ["--json", str(file), "--picture", str(drawn)]
    assert main(["bench", "cosim", "--seeds", "1", "--weights", "1,0,0", *options]) == 0
    assert "dot: 1 accuracy, 0 latency, 0 power" in drawn.read_text()
    out = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert list(result["patterns"]) == ["SNN alone, affine", "hierarchical"]
    for name, mean in result["patterns"].items():
        assert name in out
        assert mean["efficiency"] == pytest.approx(0.02 / (0.02 + mean["tracking"]))
    assert sum(result["best"].values()) == pytest.approx(1.0)
    assert main(["bench", "cosim", "--weights", "1,1"]) == 2
    assert main(["bench", "cosim", "--weights", "1,1,1"]) == 2
