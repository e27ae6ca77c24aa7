"""Several levels, several faults and what policies cost, in one run."""

import argparse
import json

import pytest

from hybrid_control.ann import multiply_accumulates
from hybrid_control.cli import nav as commands
from hybrid_control.navigation.bench.compare import difference_table, differences
from hybrid_control.navigation.bench.costs import cost_table, costs
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.planner.contract import DEFAULT_MODEL


def call(*arguments):
    parser = argparse.ArgumentParser()
    commands.add_nav_command(parser.add_subparsers(required=True))
    args = parser.parse_args(["nav", *map(str, arguments)])
    return args.run(args)


def row(index, success, time=10.0, contact=False, score=0.5):
    return {
        "policy": "p", "index": index, "trial": 0, "success": success, "contact": contact, "time": time, "score": score,
    }  # fmt: skip


def test_differences_are_taken_episode_by_episode():
    one = [row(0, True, 10.0), row(1, True, 20.0), row(2, False, score=0.0), row(3, False, score=0.0)]
    other = [
        row(0, True, 11.0),
        row(1, False, contact=True, score=0.0),
        row(2, True, 9.0),
        row(3, False, score=0.0),
    ]
    d = differences(one, other)["p"]
    assert (d["both"], d["only_one"], d["only_other"], d["neither"]) == (1, 1, 1, 1)
    assert d["agreement"] == 0.5
    assert (d["contact_one"], d["contact_other"]) == (0, 1)
    assert d["time"] == (1.0, 1.0, 1.0)  # of the one that both drove: 11 - 10
    assert d["score"][0] == 0.0  # 0, -0.5, +0.5, 0
    assert "only physics" in difference_table({"p": d}, "kinematic", "physics")


def test_episodes_that_only_one_run_has_do_not_count():
    assert differences([row(0, True)], [row(1, True)]) == {}


def test_levels_and_faults_make_a_case_each(tmp_path, capsys):
    out, page = tmp_path / "o.json", tmp_path / "o.html"
    asked = (
        "--worlds",
        "open:1",
        "--rules",
        "barn",
        "--policy",
        "memoryless,straight",
        "--json",
        out,
        "--html",
        page,
    )
    assert call(*asked, "--level", "kinematic,planar", "--fault", "none,planner-dies") == 0
    content = json.loads(out.read_text())
    assert list(content["summary"]) == [
        "memoryless kinematic none", "straight kinematic none", "memoryless kinematic planner-dies",
        "memoryless planar none", "straight planar none", "memoryless planar planner-dies",
    ]  # fmt: skip
    # without a route memory both levels are the same to the bit
    assert content["planar less kinematic"]["memoryless"]["time"] == [0.0, 0.0, 0.0]
    assert "planar less kinematic" in capsys.readouterr().out
    assert "planar less kinematic" in page.read_text()
    written = {p.name: p.read_text() for p in tmp_path.glob("*.jsonl")}
    assert len(written) == 4
    assert call(*asked, "--level", "kinematic,planar", "--fault", "none,planner-dies") == 0
    assert {p.name: p.read_text() for p in tmp_path.glob("*.jsonl")} == written


def test_a_frozen_or_dead_planner_alone_does_not_arrive():
    (scene,) = load_scenes("open")
    dead = Harness(Setup(rules="barn", level="planar", fault="planner-dies", duration=15.0))
    alone = dead.run("planner", scene, 0, 0)
    assert alone["timeout"]
    assert alone["modes"]["STOPPED"] > 0.3


def test_multiply_accumulates_of_a_convolution_and_a_product_are_counted(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = [
        helper.make_tensor("w", kind, (4, 3, 3, 3), [0.0] * 108),
        helper.make_tensor("m", kind, (64, 5), [0.0] * 320),
        helper.make_tensor("shape", onnx.TensorProto.INT64, (2,), [1, 64]),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 0, 0, 0]),
        helper.make_node("Reshape", ["y", "shape"], ["z"]),
        helper.make_node("MatMul", ["z", "m"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", kind, (1, 3, 6, 6))],
        [helper.make_tensor_value_info("out", kind, (1, 5))],
        weights,
    )  # fmt: skip
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    # 4 x 4 x 4 outputs of 3 x 3 x 3 products, then 64 x 5
    assert multiply_accumulates(file) == 64 * 27 + 320


def test_costs_name_the_parts_that_a_policy_has():
    (scene,) = load_scenes("open")
    found = costs(Setup(rules="barn", duration=3.0), scene, ["memoryless", "vfh"])
    hybrid, vfh = found["memoryless"], found["vfh"]
    assert all(hybrid[name] > 0 for name in ("planner_ms", "reflex_us", "cpu_ms_per_s"))
    assert hybrid["decision_ms"] is None
    assert vfh["decision_ms"] > 0
    assert vfh["planner_ms"] is None
    macs = multiply_accumulates(DEFAULT_MODEL)
    # 15 plans a second at 4.6 pJ a product, in µW
    assert hybrid["planner_uw"] == pytest.approx(macs * 15 * 4.6e-6, rel=0.1)
    assert "vfh" in cost_table(found, {})
