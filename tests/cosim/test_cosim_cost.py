"""What `bench cosim-cost` measures and draws."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from hybrid_control.bench.closed_loop import cost, plot
from hybrid_control.cosim import run


def test_cosim_cost_picture_has_decades_and_every_point_in_its_place():
    points = [(1, 0.1), (10, 1.0), (100, 10.0)]
    root = ElementTree.fromstring(plot.figure([plot.Panel("cost & more", "parts", {"active": points})]))
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"cost & more", "parts", "active", "0.1", "1", "10", "100"} <= set(texts)
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{space}circle")]
    assert np.allclose(
        np.diff(circles, axis=0), [[155.0, -124.0]] * 2
    )  # (400 - 62 - 28) / 2, (340 - 40 - 52) / 2


@pytest.mark.parametrize(
    ("kind", "spiking", "ticks"), [("active", 3, 3), ("silent", 1, 3), ("not due", 1, 1)]
)
def test_cosim_cost_parts_are_active_silent_or_not_due(kind, spiking, ticks):
    """Of three parts: how many spike, and how many do more than their run at 0."""
    hybrid = cost.chained_hybrid(3, kind)
    cost.cosim(hybrid, 200)()
    counters = [hybrid.parts[f"n{i}"].backend.counters for i in range(3)]
    assert sum(c.spikes["hidden"] > 0 for c in counters) == spiking
    assert [c.ticks for c in counters] == [200] * ticks + [1] * (3 - ticks)


def test_cosim_cost_turns_alternate_and_the_first_does_not_count():
    order = []
    found = cost.turns({"a": lambda: order.append("a") or 1, "b": lambda: order.append("b") or 1}, 2)
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2}


def test_cosim_cost_network_between_meetings_does_what_the_engine_alone_does():
    """So that their difference is what the co-simulation adds: the same inputs, 1 or 16 links, the same spikes."""
    hybrids = {links: cost.fed(links) for links in (1, 16)}
    for hybrid in hybrids.values():
        cost.cosim(hybrid, 2 * cost.MEETING_TICKS)()
    run, engine = cost.alone(2 * cost.MEETING_TICKS)
    run()
    counts = [hybrid.parts["snn"].backend.counters for hybrid in hybrids.values()]
    assert counts[0] == counts[1] == engine.counters
    assert engine.counters.spikes["hidden"] > 0


@pytest.mark.parametrize("beside", [True, None])
def test_cosim_cost_ann_and_plant_give_the_same_in_turn_and_overlapped(beside):
    def record(way):
        hybrid = cost.two_sides(1000, way)
        hybrid.record, hybrid.until_ns = ["ann.y", "plant.x"], 500_000_000
        return run(hybrid)

    in_turn, overlapped = record(False), record(beside)
    for name, runs in (("ann.y", 50), ("plant.x", 500)):
        assert in_turn[name].shape == (runs, 1)
        assert np.array_equal(in_turn[name], overlapped[name])
