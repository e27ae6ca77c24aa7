"""Runs of the benchmark: the same rows whatever the jobs, resumed after an interruption, written where asked."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from hybrid_control.cli import nav as commands
from hybrid_control.navigation.bench.benchmark import Request, benchmark, tables
from hybrid_control.navigation.bench.harness import Harness, Setup, episode_seed
from hybrid_control.navigation.bench.runner import Journal, run
from hybrid_control.navigation.bench.scenes import load_scenes, world_digest
from hybrid_control.navigation.bench.summary import summaries, summarise, table
from hybrid_control.navigation.bench.workers import Machines
from hybrid_control.sim.worlds import GENERATORS

ASKED = {"a": 1}
ROOT = Path(__file__).parents[2]


def call(*arguments):
    parser = argparse.ArgumentParser()
    commands.add_nav_command(parser.add_subparsers(required=True))
    args = parser.parse_args(["nav", *map(str, arguments)])
    return args.run(args)


def row(policy="vfh", index=0, trial=0, **values):
    base = {
        "policy": policy, "world": "w", "index": index, "trial": trial, "success": True, "contact": False,
        "standing": False, "timeout": False, "time": 10.0, "path": 9.0, "minimum_distance": 0.2, "score": 0.5,
    }  # fmt: skip
    return {**base, **values}


@pytest.mark.slow
def test_rows_are_the_same_from_one_process_and_from_two():
    scenes = load_scenes("forest:2")
    setup = Setup(level="kinematic", rules="barn")
    policies = ["straight", "vfh", "hybrid"]
    one = run(setup, scenes, policies, 2, Machines(jobs=1), progress=False)
    assert run(setup, scenes, policies, 2, Machines(jobs=2), progress=False) == one
    assert [(r["policy"], r["index"], r["trial"]) for r in one[:5]] == [
        ("straight", 0, 0), ("straight", 0, 1), ("straight", 1, 0), ("straight", 1, 1), ("vfh", 0, 0)
    ]  # fmt: skip
    assert one[0]["seed"] != one[1]["seed"]


def test_an_episode_does_not_depend_on_the_one_before_it():
    scenes = load_scenes("forest:2")
    setup = Setup(level="kinematic", rules="barn")
    for policy in ("mppi", "reflex", "hybrid"):
        harness = Harness(setup)
        harness.run(policy, scenes[0], 0, 0)
        assert harness.run(policy, scenes[1], 1, 0) == Harness(setup).run(policy, scenes[1], 1, 0)


def test_seeds_differ_between_worlds_and_trials_and_not_between_runs():
    seeds = [episode_seed(0, f"field-{w}", t) for w in range(20) for t in range(20)]
    assert len(set(seeds)) == 400
    assert all(0 <= s < 2**31 for s in seeds)
    assert seeds[0] == episode_seed(0, "field-0", 0)


def test_hybrid_and_planner_alone_drive_at_the_physics_level():
    (scene,) = load_scenes("open")
    harness = Harness(Setup(rules="barn"))
    hybrid, planner = (harness.run(p, scene, 0, 0) for p in ("hybrid", "planner"))
    assert hybrid["success"]
    assert hybrid["modes"]["HYBRID"] > 0.9
    assert hybrid["spikes_per_second"] > 0
    assert set(planner["modes"]) <= {"DRIVING", "STOPPED"}
    assert planner["success"]


def test_with_the_planner_dead_from_half_way_the_reflex_drives_on():
    (scene,) = load_scenes("open")
    dead = Harness(Setup(rules="barn", fault="planner-dies", level="kinematic")).run("hybrid", scene, 0, 0)
    assert dead["contact"] is False
    assert dead["modes"]["REFLEX_ONLY"] > 0.2


def test_arena_rules_count_the_centre_near_a_wall_as_a_contact(tmp_path):
    file = tmp_path / "a.json"
    square = [[0, 0], [12, 0], [12, 12], [0, 12]]
    file.write_text(json.dumps({
        "polygons": [square, [[5, 4], [6, 4], [6, 8], [5, 8]]], "starts": [[2, 6, 0]], "goals": [[10, 6]]
    }))  # fmt: skip
    (scene,) = load_scenes(str(file))
    struck = Harness(Setup(rules="arena", level="kinematic")).run("straight", scene, 0, 0)
    assert struck["contact"]
    assert struck["path"] == pytest.approx(3.0 - 0.18, abs=0.06)  # the wall stands 3 m ahead
    assert struck["time"] > struck["path"] / 0.5


def test_a_journal_resumes_where_it_was_cut_off(tmp_path):
    file = tmp_path / "o.jsonl"
    journal = Journal(file, ASKED)
    journal.add(row(trial=0))
    journal.add(row(trial=1))
    with file.open("a") as f:
        f.write('{"policy": "vfh", "ind')  # the process died here
    again = Journal(file, ASKED)
    assert list(again.rows) == [("vfh", 0, 0), ("vfh", 0, 1)]
    assert len(file.read_text().splitlines()) == 3
    with pytest.raises(ValueError, match="other worlds or options"):
        Journal(file, {"a": 2})
    file.write_text(file.read_text() + "17\n")
    with pytest.raises(ValueError, match="line 4"):
        Journal(file, ASKED)


def test_a_summary_counts_and_averages():
    rows = [
        row(score=0.5, time=10.0),
        row(score=0.3, time=20.0, minimum_distance=0.05),
        row(success=False, contact=True, score=0.0),
        row(success=False, contact=True, standing=True, score=0.0),
        row(success=False, timeout=True, score=0.0, minimum_distance=None),
    ]
    s = summarise(rows)
    assert (s["success"]["count"], s["success"]["share"]) == (2, 0.4)
    assert (s["contact"]["count"], s["standing_contact"]["count"], s["timeout"]["count"]) == (1, 1, 1)
    assert s["score"]["mean"] == pytest.approx(0.16)
    assert s["time"]["mean"] == 15.0
    assert s["minimum_distance"] == 0.05
    assert "vfh" in table(summaries(rows))


def test_the_command_writes_json_pictures_and_page_and_runs_nothing_twice(tmp_path, capsys):
    out, page = tmp_path / "o.json", tmp_path / "o.html"
    asked = ("--worlds", "field,fill=0.2:1", "--level", "kinematic", "--rules", "barn", "--policy", "straight,vfh",
             "--json", out, "--html", page)  # fmt: skip
    assert call(*asked) == 0
    content = json.loads(out.read_text())
    assert [e["policy"] for e in content["episodes"]] == ["straight", "vfh"]
    assert content["summary"]["straight"]["contact"]["count"] == 1
    assert (tmp_path / "o_failures" / "straight-000-field_fill=0.2-0-0.png").stat().st_size > 1000
    assert "data:image/png;base64" in page.read_text()
    journal = (tmp_path / "o.jsonl").read_text()
    assert call(*asked) == 0
    assert json.loads(out.read_text()) == content
    assert (tmp_path / "o.jsonl").read_text() == journal
    assert "straight" in capsys.readouterr().out


def test_the_tuned_set_of_the_rules_is_taken_unless_another_or_none_is_named(tmp_path):
    asked = ("--worlds", "open", "--level", "kinematic", "--rules", "barn", "--policy", "reflex")
    speeds = []
    for number, more in enumerate(((), ("--params", "none"), ("--params", ROOT / "config" / "sim.yaml"))):
        out = tmp_path / f"{number}.json"
        assert call(*asked, *more, "--json", out) == 0
        speeds.append(json.loads(out.read_text())["asked"]["gains"].get("max_speed"))
    # as config/tuned/gains_barn.yaml says; the rules' limit; config/sim.yaml keeps the default
    assert speeds == [1.342, None, None]


def test_the_output_does_not_overwrite_the_worlds(tmp_path):
    for suffix in ("", ":0"):
        with pytest.raises(ValueError, match="overwrite"):
            call("--worlds", f"{tmp_path / 'a.json'}{suffix}", "--json", tmp_path / "a.json")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--policy", "magic"), "--policy: unknown 'magic'"),
        (("--level", "dream"), "--level"),
        (("--rules", "none"), "--rules"),
        (("--robot", "tank"), "unknown robot"),
        (("--trials", "0"), "--trials"),
        (("--jobs", "0"), "--jobs"),
        (("--fault", "fire"), "--fault"),
        (("--backend", "slurm"), "--backend"),
        (("--level", "kinematic", "--fault", "none,black"), "needs pictures"),
        (("--max-speed", "-1"), "--max-speed"),
        (("--worlds", "missing.npz"), "missing.npz"),
        (("--params", "missing.yaml"), "--params: missing.yaml: no such file"),
        (("--baselines", "missing.yaml"), "--baselines: missing.yaml: no such file"),
        (("--model", "missing.onnx"), "--model: missing.onnx: no such file"),
        (("--goal", "nan", "1"), "--goal"),
        (("--json", "out.txt"), "--json"),
    ],
)
def test_mistakes_are_named_before_anything_runs(tmp_path, arguments, reason):
    with pytest.raises((ValueError, OSError), match=reason):
        call("--worlds", "open", "--json", tmp_path / "o.json", *arguments)


def test_all_names_the_worlds_of_every_generator_as_each_alone_does():
    together, alone = load_scenes("all:2-3", 1), load_scenes("corridor:3-3", 1)
    assert [s.world.name for s in together] == [f"{kind}-{k}" for kind in GENERATORS for k in (2, 3)]
    corridor = next(s for s in together if s.world.name == "corridor-3")
    assert corridor.path_length == alone[0].path_length
    np.testing.assert_array_equal(corridor.world.boxes, alone[0].world.boxes)


def test_worlds_are_the_same_whoever_draws_them():
    by_one, by_two = load_scenes("open:200"), load_scenes("open:200", jobs=2)
    assert world_digest(by_one) == world_digest(by_two)


@pytest.mark.parametrize("spec", ["all,density=0.4:2", "all:0", "al:2"])
def test_all_takes_a_number_of_worlds_and_no_options(spec):
    with pytest.raises(ValueError, match="all"):
        load_scenes(spec)


def test_a_run_is_summarised_by_kind_of_world(tmp_path):
    scenes = load_scenes("open:2+forest,density=0.2:1")
    setup = Setup(level="kinematic", duration=2.0)
    request = Request("open+forest", scenes, ["reflex"], ["kinematic"], ["none"], setup, 2, Machines(), False)
    content = benchmark(request, tmp_path / "out.json")
    assert {kind: s["episodes"] for kind, s in content["kinds"].items()} == {"open": 4, "forest,density=0.2": 2}
    assert sum(s["timeout"]["count"] for s in content["kinds"].values()) == 6
    lines = tables(content)[1].splitlines()
    assert [line.split()[0] for line in lines] == ["worlds", "open", "forest,density=0.2"]
