"""A recording as a source: the newest value holds, and spikes arrive once, whatever the two periods are."""

import numpy as np
import pytest
from test_cosim_trace import FILE  # noqa: F401  the folder's hybrid

from hybrid_control.cosim import Hybrid, HybridError, load, run
from hybrid_control.cosim.compare import first_divergence
from hybrid_control.cosim.part import Runs
from hybrid_control.cosim.parts import ArraySource
from hybrid_control.cosim.parts.recorded import RecordedSource
from hybrid_control.cosim.tracefile import Recorded, read, read_port

MS = 1_000_000


REPLAYED = """
hybrid: 1
seed: 3
until: 0.2 s
parts:
  planner: {source: run.mcap, topic: planner.out, period: 20 ms, latency: 5 ms}
  code: {encode: regular, size: 16, period: 1 ms}
  reflex: {snn: reflex.nir, period: 1 ms}
  rates: {source: run.mcap, topic: rates.rates, period: 1 ms}
links:
  - {from: planner, to: code.rates, gain: 100.0, delay: 2 ms}
  - code -> reflex.input
record: [planner.out, reflex.output, reflex.lif.voltage, rates.out]
"""


def test_recorded_ann_in_place_of_the_ann_drives_the_network_to_the_same_bits(folder):
    results = run(load(folder / "a.hybrid.yaml"), trace=folder / "run.mcap")
    (folder / "b.hybrid.yaml").write_text(REPLAYED)
    again = run(load(folder / "b.hybrid.yaml"), trace=folder / "b.mcap")
    for name in ("planner.out", "reflex.output", "reflex.lif.voltage"):
        assert np.array_equal(again[name], results[name])
    assert np.array_equal(again["rates.out"], results["rates.rates"])
    assert load(folder / "b.hybrid.yaml").parts["rates"].outputs["out"].kind == "rates"
    assert "recorded in one of them alone" in first_divergence(folder / "run.mcap", folder / "b.mcap")


@pytest.mark.parametrize("period", [1, 3, 7, 10, 40])
@pytest.mark.parametrize("blocks", [1, 5])
def test_recorded_values_hold_and_spikes_arrive_once_at_any_period(tmp_path, period, blocks):
    rng = np.random.default_rng(period)
    rows, counts = rng.normal(size=(20, 3)), rng.integers(0, 3, (20, 3)).astype(float)
    hybrid = Hybrid(until_ns=100 * MS, record=["v.out", "s.out"])
    hybrid.add("v", ArraySource(rows), "5 ms")
    hybrid.add("s", ArraySource(counts, "spikes"), "5 ms")
    run(hybrid, trace=tmp_path / "a.mcap")
    times = np.arange(20) * 5
    values = RecordedSource(read_port(tmp_path / "a.mcap", "v.out"))
    spikes = RecordedSource(read_port(tmp_path / "a.mcap", "s.out"))
    total = np.zeros(3)
    for first in range(0, 120 // period, blocks):
        runs = Runs(first * period * MS, period * MS, blocks)
        for k, t in enumerate(runs.times // MS):
            newest = np.flatnonzero(times <= t)[-1]
            assert np.array_equal(values.run(runs, {})["out"][k], rows[newest])
            seen = counts[(times <= t) & (times > t - period if t > 0 else times <= 0)].sum(axis=0)
            assert np.array_equal(spikes.run(runs, {})["out"][k], seen)
            total += seen
    assert np.array_equal(total, counts[times <= t].sum(axis=0))


def test_recorded_rows_before_the_first_are_0_and_runs_that_waited_gave_nothing():
    rows = np.array([[1.0], [np.nan], [3.0]])
    source = RecordedSource(Recorded("values", (1,), np.array([2, 3, 4]) * MS, rows))
    assert source.run(Runs(0, MS, 6), {})["out"][:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 3.0, 3.0]


@pytest.mark.parametrize(("option", "says"), [
    ("", "topic: expected one of planner.out, reflex.output"),
    (", topic: nobody.out", "topic: expected one of planner.out"),
    (", topic: reflex", "topic: expected one of planner.out"),
    (", topic: reflex.output, kind: values", "kind: 'values' for recorded spikes"),
    (", topic: planner.out, loop: true", "unknown 'loop'"),
])  # fmt: skip
def test_recorded_source_that_cannot_be_is_one_line(folder, option, says):
    run(load(folder / "a.hybrid.yaml"), trace=folder / "run.mcap")
    text = f"hybrid: 1\nparts:\n  a: {{source: run.mcap, period: 1 ms{option}}}\n"
    (folder / "b.hybrid.yaml").write_text(text)
    with pytest.raises(HybridError, match=says) as error:
        load(folder / "b.hybrid.yaml")
    assert "\n" not in str(error.value)


def test_recorded_port_that_is_alone_needs_no_topic(tmp_path):
    hybrid = Hybrid(until_ns=10 * MS, record=["v.out"])
    hybrid.add("v", ArraySource(np.ones((3, 2, 2))), "1 ms")
    run(hybrid, trace=tmp_path / "a.mcap")
    assert read_port(tmp_path / "a.mcap", None).shape == (2, 2)
    assert read(tmp_path / "a.mcap").ports["v.out"].rows.shape == (10, 4)


def test_recorded_rates_and_spikes_of_a_robots_run_are_sources_too(tmp_path):
    pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")
    from hybrid_control_msgs.msg import RateVector, SpikeTrain
    from hybrid_control_ros.run.recorder import McapFile
    from rclpy.serialization import serialize_message

    begin = 1_700_000_000 * 10**9
    file = McapFile(tmp_path / "run.mcap")
    for k in range(3):
        rates = RateVector(populations=["heading", "speed"], sizes=[2, 1], rates=[1.0 + k, 2.0, 3.0])
        train = SpikeTrain(duration_ns=10 * MS, populations=["ring"], sizes=[3], neuron=[k, 2], offset_ns=[0, 4 * MS])
        now = begin + 10 * k * MS
        file.write("/planner/rates", "hybrid_control_msgs/msg/RateVector", serialize_message(rates), now, now)
        file.write("/reflex/spikes", "hybrid_control_msgs/msg/SpikeTrain", serialize_message(train), now, now)
    file.close()
    rates = RecordedSource(read_port(tmp_path / "run.mcap", "planner/rates"))
    assert rates.outputs["out"].kind == "rates"
    assert rates.run(Runs(0, 5 * MS, 5), {})["out"][:, 0].tolist() == [1.0, 1.0, 2.0, 2.0, 3.0]
    spikes = RecordedSource(read_port(tmp_path / "run.mcap", "/reflex/spikes"))
    assert spikes.run(Runs(0, 2 * MS, 4), {})["out"].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match="topic: expected one of planner/rates, reflex/spikes"):
        read_port(tmp_path / "run.mcap", None)
