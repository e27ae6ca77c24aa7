"""Hybrid_Efficiency and the energy of both sides, with numbers that are worked out by hand."""

import re
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from files import planner
from onnx import TensorProto, helper

from hybrid_control.ann import ModelError, multiply_accumulates
from hybrid_control.cosim.efficiency import (
    SRAM_45NM,
    Measures,
    Weights,
    Work,
    efficiency,
    ranking,
    regions,
    share,
    term,
)
from hybrid_control.cosim.parts.snn import load
from hybrid_control.cosim.ternary import picture
from hybrid_control.snn import Network

REFERENCES = Measures(error=0.02, latency=0.05, power=1e-6)


def test_cosim_a_term_is_one_at_nothing_a_half_at_the_reference_and_nothing_at_infinity():
    assert term(0.0, 3.0) == 1.0
    assert term(3.0, 3.0) == 0.5
    assert term(9.0, 3.0) == 0.25
    assert term(float("inf"), 3.0) == 0.0
    with pytest.raises(ValueError, match=r"reference: 0\.0 must be finite and above 0"):
        term(1.0, 0.0)


def test_cosim_efficiency_is_the_weighted_sum_of_the_terms():
    # terms: 20 / (20 + 60) = 1/4, 50 / (50 + 50) = 1/2, 1 / (1 + 0.25) = 4/5
    found = efficiency(Measures(0.06, 0.05, 0.25e-6), REFERENCES, Weights(0.5, 0.25, 0.25))
    assert found == pytest.approx(0.5 * 0.25 + 0.25 * 0.5 + 0.25 * 0.8)


@pytest.mark.parametrize(("weights", "says"), [
    ((0.5, 0.5, 0.5), "0.5, 0.5, 0.5 must have the sum 1, not 1.5"),
    ((1.5, -0.5, 0.0), "must not be negative"), ((float("nan"), 0.5, 0.5), "must not be negative"),
])  # fmt: skip
def test_cosim_weights_that_are_none_are_refused(weights, says):
    with pytest.raises(ValueError, match=says):
        Weights(*weights)


def test_cosim_the_ranking_turns_where_the_weights_do():
    candidates = {
        "exact": Measures(0.0, 0.05, 1e-6), "quick": Measures(0.02, 0.0, 1e-6), "lean": Measures(0.02, 0.05, 0.0)
    }  # fmt: skip
    ranks = {(r.weights.accuracy, r.weights.latency): r for r in ranking(candidates, REFERENCES, steps=4)}
    assert len(ranks) == 15
    for corner, best in (((1.0, 0.0), "exact"), ((0.0, 1.0), "quick"), ((0.0, 0.0), "lean")):
        assert ranks[corner].order[0] == best
        assert ranks[corner].values[0] == 1.0
        assert ranks[corner].values[1:] == (0.5, 0.5)
    # where two weigh the same, the order is that of the names
    assert ranks[0.5, 0.5].order == ("exact", "quick", "lean")


# terms: exact 1, 1/2, 1/2; quick 1/2, 1, 1/2; lean 1/2, 1/2, 1
CORNERS = {
    "exact": Measures(0.0, 0.05, 1e-6), "quick": Measures(0.02, 0.0, 1e-6), "lean": Measures(0.02, 0.05, 0.0)
}  # fmt: skip


def test_cosim_three_that_have_a_corner_each_share_the_weights_alike():
    found = regions(CORNERS, REFERENCES)
    assert list(found) == ["exact", "quick", "lean"]
    for corners in found.values():
        assert share(corners) == pytest.approx(1 / 3)
        assert any(np.allclose(corner, 1 / 3) for corner in corners)
    assert (1.0, 0.0, 0.0) in found["exact"]
    assert (0.0, 1.0, 0.0) in found["quick"]


def test_cosim_of_equals_the_first_by_name_has_the_region_and_what_is_never_first_has_none():
    candidates = {"b": Measures(0.0, 0.0, 0.0), "a": Measures(0.0, 0.0, 0.0), "worse": Measures(0.1, 0.1, 1e-6)}
    assert regions(candidates, REFERENCES) == {"a": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))}
    half = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.0, 0.5))
    assert share(half) == pytest.approx(0.5)
    assert share(regions(candidates, REFERENCES, half)["a"]) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(8))
def test_cosim_regions_are_where_the_ranking_puts_each_first(seed):
    rng = np.random.default_rng(seed)
    candidates = {str(i): Measures(*(10.0 ** rng.uniform(-2, 2, 3) * (0.02, 0.05, 1e-6))) for i in range(9)}
    found = regions(candidates, REFERENCES)
    assert sum(share(corners) for corners in found.values()) == pytest.approx(1.0)
    for rank in ranking(candidates, REFERENCES, steps=23):
        w = (rank.weights.accuracy, rank.weights.latency)
        corners = np.array(found[rank.order[0]])[:, :2]
        edges, to = np.roll(corners, -1, axis=0) - corners, w - corners
        sides = edges[:, 0] * to[:, 1] - edges[:, 1] * to[:, 0]
        assert (sides >= -1e-9).all() or (sides <= 1e-9).all()


def words(svg):
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]


def test_cosim_the_picture_says_by_letters_who_comes_first_and_second_where():
    candidates = CORNERS | {"n<&>ever": Measures(1.0, 1.0, 1.0)}
    svg = picture(candidates, REFERENCES, Weights(0.5, 0.25, 0.25), notes=("of <1>",))
    said = words(svg)
    for text in ("a b", "a c", "b a", "b c", "c a", "c b", "accuracy 1", "latency 1", "power 1", "33 %", "n<&>ever",
                 "of <1>", "0.750", "dot: 0.5 accuracy, 0.25 latency, 0.25 power"):  # fmt: skip
        assert text in said, text
    assert said.count("33 %") == 3
    # the letters of a part stand within it: those of the exact one above all others
    heights = {t: float(re.search(rf'y="([0-9.]+)"[^>]*>{t[0]}<tspan class="then"> {t[2]}<', svg)[1]) for t in
               ("a b", "a c", "b a", "b c", "c a", "c b")}  # fmt: skip
    assert max(heights["a b"], heights["a c"]) < min(heights[t] for t in ("b a", "b c", "c a", "c b"))


def test_cosim_a_picture_of_one_of_a_sliver_and_of_too_many():
    assert "100 %" in words(picture({"alone": Measures(0.1, 0.1, 1e-6)}, REFERENCES))
    sliver = CORNERS | {"sliver": Measures(0.0099, 0.0249, 0.495e-6)}
    corners = regions(sliver, REFERENCES)["sliver"]
    assert 0.0 < share(corners) < 0.01
    said = words(picture(sliver, REFERENCES))
    assert said.count("d") == 2  # in the list, and beside its part
    assert "< 1 %" in said
    with pytest.raises(ValueError, match=r"0 candidates; a picture has 1 \.\. 26"):
        picture({}, REFERENCES)


def test_cosim_power_with_and_without_updates_and_memory():
    work = Work(seconds=2.0, ann_macs=1000, snn_macs=500, events=2000, updates=300)
    assert work.watts() == pytest.approx((1500 * 4.6 + 2000 * 0.9) * 1e-12 / 2)
    # accesses: 2 a product, 3 an event, 2 an update, at 5 pJ; an update itself is a product
    whole = 1500 * 4.6 + 2000 * 0.9 + 300 * 4.6 + (3000 + 6000 + 600) * 5.0
    assert work.watts(SRAM_45NM) == pytest.approx(whole * 1e-12 / 2)
    assert Work(0.0, 5).watts() == 0.0


def test_cosim_work_of_a_network_takes_each_projection_once():
    import nir

    net = Network()
    net.add_input("in", 2)
    net.add_population("a", nir.LIF, 3, tau=0.02, v_threshold=1.0)
    net.connect("in", "a", np.full((3, 2), 50.0), "dense")
    net.add_population("b", nir.LIF, 4, tau=0.02, v_threshold=1.0)
    net.connect("a", "b", np.ones((4, 3)), "spikes")
    net.add_output("out", "b")
    backend = load(net, dt=0.001, drive={"dense": "dense"}).backend
    for _ in range(10):
        backend.step(np.ones(2))
    work = Work.of(0.01, 7, backend.counters)
    # 50 x 2 inputs at 1/20 a tick is over the threshold: each of the three fires in each tick, and reaches four
    assert work == Work(0.01, 7, snn_macs=60, events=3 * 4 * 10, updates=70)
    assert Work.of(0.01, 7) == Work(0.01, 7)


def test_cosim_multiply_accumulates_are_counted_from_the_file_without_onnx(tmp_path):
    planner(tmp_path / "planner.onnx", inputs=4, outputs=16)
    assert multiply_accumulates(tmp_path / "planner.onnx") == 64


@pytest.mark.parametrize("transposed", [0, 1])
def test_cosim_multiply_accumulates_of_what_a_file_leaves_open(tmp_path, transposed):
    kind = TensorProto.FLOAT
    shape = (5, 12) if transposed else (12, 5)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], group=2),
            helper.make_node("Relu", ["y"], ["r"]),
            helper.make_node("Flatten", ["r"], ["f"]),
            helper.make_node("Gemm", ["f", "m"], ["g"], transB=transposed),
            helper.make_node("Transpose", ["g"], ["t"]),
            helper.make_node("MatMul", ["t", "g"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", kind, ("batch", 2, "h", "w"))],
        [helper.make_tensor_value_info("out", kind, (5, 5))],
        [
            helper.make_tensor("w", kind, (2, 1, 3, 2), [0.5] * 12),
            helper.make_tensor("m", kind, shape, [0.0] * 60),
        ],
    )
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    with pytest.raises(ModelError, match="give its size"):
        multiply_accumulates(file)
    # (7, 5) by windows of (3, 2) in steps of 2: 3 x 2 places; 2 filters of 6 weights; then 12 x 5; then (5, 1) x (1, 5)
    assert multiply_accumulates(file, {"x": (2, 7, 5)}) == 3 * 2 * 2 * 6 + 60 + 25
