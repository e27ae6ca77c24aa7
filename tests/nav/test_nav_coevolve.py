"""Co-evolution: where a search begins, its budget, that it goes on where it stopped, and what counts as better."""

import argparse
import dataclasses
import json
import os

import numpy as np
import pytest

from hybrid_control.cli import coevolve as command
from hybrid_control.navigation.bench import coevolve, verdict
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.map_planner import Readout, planner_rates, read_out
from hybrid_control.navigation.bench.runner import Journal
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.bench.sides import PLANNER_NUMBERS, WEIGHT_NUMBERS, basis, parted, shaped
from hybrid_control.navigation.bench.workers import Machines, Workers
from hybrid_control.navigation.reflex.network import build_network

SETUP = Setup(level="kinematic", rules="barn", duration=3.0, ways=True)
PLAN = coevolve.Plan(SETUP, "open:2", generations=3, population=4, batches=2)
NOTHING = {n.name: n.start for n in (*WEIGHT_NUMBERS, *PLANNER_NUMBERS)}


def call(*arguments):
    parser = argparse.ArgumentParser()
    command.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["coevolve", *map(str, arguments)])
    return args.run(args)


class Crew:
    """Says at once how far sets come: the farther, the nearer they are to one that it holds best. Ends after `last`."""

    def __init__(self, last=10**9):
        self.episodes, self.last = 0, last

    def rows(self, tasks, values=None):
        off = sum((v - 0.1) ** 2 for v in (values or {}).values())
        for policy, index, trial in reversed(tasks):
            if self.episodes == self.last:
                raise KeyboardInterrupt
            self.episodes += 1
            row = {"policy": policy, "index": index, "trial": trial, "success": True, "contact": False}
            yield row | {"time": 5.0 + off + index, "minimum_distance": None, "way": [[index, trial, 0.5]]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def searched(path, arm="both", crew=None, plan=PLAN):
    crew = crew or Crew()
    course = coevolve.Course(plan, plan.scenes(), crew)
    journal = Journal(path, {"arm": arm})
    found = coevolve.search(course, arm, coevolve.evolution(plan, coevolve.ARMS[arm]), journal)
    return found, crew


# the numbers


def test_where_every_number_is_0_the_weights_are_the_hand_built_ones_to_the_bit():
    mine, hand_built = shaped({n.name: n.start for n in WEIGHT_NUMBERS}), build_network()
    assert mine == hand_built
    for name, node in hand_built.nodes.items():
        if hasattr(node, "weight"):
            assert np.asarray(mine.nodes[name].weight).tobytes() == np.asarray(node.weight).tobytes()


@pytest.mark.slow
def test_an_episode_with_every_number_at_its_start_is_the_hand_built_robots():
    (scene,) = load_scenes("forest")
    rows = [Harness(SETUP).run("hybrid", scene, 0, 0)]
    rows.append(Harness(SETUP.with_values("hybrid", NOTHING)).run("hybrid", scene, 0, 0))
    assert rows[0] == rows[1]


def test_each_number_changes_its_own_projections_alike_for_all_headings_and_both_sides():
    ring = (
        "ring_recurrence",
        "planner_excitation",
        "blocked_ring",
        "near_blocked",
        "mid_blocked",
        "far_blocked",
    )
    for number in WEIGHT_NUMBERS:
        for projection, added in basis()[number.name].items():
            assert np.abs(added).max() > 0.0
            if projection in ring:
                kernel = added[:, :72]
                np.testing.assert_allclose(np.roll(kernel, (1, 1), (0, 1)), kernel, atol=1e-4)
                np.testing.assert_allclose(kernel, kernel.T, atol=1e-4)
    turn = basis()["weights.ring_turn.40"]
    np.testing.assert_allclose(turn["ring_left"], turn["ring_right"][:, ::-1], atol=1e-4)


@pytest.mark.slow
def test_a_network_written_to_a_file_drives_as_its_numbers_do(tmp_path):
    (scene,) = load_scenes("forest")
    numbers = {
        "weights.ring_recurrence.20": 0.2,
        "weights.near_blocked.all": -0.2,
        "weights.ring_turn.40": 0.3,
    }
    file = tmp_path / "n.nir"
    shaped(numbers).save(file)
    by_numbers = Harness(SETUP.with_values("hybrid", numbers)).run("hybrid", scene, 0, 0)
    assert Harness(dataclasses.replace(SETUP, network=str(file))).run("hybrid", scene, 0, 0) == by_numbers
    assert Harness(SETUP).run("hybrid", scene, 0, 0) != by_numbers


@pytest.mark.slow
def test_a_set_after_another_drives_as_in_a_harness_of_its_own():
    (scene,) = load_scenes("forest")
    one = {**NOTHING, "goal_gain": 2.0, "weights.ring_recurrence.20": 0.2, "planner.speed_scale": 0.7}
    other = {**NOTHING, "weights.ring_recurrence.20": 0.2, "planner.heading_width": 0.3}
    kept = Harness(SETUP)
    for values in (one, other, one, {}):
        kept.set_values("hybrid", values)
        alone = Harness(SETUP.with_values("hybrid", values))
        assert kept.run("hybrid", scene, 0, 0) == alone.run("hybrid", scene, 0, 0)


def test_the_last_layer_that_ships_changes_no_rate_and_another_one_does():
    plain = planner_rates(0.3, 0.6)
    assert read_out(0.3, 0.6, Readout()).tobytes() == plain.tobytes()
    wide, slow = read_out(0.3, 0.6, Readout(heading_width=0.4)), read_out(0.3, 0.6, Readout(speed_scale=0.5))
    assert wide[:72].max() < plain[:72].max()
    assert slow[72:].argmax() < plain[72:].argmax()


def test_values_are_told_apart_by_their_names():
    values = parted({"goal_gain": 2.0, "weights.ring_turn.10": 0.1, "planner.speed_offset": 0.2})
    assert values == ({"goal_gain": 2.0}, {"weights.ring_turn.10": 0.1}, Readout(speed_offset=0.2))
    with pytest.raises(ValueError, match="has heading_width, speed_scale, speed_offset, not temperature"):
        parted({"planner.temperature": 1.0})
    with pytest.raises(ValueError, match=r"'weights\.nothing' shapes no weights"):
        shaped({"weights.nothing": 1.0})
    with pytest.raises(ValueError, match="--level physics: takes no numbers"):
        Setup(values={"planner.speed_scale": 0.5})


# the search


def test_what_is_maximised_is_progress_less_contacts_and_near_misses():
    row = {"index": 0, "success": True, "time": 5.0, "contact": False, "minimum_distance": None}
    assert coevolve.value([row], [10.0]) == 2.0
    assert coevolve.value([row, row | {"success": False, "contact": True}], [10.0]) == 0.0  # (2 + 0 - 2) / 2
    assert coevolve.value([row | {"minimum_distance": 0.03}], [10.0]) == pytest.approx(1.9)


@pytest.mark.parametrize("arm", ["gains", "weights", "both", "in-turn"])
def test_every_arm_keeps_its_budget_exactly(tmp_path, arm):
    pytest.importorskip("cmaes")
    found, crew = searched(tmp_path / "j.jsonl", arm)
    assert PLAN.sets == 3 * 4 + 3 * 2
    assert found.sets == PLAN.sets
    assert crew.episodes == PLAN.sets * 2 * 2  # worlds of a batch, with the planner and without
    names = [
        n.name for group in coevolve.ARMS[arm] for side in group for n in coevolve.numbers_of(side, SETUP)
    ]
    assert list(found.values) == names


@pytest.mark.parametrize("arm", ["both", "in-turn"])
def test_a_search_that_was_interrupted_goes_on_to_the_same_bits(tmp_path, arm):
    pytest.importorskip("cmaes")
    whole, _ = searched(tmp_path / "whole.jsonl", arm)
    for last in (3, 27, 20):
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "parts.jsonl", arm, Crew(last))
        with (tmp_path / "parts.jsonl").open("a") as file:
            file.write('{"policy": "bo')  # as an interruption leaves it
    again, _ = searched(tmp_path / "parts.jsonl", arm)
    assert again == whole
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_search_comes_nearer_to_what_is_best(tmp_path):
    pytest.importorskip("cmaes")
    found, _ = searched(
        tmp_path / "j.jsonl", "weights", plan=dataclasses.replace(PLAN, generations=60, population=12)
    )
    start, half, end = found.reached
    assert start < half < end
    assert np.mean(list(found.values.values())) == pytest.approx(0.1, abs=0.05)


def test_sets_of_another_search_are_not_taken_for_its_own(tmp_path):
    pytest.importorskip("cmaes")
    searched(tmp_path / "j.jsonl", "weights")
    other = dataclasses.replace(PLAN, setup=dataclasses.replace(SETUP, seed=9))
    with pytest.raises(ValueError, match="not those of this search"):
        searched(tmp_path / "j.jsonl", "weights", plan=other)


def test_limits_of_speed_are_not_searched_and_the_start_may_lie_outside_of_what_tune_tries():
    gains = coevolve.numbers_of("gains", dataclasses.replace(SETUP, gains={"goal_gain": 4.5}))
    assert "max_speed" not in [n.name for n in gains]
    goal = next(n for n in gains if n.name == "goal_gain")
    assert (goal.start, goal.high) == (4.5, 4.5)


# the command


def test_the_command_writes_what_it_found_and_goes_on_where_it_stopped(tmp_path, capsys):
    pytest.importorskip("cmaes")
    asked = ("--arms", "gains,in-turn", "--worlds", "open", "--held-out", "open:2", "--generations", 2,
             "--population", 4, "--batches", 1, "--duration", 3, "--json", tmp_path / "o.json")  # fmt: skip
    assert call(*asked) == 0
    first = (tmp_path / "o.json").read_text()
    found = json.loads(first)
    assert found["sets"] == found["arms"]["gains"]["sets"] == found["arms"]["in-turn"]["sets"] == 11
    assert {e["case"] for e in found["held_out"]} == {"hand-built", "gains_barn", "gains", "in-turn"}
    network = Setup(rules="barn", level="kinematic", network=str(tmp_path / "o_in-turn.nir"))
    assert Harness(network).run("reflex", *load_scenes("open"), 0, 0)["success"]
    assert "better than hand-built everywhere" in capsys.readouterr().out
    assert call(*asked) == 0
    assert (tmp_path / "o.json").read_text() == first
    with pytest.raises(ValueError, match="other worlds or options"):
        call(*asked, "--seed", 2)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--arms", "luck"), "--arms: unknown 'luck'"),
        (("--population", "3"), "--population 3: expected 4 .. 10000"),
        (("--generations", "0"), "--generations 0"),
        (("--batches", "0"), "--batches 0"),
        (("--jobs", "0"), "--jobs 0"),
        (("--duration", "nan"), "--duration nan"),
        (("--seed", "-1"), "--seed -1"),
        (("--backend", "slurm"), "unknown backend 'slurm'"),
        (("--params", "none.yaml"), "--params: none.yaml: no such file"),
        (("--worlds", "moon"), "--worlds moon"),
        (("--held-out", "sun"), "--worlds sun"),
        (("--beside", "none.yaml"), "--beside: none.yaml: no such file"),
        (("--rules", "chess"), "--rules"),
        (("--json", "x.yaml"), "--json x.yaml: expected a name that ends in .json"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        call("--json", tmp_path / "o.json", *arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("package", "arm"), [("cmaes", "gains"), ("torch", "imitation")])
def test_what_is_not_installed_is_named_before_anything_is_driven(tmp_path, monkeypatch, package, arm):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    monkeypatch.delitem(__import__("sys").modules, "hybrid_control.navigation.bench.imitation", raising=False)
    with pytest.raises(ValueError, match="not installed"):
        call("--json", tmp_path / "o.json", "--worlds", "open", "--arms", arm, "--batches", 1)


# who drives


@pytest.mark.slow
def test_values_reach_another_process_as_they_reach_this_one():
    scenes = load_scenes("forest")
    values = {"weights.ring_turn.40": 0.3, "planner.speed_scale": 0.8, "goal_gain": 1.5}
    with Machines().crew(SETUP, scenes) as here, Machines(jobs=2).crew(SETUP, scenes) as there:
        assert list(there.rows([("hybrid", 0, 0)], values)) == list(here.rows([("hybrid", 0, 0)], values))


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_worker_that_is_lost_ends_in_one_line():
    with Workers(SETUP, [Deadly()], 2) as workers:
        with pytest.raises(OSError, match="was lost; was there too little memory") as lost:
            list(workers.rows([("reflex", 0, 0)]))
        assert "\n" not in str(lost.value)


# the verdict


def rows_of(*times):
    return [
        {"policy": policy, "index": i, "world": f"field,fill=0.2-{i}", "time": t, "success": t < 50.0,
         "contact": t == 50.0}
        for policy in (coevolve.ALIVE, coevolve.DEAD)
        for i, t in enumerate(times)
    ]  # fmt: skip


def test_better_is_ahead_in_every_kind_with_the_planner_and_without_and_has_no_more_contacts():
    hand_built = rows_of(10.0, 10.0, 12.0)
    half = rows_of(5.0, 5.0, 6.0)
    dead_as_before = half[:3] + hand_built[3:]
    struck = rows_of(4.0, 4.0, 50.0)
    cases = {verdict.HAND_BUILT: hand_built, "half": half, "alive": dead_as_before, "struck": struck}
    entries = verdict.compare(cases, [10.0, 10.0, 12.0])
    assert len(entries) == 2 * 2 * 4
    assert {e["kind"] for e in entries} == {"field,fill=0.2", "all"}
    mine = next(e for e in entries if e["case"] == "half" and e["planner"])
    assert mine["progress"] == {"mean": 2.0, "low": 2.0, "high": 2.0}
    assert mine["gain"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert [case for case in cases if verdict.better(entries, case)] == ["half"]
    assert len(verdict.table(entries).splitlines()) == 17
