"""docs/hybrid_format.md: its vectors through our implementation and through a reader written from the page alone."""

import json
import re
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader import simulate

from hybrid_control.cosim import Hybrid, HybridError, run
from hybrid_control.cosim.hybrid import _TOP, build
from hybrid_control.cosim.link import POLICIES
from hybrid_control.cosim.makers import MAKERS
from hybrid_control.cosim.parts import FunctionPart
from hybrid_control.cosim.parts.snn import load
from hybrid_control.snn import Network

VECTORS = sorted((Path(__file__).parent / "vectors").glob("*.json"))
PAGE = (Path(__file__).parents[2] / "docs" / "hybrid_format.md").read_text(encoding="utf-8")
vectors = pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)


def content(path):
    vector = json.loads(path.read_text(encoding="utf-8"))
    return vector["hybrid"], vector["expected"]


def numbers(rows):
    """Rows as an array; None, a run that did not take place, as NaN."""
    return np.array([[np.nan if x is None else x for x in np.ravel(row)] for row in rows])


def ours(hybrid):
    results = run(build(hybrid, Path()))
    return {name: (series.times_ns.tolist(), series.values) for name, series in results.series.items()}


def same(found, wanted, size):
    assert found[0] == wanted[0]
    rows, others = (
        numbers([[None] * size if row is None else row for row in rows]) for _, rows in (found, wanted)
    )
    assert np.allclose(rows, others, rtol=1e-6, atol=1e-6, equal_nan=True)


@vectors
@pytest.mark.parametrize("implementation", [ours, simulate])
def test_cosim_vector_gives_the_rows_and_times_that_it_holds(path, implementation):
    hybrid, expected = content(path)
    found = implementation(hybrid)
    assert found.keys() == expected.keys() == set(hybrid["record"])
    for name, wanted in expected.items():
        same(found[name], (wanted["times_ns"], wanted["rows"]), len(wanted["rows"][0]))


def test_cosim_vectors_hold_what_the_format_calls_its_core():
    parts = [part for path in VECTORS for part in content(path)[0]["parts"].values()]
    links = [link for path in VECTORS for link in content(path)[0]["links"] if isinstance(link, dict)]
    kinds = {str(part[kind]) for part in parts for kind in ("encode", "decode", "fuse") if kind in part}
    assert kinds == {"regular", "poisson", "exponential", "window", "weighted", "gated"}
    assert {link.get("when_old", "hold") for link in links} == set(POLICIES)
    assert {"delay", "gain", "initial", "max_age"} <= set().union(*links)
    assert any("lost" in part for part in parts)
    assert any("latency" in part for part in parts)


def test_cosim_reader_knows_nothing_of_the_product():
    text = (Path(__file__).parent / "reader.py").read_text(encoding="utf-8")
    assert re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE) == ["hashlib", "math", "struct"]


def test_docs_name_every_key_and_kind_of_the_format():
    options = {"period", "latency", "lost", "beside", "delay", "gain", "initial", "max_age"}
    for word in {*_TOP, *MAKERS, *POLICIES, *options}:
        assert f"`{word}`" in PAGE, word


@st.composite
def hybrids(draw):
    """Sources and fusions of one number with periods that need not divide each other, and links of every sort."""
    times = st.sampled_from([1, 2, 3, 5, 7, 10])
    late = st.sampled_from([0, 0, 1, 4])
    parts = {}
    names = "abcdef"[: draw(st.integers(2, 6))]
    for i, name in enumerate(names):
        part = {"period": f"{draw(times)} ns", "latency": f"{draw(late)} ns"}
        if draw(st.booleans()):
            part["lost"] = draw(st.sampled_from([0.0, 0.3, 1.0]))
        if i == 0 or draw(st.integers(0, 3)) == 0:
            rows = draw(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
            kind = draw(st.sampled_from(["values", "spikes"]))
            parts[name] = {**part, "source": [[abs(x) if kind == "spikes" else x] for x in rows], "kind": kind,
                           "loop": draw(st.booleans())}  # fmt: skip
        else:
            parts[name] = {**part, "fuse": "weighted", "weights": [0.5, -0.25], "shape": [1]}
    links = []
    for _ in range(draw(st.integers(1, 8))):
        source, target = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        if "fuse" not in parts[target]:
            continue
        delay = draw(late) + (source >= target)  # what goes back or stays takes time
        link = {"from": source, "to": f"{target}.{draw(st.sampled_from('ab'))}", "delay": f"{delay} ns",
                "gain": draw(st.sampled_from([1, 0.5, -2])), "initial": draw(st.sampled_from([0, 3]))}  # fmt: skip
        if draw(st.booleans()):
            link |= {"when_old": draw(st.sampled_from(POLICIES)), "max_age": f"{draw(st.integers(0, 6))} ns"}
        links.append(link)
    return {
        "hybrid": 1, "seed": draw(st.integers(0, 9)), "until": f"{draw(st.integers(1, 80))} ns",
        "parts": parts, "links": links, "record": [f"{name}.out" for name in names],
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(hybrids())
def test_cosim_any_hybrid_of_simple_parts_gives_what_the_reader_of_the_page_gives(hybrid):
    mine, other = ours(hybrid), simulate(hybrid)
    for name in mine:
        same(mine[name], other[name], 1)


def test_cosim_states_are_written_as_the_page_says():
    # 2.5 to the network's state at 3 ms: the run at 3 ms begins with it
    net = Network()
    net.add_population("kept", nir.I, 1, r=1.0)
    net.add_output("out", "kept")
    hybrid = Hybrid(until_ns=6_000_000, record=["net.out"])
    hybrid.add("net", load(net, dt=0.001), "1 ms")
    hybrid.add("say", FunctionPart(lambda: {"x": np.array([2.5])}, {}, {"x": (1,)}), "10 ms", "2.5 ms")
    hybrid.link("say", "net.kept.voltage")
    assert run(hybrid)["net.out"][:, 0].tolist() == [0.0, 0.0, 0.0, 2.5, 2.5, 2.5]
    with pytest.raises(HybridError, match=r"net.kept.voltage is a state, and say -> net.kept.* writes it already"):
        hybrid.link("say", "net.kept.voltage")


def test_cosim_rows_in_the_file_are_a_source_and_those_that_are_none_are_refused():
    part = {"source": [[1, 2], [3, 4]], "period": "1 ms"}
    content = {"hybrid": 1, "until": "3 ms", "parts": {"a": part}, "record": ["a"]}
    assert run(build(content, Path()))["a.out"].tolist() == [[1, 2], [3, 4], [3, 4]]
    for rows in ([], [[1], [2, 3]], ["x"]):
        part["source"] = rows
        with pytest.raises(HybridError, match=r"^a: "):
            build(content, Path())
