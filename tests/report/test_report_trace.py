"""The page of a co-simulation's trace: self-contained, well-formed, and drawing what ran."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from hybrid_control.cli import main
from hybrid_control.cosim import Hybrid, LinkOptions, PartError, run
from hybrid_control.cosim.parts import ArraySource, FunctionPart
from hybrid_control.cosim.tracefile import read
from hybrid_control.report.trace import page


def traced(path, until="100 ms", fails_at=None):
    """A slow and a fast part with spikes and values; <b> in the text of the file."""

    def function(x):
        calls.append(0)
        if fails_at is not None and len(calls) > fails_at:
            raise RuntimeError("a <b>bad</b> thing")
        return {"out": x * 2.0}

    calls = []
    hybrid = Hybrid(until_ns=100_000_000, text="hybrid: 1 # <script>alert(1)</script>")
    rng = np.random.default_rng(0)
    hybrid.add("slow", FunctionPart(function, {"x": (3,)}, {"out": (3,)}), "10 ms", "4 ms", lost=0.3)
    hybrid.add("fast", ArraySource(rng.random((100, 3))), "1 ms")
    hybrid.add("ring", ArraySource(rng.integers(0, 2, (100, 5)), "spikes"), "1 ms")
    hybrid.add("end", FunctionPart(lambda x: {"out": x}, {"x": (3,)}, {"out": (3,)}), "2 ms")
    hybrid.link("fast", "slow")
    hybrid.link("slow.out", "end.x", LinkOptions(delay_ns=1_000_000))
    hybrid.record = ["slow", "ring.out", "end.out"]
    try:
        run(hybrid, trace=path)
    except PartError:
        assert fails_at is not None
    return read(path)


def charts(text):
    found = []
    for piece in text.split('<svg class="chart"')[1:]:
        end = [m.end() for m in re.finditer("</svg>", piece)][1]
        found.append(ElementTree.fromstring('<svg class="chart"' + piece[:end]))
    return found


def test_trace_page_draws_every_run_spike_and_number_of_what_was_recorded(tmp_path):
    trace = traced(tmp_path / "a.mcap")
    text = page(trace)
    drawn = charts(text)
    assert [c.get("aria-label") for c in drawn] == ["runs", "slow.out -> end.x", "ring.out", "slow.out", "end.out"]
    lanes = drawn[0].find("svg")
    marks = sum(path.get("d").count("V") for path in lanes.findall("path") if path.get("class") in ("tickrun", "lost"))
    assert marks == sum(len(runs.begin) for runs in trace.runs.values())
    lost = [path.get("d").count("V") for path in lanes.findall("path") if path.get("class") == "lost"]
    assert sum(lost) == trace.runs["slow"].lost.sum() > 0
    spikes = next(c for c in drawn if c.get("aria-label") == "ring.out").find("svg").find("path[@class='spike']")
    assert spikes.get("d").count("V") == trace.ports["ring.out"].count.sum()
    assert len(next(c for c in drawn if c.get("aria-label") == "slow.out").find("svg").findall("polyline")) == 3


def test_trace_page_places_a_run_where_it_was_in_time(tmp_path):
    trace = traced(tmp_path / "a.mcap")
    chart = charts(page(trace))[0]
    left, right = float(chart.get("data-left")), float(chart.get("data-right"))
    t0, t1 = float(chart.get("data-t0")), float(chart.get("data-t1"))
    assert (t0, t1) == (0.0, pytest.approx(0.1))
    bar = next(path for path in chart.find("svg").findall("path") if path.get("class") == "run").get("d")
    begin, end = (float(x) for x in re.match(r"M([\d.]+) [\d.]+V[\d.]+H([\d.]+)V", bar).groups())
    first = int(np.flatnonzero(~trace.runs["slow"].lost)[0])
    assert left + (right - left) * trace.runs["slow"].begin[first] * 1e-8 == pytest.approx(begin, abs=1e-2)
    assert end - begin == pytest.approx((right - left) * 0.04, abs=1e-2)


def test_trace_page_loads_nothing_and_escapes_what_comes_from_outside(tmp_path):
    text = page(traced(tmp_path / "a.mcap", fails_at=5))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<b>bad</b>" not in text
    assert "a &lt;b&gt;bad&lt;/b&gt; thing" in text
    assert "ended by an error" in text
    assert not re.search(r"(src|href)=\"(?!data:)|url\((?!#)|@import|fetch\(", text)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)


def test_trace_page_says_at_the_cursor_what_the_trace_holds(tmp_path):
    trace = traced(tmp_path / "a.mcap")
    data = json.loads(page(trace).split('id="data">')[1].split("</script>")[0])
    rows = [r for r in data["readouts"] if "rows" in r and len(r["rows"][0]) == 3]
    assert len(rows) == 2
    for readout, name in zip(rows, ("slow.out", "end.out"), strict=True):
        assert np.allclose(readout["rows"], trace.ports[name].rows, rtol=1e-3)
        assert readout["step"] == pytest.approx({"end.out": 0.002, "slow.out": 0.01}[name])
    assert sum(r.get("name") == "run" for r in data["readouts"]) == 4


def test_trace_page_of_a_trace_that_is_empty_or_cut_is_a_page(tmp_path, capsys):
    file = tmp_path / "a.mcap"
    traced(file)
    content = file.read_bytes()
    for cut in (len(content) // 2, len(content) - 20):
        file.write_bytes(content[:cut])
        assert "cut short" in page(read(file))
    assert main(["cosim", "trace", str(file), "--out", str(tmp_path / "p.html")]) == 0
    assert (tmp_path / "p.html").read_text().startswith("<!doctype html>")
    assert main(["cosim", "trace", str(tmp_path / "none.mcap")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_trace_page_of_very_many_runs_and_spikes_stays_small(tmp_path):
    hybrid = Hybrid(until_ns=3_000_000_000, record=["ring.out"])
    rng = np.random.default_rng(0)
    hybrid.add("ring", ArraySource(rng.integers(0, 2, (1000, 8)), "spikes", loop=True), "100 us")
    run(hybrid, trace=tmp_path / "a.mcap", keep=False)
    text = page(read(tmp_path / "a.mcap"))
    assert len(text) < 1 << 20
    assert 'class="solid"' in text
    assert "data:image/png" in text
