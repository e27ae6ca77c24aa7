"""SpiNNaker's form of a network: by hand against sPyNNaker's equations, refusals, wiring, the exported script."""

import ast
import dataclasses
import math
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.boards import BoardRefusal
from firmware_bridge.boards.echo import CHANNELS, Probes, with_echo
from firmware_bridge.boards.spinnaker_export import export
from firmware_bridge.boards.spinnaker_wiring import (
    LIVE_INPUT,
    Wiring,
    WiringError,
    read_database,
    write_database,
)
from hybrid_control.navigation.reflex.network import BOARD_INPUTS, BOARD_OUTPUTS, build_network
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.backends.spinnaker.form import SCALE, spinnaker_form
from hybrid_control.snn.backends.split import split


def one_neuron(kind: type, weight: float, **parameters: float) -> Network:
    net = Network()
    net.add_input("x", 1)
    net.add_population("n", kind, 1, **parameters)
    net.connect("x", "n", [[weight]])
    net.add_output("out", "n")
    return net


class TestForm:
    def test_a_lif_is_an_if_curr_delta_whose_spike_makes_a_current_of_one_step(self) -> None:
        form = spinnaker_form(one_neuron(nir.LIF, 0.5, tau=10e-3, v_threshold=2.0))
        population, projection = form.populations[0], form.projections[0]
        assert population.model == "IF_curr_delta"
        assert population.parameters["tau_m"].tolist() == [10.0]
        assert population.parameters["v_thresh"].tolist() == [2.0 * SCALE]
        assert projection.weight.tolist() == [0.5 * SCALE]
        assert projection.delay == 1.0

    def test_the_engine_computes_what_spynnakers_equations_say(self) -> None:
        # IF_curr_exp with tau_syn 5 ms, tau_m 10 ms, weight 1.5 in NIR's units, one spike at tick 2
        form = spinnaker_form(one_neuron(nir.CubaLIF, 1.5, tau_syn=5e-3, tau_mem=10e-3, v_threshold=100.0))
        assert form.populations[0].model == "IF_curr_exp"
        weight = form.projections[0].weight[0]
        assert weight == pytest.approx(1.5 * SCALE / 5.0, rel=1e-3)
        engine = Engine(form.network(), scheme="exponential", dtype=np.float64)
        v = current = 0.0
        for tick in range(30):
            engine.input("x")[...] = tick == 2
            engine.step()
            current *= math.exp(-1 / 5)
            if tick == 3:  # the least delay is a step
                current += weight * 5.0 * (1 - math.exp(-1 / 5))
            v = current + (v - current) * math.exp(-1 / 10)
            assert engine.voltage("n")[0] == pytest.approx(v, abs=1e-12)

    def test_li_become_the_currents_of_two_receptors(self) -> None:
        net = one_neuron(nir.LIF, 1.0, tau=10e-3)
        for name, tau, weight in (("slow", 80e-3, 2.0), ("fast", 20e-3, 1.0), ("stop", 5e-3, -3.0)):
            net.add_population(name, nir.LI, 1, tau=tau)
            net.connect("x", name, [[weight]])
            net.edge(name, "n")
        form = spinnaker_form(net)
        population = form.populations[0]
        assert population.model == "IF_curr_exp"
        assert (population.parameters["tau_syn_E"][0], population.parameters["tau_syn_I"][0]) == (80.0, 5.0)
        assert any("fast" in change and "20 ms" in change for change in form.changes)
        weights = {p.name: (p.receptor, p.weight[0]) for p in form.projections}
        assert weights["x_stop"][0] == "inhibitory"
        # mean currents stay: a spike brings the weight times dt, however long its current lasts
        assert weights["x_fast"][1] * 80.0 == pytest.approx(1.0 * SCALE, rel=2e-3)
        assert weights["x_stop"][1] * 5.0 == pytest.approx(3.0 * SCALE, rel=2e-3)

    def test_weights_are_whole_numbers_of_what_16_bits_hold(self) -> None:
        rng = np.random.default_rng(0)
        net = Network()
        net.add_input("x", 50)
        net.add_population("n", nir.LIF, 20, tau=10e-3)
        net.connect("x", "n", rng.normal(0, 1, (20, 50)))
        net.add_output("out", "n")
        form = spinnaker_form(net)
        for j in form.projections:
            population = form.populations[0]
            largest = population.largest[j.receptor == "inhibitory"]
            quantum = 2.0 ** (math.floor(math.log2(largest)) + 1 - 15)
            whole = j.weight / quantum
            assert np.array_equal(whole, np.round(whole))
            assert whole.max() < 2**16
            assert np.bincount(j.post, j.weight).max() < 2.0 ** (math.floor(math.log2(largest)) + 1)

    def test_the_reflex_has_the_inputs_and_outputs_that_the_tick_knows(self) -> None:
        form = spinnaker_form(split(build_network()).board)
        assert form.inputs == BOARD_INPUTS
        assert form.outputs == BOARD_OUTPUTS

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda net: net.add_population("i", nir.IF, 1), "'i' is a IF"),
            (lambda net: net.edge("x", "n"), "no weights between"),
            (lambda net: net.connect("x", "n", [[1.0]], "late", delay=0.2), "delay of 200 ms"),
            (lambda net: net.add_output("value", "x"), "Output 'value'"),
        ],
    )
    def test_what_it_can_not_run_is_refused_with_the_reason_and_the_nearest_thing(
        self, change, words: str
    ) -> None:
        net = one_neuron(nir.LIF, 1.0, tau=10e-3)
        change(net)
        with pytest.raises(BoardRefusal, match=words) as refusal:
            spinnaker_form(net)
        assert refusal.value.nearest

    def test_a_tick_that_is_not_a_millisecond_is_refused(self) -> None:
        with pytest.raises(BoardRefusal, match="real time at 1 ms"):
            spinnaker_form(one_neuron(nir.LIF, 1.0, tau=10e-3), dt=0.5e-3)


WIRING = Wiring(
    "127.0.0.2", (0, 0, 5), 3, (0, 0), "127.0.0.1", 17895, (7, 8, 9), {"a": (0x800, 0x810), "b": (0x1000,)}
)


class TestWiring:
    def test_what_was_written_to_a_database_is_read(self, tmp_path: Path) -> None:
        write_database(tmp_path / "d.sqlite3", WIRING)
        assert read_database(tmp_path / "d.sqlite3", ["a", "b"]) == WIRING

    def test_what_was_saved_is_loaded(self, tmp_path: Path) -> None:
        WIRING.save(tmp_path / "t.json")
        assert Wiring.load(tmp_path / "t.json") == WIRING

    def test_a_population_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        write_database(tmp_path / "d.sqlite3", WIRING)
        with pytest.raises(WiringError, match="'c'"):
            read_database(tmp_path / "d.sqlite3", ["a", "c"])

    @pytest.mark.parametrize("content", ["", "{}", "[1]", '{"core": [1, 2]}', "nonsense"])
    def test_another_file_is_refused(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(WiringError, match=r"t\.json"):
            Wiring.load(tmp_path / "t.json")
        with pytest.raises(WiringError, match=r"t\.json|addresses|core|keys"):
            read_database(tmp_path / "t.json", ["a"])

    def test_keys_that_stand_twice_are_refused(self, tmp_path: Path) -> None:
        dataclasses.replace(WIRING, input_keys=(1, 1)).save(tmp_path / "t.json")
        with pytest.raises(WiringError, match="differ"):
            Wiring.load(tmp_path / "t.json")


class TestProbes:
    def test_way_loss_and_offset_are_those_of_a_clock_that_is_ahead(self) -> None:
        probes = Probes()
        for i in range(100):
            now = i * 1_000_000
            channel = probes.send(now)
            if i % 4:  # a quarter is lost
                probes.back(channel, now + 400_000, (now + 200_000) * 1e-9 + 5.0)
        assert probes.ways[0] == pytest.approx(0.4e-3)
        assert probes.offset == pytest.approx(5.0)
        assert probes.loss == pytest.approx(0.25, abs=0.03)

    def test_nothing_is_known_before_the_first(self) -> None:
        probes = Probes()
        assert math.isnan(probes.ways[0])
        assert math.isnan(probes.offset)
        assert probes.loss == 0.0

    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, CHANNELS - 1)), max_size=60))
    def test_probes_that_come_back_in_any_order_or_twice_do_no_harm(self, events) -> None:
        probes = Probes()
        for i, (send, channel) in enumerate(events):
            if send:
                probes.send(i)
            else:
                probes.back(channel, i, 0.0)
        assert 0.0 <= probes.loss <= 1.0

    def test_the_echo_comes_back_a_tick_after_it_went_in(self) -> None:
        form = spinnaker_form(with_echo(one_neuron(nir.LIF, 1.0, tau=10e-3)))
        engine = Engine(form.network(), scheme="exponential")
        for tick in range(20):
            engine.input("echo")[...] = 0
            if tick % 3 == 0:
                engine.input("echo")[tick % CHANNELS] = 1
            engine.step()
            want = [(tick - 1) % CHANNELS] if tick % 3 == 1 else []
            assert np.flatnonzero(engine.output("echo_out")).tolist() == want


class TestExport:
    def test_the_script_is_python_and_its_numbers_are_the_forms(self, tmp_path: Path) -> None:
        net = split(build_network()).board
        script, arrays = export(net, tmp_path / "reflex.py")
        tree = ast.parse(script.read_text())
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            and node.targets[0].id in ("POPULATIONS", "PROJECTIONS", "INPUTS", "OUTPUTS")
        }
        form = spinnaker_form(with_echo(net))
        assert [row[0] for row in values["POPULATIONS"]] == [p.name for p in form.populations]
        assert {row[1] for row in values["PROJECTIONS"]} >= {LIVE_INPUT, "ring"}
        with np.load(arrays) as numbers:
            for number, j in enumerate(form.projections):
                assert np.array_equal(numbers[f"projection{number}/weight"], j.weight)
            assert np.array_equal(numbers["ring.tau_syn_E"], np.full(72, 80.0))

    def test_the_script_says_that_it_never_ran_on_hardware(self, tmp_path: Path) -> None:
        script, _ = export(split(build_network()).board, tmp_path / "reflex.py")
        assert "never run on a SpiNNaker machine" in script.read_text()
