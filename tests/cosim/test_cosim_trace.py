"""Traces: everything that ran is in one file, readable by anybody, whole up to a failure, and two can be compared."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from hybrid_control.cli import main
from hybrid_control.cosim import Hybrid, LinkOptions, PartError, Port, load, run
from hybrid_control.cosim.parts import ArraySource, FunctionPart
from hybrid_control.cosim.tracefile import read

FILE = """
hybrid: 1
seed: 3
until: 0.2 s
parts:
  camera: {source: frames.npy, period: 20 ms}
  planner: {ann: planner.onnx, period: 20 ms, latency: 5 ms}
  code: {encode: regular, size: 16, period: 1 ms}
  reflex: {snn: reflex.nir, period: 1 ms}
  rates: {decode: exponential, size: 8, tau: 0.05, period: 1 ms}
links:
  - camera -> planner
  - {from: planner.out, to: code.rates, gain: 100.0, delay: 2 ms}
  - code -> reflex.input
  - reflex.output -> rates
record: [planner, reflex.output, reflex.lif.voltage, rates.rates]
"""


def test_trace_holds_every_run_and_all_that_was_recorded_to_the_bit(folder):
    results = run(load(folder / "a.hybrid.yaml"), trace=folder / "a.mcap")
    trace = read(folder / "a.mcap")
    assert trace.complete
    assert trace.error == ""
    assert {name: len(runs.begin) for name, runs in trace.runs.items()} == results.runs
    for name in ("planner.out", "reflex.lif.voltage", "rates.rates"):
        port = trace.ports[name]
        assert np.array_equal(port.rows.reshape(-1, *port.shape), results[name])
        assert np.array_equal(port.times, results.series[name].times_ns)
    spikes = trace.ports["reflex.output"]
    times, neurons = results.spikes("reflex.output")
    assert np.array_equal(np.repeat(spikes.times, spikes.count.astype(int)) * 1e-9, times)
    assert np.array_equal(np.repeat(spikes.neuron, spikes.count.astype(int)), neurons)


def test_trace_says_when_runs_began_and_ended_how_long_they_took_and_how_old_each_input_was(folder):
    run(load(folder / "a.hybrid.yaml"), trace=folder / "a.mcap")
    runs = read(folder / "a.mcap").runs
    plan, code = runs["planner"], runs["code"]
    assert plan.begin.tolist() == [20_000_000 * k for k in range(10)]
    assert (plan.end - plan.begin == 5_000_000).all()
    assert (plan.wall > 0).all()
    assert plan.ages[:, 0].tolist() == [0] * 10  # the camera's picture is there at once
    # 5 ms of latency and 2 ms on the way: from 7 ms on there is a value, a new one every 20 ms
    expected = [-1 if t < 7 else (t - 7) % 20 * 1_000_000 for t in range(200)]
    assert code.ages[:, code.links.index("planner.out -> code.rates")].tolist() == expected
    assert (runs["reflex"].ages == 0).all()


def test_trace_describes_itself_and_reads_with_anybodys_reader(folder):
    run(load(folder / "a.hybrid.yaml"), trace=folder / "a.mcap")
    with (folder / "a.mcap").open("rb") as stream:
        reader = make_reader(stream)
        words = {m.name: m.metadata for m in reader.iter_metadata()}
        messages = [(s.name, c.topic, m.log_time, json.loads(m.data)) for s, c, m in reader.iter_messages()]
        summary = reader.get_summary()
    assert words["hybrid"]["text"] == FILE
    assert words["hybrid"]["seed"] == "3"
    parts, links = (json.loads(words["hybrid"][name]) for name in ("parts", "links"))
    assert {p["name"]: (p["period_ns"], p["latency_ns"]) for p in parts}["planner"] == (20_000_000, 5_000_000)
    assert [p["name"] for p in parts].index("code") < [p["name"] for p in parts].index("reflex")
    assert {link["name"]: link["delay_ns"] for link in links}["planner.out -> code.rates"] == 2_000_000
    assert all(s.encoding == "jsonschema" and json.loads(s.data)["type"] == "object" for s in summary.schemas.values())
    times = [t for _, _, t, _ in messages]
    assert times == sorted(times)
    name, _, at, first = next(m for m in messages if m[1] == "rates.rates" and m[2] == 150_000_000)
    assert name == "hybrid_control_msgs/msg/RateVector"
    assert first["header"]["stamp"] == {"sec": 0, "nanosec": at}
    assert (first["populations"], first["sizes"], len(first["rates"])) == (["rates"], [8], 8)
    train = next(m[3] for m in messages if m[0] == "hybrid_control_msgs/msg/SpikeTrain")
    assert train["sizes"] == [8]
    assert len(train["neuron"]) == len(train["offset_ns"]) > 0


def test_trace_of_runs_that_waited_or_were_lost_says_so(tmp_path):
    hybrid = Hybrid(until_ns=100_000_000, record=["b.out", "c.out"])
    for name, period, lost in (("a", "10 ms", 0.5), ("b", "5 ms", 0.0), ("c", "5 ms", 0.0)):
        part = FunctionPart(lambda x: {"out": x + 1}, {"x": (2,)}, {"out": (2,)})
        hybrid.add(name, part, period, lost=lost)
    hybrid.link("a", "b", LinkOptions(when_old="wait", max_age_ns=9_000_000))
    hybrid.link("b", "c")
    results = run(hybrid, trace=tmp_path / "a.mcap")
    trace = read(tmp_path / "a.mcap")
    lost, waited = trace.runs["a"].lost, trace.runs["b"].waited
    assert 0 < lost.sum() < len(lost)
    assert np.array_equal(waited, np.isnan(results["b.out"]).any(axis=1))
    assert np.array_equal(waited, np.repeat(lost, 2))  # those that had nothing newer than 9 ms
    assert np.array_equal(trace.ports["b.out"].rows, results["b.out"], equal_nan=True)
    assert not trace.runs["b"].lost.any()
    # what b gives later are its runs that took place: c sees how old the last of them is
    given = np.flatnonzero(~waited)
    for k, age in enumerate(trace.runs["c"].ages[:, 0]):
        before = given[given <= k]
        assert age == (5_000_000 * (k - before[-1]) if len(before) else -1)


class Failing:
    """Counts its runs; at 35 ms it does what was asked of it."""

    def __init__(self, how):
        self.inputs, self.outputs, self.how = {}, {"out": Port("values", (2,))}, how

    def reset(self, seed):
        pass

    def run(self, runs, inputs):
        rows = np.stack([runs.times * 1e-6, runs.times * 0.0], axis=1)
        if runs.times[-1] >= 35_000_000:
            if self.how == "shape":
                return {"out": rows[:, :1]}
            if self.how == "raise":
                raise RuntimeError("the board is gone")
            rows[runs.times >= 35_000_000, 1] = np.nan
        return {"out": rows}

    def state(self):
        return None

    def set_state(self, state):
        pass


@pytest.mark.parametrize(
    ("how", "says"), [("raise", "the board is gone"), ("nan", "is not finite"), ("shape", "has the shape")]
)
def test_trace_of_a_part_that_fails_holds_what_ran_until_then_and_why_it_ended(tmp_path, how, says):
    hybrid = Hybrid(until_ns=100_000_000, record=["good.out", "bad.out"])
    hybrid.add("good", ArraySource(np.arange(100.0)[:, None]), "1 ms")
    hybrid.add("bad", Failing(how), "1 ms")
    hybrid.add("last", FunctionPart(lambda x: {"out": x}, {"x": (2,)}, {"out": (2,)}), "1 ms")
    hybrid.link("bad", "last")
    with pytest.raises(PartError, match=says):
        run(hybrid, trace=tmp_path / "a.mcap")
    trace = read(tmp_path / "a.mcap")
    assert trace.complete
    assert says in trace.error
    assert trace.error.startswith("bad: at ")
    assert trace.log[-1][1] == trace.error
    assert len(trace.ports["good.out"].rows) > 30
    if how == "nan":
        assert trace.ports["bad.out"].rows[:, 0].tolist() == list(range(35))
        assert "at 35 ms" in trace.error


def test_trace_of_a_function_that_raises_holds_the_runs_before_and_its_time(tmp_path):
    seen = []

    def function():
        seen.append(0)
        if len(seen) > 35:
            raise RuntimeError("no more")
        return {"out": np.array([float(len(seen))])}

    hybrid = Hybrid(until_ns=100_000_000, record=["f.out"])
    hybrid.add("f", FunctionPart(function, {}, {"out": (1,)}), "1 ms")
    with pytest.raises(PartError, match="f: at 35 ms: RuntimeError: no more"):
        run(hybrid, trace=tmp_path / "a.mcap")
    trace = read(tmp_path / "a.mcap")
    assert trace.ports["f.out"].rows[:, 0].tolist() == list(range(1, 36))
    assert len(trace.runs["f"].begin) == 35


HANGING = """
import sys, time
import numpy as np
from hybrid_control.cosim import Hybrid, run, trace
from hybrid_control.cosim.parts import FunctionPart

trace.FLUSH, trace.SLOW = 0.05, 0.1

def function(x):
    if x[0] >= 35.0:
        print("hangs", flush=True)
        while True:
            time.sleep(0.01)
    return {"out": x + 1.0}

hybrid = Hybrid(until_ns=100_000_000, record=["f.out"])
hybrid.add("f", FunctionPart(function, {"x": (1,)}, {"out": (1,)}), "1 ms", "1 ms")
hybrid.link("f", "f")
run(hybrid, trace=sys.argv[1])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_trace_of_a_part_that_never_returns_holds_what_ran_until_then(tmp_path, how):
    path = tmp_path / "a.mcap"
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    )
    assert process.stdout.readline() == "hangs\n"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (trace := read(path)).log:
        time.sleep(0.05)
    assert trace.log[0][1] == "f: at 35 ms: has not returned for 0.1 s"
    process.send_signal(how)
    process.wait(30)
    trace = read(path)
    assert trace.ports["f.out"].rows[:, 0].tolist() == list(range(1, 36))
    assert trace.complete == (how == signal.SIGINT)
    assert trace.error == ("KeyboardInterrupt, f was at 35 ms" if how == signal.SIGINT else "")


def test_trace_memory_does_not_grow_with_the_simulated_time(folder):
    def peak(seconds):
        hybrid = load(folder / "a.hybrid.yaml")
        hybrid.until_ns = int(seconds * 1e9)
        tracemalloc.start()
        results = run(hybrid, trace=folder / "a.mcap", keep=False)
        assert not results.series
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(0.5)
    assert peak(6.0) < peak(2.0) + (1 << 20)


def test_trace_that_cannot_be_written_is_an_error_that_names_the_file(folder):
    with pytest.raises(OSError, match=r"nowhere.a\.mcap: No such file"):
        run(load(folder / "a.hybrid.yaml"), trace=folder / "nowhere" / "a.mcap")
    (folder / "full.mcap").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"full\.mcap: No space left"):
        run(load(folder / "a.hybrid.yaml"), trace=folder / "full.mcap")


def refusal(path):
    """What is said of a damaged file; "" where it reads."""
    try:
        assert not read(path).complete
    except ValueError as error:
        return str(error)
    return ""


def test_trace_cut_anywhere_reads_as_far_as_it_goes_or_is_one_line(folder):
    run(load(folder / "a.hybrid.yaml"), trace=folder / "a.mcap")
    content = (folder / "a.mcap").read_bytes()
    readable = 0
    for cut in range(0, len(content), len(content) // 40):
        (folder / "b.mcap").write_bytes(content[:cut])
        said = refusal(folder / "b.mcap")
        readable += not said
        assert said == "" or (said.startswith(str(folder / "b.mcap")) and "\n" not in said)
    assert readable > 10


def test_trace_is_the_same_whatever_runs_beside_what_and_in_whatever_order(folder, capsys):
    run(load(folder / "a.hybrid.yaml"), trace=folder / "a.mcap")
    lines = FILE.split("parts:\n")[1].split("links:")[0].splitlines()
    swapped = FILE.replace("\n".join(lines), "\n".join(reversed(lines)))
    assert swapped != FILE
    (folder / "b.hybrid.yaml").write_text(swapped)
    hybrid = load(folder / "b.hybrid.yaml")
    hybrid.beside |= {"planner": True, "rates": True}
    run(hybrid, trace=folder / "b.mcap")
    assert main(["cosim", "compare", str(folder / "a.mcap"), str(folder / "b.mcap")]) == 0


# comparing


def traced(folder, name, **changes):
    out = folder / name
    text = FILE
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "c.hybrid.yaml").write_text(text)
    assert main(["cosim", "run", str(folder / "c.hybrid.yaml"), "--out", str(out)]) == 0
    return str(out)


def test_compare_of_two_runs_of_one_file_is_the_same_whatever_the_kinds_of_file(folder, capsys):
    files = [traced(folder, name) for name in ("a.mcap", "b.mcap", "a.npz", "b.npz")]
    for a in files:
        for b in files:
            assert main(["cosim", "compare", a, b]) == 0
            assert capsys.readouterr().out.splitlines()[-1] == "the same to the bit"


@pytest.mark.parametrize("suffixes", [("mcap", "mcap"), ("npz", "mcap"), ("mcap", "npz"), ("npz", "npz")])
def test_compare_names_part_run_time_and_number_where_two_runs_part(folder, capsys, suffixes):
    frames = np.load(folder / "frames.npy")
    a = traced(folder, f"a.{suffixes[0]}")
    frames[3, 0] += 0.25  # the picture at 60 ms
    np.save(folder / "frames.npy", frames)
    b = traced(folder, f"b.{suffixes[1]}")
    capsys.readouterr()
    assert main(["cosim", "compare", a, b]) == 1
    line = capsys.readouterr().out.strip()
    assert line.startswith("planner.out: run 3 at 60 ms, number 0: 0.")
    assert " and 0." in line


def test_compare_of_spikes_names_the_neuron_and_how_many(folder, capsys):
    record = ("record: [planner, reflex.output, reflex.lif.voltage, rates.rates]", "record: [reflex.output]")
    a = traced(folder, "a.npz", record=record)
    with np.load(a) as arrays:
        changed = {name: arrays[name] for name in arrays}
    changed["reflex.output"][150, 6] = 1.0 - changed["reflex.output"][150, 6]
    np.savez(folder / "b.npz", **changed)
    b = traced(folder, "b.mcap", record=record)
    capsys.readouterr()
    assert main(["cosim", "compare", str(folder / "b.npz"), b]) == 1
    here = int(changed["reflex.output"][150, 6])
    says = f"reflex.output: run 150 at 150 ms, neuron 6: {here} and {1 - here} spikes"
    assert capsys.readouterr().out.strip() == says


def test_compare_sees_runs_that_differ_where_no_number_does(folder, capsys):
    a = traced(folder, "a.mcap", record=("record: [planner, ", "record: ["))
    delay = ("  - camera -> planner\n", "  - {from: camera, to: planner, delay: 1 ns}\n")
    b = traced(folder, "b.mcap", record=("record: [planner, ", "record: ["), delay=delay)
    capsys.readouterr()
    assert main(["cosim", "compare", a, b]) == 1
    assert capsys.readouterr().out.strip() == "planner: run 0 at 0 ns, age of camera -> planner: 0 ns and none"


def test_compare_says_which_ends_earlier_and_what_is_in_one_alone(folder, capsys):
    a, b = traced(folder, "a.mcap"), traced(folder, "b.mcap", until=("until: 0.2 s", "until: 0.1 s"))
    capsys.readouterr()
    assert main(["cosim", "compare", a, b]) == 1
    assert capsys.readouterr().out.strip() == "camera: one ends before run 5 at 100 ms"
    c = traced(folder, "c.mcap", record=("record: [planner, ", "record: ["))
    capsys.readouterr()
    assert main(["cosim", "compare", a, c]) == 1
    assert capsys.readouterr().out.strip() == "planner.out is recorded in one of them alone"


def test_compare_of_what_is_no_recording_is_one_line(folder, capsys):
    a = traced(folder, "a.mcap")
    np.savez(folder / "b.npz", x=np.zeros(3))
    (folder / "c.mcap").write_bytes(b"nothing")
    capsys.readouterr()
    for other, says in (("b.npz", "x.times"), ("c.mcap", "not an MCAP file"), ("d.mcap", "No such file")):
        assert main(["cosim", "compare", a, str(folder / other)]) == 2
        err = capsys.readouterr().err
        assert says in err
        assert len(err.strip().splitlines()) == 1
