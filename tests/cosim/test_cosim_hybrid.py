"""Hybrids as a user writes them: five lines, or a file."""

from pathlib import Path

import numpy as np
import pytest
from files import planner, reflex

from hybrid_control.cli import main
from hybrid_control.cosim import HybridCoSimulator, HybridError, load, run
from hybrid_control.signals.coding import decoder, encoder
from hybrid_control.snn.backends.numba.engine import Engine

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
  - {from: planner.out, to: code.rates, gain: 100.0}
  - code -> reflex.input
  - reflex.output -> rates
record: [planner.out, reflex.output, reflex.lif.voltage, rates.rates]
"""


def by_hand(weights, graph, frames, latency, ticks=200, every=20):
    """The same hybrid as a loop of one's own."""
    engine, code, read = Engine(graph, dt=0.001), encoder("regular", 16), decoder("exponential", 8, tau=0.05)
    waiting, rates = {}, np.zeros(16)
    spikes, voltages, decoded = [], [], []
    for t in range(ticks):
        if t % every == 0:
            x = frames[min(t // every, len(frames) - 1)].astype(np.float32)
            waiting[t + latency] = 100.0 * (1.0 / (1.0 + np.exp(-(x @ weights))))
        rates = waiting.pop(t, rates)
        out = engine.step(code.counts(rates.astype(np.float32), 1_000_000))
        spikes.append(out.copy())
        voltages.append(engine.voltage("lif").copy())
        neuron = np.flatnonzero(out)
        decoded.append(read.decode(neuron, np.full(neuron.size, 999_999), 1_000_000))
    return np.array(spikes), np.array(voltages), np.array(decoded)


def test_cosim_a_file_runs_as_the_loop_that_one_would_write(folder):
    weights, graph = planner(folder / "planner.onnx"), reflex(folder / "reflex.nir")
    results = run(load(folder / "a.hybrid.yaml"))
    spikes, voltages, decoded = by_hand(weights, graph, np.load(folder / "frames.npy"), latency=5)
    assert spikes.sum() > 50
    assert np.array_equal(results["reflex.output"], spikes)
    assert np.array_equal(results["reflex.lif.voltage"], voltages)
    assert np.allclose(results["rates.rates"], decoded, atol=1e-3)
    assert results.runs == {"camera": 10, "planner": 10, "code": 200, "reflex": 200, "rates": 200}
    times, neurons = results.spikes("reflex.output")
    assert len(times) == spikes.sum()
    assert neurons.max() < 8


def test_cosim_five_lines_couple_two_files(folder):
    sim = HybridCoSimulator(
        ann_model=folder / "planner.onnx", snn_model=folder / "reflex.nir", interface_config={"encoder": "regular"}
    )
    results = sim.simulate(np.load(folder / "frames.npy"), simulation_time=0.2)
    assert results["ann.out"].shape == (7, 16)
    assert results["snn.output"].shape == results["decoder.rates"].shape == (200, 8)
    assert results["snn.output"].sum() > 50
    again = sim.simulate(np.load(folder / "frames.npy"), simulation_time=0.2)
    assert np.array_equal(results["snn.output"], again["snn.output"])
    assert np.allclose(results.times("snn.output"), np.arange(200) * 0.001)


def test_cosim_a_part_beside_the_others_gives_the_same_bits(folder):
    alone = run(load(folder / "a.hybrid.yaml"))
    hybrid = load(folder / "a.hybrid.yaml")
    hybrid.beside["planner"] = True
    beside = run(hybrid)
    for name in alone.series:
        assert np.array_equal(alone[name], beside[name])


def test_cosim_states_that_an_ann_hands_over_are_there_before_the_tick_at_which_they_arrive(folder):
    text = FILE.replace("  - camera -> planner\n", "  - camera -> planner\n  - start -> reflex.lif.voltage\n")
    start = "  start: {source: start.npy, kind: states, period: 100 ms, latency: 3 ms}\n"
    text = text.replace("parts:\n", f"parts:\n{start}")
    np.save(folder / "start.npy", np.array([[0.9] * 8, [0.1] * 8]))
    (folder / "a.hybrid.yaml").write_text(text.replace("gain: 100.0", "gain: 0.0"))
    voltage = run(load(folder / "a.hybrid.yaml"))["reflex.lif.voltage"]
    assert (voltage[:3] == 0).all()
    assert voltage[3] == pytest.approx(0.9 * (1 - 1 / 20))  # one Euler step of tau 20 ms
    assert voltage[103] == pytest.approx(0.1 * (1 - 1 / 20))


@pytest.mark.parametrize(("change", "says"), [
    (("planner.onnx, ", "none.onnx, "), "planner: .*none.onnx: no such file"),
    (("ann: planner.onnx", "anm: planner.onnx"), "planner: expected one kind of ann, snn"),
    (("period: 20 ms, latency", "perjod: 20 ms, latency"), "planner: its period is missing"),
    (("camera -> planner", "camera -> plan"), "camera -> plan: no part 'plan'"),
    (("to: code.rates", "to: code.rate"), r"planner.out -> code.rate: code has no 'rate' among its inputs: rates"),
    (("size: 16", "size: 15"), "gives values of shape .16,., and rates of shape .15,. are taken"),
    (("gain: 100.0", "gian: 100.0"), "planner.out -> code.rates: .*gian"),
    (("latency: 5 ms", "latency: five"), "planner: latency: 'five' is no time; expected 33.3 ms"),
    (("hybrid: 1", "hybrid: 2"), "no hybrid file: expected 'hybrid: 1'"),
    (("record: [", "record: [nobody.out, "), "record: no part 'nobody'"),
    (("tau: 0.05", "tau: -1"), "rates: tau: -1 s must be"),
    (("until: 0.2 s", "until: 0 s"), "until: '0 s' must be at least 1 ns"),
])  # fmt: skip
def test_cosim_what_is_wrong_in_a_file_is_one_line_that_names_file_part_and_link(folder, capsys, change, says):
    assert change[0] in FILE
    (folder / "a.hybrid.yaml").write_text(FILE.replace(*change, 1))
    with pytest.raises(HybridError, match=says) as error:
        load(folder / "a.hybrid.yaml").scheduler()
    assert "\n" not in str(error.value)
    assert main(["cosim", "check", str(folder / "a.hybrid.yaml")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_cosim_check_says_when_all_meet_and_a_period_that_meets_sooner(folder, capsys):
    (folder / "a.hybrid.yaml").write_text(FILE.replace("period: 20 ms", "period: 33.333333 ms"))
    assert main(["cosim", "check", str(folder / "a.hybrid.yaml")]) == 0
    out = capsys.readouterr().out
    assert "T_sync 9.26 h" in out
    assert "planner (33.333333 ms) and code (1 ms) meet every 9.26 h; with 33 ms for planner they would" in out
    assert "planner  every 33.333333 ms + 5 ms: image values 4 => out values 16" in out


def test_cosim_run_writes_what_was_recorded(folder, capsys):
    out = folder / "out.npz"
    arguments = ["cosim", "run", str(folder / "a.hybrid.yaml"), "--until", "50 ms", "--out", str(out)]
    assert main(arguments) == 0
    with np.load(out) as arrays:
        assert arrays["reflex.output"].shape == (50, 8)
        assert arrays["planner.out.times"].tolist() == pytest.approx([0.0, 0.02, 0.04])
    assert "50 ms simulated in" in capsys.readouterr().out


def test_cosim_networks_that_do_not_fit_are_named(folder):
    planner(folder / "other.onnx", outputs=5)
    with pytest.raises(HybridError, match=r"reflex.nir: input input has 16 neurons, and .*other.onnx gives 5 values"):
        HybridCoSimulator(folder / "other.onnx", folder / "reflex.nir")
    with pytest.raises(ValueError, match=r"input_data: shape \(3, 9\), expected \(n, 4\)"):
        HybridCoSimulator(folder / "planner.onnx", folder / "reflex.nir").simulate(np.zeros((3, 9)), 1.0)
    with pytest.raises(ValueError, match="interface_config: unknown 'tua'"):
        HybridCoSimulator(folder / "planner.onnx", folder / "reflex.nir", {"tua": 1})


def test_cosim_compare_finds_the_first_divergence_by_port_time_and_neuron(folder, capsys):
    file, names = folder / "a.hybrid.yaml", [folder / name for name in ("a.npz", "b.npz")]
    for out in names:
        assert main(["cosim", "run", str(file), "--out", str(out)]) == 0
    assert main(["cosim", "compare", *map(str, names)]) == 0
    with np.load(names[1]) as arrays:
        changed = {name: arrays[name] for name in arrays}
    changed["reflex.lif.voltage"][70, 3] += 0.5
    changed["reflex.output"][71, 2] = 1.0 - changed["reflex.output"][71, 2]
    np.savez(names[1], **changed)
    capsys.readouterr()
    assert main(["cosim", "compare", *map(str, names)]) == 1
    assert capsys.readouterr().out.startswith("reflex.lif.voltage: run 70 at 70 ms, number 3: ")


def test_cosim_the_file_in_the_docs_runs_as_it_stands_there(folder):
    docs = (Path(__file__).parents[2] / "docs" / "cosim.md").read_text(encoding="utf-8")
    (folder / "docs.hybrid.yaml").write_text(docs.split("```yaml\n")[1].split("```")[0])
    assert run(load(folder / "docs.hybrid.yaml"))["reflex.output"].sum() > 50


PATTERNS = """
hybrid: 1
until: 0.3 s
parts:
  camera: {source: frames.npy, period: 33 ms}
  ann: {ann: planner.onnx, period: 33 ms, latency: 10 ms}
  eye: {source: pixels.npy, period: 5 ms, loop: true}
  code: {encode: regular, size: 16, period: 1 ms}
  snn: {snn: reflex.nir, period: 1 ms}
  rates: {decode: exponential, size: 8, period: 1 ms}
  first: {python: "parts.py:First", period: 5 ms}
  fused: {fuse: weighted, shape: [8], weights: [0.25, 0.75], period: 5 ms}
links:
  - camera -> ann
  - {from: eye, to: code, gain: 100.0}
  - code -> snn.input
  - snn.output -> rates
  - ann -> first
  - first -> fused.a
  - {from: rates, to: fused.b, gain: 0.01}
record: [first.out, rates.rates, fused.out]
"""


def test_cosim_an_ann_and_an_snn_in_parallel_are_fused_by_weights(folder):
    np.save(folder / "pixels.npy", np.random.default_rng(4).random((5, 16)))
    (folder / "parts.py").write_text(PARTS)
    (folder / "p.hybrid.yaml").write_text(PATTERNS)
    results = run(load(folder / "p.hybrid.yaml"))
    rates = results["rates.rates"][::5]
    assert rates.max() > 1.0
    assert np.allclose(results["fused.out"], 0.25 * results["first.out"] + 0.75 * 0.01 * rates)


PARTS = """
from hybrid_control.cosim import Port


class First:
    inputs = {"in": Port("values", (16,))}
    outputs = {"out": Port("values", (8,))}

    def reset(self, seed): pass

    def run(self, runs, inputs): return {"out": inputs["in"][:, :8]}

    def state(self): pass

    def set_state(self, state): pass
"""
